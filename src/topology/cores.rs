//! The cores of nodes and agent: separate, so that they do not distort each other's measurements.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A set of cores, as the kernel and Docker write it: `0`, `0-1`, `0,2-3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CoreSet {
    cores: Vec<u16>,
    text: String,
}

impl CoreSet {
    /// The cores, counted from 0, in order.
    #[must_use]
    pub fn cores(&self) -> &[u16] {
        &self.cores
    }
}

impl FromStr for CoreSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a set of cores; write it as \"0\", \"0-1\" or \"0,2-3\"");
        let number = |part: &str| part.trim().parse::<u16>().ok().filter(|core| *core < 1024).ok_or_else(wrong);
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(wrong());
            }
            cores.extend(first..=last);
        }
        cores.sort_unstable();
        cores.dedup();
        Ok(Self { cores, text: text.to_owned() })
    }
}

impl TryFrom<String> for CoreSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CoreSet> for String {
    fn from(cores: CoreSet) -> Self {
        cores.text
    }
}

impl fmt::Display for CoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The cores of agent and nodes. Without a set, any core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoreSets {
    /// The agent.
    #[serde(default)]
    pub agent: Option<CoreSet>,
    /// Every node of the target.
    #[serde(default)]
    pub target: Option<CoreSet>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_cores_in_the_kernels_notation_are_read_and_others_are_refused() {
        let cores = |text: &str| text.parse::<CoreSet>().map(|set| set.cores);
        assert_eq!(cores("1"), Ok(vec![1]));
        assert_eq!(cores("0,2-4,3"), Ok(vec![0, 2, 3, 4]));
        for bad in ["", "a", "1-", "3-1", "-1", "1024", "0,"] {
            assert!(cores(bad).is_err(), "{bad}");
        }
    }
}
