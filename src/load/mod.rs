//! The load: which traffic there is to be. Load models say when operations start: one file a model, each a pure schedule
//! that answers in closed form, in nanoseconds from its own start, so that no error adds up. They know no clock.
//!
//! A new model is a file beside `spike.rs` with a type that implements [`Model`], its `mod` line and its line in the list below.
//!
//! An *open* model starts operations whatever the system does: a stall is felt by every operation that should have
//! started meanwhile. The *closed* model waits for each user's operation to end before its next one.

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
pub use sine::Sine;
pub use spike::Spike;
pub use stages::{Stage, Stages};
pub use starts::Starts;
pub use step::Step;
pub use workload::{
    Connections, Destination, Generator, Overload, Pacing, Population, SessionSettings, Settle, Timing, Users, Workload,
};

/// When operations start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoadModel {
    /// Whatever the system does.
    Open(Schedule),
    /// When the user's operation before has ended and the user has thought.
    Closed(Closed),
}

/// What schedules are laid out of, one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// Evenly.
    ConstantRate(ConstantRate),
    /// At random.
    Poisson(Poisson),
    /// At a rate that changes evenly.
    Ramp(Ramp),
    /// At a rate that swings.
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
    /// The same model, so many times as dense. A closed one follows its users, however many there are.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        match self {
            Self::Open(schedule) => Self::Open(schedule.times(factor)),
            Self::Closed(closed) => Self::Closed(*closed),
        }
    }

    /// The same model in so many times the time, at the same rates: users of a closed one think so much longer.
    #[must_use]
    pub fn in_time(&self, times: f64) -> Self {
        match self {
            Self::Open(schedule) => Self::Open(schedule.in_time(times)),
            Self::Closed(closed) => Self::Closed(Closed { think: closed.think.times(times) }),
        }
    }

    /// The same model with another rate, where it has just one.
    #[must_use]
    pub fn at_rate(&self, per_second: f64) -> Option<Self> {
        match self {
            Self::Open(schedule) => schedule.at_rate(per_second).map(Self::Open),
            Self::Closed(_) => None,
        }
    }

    /// In words, for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Open(schedule) => schedule.describe(),
            Self::Closed(closed) => closed.describe(),
        }
    }
}

/// A span of time, so many times as long.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates, and spans are positive")]
pub fn scaled(ns: u64, times: f64) -> u64 {
    (ns as f64 * times).round() as u64
}

fn seconds(ns: u64) -> String {
    format!("{} s", ns as f64 / 1e9)
}
