//! `steadfast list`: profiles, targets, load models and faults.

use std::process::ExitCode;

use super::output;
use crate::fault::FaultKind;
use crate::files::{self, Kind};
use crate::load::Schedule;
use crate::parameters::Keys;
use crate::profile::Profile;
use crate::topology::Target;

/// Prints the lists. An invalid file is listed with its error.
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
    output::line("\nLoad models (in profiles): when operations start");
    for (name, description, keys) in Schedule::all() {
        output::line(&format!("  {name:<22} {description}{}", in_brackets(&keys)));
    }
    output::line(&format!("  {:<22} on one schedule after the other (stages)", "stages"));
    output::line(&format!("  {:<22} when the user's answer has come and the user has thought (think_time)", "closed"));
    output::line("\nFaults (in profiles):");
    for fault in FaultKind::ALL {
        output::line(&format!("  {fault:<22} {}{}", fault.description, in_brackets(&fault.keys())));
    }
    ExitCode::SUCCESS
}

fn in_brackets(keys: &Keys) -> String {
    if keys.all.is_empty() { String::new() } else { format!(" ({})", keys.all.join(", ")) }
}
