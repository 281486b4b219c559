//! Several machines, each with its engine: engines of this machine in network namespaces of their own, which the test makes and
//! removes. Where that cannot be done, the tests are ignored and the reason is printed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

mod common;

use common::{check, json, run_on_an_engine, steadfast, text};

type Test = fn(&Engines) -> Result<(), Failed>;

const TESTS: [(&str, Test); 10] = [
    (
        "engines_join_a_swarm_and_what_keeps_them_apart_is_named",
        engines_join_a_swarm_and_what_keeps_them_apart_is_named,
    ),
    (
        "packets_that_get_lost_between_hosts_are_named_with_what_mends_it",
        packets_that_get_lost_between_hosts_are_named_with_what_mends_it,
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
    ("quick_with_tomcat_is_dealt_out_to_hosts", quick_with_tomcat_is_dealt_out_to_hosts),
    ("what_is_up_on_hosts_answers_there_until_it_is_taken_down", what_is_up_on_hosts_answers_there),
    ("agents_on_several_hosts_ask_what_runs_already", agents_on_several_hosts_ask_what_runs_already),
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

    /// The file of a profile with these faults.
    fn profile(&self, faults: &str) -> Result<String, Failed> {
        let path = self.folder.path().join("profile.toml");
        std::fs::write(&path, format!("{CALM}{faults}"))?;
        Ok(path.to_string_lossy().into_owned())
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

fn packets_that_get_lost_between_hosts_are_named_with_what_mends_it(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&REFERENCE)?;
    let tried = |file: &str, code, part: &str| says(&["doctor", "--hosts", file, "--overlay"], code, part);
    tried(&hosts, 0, "packets of up to 1450 bytes pass between each two of them")?;
    // The swarm itself talks at other ports, and finds nothing wrong.
    let filtered = |change: &str, filter: &[&str]| {
        let words = ["3", "iptables", change, "INPUT", "-p", "udp", "--dport", "4789"];
        let done = script("in", engines.folder.path(), &[&words, filter, &["-j", "DROP"]].concat())?;
        check(done.status.success(), || text(&done))
    };
    filtered("-A", &[])?;
    let silent = tried(&hosts, 3, "host-2 gets no answer from host-3 on a network in common: open port 4789 (UDP)");
    filtered("-D", &[])?;
    silent?;
    let large = ["-m", "length", "--length", "1401:65535"];
    filtered("-A", &large)?;
    let lost = tried(&hosts, 3, "of host-4's packets to host-3 those of more than 1350 bytes get lost");
    let smaller = engines
        .file("smaller.toml", &[("[[hosts]]\nname = \"host-1\"", "mtu = 1350\n[[hosts]]\nname = \"host-1\"")])?;
    let mended = tried(&smaller, 0, "packets of up to 1350 bytes pass between each two of them");
    filtered("-D", &large)?;
    lost?;
    mended?;
    engines.nothing_is_left()
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
    // Each request to the store crosses to its host.
    let links = all[1]["links"].as_array().cloned().unwrap_or_default();
    let of_links: f64 = links.iter().filter_map(|link| link["bytes_per_request"].as_f64()).sum();
    let bytes = |network: &str| all[1]["network_bytes_per_request"][network].as_f64().unwrap_or_default();
    let of_networks = bytes("front") + bytes("store");
    check(of_links > of_networks * 0.5 && of_links < of_networks * 1.1, || format!("{of_networks} {links:#?}"))?;
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
    // The cable of the balancer is pulled: after that it must know the way to both agents' clients again.
    let unplug = "[[faults]]\nfault = \"unplug\"\nnode = \"balancer\"\nat = \"3s\"\nheal_after = \"1s\"\n";
    let run = ["run", &engines.profile(unplug)?, "--hosts", &hosts, "--agents", "2", "-o"];
    let output = steadfast(&run).arg(&record).output()?;
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
    // Clients are on two hosts, and everything else on a third one; what a user sends comes from its agent's host.
    let link = |from: &str, to: &str| {
        let links = target["links"].as_array().into_iter().flatten();
        links
            .filter(|link| link["from"] == from && link["to"] == to)
            .find_map(|link| link["bytes_per_request"].as_f64())
    };
    let (sent, received) = (link("host-2", "host-4"), link("host-4", "host-3"));
    check(sent > Some(100.0) && received > Some(100.0), || format!("{:#}", target["links"]))?;
    let front = target["network_bytes_per_request"]["front"].as_f64().unwrap_or_default();
    check(sent < Some(front) && received < Some(front), || format!("{front} {:#}", target["links"]))?;
    // A client whose address no node found the way to would get no reply.
    let operations = &target["operations"];
    check(operations["ok"].as_u64() > Some(500) && target["verdict"] == "pass", || format!("{target:#}"))?;
    check(healed(target) == ["unplug"], || format!("{:#}", target["recoveries"]))?;
    engines.wait_until_nothing_is_left()
}

/// A node that runs already in the network of one of the hosts, until this is dropped.
struct There(Child);

impl There {
    /// `config` is the node's; it takes connections at `address` when this returns.
    fn start(engines: &Engines, host: usize, tier: &str, config: &str, address: &str) -> Result<Self, Failed> {
        let file = engines.folder.path().join(format!("{tier}.toml"));
        std::fs::write(&file, config)?;
        let pid = std::fs::read_to_string(engines.folder.path().join(host.to_string()).join("pid"))?;
        let within = ["--net", "--target", pid.trim(), "--"];
        let node = Command::new("nsenter")
            .args(within)
            .arg(env!("CARGO_BIN_EXE_steadfast"))
            .args(["node", tier, "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let (ip, port) = address.split_once(':').ok_or("no port")?;
        let asks = format!("exec 3<>/dev/tcp/{ip}/{port}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !Command::new("nsenter").args(within).args(["bash", "-c", &asks]).output()?.status.success() {
            check(Instant::now() < deadline, || format!("{tier} does not answer at {address}"))?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self(node))
    }
}

impl Drop for There {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quick_with_tomcat_is_dealt_out_to_hosts(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&["root", "base", "toolbox", "tomcat", "haproxy", "redis"])?;
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let targets = ["--target", "tomcat-sticky-cookie", "--target", "tomcat-redis"];
    let mut run = steadfast(&["run", "quick", "--hosts", &hosts, "--scale", "0.5", "--no-progress", "-o"]);
    let output = run.arg(&record).args(targets).output()?;
    let summary = json(&record.join("summary.json")).map_err(|_| text(&output))?;
    for (at, (target, loses)) in [("tomcat-sticky-cookie", true), ("tomcat-redis", false)].into_iter().enumerate() {
        let of_target = &summary["targets"][at];
        check(of_target["target"] == target, || format!("{of_target:#}"))?;
        let (lost, alive) = lost(of_target);
        check(alive > 20 && (lost > 0) == loses, || format!("{target}: {lost} of {alive}\n{}", text(&output)))?;
        let used: BTreeSet<&str> =
            of_target["hosts"].as_object().into_iter().flatten().map(|(host, _)| host.as_str()).collect();
        check(used.len() == engines.count, || format!("{target}: {used:?}\n{:#}", of_target["hosts"]))?;
    }
    engines.wait_until_nothing_is_left()
}

fn what_is_up_on_hosts_answers_there(engines: &Engines) -> Result<(), Failed> {
    let hosts = engines.joined(&REFERENCE)?;
    says(&["probe", "reference-store", "--hosts", &hosts], 0, "Each app node answers as it should")?;
    engines.wait_until_nothing_is_left()?;
    let up = steadfast(&["up", "reference-store", "--hosts", &hosts]).output()?;
    let said = text(&up);
    check(up.status.success() && said.contains("`steadfast down --hosts "), || said.clone())?;
    let line = said.lines().find(|line| line.trim_start().starts_with("balancer ")).ok_or("no balancer")?;
    let address = line.split("front ").nth(1).and_then(|rest| rest.split(',').next()).ok_or("no address")?;
    let (host, port) = address.split_once(':').ok_or("no port")?;
    // As it says: from a container on the front network, on a host that has no node of this network but its own.
    let network = said.split("docker run --network ").nth(1).and_then(|rest| rest.split('`').next()).ok_or("none")?;
    let toolbox =
        engines.docker(2, &["images", "--format", "{{.Repository}}:{{.Tag}}", "steadfast/toolbox"]).output()?;
    let toolbox = String::from_utf8_lossy(&toolbox.stdout).lines().next().ok_or("no toolbox")?.to_owned();
    let ask = format!("exec 3<>/dev/tcp/{host}/{port}; printf 'GET /session HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let asked = engines.docker(2, &["run", "--rm", "--network", network, &toolbox, "bash", "-c", &ask]).output()?;
    check(text(&asked).contains("unknown-session"), || text(&asked))?;
    says(&["down", "--hosts", &hosts], 0, "removed ")?;
    engines.wait_until_nothing_is_left()
}

fn agents_on_several_hosts_ask_what_runs_already(engines: &Engines) -> Result<(), Failed> {
    engines.joined(&REFERENCE)?;
    let app = "name = \"app-1\"\nlisten = \"10.66.0.14:8001\"\nstrategy = \"local\"\nreplication = \"synchronous\"\nface = \"shop\"\n";
    let balancer = "name = \"balancer\"\nlisten = \"10.66.0.14:8000\"\nbalance = \"round-robin\"\nsticky = \"none\"\n\
        [[apps]]\nname = \"app-1\"\naddress = \"10.66.0.14:8001\"\n";
    let _app = There::start(engines, 4, "app", app, "10.66.0.14:8001")?;
    let _balancer = There::start(engines, 4, "balancer", balancer, "10.66.0.14:8000")?;
    let tagged = |number: u8| format!("name = \"host-{number}\"\ntags = [\"agent\"]");
    let hosts =
        engines.file("attached.toml", &[("name = \"host-2\"", &tagged(2)), ("name = \"host-3\"", &tagged(3))])?;
    let shop = include_str!("../targets/reference-shop.toml");
    let session = shop.split_once("[session]").ok_or("no mapping")?.1;
    let target = |endpoint: &str| {
        let attached =
            format!("[attached]\nendpoint = \"{endpoint}\"\nready = \"/health\"\n{}", "[[attached.app]]\n".repeat(2));
        format!("strategy = \"store\"\nshows = \"A shop that runs already.\"\n{attached}[session]{session}")
    };
    let file = engines.folder.path().join("shop.toml");
    std::fs::write(&file, target("10.66.0.14:8000"))?;
    let file = file.to_string_lossy();
    let record = tempfile::tempdir()?;
    let record = record.path().join("record");
    let run = ["run", &engines.profile("")?, "--target", &file, "--nodes", "2", "--hosts", &hosts, "--agents", "2"];
    let output = steadfast(&run).arg("-o").arg(&record).output()?;
    check(output.status.success(), || text(&output))?;
    let target_of = &json(&record.join("summary.json"))?["targets"][0];
    for (agent, host) in [(0, "host-2"), (1, "host-3")] {
        let agent = &target_of["agents"][agent];
        check(agent["host"] == host && agent["generator"]["started"].as_u64() > Some(50), || format!("{agent:#}"))?;
    }
    engines.wait_until_nothing_is_left()?;
    // An address of the driver's own machine is another one there.
    std::fs::write(&*file, target("127.0.0.1:8000"))?;
    let refused = steadfast(&run).arg("-o").arg(record.with_file_name("refused")).output()?;
    let reason = "is an address of this machine that the hosts do not reach";
    check(refused.status.code() == Some(3) && text(&refused).contains(reason), || text(&refused))?;
    engines.wait_until_nothing_is_left()
}

/// A load whose faults are put behind.
const CALM: &str = r#"
answers = "Do its sessions hold while nothing happens?"
targets = ["reference-store"]
[sessions]
count = 40
log_out_after = 8
[load]
model = "constant-rate"
rate = 100
warm_up = "1s"
duration = "7s"
timeout = "5s"
[generator]
rate = 0.9
lag_p99 = "500ms"
[[expect]]
targets = ["reference-store"]
that = ["owned == pass"]
"#;

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
