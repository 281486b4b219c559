//! Who a node is, and how it signs its replies.

use std::rc::Rc;

/// A node's name and the number drawn when its process started.
#[derive(Clone, Debug)]
pub struct Identity {
    /// As the topology names it.
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
