//! Merges the histories of several agents into one. Each user is one agent's, so that whole sessions follow each other.

use std::io::Write;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::{HistoryError, SessionHistories, Writer};
use crate::history::SessionHistory;

/// How many sessions of each source are read ahead.
const READ_AHEAD: usize = 64;

/// Writes all sessions of `sources` into one history, in the order of a history. The sources are read at the same time, a few
/// sessions ahead, however long they are.
///
/// # Errors
/// When a source is damaged, two of them have operations of the same user, or the sink fails.
pub fn merge<W: Write + Send>(sources: Vec<SessionHistories>, sink: W) -> Result<W, HistoryError> {
    let mut writer = Writer::new(sink)?;
    thread::scope(|scope| {
        let mut waiting = Vec::with_capacity(sources.len());
        for mut histories in sources {
            let (sender, receiver) = sync_channel(READ_AHEAD);
            // Nobody receives any more if the merge has failed.
            scope.spawn(move || while histories.next().is_some_and(|history| sender.send(history).is_ok()) {});
            waiting.push(Source { histories: receiver, next: None });
        }
        for source in &mut waiting {
            source.advance()?;
        }
        write_in_order(&mut waiting, &mut writer)
    })?;
    writer.finish()
}

fn write_in_order<W: Write + Send>(waiting: &mut [Source], writer: &mut Writer<W>) -> Result<(), HistoryError> {
    let mut last: Option<(usize, u32)> = None;
    loop {
        let first = waiting.iter_mut().enumerate().min_by_key(|(number, source)| (source.place(), *number));
        let Some((number, source)) = first else { return Ok(()) };
        let Some(history) = source.next.take() else { return Ok(()) };
        let user = history.session;
        if last.is_some_and(|(other, last_user)| other != number && user == last_user) {
            return Err(HistoryError::SharedUser { user });
        }
        last = Some((number, user));
        writer.write(&history.operations)?;
        source.advance()?;
    }
}

/// The history of one agent, at a session.
struct Source {
    histories: Receiver<Result<SessionHistory, HistoryError>>,
    next: Option<SessionHistory>,
}

impl Source {
    /// The place of the next session in a history; after all others if there is none.
    fn place(&self) -> (bool, u32, u32) {
        self.next.as_ref().map_or((true, 0, 0), |history| (false, history.session, history.number))
    }

    fn advance(&mut self) -> Result<(), HistoryError> {
        // The sender is gone once all have been read.
        self.next = self.histories.recv().ok().transpose()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::history::Operation;
    use crate::history::testing::any_operations;

    fn written(operations: impl Iterator<Item = Operation>) -> SessionHistories {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for history in SessionHistory::all(operations.collect()) {
            writer.write(&history.operations).unwrap();
        }
        SessionHistories::of(Bytes::from(writer.finish().unwrap())).unwrap()
    }

    proptest! {
        #[test]
        fn merged_histories_are_the_history_of_all_operations(
            operations in any_operations(), agents in prop::collection::vec(0usize..3, 1..5),
        ) {
            let agent_of = |operation: &Operation| agents[operation.id.session as usize % agents.len()];
            let parts = (0..3).map(|agent| written(operations.iter().filter(|one| agent_of(one) == agent).cloned()));
            let merged = merge(parts.collect(), Vec::new()).unwrap();
            let read: Vec<SessionHistory> =
                SessionHistories::of(Bytes::from(merged)).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(read, SessionHistory::all(operations));
        }
    }

    #[test]
    fn a_user_of_two_agents_is_refused() {
        let operations = crate::check::testing::history(|builder| builder.create().write());
        let parts = [0, 1].map(|number| written(operations.iter().skip(number).take(1).cloned()));
        let message = merge(parts.into(), Vec::new()).unwrap_err().to_string();
        assert_eq!(message, "two agents have operations of user 1");
    }

    #[test]
    fn a_damaged_part_is_an_error_and_not_a_shorter_history() {
        let operations = crate::check::testing::history(|builder| builder.create().write().final_read());
        let mut writer = Writer::new(Vec::new()).unwrap();
        // Not in the order of a history.
        for operation in operations.iter().rev() {
            writer.write(std::slice::from_ref(operation)).unwrap();
        }
        let damaged = SessionHistories::of(Bytes::from(writer.finish().unwrap())).unwrap();
        assert!(merge(vec![written(operations.into_iter()), damaged], Vec::new()).is_err());
    }
}
