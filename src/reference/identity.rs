//! The identity of a node, which its replies carry.

use std::rc::Rc;

/// A node's name and the number drawn when its process started.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name in the topology.
    pub node: Rc<str>,
    /// 16 hexadecimal digits.
    pub boot: Rc<str>,
}

impl Identity {
    /// A node that has just started.
    pub fn of(node: &str) -> Self {
        Self { node: node.into(), boot: format!("{:016x}", rand::random::<u64>()).into() }
    }
}
