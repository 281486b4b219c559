//! A session's own keep-alive connection. It is owned, not pooled: a pool would race new connections
//! against idle ones and blur which node a session sticks to.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout_at;

use super::reply::{Parsed, Reply, parse};
use crate::history::ErrorKind;

/// One TCP connection and the bytes that it has read.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A complete reply with its instants.
pub struct Exchange {
    /// When the request was handed to the socket.
    pub sent: Instant,
    /// When the first bytes of the reply were there.
    pub first_byte: Instant,
    /// The reply.
    pub reply: Reply,
}

/// No complete reply: how far it came.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub error: ErrorKind,
    /// When the request was handed to the socket, if it was.
    pub sent: Option<Instant>,
    /// When the first bytes of a reply were there, if they were.
    pub first_byte: Option<Instant>,
}

impl Connection {
    /// Connects, from `source` if one is given.
    pub async fn open(to: SocketAddrV4, source: Option<Ipv4Addr>, deadline: Instant) -> Result<Self, Broken> {
        let unsent = |error| Broken { error, sent: None, first_byte: None };
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            if let Some(source) = source {
                socket.bind((source, 0).into())?;
            }
            let stream = socket.connect(to.into()).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        match timeout_at(deadline.into(), connect).await {
            Ok(Ok(stream)) => Ok(Self { stream, buffer: Vec::with_capacity(1024) }),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(unsent(ErrorKind::ConnectTimeout)),
            Ok(Err(_)) => Err(unsent(ErrorKind::Refused)),
            Err(_) => Err(unsent(ErrorKind::ConnectTimeout)),
        }
    }

    /// Whether the other side has closed it, or sent what nobody asked for.
    pub fn is_stale(&self) -> bool {
        let mut byte = [0; 1];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads the reply. After an error the connection is of no further use.
    pub async fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<Exchange, Broken> {
        let sent = self.send(request, deadline).await?;
        let mut first_byte = None;
        self.buffer.clear();
        loop {
            let had_bytes = first_byte.is_some();
            let read = match timeout_at(deadline.into(), self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(read)) => read,
                Ok(Err(_)) if had_bytes => return Err(broken(ErrorKind::CutOff, sent, first_byte)),
                Ok(Err(_)) => return Err(broken(ErrorKind::ResetBeforeReply, sent, first_byte)),
                Err(_) => return Err(broken(ErrorKind::Timeout, sent, first_byte)),
            };
            if read > 0 && !had_bytes {
                first_byte = Some(Instant::now());
            }
            match (parse(&self.buffer, read == 0), first_byte) {
                (Parsed::Complete(reply, length), Some(first_byte)) => {
                    let keep_alive = reply.keep_alive && length == self.buffer.len();
                    return Ok(Exchange { sent, first_byte, reply: Reply { keep_alive, ..reply } });
                }
                (Parsed::Malformed, _) => return Err(broken(ErrorKind::Malformed, sent, first_byte)),
                (_, None) if read == 0 => return Err(broken(ErrorKind::ResetBeforeReply, sent, first_byte)),
                (_, _) if read == 0 => return Err(broken(ErrorKind::CutOff, sent, first_byte)),
                (_, _) => {}
            }
        }
    }

    async fn send(&mut self, request: &[u8], deadline: Instant) -> Result<Instant, Broken> {
        let sent = Instant::now();
        let mut taken = 0;
        while taken < request.len() {
            let error = match timeout_at(deadline.into(), self.stream.write(&request[taken..])).await {
                Ok(Ok(more)) if more > 0 => {
                    taken += more;
                    continue;
                }
                Ok(_) => ErrorKind::ResetBeforeReply,
                Err(_) => ErrorKind::Timeout,
            };
            // Bytes that the kernel never took were never sent; others may have arrived.
            return Err(if taken == 0 {
                Broken { error: ErrorKind::NotSent, sent: None, first_byte: None }
            } else {
                Broken { error, sent: Some(sent), first_byte: None }
            });
        }
        Ok(sent)
    }
}

fn broken(error: ErrorKind, sent: Instant, first_byte: Option<Instant>) -> Broken {
    Broken { error, sent: Some(sent), first_byte }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// A server that reads a request, sends `reply`, and closes.
    async fn exchange_with(reply: &'static [u8]) -> Result<Exchange, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(reply).await.unwrap();
        });
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, address.port());
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut connection = Connection::open(to, None, deadline).await?;
        let result = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", deadline).await;
        server.await.unwrap();
        result
    }

    fn error_of(result: Result<Exchange, Broken>) -> ErrorKind {
        result.err().expect("an error").error
    }

    #[tokio::test]
    async fn a_connection_closed_before_any_byte_is_a_reset_before_the_reply() {
        assert_eq!(error_of(exchange_with(b"").await), ErrorKind::ResetBeforeReply);
    }

    #[tokio::test]
    async fn a_connection_closed_inside_the_body_is_a_cut_off_reply() {
        assert_eq!(
            error_of(exchange_with(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await),
            ErrorKind::CutOff
        );
    }

    #[tokio::test]
    async fn a_reply_that_is_not_http_is_malformed() {
        assert_eq!(error_of(exchange_with(b"hello there\r\n\r\n").await), ErrorKind::Malformed);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_refuses_before_anything_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        drop(listener);
        let broken = Connection::open(to, None, Instant::now() + Duration::from_secs(5)).await.err().unwrap();
        assert_eq!((broken.error, broken.sent), (ErrorKind::Refused, None));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_times_out_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        let deadline = Instant::now() + Duration::from_millis(50);
        let mut connection = Connection::open(to, None, deadline).await.ok().unwrap();
        assert_eq!(error_of(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", deadline).await), ErrorKind::Timeout);
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_stale() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        let connection = Connection::open(to, None, Instant::now() + Duration::from_secs(5)).await.ok().unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(!connection.is_stale());
        drop(accepted);
        connection.stream.readable().await.unwrap();
        assert!(connection.is_stale());
    }
}
