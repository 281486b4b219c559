//! Finds the engine, as the docker command does: the one that the user names, or else one at a usual socket. Reads
//! variables and files; does not connect.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::cluster::ClusterError;
use crate::hosts::Host;

/// An engine's address and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A URL: `unix://`, `tcp://` with a port, or `ssh://`.
    pub address: String,
    /// The source of the address.
    pub named_by: NamedBy,
    /// Its certificates, if the connection uses TLS.
    pub certificates: Option<Certificates>,
}

/// The source of an engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// `DOCKER_HOST`.
    Host,
    /// `DOCKER_CONTEXT`, with the context's name.
    ContextVariable(String),
    /// The current context of the docker command, with its name.
    CurrentContext(String),
    /// No setting: it is at a usual path.
    Usual,
    /// A file of hosts, with the host's name.
    HostsFile(String, String),
}

/// A folder with `ca.pem`, `cert.pem` and `key.pem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates(pub PathBuf);

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("DOCKER_HOST"),
            Self::ContextVariable(name) => write!(f, "DOCKER_CONTEXT={name}"),
            Self::CurrentContext(name) => write!(f, "docker's current context `{name}`"),
            Self::HostsFile(file, host) => write!(f, "`{host}` in {file}"),
            Self::Usual => f.write_str("found there; no DOCKER_HOST and no context names one"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.named_by)
    }
}

impl Endpoint {
    /// The engine of a host, which `file` names.
    ///
    /// # Errors
    /// When its address or its certificates cannot be used.
    pub fn of_host(host: &Host, file: &str) -> Result<Self, ClusterError> {
        let named_by = NamedBy::HostsFile(file.to_owned(), host.name.clone());
        let address = address(&host.engine, host.certificates.is_some())
            .map_err(|reason| unusable(&named_by.to_string(), &host.engine, reason))?;
        let certificates = match &host.certificates {
            Some(folder) if address.starts_with("tcp://") => Some(certificates(folder.clone(), &named_by.to_string())?),
            _ => None,
        };
        Ok(Self { address, named_by, certificates })
    }

    /// What the user does about an engine that does not answer.
    pub fn advice(&self) -> String {
        match &self.named_by {
            NamedBy::HostsFile(file, _) => format!("start the engine, or correct {file}"),
            _ => {
                "start the engine, or set DOCKER_HOST to one that runs; `--runtime process` does without one".to_owned()
            }
        }
    }
}

/// Variables and files that name the engine. `root` is `/` except in tests.
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    root: PathBuf,
}

/// The fields of a context's file that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    #[serde(default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    is_unverified: bool,
}

/// The fields of the docker command's configuration that matter here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default)]
    current_context: String,
}

/// The name that means no context.
const DEFAULT_CONTEXT: &str = "default";
/// The key of a context's Docker endpoint.
const DOCKER: &str = "docker";
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

impl Surroundings {
    /// The variables of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let known = [
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "DOCKER_TLS",
            "DOCKER_TLS_VERIFY",
            "DOCKER_CERT_PATH",
            "HOME",
            "XDG_RUNTIME_DIR",
        ];
        let value = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        Self { variables: known.into_iter().filter_map(value).collect(), root: PathBuf::from("/") }
    }

    /// A variable's value; an empty one counts as not set.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn configuration_folder(&self) -> Option<PathBuf> {
        let given = self.variable("DOCKER_CONFIG").map(PathBuf::from);
        given.or_else(|| Some(Path::new(self.variable("HOME")?).join(".docker")))
    }

    /// The engine's endpoint; `None` if no engine is named or found.
    ///
    /// # Errors
    /// When a setting cannot be read or used.
    pub fn endpoint(&self) -> Result<Option<Endpoint>, ClusterError> {
        if let Some(host) = self.variable("DOCKER_HOST") {
            return self.of_host(host).map(Some);
        }
        if let Some(name) = self.variable("DOCKER_CONTEXT") {
            if name == DEFAULT_CONTEXT {
                return Ok(self.usual());
            }
            return self.of_context(name, NamedBy::ContextVariable(name.to_owned())).map(Some);
        }
        let name = self.configuration()?.current_context;
        if name.is_empty() || name == DEFAULT_CONTEXT {
            return Ok(self.usual());
        }
        self.of_context(&name, NamedBy::CurrentContext(name.clone())).map(Some)
    }

    fn of_host(&self, host: &str) -> Result<Endpoint, ClusterError> {
        let wants_tls = ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"];
        let wants_tls = host.starts_with("https://") || wants_tls.iter().any(|name| self.variable(name).is_some());
        let address = address(host, wants_tls).map_err(|reason| unusable("DOCKER_HOST", host, reason))?;
        let is_remote = address.starts_with("tcp://");
        let certificates = if wants_tls && is_remote {
            let folder = self.variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| self.configuration_folder());
            Some(certificates(folder.unwrap_or_default(), "DOCKER_HOST with TLS")?)
        } else {
            None
        };
        Ok(Endpoint { address, named_by: NamedBy::Host, certificates })
    }

    fn configuration(&self) -> Result<Configuration, ClusterError> {
        let Some(path) = self.configuration_folder().map(|folder| folder.join("config.json")) else {
            return Ok(Configuration::default());
        };
        let failed = |reason: String| {
            ClusterError::new(format!("reading {}", path.display()), reason).advise("fix the file, or set DOCKER_HOST")
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(Configuration::default()),
            Ok(text) => serde_json::from_str(&text).map_err(|error| failed(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Configuration::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn of_context(&self, name: &str, named_by: NamedBy) -> Result<Endpoint, ClusterError> {
        let folder = self.configuration_folder().unwrap_or_default().join("contexts");
        let id = folder_of(name);
        let path = folder.join("meta").join(&id).join("meta.json");
        let failed = |reason: String| {
            ClusterError::new(format!("looking for {named_by}"), reason).advise(
                "`docker context ls` shows those that there are; `docker context use default` goes back to none",
            )
        };
        let text = std::fs::read_to_string(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let file: ContextFile =
            serde_json::from_str(&text).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        let endpoint = file.endpoints.get(DOCKER).filter(|endpoint| !endpoint.host.is_empty());
        let endpoint = endpoint.ok_or_else(|| failed(format!("{} names no engine", path.display())))?;
        let tls = folder.join("tls").join(&id).join(DOCKER);
        let has_certificates = tls.is_dir();
        let address = address(&endpoint.host, has_certificates)
            .map_err(|reason| unusable(&named_by.to_string(), &endpoint.host, reason))?;
        if endpoint.is_unverified && address.starts_with("tcp://") {
            return Err(failed(format!(
                "it skips the verification of {address}'s certificate, and steadfast connects only to a verified engine"
            )));
        }
        let certificates = if has_certificates { Some(certificates(tls, &named_by.to_string())?) } else { None };
        Ok(Endpoint { address, named_by, certificates })
    }

    /// The first usual socket that exists.
    fn usual(&self) -> Option<Endpoint> {
        let below = |variable: &str, path: &str| Some(Path::new(self.variable(variable)?).join(path));
        let places = [
            Some(self.root.join("var/run/docker.sock")),
            // Rootless engines, Docker Desktop, Colima, Rancher Desktop.
            below("XDG_RUNTIME_DIR", "docker.sock"),
            below("HOME", ".docker/run/docker.sock"),
            below("HOME", ".docker/desktop/docker.sock"),
            below("HOME", ".colima/default/docker.sock"),
            below("HOME", ".rd/docker.sock"),
            below("XDG_RUNTIME_DIR", "podman/podman.sock"),
            Some(self.root.join("run/podman/podman.sock")),
        ];
        let path = places.into_iter().flatten().find(|path| path.exists())?;
        let address = format!("unix://{}", path.display());
        Some(Endpoint { address, named_by: NamedBy::Usual, certificates: None })
    }
}

/// The docker command's name for a context's folders.
fn folder_of(context: &str) -> String {
    let mut hexadecimal = String::new();
    for byte in Sha256::digest(context.as_bytes()) {
        // Writing into memory does not fail.
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    hexadecimal
}

/// Completes an address with its scheme and port.
fn address(host: &str, has_tls: bool) -> Result<String, &'static str> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        "unix" if rest.is_empty() => Ok("unix:///var/run/docker.sock".to_owned()),
        "unix" | "ssh" if !rest.is_empty() => Ok(host.to_owned()),
        "tcp" | "http" | "https" => {
            let rest = rest.trim_end_matches('/');
            if rest.is_empty() {
                return Err("it names no host");
            }
            // A last colon without a port is part of an IPv6 address.
            let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_tls { TLS_PORT } else { PORT };
            Ok(if has_port { format!("tcp://{rest}") } else { format!("tcp://{rest}:{port}") })
        }
        _ => Err("it is none of unix://PATH, tcp://HOST:PORT and ssh://USER@HOST"),
    }
}

fn unusable(named_by: &str, host: &str, reason: &str) -> ClusterError {
    ClusterError::new(format!("looking for the engine that {named_by} names, `{host}`"), reason)
}

fn certificates(folder: PathBuf, whose: &str) -> Result<Certificates, ClusterError> {
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        let path = folder.join(file);
        if !path.is_file() {
            return Err(ClusterError::new(
                format!("looking for the certificates of {whose}"),
                format!("there is no {}", path.display()),
            )
            .advise("say with DOCKER_CERT_PATH where ca.pem, cert.pem and key.pem are, or unset DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH"));
        }
    }
    Ok(Certificates(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine {
        folder: tempfile::TempDir,
        variables: BTreeMap<String, String>,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path().join("home").to_string_lossy().into_owned();
            Self { variables: BTreeMap::from([("HOME".to_owned(), home)]), folder }
        }

        fn set(mut self, name: &str, value: &str) -> Self {
            self.variables.insert(name.to_owned(), value.replace("ROOT", &self.folder.path().to_string_lossy()));
            self
        }

        fn file(self, path: &str, text: &str) -> Self {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            self
        }

        fn context(self, name: &str, host: &str, more: &str) -> Self {
            let id = folder_of(name);
            let text =
                format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"{more}}}}}}}"#);
            self.file(&format!("home/.docker/contexts/meta/{id}/meta.json"), &text)
        }

        fn endpoint(&self) -> Result<Option<Endpoint>, ClusterError> {
            Surroundings { variables: self.variables.clone(), root: self.folder.path().to_owned() }.endpoint()
        }

        fn describe(&self) -> String {
            let text = match self.endpoint() {
                Ok(Some(endpoint)) => {
                    format!("{endpoint}{}", if endpoint.certificates.is_some() { " TLS" } else { "" })
                }
                Ok(None) => "no sign of one".to_owned(),
                Err(error) => error.to_string(),
            };
            text.replace(&*self.folder.path().to_string_lossy(), "ROOT")
        }
    }

    #[test]
    fn docker_host_comes_first_and_an_empty_one_counts_as_not_set() {
        let machine = Machine::new().context("far", "tcp://far:1", "").set("DOCKER_CONTEXT", "far");
        assert_eq!(machine.describe(), "tcp://far:1 (DOCKER_CONTEXT=far)");
        assert_eq!(machine.set("DOCKER_HOST", "").describe(), "tcp://far:1 (DOCKER_CONTEXT=far)");
        let machine = Machine::new().set("DOCKER_HOST", "unix:///a.sock").set("DOCKER_CONTEXT", "missing");
        assert_eq!(machine.describe(), "unix:///a.sock (DOCKER_HOST)");
    }

    #[test]
    fn the_current_context_is_read_from_the_docker_commands_own_files() {
        let machine = Machine::new()
            .file("var/run/docker.sock", "")
            .file("home/.docker/config.json", r#"{"auths":{},"currentContext":"colima"}"#)
            .context("colima", "unix:///home/me/.colima/default/docker.sock", "");
        assert_eq!(
            machine.describe(),
            "unix:///home/me/.colima/default/docker.sock (docker's current context `colima`)"
        );
        let usual = "unix://ROOT/var/run/docker.sock (found there; no DOCKER_HOST and no context names one)";
        assert_eq!(machine.set("DOCKER_CONTEXT", "default").describe(), usual);
        let elsewhere =
            Machine::new().file("other/config.json", r#"{"currentContext":"x"}"#).set("DOCKER_CONFIG", "ROOT/other");
        assert!(
            elsewhere
                .describe()
                .starts_with("looking for docker's current context `x`: ROOT/other/contexts/meta/2d711642")
        );
    }

    #[test]
    fn without_a_setting_the_first_usual_socket_is_used_if_there_is_one() {
        assert_eq!(Machine::new().describe(), "no sign of one");
        let podman = Machine::new().file("user/podman/podman.sock", "").set("XDG_RUNTIME_DIR", "ROOT/user");
        assert!(podman.describe().starts_with("unix://ROOT/user/podman/podman.sock "), "{}", podman.describe());
        assert!(podman.file("home/.colima/default/docker.sock", "").describe().starts_with("unix://ROOT/home/.colima"));
    }

    #[test]
    fn an_address_without_a_port_gets_dockers_default_port() {
        let describe = |host: &str| Machine::new().set("DOCKER_HOST", host).describe();
        assert_eq!(describe("tcp://build"), "tcp://build:2375 (DOCKER_HOST)");
        assert_eq!(describe("build:2399"), "tcp://build:2399 (DOCKER_HOST)");
        assert_eq!(describe("http://[::1]"), "tcp://[::1]:2375 (DOCKER_HOST)");
        assert_eq!(describe("ssh://me@build"), "ssh://me@build (DOCKER_HOST)");
        insta::assert_snapshot!(describe("npipe:////./pipe/docker_engine"), @"looking for the engine that DOCKER_HOST names, `npipe:////./pipe/docker_engine`: it is none of unix://PATH, tcp://HOST:PORT and ssh://USER@HOST");
        assert!(describe("tcp://").contains("it names no host"), "{}", describe("tcp://"));
    }

    #[test]
    fn tls_uses_the_certificates_or_is_refused_and_is_never_ignored() {
        let machine = Machine::new().set("DOCKER_HOST", "tcp://build").set("DOCKER_TLS_VERIFY", "1");
        insta::assert_snapshot!(machine.describe(), @r"
        looking for the certificates of DOCKER_HOST with TLS: there is no ROOT/home/.docker/ca.pem
          say with DOCKER_CERT_PATH where ca.pem, cert.pem and key.pem are, or unset DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH
        ");
        let machine =
            machine.file("c/ca.pem", "").file("c/cert.pem", "").file("c/key.pem", "").set("DOCKER_CERT_PATH", "ROOT/c");
        assert_eq!(machine.describe(), "tcp://build:2376 (DOCKER_HOST) TLS");
        let unverified =
            Machine::new().context("lax", "tcp://lax:2376", r#","SkipTLSVerify":true"#).set("DOCKER_CONTEXT", "lax");
        assert!(
            unverified.describe().contains("it skips the verification of tcp://lax:2376's certificate"),
            "{}",
            unverified.describe()
        );
    }

    #[test]
    fn a_damaged_configuration_is_named_and_an_empty_one_is_ignored() {
        let machine = Machine::new().file("home/.docker/config.json", "{");
        assert!(machine.describe().starts_with("reading ROOT/home/.docker/config.json: EOF"), "{}", machine.describe());
        assert_eq!(Machine::new().file("home/.docker/config.json", "").describe(), "no sign of one");
    }
}
