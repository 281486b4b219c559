//! Cost of the reference stack, measured in one run: the time until a cluster is ready, and the CPU time of the app
//! nodes per request for each strategy, as a ratio to a request that only goes through HTTP.
//!
//! `cargo bench --bench reference`

#![expect(clippy::print_stdout, reason = "it is what a benchmark is for")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use futures::future::try_join_all;
use reqwest::{Client, Method};
use steadfast::cluster::Cluster;
use steadfast::cluster::process::ProcessCluster;
use steadfast::run::bring_up;
use steadfast::topology::{CoreSets, Node, Target, Tier};

const PROGRAM: &str = env!("CARGO_BIN_EXE_steadfast");
/// How often a cluster is started.
const STARTS: usize = 15;
/// Concurrent clients, each with its own session and connection.
const CLIENTS: usize = 8;
/// Requests of each client in one measurement.
const REQUESTS: usize = 2500;
/// Measurements of each kind; the median is shown.
const ROUNDS: usize = 5;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        starts().await?;
        println!();
        requests().await
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn starts() -> Result<(), Failure> {
    println!("until three app nodes and their balancer are ready, median of {STARTS}:");
    for name in ["reference-none", "reference-replicate-all", "reference-primary-backup", "reference-store"] {
        let mut times_ms = Vec::new();
        for _ in 0..STARTS {
            let began = Instant::now();
            let cluster = ProcessCluster::create(Path::new(PROGRAM), &Target::find(name)?, 3, &CoreSets::default())?;
            let agent = bring_up(&cluster).await?;
            times_ms.push(began.elapsed().as_secs_f64() * 1000.0);
            drop(agent);
            cluster.destroy().await?;
        }
        println!("  {name:<32} {:>6.1} ms", median(times_ms));
    }
    Ok(())
}

async fn requests() -> Result<(), Failure> {
    println!("CPU time per request to one of three app nodes, in µs, median of {ROUNDS}:");
    println!("  {:<30} {:>24} {:>19} {:>17}", "", "the asked node", "ratio to HTTP", "all three nodes");
    println!(
        "  {:<30} {:>8} {:>7} {:>7} {:>9} {:>9} {:>8} {:>8}",
        "", "HTTP", "read", "write", "read", "write", "read", "write"
    );
    for name in [
        "reference-none",
        "reference-replicate-all",
        "reference-replicate-all-async",
        "reference-primary-backup",
        "reference-store",
        "reference-client-side",
    ] {
        let cluster = ProcessCluster::create(Path::new(PROGRAM), &Target::find(name)?, 3, &CoreSets::default())?;
        let _agent = bring_up(&cluster).await?;
        let node = cluster.topology().node("app-1").and_then(Node::socket).ok_or("no app-1")?;
        let mut users = Vec::new();
        for _ in 0..CLIENTS {
            users.push(User::log_in(format!("http://{node}")).await?);
        }
        let mut medians = Vec::new();
        for kind in [Kind::Http, Kind::Read, Kind::Write] {
            let (mut own, mut all) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let spent = cpu_us_per_request(&cluster, &mut users, kind).await?;
                own.push(spent.0);
                all.push(spent.1);
            }
            medians.push((median(own), median(all)));
        }
        cluster.destroy().await?;
        let [(http, _), (read, all_read), (write, all_write)] = medians[..] else {
            return Err("three kinds were measured".into());
        };
        println!(
            "  {name:<30} {http:>8.1} {read:>7.1} {write:>7.1} {:>9.2} {:>9.2} {all_read:>8.1} {all_write:>8.1}",
            read / http,
            write / http
        );
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Read,
    Write,
}

/// CPU time per request in microseconds: of the node that is asked, and of all app nodes.
async fn cpu_us_per_request(cluster: &ProcessCluster, users: &mut [User], kind: Kind) -> Result<(f64, f64), Failure> {
    let before = cpu_ns(cluster).await?;
    try_join_all(users.iter_mut().map(|user| user.ask(kind))).await?;
    let after = cpu_ns(cluster).await?;
    let per_request = |ns: u64| ns as f64 / 1000.0 / (CLIENTS * REQUESTS) as f64;
    Ok((per_request(after.0 - before.0), per_request(after.1 - before.1)))
}

async fn cpu_ns(cluster: &ProcessCluster) -> Result<(u64, u64), Failure> {
    let apps: Vec<&str> = cluster.topology().tier(Tier::App).map(|node| node.name.as_str()).collect();
    let samples = cluster.sample().await?;
    let of_apps = || samples.iter().filter(|sample| apps.contains(&sample.node.as_str()));
    let asked = of_apps().filter(|sample| sample.node == "app-1").filter_map(|sample| sample.cpu_ns).sum();
    Ok((asked, of_apps().filter_map(|sample| sample.cpu_ns).sum()))
}

/// A client with its cookie and its connection.
struct User {
    client: Client,
    base: String,
    cookie: String,
    asked: usize,
}

impl User {
    async fn log_in(base: String) -> Result<Self, Failure> {
        let client = Client::builder().no_proxy().build()?;
        let mut user = Self { client, base, cookie: String::new(), asked: 0 };
        user.request(Method::POST, "/session", r#"{"owner":"s1","bytes":1024}"#.to_owned()).await?;
        Ok(user)
    }

    async fn ask(&mut self, kind: Kind) -> Result<(), Failure> {
        for _ in 0..REQUESTS {
            self.asked += 1;
            match kind {
                Kind::Http => self.request(Method::GET, "/health", String::new()).await?,
                Kind::Read => self.request(Method::GET, "/session", String::new()).await?,
                Kind::Write => {
                    let body = format!("{{\"op\":\"1.1.{}\"}}", self.asked);
                    self.request(Method::POST, "/session/ops", body).await?;
                }
            }
        }
        Ok(())
    }

    async fn request(&mut self, method: Method, path: &str, body: String) -> Result<(), Failure> {
        let request = self.client.request(method, format!("{}{path}", self.base)).header("Cookie", &self.cookie);
        let reply = request.body(body).send().await?.error_for_status()?;
        if let Some(set) = reply.headers().get("set-cookie") {
            set.to_str()?.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        reply.bytes().await?;
        Ok(())
    }
}
