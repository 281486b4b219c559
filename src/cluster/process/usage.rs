//! Memory and CPU time of a process, from `/proc`.

/// Resource usage of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory that only this process uses, without file mappings.
    pub resident_bytes: u64,
    /// CPU time of all its threads.
    pub cpu_ns: u64,
}

/// The usage of a process; `None` if it is gone or the system reports none.
#[cfg(target_os = "linux")]
pub fn of(pid: u32) -> Option<Usage> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    let resident_bytes = process.status().ok()?.rssanon? * 1024;
    let stat = process.stat().ok()?;
    // The scheduler's counter is exact but covers only living threads; the other one has steps of 10 ms.
    let living: u64 = process
        .tasks()
        .ok()?
        .flatten()
        .filter_map(|task| task.schedstat().ok())
        .map(|schedule| schedule.sum_exec_runtime)
        .sum();
    let all = (stat.utime + stat.stime) * 1_000_000_000 / procfs::ticks_per_second();
    Some(Usage { resident_bytes, cpu_ns: living.max(all) })
}

/// Whether the process is stopped by a signal.
#[cfg(target_os = "linux")]
pub fn is_stopped(pid: u32) -> bool {
    let stat = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok()?.stat().ok());
    stat.is_some_and(|stat| stat.state == 'T')
}

/// Other systems have no `/proc`.
#[cfg(not(target_os = "linux"))]
pub fn of(_: u32) -> Option<Usage> {
    None
}

/// Other systems have no `/proc`, so a delivered stop signal is assumed to have worked.
#[cfg(not(target_os = "linux"))]
pub fn is_stopped(_: u32) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_its_cpu_time_grows() {
        let before = of(std::process::id()).unwrap();
        assert!(before.resident_bytes > 100_000, "{before:?}");
        let mut sum = 0u64;
        while of(std::process::id()).unwrap().cpu_ns == before.cpu_ns {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(of(u32::MAX).is_none());
        assert!(!is_stopped(std::process::id()));
    }
}
