//! `junit.xml`: a test case for each guarantee of each target and for each expectation, for CI systems that show tests.
//!
//! A violated guarantee alone is not a failure, because negative controls must violate theirs. So a violation is only
//! written to the case's output, and a breached expectation is the failure. A target without a verdict is an error if
//! the run's exit code says so: a reader who sees only this file must not see green.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::check::{Guarantee, Verdict};
use crate::expect::Assessment;
use crate::record::{Outcome, Summary, TargetSummary, TargetVerdict};
use crate::report::ReportError;

/// Renders a summary as `JUnit` XML.
///
/// # Errors
/// When it cannot be written: a defect of this program.
pub fn junit(summary: &Summary) -> Result<String, ReportError> {
    let mut report = Report::new(format!("steadfast {}", summary.profile));
    let mut has_error = false;
    for target in &summary.targets {
        let label = summary.label(target);
        let mut suite = TestSuite::new(label.as_str());
        let no_verdict = no_verdict(summary, target);
        has_error |= no_verdict.is_some();
        suite.add_test_cases(no_verdict.map(|reason| error("gives a verdict", &label, &reason)));
        suite.add_test_cases(guarantees(target, &label));
        suite.add_test_cases(expectations(summary, target, &label));
        report.add_test_suite(suite);
    }
    if summary.outcome == Outcome::NoVerdict && !has_error {
        let mut suite = TestSuite::new("run");
        suite.add_test_case(error("gives a verdict", "run", &of_the_run(summary)));
        report.add_test_suite(suite);
    }
    Ok(report.to_string()?)
}

/// Why a target gave no verdict; `None` if it gave one, or if the run has a verdict all the same.
fn no_verdict(summary: &Summary, target: &TargetSummary) -> Option<String> {
    let gives_none =
        matches!(target.verdict, TargetVerdict::Unknown | TargetVerdict::Invalid | TargetVerdict::Unsupported);
    let reason = if target.reasons.is_empty() { target.verdict.to_string() } else { target.reasons.join("; ") };
    (gives_none && summary.outcome == Outcome::NoVerdict).then_some(reason)
}

fn of_the_run(summary: &Summary) -> String {
    match summary.unexpected.as_slice() {
        _ if summary.interrupted => "it was interrupted".to_owned(),
        [] => "not all of its trials were made".to_owned(),
        names => format!("nothing was expected of {}", names.join(", ")),
    }
}

fn error(name: &str, label: &str, reason: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(reason);
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("{label}.verdict"));
    case
}

fn guarantees(target: &TargetSummary, label: &str) -> Vec<TestCase> {
    let case = |(guarantee, verdict): (&Guarantee, &Verdict)| {
        let status = match verdict {
            Verdict::Unknown => {
                let mut status = TestCaseStatus::skipped();
                let reason = target.reasons.iter().find(|reason| reason.starts_with(guarantee.name()));
                status.set_message(reason.map_or("unknown", String::as_str));
                status
            }
            Verdict::Pass | Verdict::Violated => TestCaseStatus::success(),
        };
        let mut case = TestCase::new(guarantee.name(), status);
        case.set_classname(format!("{label}.guarantees"));
        let times = target.violations.get(guarantee).copied().unwrap_or_default();
        let text = if *verdict == Verdict::Violated { format!("violated {times} times") } else { verdict.to_string() };
        case.set_system_out(text);
        case
    };
    target.guarantees.iter().map(case).collect()
}

fn expectations(summary: &Summary, target: &TargetSummary, label: &str) -> Vec<TestCase> {
    let is_of_target = |assessment: &&Assessment| {
        assessment.target == target.target && assessment.nodes.is_none_or(|nodes| nodes == target.nodes)
    };
    // A profile may have the same condition twice.
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let case = |assessment: &Assessment| {
        let status = if assessment.met {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("expected {}, saw {}", assessment.expected, assessment.seen));
            status
        };
        let name = format!("{} (trial {})", assessment.expected, assessment.trial);
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        let mut case = TestCase::new(if *times > 1 { format!("{name} again") } else { name }, status);
        case.set_classname(format!("{label}.expectations"));
        case.set_system_out(format!("saw {}", assessment.seen));
        case
    };
    summary.expectations.iter().filter(is_of_target).map(case).collect()
}
