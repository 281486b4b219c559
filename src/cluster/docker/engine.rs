//! The connection to the engine, and what is asked of it once.

use bollard::Docker;
use serde::Serialize;

use crate::cluster::ClusterError;

/// The oldest API that has what is needed (Docker 20.10): statistics without a second's wait.
pub const OLDEST_API: (u32, u32) = (1, 41);

/// A connection to an engine that answers.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    facts: EngineFacts,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineFacts {
    /// The engine's version.
    pub version: String,
    /// The newest API it speaks.
    pub api_version: String,
    /// Its kernel.
    pub kernel: String,
    /// Its operating system.
    pub operating_system: String,
    /// Its machine's architecture.
    pub architecture: String,
    /// Cores that it can use.
    pub cores: u64,
    /// Memory that it can use.
    pub memory_bytes: u64,
    /// Control groups, 1 or 2.
    pub cgroup_version: String,
    /// Where it keeps images and containers.
    pub storage_driver: String,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the local one.
    ///
    /// # Errors
    /// When none answers, or when it is too old.
    pub async fn connect() -> Result<Self, ClusterError> {
        let place = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "the local socket".to_owned());
        let failed = |error: &dyn std::fmt::Display| {
            ClusterError::new(format!("connecting to the Docker engine at {place}"), error.to_string())
                .advise("start the engine, or set DOCKER_HOST to one that runs; `steadfast doctor` tells more")
        };
        let docker = Docker::connect_with_defaults().map_err(|error| failed(&error))?;
        let docker = docker.negotiate_version().await.map_err(|error| failed(&error))?;
        let version = docker.version().await.map_err(|error| failed(&error))?;
        let info = docker.info().await.map_err(|error| failed(&error))?;
        let facts = EngineFacts {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
            operating_system: info.operating_system.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            cores: info.ncpu.and_then(|cores| u64::try_from(cores).ok()).unwrap_or_default(),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
        };
        check_api(&facts)?;
        Ok(Self { docker, facts })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn facts(&self) -> &EngineFacts {
        &self.facts
    }
}

fn check_api(facts: &EngineFacts) -> Result<(), ClusterError> {
    let mut parts = facts.api_version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(ClusterError::new(
            "asking the Docker engine for its API",
            format!("`{}` is no version", facts.api_version),
        ));
    };
    if (major, minor) >= OLDEST_API {
        return Ok(());
    }
    let (oldest_major, oldest_minor) = OLDEST_API;
    Err(ClusterError::new(
        format!("using Docker engine {}", facts.version),
        format!("it speaks API {}, and {oldest_major}.{oldest_minor} is the oldest that will do", facts.api_version),
    )
    .advise("install Docker 20.10 or later, or set DOCKER_HOST to a newer engine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(api_version: &str) -> EngineFacts {
        EngineFacts {
            version: "19.03".into(),
            api_version: api_version.into(),
            kernel: String::new(),
            operating_system: String::new(),
            architecture: String::new(),
            cores: 1,
            memory_bytes: 1,
            cgroup_version: String::new(),
            storage_driver: String::new(),
        }
    }

    #[test]
    fn an_engine_older_than_the_oldest_api_is_refused_with_the_way_out() {
        assert!(check_api(&facts("1.41")).is_ok());
        assert!(check_api(&facts("1.52")).is_ok());
        assert!(check_api(&facts("2.0")).is_ok());
        insta::assert_snapshot!(check_api(&facts("1.40")).unwrap_err(), @r"
        using Docker engine 19.03: it speaks API 1.40, and 1.41 is the oldest that will do
          install Docker 20.10 or later, or set DOCKER_HOST to a newer engine
        ");
        assert!(check_api(&facts("new")).is_err());
    }
}
