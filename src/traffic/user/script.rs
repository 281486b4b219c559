//! What users say and what replies mean to them: the calls of the session contract (docker/CONTRACT.md), or one plain
//! request over and over.

use std::io::Write;
use std::sync::Arc;

use super::classify::{self, Shown, Sizes};
use super::cookies::{CookieJar, Site};
use crate::history::compact::Answers;
use crate::history::{Answer, OperationId, OperationKind, Outcome, owner};
use crate::load::{Connections, Lifetime, Population, Span, Workload};
use crate::traffic::http::reply::Reply;
use crate::traffic::reactor::unix_s;

/// What a workload's users do.
#[derive(Clone, Debug)]
pub enum Script {
    /// They have sessions of the contract.
    Contract(Contract),
    /// They send the same request again and again.
    Plain(Plain),
}

/// Sessions of the contract.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    /// The `Host` header and whatever else stands in each request.
    pub headers: Vec<u8>,
    /// The session whose cookies are kept.
    pub site: Site,
    /// What each session holds beside its state from its creation on, and no write changes.
    pub payload_bytes: u32,
    /// What each write puts beside it, in place of what the write before has put there.
    pub write_bytes: u32,
    /// When users log out; never without.
    pub lifetime: Option<Lifetime>,
    /// Whether users are there from the start, each in the middle of a session, or arrive.
    pub begins_in_the_middle: bool,
    /// What lifetimes are drawn from.
    pub seed: u64,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Plain {
    /// `GET /path HTTP/1.1` with its end of line.
    pub line: Vec<u8>,
    /// What cookies are sent for.
    pub path: String,
    /// The session whose cookies are kept.
    pub site: Site,
    /// Every header but `Cookie`.
    pub headers: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether replies have no body, as those to `HEAD`.
    pub is_bodiless: bool,
}

impl Script {
    /// Writes a request in place of what stands in `request`.
    pub fn write_request(&self, kind: OperationKind, id: OperationId, cookies: &CookieJar, request: &mut Vec<u8>) {
        request.clear();
        match self {
            Self::Contract(contract) => contract.write_request(kind, id, cookies, request),
            Self::Plain(plain) => {
                request.extend_from_slice(&plain.line);
                request.extend_from_slice(&plain.headers);
                cookies.write_header(&plain.path, unix_s, request);
                request.extend_from_slice(b"\r\n");
                request.extend_from_slice(&plain.body);
            }
        }
    }

    /// What cookies of the reply belong to where they do not say so.
    #[must_use]
    pub fn path(&self, kind: OperationKind) -> &str {
        match self {
            Self::Contract(_) => path(kind),
            Self::Plain(plain) => &plain.path,
        }
    }

    /// The session whose cookies are kept.
    #[must_use]
    pub const fn site(&self) -> &Site {
        match self {
            Self::Contract(contract) => &contract.site,
            Self::Plain(plain) => &plain.site,
        }
    }

    /// Whether asking twice does no more than asking once, so that a browser would ask again by itself (RFC 9110, section
    /// 9.2.1).
    #[must_use]
    pub fn is_safe(&self, kind: OperationKind) -> bool {
        match self {
            Self::Contract(_) => !matches!(kind, OperationKind::Create | OperationKind::Write | OperationKind::LogOut),
            Self::Plain(plain) => [&b"GET "[..], b"HEAD ", b"OPTIONS "].iter().any(|safe| plain.line.starts_with(safe)),
        }
    }

    /// When session `life` of a user is to be logged out; never without.
    #[must_use]
    pub fn span(&self, user: u32, life: u32) -> Option<Span> {
        match self {
            Self::Contract(Contract { lifetime, begins_in_the_middle, seed, .. }) => {
                lifetime.map(|lifetime| lifetime.draw(*seed, user, life, *begins_in_the_middle))
            }
            Self::Plain(_) => None,
        }
    }

    /// Whether a reply ends with its head.
    #[must_use]
    pub const fn is_bodiless(&self) -> bool {
        matches!(self, Self::Plain(Plain { is_bodiless: true, .. }))
    }

    /// How an operation with a complete reply ended, and who answered.
    pub fn classify(
        &self,
        kind: OperationKind,
        reply: &Reply<'_>,
        shown: &mut Shown,
        answers: &mut Answers,
    ) -> (Outcome, Option<Arc<Answer>>) {
        match self {
            Self::Contract(contract) => classify::with_reply(kind, reply, contract.sizes(), shown, answers),
            Self::Plain(_) => (classify::by_status(reply.status), None),
        }
    }
}

impl Contract {
    /// The calls of the session contract, as this workload makes them.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let closes = if workload.users.connections == Connections::PerRequest { "Connection: close\r\n" } else { "" };
        Self {
            headers: format!("Host: {}\r\n{closes}", workload.destination.host).into_bytes(),
            site: Site {
                host: workload
                    .destination
                    .host
                    .rsplit_once(':')
                    .map_or(workload.destination.host.as_str(), |(host, _)| host)
                    .to_owned(),
                is_secure: workload.destination.protocol.tls.is_some(),
            },
            payload_bytes: workload.sessions.payload_bytes.saturating_sub(workload.sessions.write_bytes),
            write_bytes: workload.sessions.write_bytes,
            lifetime: workload.sessions.lifetime,
            begins_in_the_middle: matches!(workload.users.population, Population::Fixed(_)),
            seed: workload.seed,
        }
    }

    const fn sizes(&self) -> Sizes {
        Sizes { payload_bytes: self.payload_bytes, write_bytes: self.write_bytes }
    }

    fn write_request(&self, kind: OperationKind, id: OperationId, cookies: &CookieJar, request: &mut Vec<u8>) {
        let method = match kind {
            OperationKind::Create | OperationKind::Write | OperationKind::LogOut => "POST ",
            OperationKind::Read | OperationKind::FinalRead | OperationKind::NodeRead | OperationKind::SettleRead => {
                "GET "
            }
        };
        for part in [method, path(kind), " HTTP/1.1\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        request.extend_from_slice(&self.headers);
        cookies.write_header(path(kind), unix_s, request);
        match kind {
            OperationKind::Create => {
                let owner = owner(id.session);
                put_body(request, format_args!("{{\"owner\":\"{owner}\",\"bytes\":{}}}", self.payload_bytes));
            }
            OperationKind::Write if self.write_bytes == 0 => put_body(request, format_args!("{{\"op\":\"{id}\"}}")),
            OperationKind::Write => {
                put_body(request, format_args!("{{\"op\":\"{id}\",\"bytes\":{}}}", self.write_bytes));
            }
            OperationKind::LogOut => put_body(request, format_args!("{{}}")),
            _ => request.extend_from_slice(b"\r\n"),
        }
    }
}

/// Ends a head and appends a body of which nobody knows the length before it is written.
fn put_body(request: &mut Vec<u8>, body: std::fmt::Arguments<'_>) {
    const HEAD: &[u8] = b"Content-Type: application/json\r\nContent-Length: ";
    request.extend_from_slice(HEAD);
    let at = request.len();
    request.extend_from_slice(b"    \r\n\r\n");
    let start = request.len();
    // Writing to a vector cannot fail.
    let _ = request.write_fmt(body);
    let length = request.len() - start;
    if let Some(mut place) = request.get_mut(at..at + 4) {
        let _ = write!(place, "{length:>4}");
    }
}

const fn path(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Write => "/session/ops",
        OperationKind::LogOut => "/session/log-out",
        _ => "/session",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: OperationKind) -> String {
        let contract = Contract {
            headers: b"Host: balancer\r\n".to_vec(),
            payload_bytes: 2048,
            write_bytes: 100,
            ..Contract::default()
        };
        let mut cookies = CookieJar::default();
        cookies.set(b"SID=abc; Path=/", "/session", &Site::default(), || 0);
        let mut request = b"old".to_vec();
        let id = OperationId { session: 17, life: 2, number: 5 };
        Script::Contract(contract).write_request(kind, id, &cookies, &mut request);
        String::from_utf8(request).unwrap()
    }

    #[test]
    fn requests_of_the_contract_are_http() {
        insta::assert_snapshot!(request(OperationKind::Write).replace('\r', ""), @r#"
        POST /session/ops HTTP/1.1
        Host: balancer
        Cookie: SID=abc
        Content-Type: application/json
        Content-Length:   27

        {"op":"17.2.5","bytes":100}
        "#);
        assert!(request(OperationKind::Create).ends_with("\r\n\r\n{\"owner\":\"s17\",\"bytes\":2048}"));
        assert!(
            request(OperationKind::LogOut).starts_with("POST /session/log-out HTTP/1.1\r\n"),
            "no balancer resends it"
        );
    }
}
