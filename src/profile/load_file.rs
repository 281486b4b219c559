//! `[load]` in a profile's file: the keys that all loads have. The other keys are parameters, which each load model
//! defines itself. An unknown key is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use super::table::{Reader, Table};
use super::{Load, StartOf};
use crate::files::{FileError, Source};
use crate::load::{Closed, Connections, LoadModel, Overload, Schedule, Stage, Stages, ThinkTime};
use crate::values::{Lasting, Time};

/// The keys that all loads have.
const COMMON: [&str; 9] =
    ["model", "think_time", "starts", "connections", "overload", "warm_up", "duration", "timeout", "per_node"];
/// The keys that all stages have.
const COMMON_OF_STAGES: [&str; 2] = ["model", "duration"];

const DEFAULT_WARM_UP: Time = Time::from_millis(5_000);
const DEFAULT_TIMEOUT: Lasting = Lasting::TEN_SECONDS;

/// The closed load model. It is not a schedule, so it is not in the list of schedules.
const CLOSED: &str = "closed";
/// The load model of several schedules, each in its own table.
const STAGES: &str = "stages";

/// The `[load]` table, and the tables of its stages.
pub struct LoadFile {
    keys: BTreeMap<String, Spanned<Value>>,
    stages: Option<Spanned<Vec<Table>>>,
}

/// Implemented by hand, because the keys inside a stage need spans of their own, unlike the values of other keys.
impl<'de> Deserialize<'de> for LoadFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = LoadFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LoadFile, A::Error> {
                let (mut keys, mut stages) = (BTreeMap::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    if key == STAGES {
                        stages = Some(map.next_value()?);
                    } else {
                        keys.insert(key, map.next_value()?);
                    }
                }
                Ok(LoadFile { keys, stages })
            }
        }

        deserializer.deserialize_map(Parts)
    }
}

/// `"queue"` or `{ shed = "1s" }`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OverloadFile {
    #[default]
    Queue,
    Shed(Lasting),
}

/// `"1s"`, or `["500ms", "2s"]`.
#[derive(Clone, Copy)]
struct ThinkFile {
    least: Time,
    most: Time,
}

impl<'de> Deserialize<'de> for ThinkFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrTwo;

        impl<'de> Visitor<'de> for OneOrTwo {
            type Value = ThinkFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time, or the shortest and the longest in a list")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ThinkFile, E> {
                text.parse().map(|time| ThinkFile { least: time, most: time }).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ThinkFile, A::Error> {
                let least = list.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let most = list.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                if list.next_element::<Time>()?.is_some() || most < least {
                    return Err(de::Error::custom("it takes the shortest and the longest time, in this order"));
                }
                Ok(ThinkFile { least, most })
            }
        }

        deserializer.deserialize_any(OneOrTwo)
    }
}

/// Reads the load and checks every key.
///
/// # Errors
/// Names the line and the key that is missing, unknown or out of range.
pub fn read(source: &Source, file: &Spanned<LoadFile>) -> Result<Load, FileError> {
    let table = Table(Spanned::new(file.span(), file.get_ref().keys.clone()));
    let (reader, file) = (Reader { source, table: &table, name: "load", main: "model" }, file.get_ref());
    let name: String = reader.needs("model", "say which load model; `steadfast list` shows them all")?;
    let starts = reader.get::<StartOf>("starts")?.unwrap_or_default();
    if name == CLOSED && starts == StartOf::Sessions {
        return Err(reader.invalid("starts", "sessions arrive on a schedule; a closed load has none"));
    }
    let think = think_time(&reader, &name, starts)?;
    let connections = reader.get::<Connections>("connections")?.unwrap_or_default();
    if connections == Connections::Pooled(0) {
        return Err(reader.invalid("connections", "a pool needs at least one connection"));
    }
    let (model, duration) = model(&reader, file, &name, think)?;
    Ok(Load {
        model,
        starts,
        think,
        connections,
        overload: match reader.get::<OverloadFile>("overload")?.unwrap_or_default() {
            OverloadFile::Queue => Overload::Queue,
            OverloadFile::Shed(after) => Overload::Shed(after.get().as_nanos()),
        },
        warm_up: reader.get("warm_up")?.unwrap_or(DEFAULT_WARM_UP),
        duration,
        timeout: reader.get::<Lasting>("timeout")?.unwrap_or(DEFAULT_TIMEOUT).get(),
        per_node: reader.get("per_node")?.unwrap_or_default(),
    })
}

fn think_time(reader: &Reader<'_>, name: &str, starts: StartOf) -> Result<ThinkTime, FileError> {
    let users_think = name == CLOSED || starts == StartOf::Sessions;
    match reader.get::<ThinkFile>("think_time")? {
        Some(_) if !users_think => {
            let message =
                "it needs a closed load, or `starts = \"sessions\"`: other users do not wait for their replies";
            Err(reader.invalid("think_time", message))
        }
        Some(ThinkFile { least, most }) => Ok(ThinkTime { least_ns: least.as_nanos(), most_ns: most.as_nanos() }),
        None if users_think => {
            Err(reader.invalid("think_time", "say how long users think, from an answer to the next request"))
        }
        None => Ok(ThinkTime::default()),
    }
}

/// The load model, and the duration of the load after the warm-up.
fn model(reader: &Reader<'_>, file: &LoadFile, name: &str, think: ThinkTime) -> Result<(LoadModel, Time), FileError> {
    if name == STAGES {
        reader.check_keys(&COMMON, "`stages`", &[STAGES.to_owned()])?;
        if reader.has("duration") {
            return Err(reader.invalid("duration", "stages have a `duration` each, and no other; remove it"));
        }
        let stages = stages(reader.source, file.stages.as_ref().map_or(&[][..], |stages| stages.get_ref()))?;
        if stages.is_empty() {
            return Err(reader.invalid("model", "`stages` needs at least one `[[load.stages]]`"));
        }
        let length = Duration::from_nanos(stages.iter().map(|stage| stage.length_ns).sum());
        let length = Time::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        return Ok((LoadModel::Open(Schedule::Stages(Stages { stages })), length));
    }
    if let Some(stages) = &file.stages {
        let message = format!("`{name}` has no parameter `stages`; remove it, or take `model = \"stages\"`");
        return Err(reader.source.invalid(stages.span(), Some("load.stages"), message));
    }
    let duration = reader.needs::<Lasting>("duration", "say how long the load goes on after the warm-up")?.get();
    if name == CLOSED {
        reader.check_keys(&COMMON, "`closed`", &[])?;
        return Ok((LoadModel::Closed(Closed { think }), duration));
    }
    Ok((LoadModel::Open(schedule(reader, &COMMON, name, duration)?), duration))
}

fn stages(source: &Source, tables: &[Table]) -> Result<Vec<Stage>, FileError> {
    let stage = |table: &Table| {
        let reader = Reader { source, table, name: "load.stages", main: "model" };
        let name: String = reader.needs("model", "say which load model")?;
        if name == CLOSED || name == STAGES {
            return Err(reader.invalid("model", "a stage is a schedule: neither closed nor stages"));
        }
        let length = reader.needs::<Lasting>("duration", "say how long the stage goes on")?.get();
        let schedule = schedule(&reader, &COMMON_OF_STAGES, &name, length)?;
        Ok(Stage { schedule, length_ns: length.as_nanos() })
    };
    tables.iter().map(stage).collect()
}

/// Reads the schedule `name` and refuses keys that it does not have.
fn schedule(reader: &Reader<'_>, common: &[&str], name: &str, length: Time) -> Result<Schedule, FileError> {
    let known = Schedule::all();
    let Some((_, _, keys)) = known.iter().find(|(known, _, _)| *known == name) else {
        let names: Vec<&str> = known.iter().map(|(name, _, _)| *name).chain([STAGES, CLOSED]).collect();
        return Err(
            reader.invalid("model", format!("no load model is called `{name}`; there are: {}", names.join(", ")))
        );
    };
    reader.check_keys(common, &format!("`{name}`"), &keys.all)?;
    let schedule = Schedule::read(name, &reader.values(), length).map_err(|bad| reader.bad(bad))?;
    schedule.ok_or_else(|| reader.invalid("model", "no such load model"))
}
