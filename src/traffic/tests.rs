//! Whole loads against servers on loopback: what users do, over which connections, and that nothing is left out.

use std::time::Duration;

use super::testing::{App, changed, engine, fire, operations, replies_with, workload};
use crate::history::{ErrorKind, Operation, OperationKind, Outcome, SessionHistory, SessionOutcome};
use crate::load::{
    Closed, Connections, ConstantRate, Lifetime, LoadModel, Overload, Pacing, Population, Schedule, Span, Spread,
    ThinkTime, Workload,
};

fn served(app: App, change: impl FnOnce(&mut Workload)) -> super::testing::Done {
    let mut workload = workload(app.serve().0);
    change(&mut workload);
    fire(workload)
}

#[test]
fn every_operation_of_the_schedule_is_performed_once_and_every_session_read_in_the_end() {
    let done = served(App::default(), |_| {});
    assert_eq!(done.read, (5, 0));
    assert_eq!((done.health.offered, done.health.started), (100, 100));
    assert_eq!(done.history.len(), 100 + 5 + 5, "and once from the one node");
    assert!(done.history.iter().all(Operation::is_ok));
    let lives = SessionHistory::all(done.history);
    assert_eq!(lives.len(), 5, "nobody had to log in again");
    assert!(lives.iter().all(|life| life.operations.len() == 22), "a round gives everyone one operation");
}

#[test]
fn several_threads_fire_the_same_traffic_as_one() {
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
fn a_session_that_is_unknown_for_a_while_is_given_up_and_found_again_in_the_end() {
    let done = served(App { forgets: Some((20, 30)), ..App::default() }, |_| {});
    let lives = SessionHistory::all(done.history);
    assert!(lives.len() > 5, "users have logged in again");
    let fates: Vec<SessionOutcome> = lives.iter().map(SessionOutcome::of).collect();
    assert!(fates.iter().any(SessionOutcome::was_forgotten));
    assert!(fates.iter().all(|fate| fate.loss.is_none()), "the final read found every session");
}

#[test]
fn a_session_that_is_unknown_to_the_last_is_lost() {
    let done = served(App { forgets: Some((20, 10_000)), ..App::default() }, |_| {});
    assert_eq!(done.read.1, 0, "that nobody knows it is an answer");
    let lives = SessionHistory::all(done.history);
    let created = lives.iter().filter(|life| SessionOutcome::of(life).creation.is_some());
    assert!(created.clone().count() >= 5);
    for life in created {
        let asked_again = life.operations.iter().any(|operation| operation.kind != OperationKind::Create);
        assert_eq!(SessionOutcome::of(life).loss.is_some(), asked_again, "{life:?}");
    }
}

fn lockstep(mean: Span) -> Lifetime {
    Lifetime { mean, spread: Spread::Lockstep }
}

#[test]
fn users_are_out_of_step_unless_they_are_told_to_be_in_step() {
    let sizes = |spread| {
        let done = served(App::default(), |workload| {
            workload.sessions.lifetime = Some(Lifetime { mean: Span::Operations(8), spread });
            workload.users.population = Population::Fixed(6);
            workload.timing.length_ns = 600_000_000;
        });
        let lives = SessionHistory::all(done.of_the_load().cloned().collect());
        let log_out = |life: &SessionHistory| life.operations.iter().position(|one| one.kind == OperationKind::LogOut);
        lives.iter().filter(|life| life.number == 1).filter_map(log_out).collect::<Vec<usize>>()
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
    let lives = SessionHistory::all(done.history);
    assert!(lives.len() >= 10, "{} lives", lives.len());
    let first = &lives[0].operations;
    assert_eq!(first[0].kind, OperationKind::Create);
    assert_eq!((first[5].kind, &first[5].outcome), (OperationKind::LogOut, &Outcome::Done));
    assert_eq!([first[6].kind, first[7].kind], [OperationKind::Read, OperationKind::Write]);
    assert!(first[6..].iter().all(Operation::session_was_unknown), "the app has ended it");
    assert!(lives.iter().all(|life| SessionOutcome::of(life).loss.is_none()), "a log-out is no loss");
}

#[test]
fn a_session_may_also_last_for_a_time() {
    let done = served(App::default(), |workload| workload.sessions.lifetime = Some(lockstep(Span::Time(100_000_000))));
    let lives = SessionHistory::all(done.history);
    assert!(lives.len() > 5, "{} lives", lives.len());
    for life in lives.iter().filter(|life| SessionOutcome::of(life).log_out.is_some()) {
        let log_out = life.operations.iter().find(|operation| operation.kind == OperationKind::LogOut).unwrap();
        assert!(log_out.times.sent_ns.unwrap() - life.operations[0].times.dispatched_ns >= 100_000_000);
    }
}

#[test]
fn operations_of_one_session_go_on_at_once_and_logging_in_is_done_alone() {
    let done = served(App { delay: Duration::from_millis(2), ..App::default() }, |workload| workload.users.at_once = 4);
    assert_eq!(done.of_the_load().count(), 100);
    let lives = SessionHistory::all(done.history);
    assert_eq!(lives.len(), 5, "one log-in each");
    let under_way = |life: &SessionHistory, at: &Operation| {
        let overlaps =
            |other: &&Operation| other.began_ns() <= at.began_ns() && at.began_ns() < other.times.completed_ns;
        life.operations.iter().filter(overlaps).count()
    };
    let most = lives.iter().flat_map(|life| life.operations.iter().map(|at| under_way(life, at))).max();
    assert_eq!(most, Some(4));
    for life in &lives {
        assert_eq!(under_way(life, &life.operations[0]), 1, "nothing else while it logs in");
    }
}

#[test]
fn what_is_under_way_when_a_load_is_stopped_is_in_its_history_as_unfinished() {
    let app = App { delay: Duration::from_secs(60), ..App::default() };
    let mut engine =
        engine(changed(workload(app.serve().0), |workload| workload.users.population = Population::Fixed(2)));
    let stopper = engine.stopper();
    let stops = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        stopper.stop();
    });
    engine.load(|| {}, &mut |_| {}).unwrap();
    stops.join().unwrap();
    let operations = operations(&engine);
    assert_eq!(operations.len(), 2);
    let unfinished = Outcome::Indeterminate(ErrorKind::Unfinished);
    assert!(operations.iter().all(|operation| operation.outcome == unfinished && operation.sent()));
}

#[test]
fn a_session_keeps_its_connection_and_each_request_may_have_its_own() {
    for (connections, expected) in [(Connections::PerSession, 5..=5), (Connections::PerRequest, 100..=100)] {
        let (address, app) = App::default().serve();
        let mut engine = engine(changed(workload(address), |workload| workload.users.connections = connections));
        engine.load(|| {}, &mut |_| {}).unwrap();
        assert!(expected.contains(&app.connections()), "{connections:?}: {}", app.connections());
        let connected = operations(&engine).iter().filter(|operation| operation.times.connect_ns.is_some()).count();
        assert_eq!(connected as u64, app.connections(), "who had to connect says so");
    }
}

#[test]
fn users_that_share_a_pool_wait_for_a_connection_and_nobody_is_forgotten() {
    let (address, app) = App { delay: Duration::from_millis(5), ..App::default() }.serve();
    let mut engine = engine(changed(workload(address), |workload| {
        workload.users.connections = Connections::Pooled(2);
        workload.users.population = Population::Fixed(20);
    }));
    let health = engine.load(|| {}, &mut |_| {}).unwrap();
    assert_eq!((health.started, app.connections()), (100, 2));
    assert!(operations(&engine).iter().all(Operation::is_ok));
}

/// Answers every request on every connection with `reply` once it has read `reads` bytes of it, and then hangs up.
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

/// One plain request a tenth of a second for half a second.
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
    let mut engine = super::Engine::new(workload, super::Script::Plain(plain)).unwrap();
    engine.load(|| {}, &mut |_| {}).unwrap();
    operations(&engine)
}

#[test]
fn bodies_of_any_length_go_by_whatever_says_where_they_end() {
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
fn a_refusal_that_comes_before_the_request_was_taken_is_told_as_one() {
    let reply = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let done = plainly(server(reply, 4096), vec![0; 8_000_000]);
    let told = done.iter().filter(|operation| operation.status == Some(413)).count();
    // The kernel may throw away what has arrived when the server hangs up on what it has not read.
    assert!(told >= 3, "{told} of {}: {:?}", done.len(), done.iter().map(|one| &one.outcome).collect::<Vec<_>>());
}

#[test]
fn a_client_address_that_is_gone_is_told_as_the_generators_own_fault() {
    let (address, _app) = App::default().serve();
    // Of a network for documentation (RFC 5737), so that it is nobody's.
    let addresses = vec![std::net::IpAddr::from([198, 51, 100, 7])];
    let mut engine = engine(changed(workload(address), |workload| {
        workload.users.addresses = addresses;
        workload.timing.length_ns = 20_000_000;
    }));
    engine.load(|| {}, &mut |_| {}).unwrap();
    let gone = Outcome::Fail(ErrorKind::NoNetwork);
    let operations = operations(&engine);
    assert!(
        !operations.is_empty() && operations.iter().all(|operation| operation.outcome == gone && !operation.sent())
    );
}

#[test]
fn a_reply_that_never_ends_is_given_up_in_time_and_a_load_of_it_can_be_stopped() {
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
    let mut engine = engine(changed(workload(address), |workload| workload.timing.timeout_ns = 300_000_000));
    engine.load(|| {}, &mut |_| {}).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let timeout = Outcome::Indeterminate(ErrorKind::Timeout);
    assert!(operations(&engine).iter().any(|operation| operation.outcome == timeout));
}

#[test]
fn who_looks_at_ticks_only_performs_every_operation_all_the_same() {
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
fn in_a_closed_load_a_user_starts_after_its_answer_and_its_thought() {
    let app = App { delay: Duration::from_millis(10), ..App::default() };
    let think = ThinkTime { least_ns: 20_000_000, most_ns: 20_000_000 };
    let done = served(app, |workload| workload.timing.model = LoadModel::Closed(Closed { think }));
    for life in SessionHistory::all(done.of_the_load().cloned().collect()) {
        for pair in life.operations.windows(2) {
            assert_eq!(pair[1].times.scheduled_ns, pair[0].times.completed_ns + 20_000_000);
        }
        assert!((3..=25).contains(&life.operations.len()), "{}", life.operations.len());
    }
}

#[test]
fn sessions_arrive_on_schedule_live_their_life_and_leave_for_good() {
    let done = served(App::default(), |workload| {
        workload.users.population = Population::Arriving;
        workload.timing.model = LoadModel::Open(Schedule::ConstantRate(ConstantRate::new(50.0)));
        workload.sessions.lifetime = Some(lockstep(Span::Operations(3)));
        workload.timing.think = ThinkTime { least_ns: 1_000_000, most_ns: 2_000_000 };
    });
    let lives = SessionHistory::all(done.of_the_load().cloned().collect());
    assert_eq!(lives.len(), 25, "one life each, in half a second");
    for (index, life) in (0..).zip(&lives) {
        assert_eq!((life.session, life.operations[0].times.scheduled_ns), (index, u64::from(index) * 20_000_000));
    }
    // Created, two more operations, logged out, come back twice. The last ones find the load at its end.
    assert!(lives.iter().filter(|life| life.operations.len() == 6).count() >= 12);
}

#[test]
fn where_the_system_cannot_keep_up_operations_wait_or_are_dropped_and_counted() {
    // One user and 50 ms an operation: 20 operations a second of 200 that are asked for.
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
fn on_a_connection_that_was_closed_under_it_a_read_is_sent_again_and_of_a_write_nobody_knows() {
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
fn what_is_closed_before_it_was_ever_used_is_an_error_and_no_reason_to_ask_again() {
    assert_eq!(errors(&[b""]), [Some(ErrorKind::ResetBeforeReply)]);
}

/// The errors of the operations that a server's replies bring about, the first of which creates a session.
fn errors(replies: &[&[u8]]) -> Vec<Option<ErrorKind>> {
    let address = replies_with(replies.iter().map(|reply| reply.to_vec()).collect());
    let mut engine = engine(changed(workload(address), |workload| {
        workload.users.population = Population::Fixed(1);
        workload.users.connections = Connections::PerRequest;
        workload.timing.length_ns = replies.len() as u64 * 5_000_000;
        workload.timing.timeout_ns = 300_000_000;
    }));
    engine.load(|| {}, &mut |_| {}).unwrap();
    let error = |operation: &Operation| match &operation.outcome {
        Outcome::Fail(error) | Outcome::Indeterminate(error) => Some(*error),
        Outcome::Ok(_) | Outcome::Done => None,
    };
    operations(&engine).iter().map(error).collect()
}

#[test]
fn each_way_in_which_a_reply_breaks_has_a_name() {
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
fn a_server_that_never_answers_is_given_up_when_the_profile_says() {
    let app = App { delay: Duration::from_secs(60), ..App::default() };
    let mut engine = engine(changed(workload(app.serve().0), |workload| {
        workload.timing.timeout_ns = 100_000_000;
        workload.timing.length_ns = 20_000_000;
    }));
    engine.load(|| {}, &mut |_| {}).unwrap();
    for operation in operations(&engine) {
        assert_eq!(operation.outcome, Outcome::Indeterminate(ErrorKind::Timeout));
        assert!(operation.response_us() >= 100_000);
    }
}

#[test]
fn who_cannot_reach_an_entrance_turns_to_the_next_and_stays_there() {
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
