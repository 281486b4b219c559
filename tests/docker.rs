//! End-to-end tests on real containers, through the command line. Without an engine, every test is ignored and the
//! reason is printed.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use steadfast::cluster::docker::{Driver, Engine, Leftovers, known_routes};
use steadfast::topology::Subnet;

mod common;

use common::{
    Browser, check, json, nothing_is_left, run_on_an_engine, runtime, serves_the_contract, steadfast,
    targets_of_the_contract, text,
};

type Test = fn() -> Result<(), Failed>;

const TESTS: [(&str, Test); 9] = [
    ("images_are_built_once_and_then_found", images_are_built_once_and_then_found),
    ("every_target_serves_the_contract", every_target_serves_the_contract),
    ("replicas_stand_where_each_strategy_puts_them", replicas_stand_where_each_strategy_puts_them),
    ("a_run_gives_its_verdicts_and_leaves_nothing_behind", a_run_gives_its_verdicts_and_leaves_nothing_behind),
    ("behind_the_real_haproxy_defects_break_their_own_guarantees", defects_break_their_own_guarantees),
    ("each_fault_takes_effect_and_is_undone", each_fault_takes_effect_and_is_undone),
    ("a_fault_that_the_kernel_cannot_do_is_unsupported", a_fault_that_the_kernel_cannot_do_is_unsupported),
    ("nothing_is_left_of_a_driver_that_is_killed_at_any_instant", nothing_is_left_of_a_killed_driver),
    ("ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured", ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured),
];

fn main() -> ExitCode {
    run_on_an_engine("Docker", || None, TESTS.map(|(name, test)| Trial::test(name, test)))
}

fn succeed(arguments: &[&str]) -> Result<String, Failed> {
    let output = steadfast(arguments).output()?;
    check(output.status.success(), || format!("{arguments:?}: {}\n{}", output.status, text(&output)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn images_are_built_once_and_then_found() -> Result<(), Failed> {
    let first = succeed(&["images", "build"])?;
    let again = steadfast(&["images", "build"]).output()?;
    check(String::from_utf8_lossy(&again.stdout) == first, || format!("{first}\nthen\n{}", text(&again)))?;
    check(!text(&again).contains("building"), || text(&again))?;
    let states = succeed(&["images", "list"])?;
    let folders = std::fs::read_dir("docker")?.filter_map(|folder| Some(folder.ok()?.path().join("Dockerfile")));
    check(states.lines().count() == folders.filter(|file| file.is_file()).count(), || states.clone())?;
    check(!states.contains("not built"), || states)
}

/// A target that is up. Dropping it takes all targets down.
struct Up {
    addresses: Vec<(String, String)>,
}

impl Up {
    /// Parses the output of `up`.
    fn of(printed: &str) -> Self {
        let address = |line: &str| {
            let (name, rest) = line.trim().split_once(char::is_whitespace)?;
            let front = rest.split(", ").find_map(|part| part.trim().strip_prefix("front "))?;
            Some((name.to_owned(), front.to_owned()))
        };
        Self { addresses: printed.lines().filter_map(address).collect() }
    }

    fn url(&self, node: &str, path: &str) -> String {
        let address = self.addresses.iter().find(|(name, _)| name == node).map_or("", |(_, address)| address);
        format!("http://{address}{path}")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = steadfast(&["down"]).output();
    }
}

/// Starts targets in parallel, because each mostly waits. Returns each with its output. If one fails, all go down.
fn start_all(targets: &[&str], nodes: &str) -> Result<Vec<(Up, String)>, Failed> {
    let starting = targets.iter().map(|target| {
        let mut up = steadfast(&["up", target, "--nodes", nodes]);
        Ok(up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    });
    let mut all = Vec::new();
    for child in starting.collect::<Result<Vec<_>, Failed>>()? {
        let output = child.wait_with_output()?;
        all.push((Up::of(&String::from_utf8_lossy(&output.stdout)), text(&output)));
    }
    for ((up, printed), target) in all.iter().zip(targets) {
        check(!up.addresses.is_empty(), || format!("{target}: {printed}"))?;
    }
    Ok(all)
}

/// Their next request may find the state before the last one, even on the same node: they are only started here, and the profile
/// `stacks` measures them.
const ANSWER_BEFORE_THEY_SAVE: [&str; 2] = ["jetty-jdbc", "jetty-jdbc-flush"];

fn every_target_serves_the_contract() -> Result<(), Failed> {
    let targets = targets_of_the_contract();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let is_closed = !text(&steadfast(&["doctor"]).output()?).contains("Podman");
    for targets in targets.chunks(4) {
        let all = start_all(targets, "2")?;
        for ((up, printed), target) in all.iter().zip(targets) {
            let (front, behind): (Vec<_>, Vec<_>) = addresses(printed).partition(|(network, _)| network == "front");
            let is_open = |(_, address): &&(String, Ipv4Addr)| is_reached_by_this_machine(*address);
            check(front.iter().all(|address| is_open(&address)), || format!("{target}: {front:?}"))?;
            let open: Vec<_> = behind.iter().filter(is_open).collect();
            check(open.is_empty() || !is_closed, || {
                format!("{target}: {open:?} are open to all users of this machine")
            })?;
            if ANSWER_BEFORE_THEY_SAVE.contains(target) {
                continue;
            }
            runtime()
                .block_on(serves_the_contract(|path| up.url("app-1", path)))
                .map_err(|error| format!("{target}: {}", error.message().unwrap_or_default()))?;
        }
        drop(all);
        nothing_is_left()?;
    }
    Ok(())
}

/// The networks and addresses in the output of `up`.
fn addresses(printed: &str) -> impl Iterator<Item = (String, Ipv4Addr)> {
    let address = |part: &str| {
        let (before, address) = part.trim().rsplit_once(' ')?;
        let network = before.split_whitespace().last()?;
        Some((network.to_owned(), address.split(':').next()?.parse().ok()?))
    };
    printed.lines().flat_map(|line| line.split(", ")).filter_map(address)
}

/// Whether this machine has a route to an address, other than the default route.
fn is_reached_by_this_machine(address: Ipv4Addr) -> bool {
    let address = Subnet { base: address, prefix: 32 };
    known_routes().into_iter().any(|route| route.overlaps(address))
}

/// Expected (primary, backup, proxy) copies of one session on three nodes.
const REPLICAS: [(&str, (u64, u64, u64)); 7] = [
    ("tomcat-delta", (1, 2, 0)),
    ("tomcat-backup", (1, 1, 1)),
    ("tomcat-redis", (0, 0, 0)),
    ("tomcat-none", (1, 0, 0)),
    ("reference-replicate-all", (1, 2, 0)),
    ("reference-primary-backup", (1, 1, 1)),
    ("reference-store", (0, 0, 0)),
];

fn replicas_stand_where_each_strategy_puts_them() -> Result<(), Failed> {
    for targets in REPLICAS.chunks(4) {
        let all = start_all(&targets.iter().map(|(target, _)| *target).collect::<Vec<_>>(), "3")?;
        for ((up, _), (target, expected)) in all.iter().zip(targets) {
            let roles = runtime().block_on(roles_of_a_session(up))?;
            check(roles == *expected, || format!("{target}: {roles:?} instead of {expected:?}"))?;
        }
    }
    Ok(())
}

async fn roles_of_a_session(up: &Up) -> Result<(u64, u64, u64), Failed> {
    let mut browser = Browser::new();
    browser.ask(reqwest::Method::POST, &up.url("app-1", "/session"), r#"{"owner":"s1","bytes":100}"#).await?;
    let mut roles = (0, 0, 0);
    // Without the cookie: a request with it makes the answering node the primary.
    let mut onlooker = Browser::new();
    for node in ["app-1", "app-2", "app-3"] {
        let (_, internals) = onlooker.ask(reqwest::Method::GET, &up.url(node, "/internals"), "").await?;
        let count = |role: &str| internals["sessions"][role].as_u64().ok_or_else(|| format!("{internals}"));
        roles = (roles.0 + count("primary")?, roles.1 + count("backup")?, roles.2 + count("proxy")?);
        check(internals["heap_bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), || format!("{internals}"))?;
    }
    Ok(roles)
}

fn a_run_gives_its_verdicts_and_leaves_nothing_behind() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let output =
        steadfast(&["run", "tests/profiles/kill.toml", "--seed", "1", "-o", &record.to_string_lossy()]).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["schema_version"] == 1 && summary["outcome"] == "met" && summary["seed"] == 1, || {
        format!("{summary:#}")
    })?;
    for target in summary["targets"].as_array().ok_or("no targets")? {
        check_target(target).map_err(|error| format!("{}\n{target:#}", error.message().unwrap_or_default()))?;
    }
    for file in ["plan.json", "environment.json", "report.md"] {
        check(record.join(file).is_file(), || format!("{file} is missing"))?;
    }
    let trial = record.join("trials/03-tomcat-delta");
    for file in [
        "history.parquet",
        "course.json",
        "samples.json",
        "verdict.json",
        "measurements.json",
        "logs/app-1.log",
        "logs/balancer.log",
    ] {
        check(trial.join(file).is_file(), || format!("{file} is missing"))?;
    }
    let fault = &json(&trial.join("course.json"))?["faults"][0];
    check(fault["injected_ns"].as_u64() >= fault["ordered_ns"].as_u64() && fault["healed_ns"].is_u64(), || {
        format!("{fault:#}")
    })?;
    nothing_is_left()
}

fn check_target(target: &Value) -> Result<(), Failed> {
    let name = target["target"].as_str().unwrap_or_default();
    check(target["operations"]["ok"].as_u64() > Some(200), || "too few operations".into())?;
    check(target["response_us"]["p50"].as_u64() > Some(0) && target["service_us"]["p50"].as_u64() > Some(0), || {
        "no latency".into()
    })?;
    let engine = runtime().block_on(Engine::connect())?;
    // Figures that an engine does not have are absent, not zero.
    let tells_memory = engine.facts().control_groups.counts_memory && !engine.facts().is_podman();
    let memory = target["memory_bytes_per_node"].as_u64();
    check(if tells_memory { memory > Some(10_000_000) } else { memory.is_none() }, || format!("{memory:?} of memory"))?;
    check(target["live_heap_bytes_per_node"].as_u64() > Some(1_000_000), || "no heap".into())?;
    let bytes = |network: &str| target["network_bytes_per_request"][network].as_f64();
    check(bytes("front") > Some(300.0), || "no front traffic".into())?;
    check((bytes("cluster") > Some(0.0)) == (name == "tomcat-delta"), || "cluster traffic".into())?;
    check((bytes("store") > Some(0.0)) == name.starts_with("tomcat-redis"), || "store traffic".into())?;
    check(target["skew"].as_f64().is_some_and(|skew| (1.0..1.5).contains(&skew)), || "skew".into())
}

fn defects_break_their_own_guarantees() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    // Only defects that a real balancer affects. All are tested as processes, and on Docker by `make profiles`.
    let defects = ["no-defect", "swaps-sessions", "applies-refused", "revives-sessions", "answers-off-contract"];
    let mut arguments = vec!["selftest", "--runtime", "docker", "-o"];
    let folder_of_it = record.to_string_lossy();
    arguments.push(&folder_of_it);
    arguments.extend(defects.iter().flat_map(|defect| ["--defect", defect]));
    let printed = succeed(&arguments)?;
    check(printed.matches("that alone").count() == 3, || printed.clone())?;
    let plan = json(&record.join("plan.json"))?;
    let balancer = &plan["trials"][1]["target"]["tiers"]["balancer"]["image"]["name"];
    check(balancer == "haproxy", || balancer.to_string())?;
    nothing_is_left()
}

/// The faults that `steadfast doctor` reports as unsupported here.
fn unsupported() -> Result<Vec<String>, Failed> {
    let doctor = succeed(&["doctor"])?;
    let lists = doctor.lines().filter_map(|line| line.split_once("unsupported here: ")?.1.split_once(": "));
    Ok(lists.flat_map(|(kinds, _)| kinds.split(", ").map(str::to_owned)).collect())
}

/// The beginning of a TOML profile, and its faults that are supported here.
fn possible(profile: &str) -> Result<(String, Vec<String>), Failed> {
    let unsupported = unsupported()?;
    let mut parts = profile.split("[[faults]]").map(str::to_owned);
    let beginning = parts.next().unwrap_or_default();
    let is_possible = |fault: &String| !unsupported.iter().any(|kind| fault.contains(&format!("fault = \"{kind}\"\n")));
    Ok((beginning, parts.filter(is_possible).collect()))
}

/// Writes the profile of all supported faults to a file. Returns the file and these faults.
fn possible_faults(folder: &Path) -> Result<(PathBuf, Vec<String>), Failed> {
    let profile = folder.join("faults.toml");
    let (beginning, faults) = possible(&std::fs::read_to_string("tests/profiles/faults.toml")?)?;
    std::fs::write(&profile, format!("{beginning}[[faults]]{}", faults.join("[[faults]]")))?;
    Ok((profile, faults))
}

fn each_fault_takes_effect_and_is_undone() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let (profile, faults) = possible_faults(folder.path())?;
    let count_of = |target: &str| {
        faults.iter().filter(|fault| !fault.contains("\ntargets =") || fault.contains(&format!("\"{target}\""))).count()
    };
    let output = steadfast(&["run", &profile.to_string_lossy(), "-o", &record.to_string_lossy()]).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    // Evidence that each fault must have.
    let proofs = [
        ("partition", "cannot be reached"),
        ("partition", "the kernel has caught"),
        ("loss", "the kernel has caught"),
        ("reject", "cannot be reached"),
        ("unplug", "is down"),
        ("unplug", "silent"),
        ("rate", "packets had to wait"),
        ("cpu", "it has 0.2 cores"),
        ("command", "exited with 0"),
        ("kill-process", "Connection refused"),
        ("memory", "it ran out of memory"),
        ("clear", "made anew, with an empty disk"),
        ("restart", "started again and ready"),
        ("pause", "the runtime says that it is paused"),
        ("rolling-restart", "app-3 had ended after"),
        ("upgrade", "app-3 was configured anew"),
        ("upgrade", "app-3 was configured as before"),
        ("join", "the balancer sends it requests"),
        ("leave", "the balancer reports it as drained"),
        ("drain", "the balancer reports it as drained"),
        ("drain", "the balancer sends it requests"),
    ];
    for (trial, target) in
        [("01-tomcat-redis", "tomcat-redis"), ("02-reference-replicate-all", "reference-replicate-all")]
    {
        let count = count_of(target);
        let course = json(&record.join(format!("trials/{trial}/course.json")))?;
        let faults = course["faults"].as_array().ok_or("no faults")?;
        check(faults.len() == count, || format!("{faults:#?}"))?;
        for fault in faults {
            // The reason comes last, so that the end of a log shows it.
            let reason = || format!("{trial}: {fault:#}\n{}: {}", fault["kind"], fault["error"]);
            check(fault["healed_ns"].is_u64() && fault["error"].is_null(), reason)?;
            let seen: Vec<&str> =
                fault["steps"].as_array().into_iter().flatten().filter_map(|step| step["seen"].as_str()).collect();
            for (_, proof) in proofs.iter().filter(|(kind, _)| fault["kind"] == *kind) {
                check(seen.iter().any(|seen| seen.contains(proof)), || format!("{trial}: no `{proof}` in {fault:#}"))?;
            }
        }
        let journal = std::fs::read_to_string(record.join(format!("trials/{trial}/journal.jsonl")))?;
        check(journal.lines().count() >= count * 4, || journal)?;
    }
    nothing_is_left()
}

fn a_fault_that_the_kernel_cannot_do_is_unsupported() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("delay.toml");
    let kill = std::fs::read_to_string("tests/profiles/kill.toml")?;
    let delay = kill.replace("fault = \"kill\"", "fault = \"delay\"\ndelay = \"50ms\"");
    std::fs::write(&profile, &delay)?;
    let run = |record: &str| {
        let record = folder.path().join(record);
        let arguments =
            ["run", &profile.to_string_lossy(), "--target", "tomcat-redis", "-o", &record.to_string_lossy()];
        steadfast(&arguments).output().map(|output| (output.status.code(), text(&output)))
    };
    let unsupported = unsupported()?;
    let (code, printed) = run("strict")?;
    if !unsupported.contains(&"delay".to_owned()) {
        // This kernel has netem, so the fault works.
        return check(code == Some(0), || printed);
    }
    let netem = ["delay", "reorder", "corrupt"].map(str::to_owned);
    check(netem.iter().all(|kind| unsupported.contains(kind)), || format!("{unsupported:?}"))?;
    check(code == Some(4) && printed.contains("delay is unsupported: the kernel"), || format!("{code:?} {printed}"))?;
    std::fs::write(&profile, format!("allow_unsupported = true\n{delay}"))?;
    let (code, printed) = run("lenient")?;
    check(code == Some(0), || format!("{code:?} {printed}"))?;
    nothing_is_left()
}

/// A driver that is killed some time after it has created something in the engine.
struct Doomed {
    process: Child,
    label: String,
    after: Duration,
    kill_at: Option<Instant>,
}

impl Doomed {
    /// Kills it if it is time. Returns whether it has been killed.
    fn killed(&mut self, engine: &Engine) -> Result<bool, Failed> {
        match self.kill_at {
            None => {
                let of_it = runtime().block_on(Leftovers::find(engine, Some(&self.label)))?;
                if !of_it.is_empty() {
                    self.kill_at = Some(Instant::now() + self.after);
                }
                check(self.process.try_wait()?.is_none(), || format!("{} ended before it was killed", self.label))?;
                Ok(false)
            }
            Some(instant) if Instant::now() < instant => Ok(false),
            Some(_) => {
                self.process.kill()?;
                self.process.wait()?;
                Ok(true)
            }
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn nothing_is_left_of_a_killed_driver() -> Result<(), Failed> {
    // Several at a time, to save time; small nodes, so that many fit.
    const AT_ONCE: u64 = 5;
    // A driver that builds images first creates nothing for minutes.
    succeed(&["images", "build"])?;
    let engine = runtime().block_on(Engine::connect())?;
    let folder = tempfile::tempdir()?;
    let profile = possible_faults(folder.path())?.0;
    for round in 0..4u64 {
        let drivers = (0..AT_ONCE).map(|number| {
            let record = folder.path().join(format!("{round}-{number}"));
            let mut driver = steadfast(&["run", &profile.to_string_lossy(), "--target", "reference-replicate-all"]);
            let driver = driver.args(["-o", &record.to_string_lossy()]).stdout(Stdio::null()).stderr(Stdio::null());
            let process = driver.spawn()?;
            // Between the first object and the faults, each at another instant.
            let after = (round * AT_ONCE + number) * 401 + u64::from(std::process::id() % 97);
            let label = Driver::of(process.id()).label();
            Ok(Doomed { process, label, after: Duration::from_millis(after), kill_at: None })
        });
        let mut drivers = drivers.collect::<Result<Vec<_>, Failed>>()?;
        let deadline = Instant::now() + Duration::from_secs(90);
        while !drivers.is_empty() {
            check(Instant::now() < deadline, || format!("{} drivers created nothing", drivers.len()))?;
            for index in (0..drivers.len()).rev() {
                if drivers[index].killed(&engine)? {
                    drivers.remove(index);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(left) = nothing_is_left() {
        if Instant::now() > deadline {
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let mut run = steadfast(&[
        "run",
        "tests/profiles/kill.toml",
        "--target",
        "tomcat-sticky-cookie",
        "-o",
        &record.to_string_lossy(),
    ])
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()?;
    let lines = BufReader::new(run.stderr.take().ok_or("no output")?).lines();
    let mut seen = Vec::new();
    for line in lines {
        let line = line?;
        if line.contains("took effect") {
            Command::new("kill").args(["-INT", &run.id().to_string()]).status()?;
        }
        seen.push(line);
    }
    let status = run.wait()?;
    check(status.code() == Some(130), || format!("{status}\n{}", seen.join("\n")))?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["interrupted"] == true && summary["outcome"] == "no-verdict", || format!("{summary:#}"))?;
    check(record.join("trials/01-tomcat-sticky-cookie/history.parquet").is_file(), || "the history is missing".into())?;
    let fault = &json(&record.join("trials/01-tomcat-sticky-cookie/course.json"))?["faults"][0];
    check(fault["injected_ns"].is_u64() && fault["healed_ns"].is_null(), || format!("{fault:#}"))?;
    nothing_is_left()
}
