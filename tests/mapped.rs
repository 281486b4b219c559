//! Session mappings end to end, with reference nodes that serve a shop: what is judged depends on what a read shows, each
//! guarantee's defect is found through the mapping, and `probe` says what is wrong with a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{check, json, text};
use libtest_mimic::Failed;

const SHOP: &str = include_str!("../targets/reference-shop.toml");
const OWNER: &str = "owner = 'jsonpath \"$.user\"'\n";
const ITEMS: &str = "operations = 'jsonpath \"$.items[*]\"'\n";
const COUNT: &str = "counter = 'jsonpath \"$.count\"'\n";

fn steadfast(arguments: &[&str]) -> Output {
    common::steadfast(arguments).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap()
}

/// A shop on nodes that keep their own sessions, with a defect; its reads show what `shows` says.
fn shop(folder: &Path, name: &str, defect: &str, shows: &str) -> PathBuf {
    let store = SHOP.find("[store]").unwrap()..SHOP.find("[session]").unwrap();
    let text = SHOP.replace(&SHOP[store], "");
    let text = text
        .replace("balance = \"round-robin\"", "balance = \"round-robin\", sticky = \"cookie\"")
        .replace("[\"front\", \"store\"]", "[\"front\"]")
        .replace("strategy = \"store\", face", &format!("strategy = \"local\", defect = \"{defect}\", face"))
        .replace(&format!("{OWNER}{ITEMS}"), shows);
    assert!(text.contains("local") && text.contains("sticky") && (shows.is_empty() || text.contains(shows)));
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, text).unwrap();
    file
}

/// What a shop is called, its defect, what its reads show, how many guarantees are judged, and which of them the defect may break,
/// at least one. A counter does not tell a write that was dropped from a stale reply where the session was logged out.
type Row<'a> = (&'a str, &'a str, String, usize, &'a [&'a str]);

#[test]
fn each_row_of_the_evidence_table_is_judged_as_it_says_and_defects_are_found_through_it() -> Result<(), Failed> {
    let listed = format!("{OWNER}{ITEMS}");
    let set = format!("{OWNER}{ITEMS}ordered = false\n");
    let counted = format!("{OWNER}{COUNT}");
    let owner = OWNER.to_owned();
    let rows: [Row; 18] = [
        ("listed", "none", listed.clone(), 9, &[]),
        ("set", "none", set.clone(), 8, &[]),
        ("counted", "none", counted.clone(), 7, &[]),
        ("owner", "none", owner.clone(), 3, &[]),
        ("known", "none", String::new(), 2, &[]),
        ("listed-loses", "loses-sessions", listed.clone(), 9, &["session-survives"]),
        ("listed-anonymous", "answers-anonymously", listed.clone(), 9, &["session-survives"]),
        ("listed-swaps", "swaps-sessions", listed.clone(), 9, &["owned"]),
        ("listed-stale", "stale-reads", listed.clone(), 9, &["read-your-writes"]),
        ("listed-drops", "drops-updates", listed.clone(), 9, &["no-lost-update"]),
        ("listed-twice", "applies-twice", listed.clone(), 9, &["applied-once"]),
        ("listed-forks", "forks", listed.clone(), 9, &["one-history"]),
        ("listed-revives", "revives-sessions", listed, 9, &["logout-is-final"]),
        ("set-drops", "drops-updates", set, 8, &["no-lost-update"]),
        ("counted-drops", "drops-updates", counted.clone(), 7, &["no-lost-update", "read-your-writes"]),
        ("counted-twice", "applies-twice", counted, 7, &["applied-once"]),
        ("owner-swaps", "swaps-sessions", owner, 3, &["owned"]),
        ("known-loses", "loses-sessions", String::new(), 2, &["session-survives"]),
    ];
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let files: Vec<PathBuf> =
        rows.iter().map(|(name, defect, shows, ..)| shop(folder.path(), name, defect, shows)).collect();
    let mut arguments = vec!["run", "tests/profiles/mapped.toml", "--runtime", "process", "--no-progress"];
    for file in &files {
        arguments.extend(["--target", file.to_str().unwrap()]);
    }
    arguments.extend(["-o", record.to_str().unwrap()]);
    let output = steadfast(&arguments);
    let summary = json(&record.join("summary.json")).map_err(|error| format!("{error:?}\n{}", text(&output)))?;
    for ((name, _, _, judged, broken), target) in rows.iter().zip(summary["targets"].as_array().unwrap()) {
        let guarantees = target["guarantees"].as_object().unwrap();
        let told = || format!("{name}: {:#}\n{:#}\n{:#}", target["guarantees"], target["stories"], target["reasons"]);
        check(target["target"] == *name && guarantees.len() == *judged, told)?;
        let verdict = if broken.is_empty() { "pass" } else { "violated" };
        check(target["verdict"] == verdict, told)?;
        for (guarantee, found) in guarantees {
            check(found != "violated" || broken.contains(&guarantee.as_str()), told)?;
        }
    }
    let report = std::fs::read_to_string(record.join("report.md"))?;
    check(report.contains("pass 2/9") && report.contains("2 of 9 guarantees were judged, not owned, "), || report)
}

#[test]
fn a_shop_with_a_store_is_judged_and_a_killed_node_costs_no_session() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("record");
    let output = steadfast(&[
        "run",
        "quick",
        "--target",
        "reference-shop",
        "--runtime",
        "process",
        "--no-progress",
        "--scale",
        "0.5",
        "-o",
        record.to_str().unwrap(),
    ]);
    check(output.status.code() == Some(0), || text(&output))?;
    let summary = json(&record.join("summary.json"))?;
    let sessions = &summary["targets"][0]["sessions"];
    check(sessions["lost"] == 0 && sessions["alive_at_fault"].as_u64() > Some(10), || format!("{sessions:#}"))
}

#[test]
fn probe_shows_each_request_and_says_what_is_judged() -> Result<(), Failed> {
    let output = steadfast(&["probe", "reference-shop", "--runtime", "process"]);
    check(output.status.code() == Some(0), || text(&output))?;
    for expected in [
        "login, step 2: POST /login\n  303 to /cart",
        "captured token = \"",
        "read, made-up session, step 1: GET /cart\n  303 to /login?next=/cart",
        "A read shows the owner and the list of operations.",
        "one-history        judged",
        "Next: steadfast run quick --target reference-shop",
    ] {
        check(text(&output).contains(expected), || format!("no `{expected}` in:\n{}", text(&output)))?;
    }
    Ok(())
}

#[test]
fn probe_names_the_step_that_is_not_as_the_file_says() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let cases = [
        (
            "_csrf = \"{{token}}\"",
            "_csrf = \"{{owner}}\"",
            "step 2 of login: expected 303 with a redirect to /cart, got 403 `wrong token`",
        ),
        (
            "capture = { csrf = 'jsonpath \"$.csrf\"' }",
            "capture = { csrf = 'jsonpath \"$.token\"' }",
            "step 3 of login: `csrf` captured nothing: `jsonpath \"$.token\"` finds nothing in this reply",
        ),
        ("$.items[*]", "$.things[*]", "read, after the write: `operations` does not show `0.0."),
        ("owner = 'jsonpath \"$.user\"'", "owner = 'jsonpath \"$.csrf\"'", "read: `owner` shows `"),
    ];
    for (from, to, expected) in cases {
        assert!(SHOP.contains(from), "{from}");
        let file = folder.path().join("shop.toml");
        std::fs::write(&file, SHOP.replace(from, to))?;
        let output = steadfast(&["probe", file.to_str().unwrap(), "--runtime", "process"]);
        check(output.status.code() == Some(2), || text(&output))?;
        check(text(&output).contains(expected), || format!("no `{expected}` in:\n{}", text(&output)))?;
    }
    // Without an owner in its replies nothing but `unknown` tells a session from none.
    let file = folder.path().join("shop.toml");
    let blind = SHOP
        .replace(&format!("{OWNER}{ITEMS}"), "")
        .replace("{ status = 303, location = \"/login*\" }", "{ status = 401 }");
    std::fs::write(&file, blind)?;
    let output = steadfast(&["probe", file.to_str().unwrap(), "--runtime", "process"]);
    let expected = "write unknown = [{ status = 303, location = \"/login*\" }]";
    check(output.status.code() == Some(2) && text(&output).contains(expected), || text(&output))
}

#[test]
fn values_of_accounts_reach_neither_the_record_nor_the_screen() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let accounts = (0..60).map(|user| format!("holder-{user},hunter-{user}-secret"));
    let lines: Vec<String> = ["owner,password".to_owned()].into_iter().chain(accounts).collect();
    std::fs::write(folder.path().join("users.csv"), lines.join("\n") + "\n")?;
    let file = folder.path().join("shop.toml");
    let text_of_file = SHOP
        .replace("[session]\n", "[session]\nusers = \"users.csv\"\n")
        .replace("headers = { ", "headers = { X-API-Key = \"key-of-the-shop\", ")
        .replace("json = { ", "json = { pin = \"pin-of-the-shop\", ");
    assert!(text_of_file.contains("key-of-") && text_of_file.contains("pin-of-"));
    std::fs::write(&file, text_of_file)?;
    let file = file.to_str().unwrap();
    let record = folder.path().join("record");
    let run = ["run", "tests/profiles/mapped.toml", "--runtime", "process", "--no-progress", "--target", file, "-o"];
    let output = steadfast(&[&run[..], &[record.to_str().unwrap()]].concat());
    let summary = json(&record.join("summary.json")).map_err(|error| format!("{error:?}\n{}", text(&output)))?;
    // Other tests run at the same time, so its figures may be invalid; the accounts were used.
    let target = &summary["targets"][0];
    let is_used = target["sessions"]["created"].as_u64() > Some(24) && target["guarantees"]["owned"] == "pass";
    check(is_used && target["verdict"] != "violated", || {
        format!("{} {:#} {:#}", target["verdict"], target["guarantees"], target["reasons"])
    })?;
    let probed = steadfast(&["probe", file, "--runtime", "process"]);
    check(probed.status.code() == Some(0), || text(&probed))?;
    let few = steadfast(&["plan", "quick", "--target", file]);
    check(few.status.code() == Some(2) && text(&few).contains("has 60 accounts, and profile quick has 300"), || {
        text(&few)
    })?;
    let found = std::process::Command::new("grep")
        .args(["-rla", "-e", "hunter-", "-e", "holder-", "-e", "-of-the-shop"])
        .arg(&record)
        .output()?;
    check(found.stdout.is_empty(), || format!("in {}", text(&found)))?;
    for output in [output, probed] {
        check(
            !text(&output).contains("-of-the-shop")
                && !text(&output).contains("hunter-")
                && !text(&output).contains("holder-"),
            || text(&output),
        )?;
    }
    Ok(())
}
