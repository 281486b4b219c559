//! A second checker for small histories, which shares only the types with the first. It tries every order of operations
//! and every instant at which a session may have ended. It decides each guarantee directly from its definition
//! (docs/verdicts.md), by quantifiers over whole histories, without trees, positions or stored instants. If the two
//! disagree, one of them is wrong.

mod decide;
mod histories;
mod worlds;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use self::decide::{Says, decide};
use self::histories::{Plan, any_plan, every_kind, play};
use self::worlds::is_small;
use super::{Guarantee, Verdict, judge};
use crate::history::{Expiry, Operation, SessionHistory, SessionOutcome, Timeline};

/// Histories that each of the two tests below tries.
const HISTORIES: u32 = 100_000;

/// The checker's result, in the type of the oracle.
fn fast(operations: &[Operation], expiry: Option<Expiry>) -> Says {
    let timeline = Timeline { expiry, ..Timeline::default() };
    let sessions = SessionHistory::all(operations.to_vec()).into_iter().map(|session| session.in_trial(&timeline));
    let sessions: Vec<SessionHistory> = sessions.collect();
    let is_lost = |history: &&SessionHistory| SessionOutcome::of(history).loss.is_some();
    let lost = sessions.iter().filter(is_lost).map(|history| (history.session, history.number)).collect();
    let judgement = judge(sessions, &timeline, &Guarantee::ALL);
    let verdicts = judgement.guarantees.iter().map(|(guarantee, finding)| (*guarantee, finding.verdict)).collect();
    Says { verdicts, lost }
}

/// Tries many histories. Prints the seed; `STEADFAST_SEED` repeats it.
#[expect(clippy::print_stdout, reason = "a failure has to be repeated")]
fn try_many(of_tail: usize, agrees: impl Fn(&Says, &Says) -> bool) {
    let seed: u64 =
        std::env::var("STEADFAST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}; STEADFAST_SEED={seed} repeats it");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let max_global_rejects = HISTORIES;
    let config = Config { cases: HISTORIES, failure_persistence: None, max_global_rejects, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let verdicts: RefCell<BTreeMap<(Guarantee, Verdict), u32>> = RefCell::default();
    let kinds: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let result = runner.run(&any_plan(), |plan: Plan| {
        let (operations, has) = play(&plan, of_tail);
        prop_assume!(is_small(&operations));
        let (fast, oracle) = (fast(&operations, plan.expiry()), decide(&operations, plan.expiry()));
        for (guarantee, says) in &oracle.verdicts {
            *verdicts.borrow_mut().entry((*guarantee, *says)).or_default() += 1;
        }
        for kind in has {
            *kinds.borrow_mut().entry(kind).or_default() += 1;
        }
        prop_assert!(
            fast.lost == oracle.lost && agrees(&fast, &oracle),
            "the checker says {fast:#?}, the oracle {oracle:#?}, of {operations:#?}"
        );
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, plan)) => panic!("{reason}\nseed {seed}, shrunk to {plan:#?}"),
        Err(error) => panic!("{error}"),
    }
    // Every guarantee must have passed and been violated often, and every kind of history tried often, or the test
    // shows little.
    for guarantee in Guarantee::ALL {
        for verdict in [Verdict::Pass, Verdict::Violated] {
            let count = verdicts.borrow().get(&(guarantee, verdict)).copied().unwrap_or_default();
            assert!(count > HISTORIES / 500, "only {count} histories were {verdict} on {guarantee}");
        }
    }
    for kind in every_kind() {
        let count = kinds.borrow().get(&kind).copied().unwrap_or_default();
        assert!(count > HISTORIES / 500, "only {count} histories had {kind:?}");
    }
}

#[test]
fn the_checker_decides_as_the_oracle_does() {
    try_many(crate::history::TAIL, |fast, oracle| fast.verdicts == oracle.verdicts);
}

#[test]
fn with_short_tails_the_checker_is_never_wrong_but_may_not_know() {
    // An anomaly may count under another guarantee here, because it is not always known whether an update is lost.
    try_many(2, |fast, oracle| {
        let found = fast.verdicts.values().max();
        found == oracle.verdicts.values().max() || found == Some(&Verdict::Unknown)
    });
}
