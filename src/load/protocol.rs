//! What requests are spoken in: plain data, which target files name and the agent follows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What requests are spoken in. Without TLS and HTTP/2 it is HTTP/1.1 over the engine's own sockets, the cheapest; with
/// either it is an HTTP library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Over TLS, and whose certificates are believed.
    pub tls: Option<Trust>,
    /// HTTP/2; without TLS by prior knowledge.
    pub is_http2: bool,
}

/// A protocol by the word that target files use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolName {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
        })
    }
}

impl ProtocolName {
    /// Whether it is over TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Http2)
    }

    /// With a server whose certificate nobody has to believe.
    #[must_use]
    pub fn between_containers(self) -> Protocol {
        Protocol {
            tls: self.is_tls().then_some(Trust::AnyCertificate),
            is_http2: matches!(self, Self::Http2 | Self::H2c),
        }
    }
}

impl Protocol {
    /// Whether it is HTTP/1.1 without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.is_http2
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Any: between containers, or because the user says so.
    AnyCertificate,
    /// Those that the system believes.
    System,
}
