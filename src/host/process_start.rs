//! What a process got at its start: when that was, and its environment.

use super::clock::nanoseconds;
use super::process::ProcessIdentity;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;

const SECOND_NS: i64 = 1_000_000_000;

/// When a process started, in nanoseconds since 1970 by the clock as it is now: a clock that was wrong at
/// boot and is right now does not count. The kernel rounds down to a tick, which is 10 ms.
pub fn start_of(pid: u32) -> Option<i64> {
    let ticks = i64::try_from(ProcessIdentity::of(pid)?.started).ok()?;
    let rate = i64::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    let since_boot = ticks.checked_mul(SECOND_NS)?.checked_div(rate)?;
    let now = clock_gettime(ClockId::Boottime);
    let now = now
        .tv_sec
        .checked_mul(SECOND_NS)?
        .checked_add(now.tv_nsec)?;
    nanoseconds().checked_sub(now.checked_sub(since_boot)?)
}

/// The clock ticks since the boot, as in [`ProcessIdentity::started`].
pub fn ticks_since_boot() -> Option<u64> {
    let now = clock_gettime(ClockId::Boottime);
    let rate = i64::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    let part = now.tv_nsec.checked_mul(rate)?.checked_div(SECOND_NS)?;
    let ticks = now.tv_sec.checked_mul(rate)?.checked_add(part)?;
    u64::try_from(ticks).ok()
}

/// The environment that a process got, by name; `None` when it cannot be read. A process may have
/// overwritten it, as to change its title.
pub fn environment_of(pid: u32) -> Option<BTreeMap<String, String>> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let entries = text.split('\0').filter_map(|entry| entry.split_once('='));
    Some(
        entries
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{environment_of, start_of, ticks_since_boot};
    use crate::host::{ProcessIdentity, nanoseconds};

    #[test]
    fn a_process_shows_when_it_started_and_its_environment() {
        let (before, ticks) = (nanoseconds(), ticks_since_boot().unwrap());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("A", "b=c")
            .spawn()
            .unwrap();
        let after = nanoseconds();
        let tick = 10_000_000;
        let start = start_of(child.id()).unwrap();
        let started = ProcessIdentity::of(child.id()).unwrap().started;
        assert!(started >= ticks && started <= ticks_since_boot().unwrap());
        assert!(start >= before - 2 * tick && start <= after + tick);
        // `spawn` may return while the kernel still sets the new program up.
        let environment = loop {
            let found = environment_of(child.id()).unwrap();
            if !found.is_empty() {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(environment.get("A").map(String::as_str), Some("b=c"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(start_of(child.id()), None);
        assert_eq!(environment_of(child.id()), None);
    }
}
