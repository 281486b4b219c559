//! What a container's own health check says, where it has one.

use bollard::models::{ContainerState, HealthStatusEnum};

/// How engines call a container whose check has failed as often as it may.
pub const UNHEALTHY: &str = "unhealthy";

/// `Ok` if it runs and its check, if there is one, is content; else why not.
pub fn judge(state: ContainerState) -> Result<(), String> {
    if state.paused == Some(true) {
        return Err("it is paused".to_owned());
    }
    if state.running != Some(true) {
        return Err("it does not run".to_owned());
    }
    let health = state.health.unwrap_or_default();
    match health.status {
        None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE | HealthStatusEnum::HEALTHY) => Ok(()),
        Some(status) => {
            let last = health.log.unwrap_or_default().pop().and_then(|result| result.output).unwrap_or_default();
            Err(format!("its health check says `{status}` {}", last.trim()).trim_end().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: &str) -> Result<(), String> {
        judge(serde_json::from_str(state).unwrap())
    }

    #[test]
    fn a_container_without_a_check_is_healthy_while_it_runs() {
        assert_eq!(judged(r#"{"Running":true}"#), Ok(()));
        assert_eq!(judged(r#"{"Running":true,"Health":{"Status":"healthy"}}"#), Ok(()));
        assert_eq!(judged(r#"{"Running":false}"#), Err("it does not run".into()));
        assert_eq!(judged(r#"{"Running":true,"Paused":true}"#), Err("it is paused".into()));
        let log = r#"{"Running":true,"Health":{"Status":"unhealthy","Log":[{"Output":"refused\n"}]}}"#;
        assert_eq!(judged(log), Err("its health check says `unhealthy` refused".into()));
        let starting = judged(r#"{"Running":true,"Health":{"Status":"starting","Log":[]}}"#);
        assert_eq!(starting, Err("its health check says `starting`".into()));
    }
}
