//! Walks through a session mapping once, as one user: logs in, reads, asks with a made-up cookie, writes, reads, logs out, reads
//! again. It says of each request what came back and whether that is what the mapping says. `probe` shows all of it; the
//! preflight asks each app node in this way before the load.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::time::{Instant, sleep};

use super::probe;
use super::protocol::{Exchange, Walk};
use crate::history::compact::Answers;
use crate::history::{ErrorKind, OperationId, OperationKind, Outcome, State};
use crate::load::{Trust, Workload};
use crate::mapping::{Accounts, Carrier, MappedSessions, OperationsShown, SessionMapping};
use crate::traffic::{
    Asking, CookieJar, Mapped, Reply, Shown, StepEnd, StepPlace, Variables, Whole, request_of, unix_s,
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write may take to show: some stores and copies lag behind.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// Between two reads that wait for it.
const SHOWN_PAUSE: Duration = Duration::from_millis(200);
/// What is shown of a body.
const MAX_SHOWN_CHARS: usize = 120;
/// What is shown of a captured value: it may be a secret.
const MAX_CAPTURED_CHARS: usize = 12;
/// The user that walks.
const USER: u32 = 0;

/// Walks through the mapping of a workload, at `address`. At an endpoint the user is registered first, if users are.
pub async fn walk(address: SocketAddr, workload: &Workload) -> Walk {
    let Some(mapped) = &workload.mapped else { return Walk::default() };
    let mut walk = Walk::default();
    if !mapped.mapping.register.is_empty() && workload.destination.endpoints.contains(&address) {
        walk = register_one(address, workload, mapped, USER).await;
    }
    if walk.failure.is_none() {
        walk.failure = match Walker::new(address, workload, mapped, USER, &mut walk) {
            Ok(mut walker) => walker.visit(mapped).await.err(),
            Err(reason) => Some(reason),
        };
    }
    walk
}

/// Registers one user of a mapping.
pub async fn register_one(address: SocketAddr, workload: &Workload, mapped: &MappedSessions, user: u32) -> Walk {
    let mut walk = Walk::default();
    // Registering is a log-in with other steps, whose cookies and variables nobody keeps.
    let steps =
        SessionMapping { login: mapped.mapping.register.clone(), carrier: Carrier::Cookie, ..mapped.mapping.clone() };
    let registering = MappedSessions { mapping: steps, ..mapped.clone() };
    walk.failure = match Walker::new(address, workload, &registering, user, &mut walk) {
        Ok(mut walker) => walker.done("register", OperationKind::Create).await.err(),
        Err(reason) => Some(reason),
    };
    walk
}

struct Walker<'a> {
    client: reqwest::Client,
    scheme: &'static str,
    host: String,
    accounts: &'a Accounts,
    mapped: Mapped,
    variables: Variables,
    cookies: CookieJar,
    shown: Shown,
    user: u32,
    next: u32,
    walk: &'a mut Walk,
}

/// What an operation came to, and its last reply in short.
struct Ended {
    outcome: Outcome,
    last: String,
    deviation: Option<String>,
}

impl<'a> Walker<'a> {
    fn new(
        address: SocketAddr,
        workload: &Workload,
        sessions: &'a MappedSessions,
        user: u32,
        walk: &'a mut Walk,
    ) -> Result<Self, String> {
        let host = workload.destination.host.as_str();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let builder = probe::client(TIMEOUT).redirect(Policy::none()).resolve(name, address);
        let protocol = &workload.destination.protocol;
        // Passwords go only where the system trusts the certificate, unless the nodes are our own.
        let believes_any = protocol.tls != Some(Trust::System);
        let builder = builder.tls_danger_accept_invalid_certs(believes_any);
        let builder = if protocol.is_http2 { builder.http2_prior_knowledge() } else { builder };
        let mapped = Mapped::of(sessions, workload);
        // Only certificates name a host; the `Host` header is that of the users.
        let place = if protocol.tls.is_some() { format!("{name}:{}", address.port()) } else { address.to_string() };
        Ok(Self {
            client: builder.build().map_err(|error| format!("the agent cannot ask: {error}"))?,
            scheme: if protocol.tls.is_some() { "https" } else { "http" },
            host: place,
            accounts: &sessions.accounts,
            variables: mapped.variables(user),
            mapped,
            cookies: CookieJar::default(),
            shown: Shown::default(),
            user,
            next: 0,
            walk,
        })
    }

    async fn visit(&mut self, sessions: &MappedSessions) -> Result<(), String> {
        let own = self.mapped.common.transitions.owners.name(self.user);
        self.done("login", OperationKind::Create).await?;
        let read = self.done("read", OperationKind::Read).await?;
        if let Outcome::Ok(State { identity, .. }) = &read.outcome
            && identity.owner != own
        {
            return Err(format!(
                "read: `owner` shows `{}`, and the user who logged in is `{{{{owner}}}}`: {}",
                self.masked(&identity.owner),
                read.last
            ));
        }
        self.as_a_stranger().await?;
        self.done("write", OperationKind::Write).await?;
        let written = self.next - 1;
        self.until_shown(written, sessions.mapping.evidence().operations).await?;
        if self.mapped.logs_out() {
            self.done("logout", OperationKind::LogOut).await?;
            // Whether the session really ended is for the checker to judge; here it must be understood.
            let after = self.operation("read, after the logout", OperationKind::Read, None).await?;
            let is_understood = matches!(after.outcome, Outcome::Ok(_) | Outcome::Fail(ErrorKind::UnknownSession));
            if !is_understood {
                return Err(format!("read, after the logout: {} matches neither `unknown` nor a session", after.last));
            }
        }
        Ok(())
    }

    /// Reads until a write shows. That it shows late is for the checker to judge; that it never shows is the mapping's fault.
    async fn until_shown(&mut self, written: u32, shown: OperationsShown) -> Result<(), String> {
        let deadline = Instant::now() + SHOWN_WITHIN;
        loop {
            let read = self.done("read, after the write", OperationKind::Read).await?;
            match check_write(&read, written, shown) {
                Err(_) if Instant::now() < deadline => sleep(SHOWN_PAUSE).await,
                result => return result,
            }
        }
    }

    /// An app that answers an unknown session as if it were one would lose sessions without anybody noticing.
    async fn as_a_stranger(&mut self) -> Result<(), String> {
        let other = (self.cookies.made_up(), self.variables.made_up());
        let answered = self.operation("read, made-up session", OperationKind::Read, Some(other)).await?;
        if answered.outcome == Outcome::Fail(ErrorKind::UnknownSession) {
            return Ok(());
        }
        let status = answered.last.split_whitespace().next().unwrap_or("200").to_owned();
        let pattern = match answered.last.split_once(" to ") {
            Some((_, rest)) => {
                let location = rest.split([' ', '?', ';']).next().unwrap_or_default();
                format!("{{ status = {status}, location = \"{location}*\" }}")
            }
            None if status == "200" => "{ status = 200, body = \"text that only this reply has\" }".to_owned(),
            None => format!("{{ status = {status} }}"),
        };
        Err(format!(
            "read with a made-up session: {} matches no pattern of `unknown`, so a lost session would not be noticed; \
             write unknown = [{pattern}]",
            answered.last
        ))
    }

    /// An operation that must succeed.
    async fn done(&mut self, name: &str, kind: OperationKind) -> Result<Ended, String> {
        let ended = self.operation(name, kind, None).await?;
        match &ended.outcome {
            Outcome::Ok(_) | Outcome::Done => Ok(ended),
            _ => {
                let step = self.walk.exchanges.last().map_or(1, |exchange| exchange.step);
                let reason = ended.deviation.clone().unwrap_or_else(|| match &ended.outcome {
                    Outcome::Fail(ErrorKind::UnknownSession) => "the session that was just used is unknown".to_owned(),
                    _ => "this is not what the mapping says".to_owned(),
                });
                let captured: Vec<String> =
                    self.walk
                        .exchanges
                        .iter()
                        .filter(|exchange| exchange.operation == name)
                        .flat_map(|exchange| {
                            exchange.captured.iter().map(|(name, value)| {
                                format!("`{name}` captured \"{value}\" from step {}", exchange.step)
                            })
                        })
                        .collect();
                let captured = if captured.is_empty() { String::new() } else { format!("; {}", captured.join(", ")) };
                let hint = match kind {
                    OperationKind::Create if !self.accounts.rows.is_empty() => {
                        "; is the first account of `users` right?"
                    }
                    _ => "",
                };
                Err(format!("step {step} of {name}: {reason}, got {}{captured}{hint}", ended.last))
            }
        }
    }

    /// One operation with all of its requests. `other` are the cookies and variables of somebody else.
    async fn operation(
        &mut self,
        name: &str,
        kind: OperationKind,
        other: Option<(CookieJar, Variables)>,
    ) -> Result<Ended, String> {
        let id = OperationId { session: self.user, life: 0, number: self.next };
        self.next += 1;
        let is_own = other.is_none();
        let (mut cookies, mut variables) = other.unwrap_or_else(|| (self.cookies.clone(), self.variables.clone()));
        let (mut request, mut place) = (Vec::new(), StepPlace::default());
        self.mapped.write_request(
            place,
            &variables,
            &mut Asking { kind, id, cookies: &cookies, request: &mut request },
        );
        let ended = loop {
            let received = self.send(&request).await.map_err(|error| {
                let step = place.step + 1;
                format!("step {step} of {name}: {} gave no complete reply: {error}", line_of(&request))
            })?;
            let reply = received.reply();
            if kind != OperationKind::LogOut {
                let path = self.mapped.path(kind, place, id, &variables);
                reply
                    .set_cookies
                    .iter()
                    .for_each(|cookie| cookies.set(cookie, &path, &self.mapped.common.site, unix_s));
            }
            let captured = self.mapped.captured(kind, place, &reply);
            let last = self.note(name, place, &request, &reply, captured);
            let deviation = self.mapped.deviation(kind, place, &reply);
            let mut asking = Asking { kind, id, cookies: &cookies, request: &mut request };
            let mut shown = std::mem::take(&mut self.shown);
            let end =
                self.mapped.end(place, &reply, (&mut variables, &mut shown), &mut Answers::default(), &mut asking);
            self.shown = shown;
            if let (StepEnd::Operation(_, Some(answer)), Some(exchange)) = (&end, self.walk.exchanges.last_mut()) {
                exchange.node = Some(answer.node.clone());
            }
            match end {
                StepEnd::Next(next) => place = next,
                StepEnd::Operation(outcome, _) => break Ended { outcome, last, deviation },
            }
        };
        if is_own {
            (self.cookies, self.variables) = (cookies, variables);
        }
        Ok(ended)
    }

    /// Keeps an exchange for the user, and returns its reply in short.
    fn note(
        &mut self,
        name: &str,
        place: StepPlace,
        request: &[u8],
        reply: &Reply<'_>,
        captured: Vec<(String, String)>,
    ) -> String {
        let leads_to = reply.header("Location").map(|location| format!(" to {location}")).unwrap_or_default();
        let status = self.masked(&format!("{}{leads_to}", reply.status));
        let body = self.masked(&beginning(&String::from_utf8_lossy(&reply.body), MAX_SHOWN_CHARS));
        let short = |(name, value): (String, String)| (name, self.masked(&beginning(&value, MAX_CAPTURED_CHARS)));
        self.walk.exchanges.push(Exchange {
            operation: name.to_owned(),
            step: usize::from(place.step) + 1,
            request: self.masked(&line_of(request)),
            reply: status.clone(),
            body: body.clone(),
            node: None,
            captured: captured.into_iter().map(short).collect(),
        });
        if body.is_empty() { status } else { format!("{status} `{body}`") }
    }

    /// Without the values of the account.
    fn masked(&self, text: &str) -> String {
        let values = self.accounts.of(self.user).filter(|(_, value)| value.len() > 2);
        values.fold(text.to_owned(), |text, (name, value)| text.replace(value, &format!("{{{{{name}}}}}")))
    }

    async fn send(&self, request: &[u8]) -> Result<Whole, String> {
        let request = request_of(request, self.scheme, &self.host, &self.client);
        let request = request.ok_or("a header or a path of the mapping is not allowed in HTTP")?;
        let reply = self.client.execute(request).await.map_err(|error| probe::chain(&error))?;
        let mut whole = Whole::head_of(&reply);
        whole.body = reply.bytes().await.map_err(|error| probe::chain(&error))?;
        Ok(whole)
    }
}

/// Whether a read after a write shows it, as far as it shows operations.
fn check_write(read: &Ended, written: u32, shown: OperationsShown) -> Result<(), String> {
    let Outcome::Ok(state) = &read.outcome else { return Ok(()) };
    let id = OperationId { session: USER, life: 0, number: written };
    let holds = state.order.as_ref().is_some_and(|order| order.tail.contains(&id));
    match shown {
        OperationsShown::Listed | OperationsShown::Set if !holds => Err(format!(
            "read, after the write: `operations` does not show `{id}`, which was written as `{{{{op}}}}`: {}",
            read.last
        )),
        OperationsShown::Counted if state.version == 0 => {
            Err(format!("read, after the write: `counter` still shows 0: {}", read.last))
        }
        _ => Ok(()),
    }
}

fn line_of(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim_end_matches(" HTTP/1.1").to_owned()
}

/// The first characters of a text, in one line.
fn beginning(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}
