//! Profiles: what to do to targets. A file in `profiles/` becomes checked types here; what the checks
//! refuse never reaches a plan. Knows nothing of how targets are started or traffic is sent.

mod values;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::expect::Expectation;
use crate::files::{self, FileError, Kind, Source};
use crate::history::FaultKind;
use crate::load::{ConstantRate, LoadModel};
use crate::target::{Subnets, Target};

pub use values::{Rate, Share, Time, Within};

/// Which client addresses the sessions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddresses {
    /// All from one: everyone behind the same gateway.
    One,
    /// Each from its own, up to the number of addresses that the front network holds.
    PerSession,
}

/// The virtual users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// How many are there at once.
    pub count: Within<1, 100_000>,
    /// What a session holds beside its state, written once when it is created.
    pub payload_bytes: Within<0, 4_194_304>,
    /// The share of reads among the operations; the others are writes.
    pub read_share: Share,
    /// Where they come from.
    #[serde(default = "per_session")]
    pub client_addresses: ClientAddresses,
}

fn per_session() -> ClientAddresses {
    ClientAddresses::PerSession
}

/// When operations start, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// The schedule.
    pub model: LoadModel,
    /// Before this, nothing counts: the first round creates the sessions.
    pub warm_up: Time,
    /// How long the load goes on after the warm-up.
    pub duration: Time,
    /// After this an operation without a complete reply is given up: indeterminate.
    pub timeout: Time,
}

/// A fault, as a profile asks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// To whom.
    pub node: NodeChoice,
    /// When, from the end of the warm-up.
    pub at: Time,
    /// How long after the injection it is undone.
    pub heal_after: Time,
}

/// Which node a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NodeChoice {
    /// One app node, drawn with the plan's seed.
    Random,
    /// The node of this name.
    Named(String),
}

impl From<String> for NodeChoice {
    fn from(text: String) -> Self {
        if text == "random" { Self::Random } else { Self::Named(text) }
    }
}

impl From<NodeChoice> for String {
    fn from(choice: NodeChoice) -> Self {
        match choice {
            NodeChoice::Random => "random".to_owned(),
            NodeChoice::Named(name) => name,
        }
    }
}

/// Where the traffic generator is no longer to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorLimits {
    /// The least share of the offered operations that must have been started.
    pub rate: Share,
    /// The most that the 99th percentile of its own lateness may be.
    pub lag_p99: Time,
}

impl Default for GeneratorLimits {
    fn default() -> Self {
        Self {
            rate: Share::try_from(0.95).unwrap_or_else(|_| unreachable!("0.95 is a share")),
            lag_p99: Time::from_millis(50),
        }
    }
}

/// What to do to targets, and what is expected of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The file's name without its ending.
    pub name: String,
    /// The question that it answers.
    pub answers: String,
    /// The targets, in the order of the report.
    pub targets: Vec<Target>,
    /// How many app nodes each has.
    pub nodes: Within<2, 8>,
    /// How often each target is tried.
    pub trials: Within<1, 1000>,
    /// The virtual users.
    pub sessions: Sessions,
    /// The traffic.
    pub load: Load,
    /// What is done to the targets meanwhile, in the order of time.
    pub faults: Vec<FaultSpec>,
    /// How long a target is left alone between the end of the load and the final read.
    pub settle: Time,
    /// Where a trial is invalid.
    pub generator: GeneratorLimits,
    /// What must come out.
    pub expectations: Vec<Expectation>,
}

impl Profile {
    /// Reads a profile by its name or by the path of its file.
    ///
    /// # Errors
    /// A file that is missing or wrong, the profile's own or one of its targets'.
    pub fn find(name: &str) -> Result<Self, FileError> {
        Self::from_source(&files::find(Kind::Profile, name)?)
    }

    /// Reads a profile from a file's text.
    ///
    /// # Errors
    /// Names line and key of what is wrong, and what is allowed.
    pub fn from_source(source: &Source) -> Result<Self, FileError> {
        let file: ProfileFile = source.parse()?;
        check_client_addresses(source, &file)?;
        let targets = find_targets(source, &file.targets)?;
        let faults =
            file.faults.iter().map(|fault| check_fault(source, &file, fault)).collect::<Result<Vec<_>, _>>()?;
        let mut expectations = Vec::new();
        for rule in &file.expect {
            expectations.extend(expectations_of(source, rule, &targets)?);
        }
        let model = match file.load.model {
            ModelName::ConstantRate => LoadModel::ConstantRate(ConstantRate::new(file.load.rate.per_second())),
        };
        Ok(Self {
            name: source.name.clone(),
            answers: file.answers,
            targets,
            nodes: file.nodes,
            trials: file.trials,
            sessions: file.sessions.into_inner(),
            load: Load { model, warm_up: file.load.warm_up, duration: file.load.duration, timeout: file.load.timeout },
            faults,
            settle: file.settle,
            generator: file.generator,
            expectations,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    answers: String,
    targets: Spanned<Vec<Spanned<String>>>,
    nodes: Within<2, 8>,
    #[serde(default = "one_trial")]
    trials: Within<1, 1000>,
    sessions: Spanned<Sessions>,
    load: LoadFile,
    #[serde(default)]
    faults: Vec<FaultFile>,
    settle: Time,
    #[serde(default)]
    generator: GeneratorLimits,
    #[serde(default)]
    expect: Vec<ExpectFile>,
}

fn one_trial() -> Within<1, 1000> {
    Within::try_from(1).unwrap_or_else(|_| unreachable!("1 is within 1 to 1000"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadFile {
    model: ModelName,
    rate: Rate,
    warm_up: Time,
    duration: Time,
    timeout: Time,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ModelName {
    ConstantRate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultFile {
    fault: FaultKind,
    node: Spanned<NodeChoice>,
    at: Spanned<Time>,
    heal_after: Spanned<Time>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    targets: Option<Vec<Spanned<String>>>,
    that: Vec<Spanned<String>>,
}

fn check_client_addresses(source: &Source, file: &ProfileFile) -> Result<(), FileError> {
    let sessions = file.sessions.get_ref();
    if sessions.client_addresses == ClientAddresses::PerSession && sessions.count.get() > Subnets::CLIENT_ADDRESSES {
        let message = format!(
            "{} sessions cannot each have a client address, the front network holds {}; set `client_addresses = \"one\"` or take fewer",
            sessions.count.get(),
            Subnets::CLIENT_ADDRESSES
        );
        return Err(source.invalid(file.sessions.span(), Some("sessions.count"), message));
    }
    Ok(())
}

fn find_targets(source: &Source, names: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Target>, FileError> {
    if names.get_ref().is_empty() {
        return Err(source.invalid(names.span(), Some("targets"), "a profile needs at least one target"));
    }
    let mut targets: Vec<Target> = Vec::new();
    for name in names.get_ref() {
        let target = Target::find(name.get_ref()).map_err(|error| match error {
            FileError::Unknown { .. } => source.invalid(name.span(), Some("targets"), error.to_string()),
            other => other,
        })?;
        if targets.iter().any(|other| other.name == target.name) {
            return Err(source.invalid(name.span(), Some("targets"), format!("`{}` stands twice", target.name)));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn check_fault(source: &Source, file: &ProfileFile, fault: &FaultFile) -> Result<FaultSpec, FileError> {
    let (at, heal_after) = (*fault.at.get_ref(), *fault.heal_after.get_ref());
    let end = file.load.duration;
    if at.get() + heal_after.get() > end.get() {
        let message = format!("the fault would be healed {heal_after} after {at}, later than the load's end at {end}");
        return Err(source.invalid(fault.heal_after.span(), Some("faults.heal_after"), message));
    }
    if let NodeChoice::Named(name) = fault.node.get_ref() {
        let nodes: Vec<String> = (1..=file.nodes.get()).map(|number| format!("app-{number}")).collect();
        if !nodes.contains(name) {
            let message = format!("`{name}` is not \"random\" or one of {}", nodes.join(", "));
            return Err(source.invalid(fault.node.span(), Some("faults.node"), message));
        }
    }
    Ok(FaultSpec { kind: fault.fault, node: fault.node.get_ref().clone(), at, heal_after })
}

fn expectations_of(source: &Source, rule: &ExpectFile, targets: &[Target]) -> Result<Vec<Expectation>, FileError> {
    let known = || targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut of_targets = Vec::new();
    for name in rule.targets.iter().flatten() {
        if !targets.iter().any(|target| target.name == *name.get_ref()) {
            let message = format!("`{}` is not a target of this profile; it has: {}", name.get_ref(), known());
            return Err(source.invalid(name.span(), Some("expect.targets"), message));
        }
        of_targets.push(name.get_ref().clone());
    }
    if rule.targets.is_none() {
        of_targets = targets.iter().map(|target| target.name.clone()).collect();
    }
    let mut expectations = Vec::new();
    for text in &rule.that {
        let condition = text
            .get_ref()
            .parse()
            .map_err(|message: String| source.invalid(text.span(), Some("expect.that"), message))?;
        expectations.push(Expectation { targets: of_targets.clone(), condition });
    }
    Ok(expectations)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
answers = "Does it?"
targets = ["tomcat-none", "tomcat-delta"]
nodes = 3
settle = "1s"
[sessions]
count = 10
payload_bytes = 100
read_share = 0.5
[load]
model = "constant-rate"
rate = 10
warm_up = "1s"
duration = "5s"
timeout = "10s"
[[faults]]
fault = "kill"
node = "random"
at = "2s"
heal_after = "2s"
[[expect]]
targets = ["tomcat-none"]
that = ["verdict == violated"]
"#;

    fn read(text: &str) -> Result<Profile, FileError> {
        Profile::from_source(&Source { name: "mine".into(), file: "profiles/mine.toml".into(), text: text.into() })
    }

    fn error_after(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        read(&GOOD.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn every_bundled_profile_can_be_read() {
        assert!(read(GOOD).is_ok());
        for name in files::names(Kind::Profile) {
            Profile::find(&name).unwrap();
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line_and_what_is_allowed() {
        insta::assert_snapshot!(error_after("rate = 10", "rate = 0"), @"profiles/mine.toml:12: `load.rate`: 0 is not a rate: it takes more than 0 and at most 1000000 operations per second");
        insta::assert_snapshot!(error_after("nodes = 3", "nodes = 9"), @"profiles/mine.toml:4: `nodes`: 9 is not within 2 to 8");
        insta::assert_snapshot!(error_after("read_share = 0.5", "read_share = 1.5"), @"profiles/mine.toml:9: `sessions.read_share`: 1.5 is not a share: it takes 0 to 1");
        insta::assert_snapshot!(error_after("settle = \"1s\"", "settle = \"soon\""), @r#"profiles/mine.toml:5: `settle`: `soon` is not a span of time; write it as "500ms", "4s" or "1m 30s""#);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        insta::assert_snapshot!(error_after("rate = 10", "rte = 10"), @"profiles/mine.toml:12: `load.rte`: unknown field `rte`, expected one of `model`, `rate`, `warm_up`, `duration`, `timeout`");
    }

    #[test]
    fn an_unknown_target_or_fault_is_named_with_its_line_and_what_there_is() {
        let message = error_after("\"tomcat-none\", ", "\"tomcat-nome\", ");
        assert!(
            message.starts_with(
                "profiles/mine.toml:3: `targets`: no target is called `tomcat-nome`; there are: tomcat-backup,"
            ),
            "{message}"
        );
        insta::assert_snapshot!(error_after("fault = \"kill\"", "fault = \"crash\""), @"profiles/mine.toml:17: `faults[0].fault`: unknown variant `crash`, expected `kill`");
    }

    #[test]
    fn a_fault_later_than_the_load_is_refused() {
        insta::assert_snapshot!(error_after("heal_after = \"2s\"", "heal_after = \"4s\""), @"profiles/mine.toml:20: `faults.heal_after`: the fault would be healed 4s after 2s, later than the load's end at 5s");
    }

    #[test]
    fn a_fault_on_a_node_that_is_not_there_is_refused() {
        insta::assert_snapshot!(error_after("node = \"random\"", "node = \"app-4\""), @r#"profiles/mine.toml:18: `faults.node`: `app-4` is not "random" or one of app-1, app-2, app-3"#);
    }

    #[test]
    fn an_expectation_of_a_target_that_is_not_tried_is_refused() {
        insta::assert_snapshot!(error_after("targets = [\"tomcat-none\"]", "targets = [\"tomcat-redis\"]"), @"profiles/mine.toml:22: `expect.targets`: `tomcat-redis` is not a target of this profile; it has: tomcat-none, tomcat-delta");
    }

    #[test]
    fn more_sessions_than_client_addresses_are_refused() {
        assert!(error_after("count = 10", "count = 50000").contains("set `client_addresses = \"one\"`"));
    }
}
