//! Several operations at the same instant, as a page that loads its parts: as many in all, in fewer places.

use super::LoadModel;

/// A schedule of which so many operations start together, when the first of them was to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Bursts {
    model: LoadModel,
    at_once: u64,
}

impl Bursts {
    /// `at_once` operations of `model` at each of its instants that are so many apart.
    #[must_use]
    pub fn new(model: LoadModel, at_once: u32) -> Self {
        Self { model, at_once: u64::from(at_once.max(1)) }
    }

    /// When operation `index` (from 0) starts, in nanoseconds from the start of the load.
    #[must_use]
    pub fn start_ns(&self, index: u64) -> u64 {
        self.model.start_ns(index - index % self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConstantRate;
    use super::*;

    #[test]
    fn operations_start_together_and_as_many_as_without() {
        let bursts = Bursts::new(LoadModel::ConstantRate(ConstantRate::new(1000.0)), 4);
        let starts: Vec<u64> = (0..9).map(|index| bursts.start_ns(index) / 1_000_000).collect();
        assert_eq!(starts, [0, 0, 0, 0, 4, 4, 4, 4, 8]);
    }
}
