//! Addresses and ports that only one cluster of processes uses.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use crate::cluster::ClusterError;
use crate::topology::{Subnets, Target, Tier};

/// A process that listens here has claimed the whole range. The system releases it when the process ends.
const CLAIM_PORT: u16 = 4077;
/// How many ports are tried, from the preferred one upwards.
const PORTS_TO_TRY: u16 = 200;

/// A range of addresses that no other cluster on this machine uses until this is dropped.
pub struct Claim {
    /// The range.
    pub subnets: Subnets,
    _listener: TcpListener,
}

impl Claim {
    /// Claims the first free range, or 127.0.0.1 if the loopback has no other address.
    ///
    /// # Errors
    /// When all are taken, or listening fails.
    pub fn first_free() -> Result<Self, ClusterError> {
        let doing = "claiming loopback addresses";
        for subnets in Subnets::loopback_candidates() {
            match TcpListener::bind((subnets.agent(0), CLAIM_PORT)) {
                Ok(listener) => return Ok(Self { subnets, _listener: listener }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => return Self::localhost(),
                Err(error) => return Err(ClusterError::new(doing, error.to_string())),
            }
        }
        Err(ClusterError::new(doing, "every range from 127.77.0.0/16 to 127.250.0.0/16 is in use")
            .advise("wait for the other runs, or look for who listens on port 4077 with `ss -ltn`"))
    }

    /// For a machine with one loopback address: nodes differ by port, which needs no claim.
    fn localhost() -> Result<Self, ClusterError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.map_err(|error| ClusterError::new("listening on 127.0.0.1", error.to_string()))?;
        Ok(Self { subnets: Subnets::Localhost, _listener: listener })
    }

    /// Checks that the target can run on these addresses.
    ///
    /// # Errors
    /// When its balancer distinguishes clients by address and there is only one.
    pub fn check(&self, target: &Target) -> Result<(), ClusterError> {
        let looks_at_addresses = target
            .tiers
            .get(&Tier::Balancer)
            .is_some_and(|tier| tier.settings.get("balance").is_some_and(|balance| balance != "round-robin"));
        if self.subnets != Subnets::Localhost || !looks_at_addresses {
            return Ok(());
        }
        Err(ClusterError::new(
            format!("giving the clients of {} addresses", target.name),
            "this machine's loopback has no address but 127.0.0.1, and its balancer tells clients apart by their addresses",
        )
        .advise("run it with `--runtime docker`, leave it out with --target, or add addresses: on macOS, `sudo ifconfig lo0 alias 127.77.0.2` and so on for 127.77.0.0/17"))
    }
}

/// Whether this machine's loopback has more addresses than 127.0.0.1.
#[must_use]
pub fn is_whole_loopback() -> bool {
    let candidate = Subnets::loopback_candidates().next().map(|subnets| subnets.agent(0));
    candidate.is_some_and(|address| TcpListener::bind((address, 0)).is_ok())
}

/// Finds free ports. Keeps each until this is dropped, so that none is chosen twice.
#[derive(Default)]
pub struct Ports {
    kept: Vec<TcpListener>,
}

impl Ports {
    /// The first free port of an address, from the preferred one upwards.
    ///
    /// # Errors
    /// When none is free, or the address cannot be used.
    pub fn settle(&mut self, address: Ipv4Addr, preferred: u16) -> Result<u16, ClusterError> {
        let end = preferred.saturating_add(PORTS_TO_TRY);
        let doing = || format!("looking for a port on {address}");
        for port in preferred..end {
            match TcpListener::bind((address, port)) {
                Ok(listener) => {
                    self.kept.push(listener);
                    return Ok(port);
                }
                Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {}
                Err(error) => return Err(ClusterError::new(doing(), error.to_string())),
            }
        }
        Err(ClusterError::new(doing(), format!("the ports from {preferred} to {} are all taken", end - 1))
            .advise("`ss -ltnp` shows who listens there: end it, or let it listen on one address instead of all"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_have_the_same_range() {
        let (one, two) = (Claim::first_free().unwrap(), Claim::first_free().unwrap());
        assert_ne!(one.subnets, two.subnets);
    }

    #[test]
    fn a_taken_port_is_skipped_and_no_port_is_chosen_twice() {
        let claim = Claim::first_free().unwrap();
        let address = claim.subnets.agent(0);
        let taken = TcpListener::bind((address, 9000)).unwrap();
        let mut ports = Ports::default();
        assert_eq!(ports.settle(address, 9000).unwrap(), 9001);
        assert_eq!(ports.settle(address, 9000).unwrap(), 9002);
        drop(taken);
    }

    #[test]
    fn a_target_that_distinguishes_clients_by_address_is_refused_if_there_is_only_one() {
        let claim = Claim::localhost().unwrap();
        claim.check(&Target::find("reference-sticky-cookie").unwrap()).unwrap();
        let message = claim.check(&Target::find("reference-sticky-ip").unwrap()).unwrap_err().to_string();
        assert!(message.contains("no address but 127.0.0.1"), "{message}");
        assert!(message.contains("--runtime docker"), "{message}");
    }
}
