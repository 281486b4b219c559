//! The live line of a run; plain lines where there is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::record::Stage;
use crate::run::{Event, TrialEvent};

/// Shows events.
pub struct Progress {
    bar: ProgressBar,
    trials: usize,
}

impl Progress {
    /// For a run of so many trials.
    pub fn new(trials: usize) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, trials }
    }

    /// Shows one event.
    pub fn show(&self, event: &Event) {
        let head = format!("[{}/{}] {}", event.trial, self.trials, event.target);
        match &event.what {
            TrialEvent::Stage(stage) => {
                self.set(&format!("{head}: {stage}"), matches!(stage, Stage::Start | Stage::Load));
            }
            TrialEvent::Fault(text) => self.print(&format!("{head}: {text}")),
            TrialEvent::Traffic { summary, length } => {
                let text = format!(
                    "{head}: {:.0} of {:.0} s, {} ok/s, p99 {:.1} ms, {} errors, {} unknown sessions{}",
                    summary.at_ns as f64 / 1e9,
                    length.as_secs_f64(),
                    summary.ok,
                    summary.p99_us as f64 / 1000.0,
                    summary.fail + summary.indeterminate,
                    summary.unknown,
                    if summary.foreign > 0 { format!(", {} LEAKED", summary.foreign) } else { String::new() }
                );
                self.set(&text, false);
            }
        }
    }

    /// Ends the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn set(&self, text: &str, also_plain: bool) {
        self.bar.set_message(text.to_owned());
        if also_plain && self.bar.is_hidden() {
            output::note(text);
        }
    }

    fn print(&self, text: &str) {
        if self.bar.is_hidden() { output::note(text) } else { self.bar.println(text) }
    }
}
