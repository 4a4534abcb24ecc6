//! Whether services stay up, and whether anything would show that they do not work.

use super::units::{how_it_ended, or_roll_back};
use crate::app::{App, Service};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::UnitStatus;
use crate::stability::{Instability, unstable_among};
use crate::store::UnitRole;
use anyhow::Result;

pub(in crate::doctor) fn restarts(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let daemons = context.release.units.iter();
    let daemons = daemons.filter(|unit| unit.role == UnitRole::Daemon);
    let states: Result<Vec<&UnitStatus>> =
        daemons.map(|one| context.units.state(&one.unit)).collect();
    let states = states?;
    let since = context.state.live_since();
    let unstable = unstable_among(context.host, &states, since);
    let finding = |(unit, what): (String, Instability)| {
        let severity = match what.is_down() {
            true => Severity::Error,
            false => Severity::Warning,
        };
        let read = CommandLine::sudo(["journalctl", "-u", &unit, "-n", "50"]);
        let fix = match what {
            Instability::Loops { .. } => Hint::to("read why it ends", read),
            Instability::OutOfMemory { .. } => Hint::to(
                "raise `limits.memory-max`, or make it use less; its log says when it happened",
                read,
            ),
            Instability::Watchdog { .. } => Hint::to("read what it did at that time", read),
        };
        let state = states.iter().find(|state| state.id == unit);
        let ended = match (&what, state) {
            (Instability::Loops { .. }, Some(state)) => Some(how_it_ended(context, state)),
            _ => None,
        };
        let why = ended.as_ref().map_or("", |ended| ended.text.as_str());
        let text = format!("`{unit}` {}{why}", what.in_words());
        let mut finding = Finding::new(severity, text, fix);
        let is_of_host = ended.is_some_and(|ended| ended.is_of_host);
        if what.is_down() && !is_of_host {
            finding.fix.extend(or_roll_back(context));
        }
        if let Instability::Watchdog { .. } = what {
            let restart = CommandLine::sudo(["systemctl", "restart", &unit]);
            let text = "when the cause is gone, restart it; that ends this warning too";
            finding.fix.push(Hint::to(text, restart));
        }
        finding
    };
    Ok(unstable.into_iter().map(finding).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "every check may fail to run")]
pub(in crate::doctor) fn unchecked(app: &App) -> Result<Vec<Finding>> {
    let daemons = app.services.iter().filter(|one| Service::is_daemon(one));
    // A service that listens holds its address, which the check `ports` looks at.
    let workers = daemons.filter(|one| one.listen.is_empty());
    let unchecked = workers.filter(|one| one.checks.is_empty() && one.watchdog.is_none());
    let finding = |service: &Service| {
        Finding::new(
            Severity::Note,
            format!(
                "service `{}` has no check, so robotctl only knows whether it runs",
                service.name
            ),
            "add a `check`, such as `check = [{ command = [\"…\"] }]`, or a `watchdog`",
        )
    };
    Ok(unchecked.map(finding).collect())
}
