//! `steadfast selftest`: the checker against nodes that do one thing wrong. Each defect must make its own
//! guarantee fail and no other one, and without a defect all must pass.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::output;
use super::progress::Shown;
use super::run::{Order, execute, interrupted, listen};
use super::runtime::{Choice, Chosen};
use crate::check::{Guarantee, Verdict};
use crate::expect::{Condition, Expectation};
use crate::plan::{Overrides, Plan};
use crate::profile::Profile;
use crate::record::{Summary, TargetSummary};
use crate::target::{Target, Tier};

/// What `selftest` takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Save results in this folder, which must not exist [default: reports/selftest/UTC]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Where the nodes run; in containers they stand behind HAProxy
    #[arg(long, value_enum, default_value_t)]
    runtime: Choice,
    /// Draw every choice from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// What nodes do wrong (docker/reference-app), and the guarantee that this breaks.
const DEFECTS: [(&str, Option<Guarantee>); 10] = [
    ("none", None),
    ("loses-sessions", Some(Guarantee::SessionSurvives)),
    ("swaps-sessions", Some(Guarantee::Owned)),
    ("stale-reads", Some(Guarantee::ReadYourWrites)),
    ("goes-back", Some(Guarantee::MonotonicReads)),
    ("drops-updates", Some(Guarantee::NoLostUpdate)),
    ("applies-twice", Some(Guarantee::AppliedOnce)),
    ("applies-refused", Some(Guarantee::NoPhantom)),
    ("forks", Some(Guarantee::OneHistory)),
    ("revives-sessions", Some(Guarantee::LogoutIsFinal)),
];

/// The target that is given the defects, and in containers, the one whose balancer stands before it.
const BASE: &str = "reference-sticky-cookie";
const REAL_BALANCER: &str = "tomcat-sticky-cookie";

/// Runs the defects and prints what was found.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let interrupt = listen()?;
    let chosen = arguments.runtime.settle().await?;
    chosen.tell();
    let plan = plan(matches!(chosen, Chosen::Docker(_)), arguments.seed)?;
    let shown = Shown::default();
    let order = Order { plan: &plan, folder: arguments.output.as_deref(), baseline: None, shown: &shown };
    let Some(executed) = execute(order, chosen, &interrupt).await? else {
        return Ok(interrupted(*interrupt.borrow()));
    };
    output::line(&table(&executed.summary));
    executed.record.save_summary(&executed.summary)?;
    output::line(&format!("record: {}", executed.record.folder().display()));
    executed.code()
}

fn plan(in_containers: bool, seed: u64) -> anyhow::Result<Plan> {
    let profile = Profile::find("selftest")?;
    let targets = DEFECTS.iter().map(|(defect, _)| target(defect, in_containers)).collect::<Result<_, _>>()?;
    let mut plan = Plan::new(&profile, &Overrides { targets, ..Overrides::default() }, seed)?;
    plan.expectations = expectations().map_err(anyhow::Error::msg)?;
    Ok(plan)
}

fn name(defect: &str) -> String {
    if defect == "none" { "no-defect".to_owned() } else { defect.to_owned() }
}

fn target(defect: &str, in_containers: bool) -> anyhow::Result<Target> {
    let mut target = Target::find(BASE)?;
    target.name = name(defect);
    if let Some(app) = target.tiers.get_mut(&Tier::App) {
        app.settings.insert("defect".to_owned(), defect.to_owned());
    }
    if in_containers && let Some(balancer) = Target::find(REAL_BALANCER)?.tiers.remove(&Tier::Balancer) {
        target.tiers.insert(Tier::Balancer, balancer);
    }
    Ok(target)
}

/// Of each defect: its guarantee fails, and every other one passes.
fn expectations() -> Result<Vec<Expectation>, String> {
    let of_one = |(defect, breaks): &(&str, Option<Guarantee>)| {
        let targets = vec![name(defect)];
        Guarantee::ALL.map(|guarantee| {
            let verdict = if Some(guarantee) == *breaks { Verdict::Violated } else { Verdict::Pass };
            let condition: Condition = format!("{guarantee} == {verdict}").parse()?;
            Ok(Expectation { targets: targets.clone(), condition })
        })
    };
    DEFECTS.iter().flat_map(of_one).collect()
}

fn table(summary: &Summary) -> String {
    let found: BTreeMap<&str, &TargetSummary> =
        summary.targets.iter().map(|target| (target.target.as_str(), target)).collect();
    let mut text = format!("{:<18} {:<17} {}\n", "what nodes do", "must break", "found");
    for (defect, breaks) in DEFECTS {
        let name = name(defect);
        let must = breaks.map_or("nothing", Guarantee::name);
        text.push_str(&format!("{name:<18} {must:<17} {}\n", seen(found.get(name.as_str()).copied(), breaks)));
    }
    let breaches: Vec<String> = summary
        .expectations
        .iter()
        .filter(|assessment| !assessment.met)
        .map(|breach| format!("{}: expected {}, saw {}\n", breach.target, breach.expected, breach.seen))
        .collect();
    let made = summary.targets.len();
    text.push_str(&if !breaches.is_empty() {
        format!("\nThe checker cannot be trusted:\n{}", breaches.concat())
    } else if made < DEFECTS.len() {
        format!("\nOnly {made} of {} were tried.\n", DEFECTS.len())
    } else {
        "\nEach defect broke its own guarantee and no other, and without one all passed.\n".to_owned()
    });
    text
}

fn seen(target: Option<&TargetSummary>, breaks: Option<Guarantee>) -> String {
    let Some(target) = target else { return "not tried".to_owned() };
    let of = |verdict: Verdict| -> Vec<&str> {
        let alike = target.guarantees.iter().filter(|(_, found)| **found == verdict);
        alike.map(|(guarantee, _)| guarantee.name()).collect()
    };
    let (violated, unknown) = (of(Verdict::Violated), of(Verdict::Unknown));
    let mut text = match (violated.as_slice(), breaks) {
        ([], None) => "nothing, as it should be".to_owned(),
        ([], Some(_)) => "NOTHING".to_owned(),
        ([one], Some(breaks)) if *one == breaks.name() => "it, and nothing else".to_owned(),
        (several, _) => several.join(", ").to_uppercase(),
    };
    if !unknown.is_empty() {
        text.push_str(&format!("; unknown: {}", unknown.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_of_a_reference_node_is_tried_and_every_guarantee_broken_once() {
        let plan = plan(true, 1).unwrap();
        let app = plan.trials[0].target.tiers[&Tier::App].image.settings["defect"].clone();
        assert_eq!(DEFECTS.map(|(defect, _)| defect).to_vec(), app);
        let broken: Vec<Guarantee> = DEFECTS.iter().filter_map(|(_, breaks)| *breaks).collect();
        assert_eq!(broken, Guarantee::ALL);
        assert_eq!(plan.expectations.len(), 10 * 9);
        assert!(!plan.trials[0].target.is_reference(), "behind the real balancer");
    }
}
