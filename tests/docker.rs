//! The whole path on real containers, through the command line, as its user meets it. Without an engine
//! every test here is counted as ignored, and the reason is printed.

#![expect(clippy::print_stderr, reason = "a test that cannot go on has failed, and says why")]

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use steadfast::cluster::docker::{Engine, Leftovers};

mod common;

use common::{Browser, check, json, runtime, serves_the_contract, steadfast, text};

type Test = fn() -> Result<(), Failed>;

const TESTS: [(&str, Test); 10] = [
    ("images_are_built_once_and_then_found", images_are_built_once_and_then_found),
    ("every_target_serves_the_contract", every_target_serves_the_contract),
    ("replicas_stand_where_each_strategy_puts_them", replicas_stand_where_each_strategy_puts_them),
    ("a_run_gives_its_verdicts_and_leaves_nothing_behind", a_run_gives_its_verdicts_and_leaves_nothing_behind),
    ("a_cluster_that_cannot_be_made_is_told_and_leaves_nothing_behind", a_cluster_that_cannot_be_made_leaves_nothing),
    ("behind_the_real_haproxy_each_defect_breaks_its_own_guarantee", each_defect_breaks_its_own_guarantee),
    ("each_fault_takes_effect_and_is_undone", each_fault_takes_effect_and_is_undone),
    ("a_fault_that_the_kernel_cannot_do_is_unsupported", a_fault_that_the_kernel_cannot_do_is_unsupported),
    ("nothing_is_left_of_a_driver_that_is_killed_at_any_instant", nothing_is_left_of_a_killed_driver),
    ("ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured", ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They would disturb each other's timing.
    arguments.test_threads = Some(1);
    let reason = runtime().block_on(Engine::connect()).err().map(|error| error.to_string());
    if let Some(reason) = &reason {
        eprintln!("the tests on Docker are skipped: {reason}");
    }
    let trials = TESTS.map(|(name, test)| Trial::test(name, test).with_ignored_flag(reason.is_some()));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn succeed(arguments: &[&str]) -> Result<String, Failed> {
    let output = steadfast(arguments).output()?;
    check(output.status.success(), || format!("{arguments:?}: {}\n{}", output.status, text(&output)))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn nothing_is_left() -> Result<(), Failed> {
    let leftovers = runtime().block_on(async { Leftovers::find(&Engine::connect().await?, None).await })?;
    check(leftovers.is_empty(), || format!("{leftovers:?}"))
}

fn images_are_built_once_and_then_found() -> Result<(), Failed> {
    let first = succeed(&["images", "build"])?;
    let again = steadfast(&["images", "build"]).output()?;
    check(String::from_utf8_lossy(&again.stdout) == first, || format!("{first}\nthen\n{}", text(&again)))?;
    check(!text(&again).contains("building"), || text(&again))?;
    let states = succeed(&["images", "list"])?;
    check(states.lines().count() == 9 && !states.contains("not built"), || states)
}

/// A target that is up, and goes down again whatever happens.
struct Up {
    addresses: Vec<(String, String)>,
}

impl Up {
    fn start(target: &str, nodes: &str) -> Result<Self, Failed> {
        let printed = succeed(&["up", target, "--nodes", nodes])?;
        let address = |line: &str| {
            let (name, rest) = line.trim().split_once(char::is_whitespace)?;
            let front = rest.split(", ").find_map(|part| part.trim().strip_prefix("front "))?;
            Some((name.to_owned(), front.to_owned()))
        };
        Ok(Self { addresses: printed.lines().filter_map(address).collect() })
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

fn every_target_serves_the_contract() -> Result<(), Failed> {
    let targets = steadfast::files::names(steadfast::files::Kind::Target);
    for target in targets {
        let up = Up::start(&target, "2")?;
        runtime()
            .block_on(serves_the_contract(|path| up.url("app-1", path)))
            .map_err(|error| format!("{target}: {}", error.message().unwrap_or_default()))?;
        drop(up);
        nothing_is_left()?;
    }
    Ok(())
}

fn replicas_stand_where_each_strategy_puts_them() -> Result<(), Failed> {
    // (primary, backup, proxy) over three nodes, for one session.
    for (target, expected) in [
        ("tomcat-delta", (1, 2, 0)),
        ("tomcat-backup", (1, 1, 1)),
        ("tomcat-redis", (0, 0, 0)),
        ("tomcat-none", (1, 0, 0)),
        ("reference-replicate-all", (1, 2, 0)),
        ("reference-primary-backup", (1, 1, 1)),
        ("reference-store", (0, 0, 0)),
    ] {
        let up = Up::start(target, "3")?;
        let roles = runtime().block_on(async {
            let mut browser = Browser::new();
            browser.ask(reqwest::Method::POST, &up.url("app-1", "/session"), r#"{"owner":"s1","bytes":100}"#).await?;
            let mut roles = (0, 0, 0);
            // Without the cookie: a request that carries it would make the node that answers the primary.
            let mut onlooker = Browser::new();
            for node in ["app-1", "app-2", "app-3"] {
                let (_, internals) = onlooker.ask(reqwest::Method::GET, &up.url(node, "/internals"), "").await?;
                let count = |role: &str| internals["sessions"][role].as_u64().ok_or_else(|| format!("{internals}"));
                roles = (roles.0 + count("primary")?, roles.1 + count("backup")?, roles.2 + count("proxy")?);
                check(internals["heap_bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), || format!("{internals}"))?;
            }
            Ok::<_, Failed>(roles)
        })?;
        check(roles == expected, || format!("{target}: {roles:?} instead of {expected:?}"))?;
    }
    Ok(())
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
    check(target["memory_bytes_per_node"].as_u64() > Some(10_000_000), || "no memory".into())?;
    check(target["live_heap_bytes_per_node"].as_u64() > Some(1_000_000), || "no heap".into())?;
    let bytes = |network: &str| target["network_bytes_per_request"][network].as_f64();
    check(bytes("front") > Some(300.0), || "no front traffic".into())?;
    check((bytes("cluster") > Some(0.0)) == (name == "tomcat-delta"), || "cluster traffic".into())?;
    check((bytes("store") > Some(0.0)) == name.starts_with("tomcat-redis"), || "store traffic".into())?;
    check(target["skew"].as_f64().is_some_and(|skew| (1.0..1.5).contains(&skew)), || "skew".into())
}

fn a_cluster_that_cannot_be_made_leaves_nothing() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (record, profile) = (folder.path().join("record"), folder.path().join("cores.toml"));
    let kill = std::fs::read_to_string("tests/profiles/kill.toml")?;
    std::fs::write(&profile, format!("{kill}\n[cpuset]\ntarget = \"1023\"\n"))?;
    let output = steadfast(&["run", &profile.to_string_lossy(), "-o", &record.to_string_lossy()]).output()?;
    check(output.status.code() == Some(3) && text(&output).contains("1023"), || text(&output))?;
    nothing_is_left()
}

fn each_defect_breaks_its_own_guarantee() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let printed = succeed(&["selftest", "--runtime", "docker", "-o", &record.to_string_lossy()])?;
    check(printed.matches("it, and nothing else").count() == 9, || printed.clone())?;
    let plan = json(&record.join("plan.json"))?;
    let balancer = &plan["trials"][1]["target"]["tiers"]["balancer"]["image"]["name"];
    check(balancer == "haproxy", || balancer.to_string())?;
    nothing_is_left()
}

fn each_fault_takes_effect_and_is_undone() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let output = steadfast(&["run", "tests/profiles/faults.toml", "-o", &record.to_string_lossy()]).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    // What the kernel or the engine must have said of each.
    let proofs = [
        ("partition", "cannot be reached"),
        ("partition", "the kernel has caught"),
        ("loss", "the kernel has caught"),
        ("reject", "cannot be reached"),
        ("rate", "packets had to wait"),
        ("cpu", "it has 0.2 cores"),
        ("command", "exited with 0"),
        ("kill-process", "Connection refused"),
        ("memory", "it ran out of memory"),
        ("clear", "made anew, with an empty disk"),
        ("restart", "started again and ready"),
        ("pause", "the runtime says that it stands still"),
        ("rolling-restart", "app-3 had ended after"),
        ("join", "the balancer sends it requests"),
        ("leave", "the balancer sends it nothing new"),
    ];
    for (trial, count) in [("01-tomcat-redis", 14), ("02-reference-replicate-all", 10)] {
        let course = json(&record.join(format!("trials/{trial}/course.json")))?;
        let faults = course["faults"].as_array().ok_or("no faults")?;
        check(faults.len() == count, || format!("{faults:#?}"))?;
        for fault in faults {
            check(fault["healed_ns"].is_u64() && fault["error"].is_null(), || format!("{trial}: {fault:#}"))?;
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
    let doctor = text(&steadfast(&["doctor"]).output()?);
    let (code, printed) = run("strict")?;
    if doctor.contains("faults that can be done") && !doctor.contains("unsupported here: delay") {
        // A kernel with netem: then it is done.
        return check(code == Some(0), || printed);
    }
    check(doctor.contains("unsupported here: delay, reorder, corrupt"), || doctor)?;
    check(code == Some(4) && printed.contains("delay is unsupported: the kernel"), || format!("{code:?} {printed}"))?;
    std::fs::write(&profile, format!("allow_unsupported = true\n{delay}"))?;
    let (code, printed) = run("lenient")?;
    check(code == Some(0), || format!("{code:?} {printed}"))?;
    nothing_is_left()
}

fn nothing_is_left_of_a_killed_driver() -> Result<(), Failed> {
    // Several at a time, so that it does not take long; small nodes, so that many are there at once.
    const AT_ONCE: u64 = 5;
    let folder = tempfile::tempdir()?;
    let mut had_something = 0;
    for round in 0..4u64 {
        let mut drivers = Vec::new();
        for number in 0..AT_ONCE {
            let record = folder.path().join(format!("{round}-{number}"));
            let arguments = [
                "run",
                "tests/profiles/faults.toml",
                "--target",
                "reference-replicate-all",
                "-o",
                &record.to_string_lossy(),
            ];
            let driver = steadfast(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            // Anywhere between the first container and the faults, and not the same in each round.
            let instant =
                Duration::from_millis(200 + (round * AT_ONCE + number) * 401 + u64::from(std::process::id() % 97));
            drivers.push((driver, Instant::now() + instant));
        }
        for (mut driver, instant) in drivers {
            std::thread::sleep(instant.saturating_duration_since(Instant::now()));
            had_something += u32::from(nothing_is_left().is_err());
            driver.kill()?;
            driver.wait()?;
        }
    }
    check(had_something >= 15, || format!("only {had_something} of 20 had started anything"))?;
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
