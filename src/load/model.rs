//! What each load model's file defines: its keys in profiles, and the schedule that they make.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Piece;
use crate::parameters::{self, BadParameter};
use crate::values::Time;

/// A schedule of starts. It knows no clock: times are in nanoseconds from its own start.
pub trait Model: Sized {
    /// Its keys, as a profile writes them.
    type Keys: DeserializeOwned + JsonSchema;
    /// As profiles write it.
    const NAME: &'static str;
    /// When it starts operations, in a few words.
    const DESCRIPTION: &'static str;

    /// The schedule that the keys make of a load of this length.
    ///
    /// # Errors
    /// Which key makes no load, and why.
    fn from_keys(keys: Self::Keys, length: Time) -> Result<Self, BadParameter>;

    /// What it is laid out of over `length_ns`: each piece with its own length.
    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)>;

    /// Its rate at its start, in operations a second: what the warm-up has.
    fn first_rate(&self) -> f64;

    /// The same schedule, so many times as dense.
    #[must_use]
    fn times(&self, factor: f64) -> Self;

    /// The same schedule in so many times the time, at the same rates.
    #[must_use]
    fn in_time(&self, times: f64) -> Self;

    /// The same with another rate, where it has just one.
    fn at_rate(&self, per_second: f64) -> Option<Self> {
        let _ = per_second;
        None
    }

    /// In words, for plans and reports.
    fn describe(&self) -> String;

    /// Reads it from a profile's keys.
    ///
    /// # Errors
    /// Which key is missing or wrong, and why.
    fn read(given: &BTreeMap<String, toml::Value>, length: Time) -> Result<Self, BadParameter> {
        Self::from_keys(parameters::read(Self::NAME, given)?, length)
    }
}
