//! The networks of one cluster: internal, each in a range of its own that no other network overlaps.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};

use super::{Engine, RUN_LABEL, TRIAL_LABEL};
use crate::cluster::ClusterError;
use crate::target::{Network, Subnets};

/// Whom the objects of one cluster belong to.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// The run.
    pub run: String,
    /// The trial within it.
    pub trial: String,
}

impl Ownership {
    /// The labels that every object carries.
    pub fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(RUN_LABEL.to_owned(), self.run.clone()), (TRIAL_LABEL.to_owned(), self.trial.clone())])
    }

    /// The name of one of its objects.
    pub fn name(&self, of: &str) -> String {
        format!("steadfast-{}-{}-{of}", self.run, self.trial)
    }
}

/// Makes the networks in the first address ranges that are free.
///
/// # Returns
/// The ranges, and each network's name in the engine.
pub async fn create(
    engine: &Engine,
    owner: &Ownership,
    networks: &[Network],
) -> Result<(Subnets, BTreeMap<Network, String>), ClusterError> {
    let doing = || format!("making the networks of {}", owner.trial);
    let mut reason = "no address range was tried".to_owned();
    for subnets in Subnets::candidates() {
        match try_create(engine, owner, networks, subnets).await {
            Ok(names) => return Ok((subnets, names)),
            Err(error) if is_overlap(&error) => reason = error.to_string(),
            Err(error) => return Err(ClusterError::new(doing(), error.to_string())),
        }
    }
    Err(ClusterError::new(doing(), format!("no range within 10.77.0.0 to 10.250.0.0 is free: {reason}"))
        .advise("remove networks that nobody needs: `steadfast clean`, `docker network prune`"))
}

async fn try_create(
    engine: &Engine,
    owner: &Ownership,
    networks: &[Network],
    subnets: Subnets,
) -> Result<BTreeMap<Network, String>, bollard::errors::Error> {
    let mut names: BTreeMap<Network, String> = BTreeMap::new();
    for network in networks {
        let name = owner.name(&network.to_string());
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnets.of(*network).to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            labels: Some(owner.labels()),
            ..NetworkCreateRequest::default()
        };
        if let Err(error) = engine.docker.create_network(request).await {
            for made in names.values() {
                let _: Result<(), _> = engine.docker.remove_network(made).await;
            }
            return Err(error);
        }
        names.insert(*network, name);
    }
    Ok(names)
}

fn is_overlap(error: &bollard::errors::Error) -> bool {
    let text = error.to_string().to_lowercase();
    text.contains("overlap") || text.contains("conflicts with network")
}
