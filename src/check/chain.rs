//! Which operations a state holds, and in which order. A state shows its version, its digest and its last
//! operations; the replies before it show the rest. The digest of every step is computed again, so a
//! reconstructed order is the state's own order and no guess.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::State;

const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
/// More branches than this at one version are given up.
const MOST_BRANCHES: usize = 64;

/// The digest after `op` was appended to a state with `digest`: FNV-1a, 64 bits, over the eight bytes of the
/// digest, big end first, then the id (docker/CONTRACT.md).
pub(super) fn append(digest: u64, op: &str) -> u64 {
    let bytes = digest.to_be_bytes();
    bytes
        .iter()
        .chain(op.as_bytes())
        .fold(FNV_OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// The digest of a session to which nothing has been appended.
pub(super) const EMPTY: u64 = FNV_OFFSET_BASIS;

/// The operations of `last`, in order, from all states of the same session that were seen, `last` among
/// them. None where they do not show enough.
pub(super) fn operations_of<'a>(seen: &[&'a State], last: &State) -> Option<Vec<&'a str>> {
    let goal = parse_digest(&last.digest)?;
    let candidates = candidates(seen);
    let confirmed = confirmed_digests(seen);
    // Each branch is its digest and, for each step, which branch it came from and by which operation.
    let mut steps: Vec<Vec<(u64, usize, &str)>> = vec![vec![(EMPTY, 0, "")]];
    for version in 1..=last.version {
        let before = steps.last()?;
        let ops = candidates.get(&version)?;
        let mut next = Vec::new();
        for (parent, (digest, _, _)) in before.iter().enumerate() {
            next.extend(ops.iter().map(|op| (append(*digest, op), parent, *op)));
        }
        if let Some(digests) = confirmed.get(&version) {
            next.retain(|(digest, ..)| digests.contains(digest));
        }
        if next.is_empty() || next.len() > MOST_BRANCHES {
            return None;
        }
        steps.push(next);
    }
    let mut index = steps.last()?.iter().position(|(digest, ..)| *digest == goal)?;
    let mut order = Vec::new();
    for step in steps.iter().skip(1).rev() {
        let (_, parent, op) = *step.get(index)?;
        order.push(op);
        index = parent;
    }
    order.reverse();
    Some(order)
}

/// Which operations were seen at each version, counted from 1.
fn candidates<'a>(seen: &[&'a State]) -> BTreeMap<u64, BTreeSet<&'a str>> {
    let mut candidates: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for state in seen {
        for (back, op) in (0..).zip(state.tail.iter().rev()) {
            let Some(version) = state.version.checked_sub(back).filter(|version| *version > 0) else { break };
            candidates.entry(version).or_default().insert(op);
        }
    }
    candidates
}

fn confirmed_digests(seen: &[&State]) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut confirmed: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for state in seen {
        if let Some(digest) = parse_digest(&state.digest) {
            confirmed.entry(state.version).or_default().insert(digest);
        }
    }
    confirmed
}

fn parse_digest(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: usize = 8;

    fn state(ops: &[String]) -> State {
        State {
            owner: "s1".into(),
            epoch: "e".into(),
            version: ops.len() as u64,
            digest: format!("{:016x}", ops.iter().fold(EMPTY, |digest, op| append(digest, op))),
            tail: ops[ops.len().saturating_sub(TAIL)..].to_vec(),
        }
    }

    #[test]
    fn the_digest_is_the_one_of_the_contract() {
        assert_eq!(format!("{:016x}", append(EMPTY, "1.1.1")), CONTRACT_EXAMPLE);
    }

    /// The example in docker/CONTRACT.md, which every app has to give.
    const CONTRACT_EXAMPLE: &str = "f51dc30fdb10e2b5";

    proptest! {
        #[test]
        fn the_order_is_found_whenever_replies_are_no_further_apart_than_the_tail(gaps in proptest::collection::vec(1..=TAIL, 1..12)) {
            let total: usize = gaps.iter().sum();
            let ops: Vec<String> = (1..=total).map(|number| format!("1.1.{number}")).collect();
            let mut at = 0;
            let mut seen = vec![state(&[])];
            for gap in gaps {
                at += gap;
                seen.push(state(&ops[..at]));
            }
            let seen: Vec<&State> = seen.iter().collect();
            let order = operations_of(&seen, seen[seen.len() - 1]).unwrap();
            prop_assert_eq!(order, ops.iter().map(String::as_str).collect::<Vec<_>>());
        }

        #[test]
        fn a_branch_that_was_overwritten_is_not_in_the_order(before in 0usize..5, lost in 1usize..4, after in 4usize..9) {
            let common: Vec<String> = (0..before).map(|number| format!("1.1.c{number}")).collect();
            let with = |name: &str, count: usize| -> Vec<String> {
                common.iter().cloned().chain((0..count).map(|number| format!("1.1.{name}{number}"))).collect()
            };
            let (lost_branch, kept_branch) = (with("x", lost), with("y", after));
            let mut seen: Vec<State> = (0..=lost_branch.len()).map(|end| state(&lost_branch[..end])).collect();
            seen.extend((0..=kept_branch.len()).map(|end| state(&kept_branch[..end])));
            let seen: Vec<&State> = seen.iter().collect();
            let order = operations_of(&seen, seen[seen.len() - 1]).unwrap();
            prop_assert!(order.iter().all(|op| !op.contains('x')));
            prop_assert_eq!(order.len(), before + after);
        }
    }

    #[test]
    fn a_gap_wider_than_the_tail_is_not_guessed() {
        let ops: Vec<String> = (0..=TAIL).map(|number| number.to_string()).collect();
        let (first, last) = (state(&[]), state(&ops));
        assert_eq!(operations_of(&[&first, &last], &last), None);
    }

    #[test]
    fn a_digest_that_does_not_fit_its_operations_is_not_explained() {
        let mut last = state(&["1.1.1".to_owned()]);
        last.digest = "0000000000000001".into();
        assert_eq!(operations_of(&[&last], &last), None);
    }
}
