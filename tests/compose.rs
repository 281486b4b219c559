//! Targets of Compose files end to end, through the command line, with a shop of Python, nginx and Redis. Without an engine every
//! test is ignored and the reason is printed; with one, Compose must be there too.

use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

mod common;

use common::{check, json, nothing_is_left, run_on_an_engine, text};

type Test = fn(&Shop) -> Result<(), Failed>;

const TESTS: [(&str, Test); 7] = [
    ("every_example_has_what_its_target_file_names", every_example_has_what_its_target_file_names),
    ("probe_lets_a_user_walk_through_a_project", probe_lets_a_user_walk_through_a_project),
    ("quick_judges_a_project_and_leaves_nothing_behind", quick_judges_a_project_and_leaves_nothing_behind),
    ("users_are_registered_before_the_load", users_are_registered_before_the_load),
    ("each_fault_takes_effect_on_services_and_is_undone", each_fault_takes_effect_on_services_and_is_undone),
    ("what_cannot_be_is_refused_with_its_reason", what_cannot_be_is_refused_with_its_reason),
    ("nothing_is_left_of_a_project_whose_driver_is_killed", nothing_is_left_of_a_project_whose_driver_is_killed),
];

fn main() -> ExitCode {
    // Where it is not continuous integration, Compose may be missing.
    let lacks_compose = || {
        let lacks = std::env::var_os("CI").is_none() && !has_compose();
        lacks.then(|| "there is no Compose, version 2".to_owned())
    };
    let trials = TESTS.map(|(name, test)| Trial::test(name, move || test(&Shop { base: base_image()? })));
    run_on_an_engine("Compose", lacks_compose, trials)
}

fn has_compose() -> bool {
    let planned = Shop { base: "any".to_owned() }.output(&["plan", "quick", "--target", SHOP]);
    planned.is_ok_and(|output| !text(&output).contains("install the Compose plugin"))
}

/// The image of Debian from which the services' image is built.
fn base_image() -> Result<String, Failed> {
    let output = common::steadfast(&["images", "build"]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = printed.split_whitespace().find(|word| word.starts_with("steadfast/base:"));
    Ok(base.ok_or_else(|| format!("no base image: {}", text(&output)))?.to_owned())
}

/// The project in `tests/compose`.
struct Shop {
    base: String,
}

impl Shop {
    fn steadfast(&self, arguments: &[&str]) -> Command {
        let mut command = common::steadfast(arguments);
        command.env("BASE", &self.base);
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, Failed> {
        Ok(self.steadfast(arguments).output()?)
    }
}

/// A copy of the project below a folder, with a change of each of its two files.
fn changed(folder: &Path, compose: (&str, &str), target: (&str, &str)) -> Result<String, Failed> {
    let change = |name: &str, (from, to): (&str, &str)| -> Result<(), Failed> {
        let whole = std::fs::read_to_string(Path::new("tests/compose").join(name))?;
        check(whole.contains(from), || format!("{name} has no {from}"))?;
        Ok(std::fs::write(folder.join(name), whole.replacen(from, to, 1))?)
    };
    change("compose.yaml", compose)?;
    change("shop.toml", target)?;
    for name in ["Dockerfile", "app.py", "nginx.conf"] {
        std::fs::copy(Path::new("tests/compose").join(name), folder.join(name))?;
    }
    Ok(folder.join("shop.toml").to_string_lossy().into_owned())
}

const SHOP: &str = "tests/compose/shop.toml";

fn every_example_has_what_its_target_file_names(shop: &Shop) -> Result<(), Failed> {
    let mut count = 0;
    for folder in std::fs::read_dir("examples")?.flatten().filter(|entry| entry.path().is_dir()) {
        for file in std::fs::read_dir(folder.path())?.flatten().map(|entry| entry.path()) {
            let is_target = file.extension().is_some_and(|ending| ending == "toml");
            if is_target && std::fs::read_to_string(&file)?.contains("[compose]") {
                let planned = shop.output(&["plan", "quick", "--target", &file.to_string_lossy()])?;
                check(planned.status.success() && text(&planned).contains("is read by"), || text(&planned))?;
                count += 1;
            }
        }
    }
    check(count >= 4, || format!("only {count} examples were found"))
}

fn probe_lets_a_user_walk_through_a_project(shop: &Shop) -> Result<(), Failed> {
    let output = shop.output(&["probe", SHOP])?;
    let printed = text(&output);
    check(output.status.success(), || printed.clone())?;
    for words in ["read, made-up session, step 1: GET /cart\n  401", "one-history        judged", "is started by"] {
        check(printed.contains(words), || format!("no `{words}` in\n{printed}"))?;
    }
    nothing_is_left()
}

fn quick_judges_a_project_and_leaves_nothing_behind(shop: &Shop) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let output = shop.output(&["run", "quick", "--target", SHOP, "-o", &record.to_string_lossy()])?;
    check(output.status.success(), || text(&output))?;
    let summary = json(&record.join("summary.json"))?;
    let target = &summary["targets"][0];
    check(target["verdict"] == "pass", || format!("{target:#}"))?;
    check(target["sessions"]["alive_at_fault"].as_u64() >= Some(10), || format!("{:#}", target["sessions"]))?;
    // Services of two networks are counted by network.
    let bytes = &target["network_bytes_per_request"];
    let is_counted = |network: &str| bytes[network].as_f64().is_some_and(|bytes| bytes > 100.0);
    check(is_counted("front") && is_counted("store"), || format!("{bytes:#}"))?;
    // The images are told apart, and secrets of the environment stay out.
    let environment = std::fs::read_to_string(record.join("environment.json"))?;
    check(environment.contains("shop/web"), || environment)?;
    let found = Command::new("grep").args(["-rla", "never-in-a-record"]).arg(&record).output()?;
    check(found.stdout.is_empty(), || format!("in {}", text(&found)))?;
    nothing_is_left()
}

fn users_are_registered_before_the_load(shop: &Shop) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let register =
        "[[session.register]]\npost = \"/accounts\"\nform = { user = \"{{owner}}\" }\nexpect = { status = 201 }\n";
    let login = "[[session.login]]";
    let with = changed(folder.path(), ("ACCOUNTS:-}", "ACCOUNTS:-yes}"), (login, &format!("{register}\n{login}")))?;
    let probed = shop.output(&["probe", &with])?;
    check(probed.status.success() && text(&probed).contains("register, step 1: POST /accounts\n  201"), || {
        text(&probed)
    })?;
    let record = folder.path().join("record");
    let ran = shop.output(&["run", "quick", "--scale", "0.3", "--target", &with, "-o", &record.to_string_lossy()])?;
    // So short a run may find too little for a verdict; what it found is that registered users can log in.
    let target = &json(&record.join("summary.json"))?["targets"][0];
    let is_used = target["sessions"]["created"].as_u64() > Some(20) && target["guarantees"]["owned"] == "pass";
    check(is_used && target["verdict"] != "violated", || format!("{target:#}\n{}", text(&ran)))?;
    // Without accounts nobody can log in: the preflight says so before the load.
    let without = changed(folder.path(), ("ACCOUNTS:-}", "ACCOUNTS:-yes}"), same_target())?;
    let ran =
        shop.output(&["run", "quick", "--target", &without, "-o", &folder.path().join("other").to_string_lossy()])?;
    check(text(&ran).contains("step 1 of login: expected 204, got 403"), || text(&ran))?;
    nothing_is_left()
}

fn each_fault_takes_effect_on_services_and_is_undone(shop: &Shop) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let profile = "tests/profiles/compose.toml";
    let output = shop.output(&["run", profile, "--target", SHOP, "-o", &record.to_string_lossy()])?;
    let journal = std::fs::read_to_string(record.join("trials/01-shop/journal.jsonl"))
        .map_err(|error| format!("{error}\n{}", text(&output)))?;
    let records: Vec<Value> = journal.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let wanted = std::fs::read_to_string(profile)?.matches("[[faults]]").count();
    let healed = records.iter().filter(|fault| fault["healed_ns"].is_u64() && fault["injected_ns"].is_u64()).count();
    let failed: Vec<&Value> = records.iter().filter(|fault| fault["error"].is_string()).collect();
    check(failed.is_empty() && healed >= wanted, || format!("{failed:#?}\n{}", text(&output)))?;
    let proofs = [
        ("kill", "app-2", "no restart policy had started it; started again and ready"),
        ("kill-process", "app-1", "it ran again by its restart policy, and is ready"),
        ("kill-process", "store", "no restart policy had started it; started again and ready"),
        ("memory", "app-3", "the runtime says that it ran out of memory"),
        ("cpu", "store", "the runtime says that it has 1.5 cores"),
        ("clear", "store", "made anew, with an empty disk"),
        ("partition", "app-1", "cannot be reached"),
    ];
    for (kind, node, words) in proofs {
        let is_it = |fault: &&Value| fault["kind"] == kind && fault["node"] == node;
        let steps: Vec<String> = records.iter().filter(is_it).map(|fault| fault["steps"].to_string()).collect();
        check(steps.iter().any(|steps| steps.contains(words)), || {
            format!("{kind} of {node}: no `{words}` in {steps:?}")
        })?;
    }
    nothing_is_left()
}

fn what_cannot_be_is_refused_with_its_reason(shop: &Shop) -> Result<(), Failed> {
    let same = ("services:", "services:");
    let cases = [
        (("services:", "servces:"), same_target(), 2, "Additional property servces is not allowed"),
        (
            same,
            ("web:8000", "webb:8000"),
            3,
            "there is no service `webb` for the app tier; there are: migration, proxy, redis, web",
        ),
        (same, ("\"data\" }", "\"default\" }"), 3, "service `redis` is not in the network `default`"),
        (("    networks: [data]", "    network_mode: host"), same_target(), 3, "`redis` has `network_mode: host`"),
        (("FAILS:-}", "FAILS:-yes}"), same_target(), 3, "the shop has no database"),
        (("/health')", "/nowhere')"), ("[compose]", "[compose]\n"), 3, "its health check says `"),
    ];
    for (compose, target, code, words) in cases {
        let folder = tempfile::tempdir()?;
        let file = changed(folder.path(), compose, target)?;
        let output =
            shop.output(&["run", "quick", "--target", &file, "-o", &folder.path().join("r").to_string_lossy()])?;
        let printed = text(&output);
        check(output.status.code() == Some(code) && printed.contains(words), || {
            format!("{compose:?} {target:?}: {} without `{words}`\n{printed}", output.status)
        })?;
        nothing_is_left()?;
    }
    let folder = tempfile::tempdir()?;
    let limit = ("    deploy: { resources: { limits: { memory: 128M } } }\n", "");
    let file = changed(folder.path(), limit, same_target())?;
    let output = shop.output(&["plan", "tests/profiles/compose.toml", "--target", &file])?;
    let printed = text(&output);
    check(
        output.status.code() == Some(2) && printed.contains("service `web`") && printed.contains("no limit"),
        || printed,
    )?;
    let output = shop.steadfast(&["plan", "quick", "--target", SHOP]).env("PATH", folder.path()).output()?;
    check(output.status.code() == Some(3) && text(&output).contains("install the Compose plugin"), || text(&output))
}

const fn same_target() -> (&'static str, &'static str) {
    ("[compose]", "[compose]")
}

fn nothing_is_left_of_a_project_whose_driver_is_killed(shop: &Shop) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut had_something = 0;
    for round in 0..4u64 {
        let record = folder.path().join(round.to_string());
        let mut driver = shop.steadfast(&["run", "quick", "--target", SHOP, "-o", &record.to_string_lossy()]);
        // What the driver before left is being removed.
        wait_until_nothing_is_left()?;
        let mut driver = driver.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        // From the first of its containers on: while Compose makes them, while it starts them, and under load.
        let deadline = Instant::now() + Duration::from_secs(120);
        while nothing_is_left().is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(round * 2500));
        had_something += u32::from(nothing_is_left().is_err());
        driver.kill()?;
        driver.wait()?;
    }
    check(had_something == 4, || format!("only {had_something} of 4 had started anything"))?;
    wait_until_nothing_is_left()
}

fn wait_until_nothing_is_left() -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(left) = nothing_is_left() {
        if Instant::now() > deadline {
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
