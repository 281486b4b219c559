//! Clusters that the user's own Compose files describe. Compose itself builds, orders and starts the services; this module
//! changes the model that Compose makes of the files (labels, fixed addresses, no published ports), and finds the containers by
//! their labels. It never reads the files, and touches no project but its own.

mod healthy;
mod model;
mod project;
mod recreation;
mod tool;

pub use model::Model;
pub use project::{Project, build, names_of, read};
pub use recreation::recreate;
pub use tool::Tool;

/// Compose's label with the service of a container.
const SERVICE_LABEL: &str = "com.docker.compose.service";
/// Compose's label with the number of a container in its service, from 1.
const NUMBER_LABEL: &str = "com.docker.compose.container-number";
