//! The faults of a profile's file: which keys each kind takes, checked one by one, so that a key that a kind does not
//! have is named and not left aside.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{self, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::schedule::MisfitKey;
use super::{FaultSpec, NodeChoice, Share, Time, short};
use crate::files::{FileError, Source};
use crate::history::{Direction, Fault, FaultKind, Packets, USUAL_GRACE_MS};
use crate::topology::Network;

/// The keys of `[[faults]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultFile {
    fault: Spanned<OneOrMore<FaultKind>>,
    pub targets: Option<Vec<Spanned<String>>>,
    pub node: Option<Spanned<OneOrMore<NodeChoice>>>,
    pub at: Spanned<Time>,
    heal_after: Option<Spanned<Time>>,
    every: Option<Spanned<Time>>,
    scatter: Option<Spanned<Time>>,
    grace: Option<Spanned<Time>>,
    from: Option<Spanned<OneOrMore<String>>>,
    networks: Option<Spanned<Vec<Network>>>,
    direction: Option<Spanned<Direction>>,
    share: Option<Spanned<Share>>,
    bytes_per_second: Option<Spanned<u64>>,
    delay: Option<Spanned<Time>>,
    jitter: Option<Spanned<Time>>,
    cores: Option<Spanned<f64>>,
    command: Option<Spanned<Vec<String>>>,
    heal_command: Option<Spanned<Vec<String>>>,
}

/// `"one"` or `["one", "other"]`. What is wrong with one of them is told as such, which an untagged enum would not.
#[derive(Clone)]
pub struct OneOrMore<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Words<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a list of words")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OneOrMore<T>, E> {
                T::deserialize(word.into_deserializer()).map(|one| OneOrMore(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(OneOrMore(words))
            }
        }

        deserializer.deserialize_any(Words(PhantomData))
    }
}

impl<T: Clone> OneOrMore<T> {
    fn to_vec(&self) -> Vec<T> {
        self.0.clone()
    }
}

/// Of fewer packets than one in ten thousand a trial may not send one.
const LEAST_SHARE: f64 = 0.0001;
/// How often a fault can be done in a trial.
const MOST_TIMES: u128 = 1000;

/// What the keys of a network fault say together.
const PACKETS: [&str; 3] = ["from", "networks", "direction"];

/// The keys that a kind takes beside those that all take.
const fn keys(kind: FaultKind) -> &'static [&'static str] {
    match kind {
        FaultKind::Kill
        | FaultKind::KillProcess
        | FaultKind::Pause
        | FaultKind::Memory
        | FaultKind::Clear
        | FaultKind::Join => &[],
        FaultKind::Stop | FaultKind::Restart | FaultKind::RollingRestart | FaultKind::Leave => &["grace"],
        FaultKind::Partition | FaultKind::Reject => &PACKETS,
        FaultKind::Loss => &["from", "networks", "direction", "share"],
        FaultKind::Rate => &["networks", "bytes_per_second"],
        FaultKind::Delay => &["networks", "delay", "jitter"],
        FaultKind::Reorder | FaultKind::Corrupt => &["networks", "share"],
        FaultKind::Cpu => &["cores"],
        FaultKind::Command => &["command", "heal_command"],
    }
}

impl FaultFile {
    /// Where it stands, for what is wrong with all of it.
    fn span(&self) -> Range<usize> {
        self.fault.span()
    }

    /// Where one of its keys stands.
    pub fn span_of(&self, key: MisfitKey) -> Range<usize> {
        let span = match key {
            MisfitKey::Node => self.node.as_ref().map(Spanned::span),
            MisfitKey::From => self.from.as_ref().map(Spanned::span),
            MisfitKey::Networks => self.networks.as_ref().map(Spanned::span),
            MisfitKey::Fault => None,
            MisfitKey::At => Some(self.at.span()),
        };
        span.unwrap_or_else(|| self.span())
    }

    /// Checks what can be told from the file alone: nodes and times are settled by the plan.
    pub fn check(&self, source: &Source, end: Time) -> Result<FaultSpec, FileError> {
        let kinds = self.fault.get_ref().to_vec();
        if kinds.is_empty() {
            return Err(source.invalid(self.fault.span(), Some("faults.fault"), "it takes at least one"));
        }
        self.check_keys(source, &kinds)?;
        let faults = kinds.iter().map(|kind| self.fault(source, *kind)).collect::<Result<Vec<_>, _>>()?;
        Ok(FaultSpec {
            faults,
            targets: self.targets.iter().flatten().map(|name| name.get_ref().clone()).collect(),
            nodes: self.nodes(source, &kinds)?,
            at: *self.at.get_ref(),
            heal_after: self.heal_after(source, &kinds, end)?,
            every: self.every(source, end)?,
            scatter: self.scatter(source)?,
        })
    }

    fn check_keys(&self, source: &Source, kinds: &[FaultKind]) -> Result<(), FileError> {
        let given = [
            ("grace", self.grace.as_ref().map(Spanned::span)),
            ("from", self.from.as_ref().map(Spanned::span)),
            ("networks", self.networks.as_ref().map(Spanned::span)),
            ("direction", self.direction.as_ref().map(Spanned::span)),
            ("share", self.share.as_ref().map(Spanned::span)),
            ("bytes_per_second", self.bytes_per_second.as_ref().map(Spanned::span)),
            ("delay", self.delay.as_ref().map(Spanned::span)),
            ("jitter", self.jitter.as_ref().map(Spanned::span)),
            ("cores", self.cores.as_ref().map(Spanned::span)),
            ("command", self.command.as_ref().map(Spanned::span)),
            ("heal_command", self.heal_command.as_ref().map(Spanned::span)),
        ];
        for (key, span) in given {
            let Some(span) = span else { continue };
            if !kinds.iter().any(|kind| keys(*kind).contains(&key)) {
                let kind = kinds.first().map_or("", |kind| kind.word());
                let message = match kinds.first().map_or(&[][..], |kind| keys(*kind)) {
                    [] => format!("`{kind}` takes no such key, and none of its own"),
                    known => format!("`{kind}` takes no such key; of its own it takes: {}", known.join(", ")),
                };
                return Err(source.invalid(span, Some(&format!("faults.{key}")), message));
            }
        }
        Ok(())
    }

    fn nodes(&self, source: &Source, kinds: &[FaultKind]) -> Result<Vec<NodeChoice>, FileError> {
        let rolls = kinds.contains(&FaultKind::RollingRestart);
        let joins = kinds.contains(&FaultKind::Join);
        if kinds.len() > 1 && (rolls || joins) {
            let message = "`join` and `rolling-restart` choose their nodes themselves, and stand alone";
            return Err(source.invalid(self.fault.span(), Some("faults.fault"), message));
        }
        match &self.node {
            None if rolls => Ok(vec![NodeChoice::All]),
            None if joins => Ok(vec![NodeChoice::New]),
            Some(node) if joins != node.get_ref().to_vec().contains(&NodeChoice::New) => {
                let message = "a node that joins is \"new\", and no other fault can be done to one that is not there";
                Err(source.invalid(node.span(), Some("faults.node"), message))
            }
            None => Err(source.invalid(self.fault.span(), Some("faults.node"), "say which node, or \"random\"")),
            Some(node) if rolls && node.get_ref().to_vec() != [NodeChoice::All] => {
                let message = "a rolling restart is of \"all\" app nodes, one after the other";
                Err(source.invalid(node.span(), Some("faults.node"), message))
            }
            Some(node) => Ok(node.get_ref().to_vec()),
        }
    }

    fn heal_after(&self, source: &Source, kinds: &[FaultKind], end: Time) -> Result<Time, FileError> {
        let at = *self.at.get_ref();
        let heals_at_once = kinds.iter().all(|kind| kind.heals_at_once());
        let heal_after = match &self.heal_after {
            None if heals_at_once => Time::from_millis(0),
            None => {
                let message = "say after how long it is undone";
                return Err(source.invalid(self.fault.span(), Some("faults.heal_after"), message));
            }
            Some(heal_after) if heals_at_once => {
                let message = "this fault is undone as soon as it can be";
                return Err(source.invalid(heal_after.span(), Some("faults.heal_after"), message));
            }
            Some(heal_after) => *heal_after.get_ref(),
        };
        if at.get() + heal_after.get() > end.get() {
            let (span, key) = match &self.heal_after {
                Some(heal_after) => (heal_after.span(), "faults.heal_after"),
                None => (self.at.span(), "faults.at"),
            };
            let message =
                format!("the fault would be healed {heal_after} after {at}, later than the load's end at {end}");
            return Err(source.invalid(span, Some(key), message));
        }
        Ok(heal_after)
    }

    fn every(&self, source: &Source, end: Time) -> Result<Option<Time>, FileError> {
        let Some(every) = &self.every else { return Ok(None) };
        let invalid = |message: String| Err(source.invalid(every.span(), Some("faults.every"), message));
        let (time, left) = (every.get_ref().get(), end.get().saturating_sub(self.at.get_ref().get()));
        if time.is_zero() {
            return invalid("it takes the time from one to the next".to_owned());
        }
        match left.as_nanos() / time.as_nanos() {
            times if times > MOST_TIMES => {
                invalid(format!("it would be done {times} times: at most {MOST_TIMES} are planned"))
            }
            _ => Ok(Some(*every.get_ref())),
        }
    }

    fn scatter(&self, source: &Source) -> Result<Time, FileError> {
        match (&self.scatter, &self.every) {
            (Some(scatter), Some(every)) if scatter.get_ref() > every.get_ref() => {
                let message = "it puts a fault off by at most the time to the next one, `every`";
                Err(source.invalid(scatter.span(), Some("faults.scatter"), message))
            }
            (scatter, _) => Ok(scatter.as_ref().map_or(Time::from_millis(0), |scatter| *scatter.get_ref())),
        }
    }

    fn needs<T: Clone>(
        &self,
        source: &Source,
        kind: FaultKind,
        value: Option<&Spanned<T>>,
        key: &str,
    ) -> Result<T, FileError> {
        value
            .map(|value| value.get_ref().clone())
            .ok_or_else(|| source.invalid(self.span(), Some("faults"), format!("`{kind}` needs `{key}`")))
    }

    fn share_of(&self, source: &Source, kind: FaultKind) -> Result<f64, FileError> {
        let share = self.needs(source, kind, self.share.as_ref(), "share")?.get();
        if share >= LEAST_SHARE {
            return Ok(share);
        }
        let message = format!("{} does nothing that could be seen: it takes {LEAST_SHARE} to 1", short(share));
        Err(source.invalid(self.share.as_ref().map_or(0..0, Spanned::span), Some("faults.share"), message))
    }

    fn command_of(
        &self,
        source: &Source,
        value: Option<&Spanned<Vec<String>>>,
        key: &str,
    ) -> Result<Vec<String>, FileError> {
        let command = self.needs(source, FaultKind::Command, value, key)?;
        if command.is_empty() {
            let message = "it takes a program and its arguments";
            return Err(source.invalid(value.map_or(0..0, Spanned::span), Some(&format!("faults.{key}")), message));
        }
        Ok(command)
    }

    fn fault(&self, source: &Source, kind: FaultKind) -> Result<Fault, FileError> {
        let millis = |time: Time| u64::try_from(time.get().as_millis()).unwrap_or(u64::MAX);
        let grace_ms = self.grace.as_ref().map_or(USUAL_GRACE_MS, |grace| millis(*grace.get_ref()));
        let networks = self.networks.as_ref().map(|networks| networks.get_ref().clone()).unwrap_or_default();
        let packets = Packets {
            from: self.from.as_ref().map(|from| from.get_ref().to_vec()).unwrap_or_default(),
            networks: networks.clone(),
            direction: self.direction.as_ref().map(|direction| *direction.get_ref()).unwrap_or_default(),
        };
        Ok(match kind {
            FaultKind::Kill => Fault::Kill,
            FaultKind::KillProcess => Fault::KillProcess,
            FaultKind::Stop => Fault::Stop { grace_ms },
            FaultKind::Restart => Fault::Restart { grace_ms },
            FaultKind::RollingRestart => Fault::RollingRestart { grace_ms },
            FaultKind::Pause => Fault::Pause,
            FaultKind::Partition => Fault::Partition(packets),
            FaultKind::Loss => Fault::Loss { packets, share: self.share_of(source, kind)? },
            FaultKind::Reject => Fault::Reject(packets),
            FaultKind::Rate => {
                let bytes_per_second = self.needs(source, kind, self.bytes_per_second.as_ref(), "bytes_per_second")?;
                if bytes_per_second < 1000 {
                    let span = self.bytes_per_second.as_ref().map_or(0..0, Spanned::span);
                    let message = "less than 1000 bytes a second is no rate; take `partition`";
                    return Err(source.invalid(span, Some("faults.bytes_per_second"), message));
                }
                Fault::Rate { networks, bytes_per_second }
            }
            FaultKind::Delay => Fault::Delay {
                networks,
                delay_ms: millis(self.needs(source, kind, self.delay.as_ref(), "delay")?),
                jitter_ms: self.jitter.as_ref().map_or(0, |jitter| millis(*jitter.get_ref())),
            },
            FaultKind::Reorder => Fault::Reorder { networks, share: self.share_of(source, kind)? },
            FaultKind::Corrupt => Fault::Corrupt { networks, share: self.share_of(source, kind)? },
            FaultKind::Cpu => {
                let cores = self.needs(source, kind, self.cores.as_ref(), "cores")?;
                if !(0.01..=1000.0).contains(&cores) {
                    let span = self.cores.as_ref().map_or(0..0, Spanned::span);
                    return Err(source.invalid(span, Some("faults.cores"), "it takes 0.01 to 1000 cores"));
                }
                Fault::Cpu { cores }
            }
            FaultKind::Memory => Fault::Memory,
            FaultKind::Clear => Fault::Clear,
            FaultKind::Join => Fault::Join,
            FaultKind::Leave => Fault::Leave { grace_ms },
            FaultKind::Command => Fault::Command {
                inject: self.command_of(source, self.command.as_ref(), "command")?,
                heal: self.command_of(source, self.heal_command.as_ref(), "heal_command")?,
            },
        })
    }
}
