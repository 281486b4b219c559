//! Recovery over the trials of a target, fault by fault: counts are summed, times are medians, and of the returns to
//! the steady band the worst counts.

use serde::{Deserialize, Serialize};

use super::medians::median_whole;
use crate::measure::{Back, ByVictim, CatchUp, InFlight, Measurements, Rebound, Recovery, RecoveryFigures};

/// What one fault of the plan did in all trials of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoverySummary {
    /// Counts of all trials together, medians of times; of the first trial the node, of all the worst return.
    #[serde(flatten)]
    pub figures: RecoveryFigures,
    /// How long users of sessions that were alive waited for an answer at most: their median.
    pub gap_p50_ms: u64,
    /// The 99th percentile of that.
    pub gap_p99_ms: u64,
    /// The longest of all.
    pub gap_max_ms: u64,
}

/// Summarises the faults by their position in the plan, up to the smallest number of faults in any trial.
pub fn over_trials(measured: &[&Measurements]) -> Vec<RecoverySummary> {
    let count = measured.iter().map(|one| one.recoveries.len()).min().unwrap_or_default();
    let of_fault = |index: usize| -> Vec<&Recovery> {
        measured.iter().filter_map(|measurements| measurements.recoveries.get(index)).collect()
    };
    (0..count).filter_map(|index| summed_up(&of_fault(index))).collect()
}

fn summed_up(trials: &[&Recovery]) -> Option<RecoverySummary> {
    let gap_ms = |of: fn(&Recovery) -> u64| median_whole(trials, |one| Some(of(one))).unwrap_or_default() / 1000;
    let figures: Vec<&RecoveryFigures> = trials.iter().map(|one| &one.figures).collect();
    Some(RecoverySummary {
        figures: figures_over(&figures)?,
        gap_p50_ms: gap_ms(|one| one.gap_us.p50),
        gap_p99_ms: gap_ms(|one| one.gap_us.p99),
        gap_max_ms: trials.iter().map(|one| one.gap_us.max).max().unwrap_or_default() / 1000,
    })
}

fn figures_over(trials: &[&RecoveryFigures]) -> Option<RecoveryFigures> {
    let first = trials.first()?;
    let median = |of: fn(&RecoveryFigures) -> Option<u64>| median_whole(trials, of);
    let sum = |of: fn(&RecoveryFigures) -> u64| trials.iter().map(|one| of(one)).sum();
    let by_victim = |of: fn(&RecoveryFigures) -> ByVictim| {
        trials.iter().map(|one| of(one)).fold(ByVictim::default(), ByVictim::and)
    };
    let worst =
        |of: fn(&RecoveryFigures) -> Back| trials.iter().map(|one| of(one)).max_by_key(rank).unwrap_or_default();
    let catch_up = trials.iter().all(|one| one.catch_up.is_some()).then(|| CatchUp {
        bytes: median(|one| Some(one.catch_up?.bytes)).unwrap_or_default(),
        ms: median(|one| Some(one.catch_up?.ms)).unwrap_or_default(),
    });
    Some(RecoveryFigures {
        fault: first.fault.clone(),
        node: first.node.clone(),
        detail: first.detail.clone(),
        overlaps: trials.iter().any(|one| one.overlaps),
        marked_down_ms: median(|one| one.marked_down_ms),
        marked_up_ms: median(|one| one.marked_up_ms),
        first_error_ms: median(|one| one.first_error_ms),
        last_error_ms: median(|one| one.last_error_ms),
        first_success_ms: median(|one| one.first_success_ms),
        healed_ms: median(|one| one.healed_ms),
        success: worst(|one| one.success),
        p99: worst(|one| one.p99),
        alive: by_victim(|one| one.alive),
        lost: by_victim(|one| one.lost),
        acknowledged_writes_lost: sum(|one| one.acknowledged_writes_lost),
        oldest_lost_write_ms: trials.iter().filter_map(|one| one.oldest_lost_write_ms).max(),
        in_flight: InFlight {
            ok: sum(|one| one.in_flight.ok),
            fail: sum(|one| one.in_flight.fail),
            indeterminate: sum(|one| one.in_flight.indeterminate),
        },
        rebound: trials.iter().map(|one| one.rebound).collect::<Option<Vec<Rebound>>>().map(|all| {
            let sum = |of: fn(&Rebound) -> ByVictim| all.iter().map(of).fold(ByVictim::default(), ByVictim::and);
            Rebound { seen: sum(|one| one.seen), by_fault: sum(|one| one.by_fault), by_heal: sum(|one| one.by_heal) }
        }),
        catch_up,
    })
}

/// A worse return has a higher rank.
fn rank(back: &Back) -> (u8, u64) {
    match back {
        Back::AfterMs(ms) => (0, *ms),
        Back::Unknown => (1, 0),
        Back::Never => (2, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Latency;

    #[test]
    fn over_trials_counts_are_summed_times_are_medians_and_the_worst_return_counts() {
        let recovery = |last_error_ms, success, lost| Recovery {
            exposed: 3,
            injected_ms: Some(1),
            gap_us: Latency { max: last_error_ms * 1000, ..Latency::default() },
            figures: RecoveryFigures {
                fault: "kill".to_owned(),
                node: "app-1".into(),
                overlaps: false,
                healed_ms: Some(2000),
                marked_down_ms: None,
                marked_up_ms: None,
                first_error_ms: Some(1),
                last_error_ms: Some(last_error_ms),
                first_success_ms: Some(1),
                success,
                p99: Back::AfterMs(0),
                alive: ByVictim { of_victim: 10, of_others: 20 },
                lost: ByVictim { of_victim: lost, of_others: 0 },
                acknowledged_writes_lost: lost,
                oldest_lost_write_ms: Some(lost),
                in_flight: InFlight { ok: 1, fail: 2, indeterminate: 3 },
                detail: String::new(),
                rebound: None,
                catch_up: None,
            },
        };
        let trials = [
            recovery(100, Back::AfterMs(1000), 10),
            recovery(300, Back::Unknown, 9),
            recovery(200, Back::AfterMs(9000), 8),
        ];
        let summary = summed_up(&trials.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            (summary.figures.last_error_ms, summary.gap_max_ms, summary.figures.success),
            (Some(200), 300, Back::Unknown)
        );
        assert_eq!(
            (summary.figures.alive.of_victim, summary.figures.lost.of_victim, summary.figures.acknowledged_writes_lost),
            (30, 27, 27)
        );
        assert_eq!((summary.figures.oldest_lost_write_ms, summary.figures.in_flight.indeterminate), (Some(10), 9));
        assert_eq!(summed_up(&[]), None);
    }
}
