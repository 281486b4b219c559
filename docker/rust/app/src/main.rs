//! The session contract (docker/CONTRACT.md) over the sessions of two frameworks: axum with tower-sessions, and actix-web with
//! actix-session. Everything that differs between targets is in the file that is read here.

mod actix;
mod contract;
mod held;
mod tower;

use serde::Deserialize;

/// What the target has set.
#[derive(Deserialize)]
struct Chosen {
    framework: Framework,
    store: Store,
    /// Of the store; empty where there is none.
    address: String,
    reconnect: Reconnect,
    max_age_s: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Framework {
    Axum,
    Actix,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    Redis,
    Postgres,
    Cookie,
}

/// What the client of Redis does when its connection is lost.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reconnect {
    /// What it does as the documentation of tower-sessions-redis-store sets it up.
    Default,
    /// It tries again for ever, with growing pauses, and gives up a command after some seconds.
    Policy,
}

/// A failure at the start, which ends the process.
type Failure = Box<dyn std::error::Error>;

/// The same on every node, so that each can read what another has signed: 64 bytes.
const KEY: &[u8; 64] = b"the key of a measurement, and of nothing else; it has 64 bytes..";

fn main() -> Result<(), Failure> {
    let chosen: Chosen = serde_json::from_str(&std::fs::read_to_string("/srv/sessions.json")?)?;
    match chosen.framework {
        Framework::Axum => tower::serve(&chosen),
        Framework::Actix => actix::serve(&chosen),
    }
}
