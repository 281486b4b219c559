//! Makes the accounts of a mapping's users before the load, several at a time. It is not timed, and part of no history.

use futures::stream::{self, StreamExt};

use super::walk::register_one;
use crate::load::{Population, Workload};

/// How many users are registered at the same time.
const AT_ONCE: usize = 8;

/// Registers every owner of a workload at its first endpoint.
///
/// # Errors
/// The first failure, in the words of a walk.
pub async fn register(workload: &Workload) -> Result<(), String> {
    let Some(mapped) = workload.mapped.as_ref().filter(|mapped| !mapped.mapping.register.is_empty()) else {
        return Ok(());
    };
    let endpoint = workload.destination.endpoints.first().ok_or("there is no endpoint to register users at")?;
    let Population::Fixed(users) = workload.users.population else {
        return Err("users that arrive without end cannot be registered before the load".to_owned());
    };
    let owners = workload.sessions.transitions.owners;
    let mut registered = stream::iter((0..users).filter(|user| owners.first_device(*user) == *user))
        .map(|user| async move { register_one(*endpoint, workload, mapped, user).await.failure })
        .buffer_unordered(AT_ONCE);
    while let Some(failure) = registered.next().await {
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    Ok(())
}
