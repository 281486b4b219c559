//! What carries one request at a time: a socket of the engine's own, or a line through an HTTP library.

use super::client::Exchange;
use super::connection::{Connection, Progress};

/// One of the two.
#[derive(Debug)]
pub enum Carrier {
    /// HTTP/1.1 without TLS.
    Socket(Connection),
    /// Everything else.
    Library(Exchange),
}

impl Carrier {
    /// The request under way, to be written into.
    pub const fn request(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Socket(connection) => &mut connection.request,
            Self::Library(exchange) => &mut exchange.request,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self {
            Self::Socket(connection) => connection.progress,
            Self::Library(exchange) => exchange.progress(),
        }
    }

    /// Whether it waits for a connection.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        match self {
            Self::Socket(connection) => connection.is_connecting(),
            Self::Library(exchange) => exchange.is_connecting(),
        }
    }
}
