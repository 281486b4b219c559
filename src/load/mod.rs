//! The load: which traffic there is to be. When operations start is said by load models, one file per model, each a pure schedule that answers in closed
//! form, in nanoseconds from its own start, so that no error adds up. They know no clock.
//!
//! An *open* model starts operations whatever the system does: a stall is felt by every operation that should have
//! started meanwhile. The *closed* model waits for each user's operation to end before its next one.

mod closed;
mod constant_rate;
mod lifetime;
mod poisson;
mod popularity;
mod ramp;
pub mod random;
mod spike;
mod stages;
mod starts;
mod step;
mod workload;

use serde::{Deserialize, Serialize};

pub use closed::{Closed, ThinkTime};
pub use constant_rate::ConstantRate;
pub use lifetime::{Lifetime, Span, Spread};
pub use poisson::Poisson;
pub use popularity::{Choice, Popularity};
pub use ramp::Ramp;
pub use spike::Spike;
pub use stages::{Stage, Stages};
pub use starts::Starts;
pub use step::Step;
pub use workload::{Connections, Overload, Pacing, Population, Protocol, ProtocolName, Settle, Trust, Workload};

/// When operations start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoadModel {
    /// Whatever the system does.
    Open(Schedule),
    /// When the user's operation before has ended and the user has thought.
    Closed(Closed),
}

/// Starts that wait for nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum Schedule {
    /// Evenly.
    ConstantRate(ConstantRate),
    /// At random, each independent of the others.
    Poisson(Poisson),
    /// Faster and faster, or slower.
    Ramp(Ramp),
    /// A stair of rates.
    Step(Step),
    /// One rate, and for a while another.
    Spike(Spike),
    /// One schedule after the other.
    Stages(Stages),
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
}

impl Schedule {
    /// What it is laid out of over `length_ns`: each piece with its own length.
    #[must_use]
    pub fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
        match self {
            Self::ConstantRate(model) => vec![(Piece::ConstantRate(*model), length_ns)],
            Self::Poisson(model) => vec![(Piece::Poisson(*model), length_ns)],
            Self::Ramp(model) => vec![(Piece::Ramp(*model), length_ns)],
            Self::Step(model) => model.pieces(length_ns),
            Self::Spike(model) => model.pieces(length_ns),
            Self::Stages(model) => model.pieces(),
        }
    }

    /// Its rate at its start, in operations a second: what the warm-up has.
    #[must_use]
    pub fn first_rate(&self) -> f64 {
        match self {
            Self::ConstantRate(model) => model.rate(),
            Self::Poisson(model) => model.rate(),
            Self::Ramp(model) => model.from,
            Self::Step(model) => model.from,
            Self::Spike(model) => model.rate,
            Self::Stages(model) => model.stages.first().map_or(0.0, |stage| stage.schedule.first_rate()),
        }
    }

    /// The same schedule, so many times as dense.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        match self {
            Self::ConstantRate(model) => Self::ConstantRate(ConstantRate::new(model.rate() * factor)),
            Self::Poisson(model) => Self::Poisson(Poisson::new(model.rate() * factor)),
            Self::Ramp(model) => {
                Self::Ramp(Ramp { from: model.from * factor, to: model.to * factor, over_ns: model.over_ns })
            }
            Self::Step(model) => {
                Self::Step(Step { from: model.from * factor, by: model.by * factor, every_ns: model.every_ns })
            }
            Self::Spike(model) => Self::Spike(Spike { rate: model.rate * factor, peak: model.peak * factor, ..*model }),
            Self::Stages(model) => Self::Stages(Stages {
                stages: model
                    .stages
                    .iter()
                    .map(|stage| Stage { schedule: stage.schedule.times(factor), length_ns: stage.length_ns })
                    .collect(),
            }),
        }
    }

    /// The same schedule in so many times the time, at the same rates.
    #[must_use]
    pub fn in_time(&self, times: f64) -> Self {
        match self {
            Self::ConstantRate(_) | Self::Poisson(_) => self.clone(),
            Self::Ramp(model) => Self::Ramp(Ramp { over_ns: scaled(model.over_ns, times), ..*model }),
            Self::Step(model) => Self::Step(Step { every_ns: scaled(model.every_ns, times), ..*model }),
            Self::Spike(model) => Self::Spike(Spike {
                at_ns: scaled(model.at_ns, times),
                length_ns: scaled(model.length_ns, times),
                ..*model
            }),
            Self::Stages(model) => Self::Stages(Stages {
                stages: model
                    .stages
                    .iter()
                    .map(|stage| Stage {
                        schedule: stage.schedule.in_time(times),
                        length_ns: scaled(stage.length_ns, times),
                    })
                    .collect(),
            }),
        }
    }

    /// In words, for plans and reports.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::ConstantRate(model) => format!("{} operations a second", model.rate()),
            Self::Poisson(model) => format!("{} operations a second, at random", model.rate()),
            Self::Ramp(model) => format!("{} to {} operations a second", model.from, model.to),
            Self::Step(model) => {
                let (more, by) = if model.by < 0.0 { ("fewer", -model.by) } else { ("more", model.by) };
                format!("{} operations a second, {by} {more} every {}", model.from, seconds(model.every_ns))
            }
            Self::Spike(model) => {
                let (at, length) = (seconds(model.at_ns), seconds(model.length_ns));
                format!("{} operations a second, {} for {length} from {at}", model.rate, model.peak)
            }
            Self::Stages(model) => {
                let words = |stage: &Stage| format!("{} for {}", stage.schedule.describe(), seconds(stage.length_ns));
                model.stages.iter().map(words).collect::<Vec<_>>().join(", then ")
            }
        }
    }
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
            Self::Open(Schedule::ConstantRate(_)) => {
                Some(Self::Open(Schedule::ConstantRate(ConstantRate::new(per_second))))
            }
            Self::Open(Schedule::Poisson(_)) => Some(Self::Open(Schedule::Poisson(Poisson::new(per_second)))),
            Self::Open(_) | Self::Closed(_) => None,
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
