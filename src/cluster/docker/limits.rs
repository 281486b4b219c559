//! Limits of processor time, which engines keep in one of two forms: a quota in a period, or billionths of a core.

use bollard::errors::Error;
use bollard::models::{ContainerUpdateBody, HostConfig};
use bollard::query_parameters::InspectContainerOptions;

use super::Engine;
use super::container::{CPU_PERIOD_US, quota_us};
use crate::cluster::ClusterError;

/// How many cores a container may use: its limit, or all of the machine.
pub async fn cores_of(engine: &Engine, container: &str) -> Result<f64, ClusterError> {
    let host = host_config(engine, container).await;
    let host = host.map_err(|error| ClusterError::new(format!("inspecting {container}"), error.to_string()))?;
    Ok(cores(&host).unwrap_or(engine.facts().cores as f64))
}

/// Limits a running container, in the form that its limit has, because engines refuse the other one then. Returns the limit in
/// force.
pub async fn limit_cores(engine: &Engine, container: &str, wanted: f64) -> Result<f64, Error> {
    let update = if is_in_billionths(&host_config(engine, container).await?) {
        ContainerUpdateBody { nano_cpus: Some(billionths(wanted)), ..ContainerUpdateBody::default() }
    } else {
        ContainerUpdateBody {
            cpu_period: Some(CPU_PERIOD_US),
            cpu_quota: Some(quota_us(wanted)),
            ..ContainerUpdateBody::default()
        }
    };
    engine.docker.update_container(container, update).await?;
    Ok(cores(&host_config(engine, container).await?).unwrap_or_default())
}

async fn host_config(engine: &Engine, container: &str) -> Result<HostConfig, Error> {
    let inspected = engine.docker.inspect_container(container, None::<InspectContainerOptions>).await?;
    Ok(inspected.host_config.unwrap_or_default())
}

/// Podman reports the other form too, and ignores changes of it.
fn is_in_billionths(host: &HostConfig) -> bool {
    let is_set = |number: Option<i64>| number.is_some_and(|number| number > 0);
    is_set(host.nano_cpus) && !is_set(host.cpu_quota)
}

fn cores(host: &HostConfig) -> Option<f64> {
    let of = |number: Option<i64>| number.filter(|number| *number > 0).map(|number| number as f64);
    let quota = of(host.cpu_quota).map(|quota| quota / of(host.cpu_period).unwrap_or(CPU_PERIOD_US as f64));
    quota.or(of(host.nano_cpus).map(|nano| nano / 1e9))
}

#[expect(clippy::cast_possible_truncation, reason = "a handful of cores in billionths")]
fn billionths(cores: f64) -> i64 {
    (cores * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_in_both_forms() {
        let quota = HostConfig { cpu_quota: Some(50_000), cpu_period: Some(100_000), ..HostConfig::default() };
        assert_eq!(cores(&quota), Some(0.5));
        assert_eq!(cores(&HostConfig { cpu_quota: Some(50_000), ..HostConfig::default() }), Some(0.5));
        assert_eq!(cores(&HostConfig { nano_cpus: Some(1_500_000_000), ..HostConfig::default() }), Some(1.5));
        assert!(!is_in_billionths(&HostConfig { nano_cpus: Some(500_000_000), ..quota }));
        assert!(is_in_billionths(&HostConfig { nano_cpus: Some(1), cpu_quota: Some(0), ..HostConfig::default() }));
        assert_eq!(cores(&HostConfig { cpu_quota: Some(-1), nano_cpus: Some(0), ..HostConfig::default() }), None);
    }
}
