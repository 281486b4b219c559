//! Waits until every container of a project is healthy, or has done what it was for. Compose's own wait takes a service that
//! ends with success for a failure, and its limit does not hold for what a service depends on.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerState;
use bollard::query_parameters::InspectContainerOptions;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::cluster::ClusterError;
use crate::cluster::docker::health::UNHEALTHY;
use crate::cluster::docker::networks::Ownership;
use crate::cluster::docker::{Engine, health, logs};

use super::project::containers;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// After so many starts, a container that ends again and again is not waited for.
const MAX_RESTARTS: i64 = 3;
/// How many lines of its log an error shows.
const LOG_LINES: usize = 15;

/// How far a container is.
enum Progress {
    Done,
    Underway(String),
    Failed(String),
}

/// Waits until all containers of a project are healthy or have ended with success.
///
/// # Errors
/// When one of them fails, or is not healthy in time, with the end of its log.
pub async fn wait(engine: &Engine, owner: &Ownership, within: Duration) -> Result<(), ClusterError> {
    let names = names(engine, owner).await?;
    let deadline = Instant::now() + within;
    loop {
        let all = try_join_all(names.iter().map(|name| progress(engine, name))).await;
        let all = all.map_err(|error| ClusterError::new("waiting for the services", error.to_string()))?;
        let is_late = Instant::now() >= deadline;
        let mut waits = false;
        for (name, progress) in names.iter().zip(all) {
            match progress {
                Progress::Done => {}
                Progress::Underway(_) if !is_late => waits = true,
                Progress::Underway(why) => {
                    return Err(failure(engine, name, &format!("after {} s {why}", within.as_secs())).await);
                }
                Progress::Failed(why) => return Err(failure(engine, name, &why).await),
            }
        }
        if !waits {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// The error of the first container that has failed by now, or is unhealthy; `None` if none is.
pub async fn first_failure(engine: &Engine, owner: &Ownership) -> Option<ClusterError> {
    let mut unhealthy = None;
    for name in names(engine, owner).await.ok()? {
        match progress(engine, &name).await {
            Ok(Progress::Failed(why)) => return Some(failure(engine, &name, &why).await),
            Ok(Progress::Underway(why)) if why.contains(UNHEALTHY) && unhealthy.is_none() => {
                unhealthy = Some((name, why));
            }
            _ => {}
        }
    }
    let (name, why) = unhealthy?;
    Some(failure(engine, &name, &why).await)
}

async fn names(engine: &Engine, owner: &Ownership) -> Result<Vec<String>, ClusterError> {
    let of_compose = |labels: Option<&std::collections::HashMap<String, String>>| {
        labels.is_some_and(|labels| labels.contains_key(super::SERVICE_LABEL))
    };
    let found = containers(engine, owner).await?.into_iter().filter(|one| of_compose(one.labels.as_ref()));
    Ok(found.filter_map(|one| Some(one.names?.first()?.trim_start_matches('/').to_owned())).collect())
}

async fn progress(engine: &Engine, container: &str) -> Result<Progress, Error> {
    let inspected = engine.docker.inspect_container(container, None::<InspectContainerOptions>).await?;
    Ok(judge(inspected.state.unwrap_or_default(), inspected.restart_count.unwrap_or_default()))
}

fn judge(state: ContainerState, restarts: i64) -> Progress {
    let code = state.exit_code.unwrap_or_default();
    let has_ended = state.running != Some(true) && state.finished_at.as_ref().is_some_and(|at| !at.starts_with("0001"));
    if state.restarting == Some(true) && restarts >= MAX_RESTARTS {
        return Progress::Failed(format!("it has ended {restarts} times, the last time with exit code {code}"));
    }
    if has_ended && state.restarting != Some(true) {
        return if code == 0 { Progress::Done } else { Progress::Failed(format!("it ended with exit code {code}")) };
    }
    health::judge(state).map_or_else(Progress::Underway, |()| Progress::Done)
}

async fn failure(engine: &Engine, container: &str, why: &str) -> ClusterError {
    let log = logs::read(engine, container, Some(LOG_LINES)).await.unwrap_or_else(|error| error.to_string());
    let log = log.trim_end().replace('\n', "\n    ");
    ClusterError::new(format!("waiting for {container}"), format!("{why}\n  the end of its log:\n    {log}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: &str, restarts: i64) -> String {
        match judge(serde_json::from_str(state).unwrap(), restarts) {
            Progress::Done => "done".to_owned(),
            Progress::Underway(why) => format!("underway: {why}"),
            Progress::Failed(why) => format!("failed: {why}"),
        }
    }

    #[test]
    fn a_service_that_ends_with_success_is_done_and_one_that_fails_is_named() {
        let never = r#""FinishedAt":"0001-01-01T00:00:00Z""#;
        let ended = r#""Running":false,"FinishedAt":"2026-01-01T00:00:00Z""#;
        insta::assert_snapshot!([
            judged(&format!(r#"{{"Running":true,{never}}}"#), 0),
            judged(&format!(r#"{{"Running":false,{never}}}"#), 0),
            judged(&format!(r#"{{"Running":true,{never},"Health":{{"Status":"starting"}}}}"#), 0),
            judged(&format!(r#"{{{ended},"ExitCode":0}}"#), 0),
            judged(&format!(r#"{{{ended},"ExitCode":3}}"#), 0),
            judged(&format!(r#"{{{ended},"ExitCode":3,"Restarting":true}}"#), 1),
            judged(&format!(r#"{{{ended},"ExitCode":3,"Restarting":true}}"#), 3),
        ].join("\n"), @r"
        done
        underway: it does not run
        underway: its health check says `starting`
        done
        failed: it ended with exit code 3
        underway: it does not run
        failed: it has ended 3 times, the last time with exit code 3
        ");
    }
}
