//! The node and the target for which a fault is planned. Pure data, known before anything is started.

use super::Unfit;
use crate::topology::{Image, Network, Target, Tier};

const TIERS: [Tier; 3] = [Tier::App, Tier::Balancer, Tier::Store];

/// A target with its number of app nodes.
#[derive(Clone, Copy, Debug)]
pub struct Inventory<'a> {
    /// The target.
    pub target: &'a Target,
    /// The number of app nodes.
    pub app_nodes: u8,
}

impl<'a> Inventory<'a> {
    /// The names of a tier's nodes; empty if the target has no such tier.
    #[must_use]
    pub fn names_of(&self, tier: Tier) -> Vec<String> {
        let Some(spec) = self.target.tiers.get(&tier) else { return Vec::new() };
        let nodes = if tier == Tier::App { self.app_nodes } else { spec.nodes };
        (1..=nodes).map(|number| spec.node_name(tier, number)).collect()
    }

    /// The names of all nodes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        TIERS.into_iter().flat_map(|tier| self.names_of(tier)).collect()
    }

    /// The nodes of the tier `name`, or the node `name`; empty if there is neither.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<String> {
        if let Some(tier) = TIERS.into_iter().find(|tier| tier.to_string() == name) {
            return self.names_of(tier);
        }
        self.names().into_iter().filter(|node| node == name).collect()
    }

    /// The tier of a node.
    #[must_use]
    pub fn tier_of(node: &str) -> Tier {
        TIERS.into_iter().find(|tier| node.starts_with(&tier.to_string())).unwrap_or(Tier::App)
    }

    /// The image of a tier's nodes.
    #[must_use]
    pub fn image_of(&self, tier: Tier) -> Option<&'a Image> {
        self.target.tiers.get(&tier).map(|tier| &tier.image)
    }
}

/// A node of a target.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The target.
    pub inventory: Inventory<'a>,
    /// The node's name. If the run chooses the app node later, any app node, because they are alike.
    pub node: &'a str,
}

impl<'a> Place<'a> {
    /// The node's image.
    #[must_use]
    pub fn image(&self) -> Option<&'a Image> {
        self.inventory.image_of(Inventory::tier_of(self.node))
    }

    /// The name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} of {}", self.node, self.inventory.target.name)
    }

    /// Checks that the node is connected to all of these networks.
    ///
    /// # Errors
    /// Names the network that it is not connected to.
    pub fn is_in(&self, networks: &[Network]) -> Result<(), Unfit> {
        let tier = self.inventory.target.tiers.get(&Inventory::tier_of(self.node));
        let has = tier.map_or(&[][..], |tier| &tier.networks);
        match networks.iter().find(|network| !has.contains(network)) {
            Some(network) => Err(Unfit::new("networks", format!("{} is not in the `{network}` network", self.name()))),
            None => Ok(()),
        }
    }

    /// The nodes that have these names or belong to these tiers, without the node itself.
    ///
    /// # Errors
    /// If a name matches no node, or the names match only the node itself.
    pub fn others(&self, names: &[String]) -> Result<Vec<String>, Unfit> {
        let mut others = Vec::new();
        for name in names {
            let nodes = self.inventory.named(name);
            if nodes.is_empty() {
                return Err(Unfit::new("from", format!("{} has no `{name}`", self.inventory.target.name)));
            }
            others.extend(nodes.into_iter().filter(|other| other != self.node));
        }
        if others.is_empty() && !names.is_empty() {
            return Err(Unfit::new("from", format!("`from` names no node but {} itself", self.node)));
        }
        Ok(others)
    }
}
