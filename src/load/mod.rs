//! Load models: when operations start. One file per model, each a pure schedule that answers in closed
//! form, in nanoseconds from the start of the load, so that no error adds up. They know no clock.

mod bursts;
mod constant_rate;

use serde::{Deserialize, Serialize};

pub use bursts::Bursts;
pub use constant_rate::ConstantRate;

/// When operations start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum LoadModel {
    /// Evenly, whatever the system does.
    ConstantRate(ConstantRate),
}

impl LoadModel {
    /// When operation `index` (from 0) starts, in nanoseconds from the start of the load.
    #[must_use]
    pub fn start_ns(&self, index: u64) -> u64 {
        match self {
            Self::ConstantRate(model) => model.start_ns(index),
        }
    }

    /// The same schedule, with so many operations at each instant.
    #[must_use]
    pub fn in_bursts(self, at_once: u32) -> Bursts {
        Bursts::new(self, at_once)
    }

    /// The same schedule at another rate.
    #[must_use]
    pub fn at_rate(&self, per_second: f64) -> Self {
        match self {
            Self::ConstantRate(_) => Self::ConstantRate(ConstantRate::new(per_second)),
        }
    }

    /// The same schedule, so many times as dense.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        match self {
            Self::ConstantRate(model) => Self::ConstantRate(ConstantRate::new(model.rate() * factor)),
        }
    }

    /// In words, for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::ConstantRate(model) => format!("{} operations a second", model.rate()),
        }
    }
}
