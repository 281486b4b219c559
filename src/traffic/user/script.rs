//! How users write requests and interpret replies: the calls of the session contract (docker/CONTRACT.md), or one plain
//! request again and again.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use super::classify::{self, Shown, Sizes};
use super::cookies::{CookieJar, Site};
use super::mapped::{Asking, Mapped, StepPlace, Variables};
use crate::history::compact::Answers;
use crate::history::{Answer, ErrorKind, OperationId, OperationKind, Outcome};
use crate::load::{Connections, Lifetime, Population, Span, Transitions, Workload};
use crate::traffic::http::reply::Reply;
use crate::traffic::reactor::unix_s;

/// The requests of a workload's users.
#[derive(Clone, Debug)]
pub enum Script {
    /// Users have sessions of the contract.
    Contract(Contract),
    /// Users of an app that has a session mapping.
    Mapped(Box<Mapped>),
    /// Users send the same request again and again.
    Plain(Plain),
}

/// Sessions of the contract.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    /// What it has in common with every workload whose users have sessions.
    pub common: Common,
    /// Payload in bytes that a session has from its creation on and that no write changes.
    pub payload_bytes: u32,
    /// Payload in bytes that each write adds, replacing that of the previous write.
    pub write_bytes: u32,
}

/// What users with sessions have in common, whatever their requests are.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// The `Host` header, and any others that every request has.
    pub headers: Vec<u8>,
    /// The host and scheme, which decide which cookies are kept.
    pub site: Site,
    /// When users log out; `None`: never.
    pub lifetime: Option<Lifetime>,
    /// Whether users exist from the start, each in the middle of a session, instead of arriving.
    pub begins_in_the_middle: bool,
    /// Seed of the random lifetimes.
    pub seed: u64,
    /// What users do around the log-in and the log-out.
    pub transitions: Transitions,
}

impl Common {
    /// Those of a workload's users.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let host = workload.destination.host.as_str();
        let closes = if workload.users.connections == Connections::PerRequest { "Connection: close\r\n" } else { "" };
        Self {
            headers: format!("Host: {host}\r\n{closes}").into_bytes(),
            site: Site {
                host: host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned(),
                is_secure: workload.destination.protocol.tls.is_some(),
            },
            lifetime: workload.sessions.lifetime,
            begins_in_the_middle: matches!(workload.users.population, Population::Fixed(_)),
            seed: workload.seed,
            transitions: workload.sessions.transitions,
        }
    }

    fn span(&self, user: u32, life: u32) -> Option<Span> {
        self.lifetime.map(|lifetime| lifetime.draw(self.seed, user, life, self.begins_in_the_middle))
    }
}

/// One plain request.
#[derive(Clone, Debug)]
pub struct Plain {
    /// The request line with its line end: `GET /path HTTP/1.1`.
    pub line: Vec<u8>,
    /// The path for which cookies are sent.
    pub path: String,
    /// The host and scheme, which decide which cookies are kept.
    pub site: Site,
    /// Every header except `Cookie`.
    pub headers: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether replies have no body, as for `HEAD`.
    pub is_bodiless: bool,
}

impl Script {
    /// What the users of a workload do: as the app's mapping says, or by the session contract.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        match &workload.mapped {
            Some(mapped) => Self::Mapped(Box::new(Mapped::of(mapped, workload))),
            None => Self::Contract(Contract::of(workload)),
        }
    }

    /// Replaces the content of `request` with a request.
    pub fn write_request(&self, variables: &Variables, mut asking: Asking<'_>) {
        if let Self::Mapped(mapped) = self {
            return mapped.write_request(StepPlace::default(), variables, &mut asking);
        }
        let Asking { kind, id, cookies, request } = asking;
        request.clear();
        match self {
            Self::Mapped(_) => {}
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

    /// The request's path, from which cookies of its reply without a `Path` get their default.
    #[must_use]
    pub fn path(&self, kind: OperationKind) -> &str {
        match self {
            Self::Contract(_) => path(kind),
            // A step has a path of its own.
            Self::Mapped(_) => "/",
            Self::Plain(plain) => &plain.path,
        }
    }

    /// The host and scheme, which decide which cookies are kept.
    #[must_use]
    pub const fn site(&self) -> &Site {
        match self {
            Self::Contract(contract) => &contract.common.site,
            Self::Mapped(mapped) => &mapped.common.site,
            Self::Plain(plain) => &plain.site,
        }
    }

    /// Whether a repeated request has no further effect, so that a browser would resend it by itself (RFC 9110, section
    /// 9.2.1).
    #[must_use]
    pub fn is_safe(&self, kind: OperationKind, place: StepPlace) -> bool {
        match self {
            Self::Mapped(mapped) => mapped.is_safe(kind, place),
            Self::Contract(_) => !is_post(kind),
            Self::Plain(plain) => [&b"GET "[..], b"HEAD ", b"OPTIONS "].iter().any(|safe| plain.line.starts_with(safe)),
        }
    }

    /// When a user logs out of its session number `life`; `None`: never.
    #[must_use]
    pub fn span(&self, user: u32, life: u32) -> Option<Span> {
        match self {
            Self::Contract(contract) => contract.common.span(user, life),
            Self::Mapped(mapped) => mapped.common.span(user, life),
            Self::Plain(_) => None,
        }
    }

    /// What users do around the log-in and the log-out.
    #[must_use]
    pub fn transitions(&self) -> Transitions {
        match self {
            Self::Contract(contract) => contract.common.transitions,
            Self::Mapped(mapped) => mapped.common.transitions,
            Self::Plain(_) => Transitions::default(),
        }
    }

    /// The variables of a new session of a user; none but for a mapping.
    #[must_use]
    pub fn variables(&self, user: u32) -> Variables {
        match self {
            Self::Mapped(mapped) => mapped.variables(user),
            Self::Contract(_) | Self::Plain(_) => Variables::default(),
        }
    }

    /// Whether replies have no body.
    #[must_use]
    pub const fn is_bodiless(&self) -> bool {
        matches!(self, Self::Plain(Plain { is_bodiless: true, .. }))
    }

    /// The outcome of an operation with a complete reply, and the node that answered.
    pub fn classify(
        &self,
        kind: OperationKind,
        reply: &Reply<'_>,
        shown: &mut Shown,
        answers: &mut Answers,
    ) -> (Outcome, Option<Arc<Answer>>) {
        match self {
            Self::Contract(contract) => classify::with_reply(kind, reply, contract.sizes(), shown, answers),
            // Its steps are classified one by one.
            Self::Mapped(_) => (Outcome::Indeterminate(ErrorKind::OffContract), None),
            Self::Plain(_) => (classify::by_status(reply.status), None),
        }
    }
}

impl Contract {
    /// The calls of the session contract for a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        Self {
            common: Common::of(workload),
            payload_bytes: workload.sessions.payload_bytes.saturating_sub(workload.sessions.write_bytes),
            write_bytes: workload.sessions.write_bytes,
        }
    }

    const fn sizes(&self) -> Sizes {
        Sizes { payload_bytes: self.payload_bytes, write_bytes: self.write_bytes }
    }

    /// How long the app is asked to hold the session.
    fn hold_ms(&self, kind: OperationKind) -> u32 {
        let Transitions { hold_ms, holds_all, .. } = self.common.transitions;
        let is_of_all = holds_all && matches!(kind, OperationKind::Read | OperationKind::Write);
        if is_of_all || kind.is_held() { hold_ms } else { 0 }
    }

    fn write_request(&self, kind: OperationKind, id: OperationId, cookies: &CookieJar, request: &mut Vec<u8>) {
        let hold_ms = self.hold_ms(kind);
        let owner = || self.common.transitions.owners.name(id.session);
        for part in [if is_post(kind) { "POST " } else { "GET " }, path(kind)] {
            request.extend_from_slice(part.as_bytes());
        }
        if hold_ms > 0 && !is_post(kind) {
            // Writing to a vector cannot fail.
            let _ = write!(request, "?hold_ms={hold_ms}");
        }
        request.extend_from_slice(b" HTTP/1.1\r\n");
        request.extend_from_slice(&self.common.headers);
        cookies.write_header(path(kind), unix_s, request);
        match kind {
            OperationKind::Create | OperationKind::Visit => {
                let owner = if kind == OperationKind::Visit { String::new() } else { owner() };
                put_body(request, format_args!("{{\"owner\":\"{owner}\",\"bytes\":{}}}", self.payload_bytes));
            }
            OperationKind::LogIn | OperationKind::NewId => {
                put_body(request, format_args!("{{\"owner\":\"{}\"}}", owner()));
            }
            OperationKind::Write | OperationKind::HeldWrite | OperationKind::VisitorWrite => {
                let key = |name: &'static str, value: u32| Key { name, value };
                let (bytes, hold_ms) = (key("bytes", self.write_bytes), key("hold_ms", hold_ms));
                put_body(request, format_args!("{{\"op\":\"{id}\"{bytes}{hold_ms}}}"));
            }
            OperationKind::LogOut => put_body(request, format_args!("{{}}")),
            _ => request.extend_from_slice(b"\r\n"),
        }
    }
}

/// A key of a body with its number, after another one; absent where it is 0.
struct Key {
    name: &'static str,
    value: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == 0 { Ok(()) } else { write!(f, ",\"{}\":{}", self.name, self.value) }
    }
}

/// Ends the headers and appends a body whose length is known only after it is written.
fn put_body(request: &mut Vec<u8>, body: fmt::Arguments<'_>) {
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

const fn is_post(kind: OperationKind) -> bool {
    use OperationKind::{Create, HeldWrite, LogIn, LogOut, NewId, Visit, VisitorWrite, Write};
    matches!(kind, Create | Visit | LogIn | NewId | Write | HeldWrite | VisitorWrite | LogOut)
}

const fn path(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Write | OperationKind::HeldWrite | OperationKind::VisitorWrite => "/session/ops",
        OperationKind::LogIn | OperationKind::NewId => "/session/log-in",
        OperationKind::LogOut => "/session/log-out",
        _ => "/session",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: OperationKind) -> String {
        let contract = Contract {
            common: Common { headers: b"Host: balancer\r\n".to_vec(), ..Common::default() },
            payload_bytes: 2048,
            write_bytes: 100,
        };
        let mut cookies = CookieJar::default();
        cookies.set(b"SID=abc; Path=/", "/session", &Site::default(), || 0);
        let mut request = b"old".to_vec();
        let id = OperationId { session: 17, life: 2, number: 5 };
        let asking = Asking { kind, id, cookies: &cookies, request: &mut request };
        Script::Contract(contract).write_request(&Variables::default(), asking);
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
