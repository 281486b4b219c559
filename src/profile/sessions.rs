//! The virtual users of a profile: their number, client addresses, session lifetimes and activity.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::load::random::{Draw, stream};
use crate::load::{Choice, Popularity, Span, Spread};
use crate::values::{Exponent, Lasting, Time, Within};

/// The client addresses of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddresses {
    /// One address for all sessions, as behind one gateway.
    One,
    /// One address per session, up to the number of addresses that the front network holds.
    PerSession,
    /// A fixed number of addresses.
    Some {
        /// The number of addresses.
        count: Within<1, 10_000>,
        /// How unequally sessions are distributed: the address of rank k has a share in proportion to `1/k^skew`, as
        /// behind the gateways of large and small networks.
        skew: Exponent,
    },
}

impl ClientAddresses {
    /// The index of the address of each session, in the order of the sessions; empty for [`Self::One`].
    #[must_use]
    pub fn deal(self, sessions: usize, seed: u64) -> Vec<usize> {
        match self {
            Self::One => Vec::new(),
            Self::PerSession => (0..sessions).collect(),
            Self::Some { count, skew } => {
                let popularity = if skew.get() > 0.0 { Popularity::Zipf(skew.get()) } else { Popularity::Uniform };
                let mut choice = Choice::new(popularity, count.get() as usize, stream(seed, Draw::Addresses));
                (0..sessions).map(|_| choice.draw()).collect()
            }
        }
    }
}

impl<'de> Deserialize<'de> for ClientAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Skewed {
            count: Within<1, 10_000>,
            skew: Exponent,
        }

        struct WordCountOrTable;

        impl<'de> Visitor<'de> for WordCountOrTable {
            type Value = ClientAddresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"one\", \"per-session\", a number, or { count = 8, skew = 1.0 }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ClientAddresses, E> {
                match word {
                    "one" => Ok(ClientAddresses::One),
                    "per-session" => Ok(ClientAddresses::PerSession),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<ClientAddresses, E> {
                let count = count.try_into().map_err(E::custom)?;
                Ok(ClientAddresses::Some { count, skew: Exponent::ZERO })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ClientAddresses, A::Error> {
                let Skewed { count, skew } = Skewed::deserialize(MapAccessDeserializer::new(table))?;
                Ok(ClientAddresses::Some { count, skew })
            }
        }

        deserializer.deserialize_any(WordCountOrTable)
    }
}

/// When a user logs out: after a number of operations, or after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LogOutAfter {
    /// After this number of operations.
    Operations(Within<2, 1_000_000_000>),
    /// After this time.
    Time(Time),
}

impl<'de> Deserialize<'de> for LogOutAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrTime;

        impl Visitor<'_> for CountOrTime {
            type Value = LogOutAfter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of operations, or a span of time as \"30s\"")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<LogOutAfter, E> {
                count.try_into().map(LogOutAfter::Operations).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LogOutAfter, E> {
                let time: Time = text.parse().map_err(E::custom)?;
                Lasting::try_from(time).map(|lasting| LogOutAfter::Time(lasting.get())).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(CountOrTime)
    }
}

impl From<LogOutAfter> for Span {
    fn from(after: LogOutAfter) -> Self {
        match after {
            LogOutAfter::Operations(count) => Self::Operations(count.get()),
            LogOutAfter::Time(time) => Self::Time(time.as_nanos()),
        }
    }
}

impl fmt::Display for LogOutAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operations(count) => write!(f, "{} operations", count.get()),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// The distribution of activity over users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// All users are equally active.
    #[default]
    Uniform,
    /// The user of rank k is active in proportion to `1/k^s`.
    Zipf(Exponent),
}

impl From<Activity> for Popularity {
    fn from(activity: Activity) -> Self {
        match activity {
            Activity::Uniform => Self::Uniform,
            Activity::Zipf(exponent) => Self::Zipf(exponent.get()),
        }
    }
}

/// The virtual users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// The number of concurrent sessions; `None` if sessions arrive at the load's rate.
    #[serde(default)]
    pub count: Option<Within<1, 1_000_000>>,
    /// The size of the payload that a session holds besides its state; written once when it is created.
    #[serde(default = "default_payload")]
    pub payload_bytes: Within<0, 4_194_304>,
    /// How many bytes of the payload a write changes.
    #[serde(default)]
    pub write_bytes: Within<0, 4_194_304>,
    /// The share of reads among the operations; the others are writes.
    #[serde(default = "default_read_share")]
    pub read_share: super::Share,
    /// The client addresses.
    #[serde(default = "per_session")]
    pub client_addresses: ClientAddresses,
    /// The number of operations of one session that start at the same instant, as when a page loads its parts.
    #[serde(default)]
    pub at_once: Within<1, 64>,
    /// The mean after which a user logs out, comes back with the old cookies, and logs in again; `None`: never.
    #[serde(default)]
    pub log_out_after: Option<LogOutAfter>,
    /// How session lifetimes vary around the mean.
    #[serde(default)]
    pub lifetimes: Spread,
    /// How unequally users are active.
    #[serde(default)]
    pub popularity: Activity,
}

/// 2 KB: a user, some rights and a basket.
fn default_payload() -> Within<0, 4_194_304> {
    Within::try_from(2048).unwrap_or_default()
}

const fn default_read_share() -> super::Share {
    super::Share::HALF
}

const fn per_session() -> ClientAddresses {
    ClientAddresses::PerSession
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_dealt_evenly_or_skewed() {
        let deal = |skew: f64| {
            let count = Within::try_from(4).unwrap();
            let dealt = ClientAddresses::Some { count, skew: skew.try_into().unwrap() }.deal(1000, 1);
            (0..4).map(|address| dealt.iter().filter(|other| **other == address).count()).collect::<Vec<_>>()
        };
        assert_eq!(deal(0.0), [250; 4]);
        let skewed = deal(1.0);
        // 1/k divided by the sum of all 1/k, which is 2.083: 480, 240, 160, 120.
        assert!((440..520).contains(&skewed[0]) && (90..150).contains(&skewed[3]), "{skewed:?}");
    }
}
