//! Tests nodes with hostile input: malformed, oversized, cut off, slow. A node must answer with an error or close the
//! connection, and then serve the next client normally.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{LocalSet, spawn_local};

use super::app::Sessions;
use super::app::contract::Contract;
use super::config::{AppConfig, Defect, Replication, StrategyName};
use super::counters::{CLUSTER, FRONT};
use super::http::serve_connection;
use super::identity::Identity;
use super::link::{self, Misunderstood, decode, encode};

/// Number of inputs per test.
const CASES: u32 = 100_000;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const GOOD: &[u8] = b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 25\r\n\r\n{\"owner\":\"s1\",\"bytes\":10}";

async fn contract(strategy: StrategyName) -> Rc<Contract> {
    let config = AppConfig {
        name: "app-1".into(),
        listen: "127.0.0.1:1".parse().unwrap(),
        strategy,
        face: super::config::Face::Contract,
        defect: Defect::None,
        replication: Replication::Synchronous,
        cluster_listen: None,
        peers: Vec::new(),
        store: None,
        expires_after_ms: 0,
    };
    let sessions = Rc::new(Sessions::start(&config).await.unwrap());
    Rc::new(Contract::new(Identity::of("app-1"), sessions, || 1))
}

fn connect(contract: &Rc<Contract>) -> DuplexStream {
    let (ours, theirs) = duplex(256 * 1024);
    spawn_local(serve_connection(theirs, CLIENT, &FRONT, Rc::clone(contract)));
    ours
}

/// Sends bytes, closes the sending side, and reads until the connection ends.
async fn send(contract: &Rc<Contract>, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(contract);
    // The node may have closed it already.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    reply
}

fn status_of(reply: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(reply.get(..12)?).into_owned();
    text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?.parse().ok()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// Damaged requests and random bytes.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let templates = [
        GOOD,
        b"POST /session/ops HTTP/1.1\r\nHost: x\r\nCookie: SESSION=00000000000000000000000000000001\r\nContent-Length: 15\r\n\r\n{\"op\":\"1.1.1\"}  ",
        b"GET /session HTTP/1.1\r\nHost: x\r\nCookie: SESSION=x.y; a=b\r\n\r\n",
        b"POST /session/log-out HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"own\r\n0\r\n\r\n",
    ];
    let damage = vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..6);
    let damaged = (prop::sample::select(templates.map(<[u8]>::to_vec).to_vec()), damage, any::<prop::sample::Index>())
        .prop_map(|(mut bytes, damage, cut)| {
            for (at, byte, kind) in damage {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.splice(at..at, std::iter::repeat_n(byte, 300)).for_each(drop),
                }
            }
            bytes.truncate(cut.index(bytes.len() * 2).max(1));
            bytes
        });
    prop_oneof![4 => damaged, 1 => vec(any::<u8>(), 0..200)]
}

#[test]
fn any_client_input_gets_a_reply_or_a_close_and_the_node_serves_the_next_client() {
    run(async {
        let contract = contract(StrategyName::Local).await;
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let strategy = requests();
        for _ in 0..CASES {
            let bytes = strategy.new_tree(&mut runner).unwrap().current();
            let reply = send(&contract, &bytes).await;
            let shown = String::from_utf8_lossy(&bytes);
            assert!(reply.is_empty() || status_of(&reply).is_some(), "{shown:?}: {}", String::from_utf8_lossy(&reply));
            assert_ne!(status_of(&reply), Some(500), "{shown:?}");
        }
        assert_eq!(status_of(&send(&contract, GOOD).await), Some(200));
    });
}

#[test]
fn any_input_from_another_node_gets_an_answer_or_a_close() {
    run(async {
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let frame = (any::<u32>(), any::<bool>(), vec(any::<u8>(), 0..64));
        for _ in 0..CASES {
            let (length, is_honest, body) = frame.new_tree(&mut runner).unwrap().current();
            let length = if is_honest { u32::try_from(body.len()).unwrap() } else { length };
            let (mut ours, theirs) = duplex(64 * 1024);
            let answers = spawn_local(link::serve(theirs, &CLUSTER, async |message| {
                decode::<(u64, String, Option<Vec<u8>>)>(&message).map(|known| encode(&known)).or(Err(Misunderstood))
            }));
            let _ = ours.write_all(&[&length.to_be_bytes()[..], &body].concat()).await;
            let _ = ours.shutdown().await;
            let _ = ours.read_to_end(&mut Vec::new()).await;
            answers.await.unwrap();
        }
    });
}

#[test]
fn an_oversized_request_is_refused() {
    run(async {
        let contract = contract(StrategyName::Local).await;
        let long_head = format!("GET /session HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
        assert_eq!(status_of(&send(&contract, long_head.as_bytes()).await), Some(431));
        let long_body =
            format!("POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
        assert_eq!(status_of(&send(&contract, long_body.as_bytes()).await), Some(413));
        let too_much = GOOD.to_vec();
        let too_much = String::from_utf8(too_much).unwrap().replace("10}", "4194305}").replace("25", "30");
        assert_eq!(status_of(&send(&contract, too_much.as_bytes()).await), Some(400));
    });
}

#[test]
fn a_request_that_does_not_come_is_answered_with_408_in_the_head_and_in_the_body() {
    run(async {
        let contract = contract(StrategyName::Local).await;
        for part in [&GOOD[..20], &GOOD[..GOOD.len() - 5]] {
            let mut stream = connect(&contract);
            stream.write_all(part).await.unwrap();
            let mut reply = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(120), stream.read_to_end(&mut reply));
            assert!(read.await.is_ok(), "the connection was never closed");
            assert_eq!(status_of(&reply), Some(408), "{}", String::from_utf8_lossy(part));
        }
    });
}

#[test]
fn a_client_side_session_that_was_made_up_is_unknown() {
    run(async {
        let contract = contract(StrategyName::ClientSide).await;
        let request = b"GET /session HTTP/1.1\r\nHost: x\r\nCookie: SESSION=AAAA.AAAA\r\nConnection: close\r\n\r\n";
        assert_eq!(status_of(&send(&contract, request).await), Some(404));
    });
}
