//! Decides whether two records are comparable: lists differences in their plans and machines that affect the figures.

use serde_json::{Value, json};

use crate::record::{Environment, Evidence, RecordedFault, RecordedTrial};

/// Keys of a trial's plan that affect its figures. The seed is not one of them, because it only draws random choices.
const OF_PLAN: [&str; 7] = ["sessions", "load", "settle", "agent", "cpuset", "standby", "as_processes"];

/// The differences that affect the figures, as text; empty if there are none. `targets` are A's and B's target.
#[must_use]
pub fn differences(a: &Evidence, b: &Evidence, targets: (&str, &str)) -> Vec<String> {
    let mut found = Vec::new();
    let machines = (a.environment.as_ref(), b.environment.as_ref());
    let mut machine = |key: &str, of: fn(&Environment) -> Value| {
        compare(&mut found, &format!("the machine's {key}"), machines.0.map(of), machines.1.map(of));
    };
    machine("cpu", |environment| environment.cpu.clone().into());
    machine("cores", |environment| environment.cores.into());
    machine("runtime", |environment| environment.runtime.to_string().into());
    machine("kernel", |environment| environment.kernel.clone().into());
    let trials = (first_trial(a, targets.0), first_trial(b, targets.1));
    for key in OF_PLAN {
        let of = |trial: Option<&RecordedTrial>| trial.and_then(|trial| trial.settings.get(key)).cloned();
        compare(&mut found, &format!("the plan's {key}"), of(trials.0), of(trials.1));
    }
    let app_nodes = |trial: &RecordedTrial| trial.app_nodes.into();
    compare(&mut found, "the plan's app_nodes", trials.0.map(app_nodes), trials.1.map(app_nodes));
    compare(&mut found, "the faults", trials.0.map(faults), trials.1.map(faults));
    found
}

fn first_trial<'a>(evidence: &'a Evidence, target: &str) -> Option<&'a RecordedTrial> {
    evidence.plan.as_ref()?.trials.iter().find(|trial| trial.target.name == target)
}

/// The faults without their nodes, because the nodes are drawn at random.
fn faults(trial: &RecordedTrial) -> Value {
    let fault = |fault: &RecordedFault| {
        let RecordedFault { fault, at, heal_at, parameters, .. } = fault;
        json!({"fault": fault, "at": at, "heal_at": heal_at, "parameters": parameters})
    };
    trial.faults.iter().map(fault).collect()
}

fn compare(found: &mut Vec<String>, what: &str, a: Option<Value>, b: Option<Value>) {
    if a == b {
        return;
    }
    let shown = |value: Option<Value>| match value {
        None => "not recorded".to_owned(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    // Of objects, only the keys that differ are listed.
    match (&a, &b) {
        (Some(Value::Object(of_a)), Some(Value::Object(of_b))) => {
            let keys: std::collections::BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
            for key in keys {
                compare(found, &format!("{what}.{key}"), of_a.get(key).cloned(), of_b.get(key).cloned());
            }
        }
        _ => found.push(format!("{what}: {} against {}", shown(a), shown(b))),
    }
}
