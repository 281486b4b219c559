//! Defects of other load generators, each with a test that fails on a generator with this defect. The first line of
//! each test names the generators.

use std::time::Duration;

use super::testing::{App, changed, fire, workload};
use crate::history::{ErrorKind, Operation, Outcome};
use crate::load::{ConstantRate, LoadModel, Population, Schedule};

#[test]
fn a_stall_counts_for_every_operation_that_was_due_meanwhile() {
    // wrk, ab and others in a closed loop: coordinated omission.
    let app = App { freezes: Some((20, Duration::from_millis(400))), ..App::default() };
    let done = fire(workload(app.serve().0));
    let felt = done.of_the_load().filter(|operation| operation.response_us() > 100_000).count();
    // Operations due in the first 300 ms of the stall wait for more than 100 ms: 60 at 200/s.
    assert!(felt >= 40, "only {felt} operations felt the stall");
    let served = done.of_the_load().filter(|operation| operation.service_us() > Some(100_000)).count();
    assert!(served <= 10, "{served} were under way: the others waited for their session's turn");
    assert_eq!(done.of_the_load().count(), 100, "and none was left out");
}

#[test]
fn the_start_is_the_scheduled_instant_and_not_the_wake_up() {
    // oha takes the timestamp after it has woken up, vegeta when a worker takes the request.
    let app = App { delay: Duration::from_millis(30), ..App::default() };
    let done = fire(changed(workload(app.serve().0), |workload| workload.users.population = Population::Fixed(1)));
    for (index, operation) in (0..).zip(done.of_the_load()) {
        assert_eq!(operation.times.scheduled_ns, index * 5_000_000, "the schedule's own closed form");
        assert!(operation.times.scheduled_ns <= operation.times.dispatched_ns);
        assert!(Some(operation.times.dispatched_ns) <= operation.times.sent_ns);
        let waited = operation.times.sent_ns.unwrap() - operation.times.scheduled_ns;
        assert!(operation.response_us() * 1000 + 1000 > waited, "what it waited for its turn counts");
    }
}

#[test]
fn the_timer_stops_at_the_last_byte_and_not_at_the_head() {
    // Goose and drill stop it at the headers.
    let app = App { pause_before_body: Duration::from_millis(60), ..App::default() };
    let done = fire(changed(workload(app.serve().0), |workload| workload.timing.length_ns = 20_000_000));
    for operation in done.of_the_load() {
        assert!(operation.service_us() >= Some(60_000), "{operation:?}");
        let first_byte = operation.times.first_byte_ns.unwrap();
        assert!(operation.times.completed_ns - first_byte >= 50_000_000, "the first byte has an instant of its own");
    }
}

#[test]
fn waits_are_not_rounded_up_to_a_whole_millisecond() {
    // wrk2 and tokio's timer. The operations below are due 0.05 to 0.15 ms after a whole millisecond: such a timer
    // starts each at least 0.85 ms late, even on an idle machine. The test takes the best one, because any single one
    // may be late.
    let schedule = Schedule::ConstantRate(ConstantRate::new(1000.0 / 1.3));
    let done = fire(changed(workload(App::default().serve().0), |workload| {
        workload.timing.model = LoadModel::Open(schedule);
        workload.users.population = Population::Fixed(50);
    }));
    let late = |operation: &&Operation| operation.times.dispatched_ns - operation.times.scheduled_ns;
    let is_fraction = |operation: &&Operation| (50_000..150_000).contains(&(operation.times.scheduled_ns % 1_000_000));
    let best = done.of_the_load().filter(is_fraction).map(|operation| late(&operation)).min().unwrap();
    assert!(best < 700_000, "{best} ns");
}

#[test]
fn an_operation_that_timed_out_has_a_latency_as_well() {
    // oha and k6 leave timeouts out of the tail latency.
    let app = App { delay: Duration::from_secs(60), ..App::default() };
    let mut generator = super::testing::generator(changed(workload(app.serve().0), |workload| {
        workload.timing.timeout_ns = 150_000_000;
        workload.timing.length_ns = 20_000_000;
    }));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    let operations = super::testing::operations(&generator);
    assert_eq!(operations.len(), 4);
    for operation in &operations {
        assert_eq!(operation.outcome, Outcome::Indeterminate(ErrorKind::Timeout));
        assert!(operation.response_us() >= 150_000);
    }
}

#[test]
fn connecting_is_measured_separately_from_the_service_time() {
    // Clients with their own pool, such as reqwest and hey, do not report which request had to connect.
    let app = App { closes: true, ..App::default() };
    let done = fire(changed(workload(app.serve().0), |workload| workload.timing.length_ns = 100_000_000));
    for operation in done.of_the_load() {
        let connect_ns = operation.times.connect_ns.expect("each had to connect");
        assert!(operation.times.sent_ns.unwrap() >= operation.times.dispatched_ns + connect_ns);
    }
}
