//! Several machines, each with its engine: engines of this machine in network namespaces of their own, which the test makes and
//! removes. Where that cannot be done, the tests are ignored and the reason is printed.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Failed, Trial};

mod common;

use common::{check, run_on_an_engine, steadfast, text};

type Test = fn() -> Result<(), Failed>;

const TESTS: [(&str, Test); 1] = [(
    "engines_join_a_swarm_and_what_keeps_them_apart_is_named",
    engines_join_a_swarm_and_what_keeps_them_apart_is_named,
)];

fn main() -> ExitCode {
    run_on_an_engine("several hosts", lacks_namespaces, TESTS.map(|(name, test)| Trial::test(name, test)))
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

/// Engines that are ended with it.
struct Engines {
    folder: tempfile::TempDir,
}

impl Engines {
    fn start(count: usize) -> Result<Self, Failed> {
        let engines = Self { folder: tempfile::tempdir()? };
        let started = script("start", engines.folder.path(), &[&count.to_string()])?;
        check(started.status.success(), || text(&started))?;
        Ok(engines)
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

impl Drop for Engines {
    fn drop(&mut self) {
        let _ = script("stop", self.folder.path(), &[]);
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

fn engines_join_a_swarm_and_what_keeps_them_apart_is_named() -> Result<(), Failed> {
    let engines = Engines::start(3)?;
    let hosts = engines.file("all.toml", &[])?;
    says(&["doctor", "--hosts", &hosts], 3, "there is no swarm yet: `steadfast hosts join ")?;
    let nowhere = engines.file("nowhere.toml", &[("address = \"10.66.0.11\"", "")])?;
    says(&["hosts", "join", &nowhere], 3, "write `address = \"…\"` below its name, `host-1`")?;
    says(&["hosts", "join", &hosts], 0, "host-1 manages a new swarm\nhost-2 has joined\nhost-3 has joined\n")?;
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
