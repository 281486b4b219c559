//! Medians over the trials of a target.

use std::collections::BTreeMap;

use crate::measure::Measurements;
use crate::statistics;

pub fn medians<K: Ord + Copy>(
    measured: &[&Measurements],
    of: fn(&Measurements) -> &BTreeMap<K, f64>,
) -> BTreeMap<K, f64> {
    let mut values: BTreeMap<K, Vec<f64>> = BTreeMap::new();
    for (key, value) in measured.iter().flat_map(|measurements| of(measurements)) {
        values.entry(*key).or_default().push(*value);
    }
    values.into_iter().filter_map(|(key, values)| Some((key, median(values.into_iter())?))).collect()
}

pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    statistics::median(&values.collect::<Vec<_>>())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts far below 2^53")]
pub fn median_whole<T>(measured: &[&T], of: impl Fn(&T) -> Option<u64>) -> Option<u64> {
    median(measured.iter().filter_map(|measurements| of(measurements)).map(|value| value as f64))
        .map(|value| value.round() as u64)
}
