//! The command line: one file per verb. Only this module turns results into messages and exit codes.

mod agent;
mod arguments;
mod attached;
mod check;
mod clean;
mod compare;
mod completions;
mod doctor;
mod hosts;
mod images;
mod init;
mod interfaces;
mod list;
mod live;
mod load;
mod node;
mod output;
mod page;
mod plan;
mod probe;
mod progress;
mod reaper;
mod reports;
mod run;
mod runtime;
mod selftest;
mod up;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::fault::FaultKind;
use crate::files::FileError;
use crate::plan::PlanError;
use crate::record::{RecordError, RecordErrorKind};
use crate::run::RunError;

/// Measures where user sessions should live when there is more than one server, and what happens when
/// one dies: starts real topologies in containers, drives them with session traffic, crashes parts of
/// them, checks every reply, and reports what survived and what it cost.
#[derive(Parser)]
#[command(name = "steadfast", version, about, after_help = EXIT_CODES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    all expectations met
  1    an expectation breached
  2    bad usage or a bad file
  3    the environment failed: engine, image, start
  4    no verdict: a trial was unknown or invalid
  130  interrupted (143: terminated); what was measured is saved

Start here:
  steadfast doctor       what this machine can do
  steadfast run quick    the whole comparison, about two minutes once the images are built;
                         without Docker on small servers of its own, in 40 seconds
  steadfast list         what else there is";

#[derive(Subcommand)]
enum Verb {
    /// Run a profile: start its targets, send the load, inject faults, judge, report
    Run(run::Arguments),
    /// Judge the trials of a record again, from their files alone; touches nothing
    Check(check::Arguments),
    /// Render a record again, from its files alone
    Report(reports::Arguments),
    /// Fill a template of your own with the figures of records
    Page(page::Arguments),
    /// Compare two records, or two targets of one: better, worse, or no difference shown
    Compare(compare::Arguments),
    /// See whether the checker finds what nodes with a defect do wrong, and nothing else
    Selftest(selftest::Arguments),
    /// Print what a run would do; touches nothing
    Plan(plan::Arguments),
    /// Send load to an endpoint that already runs, and measure it as `run` does
    Load(load::Arguments),
    /// List profiles, targets, load models and faults
    List,
    /// Build the images that targets need, or say what is missing
    Images(images::Arguments),
    /// Write a target file for your own system, from its Compose files and a browser's recording
    Init(init::Arguments),
    /// Start a target, let one user walk through its session mapping, say what is judged, and remove it
    Probe(probe::Arguments),
    /// Start a target and leave it running
    Up(up::Arguments),
    /// Remove what `up` started
    Down(up::Down),
    /// Say what this machine and its engine can and cannot do, and how to fix it
    Doctor(doctor::Arguments),
    /// Join the engines of several machines to a swarm, which gives them networks in common
    Hosts(hosts::Arguments),
    /// Remove all containers, networks and volumes that steadfast made
    Clean(clean::Arguments),
    /// Print the JSON Schema of `summary.json`
    Schema,
    /// Print the script for completion in a shell
    Completions(completions::Arguments),
    /// Print the manual's page
    Man,
    /// Send load from inside a target's front network; started by `run`, not by people
    #[command(hide = true)]
    Agent,
    /// List the network interfaces; run inside containers, not by people
    #[command(hide = true)]
    Interfaces,
    /// Remove what a run left whose driver is gone; started by `run`, not by people
    #[command(hide = true)]
    Reaper(reaper::Arguments),
    /// Serve as a reference node; started by `run`, not by people
    #[command(hide = true)]
    Node(node::Arguments),
}

/// Parses the command line, runs the verb, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments.verb) {
        Ok(code) => match output::failure() {
            None => code,
            Some(reason) => {
                output::error(&format!("writing to standard output: {reason}"));
                ExitCode::from(3)
            }
        },
        Err(error) => {
            output::error(&format!("{error:#}"));
            ExitCode::from(code_of(&error))
        }
    }
}

fn dispatch(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(arguments) => wait_for(run::run(arguments)),
        Verb::Selftest(arguments) => wait_for(selftest::run(arguments)),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
        Verb::Report(arguments) => reports::run(&arguments),
        Verb::Plan(arguments) => wait_for(async move { plan::run(&arguments).await }),
        Verb::Load(arguments) => load::run(&arguments),
        Verb::List => Ok(list::run()),
        Verb::Images(arguments) => wait_for(images::run(arguments)),
        Verb::Init(arguments) => wait_for(init::run(arguments)),
        Verb::Probe(arguments) => wait_for(probe::run(arguments)),
        Verb::Up(arguments) => wait_for(up::up(arguments)),
        Verb::Down(arguments) => wait_for(up::down(arguments)),
        Verb::Doctor(arguments) => wait_for(doctor::run(arguments)),
        Verb::Hosts(arguments) => wait_for(hosts::run(arguments)),
        Verb::Clean(arguments) => wait_for(clean::run(arguments)),
        Verb::Page(arguments) => page::run(&arguments),
        Verb::Schema => {
            output::text(&crate::report::schema(&FaultKind::names())?);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Completions(arguments) => completions::completions(&arguments, Arguments::command()),
        Verb::Man => completions::man(Arguments::command()),
        Verb::Interfaces => interfaces::run(),
        Verb::Reaper(arguments) => reaper::run(&arguments),
        // These two start their own runtime with a single thread.
        Verb::Agent => agent::run(),
        Verb::Node(arguments) => node::run(arguments),
    }
}

fn wait_for(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

/// 2 for errors of the user, 3 for errors of the environment.
fn code_of(error: &anyhow::Error) -> u8 {
    // A folder that is no usable record is a bad file; a record that cannot be saved is an error of the environment.
    let is_named_wrongly = |error: &RecordError| error.kind == RecordErrorKind::BadRecord;
    let is_unfit = |error: &RunError| match error {
        RunError::Plan(_) => true,
        RunError::Record(error) => is_named_wrongly(error),
        RunError::Cluster(_) => false,
    };
    let is_usage = error.is::<usage::UsageError>()
        || error.is::<FileError>()
        || error.is::<PlanError>()
        || error.downcast_ref().is_some_and(is_unfit)
        || error.downcast_ref().is_some_and(is_named_wrongly);
    if is_usage { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterError;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_is_worth_reading() {
        insta::assert_snapshot!(Arguments::command().render_help());
    }

    #[test]
    fn errors_of_the_user_exit_with_2_and_those_of_the_environment_with_3() {
        let file = FileError::Unreadable { file: "x".into(), message: "y".into() };
        assert_eq!(code_of(&file.into()), 2);
        assert_eq!(code_of(&ClusterError::new("x", "y").into()), 3);
        assert_eq!(code_of(&RunError::from(ClusterError::new("x", "y")).into()), 3);
        let record = |kind| RecordError { file: "x".into(), reason: "y".into(), kind };
        assert_eq!(code_of(&record(RecordErrorKind::BadRecord).into()), 2);
        assert_eq!(code_of(&record(RecordErrorKind::NotSaved).into()), 3, "a full disk");
    }
}
