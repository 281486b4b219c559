//! Whether two records can be compared at all: what differs in their plans and machines that matters for the figures.

use serde_json::Value;

use crate::record::Evidence;

/// Of a trial's plan, what makes its figures another matter. The seed does not: it is chance.
const OF_PLAN: [&str; 8] = ["sessions", "load", "settle", "agent", "cpuset", "standby", "as_processes", "app_nodes"];
/// Of the machine.
const OF_MACHINE: [&str; 4] = ["cpu", "cores", "runtime", "kernel"];

/// What differs in what matters, in words; empty where nothing does. `targets` are A's and B's of one comparison.
#[must_use]
pub fn differences(a: &Evidence, b: &Evidence, targets: (&str, &str)) -> Vec<String> {
    let mut found = Vec::new();
    for key in OF_MACHINE {
        let of = |evidence: &Evidence| evidence.environment.as_ref().and_then(|all| all.get(key)).cloned();
        compare(&mut found, &format!("the machine's {key}"), of(a), of(b));
    }
    let (trial_a, trial_b) = (first_trial(a, targets.0), first_trial(b, targets.1));
    for key in OF_PLAN {
        let of = |trial: Option<&Value>| trial.and_then(|trial| trial.get(key)).cloned();
        compare(&mut found, &format!("the plan's {key}"), of(trial_a), of(trial_b));
    }
    compare(&mut found, "the faults", trial_a.map(faults), trial_b.map(faults));
    found
}

fn first_trial<'a>(evidence: &'a Evidence, target: &str) -> Option<&'a Value> {
    let trials = evidence.plan.as_ref()?.get("trials")?.as_array()?;
    trials.iter().find(|trial| trial.get("target").and_then(|of| of.get("name")).is_some_and(|name| name == target))
}

/// Without the nodes that they hit: those are drawn.
fn faults(trial: &Value) -> Value {
    let faults = trial.get("faults").and_then(Value::as_array).cloned().unwrap_or_default();
    let without_node = |mut fault: Value| {
        if let Some(fault) = fault.as_object_mut() {
            fault.remove("node");
        }
        fault
    };
    Value::Array(faults.into_iter().map(without_node).collect())
}

fn compare(found: &mut Vec<String>, what: &str, a: Option<Value>, b: Option<Value>) {
    if a == b {
        return;
    }
    let told = |value: Option<Value>| match value {
        None => "not recorded".to_owned(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    // Of large parts only the keys that differ are told.
    match (&a, &b) {
        (Some(Value::Object(of_a)), Some(Value::Object(of_b))) => {
            let keys: std::collections::BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
            for key in keys {
                compare(found, &format!("{what}.{key}"), of_a.get(key).cloned(), of_b.get(key).cloned());
            }
        }
        _ => found.push(format!("{what}: {} against {}", told(a), told(b))),
    }
}
