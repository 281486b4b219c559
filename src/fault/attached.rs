//! Which commands of an attached system each fault needs: what has none cannot be done to it.

use super::{FaultKind, Inventory};
use crate::topology::{Action, Attached};

/// The commands that a fault needs at its node; `None`: no command can do it.
fn needed(kind: &FaultKind) -> Option<&'static [Action]> {
    match kind.name {
        "kill" | "kill-process" => Some(&[Action::Kill, Action::Start]),
        "stop" | "restart" | "rolling-restart" => Some(&[Action::Stop, Action::Start]),
        "leave" => Some(&[Action::Stop]),
        "pause" => Some(&[Action::Pause, Action::Resume]),
        "command" => Some(&[]),
        _ => None,
    }
}

/// Why a fault cannot be done to one of these nodes; `None` if it can.
#[must_use]
pub fn lacks(kind: &FaultKind, attached: &Attached, nodes: &[String]) -> Option<String> {
    let Some(actions) = needed(kind) else {
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
