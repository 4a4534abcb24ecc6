//! Units that take longer to start or stop than their timeouts allow.
//!
//! A service can extend its own timeouts for as long as it runs (sd_notify(3), `EXTEND_TIMEOUT_USEC=`), so
//! that systemd waits for it for ever. No deploy, rollback or removal may depend on that.

use super::Systemd;
use crate::host::clock::{Deadline, Stopwatch};
use crate::host::runner::Command;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often the states of units are read while a call waits. Most calls end earlier and read none.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How much longer than its timeout a state may last. At the timeout, systemd itself ends the state.
const MARGIN: Duration = Duration::from_secs(10);

/// The properties that [`State`] reads, as `systemctl show --property` takes them.
const PROPERTIES: &str = "Id,FragmentPath,ActiveState,SubState,StateChangeTimestampMonotonic,\
TimeoutStartUSec,TimeoutStopUSec,ExecStartPre,RequiredBy,BoundBy";
/// Where the files of generated units are.
const GENERATED: &str = "/usr/local/lib/systemd/system/";

/// A unit whose processes were killed, because it took longer than its timeouts allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// The unit.
    pub unit: String,
    /// What it did not do in time: `start` or `stop`.
    pub verb: &'static str,
}

/// What a unit does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    unit: String,
    /// Whether robotctl generated it.
    is_generated: bool,
    /// The units that stop when it does.
    dependents: Vec<String>,
    /// Its start or stop, if it starts or stops.
    transition: Option<Transition>,
}

/// The start or stop of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Transition {
    verb: &'static str,
    /// Differs from every other state of the unit.
    id: String,
    /// How long it may last; `None` without a limit.
    limit: Option<Duration>,
}

impl State {
    /// Reads the output of `systemctl show`.
    fn parse(text: &str) -> Vec<Self> {
        text.split("\n\n").map(Self::parse_one).collect()
    }

    fn parse_one(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let values: BTreeMap<&str, &str> = lines.collect();
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        let sub_state = value("SubState");
        // Each command in `ExecStartPre=` has the time of `TimeoutStartSec=` (systemd.service(5)).
        let commands = text
            .lines()
            .filter(|line| line.starts_with("ExecStartPre="));
        let count = match sub_state {
            "start-pre" => u32::try_from(commands.count()).unwrap_or(u32::MAX).max(1),
            _ => 1,
        };
        let (verb, limit) = match (value("ActiveState"), sub_state) {
            ("activating", "start-pre" | "start" | "start-post") => {
                ("start", value("TimeoutStartUSec"))
            }
            ("deactivating", _) => ("stop", value("TimeoutStopUSec")),
            _ => ("", ""),
        };
        let dependents = ["RequiredBy", "BoundBy"].map(|name| value(name).split_whitespace());
        Self {
            unit: value("Id").to_owned(),
            is_generated: value("FragmentPath").starts_with(GENERATED),
            dependents: dependents
                .into_iter()
                .flatten()
                .map(str::to_owned)
                .collect(),
            transition: (!verb.is_empty()).then(|| Transition {
                verb,
                id: format!("{sub_state} {}", value("StateChangeTimestampMonotonic")),
                limit: time_span(limit).and_then(|limit| limit.checked_mul(count)),
            }),
        }
    }
}

/// A time span as systemd prints it, such as `1min 30s`; `None` for `infinity`.
fn time_span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for word in text.split_whitespace() {
        let digits = word.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = word.split_at_checked(digits)?;
        let micros: u64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            "w" => 604_800_000_000,
            // A longer time needs no limit here.
            _ => return None,
        };
        let micros = number.parse::<u64>().ok()?.checked_mul(micros)?;
        total = total.checked_add(Duration::from_micros(micros))?;
    }
    (!total.is_zero()).then_some(total)
}

/// The units that a call to systemd waits for.
#[derive(Debug)]
pub(super) struct Overdue<'a> {
    systemd: &'a Systemd,
    /// Those of the call, and then those that stop with them.
    units: Vec<String>,
    /// Those that stop with them.
    added: BTreeSet<String>,
    next_look: Deadline,
    /// How long the start or stop of each unit has lasted since it was first seen.
    since: BTreeMap<String, (String, Stopwatch)>,
}

impl<'a> Overdue<'a> {
    pub(super) fn new(systemd: &'a Systemd, units: &[String]) -> Self {
        Self {
            systemd,
            units: units.to_vec(),
            added: BTreeSet::new(),
            next_look: Deadline::after(LOOK_INTERVAL),
            since: BTreeMap::new(),
        }
    }

    /// Kills the processes of units that are overdue. Looks every few seconds, however often it is called.
    pub(super) fn kill(&mut self) {
        if !self.next_look.is_over() {
            return;
        }
        // systemd may be too busy to answer. The next look asks again.
        let states = self.states().unwrap_or_default();
        self.add_dependents(&states);
        for killed in self.overdue(&states, MARGIN) {
            self.systemd.kill(killed);
        }
        self.next_look = Deadline::after(LOOK_INTERVAL);
    }

    fn states(&self) -> Result<Vec<State>> {
        let head = ["systemctl", "show", "--property", PROPERTIES, "--"];
        let argv = head.iter().map(|word| (*word).to_owned());
        let text = Command::new(argv.chain(self.units.iter().cloned())).run()?;
        Ok(State::parse(&text))
    }

    /// Adds the units that systemd stops with these. A unit of the system may extend its timeouts: it is
    /// not killed.
    fn add_dependents(&mut self, states: &[State]) {
        for unit in states.iter().flat_map(|state| &state.dependents) {
            if !self.units.contains(unit) {
                self.units.push(unit.clone());
                self.added.insert(unit.clone());
            }
        }
    }

    /// The units whose start or stop has lasted for longer than it may. Each state is named once.
    fn overdue(&mut self, states: &[State], margin: Duration) -> Vec<Killed> {
        let mut since = BTreeMap::new();
        let mut overdue = Vec::new();
        for State {
            unit,
            is_generated,
            transition,
            ..
        } in states
        {
            let Some(now) = transition
                .as_ref()
                .filter(|_| *is_generated || !self.added.contains(unit))
            else {
                continue;
            };
            let known = self.since.remove(unit);
            let known = known.filter(|(id, _)| *id == now.id);
            let mut watch = known.map_or_else(Stopwatch::start, |(_, watch)| watch);
            let limit = now.limit.map(|limit| limit.saturating_add(margin));
            if limit.is_some_and(|limit| watch.elapsed() >= limit) {
                overdue.push(Killed {
                    unit: unit.clone(),
                    verb: now.verb,
                });
                watch = Stopwatch::start();
            }
            since.insert(unit.clone(), (now.id.clone(), watch));
        }
        self.since = since;
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::{Overdue, State, Transition, time_span};
    use crate::host::systemd::Systemd;
    use std::time::Duration;

    #[test]
    fn time_spans_of_systemd_are_read() {
        for (text, seconds) in [
            ("1min 30s", Some(90.0)),
            ("500ms", Some(0.5)),
            ("1h 1us", Some(3_600.000_001)),
            ("1d", Some(86_400.0)),
            ("infinity", None),
            ("", None),
            ("0", None),
        ] {
            let expected = seconds.map(Duration::from_secs_f64);
            assert_eq!(time_span(text), expected, "{text}");
        }
    }

    fn show(active: &str, sub: &str) -> String {
        format!(
            "Id=a.service\nFragmentPath=/usr/local/lib/systemd/system/a.service\nActiveState={active}\n\
             SubState={sub}\nStateChangeTimestampMonotonic=7\nTimeoutStartUSec=1min\n\
             TimeoutStopUSec=5s\nExecStartPre={{ path=/bin/a }}\nExecStartPre={{ path=/bin/b }}\nRequiredBy=b.service c.service\nBoundBy=d.service\n"
        )
    }

    #[test]
    fn only_a_start_or_a_stop_has_a_limit() {
        for (active, sub, limit) in [
            ("activating", "start", Some(("start", 60))),
            ("activating", "start-post", Some(("start", 60))),
            ("deactivating", "stop-sigterm", Some(("stop", 5))),
            ("deactivating", "final-sigterm", Some(("stop", 5))),
            ("activating", "start-pre", Some(("start", 120))),
            ("activating", "auto-restart", None),
            ("active", "running", None),
            ("failed", "failed", None),
        ] {
            let states = State::parse(&show(active, sub));
            let [state] = states.as_slice() else {
                panic!("{states:?}");
            };
            assert_eq!(state.dependents, ["b.service", "c.service", "d.service"]);
            let found = state.transition.as_ref().map(|now| (now.verb, now.limit));
            let limit = limit.map(|(verb, seconds)| (verb, Some(Duration::from_secs(seconds))));
            assert_eq!(found, limit, "{active} {sub}");
        }
    }

    /// A unit that stops.
    fn stopping(unit: &str, id: &str, is_generated: bool) -> State {
        State {
            unit: unit.to_owned(),
            is_generated,
            dependents: Vec::new(),
            transition: Some(Transition {
                verb: "stop",
                id: id.to_owned(),
                limit: Some(Duration::from_millis(50)),
            }),
        }
    }

    fn pause() {
        std::thread::sleep(Duration::from_millis(60));
    }

    #[test]
    fn a_state_is_overdue_once_and_a_new_state_has_its_own_time() {
        let systemd = Systemd::new(true);
        let mut watched = Overdue::new(&systemd, &["a.service".to_owned()]);
        let mut look = |id: &str, margin| {
            let overdue = watched.overdue(&[stopping("a.service", id, true)], margin);
            overdue.len()
        };
        assert_eq!(look("1", Duration::ZERO), 0);
        pause();
        assert_eq!(look("2", Duration::ZERO), 0, "another state has begun");
        pause();
        assert_eq!(look("2", Duration::from_secs(60)), 0);
        assert_eq!(look("2", Duration::ZERO), 1);
        assert_eq!(look("2", Duration::ZERO), 0);
    }

    #[test]
    fn a_unit_that_stops_with_another_is_killed_only_if_it_was_generated() {
        let systemd = Systemd::new(true);
        for (is_generated, is_killed) in [(true, true), (false, false)] {
            let mut watched = Overdue::new(&systemd, &["a.service".to_owned()]);
            watched.add_dependents(&State::parse(&show("active", "running")));
            let states = [stopping("b.service", "1", is_generated)];
            watched.overdue(&states, Duration::ZERO);
            pause();
            let overdue = watched.overdue(&states, Duration::ZERO);
            assert_eq!(!overdue.is_empty(), is_killed, "{is_generated}");
        }
    }
}
