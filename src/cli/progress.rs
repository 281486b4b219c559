//! Shows the progress of a run: two live lines on a terminal (the current trial, and the whole run), plain lines
//! without a terminal, and nothing with `--quiet`.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::live::Live;
use super::output;
use crate::plan::{Plan, TrialPlan};
use crate::record::Stage;
use crate::run::{Event, TrialEvent};
use crate::traffic::Summary;

/// The assumed time to start and remove a cluster, until a trial has measured it.
const DEFAULT_OVERHEAD: Duration = Duration::from_secs(8);

/// How much progress is shown.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Shown {
    /// Show nothing while the run goes on, only the result
    #[arg(short, long)]
    quiet: bool,
    /// Show plain lines while the run goes on, even on a terminal
    #[arg(long)]
    no_progress: bool,
    /// Serve live figures at /metrics on this loopback address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    pub(super) metrics: Option<SocketAddr>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:9464"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only loopback addresses are served".to_owned()) }
}

/// Shows the events of a run.
pub struct Progress<'a> {
    plan: &'a Plan,
    now: ProgressBar,
    whole: ProgressBar,
    is_quiet: bool,
    live: Option<Live>,
    pace: Mutex<Pace>,
}

/// The progress of the run so far.
struct Pace {
    began: Instant,
    trial: usize,
    trial_began: Instant,
    /// The time that each finished trial took in addition to its load and settle time.
    overheads: Vec<Duration>,
    /// Replies in the current trial that did not know the session.
    unknown: u64,
}

impl<'a> Progress<'a> {
    /// Prepares to show a run of this plan.
    pub fn new(plan: &'a Plan, shown: &Shown, live: Option<Live>) -> Self {
        let lines = MultiProgress::new();
        if shown.quiet || shown.no_progress {
            lines.set_draw_target(ProgressDrawTarget::hidden());
        }
        let (now, whole) = (lines.add(ProgressBar::new_spinner()), lines.add(ProgressBar::new_spinner()));
        for (bar, template) in [(&now, "{spinner} {wide_msg}"), (&whole, "  {wide_msg}")] {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        let began = Instant::now();
        let pace = Pace { began, trial: 0, trial_began: began, overheads: Vec::new(), unknown: 0 };
        Self { plan, now, whole, is_quiet: shown.quiet, live, pace: Mutex::new(pace) }
    }

    /// Shows the live lines and starts the clock, before the first trial.
    pub fn begin(&self) {
        self.now.enable_steady_tick(Duration::from_millis(200));
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        (pace.began, pace.trial_began) = (Instant::now(), Instant::now());
    }

    /// Shows an event of a trial.
    pub fn show(&self, event: &Event) {
        let Event::Trial { number, target, what } = event else { return };
        if let Some(live) = &self.live {
            live.take(*number, target, what);
        }
        let head = format!("[{number}/{}] {target}", self.plan.trials.len());
        let plan = self.plan.trials.get(number.saturating_sub(1));
        match what {
            TrialEvent::Stage(stage) => {
                self.keep_pace(*number);
                self.now.set_message(format!("{head}: {stage}"));
                if matches!(stage, Stage::Start | Stage::Load) {
                    self.plain(&format!("{head}: {stage}"));
                }
            }
            TrialEvent::Fault(text) => self.print(&format!("{head}: {text}")),
            TrialEvent::Traffic { summary, length } => {
                let unknown = {
                    let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                    pace.unknown += summary.unknown;
                    pace.unknown
                };
                let text = plan.map_or(String::new(), |plan| traffic(plan, summary, *length, unknown));
                self.now.set_message(format!("{head}: {text}"));
            }
        }
        self.whole.set_message(self.outlook());
    }

    /// Removes the live lines.
    pub fn finish(&self) {
        self.now.finish_and_clear();
        self.whole.finish_and_clear();
    }

    /// Describes the trials that are done, the next ones, and the estimated time left.
    fn outlook(&self) -> String {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let overhead =
            pace.overheads.iter().sum::<Duration>().checked_div(u32::try_from(pace.overheads.len()).unwrap_or(0));
        let overhead = overhead.unwrap_or(DEFAULT_OVERHEAD);
        let to_come = self.plan.trials.iter().filter(|trial| trial.number >= pace.trial.max(1));
        let left: Duration = to_come.clone().map(|trial| loaded(trial) + overhead).sum();
        let left = left.saturating_sub(if pace.trial > 0 { pace.trial_began.elapsed() } else { Duration::ZERO });
        let next: Vec<&str> = to_come.skip(1).take(2).map(|trial| trial.target.name.as_str()).collect();
        let next = if next.is_empty() { String::new() } else { format!("; next: {}", next.join(", ")) };
        let (done, all) = (pace.trial.saturating_sub(1), self.plan.trials.len());
        format!("{done} of {all} trials done in {}, about {} left{next}", minutes(pace.began.elapsed()), minutes(left))
    }

    fn keep_pace(&self, trial: usize) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.trial == trial {
            return;
        }
        if let Some(before) = self.plan.trials.iter().find(|other| other.number == pace.trial) {
            let overhead = pace.trial_began.elapsed().saturating_sub(loaded(before));
            pace.overheads.push(overhead);
        }
        (pace.trial, pace.trial_began, pace.unknown) = (trial, Instant::now(), 0);
    }

    /// Prints a line, if there are no live lines.
    fn plain(&self, text: &str) {
        if self.now.is_hidden() && !self.is_quiet {
            output::note(text);
        }
    }

    fn print(&self, text: &str) {
        if self.now.is_hidden() { self.plain(text) } else { self.now.println(text) }
    }
}

/// The duration of a trial's warm-up, load and settle time.
fn loaded(plan: &TrialPlan) -> Duration {
    plan.load.warm_up.get() + plan.load.duration.get() + plan.settle.get()
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 100 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// Describes the last second of traffic.
fn traffic(plan: &TrialPlan, summary: &Summary, length: Duration, unknown: u64) -> String {
    let at = Duration::from_nanos(summary.at_ns);
    let leaked = if summary.foreign > 0 { format!(", {} LEAKED", summary.foreign) } else { String::new() };
    format!(
        "{} of {} s, {}, {} ok/s, p99 {:.1} ms, {} errors, {unknown} replies \"unknown session\" so far{leaked}{}",
        at.as_secs(),
        length.as_secs(),
        phase(plan, at),
        summary.ok,
        summary.p99_us as f64 / 1000.0,
        summary.fail + summary.indeterminate,
        countdown(plan, at),
    )
}

/// The phase according to the plan; the faults that really happen are printed line by line.
fn phase(plan: &TrialPlan, at: Duration) -> &'static str {
    let faults = || plan.faults.iter();
    if at <= plan.load.warm_up.get() {
        "warm-up"
    } else if faults().any(|fault| fault.at.get() < at && at <= fault.heal_at.get()) {
        "fault"
    } else if faults().any(|fault| fault.heal_at.get() < at) {
        "recovery"
    } else {
        "steady"
    }
}

fn countdown(plan: &TrialPlan, at: Duration) -> String {
    let next = plan.faults.iter().find(|fault| fault.at.get() > at);
    next.map_or_else(String::new, |next| {
        format!(", {} in {} s", next.fault.kind(), (next.at.get().saturating_sub(at)).as_secs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;
    use crate::profile::Profile;

    #[test]
    fn a_second_of_traffic_is_shown_with_its_phase_and_the_next_fault() {
        let plan = Plan::new(&Profile::find("quick").unwrap(), &Overrides::default(), 1).unwrap();
        let text = |at_s: u64| {
            let summary =
                Summary { at_ns: at_s * 1_000_000_000, ok: 149, fail: 1, p99_us: 12_345, ..Summary::default() };
            traffic(&plan.trials[0], &summary, Duration::from_secs(16), 3)
        };
        insta::assert_snapshot!(text(2), @r#"2 of 16 s, warm-up, 149 ok/s, p99 12.3 ms, 1 errors, 3 replies "unknown session" so far, kill in 7 s"#);
        insta::assert_snapshot!(text(10), @"10 of 16 s, fault, 149 ok/s, p99 12.3 ms, 1 errors, 3 replies \"unknown session\" so far");
        assert_eq!(phase(&plan.trials[0], Duration::from_secs(7)), "steady");
        assert_eq!(phase(&plan.trials[0], Duration::from_secs(14)), "recovery");
    }

    #[test]
    fn live_figures_are_served_on_loopback_alone() {
        assert!(loopback("127.0.0.1:9464").is_ok());
        assert_eq!(loopback("0.0.0.0:9464").unwrap_err(), "only loopback addresses are served");
        assert!(loopback("here").unwrap_err().contains("127.0.0.1:9464"));
    }
}
