//! `steadfast run`: the whole path from profile to report.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::arguments::{NoEngine, Planned};
use super::progress::{Progress, Shown};
use super::runtime::{Chosen, Where};
use super::usage::UsageError;
use super::{images, live, output, reports};
use crate::cluster::docker::{
    Engine, Leftovers, PROGRAM, TOOLBOX, Watch, missing_by_itself, missing_in_the_kernel, watched_runs,
};
use crate::cluster::{ClusterError, Runtime};
use crate::expect::{Assessment, Expectation, Reference};
use crate::files::{self, Kind};
use crate::plan::Plan;
use crate::record::{Baseline, Environment, Outcome, Record, RecordError, Stage, Summary, TrialResult, assess};
use crate::report::{self, View};
use crate::run::{Event, Interrupt, RunError, Setting, run_trial, runtime_of};

/// What `run` takes.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    planned: Planned,
    /// Save results in this folder, which must not exist [default: reports/PROFILE/UTC]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// An earlier record, for expectations that are held against `baseline`
    #[arg(long, value_name = "RECORD")]
    baseline: Option<PathBuf>,
    /// Run the commands of a profile's `command` faults, on this machine, where the profile is not given by its path
    #[arg(long)]
    allow_commands: bool,
    #[command(flatten)]
    shown: Shown,
}

/// Runs a profile.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Bad files are told before anything else is looked at.
    let mut plan = arguments.planned.plan(None)?;
    if let Some(folder) = arguments.output.as_deref().filter(|folder| folder.exists()) {
        Record::create(folder)?;
    }
    if !arguments.allow_commands && !files::is_path(&arguments.planned.profile) {
        refuse_commands(&plan)?;
    }
    let baseline = baseline(&plan, arguments.baseline.as_deref())?;
    let interrupt = listen()?;
    let chosen = arguments.place.settle().await?;
    if let Chosen::Process { reason } = &chosen {
        plan = arguments.planned.plan(Some(&NoEngine(reason)))?;
    }
    chosen.tell();
    tell_files(&plan);
    tell_expectations(&plan);
    let order = Order {
        plan: &plan,
        folder: arguments.output.as_deref(),
        baseline: baseline.as_ref(),
        shown: &arguments.shown,
    };
    let Some(executed) = execute(order, chosen, &interrupt).await? else {
        return Ok(interrupted(*interrupt.borrow()));
    };
    // Shown first: a disk that is full must not take the result with it.
    output::line(&report::table(&View::of(&executed.summary)));
    executed.record.save_summary(&executed.summary)?;
    reports::save_all(&executed.record)?;
    output::line(&format!("record: {}", executed.record.folder().display()));
    output::line(&where_the_time_went(executed.images_took, &executed.results));
    executed.code()
}

/// A profile that was found by its name may be a stranger's, in a checkout.
fn refuse_commands(plan: &Plan) -> Result<(), UsageError> {
    let faults = plan.trials.iter().flat_map(|trial| &trial.faults);
    let Some(command) = faults.map(|planned| &planned.fault).find(|fault| fault.kind().runs_commands()) else {
        return Ok(());
    };
    Err(UsageError::new(format!(
        "profile {} runs commands on this machine ({}); give --allow-commands, or the path of its file",
        plan.profile,
        command.detail()
    )))
}

/// Whose files are not what their names say.
fn tell_files(plan: &Plan) {
    let targets = plan.cases().into_iter().map(|(target, _)| (Kind::Target, target.name.clone()));
    let all = targets.chain([(Kind::Profile, plan.profile.clone())]);
    for path in all.filter_map(|(kind, name)| files::stands_before_bundled(kind, &name)) {
        output::note(&format!("{path} in this folder stands before the bundled one of its name"));
    }
}

/// What a user would not know of what is expected of targets of their own.
fn tell_expectations(plan: &Plan) {
    for (target, like) in &plan.expected_as {
        output::note(&format!("of {target} is expected what profile {} expects of {like}", plan.profile));
    }
    for target in &plan.unexpected {
        output::note(&format!(
            "profile {} expects nothing of {target}, so it cannot pass: the run will end with exit code 4",
            plan.profile
        ));
    }
}

/// The figures that expectations ask for.
fn baseline(plan: &Plan, folder: Option<&Path>) -> anyhow::Result<Option<Baseline>> {
    let asks = |expectation: &&Expectation| expectation.condition.refers_to() == Some(&Reference::Baseline);
    match (folder, plan.expectations.iter().find(asks)) {
        (Some(folder), _) => Ok(Some(Baseline::read(folder)?)),
        (None, None) => Ok(None),
        (None, Some(expectation)) => {
            Err(UsageError::new(format!("`{}` needs --baseline RECORD", expectation.condition)).into())
        }
    }
}

/// What is to be run, and how it is shown.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) plan: &'a Plan,
    /// Where it is saved, if not where all are.
    pub(super) folder: Option<&'a Path>,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) shown: &'a Shown,
}

/// What came of a plan.
pub(super) struct Executed {
    pub(super) summary: Summary,
    pub(super) record: Record,
    results: Vec<TrialResult>,
    images_took: Duration,
    /// Why not all of its trials were made.
    failure: Option<RunError>,
    signal: Option<i32>,
}

impl Executed {
    /// The same where something else than the outcome says whether all is well.
    pub(super) fn code_if(self, is_well: impl FnOnce(&Summary) -> bool) -> anyhow::Result<ExitCode> {
        if self.failure.is_some() || self.signal.is_some() {
            return self.code();
        }
        Ok(ExitCode::from(u8::from(!is_well(&self.summary))))
    }

    /// The exit code of the design.
    pub(super) fn code(self) -> anyhow::Result<ExitCode> {
        if let Some(error) = self.failure {
            return Err(error.into());
        }
        Ok(self.signal.map_or_else(|| code_of(self.summary.outcome), |signal| interrupted(Some(signal))))
    }
}

/// Runs a plan and saves what came of it. None where the user ended it before the first trial.
pub(super) async fn execute(
    order: Order<'_>,
    chosen: Chosen,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Executed>> {
    let Order { plan, folder, baseline, shown } = order;
    plan.check_cores(match &chosen {
        Chosen::Docker(engine) => engine.facts().cores,
        Chosen::Process { .. } => std::thread::available_parallelism().map_or(1, NonZero::get) as u64,
    })?;
    let began = Instant::now();
    let mut cancel = interrupt.clone();
    let mut runtime = tokio::select! {
        runtime = prepare(chosen, plan) => runtime?,
        _ = cancel.wait_for(Option::is_some) => return Ok(None),
    };
    let images_took = began.elapsed();
    let started_at = jiff::Timestamp::now();
    let record = make_record(folder, plan, started_at)?;
    let started_at = started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    record.save_plan(plan)?;
    record.save_environment(&environment(&runtime, &started_at).await?)?;
    // Whatever ends the driver, what it leaves can be read as a record.
    record.save_summary(&Summary::new(plan, &[], runtime.name(), &started_at, true, baseline))?;
    let program = std::env::current_exe().context("looking for this program's own file")?;
    let run = run_name();
    let watch = watch(&runtime, &program, &run).await?;
    ask_for_abilities(&mut runtime, &run).await?;
    let metrics = live::serve(shown.metrics).await?;
    let progress = Progress::new(plan, shown, metrics);
    let say = |event: Event| progress.show(&event);
    let setting = Setting {
        runtime: &runtime,
        program: &program,
        run: &run,
        record: &record,
        interrupt: interrupt.clone(),
        say: &say,
    };
    let sum_up = |results: &[TrialResult], is_early: bool| {
        Summary::new(plan, results, runtime.name(), &started_at, is_early, baseline)
    };
    let is_enough = |results: &[TrialResult]| {
        // Whatever ends the driver, what it has is there: as of a run that was interrupted.
        record.save_summary(&sum_up(results, true))?;
        let breached = |assessment: &Assessment| !assessment.met;
        Ok(plan.stop_on_breach && assess(plan, results, baseline).iter().any(breached))
    };
    let (results, failure) = run_trials(plan, &setting, &is_enough).await;
    progress.finish();
    if let Some(watch) = watch
        && let Err(error) = watch.dismiss().await
    {
        // What was measured is told all the same.
        output::note(&error.to_string());
    }
    let signal = *interrupt.borrow();
    let summary = sum_up(&results, signal.is_some());
    Ok(Some(Executed { summary, record, results, images_took, failure, signal }))
}

/// Builds what the plan needs.
async fn prepare(chosen: Chosen, plan: &Plan) -> Result<Runtime, ClusterError> {
    match chosen {
        Chosen::Docker(engine) => {
            remove_leftovers(&engine).await?;
            let in_containers = plan.trials.iter().filter(|trial| !trial.as_processes);
            let needed = images::needed(in_containers);
            let images = images::build(&engine, &needed).await?;
            let missing = missing_by_itself(engine.facts());
            Ok(Runtime::Docker { engine, images, missing })
        }
        Chosen::Process { .. } => Ok(Runtime::Process),
    }
}

/// What removes everything if this process cannot.
async fn watch(runtime: &Runtime, program: &Path, run: &str) -> Result<Option<Watch>, ClusterError> {
    let Runtime::Docker { engine, images, .. } = runtime else { return Ok(None) };
    let missing = || ClusterError::new("starting the reaper", "this program's image was not built");
    let image = images.get(PROGRAM).ok_or_else(missing)?;
    let watch = Watch::start(engine, program, image, run).await?;
    if let Some(reason) = watch.lacks_container() {
        output::note(&format!(
            "the engine's machine has no socket that a container could be given ({reason}); a process on this machine watches over the run"
        ));
    }
    Ok(Some(watch))
}

/// What the engine's machine cannot do, where the plan has faults that not every machine can.
async fn ask_for_abilities(runtime: &mut Runtime, run: &str) -> Result<(), ClusterError> {
    if let Runtime::Docker { engine, images, missing } = runtime
        && let Some(toolbox) = images.get(TOOLBOX)
    {
        missing.extend(missing_in_the_kernel(engine, toolbox, run).await?);
    }
    Ok(())
}

async fn environment(runtime: &Runtime, started_at: &str) -> Result<Environment, ClusterError> {
    let docker = match runtime {
        Runtime::Docker { engine, images, .. } => Some((engine.facts(), images::facts(engine, images).await?)),
        Runtime::Process => None,
    };
    Ok(Environment::describe(started_at.to_owned(), docker))
}

/// Runs trial after trial until `is_enough`. One that fails is unknown, and the next one starts: what was wrong may be
/// over, as when an engine has been started again. After two in a row there is no point in going on.
async fn run_trials(
    plan: &Plan,
    setting: &Setting<'_>,
    is_enough: &dyn Fn(&[TrialResult]) -> Result<bool, RecordError>,
) -> (Vec<TrialResult>, Option<RunError>) {
    let (mut results, mut failure, mut in_a_row) = (Vec::new(), None, 0);
    for trial in &plan.trials {
        if setting.interrupt.borrow().is_some() {
            break;
        }
        in_a_row += 1;
        match run_trial(setting, trial).await {
            Ok(result) => {
                in_a_row = 0;
                results.extend(result);
            }
            Err(RunError::Cluster(error)) => {
                output::note(&format!("[{}/{}] {}: {error}", trial.number, plan.trials.len(), trial.target.name));
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                results.push(TrialResult::failed(trial, runtime_of(setting.runtime, trial), reason));
                failure = failure.or(Some(RunError::Cluster(error)));
            }
            Err(error @ RunError::Record(_)) => return (results, Some(error)),
        }
        match is_enough(&results) {
            Ok(false) if in_a_row < 2 => {}
            Ok(is_breached) => {
                let why = if is_breached { "the first breach" } else { "a second failure in a row" };
                match plan.trials.len() - trial.number {
                    0 => {}
                    left => output::note(&format!(
                        "{why} ends the run: {left} of {} trials are not made",
                        plan.trials.len()
                    )),
                }
                break;
            }
            Err(error) => return (results, Some(error.into())),
        }
    }
    (results, failure)
}

fn make_record(folder: Option<&Path>, plan: &Plan, started_at: jiff::Timestamp) -> anyhow::Result<Record> {
    Ok(match folder {
        Some(folder) => Record::create(folder)?,
        None => Record::create_dated(
            Path::new("reports"),
            &plan.profile,
            &started_at.strftime("%Y-%m-%dT%H-%M-%SZ").to_string(),
        )?,
    })
}

/// Distinguishes the objects of runs that go on at the same time.
fn run_name() -> String {
    let now = jiff::Timestamp::now();
    // Drivers in containers have the same number, and start in the same second.
    format!("{}-{:06x}", now.strftime("%H%M%S"), rand::random::<u32>() & 0x00ff_ffff)
}

/// Finishes the work of reapers that could not, and tells what else there is.
async fn remove_leftovers(engine: &Engine) -> Result<(), ClusterError> {
    let watched = watched_runs(engine).await?;
    // Where a reaper is at work it is left to that.
    let orphaned = Leftovers::of_dead_drivers(engine, &watched).await?;
    if !orphaned.is_empty() {
        output::note(&match orphaned.remove(engine).await {
            Ok(removed) => format!("removed {removed} of runs on this machine whose drivers are no more"),
            // What is in the way may be on its way out.
            Err(error) => error.to_string(),
        });
    }
    let dead = Leftovers::of_other_runs(engine, &watched).await?;
    if !dead.is_empty() {
        output::note(&format!(
            "leftovers of an aborted run or of `up`: {}; `steadfast clean` removes them",
            dead.counts()
        ));
    }
    for run in watched {
        output::note(&format!(
            "another run goes on, or has just ended, in this engine: {run}; they will disturb each other's figures"
        ));
    }
    Ok(())
}

/// The first Ctrl-C, SIGTERM or SIGHUP asks the run to end cleanly. A second one ends this process at once, and the reapers
/// remove what it leaves.
pub(super) fn listen() -> anyhow::Result<Interrupt> {
    let (sender, receiver) = watch::channel(None);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hang_up.recv() => 1,
            };
            if sender.borrow().is_some() {
                output::note("\nending at once: what is not saved is lost, and the reapers remove what is left");
                std::process::exit(128 + number);
            }
            output::note("\nending: saving what was measured, then removing everything; once more ends at once");
            sender.send_replace(Some(number));
        }
    });
    Ok(receiver)
}

pub(super) fn interrupted(signal: Option<i32>) -> ExitCode {
    ExitCode::from(128 + u8::try_from(signal.unwrap_or(2)).unwrap_or(2))
}

fn code_of(outcome: Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Met => 0,
        Outcome::Breached => 1,
        Outcome::NoVerdict => 4,
    })
}

fn where_the_time_went(images: Duration, results: &[TrialResult]) -> String {
    let mut stages: BTreeMap<Stage, Duration> = BTreeMap::new();
    for (stage, took) in results.iter().flat_map(|result| &result.stages) {
        *stages.entry(*stage).or_default() += *took;
    }
    let total: Duration = images + stages.values().sum::<Duration>();
    let parts: Vec<String> = stages.iter().map(|(stage, took)| format!("{stage} {:.1}", took.as_secs_f64())).collect();
    let parts = [format!("images {:.1}", images.as_secs_f64())].into_iter().chain(parts).collect::<Vec<_>>();
    format!("time: {:.1} s, of which {}", total.as_secs_f64(), parts.join(", "))
}
