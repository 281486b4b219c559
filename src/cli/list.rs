//! `steadfast list`: profiles, targets and faults.

use std::process::ExitCode;

use super::output;
use crate::fault::FaultKind;
use crate::files::{self, Kind};
use crate::profile::Profile;
use crate::topology::Target;

/// Prints what there is. A file that is wrong is listed with its error.
pub fn run() -> ExitCode {
    output::line("Profiles (steadfast run PROFILE):");
    for name in files::names(Kind::Profile) {
        let text = Profile::find(&name).map_or_else(|error| error.to_string(), |profile| profile.answers);
        output::line(&format!("  {name:<22} {text}"));
    }
    output::line("\nTargets (--target TARGET, steadfast up TARGET):");
    let names = files::names(Kind::Target);
    let width = names.iter().map(String::len).max().unwrap_or_default();
    for name in names {
        match Target::find(&name) {
            Ok(target) => output::line(&format!("  {name:<width$} {:<14} {}", target.strategy, target.shows)),
            Err(error) => output::line(&format!("  {name:<width$} {error}")),
        }
    }
    output::line("\nFaults (in profiles):");
    for fault in FaultKind::ALL {
        let keys = fault.keys().all;
        let keys = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
        output::line(&format!("  {fault:<22} {}{keys}", fault.description));
    }
    ExitCode::SUCCESS
}
