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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn example() -> Evidence {
        Evidence::read(Path::new("reports/example")).unwrap()
    }

    /// What makes the example and a copy of it incomparable, once the copy was changed.
    fn changed(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut copy = example();
        change(&mut copy);
        differences(&example(), &copy, ("tomcat-redis", "tomcat-redis"))
    }

    fn of_redis(evidence: &mut Evidence) -> &mut RecordedTrial {
        let trials = &mut evidence.plan.as_mut().unwrap().trials;
        trials.iter_mut().find(|trial| trial.target.name == "tomcat-redis").unwrap()
    }

    #[test]
    fn a_record_is_comparable_with_itself_whatever_was_drawn_at_random() {
        let drawn = |evidence: &mut Evidence| {
            let trial = of_redis(evidence);
            trial.seed += 1;
            trial.faults[0].node = "app-9".into();
        };
        assert!(changed(drawn).is_empty());
    }

    #[test]
    fn another_machine_and_another_plan_are_named_with_both_values() {
        let machine = |change: fn(&mut Environment)| changed(|evidence| change(evidence.environment.as_mut().unwrap()));
        let cores = example().environment.unwrap().cores;
        assert_eq!(machine(|of| of.cores += 6), [format!("the machine's cores: {cores} against {}", cores + 6)]);
        let cpu = example().environment.unwrap().cpu;
        assert_eq!(machine(|of| of.cpu = "Z80".into()), [format!("the machine's cpu: {cpu} against Z80")]);
        assert_eq!(machine(|of| of.kernel = "2.4".into()).len(), 1);
        let processes = machine(|of| of.runtime = crate::cluster::RuntimeName::Process);
        assert_eq!(processes, ["the machine's runtime: docker against process"]);
        assert_eq!(changed(|evidence| of_redis(evidence).app_nodes = 4), ["the plan's app_nodes: 3 against 4"]);
        let slower = |evidence: &mut Evidence| {
            let model = of_redis(evidence).settings["load"]["model"].as_object_mut().unwrap();
            model.insert("rate".into(), 7.into());
        };
        assert_eq!(changed(slower), ["the plan's load.model.rate: 150.0 against 7"]);
        let settled = |evidence: &mut Evidence| drop(of_redis(evidence).settings.remove("settle"));
        assert_eq!(changed(settled), ["the plan's settle: 500ms against not recorded"]);
    }

    #[test]
    fn another_fault_or_another_time_of_it_is_a_difference() {
        let later = changed(|evidence| of_redis(evidence).faults[0].at = "99s".into());
        assert!(later.len() == 1 && later[0].starts_with("the faults: ") && later[0].contains("99s"), "{later:?}");
        assert_eq!(changed(|evidence| of_redis(evidence).faults[0].heal_at = "99s".into()).len(), 1);
        assert_eq!(changed(|evidence| of_redis(evidence).faults[0].fault = "pause".into()).len(), 1);
        let share =
            |evidence: &mut Evidence| drop(of_redis(evidence).faults[0].parameters.insert("x".into(), 1.into()));
        assert_eq!(changed(share).len(), 1);
        assert_eq!(changed(|evidence| of_redis(evidence).faults.clear()).len(), 1);
    }

    #[test]
    fn what_one_record_does_not_say_is_a_difference_too() {
        let without = changed(|evidence| evidence.environment = None);
        assert_eq!(without.len(), 4, "{without:?}");
        assert!(without.iter().all(|difference| difference.ends_with(" against not recorded")), "{without:?}");
        assert!(changed(|evidence| evidence.plan = None).iter().any(|one| one.starts_with("the plan's sessions: ")));
    }
}
