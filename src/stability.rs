//! Whether a unit stays up: how often systemd has restarted it within the last minutes, whether the kernel
//! has killed its processes because memory ran out, and whether it has missed its watchdog.
//!
//! A service that ends every few seconds is `active` whenever somebody looks. The numbers below are the same
//! for the doctor, `status`, the status page and the soak time of a deploy.

use crate::ago::{seconds_between, span};
use crate::host::{Host, RunEvent, RunEventKind, UnitStatus, now, oom_kills};
use anyhow::Result;
use jiff::Timestamp;
use std::time::Duration;

/// How far back restarts count.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);
/// How many restarts by systemd within [`WINDOW`] are a crash loop.
pub(crate) const LOOP_RESTARTS: u64 = 3;
/// How many restarts by systemd within the soak time of a deploy fail the release.
pub(crate) const SOAK_RESTARTS: u64 = 2;

/// What keeps a unit from staying up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instability {
    /// systemd restarts it again and again.
    Loops {
        /// The restarts within [`WINDOW`]; or since a person or robotctl started it, where the systemd
        /// journal cannot be read.
        restarts: u64,
        /// Where it cannot be read: how many seconds ago the last one was.
        last: Option<u64>,
    },
    /// The kernel has killed processes of it because memory ran out.
    OutOfMemory {
        /// How many, within [`WINDOW`] or since it started.
        kills: u64,
    },
    /// It did not notify its watchdog in time, so systemd ended and restarted it.
    Watchdog {
        /// How often within [`WINDOW`].
        trips: u64,
    },
}

impl Instability {
    /// What so many processes mean that the kernel killed because memory ran out: one is too many.
    pub(crate) fn of_kills(kills: u64) -> Option<Self> {
        (kills > 0).then_some(Self::OutOfMemory { kills })
    }

    /// Whether the unit does not work. Otherwise it works, and needs attention.
    pub(crate) fn is_down(&self) -> bool {
        match self {
            Self::Loops { .. } => true,
            Self::OutOfMemory { .. } | Self::Watchdog { .. } => false,
        }
    }

    /// What happened, as a clause about the unit.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Loops {
                restarts,
                last: None,
            } => {
                let minutes = WINDOW.as_secs() / 60;
                format!("restarted {restarts} times by itself within {minutes} minutes")
            }
            Self::Loops {
                restarts,
                last: Some(seconds),
            } => {
                let last = span(*seconds);
                format!("restarted {restarts} times by itself, the last time {last} ago")
            }
            Self::Watchdog { trips } => {
                let minutes = WINDOW.as_secs() / 60;
                let times = if *trips == 1 {
                    "once".to_owned()
                } else {
                    format!("{trips} times")
                };
                format!("did not notify its watchdog in time, {times} within {minutes} minutes")
            }
            Self::OutOfMemory { kills: 1 } => {
                "lost a process, which the kernel killed because memory ran out".to_owned()
            }
            Self::OutOfMemory { kills } => {
                format!("lost {kills} processes, which the kernel killed because memory ran out")
            }
        }
    }
}

/// The units of an app that do not stay up. What happened before `since`, when the live release went live,
/// does not count.
///
/// # Errors
/// When systemd does not answer.
pub(crate) fn unstable_units(
    host: &Host,
    units: &[String],
    since: Option<Timestamp>,
) -> Result<Vec<(String, Instability)>> {
    if units.is_empty() || host.is_offline() {
        return Ok(Vec::new());
    }
    let states = host.systemd.show_matching(units)?;
    let states: Vec<&UnitStatus> = states.iter().collect();
    Ok(unstable_among(host, &states, since))
}

/// The same among units of which the states are known, with times.
pub(crate) fn unstable_among(
    host: &Host,
    states: &[&UnitStatus],
    since: Option<Timestamp>,
) -> Vec<(String, Instability)> {
    let restarted = states.iter().filter(|state| state.n_restarts > 0);
    let restarted: Vec<String> = restarted.map(|state| state.id.clone()).collect();
    let events = host.systemd.run_events(&restarted, WINDOW);
    let now = now();
    let unstable = states.iter().filter_map(|state| {
        let what = instability(state, &events, oom_kills(state), since, now)?;
        Some((state.id.clone(), what))
    });
    unstable.collect()
}

/// What keeps a unit from staying up. `events` are those of the systemd journal, as far as this user can
/// read it, and `kills` is what the control group of the unit says.
pub(crate) fn instability(
    state: &UnitStatus,
    events: &[RunEvent],
    kills: Option<u64>,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Instability> {
    let first = now.checked_sub(WINDOW).unwrap_or(now);
    let first = since.map_or(first, |since| since.max(first));
    let count = |kind| {
        let own = events.iter();
        let own = own.filter(|one| one.unit == state.id && one.kind == kind && one.at >= first);
        u64::try_from(own.count()).unwrap_or(u64::MAX)
    };
    // A start by a person or by robotctl sets the number of systemd to zero.
    let restarts = count(RunEventKind::Restarted).min(state.n_restarts);
    if restarts >= LOOP_RESTARTS {
        return Some(Instability::Loops {
            restarts,
            last: None,
        });
    }
    // Without a line of the last restart, the journal cannot be read or has lost it.
    let last = state.main_started.or(state.main_ended);
    let recent = last.filter(|last| *last >= first);
    if let Some(last) = recent.filter(|_| restarts == 0 && state.n_restarts >= LOOP_RESTARTS) {
        return Some(Instability::Loops {
            restarts: state.n_restarts,
            last: Some(seconds_between(last, now)),
        });
    }
    // A unit that restarts gets a new control group, which begins at zero.
    let kills = kills.unwrap_or(0).max(count(RunEventKind::OutOfMemory));
    if let Some(killed) = Instability::of_kills(kills) {
        return Some(killed);
    }
    // Only a unit that systemd has restarted since can have tripped in the runs that count.
    let trips = count(RunEventKind::Watchdog).min(state.n_restarts);
    (trips > 0).then_some(Instability::Watchdog { trips })
}

#[cfg(test)]
mod tests {
    use super::{Instability, instability};
    use crate::host::{RunEvent, RunEventKind, UnitStatus};
    use jiff::Timestamp;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds_ago: i64) -> Timestamp {
        Timestamp::from_second(NOW - seconds_ago).unwrap()
    }

    fn unit(n_restarts: u64, started: i64) -> UnitStatus {
        UnitStatus {
            id: "shop-web.service".to_owned(),
            n_restarts,
            main_started: Some(at(started)),
            ..UnitStatus::default()
        }
    }

    fn events(kind: RunEventKind, times: &[i64]) -> Vec<RunEvent> {
        let event = |ago: &i64| RunEvent {
            unit: "shop-web.service".to_owned(),
            kind,
            at: at(*ago),
        };
        times.iter().map(event).collect()
    }

    #[test]
    fn only_restarts_within_the_window_and_of_the_live_release_are_a_loop() {
        let loops = |restarts| {
            Some(Instability::Loops {
                restarts,
                last: None,
            })
        };
        for (n_restarts, times, since, found) in [
            (3, &[5, 10, 15][..], 3600, loops(3)),
            // Each restart was long ago, or only some were not.
            (90, &[5, 10, 700, 800], 3600, None),
            // The release went live ten seconds ago.
            (3, &[5, 20, 30], 12, None),
            // A person has started it in between.
            (1, &[5, 10, 15], 3600, None),
        ] {
            let events = events(RunEventKind::Restarted, times);
            let seen = instability(&unit(n_restarts, 5), &events, None, Some(at(since)), at(0));
            assert_eq!(seen, found, "{times:?}");
        }
    }

    #[test]
    fn without_the_journal_the_number_and_the_last_start_tell() {
        let seen = |n_restarts, started, since| {
            instability(
                &unit(n_restarts, started),
                &[],
                None,
                Some(at(since)),
                at(0),
            )
        };
        let loops = Instability::Loops {
            restarts: 134,
            last: Some(5),
        };
        assert_eq!(seen(134, 5, 3600), Some(loops.clone()));
        assert_eq!(
            loops.in_words(),
            "restarted 134 times by itself, the last time 5 seconds ago"
        );
        assert_eq!(seen(2, 5, 3600), None);
        assert_eq!(seen(134, 900, 3600), None);
        // The last restart was before the deploy, which did not restart it.
        assert_eq!(seen(134, 5, 2), None);
    }

    #[test]
    fn a_watchdog_that_was_missed_counts_until_a_person_starts_the_unit() {
        let seen = |n_restarts, times: &[i64]| {
            let events = events(RunEventKind::Watchdog, times);
            instability(&unit(n_restarts, 5), &events, None, Some(at(3600)), at(0))
        };
        assert_eq!(seen(1, &[6]), Some(Instability::Watchdog { trips: 1 }));
        assert_eq!(seen(0, &[6]), None);
        assert_eq!(seen(1, &[900]), None);
        let words = Instability::Watchdog { trips: 2 }.in_words();
        assert_eq!(
            words,
            "did not notify its watchdog in time, 2 times within 10 minutes"
        );
    }

    #[test]
    fn a_process_that_the_kernel_killed_for_memory_counts() {
        let killed = |kills| Some(Instability::OutOfMemory { kills });
        let seen = |events: &[RunEvent], kills| {
            instability(&unit(1, 5), events, kills, Some(at(3600)), at(0))
        };
        assert_eq!(seen(&[], Some(0)), None);
        assert_eq!(seen(&[], None), None);
        assert_eq!(seen(&[], Some(2)), killed(2));
        // Its control group is new, and the systemd journal has the line.
        let events = events(RunEventKind::OutOfMemory, &[60]);
        assert_eq!(seen(&events, Some(0)), killed(1));
    }
}
