//! The virtual users of a profile: their number, client addresses, session lifetimes and activity.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::check::Guarantee;
use crate::history::{Expiry, Owners};
use crate::load::random::{Draw, stream};
use crate::load::{Choice, Pauses, Popularity, Span, Spread, Transitions};
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
    /// The most addresses that `sessions` sessions have.
    #[must_use]
    pub fn most(self, sessions: u32) -> u32 {
        match self {
            Self::One => 1,
            Self::PerSession => sessions,
            Self::Some { count, .. } => count.get(),
        }
    }

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
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that users do or do not")]
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
    /// How long the app waits between loading and saving a session: in the requests that a log-in or log-out overtakes, and in
    /// all of them where several of a session start at once.
    #[serde(default)]
    pub hold: Option<Time>,
    /// Whether a request of the session is in flight when its user logs out: of every second session a write, of the others a
    /// mere read.
    #[serde(default)]
    pub log_out_while_busy: bool,
    /// Whether users first have a visitor's session, which nobody owns, and log in while a request of it is in flight.
    #[serde(default)]
    pub anonymous_first: bool,
    /// Whether every second session begins with an id that its user made up.
    #[serde(default)]
    pub made_up_ids: bool,
    /// Whether each session gets another id once more, in its middle, while a request of it is in flight: of every second session a
    /// write, of the others a mere read.
    #[serde(default)]
    pub rotate_ids: bool,
    /// How long after a change of the id the one from before may still lead to the session.
    #[serde(default)]
    pub old_id_grace: Time,
    /// How many devices each owner logs in from, each with a session of its own.
    #[serde(default)]
    pub devices: Within<1, 64>,
    /// How long after its last request a session ends by itself; `None`: as the app has it. Then every second user does not log
    /// out, but pauses: a few times for less than that, and once for more.
    #[serde(default)]
    pub expires_after: Option<Time>,
    /// How much sooner or later that may be.
    #[serde(default = "one_second")]
    pub expires_tolerance: Time,
}

/// The longest time for which an app can be asked to hold a session.
pub const MAX_HOLD: Time = Time::from_millis(60_000);

impl Sessions {
    /// What users do around the log-in and the log-out.
    #[must_use]
    pub fn transitions(&self) -> Transitions {
        Transitions {
            hold_ms: self.hold.map_or(0, |hold| u32::try_from(hold.as_nanos() / 1_000_000).unwrap_or(u32::MAX)),
            holds_all: self.at_once.get() > 1,
            log_out_while_busy: self.log_out_while_busy,
            anonymous_first: self.anonymous_first,
            made_up_ids: self.made_up_ids,
            rotate_ids: self.rotate_ids,
            old_id_grace_ns: self.old_id_grace.as_nanos(),
            owners: self.owners(),
            pauses: self.expiry().map(|expiry| Pauses::of(expiry.after_ns, expiry.tolerance_ns)),
        }
    }

    /// Whose users are devices of one owner.
    #[must_use]
    pub fn owners(&self) -> Owners {
        Owners::with_devices(self.devices.get())
    }

    /// When sessions end by themselves.
    #[must_use]
    pub fn expiry(&self) -> Option<Expiry> {
        let after_ns = self.expires_after?.as_nanos();
        Some(Expiry { after_ns, tolerance_ns: self.expires_tolerance.as_nanos() })
    }

    /// Why no session of these users can show whether a guarantee holds; `None` where one can.
    #[must_use]
    pub fn why_not_shown(&self, guarantee: Guarantee) -> Option<&'static str> {
        match guarantee {
            Guarantee::LoginSticks | Guarantee::IdRotates => (!self.anonymous_first && !self.rotate_ids)
                .then_some("no id changes; set `sessions.anonymous_first = true` or `sessions.rotate_ids = true`"),
            Guarantee::NoAdoptedId => {
                (!self.made_up_ids).then_some("nobody makes up an id; set `sessions.made_up_ids = true`")
            }
            Guarantee::ExpiresInTime => {
                self.expires_after.is_none().then_some("no session ends by itself; set `sessions.expires_after`")
            }
            _ => None,
        }
    }
}

/// 2 KB: a user, some rights and a basket.
fn default_payload() -> Within<0, 4_194_304> {
    Within::try_from(2048).unwrap_or_default()
}

const fn one_second() -> Time {
    Time::from_millis(1000)
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
