//! Taking connections: the same for every node, whatever it serves on them.

use std::net::{IpAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// After a connection that could not be taken: too many open files, or a client that has gone again.
const PAUSE: Duration = Duration::from_millis(10);

/// Listens at an address.
///
/// # Errors
/// When it is taken or not this machine's, in words.
pub async fn listen(address: SocketAddrV4) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Takes connections for as long as it is polled, and serves each in a task of its own.
pub async fn serve_each<S: Future<Output = ()> + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream, IpAddr) -> S,
) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let _ = stream.set_nodelay(true);
                spawn_local(serve(stream, client.ip()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
