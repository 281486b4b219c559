//! The result of one trial, and the time of each stage.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{Judgement, Verdict};
use crate::cluster::RuntimeName;
use crate::measure::Measurements;
use crate::plan::TrialPlan;

/// A stage of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Creating networks and containers.
    Create,
    /// Starting nodes until they are ready.
    Start,
    /// The load, faults included.
    Load,
    /// Healing, settling and the final read.
    Settle,
    /// Fetching the history, logs and figures; judging.
    Collect,
    /// Removing everything.
    Remove,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "creating",
            Self::Start => "starting",
            Self::Load => "load",
            Self::Settle => "settling",
            Self::Collect => "collecting",
            Self::Remove => "removing",
        })
    }
}

/// The result of a trial.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// Its number in the plan.
    pub number: usize,
    /// Its target's name.
    pub target: String,
    /// Number of app nodes.
    pub nodes: u8,
    /// Where the nodes ran.
    pub runtime: RuntimeName,
    /// The verdict with its findings.
    pub judgement: Judgement,
    /// Its figures; `None` if nothing was measured.
    pub measurements: Option<Measurements>,
    /// Why the trial is invalid.
    pub invalid: Option<String>,
    /// Why it was not run: a fault that is unsupported here.
    pub unsupported: Option<String>,
    /// Which nodes were hit by which fault.
    pub faults: Vec<String>,
    /// How long each stage took.
    pub stages: Vec<(Stage, Duration)>,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

impl TrialResult {
    /// The result of a trial that was not run, because something that it needs is unsupported here.
    #[must_use]
    pub fn unsupported(plan: &TrialPlan, runtime: RuntimeName, reason: String) -> Self {
        Self { unsupported: Some(reason.clone()), ..Self::failed(plan, runtime, reason) }
    }

    /// The result of a trial that was aborted before anything was measured.
    #[must_use]
    pub fn failed(plan: &TrialPlan, runtime: RuntimeName, reason: String) -> Self {
        Self {
            number: plan.number,
            target: plan.target.name.clone(),
            nodes: plan.app_nodes,
            runtime,
            judgement: Judgement::unknown(reason),
            measurements: None,
            invalid: None,
            unsupported: None,
            faults: Vec::new(),
            stages: Vec::new(),
            interrupted: false,
        }
    }

    /// Whether the trial gives a verdict: it is not *unknown*, invalid or interrupted.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        self.invalid.is_none() && !self.interrupted && self.judgement.verdict != Verdict::Unknown
    }
}
