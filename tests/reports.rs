//! The example record in every format, and its page in a real browser: it fetches nothing, has no errors and shows its
//! charts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EXAMPLE: &str = "reports/example";

fn steadfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steadfast")).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = steadfast(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn rendered(format: &str) -> String {
    printed(&["report", EXAMPLE, "--format", format])
}

/// Copies the example record.
fn copy_of_the_example(folder: &Path) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
    }
    copy(Path::new(EXAMPLE), folder);
}

#[test]
fn the_committed_renderings_of_the_example_are_what_this_program_makes_of_its_record() {
    for (format, file) in [
        ("html", "report.html"),
        ("markdown", "report.md"),
        ("json", "summary.json"),
        ("junit", "junit.xml"),
        ("csv", "intervals.csv"),
        ("openmetrics", "metrics.txt"),
    ] {
        let committed = std::fs::read_to_string(Path::new(EXAMPLE).join(file)).unwrap();
        assert!(rendered(format) == committed, "renew it: steadfast report {EXAMPLE} --all {EXAMPLE}: {file}");
    }
}

#[test]
fn the_example_is_judged_again_as_it_was_recorded() {
    let printed = printed(&["check", EXAMPLE]);
    assert_eq!(printed.matches("as recorded, byte for byte").count(), 5, "{printed}");
}

#[test]
fn the_series_has_a_line_for_each_second_of_each_trial() {
    let csv = rendered("csv");
    let mut lines = csv.lines();
    insta::assert_snapshot!(lines.next().unwrap(), @"trial,target,at_s,phase,sent,ok,failed,p50_us,p99_us,p999_us,max_us,sessions_lost");
    assert!(lines.clone().count() >= 5 * 15);
    assert!(lines.all(|line| line.split(',').count() == 12));
}

#[test]
fn every_guarantee_and_every_expectation_is_a_case_of_junit() {
    let junit = rendered("junit");
    let summary: serde_json::Value = serde_json::from_str(&rendered("json")).unwrap();
    let expectations = summary["expectations"].as_array().unwrap().len();
    let targets = summary["targets"].as_array().unwrap();
    let guarantees: usize = targets.iter().map(|target| target["guarantees"].as_object().unwrap().len()).sum();
    assert_eq!(junit.matches("<testcase ").count(), expectations + guarantees);
    assert_eq!(junit.matches("<testsuite ").count(), targets.len());
    assert!(junit.contains("classname=\"tomcat-redis.expectations\"") && !junit.contains("<failure"));
}

#[test]
fn figures_for_monitoring_are_in_base_units_and_end_as_openmetrics_must() {
    let text = rendered("openmetrics");
    assert!(text.ends_with("# EOF\n"));
    let of =
        |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let p50 = value(of("steadfast_response_p50_seconds{profile=\"quick\",target=\"tomcat-redis\""));
    assert!(p50 > 0.0001 && p50 < 1.0, "{p50}");
    assert!(value(of("steadfast_memory_resident_per_node_bytes{")) > 1e6);
    assert!(text.contains("guarantee=\"owned\",verdict=\"pass\"} 1"));
}

#[test]
fn the_summary_matches_its_published_schema() {
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("docs/summary.schema.json").unwrap()).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&rendered("json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&summary).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut wrong = summary;
    wrong["targets"][0]["verdict"] = "fine".into();
    assert!(!validator.is_valid(&wrong), "a schema that lets everything through");
}

#[test]
fn damaged_files_are_named_and_the_rest_is_still_rendered() {
    let folder = tempfile::tempdir().unwrap();
    copy_of_the_example(folder.path());
    let trials: Vec<PathBuf> =
        std::fs::read_dir(folder.path().join("trials")).unwrap().map(|entry| entry.unwrap().path()).collect();
    std::fs::write(trials[0].join("measurements.json"), "{\"sessions\": 3").unwrap();
    std::fs::remove_file(trials[1].join("samples.json")).unwrap();
    let output = steadfast(&["report", &folder.path().to_string_lossy(), "--format", "html"]);
    let (page, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success());
    assert!(
        notes.contains("measurements.json: it is damaged") && notes.contains("samples.json: No such file"),
        "{notes}"
    );
    assert!(page.contains("Left out, because it cannot be read") && page.matches("<svg ").count() > 10);
}

#[test]
fn a_folder_that_is_no_record_or_is_from_a_newer_version_is_refused_by_name() {
    let refused = |folder: &Path| {
        let output = steadfast(&["report", &folder.to_string_lossy()]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = refused(&folder.path().join("nowhere"));
    assert!(code == Some(2) && message.contains("there is no such folder"), "{code:?} {message}");
    let (code, message) = refused(folder.path());
    assert!(code == Some(2) && message.contains("summary.json"), "{code:?} {message}");
    copy_of_the_example(folder.path());
    let file = folder.path().join("summary.json");
    let newer = std::fs::read_to_string(&file).unwrap().replace("\"schema_version\": 1", "\"schema_version\": 99");
    std::fs::write(&file, newer).unwrap();
    let (code, message) = refused(folder.path());
    assert!(
        code == Some(2) && message.contains("schema version 99") && message.contains("newer steadfast"),
        "{message}"
    );
}

#[test]
fn a_record_compared_with_itself_differs_in_nothing_and_other_plans_are_refused() {
    let same = printed(&["compare", EXAMPLE, EXAMPLE]);
    assert!(same.contains("tomcat-redis ×3") && !same.contains("worse"), "{same}");
    let folder = tempfile::tempdir().unwrap();
    copy_of_the_example(folder.path());
    let file = folder.path().join("plan.json");
    let other = std::fs::read_to_string(&file).unwrap().replace("\"payload_bytes\": 2048", "\"payload_bytes\": 9999");
    std::fs::write(&file, other).unwrap();
    let folder = folder.path().to_string_lossy().into_owned();
    let output = steadfast(&["compare", EXAMPLE, &folder]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("the plan's sessions.payload_bytes: 2048 against 9999") && message.contains("--anyway"),
        "{message}"
    );
    assert!(steadfast(&["compare", EXAMPLE, &folder, "--anyway"]).status.success());
}

#[test]
fn two_targets_of_a_record_are_compared_and_a_lost_guarantee_is_a_regression() {
    let output = steadfast(&["compare", EXAMPLE, "--targets", "tomcat-redis,tomcat-none", "--all"]);
    let (table, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("session-survives: pass in A, violated in B"), "{table}");
    assert!(table.contains("too few trials to tell"), "one trial shows nothing else: {table}");
    assert!(notes.contains("worse: tomcat-none ×3: session-survives: violated, was pass"), "{notes}");
}

fn browser() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(runs)
}

#[test]
fn the_page_opens_in_a_browser_with_its_charts_without_an_error_and_without_fetching_anything() {
    // `make test` installs Chromium. Without it this test is skipped, but fails in CI.
    let Some(browser) = browser() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium: install it, or call `make test`");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (page, log) = (folder.path().join("report.html"), folder.path().join("net.json"));
    std::fs::write(&page, rendered("html")).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            "--v=0",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let (dom, console) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{console}");
    // Charts, as the browser parsed them.
    assert!(dom.matches("<svg ").count() >= 2 + 5 * 4, "{} charts", dom.matches("<svg ").count());
    for text in [
        "Which strategy keeps its sessions",
        "Lost sessions: tomcat-none",
        "Bytes per operation, by network",
        "Response time by percentile",
        "kill of app-",
    ] {
        assert!(dom.contains(text), "no `{text}`");
    }
    // Console messages of the page, such as violations of its policy.
    assert!(!console.contains("CONSOLE"), "{console}");
    let log = std::fs::read_to_string(&log).unwrap();
    let fetched: Vec<&str> = log.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let of_the_page = |url: &&&str| !url.contains("google") && !url.contains("gvt1.com");
    let beyond: Vec<_> = fetched.iter().filter(of_the_page).filter(|url| url.starts_with("http")).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    // The page has no reference that a browser would fetch.
    let html = rendered("html");
    for reference in ["src=\"http", "href=\"http", "url(http", "<script", "<link rel=\"stylesheet\"", "@import"] {
        assert!(!html.contains(reference), "{reference}");
    }
}
