//! `steadfast load`: runs the traffic generator against an endpoint that is already running, without a topology.

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HOST, HeaderName, HeaderValue};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::output;
use super::usage::UsageError;
use crate::cluster::ClusterError;
use crate::conclude::{Conclusion, TrialContext, conclude};
use crate::files::FileError;
use crate::history::{ErrorKind, GeneratorHealth, SessionHistories, Timeline};
use crate::load::{
    Closed, Connections, ConstantRate, Destination, Generator, LoadModel, Overload, Pacing, Popularity, Population,
    Protocol, Schedule, SessionSettings, Share, ThinkTime, Timing, Transitions, Trust, Users, Workload,
};
use crate::measure::{Circumstances, Measurements};
use crate::profile::GeneratorLimits;
use crate::report::{self, LoadView};
use crate::traffic::{LoadGenerator, Plain, Script, Site, Stopper, Summary};
use crate::values::{Rate, Time, Within};

/// Arguments of `load`.
#[derive(clap::Args)]
pub struct Arguments {
    /// URL of the requests: `http://HOST:PORT/PATH` or `https://…`
    #[arg(value_name = "URL")]
    url: String,
    /// Requests per second, whatever the system does; without it each session asks again as soon as it is answered
    #[arg(long, value_name = "RATE", value_parser = super::arguments::rate)]
    rate: Option<Rate>,
    /// How long requests are started
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Time,
    /// Warm-up: operations that start before its end are not measured
    #[arg(long, value_name = "TIME", default_value = "0s")]
    warm_up: Time,
    /// How many sessions there are, each with cookies of its own [default: as many as connections, or 32]
    #[arg(long, value_name = "COUNT", value_parser = super::arguments::count::<1, 1_000_000>)]
    sessions: Option<Within<1, 1_000_000>>,
    /// Share so many connections; without it each session keeps its own
    #[arg(long, value_name = "COUNT", value_parser = super::arguments::count::<1, 1_000_000>)]
    connections: Option<Within<1, 1_000_000>>,
    /// The method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A header, as "Name: value"; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// Body of each request; @FILE reads it from a file
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Speak HTTP/2, over TLS or by prior knowledge
    #[arg(long)]
    http2: bool,
    /// Accept any certificate
    #[arg(long)]
    insecure: bool,
    /// Timeout of a request
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Time,
    /// Number of threads that send
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = super::arguments::count::<1, 1024>)]
    threads: Within<1, 1024>,
    /// How starts are waited for; `tick` needs a rate
    #[arg(long, value_enum, default_value_t)]
    pacing: PacingName,
    /// Maximum lateness of the generator, at the 99th percentile; with more its figures are invalid
    #[arg(long, value_name = "TIME", default_value = "1ms")]
    lag_p99: Time,
    /// Print figures as JSON
    #[arg(long)]
    json: bool,
}

/// How threads wait for the next start.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum PacingName {
    /// Asleep until each start
    #[default]
    Sleep,
    /// Polling the clock, which takes a whole core
    Spin,
    /// Waking up each 0.8 ms only, which takes the least of a core
    Tick,
}

fn usage(message: String) -> anyhow::Error {
    UsageError::new(message).into()
}

/// Generates the load, measures it, and prints the figures.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (url, credentials) = parse_url(&arguments.url)?;
    if arguments.pacing == PacingName::Tick && arguments.rate.is_none() {
        return Err(usage(
            "--pacing tick: without --rate each session would wait for the tick; give a rate".to_owned(),
        ));
    }
    let plain = request(arguments, &url, credentials)?;
    let host = if arguments.http2 { authority(&arguments.headers, &url)? } else { host(&url) };
    make_room(arguments)?;
    let endpoints = find(&url)?;
    if let [first, .., last] = &endpoints[..] {
        output::note(&format!("{} addresses, {first} to {last}: each session has one", endpoints.len()));
    }
    let workload = workload(arguments, host, &url, endpoints);
    let mut generator = LoadGenerator::new(workload, Script::Plain(plain)).context("starting the generator")?;
    stop_on_interrupt(generator.stopper())?;
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let health = generator.load(Instant::now, &mut |summary| show_progress(arguments, &summary))?;
    let (measurements, invalid) = measure(arguments, &generator, health, started)?;
    let traffic = describe(arguments);
    let view = LoadView::of(url.as_str(), &traffic, &measurements, invalid.as_deref());
    let text = if arguments.json { report::load_json(&view)? } else { report::load_table(&view) };
    output::line(&text);
    if measurements.errors.contains_key(ErrorKind::Handshake.word()) {
        output::note(
            "TLS handshake failed: does the server speak TLS there, and is its certificate trusted on this machine? \
             --insecure accepts any certificate",
        );
    }
    if measurements.errors.contains_key(ErrorKind::Redirected.word()) {
        output::note("redirects are counted and not followed: give the URL that they point to");
    }
    Ok(ExitCode::from(match () {
        () if generator.stopper().has_stopped() => 130,
        // A load without a single successful request has failed.
        () if measurements.operations.ok == 0 => 1,
        () if invalid.is_some() => 4,
        () => 0,
    }))
}

/// Separates the credentials from the URL, because the URL is printed. Returns them as the value of `Authorization`.
fn parse_url(text: &str) -> anyhow::Result<(Url, Option<String>)> {
    let mut url = Url::parse(text)
        .map_err(|error| usage(format!("`{text}` is not a URL: {error}; write it as http://HOST:PORT/PATH")))?;
    match (url.scheme(), url.host_str()) {
        ("http" | "https", Some(_)) => {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
            let credentials = (!user.is_empty() || !password.is_empty())
                .then(|| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
            // Neither can fail for a URL with a host.
            let _ = (url.set_username(""), url.set_password(None));
            Ok((url, credentials))
        }
        (scheme, _) => {
            Err(usage(format!("`{text}`: {scheme} cannot be driven; it takes http://HOST:PORT/PATH or https://")))
        }
    }
}

/// Descriptors that are not connections: files, the reactors, standard streams.
const FURTHER_DESCRIPTORS: u64 = 64;

/// Raises the limit of open files to the user's hard limit. Fails before anything is sent if that is too low.
fn make_room(arguments: &Arguments) -> anyhow::Result<()> {
    let connections = arguments.connections.map_or_else(|| sessions(arguments), Within::get);
    let needed = u64::from(connections) + 4 * u64::from(arguments.threads.get()) + FURTHER_DESCRIPTORS;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|most| most < needed) {
        let most = maximum.unwrap_or_default();
        return Err(usage(format!(
            "{connections} connections take {needed} open files, and this user may have {most}: take fewer --sessions or --connections, or raise the limit (`ulimit -Hn`)"
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("raising the limit of open files")
}

/// The request as it is sent, without its cookies.
fn request(arguments: &Arguments, url: &Url, credentials: Option<String>) -> anyhow::Result<Plain> {
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
    if let Some(credentials) = credentials.filter(|_| !is_given("authorization")) {
        put("Authorization", credentials.as_bytes());
    }
    for (name, value) in &given {
        put(name.as_str(), value.as_bytes());
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Plain {
        line: format!("{method} {}{query} HTTP/1.1\r\n", url.path()).into_bytes(),
        path: url.path().to_owned(),
        site: Site { host: url.host_str().unwrap_or_default().to_owned(), is_secure: url.scheme() == "https" },
        headers,
        body,
        is_bodiless: method == reqwest::Method::HEAD,
    })
}

/// The host, with the port if it is not the default of the scheme.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The `:authority` of HTTP/2 requests, which is also the name for TLS: the user's `Host`, or else the host of the URL.
fn authority(headers: &[String], url: &Url) -> anyhow::Result<String> {
    let given = headers.iter().filter_map(|header| parse_header(header).ok()).find(|(name, _)| name == HOST);
    let Some((_, given)) = given else { return Ok(host(url)) };
    let given = given.to_str().unwrap_or_default();
    let refused = |why: &str| usage(format!("`Host: {given}`: {why}"));
    let named = Url::parse(&format!("{}://{given}/", url.scheme())).map_err(|error| refused(&error.to_string()))?;
    if named.path() != "/" || named.query().is_some() || !named.username().is_empty() {
        return Err(refused("it is not a name of a host"));
    }
    // If the authority is an IP address, the HTTP library connects to it instead of to the URL's host.
    if host(&named) != host(url) && named.domain().is_none() {
        return Err(refused("in HTTP/2 it must be a name; write an address into the URL"));
    }
    if named.port().is_some() && named.port_or_known_default() != url.port_or_known_default() {
        return Err(refused("in HTTP/2 it must have the port of the URL, or none"));
    }
    Ok(given.to_owned())
}

fn parse_header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    });
    let (name, value) =
        parsed.ok_or_else(|| usage(format!("`{text}` is not a header; write it as \"Name: value\"")))?;
    if name == "content-length" || name == "transfer-encoding" || name == "connection" {
        return Err(usage(format!("`{name}` is set by the generator; remove it")));
    }
    Ok((name, value))
}

/// The maximum number of addresses used per name; a name server with more distributes them itself.
const MAX_ENDPOINTS: usize = 16;

/// The addresses of the host that accept a connection; each of them gets traffic. If the name has IPv4 and IPv6
/// addresses, only the family of the first address that answers is used, as in browsers.
fn find(url: &Url) -> anyhow::Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let resolving = |error: io::Error| {
        ClusterError::new(format!("looking up {host}"), error.to_string()).advise("is the name right?")
    };
    let (mut endpoints, mut refused): (Vec<SocketAddr>, _) = (Vec::new(), None);
    for address in (host, port).to_socket_addrs().map_err(resolving)?.take(MAX_ENDPOINTS) {
        if endpoints.first().is_some_and(|first| first.is_ipv4() != address.is_ipv4()) || endpoints.contains(&address) {
            continue;
        }
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => endpoints.push(address),
            Err(error) => refused = Some((address, error)),
        }
    }
    match refused {
        _ if !endpoints.is_empty() => Ok(endpoints),
        None => bail!("{host} has no address"),
        Some((address, error)) => {
            let error = ClusterError::new(format!("connecting to {address}"), error.to_string());
            Err(error.advise("nothing listens there, or a firewall keeps it shut: start the server first").into())
        }
    }
}

fn workload(arguments: &Arguments, host: String, url: &Url, endpoints: Vec<SocketAddr>) -> Workload {
    let trust = if arguments.insecure { Trust::AnyCertificate } else { Trust::System };
    Workload {
        destination: Destination {
            endpoints,
            protocol: Protocol { tls: (url.scheme() == "https").then_some(trust), is_http2: arguments.http2 },
            host,
        },
        users: Users {
            population: Population::Fixed(sessions(arguments)),
            at_once: 1,
            read_share: if matches!(arguments.method.as_str(), "GET" | "HEAD") { 1.0 } else { 0.0 },
            popularity: Popularity::Uniform,
            addresses: Vec::new(),
            connections: arguments
                .connections
                .map_or(Connections::PerSession, |count| Connections::Pooled(count.get())),
        },
        sessions: SessionSettings {
            payload_bytes: 0,
            write_bytes: 0,
            lifetime: None,
            transitions: Transitions::default(),
        },
        timing: Timing {
            model: match arguments.rate {
                Some(rate) => LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(rate.per_second()))),
                None => LoadModel::Closed(Closed { think: ThinkTime::default() }),
            },
            think: ThinkTime::default(),
            warm_up_ns: arguments.warm_up.as_nanos(),
            length_ns: arguments.duration.as_nanos(),
            timeout_ns: arguments.timeout.as_nanos(),
            overload: Overload::Queue,
        },
        share: Share::default(),
        generator: Generator {
            threads: arguments.threads.get(),
            pacing: match arguments.pacing {
                PacingName::Sleep => Pacing::Sleep,
                PacingName::Spin => Pacing::Spin,
                PacingName::Tick => Pacing::Tick,
            },
        },
        seed: 0,
        mapped: None,
    }
}

fn sessions(arguments: &Arguments) -> u32 {
    arguments.sessions.or(arguments.connections).map_or(32, Within::get)
}

/// Stops the load on SIGINT or SIGTERM.
fn stop_on_interrupt(stopper: Stopper) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        runtime.block_on(async move {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                // The second signal ends the process at once.
                if stopper.has_stopped() {
                    std::process::exit(130);
                }
                stopper.stop();
            }
        });
    })?;
    Ok(())
}

/// Prints live figures, if standard error is a terminal and the output is not JSON.
fn show_progress(arguments: &Arguments, summary: &Summary) {
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

/// Measures the load from its history, as for a trial. The second value says why the figures are invalid, if they are.
fn measure(
    arguments: &Arguments,
    generator: &LoadGenerator,
    health: GeneratorHealth,
    started: Duration,
) -> anyhow::Result<(Measurements, Option<String>)> {
    let mut file = tempfile::tempfile_in(crate::traffic::spill_folder()).context("making a file for the history")?;
    generator.write_history(&mut file).context("laying out the history")?;
    let context = TrialContext {
        min_examined: 1,
        settled: None,
        format: TrialContext::FORMAT,
        timeline: Timeline {
            faults: Vec::new(),
            warm_up: arguments.warm_up.get(),
            load_end: arguments.warm_up.get() + arguments.duration.get(),
            ..Timeline::default()
        },
        started_unix_ns: u64::try_from(started.as_nanos()).unwrap_or(u64::MAX),
        judged: Vec::new(),
        generator: GeneratorLimits { lag_p99: arguments.lag_p99, ..GeneratorLimits::default() },
        circumstances: Circumstances { generator: health, ..Circumstances::default() },
        has_history: true,
        missing: Vec::new(),
        inconclusive_reasons: Vec::new(),
        warnings: Vec::new(),
    };
    let Conclusion { judgement, measurements, invalid, .. } =
        conclude(Some(SessionHistories::of(file)?), &context, &[]);
    let measurements = measurements.with_context(|| format!("measuring: {}", judgement.reasons.join("; ")))?;
    Ok((measurements, invalid))
}

/// Describes the traffic in one line.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_http2_a_given_host_becomes_the_authority_but_cannot_change_the_endpoint() {
        let of = |url: &str, headers: &[&str]| {
            let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
            authority(&headers, &Url::parse(url).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(of("http://10.0.0.1:8080/x", &["X-Mine: 1"]).unwrap(), "10.0.0.1:8080");
        assert_eq!(of("http://10.0.0.1:8080/x", &["host: shop.example"]).unwrap(), "shop.example");
        assert_eq!(of("http://10.0.0.1:8080/x", &["Host: shop.example:8080"]).unwrap(), "shop.example:8080");
        assert_eq!(of("http://10.0.0.1:8080/x", &["Host: 10.0.0.1:8080"]).unwrap(), "10.0.0.1:8080");
        for elsewhere in ["10.0.0.2", "[::1]:8080", "shop.example:9090", "sh op", "a/b"] {
            let refused = of("http://10.0.0.1:8080/x", &[&format!("Host: {elsewhere}")]).unwrap_err();
            assert!(refused.starts_with(&format!("`Host: {elsewhere}`: ")), "{refused}");
        }
    }
}
