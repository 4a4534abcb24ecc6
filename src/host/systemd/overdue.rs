//! Units that take longer to start or stop than their timeouts allow.
//!
//! A service can extend its own timeouts for as long as it runs (sd_notify(3), `EXTEND_TIMEOUT_USEC=`), so
//! that systemd waits for it for ever. No deploy, rollback or removal may depend on that.

use super::Systemd;
use crate::host::clock::{Deadline, Stopwatch};
use crate::host::runner::Command;
use crate::tree::generated_for;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

/// How often the states of units are read while a call waits. Most calls end earlier and read none.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How much longer than its timeout a state may last. At the timeout, systemd itself ends the state.
const MARGIN: Duration = Duration::from_secs(10);

/// The properties that [`State`] reads, as `systemctl show --property` takes them.
const PROPERTIES: &str = "Id,FragmentPath,ActiveState,SubState,StateChangeTimestampMonotonic,\
InvocationID,TimeoutStartUSec,TimeoutStopUSec,ExecCondition,ExecStartPre,ExecStart,ExecStartPost,ExecStop,\
ExecStopPost,RequiredBy,BoundBy";
/// How much of a unit file is read to find out what generated it, in bytes.
const HEADER_BYTES: u64 = 512;

/// A unit whose processes were killed, because it took longer than its timeouts allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// The unit.
    pub unit: String,
    /// What it did not do in time.
    pub verb: Verb,
    /// Its run: the `InvocationID=` of the unit.
    pub run: Option<String>,
}

/// What a unit does when it is not up or down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It starts.
    Start,
    /// It stops.
    Stop,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
        })
    }
}

/// What a unit does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    unit: String,
    /// The unit file.
    path: String,
    /// The app that robotctl generated the unit file for; `None` for any other unit.
    app: Option<String>,
    /// The `InvocationID=` of the unit.
    run: Option<String>,
    /// The units that stop when it does.
    dependents: Vec<String>,
    /// Its start or stop, if it starts or stops.
    transition: Option<Transition>,
}

/// The start or stop of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Transition {
    verb: Verb,
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
        let (verb, limit, commands) = match (value("ActiveState"), sub_state) {
            ("activating", "condition") => (Verb::Start, "TimeoutStartUSec", "ExecCondition="),
            ("activating", "start-pre") => (Verb::Start, "TimeoutStartUSec", "ExecStartPre="),
            ("activating", "start") => (Verb::Start, "TimeoutStartUSec", "ExecStart="),
            ("activating", "start-post") => (Verb::Start, "TimeoutStartUSec", "ExecStartPost="),
            ("deactivating", "stop") => (Verb::Stop, "TimeoutStopUSec", "ExecStop="),
            ("deactivating", "stop-post") => (Verb::Stop, "TimeoutStopUSec", "ExecStopPost="),
            ("deactivating", _) => (Verb::Stop, "TimeoutStopUSec", "-"),
            _ => (Verb::Start, "", "-"),
        };
        // Each command has the whole time (systemd.service(5), "TimeoutStartSec=").
        let lines = text.lines().filter(|line| line.starts_with(commands));
        let count = u32::try_from(lines.count()).unwrap_or(u32::MAX).max(1);
        let dependents = ["RequiredBy", "BoundBy"].map(|name| value(name).split_whitespace());
        Self {
            unit: value("Id").to_owned(),
            path: value("FragmentPath").to_owned(),
            app: None,
            run: Some(value("InvocationID").to_owned()).filter(|run| !run.is_empty()),
            dependents: dependents
                .into_iter()
                .flatten()
                .map(str::to_owned)
                .collect(),
            transition: (!limit.is_empty()).then(|| Transition {
                verb,
                id: format!("{sub_state} {}", value("StateChangeTimestampMonotonic")),
                limit: time_span(value(limit)).and_then(|limit| limit.checked_mul(count)),
            }),
        }
    }
}

/// The app that robotctl generated a unit file for. Administrators put units into the same directories.
fn app_of(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEADER_BYTES).read_to_end(&mut bytes).ok()?;
    generated_for(&bytes).map(str::to_owned)
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
        let mut states = State::parse(&text);
        for state in &mut states {
            state.app = app_of(&state.path);
        }
        Ok(states)
    }

    /// Adds the units that systemd stops with these. A unit that is not the app's may extend its timeouts:
    /// it is not killed.
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
        let called = states
            .iter()
            .filter(|state| !self.added.contains(&state.unit));
        let apps: BTreeSet<&String> = called.filter_map(|state| state.app.as_ref()).collect();
        for state in states {
            let unit = &state.unit;
            let is_own = state.app.as_ref().is_some_and(|app| apps.contains(app));
            let Some(now) = state
                .transition
                .as_ref()
                .filter(|_| is_own || !self.added.contains(unit))
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
                    run: state.run.clone(),
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
    use super::{Overdue, State, Transition, Verb, app_of, time_span};
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
        let commands = [
            ("ExecCondition", 2),
            ("ExecStartPre", 3),
            ("ExecStart", 1),
            ("ExecStartPost", 4),
            ("ExecStop", 5),
            ("ExecStopPost", 6),
        ];
        let commands =
            commands.map(|(name, count)| format!("{name}={{ path=/bin/a }}\n").repeat(count));
        format!(
            "Id=a.service\nActiveState={active}\nSubState={sub}\nStateChangeTimestampMonotonic=7\n\
             InvocationID=1f\nTimeoutStartUSec=1min\nTimeoutStopUSec=5s\n{}\
             RequiredBy=b.service c.service\nBoundBy=d.service\n",
            commands.concat()
        )
    }

    #[test]
    fn only_a_start_or_a_stop_has_a_limit() {
        for (active, sub, limit) in [
            ("activating", "condition", Some((Verb::Start, 120))),
            ("activating", "start-pre", Some((Verb::Start, 180))),
            ("activating", "start", Some((Verb::Start, 60))),
            ("activating", "start-post", Some((Verb::Start, 240))),
            ("deactivating", "stop", Some((Verb::Stop, 25))),
            ("deactivating", "stop-sigterm", Some((Verb::Stop, 5))),
            ("deactivating", "stop-post", Some((Verb::Stop, 30))),
            ("deactivating", "final-sigterm", Some((Verb::Stop, 5))),
            ("activating", "auto-restart", None),
            ("active", "running", None),
            ("failed", "failed", None),
        ] {
            let states = State::parse(&show(active, sub));
            let [state] = states.as_slice() else {
                panic!("{states:?}");
            };
            assert_eq!(state.run.as_deref(), Some("1f"));
            assert_eq!(state.dependents, ["b.service", "c.service", "d.service"]);
            let found = state.transition.as_ref().map(|now| (now.verb, now.limit));
            let limit = limit.map(|(verb, seconds)| (verb, Some(Duration::from_secs(seconds))));
            assert_eq!(found, limit, "{active} {sub}");
        }
    }

    /// A unit that stops.
    fn stopping(unit: &str, id: &str, app: Option<&str>) -> State {
        State {
            unit: unit.to_owned(),
            path: String::new(),
            app: app.map(str::to_owned),
            run: None,
            dependents: Vec::new(),
            transition: Some(Transition {
                verb: Verb::Stop,
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
            let overdue = watched.overdue(&[stopping("a.service", id, None)], margin);
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
    fn a_unit_that_stops_with_another_is_killed_only_if_it_is_of_the_same_app() {
        let systemd = Systemd::new(true);
        for (app, is_killed) in [(Some("shop"), true), (Some("other"), false), (None, false)] {
            let mut watched = Overdue::new(&systemd, &["a.service".to_owned()]);
            let mut called = State::parse(&show("active", "running"));
            watched.add_dependents(&called);
            called[0].app = Some("shop".to_owned());
            let states = [called.remove(0), stopping("b.service", "1", app)];
            watched.overdue(&states, Duration::ZERO);
            pause();
            let overdue = watched.overdue(&states, Duration::ZERO);
            assert_eq!(!overdue.is_empty(), is_killed, "{app:?}");
        }
    }

    #[test]
    fn the_header_of_a_unit_file_says_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.service");
        let path = path.to_str().unwrap();
        for (text, app) in [
            (
                "# Generated by robotctl from the manifest of shop; do not edit.\n[Unit]\n",
                Some("shop"),
            ),
            ("[Unit]\nDescription=shop\n", None),
        ] {
            std::fs::write(path, text).unwrap();
            assert_eq!(app_of(path).as_deref(), app);
        }
        assert_eq!(app_of("/nonexistent"), None);
    }
}
