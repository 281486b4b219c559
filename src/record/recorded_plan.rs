//! The plan in a record. A record may be older or newer than this program: only the keys that reports and comparisons
//! name are typed. The rest stays as JSON, so that a comparison can name the key in which two plans differ.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The plan of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedPlan {
    /// The trials in the order of execution.
    pub trials: Vec<RecordedTrial>,
}

/// The plan of one trial.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedTrial {
    /// Counts from 1 over the whole plan.
    pub number: usize,
    /// The target.
    pub target: RecordedTarget,
    /// Number of app nodes.
    pub app_nodes: u8,
    /// The seed of the traffic's choices.
    pub seed: u64,
    /// The faults in the order of time.
    #[serde(default)]
    pub faults: Vec<RecordedFault>,
    /// Sessions, load and all other keys.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// A target, of which only the name is read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedTarget {
    /// Its name in profiles.
    pub name: String,
}

/// A fault with its node and its times.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RecordedFault {
    /// The name of the fault.
    pub fault: String,
    /// The node, or the rule by which it is chosen.
    pub node: String,
    /// When it is to be injected, from the start of the load.
    pub at: String,
    /// When it is to be healed, from the start of the load.
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
