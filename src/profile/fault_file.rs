//! `[[faults]]` in a profile's file: the keys that all faults have. The other keys are parameters, which each fault
//! defines itself. An unknown key is an error.

use std::ops::Deref;

use super::table::{Reader, Table};
use super::{FaultSpec, NodeChoice};
use crate::fault::{Fault, FaultKind, Nodes};
use crate::files::{FileError, Source};
use crate::values::{OneOrMore, Time};

/// The maximum number of times that a fault is repeated in a trial.
const MAX_TIMES: u128 = 1000;

/// The keys that all faults have.
const COMMON: [&str; 7] = ["fault", "targets", "node", "at", "heal_after", "every", "scatter"];

/// Reads a fault and checks it as far as the file alone allows; the plan chooses nodes and times later.
///
/// # Errors
/// Names the line and the key that is missing, unknown or out of range.
pub fn read(source: &Source, table: &Table, targets: &[&str], end: Time) -> Result<FaultSpec, FileError> {
    let reader = FaultReader(Reader { source, table, name: "faults", main: "fault" });
    let kinds = reader.kinds()?;
    let at = reader.needs("at", "say when, from the end of the warm-up")?;
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    // If one of several faults is drawn, a key must belong to at least one of them.
    let own: Vec<String> = kinds.iter().flat_map(|kind| kind.keys().all).collect();
    reader.check_keys(&COMMON, &names.join(" and "), &own)?;
    let read = |kind: &&FaultKind| Fault::read(kind, &reader.values()).map_err(|bad| reader.bad(bad));
    Ok(FaultSpec {
        targets: reader.targets(targets)?,
        nodes: reader.nodes(&kinds)?,
        at,
        heal_after: reader.heal_after(&kinds, at, end)?,
        every: reader.every(at, end)?,
        scatter: reader.scatter()?,
        faults: kinds.iter().map(read).collect::<Result<_, _>>()?,
        lines: reader.lines(),
    })
}

/// Reads the keys that all faults have.
struct FaultReader<'a>(Reader<'a>);

impl<'a> Deref for FaultReader<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.0
    }
}

impl FaultReader<'_> {
    fn kinds(&self) -> Result<Vec<&'static FaultKind>, FileError> {
        let names: OneOrMore<String> = self.needs("fault", "say which fault; `steadfast list` shows them all")?;
        if names.0.is_empty() {
            return Err(self.invalid("fault", "it takes at least one"));
        }
        let known = || FaultKind::names().join(", ");
        let find = |name: &String| {
            let unknown = || self.invalid("fault", format!("no fault is called `{name}`; there are: {}", known()));
            FaultKind::find(name).ok_or_else(unknown)
        };
        names.0.iter().map(find).collect()
    }

    fn targets(&self, known: &[&str]) -> Result<Vec<String>, FileError> {
        let names: Vec<String> = self.get("targets")?.unwrap_or_default();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.invalid("targets", format!("`{name}` is not a target of this profile"))),
            None => Ok(names),
        }
    }

    fn nodes(&self, kinds: &[&FaultKind]) -> Result<Vec<NodeChoice>, FileError> {
        if let Some(alone) = kinds.iter().find(|kind| kinds.len() > 1 && kind.nodes != Nodes::Chosen) {
            return Err(self.invalid("fault", format!("`{alone}` chooses its nodes itself, and must stand alone")));
        }
        let given: Option<OneOrMore<NodeChoice>> = self.get("node")?;
        let given = given.map(|choices| choices.0);
        match (kinds.first().map_or(Nodes::Chosen, |kind| kind.nodes), given) {
            (Nodes::EachAppInTurn, None) => Ok(vec![NodeChoice::All]),
            (Nodes::New, None) => Ok(vec![NodeChoice::New]),
            (Nodes::Chosen, None) => Err(self.invalid("node", "say which node, or \"random\"")),
            (Nodes::EachAppInTurn, Some(given)) if given != [NodeChoice::All] => {
                Err(self.invalid("node", "it restarts \"all\" app nodes, one after the other"))
            }
            (nodes, Some(given)) if (nodes == Nodes::New) != given.contains(&NodeChoice::New) => {
                let message = "a node that joins is \"new\", and no other fault can be done to one that is not there";
                Err(self.invalid("node", message))
            }
            (_, Some(given)) => Ok(given),
        }
    }

    fn heal_after(&self, kinds: &[&FaultKind], at: Time, end: Time) -> Result<Time, FileError> {
        let heals_by_itself = kinds.iter().all(|kind| kind.heals_by_itself);
        let given: Option<Time> = self.get("heal_after")?;
        let heal_after = match given {
            None if heals_by_itself => Time::default(),
            None => return Err(self.invalid("heal_after", "say after how long it is undone")),
            Some(_) if heals_by_itself => {
                return Err(self.invalid("heal_after", "this fault is undone as soon as it can be; remove it"));
            }
            Some(heal_after) => heal_after,
        };
        if at.get() + heal_after.get() > end.get() {
            let key = if given.is_some() { "heal_after" } else { "at" };
            let message =
                format!("the fault would be healed {heal_after} after {at}, later than the load's end at {end}");
            return Err(self.invalid(key, message));
        }
        Ok(heal_after)
    }

    fn every(&self, at: Time, end: Time) -> Result<Option<Time>, FileError> {
        let Some(every) = self.get::<Time>("every")? else { return Ok(None) };
        if every.get().is_zero() {
            return Err(self.invalid("every", "it takes the time from one to the next"));
        }
        match end.get().saturating_sub(at.get()).as_nanos() / every.get().as_nanos() {
            times if times > MAX_TIMES => {
                Err(self.invalid("every", format!("it would be done {times} times; the limit is {MAX_TIMES}")))
            }
            _ => Ok(Some(every)),
        }
    }

    fn scatter(&self) -> Result<Time, FileError> {
        match (self.get::<Time>("scatter")?, self.get::<Time>("every")?) {
            (Some(scatter), Some(every)) if scatter > every => {
                let message = "it puts a fault off by at most the time to the next one, `every`";
                Err(self.invalid("scatter", message))
            }
            (scatter, _) => Ok(scatter.unwrap_or_default()),
        }
    }
}
