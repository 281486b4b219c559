//! The protocol of requests: plain data that target files name and the agent uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The protocol of requests. HTTP/1.1 without TLS uses the engine's own sockets, which cost the least CPU; TLS and
/// HTTP/2 use an HTTP library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// Which certificates are accepted; `None`: no TLS.
    pub tls: Option<Trust>,
    /// Whether it is HTTP/2; without TLS, by prior knowledge.
    pub is_http2: bool,
}

/// The name of a protocol in target files.
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
    /// Whether it uses TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Http2)
    }

    /// The protocol between containers, where any certificate is accepted.
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

    /// The scheme with which anybody may ask; `None` for HTTP/2 without TLS, which answers no other request.
    #[must_use]
    pub const fn scheme(&self) -> Option<&'static str> {
        match (self.tls.is_some(), self.is_http2) {
            (true, _) => Some("https"),
            (false, false) => Some("http"),
            (false, true) => None,
        }
    }
}

/// Which certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Any certificate: between containers, or because the user allows it.
    AnyCertificate,
    /// Certificates that the system trusts.
    System,
}
