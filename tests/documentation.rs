//! README and docs quote the program: what they quote must exist, and links must lead to a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use steadfast::files::{Kind, names};

/// All Markdown files in the root folder, in docs/ and in its folders.
fn documents() -> Vec<(PathBuf, String)> {
    let folders =
        [".", "docs", "docs/your-own-system", "docs/upstream"].map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let markdown = paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    markdown.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The `--help` text of a verb, or of the program if `verb` is empty.
fn help(verb: &str) -> Option<String> {
    let words = [verb, "--help"].into_iter().filter(|word| !word.is_empty());
    let output = Command::new(env!("CARGO_BIN_EXE_steadfast")).args(words).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines of code blocks that start with the program's name, without it and without comments.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let in_blocks = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    let lines = in_blocks.map(|line| line.trim().trim_start_matches("- ").trim_start_matches("run: "));
    lines.filter_map(|line| line.strip_prefix("steadfast ")).map(|line| line.split(" #").next().unwrap().trim())
}

#[test]
fn every_command_in_the_documentation_has_its_verb_its_options_and_its_profile() {
    let mut known = BTreeMap::new();
    let mut count = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let told = format!("{}: steadfast {command}", path.display());
            let mut words = command.split_whitespace();
            let verb = words.next().unwrap().to_owned();
            let help = known.entry(verb.clone()).or_insert_with(|| help(&verb)).clone();
            let help = help.unwrap_or_else(|| panic!("{told}: there is no such verb"));
            for option in command.split_whitespace().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{told}: there is no {option}");
            }
            if matches!(verb.as_str(), "run" | "plan") {
                let profile = words.next().unwrap();
                let is_known = names(Kind::Profile).iter().any(|name| name == profile);
                assert!(is_known || profile == "mine" || profile.contains('/'), "{told}: there is no such profile");
            }
            count += 1;
        }
    }
    assert!(count > 20, "only {count} commands were found");
}

#[test]
fn every_fault_and_load_model_has_its_row_with_all_its_keys() {
    let text = std::fs::read_to_string("docs/writing-a-profile.md").unwrap();
    let faults = steadfast::fault::FaultKind::ALL.iter().map(|kind| (kind.name, kind.keys()));
    let models = steadfast::load::Schedule::all().into_iter().map(|(name, _, keys)| (name, keys));
    for (name, keys) in faults.chain(models) {
        let is_row = |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{name}`")));
        let row = text.lines().find(is_row).unwrap_or_else(|| panic!("there is no row of {name}"));
        for key in keys.all {
            assert!(row.contains(&format!("`{key}")), "the row of {name} lacks `{key}`: {row}");
        }
    }
}

#[test]
fn every_profile_target_and_exit_code_that_the_readme_names_is_there() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let targets = names(Kind::Target);
    let table = readme.lines().filter(|line| line.starts_with("tomcat-"));
    let named: Vec<&str> = table.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(!named.is_empty() && named.iter().all(|name| targets.iter().any(|target| target == name)), "{named:?}");
    let help = help("").unwrap();
    let codes = help.split("Exit codes:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let codes: Vec<&str> = codes.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(codes.len() > 4, "{codes:?}");
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "README says nothing of exit code {code}");
    }
    assert!(readme.len() <= 8 * 1024, "README has {} bytes", readme.len());
}

#[test]
fn the_table_of_the_readme_matches_its_record() {
    let report = std::fs::read_to_string("reports/example/report.md").unwrap();
    for document in ["README.md", "README.ko.md", "docs/results.md"] {
        let text = std::fs::read_to_string(document).unwrap();
        let line = |target: &str| text.lines().find(|line| line.starts_with(target)).unwrap().to_owned();
        let table = report.split("\n\n").find(|part| part.contains("| sessions live in |")).unwrap();
        for row in table.lines().filter(|line| line.starts_with("| tomcat-")) {
            let mut cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            cells.remove(1);
            let shown = line(cells[0]);
            let mut at = 0;
            for cell in cells {
                let found = shown[at..].find(cell);
                at += found.unwrap_or_else(|| panic!("{document}: `{shown}` lacks {cell} of `{row}`"));
            }
        }
    }
}

#[test]
fn every_link_of_the_documentation_leads_to_a_file() {
    let mut count = 0;
    for (path, text) in documents() {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = path.parent().unwrap_or(Path::new(".")).join(file);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            count += 1;
        }
    }
    assert!(count > 20, "only {count} links were found");
}

#[test]
fn the_page_of_results_is_what_its_records_say() {
    let records = ["--records", "docs/records", "--records", "reports/example"];
    let output =
        Command::new(env!("CARGO_BIN_EXE_steadfast")).args(["page", "docs/results.md.j2"]).args(records).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = String::from_utf8(output.stdout).unwrap();
    let kept = std::fs::read_to_string("docs/results.md").unwrap();
    let differs = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "make it anew (docs/reading-a-report.md has the command); the first line that differs: {differs:?}"
    );
}

#[test]
fn every_bundled_profile_has_its_line_in_the_script_that_runs_them_all() {
    let script = std::fs::read_to_string("tests/every-profile").unwrap();
    for name in names(Kind::Profile) {
        // The name in the table, its share of the time, and the profile.
        let is_line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&"some") && words.get(3) == Some(&name.as_str())
                || words.windows(2).any(|pair| pair[0] == "one" && pair[1] == name)
        };
        assert!(script.lines().any(is_line), "tests/every-profile has no line of {name}");
    }
}

#[test]
fn every_fault_is_done_by_a_profile_that_tests_run() {
    // The kernel of the machine on which these are run cannot do them.
    let not_here = ["delay", "reorder", "corrupt"];
    let folders = ["profiles", "tests/profiles"].map(|folder| std::fs::read_dir(folder).unwrap());
    let files = folders.into_iter().flatten().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let all: String = files.collect();
    for kind in steadfast::fault::FaultKind::ALL {
        let is_there = all.lines().any(|line| line == format!("fault = \"{}\"", kind.name));
        assert!(is_there || not_here.contains(&kind.name), "no profile does {}", kind.name);
    }
}
