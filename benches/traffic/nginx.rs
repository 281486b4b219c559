//! One nginx on the second core, which answers every request with the same state of the contract.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PORT: u16 = 18_080;
/// The port where replies set a cookie.
const PORT_WITH_COOKIE: u16 = 18_081;
const STATE: &str = r#"{"node":"app-1","boot":"0123456789abcdef","owner":"s1","epoch":"fedcba9876543210","version":9,"digest":"0123456789abcdef","tail":["1.1.1","1.1.2","1.1.3","1.1.4","1.1.5","1.1.6","1.1.7","1.1.8"]}"#;

/// Runs until it is dropped.
pub struct Nginx {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log {path}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {path}; proxy_temp_path {path};
fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
server {{ listen 127.0.0.1:{PORT} backlog=8192; default_type application/json;
location / {{ return 200 '{STATE}'; }} }}
server {{ listen 127.0.0.1:{PORT_WITH_COOKIE} backlog=8192; default_type application/json;
location / {{ add_header Set-Cookie 'SID=0123456789abcdef0123456789abcdef; Path=/'; return 200 '{STATE}'; }} }} }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut process = Command::new("taskset")
            .args(["-c", "1", "nginx", "-c"])
            .arg(folder.path().join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen: is it installed? apt-get install nginx-light");
            std::thread::sleep(Duration::from_millis(20));
        }
        // An nginx of an earlier bench that was killed would answer in its place, and could not be frozen.
        let ended = process.try_wait().unwrap();
        assert!(ended.is_none(), "nginx ended ({ended:?}): does another one hold port {PORT}?");
        Self { process, port: PORT, _folder: folder }
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The address of the same server where each reply sets a cookie.
    pub fn address_with_cookie(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port + (PORT_WITH_COOKIE - PORT)).into()
    }

    /// The URL for other generators; they get the same reply.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/session", self.port)
    }

    /// Sends nginx a signal. Its process id is that of `taskset`, which replaces itself with nginx.
    pub fn signal(&self, name: &str) {
        Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
