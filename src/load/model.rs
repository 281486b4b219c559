//! The trait that each load model's file implements: its keys in profiles, and the schedule that they define.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::Piece;
use crate::parameters::{self, BadParameter};
use crate::values::Time;

/// A schedule of starts. It knows no clock: times are in nanoseconds from its own start.
pub trait Model: Sized {
    /// Its keys in a profile.
    type Keys: DeserializeOwned + JsonSchema;
    /// Its name in profiles.
    const NAME: &'static str;
    /// A short description of when it starts operations.
    const DESCRIPTION: &'static str;

    /// The schedule that the keys define for a load of this length.
    ///
    /// # Errors
    /// Which key is invalid, and why.
    fn from_keys(keys: Self::Keys, length: Time) -> Result<Self, BadParameter>;

    /// Its pieces over `length_ns`, each with its own length in nanoseconds.
    fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)>;

    /// Its rate at its start, in operations per second; the warm-up has this rate.
    fn first_rate(&self) -> f64;

    /// The same schedule with its rates multiplied by `factor`.
    #[must_use]
    fn times(&self, factor: f64) -> Self;

    /// The same schedule with its durations multiplied by `times`, at the same rates.
    #[must_use]
    fn in_time(&self, times: f64) -> Self;

    /// The same schedule with another rate. Returns `None` if it does not have exactly one rate.
    fn at_rate(&self, per_second: f64) -> Option<Self> {
        let _ = per_second;
        None
    }

    /// A description for plans and reports.
    fn describe(&self) -> String;

    /// Reads it from a profile's keys.
    ///
    /// # Errors
    /// Which key is missing or wrong, and why.
    fn read(given: &BTreeMap<String, toml::Value>, length: Time) -> Result<Self, BadParameter> {
        Self::from_keys(parameters::read(Self::NAME, given)?, length)
    }
}
