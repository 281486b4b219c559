//! End-to-end tests through the command line, as on a machine without an engine: reference nodes as processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Browser, check, json, runtime, serves_the_contract, targets_of_the_contract, text};
use libtest_mimic::Failed;
use serde_json::Value;

/// The program as on a machine without an engine.
fn steadfast(arguments: &[&str]) -> Command {
    let (verb, rest) = arguments.split_first().unwrap();
    let mut command = common::steadfast(&[verb]);
    if matches!(*verb, "run" | "up" | "selftest") {
        command.args(["--runtime", "process"]);
    }
    command.args(rest).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    command
}

/// The ids of the child processes of a process.
fn children_of(parent: u32) -> BTreeSet<u32> {
    let mut children = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Fields after the name in parentheses: state, parent.
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        if rest.split(' ').nth(1) == Some(parent.to_string().as_str()) {
            children.insert(pid);
        }
    }
    children
}

fn wait_until_gone(processes: &BTreeSet<u32>) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<&u32> = processes.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
        if left.is_empty() {
            return Ok(());
        }
        check(Instant::now() < deadline, || format!("{left:?} are still there"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run in the background, and its standard error.
struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let mut child = steadfast(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    fn of(profile: &str, target: &str, record: &Path) -> Self {
        Self::start(&["run", profile, "--target", target, "-o", record.to_str().unwrap()])
    }

    fn wait_for(&mut self, words: &str) -> Result<(), Failed> {
        for line in self.lines.by_ref() {
            if line?.contains(words) {
                return Ok(());
            }
        }
        Err(format!("it never said {words:?}").into())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

#[test]
fn several_agents_send_one_load_and_each_verdict_is_that_of_one() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let options = ["--agents", "3", "--seed", "1", "-o", record.to_str().unwrap()];
    let output = steadfast(&[["run", "tests/profiles/reference.toml"].as_slice(), &options].concat()).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    check(text(&output).contains("Who sent the load"), || text(&output))?;
    for target in json(&record.join("summary.json"))?["targets"].as_array().unwrap() {
        let agents = target["agents"].as_array().unwrap();
        let started = |agent: &Value| agent["generator"]["started"].as_u64().unwrap();
        let (sum, least) = (agents.iter().map(started).sum::<u64>(), agents.iter().map(started).min());
        check(agents.len() == 3 && least > Some(sum / 6), || format!("{agents:#?}"))?;
        // Clocks of one machine are equal; how exactly that can be told is the bound.
        let apart = |agent: &Value| agent["starts_apart_us"].as_u64().unwrap();
        check(agents.iter().all(|agent| apart(agent) < 10_000), || format!("{agents:#?}"))?;
    }
    Ok(())
}

#[test]
fn an_agent_that_is_gone_is_named_and_the_operations_of_the_others_are_kept() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let mut run = Run::start(&[
        "run",
        "tests/profiles/kill.toml",
        "--target",
        "reference-store",
        "--agents",
        "2",
        "-o",
        record.to_str().unwrap(),
    ]);
    run.wait_for("took effect")?;
    let is_agent =
        |pid: &&u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"agent\0"));
    let agents: Vec<u32> = children_of(run.child.id()).iter().filter(is_agent).copied().collect();
    check(agents.len() == 2, || format!("{agents:?}"))?;
    check(Command::new("kill").args(["-9", &agents[1].to_string()]).status()?.success(), || "kill failed".to_owned())?;
    check(run.child.wait()?.code() == Some(4), || "it has a verdict".to_owned())?;
    let verdict = json(&record.join("trials/01-reference-store/verdict.json"))?;
    let reasons = format!("{verdict:#}");
    check(reasons.contains("there is no history of agent"), || reasons.clone())?;
    let measurements = json(&record.join("trials/01-reference-store/measurements.json"))?;
    check(measurements["operations"]["ok"].as_u64() > Some(50), || format!("{measurements:#}"))
}

#[test]
fn without_an_engine_every_reference_target_gets_its_verdict_and_the_report_says_what_ran() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let output =
        steadfast(&["run", "tests/profiles/reference.toml", "--seed", "1", "-o", record.to_str().unwrap()]).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    check(text(&output).contains("runtime process: as asked for"), || text(&output))?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["runtime"] == "process" && summary["outcome"] == "met", || format!("{summary:#}"))?;
    for target in summary["targets"].as_array().unwrap() {
        let name = target["target"].as_str().unwrap();
        let bytes = |network: &str| target["network_bytes_per_request"][network].as_f64();
        let clustered = ["reference-replicate-all", "reference-primary-backup"].contains(&name);
        check(target["is_reference"] == true, || format!("{target:#}"))?;
        check(bytes("front") > Some(300.0), || format!("{name}: front {:?}", bytes("front")))?;
        check((bytes("cluster") > Some(50.0)) == clustered, || format!("{name}: cluster {:?}", bytes("cluster")))?;
        check((bytes("store") > Some(100.0)) == (name == "reference-store"), || {
            format!("{name}: store {:?}", bytes("store"))
        })?;
        check(target["memory_bytes_per_node"].as_u64() > Some(100_000), || format!("{name}: no memory"))?;
        check(target["cpu_us_per_request"]["app"].as_f64() > Some(1.0), || format!("{name}: no CPU"))?;
    }
    let report = std::fs::read_to_string(record.join("report.md"))?;
    check(report.contains("not the real products"), || report)
}

#[test]
fn without_an_engine_processes_are_used_without_an_option() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    // /run is empty there, so there is no socket.
    let script = "mount -t tmpfs none /run && exec \"$@\"";
    let without_run = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).args(arguments);
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").env_remove("XDG_RUNTIME_DIR");
        command.env("HOME", folder.path());
        command
    };
    if !without_run(&["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not hide /run from a process");
        return Ok(());
    }
    let program = env!("CARGO_BIN_EXE_steadfast");
    let record = record.to_str().unwrap();
    let arguments = [program, "run", "tests/profiles/reference.toml", "--target", "reference-store", "-o", record];
    let output = without_run(&arguments).output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    check(text(&output).contains("runtime process: no Docker engine: there is no sign of one"), || text(&output))?;
    let doctor = without_run(&[program, "doctor"]).output()?;
    check(doctor.status.code() == Some(0) && text(&doctor).contains("no Docker engine"), || text(&doctor))
}

#[test]
fn a_profile_of_real_products_runs_on_stand_ins_only_if_an_option_or_the_profile_allows_it() -> Result<(), Failed> {
    let refused = steadfast(&["run", "strategies"]).output()?;
    check(refused.status.code() == Some(3) && text(&refused).contains("--stand-in"), || text(&refused))?;
    let plan = steadfast(&["plan", "strategies", "--stand-in"]).output()?;
    check(text(&plan).contains("reference-store stands in for tomcat-redis"), || text(&plan))?;
    check(!text(&plan).contains(". tomcat-"), || text(&plan))?;
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let arguments = ["run", "quick", "--target", "tomcat-redis", "--rate", "300", "-o", record.to_str().unwrap()];
    let quick = steadfast(&arguments).output()?;
    check(quick.status.code() == Some(0), || format!("{}\n{}", quick.status, text(&quick)))?;
    check(text(&quick).contains("reference targets stood in: reference-store for tomcat-redis"), || text(&quick))?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["stand_ins"]["tomcat-redis"] == "reference-store", || format!("{summary:#}"))
}

#[test]
fn nothing_is_left_if_the_driver_is_killed_while_a_node_is_paused() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("pause.toml");
    let text = std::fs::read_to_string("tests/profiles/reference.toml")?;
    std::fs::write(&profile, text.replace("fault = \"kill\"", "fault = \"pause\""))?;
    let record = folder.path().join("record");
    let mut run = Run::of(profile.to_str().unwrap(), "reference-store-append-only", &record);
    run.wait_for("took effect")?;
    let children = children_of(run.child.id());
    check(children.len() == 7, || format!("three apps, balancer, store, agent and reaper, but {children:?}"))?;
    let command_of = |child: &u32| std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    let reaper = children.iter().map(command_of).find(|command| command.contains("reaper")).ok_or("no reaper")?;
    let store = reaper.split('\0').rfind(|word| !word.is_empty()).map(std::path::PathBuf::from).ok_or("no folder")?;
    check(store.is_dir(), || format!("{} is not a folder", store.display()))?;
    run.child.kill()?;
    run.child.wait()?;
    wait_until_gone(&children)?;
    check(!store.exists(), || format!("{} is still there", store.display()))
}

#[test]
fn a_node_paused_until_its_peers_drop_it_forgets_its_sessions_and_serves_nothing_old() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("long-pause.toml");
    let text = std::fs::read_to_string("tests/profiles/reference.toml")?;
    let text =
        text.replace("fault = \"kill\"", "fault = \"pause\"").replace("heal_after = \"500ms\"", "heal_after = \"3s\"");
    std::fs::write(&profile, text.replace("duration = \"3s\"", "duration = \"5s\""))?;
    let record = folder.path().join("record");
    let output = steadfast(&["run", profile.to_str().unwrap(), "--seed", "1", "-o", record.to_str().unwrap()])
        .args(["--target", "reference-replicate-all", "--target", "reference-primary-backup"])
        .output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, common::text(&output)))
}

#[test]
fn ctrl_c_ends_a_run_cleanly_and_keeps_what_was_measured() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let mut run = Run::of("tests/profiles/reference.toml", "reference-replicate-all", &record);
    run.wait_for("took effect")?;
    let children = children_of(run.child.id());
    run.signal("-INT");
    let status = run.child.wait()?;
    check(status.code() == Some(130), || status.to_string())?;
    wait_until_gone(&children)?;
    let trial = record.join("trials/01-reference-replicate-all");
    check(trial.join("history.parquet").is_file(), || "the history is missing".to_owned())?;
    check(json(&trial.join("course.json"))?["faults"][0]["injected_ns"].is_u64(), || "the fault is missing".to_owned())
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let run = |name: &str| {
        let record = folder.path().join(name);
        let arguments = ["run", "tests/profiles/reference.toml", "--target", "reference-replicate-all", "-o"];
        steadfast(&arguments).arg(record).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for run in [run("one"), run("two")] {
        let output = run.wait_with_output()?;
        check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    }
    Ok(())
}

/// A profile whose fault is a command that creates the file `done`; healing it creates `undone`.
fn command_profile(folder: &Path) -> String {
    let text = std::fs::read_to_string("tests/profiles/reference.toml").unwrap();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let command = format!(
        "fault = \"command\"\ncommand = [\"touch\", \"{}\"]\nheal_command = [\"touch\", \"{}\"]",
        path("done"),
        path("undone")
    );
    let profile = path("command.toml");
    let text = text.replace("fault = \"kill\"", &command).replace("heal_after = \"500ms\"", "heal_after = \"2s\"");
    std::fs::write(&profile, text).unwrap();
    profile
}

#[test]
fn a_command_is_undone_whatever_ends_the_driver() -> Result<(), Failed> {
    for signal in ["-KILL", "-INT"] {
        let folder = tempfile::tempdir()?;
        let (profile, record) = (command_profile(folder.path()), folder.path().join("record"));
        let mut run = Run::of(&profile, "reference-store", &record);
        run.wait_for("command of")?;
        check(folder.path().join("done").exists() && !folder.path().join("undone").exists(), || "not done".into())?;
        run.signal(signal);
        run.child.wait()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !folder.path().join("undone").exists() {
            check(Instant::now() < deadline, || format!("{signal}: it was not undone"))?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

#[test]
fn commands_of_a_profile_found_by_its_name_need_an_option() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let profile = command_profile(folder.path());
    std::fs::create_dir(folder.path().join("profiles"))?;
    std::fs::rename(&profile, folder.path().join("profiles/mine.toml"))?;
    let refused = steadfast(&["run", "mine", "--target", "reference-store"]).current_dir(folder.path()).output()?;
    check(refused.status.code() == Some(2) && text(&refused).contains("--allow-commands"), || text(&refused))?;
    check(!folder.path().join("done").exists(), || "it was run".into())
}

#[test]
fn a_second_interrupt_ends_a_run_at_once_and_nothing_is_left() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let mut run = Run::of("tests/profiles/reference.toml", "reference-replicate-all", &record);
    run.wait_for("load")?;
    let nodes = children_of(run.child.id());
    let began = Instant::now();
    run.signal("-INT");
    // The first interrupt is announced before it has an effect.
    run.wait_for("once more ends at once")?;
    run.signal("-HUP");
    let status = run.child.wait()?;
    check(began.elapsed() < Duration::from_secs(5), || format!("{:?}", began.elapsed()))?;
    check(matches!(status.code(), Some(129 | 130)), || format!("{status}"))?;
    wait_until_gone(&nodes)?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["interrupted"] == true, || format!("{summary:#}"))?;
    for verb in ["report", "check"] {
        let output = steadfast(&[verb, record.to_str().unwrap()]).output()?;
        check(output.status.code() != Some(2) && output.status.code() != Some(3), || {
            format!("{verb}: {}", text(&output))
        })?;
    }
    Ok(())
}

#[test]
fn a_gate_that_expects_nothing_of_a_target_does_not_pass() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let target = std::fs::read_to_string("targets/reference-store.toml")?;
    std::fs::write(path("mine.toml"), &target)?;
    let profile = std::fs::read_to_string("tests/profiles/reference.toml")?;
    let of = |profile: &str, record: &str| {
        std::fs::write(path("gate.toml"), profile)?;
        steadfast(&["run", &path("gate.toml"), "--target", &path("mine.toml"), "-o", &path(record)]).output()
    };
    let lent = of(&profile, "lent")?;
    check(lent.status.code() == Some(0), || text(&lent))?;
    check(text(&lent).contains("mine is judged by what profile gate expects of reference-store"), || text(&lent))?;
    let none = of(&profile.replace("  \"reference-store\",\n", "").replace(", \"reference-store\"", ""), "none")?;
    check(none.status.code() == Some(4), || text(&none))?;
    check(text(&none).contains("nothing was expected of mine"), || text(&none))?;
    let junit = std::fs::read_to_string(path("none/junit.xml"))?;
    check(junit.contains("<error") && junit.contains("nothing was expected of mine"), || junit)
}

#[test]
fn a_node_that_ends_at_its_start_is_named_with_its_log_and_nothing_is_left() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("storeless.toml");
    let good = std::fs::read_to_string("targets/reference-store.toml")?;
    // An image of one's own, whose needs nobody has stated: the node finds out itself that it has no store.
    let image = folder.path().join("app");
    std::fs::create_dir(&image)?;
    let stated = std::fs::read_to_string("docker/reference-app/image.toml")?;
    std::fs::write(image.join("image.toml"), stated.split("# What a choice needs").next().unwrap())?;
    std::fs::copy("docker/reference-app/node.toml.j2", image.join("node.toml.j2"))?;
    let storeless = good.split("[store]").next().unwrap().replace("\"front\", \"store\"", "\"front\"");
    std::fs::write(&target, storeless.replace("\"reference-app\"", "\"./app\""))?;
    let output = steadfast(&["run", "tests/profiles/reference.toml", "--target", target.to_str().unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-o", folder.path().join("record").to_str().unwrap()])
        .output()?;
    check(output.status.code() == Some(3), || format!("{}\n{}", output.status, text(&output)))?;
    check(text(&output).contains("waiting for app-"), || text(&output))?;
    check(text(&output).contains("this strategy needs `store`"), || text(&output))
}

/// A reference target that is up until this is dropped.
struct Up {
    child: Child,
    printed: String,
}

impl Up {
    fn start(target: &str) -> Result<Self, Failed> {
        let mut child = steadfast(&["up", target]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
            let line = line?;
            if line.contains("until Ctrl-C") {
                return Ok(Self { child, printed });
            }
            printed += &format!("{line}\n");
        }
        Err(format!("{target} did not come up: {printed}").into())
    }

    fn url(&self, node: &str, path: &str) -> String {
        let line = self.printed.lines().find(|line| line.trim().starts_with(node)).unwrap();
        let front = line.split(['\u{20}', ',']).skip_while(|word| *word != "front").nth(1).unwrap();
        format!("http://{front}{path}")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn every_reference_target_serves_the_contract_and_takes_requests_through_its_balancer() -> Result<(), Failed> {
    for target in targets_of_the_contract().iter().filter(|target| target.starts_with("reference-")) {
        let up = Up::start(target)?;
        let of = |error: Failed| format!("{target}: {}", error.message().unwrap_or_default());
        runtime().block_on(serves_the_contract(|path| up.url("app-1", path))).map_err(of)?;
        let through = runtime().block_on(async {
            let mut browser = Browser::new();
            let session = up.url("balancer", "/session");
            browser.ask(reqwest::Method::POST, &session, r#"{"owner":"s1","bytes":10}"#).await
        });
        check(through.map_err(of)?.0 == 200, || format!("{target} through its balancer"))?;
        let children = children_of(up.child.id());
        drop(up);
        wait_until_gone(&children)?;
    }
    Ok(())
}

/// The self-test, and checks of its record: unchanged, changed and damaged.
#[test]
fn each_defect_breaks_its_own_guarantee_and_a_record_is_judged_again_byte_for_byte() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let path = record.to_string_lossy().into_owned();
    let printed = steadfast(&["selftest", "-o", &path]).output()?;
    check(printed.status.success(), || text(&printed))?;
    let trials = std::fs::read_dir(record.join("trials"))?.count();
    // All but the node without a defect and the one whose replies are no contract's.
    check(text(&printed).matches("that alone").count() == trials - 2, || text(&printed))?;

    let judge = || steadfast(&["check", &path]).output();
    let again = judge()?;
    check(again.status.code() == Some(0), || text(&again))?;
    check(text(&again).matches("as recorded, byte for byte").count() == trials, || text(&again))?;

    // A verdict that was changed by hand.
    let trial = |name: &str| record.join("trials").join(name);
    let verdict = std::fs::read_to_string(trial("01-no-defect").join("verdict.json"))?;
    std::fs::write(trial("01-no-defect").join("verdict.json"), verdict.replacen("pass", "violated", 1))?;
    let changed = judge()?;
    check(changed.status.code() == Some(1), || text(&changed))?;
    check(text(&changed).contains("01-no-defect: pass, not what the record says"), || text(&changed))?;

    // Cut, missing or later files are named, and the other trials are still judged.
    let history = trial("02-loses-sessions").join("history.parquet");
    let bytes = std::fs::read(&history)?;
    std::fs::write(&history, &bytes[..bytes.len() / 2])?;
    std::fs::remove_file(trial("03-swaps-sessions").join("samples.json"))?;
    let course = trial("04-stale-reads").join("course.json");
    let newer = std::fs::read_to_string(&course)?.replacen("\"format\": 1", "\"format\": 2", 1);
    std::fs::write(&course, newer)?;
    let refused = judge()?;
    let said = text(&refused);
    check(refused.status.code() == Some(2), || said.clone())?;
    for words in [
        "02-loses-sessions/history.parquet: the history is damaged",
        "03-swaps-sessions/samples.json: No such file",
        "04-stale-reads/course.json: it has format 2; this program reads format 1",
    ] {
        check(said.contains(words), || format!("{words:?} is not in\n{said}"))?;
    }
    check(said.matches("as recorded, byte for byte").count() == trials - 4, || said)?;

    let nothing = steadfast(&["check", &folder.path().to_string_lossy()]).output()?;
    check(nothing.status.code() == Some(2) && text(&nothing).contains("a record?"), || text(&nothing))
}

/// The profile of the other tests with two targets and these keys and expectations.
fn profile_that(folder: &Path, keys: &str, expectations: &str) -> String {
    let text = std::fs::read_to_string("tests/profiles/reference.toml").unwrap();
    let end = text.find("[[expect]]").unwrap();
    let begin = text.find("nodes = 3").unwrap();
    let path = folder.join("mine.toml");
    let targets = "targets = [\"reference-store\", \"reference-replicate-all\"]";
    let text =
        format!("answers = \"Mine?\"\n{targets}\n{keys}\n{}[[expect]]\nthat = [{expectations}]\n", &text[begin..end]);
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_breach_exits_with_1_stops_the_run_if_the_profile_says_so_and_is_in_every_report() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let profile = profile_that(folder.path(), "stop_on_breach = true", "\"sessions.lost > 1000\"");
    let (record, steps) = (folder.path().join("record"), folder.path().join("steps.md"));
    let output = steadfast(&["run", &profile, "--quiet", "-o", record.to_str().unwrap()])
        .env("GITHUB_STEP_SUMMARY", &steps)
        .output()?;
    check(output.status.code() == Some(1), || format!("{}\n{}", output.status, text(&output)))?;
    check(!text(&output).contains("took effect"), || text(&output))?;
    let trials = std::fs::read_dir(record.join("trials"))?.count();
    check(trials == 1, || format!("{trials} trials"))?;
    let read = |file: &str| std::fs::read_to_string(record.join(file));
    check(read("junit.xml")?.contains("<failure message=\"expected sessions.lost &gt; 1000, saw 0\""), || {
        read("junit.xml").unwrap()
    })?;
    check(read("report.html")?.contains("breached"), || "the page".to_owned())?;
    check(read("report.md")? == std::fs::read_to_string(steps)?, || "the job's summary".to_owned())?;
    check(read("intervals.csv")?.lines().count() > 2 && read("metrics.txt")?.ends_with("# EOF\n"), || {
        "series".to_owned()
    })
}

#[test]
fn an_expectation_may_refer_to_a_baseline_and_trials_are_interleaved() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let keys = "trials = 2";
    let profile = profile_that(folder.path(), keys, "\"sessions.lost <= baseline\", \"throughput > 0.5 * baseline\"");
    let refused = steadfast(&["run", &profile]).output()?;
    check(refused.status.code() == Some(2) && text(&refused).contains("needs --baseline RECORD"), || text(&refused))?;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let plain = profile_that(folder.path(), keys, "\"sessions.lost == 0\"");
    let output = steadfast(&["run", &plain, "-o", first.to_str().unwrap()]).output()?;
    check(output.status.code() == Some(0), || text(&output))?;
    let profile = profile_that(folder.path(), keys, "\"sessions.lost <= baseline\", \"throughput > 0.5 * baseline\"");
    let output = steadfast(&["run", &profile, "--baseline", first.to_str().unwrap(), "-o", second.to_str().unwrap()])
        .output()?;
    check(output.status.code() == Some(0), || format!("{}\n{}", output.status, text(&output)))?;
    let summary = json(&second.join("summary.json"))?;
    let figures = summary["targets"][0]["figures"].as_array().ok_or("no figures")?;
    let p99 = figures.iter().find(|figure| figure["metric"] == "response.p99").ok_or("no p99")?;
    check(p99["values"].as_array().is_some_and(|values| values.len() == 2), || p99.to_string())?;
    check(p99["interval"]["low"].as_f64() <= p99["median"].as_f64(), || p99.to_string())?;
    let compared = steadfast(&["compare", first.to_str().unwrap(), second.to_str().unwrap()]).output()?;
    check(compared.status.code() == Some(0), || text(&compared))?;
    check(text(&compared).contains("too few trials to tell"), || text(&compared))
}

#[test]
fn a_terminated_run_exits_with_143_and_its_report_says_so_on_top() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let profile = profile_that(folder.path(), "", "\"sessions.lost == 0\"");
    let mut run = Run::start(&["run", &profile, "-o", record.to_str().unwrap()]);
    run.wait_for("[2/2] reference-replicate-all: load")?;
    run.signal("-TERM");
    let status = run.child.wait()?;
    check(status.code() == Some(143), || status.to_string())?;
    let report = std::fs::read_to_string(record.join("report.md"))?;
    check(report.contains("This run was interrupted"), || report.clone())?;
    check(report.contains("reference-store lost none"), || report.clone())
}

#[test]
fn an_interrupted_run_goes_on_where_it_was_and_keeps_its_trials() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let to = record.to_str().unwrap();
    let profile = profile_that(folder.path(), "", "\"sessions.lost == 0\"");
    let mut run = Run::start(&["run", &profile, "-o", to]);
    run.wait_for("[2/2] reference-replicate-all: load")?;
    run.signal("-TERM");
    check(run.child.wait()?.code() == Some(143), || "not ended by the signal".to_owned())?;
    let first = std::fs::read(record.join("trials/01-reference-store/history.parquet"))?;
    // Another plan is not the same run.
    let other = steadfast(&["run", &profile, "--scale", "0.9", "--resume", to]).output()?;
    check(other.status.code() == Some(2) && text(&other).contains("its plan differs in `trials.0."), || text(&other))?;
    // Another machine is not either.
    let environment = record.join("environment.json");
    let whole = std::fs::read_to_string(&environment)?;
    let cores = json(&environment)?["cores"].as_u64().ok_or("no cores")?;
    std::fs::write(&environment, whole.replace(&format!("\"cores\": {cores}"), "\"cores\": 999"))?;
    let elsewhere = steadfast(&["run", &profile, "--resume", to]).output()?;
    check(elsewhere.status.code() == Some(2), || text(&elsewhere))?;
    check(text(&elsewhere).contains(&format!("another number of cores: 999 and {cores}")), || text(&elsewhere))?;
    std::fs::write(&environment, whole)?;
    let resumed = steadfast(&["run", &profile, "--resume", to]).output()?;
    check(resumed.status.code() == Some(0), || text(&resumed))?;
    check(text(&resumed).contains("1 of 2 trials are kept"), || text(&resumed))?;
    check(!text(&resumed).contains("[1/2] reference-store: load"), || text(&resumed))?;
    check(first == std::fs::read(record.join("trials/01-reference-store/history.parquet"))?, || {
        "made again".to_owned()
    })?;
    let summary = json(&record.join("summary.json"))?;
    check(summary["outcome"] == "met" && summary["targets"].as_array().map(Vec::len) == Some(2), || {
        format!("{summary:#}")
    })?;
    check(!std::fs::read_to_string(record.join("report.md"))?.contains("was interrupted"), || {
        "interrupted".to_owned()
    })?;
    // What is finished has nothing left to do, and says the same.
    let again = steadfast(&["run", &profile, "--resume", to]).output()?;
    check(again.status.code() == Some(0) && text(&again).contains("2 of 2 trials are kept"), || text(&again))?;
    let nothing = steadfast(&["run", &profile, "--resume", folder.path().to_str().unwrap()]).output()?;
    check(nothing.status.code() == Some(2) && text(&nothing).contains("plan.json"), || text(&nothing))
}

#[test]
fn a_report_that_cannot_be_written_is_named_and_the_measurements_are_kept() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let profile = profile_that(folder.path(), "", "\"sessions.lost == 0\"");
    let mut run = Run::start(&["run", &profile, "-o", record.to_str().unwrap()]);
    run.wait_for("[2/2] reference-replicate-all: load")?;
    // The page cannot be written: a folder that is not empty has its path.
    std::fs::create_dir_all(record.join("report.html/in-the-way"))?;
    let told = run.wait_for("report.html: ");
    let status = run.child.wait()?;
    check(told.is_ok() && status.code() == Some(3), || format!("{told:?} {status}"))?;
    check(json(&record.join("summary.json"))?["outcome"] == "met", || "the summary".to_owned())?;
    check(record.join("trials/02-reference-replicate-all/history.parquet").is_file(), || "the history".to_owned())
}
