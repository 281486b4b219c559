//! A store: keeps sessions for app nodes, which it knows by name only. In memory; optionally each change is
//! appended to a file first, so that a crash of the store loses nothing.

mod append_only;
mod client;
mod protocol;
mod server;

pub use client::StoreClient;
pub use server::run;
