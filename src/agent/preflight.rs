//! Checks before the load that each app node follows the session contract, with requests that no user sends. Without
//! this check, an app that answers an unknown session with a redirect to its log-in page, for example, would lose
//! sessions unnoticed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};

use super::probe;
use super::walk::walk;
use crate::history::compact::Answers;
use crate::history::{ErrorKind, OperationKind, Outcome};
use crate::load::{Transitions, Workload};
use crate::traffic::{Contract, CookieJar, Reply, Script, Shown, unix_s};

/// Timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a reply an error message quotes.
const MAX_SHOWN_BYTES: usize = 200;
/// The owner of the sessions that the preflight creates.
const OWNER: &str = "preflight";
const SESSION: &str = "/session";
const OPS: &str = "/session/ops";
const LOG_OUT: &str = "/session/log-out";
const LOG_IN: &str = "/session/log-in";
/// The longest time for which an app is asked to hold a session here: less than a request's timeout.
const MAX_HOLD_MS: u32 = 2000;
/// How long a node may not know a session that it has just shown.
const MAX_SAVING_TIME: Duration = Duration::from_secs(2);
/// The pause between two requests for such a session.
const SAVING_PAUSE: Duration = Duration::from_millis(50);

/// Checks `nodes` (name and address). Returns one message for each node that deviates from the contract: its first
/// deviation.
pub async fn preflight(nodes: &BTreeMap<String, SocketAddr>, workload: &Workload) -> Vec<String> {
    let client = match probe::client(TIMEOUT).redirect(Policy::none()).build() {
        Ok(client) => client,
        Err(error) => return vec![format!("the agent cannot ask the nodes: {error}")],
    };
    let mut failures = Vec::new();
    if workload.mapped.is_some() {
        for (name, address) in nodes {
            let failure = walk(*address, workload).await.failure;
            failures.extend(failure.map(|failure| format!("{name}: {failure}")));
        }
        return failures;
    }
    for (name, address) in nodes {
        let mut visitor = Visitor {
            client: &client,
            root: format!("http://{address}"),
            script: Script::Contract(Contract::of(workload)),
            payload_bytes: workload.sessions.payload_bytes.saturating_sub(workload.sessions.write_bytes),
            cookies: CookieJar::default(),
            shown: Shown::default(),
        };
        failures.extend(visitor.visit().await.err().map(|deviation| format!("{name} {deviation}")));
    }
    failures
}

/// A client that checks one node.
struct Visitor<'a> {
    client: &'a Client,
    root: String,
    script: Script,
    payload_bytes: u32,
    cookies: CookieJar,
    shown: Shown,
}

/// A request, and its name in error messages.
struct Asked<'a> {
    what: &'a str,
    kind: OperationKind,
    path: &'a str,
    body: Option<String>,
    cookies: String,
}

impl Visitor<'_> {
    async fn visit(&mut self) -> Result<(), String> {
        use OperationKind::{Create, LogOut, Read, Write};
        let create = format!("{{\"owner\":\"{OWNER}\",\"bytes\":{}}}", self.payload_bytes);
        let write = || Some("{\"op\":\"0.0.1\"}".to_owned());
        let asked = |what, kind, path, body, cookies| Asked { what, kind, path, body, cookies };

        let created = self.ask(&asked("a log-in", Create, SESSION, Some(create), String::new())).await?;
        if let Some(refusal) = created.shown.strip_prefix("413 ") {
            return Err(format!(
                "cannot keep a session of {} bytes, and says so: `{refusal}`; take a smaller `sessions.payload_bytes`",
                self.payload_bytes
            ));
        }
        created.must(
            "with the session",
            |outcome| matches!(outcome, Outcome::Ok(state) if state.identity.owner == OWNER && state.version == 0),
        )?;
        let (own, made_up) = (self.header(), made_up(&self.header()));
        if own.is_empty() {
            return Err("set no cookie at the log-in, so the session cannot be used again".to_owned());
        }
        let read = self.ask(&asked("a read", Read, SESSION, None, own.clone())).await?;
        read.must("with the session", is_of_the_contract)?;
        let stranger = self.ask(&asked("a read with a made-up cookie", Read, SESSION, None, made_up.clone())).await?;
        stranger.must("404 unknown-session", is_unknown)?;
        let stranger = self.ask(&asked("a write with a made-up cookie", Write, OPS, write(), made_up)).await?;
        stranger.must("404 unknown-session", is_unknown)?;
        let wrong = self.ask(&asked("a write that is no JSON", Write, OPS, Some("{\"op\":".to_owned()), own)).await?;
        wrong.must("400 with an error", |outcome| *outcome == Outcome::Fail(ErrorKind::RefusedByApp))?;

        let own = self.header();
        let ended = self.ask(&asked("a log-out", LogOut, LOG_OUT, Some("{}".to_owned()), own.clone())).await?;
        ended.must("204", |outcome| *outcome == Outcome::Done || is_unknown(outcome))?;
        // The checker judges later whether the session was really ended; here the reply only has to follow the
        // contract.
        let read = self.ask(&asked("a read after the log-out", Read, SESSION, None, own.clone())).await?;
        read.must("404 unknown-session", is_of_the_contract)?;
        let written = self.ask(&asked("a write after the log-out", Write, OPS, write(), own)).await?;
        written.must("404 unknown-session", is_of_the_contract)?;
        self.come_as_a_visitor().await
    }

    /// Makes a visitor's session, logs in with it, and has a read of it held, as far as users will.
    async fn come_as_a_visitor(&mut self) -> Result<(), String> {
        use OperationKind::{LogIn, LogOut, NewId, Read, Visit, Write};
        let Transitions { hold_ms, anonymous_first, rotate_ids, .. } = self.script.transitions();
        if hold_ms == 0 {
            return Ok(());
        }
        let asked = |what, kind, path, body, cookies| Asked { what, kind, path, body, cookies };
        let is_of = |owner: &'static str| move |outcome: &Outcome| matches!(outcome, Outcome::Ok(state) if state.identity.owner == owner);
        let (first, owner) = if anonymous_first { (Visit, "") } else { (OperationKind::Create, OWNER) };
        let create = Some(format!("{{\"owner\":\"{owner}\",\"bytes\":{}}}", self.payload_bytes));
        self.cookies = CookieJar::default();
        let visited = self.ask(&asked("a first visit", first, SESSION, create, String::new())).await?;
        visited.must("with the session", is_of(owner))?;
        if anonymous_first {
            let log_in = Some(format!("{{\"owner\":\"{OWNER}\"}}"));
            let own = self.header();
            let known = self.ask_known(&asked("a log-in of a visitor", LogIn, LOG_IN, log_in, own)).await?;
            known.must("with the session and its owner", is_of(OWNER))?;
            if epoch_of(&visited.outcome) != epoch_of(&known.outcome) {
                return Err("changes the epoch of a visitor's session at the log-in, which the session contract keeps"
                    .to_owned());
            }
        }
        if rotate_ids {
            let own = self.header();
            let log_in = Some(format!("{{\"owner\":\"{OWNER}\"}}"));
            let renewed =
                self.ask_known(&asked("a log-in of a user who is logged in", NewId, LOG_IN, log_in, own)).await?;
            renewed.must("with the session and its owner", is_of(OWNER))?;
            if epoch_of(&visited.outcome) != epoch_of(&renewed.outcome) {
                return Err(
                    "changes the epoch of a session when its id changes, which the session contract keeps".to_owned()
                );
            }
        }
        let hold_ms = hold_ms.min(MAX_HOLD_MS);
        let path = format!("{SESSION}?hold_ms={hold_ms}");
        let own = self.header();
        self.ask_held(&asked("a read", Read, &path, None, own), hold_ms).await?;
        let write = Some(format!("{{\"op\":\"0.0.2\",\"hold_ms\":{hold_ms}}}"));
        let own = self.header();
        self.ask_held(&asked("a write", Write, OPS, write, own), hold_ms).await?;
        let own = self.header();
        self.ask(&asked("a log-out", LogOut, LOG_OUT, Some("{}".to_owned()), own)).await.map(drop)
    }

    /// Checks that the app holds the session in a request for as long as it is asked to.
    async fn ask_held(&mut self, asked: &Asked<'_>, hold_ms: u32) -> Result<(), String> {
        let (answered, took) = self.ask_until_known(asked).await?;
        answered.must("with the session", is_of_the_contract)?;
        let took_ms = took.as_millis();
        if took_ms >= u128::from(hold_ms) {
            return Ok(());
        }
        Err(format!(
            "answers {} that asks it to hold the session for {hold_ms} ms (`hold_ms`) after {took_ms} ms, so that no other request overtakes it",
            asked.what
        ))
    }

    async fn ask_known<'a>(&mut self, asked: &Asked<'a>) -> Result<Answered<'a>, String> {
        Ok(self.ask_until_known(asked).await?.0)
    }

    /// Asks again while the node does not know the session, which it has just shown: an app may save a session after its reply. Whether
    /// that is right is for the checker to say. Returns how long the last request took as well.
    async fn ask_until_known<'a>(&mut self, asked: &Asked<'a>) -> Result<(Answered<'a>, Duration), String> {
        let deadline = Instant::now() + MAX_SAVING_TIME;
        loop {
            let began = Instant::now();
            let answered = self.ask(asked).await?;
            if !is_unknown(&answered.outcome) || began >= deadline {
                return Ok((answered, began.elapsed()));
            }
            tokio::time::sleep(SAVING_PAUSE).await;
        }
    }

    /// The value of the `Cookie` header of the next request.
    fn header(&self) -> String {
        let mut header = Vec::new();
        self.cookies.write_header(SESSION, unix_s, &mut header);
        let header = String::from_utf8_lossy(&header);
        header.trim_start_matches("Cookie: ").trim_end().to_owned()
    }

    async fn ask<'a>(&mut self, asked: &Asked<'a>) -> Result<Answered<'a>, String> {
        let failed = |error: reqwest::Error| format!("gave no complete reply to {}: {error}", asked.what);
        let method = if asked.body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, format!("{}{}", self.root, asked.path));
        if let Some(cookies) = HeaderValue::from_str(&asked.cookies).ok().filter(|cookies| !cookies.is_empty()) {
            request = request.header(COOKIE, cookies);
        }
        if let Some(body) = &asked.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status().as_u16();
        let set_cookies: Vec<Vec<u8>> =
            reply.headers().get_all(SET_COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect();
        let body = reply.bytes().await.map_err(failed)?;
        if asked.kind != OperationKind::LogOut {
            for cookie in &set_cookies {
                self.cookies.set(cookie, asked.path, self.script.site(), unix_s);
            }
        }
        let reply = Reply { status, head: &[], set_cookies: Vec::new(), body: body.as_ref().into(), keep_alive: false };
        let (outcome, _) = self.script.classify(asked.kind, &reply, &mut self.shown, &mut Answers::default());
        let shown = String::from_utf8_lossy(body.get(..MAX_SHOWN_BYTES).unwrap_or(&body)).into_owned();
        Ok(Answered { what: asked.what, outcome, shown: format!("{status} {shown}").trim_end().to_owned() })
    }
}

/// A node's reply to a request.
struct Answered<'a> {
    what: &'a str,
    outcome: Outcome,
    shown: String,
}

impl Answered<'_> {
    fn must(&self, expected: &str, is_right: impl Fn(&Outcome) -> bool) -> Result<(), String> {
        if is_right(&self.outcome) {
            return Ok(());
        }
        Err(format!("answers {} with `{}` where the session contract says {expected}", self.what, self.shown))
    }
}

fn epoch_of(outcome: &Outcome) -> Option<&str> {
    if let Outcome::Ok(state) = outcome { Some(state.identity.epoch.as_str()) } else { None }
}

fn is_unknown(outcome: &Outcome) -> bool {
    *outcome == Outcome::Fail(ErrorKind::UnknownSession)
}

/// Whether the reply shows a session or says that it is unknown. The checker decides which of the two is right.
fn is_of_the_contract(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ok(_)) || is_unknown(outcome)
}

/// The same cookies with different values of the same form.
fn made_up(header: &str) -> String {
    let pairs = header.split("; ").map(|pair| match pair.split_once('=') {
        Some((name, value)) => format!("{name}={}", crate::traffic::made_up(value)),
        None => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::testing::{replies_with, workload};

    const STATE: &str = r#"{"node":"app-1","boot":"b","owner":"preflight","epoch":"e","version":0,"digest":"cbf29ce484222325","tail":[]}"#;
    const UNKNOWN: (u16, &str) = (404, r#"{"node":"app-1","boot":"b","error":"unknown-session"}"#);
    const WRONG: (u16, &str) = (400, r#"{"node":"app-1","boot":"b","error":"no JSON"}"#);

    fn reply((status, body): &(u16, &str)) -> Vec<u8> {
        let length = body.len();
        format!(
            "HTTP/1.1 {status} X\r\nSet-Cookie: SID=abc1; Path=/\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// The preflight's messages about a node that gives these answers, the first one to the log-in.
    async fn messages_for(answers: &[(u16, &str)]) -> Vec<String> {
        let address = replies_with(answers.iter().map(reply).collect());
        let workload = workload(address);
        preflight(&BTreeMap::from([("app-1".to_owned(), address)]), &workload).await
    }

    #[tokio::test]
    async fn a_node_that_follows_the_contract_passes() {
        let good = [(200, STATE), (200, STATE), UNKNOWN, UNKNOWN, WRONG, (204, ""), UNKNOWN, UNKNOWN];
        assert_eq!(messages_for(&good).await, Vec::<String>::new());
        let revives = [(200, STATE), (200, STATE), UNKNOWN, UNKNOWN, WRONG, (200, ""), (200, STATE), (200, STATE)];
        assert_eq!(messages_for(&revives).await, Vec::<String>::new(), "that is for the checker to say");
    }

    #[tokio::test]
    async fn an_app_that_does_not_hold_sessions_or_knows_no_visitors_is_told_so() {
        let before = [(200, STATE), (200, STATE), UNKNOWN, UNKNOWN, WRONG, (204, ""), UNKNOWN, UNKNOWN];
        let with = async |anonymous_first, after: &[(u16, &str)]| {
            let address = replies_with(before.iter().chain(after).map(reply).collect());
            let mut workload = workload(address);
            workload.sessions.transitions = Transitions { hold_ms: 500, anonymous_first, ..Transitions::default() };
            preflight(&BTreeMap::from([("app-1".to_owned(), address)]), &workload).await.remove(0)
        };
        let hurried = with(false, &[(200, STATE), (200, STATE)]).await;
        assert!(hurried.starts_with("app-1 answers a read that asks it to hold the session for 500 ms"), "{hurried}");
        let saves_late = with(false, &[(200, STATE), UNKNOWN, UNKNOWN, (200, STATE)]).await;
        assert!(saves_late.starts_with("app-1 answers a read that asks it to hold"), "{saves_late}");
        let visit = STATE.replace("preflight", "");
        let old = with(true, &[(200, &visit), WRONG]).await;
        assert!(old.starts_with("app-1 answers a log-in of a visitor with `400 "), "{old}");
    }

    #[tokio::test]
    async fn a_session_that_is_too_large_to_be_kept_is_told_as_that() {
        let too_large = r#"{"node":"app-1","boot":"b","error":"browsers keep 4032 bytes"}"#;
        let messages = messages_for(&[(413, too_large)]).await;
        assert!(messages[0].starts_with("app-1 cannot keep a session of "), "{messages:?}");
        assert!(messages[0].ends_with("take a smaller `sessions.payload_bytes`"), "{messages:?}");
    }

    #[tokio::test]
    async fn an_answer_off_the_contract_is_quoted() {
        let login = messages_for(&[(200, STATE), (200, STATE), (302, "to /login")]).await;
        insta::assert_snapshot!(login.join("\n"), @"app-1 answers a read with a made-up cookie with `302 to /login` where the session contract says 404 unknown-session");
        let adopts = messages_for(&[(200, STATE), (200, STATE), (200, STATE)]).await;
        assert!(adopts[0].contains("a made-up cookie with `200 {"), "{adopts:?}");
        let believes = messages_for(&[(200, STATE), (200, STATE), UNKNOWN, UNKNOWN, (200, STATE)]).await;
        assert!(believes[0].contains("a write that is no JSON"), "{believes:?}");
        let gone = messages_for(&[(200, STATE), (200, STATE), UNKNOWN, UNKNOWN, WRONG, (204, ""), (410, "gone")]).await;
        assert!(gone[0].contains("a read after the log-out with `410 gone`"), "{gone:?}");
        let silent = messages_for(&[]).await;
        assert!(silent[0].starts_with("app-1 gave no complete reply to a log-in: "), "{silent:?}");
    }

    #[test]
    fn a_made_up_cookie_has_the_form_of_a_real_one_and_another_value() {
        assert_eq!(made_up("JSESSIONID=09AZaz.app-1; b=f"), "JSESSIONID=10BAba.bqq-2; b=a");
        assert_eq!(made_up("SESSION=0f9e"), "SESSION=1a0f", "a hexadecimal number stays one");
    }
}
