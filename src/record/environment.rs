//! The machine and the engine of a run: figures are comparable only if these are the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cluster::RuntimeName;
use crate::cluster::docker::{EngineFacts, ImageFacts};
use crate::digest;
use crate::secrets::masked;

/// The machine, the engine and the images of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// This program's version.
    pub steadfast: String,
    /// The first twelve digits of the SHA-256 of this program's file, because two states of the source have one version; empty where
    /// the image `program` tells, and in older records.
    #[serde(default)]
    pub program: String,
    /// When the run began, in UTC.
    pub started_at: String,
    /// The command line of the run, without secrets.
    pub command: Vec<String>,
    /// What the user noted with `--note`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The driver's CPU.
    pub cpu: String,
    /// The driver's kernel.
    pub kernel: String,
    /// The cores that the driver can use.
    pub cores: usize,
    /// Where the nodes ran.
    pub runtime: RuntimeName,
    /// The engine, its kernel, cores and memory; `None` if nodes were processes.
    pub engine: Option<EngineFacts>,
    /// The engine of each host, by its name, the manager's among them; empty where no file named hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostFacts>,
    /// Identity of each image; empty if nodes were processes.
    #[serde(default)]
    pub images: BTreeMap<String, ImageFacts>,
}

/// The engine of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The engine and its machine.
    pub engine: EngineFacts,
    /// How far its clock was ahead of the manager's, in milliseconds; zero where that is within the error of the measurement.
    pub clock_ahead_ms: f64,
}

impl Environment {
    /// Describes this machine, and the engine with its images if there is one.
    #[must_use]
    pub fn describe(started_at: String, docker: Option<(&EngineFacts, BTreeMap<String, ImageFacts>)>) -> Self {
        let runtime = if docker.is_some() { RuntimeName::Docker } else { RuntimeName::Process };
        let (engine, images) =
            docker.map_or((None, BTreeMap::new()), |(engine, images)| (Some(engine.clone()), images));
        Self {
            steadfast: env!("CARGO_PKG_VERSION").to_owned(),
            // With an engine, the image `program` tells, and its file has been hashed already.
            program: if runtime == RuntimeName::Docker {
                String::new()
            } else {
                digest_of_own_file().unwrap_or_default()
            },
            started_at,
            command: masked(&std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()),
            note: None,
            cpu: cpu_model(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            runtime,
            engine,
            hosts: BTreeMap::new(),
            images,
        }
    }
}

impl Environment {
    /// The first thing that another environment has different, when figures of both are to stand in one record; `None` if they are
    /// alike.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let words = |one: &str, other: &str| (one != other).then(|| format!("{one} and {other}"));
        let engine = |environment: &Self| environment.engine_in_words().unwrap_or_else(|| "no engine".to_owned());
        let hosts = |environment: &Self| match environment.hosts_in_words() {
            lines if lines.is_empty() => "none".to_owned(),
            lines => lines.join("; "),
        };
        let of = |what: &str, values: Option<String>| values.map(|values| format!("{what}: {values}"));
        let is_known = !self.program.is_empty() && !other.program.is_empty();
        of("version of steadfast", words(&self.steadfast, &other.steadfast))
            .or_else(|| of("build of steadfast", words(&self.program, &other.program).filter(|_| is_known)))
            .or_else(|| of("CPU", words(&self.cpu, &other.cpu)))
            .or_else(|| of("number of cores", words(&self.cores.to_string(), &other.cores.to_string())))
            .or_else(|| of("kernel", words(&self.kernel, &other.kernel)))
            .or_else(|| of("engine", words(&engine(self), &engine(other))))
            .or_else(|| of("hosts", words(&hosts(self), &hosts(other))))
            .or_else(|| {
                let changed = |(name, facts): (&String, &ImageFacts)| {
                    other.images.get(name).is_some_and(|now| now.id != facts.id).then(|| name.clone())
                };
                of("build of the image", self.images.iter().find_map(changed))
            })
    }

    /// The engine in one line; `None` if nodes were processes.
    #[must_use]
    pub fn engine_in_words(&self) -> Option<String> {
        self.engine.as_ref().map(in_words)
    }

    /// Each host with its engine in one line.
    #[must_use]
    pub fn hosts_in_words(&self) -> Vec<String> {
        self.hosts.iter().map(|(host, facts)| format!("{host}: {}", in_words(&facts.engine))).collect()
    }
}

fn in_words(engine: &EngineFacts) -> String {
    let product = engine.product_name();
    let memory_gb = engine.memory_bytes as f64 / 1e9;
    format!(
        "{product} {}, API {}, {}, kernel {}, {}, {} cores, {memory_gb:.1} GB, cgroup v{}, {}",
        engine.version,
        engine.api_version,
        engine.operating_system,
        engine.kernel,
        engine.architecture,
        engine.cores,
        engine.cgroup_version,
        engine.storage_driver
    )
}

/// `None` where the file cannot be read any more.
fn digest_of_own_file() -> Option<String> {
    let bytes = std::fs::read(std::env::current_exe().ok()?).ok()?;
    Some(digest::short(Sha256::new_with_prefix(&bytes)))
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}
