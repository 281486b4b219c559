//! Users of an app that has a session mapping: each operation is one request or several, and what a reply means is looked up in
//! the mapping. Templates and queries are compiled once; a user keeps the values of its variables.

mod compiled;
mod seen;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

pub use compiled::Variables;
use compiled::{CompiledStep, one_line, put};
use seen::Seen;

use super::classify::Shown;
use super::cookies::CookieJar;
use super::script::Common;
use crate::history::compact::Answers;
use crate::history::{
    Answer, EMPTY_DIGEST, ErrorKind, OperationId, OperationKind, Order, Outcome, Payload, State, append_to_digest,
};
use crate::load::{Transitions, Workload};
use crate::mapping::{
    Accounts, Answered, Carrier, MappedSessions, Method, OperationsShown, Query, ReplyPattern, Shows, Step,
};
use crate::traffic::http::reply::Reply;
use crate::traffic::reactor::unix_s;

/// As browsers do.
const MAX_REDIRECTS: u8 = 20;

/// A mapping, ready to be followed.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// What it has in common with the session contract. Without log-out steps nobody logs out.
    pub common: Common,
    steps: Steps,
    unknown: Vec<ReplyPattern>,
    node: Option<Query>,
    carrier: Carrier,
    shown: OperationsShown,
    names: Vec<String>,
    accounts: Accounts,
    node_names: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Steps {
    login: Vec<CompiledStep>,
    write: Vec<CompiledStep>,
    read: Vec<CompiledStep>,
    logout: Vec<CompiledStep>,
}

/// Which request of an operation is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepPlace {
    /// Counted from 0.
    pub step: u8,
    /// How many redirects were followed since.
    pub redirects: u8,
    /// Whether a request before may have changed something.
    pub may_have_changed: bool,
}

/// What a reply leads to.
pub enum StepEnd {
    /// The next request has been written.
    Next(StepPlace),
    /// The operation has ended.
    Operation(Outcome, Option<Arc<Answer>>),
}

/// What a request is made from.
pub struct Asking<'a> {
    /// The operation.
    pub kind: OperationKind,
    /// Its id.
    pub id: OperationId,
    /// The cookies of its session.
    pub cookies: &'a CookieJar,
    /// Where the request is written.
    pub request: &'a mut Vec<u8>,
}

/// Places of the variables that every user has, in the order of [`crate::mapping::BUILT_IN`].
const OWNER: usize = 0;
const OP: usize = 1;
const PASSWORD: usize = 2;

impl Mapped {
    /// Compiles a mapping for a workload.
    #[must_use]
    pub fn of(sessions: &MappedSessions, workload: &Workload) -> Self {
        let MappedSessions { mapping, accounts, node_names } = sessions;
        let common = Common::of(workload);
        let mut names: Vec<String> = crate::mapping::BUILT_IN.map(str::to_owned).into();
        names
            .extend(accounts.columns.iter().filter(|name| !crate::mapping::BUILT_IN.contains(&name.as_str())).cloned());
        let mut compile = |steps: &[Step]| steps.iter().map(|step| CompiledStep::of(step, &mut names)).collect();
        let steps = Steps {
            login: compile(&mapping.login),
            write: compile(&mapping.write),
            read: compile(&mapping.read),
            logout: compile(&mapping.logout),
        };
        Self {
            common: Common {
                lifetime: common.lifetime.filter(|_| !mapping.logout.is_empty()),
                // A mapping has neither a visitor's session nor a log-in with a made-up id nor a call for another one, and nobody
                // tells its app when sessions end.
                transitions: Transitions {
                    anonymous_first: false,
                    made_up_ids: false,
                    rotate_ids: false,
                    pauses: None,
                    ..common.transitions
                },
                ..common
            },
            steps,
            unknown: mapping.unknown.clone(),
            node: mapping.node.clone(),
            carrier: mapping.carrier.clone(),
            shown: mapping.evidence().operations,
            names,
            accounts: accounts.clone(),
            node_names: node_names.clone(),
        }
    }

    /// The variables of a new session of a user.
    #[must_use]
    pub fn variables(&self, user: u32) -> Variables {
        let mut values = vec![Box::default(); self.names.len()];
        let owners = self.common.transitions.owners;
        let name = owners.name(user);
        let mut set =
            |place: usize, value: &str| values.get_mut(place).into_iter().for_each(|slot| *slot = value.into());
        set(OWNER, &name);
        set(PASSWORD, &format!("password-of-{name}"));
        for (column, value) in self.accounts.of(owners.number(user)) {
            if let Some(place) = self.names.iter().position(|name| name == column) {
                set(place, value);
            }
        }
        Variables { values, carried: Box::default() }
    }

    fn steps(&self, kind: OperationKind) -> &[CompiledStep] {
        match kind {
            OperationKind::Create | OperationKind::LogIn | OperationKind::Visit => &self.steps.login,
            OperationKind::Write | OperationKind::HeldWrite | OperationKind::VisitorWrite => &self.steps.write,
            OperationKind::LogOut => &self.steps.logout,
            _ => &self.steps.read,
        }
    }

    /// Whether the request under way may be sent twice.
    #[must_use]
    pub fn is_safe(&self, kind: OperationKind, place: StepPlace) -> bool {
        place.redirects > 0 || self.steps(kind).get(place.step as usize).is_some_and(|step| step.method == Method::Get)
    }

    /// Writes the request of a step in place of the one that stands in `asking.request`.
    pub fn write_request(&self, place: StepPlace, variables: &Variables, asking: &mut Asking<'_>) {
        let Some(step) = self.steps(asking.kind).get(place.step as usize) else { return };
        let mut path = Vec::new();
        put(&step.path, variables, asking.id, &mut path, one_line);
        let body = step.body.as_ref().map(|(encoding, pieces)| {
            let mut body = Vec::new();
            put(pieces, variables, asking.id, &mut body, |value, into| encoding.put(value, into));
            (*encoding, body)
        });
        let request = &mut *asking.request;
        self.write_head(step.method, &path, asking.cookies, variables, request);
        for (name, value) in &step.headers {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            put(value, variables, asking.id, request, one_line);
            request.extend_from_slice(b"\r\n");
        }
        let names_type = || step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = body.as_ref().and_then(|(encoding, _)| encoding.content_type()).filter(|_| !names_type()) {
            // Writing to a vector cannot fail.
            let _ = write!(request, "Content-Type: {kind}\r\n");
        }
        match body {
            Some((_, body)) => {
                let _ = write!(request, "Content-Length: {}\r\n\r\n", body.len());
                request.extend_from_slice(&body);
            }
            None if step.method == Method::Get => request.extend_from_slice(b"\r\n"),
            None => request.extend_from_slice(b"Content-Length: 0\r\n\r\n"),
        }
    }

    fn write_head(
        &self,
        method: Method,
        path: &[u8],
        cookies: &CookieJar,
        variables: &Variables,
        request: &mut Vec<u8>,
    ) {
        request.clear();
        request.extend_from_slice(method.name().as_bytes());
        request.push(b' ');
        request.extend_from_slice(path);
        request.extend_from_slice(b" HTTP/1.1\r\n");
        request.extend_from_slice(&self.common.headers);
        match &self.carrier {
            Carrier::Cookie => {
                let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
                cookies.write_header(std::str::from_utf8(path).unwrap_or("/"), unix_s, request);
            }
            Carrier::Header { name, prefix, .. } => {
                if !variables.carried.is_empty() {
                    let _ = write!(request, "{name}: {prefix}");
                    one_line(&variables.carried, request);
                    request.extend_from_slice(b"\r\n");
                }
            }
        }
    }

    /// The path of a step's request without its query: that of cookies which do not name theirs.
    #[must_use]
    pub fn path(&self, kind: OperationKind, place: StepPlace, id: OperationId, variables: &Variables) -> String {
        let Some(step) = self.steps(kind).get(place.step as usize) else { return "/".to_owned() };
        let mut path = Vec::new();
        put(&step.path, variables, id, &mut path, one_line);
        let path = String::from_utf8_lossy(&path);
        path.split('?').next().unwrap_or("/").to_owned()
    }

    /// What the reply to a step leads to; the next request is written into `asking.request`.
    pub fn end(
        &self,
        place: StepPlace,
        reply: &Reply<'_>,
        (variables, shown): (&mut Variables, &mut Shown),
        answers: &mut Answers,
        asking: &mut Asking<'_>,
    ) -> StepEnd {
        let seen = Seen::new(reply);
        let answer = self
            .node
            .as_ref()
            .and_then(|query| query.first(&seen))
            .map(|node| answers.share(self.node_names.get(&*node).map_or(&*node, String::as_str), ""));
        let steps = self.steps(asking.kind);
        let Some(step) = steps.get(place.step as usize) else {
            return StepEnd::Operation(Outcome::Indeterminate(ErrorKind::OffContract), answer);
        };
        if self.is_unknown(asking.kind, step, &seen) {
            // After a request that may have changed something the operation did not certainly fail.
            let outcome = if place.may_have_changed {
                Outcome::Indeterminate(ErrorKind::UnknownSession)
            } else {
                Outcome::Fail(ErrorKind::UnknownSession)
            };
            return StepEnd::Operation(outcome, answer);
        }
        let may_have_changed = place.may_have_changed || (step.method != Method::Get && place.redirects == 0);
        if step.follow
            && place.redirects < MAX_REDIRECTS
            && (300..400).contains(&reply.status)
            && let Some(path) =
                seen.header("Location").and_then(|location| path_within(&location, &self.common.site.host))
        {
            self.write_head(Method::Get, path.as_bytes(), asking.cookies, variables, asking.request);
            asking.request.extend_from_slice(b"\r\n");
            return StepEnd::Next(StepPlace { redirects: place.redirects + 1, may_have_changed, ..place });
        }
        let is_as_expected = match &step.expect {
            Some(pattern) => pattern.matches(&seen),
            None => (200..400).contains(&reply.status),
        };
        if !is_as_expected {
            return StepEnd::Operation(Outcome::Indeterminate(unexpected(reply.status)), answer);
        }
        for (at, query) in &step.capture {
            let Some(value) = query.first(&seen) else {
                return StepEnd::Operation(Outcome::Indeterminate(ErrorKind::OffContract), answer);
            };
            variables.set(*at, value);
        }
        if (place.step as usize) + 1 < steps.len() {
            let next = StepPlace { step: place.step + 1, redirects: 0, may_have_changed };
            self.write_request(next, variables, asking);
            return StepEnd::Next(next);
        }
        if let (OperationKind::Create, Carrier::Header { from, .. }) = (asking.kind, &self.carrier) {
            match from.first(&seen) {
                Some(value) => variables.carried = value.into(),
                None => return StepEnd::Operation(Outcome::Indeterminate(ErrorKind::OffContract), answer),
            }
        }
        let shows = Some(&step.shows).filter(|shows| !shows.is_nothing());
        StepEnd::Operation(self.outcome(shows, &seen, (variables, shown), asking), answer)
    }

    /// Whether a reply says that the app does not know the session. What a step expects goes first: many apps lead to the log-in
    /// page both after a log-out and where there was no session, and the second cannot be told from the first.
    fn is_unknown(&self, kind: OperationKind, step: &CompiledStep, seen: &Seen<'_>) -> bool {
        let is_expected = match (&step.expect, kind) {
            (Some(pattern), _) => pattern.matches(seen),
            (None, OperationKind::LogOut) => (200..400).contains(&seen.status()),
            (None, _) => false,
        };
        kind != OperationKind::Create && !is_expected && self.unknown.iter().any(|pattern| pattern.matches(seen))
    }

    /// Why the reply to a step is not what the mapping says, in words; none where it is.
    #[must_use]
    pub fn deviation(&self, kind: OperationKind, place: StepPlace, reply: &Reply<'_>) -> Option<String> {
        let seen = Seen::new(reply);
        let steps = self.steps(kind);
        let step = steps.get(place.step as usize)?;
        match &step.expect {
            Some(pattern) if !pattern.matches(&seen) => return Some(format!("expected {pattern}")),
            None if !(200..400).contains(&reply.status) => {
                return Some("expected a success or a redirect (`expect` may say otherwise)".to_owned());
            }
            _ => {}
        }
        if let Some((at, query)) = step.capture.iter().find(|(_, query)| query.first(&seen).is_none()) {
            let name = self.names.get(*at).map(String::as_str).unwrap_or_default();
            return Some(format!("`{name}` captured nothing: `{query}` finds nothing in this reply"));
        }
        let is_last = place.step as usize + 1 == steps.len();
        if let (true, OperationKind::Create, Carrier::Header { from, name, .. }) = (is_last, kind, &self.carrier)
            && from.first(&seen).is_none()
        {
            return Some(format!("the value of the header {name} is not there: `{from}` finds nothing in this reply"));
        }
        let shows = &step.shows;
        if shows.operations.as_ref().is_some_and(|query| query.all(&seen).is_none()) {
            return Some("`operations` does not apply to this reply".to_owned());
        }
        let count = shows.counter.as_ref().map(|query| query.first(&seen));
        if count.is_some_and(|count| count.is_none_or(|text| text.trim().parse::<u64>().is_err())) {
            return Some("`counter` finds no whole number in this reply".to_owned());
        }
        None
    }

    /// What a step captures from a reply: names and values.
    #[must_use]
    pub fn captured(&self, kind: OperationKind, place: StepPlace, reply: &Reply<'_>) -> Vec<(String, String)> {
        let seen = Seen::new(reply);
        let step = self.steps(kind).get(place.step as usize);
        let captures = step.into_iter().flat_map(|step| &step.capture);
        captures.filter_map(|(at, query)| Some((self.names.get(*at)?.clone(), query.first(&seen)?))).collect()
    }

    /// Whether users of this app log out.
    #[must_use]
    pub fn logs_out(&self) -> bool {
        !self.steps.logout.is_empty()
    }

    /// What a complete operation showed.
    fn outcome(
        &self,
        shows: Option<&Shows>,
        seen: &Seen<'_>,
        (variables, shown): (&Variables, &mut Shown),
        asking: &Asking<'_>,
    ) -> Outcome {
        let (kind, id) = (asking.kind, asking.id);
        match (kind, shows) {
            (OperationKind::LogOut, _) | (OperationKind::Write, None) => return Outcome::Done,
            _ => {}
        }
        let own = self.common.transitions.owners.name(id.session);
        let shown_owner = match shows.and_then(|shows| shows.owner.as_ref()).map(|query| query.first(seen)) {
            // The app shows a session that nobody has: a fresh one.
            Some(None) if kind != OperationKind::Create => return Outcome::Fail(ErrorKind::UnknownSession),
            Some(Some(text)) if text.is_empty() && kind != OperationKind::Create => {
                return Outcome::Fail(ErrorKind::UnknownSession);
            }
            Some(Some(text)) => self.owner_of(&text, variables, &own),
            _ => own.clone(),
        };
        let is_own = shown_owner == own;
        let identity = shown.identity(&shown_owner, "");
        let mut state = State { identity, version: 0, order: None, payload: Payload::NotShown };
        match shows {
            Some(Shows { operations: Some(query), ordered, .. }) => {
                let Some(values) = query.all(seen) else { return Outcome::Indeterminate(ErrorKind::OffContract) };
                let ids = operations_in(&values, id, *ordered);
                let digest = ids.iter().fold(EMPTY_DIGEST, |digest, op| append_to_digest(digest, *op));
                state.version = ids.len() as u64;
                state.order = Some(Order { digest, tail: shown.tail_of_all(kind, asking.id.life, &ids) });
            }
            Some(Shows { counter: Some(query), .. }) => {
                let Some(count) = query.first(seen).and_then(|text| text.trim().parse().ok()) else {
                    return Outcome::Indeterminate(ErrorKind::OffContract);
                };
                state.version = count;
            }
            // A read shows operations, and this reply does not: it says that the request was served, and nothing of the state.
            _ if kind != OperationKind::Create && self.shown != OperationsShown::Nothing && is_own => {
                return Outcome::Done;
            }
            // The log-in says that there is a session, and nothing is in it yet.
            _ if matches!(self.shown, OperationsShown::Listed | OperationsShown::Set) => {
                state.order = Some(Order { digest: EMPTY_DIGEST, tail: shown.tail_of_all(kind, asking.id.life, &[]) });
            }
            _ => {}
        }
        Outcome::Ok(state)
    }

    /// The user whose name is shown: this one, or another. Names of accounts are not kept.
    fn owner_of(&self, text: &str, variables: &Variables, own: &str) -> String {
        if variables.values.get(OWNER).is_some_and(|name| **name == *text) {
            return own.to_owned();
        }
        let column = self.accounts.columns.iter().position(|name| name == "owner");
        let is_shown = |row: &Vec<String>| column.and_then(|column| row.get(column)).is_some_and(|name| name == text);
        match self.accounts.rows.iter().position(is_shown) {
            Some(row) => format!("s{row}"),
            None if self.accounts.rows.is_empty() => text.to_owned(),
            None => "somebody who has no account".to_owned(),
        }
    }
}

/// The operations among values, without those of sessions that the same user had before: what an app keeps for a user for good
/// is there in the next session too.
fn operations_in(values: &[String], id: OperationId, is_ordered: bool) -> Vec<OperationId> {
    let is_former = |op: &OperationId| op.session == id.session && op.life < id.life;
    let mut ids: Vec<OperationId> =
        values.iter().filter_map(|value| value.parse().ok()).filter(|op| !is_former(op)).collect();
    if !is_ordered {
        ids.sort_unstable();
    }
    ids
}

const fn unexpected(status: u16) -> ErrorKind {
    match status {
        400..500 => ErrorKind::Status4xx,
        500..600 => ErrorKind::Status5xx,
        _ => ErrorKind::OffContract,
    }
}

/// The path of an address on the app's own host; none where it leads elsewhere.
fn path_within(location: &str, host: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(location.split('#').next().unwrap_or(location).to_owned());
    }
    let (_, rest) = location.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    let path = path.split('#').next().unwrap_or_default();
    name.eq_ignore_ascii_case(host).then(|| if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Encoding;

    #[test]
    fn a_redirect_is_followed_on_the_apps_own_host_alone() {
        let path = |location: &str| path_within(location, "app");
        assert_eq!(path("/cart?x=1#top").as_deref(), Some("/cart?x=1"));
        assert_eq!(path("http://app:8080/cart").as_deref(), Some("/cart"));
        assert_eq!(path("https://APP").as_deref(), Some("/"));
        assert_eq!(path("//elsewhere/cart"), None);
        assert_eq!(path("https://elsewhere/cart"), None);
        assert_eq!(path("cart"), None);
    }

    #[test]
    fn operations_of_the_users_sessions_before_are_left_out_and_those_of_others_are_not() {
        let id = OperationId { session: 3, life: 2, number: 9 };
        let values = ["3.2.5", "3.1.7", "a pencil", "4.1.1", "3.2.1"].map(str::to_owned);
        let shown =
            |is_ordered| operations_in(&values, id, is_ordered).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(true), ["3.2.5", "4.1.1", "3.2.1"]);
        assert_eq!(shown(false), ["3.2.1", "3.2.5", "4.1.1"]);
    }

    #[test]
    fn a_captured_value_cannot_end_a_line_of_the_request() {
        let mut request = Vec::new();
        one_line("a\r\nX-Admin: 1", &mut request);
        assert_eq!(request, b"aX-Admin: 1");
        let mut body = Vec::new();
        Encoding::Form.put("a&b=c d", &mut body);
        Encoding::Json.put("\"}", &mut body);
        assert_eq!(body, b"a%26b%3Dc+d\\\"}");
    }
}
