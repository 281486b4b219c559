//! The value types of profiles. Each value is checked while it is read, so that an error has its line. This module must
//! not know profiles.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A span of time, written as `"2s"`, `"500ms"` or `"1m 30s"`. At most one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Time(Duration);

impl Time {
    const MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// A span of `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The span multiplied by `factor`, rounded down to whole milliseconds.
    #[must_use]
    pub fn times(self, factor: Share) -> Self {
        Self::from_millis(u64::try_from(self.0.mul_f64(factor.get()).as_millis()).unwrap_or(u64::MAX))
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In whole milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// In nanoseconds.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is not a span of time; write it as \"500ms\", \"4s\" or \"1m 30s\""))?;
        if duration > Self::MAX {
            return Err(format!("`{text}` is more than a day"));
        }
        if !duration.is_zero() && duration < Duration::from_micros(1) {
            return Err(format!("`{text}` is less than a microsecond, which nothing here can tell from 0s"));
        }
        Ok(Self(duration))
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A span of time in which something happens: at least a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Time", into = "Time")]
#[schemars(with = "Time")]
pub struct Lasting(Time);

impl Lasting {
    const MIN: Time = Time::from_millis(1);

    /// Ten seconds.
    pub const TEN_SECONDS: Self = Self(Time::from_millis(10_000));

    /// As a [`Time`].
    #[must_use]
    pub const fn get(self) -> Time {
        self.0
    }
}

impl TryFrom<Time> for Lasting {
    type Error = String;

    fn try_from(time: Time) -> Result<Self, String> {
        if time >= Self::MIN { Ok(Self(time)) } else { Err(format!("{time} is too short: it takes at least 1ms")) }
    }
}

impl From<Lasting> for Time {
    fn from(time: Lasting) -> Self {
        time.0
    }
}

/// Operations per second, 0.001 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Rate(f64);

/// Formats a number; below 1e-6 in scientific notation, to keep it short.
#[must_use]
pub fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-6 { format!("{value:e}") } else { value.to_string() }
}

/// About one operation in 17 minutes. A lower rate is practically no load.
const MIN_RATE: f64 = 0.001;

impl Rate {
    /// In operations per second.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (MIN_RATE..=1e6).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{} is not a rate: it takes 0.001 to 1000000 operations per second", short(value)))
        }
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

/// Operations per second: 0, or 0.001 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct RateOrZero(f64);

impl RateOrZero {
    /// In operations per second.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for RateOrZero {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if value == 0.0 || (MIN_RATE..=1e6).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{} is not a rate: it takes 0, or 0.001 to 1000000 operations per second", short(value)))
        }
    }
}

impl From<RateOrZero> for f64 {
    fn from(rate: RateOrZero) -> Self {
        rate.0
    }
}

/// A share between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Share(f64);

impl Share {
    /// One half.
    pub const HALF: Self = Self(0.5);

    /// Between 0 and 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not a share: it takes 0 to 1"))
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// How unequal a distribution is, between 0 and 10: 0 is even.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Exponent(f64);

impl Exponent {
    /// An even distribution.
    pub const ZERO: Self = Self(0.0);

    /// Between 0 and 10.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Exponent {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=10.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not an exponent: it takes 0 to 10"))
        }
    }
}

impl From<Exponent> for f64 {
    fn from(exponent: Exponent) -> Self {
        exponent.0
    }
}

/// A whole number between `LOW` and `HIGH`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Within<const LOW: i64, const HIGH: i64>(i64);

impl<const LOW: i64, const HIGH: i64> Within<LOW, HIGH> {
    /// As an unsigned 32-bit number, into which the bounds of every use fit.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

/// `LOW`.
impl<const LOW: i64, const HIGH: i64> Default for Within<LOW, HIGH> {
    fn default() -> Self {
        Self(LOW)
    }
}

impl<const LOW: i64, const HIGH: i64> TryFrom<i64> for Within<LOW, HIGH> {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        if (LOW..=HIGH).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!("{value} is not within {LOW} to {HIGH}"))
        }
    }
}

impl<const LOW: i64, const HIGH: i64> From<Within<LOW, HIGH>> for i64 {
    fn from(value: Within<LOW, HIGH>) -> Self {
        value.0
    }
}

/// A number of app nodes.
pub type AppNodes = Within<2, 32>;

/// One number of app nodes, or several that are tried one after the other; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeCounts(Vec<u8>);

/// Three: the lowest number with which one node can die and the remaining two can disagree.
impl Default for NodeCounts {
    fn default() -> Self {
        Self(vec![3])
    }
}

impl NodeCounts {
    /// The numbers, in the given order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }

    /// The lowest.
    #[must_use]
    pub fn fewest(&self) -> u8 {
        self.iter().min().unwrap_or_default()
    }

    /// The highest.
    #[must_use]
    pub fn most(&self) -> u8 {
        self.iter().max().unwrap_or_default()
    }
}

impl TryFrom<Vec<AppNodes>> for NodeCounts {
    type Error = String;

    fn try_from(counts: Vec<AppNodes>) -> Result<Self, String> {
        if counts.is_empty() {
            return Err("it takes at least one number".to_owned());
        }
        let mut known = std::collections::BTreeSet::new();
        if let Some(twice) = counts.iter().find(|count| !known.insert(**count)) {
            return Err(format!("{} stands twice; say with `trials` how often each is tried", twice.get()));
        }
        Ok(Self(counts.into_iter().map(|count| u8::try_from(count.get()).unwrap_or(u8::MAX)).collect()))
    }
}

impl std::str::FromStr for NodeCounts {
    type Err = String;

    /// Parses numbers separated by commas.
    fn from_str(text: &str) -> Result<Self, String> {
        let count = |part: &str| part.trim().parse::<i64>().map_err(|error| format!("`{part}`: {error}"))?.try_into();
        text.split(',').map(count).collect::<Result<Vec<AppNodes>, String>>()?.try_into()
    }
}

impl<'de> Deserialize<'de> for NodeCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = NodeCounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of app nodes, or a list of them")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<NodeCounts, E> {
                let count = AppNodes::try_from(count).map_err(E::custom)?;
                NodeCounts::try_from(vec![count]).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<NodeCounts, A::Error> {
                let mut counts = Vec::new();
                while let Some(count) = list.next_element::<AppNodes>()? {
                    counts.push(count);
                }
                NodeCounts::try_from(counts).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// `"one"` or `["one", "other"]`. An error in an element keeps its own message; an untagged enum would lose it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Words<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a list of words")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OneOrMore<T>, E> {
                T::deserialize(word.into_deserializer()).map(|one| OneOrMore(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(OneOrMore(words))
            }
        }

        deserializer.deserialize_any(Words(PhantomData))
    }
}
