//! Systems that run already: whether traffic may go to them, and whether their files' commands may be run.

use std::net::Ipv4Addr;

use super::usage::UsageError;
use crate::cluster::attached::resolve;
use crate::topology::Target;

/// Checks that a target that runs already is on this machine or in a private network, or that the user says that it is his; and
/// that the user gave the file with its commands himself.
///
/// # Errors
/// Names the address, and the flag that allows it.
pub async fn check(target: &Target, is_mine: bool, may_run_commands: bool) -> anyhow::Result<()> {
    let Some(attached) = &target.attached else { return Ok(()) };
    if attached.has_commands() && !may_run_commands {
        let name = &target.name;
        let message =
            format!("target {name} runs commands on this machine; give --allow-commands, or the path of its file");
        return Err(UsageError::new(message).into());
    }
    for address in attached.addresses() {
        let found = resolve(address).await?;
        if !is_mine && !is_near(found) {
            return Err(UsageError::new(format!(
                "{address} ({found}) is neither on this machine nor in a private network; if it is yours, give --yes-this-is-my-system"
            ))
            .into());
        }
    }
    Ok(())
}

const fn is_near(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_private_addresses_are_near() {
        let near = |text: &str| is_near(text.parse().unwrap());
        assert!(["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1"].into_iter().all(near));
        assert!(!["8.8.8.8", "172.32.0.1", "100.64.0.1", "192.169.0.1"].into_iter().any(near));
    }
}
