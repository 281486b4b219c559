//! Races: requests of a session that its log-out, its log-in or a change of its id overtook, and what they undid. The guarantees
//! say whether it happened at all; these numbers say how often, of how many times it could have. It knows no faults.

use serde::{Deserialize, Serialize};

use crate::check::Losses;
use crate::history::{Operation, OperationKind, Outcome, SessionHistory, SessionOutcome};

/// How often something could have been undone, and was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Race {
    /// How often it could have been.
    pub tried: u64,
    /// How often it was.
    pub undone: u64,
}

impl Race {
    const fn add(&mut self, is_undone: bool) {
        self.tried += 1;
        self.undone += is_undone as u64;
    }

    const fn and(self, other: Self) -> Self {
        Self { tried: self.tried + other.tried, undone: self.undone + other.undone }
    }
}

/// The races of a trial by what overtook and what was overtaken. A log-out or log-in that overtook a write counts with writes,
/// whatever else it overtook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Races {
    /// Confirmed log-outs that overtook a write; undone if the session answered afterwards.
    pub log_outs_over_writes: Race,
    /// Log-outs that overtook nothing but reads.
    pub log_outs_over_reads: Race,
    /// Log-ins that overtook a write of the visitor's session; undone if the session or its browser was a visitor's afterwards.
    pub log_ins_over_writes: Race,
    /// Log-ins that overtook nothing but reads of the visitor's session.
    pub log_ins_over_reads: Race,
    /// Reads by the id of before the log-in; undone if they showed the session.
    pub old_ids_after_log_ins: Race,
    /// Reads by the id of before a later change; undone if they showed the session.
    pub old_ids_after_changes: Race,
    /// Acknowledged writes that a later change of the id overtook; undone if they were lost.
    pub writes_under_changes: Race,
}

impl Races {
    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            log_outs_over_writes: self.log_outs_over_writes.and(other.log_outs_over_writes),
            log_outs_over_reads: self.log_outs_over_reads.and(other.log_outs_over_reads),
            log_ins_over_writes: self.log_ins_over_writes.and(other.log_ins_over_writes),
            log_ins_over_reads: self.log_ins_over_reads.and(other.log_ins_over_reads),
            old_ids_after_log_ins: self.old_ids_after_log_ins.and(other.old_ids_after_log_ins),
            old_ids_after_changes: self.old_ids_after_changes.and(other.old_ids_after_changes),
            writes_under_changes: self.writes_under_changes.and(other.writes_under_changes),
        }
    }

    /// Whether nothing was overtaken and no old id was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts the races of one session.
    pub(super) fn add(&mut self, history: &SessionHistory, outcome: &SessionOutcome, losses: &Losses) {
        let session = Session { history, outcome, owner: history.owner() };
        self.add_log_out(&session);
        self.add_log_in(&session);
        self.add_old_ids(&session);
        self.add_writes_under_changes(&session, losses);
    }

    fn add_log_out(&mut self, session: &Session) {
        let Some(log_out) = session.of(OperationKind::LogOut).find(|operation| operation.is_ok()) else { return };
        let is_own =
            |operation: &&Operation| operation.kind.has_its_cookies() && operation.kind != OperationKind::LogOut;
        let overtaken: Vec<&Operation> = session.overtaken_by(log_out).filter(is_own).collect();
        let is_asked = |operation: &&Operation| {
            operation.began_ns() >= log_out.times.completed_ns && operation.kind != OperationKind::SettleRead
        };
        let mut answers = session.history.operations.iter().filter(is_asked).filter(|operation| has_answer(operation));
        let is_undone = answers.clone().any(|operation| session.is_logged_in(operation));
        // Without an answer afterwards nobody knows.
        if overtaken.is_empty() || answers.next().is_none() {
            return;
        }
        let has_write = overtaken.iter().any(|operation| operation.kind.is_write());
        if has_write { &mut self.log_outs_over_writes } else { &mut self.log_outs_over_reads }.add(is_undone);
    }

    fn add_log_in(&mut self, session: &Session) {
        let Some(log_in) = session.of(OperationKind::LogIn).find(|operation| operation.is_ok()) else { return };
        let visitors: Vec<&Operation> =
            session.overtaken_by(log_in).filter(|operation| operation.kind.is_of_a_visitor()).collect();
        let is_undone = match session.outcome.log_in_lost {
            Some(_) => Some(true),
            None => session.browser_is_led_back(log_in, &visitors),
        };
        let Some(is_undone) = is_undone.filter(|_| !visitors.is_empty()) else { return };
        let has_write = visitors.iter().any(|operation| operation.kind == OperationKind::VisitorWrite);
        if has_write { &mut self.log_ins_over_writes } else { &mut self.log_ins_over_reads }.add(is_undone);
    }

    fn add_old_ids(&mut self, session: &Session) {
        let created = session.outcome.creation.map(|(_, state)| state);
        for read in session.of(OperationKind::OldIdRead).filter(|read| has_answer(read)) {
            let is_after_a_change = session.changes().any(|change| change.times.completed_ns <= read.began_ns());
            let race =
                if is_after_a_change { &mut self.old_ids_after_changes } else { &mut self.old_ids_after_log_ins };
            race.add(read.state().is_some_and(|state| session.history.is_shown_by(state, created)));
        }
    }

    fn add_writes_under_changes(&mut self, session: &Session, losses: &Losses) {
        // What went with a lost session, or may have, did not go with the id.
        if session.outcome.loss.is_some() || !losses.are_known {
            return;
        }
        let is_overtaken = |write: &&Operation| {
            session.changes().any(|change| is_overtaken_by(write, change)) && write.kind.is_write() && write.is_ok()
        };
        for write in session.history.operations.iter().filter(is_overtaken) {
            let acknowledged_ns = write.times.completed_ns;
            self.writes_under_changes.add(losses.lost.iter().any(|lost| lost.acknowledged_ns == acknowledged_ns));
        }
    }
}

/// One session, with what the races ask of it.
struct Session<'a> {
    history: &'a SessionHistory,
    outcome: &'a SessionOutcome<'a>,
    owner: String,
}

impl<'a> Session<'a> {
    fn of(&self, kind: OperationKind) -> impl Iterator<Item = &'a Operation> {
        self.history.operations.iter().filter(move |operation| operation.kind == kind)
    }

    /// Changes of the id after the log-in that the app confirmed.
    fn changes(&self) -> impl Iterator<Item = &'a Operation> {
        self.of(OperationKind::NewId).filter(|change| change.is_ok())
    }

    fn overtaken_by(&self, other: &'a Operation) -> impl Iterator<Item = &'a Operation> {
        self.history.operations.iter().filter(move |operation| is_overtaken_by(operation, other))
    }

    /// Whether the user's browser was a visitor's after its log-in overtook these requests; `None` if nobody has seen it. Its own
    /// cookies must have shown the session later, or else nothing can be said of the browser's.
    fn browser_is_led_back(&self, log_in: &Operation, visitors: &[&Operation]) -> Option<bool> {
        let late_ns = visitors.iter().filter(|late| late.status.is_some()).map(|late| late.times.completed_ns).max()?;
        let from_ns = late_ns.max(log_in.times.completed_ns);
        let ends = self.changes().map(Operation::began_ns).chain(self.outcome.log_out.map(|log_out| log_out.sent_ns));
        let until_ns = ends.min().unwrap_or(u64::MAX);
        let is_asked =
            |operation: &Operation| operation.began_ns() >= from_ns && operation.times.completed_ns <= until_ns;
        let own = self.history.operations.iter().filter(|operation| operation.kind.has_its_cookies());
        let mut shown = own.filter(|operation| !operation.is_read_after_load() && self.knows_the_session(operation));
        match self.of(OperationKind::BrowserRead).find(|read| is_asked(read)) {
            Some(read) => {
                let is_there = shown.any(|operation| operation.began_ns() >= read.times.completed_ns);
                (is_there && has_answer(read)).then(|| !self.is_logged_in(read))
            }
            // The agent reads with a browser's cookies as soon as they are others than the session's.
            None => shown.any(is_asked).then_some(false),
        }
    }

    /// Whether a reply shows that the app knows the session: its state, or the end that its user asked for.
    fn knows_the_session(&self, operation: &Operation) -> bool {
        self.is_logged_in(operation) || operation.outcome == Outcome::Done
    }

    /// Whether a reply shows the session with its user.
    fn is_logged_in(&self, operation: &Operation) -> bool {
        operation.state().is_some_and(|state| state.identity.owner == self.owner)
    }
}

/// Whether the app has said what it knows of the session.
fn has_answer(operation: &Operation) -> bool {
    operation.is_ok() || operation.session_was_unknown()
}

/// Whether a request was sent before another one was, and answered after.
fn is_overtaken_by(request: &Operation, other: &Operation) -> bool {
    request.sent() && request.began_ns() < other.began_ns() && request.times.completed_ns > other.began_ns()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{HistoryBuilder, finding, history};
    use crate::check::{Checker, Guarantee, Verdict};
    use crate::history::Timeline;

    fn races(build: impl FnOnce(HistoryBuilder) -> HistoryBuilder) -> Races {
        let timeline = Timeline::default();
        let mut checker = Checker::new(&timeline, &Guarantee::ALL, 1);
        let mut races = Races::default();
        for history in SessionHistory::all(history(build)) {
            let outcome = SessionOutcome::of(&history);
            let losses = checker.examine(&history, &outcome);
            races.add(&history, &outcome, &losses);
        }
        races
    }

    const HELD: Race = Race { tried: 1, undone: 0 };
    const UNDONE: Race = Race { tried: 1, undone: 1 };

    #[test]
    fn a_log_out_that_overtook_a_write_is_undone_if_the_session_answers_afterwards() {
        let overtaking = |builder: HistoryBuilder| builder.create().held_write().log_out(true);
        assert_eq!(races(|builder| overtaking(builder).read()).log_outs_over_writes, UNDONE);
        assert_eq!(races(|builder| overtaking(builder).unknown()).log_outs_over_writes, HELD);
        let alone = races(|builder| builder.create().write().log_out(true).read());
        assert_eq!(alone, Races::default(), "it overtook nothing");
    }

    #[test]
    fn a_log_in_is_undone_by_a_browser_that_is_led_back_and_by_a_write_that_takes_the_user_away() {
        let overtaking = |builder: HistoryBuilder| builder.visit().visitor_write().log_in_meanwhile();
        for owner in [Some(""), None] {
            let led_back = races(|builder| overtaking(builder).browser_read(owner).write().final_read());
            assert_eq!(led_back.log_ins_over_writes, UNDONE);
        }
        let ended_soon = races(|builder| overtaking(builder).browser_read(None).log_out(true));
        assert_eq!(ended_soon.log_ins_over_writes, UNDONE, "the log-out shows that the session was there");
        assert_eq!(races(|builder| overtaking(builder).without_its_user()).log_ins_over_writes, UNDONE);
        assert_eq!(races(|builder| overtaking(builder).write().final_read()).log_ins_over_writes, HELD);
    }

    #[test]
    fn what_nobody_looked_at_afterwards_is_not_counted() {
        assert_eq!(races(|builder| builder.create().held_write().log_out(true)), Races::default());
        let overtaking = |builder: HistoryBuilder| builder.visit().visitor_write().log_in_meanwhile();
        assert_eq!(races(overtaking), Races::default());
        let lost = races(|builder| overtaking(builder).browser_read(None).unknown().unknown());
        assert_eq!(lost, Races::default(), "the session itself is gone");
        let gone = races(|builder| builder.create().held_write().new_id_meanwhile().unknown().unknown());
        assert_eq!(gone.writes_under_changes, Race::default(), "with its session, not with its id");
        let unread = races(|builder| builder.create().held_write().new_id_meanwhile().read());
        assert_eq!(unread.writes_under_changes, Race::default(), "no final read");
    }

    #[test]
    fn an_old_id_counts_with_the_change_before_it() {
        let after = races(|builder| builder.visit().log_in().old_id_read(Some("s1")).write().final_read());
        assert_eq!((after.old_ids_after_log_ins, after.old_ids_after_changes), (UNDONE, Race::default()));
        let later = races(|builder| builder.create().write().new_id().old_id_read(None).final_read());
        assert_eq!((later.old_ids_after_log_ins, later.old_ids_after_changes), (Race::default(), HELD));
        let visitors = races(|builder| builder.visit().log_in().old_id_read(Some("")).write().final_read());
        assert_eq!(visitors.old_ids_after_log_ins, UNDONE, "shown as it was before");
    }

    #[test]
    fn a_write_that_a_change_of_the_id_overtook_is_undone_if_it_is_lost() {
        let kept = races(|builder| builder.create().held_write().new_id_meanwhile().read().final_read());
        assert_eq!(kept.writes_under_changes, HELD);
        let lost = races(|builder| builder.create().held_write().new_id_meanwhile().stale_read(0).final_read_of(&[]));
        assert_eq!(lost.writes_under_changes, UNDONE);
    }

    #[test]
    fn races_say_that_a_log_out_was_undone_where_the_checker_says_so() {
        for came_back in [false, true] {
            let build = |builder: HistoryBuilder| {
                let ended = builder.create().held_write().log_out(true);
                if came_back { ended.read() } else { ended.unknown() }
            };
            let is_violated = finding(&history(build), Guarantee::LogoutIsFinal).verdict == Verdict::Violated;
            assert_eq!(is_violated, came_back);
            assert_eq!(races(build).log_outs_over_writes.undone == 1, came_back);
        }
    }
}
