//! `steadfast plan`: prints what a run would do, without running it.

use std::process::ExitCode;

use super::arguments::{NoEngine, Planned};
use super::output;
use crate::check::Guarantee;
use crate::plan::Plan;
use crate::run::check_compose;

/// Arguments of `plan`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    planned: Planned,
    /// Print the whole plan as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the plan.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = arguments.planned.plan(arguments.planned.stand_in.then_some(&NoEngine("")))?;
    for tool in check_compose(&plan).await? {
        output::note(&tool);
    }
    output::line(&if arguments.json { serde_json::to_string_pretty(&plan)? } else { describe(&plan) });
    Ok(ExitCode::SUCCESS)
}

/// Describes the plan for people.
fn describe(plan: &Plan) -> String {
    let mut text = format!("{}\nprofile {}, seed {}\n", plan.answers, plan.profile, plan.seed);
    for (target, stand_in) in &plan.stand_ins {
        text.push_str(&format!("{stand_in} stands in for {target}\n"));
    }
    for trial in &plan.trials {
        text.push_str(&format!(
            "\n{}. {} ({}), {} app nodes{}\n   {}{}, {:.0} % reads, {}\n   {} warm-up, {} load, {} settling, then every session is read\n",
            trial.number,
            trial.target.name,
            trial.target.strategy,
            trial.app_nodes,
            if trial.as_processes { ", as processes" } else { "" },
            trial.sessions.count.map_or("sessions that arrive".to_owned(), |count| format!("{} sessions", count.get())),
            // What a mapping writes is in its steps.
            match &trial.target.session {
                Some(_) => String::new(),
                None => format!(" of {} bytes", trial.sessions.payload_bytes.get()),
            },
            trial.sessions.read_share.get() * 100.0,
            trial.load.model.describe(),
            trial.load.warm_up,
            trial.load.duration,
            trial.settle,
        ));
        if let Some(mapping) = &trial.target.session {
            let all = Guarantee::shown(|guarantee| trial.judged.contains(&guarantee)).len();
            let judged = trial.judged.len();
            text.push_str(&format!(
                "   a read shows {}: {judged} of {all} guarantees are judged\n",
                mapping.evidence().describe()
            ));
        }
        if let Some(reason) = trial.lacks_commands() {
            text.push_str(&format!("   this trial will not be made: {reason}\n"));
        }
        for fault in &trial.faults {
            let detail = fault.fault.detail();
            text.push_str(&format!(
                "   at {} {} of {}{}, healed from {}\n",
                fault.at,
                fault.fault.kind(),
                fault.node,
                if detail.is_empty() { String::new() } else { format!(" ({detail})") },
                fault.heal_at
            ));
        }
        for expectation in
            plan.expectations.iter().filter(|expectation| expectation.targets.contains(&trial.target.name))
        {
            text.push_str(&format!("   expected: {}\n", expectation.condition));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;
    use crate::profile::Profile;

    #[test]
    fn the_plan_of_quick_says_what_will_be_done() {
        let plan = Plan::new(&Profile::find("quick").unwrap(), &Overrides::default(), 1).unwrap();
        insta::assert_snapshot!(describe(&plan));
    }
}
