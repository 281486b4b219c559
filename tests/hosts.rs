//! Several machines, each with its engine: engines of this machine in network namespaces of their own, which the test makes and
//! removes. Where that cannot be done, the tests are ignored and the reason is printed.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

mod common;

use common::{check, json, run_on_an_engine, steadfast, text};

type Test = fn(&Engines) -> Result<(), Failed>;

const TESTS: [(&str, Test); 6] = [
    (
        "engines_join_a_swarm_and_what_keeps_them_apart_is_named",
        engines_join_a_swarm_and_what_keeps_them_apart_is_named,
    ),
    ("a_dead_host_takes_what_was_on_it_and_no_more", a_dead_host_takes_what_was_on_it_and_no_more),
    (
        "two_copies_on_one_host_are_lost_and_on_two_they_are_not",
        two_copies_on_one_host_are_lost_and_on_two_they_are_not,
    ),
    (
        "agents_on_hosts_of_their_own_start_together_and_reach_every_node",
        agents_on_hosts_of_their_own_start_together_and_reach_every_node,
    ),
    ("nothing_is_left_on_any_host_of_a_killed_driver", nothing_is_left_on_any_host_of_a_killed_driver),
    ("what_an_engine_that_died_has_left_is_removed_when_it_is_back", what_an_engine_that_died_has_left_is_removed),
];

/// Engines for all tests, because some seconds go by until they answer; the first one manages the swarm.
static ENGINES: OnceLock<Result<Engines, String>> = OnceLock::new();

fn main() -> ExitCode {
    let with_engines = |test: Test| {
        move || match ENGINES.get_or_init(|| Engines::start(4).map_err(|failed| format!("{failed:?}"))) {
            Ok(engines) => test(engines),
            Err(reason) => Err(reason.into()),
        }
    };
    let tests = TESTS.map(|(name, test)| Trial::test(name, with_engines(test)));
    let code = run_on_an_engine("several hosts", lacks_namespaces, tests);
    if let Some(Ok(engines)) = ENGINES.get() {
        let _ = script("stop", engines.folder.path(), &[]);
    }
    code
}

/// What this machine lacks to play several.
fn lacks_namespaces() -> Option<String> {
    let can = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let name = format!("steadfast-{}", std::process::id());
    if !can("ip", &["netns", "add", &name]) {
        return Some("no network namespace can be made here; it takes root and iproute2".to_owned());
    }
    can("ip", &["netns", "del", &name]);
    (!can("dockerd", &["--version"])).then(|| "there is no dockerd that the test could start".to_owned())
}

/// Engines in namespaces, with their sockets and the file of the hosts.
struct Engines {
    folder: tempfile::TempDir,
    count: usize,
}

impl Engines {
    fn start(count: usize) -> Result<Self, Failed> {
        let engines = Self { folder: tempfile::tempdir()?, count };
        let started = script("start", engines.folder.path(), &[&count.to_string()])?;
        if !started.status.success() {
            let _ = script("stop", engines.folder.path(), &[]);
            return Err(text(&started).into());
        }
        Ok(engines)
    }

    /// The file of the hosts, whose engines have joined, with the images that tests need on the manager: it reaches no network from
    /// which it could build them.
    fn joined(&self, images: &[&str]) -> Result<String, Failed> {
        let hosts = self.file("all.toml", &[])?;
        says(&["hosts", "join", &hosts], 0, "they can run a cluster together")?;
        check(steadfast(&["images", "build"]).output()?.status.success(), || "images build".into())?;
        let all = Command::new("docker").args(["images", "--format", "{{.Repository}}:{{.Tag}}"]).output()?;
        let all = String::from_utf8_lossy(&all.stdout).into_owned();
        let is_wanted =
            |reference: &&str| images.iter().any(|name| reference.starts_with(&format!("steadfast/{name}:")));
        let mut saved =
            Command::new("docker").arg("save").args(all.lines().filter(is_wanted)).stdout(Stdio::piped()).spawn()?;
        let stream = saved.stdout.take().ok_or("no output")?;
        let loaded = self.docker(1, &["load", "--quiet"]).stdin(stream).output()?;
        check(saved.wait()?.success() && loaded.status.success(), || text(&loaded))?;
        Ok(hosts)
    }

    /// A command to one of the engines.
    fn docker(&self, number: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}/{number}/engine.sock", self.folder.path().display())).args(arguments);
        command
    }

    /// What steadfast has on an engine.
    fn left_on(&self, number: usize) -> Result<String, Failed> {
        let mut left = String::new();
        for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
            let found =
                self.docker(number, &[kind, &["--quiet", "--filter", "label=io.steadfast.run"]].concat()).output()?;
            check(found.status.success(), || text(&found))?;
            left.push_str(&String::from_utf8_lossy(&found.stdout));
        }
        Ok(left)
    }

    fn nothing_is_left(&self) -> Result<(), Failed> {
        (1..=self.count).try_for_each(|number| {
            let left = self.left_on(number)?;
            check(left.is_empty(), || format!("on host-{number}: {left}"))
        })
    }

    /// Waits until nothing is left.
    fn wait_until_nothing_is_left(&self) -> Result<(), Failed> {
        let deadline = Instant::now() + Duration::from_secs(90);
        while let Err(left) = self.nothing_is_left() {
            check(Instant::now() < deadline, || format!("{left:?}"))?;
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Starts a run, and waits until it has something on the last host.
    fn started(&self, hosts: &str, target: &str, record: &Path) -> Result<Child, Failed> {
        let mut run = steadfast(&["run", "tests/profiles/host-kill.toml", "--hosts", hosts, "--target", target]);
        let run = run.arg("-o").arg(record).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let deadline = Instant::now() + Duration::from_secs(120);
        // The reaper is there before; a network is there when containers are.
        let is_there = || {
            Ok::<_, Failed>(
                !self.docker(self.count, &["ps", "--quiet", "--filter", "name=app-"]).output()?.stdout.is_empty(),
            )
        };
        while !is_there()? {
            check(Instant::now() < deadline, || "the run has put no node on the last host".into())?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(run)
    }

    /// The file of the hosts, with replacements.
    fn file(&self, name: &str, replaced: &[(&str, &str)]) -> Result<String, Failed> {
        let mut hosts = std::fs::read_to_string(self.folder.path().join("hosts.toml"))?;
        for (from, to) in replaced {
            check(hosts.contains(from), || format!("{from} is not in {hosts}"))?;
            hosts = hosts.replace(from, to);
        }
        let path = self.folder.path().join(name);
        std::fs::write(&path, hosts)?;
        Ok(path.to_string_lossy().into_owned())
    }
}

fn script(what: &str, folder: &Path, more: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new("tests/engines-in-namespaces").arg(what).arg(folder).args(more).output()?)
}

/// Runs the program, and checks its exit code and a part of what it says.
fn says(arguments: &[&str], code: i32, part: &str) -> Result<(), Failed> {
    let output = steadfast(arguments).output()?;
    let is_so = output.status.code() == Some(code) && text(&output).contains(part);
    check(is_so, || {
        format!("{arguments:?} should end with {code} and say `{part}`: {}\n{}", output.status, text(&output))
    })
}

fn engines_join_a_swarm_and_what_keeps_them_apart_is_named(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.file("all.toml", &[])?;
    says(&["doctor", "--hosts", &hosts], 3, "there is no swarm yet: `steadfast hosts join ")?;
    let nowhere = engines.file("nowhere.toml", &[("address = \"10.66.0.11\"", "")])?;
    says(&["hosts", "join", &nowhere], 3, "write `address = \"…\"` below its name, `host-1`")?;
    says(
        &["hosts", "join", &hosts],
        0,
        "host-1 manages a new swarm\nhost-2 has joined\nhost-3 has joined\nhost-4 has joined\n",
    )?;
    says(&["hosts", "join", &hosts], 0, "all are members already\n")?;
    says(&["doctor", "--hosts", &hosts], 0, "they can run a cluster together")?;
    let twice = engines.file("twice.toml", &[("/3/engine.sock", "/2/./engine.sock")])?;
    says(&["doctor", "--hosts", &twice], 3, "host-2 and host-3 are one engine, that of ")?;
    let gone = engines.file("gone.toml", &[("/2/engine.sock", "/9/engine.sock")])?;
    says(&["doctor", "--hosts", &gone], 3, "host-2: connecting to the engine at unix://")?;
    let worker = "name = \"host-2\"\ntags = [\"manager\"]";
    let worker = engines.file("worker.toml", &[("name = \"host-2\"", worker)])?;
    says(&["doctor", "--hosts", &worker], 3, "host-2 is a worker of its swarm, and only managers make networks")
}

const REFERENCE: [&str; 3] = ["root", "base", "toolbox"];

/// Runs targets of the profile on the hosts. Returns what its summary says of each.
fn run(engines: &Engines, hosts: &str, targets: &[&str]) -> Result<Vec<Value>, Failed> {
    let record = tempfile::tempdir()?;
    let record = record.path().join("record");
    let mut run = steadfast(&["run", "tests/profiles/host-kill.toml", "--hosts", hosts]);
    let output = run.args(targets.iter().flat_map(|target| ["--target", target])).arg("-o").arg(&record).output()?;
    let summary = json(&record.join("summary.json")).map_err(|_| text(&output))?;
    let all = summary["targets"].as_array().cloned().unwrap_or_default();
    for target in &all {
        check(target["invalid"].as_array().is_none_or(Vec::is_empty), || format!("{target:#}\n{}", text(&output)))?;
    }
    check(output.status.success() && all.len() == targets.len(), || text(&output))?;
    // A worker forgets a network some moments after its manager has removed it.
    engines.wait_until_nothing_is_left()?;
    Ok(all)
}

/// Lost sessions, and those that were alive at the fault.
fn lost(target: &Value) -> (u64, u64) {
    let sessions = &target["sessions"];
    (sessions["lost"].as_u64().unwrap_or_default(), sessions["alive_at_fault"].as_u64().unwrap_or_default())
}

/// The faults that took effect and were healed.
fn healed(target: &Value) -> Vec<String> {
    let recoveries = target["recoveries"].as_array().into_iter().flatten();
    let healed = recoveries.filter(|recovery| recovery["healed_ms"].is_u64());
    healed.filter_map(|recovery| recovery["fault"].as_str().map(str::to_owned)).collect()
}

fn a_dead_host_takes_what_was_on_it_and_no_more(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&REFERENCE)?;
    let all = run(engines, &hosts, &["reference-sticky-cookie", "reference-store", "reference-client-side"])?;
    // One of three nodes was there, and a third of the sessions on it.
    let (of_sticky, alive) = lost(&all[0]);
    check(alive > 30 && (alive / 10..=alive * 2 / 3).contains(&of_sticky), || format!("{:#}", all[0]["sessions"]))?;
    check(all[0]["hosts"]["host-3"]["nodes"] == serde_json::json!(["app-2"]), || format!("{:#}", all[0]["hosts"]))?;
    check(all[0]["hosts"]["host-1"]["nodes"] == serde_json::json!(["agent"]), || format!("{:#}", all[0]["hosts"]))?;
    check(healed(&all[2]) == ["host-pause", "host-partition"], || format!("{:#}", all[2]["recoveries"]))?;
    check(lost(&all[2]).0 == 0, || format!("{:#}", all[2]["sessions"]))?;
    // Some users do not come back to it before the end.
    let (of_the_store, alive) = lost(&all[1]);
    check(alive > 30 && of_the_store > alive / 2, || format!("{:#}", all[1]["sessions"]))
}

fn two_copies_on_one_host_are_lost_and_on_two_they_are_not(engines: &Engines) -> Result<(), Failed> {
    let apart = engines.joined(&["root", "base", "toolbox", "tomcat", "haproxy"])?;
    let cores = "address = \"10.66.0.12\"";
    let together = engines.file("together.toml", &[(cores, &format!("cores = 4\n{cores}"))])?;
    let packed = format!("placement = \"pack\"\n{}", std::fs::read_to_string(&together)?);
    std::fs::write(&together, packed)?;
    let of_two_hosts = run(engines, &apart, &["tomcat-backup-sticky"])?;
    check(lost(&of_two_hosts[0]).0 == 0 && lost(&of_two_hosts[0]).1 > 30, || {
        format!("{:#}", of_two_hosts[0]["sessions"])
    })?;
    let of_one_host = run(engines, &together, &["tomcat-backup-sticky"])?;
    let placed = &of_one_host[0]["hosts"]["host-2"]["nodes"];
    check(*placed == serde_json::json!(["app-1", "app-2"]), || format!("{placed}"))?;
    let (lost, alive) = lost(&of_one_host[0]);
    check(alive > 30 && lost > 3, || format!("{:#}", of_one_host[0]["sessions"]))
}

fn agents_on_hosts_of_their_own_start_together_and_reach_every_node(engines: &Engines) -> Result<(), Failed> {
    engines.joined(&REFERENCE)?;
    let tagged = |number: u8| format!("name = \"host-{number}\"\ntags = [\"agent\"]");
    let hosts = engines.file("agents.toml", &[("name = \"host-2\"", &tagged(2)), ("name = \"host-3\"", &tagged(3))])?;
    let record = tempfile::tempdir()?;
    let record = record.path().join("record");
    let mut run = steadfast(&["run", "tests/profiles/reference.toml", "--hosts", &hosts, "--agents", "2"]);
    let output = run.args(["--target", "reference-store", "-o"]).arg(&record).output()?;
    check(output.status.success(), || text(&output))?;
    let target = &json(&record.join("summary.json"))?["targets"][0];
    let (agents, placed) = (&target["agents"], &target["hosts"]);
    let nodes = serde_json::json!(["app-1", "app-2", "app-3", "balancer", "store"]);
    check(placed["host-4"]["nodes"] == nodes, || format!("{placed:#}"))?;
    for (agent, host) in [(&agents[0], "host-2"), (&agents[1], "host-3")] {
        let started = agent["generator"]["started"].as_u64();
        check(agent["host"] == host && started > Some(100), || format!("{agents:#}"))?;
        check(agent["starts_apart_us"].as_u64() < Some(10_000), || format!("{agents:#}"))?;
    }
    // A client whose address no node found the way to would get no reply.
    let operations = &target["operations"];
    check(operations["ok"].as_u64() > Some(300), || format!("{operations:#}"))?;
    engines.wait_until_nothing_is_left()
}

fn nothing_is_left_on_any_host_of_a_killed_driver(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&REFERENCE)?;
    let folder = tempfile::tempdir()?;
    let mut driver = engines.started(&hosts, "reference-sticky-cookie", &folder.path().join("record"))?;
    driver.kill()?;
    driver.wait()?;
    engines.wait_until_nothing_is_left()
}

fn what_an_engine_that_died_has_left_is_removed(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&REFERENCE)?;
    let folder = tempfile::tempdir()?;
    let driver = engines.started(&hosts, "reference-sticky-cookie", &folder.path().join("record"))?;
    let killed = script("kill", engines.folder.path(), &[&engines.count.to_string()])?;
    check(killed.status.success(), || text(&killed))?;
    let ended = driver.wait_with_output()?;
    check(ended.status.code() == Some(3), || format!("{}\n{}", ended.status, text(&ended)))?;
    check(text(&ended).contains("host-4: "), || text(&ended))?;
    says(&["clean", "--hosts", &hosts], 3, "when each host is back, run `steadfast clean --hosts ")?;
    let back = script("again", engines.folder.path(), &[&engines.count.to_string()])?;
    check(back.status.success(), || text(&back))?;
    says(&["clean", "--hosts", &hosts], 0, "host-1:\n")?;
    engines.wait_until_nothing_is_left()
}
