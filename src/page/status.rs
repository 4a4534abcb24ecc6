//! What the page says: states in plain language, and what to do about a bad one.

use super::facts::Deployed;
use crate::host::UnitState;
use askama::Template;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How well something is, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Health {
    /// As it should be.
    Good,
    /// It cannot be seen.
    Unknown,
    /// It works, and somebody should look.
    Look,
    /// It does not work.
    Bad,
}

impl Health {
    /// The word beside the colour, for those who cannot see it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "healthy",
            Self::Unknown => "unknown",
            Self::Look => "needs a look",
            Self::Bad => "not healthy",
        }
    }

    /// The class of its colour.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Look => "look",
            Self::Bad => "bad",
        }
    }
}

/// Everything on the page.
#[derive(Debug, Serialize, Template)]
#[template(path = "page.html", config = "packaging/askama.toml")]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) now: Timestamp,
    pub(super) apps: Vec<App>,
    /// Why unit states are not known, when they are not.
    pub(super) units_unknown: Option<String>,
    pub(super) diagnosis: Option<Diagnosis>,
}

/// One app.
#[derive(Debug, Serialize)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) health: Health,
    /// Why, in one sentence.
    pub(super) why: String,
    pub(super) live: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) releases: Vec<String>,
    pub(super) units: Vec<Unit>,
}

/// One unit.
#[derive(Debug, Serialize)]
pub(super) struct Unit {
    pub(super) unit: String,
    pub(super) health: Health,
    /// The state in plain language.
    pub(super) says: String,
    /// The state in systemd's words.
    pub(super) state: String,
    /// The release that its process runs, when it has one.
    pub(super) runs: Option<String>,
}

/// What `robotctl doctor --report` wrote.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Diagnosis {
    pub(super) ts: Timestamp,
    pub(super) apps: Vec<Examined>,
}

/// What it says of one app.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Examined {
    pub(super) app: Option<String>,
    pub(super) looked: usize,
    pub(super) findings: Vec<Finding>,
    pub(super) blind: Vec<Blind>,
}

/// One finding of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) severity: String,
    pub(super) message: String,
    pub(super) hint: String,
}

/// A check that could not look.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Blind {
    pub(super) check: String,
    pub(super) why: String,
}

impl Status {
    fn ago(&self, then: &Timestamp) -> String {
        ago(*then, self.now)
    }

    fn findings(&self, app: &str) -> Vec<&Finding> {
        self.diagnosis.as_ref().map_or_else(Vec::new, |diagnosis| {
            let examined = diagnosis.apps.iter();
            let ours = examined.filter(|one| one.app.as_deref() == Some(app));
            ours.flat_map(|one| &one.findings).collect()
        })
    }

    fn not_looked(&self) -> Vec<&Blind> {
        let apps = self.diagnosis.iter().flat_map(|one| &one.apps);
        apps.flat_map(|one| &one.blind).collect()
    }
}

/// Puts an app's facts into words.
pub(super) fn judge(
    app: &Deployed,
    units: &[&UnitState],
    diagnosis: Option<&Diagnosis>,
    now: Timestamp,
) -> App {
    let mut rows: Vec<Unit> = units
        .iter()
        .filter(|state| is_shown(state))
        .map(|state| row(app, state, now))
        .collect();
    rows.sort_by(|a, b| a.unit.cmp(&b.unit));
    let examined = diagnosis.iter().flat_map(|one| &one.apps);
    let examined = examined.filter(|one| one.app.as_deref() == Some(&app.name));
    let findings: Vec<&Finding> = examined.flat_map(|one| &one.findings).collect();
    let worst = rows.iter().max_by_key(|row| row.health);
    let (health, why) = match worst {
        _ if app.live.is_none() => (Health::Look, "no release is live".to_owned()),
        None => (
            Health::Unknown,
            "the states of its units are unknown".to_owned(),
        ),
        Some(row) if row.health == Health::Bad => {
            (Health::Bad, format!("{}: {}", row.unit, row.says))
        }
        _ if findings.iter().any(|one| one.severity == "error") => (Health::Bad, told(&findings)),
        Some(row) if row.health > Health::Unknown => {
            (Health::Look, format!("{}: {}", row.unit, row.says))
        }
        _ if !findings.is_empty() => (Health::Look, told(&findings)),
        Some(_) => (Health::Good, "every unit is as it should be".to_owned()),
    };
    App {
        name: app.name.clone(),
        health,
        why,
        live: app.live.clone(),
        since: app.since,
        releases: app.releases.clone(),
        units: rows,
    }
}

fn told(findings: &[&Finding]) -> String {
    match findings {
        [one] => format!("robotctl doctor: {}", one.message),
        _ => format!("robotctl doctor has {} findings", findings.len()),
    }
}

/// Stand-ins and trials come and go, and are only of interest while they are there.
fn is_shown(state: &UnitState) -> bool {
    let passing = ["-standin@", "-precheck."];
    let unit = state.get("Id");
    !passing.iter().any(|part| unit.contains(part)) || state.is_active()
}

fn row(app: &Deployed, state: &UnitState, now: Timestamp) -> Unit {
    let started = time(state.get("ExecMainStartTimestamp"));
    let is_running = state.get("MainPID") != "0" && !state.get("MainPID").is_empty();
    // systemd mounts the release when a process starts, so the switch divides them.
    let is_stale = match (is_running, started, app.since) {
        (true, Some(started), Some(since)) => started < since,
        _ => false,
    };
    let (mut health, mut says) = words(state, now);
    if is_stale && health == Health::Good {
        health = Health::Look;
        says = format!("{says}, started before the switch: it runs an earlier release");
    }
    Unit {
        unit: state.get("Id").to_owned(),
        health,
        says,
        state: format!("{} ({})", state.get("ActiveState"), state.get("SubState")),
        runs: if is_running && !is_stale {
            app.live.clone()
        } else {
            None
        },
    }
}

fn words(state: &UnitState, now: Timestamp) -> (Health, String) {
    let at = |name: &str| time(state.get(name));
    let kind = state.get("Id").rsplit('.').next().unwrap_or_default();
    if state.is_masked() {
        return (Health::Look, "masked by the administrator".to_owned());
    }
    let (health, says) = match (state.get("ActiveState"), kind) {
        ("failed", _) => {
            let when = at("ExecMainExitTimestamp").map(|then| ago(then, now) + " ");
            let why = state.get("Result");
            let says = format!("failed {}({why})", when.unwrap_or_default());
            return (Health::Bad, says);
        }
        ("active", "socket") => (Health::Good, "accepts connections"),
        ("active", "timer") => match at("NextElapseUSecRealtime") {
            Some(then) => return (Health::Good, format!("due {}", ago(then, now))),
            None => (Health::Good, "waits for its next run"),
        },
        ("active", _) => match at("ActiveEnterTimestamp") {
            Some(then) => return (Health::Good, format!("up for {}", span(then, now))),
            None => (Health::Good, "up"),
        },
        ("activating", _) => (Health::Good, "starting"),
        ("deactivating", _) => (Health::Good, "stopping"),
        ("reloading", _) => (Health::Good, "reloading"),
        ("inactive", "socket" | "timer") => (Health::Look, "stopped"),
        ("inactive", _) => match at("ExecMainExitTimestamp") {
            Some(ended) => return (Health::Good, format!("ended well {}", ago(ended, now))),
            None => (Health::Good, "has not run since the boot"),
        },
        (other, _) => (Health::Unknown, other),
    };
    (health, says.to_owned())
}

/// A point in time as `systemctl show --timestamp=utc` prints it.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(" UTC")?;
    let time = jiff::civil::DateTime::strptime("%a %Y-%m-%d %H:%M:%S", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|time| time.timestamp())
}

/// The time between two points, as a person says it.
fn span(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - then.as_second()).unsigned_abs();
    let (count, unit) = match seconds {
        0..=59 => (seconds, "second"),
        60..=3599 => (seconds / 60, "minute"),
        3600..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How long ago, or in how long.
fn ago(then: Timestamp, now: Timestamp) -> String {
    match then.cmp(&now) {
        Ordering::Less => format!("{} ago", span(then, now)),
        Ordering::Equal => "just now".to_owned(),
        Ordering::Greater => format!("in {}", span(then, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::{ago, time};
    use jiff::Timestamp;

    #[test]
    fn times_of_systemd_are_read_and_told() {
        let then = time("Fri 2026-11-20 23:59:30 UTC").unwrap();
        assert_eq!(then.to_string(), "2026-11-20T23:59:30Z");
        assert_eq!(time(""), None);
        assert_eq!(time("n/a"), None);
        let after = |seconds| Timestamp::from_second(then.as_second() + seconds).unwrap();
        assert_eq!(ago(then, after(0)), "just now");
        assert_eq!(ago(then, after(1)), "1 second ago");
        assert_eq!(ago(then, after(150)), "2 minutes ago");
        assert_eq!(ago(then, after(-7200)), "in 2 hours");
        assert_eq!(ago(then, after(400_000)), "4 days ago");
    }
}
