//! What several verbs take: which profile, and what to change in it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::files::FileError;
use crate::plan::{Overrides, Plan};
use crate::profile::{Profile, Rate, Time, Within};
use crate::target::Target;

/// A profile and changes to it.
#[derive(clap::Args, Clone, Debug)]
pub struct Planned {
    /// A profile's name, or the path of a profile file
    pub profile: String,
    /// Draw every choice from this number; the same seed gives the same plan
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// App nodes per target, 2 to 8
    #[arg(long, value_name = "COUNT", value_parser = nodes)]
    pub nodes: Option<Within<2, 8>>,
    /// Try this target, by name or path, instead of the profile's; may be repeated
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Operations per second
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<Rate>,
    /// How long the load goes on after the warm-up, such as 30s
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Time>,
}

impl Planned {
    /// Reads the profile and resolves it.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let profile = Profile::find(&self.profile)?;
        let targets = self.targets.iter().map(|name| Target::find(name)).collect::<Result<Vec<_>, FileError>>()?;
        let overrides =
            Overrides { nodes: self.nodes, targets, rate: self.rate.map(Rate::per_second), duration: self.duration };
        Ok(Plan::new(&profile, &overrides, self.seed.unwrap_or_else(any_seed))?)
    }
}

/// Small enough to be typed again.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) % 1_000_000
}

/// A number of app nodes.
pub fn nodes(text: &str) -> Result<Within<2, 8>, String> {
    text.parse::<i64>().map_err(|error| error.to_string())?.try_into()
}

fn rate(text: &str) -> Result<Rate, String> {
    text.parse::<f64>().map_err(|error| error.to_string())?.try_into()
}
