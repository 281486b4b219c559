//! Operations in few bytes, because the agent keeps them in memory during the load: instants are stored as differences,
//! and fields that follow from the operation before are left out. A stream holds the operations of one virtual user, in
//! the order in which they ended. It never leaves the agent's memory or its spill file, so it has no version.

use std::sync::Arc;

use super::tails::LastTail;
use super::{
    Answer, ErrorKind, Identity, MAX_TAIL, Moved, Operation, OperationId, OperationKind, Order, Outcome, Payload,
    State, Tail, Times,
};

/// The bytes are not such a stream, because of a defect of this program or a broken spill file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operations kept by the agent are damaged")]
pub struct Damaged;

/// The answering nodes, each stored once and referred to by number. A trial has only a few nodes and starts, so a
/// linear search is faster than a hash.
#[derive(Debug, Default)]
pub struct Answers {
    known: Vec<Arc<Answer>>,
}

impl Answers {
    /// Returns the copy of an answer that all operations share.
    pub fn share(&mut self, node: &str, boot: &str) -> Arc<Answer> {
        let found = self.known.iter().rev().find(|answer| answer.node == node && answer.boot == boot);
        if let Some(answer) = found {
            return Arc::clone(answer);
        }
        let answer = Arc::new(Answer { node: node.to_owned(), boot: boot.to_owned() });
        self.known.push(Arc::clone(&answer));
        answer
    }

    fn number(&mut self, answer: &Arc<Answer>) -> usize {
        // Comparing an `Arc` with itself does not compare its content.
        self.known.iter().position(|known| known == answer).unwrap_or_else(|| {
            self.known.push(Arc::clone(answer));
            self.known.len() - 1
        })
    }
}

/// The operation before, against which the next one is encoded.
#[derive(Clone, Debug, Default)]
struct Before {
    id: Option<OperationId>,
    scheduled_ns: u64,
    identity: Option<Arc<Identity>>,
    version: u64,
    digest: u64,
    tail: LastTail,
}

/// Encodes the operations of one virtual user.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    before: Before,
}

/// Decodes the output of an [`Encoder`].
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    before: Before,
}

mod flag {
    pub const NEXT_NUMBER: u8 = 1;
    pub const SENT: u8 = 2;
    pub const FIRST_BYTE: u8 = 4;
    pub const ANSWER: u8 = 8;
    pub const STATUS_200: u8 = 16;
    pub const OTHER_STATUS: u8 = 32;
    pub const SAME_IDENTITY: u8 = 64;
    pub const ORDER: u8 = 128;
}

/// Of the three bits for the kind: it has a byte of its own, because few operations are of these kinds.
const OTHER_KIND: u8 = 7;

const SAME_DIGEST: u8 = 1;
const TAIL_FOLLOWS: u8 = 2;

impl Encoder {
    /// Appends an operation to `into`, in about 20 bytes.
    pub fn write(&mut self, operation: &Operation, answers: &mut Answers, into: &mut Vec<u8>) {
        let before = &mut self.before;
        let state = operation.state();
        let follows = before.id.is_some_and(|id| follows(id, operation.id));
        let same_identity =
            state.is_some_and(|state| before.identity.as_ref().is_some_and(|known| *known == state.identity));
        let set = |on: bool, flag: u8| if on { flag } else { 0 };
        let payload = state.map_or(Payload::NotShown, |state| state.payload);
        into.push(
            (operation.kind as u8).min(OTHER_KIND)
                | outcome_code(&operation.outcome) << 3
                | (payload as u8) << 5
                | u8::from(operation.is_resent) << 7,
        );
        into.push(
            set(follows, flag::NEXT_NUMBER)
                | set(operation.times.sent_ns.is_some(), flag::SENT)
                | set(operation.times.first_byte_ns.is_some(), flag::FIRST_BYTE)
                | set(operation.answer.is_some(), flag::ANSWER)
                | set(operation.status == Some(200), flag::STATUS_200)
                | set(operation.status.is_some_and(|status| status != 200), flag::OTHER_STATUS)
                | set(same_identity, flag::SAME_IDENTITY)
                | set(state.is_some_and(|state| state.order.is_some()), flag::ORDER),
        );
        if operation.kind as u8 >= OTHER_KIND {
            into.push(operation.kind as u8);
        }
        if !follows {
            put_id(operation.id, into);
        }
        put_times(&operation.times, before.scheduled_ns, into);
        put(u64::from(operation.moved.sent_bytes), into);
        put(u64::from(operation.moved.received_bytes), into);
        if let Some(status) = operation.status.filter(|status| *status != 200) {
            put(u64::from(status), into);
        }
        if let Some(answer) = &operation.answer {
            put(answers.number(answer) as u64, into);
        }
        match &operation.outcome {
            Outcome::Ok(state) => before.put_state(operation, state, same_identity, into),
            Outcome::Fail(error) | Outcome::Indeterminate(error) => into.push(error_code(*error)),
            Outcome::Done => {}
        }
        before.id = Some(operation.id);
        before.scheduled_ns = operation.times.scheduled_ns;
    }
}

impl Before {
    fn put_state(&mut self, operation: &Operation, state: &State, same_identity: bool, into: &mut Vec<u8>) {
        if !same_identity {
            put_text(&state.identity.owner, into);
            put_text(&state.identity.epoch, into);
            self.identity = Some(Arc::clone(&state.identity));
        }
        put(zigzag(state.version, self.version), into);
        self.version = state.version;
        let Some(order) = &state.order else { return };
        let same_digest = order.digest == self.digest;
        let tail_follows = self.tail.follows(operation, state);
        into.push(if same_digest { SAME_DIGEST } else { 0 } | if tail_follows { TAIL_FOLLOWS } else { 0 });
        if !same_digest {
            into.extend_from_slice(&order.digest.to_le_bytes());
            self.digest = order.digest;
        }
        if !tail_follows {
            into.push(u8::try_from(order.tail.len()).unwrap_or(u8::MAX));
            for op in order.tail.iter() {
                put(zigzag(u64::from(op.session), u64::from(operation.id.session)), into);
                put(zigzag(u64::from(op.life), u64::from(operation.id.life)), into);
                put(zigzag(u64::from(op.number), u64::from(operation.id.number)), into);
            }
        }
    }

    fn take_state(
        &mut self,
        operation: (OperationId, OperationKind),
        (flags, payload): (u8, Payload),
        from: &mut &[u8],
    ) -> Result<State, Damaged> {
        let (id, kind) = operation;
        if flags & flag::SAME_IDENTITY == 0 {
            let (owner, epoch) = (take_text(from)?, take_text(from)?);
            self.identity = Some(Arc::new(Identity { owner, epoch }));
        }
        let identity = self.identity.clone().ok_or(Damaged)?;
        let version = unzigzag(take(from)?, self.version);
        self.version = version;
        if flags & flag::ORDER == 0 {
            return Ok(State { identity, version, order: None, payload });
        }
        let which = take_byte(from)?;
        if which & SAME_DIGEST == 0 {
            let (bytes, rest) = from.split_first_chunk::<8>().ok_or(Damaged)?;
            *from = rest;
            self.digest = u64::from_le_bytes(*bytes);
        }
        let tail = if which & TAIL_FOLLOWS == 0 {
            take_tail(id, from)?
        } else {
            self.tail.predict(id, kind, version).ok_or(Damaged)?
        };
        self.tail.note(id, version, &tail);
        Ok(State { identity, version, order: Some(Order { digest: self.digest, tail }), payload })
    }
}

impl Decoder {
    /// Decodes the next operation from the front of `from`.
    ///
    /// # Errors
    /// When the bytes are not a valid stream.
    pub fn read(&mut self, answers: &Answers, from: &mut &[u8]) -> Result<Operation, Damaged> {
        let (code, flags) = (take_byte(from)?, take_byte(from)?);
        let kind = if code & 7 == OTHER_KIND { take_byte(from)? } else { code & 7 };
        let kind = *OperationKind::ALL.get(usize::from(kind)).ok_or(Damaged)?;
        let id = if flags & flag::NEXT_NUMBER == 0 {
            take_id(from)?
        } else {
            let before = self.before.id.ok_or(Damaged)?;
            OperationId { number: before.number.wrapping_add(1), ..before }
        };
        let times = take_times(self.before.scheduled_ns, flags, from)?;
        let mut bytes = || u32::try_from(take(from)?).map_err(|_| Damaged);
        let moved = Moved { sent_bytes: bytes()?, received_bytes: bytes()? };
        let status = match (flags & flag::STATUS_200 != 0, flags & flag::OTHER_STATUS != 0) {
            (true, _) => Some(200),
            (false, true) => Some(u16::try_from(take(from)?).map_err(|_| Damaged)?),
            (false, false) => None,
        };
        let answer = if flags & flag::ANSWER == 0 {
            None
        } else {
            let number = usize::try_from(take(from)?).map_err(|_| Damaged)?;
            Some(Arc::clone(answers.known.get(number).ok_or(Damaged)?))
        };
        let payload = *Payload::ALL.get(usize::from(code >> 5 & 3)).ok_or(Damaged)?;
        let outcome = match code >> 3 & 3 {
            0 => Outcome::Ok(self.before.take_state((id, kind), (flags, payload), from)?),
            1 => Outcome::Done,
            2 => Outcome::Fail(take_error(from)?),
            3 => Outcome::Indeterminate(take_error(from)?),
            _ => return Err(Damaged),
        };
        self.before.id = Some(id);
        self.before.scheduled_ns = times.scheduled_ns;
        Ok(Operation { id, kind, times, moved, outcome, status, answer, is_resent: code >> 7 == 1 })
    }
}

fn follows(before: OperationId, id: OperationId) -> bool {
    (before.session, before.life, before.number.wrapping_add(1)) == (id.session, id.life, id.number)
}

const fn outcome_code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Ok(_) => 0,
        Outcome::Done => 1,
        Outcome::Fail(_) => 2,
        Outcome::Indeterminate(_) => 3,
    }
}

fn error_code(error: ErrorKind) -> u8 {
    error as u8
}

fn take_error(from: &mut &[u8]) -> Result<ErrorKind, Damaged> {
    ErrorKind::ALL.get(usize::from(take_byte(from)?)).copied().ok_or(Damaged)
}

/// Encodes each instant as the difference from the one before. They are in order, except when the clock is read twice
/// at once.
fn put_times(times: &Times, scheduled_before: u64, into: &mut Vec<u8>) {
    put(zigzag(times.scheduled_ns, scheduled_before), into);
    // Few operations connect: one bit says whether the duration follows.
    put((zigzag(times.dispatched_ns, times.scheduled_ns) << 1) | u64::from(times.connect_ns.is_some()), into);
    times.connect_ns.into_iter().for_each(|connect_ns| put(connect_ns, into));
    let mut last = times.dispatched_ns;
    for instant in [times.sent_ns, times.first_byte_ns].into_iter().flatten() {
        put(zigzag(instant, last), into);
        last = instant;
    }
    put(zigzag(times.completed_ns, last), into);
}

fn take_times(scheduled_before: u64, flags: u8, from: &mut &[u8]) -> Result<Times, Damaged> {
    let scheduled_ns = unzigzag(take(from)?, scheduled_before);
    let dispatched = take(from)?;
    let dispatched_ns = unzigzag(dispatched >> 1, scheduled_ns);
    let connect_ns = if dispatched & 1 == 0 { None } else { Some(take(from)?) };
    let mut last = dispatched_ns;
    let mut next = |is_there: bool, from: &mut &[u8]| {
        if is_there {
            last = unzigzag(take(from)?, last);
            Ok(Some(last))
        } else {
            Ok(None)
        }
    };
    let sent_ns = next(flags & flag::SENT != 0, from)?;
    let first_byte_ns = next(flags & flag::FIRST_BYTE != 0, from)?;
    let completed_ns = next(true, from)?.ok_or(Damaged)?;
    Ok(Times { scheduled_ns, dispatched_ns, connect_ns, sent_ns, first_byte_ns, completed_ns })
}

fn put_id(id: OperationId, into: &mut Vec<u8>) {
    for part in [id.session, id.life, id.number] {
        put(u64::from(part), into);
    }
}

fn take_id(from: &mut &[u8]) -> Result<OperationId, Damaged> {
    let mut part = || u32::try_from(take(from)?).map_err(|_| Damaged);
    Ok(OperationId { session: part()?, life: part()?, number: part()? })
}

fn take_tail(near: OperationId, from: &mut &[u8]) -> Result<Tail, Damaged> {
    let count = take_byte(from)?;
    if usize::from(count) > MAX_TAIL {
        return Err(Damaged);
    }
    let mut part = |base: u32| u32::try_from(unzigzag(take(from)?, u64::from(base))).map_err(|_| Damaged);
    (0..count)
        .map(|_| Ok(OperationId { session: part(near.session)?, life: part(near.life)?, number: part(near.number)? }))
        .collect()
}

fn put_text(text: &str, into: &mut Vec<u8>) {
    put(text.len() as u64, into);
    into.extend_from_slice(text.as_bytes());
}

fn take_text(from: &mut &[u8]) -> Result<String, Damaged> {
    let length = usize::try_from(take(from)?).map_err(|_| Damaged)?;
    let (bytes, rest) = from.split_at_checked(length).ok_or(Damaged)?;
    *from = rest;
    String::from_utf8(bytes.to_vec()).map_err(|_| Damaged)
}

fn take_byte(from: &mut &[u8]) -> Result<u8, Damaged> {
    let (byte, rest) = from.split_first().ok_or(Damaged)?;
    *from = rest;
    Ok(*byte)
}

/// The difference between two numbers, small whichever is larger.
#[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "differences wrap, and wrap back")]
const fn zigzag(value: u64, base: u64) -> u64 {
    let difference = value.wrapping_sub(base) as i64;
    ((difference << 1) ^ (difference >> 63)) as u64
}

const fn unzigzag(code: u64, base: u64) -> u64 {
    base.wrapping_add((code >> 1) ^ (code & 1).wrapping_neg())
}

/// LEB128: seven bits per byte, the lowest first.
fn put(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push((value & 0x7f) as u8);
}

fn take(from: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(from)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::any_operations;
    use super::*;

    fn written(operations: &[Operation]) -> (Vec<u8>, Answers) {
        let (mut bytes, mut answers, mut encoder) = (Vec::new(), Answers::default(), Encoder::default());
        for operation in operations {
            encoder.write(operation, &mut answers, &mut bytes);
        }
        (bytes, answers)
    }

    proptest! {
        #[test]
        fn decoding_returns_the_encoded_operations(operations in any_operations()) {
            let (bytes, answers) = written(&operations);
            let (mut from, mut decoder) = (bytes.as_slice(), Decoder::default());
            for operation in &operations {
                prop_assert_eq!(&decoder.read(&answers, &mut from).unwrap(), operation);
            }
            prop_assert!(from.is_empty());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_no_panic(operations in any_operations(), at in 0usize..500, byte: u8) {
            let (mut bytes, answers) = written(&operations);
            if bytes.is_empty() {
                return Ok(());
            }
            let at = at % bytes.len();
            bytes[at] = byte;
            let (mut from, mut decoder) = (bytes.as_slice(), Decoder::default());
            while !from.is_empty() && decoder.read(&answers, &mut from).is_ok() {}
        }
    }
}
