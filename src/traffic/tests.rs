//! Whole loads against servers on loopback: the users' operations, their connections, and that no operation is missing.

use std::time::Duration;

use super::testing::{App, changed, fire, generator, operations, replies_with, workload};
use crate::history::{ErrorKind, Operation, OperationKind, Outcome, SessionHistory, SessionOutcome};
use crate::load::{
    Closed, Connections, ConstantRate, Lifetime, LoadModel, Overload, Pacing, Pauses, Population, Schedule, Span,
    Spread, ThinkTime, Transitions, Workload,
};

fn served(app: App, change: impl FnOnce(&mut Workload)) -> super::testing::Done {
    let mut workload = workload(app.serve().0);
    change(&mut workload);
    fire(workload)
}

#[test]
fn every_scheduled_operation_runs_once_and_every_session_has_a_final_read() {
    let done = served(App::default(), |_| {});
    assert_eq!(done.read, (5, 0));
    assert_eq!((done.health.offered, done.health.started), (100, 100));
    assert_eq!(done.history.len(), 100 + 5 + 5, "and once from the one node");
    assert!(done.history.iter().all(Operation::is_ok));
    let histories = SessionHistory::all(done.history);
    assert_eq!(histories.len(), 5, "nobody had to log in again");
    assert!(histories.iter().all(|history| history.operations.len() == 22), "a round gives everyone one operation");
}

#[test]
fn several_threads_make_the_same_traffic_as_one() {
    let of = |threads| {
        let done = served(App::default(), |workload| workload.generator.threads = threads);
        assert_eq!(done.read, (5, 0));
        let mut what: Vec<_> =
            done.of_the_load().map(|operation| (operation.id, operation.kind, operation.times.scheduled_ns)).collect();
        what.sort_unstable();
        what
    };
    assert_eq!(of(3), of(1));
}

#[test]
fn a_session_that_is_unknown_for_a_while_is_abandoned_and_found_in_the_final_read() {
    let done = served(App { forgets: Some((20, 30)), ..App::default() }, |_| {});
    let histories = SessionHistory::all(done.history);
    assert!(histories.len() > 5, "users have logged in again");
    let outcomes: Vec<SessionOutcome> = histories.iter().map(SessionOutcome::of).collect();
    assert!(outcomes.iter().any(SessionOutcome::was_forgotten));
    assert!(outcomes.iter().all(|outcome| outcome.loss.is_none()), "the final read found every session");
}

#[test]
fn a_session_that_is_still_unknown_in_the_final_read_is_lost() {
    let done = served(App { forgets: Some((20, 10_000)), ..App::default() }, |_| {});
    assert_eq!(done.read.1, 0, "that nobody knows it is an answer");
    let histories = SessionHistory::all(done.history);
    let created = histories.iter().filter(|history| SessionOutcome::of(history).creation.is_some());
    assert!(created.clone().count() >= 5);
    for history in created {
        let asked_again = history.operations.iter().any(|operation| operation.kind != OperationKind::Create);
        assert_eq!(SessionOutcome::of(history).loss.is_some(), asked_again, "{history:?}");
    }
}

fn lockstep(mean: Span) -> Lifetime {
    Lifetime { mean, spread: Spread::Lockstep }
}

#[test]
fn lifetimes_of_users_differ_unless_they_are_in_lockstep() {
    let sizes = |spread| {
        let done = served(App::default(), |workload| {
            workload.sessions.lifetime = Some(Lifetime { mean: Span::Operations(8), spread });
            workload.users.population = Population::Fixed(6);
            workload.timing.length_ns = 600_000_000;
        });
        let histories = SessionHistory::all(done.of_the_load().cloned().collect());
        let log_out =
            |history: &SessionHistory| history.operations.iter().position(|one| one.kind == OperationKind::LogOut);
        histories.iter().filter(|history| history.number == 1).filter_map(log_out).collect::<Vec<usize>>()
    };
    assert_eq!(sizes(Spread::Lockstep), [8; 6]);
    let mut drawn = sizes(Spread::Drawn);
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 2, "{drawn:?}");
}

#[test]
fn a_user_logs_out_comes_back_to_read_and_to_write_and_logs_in_again() {
    let done = served(App::default(), |workload| workload.sessions.lifetime = Some(lockstep(Span::Operations(5))));
    let histories = SessionHistory::all(done.history);
    assert!(histories.len() >= 10, "{} lives", histories.len());
    let first = &histories[0].operations;
    assert_eq!(first[0].kind, OperationKind::Create);
    assert_eq!((first[5].kind, &first[5].outcome), (OperationKind::LogOut, &Outcome::Done));
    assert_eq!([first[6].kind, first[7].kind], [OperationKind::Read, OperationKind::Write]);
    assert!(first[6..].iter().all(Operation::session_was_unknown), "the app has ended it");
    assert!(histories.iter().all(|history| SessionOutcome::of(history).loss.is_none()), "a log-out is no loss");
}

/// Sessions of so many operations, at an app that answers slowly enough for its requests to be overtaken.
fn overtaking(transitions: Transitions, operations: u32) -> super::testing::Done {
    served(App { delay: Duration::from_millis(30), ..App::default() }, |workload| {
        workload.sessions.lifetime = Some(lockstep(Span::Operations(operations)));
        workload.sessions.transitions = transitions;
        workload.timing.length_ns = 3_000_000_000;
    })
}

#[test]
fn a_log_out_overtakes_a_request_in_flight_and_nothing_comes_between() {
    let transitions = Transitions { hold_ms: 40, log_out_while_busy: true, ..Transitions::default() };
    let done = overtaking(transitions, 4);
    let (mut reads, mut writes) = (0, 0);
    for history in SessionHistory::all(done.history) {
        let Some(log_out) = history.operations.iter().position(|one| one.kind == OperationKind::LogOut) else {
            continue;
        };
        let (held, log_out) = (&history.operations[log_out - 1], &history.operations[log_out]);
        match held.kind {
            OperationKind::HeldRead => reads += 1,
            OperationKind::HeldWrite => writes += 1,
            other => panic!("{other:?} before the log-out"),
        }
        assert!(log_out.times.scheduled_ns - held.times.dispatched_ns >= transitions.overtakes_after_ns());
        assert!(log_out.began_ns() < held.times.completed_ns, "it was still in flight");
        let later = history.operations.iter().find(|later| later.began_ns() > log_out.began_ns()).unwrap();
        assert!(later.began_ns() >= held.times.completed_ns.max(log_out.times.completed_ns));
    }
    assert!(reads > 2 && writes > 2, "{reads} reads and {writes} writes were overtaken");
}

#[test]
fn a_change_of_the_id_overtakes_a_request_in_flight_and_then_the_old_id_is_read() {
    let transitions = Transitions { hold_ms: 40, rotate_ids: true, ..Transitions::default() };
    let done = overtaking(transitions, 8);
    let mut changed = 0;
    for history in SessionHistory::all(done.of_the_load().cloned().collect()) {
        let kinds: Vec<OperationKind> = history.operations.iter().map(|one| one.kind).collect();
        let Some(at) = kinds.iter().position(|kind| *kind == OperationKind::NewId) else { continue };
        let (held, change) = (&history.operations[at - 1], &history.operations[at]);
        assert!(matches!(held.kind, OperationKind::HeldRead | OperationKind::HeldWrite), "{kinds:?}");
        assert!(change.began_ns() < held.times.completed_ns, "it was still in flight");
        assert!((4..=6).contains(&at), "in the middle of the session: {at}");
        assert_eq!(kinds.iter().filter(|kind| **kind == OperationKind::NewId).count(), 1);
        if let Some(later) = kinds.get(at + 1) {
            assert_eq!(*later, OperationKind::OldIdRead, "{kinds:?}");
            changed += 1;
        }
    }
    assert!(changed > 4, "{changed} sessions got another id");
}

#[test]
fn a_user_who_pauses_reads_after_each_pause_and_is_offered_nothing_meanwhile() {
    let pauses = Pauses { short_ns: 60_000_000, short_count: 2, long_ns: 120_000_000 };
    let done = served(App::default(), |workload| {
        workload.sessions.lifetime = Some(lockstep(Span::Operations(4)));
        workload.sessions.transitions = Transitions { pauses: Some(pauses), ..Transitions::default() };
        workload.timing.length_ns = 2_000_000_000;
    });
    assert_eq!(done.health.offered, done.health.started);
    let mut whole = 0;
    for history in SessionHistory::all(done.of_the_load().cloned().collect()) {
        let Some(first) = history.operations.iter().position(|one| one.kind == OperationKind::IdleRead) else {
            continue;
        };
        let (before, idle) = history.operations.split_at(first);
        assert!(before.len() == 4 && idle.iter().all(|one| one.kind == OperationKind::IdleRead), "{history:?}");
        let from_ns = before.iter().chain(idle).map(|one| one.times.completed_ns);
        let waited: Vec<u64> = idle.iter().zip(from_ns.skip(3)).map(|(read, ns)| read.began_ns() - ns).collect();
        let least = [60_000_000, 60_000_000, 120_000_000];
        // The first pause begins with the operation that the user would have done.
        assert!(waited.len() <= 3 && waited.iter().zip(least).all(|(waited, least)| *waited >= least), "{waited:?}");
        whole += usize::from(waited.len() == 3);
    }
    assert!(whole > 2, "{whole} users have made all their pauses");
}

#[test]
fn the_lifetime_of_a_session_may_be_a_time() {
    let done = served(App::default(), |workload| workload.sessions.lifetime = Some(lockstep(Span::Time(100_000_000))));
    let histories = SessionHistory::all(done.history);
    assert!(histories.len() > 5, "{} lives", histories.len());
    for history in histories.iter().filter(|history| SessionOutcome::of(history).log_out.is_some()) {
        let log_out = history.operations.iter().find(|operation| operation.kind == OperationKind::LogOut).unwrap();
        assert!(log_out.times.sent_ns.unwrap() - history.operations[0].times.dispatched_ns >= 100_000_000);
    }
}

#[test]
fn operations_of_one_session_run_at_the_same_time_and_a_log_in_runs_alone() {
    let done = served(App { delay: Duration::from_millis(2), ..App::default() }, |workload| workload.users.at_once = 4);
    assert_eq!(done.of_the_load().count(), 100);
    let histories = SessionHistory::all(done.history);
    assert_eq!(histories.len(), 5, "one log-in each");
    let under_way = |history: &SessionHistory, at: &Operation| {
        let overlaps =
            |other: &&Operation| other.began_ns() <= at.began_ns() && at.began_ns() < other.times.completed_ns;
        history.operations.iter().filter(overlaps).count()
    };
    let most = histories.iter().flat_map(|history| history.operations.iter().map(|at| under_way(history, at))).max();
    assert_eq!(most, Some(4));
    for history in &histories {
        assert_eq!(under_way(history, &history.operations[0]), 1, "nothing else while it logs in");
    }
}

#[test]
fn operations_in_flight_when_a_load_is_stopped_are_unfinished_in_its_history() {
    let app = App { delay: Duration::from_secs(60), ..App::default() };
    let mut generator =
        generator(changed(workload(app.serve().0), |workload| workload.users.population = Population::Fixed(2)));
    let stopper = generator.stopper();
    let stops = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        stopper.stop();
    });
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    stops.join().unwrap();
    let operations = operations(&generator);
    assert_eq!(operations.len(), 2);
    let unfinished = Outcome::Indeterminate(ErrorKind::Unfinished);
    assert!(operations.iter().all(|operation| operation.outcome == unfinished && operation.sent()));
}

#[test]
fn each_session_or_each_request_has_its_own_connection() {
    for (connections, expected) in [(Connections::PerSession, 5..=5), (Connections::PerRequest, 100..=100)] {
        let (address, app) = App::default().serve();
        let mut generator = generator(changed(workload(address), |workload| workload.users.connections = connections));
        generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
        assert!(expected.contains(&app.connections()), "{connections:?}: {}", app.connections());
        let connected = operations(&generator).iter().filter(|operation| operation.times.connect_ns.is_some()).count();
        assert_eq!(connected as u64, app.connections(), "who had to connect says so");
    }
}

#[test]
fn users_that_share_a_pool_wait_for_a_connection_and_each_gets_one() {
    let (address, app) = App { delay: Duration::from_millis(5), ..App::default() }.serve();
    let mut generator = generator(changed(workload(address), |workload| {
        workload.users.connections = Connections::Pooled(2);
        workload.users.population = Population::Fixed(20);
    }));
    let health = generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    assert_eq!((health.started, app.connections()), (100, 2));
    assert!(operations(&generator).iter().all(Operation::is_ok));
}

/// A server that reads at most `reads` bytes from each connection, sends `reply`, and closes the connection.
fn server(reply: Vec<u8>, reads: usize) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let reply = reply.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut vec![0; reads]);
                let _ = stream.write_all(&reply);
            });
        }
    });
    address
}

/// Runs ten plain requests a second for half a second.
fn plainly(address: std::net::SocketAddr, body: Vec<u8>) -> Vec<Operation> {
    let plain = super::Plain {
        line: b"POST / HTTP/1.1\r\n".to_vec(),
        path: "/".into(),
        site: super::Site { host: "app".into(), is_secure: false },
        headers: format!("Host: app\r\nContent-Length: {}\r\n", body.len()).into_bytes(),
        body,
        is_bodiless: false,
    };
    let load = LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(10.0)));
    let workload = changed(workload(address), |workload| {
        workload.timing.model = load;
        workload.users.population = Population::Fixed(1);
    });
    let mut generator = super::LoadGenerator::new(workload, super::Script::Plain(plain)).unwrap();
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    operations(&generator)
}

#[test]
fn large_bodies_are_read_to_their_end_with_every_framing() {
    let body = vec![b'x'; 17 << 20];
    let given =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body.clone()].concat();
    let until_the_end = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), body].concat();
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![b'x'; 1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for (name, reply) in [("given", given), ("until the end", until_the_end), ("chunked", chunked)] {
        let done = plainly(server(reply, 4096), Vec::new());
        assert_eq!(done.len(), 5);
        let ended: Vec<_> = done.iter().map(|operation| (operation.outcome.clone(), operation.status)).collect();
        assert!(done.iter().all(|operation| operation.is_ok() && operation.status == Some(200)), "{name}: {ended:?}");
    }
}

#[test]
fn a_refusal_that_arrives_before_the_request_was_read_is_recorded_with_its_status() {
    let reply = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let done = plainly(server(reply, 4096), vec![0; 8_000_000]);
    let refused = done.iter().filter(|operation| operation.status == Some(413)).count();
    // The kernel may discard a received reply when the server closes a connection with unread bytes.
    assert!(refused >= 3, "{refused} of {}: {:?}", done.len(), done.iter().map(|one| &one.outcome).collect::<Vec<_>>());
}

#[test]
fn a_client_address_that_is_gone_is_recorded_as_the_generators_own_fault() {
    let (address, _app) = App::default().serve();
    // From a network that is reserved for documentation (RFC 5737), so that no machine has it.
    let addresses = vec![std::net::IpAddr::from([198, 51, 100, 7])];
    let mut generator = generator(changed(workload(address), |workload| {
        workload.users.addresses = addresses;
        workload.timing.length_ns = 20_000_000;
    }));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    let gone = Outcome::Fail(ErrorKind::NoNetwork);
    let operations = operations(&generator);
    assert!(
        !operations.is_empty() && operations.iter().all(|operation| operation.outcome == gone && !operation.sent())
    );
}

#[test]
fn a_reply_that_never_ends_times_out() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let pieces = b"1\r\nx\r\n".repeat(1000);
                while stream.write_all(&pieces).is_ok() {}
            });
        }
    });
    let began = std::time::Instant::now();
    let mut generator = generator(changed(workload(address), |workload| workload.timing.timeout_ns = 300_000_000));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let timeout = Outcome::Indeterminate(ErrorKind::Timeout);
    assert!(operations(&generator).iter().any(|operation| operation.outcome == timeout));
}

#[test]
fn every_operation_runs_with_ticks_too() {
    let app = App { delay: Duration::from_millis(3), ..App::default() };
    let done = served(app, |workload| workload.generator.pacing = Pacing::Tick);
    assert_eq!((done.read, done.of_the_load().count()), ((5, 0), 100));
    for operation in done.of_the_load() {
        assert!(operation.is_ok() && operation.service_us() >= Some(3000), "{operation:?}");
        assert!(operation.times.dispatched_ns >= operation.times.scheduled_ns);
    }
}

#[test]
fn a_server_that_closes_after_each_reply_is_connected_to_again() {
    let (address, app) = App { closes: true, ..App::default() }.serve();
    let done = fire(workload(address));
    assert!(done.of_the_load().all(Operation::is_ok));
    assert!(app.connections() >= 100, "{}", app.connections());
}

#[test]
fn in_a_closed_load_a_user_starts_after_its_reply_and_its_think_time() {
    let app = App { delay: Duration::from_millis(10), ..App::default() };
    let think = ThinkTime { least_ns: 20_000_000, most_ns: 20_000_000 };
    let done = served(app, |workload| workload.timing.model = LoadModel::Closed(Closed { think }));
    for history in SessionHistory::all(done.of_the_load().cloned().collect()) {
        for pair in history.operations.windows(2) {
            assert_eq!(pair[1].times.scheduled_ns, pair[0].times.completed_ns + 20_000_000);
        }
        assert!((3..=25).contains(&history.operations.len()), "{}", history.operations.len());
    }
}

#[test]
fn sessions_arrive_on_schedule_and_leave_for_good_after_their_lifetime() {
    let done = served(App::default(), |workload| {
        workload.users.population = Population::Arriving;
        workload.timing.model = LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(50.0)));
        workload.sessions.lifetime = Some(lockstep(Span::Operations(3)));
        workload.timing.think = ThinkTime { least_ns: 1_000_000, most_ns: 2_000_000 };
    });
    let histories = SessionHistory::all(done.of_the_load().cloned().collect());
    assert_eq!(histories.len(), 25, "one life each, in half a second");
    for (index, history) in (0..).zip(&histories) {
        assert_eq!((history.session, history.operations[0].times.scheduled_ns), (index, u64::from(index) * 20_000_000));
    }
    // Creation, two more operations, log-out, two revisits. The load ends before the last sessions are complete.
    assert!(histories.iter().filter(|history| history.operations.len() == 6).count() >= 12);
}

#[test]
fn on_an_overloaded_system_operations_wait_or_are_dropped_and_counted() {
    // One user and 50 ms per operation: at most 20 of the 200 scheduled operations per second can run.
    let slow = || App { delay: Duration::from_millis(50), ..App::default() };
    let overload = |overload| {
        served(slow(), |workload| {
            workload.users.population = Population::Fixed(1);
            workload.timing.overload = overload;
            // A machine that is busy with other tests takes longer.
            workload.timing.timeout_ns = 30_000_000_000;
        })
    };
    let shed = overload(Overload::Shed(100_000_000));
    assert_eq!(shed.health.offered, 100);
    assert_eq!(shed.health.started + shed.health.shed, 100);
    assert!(shed.health.shed > 50, "{:?}", shed.health);
    assert!(shed.of_the_load().all(|operation| operation.response_us() < 400_000), "nobody waited for long");
    let queued = overload(Overload::Queue);
    assert_eq!((queued.health.started, queued.health.shed), (100, 0));
    let longest = queued.of_the_load().map(Operation::response_us).max().unwrap();
    assert!(longest > 4_000_000, "the wait counts: {longest} µs");
}

#[test]
fn a_read_on_a_closed_connection_is_sent_again_and_a_write_is_indeterminate() {
    let done = served(App { hangs_up: true, ..App::default() }, |_| {});
    let of = |kind: OperationKind| done.of_the_load().filter(move |operation| operation.kind == kind);
    assert!(of(OperationKind::Read).all(Operation::is_ok), "a browser's user sees none of it");
    assert!(of(OperationKind::Read).any(|read| read.is_resent));
    let unknown: Vec<&Operation> = of(OperationKind::Write).filter(|write| !write.is_ok()).collect();
    assert!(!unknown.is_empty());
    for write in unknown {
        assert_eq!(write.outcome, Outcome::Indeterminate(ErrorKind::ResetBeforeReply));
        assert!(!write.is_resent);
    }
}

#[test]
fn a_new_connection_that_is_closed_is_an_error_and_its_request_is_not_sent_again() {
    assert_eq!(errors(&[b""]), [Some(ErrorKind::ResetBeforeReply)]);
}

/// The errors of operations that get these replies, one each. The first operation creates a session.
fn errors(replies: &[&[u8]]) -> Vec<Option<ErrorKind>> {
    let address = replies_with(replies.iter().map(|reply| reply.to_vec()).collect());
    let mut generator = generator(changed(workload(address), |workload| {
        workload.users.population = Population::Fixed(1);
        workload.users.connections = Connections::PerRequest;
        workload.timing.length_ns = replies.len() as u64 * 5_000_000;
        workload.timing.timeout_ns = 300_000_000;
    }));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    let error = |operation: &Operation| match &operation.outcome {
        Outcome::Fail(error) | Outcome::Indeterminate(error) => Some(*error),
        Outcome::Ok(_) | Outcome::Done => None,
    };
    operations(&generator).iter().map(error).collect()
}

#[test]
fn each_kind_of_broken_reply_has_an_error_of_its_own() {
    let of = |reply: &[u8]| errors(&[reply]);
    assert_eq!(of(b""), [Some(ErrorKind::ResetBeforeReply)]);
    assert_eq!(of(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), [Some(ErrorKind::CutOff)]);
    assert_eq!(of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), [Some(ErrorKind::CutOff)]);
    assert_eq!(of(b"hello there\r\n\r\n"), [Some(ErrorKind::Malformed)]);
    let endless = [&b"HTTP/1.1 200 OK\r\nX: "[..], &b"x".repeat(300_000)].concat();
    assert_eq!(of(&endless), [Some(ErrorKind::TooLarge)], "an own limit");
    assert_eq!(of(b"HTTP/1.1 200 OK\r\n\r\n{}"), [Some(ErrorKind::OffContract)], "a success that shows no session");
    assert_eq!(of(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), [Some(ErrorKind::Status5xx)]);
}

#[test]
fn a_port_where_nobody_listens_refuses_and_nothing_was_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let done = fire(changed(workload(address), |workload| workload.timing.length_ns = 50_000_000));
    assert_eq!(done.of_the_load().count(), 10);
    for operation in done.of_the_load() {
        assert_eq!(operation.outcome, Outcome::Fail(ErrorKind::Refused));
        assert!(!operation.sent() && operation.times.connect_ns.is_some());
    }
}

#[test]
fn an_operation_without_a_reply_times_out_when_the_profile_says() {
    let app = App { delay: Duration::from_secs(60), ..App::default() };
    let mut generator = generator(changed(workload(app.serve().0), |workload| {
        workload.timing.timeout_ns = 100_000_000;
        workload.timing.length_ns = 20_000_000;
    }));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    for operation in operations(&generator) {
        assert_eq!(operation.outcome, Outcome::Indeterminate(ErrorKind::Timeout));
        assert!(operation.response_us() >= 100_000);
    }
}

#[test]
fn a_user_that_cannot_reach_its_endpoint_takes_the_next_and_keeps_it() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = served(App::default(), |workload| workload.destination.endpoints.insert(0, nobody));
    let refused: Vec<_> = done
        .of_the_load()
        .filter(|operation| operation.outcome == Outcome::Fail(ErrorKind::Refused))
        .map(|operation| operation.id.session)
        .collect();
    assert_eq!(refused, [0, 2, 4], "who had that endpoint, once each");
    assert_eq!(done.health.started, 100);
}
