//! `steadfast load`: the same traffic engine against an endpoint that is already running, without a topology.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use thiserror::Error;

use super::output;
use crate::cluster::ClusterError;
use crate::conclude::{Conclusion, Course, conclude};
use crate::files::FileError;
use crate::history::file::Detail;
use crate::history::{ErrorKind, Lives, Timeline};
use crate::load::{
    Closed, Connections, ConstantRate, LoadModel, Overload, Pacing, Popularity, Population, Protocol, Schedule,
    ThinkTime, Trust, Workload,
};
use crate::measure::{Circumstances, Measurements};
use crate::profile::{GeneratorLimits, Rate, Time, Within};
use crate::report::{self, LoadView};
use crate::traffic::{Engine, GeneratorHealth, Plain, Script, Stopper, Summary};

/// What `load` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// What is asked for, as `http://HOST:PORT/PATH` or `https://…`
    #[arg(value_name = "URL")]
    url: String,
    /// Requests per second, whatever the system does; without it each session asks again as soon as it is answered
    #[arg(long, value_name = "RATE", value_parser = super::arguments::rate)]
    rate: Option<Rate>,
    /// How long requests are started
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Time,
    /// Before this nothing counts
    #[arg(long, value_name = "TIME", default_value = "0s")]
    warm_up: Time,
    /// How many sessions there are, each with cookies of its own [default: as many as connections, or 32]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    sessions: Option<Within<1, 1_000_000>>,
    /// Share so many connections; without it each session keeps its own
    #[arg(long, value_name = "COUNT", value_parser = count)]
    connections: Option<Within<1, 1_000_000>>,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A header, as "Name: value"; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// What is sent with each request; of a file with @FILE
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Speak HTTP/2, over TLS or by prior knowledge
    #[arg(long)]
    http2: bool,
    /// Believe any certificate
    #[arg(long)]
    insecure: bool,
    /// When a request is given up
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Time,
    /// How many threads fire
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count)]
    threads: Within<1, 1_000_000>,
    /// How starts are waited for; `tick` needs a rate
    #[arg(long, value_enum, default_value_t)]
    pacing: PacingName,
    /// The most that the generator itself may be late at its 99th percentile before its figures are invalid
    #[arg(long, value_name = "TIME", default_value = "1ms")]
    lag_p99: Time,
    /// Print figures as JSON
    #[arg(long)]
    json: bool,
}

/// How starts are waited for.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum PacingName {
    /// Asleep until each start
    #[default]
    Sleep,
    /// Asking the clock, which takes a whole core
    Spin,
    /// Waking up each 0.8 ms only, which takes the least of a core
    Tick,
}

/// What stands on the command line and cannot be used.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct UsageError(String);

fn usage(message: String) -> anyhow::Error {
    UsageError(message).into()
}

fn count(text: &str) -> Result<Within<1, 1_000_000>, String> {
    text.parse::<i64>().map_err(|error| error.to_string())?.try_into()
}

/// Fires, measures and shows.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let url = parse_url(&arguments.url)?;
    if arguments.pacing == PacingName::Tick && arguments.rate.is_none() {
        return Err(usage(
            "--pacing tick: without --rate each session would wait for the tick; give a rate".to_owned(),
        ));
    }
    let script = Script::Plain(request(arguments, &url)?);
    let entrance = find(&url)?;
    let workload = workload(arguments, &url, entrance);
    let mut engine = Engine::new(workload, script).context("starting the generator")?;
    stop_on_interrupt(engine.stopper())?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let health = engine.load(|| {}, &mut |summary| tell(arguments, &summary))?;
    let (measurements, invalid) = measure(arguments, &engine, health, started)?;
    let traffic = describe(arguments);
    let view = LoadView::of(url.as_str(), &traffic, &measurements, invalid.as_deref());
    let text = if arguments.json { report::load_json(&view)? } else { report::load_table(&view) };
    output::line(&text);
    if measurements.errors.contains_key(ErrorKind::Handshake.word()) {
        output::note(
            "TLS was not agreed on: does the server speak it there, and is its certificate believed on this machine? \
             --insecure believes any",
        );
    }
    Ok(ExitCode::from(match () {
        () if engine.stopper().has_stopped() => 130,
        // Where nothing was answered there is nothing to be proud of.
        () if measurements.operations.ok == 0 => 1,
        () if invalid.is_some() => 4,
        () => 0,
    }))
}

fn parse_url(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text)
        .map_err(|error| usage(format!("`{text}` is not a URL: {error}; write it as http://HOST:PORT/PATH")))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => Ok(url),
        (scheme, _) => {
            Err(usage(format!("`{text}`: {scheme} cannot be driven; it takes http://HOST:PORT/PATH or https://")))
        }
    }
}

/// The request, as it goes over the wire but for its cookies.
fn request(arguments: &Arguments, url: &Url) -> anyhow::Result<Plain> {
    let method = reqwest::Method::from_bytes(arguments.method.as_bytes())
        .map_err(|_| usage(format!("`{}` is not a method", arguments.method)))?;
    let body = match arguments.body.as_deref().map(|body| (body, body.strip_prefix('@'))) {
        None => Vec::new(),
        Some((_, Some(file))) => std::fs::read(file)
            .map_err(|error| FileError::Unreadable { file: file.to_owned(), message: error.to_string() })?,
        Some((text, None)) => text.as_bytes().to_vec(),
    };
    let mut headers = Vec::new();
    let mut put = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            headers.extend_from_slice(part);
        }
    };
    let given: Vec<(HeaderName, HeaderValue)> =
        arguments.headers.iter().map(|header| parse_header(header)).collect::<anyhow::Result<_>>()?;
    let is_given = |name: &str| given.iter().any(|(other, _)| other.as_str() == name);
    if !is_given("host") {
        put("Host", host(url).as_bytes());
    }
    if !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        put("Content-Length", body.len().to_string().as_bytes());
    }
    for (name, value) in &given {
        put(name.as_str(), value.as_bytes());
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Plain {
        line: format!("{method} {}{query} HTTP/1.1\r\n", url.path()).into_bytes(),
        path: url.path().to_owned(),
        headers,
        body,
        is_bodiless: method == reqwest::Method::HEAD,
    })
}

/// The host, and the port where it is not the usual one.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parse_header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    let (name, value) =
        parsed.ok_or_else(|| usage(format!("`{text}` is not a header; write it as \"Name: value\"")))?;
    if name == "content-length" || name == "transfer-encoding" || name == "connection" {
        return Err(usage(format!("`{name}` is the generator's own affair")));
    }
    Ok((name, value))
}

/// An address at which something listens.
fn find(url: &Url) -> anyhow::Result<SocketAddr> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let resolving = |error: io::Error| {
        ClusterError::new(format!("looking up {host}"), error.to_string()).advise("is the name right?")
    };
    let mut refused = None;
    for address in (host, port).to_socket_addrs().map_err(resolving)? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => return Ok(address),
            Err(error) => refused = Some((address, error)),
        }
    }
    let Some((address, error)) = refused else { bail!("{host} has no address") };
    let error = ClusterError::new(format!("connecting to {address}"), error.to_string());
    Err(error.advise("nothing listens there, or a firewall keeps it shut: start the server first").into())
}

fn workload(arguments: &Arguments, url: &Url, entrance: SocketAddr) -> Workload {
    let trust = if arguments.insecure { Trust::Anybody } else { Trust::System };
    Workload {
        entrances: vec![entrance],
        protocol: Protocol { tls: (url.scheme() == "https").then_some(trust), is_http2: arguments.http2 },
        host: host(url),
        population: Population::Fixed(sessions(arguments)),
        payload_bytes: 0,
        write_bytes: 0,
        read_share: if matches!(arguments.method.as_str(), "GET" | "HEAD") { 1.0 } else { 0.0 },
        lifetime: None,
        at_once: 1,
        popularity: Popularity::Uniform,
        addresses: Vec::new(),
        connections: arguments.connections.map_or(Connections::PerSession, |count| Connections::Pooled(count.get())),
        load: match arguments.rate {
            Some(rate) => LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(rate.per_second()))),
            None => LoadModel::Closed(Closed { think: ThinkTime::default() }),
        },
        think: ThinkTime::default(),
        warm_up_ns: arguments.warm_up.as_nanos(),
        length_ns: arguments.duration.as_nanos(),
        timeout_ns: arguments.timeout.as_nanos(),
        overload: Overload::Queue,
        pacing: match arguments.pacing {
            PacingName::Sleep => Pacing::Sleep,
            PacingName::Spin => Pacing::Spin,
            PacingName::Tick => Pacing::Tick,
        },
        threads: arguments.threads.get(),
        seed: 0,
    }
}

fn sessions(arguments: &Arguments) -> u32 {
    arguments.sessions.or(arguments.connections).map_or(32, Within::get)
}

/// Ends the load when the user wants to.
fn stop_on_interrupt(stopper: Stopper) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            stopper.stop();
        }
    })?;
    Ok(())
}

/// The live line.
fn tell(arguments: &Arguments, summary: &Summary) {
    if arguments.json || !io::stderr().is_terminal() {
        return;
    }
    output::note(&format!(
        "{:>4} s  {} ok/s, p99 {:.1} ms, {} errors",
        summary.at_ns / 1_000_000_000,
        summary.ok,
        summary.p99_us as f64 / 1000.0,
        summary.fail + summary.indeterminate
    ));
}

/// Through the history, as the figures of a trial, and why they must not be believed.
fn measure(
    arguments: &Arguments,
    engine: &Engine,
    health: GeneratorHealth,
    started: Duration,
) -> anyhow::Result<(Measurements, Option<String>)> {
    let mut file = tempfile::tempfile_in(crate::traffic::spill_folder()).context("making a file for the history")?;
    engine.write_history(&mut file).context("laying out the history")?;
    let course = Course {
        format: Course::FORMAT,
        timeline: Timeline {
            faults: Vec::new(),
            warm_up: arguments.warm_up.get(),
            load_end: arguments.warm_up.get() + arguments.duration.get(),
        },
        started_unix_ns: u64::try_from(started.as_nanos()).unwrap_or(u64::MAX),
        judged: Vec::new(),
        generator: GeneratorLimits { lag_p99: arguments.lag_p99, ..GeneratorLimits::default() },
        circumstances: Circumstances {
            offered: health.offered,
            started: health.started,
            shed: health.shed,
            generator_cpu_ns: health.cpu_ns,
            busiest_core: health.busiest_core,
            ..Circumstances::default()
        },
        doubts: Vec::new(),
    };
    let Conclusion { judgement, measurements, invalid, .. } =
        conclude(Lives::of(file, Detail::Everything)?, &course, &[]);
    let measurements = measurements.with_context(|| format!("measuring: {}", judgement.reasons.join("; ")))?;
    Ok((measurements, invalid))
}

/// The traffic in words.
fn describe(arguments: &Arguments) -> String {
    let rate = arguments.rate.map_or_else(
        || "each asks again as soon as it is answered".to_owned(),
        |rate| format!("{} requests a second", rate.per_second()),
    );
    let sessions = sessions(arguments);
    let connections = arguments
        .connections
        .map_or_else(|| "a connection each".to_owned(), |count| format!("{} connections shared", count.get()));
    format!("{sessions} sessions, {connections}, {rate}, {}", arguments.duration)
}
