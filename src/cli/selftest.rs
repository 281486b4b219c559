//! `steadfast selftest`: tests the checker with nodes that have one defect each. A defect must violate its own
//! guarantee and no other one; without a defect all guarantees must pass. A defect that falsifies the only evidence of
//! other guarantees may leave these unknown; a defect that answers outside the contract leaves the trial unknown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;

use super::output;
use super::progress::Shown;
use super::run::{Order, execute, interrupted, listen};
use super::runtime::{Chosen, Where};
use crate::check::{Guarantee, Verdict};
use crate::expect::{Condition, Expectation};
use crate::files::{self, Kind};
use crate::plan::{Overrides, Plan};
use crate::profile::Profile;
use crate::record::{Summary, TargetSummary};
use crate::run::Folder;
use crate::topology::{Target, Tier};

/// Arguments of `selftest`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Save results in this folder, which must not exist [default: reports/selftest/UTC]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// Draw every choice from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Try only this one, as the table names it; may be repeated
    #[arg(long = "defect", value_name = "NAME", value_parser = names())]
    defects: Vec<String>,
}

/// The expected result for a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// Every guarantee passes.
    Pass,
    /// This guarantee is violated, and every other one passes.
    Break(Guarantee),
    /// This guarantee is violated; others may be unknown.
    BreakAtLeast(Guarantee),
    /// The verdict of the trial is unknown, so no guarantee is violated.
    StayUnknown,
}

impl Must {
    fn words(self) -> &'static str {
        match self {
            Self::Pass => "nothing",
            Self::Break(guarantee) | Self::BreakAtLeast(guarantee) => guarantee.name(),
            Self::StayUnknown => "nothing; unknown",
        }
    }
}

/// The defect of a node (see docker/reference-app), and the expected result.
type Defect = (&'static str, Must);

/// All defects.
const DEFECTS: [Defect; 22] = [
    ("none", Must::Pass),
    ("loses-sessions", Must::Break(Guarantee::SessionSurvives)),
    ("swaps-sessions", Must::Break(Guarantee::Owned)),
    ("stale-reads", Must::Break(Guarantee::ReadYourWrites)),
    ("goes-back", Must::Break(Guarantee::MonotonicReads)),
    ("drops-updates", Must::Break(Guarantee::NoLostUpdate)),
    ("applies-twice", Must::Break(Guarantee::AppliedOnce)),
    ("applies-refused", Must::Break(Guarantee::NoPhantom)),
    ("forks", Must::Break(Guarantee::OneHistory)),
    ("revives-sessions", Must::Break(Guarantee::LogoutIsFinal)),
    ("revives-on-write", Must::Break(Guarantee::LogoutIsFinal)),
    ("revives-in-flight", Must::Break(Guarantee::LogoutIsFinal)),
    ("resends-cookies", Must::Break(Guarantee::LoginSticks)),
    ("keeps-old-ids", Must::Break(Guarantee::IdRotates)),
    ("adopts-ids", Must::Break(Guarantee::NoAdoptedId)),
    ("ends-other-devices", Must::Break(Guarantee::SessionSurvives)),
    ("never-expires", Must::Break(Guarantee::ExpiresInTime)),
    ("expires-readers", Must::Break(Guarantee::ExpiresInTime)),
    ("loses-payloads", Must::Break(Guarantee::NoLostUpdate)),
    ("makes-up-tails", Must::BreakAtLeast(Guarantee::NoPhantom)),
    ("answers-anonymously", Must::Break(Guarantee::SessionSurvives)),
    ("answers-off-contract", Must::StayUnknown),
];

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(DEFECTS.map(|(defect, _)| name(defect)))
}

/// The target whose app nodes get the defects, and the target whose balancer it uses in containers.
const BASE: &str = "reference-sticky-cookie";
const REAL_BALANCER: &str = "tomcat-sticky-cookie";

/// Runs the defects and prints which of them were found.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let interrupt = listen()?;
    let chosen = arguments.place.settle().await?;
    chosen.tell();
    let is_tried =
        |(defect, _): &Defect| arguments.defects.is_empty() || arguments.defects.contains(&name(defect).to_owned());
    let defects: Vec<Defect> = DEFECTS.into_iter().filter(is_tried).collect();
    let plan = plan(&defects, matches!(chosen, Chosen::Docker(_)), arguments.seed)?;
    let shown = Shown::default();
    let order = Order {
        plan: &plan,
        folder: arguments.output.as_deref().map_or(Folder::Dated, Folder::New),
        note: None,
        baseline: None,
        shown: &shown,
    };
    let Some(executed) = execute(order, chosen, &interrupt).await? else {
        return Ok(interrupted(*interrupt.borrow()));
    };
    let (summary, record) = (&executed.finished.summary, &executed.finished.record);
    output::line(&table(&defects, summary));
    record.save_summary(summary)?;
    output::line(&format!("record: {}", record.folder().display()));
    // One defect must make its trial unknown, so the usual outcome does not apply.
    executed.code_if(|summary| is_sound(&defects, summary))
}

/// Whether every defect was tried and had its expected result.
fn is_sound(defects: &[Defect], summary: &Summary) -> bool {
    let is_complete = summary.targets.len() == defects.len() && !summary.interrupted;
    let assessed =
        |(defect, _): &Defect| summary.expectations.iter().any(|assessment| assessment.target == name(defect));
    is_complete && defects.iter().all(assessed) && summary.expectations.iter().all(|assessment| assessment.met)
}

fn plan(defects: &[Defect], in_containers: bool, seed: u64) -> anyhow::Result<Plan> {
    let profile = Profile::from_source(&files::bundled(Kind::Profile, "selftest")?)?;
    let targets = defects.iter().map(|(defect, _)| target(defect, in_containers)).collect::<Result<_, _>>()?;
    let mut plan = Plan::new(&profile, &Overrides { targets, ..Overrides::default() }, seed)?;
    plan.expectations = expectations(defects).map_err(anyhow::Error::msg)?;
    Ok(plan)
}

fn name(defect: &'static str) -> &'static str {
    if defect == "none" { "no-defect" } else { defect }
}

fn target(defect: &'static str, in_containers: bool) -> anyhow::Result<Target> {
    let bundled = |name| Target::from_source(&files::bundled(Kind::Target, name)?);
    let mut target = bundled(BASE)?;
    name(defect).clone_into(&mut target.name);
    if let Some(app) = target.tiers.get_mut(&Tier::App) {
        app.settings.insert("defect".to_owned(), defect.to_owned());
    }
    if in_containers && let Some(balancer) = bundled(REAL_BALANCER)?.tiers.remove(&Tier::Balancer) {
        target.tiers.insert(Tier::Balancer, balancer);
    }
    Ok(target)
}

/// The expectations of each defect.
fn expectations(defects: &[Defect]) -> Result<Vec<Expectation>, String> {
    let of_one = |(defect, must): &Defect| {
        let expect = |what: &str, verdict: Verdict| {
            let condition: Condition = format!("{what} == {verdict}").parse()?;
            Ok(Expectation { targets: vec![name(defect).to_owned()], condition, is_of_the_targets_alone: false })
        };
        match must {
            Must::BreakAtLeast(guarantee) => vec![expect(guarantee.name(), Verdict::Violated)],
            Must::StayUnknown => vec![expect("verdict", Verdict::Unknown)],
            Must::Pass | Must::Break(_) => Guarantee::ALL
                .into_iter()
                .map(|guarantee| {
                    let breaks = *must == Must::Break(guarantee);
                    expect(guarantee.name(), if breaks { Verdict::Violated } else { Verdict::Pass })
                })
                .collect(),
        }
    };
    defects.iter().flat_map(of_one).collect()
}

fn table(defects: &[Defect], summary: &Summary) -> String {
    let found: BTreeMap<&str, &TargetSummary> =
        summary.targets.iter().map(|target| (target.target.as_str(), target)).collect();
    let mut text = format!("{:<20} {:<17} {}\n", "defect", "must break", "broken");
    for (defect, must) in defects.iter().copied() {
        let name = name(defect);
        text.push_str(&format!("{name:<20} {:<17} {}\n", must.words(), seen(found.get(name).copied(), must)));
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
    } else if made < defects.len() {
        format!("\nOnly {made} of {} were tried.\n", defects.len())
    } else if defects.len() < DEFECTS.len() {
        "\nEach of these defects was found.\n".to_owned()
    } else {
        "\nEach defect was found, and without one all guarantees passed.\n".to_owned()
    });
    text
}

fn seen(target: Option<&TargetSummary>, must: Must) -> String {
    let Some(target) = target else { return "not tried".to_owned() };
    let of = |verdict: Verdict| -> Vec<&str> {
        let alike = target.guarantees.iter().filter(|(_, found)| **found == verdict);
        alike.map(|(guarantee, _)| guarantee.name()).collect()
    };
    let (violated, unknown) = (of(Verdict::Violated), of(Verdict::Unknown));
    let mut text = match (violated.as_slice(), must) {
        ([], Must::Pass | Must::StayUnknown) => "nothing, as expected".to_owned(),
        ([], _) => "NOTHING".to_owned(),
        ([one], Must::Break(breaks) | Must::BreakAtLeast(breaks)) if *one == breaks.name() => "that alone".to_owned(),
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
    fn every_defect_of_a_reference_node_is_tried_and_every_guarantee_is_broken() {
        let plan = plan(&DEFECTS, true, 1).unwrap();
        let app = plan.trials[0].target.tiers[&Tier::App].image.settings["defect"].clone();
        assert_eq!(DEFECTS.map(|(defect, _)| defect).to_vec(), app);
        let broken = |guarantee: Guarantee| DEFECTS.iter().any(|(_, must)| *must == Must::Break(guarantee));
        assert!(Guarantee::ALL.into_iter().all(broken));
        // Two of the defects have one expectation each, the others one for each guarantee.
        assert_eq!(plan.expectations.len(), (DEFECTS.len() - 2) * Guarantee::ALL.len() + 2);
        assert!(!plan.trials[0].target.is_reference(), "behind the real balancer");
    }
}
