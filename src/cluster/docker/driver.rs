//! Identifies the driver that created an object in an engine: the next run on the same machine can then find what a
//! dead driver left if its reapers could not remove it.

use std::fmt;
use std::str::FromStr;

/// The label with the driver.
pub const DRIVER_LABEL: &str = "io.steadfast.driver";

/// A process, distinct from those with the same id on other machines, in other containers and later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The machine or container where the process id is valid.
    place: String,
    process: u32,
    /// Its start, in clock ticks since boot; zero if unknown.
    began: u64,
}

impl Driver {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// A process of this machine or container.
    #[must_use]
    pub fn of(process: u32) -> Self {
        Self { place: place(), process, began: beginning_of(process).unwrap_or_default() }
    }

    /// The label of what it has created, as `key=value`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{DRIVER_LABEL}={self}")
    }

    /// Whether it was a process of this machine or container and has ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.place == place() && beginning_of(self.process) != Some(self.began)
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.place, self.process, self.began)
    }
}

impl FromStr for Driver {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.rsplitn(3, '/');
        let mut number = || parts.next()?.parse().ok();
        let (Some(began), Some(process)) = (number(), number()) else { return Err(()) };
        let place = parts.next().ok_or(())?.to_owned();
        Ok(Self { place, process: u32::try_from(process).map_err(|_| ())?, began })
    }
}

/// Host name and process namespace: containers may share the name, not the processes.
fn place() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    namespace.map_or_else(|_| name.clone(), |namespace| format!("{name} {}", namespace.display()))
}

/// When a process started, if it exists.
#[cfg(target_os = "linux")]
fn beginning_of(process: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(process).ok()?).ok()?;
    process.stat().ok().map(|stat| stat.starttime)
}

#[cfg(not(target_os = "linux"))]
fn beginning_of(process: u32) -> Option<u64> {
    let process = rustix::process::Pid::from_raw(i32::try_from(process).ok()?)?;
    rustix::process::test_kill_process(process).ok().map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_dead_only_if_it_was_a_process_of_this_place_and_has_ended() {
        let this = Driver::this();
        assert_eq!(this.to_string().parse(), Ok(this.clone()));
        assert!(!this.is_dead());
        assert!(Driver { began: this.began + 1, ..this.clone() }.is_dead(), "another one of its number");
        assert!(!Driver { place: "elsewhere".to_owned(), began: 1, ..this }.is_dead(), "nobody here can know");
        for nonsense in ["", "a", "a/b/c", "1/2", "here/-1/0"] {
            assert_eq!(nonsense.parse::<Driver>(), Err(()), "{nonsense}");
        }
    }
}
