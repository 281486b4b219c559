//! The plan as a record has it. A record may be older or newer than this program: what reports and comparisons name is
//! typed, and the rest is kept as it stands, so that a comparison can say in which key two plans differ.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a run was to do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedPlan {
    /// In the order of execution.
    pub trials: Vec<RecordedTrial>,
}

/// What one trial was to do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedTrial {
    /// Counts from 1 over the whole plan.
    pub number: usize,
    /// What was started.
    pub target: RecordedTarget,
    /// With how many app nodes.
    pub app_nodes: u8,
    /// What the traffic's choices were drawn from.
    pub seed: u64,
    /// In the order of time.
    #[serde(default)]
    pub faults: Vec<RecordedFault>,
    /// Sessions, load and all else, by key.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// A target, of which the name counts.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedTarget {
    /// As profiles name it.
    pub name: String,
}

/// A fault with its node and its times.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedFault {
    /// The name of the fault.
    pub fault: String,
    /// The node, or how it was to be chosen.
    pub node: String,
    /// When it was to be injected, from the start of the load.
    pub at: String,
    /// When it was to be undone.
    pub heal_at: String,
    /// Its parameters, by key.
    #[serde(flatten)]
    pub parameters: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{self, Kind};
    use crate::plan::{Overrides, Plan};
    use crate::profile::Profile;

    #[test]
    fn every_bundled_plan_is_read_back_with_its_trials_and_faults() {
        let mut faults = 0;
        for name in files::names(Kind::Profile) {
            let plan = Plan::new(&Profile::find(&name).unwrap(), &Overrides::default(), 7).unwrap();
            let read: RecordedPlan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
            assert_eq!(read.trials.len(), plan.trials.len(), "{name}");
            for (trial, recorded) in plan.trials.iter().zip(&read.trials) {
                assert_eq!(
                    (trial.number, &trial.target.name, trial.app_nodes, trial.seed),
                    (recorded.number, &recorded.target.name, recorded.app_nodes, recorded.seed)
                );
                assert!(recorded.settings.contains_key("load"), "{name}");
                for (planned, recorded) in trial.faults.iter().zip(&recorded.faults) {
                    assert_eq!(planned.fault.kind().name, recorded.fault);
                    assert_eq!(planned.at.to_string(), recorded.at);
                    faults += 1;
                }
            }
        }
        assert!(faults > 0);
    }
}
