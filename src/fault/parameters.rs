//! Parameters that several faults share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Share, Time, short};

/// How long a node that is asked to end has before it is killed, if the profile does not say.
pub const DEFAULT_GRACE: Time = Time::from_millis(10_000);

/// For `#[serde(default = …)]`.
pub const fn default_grace() -> Time {
    DEFAULT_GRACE
}

/// A share of packets that is large enough to have a visible effect: with fewer than one packet in 10,000, a trial may
/// not send a single one.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Share", into = "f64")]
#[schemars(with = "f64")]
pub struct PacketShare(f64);

impl PacketShare {
    const MIN: f64 = 0.0001;

    /// From 0.0001 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<Share> for PacketShare {
    type Error = String;

    fn try_from(share: Share) -> Result<Self, String> {
        if share.get() >= Self::MIN {
            return Ok(Self(share.get()));
        }
        Err(format!("{} is too small to be seen: it takes {} to 1", short(share.get()), Self::MIN))
    }
}

impl From<PacketShare> for f64 {
    fn from(share: PacketShare) -> Self {
        share.0
    }
}

/// In percent.
impl std::fmt::Display for PacketShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", self.0 * 100.0)
    }
}
