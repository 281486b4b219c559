//! `junit.xml`: a case for each guarantee of each target, and for each expectation, as CI systems show tests.
//!
//! A violated guarantee alone is no failure: negative controls must violate theirs. Whether it may is what expectations
//! say; so a violation is told in the case's output, and an expectation that is breached is the failure.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::check::Verdict;
use crate::record::{Summary, TargetSummary};

/// Lays out a summary as `JUnit` XML.
///
/// # Errors
/// When it cannot be written: a defect of this program.
pub fn junit(summary: &Summary) -> Result<String, String> {
    let mut report = Report::new(format!("steadfast {}", summary.profile));
    for target in &summary.targets {
        let mut suite = TestSuite::new(summary.label(target));
        suite.add_test_cases(guarantees(target));
        suite.add_test_cases(expectations(summary, target));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

fn guarantees(target: &TargetSummary) -> Vec<TestCase> {
    let case = |(guarantee, verdict): (&crate::check::Guarantee, &Verdict)| {
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
        case.set_classname(format!("{}.guarantees", target.target));
        let times = target.violations.get(guarantee).copied().unwrap_or_default();
        let told = if *verdict == Verdict::Violated { format!("violated {times} times") } else { verdict.to_string() };
        case.set_system_out(told);
        case
    };
    target.guarantees.iter().map(case).collect()
}

fn expectations(summary: &Summary, target: &TargetSummary) -> Vec<TestCase> {
    let of_target = summary.expectations.iter().filter(|assessment| assessment.target == target.target);
    let case = |assessment: &crate::expect::Assessment| {
        let status = if assessment.met {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("expected {}, saw {}", assessment.expected, assessment.seen));
            status
        };
        let mut case = TestCase::new(format!("{} (trial {})", assessment.expected, assessment.trial), status);
        case.set_classname(format!("{}.expectations", target.target));
        case.set_system_out(format!("saw {}", assessment.seen));
        case
    };
    of_target.map(case).collect()
}
