//! How the engine is found and what it may lack: contexts, TCP, TLS, ssh, a socket of another machine, an engine that
//! does not answer. The tests put proxies in front of this machine's engine.

#![expect(clippy::print_stderr, reason = "a test that cannot go on has failed, and says why")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use sha2::{Digest, Sha256};
use steadfast::cluster::docker::{Engine, Leftovers};

mod common;

use common::{check, nothing_is_left, run_on_an_engine, runtime, steadfast, text};

type Test = fn() -> Result<(), Failed>;

const TESTS: [(&str, Test); 8] = [
    ("the_engine_of_the_current_context_is_used_and_named", the_engine_of_the_current_context_is_used_and_named),
    ("an_engine_behind_tls_is_verified_and_a_wrong_certificate_refused", an_engine_behind_tls_is_verified),
    ("an_engine_behind_ssh_is_reached_by_one_log_in", an_engine_behind_ssh_is_reached_by_one_log_in),
    ("an_engine_that_says_nothing_is_given_up_on", an_engine_that_says_nothing_is_given_up_on),
    ("where_no_container_can_get_the_socket_the_other_reaper_does", where_no_container_can_get_the_socket),
    ("a_cluster_that_cannot_be_made_is_told_and_leaves_nothing_behind", a_cluster_that_cannot_be_made_leaves_nothing),
    ("what_a_dead_driver_left_is_removed_by_the_next_run", what_a_dead_driver_left_is_removed_by_the_next_run),
    ("two_drivers_with_one_number_in_one_second_do_not_meet", two_drivers_with_one_number_do_not_meet),
];

fn main() -> ExitCode {
    let lacks_socket = || (!Path::new(SOCKET).exists()).then(|| format!("the engine is not at {SOCKET}"));
    run_on_an_engine("engines", lacks_socket, TESTS.map(|(name, test)| Trial::test(name, test)))
}

const SOCKET: &str = "/var/run/docker.sock";

/// A connection whose directions can end separately.
trait Stream: Read + Write + Sized + Send + 'static {
    fn twin(&self) -> std::io::Result<Self>;
    fn end_writing(&self);
}

impl Stream for UnixStream {
    fn twin(&self) -> std::io::Result<Self> {
        self.try_clone()
    }
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for TcpStream {
    fn twin(&self) -> std::io::Result<Self> {
        self.try_clone()
    }
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Forwards a connection to the engine, after the bytes that were already read.
fn hand_on<S: Stream>(mut client: S, already: &[u8]) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(SOCKET)?;
    engine.write_all(already)?;
    let (mut from_client, mut to_engine) = (client.twin()?, engine.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_engine);
        to_engine.end_writing();
    });
    let _ = std::io::copy(&mut engine, &mut client);
    client.end_writing();
    Ok(())
}

/// Reads the head of a request.
fn head(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok(head)
}

/// Creates a socket at `path` that leads to the engine, as a virtual machine's does. If `refuses` returns a message for
/// a request's first line, the reply is that error.
fn forwarded(path: &Path, refuses: fn(&str) -> Option<&'static str>) -> std::io::Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || serve(client, refuses));
        }
    });
    Ok(())
}

fn serve(mut client: UnixStream, refuses: fn(&str) -> Option<&'static str>) -> std::io::Result<()> {
    let head = head(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    match refuses(text.lines().next().unwrap_or_default()) {
        Some(message) => {
            let body = format!("{{\"message\":\"{message}\"}}");
            write!(
                client,
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        }
        None => hand_on(client, &head),
    }
}

fn doctor_at(host: &str) -> Command {
    let mut doctor = steadfast(&["doctor"]);
    doctor.env("DOCKER_HOST", host);
    doctor
}

fn the_engine_of_the_current_context_is_used_and_named() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("forwarded.sock");
    forwarded(&socket, |_| None)?;
    // The docker command names a context's folder by the hash of its name.
    let id: Vec<String> = Sha256::digest(b"there").iter().map(|byte| format!("{byte:02x}")).collect();
    let meta = folder.path().join("contexts/meta").join(id.concat());
    std::fs::create_dir_all(&meta)?;
    std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"there"}"#)?;
    let text_of = format!(r#"{{"Name":"there","Endpoints":{{"docker":{{"Host":"unix://{}"}}}}}}"#, socket.display());
    std::fs::write(meta.join("meta.json"), text_of)?;
    let mut doctor = steadfast(&["doctor"]);
    doctor.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").env("DOCKER_CONFIG", folder.path());
    let output = doctor.output()?;
    let expected = format!("at unix://{} (docker's current context `there`)", socket.display());
    check(output.status.success() && text(&output).contains(&expected), || text(&output))
}

/// Writes an authority and a client's certificate to a folder. Returns a server's configuration with a certificate of
/// the same authority.
fn certificates(folder: &Path) -> Result<rustls::ServerConfig, Failed> {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let signed = |name: &str| -> Result<_, Failed> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?;
        Ok((certificate, key))
    };
    let ((server, server_key), (client, client_key)) = (signed("localhost")?, signed("client")?);
    std::fs::write(folder.join("ca.pem"), authority.pem())?;
    std::fs::write(folder.join("cert.pem"), client.pem())?;
    std::fs::write(folder.join("key.pem"), client_key.serialize_pem())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build()?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(server_key.serialize_der())?;
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_client_cert_verifier(verifier).with_single_cert(vec![server.der().clone()], key)?)
}

/// Starts a TLS proxy for the engine. It serves one request per connection, which is enough.
fn behind_tls(config: rustls::ServerConfig) -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let config = std::sync::Arc::new(config);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || -> std::io::Result<()> {
                let connection = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
                let mut client = rustls::StreamOwned::new(connection, client);
                let head = String::from_utf8_lossy(&head(&mut client)?).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                let mut body = vec![0; length.unwrap_or_default()];
                client.read_exact(&mut body)?;
                let mut engine = UnixStream::connect(SOCKET)?;
                let (first, rest) = head.split_once("\r\n").unwrap_or_default();
                engine.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
                engine.write_all(&body)?;
                std::io::copy(&mut engine, &mut client)?;
                client.conn.send_close_notify();
                client.flush()
            });
        }
    });
    Ok(port)
}

fn an_engine_behind_tls_is_verified() -> Result<(), Failed> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let port = behind_tls(certificates(folder.path())?)?;
    let images = |certificates: &Path| {
        let mut command = steadfast(&["images", "list"]);
        command.env("DOCKER_HOST", format!("tcp://localhost:{port}")).env("DOCKER_TLS_VERIFY", "1");
        command.env("DOCKER_CERT_PATH", certificates).output()
    };
    let output = images(folder.path())?;
    check(output.status.success() && text(&output).contains("program"), || text(&output))?;
    certificates(other.path())?;
    let refused = images(other.path())?;
    check(refused.status.code() == Some(3), || text(&refused))?;
    let plain = doctor_at(&format!("tcp://localhost:{port}")).output()?;
    check(plain.status.code() == Some(3), || text(&plain))
}

/// An ssh server on the loopback for this user only, until it is dropped.
struct Sshd(std::process::Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sshd {
    /// Writes a program `ssh` to `folder` that trusts it and logs in there. `None` if sshd is not installed.
    fn start(folder: &Path, port: u16) -> Result<Option<Self>, Failed> {
        let program = Path::new("/usr/sbin/sshd");
        if !program.is_file() {
            return Ok(None);
        }
        for key in ["host", "user"] {
            let path = folder.join(key);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status()?;
            check(made.success(), || "ssh-keygen failed".to_owned())?;
        }
        let path = |name: &str| folder.join(name).display().to_string();
        let (host, user, config, known) = (path("host"), path("user.pub"), path("sshd_config"), path("known"));
        std::fs::write(
            &config,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {user}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nMaxStartups 1:100:2\n"
            ),
        )?;
        let key = std::fs::read_to_string(path("host.pub"))?;
        std::fs::write(&known, format!("[127.0.0.1]:{port} {key}"))?;
        std::fs::write(path("config"), format!("IdentityFile {}\nUserKnownHostsFile {known}\n", path("user")))?;
        std::fs::write(path("ssh"), format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", path("config")))?;
        Command::new("chmod").args(["755", &path("ssh")]).status()?;
        std::fs::create_dir_all("/run/sshd")?;
        let child = Command::new(program).args(["-D", "-e", "-f", &config]).stderr(Stdio::null()).spawn()?;
        let server = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            check(Instant::now() < deadline, || "sshd does not listen".to_owned())?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(server))
    }
}

fn an_engine_behind_ssh_is_reached_by_one_log_in() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let Some(server) = Sshd::start(folder.path(), port)? else {
        eprintln!("skipped: there is no /usr/sbin/sshd");
        return Ok(());
    };
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let host = format!("ssh://127.0.0.1:{port}");
    let record = folder.path().join("record");
    let mut run = steadfast(&["run", "tests/profiles/reference.toml", "--target", "reference-store"]);
    run.args(["--runtime", "docker", "-o", &record.to_string_lossy()]).env("PATH", &path).env("DOCKER_HOST", &host);
    let output = run.output()?;
    check(output.status.success() && text(&output).contains(&format!("at {host} (DOCKER_HOST)")), || text(&output))?;
    nothing_is_left()?;
    drop(server);
    let gone = doctor_at(&host).env("PATH", &path).output()?;
    check(gone.status.code() == Some(3) && text(&gone).contains("Connection refused"), || text(&gone))
}

fn an_engine_that_says_nothing_is_given_up_on() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = format!("tcp://{}", listener.local_addr()?);
    // `clean` must not reach an engine, because it would remove what others have up.
    for verb in ["doctor", "clean"] {
        let began = Instant::now();
        let output = steadfast(&[verb]).env("DOCKER_HOST", &host).output()?;
        check(output.status.code() == Some(3) && text(&output).contains("does not answer within 5 s"), || {
            text(&output)
        })?;
        check(began.elapsed() < Duration::from_secs(15), || format!("{verb}: {:?}", began.elapsed()))?;
    }
    Ok(())
}

fn where_no_container_can_get_the_socket() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("vm.sock");
    forwarded(&socket, |line| {
        let is_the_reapers_start = line.contains("-reaper-reaper/start");
        is_the_reapers_start.then_some("error while creating mount source path: operation not supported")
    })?;
    let record = folder.path().join("record");
    let mut run = steadfast(&["run", "tests/profiles/reference.toml", "--target", "reference-store"]);
    run.args(["--runtime", "docker", "-o", &record.to_string_lossy()]);
    let output = run.env("DOCKER_HOST", format!("unix://{}", socket.display())).output()?;
    check(output.status.success(), || text(&output))?;
    check(text(&output).contains("a process on this machine watches over the run"), || text(&output))?;
    nothing_is_left()
}

fn two_drivers_with_one_number_do_not_meet() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let alone = ["-pf", "--mount-proc", "--"];
    if !Command::new("unshare").args(alone).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user may not make namespaces of processes");
        return Ok(());
    }
    let run = |name: &str| {
        let mut command = Command::new("unshare");
        command.args(alone).arg(env!("CARGO_BIN_EXE_steadfast"));
        command.args([
            "run",
            "tests/profiles/reference.toml",
            "--target",
            "reference-store",
            "--runtime",
            "docker",
            "-o",
        ]);
        command.arg(folder.path().join(name)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    // Wait for the next second, so that both start in the same one.
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    std::thread::sleep(Duration::from_millis(1020 - u64::from(unix.subsec_millis())));
    for run in [run("one")?, run("two")?] {
        let output = run.wait_with_output()?;
        check(output.status.success(), || text(&output))?;
    }
    nothing_is_left()
}

fn a_cluster_that_cannot_be_made_leaves_nothing() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("short-of-something.sock");
    forwarded(&socket, |line| {
        let is_a_later_node =
            line.starts_with("POST") && line.contains("/containers/create") && line.contains("-app-2");
        is_a_later_node.then_some("no space left on device")
    })?;
    let record = folder.path().join("record");
    let mut run = steadfast(&["run", "tests/profiles/reference.toml", "--target", "reference-store"]);
    run.args(["--runtime", "docker", "-o", &record.to_string_lossy()]);
    let output = run.env("DOCKER_HOST", format!("unix://{}", socket.display())).output()?;
    check(output.status.code() == Some(3) && text(&output).contains("no space left on device"), || text(&output))?;
    nothing_is_left()
}

/// The id of a driver's reaper process.
fn reaper_of(driver: u32) -> Result<String, Failed> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let parent = read("stat").rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1).map(str::to_owned));
        if parent.as_deref() == Some(&driver.to_string()) && read("cmdline").contains("reaper") {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Err("it has no reaper".into())
}

fn what_a_dead_driver_left_is_removed_by_the_next_run() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let run = |record: &str| {
        let mut run = steadfast(&["run", "tests/profiles/reference.toml", "--target", "reference-store"]);
        run.args(["--runtime", "docker", "-o", &folder.path().join(record).to_string_lossy()]);
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        run
    };
    let mut killed = run("killed").spawn()?;
    let lines = std::io::BufReader::new(killed.stderr.take().ok_or("no output")?);
    for line in std::io::BufRead::lines(lines) {
        if line?.contains("load") {
            break;
        }
    }
    // Both reapers end first, so that nothing removes the leftovers.
    let end = |process: &str| Command::new("kill").args(["-KILL", process]).status();
    end(&reaper_of(killed.id())?)?;
    let left = runtime().block_on(async {
        let engine = Engine::connect().await?;
        let mut left = Leftovers::find(&engine, None).await?;
        let all = left.counts();
        left.containers.retain(|name| name.ends_with("-reaper-reaper"));
        (left.networks, left.volumes) = (Vec::new(), Vec::new());
        left.remove(&engine).await?;
        Ok::<_, Failed>(all)
    })?;
    killed.kill()?;
    killed.wait()?;
    check(left.containers >= 4 && nothing_is_left().is_err(), || format!("{left:?}"))?;
    let output = run("next").output()?;
    check(output.status.success() && text(&output).contains("whose drivers are no more"), || text(&output))?;
    nothing_is_left()
}
