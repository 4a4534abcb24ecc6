//! How a change of the host ended, as an outcome or an error.

use super::session::recover_after_fix;
use crate::command_line::CommandLine;
use crate::error::{Error, Hint, Kind};
use crate::host::Host;
use crate::plan::Plan;
use crate::transaction::Outcome;

/// What a deploy or a rollback did.
#[derive(Debug)]
pub(crate) enum Changed {
    /// The release is live and healthy.
    Done,
    /// There was nothing to do; the text says why.
    Nothing(String),
}

/// A change that did not succeed is an error: its kind says what is live now.
///
/// `again` says what to do about a change that was undone.
pub(super) fn ended(
    host: &Host,
    plan: &Plan,
    outcome: Outcome,
    again: &str,
) -> Result<Changed, Error> {
    let (app, to) = (&plan.app, &plan.to);
    let is_same_release = plan.from.as_ref() == Some(to);
    match outcome {
        Outcome::Done => Ok(Changed::Done),
        Outcome::StateNotSaved(reason) => Err(Error::new(
            Kind::Degraded,
            format!("{app} {to} is live and healthy, but the state could not be saved: {reason}"),
        )
        .hint(Hint::to(
            "free disk space, then",
            CommandLine::sudo_robotctl(["recover"]),
        ))),
        Outcome::RevertFailed { why, wrong } => Err(Error::new(
            Kind::Degraded,
            format!(
                "{app} {to} failed, and the previous release could not be restored: {wrong}\n\
                 the cause was: {why}"
            ),
        )
        .hint(recover_after_fix())),
        Outcome::Reverted { why, degraded } if is_same_release => {
            let error = match degraded {
                Some(wrong) => Error::new(
                    Kind::Degraded,
                    format!("{app} {to} is not healthy: {wrong}\nthe cause was: {why}"),
                ),
                None => Error::new(
                    Kind::RolledBack,
                    format!("{app} {to} failed, and is healthy again: {why}"),
                ),
            };
            Err(error.hint(again).hint(read_logs(app)))
        }
        Outcome::Reverted {
            why,
            degraded: Some(wrong),
        } => Err(Error::new(
            Kind::Degraded,
            format!(
                "{app} {to} failed, and what was restored is not healthy: {wrong}\n\
                 the cause was: {why}"
            ),
        )
        .hint(Hint::to(
            "find out what is wrong",
            CommandLine::sudo_robotctl(["doctor"]),
        ))),
        Outcome::Reverted {
            why,
            degraded: None,
        } => Err(match &plan.from {
            Some(from) => {
                // Nothing runs below `--root`, so nothing was checked.
                if host.is_offline() {
                    let message = format!("{app} {to} failed, {from} was restored: {why}");
                    return Err(Error::new(Kind::RolledBack, message).hint(again));
                }
                let message =
                    format!("{app} {to} failed, {from} was restored and is healthy: {why}");
                let error = Error::new(Kind::RolledBack, message).hint(again);
                error.hint(read_logs(app))
            }
            None => {
                let message =
                    format!("{app} {to} failed, and no release is live, as before: {why}");
                let error = Error::new(Kind::RolledBack, message).hint(again);
                if host.is_offline() {
                    return Err(error);
                }
                error.hint(read_logs(app))
            }
        }),
    }
}

/// Only root and members of `systemd-journal` can read the logs of services.
pub(super) fn read_logs(app: &str) -> Hint {
    Hint::to(
        "read the logs of its services",
        CommandLine::sudo_robotctl(["logs"]).for_app(app, None),
    )
}
