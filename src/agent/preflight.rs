//! Checks before the load that each app node follows the session contract, with requests that no user sends. Without
//! this check, an app that answers an unknown session with a redirect to its log-in page, for example, would lose
//! sessions unnoticed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};

use super::probe;
use super::walk::walk;
use crate::history::compact::Answers;
use crate::history::{ErrorKind, OperationKind, Outcome};
use crate::load::Workload;
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
        written.must("404 unknown-session", is_of_the_contract)
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

    /// The preflight's messages about a node that gives these answers, the first one to the log-in.
    async fn messages_for(answers: &[(u16, &str)]) -> Vec<String> {
        let reply = |(status, body): &(u16, &str)| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status} X\r\nSet-Cookie: SID=abc1; Path=/\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .into_bytes()
        };
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
        assert_eq!(made_up("JSESSIONID=09AZaz.app-1; b=f"), "JSESSIONID=10BAba.bqq-2; b=g");
    }
}
