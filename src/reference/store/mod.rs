//! A store: keeps sessions for app nodes in memory, as bytes by session id. Optionally it first appends each change to
//! a file, so that a crash of the store loses nothing.

mod append_only;
mod client;
mod protocol;
mod server;

pub use client::StoreClient;
pub use server::run;
