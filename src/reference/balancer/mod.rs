//! A balancer: forwards each client request to an app node. [`choice`] chooses the node, [`upstream`] finds out which
//! nodes are up, and [`forward`] sends the request and returns the reply.
//!
//! Claims: with a sticky balancer, nodes need not share sessions, but the load is uneven; by address, all clients
//! behind one gateway get the same node.
//!
//! Real products: HAProxy does the same and much more; its settings in `docker/haproxy` are the model (checks,
//! redispatch, no retry once something was sent).

mod choice;
mod connector;
mod forward;
mod upstream;

pub use forward::run;
