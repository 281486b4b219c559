//! Accepts connections, in the same way for every kind of node.

use std::net::{IpAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Pause after a failed accept: too many open files, or a client that has already disconnected.
const PAUSE: Duration = Duration::from_millis(10);

/// Listens at an address.
///
/// # Errors
/// When the address is in use or not an address of this machine.
pub async fn listen(address: SocketAddrV4) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Accepts connections for as long as the future is polled, and serves each in its own task.
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
