//! Whether services stay up, and whether anything would show that they do not work.

use super::units::why_it_ended;
use crate::app::{App, Service};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::stability::{Instability, unstable_units};
use crate::store::UnitRole;
use anyhow::Result;

pub(in crate::doctor) fn restarts(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let daemons = context.release.units.iter();
    let daemons = daemons.filter(|unit| unit.role == UnitRole::Daemon);
    let units: Vec<String> = daemons.map(|unit| unit.unit.clone()).collect();
    let since = context.state.live_since();
    let unstable = unstable_units(context.host, &units, since)?;
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
        };
        let why = match what {
            Instability::Loops { .. } => why_it_ended(context, &unit),
            Instability::OutOfMemory { .. } => String::new(),
        };
        Finding::new(severity, format!("`{unit}` {}{why}", what.in_words()), fix)
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
