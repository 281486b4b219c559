//! Runs a plan: one trial after the other, each on a fresh cluster. Each trial is saved as soon as it is measured.

mod balancer;
mod compose;
mod conduct;
mod event;
mod faults;
mod images;
mod node_logs;
mod prepare;
mod probe;
mod resume;
mod runner;
mod sampler;
mod trial;
mod unplanned;

use tokio::sync::watch;

use crate::cluster::ClusterError;
use crate::plan::PlanError;
use crate::record::RecordError;

pub use compose::{check as check_compose, model as compose_model, prepare as prepare_compose};
pub use conduct::bring_up;
pub use event::{Event, TrialEvent};
pub use images::{images_needed, images_of};
pub use prepare::{Tell, watch_run};
pub use probe::{Probed, probe};
pub use resume::Folder;
pub use runner::{Finished, Runner};

/// Set when the user interrupts the run. The value is the signal's number.
pub type Interrupt = watch::Receiver<Option<i32>>;

/// An error of a run or of one of its trials.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine or an image failed, or a node did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The record's folder cannot be used, or the disk cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The plan needs more than the machine has.
    #[error(transparent)]
    Plan(#[from] PlanError),
}
