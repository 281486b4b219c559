//! Clusters of Docker containers, and the only user of the engine's API.
//!
//! Every object has the run's label. Containers are unprivileged, publish no ports and have a memory limit; nodes have
//! a CPU limit too. Addresses are fixed; networks are internal.

mod abilities;
mod base;
mod certificates;
mod cleanup;
mod cluster;
pub mod compose;
mod container;
mod driver;
mod endpoint;
mod engine;
mod engines;
mod exec;
mod forward;
mod health;
mod helper;
mod images;
mod limits;
mod links;
mod logs;
mod neighbours;
mod networks;
pub mod overlay;
mod program;
mod reaper;
mod remote_agents;
mod routes;
mod sandboxes;
mod socket;
mod stats;
pub mod swarm;
mod transfer;

pub use abilities::{missing as missing_in_the_kernel, missing_by_itself};
pub use cleanup::{Counts, Leftovers, Removed, remove_images};
pub use cluster::DockerCluster;
pub use driver::Driver;
pub use engine::{ControlGroups, Engine, EngineFacts, NO_SIGN, OLDEST_API};
pub use engines::{Engines, Removal};
pub use helper::TOOLBOX;
pub use images::{ImageEvent, ImageFacts, ImageState, Images, PROGRAM};
pub use reaper::{Watch, reap, watched_runs};
pub use remote_agents::RemoteAgents;
pub use routes::known as known_routes;
pub use transfer::spread as spread_images;

/// The label of every object; its value is the run.
pub const RUN_LABEL: &str = "io.steadfast.run";
/// The run of objects that outlive their driver.
pub const LASTING_RUN: &str = "up";
/// The label of every object; its value is the trial.
pub const TRIAL_LABEL: &str = "io.steadfast.trial";
/// The label with a node's name.
pub const NODE_LABEL: &str = "io.steadfast.node";
/// The label of images; its value is the image's name.
pub const IMAGE_LABEL: &str = "io.steadfast.image";
