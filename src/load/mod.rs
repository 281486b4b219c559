//! The load: the traffic of a trial. Load models define when operations start. Each model has its own file and is a
//! pure schedule. Except for the random one, it computes each start from its index, in nanoseconds from its own start,
//! so that errors do not add up. Models know no clock.
//!
//! A new model needs a file next to `spike.rs` with a type that implements [`Model`], a `mod` line, and a line in the
//! list below.
//!
//! An *open* model starts operations without waiting for replies: a stall counts for every operation that was due
//! meanwhile. The *closed* model waits for a user's operation to end before it starts the user's next one.

mod closed;
mod constant_rate;
mod lifetime;
mod list;
mod model;
mod poisson;
mod popularity;
mod protocol;
mod ramp;
pub mod random;
mod share;
mod sine;
mod spike;
mod stages;
mod starts;
mod step;
mod workload;

use serde::{Deserialize, Serialize};

pub use closed::{Closed, ThinkTime};
pub use constant_rate::ConstantRate;
pub use lifetime::{Lifetime, Span, Spread};
pub use model::Model;
pub use poisson::Poisson;
pub use popularity::{Choice, Popularity};
pub use protocol::{Protocol, ProtocolName, Trust};
pub use ramp::Ramp;
pub use share::Share;
pub use sine::Sine;
pub use spike::Spike;
pub use stages::{Stage, Stages};
pub use starts::Starts;
pub use step::Step;
pub use workload::{
    Connections, Destination, Generator, Overload, Pacing, Pauses, Population, SessionSettings, Settle, Timing,
    Transitions, Users, Workload,
};

/// When operations start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoadModel {
    /// On a schedule, without waiting for replies.
    Open(Schedule),
    /// A think time after the end of the user's previous operation.
    Closed(Closed),
}

/// A part of a schedule; a schedule is a sequence of pieces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// Evenly spaced starts.
    ConstantRate(ConstantRate),
    /// Random starts.
    Poisson(Poisson),
    /// A rate that changes linearly.
    Ramp(Ramp),
    /// A rate that follows a sine wave.
    Sine(Sine),
}

list::models! {
    constant_rate::ConstantRate,
    poisson::Poisson,
    ramp::Ramp,
    step::Step,
    spike::Spike,
    sine::Sine,
}

impl LoadModel {
    /// The same model with its rates multiplied by `factor`. A closed model stays the same, because it has no rate.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        match self {
            Self::Open(schedule) => Self::Open(schedule.times(factor)),
            Self::Closed(closed) => Self::Closed(*closed),
        }
    }

    /// The same model with its durations multiplied by `times`, at the same rates. In a closed model, these are the
    /// think times.
    #[must_use]
    pub fn in_time(&self, times: f64) -> Self {
        match self {
            Self::Open(schedule) => Self::Open(schedule.in_time(times)),
            Self::Closed(closed) => Self::Closed(Closed { think: closed.think.times(times) }),
        }
    }

    /// The same model with another rate. Returns `None` if it does not have exactly one rate.
    #[must_use]
    pub fn at_rate(&self, per_second: f64) -> Option<Self> {
        match self {
            Self::Open(schedule) => schedule.at_rate(per_second).map(Self::Open),
            Self::Closed(_) => None,
        }
    }

    /// A description for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Open(schedule) => schedule.describe(),
            Self::Closed(closed) => closed.describe(),
        }
    }
}

/// Multiplies a duration in nanoseconds by `times`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates, and spans are positive")]
pub fn scaled(ns: u64, times: f64) -> u64 {
    (ns as f64 * times).round() as u64
}

fn seconds(ns: u64) -> String {
    format!("{} s", ns as f64 / 1e9)
}
