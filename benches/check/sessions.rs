//! Sessions as a correct app would serve them.

use std::sync::Arc;

use steadfast::history::{
    Answer, Identity, Moved, Operation, OperationId, OperationKind, Order, Outcome, Payload, State, TAIL, Tail, Times,
};

/// Operations of one session, from its creation to its final read.
pub const SESSION: u32 = 100;

/// FNV-1a over the digest and the id, as docker/CONTRACT.md defines it.
fn append(digest: u64, id: OperationId) -> u64 {
    let text = id.to_string();
    let bytes = digest.to_be_bytes();
    bytes
        .iter()
        .chain(text.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One session as a correct app would serve it: a write, then a read, and so on.
pub fn session(number: u32, answers: &[Arc<Answer>]) -> Vec<Operation> {
    let identity =
        Arc::new(Identity { owner: format!("s{number}"), epoch: format!("{:016x}", u64::from(number) * 77) });
    let (mut version, mut digest, mut tail) = (0, 0xcbf2_9ce4_8422_2325, Tail::from([]));
    let mut operations = Vec::with_capacity(SESSION as usize);
    for index in 0..SESSION {
        let id = OperationId { session: number, life: 1, number: index };
        let kind = match index {
            0 => OperationKind::Create,
            _ if index == SESSION - 1 => OperationKind::FinalRead,
            _ if index % 2 == 1 => OperationKind::Write,
            _ => OperationKind::Read,
        };
        if kind == OperationKind::Write {
            version += 1;
            digest = append(digest, id);
            let kept = &tail[(tail.len() + 1).saturating_sub(TAIL)..];
            tail = kept.iter().copied().chain([id]).collect();
        }
        let scheduled_ns = u64::from(index) * 100_000_000 + u64::from(number) * 997;
        let times = Times {
            scheduled_ns,
            dispatched_ns: scheduled_ns + 31_000,
            connect_ns: None,
            sent_ns: Some(scheduled_ns + 35_000),
            first_byte_ns: Some(scheduled_ns + 900_000 + u64::from(index) * 131),
            completed_ns: scheduled_ns + 905_000 + u64::from(index) * 131,
        };
        let state = State {
            identity: Arc::clone(&identity),
            version,
            order: Some(Order { digest, tail: tail.clone() }),
            payload: Payload::Whole,
        };
        let answer = answers.get((number + index) as usize % answers.len()).cloned();
        let moved = Moved { sent_bytes: 120, received_bytes: 260 + index };
        operations.push(Operation {
            id,
            kind,
            times,
            moved,
            outcome: Outcome::Ok(state),
            status: Some(200),
            answer,
            is_resent: false,
        });
    }
    operations
}

pub fn answers() -> Vec<Arc<Answer>> {
    (1..=3).map(|node| Arc::new(Answer { node: format!("app-{node}"), boot: format!("{node:016x}") })).collect()
}
