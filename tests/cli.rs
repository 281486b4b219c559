//! Tests of the command line that need no engine: bad input, plans, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

fn steadfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steadfast"))
        .args(arguments)
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_bad_profile_exits_with_2_and_names_file_line_key_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string("profiles/quick.toml").unwrap();
    let profile = write(folder.path(), "mine.toml", &good.replace("rate = 150", "rat = 150"));
    let output = steadfast(&["run", &profile]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "mine.toml:17: `load.rat`: there is no such key; did you mean `rate`?";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "one error: {}", stderr(&output));
}

#[test]
fn a_bad_target_exits_with_2_and_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string("targets/tomcat-none.toml").unwrap();
    let target = write(folder.path(), "mine.toml", &good.replace("image = \"haproxy\"", "image = \"haprox\""));
    let output = steadfast(&["run", "quick", "--target", &target]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("mine.toml:5: `balancer.image`: no image is called `haprox`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_unknown_profile_or_option_exits_with_2() {
    let output = steadfast(&["run", "quik"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains(
            "no profile is called `quik`; there are: balancers, breaking-upgrade, chaos, ci, concurrency, evictions, expiry, lifecycle,"
        ),
        "{}",
        stderr(&output)
    );
    assert_eq!(steadfast(&["run", "quick", "--nodes", "33"]).status.code(), Some(2));
    assert_eq!(steadfast(&["run", "quick", "--rate", "0"]).status.code(), Some(2));
    assert_eq!(steadfast(&["run", "quick", "--duration", "1s"]).status.code(), Some(2));
    assert_eq!(steadfast(&["fly"]).status.code(), Some(2));
}

#[test]
fn a_record_folder_that_exists_exits_with_2_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let output = steadfast(&["run", "quick", "-o", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a record is never written over"), "{}", stderr(&output));
}

#[test]
fn without_an_engine_a_run_of_real_products_exits_with_3_and_says_what_to_do() {
    let output = steadfast(&["run", "strategies", "--runtime", "process"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("start the engine, or set DOCKER_HOST"), "{}", stderr(&output));
}

#[test]
fn an_engine_that_is_named_and_does_not_answer_is_never_replaced_by_processes() {
    for verb in [&["run", "quick"][..], &["up", "reference-store"], &["doctor"], &["clean"], &["images", "list"]] {
        let output = steadfast(verb);
        assert_eq!(output.status.code(), Some(3), "{verb:?}");
        let said = stderr(&output) + &stdout(&output);
        let reason = "at unix:///nowhere/docker.sock (DOCKER_HOST): there is no such socket";
        assert!(said.contains(reason) && said.contains("`--runtime process` does without one"), "{verb:?}: {said}");
    }
}

#[test]
fn docker_contexts_are_read_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "config.json", r#"{"currentContext":"elsewhere"}"#);
    let doctor = |context: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steadfast"));
        command.arg("doctor").env_remove("DOCKER_HOST").env("DOCKER_CONFIG", folder.path());
        let output = command.env("DOCKER_CONTEXT", context).output().unwrap();
        (output.status.code(), stdout(&output))
    };
    let (code, said) = doctor("");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("looking for docker's current context `elsewhere`"), "{said}");
    assert!(doctor("nosuch").1.contains("looking for DOCKER_CONTEXT=nosuch"));
}

#[test]
fn a_plan_needs_no_engine_and_the_same_seed_gives_the_same_bytes() {
    let (one, two) = (
        steadfast(&["plan", "quick", "--seed", "5", "--json"]),
        steadfast(&["plan", "quick", "--seed", "5", "--json"]),
    );
    assert_eq!(one.status.code(), Some(0));
    assert_eq!(stdout(&one), stdout(&two));
    let plan: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(plan["trials"].as_array().unwrap().len(), 5);
}

#[test]
fn the_list_names_every_profile_target_and_fault() {
    let text = stdout(&steadfast(&["list"]));
    for name in ["quick", "strategies", "tomcat-none", "tomcat-sticky-ip-nginx", "tomcat-postgres", "kill"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(name)), "{name} is missing in\n{text}");
    }
}

/// Starts a server that answers each connection's first request with `reply` and closes.
fn answering(reply: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    format!("http://{address}/path?x=y")
}

const SHORT: [&str; 9] = ["--duration", "300ms", "--rate", "100", "--sessions", "5", "--lag-p99", "10s", "--json"];

fn load(url: &str, more: &[&str]) -> Output {
    steadfast(&[&["load", url], &SHORT[..], more].concat())
}

#[test]
fn a_load_against_an_endpoint_prints_figures_for_programs_and_for_people() {
    let url = answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    let output = load(&url, &["--header", "X-Mine: 1", "--method", "POST", "--body", "{}"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&figures["ok"], &figures["failed"]), (&30.into(), &0.into()), "{figures:#}");
    assert_eq!(figures["connect_us"]["count"], 30, "each had to connect");
    assert_eq!(figures["generator"]["offered"], 30);
    let output = steadfast(&[&["load", &url], &SHORT[..8]].concat());
    let table = stdout(&output);
    assert!(table.contains("30 ok, 0 failed") && table.contains("response"), "{table}");
}

#[test]
fn a_load_without_a_successful_reply_does_not_exit_with_0() {
    // Unlike oha, which exits with 0.
    let output = load(&answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["errors"]["status-5xx"]["count"], 30);
    assert!(figures["errors"]["status-5xx"]["response_us"]["p50"].as_u64() > Some(0), "an error has its latency");
}

#[test]
fn a_redirect_is_no_success_and_the_message_says_which_url_to_use() {
    let output = load(
        &answering("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        &[],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&figures["ok"], &figures["errors"]["redirected"]["count"]), (&0.into(), &30.into()));
    assert!(stderr(&output).contains("the URL that they point to"), "{}", stderr(&output));
}

#[test]
fn a_load_says_what_is_wrong_with_its_url_or_that_nothing_listens() {
    for bad in ["nonsense", "ftp://localhost/", "http://", "http://localhost:99999/"] {
        let output = load(bad, &[]);
        assert_eq!(output.status.code(), Some(2), "{bad}: {}", stderr(&output));
        assert!(stderr(&output).contains("http://HOST"), "{bad}: {}", stderr(&output));
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let output = load(&url, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("nothing listens there"), "{}", stderr(&output));
    let ticks = steadfast(&["load", &answering(""), "--pacing", "tick"]);
    assert!(ticks.status.code() == Some(2) && stderr(&ticks).contains("give a rate"), "{}", stderr(&ticks));
    for bad in [["--header", "nonsense"], ["--header", "Content-Length: 3"], ["--method", "G T"]] {
        assert_eq!(load(&answering(""), &bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn cores_that_the_machine_lacks_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("cores.toml");
    let text = std::fs::read_to_string("tests/profiles/reference.toml").unwrap();
    std::fs::write(&profile, format!("{text}\n[cpuset]\ntarget = \"0,1023\"\n")).unwrap();
    let record = folder.path().join("record");
    let output =
        steadfast(&["run", &profile.to_string_lossy(), "--runtime", "process", "-o", &record.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let expected = "profile cores: `cpuset.target`: there is no core 1023: the machine has cores 0 to ";
    assert!(stderr(&output).contains(expected) && !record.exists(), "{}", stderr(&output));
}
