//! Whether an attached system has the commands that a fault needs.

use super::{FaultKind, Inventory};
use crate::topology::{Action, Attached};

/// Why a fault cannot be done to one of these nodes; `None` if it can.
#[must_use]
pub fn lacks(kind: &FaultKind, attached: &Attached, nodes: &[String]) -> Option<String> {
    let Some(actions) = kind.commands else {
        return Some("no command of an attached system can do it".to_owned());
    };
    nodes.iter().find_map(|name| {
        let tier = Inventory::tier_of(name);
        let number = name.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(1);
        let has = |action: &Action| attached.node(tier, number).is_some_and(|node| node.commands.contains_key(action));
        let missing = actions.iter().find(|action| !has(action))?;
        Some(format!("`attached.{tier}` has no command `{missing}` for {name}"))
    })
}
