//! The load of a profile's file: which keys each model takes, checked one by one, so that a key that a model does not
//! have is named and not left aside.

use std::fmt;
use std::ops::Range;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Load, StartOf};
use crate::files::{FileError, Source};
use crate::load::{
    Closed, Connections, ConstantRate, LoadModel, Overload, Poisson, Ramp, Schedule, Spike, Stage, Stages, Step,
    ThinkTime,
};
use crate::values::{Lasting, MIN_RATE, Rate, Time};

/// The keys of `[load]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadFile {
    model: Spanned<ModelName>,
    rate: Option<Spanned<Rate>>,
    from: Option<Spanned<f64>>,
    to: Option<Spanned<f64>>,
    by: Option<Spanned<f64>>,
    every: Option<Spanned<Lasting>>,
    peak: Option<Spanned<Rate>>,
    at: Option<Spanned<Time>>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<Lasting>>,
    stages: Option<Spanned<Vec<Spanned<StageFile>>>>,
    think_time: Option<Spanned<ThinkFile>>,
    starts: Option<Spanned<StartOf>>,
    #[serde(default)]
    connections: Connections,
    #[serde(default)]
    overload: OverloadFile,
    #[serde(default = "default_warm_up")]
    warm_up: Time,
    pub duration: Option<Spanned<Lasting>>,
    #[serde(default = "default_timeout")]
    timeout: Lasting,
    #[serde(default)]
    pub per_node: bool,
}

const fn default_warm_up() -> Time {
    Time::from_millis(5_000)
}

const fn default_timeout() -> Lasting {
    Lasting::TEN_SECONDS
}

/// One of several schedules. Its keys stand here again because what is flattened does not know its line any more.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageFile {
    model: Spanned<ModelName>,
    rate: Option<Spanned<Rate>>,
    from: Option<Spanned<f64>>,
    to: Option<Spanned<f64>>,
    by: Option<Spanned<f64>>,
    every: Option<Spanned<Lasting>>,
    peak: Option<Spanned<Rate>>,
    at: Option<Spanned<Time>>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<Lasting>>,
    duration: Lasting,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ModelName {
    Closed,
    ConstantRate,
    Poisson,
    Ramp,
    Step,
    Spike,
    Stages,
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

/// What a model's keys hold: each is taken by the model that has it, and what is left was meant for another.
struct Keys<'a> {
    source: &'a Source,
    within: &'static str,
    model: Range<usize>,
    rate: Option<Spanned<Rate>>,
    from: Option<Spanned<f64>>,
    to: Option<Spanned<f64>>,
    by: Option<Spanned<f64>>,
    every: Option<Spanned<Lasting>>,
    peak: Option<Spanned<Rate>>,
    at: Option<Spanned<Time>>,
    lasts: Option<Spanned<Lasting>>,
}

impl Keys<'_> {
    fn needs<T>(&self, value: Option<Spanned<T>>, key: &str, meaning: &str) -> Result<T, FileError> {
        value.map(Spanned::into_inner).ok_or_else(|| {
            let message = format!("this model needs `{key}`, {meaning}");
            self.source.invalid(self.model.clone(), Some(self.within), message)
        })
    }

    fn rate_of(&self, value: Option<Spanned<f64>>, key: &str, meaning: &str) -> Result<f64, FileError> {
        let span = value.as_ref().map(Spanned::span).unwrap_or_default();
        let rate = self.needs(value, key, meaning)?;
        if rate == 0.0 || (MIN_RATE..=1e6).contains(&rate) {
            return Ok(rate);
        }
        let message = format!("{rate} is not a rate: it takes 0, or 0.001 to 1000000 operations per second");
        Err(self.source.invalid(span, Some(&format!("{}.{key}", self.within)), message))
    }

    fn rate(&mut self) -> Result<f64, FileError> {
        let rate = self.rate.take();
        Ok(self.needs(rate, "rate", "in operations a second")?.per_second())
    }

    fn lasting(&mut self, value: Option<Spanned<Lasting>>, key: &str, meaning: &str) -> Result<u64, FileError> {
        self.needs(value, key, meaning).map(|lasting| lasting.get().as_nanos())
    }

    /// What is right by itself and makes no load.
    fn senseless<T>(&self, span: Option<Range<usize>>, key: &str, why: &str) -> Result<T, FileError> {
        let span = span.unwrap_or_else(|| self.model.clone());
        Err(self.source.invalid(span, Some(&format!("{}.{key}", self.within)), why))
    }

    fn schedule(&mut self, name: ModelName, length: Time) -> Result<Option<Schedule>, FileError> {
        Ok(Some(match name {
            ModelName::Closed | ModelName::Stages => return Ok(None),
            ModelName::ConstantRate => Schedule::ConstantRate(ConstantRate::new(self.rate()?)),
            ModelName::Poisson => Schedule::Poisson(Poisson::new(self.rate()?)),
            ModelName::Ramp => {
                let (from, to) = (self.from.take(), self.to.take());
                let span = to.as_ref().map(Spanned::span);
                let from = self.rate_of(from, "from", "the rate at its start")?;
                let to = self.rate_of(to, "to", "the rate at its end")?;
                if from == 0.0 && to == 0.0 {
                    return self.senseless(span, "to", "a ramp from 0 to 0 asks for nothing");
                }
                Schedule::Ramp(Ramp { from, to, over_ns: length.as_nanos() })
            }
            ModelName::Step => {
                let (from, by, every) = (self.from.take(), self.by.take(), self.every.take());
                let from = self.rate_of(from, "from", "the rate of the first step")?;
                let span = by.as_ref().map(Spanned::span);
                let by = self.needs(by, "by", "how much each step adds")?;
                let every_ns = self.lasting(every, "every", "how long a step lasts")?;
                let last = from + by * (length.as_nanos().saturating_sub(1) / every_ns) as f64;
                if !(0.0..=1e6).contains(&last) {
                    let why = format!("its last step would be {last} operations a second: it takes 0 to 1000000");
                    return self.senseless(span, "by", &why);
                }
                Schedule::Step(Step { from, by, every_ns })
            }
            ModelName::Spike => {
                let (peak, at, lasts) = (self.peak.take(), self.at.take(), self.lasts.take());
                let rate = self.rate()?;
                let peak = self.needs(peak, "peak", "the rate meanwhile")?.per_second();
                let span = at.as_ref().map(Spanned::span);
                let at_ns = self.needs(at, "at", "when it begins")?.as_nanos();
                if at_ns >= length.as_nanos() {
                    return self.senseless(span, "at", &format!("the load ends at {length}, before the spike begins"));
                }
                let length_ns = self.lasting(lasts, "for", "how long it lasts")?;
                Schedule::Spike(Spike { rate, peak, at_ns, length_ns })
            }
        }))
    }

    /// What nobody has taken.
    fn finish(self) -> Result<(), FileError> {
        let left = [
            ("rate", self.rate.map(|value| value.span())),
            ("from", self.from.map(|value| value.span())),
            ("to", self.to.map(|value| value.span())),
            ("by", self.by.map(|value| value.span())),
            ("every", self.every.map(|value| value.span())),
            ("peak", self.peak.map(|value| value.span())),
            ("at", self.at.map(|value| value.span())),
            ("for", self.lasts.map(|value| value.span())),
        ];
        match left.into_iter().find_map(|(key, span)| Some((key, span?))) {
            None => Ok(()),
            Some((key, span)) => Err(self.source.invalid(
                span,
                Some(&format!("{}.{key}", self.within)),
                "this model does not have this key",
            )),
        }
    }
}

impl LoadFile {
    /// How long the load goes on after the warm-up.
    fn length(&self, source: &Source) -> Result<Time, FileError> {
        let stages = self.stages.iter().flat_map(Spanned::get_ref);
        let stages: std::time::Duration = stages.map(|stage| stage.get_ref().duration.get().get()).sum();
        match (&self.duration, self.model.get_ref()) {
            (Some(duration), ModelName::Stages) => {
                let message = "stages have a `duration` each, and no other";
                Err(source.invalid(duration.span(), Some("load.duration"), message))
            }
            (None, ModelName::Stages) => Ok(Time::from_millis(u64::try_from(stages.as_millis()).unwrap_or(u64::MAX))),
            (Some(duration), _) => Ok(duration.get_ref().get()),
            (None, _) => {
                Err(source.invalid(self.model.span(), Some("load"), "it needs `duration`, how long it goes on"))
            }
        }
    }

    /// The load, once every key has found its place.
    ///
    /// # Errors
    /// Names line and key of what is missing, left over or out of range.
    pub fn check(self, source: &Source) -> Result<Load, FileError> {
        let duration = self.length(source)?;
        let (name, model_span) = (*self.model.get_ref(), self.model.span());
        let invalid = |span: Range<usize>, key: &str, message: &str| Err(source.invalid(span, Some(key), message));
        let starts = self.starts.as_ref().map_or(StartOf::Operations, |starts| *starts.get_ref());
        if let Some(starts) = self.starts.as_ref().filter(|_| starts == StartOf::Sessions && name == ModelName::Closed)
        {
            return invalid(starts.span(), "load.starts", "sessions arrive on a schedule; a closed load has none");
        }
        let think = match &self.think_time {
            Some(think) if name != ModelName::Closed && starts == StartOf::Operations => {
                return invalid(
                    think.span(),
                    "load.think_time",
                    "only users who wait for their answer think: a closed load, or sessions that arrive",
                );
            }
            Some(think) => {
                let ThinkFile { least, most } = *think.get_ref();
                ThinkTime { least_ns: least.as_nanos(), most_ns: most.as_nanos() }
            }
            None if name == ModelName::Closed || starts == StartOf::Sessions => {
                return invalid(model_span, "load", "it needs `think_time`, from an answer to the next request");
            }
            None => ThinkTime::default(),
        };
        if self.connections == Connections::Pooled(0) {
            return invalid(model_span, "load.connections", "a pool needs at least one connection");
        }
        if let Some(stages) = self.stages.as_ref().filter(|_| name != ModelName::Stages) {
            return invalid(stages.span(), "load.stages", "this model does not have this key");
        }
        let mut keys = Keys {
            source,
            within: "load",
            model: model_span.clone(),
            rate: self.rate,
            from: self.from,
            to: self.to,
            by: self.by,
            every: self.every,
            peak: self.peak,
            at: self.at,
            lasts: self.lasts,
        };
        let model = match (keys.schedule(name, duration)?, name) {
            (Some(schedule), _) => LoadModel::Open(schedule),
            (None, ModelName::Stages) => {
                let stages = self.stages.map(Spanned::into_inner).unwrap_or_default();
                if stages.is_empty() {
                    return invalid(model_span, "load", "it needs at least one `[[load.stages]]`");
                }
                let stages = stages.into_iter().map(|stage| check_stage(source, stage)).collect::<Result<_, _>>()?;
                LoadModel::Open(Schedule::Stages(Stages { stages }))
            }
            (None, _) => LoadModel::Closed(Closed { think }),
        };
        keys.finish()?;
        Ok(Load {
            model,
            starts,
            think,
            connections: self.connections,
            overload: match self.overload {
                OverloadFile::Queue => Overload::Queue,
                OverloadFile::Shed(after) => Overload::Shed(after.get().as_nanos()),
            },
            warm_up: self.warm_up,
            duration,
            timeout: self.timeout.get(),
            per_node: self.per_node,
        })
    }
}

fn check_stage(source: &Source, stage: Spanned<StageFile>) -> Result<Stage, FileError> {
    let stage = stage.into_inner();
    let mut keys = Keys {
        source,
        within: "load.stages",
        model: stage.model.span(),
        rate: stage.rate,
        from: stage.from,
        to: stage.to,
        by: stage.by,
        every: stage.every,
        peak: stage.peak,
        at: stage.at,
        lasts: stage.lasts,
    };
    let schedule = keys.schedule(*stage.model.get_ref(), stage.duration.get())?.ok_or_else(|| {
        source.invalid(
            stage.model.span(),
            Some("load.stages.model"),
            "a stage is a schedule: neither closed nor stages",
        )
    })?;
    keys.finish()?;
    Ok(Stage { schedule, length_ns: stage.duration.get().as_nanos() })
}
