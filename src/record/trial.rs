//! What came out of one trial, and where its time went.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{Judgement, Verdict};
use crate::cluster::RuntimeName;
use crate::measure::Measurements;
use crate::plan::TrialPlan;

/// A part of a trial that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Making networks and containers.
    Create,
    /// Starting nodes until they are ready.
    Start,
    /// The traffic, faults included.
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

/// What came out of a trial.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// Its number in the plan.
    pub number: usize,
    /// Its target's name.
    pub target: String,
    /// How many app nodes it had.
    pub nodes: u8,
    /// Where they ran.
    pub runtime: RuntimeName,
    /// What was decided.
    pub judgement: Judgement,
    /// Its figures; none where there is nothing to measure.
    pub measurements: Option<Measurements>,
    /// Why its figures must not be believed.
    pub invalid: Option<String>,
    /// Why it was not made: a fault that cannot be done here.
    pub unsupported: Option<String>,
    /// Which nodes were hit by which fault.
    pub faults: Vec<String>,
    /// Where the time went.
    pub stages: Vec<(Stage, Duration)>,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

impl TrialResult {
    /// Of a trial that was not made, because something that it takes is not to be had here.
    #[must_use]
    pub fn unsupported(plan: &TrialPlan, runtime: RuntimeName, reason: String) -> Self {
        Self { unsupported: Some(reason.clone()), ..Self::failed(plan, runtime, reason) }
    }

    /// Of a trial that was given up before it had measured anything.
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

    /// Whether it gives a verdict at all.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        self.invalid.is_none() && !self.interrupted && self.judgement.verdict != Verdict::Unknown
    }
}
