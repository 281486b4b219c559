//! A balancer: takes the clients' requests and hands each to an app node. Which one is the matter of
//! [`choice`]; which ones are up, of [`upstream`]; how a request gets there and back, of [`forward`].
//!
//! What is claimed: a balancer that sticks spares the nodes from sharing sessions, at the price of uneven
//! load; by address, everyone behind one gateway meets the same node.
//!
//! Real products: HAProxy does what is done here, and a thousand things more; its settings in
//! `docker/haproxy` are the model (checks, redispatch, no retry once something was sent).

mod choice;
mod connector;
mod forward;
mod upstream;

pub use forward::run;
