//! Reads a profile's file: TOML in, checked types out. An error names the line, the key, and what is allowed there.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::load_file::LoadFile;
use super::table::Table;
use super::{
    Agent, Case, ClientAddresses, FaultSpec, GeneratorLimits, Load, MAX_HOLD, MinExamined, Profile, Sessions, StandIn,
    StartOf,
};
use super::{fault_file, load_file};
use crate::check::Guarantee;
use crate::expect::{Condition, Expectation, Reference};
use crate::files::{FileError, Source};
use crate::load::{Connections, LoadModel, Pacing};
use crate::topology::{CoreSets, Subnets, Target};
use crate::values::{NodeCounts, Time, Within};

/// Reads a profile from a file's text.
///
/// # Errors
/// Names the line and the key that is wrong, and what is allowed.
pub fn read(source: &Source) -> Result<Profile, FileError> {
    let file: ProfileFile = source.parse()?;
    let cases = cases_of(source, &file)?;
    check_words(source, &file)?;
    let (sessions, span) = (file.sessions.get_ref().clone(), file.sessions.span());
    let load = load_file::read(source, &file.load)?;
    check_sessions(source, (&sessions, span), &load, &cases)?;
    let agent = file.agent.get_ref().clone();
    if agent.pacing == Pacing::Tick && (load.starts == StartOf::Sessions || matches!(load.model, LoadModel::Closed(_)))
    {
        let message =
            "`tick` needs a schedule of operations; take `sleep` for a closed load and for sessions that arrive";
        return Err(source.invalid(file.agent.span(), Some("agent.pacing"), message));
    }
    let on_request = on_request_of(source, &file, &cases)?;
    let targets: Vec<&Target> = cases.iter().chain(&on_request).map(|case| &case.target).collect();
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let faults = file.faults.iter().map(|fault| fault_file::read(source, fault, &names, load.duration));
    let faults = faults.collect::<Result<Vec<FaultSpec>, _>>()?;
    let judged = judged(source, file.judge, &sessions)?;
    let shown = Shown { judged: &judged, faults: &faults };
    let mut expectations = Vec::new();
    for rule in &file.expect {
        expectations.extend(expectations_of(source, rule, &targets, &shown, &expectations)?);
    }
    Ok(Profile {
        name: source.name.clone(),
        answers: file.answers.into_inner(),
        on_request: on_request.into_iter().map(|case| case.target.name).collect(),
        cases,
        trials: file.trials,
        sessions,
        load,
        faults,
        settle: file.settle,
        stand_in: file.stand_in.map(Spanned::into_inner),
        agent,
        cpuset: file.cpuset,
        generator: file.generator,
        judged,
        min_examined: file.min_examined,
        expectations,
        allow_unsupported: file.allow_unsupported,
        stop_on_breach: file.stop_on_breach,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    answers: Spanned<String>,
    targets: Option<Spanned<Vec<Spanned<String>>>>,
    on_request: Option<Spanned<Vec<Spanned<String>>>>,
    nodes: Option<Spanned<NodeCounts>>,
    #[serde(default)]
    sweeps: Vec<SweepFile>,
    #[serde(default)]
    trials: Within<1, 1000>,
    sessions: Spanned<Sessions>,
    load: Spanned<LoadFile>,
    #[serde(default)]
    faults: Vec<Table>,
    #[serde(default = "default_settle")]
    settle: Time,
    stand_in: Option<Spanned<StandIn>>,
    #[serde(default = "default_agent")]
    agent: Spanned<Agent>,
    #[serde(default)]
    cpuset: CoreSets,
    #[serde(default)]
    generator: GeneratorLimits,
    judge: Option<Spanned<Vec<Guarantee>>>,
    #[serde(default)]
    min_examined: MinExamined,
    #[serde(default)]
    allow_unsupported: bool,
    #[serde(default)]
    stop_on_breach: bool,
    #[serde(default)]
    expect: Vec<ExpectFile>,
}

const fn yes() -> bool {
    true
}

const fn default_settle() -> Time {
    Time::from_millis(500)
}

fn default_agent() -> Spanned<Agent> {
    Spanned::new(0..0, Agent::default())
}

/// Targets that are tried with their own numbers of nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    targets: Spanned<Vec<Spanned<String>>>,
    nodes: NodeCounts,
    runtime: Option<RuntimeName>,
}

/// The runtime that a sweep requires.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RuntimeName {
    Process,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    targets: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default = "yes")]
    stand_ins: bool,
    that: Spanned<Vec<Spanned<String>>>,
}

/// The guarantees that are judged: those that `judge` names, or else all that these users can show.
fn judged(
    source: &Source,
    judge: Option<Spanned<Vec<Guarantee>>>,
    sessions: &Sessions,
) -> Result<Vec<Guarantee>, FileError> {
    let Some(judge) = judge else {
        let is_shown = |guarantee: &Guarantee| sessions.why_not_shown(*guarantee).is_none();
        return Ok(Guarantee::ALL.into_iter().filter(is_shown).collect());
    };
    for guarantee in judge.get_ref() {
        if let Some(why) = sessions.why_not_shown(*guarantee) {
            let message = format!("`{guarantee}` cannot be shown: {why}");
            return Err(source.invalid(judge.span(), Some("judge"), message));
        }
    }
    Ok(judge.into_inner())
}

/// Refuses what users do around the log-in and the log-out where it could not show anything.
fn check_transitions(source: &Source, sessions: &Sessions, span: Range<usize>, load: &Load) -> Result<(), FileError> {
    check_hold(source, sessions, span.clone(), load)?;
    if sessions.old_id_grace > Time::default() && !sessions.anonymous_first && !sessions.rotate_ids {
        let message = "no id changes; set `anonymous_first = true` or `rotate_ids = true`, or remove it";
        return Err(source.invalid(span, Some("sessions.old_id_grace"), message));
    }
    let devices = sessions.devices.get();
    if sessions.count.is_some_and(|count| count.get() < devices) {
        let message =
            format!("no owner has {devices} devices among fewer sessions; take a `count` of {devices} or more");
        return Err(source.invalid(span, Some("sessions.devices"), message));
    }
    check_made_up_ids(source, sessions, span)
}

/// A request can be overtaken only while the app holds its session, and is held only where another one can overtake it.
fn check_hold(source: &Source, sessions: &Sessions, span: Range<usize>, load: &Load) -> Result<(), FileError> {
    let invalid = |key: &str, message: String| Err(source.invalid(span.clone(), Some(key), message));
    let overtakes = [
        ("sessions.log_out_while_busy", sessions.log_out_while_busy),
        ("sessions.anonymous_first", sessions.anonymous_first),
        ("sessions.rotate_ids", sessions.rotate_ids),
    ];
    let Some(hold) = sessions.hold else {
        let Some((key, _)) = overtakes.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
        let message = "it needs `hold`, such as `hold = \"200ms\"`: how long the app waits between loading and saving the session";
        return invalid(key, message.to_owned());
    };
    if !(Time::from_millis(2)..=MAX_HOLD).contains(&hold) {
        return invalid("sessions.hold", format!("it takes 2ms to {MAX_HOLD}"));
    }
    if hold >= load.timeout {
        let message =
            format!("every held request would time out after {}: take less than `load.timeout`", load.timeout);
        return invalid("sessions.hold", message);
    }
    if sessions.at_once.get() == 1 && overtakes.iter().all(|(_, is_set)| !is_set) {
        let message = "it needs requests of one session at the same time: set `at_once` above 1, `log_out_while_busy`, `anonymous_first` or `rotate_ids`, or remove it";
        return invalid("sessions.hold", message.to_owned());
    }
    if sessions.log_out_while_busy && sessions.log_out_after.is_none() {
        let message = "it needs `log_out_after`: nobody logs out without it";
        return invalid("sessions.log_out_while_busy", message.to_owned());
    }
    if sessions.rotate_ids && sessions.log_out_after.is_none() {
        let message = "it needs `log_out_after`: the id changes in the middle of a session, and none ends without it";
        return invalid("sessions.rotate_ids", message.to_owned());
    }
    Ok(())
}

/// Users who pause must have the time for it, and a session must last longer than it may be off.
fn check_expiry(source: &Source, sessions: &Sessions, span: Range<usize>, load: &Load) -> Result<(), FileError> {
    let (Some(after), Some(pauses)) = (sessions.expires_after, sessions.transitions().pauses) else { return Ok(()) };
    let invalid = |message: String| Err(source.invalid(span, Some("sessions.expires_after"), message));
    let tolerance = sessions.expires_tolerance;
    if after.as_nanos() < tolerance.as_nanos().saturating_mul(3) {
        return invalid(format!(
            "it must be at least three times `expires_tolerance`, which is {tolerance}: no pause would be short enough to tell"
        ));
    }
    if sessions.log_out_after.is_none() {
        return invalid("it needs `log_out_after`: a user pauses where it would log out".to_owned());
    }
    let total_s = pauses.total_ns().div_ceil(1_000_000_000);
    if pauses.total_ns() >= load.duration.as_nanos() {
        return invalid(format!(
            "a user pauses {} times, {total_s} s in all, and the load lasts {}: nobody would see a session end",
            pauses.short_count + 1,
            load.duration
        ));
    }
    Ok(())
}

/// A made-up id has the form of one that the user had before, so there must be a session before.
fn check_made_up_ids(source: &Source, sessions: &Sessions, span: Range<usize>) -> Result<(), FileError> {
    if sessions.made_up_ids && sessions.count.is_none() {
        let message = "it needs `count`: a made-up id has the form of the id that the user had before, and a user who arrives has only one session";
        return Err(source.invalid(span, Some("sessions.made_up_ids"), message));
    }
    if sessions.made_up_ids && sessions.log_out_after.is_none() {
        let message = "it needs `log_out_after`: a made-up id has the form of the id that the user had before, and no session ends without it";
        return Err(source.invalid(span, Some("sessions.made_up_ids"), message));
    }
    Ok(())
}

/// Refuses keys that are valid alone but contradict each other.
fn check_sessions(
    source: &Source,
    (sessions, span): (&Sessions, Range<usize>),
    load: &Load,
    cases: &[Case],
) -> Result<(), FileError> {
    let invalid = |key: &str, message: String| Err(source.invalid(span.clone(), Some(key), message));
    check_transitions(source, sessions, span.clone(), load)?;
    check_expiry(source, sessions, span.clone(), load)?;
    if sessions.write_bytes > sessions.payload_bytes {
        return invalid("sessions.write_bytes", "a write cannot change more than the payload holds".to_owned());
    }
    let one_address = matches!(sessions.client_addresses, ClientAddresses::One);
    if matches!(load.connections, Connections::Pooled(_)) && !one_address {
        let message = "connections that are pooled come from one address; set `client_addresses = \"one\"`";
        return invalid("sessions.client_addresses", message.to_owned());
    }
    let Some(count) = sessions.count else {
        return match (load.starts, sessions.log_out_after) {
            (StartOf::Operations, _) => invalid(
                "sessions",
                "say how many there are with `count`, or let them arrive: `load.starts = \"sessions\"`".to_owned(),
            ),
            (StartOf::Sessions, None) => {
                invalid("sessions.log_out_after", "sessions that arrive must leave: say when".to_owned())
            }
            (StartOf::Sessions, Some(_)) if sessions.client_addresses == ClientAddresses::PerSession => {
                let message = "`per-session` needs a fixed session count, and these arrive; take a number of addresses";
                invalid("sessions.client_addresses", message.to_owned())
            }
            (StartOf::Sessions, Some(_)) => Ok(()),
        };
    };
    if load.starts == StartOf::Sessions {
        return invalid(
            "sessions.count",
            "sessions arrive at the load's rate, so there is no number of them".to_owned(),
        );
    }
    let most_nodes = if load.per_node { cases.iter().map(|case| case.nodes.most()).max().unwrap_or(1) } else { 1 };
    let count = count.get().saturating_mul(u32::from(most_nodes));
    if let Err(message) = Within::<1, 1_000_000>::try_from(i64::from(count)) {
        return invalid("sessions.count", format!("{message}, with {most_nodes} app nodes"));
    }
    if sessions.client_addresses == ClientAddresses::PerSession && count > Subnets::CLIENT_ADDRESSES {
        let message = format!(
            "{count} sessions cannot each have a client address, the front network holds {}; set `client_addresses = \"one\"` or take fewer",
            Subnets::CLIENT_ADDRESSES
        );
        return invalid("sessions.count", message);
    }
    Ok(())
}

/// Refuses values that are valid TOML but meaningless.
fn check_words(source: &Source, file: &ProfileFile) -> Result<(), FileError> {
    if file.answers.get_ref().trim().is_empty() {
        let message =
            "it must not be empty: it is the question that the profile answers, and the heading of every report";
        return Err(source.invalid(file.answers.span(), Some("answers"), message));
    }
    if let Some(judge) = file.judge.as_ref().filter(|judge| judge.get_ref().is_empty()) {
        let message = "with nothing to be judged every trial would pass; leave the key out to judge everything";
        return Err(source.invalid(judge.span(), Some("judge"), message));
    }
    // With a smaller factor the times would be too short.
    if let Some(stand_in) = file.stand_in.as_ref().filter(|stand_in| stand_in.get_ref().times.get() < 0.01) {
        return Err(source.invalid(stand_in.span(), Some("stand_in.times"), "it takes 0.01 to 1"));
    }
    Ok(())
}

/// The cases: `targets` with `nodes`, then the sweeps.
fn cases_of(source: &Source, file: &ProfileFile) -> Result<Vec<Case>, FileError> {
    let mut cases = Vec::new();
    match (&file.targets, &file.nodes) {
        (Some(names), Some(nodes)) => add_cases(source, "targets", names, nodes.get_ref(), None, &mut cases)?,
        (Some(names), None) => add_cases(source, "targets", names, &NodeCounts::default(), None, &mut cases)?,
        (None, Some(nodes)) => {
            return Err(source.invalid(nodes.span(), Some("nodes"), "say of which targets, with `targets`"));
        }
        (None, None) if file.sweeps.is_empty() => {
            return Err(source.invalid(0..0, Some("targets"), "a profile needs at least one target"));
        }
        (None, None) => {}
    }
    for sweep in &file.sweeps {
        add_cases(source, "sweeps.targets", &sweep.targets, &sweep.nodes, sweep.runtime, &mut cases)?;
    }
    Ok(cases)
}

/// The targets that are tried only where somebody asks for them.
fn on_request_of(source: &Source, file: &ProfileFile, cases: &[Case]) -> Result<Vec<Case>, FileError> {
    let mut all = cases.to_vec();
    if let Some(names) = &file.on_request {
        add_cases(source, "on_request", names, &NodeCounts::default(), None, &mut all)?;
    }
    Ok(all.split_off(cases.len()))
}

/// Adds a case for each of these targets, which the file names under `key`.
fn add_cases(
    source: &Source,
    key: &str,
    names: &Spanned<Vec<Spanned<String>>>,
    nodes: &NodeCounts,
    runtime: Option<RuntimeName>,
    cases: &mut Vec<Case>,
) -> Result<(), FileError> {
    if names.get_ref().is_empty() {
        return Err(source.invalid(names.span(), Some(key), "it takes at least one target"));
    }
    for name in names.get_ref() {
        let target = Target::find(name.get_ref()).map_err(|error| match error {
            FileError::Unknown { .. } => source.invalid(name.span(), Some(key), error.to_string()),
            other => other,
        })?;
        if cases.iter().any(|case| case.target.name == target.name) {
            return Err(source.invalid(name.span(), Some(key), format!("`{}` stands twice", target.name)));
        }
        let as_processes = runtime == Some(RuntimeName::Process);
        if as_processes && !target.is_reference() {
            let message = format!("`{}` is made of real products, which do not run as processes", target.name);
            return Err(source.invalid(name.span(), Some("sweeps.runtime"), message));
        }
        cases.push(Case { target, nodes: nodes.clone(), as_processes });
    }
    Ok(())
}

/// The judged guarantees and the faults, by which conditions that no trial can decide are refused.
struct Shown<'a> {
    judged: &'a [Guarantee],
    faults: &'a [FaultSpec],
}

impl Shown<'_> {
    /// Why no trial of this target can meet a condition, or breach it.
    fn refuses(&self, condition: &Condition, target: &str) -> Option<String> {
        if let Some(why) = condition.is_vain() {
            return Some(why);
        }
        if let Some(guarantee) = condition.guarantee().filter(|guarantee| !self.judged.contains(guarantee)) {
            return Some(format!("`{guarantee}` is not judged here: `judge` leaves it out"));
        }
        let has_fault = self.faults.iter().any(|fault| fault.is_for(target));
        let metric = condition.metric().filter(|metric| metric.takes_a_fault() && !has_fault)?;
        Some(format!("`{}` needs a fault, and {target} has none", metric.name()))
    }
}

fn expectations_of(
    source: &Source,
    rule: &ExpectFile,
    targets: &[&Target],
    shown: &Shown<'_>,
    earlier: &[Expectation],
) -> Result<Vec<Expectation>, FileError> {
    let known = || targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut of_targets = Vec::new();
    if let Some(none) = rule.targets.as_ref().filter(|names| names.get_ref().is_empty()) {
        return Err(source.invalid(none.span(), Some("expect.targets"), "it takes at least one; leave it out for all"));
    }
    if rule.that.get_ref().is_empty() {
        return Err(source.invalid(rule.that.span(), Some("expect.that"), "it takes at least one condition"));
    }
    for name in rule.targets.iter().flat_map(Spanned::get_ref) {
        if !targets.iter().any(|target| target.name == *name.get_ref()) {
            let message = format!("`{}` is not a target of this profile; it has: {}", name.get_ref(), known());
            return Err(source.invalid(name.span(), Some("expect.targets"), message));
        }
        of_targets.push(name.get_ref().clone());
    }
    if rule.targets.is_none() {
        of_targets = targets.iter().map(|target| target.name.clone()).collect();
    }
    let mut expectations: Vec<Expectation> = Vec::new();
    for text in rule.that.get_ref() {
        let invalid = |message: String| source.invalid(text.span(), Some("expect.that"), message);
        let condition: Condition = text.get_ref().parse().map_err(invalid)?;
        if let Some(Reference::Target(name)) = condition.refers_to()
            && !targets.iter().any(|target| target.name == *name)
        {
            return Err(invalid(format!("`{name}` is not a target of this profile; it has: {}", known())));
        }
        for target in &of_targets {
            if condition.refers_to() == Some(&Reference::Target(target.clone())) && of_targets.len() == 1 {
                return Err(invalid(format!("{target} is compared with itself")));
            }
            if let Some(why) = shown.refuses(&condition, target) {
                return Err(invalid(why));
            }
            let others = earlier.iter().chain(&expectations).filter(|other| other.targets.contains(target));
            if let Some(other) = others.map(|other| &other.condition).find(|other| condition.excludes(other)) {
                return Err(invalid(format!("{target} cannot meet `{condition}` and `{other}` at once")));
            }
        }
        let targets = of_targets.clone();
        expectations.push(Expectation { targets, condition, is_of_the_targets_alone: !rule.stand_ins });
    }
    Ok(expectations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{self, Kind};
    use crate::plan::{Overrides, Plan};

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

    fn parsed(text: &str) -> Result<Profile, FileError> {
        read(&Source { name: "mine".into(), file: "profiles/mine.toml".into(), text: text.into() })
    }

    /// The error of reading the profile, or of planning it.
    fn refused(text: &str) -> String {
        match parsed(text) {
            Ok(profile) => Plan::new(&profile, &Overrides::default(), 1).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    fn error_after(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        refused(&GOOD.replace(from, to))
    }

    fn load(text: &str) -> Result<Load, FileError> {
        let start = GOOD.find("[load]").unwrap();
        let text = format!("{}[load]\nwarm_up = \"1s\"\ntimeout = \"10s\"\n{text}\n", &GOOD[..start]);
        parsed(&text).map(|profile| profile.load)
    }

    #[test]
    fn every_load_model_can_be_written() {
        let models = [
            r#"model = "poisson"
rate = 5.5
duration = "5s""#,
            r#"model = "ramp"
from = 0
to = 100
duration = "5s""#,
            r#"model = "step"
from = 10
by = -2
every = "1s"
duration = "5s""#,
            r#"model = "spike"
rate = 10
peak = 50
at = "2s"
for = "1s"
duration = "5s"
connections = { pooled = 8 }
overload = { shed = "500ms" }"#,
            r#"model = "closed"
think_time = ["100ms", "2s"]
duration = "5s"
connections = "per-request""#,
            r#"model = "stages"
[[load.stages]]
model = "ramp"
from = 1
to = 9
duration = "2s"
[[load.stages]]
model = "constant-rate"
rate = 9
duration = "3s""#,
        ];
        let words: Vec<String> = models
            .iter()
            .map(|model| {
                // Pooled connections need a single client address.
                let text = GOOD.replace("read_share = 0.5", "read_share = 0.5\nclient_addresses = \"one\"");
                let (before, after) = text.split_once("[load]").unwrap();
                let after = &after[after.find("[[expect]]").unwrap()..];
                let text = format!("{before}[load]\nwarm_up = \"1s\"\ntimeout = \"10s\"\n{model}\n{after}");
                let load = parsed(&text).unwrap().load;
                assert_eq!(load.duration, Time::from_millis(5000));
                load.model.describe()
            })
            .collect();
        insta::assert_snapshot!(words.join("\n"), @r"
        5.5 operations a second, at random
        0 to 100 operations a second
        10 operations a second, 2 fewer every 1 s
        10 operations a second, 50 for 1 s from 2 s
        each user thinks for 0.1 s to 2 s
        1 to 9 operations a second for 2 s, then 9 operations a second for 3 s
        ");
    }

    #[test]
    fn a_missing_or_unknown_key_of_a_load_model_is_named() {
        let error = |text: &str| load(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("model = \"ramp\"\nfrom = 1\nduration = \"5s\""), @"profiles/mine.toml:13: `load.model`: `ramp` needs `to`: the rate at its end");
        insta::assert_snapshot!(error("model = \"poisson\"\nrate = 1\npeak = 3\nduration = \"5s\""), @"profiles/mine.toml:15: `load.peak`: `poisson` has no parameter `peak`; it has: rate");
        insta::assert_snapshot!(error("model = \"ramp\"\nfrom = -1\nto = 3\nduration = \"5s\""), @"profiles/mine.toml:14: `load.from`: -1 is not a rate: it takes 0, or 0.001 to 1000000 operations per second");
        insta::assert_snapshot!(error("model = \"closed\"\nduration = \"5s\""), @"profiles/mine.toml:13: `load.think_time`: say how long users think, from an answer to the next request");
        insta::assert_snapshot!(error("model = \"poisson\"\nrate = 1"), @"profiles/mine.toml:13: `load.duration`: say how long the load goes on after the warm-up");
        insta::assert_snapshot!(error("model = \"poisson\"\nrate = 1\nthink_time = \"1s\"\nduration = \"5s\""), @"profiles/mine.toml:15: `load.think_time`: it needs a closed load, or `starts = \"sessions\"`: other users do not wait for their replies");
        insta::assert_snapshot!(error("model = \"stages\""), @"profiles/mine.toml:13: `load.model`: `stages` needs at least one `[[load.stages]]`");
        insta::assert_snapshot!(error("model = \"poisson\"\nrate = 1\nstarts = \"sessions\"\nthink_time = \"1s\"\nduration = \"5s\""), @"profiles/mine.toml:6: `sessions.count`: sessions arrive at the load's rate, so there is no number of them");
    }

    #[test]
    fn every_bundled_profile_can_be_read() {
        assert!(parsed(GOOD).is_ok());
        for name in files::names(Kind::Profile) {
            Profile::find(&name).unwrap();
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_line_and_what_is_allowed() {
        insta::assert_snapshot!(error_after("rate = 10", "rate = 0"), @"profiles/mine.toml:12: `load.rate`: 0 is not a rate: it takes 0.001 to 1000000 operations per second");
        insta::assert_snapshot!(error_after("nodes = 3", "nodes = 33"), @"profiles/mine.toml:4: `nodes`: 33 is not within 2 to 32");
        insta::assert_snapshot!(error_after("read_share = 0.5", "read_share = 1.5"), @"profiles/mine.toml:9: `sessions.read_share`: 1.5 is not a share: it takes 0 to 1");
        insta::assert_snapshot!(error_after("settle = \"1s\"", "settle = \"soon\""), @r#"profiles/mine.toml:5: `settle`: `soon` is not a span of time; write it as "500ms", "4s" or "1m 30s""#);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
        insta::assert_snapshot!(error_after("rate = 10", "rte = 10"), @"profiles/mine.toml:12: `load.rte`: there is no such key; did you mean `rate`?");
    }

    #[test]
    fn an_unknown_target_or_fault_is_named_with_its_line_and_what_there_is() {
        let message = error_after("\"tomcat-none\", ", "\"tomcat-nome\", ");
        assert!(
            message.starts_with(
                "profiles/mine.toml:3: `targets`: no target is called `tomcat-nome`; there are: actix-client-side,"
            ),
            "{message}"
        );
        let message = error_after("fault = \"kill\"", "fault = \"crash\"");
        let start = "profiles/mine.toml:17: `faults.fault`: no fault is called `crash`; there are: kill, kill-process,";
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn tick_pacing_is_refused_for_a_closed_load() {
        let ticks = format!("{GOOD}[agent]\npacing = \"tick\"\n");
        assert!(parsed(&ticks).is_ok());
        let closed = ticks.replace("rate = 10\n", "think_time = \"1s\"\n").replace("constant-rate", "closed");
        insta::assert_snapshot!(parsed(&closed).unwrap_err(), @"profiles/mine.toml:24: `agent.pacing`: `tick` needs a schedule of operations; take `sleep` for a closed load and for sessions that arrive");
    }

    #[test]
    fn a_fault_later_than_the_load_is_refused() {
        insta::assert_snapshot!(error_after("heal_after = \"2s\"", "heal_after = \"4s\""), @"profiles/mine.toml:20: `faults.heal_after`: the fault would be healed 4s after 2s, later than the load's end at 5s");
    }

    #[test]
    fn a_fault_on_a_node_that_is_not_there_is_refused() {
        insta::assert_snapshot!(error_after("node = \"random\"", "node = \"app-4\""), @r#"profiles/mine.toml:18: `faults.node`: tomcat-none with 3 app nodes has no `app-4`; it takes "random", "all", "busiest", "primary-of-most-sessions" or one of app-1, app-2, app-3, balancer"#);
    }

    /// The error of the good profile with other faults.
    fn error_of(faults: &str) -> String {
        let start = GOOD.find("[[faults]]").unwrap();
        let end = GOOD.find("[[expect]]").unwrap();
        refused(&format!("{}[[faults]]\n{faults}\n{}", &GOOD[..start], &GOOD[end..]))
    }

    #[test]
    fn each_fault_takes_its_own_keys_and_names_a_missing_one() {
        insta::assert_snapshot!(error_of("fault = \"kill\"\nnode = \"random\"\nat = \"1s\"\nheal_after = \"1s\"\nshare = 0.5"), @"profiles/mine.toml:21: `faults.share`: `kill` has no parameters; remove `share`");
        insta::assert_snapshot!(error_of("fault = \"loss\"\nnode = \"random\"\nat = \"1s\"\nheal_after = \"1s\""), @"profiles/mine.toml:17: `faults.fault`: `loss` needs `share`: the share that is dropped");
        insta::assert_snapshot!(error_of("fault = \"loss\"\nnode = \"random\"\nat = \"1s\"\nheal_after = \"1s\"\nshare = 0.5\ncores = 1"), @"profiles/mine.toml:22: `faults.cores`: `loss` has no parameter `cores`; it has: direction, from, networks, share");
        insta::assert_snapshot!(error_of("fault = \"pause\"\nnode = \"random\"\nat = \"1s\""), @"profiles/mine.toml:17: `faults.heal_after`: say after how long it is undone");
        insta::assert_snapshot!(error_of("fault = \"restart\"\nnode = \"random\"\nat = \"1s\"\nheal_after = \"1s\""), @"profiles/mine.toml:20: `faults.heal_after`: this fault is undone as soon as it can be; remove it");
        insta::assert_snapshot!(error_of("fault = \"kill\"\nat = \"1s\"\nheal_after = \"1s\""), @r#"profiles/mine.toml:17: `faults.node`: say which node, or "random""#);
        insta::assert_snapshot!(error_of("fault = \"rolling-restart\"\nnode = \"app-1\"\nat = \"1s\""), @r#"profiles/mine.toml:18: `faults.node`: it restarts "all" app nodes, one after the other"#);
        insta::assert_snapshot!(error_of("fault = \"command\"\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\ncommand = []\nheal_command = [\"true\"]"), @"profiles/mine.toml:21: `faults.command`: it takes a program and its arguments");
    }

    #[test]
    fn an_impossible_fault_schedule_is_refused_with_its_line() {
        insta::assert_snapshot!(error_of("fault = \"kill\"\nnode = \"store\"\nat = \"1s\"\nheal_after = \"1s\""), @r#"profiles/mine.toml:18: `faults.node`: tomcat-none with 3 app nodes has no `store`; it takes "random", "all", "busiest", "primary-of-most-sessions" or one of app-1, app-2, app-3, balancer"#);
        insta::assert_snapshot!(error_of("fault = \"kill\"\ntargets = [\"tomcat-redis\"]\nnode = \"store\"\nat = \"1s\"\nheal_after = \"1s\""), @"profiles/mine.toml:18: `faults.targets`: `tomcat-redis` is not a target of this profile");
        insta::assert_snapshot!(error_of("fault = \"kill\"\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\n[[faults]]\nfault = \"pause\"\nnode = \"app-1\"\nat = \"1500ms\"\nheal_after = \"1s\""), @"profiles/mine.toml:24: `faults.at`: pause of app-1 from 2s 500ms to 3s 500ms and kill of app-1 from 2s to 3s exclude each other");
        insta::assert_snapshot!(error_of("fault = \"partition\"\nnode = \"app-1\"\nfrom = \"store\"\nat = \"1s\"\nheal_after = \"1s\""), @"profiles/mine.toml:19: `faults.from`: tomcat-none has no `store`");
        insta::assert_snapshot!(error_of("fault = \"rolling-restart\"\nat = \"7s\""), @"profiles/mine.toml:18: `faults.at`: the fault would be healed 0s after 7s, later than the load's end at 5s");
        insta::assert_snapshot!(error_of("fault = \"kill\"\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\nevery = \"1s\"\nscatter = \"2s\""), @"profiles/mine.toml:22: `faults.scatter`: it puts a fault off by at most the time to the next one, `every`");
    }

    #[test]
    fn an_expectation_of_a_target_that_is_not_tried_is_refused() {
        insta::assert_snapshot!(error_after("targets = [\"tomcat-none\"]", "targets = [\"tomcat-redis\"]"), @"profiles/mine.toml:22: `expect.targets`: `tomcat-redis` is not a target of this profile; it has: tomcat-none, tomcat-delta");
    }

    #[test]
    fn an_expectation_of_a_target_on_request_is_taken() {
        let text = GOOD
            .replace("nodes = 3", "on_request = [\"tomcat-redis\"]\nnodes = 3")
            .replace("targets = [\"tomcat-none\"]", "targets = [\"tomcat-redis\"]");
        let profile = parsed(&text).unwrap();
        assert!(profile.on_request.iter().eq(["tomcat-redis"]) && profile.cases.len() == 2);
        let with = |names: &str| error_after("nodes = 3", &format!("on_request = [{names}]\nnodes = 3"));
        insta::assert_snapshot!(with("\"tomcat-none\""), @"profiles/mine.toml:4: `on_request`: `tomcat-none` stands twice");
        insta::assert_snapshot!(with(""), @"profiles/mine.toml:4: `on_request`: it takes at least one target");
    }

    #[test]
    fn nodes_can_be_a_list_and_differ_by_sweep() {
        let sweep = "[[sweeps]]\ntargets = [\"tomcat-redis\"]\nnodes = [2, 4]\n";
        let profile = parsed(&format!("{}{sweep}", GOOD.replace("nodes = 3", "nodes = [3, 5]"))).unwrap();
        let counts = |case: &Case| case.nodes.iter().collect::<Vec<_>>();
        assert_eq!(profile.cases.iter().map(counts).collect::<Vec<_>>(), [vec![3, 5], vec![3, 5], vec![2, 4]]);
        let as_processes = format!("{GOOD}{sweep}runtime = \"process\"\n");
        insta::assert_snapshot!(parsed(&as_processes).unwrap_err(), @"profiles/mine.toml:25: `sweeps.runtime`: `tomcat-redis` is made of real products, which do not run as processes");
        insta::assert_snapshot!(error_after("nodes = 3", "nodes = [3, 40]"), @"profiles/mine.toml:4: `nodes[1]`: 40 is not within 2 to 32");
        insta::assert_snapshot!(error_after("nodes = 3", "nodes = []"), @"profiles/mine.toml:4: `nodes`: it takes at least one number");
    }

    #[test]
    fn the_profile_in_the_readme_is_valid_and_its_missing_keys_have_defaults() {
        let readme = std::fs::read_to_string("README.md").unwrap();
        let text = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let profile = parsed(text).unwrap();
        assert!(profile.cases.iter().all(|case| case.nodes.iter().eq([3])));
        assert_eq!((profile.settle, profile.load.warm_up), (Time::from_millis(500), Time::from_millis(5000)));
        assert_eq!((profile.sessions.payload_bytes.get(), profile.sessions.read_share.get()), (2048, 0.5));
        assert_eq!(profile.load.timeout, Time::from_millis(10_000));
    }

    #[test]
    fn requests_that_overtake_nothing_are_refused_with_their_line() {
        let with = |keys: &str| error_after("read_share = 0.5", &format!("read_share = 0.5\n{keys}"));
        insta::assert_snapshot!(with("hold = \"200ms\""), @"profiles/mine.toml:6: `sessions.hold`: it needs requests of one session at the same time: set `at_once` above 1, `log_out_while_busy`, `anonymous_first` or `rotate_ids`, or remove it");
        insta::assert_snapshot!(with("log_out_after = 5\nlog_out_while_busy = true"), @r#"profiles/mine.toml:6: `sessions.log_out_while_busy`: it needs `hold`, such as `hold = "200ms"`: how long the app waits between loading and saving the session"#);
        insta::assert_snapshot!(with("hold = \"200ms\"\nlog_out_while_busy = true"), @"profiles/mine.toml:6: `sessions.log_out_while_busy`: it needs `log_out_after`: nobody logs out without it");
        insta::assert_snapshot!(with("hold = \"200ms\"\nrotate_ids = true"), @"profiles/mine.toml:6: `sessions.rotate_ids`: it needs `log_out_after`: the id changes in the middle of a session, and none ends without it");
        insta::assert_snapshot!(with("devices = 64"), @"profiles/mine.toml:6: `sessions.devices`: no owner has 64 devices among fewer sessions; take a `count` of 64 or more");
        insta::assert_snapshot!(with("hold = \"10s\"\nlog_out_after = 5\nlog_out_while_busy = true"), @"profiles/mine.toml:6: `sessions.hold`: every held request would time out after 10s: take less than `load.timeout`");
        insta::assert_snapshot!(with("hold = \"1ms\"\nat_once = 2"), @"profiles/mine.toml:6: `sessions.hold`: it takes 2ms to 1m");
        insta::assert_snapshot!(with("made_up_ids = true"), @"profiles/mine.toml:6: `sessions.made_up_ids`: it needs `log_out_after`: a made-up id has the form of the id that the user had before, and no session ends without it");
        insta::assert_snapshot!(with("old_id_grace = \"1s\""), @"profiles/mine.toml:6: `sessions.old_id_grace`: no id changes; set `anonymous_first = true` or `rotate_ids = true`, or remove it");
        insta::assert_snapshot!(with("expires_after = \"2s\"\nlog_out_after = 5"), @"profiles/mine.toml:6: `sessions.expires_after`: it must be at least three times `expires_tolerance`, which is 1s: no pause would be short enough to tell");
        insta::assert_snapshot!(with("expires_after = \"4s\"\nlog_out_after = 5"), @"profiles/mine.toml:6: `sessions.expires_after`: a user pauses 4 times, 12 s in all, and the load lasts 5s: nobody would see a session end");
        insta::assert_snapshot!(with("expires_after = \"400ms\"\nexpires_tolerance = \"50ms\""), @"profiles/mine.toml:6: `sessions.expires_after`: it needs `log_out_after`: a user pauses where it would log out");
        insta::assert_snapshot!(with("expires_after = \"1500ms\"\nexpires_tolerance = \"200ms\"\nlog_out_after = 5"), @"`sessions.expires_after`: the image `tomcat` of tomcat-none takes whole seconds");
        insta::assert_snapshot!(error_after("nodes = 3", "nodes = 3\njudge = [\"id-rotates\"]"), @"profiles/mine.toml:5: `judge`: `id-rotates` cannot be shown: no id changes; set `sessions.anonymous_first = true` or `sessions.rotate_ids = true`");
    }

    #[test]
    fn guarantees_that_other_users_cannot_show_are_judged_where_their_key_is_set() {
        assert_eq!(parsed(GOOD).unwrap().judged.len(), 9);
        let keys = "read_share = 0.5\nlog_out_after = 5\nhold = \"200ms\"\nanonymous_first = true\nmade_up_ids = true\nexpires_after = \"1s\"\nexpires_tolerance = \"200ms\"";
        let judged = parsed(&GOOD.replace("read_share = 0.5", keys)).unwrap().judged;
        assert_eq!(judged, Guarantee::ALL);
    }

    #[test]
    fn more_sessions_than_client_addresses_are_refused() {
        assert!(error_after("count = 10", "count = 50000").contains("set `client_addresses = \"one\"`"));
    }

    #[test]
    fn what_says_nothing_or_cannot_come_out_is_refused_with_its_line() {
        let refused = [
            error_after("answers = \"Does it?\"", "answers = \" \""),
            error_after("settle = \"1s\"", "settle = \"1s\"\njudge = []"),
            error_after("settle = \"1s\"", "settle = \"1s\"\nstand_in = { times = 0 }"),
            error_after("settle = \"1s\"", "settle = \"1ns\""),
            error_after("nodes = 3", "nodes = [2, 2]"),
            error_after("duration = \"5s\"", "duration = \"0s\""),
            error_after("timeout = \"10s\"", "timeout = \"10us\""),
            error_after("timeout = \"10s\"", "timeout = \"10s\"\noverload = { shed = \"0s\" }"),
            error_after("rate = 10", "rate = 1e-300"),
            error_after("read_share = 0.5", "read_share = 0.5\nlog_out_after = \"1us\""),
            error_after("targets = [\"tomcat-none\"]", "targets = []"),
            error_after("that = [\"verdict == violated\"]", "that = []"),
            error_after("verdict == violated", "sessions.lost < -1"),
            error_after("verdict == violated", "verdict == pass\", \"verdict == violated"),
            error_after("verdict == violated", "response.p50 < 0 * baseline"),
            error_after("verdict == violated", "response.p50 < 2 * target(tomcat-none)"),
            parsed(
                &GOOD
                    .replace("settle = \"1s\"", "settle = \"1s\"\njudge = [\"owned\"]")
                    .replace("verdict == violated", "session-survives == pass"),
            )
            .unwrap_err()
            .to_string(),
            error_of(
                "fault = \"kill\"\ntargets = [\"tomcat-delta\"]\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\n[[expect]]\ntargets = [\"tomcat-none\"]\nthat = [\"recovery.success < 5s\"]",
            ),
            error_of("fault = \"kill\"\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\nevery = \"1us\""),
            error_of("fault = \"loss\"\nnode = \"app-1\"\nat = \"1s\"\nheal_after = \"1s\"\nshare = 1e-12"),
            error_of("fault = \"leave\"\nnode = \"all\"\nat = \"1s\""),
        ];
        insta::assert_snapshot!(refused.join("\n"));
        let error = |text: &str| load(text).unwrap_err().to_string();
        insta::assert_snapshot!(error("model = \"ramp\"\nfrom = 0\nto = 0\nduration = \"5s\""), @"profiles/mine.toml:15: `load.to`: a ramp from 0 to 0 asks for nothing");
        insta::assert_snapshot!(error("model = \"step\"\nfrom = 1\nby = -1\nevery = \"1s\"\nduration = \"5s\""), @"profiles/mine.toml:15: `load.by`: its last step would be -3 operations a second: it takes 0 to 1000000");
        insta::assert_snapshot!(error("model = \"step\"\nfrom = 1\nby = 1\nevery = \"1ns\"\nduration = \"5s\""), @"profiles/mine.toml:16: `load.every`: `1ns` is less than a microsecond, which nothing here can tell from 0s");
        insta::assert_snapshot!(error("model = \"spike\"\nrate = 1\npeak = 2\nat = \"9s\"\nfor = \"1s\"\nduration = \"5s\""), @"profiles/mine.toml:16: `load.at`: the load ends at 5s, before the spike begins");
    }
}
