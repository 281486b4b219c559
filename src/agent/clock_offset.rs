//! How far an agent's clock is ahead of the driver's, by asking for its time: Cristian's method, as in NTP. Half of what an
//! exchange took is the most by which its answer can be wrong.

use std::time::Duration;

/// A difference of two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// In nanoseconds; negative if the agent's clock is behind.
    pub ahead_ns: i64,
    /// The most by which that can be wrong.
    pub error_ns: i64,
}

impl ClockOffset {
    /// Of a clock from itself.
    pub const NONE: Self = Self::known(0);

    /// A difference that is known.
    pub const fn known(ahead_ns: i64) -> Self {
        Self { ahead_ns, error_ns: 0 }
    }

    /// Of one exchange: asked at `asked_unix_ns` of the driver's clock, answered `told_unix_ns` within `took`.
    pub fn of_exchange(asked_unix_ns: u64, told_unix_ns: u64, took: Duration) -> Self {
        let half_ns = i64::try_from(took.as_nanos() / 2).unwrap_or(i64::MAX);
        let told_later_by = i64::try_from(i128::from(told_unix_ns) - i128::from(asked_unix_ns)).unwrap_or(i64::MAX);
        Self { ahead_ns: told_later_by.saturating_sub(half_ns), error_ns: half_ns.saturating_add(1) }
    }

    /// The one with the smaller error.
    pub const fn more_exact(self, other: Self) -> Self {
        if other.error_ns < self.error_ns { other } else { self }
    }

    /// Both clocks were compared with a third one: how far this one is ahead of `other`. A difference within the error counts as
    /// none, because clocks of one machine are equal; if it was one after all, the error is larger by it.
    pub const fn relative_to(self, other: Self) -> Self {
        let ahead_ns = self.ahead_ns.saturating_sub(other.ahead_ns);
        let error_ns = self.error_ns.saturating_add(other.error_ns);
        let distance_ns = ahead_ns.saturating_abs();
        if distance_ns <= error_ns {
            Self { ahead_ns: 0, error_ns: error_ns.saturating_add(distance_ns) }
        } else {
            Self { ahead_ns, error_ns }
        }
    }

    /// The most by which a difference of `ahead_ns` can be wrong, by what this comparison has found.
    pub const fn error_of(self, ahead_ns: i64) -> i64 {
        self.ahead_ns.saturating_sub(ahead_ns).saturating_abs().saturating_add(self.error_ns)
    }

    /// The time of this clock when the other one shows `unix_ns`.
    pub const fn time_at(self, unix_ns: u64) -> u64 {
        unix_ns.saturating_add_signed(self.ahead_ns)
    }

    /// The time of the other clock when this one shows `unix_ns`.
    pub const fn others_time_at(self, unix_ns: u64) -> u64 {
        unix_ns.saturating_add_signed(self.ahead_ns.saturating_neg())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_true_difference_is_within_the_error(
            ahead in -1_000_000_000i64..1_000_000_000, there in 0u64..50_000_000, back in 0u64..50_000_000,
        ) {
            let asked = 1_700_000_000_000_000_000u64;
            let told = (asked + there).saturating_add_signed(ahead);
            let offset = ClockOffset::of_exchange(asked, told, Duration::from_nanos(there + back));
            prop_assert!((offset.ahead_ns - ahead).abs() <= offset.error_ns, "{:?}", offset);
            // The same towards a clock that is known, whether or not the difference counts as none.
            let relative = offset.relative_to(ClockOffset::known(ahead / 2));
            prop_assert!((relative.ahead_ns - (ahead - ahead / 2)).abs() <= relative.error_ns, "{:?}", relative);
        }
    }

    #[test]
    fn a_difference_within_the_error_is_none() {
        let clock = |ahead_ns| ClockOffset { ahead_ns, error_ns: 100 };
        assert_eq!(clock(900).relative_to(clock(750)), ClockOffset { ahead_ns: 0, error_ns: 350 });
        assert_eq!(clock(900).relative_to(clock(600)), ClockOffset { ahead_ns: 300, error_ns: 200 });
        let behind = clock(-300).relative_to(clock(0));
        assert_eq!((behind.time_at(1000), behind.others_time_at(700)), (700, 1000));
    }

    #[test]
    fn clocks_that_have_gone_apart_make_an_earlier_difference_less_exact() {
        let later = ClockOffset { ahead_ns: 7_000, error_ns: 100 };
        assert_eq!((later.error_of(6_000), later.error_of(7_000), later.error_of(9_000)), (1_100, 100, 2_100));
    }

    #[test]
    fn the_shorter_exchange_counts() {
        let of = |error_ns| ClockOffset { ahead_ns: error_ns, error_ns };
        assert_eq!(of(5).more_exact(of(3)).more_exact(of(4)), of(3));
    }
}
