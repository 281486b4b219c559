//! `steadfast list`: profiles, targets, load models and faults.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::output;
use crate::fault::FaultKind;
use crate::files::{self, Kind};
use crate::load::Schedule;
use crate::parameters::Keys;
use crate::profile::Profile;
use crate::topology::{Target, Tier};

/// Prints the lists. An invalid file is listed with its error.
pub fn run() -> ExitCode {
    output::line("Profiles (steadfast run PROFILE):");
    for name in files::names(Kind::Profile) {
        let text = Profile::find(&name).map_or_else(|error| error.to_string(), |profile| profile.answers);
        output::line(&format!("  {name:<22} {text}"));
    }
    output::line("\nTargets, by the app that they run (--target TARGET, steadfast up TARGET):");
    for (app, targets) in targets_by_app() {
        output::line(&format!("  {app}"));
        output::line(&targets.join("\n"));
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

/// A line for each target, by its app's image.
fn targets_by_app() -> BTreeMap<String, Vec<String>> {
    let names = files::names(Kind::Target);
    let width = names.iter().map(String::len).max().unwrap_or_default();
    let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names {
        let (app, text) = match Target::find(&name) {
            Ok(target) => {
                let app = target.tiers.get(&Tier::App).map_or("your own system", |app| app.image.name.as_str());
                (app.to_owned(), format!("{:<14} {}", target.strategy, target.shows))
            }
            Err(error) => ("cannot be read".to_owned(), error.to_string()),
        };
        targets.entry(app).or_default().push(format!("    {name:<width$} {text}"));
    }
    targets
}

fn in_brackets(keys: &Keys) -> String {
    if keys.all.is_empty() { String::new() } else { format!(" ({})", keys.all.join(", ")) }
}
