//! Random operations of every kind, for property tests of the code that stores them.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Answer, ErrorKind, Identity, Moved, Operation, OperationId, OperationKind, Order, Outcome, Payload, State, Times,
};

fn any_id() -> impl Strategy<Value = OperationId> {
    (0u32..3, 1u32..3, 0u32..20).prop_map(|(session, life, number)| OperationId { session, life, number })
}

fn any_state() -> impl Strategy<Value = State> {
    let order = (0u64..5, proptest::collection::vec(any_id(), 0..=8))
        .prop_map(|(digest, tail)| Order { digest, tail: tail.into_iter().collect() });
    let payload = proptest::sample::select(Payload::ALL.to_vec());
    let parts = ("s[0-2]", "[ab]", 0u64..12, proptest::option::of(order), payload);
    parts.prop_map(|(owner, epoch, version, order, payload)| State {
        identity: Arc::new(Identity { owner, epoch }),
        version,
        order,
        payload,
    })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let error = proptest::sample::select(ErrorKind::ALL.to_vec());
    let outcome = prop_oneof![
        6 => any_state().prop_map(Outcome::Ok),
        1 => Just(Outcome::Done),
        1 => error.clone().prop_map(Outcome::Fail),
        1 => error.prop_map(Outcome::Indeterminate),
    ];
    let instant = 0u64..1 << 40;
    let times = (
        instant.clone(),
        instant.clone(),
        proptest::option::of(instant.clone()),
        proptest::option::of(instant.clone()),
        proptest::option::of(instant.clone()),
        instant,
    );
    let times = times.prop_map(|(scheduled_ns, dispatched_ns, connect_ns, sent_ns, first_byte_ns, completed_ns)| {
        Times { scheduled_ns, dispatched_ns, connect_ns, sent_ns, first_byte_ns, completed_ns }
    });
    let answer = proptest::option::of(("app-[1-3]", "[ab]"))
        .prop_map(|answer| answer.map(|(node, boot)| Arc::new(Answer { node, boot })));
    let kind = proptest::sample::select(OperationKind::ALL.to_vec());
    let status = proptest::option::of(prop_oneof![Just(200u16), 100u16..600]);
    let moved =
        (0u32..5000, any::<u32>()).prop_map(|(sent_bytes, received_bytes)| Moved { sent_bytes, received_bytes });
    (any_id(), kind, times, moved, outcome, status, answer, any::<bool>()).prop_map(
        |(id, kind, times, moved, outcome, status, answer, is_resent)| Operation {
            id,
            kind,
            times,
            moved,
            outcome,
            status,
            answer,
            is_resent,
        },
    )
}

/// Random operations, each with its own id.
pub fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    proptest::collection::vec(any_operation(), 0..40).prop_map(|mut operations| {
        operations.sort_by_key(|operation| operation.id);
        operations.dedup_by_key(|operation| operation.id);
        operations
    })
}
