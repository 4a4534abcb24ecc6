//! Waiting until a server accepts connections.
//!
//! A service that systemd calls active may not accept yet: Gunicorn reports that it is ready before
//! its workers are. [`Readiness`] decides from samples of the kernel's view, and [`wait_ready`] takes
//! them. [`wait_listening`] connects instead, for a server that binds its own address.

use super::acceptors::{ManagerSockets, acceptors};
use super::http::Address;
use super::run::Run;
use crate::app::{Service, Socket, Type};
use crate::error::HintedError;
use crate::host::{self, Deadline, Host, Stopwatch, UnitStatus};
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long to wait for a server that may wait for connections in a way that the kernel does not show.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a live service is sampled, to count its acceptors.
const SAMPLE_TIME: Duration = Duration::from_millis(40);
/// The time between two of these samples.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);
/// How long a server may accept connections after SIGTERM.
const STOP_ACCEPTING_TIME: Duration = Duration::from_secs(10);
/// When the number of acceptors has not grown for this long, it will not grow further.
const STEADY_TIME: Duration = Duration::from_secs(1);
/// How long the last attempt to connect may take.
const LAST_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the kernel and systemd show of a unit at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The time since the wait began.
    pub(crate) at: Duration,
    /// Whether the unit is active.
    pub(crate) is_active: bool,
    /// The processes of the unit.
    pub(crate) members: BTreeSet<u32>,
    /// The processes that wait for connections at this moment.
    pub(crate) acceptors: BTreeSet<u32>,
}

/// The decision after a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Take another sample.
    Waiting,
    /// Enough processes wait for connections.
    Ready,
    /// The unit is not active any more.
    Down,
}

/// Counts the processes of a unit that wait for connections.
///
/// A busy process waits only now and then, so a process counts from the first sample that shows it
/// until it ends.
#[derive(Debug)]
pub(crate) struct Readiness {
    wanted: usize,
    seen: BTreeSet<u32>,
    grown_at: Duration,
}

impl Readiness {
    /// Waits for as many acceptors as the unit that it replaces has, and for at least one.
    pub(crate) fn new(wanted: usize) -> Self {
        Self {
            wanted: wanted.max(1),
            seen: BTreeSet::new(),
            grown_at: Duration::ZERO,
        }
    }

    /// Takes a sample into account.
    pub(crate) fn step(&mut self, sample: &Sample) -> Progress {
        if !sample.is_active {
            return Progress::Down;
        }
        let before = self.seen.len();
        self.seen.extend(&sample.acceptors);
        self.seen.retain(|pid| sample.members.contains(pid));
        if self.seen.len() > before {
            self.grown_at = sample.at;
        }
        // A release may have fewer workers than the previous one.
        let is_steady = sample.at.saturating_sub(self.grown_at) >= STEADY_TIME;
        if self.seen.len() >= self.wanted || (!self.seen.is_empty() && is_steady) {
            Progress::Ready
        } else {
            Progress::Waiting
        }
    }
}

/// Waits until as many processes of `unit` wait for connections as of the control group of `previous`, a
/// process that is about to end. `state` is what is known of `unit`, and `sockets` are what systemd has open
/// since the start of `unit`. Returns false when `unit` is down.
pub(crate) fn wait_ready(
    host: &Host,
    service: &Service,
    unit: &str,
    state: Option<&UnitStatus>,
    previous: u32,
    sockets: &ManagerSockets,
) -> bool {
    if service.socket != Socket::Activate || host.is_offline() {
        return true;
    }
    let wanted = count_acceptors(sockets, || host::members_with(previous));
    let timeout = match service.kind {
        // The old process waits in a way that the kernel does not show, or is always busy. The new one
        // has reported that it is ready.
        Type::Notify if wanted == 0 => STEADY_TIME,
        // systemd calls it started when its program runs, and the old process can go on meanwhile.
        Type::Simple | Type::Exec if wanted > 0 => service.timeout_start.duration,
        _ => ACCEPT_TIMEOUT,
    };
    wait(host, unit, state, sockets, wanted, timeout)
}

/// Waits until a process of `unit` waits for connections, if the kernel shows that within a time.
/// Returns false when `unit` is down.
pub(crate) fn wait_accepting(host: &Host, unit: &str) -> bool {
    wait(host, unit, None, &ManagerSockets::read(), 1, STEADY_TIME)
}

/// Waits until no process of a control group waits for connections. Returns false when one still does after
/// [`STOP_ACCEPTING_TIME`].
pub(crate) fn stops_accepting(group: &str, sockets: &ManagerSockets) -> bool {
    let stopped = host::wait_until(STOP_ACCEPTING_TIME, || {
        match count_acceptors(sockets, || host::members_of(group)) {
            0 => Ok(()),
            _ => Err(()),
        }
    });
    stopped.is_ok()
}

fn wait(
    host: &Host,
    unit: &str,
    state: Option<&UnitStatus>,
    sockets: &ManagerSockets,
    wanted: usize,
    timeout: Duration,
) -> bool {
    let (start, mut readiness) = (Stopwatch::start(), Readiness::new(wanted));
    let mut progress = Progress::Waiting;
    let mut run = state.map(Run::of).unwrap_or_default();
    let _: Result<(), ()> = host::wait_until(timeout, || {
        if !run.is_known_to_last() {
            run = Run::of(&host.systemd.show_one(unit).map_err(drop)?);
        }
        if run.first.is_skipped() {
            progress = Progress::Ready; // It does not run on this host.
            return Ok(());
        }
        let members = host::members(&run.first);
        progress = readiness.step(&Sample {
            at: start.elapsed(),
            is_active: run.first.is_active(),
            acceptors: acceptors(members.clone(), sockets),
            members: members.into_iter().collect(),
        });
        if progress == Progress::Waiting {
            Err(())
        } else {
            Ok(())
        }
    });
    progress != Progress::Down
}

/// The number of processes that wait for connections at any time during [`SAMPLE_TIME`].
fn count_acceptors(sockets: &ManagerSockets, processes: impl Fn() -> Vec<u32>) -> usize {
    let mut seen = BTreeSet::new();
    let end = Deadline::after(SAMPLE_TIME);
    while !end.is_over() && !host::interrupted() {
        let processes = processes();
        let count = processes.len();
        seen.extend(acceptors(processes, sockets));
        if seen.len() >= count {
            break; // There are no others.
        }
        host::pause(SAMPLE_INTERVAL);
    }
    seen.len()
}

/// Waits until a server accepts connections at an address: the readiness gate of a service behind a
/// proxy. The wait also ends when the process `program` ends.
///
/// # Errors
/// [`HintedError`] when the time is over or the program has ended.
pub(crate) fn wait_listening(
    address: &Address,
    within: Duration,
    program: Option<u32>,
) -> Result<()> {
    let end = Deadline::after(within + LAST_CONNECT_TIMEOUT);
    let mut has_ended = false;
    let connected = host::wait_until(within, || {
        let connected = address.dial(end).map(drop);
        has_ended = connected.is_err() && program.is_some_and(host::has_ended);
        if has_ended { Ok(()) } else { connected }
    });
    let shown = address.to_string();
    let shown = shown.trim_start_matches("http://");
    let error = match connected {
        Ok(()) if has_ended => HintedError::new(
            format!("the program ended before it accepted on {shown}"),
            "see the lines that it wrote",
        ),
        Ok(()) => return Ok(()),
        Err(error) => HintedError::new(
            format!(
                "nothing accepts connections on {shown} after {}s: {error}",
                within.as_secs()
            ),
            "with `socket = \"proxy\"`, the program must bind this address itself",
        ),
    };
    Err(error.into())
}

#[cfg(test)]
mod tests {
    use super::{Progress, Readiness, STEADY_TIME, Sample};
    use std::time::Duration;

    fn sample(millis: u64, members: &[u32], acceptors: &[u32]) -> Sample {
        Sample {
            at: Duration::from_millis(millis),
            is_active: true,
            members: members.iter().copied().collect(),
            acceptors: acceptors.iter().copied().collect(),
        }
    }

    #[test]
    fn it_is_ready_when_as_many_processes_wait_as_before() {
        let mut readiness = Readiness::new(2);
        assert_eq!(readiness.step(&sample(0, &[1], &[])), Progress::Waiting);
        assert_eq!(readiness.step(&sample(9, &[1, 2], &[2])), Progress::Waiting);
        // Process 2 is busy now, and still counts.
        let last = sample(20, &[1, 2, 3], &[3]);
        assert_eq!(readiness.step(&last), Progress::Ready);
    }

    #[test]
    fn a_process_that_ended_does_not_count() {
        let mut readiness = Readiness::new(2);
        assert_eq!(readiness.step(&sample(0, &[2], &[2])), Progress::Waiting);
        assert_eq!(readiness.step(&sample(9, &[3], &[3])), Progress::Waiting);
        assert_eq!(readiness.step(&sample(9, &[3, 4], &[4])), Progress::Ready);
    }

    #[test]
    fn fewer_processes_are_enough_once_their_number_is_steady() {
        let steady = u64::try_from(STEADY_TIME.as_millis()).unwrap();
        let mut readiness = Readiness::new(4);
        assert_eq!(readiness.step(&sample(500, &[1], &[1])), Progress::Waiting);
        let early = sample(500 + steady - 1, &[1], &[]);
        assert_eq!(readiness.step(&early), Progress::Waiting);
        let late = sample(500 + steady, &[1], &[]);
        assert_eq!(readiness.step(&late), Progress::Ready);
    }

    #[test]
    fn without_an_acceptor_it_is_never_ready() {
        let mut readiness = Readiness::new(0);
        assert_eq!(readiness.step(&sample(0, &[1], &[])), Progress::Waiting);
        assert_eq!(readiness.step(&sample(9000, &[1], &[])), Progress::Waiting);
        assert_eq!(readiness.step(&sample(9001, &[1], &[1])), Progress::Ready);
    }

    #[test]
    fn a_unit_that_went_down_ends_the_wait() {
        let mut readiness = Readiness::new(1);
        let down = Sample {
            is_active: false,
            ..sample(0, &[1], &[1])
        };
        assert_eq!(readiness.step(&down), Progress::Down);
    }
}
