//! `steadfast compare`: is B better than A? Compares two records, or two targets.

use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
use super::usage::UsageError;
use crate::compare::{compare, differences};
use crate::record::{Evidence, TargetSummary};
use crate::report::comparison;

/// Arguments of `compare`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The record that is compared against
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The record that is compared; none to compare two targets of A
    #[arg(value_name = "B", required_unless_present = "targets")]
    b: Option<PathBuf>,
    /// Compare these two targets: the first one of A, the second one of B, or of A where there is no B
    #[arg(long, value_name = "TARGET,TARGET", value_parser = two)]
    targets: Option<(String, String)>,
    /// Exit with 1 only where something got worse by more than this share
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    threshold: f64,
    /// Compare even where plans or machines differ in what matters
    #[arg(long)]
    anyway: bool,
    /// Print every figure, those without a difference too
    #[arg(long)]
    all: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

fn two(text: &str) -> Result<(String, String), String> {
    let pair =
        text.split_once(',').ok_or_else(|| format!("`{text}` is not two targets such as tomcat-redis,tomcat-delta"))?;
    Ok((pair.0.trim().to_owned(), pair.1.trim().to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    crate::metric::Unit::Ratio.parse(text)
}

/// Prints the comparison. Exits with 1 if something got worse or is missing.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let a = Evidence::read(&arguments.a)?;
    let b = arguments.b.as_deref().map(Evidence::read).transpose()?;
    let b = b.as_ref().unwrap_or(&a);
    let pairs = pairs(&a, b, arguments.targets.as_ref())?;
    let mut found: Vec<String> =
        pairs.iter().flat_map(|(of_a, of_b)| differences(&a, b, (&of_a.target, &of_b.target))).collect();
    found.dedup();
    if !found.is_empty() {
        let listed = found.iter().map(|difference| format!("  {difference}")).collect::<Vec<_>>().join("\n");
        if !arguments.anyway {
            return Err(UsageError::new(format!(
                "the two differ in what matters for their figures; --anyway compares them all the same:\n{listed}"
            ))
            .into());
        }
        output::note(&format!("compared although they differ in what matters:\n{listed}"));
    }
    let compared = compare(&pairs);
    if arguments.json {
        output::line(&serde_json::to_string_pretty(&compared)?);
    } else {
        for comparison in &compared {
            output::line(&comparison::table(comparison, arguments.all));
        }
    }
    let missing = missing(&a, b, arguments.targets.is_some());
    let regressions: Vec<String> = compared
        .iter()
        .flat_map(|comparison| {
            let of_target = comparison.regressions(arguments.threshold).into_iter();
            of_target.map(|regression| format!("{}: {regression}", comparison.b))
        })
        .chain(missing)
        .collect();
    for regression in &regressions {
        output::note(&format!("worse: {regression}"));
    }
    Ok(ExitCode::from(u8::from(!regressions.is_empty())))
}

/// Describes the cases of A that B does not have; empty if the targets are named.
fn missing(a: &Evidence, b: &Evidence, are_named: bool) -> Vec<String> {
    let is_missing = |of_a: &&TargetSummary| {
        !b.summary.targets.iter().any(|of_b| (&of_b.target, of_b.nodes) == (&of_a.target, of_a.nodes))
    };
    let missing = a.summary.targets.iter().filter(|_| !are_named).filter(is_missing);
    missing.map(|target| format!("{} ×{}: it is missing", target.target, target.nodes)).collect()
}

type Pair<'a> = (&'a TargetSummary, &'a TargetSummary);

/// The pairs to compare: the two named targets, or each case that A and B have in common.
fn pairs<'a>(a: &'a Evidence, b: &'a Evidence, targets: Option<&(String, String)>) -> anyhow::Result<Vec<Pair<'a>>> {
    if let Some((first, second)) = targets {
        return Ok(vec![(named(a, first)?, named(b, second)?)]);
    }
    let same = |of_a: &'a TargetSummary| {
        let is_same = |of_b: &&TargetSummary| (&of_b.target, of_b.nodes) == (&of_a.target, of_a.nodes);
        Some((of_a, b.summary.targets.iter().find(is_same)?))
    };
    let pairs: Vec<Pair<'_>> = a.summary.targets.iter().filter_map(same).collect();
    if pairs.is_empty() {
        let names = |evidence: &Evidence| targets_of(evidence).join(", ");
        let message = format!("the two have no target in common: A has {}; B has {}", names(a), names(b));
        return Err(UsageError::new(message).into());
    }
    Ok(pairs)
}

fn targets_of(evidence: &Evidence) -> Vec<&str> {
    evidence.summary.targets.iter().map(|target| target.target.as_str()).collect()
}

fn named<'a>(evidence: &'a Evidence, name: &str) -> anyhow::Result<&'a TargetSummary> {
    let found = evidence.summary.targets.iter().find(|target| target.target == name);
    let unknown = || UsageError::new(format!("the record has no `{name}`; it has {}", targets_of(evidence).join(", ")));
    Ok(found.ok_or_else(unknown)?)
}
