//! Arguments that several verbs share: the profile, and changes to it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cluster::ClusterError;
use crate::files::FileError;
use crate::plan::{Overrides, Plan};
use crate::profile::{AgentCount, MAX_AGENTS, Profile};
use crate::topology::Target;
use crate::values::{AppNodes, NodeCounts, Rate, Share, Time, Within};

/// A profile and changes to it.
#[derive(clap::Args, Clone, Debug)]
pub struct Planned {
    /// A profile's name, or the path of a profile file
    pub profile: String,
    /// Draw every choice from this number; the same seed gives the same plan
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// App nodes per target, 2 to 32; several to be tried one after the other with commas: 2,4,8
    #[arg(long, value_name = "COUNT")]
    pub nodes: Option<NodeCounts>,
    /// Try this target, by name or path, instead of the profile's; may be repeated
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Operations per second
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<Rate>,
    /// How long the load goes on after the warm-up, such as 30s
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Time>,
    /// Run the profile in this share of its time, with this share of its users: 0.5 takes half as long
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub scale: Option<Share>,
    /// Trials of each target, instead of the profile's number
    #[arg(long, value_name = "COUNT", value_parser = count::<1, 1000>)]
    pub trials: Option<Within<1, 1000>>,
    /// Agents that deal out the users among themselves, 1 to 16, instead of the profile's number
    #[arg(long, value_name = "COUNT", value_parser = count::<1, MAX_AGENTS>)]
    pub agents: Option<AgentCount>,
    /// Where there is no Docker engine, run the reference target of the same strategy for each real product
    #[arg(long)]
    pub stand_in: bool,
}

/// No Docker engine is available, for this reason, so real products cannot run.
pub struct NoEngine<'a>(pub &'a str);

impl Planned {
    /// Draws a seed if the user gave none, so that planning twice makes the same choices.
    pub fn draw_seed(&mut self) {
        self.seed.get_or_insert_with(any_seed);
    }

    /// Reads the profile and resolves it, with stand-ins for real products if these cannot run.
    pub fn plan(&self, no_engine: Option<&NoEngine>) -> anyhow::Result<Plan> {
        let profile = Profile::find(&self.profile)?;
        let targets = self.targets.iter().map(|name| Target::find(name)).collect::<Result<Vec<_>, FileError>>()?;
        let tried = if targets.is_empty() { profile.targets() } else { targets.iter().collect() };
        let mut stand_ins = BTreeMap::new();
        if let Some(NoEngine(reason)) = no_engine {
            let real: Vec<&Target> =
                tried.into_iter().filter(|target| !target.is_reference() && target.attached.is_none()).collect();
            // A stand-in says nothing of somebody's own system.
            let is_own = |target: &&&Target| target.compose.is_some() || target.session.is_some();
            let refused = real.iter().find(is_own).or_else(|| real.first().filter(|_| profile.stand_in.is_none()));
            if let Some(first) = refused.filter(|_| !self.stand_in) {
                return Err(ClusterError::new(format!("starting {}, which runs in containers", first.name), *reason)
                    .advise("start the engine, or set DOCKER_HOST to one that runs; or run the reference target of the same strategy with --stand-in")
                    .into());
            }
            for target in real {
                stand_ins.insert(target.name.clone(), target.stand_in()?);
            }
        }
        let overrides = Overrides {
            nodes: self.nodes.clone(),
            rate: self.rate.map(Rate::per_second),
            duration: self.duration,
            scale: self.scale,
            trials: self.trials,
            agents: self.agents,
            stand_ins,
            targets,
        };
        Ok(Plan::new(&profile, &overrides, self.seed.unwrap_or_else(any_seed))?)
    }
}

/// A seed from the clock, below 1,000,000 so that it is easy to type again.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) % 1_000_000
}

/// Parses a whole number within bounds.
pub fn count<const LOW: i64, const HIGH: i64>(text: &str) -> Result<Within<LOW, HIGH>, String> {
    text.parse::<i64>().map_err(|error| error.to_string())?.try_into()
}

/// Parses a number of app nodes.
pub fn nodes(text: &str) -> Result<AppNodes, String> {
    count(text)
}

/// Parses a share from 0.05 to 1.
fn share(text: &str) -> Result<Share, String> {
    let share: Share = text.parse::<f64>().map_err(|error| error.to_string())?.try_into()?;
    if share.get() < 0.05 { Err(format!("{text} is too little: it takes 0.05 to 1")) } else { Ok(share) }
}

pub fn rate(text: &str) -> Result<Rate, String> {
    text.parse::<f64>().map_err(|error| error.to_string())?.try_into()
}
