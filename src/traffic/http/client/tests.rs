//! Whole loads over TLS and HTTP/2, against servers on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::history::{ErrorKind, Operation, Outcome};
use crate::load::{Connections, Population, Protocol, ProtocolName, Trust, Workload};
use crate::traffic::testing::{App, changed, fire, generator, operations, workload};

/// An app behind TLS with a self-signed certificate.
fn behind_tls(app: App) -> (SocketAddr, Arc<App>) {
    let own = rcgen::generate_simple_self_signed(vec!["app".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap());
    app.serve_through(move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream))
}

/// An app that serves HTTP/2 by prior knowledge, with `delay` before each reply.
fn in_http2(app: App) -> (SocketAddr, Arc<App>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, app) = (listener.local_addr().unwrap(), Arc::new(app));
    let shared = Arc::clone(&app);
    let serves = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            shared.count_connection();
            let app = Arc::clone(&shared);
            let service = service_fn(move |request| answer(Arc::clone(&app), request));
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    };
    thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serves));
    (address, app)
}

/// The app's reply to the same request in HTTP/1.1.
async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri().path());
    for value in request.headers().get_all("cookie") {
        text.push_str(&format!("Cookie: {}\r\n", value.to_str().unwrap()));
    }
    let body = request.into_body().collect().await?.to_bytes();
    text.push_str(&format!("\r\n{}", String::from_utf8_lossy(&body)));
    tokio::time::sleep(app.delay).await;
    let (head, body) = app.answer(&text);
    let mut headers = [httparse::EMPTY_HEADER; 8];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(head.as_bytes()).unwrap();
    let mut response = Response::builder().status(parsed.code.unwrap());
    for header in parsed.headers.iter().filter(|header| header.name == "Set-Cookie") {
        response = response.header(header.name, header.value);
    }
    Ok(response.body(Full::from(body)).unwrap())
}

fn speaking(protocol: ProtocolName, address: SocketAddr) -> Workload {
    changed(workload(address), |workload| workload.destination.protocol = protocol.between_containers())
}

#[test]
fn sessions_work_over_tls_and_connecting_is_measured_separately() {
    let (address, app) = behind_tls(App::default());
    let done = fire(speaking(ProtocolName::Https, address));
    assert!(done.history.iter().all(Operation::is_ok));
    assert_eq!(
        (done.read, app.connections()),
        ((5, 0), 5 + 5),
        "one a session, and one for each read past the balancer"
    );
    let connected: Vec<&Operation> =
        done.of_the_load().filter(|operation| operation.times.connect_ns.is_some()).collect();
    assert_eq!(connected.len(), 5);
    for Operation { times, .. } in connected {
        let (began_ns, sent_ns) = (times.dispatched_ns, times.sent_ns.unwrap());
        assert!(sent_ns >= began_ns + times.connect_ns.unwrap(), "it was sent when the connection had been made");
        assert!(times.completed_ns >= times.first_byte_ns.unwrap() && times.first_byte_ns.unwrap() >= sent_ns);
    }
    assert!(done.history.iter().all(|operation| operation.moved.received_bytes > 100));
}

#[test]
fn in_http2_all_requests_of_a_session_share_one_connection() {
    let (address, app) = in_http2(App { delay: Duration::from_millis(2), ..App::default() });
    let done = fire(changed(speaking(ProtocolName::H2c, address), |workload| workload.users.at_once = 4));
    assert!(done.history.iter().all(Operation::is_ok));
    assert_eq!(app.connections(), 5 + 5);
    let (address, app) = in_http2(App { delay: Duration::from_millis(2), ..App::default() });
    let pooled =
        changed(speaking(ProtocolName::H2c, address), |workload| workload.users.connections = Connections::Pooled(2));
    assert!(fire(pooled).history.iter().all(Operation::is_ok));
    assert_eq!(app.connections(), 2 + 5);
}

#[test]
fn a_certificate_that_the_system_does_not_accept_is_a_failed_handshake_and_nothing_was_sent() {
    let (address, _app) = behind_tls(App::default());
    let believes_the_system = Protocol { tls: Some(Trust::System), is_http2: false };
    let mut generator =
        generator(changed(workload(address), |workload| workload.destination.protocol = believes_the_system));
    // A system without certificates cannot begin.
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    for operation in operations(&generator) {
        assert_eq!(operation.outcome, Outcome::Fail(ErrorKind::Handshake));
        assert!(!operation.sent() && operation.times.connect_ns.is_some());
    }
}

/// The operations of a short load in HTTP/2.
fn few(address: SocketAddr) -> Vec<Operation> {
    let few = changed(speaking(ProtocolName::H2c, address), |workload| {
        workload.timing.length_ns = 20_000_000;
        workload.timing.timeout_ns = 200_000_000;
    });
    let mut generator = generator(changed(few, |workload| workload.users.population = Population::Fixed(4)));
    generator.load(std::time::Instant::now, &mut |_| {}).unwrap();
    operations(&generator)
}

/// A server that answers the first request of each HTTP/2 connection with one frame, and closes the connection.
fn that_says(kind: u8, stream: u8, payload: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let frame = |kind: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
    };
    let says = [frame(4, 0, &[]), frame(kind, stream, payload)].concat();
    let says = Arc::new(says);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let says = Arc::clone(&says);
            thread::spawn(move || {
                // The client's preface, and its frames until the request.
                let mut head = [0; 24];
                client.read_exact(&mut head).unwrap();
                while client.read_exact(&mut head[..9]).is_ok() && head[3] != 1 {
                    let length = usize::from(head[1]) * 256 + usize::from(head[2]);
                    client.read_exact(&mut vec![0; length]).unwrap();
                }
                let _ = client.write_all(&says);
                let _ = client.shutdown(std::net::Shutdown::Write);
                // To close with unread bytes would discard the frames that were sent.
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            });
        }
    });
    address
}

#[test]
fn a_request_that_the_server_has_not_processed_counts_as_not_sent() {
    let (goaway_before, goaway_after, refused) = ([0; 8], [0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 7]);
    let says = |kind, stream, payload: &[u8]| few(that_says(kind, stream, payload.to_vec().leak()));
    for operations in [says(7, 0, &goaway_before), says(3, 1, &refused)] {
        assert!(!operations.is_empty());
        for operation in operations {
            assert_eq!(operation.outcome, Outcome::Fail(ErrorKind::NotSent));
            assert!(!operation.sent());
        }
    }
    // The server may have processed these requests before it closed the connection.
    for operation in says(7, 0, &goaway_after) {
        assert_eq!(operation.outcome, Outcome::Indeterminate(ErrorKind::ResetBeforeReply));
        assert!(operation.sent());
    }
}

#[test]
fn errors_of_the_library_have_the_same_kinds_as_those_of_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let outcomes = |address| -> Vec<Outcome> { few(address).into_iter().map(|operation| operation.outcome).collect() };
    assert!(outcomes(nobody).iter().all(|outcome| *outcome == Outcome::Fail(ErrorKind::Refused)));
    let (never, _app) = in_http2(App { delay: Duration::from_secs(60), ..App::default() });
    assert!(outcomes(never).iter().all(|outcome| *outcome == Outcome::Indeterminate(ErrorKind::Timeout)));
    let closes = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closes.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in closes.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 64]);
        }
    });
    assert!(outcomes(address).iter().all(|outcome| *outcome == Outcome::Indeterminate(ErrorKind::ResetBeforeReply)));
}
