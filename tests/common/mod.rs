//! Helpers for the tests of both runtimes: the program as its user starts it, a browser, and the contract.

#![allow(clippy::print_stderr, reason = "what is not as usual is said")]
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use steadfast::cluster::docker::{Engine, Leftovers};
use steadfast::files;
use steadfast::payload::{Checksum, bytes_of};
use steadfast::topology::Target;

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The bundled targets whose app speaks the session contract.
pub fn targets_of_the_contract() -> Vec<String> {
    let speaks_it = |name: &String| Target::find(name).expect("a bundled target").session.is_none();
    files::names(files::Kind::Target).into_iter().filter(speaks_it).collect()
}

pub fn steadfast(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
    command.args(arguments);
    command
}

/// What it printed. The result comes last, because of a long message often only the end is shown.
pub fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

pub fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

pub fn json(path: &Path) -> Result<Value, Failed> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Steadfast's objects in the engine before the tests began.
static BEFORE: OnceLock<Leftovers> = OnceLock::new();

fn of_ours() -> Result<Leftovers, Failed> {
    Ok(runtime().block_on(async { Leftovers::find(&Engine::connect().await?, None).await })?)
}

/// Records steadfast's objects in the engine before the first test. An engine that does not answer has none.
pub fn remember_what_is_there() {
    let before = of_ours().unwrap_or_default();
    if !before.is_empty() {
        eprintln!("in the engine before the tests, and left alone: {before:?}");
    }
    let _ = BEFORE.set(before);
}

/// Runs tests that need an engine, one after the other because parallel ones would disturb each other's timing. Without an engine,
/// or if `lacks` says what else is missing, all are ignored and the reason is printed.
pub fn run_on_an_engine(
    of: &str,
    lacks: impl FnOnce() -> Option<String>,
    trials: impl IntoIterator<Item = Trial>,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    remember_what_is_there();
    let no_engine = runtime().block_on(Engine::connect()).err().map(|error| error.to_string());
    let reason = no_engine.or_else(lacks);
    if let Some(reason) = &reason {
        eprintln!("the tests on {of} are skipped: {reason}");
    }
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(reason.is_some())).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Checks that the engine has no new objects of steadfast.
pub fn nothing_is_left() -> Result<(), Failed> {
    let (mut left, before) = (of_ours()?, BEFORE.get().cloned().unwrap_or_default());
    left.containers.retain(|name| !before.containers.contains(name));
    left.networks.retain(|name| !before.networks.contains(name));
    left.volumes.retain(|name| !before.volumes.contains(name));
    let only_networks = left.containers.is_empty() && left.volumes.is_empty();
    if only_networks && !left.networks.is_empty() {
        // Only what the engine itself cannot remove may be left.
        let removed = runtime().block_on(async { left.remove(&Engine::connect().await?).await })?;
        if removed.stuck_networks == left.networks {
            eprintln!("left, because the engine has miscounted: {:?}", removed.stuck_networks);
            return Ok(());
        }
    }
    check(left.is_empty(), || format!("{left:?}"))
}

/// A browser that keeps its cookies.
pub struct Browser {
    client: reqwest::Client,
    cookies: String,
}

impl Browser {
    pub fn new() -> Self {
        let client = steadfast::traffic::library().timeout(Duration::from_secs(10)).build();
        Self { client: client.expect("a client"), cookies: String::new() }
    }

    pub async fn ask(&mut self, method: reqwest::Method, url: &str, body: &str) -> Result<(u16, Value), Failed> {
        let request = self.client.request(method, url).header("Cookie", &self.cookies).body(body.to_owned());
        let reply = request.send().await.map_err(|error| format!("{url}: {error:?}"))?;
        let set: Vec<String> = reply
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|value| Some(value.to_str().ok()?.split(';').next()?.to_owned()))
            .collect();
        if !set.is_empty() {
            self.cookies = set.join("; ");
        }
        let status = reply.status().as_u16();
        let text = reply.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }
}

/// Checks the whole contract on one node: not every target shares its sessions. `url` makes the URL of a path.
pub async fn serves_the_contract(url: impl Fn(&str) -> String) -> Result<(), Failed> {
    use reqwest::Method;
    let (session, ops) = (url("/session"), url("/session/ops"));
    let mut browser = Browser::new();
    let (status, reply) = browser.ask(Method::GET, &session, "").await?;
    check(status == 404 && reply["error"] == "unknown-session" && reply["node"] == "app-1", || {
        format!("{status} {reply}")
    })?;
    let (status, reply) = browser.ask(Method::POST, &session, "{\"owner\":").await?;
    check(status == 400 && reply["boot"].is_string(), || format!("{status} {reply}"))?;
    let (status, created) = browser.ask(Method::POST, &session, r#"{"owner":"s1","bytes":100}"#).await?;
    check(status == 200 && created["owner"] == "s1" && created["version"] == 0, || format!("{status} {created}"))?;
    check(created["digest"] == "cbf29ce484222325", || format!("{created}"))?;
    let whole = Checksum::default().and(&bytes_of(created["epoch"].as_str().unwrap_or_default(), 100));
    let shows = |reply: &Value, payload: Checksum| {
        reply["payload"]["bytes"] == payload.bytes && reply["payload"]["crc32"] == format!("{:08x}", payload.crc32)
    };
    check(shows(&created, whole), || format!("{whole:?}: {created}"))?;
    let (status, written) = browser.ask(Method::POST, &ops, r#"{"op":"1.1.1"}"#).await?;
    check(status == 200 && written["version"] == 1 && written["digest"] == "f51dc30fdb10e2b5", || {
        format!("{status} {written}")
    })?;
    for number in 2..=10 {
        browser.ask(Method::POST, &ops, &format!("{{\"op\":\"1.1.{number}\",\"bytes\":7}}")).await?;
    }
    let (_, read) = browser.ask(Method::GET, &session, "").await?;
    let tail: Vec<String> = (3..=10).map(|number| format!("1.1.{number}")).collect();
    check(
        read["version"] == 10 && read["tail"] == serde_json::json!(tail) && read["epoch"] == created["epoch"],
        || format!("{read}"),
    )?;
    check(shows(&read, whole.and(&bytes_of("1.1.10", 7))), || format!("{read}"))?;
    let (status, _) = browser.ask(Method::POST, &url("/session/log-out"), "{}").await?;
    check(status == 204, || format!("log-out answered {status}"))?;
    let (status, _) = browser.ask(Method::GET, &session, "").await?;
    check(status == 404, || format!("after the log-out {status}"))
}
