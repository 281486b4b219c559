//! Freshness, which two guarantees share: a reply must not be older than what was known before it was asked
//! for. They differ in which replies make something known, and in what counts as older.

use super::Finding;
use super::story::{Story, node, seconds};
use crate::history::{History, Life, Operation};

/// What makes a guarantee of freshness.
pub(super) struct Rule {
    /// Whether this operation's reply makes its version known.
    pub makes_known: fn(&Operation) -> bool,
    /// The least version that this operation may show, when a version was known.
    pub least: fn(&Operation, u64) -> u64,
    /// How its reply made a version known, in a word.
    pub verb: &'static str,
}

pub(super) fn examine(lives: &[Life], history: &History, rule: &Rule) -> Finding {
    let mut finding = Finding::default();
    for life in lives {
        let known = KnownBefore::new(life, rule.makes_known);
        for (operation, state) in life.states() {
            let Some((version, by)) = known.at(operation.began_ns()) else { continue };
            finding.examined();
            if state.version < (rule.least)(operation, version) {
                finding.violated(|| {
                    let text = format!(
                        "{} {} version {version} at {}; {} answered version {}",
                        node(by),
                        rule.verb,
                        seconds(by.times.completed_ns),
                        node(operation),
                        state.version
                    );
                    Story::new(operation, history, &text)
                });
            }
        }
    }
    finding.decide(None)
}

/// The highest version that was known, by the instant from which it was.
struct KnownBefore<'a> {
    /// In the order of time; the version is the highest so far.
    known: Vec<(u64, u64, &'a Operation)>,
}

impl<'a> KnownBefore<'a> {
    fn new(life: &Life<'a>, makes_known: fn(&Operation) -> bool) -> Self {
        let replies = life.states().filter(|(operation, _)| makes_known(operation));
        let mut known: Vec<_> =
            replies.map(|(operation, state)| (operation.times.completed_ns, state.version, operation)).collect();
        known.sort_by_key(|(completed_ns, version, _)| (*completed_ns, *version));
        for index in 1..known.len() {
            if known[index].1 < known[index - 1].1 {
                (known[index].1, known[index].2) = (known[index - 1].1, known[index - 1].2);
            }
        }
        Self { known }
    }

    /// The highest version in a reply that was complete before `at_ns`, and the operation it came with.
    fn at(&self, at_ns: u64) -> Option<(u64, &'a Operation)> {
        let index = self.known.partition_point(|(completed_ns, ..)| *completed_ns <= at_ns).checked_sub(1)?;
        self.known.get(index).map(|(_, version, operation)| (*version, *operation))
    }
}
