//! Systems that run already end to end: reference nodes that nobody's driver started, with a shop face, killed and started by a
//! shell script as somebody's operators would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{check, json, text};
use libtest_mimic::Failed;

const SHOP: &str = include_str!("../targets/reference-shop.toml");

/// Does what is asked to a node, by the process id that it kept: `sh service ACTION NODE`.
const SERVICE: &str = r#"set -e
cd "$(dirname "$0")"
case $1 in
start) setsid "$STEADFAST" node "${2%-*}" --config "$2.toml" --store-file "$2.changes" >> "$2.log" 2>&1 < /dev/null & echo $! > "$2.pid" ;;
kill) kill -KILL "$(cat "$2.pid")" ;;
stop) kill -TERM "$(cat "$2.pid")" ;;
pause) kill -STOP "$(cat "$2.pid")" ;;
resume) kill -CONT "$(cat "$2.pid")" ;;
log) cat "$2.log" ;;
esac
"#;

/// A shop of three app nodes that runs until this is dropped.
struct System {
    folder: tempfile::TempDir,
    nodes: Vec<(&'static str, SocketAddr)>,
}

impl System {
    fn start() -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        // Held until all are chosen, so that they differ.
        let held: Vec<TcpListener> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
        let mut sockets = held.iter().map(|socket| socket.local_addr().unwrap());
        let nodes: Vec<(&str, SocketAddr)> =
            ["store", "app-1", "app-2", "app-3", "balancer"].into_iter().zip(&mut sockets).collect();
        drop(held);
        let mut balancer =
            format!("name = \"balancer\"\nlisten = \"{}\"\nbalance = \"round-robin\"\nsticky = \"none\"\n", nodes[4].1);
        for (name, address) in &nodes[1..4] {
            let _ = write!(balancer, "[[apps]]\nname = \"{name}\"\naddress = \"{address}\"\n");
            let config = format!(
                "name = \"{name}\"\nlisten = \"{address}\"\nstrategy = \"store\"\nreplication = \"synchronous\"\nface = \"shop\"\nstore = \"{}\"\n",
                nodes[0].1
            );
            std::fs::write(folder.path().join(format!("{name}.toml")), config)?;
        }
        let store = format!("listen = \"{}\"\ndurability = \"none\"\n", nodes[0].1);
        std::fs::write(folder.path().join("store.toml"), store)?;
        std::fs::write(folder.path().join("balancer.toml"), balancer)?;
        std::fs::write(folder.path().join("service"), SERVICE)?;
        let system = Self { folder, nodes };
        for (name, address) in &system.nodes {
            system.service("start", name)?;
            wait_until(|| TcpStream::connect(address).is_ok(), name)?;
        }
        Ok(system)
    }

    fn service(&self, action: &str, node: &str) -> Result<(), Failed> {
        let mut command = Command::new("sh");
        let status = command
            .arg(self.folder.path().join("service"))
            .args([action, node])
            .env("STEADFAST", program())
            .status()?;
        check(status.success(), || format!("{action} {node}: {status}"))
    }

    /// The target file, without the commands of one name.
    fn target(&self, without: &str) -> Result<String, Failed> {
        let service = self.folder.path().join("service").display().to_string();
        let commands = |node: &str| {
            let all =
                ["kill", "start", "stop", "pause", "resume", "log"].into_iter().filter(|action| *action != without);
            all.fold(String::new(), |mut text, action| {
                let _ = writeln!(
                    text,
                    "{action} = [\"env\", \"STEADFAST={}\", \"sh\", \"{service}\", \"{action}\", \"{node}\"]",
                    program()
                );
                text
            })
        };
        let mut text = format!(
            "strategy = \"store\"\nshows = \"A shop that runs already.\"\n[attached]\nendpoint = \"{}\"\nready = \"/health\"\n[attached.balancer]\n{}",
            self.nodes[4].1,
            commands("balancer")
        );
        for (name, address) in &self.nodes[1..4] {
            let _ = write!(text, "[[attached.app]]\naddress = \"{address}\"\n{}", commands(name));
        }
        let _ = write!(text, "[[attached.store]]\n{}", commands("store"));
        text.push_str(&SHOP[SHOP.find("[session]").unwrap()..]);
        let file = self.folder.path().join("shop.toml");
        std::fs::write(&file, text)?;
        Ok(file.display().to_string())
    }

    /// Whether a node takes connections.
    fn answers(&self, node: &str) -> bool {
        self.nodes.iter().any(|(name, address)| *name == node && TcpStream::connect(address).is_ok())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (name, _) in &self.nodes {
            let _ = self.service("kill", name);
        }
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_steadfast")
}

fn steadfast(arguments: &[&str]) -> Command {
    let mut command = common::steadfast(arguments);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Result<Output, Failed> {
    Ok(steadfast(arguments).output()?)
}

fn wait_until(holds: impl Fn() -> bool, what: &str) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        check(Instant::now() < deadline, || format!("waited 20 s for {what}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn record_in(folder: &Path) -> String {
    folder.join("record").display().to_string()
}

#[test]
fn a_system_that_runs_already_is_probed_hurt_and_judged_and_runs_on() -> Result<(), Failed> {
    let system = System::start()?;
    let target = system.target("")?;
    let probed = run(&["probe", &target])?;
    check(probed.status.success() && text(&probed).contains("one-history        judged"), || text(&probed))?;
    let folder = tempfile::tempdir()?;
    let record = record_in(folder.path());
    let ran = run(&["run", "quick", "--target", &target, "--scale", "0.4", "-o", &record])?;
    check(ran.status.success(), || text(&ran))?;
    let summary = json(&Path::new(&record).join("summary.json"))?;
    let measured = &summary["targets"][0];
    check(measured["verdict"] == "pass" && measured["runtime"] == "attached", || format!("{measured:#}"))?;
    check(measured["sessions"]["alive_at_fault"].as_u64() >= Some(10), || format!("{:#}", measured["sessions"]))?;
    // Nobody counted bytes and memory: they are absent, not zero.
    check(measured["network_bytes_per_request"] == serde_json::json!({}), || format!("{measured:#}"))?;
    check(measured["memory_bytes_per_node"].is_null(), || format!("{:#}", measured["memory_bytes_per_node"]))?;
    for node in ["app-1", "app-2", "app-3", "balancer"] {
        check(system.answers(node), || format!("{node} does not run any more"))?;
    }
    Ok(())
}

#[test]
fn a_fault_whose_command_is_missing_is_unsupported_and_the_plan_says_so_first() -> Result<(), Failed> {
    let system = System::start()?;
    let target = system.target("start")?;
    let planned = run(&["plan", "quick", "--target", &target])?;
    let words = "this trial will not be made: kill of app-";
    check(text(&planned).contains(words) && text(&planned).contains("has no command `start`"), || text(&planned))?;
    let folder = tempfile::tempdir()?;
    let ran = run(&["run", "quick", "--target", &target, "-o", &record_in(folder.path())])?;
    check(ran.status.code() == Some(4) && text(&ran).contains("has no command `start`"), || {
        format!("{}\n{}", ran.status, text(&ran))
    })
}

#[test]
fn a_node_that_was_killed_is_started_again_if_the_driver_dies_or_is_interrupted() -> Result<(), Failed> {
    let system = System::start()?;
    let target = system.target("")?;
    for signal in ["KILL", "INT"] {
        let folder = tempfile::tempdir()?;
        let mut driver = steadfast(&["run", "quick", "--target", &target, "-o", &record_in(folder.path())]);
        let mut driver = driver.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let is_hurt = || ["app-1", "app-2", "app-3"].iter().any(|node| !system.answers(node));
        wait_until(is_hurt, "the kill of an app node")?;
        let status = Command::new("kill").args([format!("-{signal}"), driver.id().to_string()]).status()?;
        check(status.success(), || format!("the driver had ended: {status}"))?;
        driver.wait()?;
        wait_until(|| !is_hurt(), "the node that was killed, after its driver's end")?;
    }
    Ok(())
}

#[test]
fn a_system_elsewhere_takes_a_word_of_its_owner() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.toml");
    let session = &SHOP[SHOP.find("[session]").unwrap()..];
    let system = "[attached]\nendpoint = \"192.0.2.1:80\"\n[[attached.app]]\n[[attached.app]]\n";
    std::fs::write(&file, format!("strategy = \"store\"\nshows = \"Somebody's shop.\"\n{system}{session}"))?;
    let file = file.display().to_string();
    let run = ["run", "quick", "--target", &file, "--nodes"];
    for (verb, words) in [
        (&["probe", &file][..], "--yes-this-is-my-system"),
        (&[&run[..], &["2"]].concat(), "--yes-this-is-my-system"),
        (&[&run[..], &["3"]].concat(), "lists 2 app nodes"),
    ] {
        let refused = steadfast(verb).output()?;
        check(refused.status.code() == Some(2) && text(&refused).contains(words), || text(&refused))?;
    }
    Ok(())
}

#[test]
fn commands_of_a_target_found_by_its_name_are_not_run_because_another_is_given_by_its_path() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let session = &SHOP[SHOP.find("[session]").unwrap()..];
    let nodes = "[[attached.app]]\nkill = \"true\"\n[[attached.app]]\n";
    let head = "strategy = \"store\"\nshows = \"A shop.\"\n[attached]\nendpoint = \"127.0.0.1:9\"\n";
    std::fs::create_dir(folder.path().join("targets"))?;
    for file in ["targets/found.toml", "given.toml"] {
        std::fs::write(folder.path().join(file), format!("{head}{nodes}{session}"))?;
    }
    let run = ["run", "quick", "--nodes", "2", "--target", "./given.toml", "--target", "found"];
    for verb in [&run[..], &["probe", "found"]] {
        let refused = steadfast(verb).current_dir(folder.path()).output()?;
        let words = "target found runs commands on this machine";
        check(refused.status.code() == Some(2) && text(&refused).contains(words), || text(&refused))?;
    }
    Ok(())
}
