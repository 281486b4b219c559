//! Conducts a plan: one trial after the other, each on a fresh cluster, saved as soon as it is measured.

mod balancer;
mod conduct;
mod event;
mod faults;
mod images;
mod prepare;
mod runner;
mod sampler;
mod trial;
mod unplanned;

use tokio::sync::watch;

use crate::cluster::ClusterError;
use crate::plan::PlanError;
use crate::record::RecordError;

pub use conduct::bring_up;
pub use event::{Event, TrialEvent};
pub use images::{images_needed, images_of};
pub use prepare::Tell;
pub use runner::{Finished, Runner};

/// Whether the user wants the run to end. The value is the signal's number.
pub type Interrupt = watch::Receiver<Option<i32>>;

/// A run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine, an image, a node that does not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The plan asks for what the machine does not have.
    #[error(transparent)]
    Plan(#[from] PlanError),
}
