//! What a run ran on: without it no figure can be compared.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cluster::docker::{EngineFacts, ImageFacts};

/// What a run ran on.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// This program's version.
    pub steadfast: String,
    /// When the run began, in UTC.
    pub started_at: String,
    /// The command line that began it.
    pub command: Vec<String>,
    /// The driver's CPU.
    pub cpu: String,
    /// The engine, its kernel, cores and memory.
    pub engine: EngineFacts,
    /// What identifies each image.
    pub images: BTreeMap<String, ImageFacts>,
}

impl Environment {
    /// Describes this machine and the engine.
    #[must_use]
    pub fn describe(started_at: String, engine: &EngineFacts, images: &BTreeMap<String, ImageFacts>) -> Self {
        Self {
            steadfast: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            command: std::env::args().collect(),
            cpu: cpu_model(),
            engine: engine.clone(),
            images: images.clone(),
        }
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}
