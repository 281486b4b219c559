//! Carries one request at a time: over a socket of the generator, or through an HTTP library.

use super::client::Exchange;
use super::connection::{Connection, Progress};

/// A socket of the generator, or an exchange of the HTTP library.
#[derive(Debug)]
pub enum Transport {
    /// HTTP/1.1 without TLS.
    Socket(Connection),
    /// Everything else.
    Library(Exchange),
}

impl Transport {
    /// The buffer of the request.
    pub const fn request(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Socket(connection) => &mut connection.request,
            Self::Library(exchange) => &mut exchange.request,
        }
    }

    /// The progress of the request.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match self {
            Self::Socket(connection) => connection.progress,
            Self::Library(exchange) => exchange.progress(),
        }
    }

    /// Whether the request waits for a connection.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        match self {
            Self::Socket(connection) => connection.is_connecting(),
            Self::Library(exchange) => exchange.is_connecting(),
        }
    }
}
