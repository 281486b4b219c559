//! `steadfast run`: the whole path from profile to report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::arguments::{NoEngine, Planned};
use super::images::Building;
use super::progress::{Progress, Shown};
use super::runtime::{Chosen, Where};
use super::usage::UsageError;
use super::{attached, live, output, reports};
use crate::expect::{Expectation, Reference};
use crate::files::{self, Kind};
use crate::plan::Plan;
use crate::record::{Baseline, Outcome, Record, Stage, Summary, TrialResult};
use crate::report::{self, View};
use crate::run::{Event, Finished, Folder, Interrupt, Runner};
use crate::topology::Target;

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    planned: Planned,
    /// Save results in this folder, which must not exist [default: reports/PROFILE/UTC]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Go on with the interrupted run of this record: give the same profile and options as then; finished trials are kept
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["output", "seed"])]
    resume: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// Keep this text with the record, such as the state of your source
    #[arg(long, value_name = "TEXT", conflicts_with = "resume")]
    note: Option<String>,
    /// An earlier record, for expectations that are held against `baseline`
    #[arg(long, value_name = "RECORD")]
    baseline: Option<PathBuf>,
    /// Run the commands of a profile's `command` faults, on this machine, where the profile is not given by its path
    #[arg(long)]
    allow_commands: bool,
    /// Send traffic to a system that runs already and is neither on this machine nor in a private network
    #[arg(long)]
    yes_this_is_my_system: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Arguments {
    fn folder(&self) -> Folder<'_> {
        match (&self.resume, &self.output) {
            (Some(record), _) => Folder::Resumed(record),
            (None, Some(folder)) => Folder::New(folder),
            (None, None) => Folder::Dated,
        }
    }
}

/// Runs a profile.
pub async fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(record) = &arguments.resume {
        arguments.planned.seed = Some(Record::seed_of(record)?);
    }
    arguments.planned.draw_seed();
    // Planned first, so that errors in files are reported before anything else is checked.
    let mut plan = arguments.planned.plan(None)?;
    if let Some(folder) = arguments.output.as_deref().filter(|folder| folder.exists()) {
        Record::create(folder)?;
    }
    if !arguments.allow_commands && !files::is_path(&arguments.planned.profile) {
        refuse_commands(&plan)?;
    }
    let baseline = baseline(&plan, arguments.baseline.as_deref())?;
    let interrupt = listen()?;
    allow_endpoints(&plan, &arguments).await?;
    let targets: Vec<&Target> = plan.cases().into_iter().map(|(target, _)| target).collect();
    let chosen = arguments.place.clone().settle_for(&targets).await?;
    if let Chosen::Process { reason } = &chosen {
        plan = arguments.planned.plan(Some(&NoEngine(reason)))?;
    }
    chosen.tell();
    note_replaced_files(&plan);
    note_expectations(&plan);
    let order = Order {
        plan: &plan,
        folder: arguments.folder(),
        note: arguments.note.as_deref(),
        baseline: baseline.as_ref(),
        shown: &arguments.shown,
    };
    let Some(executed) = execute(order, chosen, &interrupt).await? else {
        return Ok(interrupted(*interrupt.borrow()));
    };
    let Finished { summary, record, results, images_took, .. } = &executed.finished;
    // Printed before it is saved, so that the result is not lost if the disk is full.
    output::line(&report::table(&View::of(summary)));
    record.save_summary(summary)?;
    reports::save_all(record)?;
    output::line(&format!("record: {}", record.folder().display()));
    output::line(&where_the_time_went(*images_took, results));
    executed.code()
}

/// Refuses faults that run commands, because a profile found by its name may be a stranger's file in a checkout.
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

/// Refuses systems that run already if they could be somebody else's, or their file could be a stranger's in a checkout.
async fn allow_endpoints(plan: &Plan, arguments: &Arguments) -> anyhow::Result<()> {
    for (target, _) in plan.cases() {
        let gives_it = |given: &&String| Path::new(given).file_stem().is_some_and(|stem| *stem == *target.name);
        let is_by_path = arguments.planned.targets.iter().filter(gives_it).any(|given| files::is_path(given));
        attached::check(target, arguments.yes_this_is_my_system, is_by_path || arguments.allow_commands).await?;
    }
    Ok(())
}

/// Prints which files in the current folder replace bundled ones.
fn note_replaced_files(plan: &Plan) {
    let targets = plan.cases().into_iter().map(|(target, _)| (Kind::Target, target.name.clone()));
    let all = targets.chain([(Kind::Profile, plan.profile.clone())]);
    for path in all.filter_map(|(kind, name)| files::stands_before_bundled(kind, &name)) {
        output::note(&format!("{path} in this folder replaces the bundled one of its name"));
    }
}

/// Prints which expectations apply to targets that the profile does not know.
fn note_expectations(plan: &Plan) {
    for (target, like) in &plan.expected_as {
        output::note(&format!("{target} is judged by what profile {} expects of {like}", plan.profile));
    }
    for target in &plan.unexpected {
        output::note(&format!(
            "profile {} expects nothing of {target}, so it cannot pass: the run will end with exit code 4",
            plan.profile
        ));
    }
}

/// Reads the baseline if one is given. Fails if an expectation needs one and none is given.
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

/// The plan to run, and how it is saved and shown.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) plan: &'a Plan,
    /// Where its record is.
    pub(super) folder: Folder<'a>,
    /// What its user wants to remember of it.
    pub(super) note: Option<&'a str>,
    pub(super) baseline: Option<&'a Baseline>,
    pub(super) shown: &'a Shown,
}

/// The results of a plan, and the signal that interrupted it, if any.
pub(super) struct Executed {
    pub(super) finished: Finished,
    signal: Option<i32>,
}

impl Executed {
    /// The exit code if success depends on `is_well` instead of the outcome.
    pub(super) fn code_if(self, is_well: impl FnOnce(&Summary) -> bool) -> anyhow::Result<ExitCode> {
        if self.finished.failure.is_some() || self.signal.is_some() {
            return self.code();
        }
        Ok(ExitCode::from(u8::from(!is_well(&self.finished.summary))))
    }

    /// The exit code for the outcome, or for the signal.
    pub(super) fn code(self) -> anyhow::Result<ExitCode> {
        if let Some(error) = self.finished.failure {
            return Err(error.into());
        }
        let code = code_of(self.finished.summary.outcome);
        Ok(self.signal.map_or(code, |signal| interrupted(Some(signal))))
    }
}

/// Runs a plan and shows its progress. Returns `None` if the user interrupted it before the first trial.
pub(super) async fn execute(
    order: Order<'_>,
    chosen: Chosen,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Executed>> {
    let Order { plan, folder, note, baseline, shown } = order;
    let program = std::env::current_exe().context("looking for this program's own file")?;
    let screen = Screen::new(plan, shown, live::serve(shown.metrics).await?);
    let engines = if let Chosen::Docker(engines) = chosen { Some(engines) } else { None };
    let runner = Runner { plan, engines, program: &program, folder, note, baseline };
    let finished = Box::pin(runner.run(interrupt, &|event: Event<'_>| screen.show(&event))).await;
    screen.finish();
    let signal = *interrupt.borrow();
    Ok(finished?.map(|finished| Executed { finished, signal }))
}

/// Shows the events of a run.
struct Screen<'a> {
    /// Set when the first image is built.
    building: OnceLock<Building>,
    progress: Progress<'a>,
}

impl<'a> Screen<'a> {
    fn new(plan: &'a Plan, shown: &Shown, live: Option<live::Live>) -> Self {
        Self { building: OnceLock::new(), progress: Progress::new(plan, shown, live) }
    }

    fn show(&self, event: &Event<'_>) {
        match event {
            Event::Note(text) => output::note(text),
            Event::Image(event) => self.building.get_or_init(Building::new).show(event),
            Event::Ready => {
                self.end_building();
                self.progress.begin();
            }
            Event::Trial { .. } => self.progress.show(event),
            Event::Done => self.progress.finish(),
        }
    }

    fn finish(&self) {
        self.end_building();
        self.progress.finish();
    }

    fn end_building(&self) {
        if let Some(building) = self.building.get() {
            building.finish();
        }
    }
}

/// Signals so soon after the first one are the same wish.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// Listens for signals. The first Ctrl-C, SIGTERM or SIGHUP asks the run to end cleanly. A second one ends this process
/// at once, and the reapers remove its leftovers.
pub(super) fn listen() -> anyhow::Result<Interrupt> {
    let (sender, receiver) = watch::channel(None);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut terminate, mut hang_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::spawn(async move {
        let mut first = None;
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hang_up.recv() => 1,
            };
            // `timeout` sends its signal to the process and once more to the group.
            if first.is_some_and(|first: Instant| first.elapsed() < SAME_SIGNAL) {
                continue;
            }
            first.get_or_insert_with(Instant::now);
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
