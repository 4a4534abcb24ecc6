//! The end of a change: the new release is recorded, or the earlier one is put back.

use super::{UnhealthyAfterSwitch, daemons, recover};
use crate::events::Subject;
use crate::health::verify;
use crate::session::Session;
use crate::store::{Journal, Mark, State};
use anyhow::{Context, Result, bail};

/// The state says that the new release is healthy: so does its record now, and the change is over.
/// For recovery, which may repeat it.
pub(super) fn commit(session: &Session<'_>, journal: &Journal) -> Result<()> {
    if let Some(id) = &journal.to
        && let Some(good) = session.store.mark_good(id)?
    {
        good.end()?;
    }
    close(session, journal)
}

/// Everything that a change wanted is durable: it is over.
pub(super) fn close(session: &Session<'_>, journal: &Journal) -> Result<()> {
    session.store.clear_journal()?;
    // A removal tells of itself once the releases are gone too.
    let Some(id) = &journal.to else {
        return Ok(());
    };
    let pins = &journal.state_after.pins;
    if let Some((service, pinned)) = pins
        .iter()
        .find(|pin| journal.state_before.pins.get(pin.0) != Some(pin.1))
    {
        let text =
            format!("service `{service}` runs {pinned} until the next deploy ({id} is live)");
        session.emit("info", "pinned", Subject::release(pinned), &text);
        return Ok(());
    }
    let event = if journal.operation == "rollback" {
        "rolled-back"
    } else {
        "deployed"
    };
    let from = journal.from.as_deref().unwrap_or("nothing");
    session.emit(
        "info",
        event,
        Subject::release(id),
        &format!("{id} is live (before: {from})"),
    );
    Ok(())
}

/// How putting back ended.
pub(super) enum RevertOutcome {
    /// The earlier release is live and healthy.
    Healthy,
    /// It is live, and something is wrong with it.
    UnhealthyAfterSwitch(String),
    /// It is not live: the journal is still there.
    Stuck(String),
}

/// Puts everything back. With `blame_release`, the release is marked as bad for that reason.
pub(super) fn revert_change(
    session: &Session<'_>,
    journal: &mut Journal,
    blame_release: Option<&str>,
) -> RevertOutcome {
    let mut put_back = || -> Result<()> {
        recover::begin_revert(session, journal)?;
        recover::revert(session, journal, recover::RecoveryMode::Restart)?;
        if let Some(why) = blame_release {
            mark_bad(session, journal, why);
        }
        finish_back(session, journal)
    };
    if let Err(error) = put_back() {
        return RevertOutcome::Stuck(format!("{error:#}"));
    }
    match healthy(session, journal) {
        Ok(()) => RevertOutcome::Healthy,
        Err(error) => RevertOutcome::UnhealthyAfterSwitch(format!("{error:#}")),
    }
}

/// Whether what was put back answers as it did.
fn healthy(session: &Session<'_>, journal: &Journal) -> Result<()> {
    if let (None, Some(link)) = (&journal.from, &journal.link) {
        bail!("`current` leads to `{link}` again, and nothing is recorded of it");
    }
    let Some(from) = journal.from.as_ref().filter(|_| !session.host.is_offline()) else {
        return Ok(());
    };
    let record = session
        .store
        .release(from)?
        .context("the release has no record")?;
    let app = record.app()?;
    let states = session.host.systemd.show(&daemons(&app))?;
    let touched = |unit: &str| {
        let units = &journal.units;
        units
            .restarted
            .iter()
            .chain(&units.stopped)
            .any(|name| name == unit)
    };
    let stopped_or_masked: Vec<String> = daemons(&app)
        .into_iter()
        .zip(states)
        .filter(|(unit, state)| !state.is_active() && !touched(unit))
        .map(|(unit, _)| unit)
        .collect();
    let skip = |unit: &str| stopped_or_masked.iter().any(|name| name == unit);
    verify(
        session.host,
        &app,
        from,
        &journal.state_before.pins,
        &skip,
        &session.trace,
    )
    .map(drop)
    .map_err(|unhealthy| anyhow::Error::new(UnhealthyAfterSwitch(unhealthy)))
}

/// Without the mark, the next deploy would only try again: that is no reason to stay between.
fn mark_bad(session: &Session<'_>, journal: &Journal, why: &str) {
    let mark = || -> Result<()> {
        // What was good before stays so: a rollback's target failed for a reason of today.
        if let Some(id) = &journal.to
            && let Some(mut record) = session.store.release(id)?
            && record.mark != Mark::Good
        {
            record.mark = Mark::Bad(why.lines().next().unwrap_or_default().to_owned());
            session.store.set_release(&record)?;
        }
        Ok(())
    };
    if let Err(error) = mark() {
        let about = Subject {
            release: journal.to.as_deref(),
            unit: None,
        };
        let text = format!("the release could not be marked as bad: {error:#}");
        session.emit("warning", "not-marked", about, &text);
    }
}

/// The earlier state is in place: record it.
pub(super) fn finish_back(session: &Session<'_>, journal: &Journal) -> Result<()> {
    let state: &State = &journal.state_before;
    session.store.set_state(state)?;
    session.store.clear_journal()?;
    let release_before = recover::release_before(session, journal);
    let about = Subject {
        release: release_before.as_deref(),
        unit: None,
    };
    let id = about.release.or(journal.link.as_deref());
    let id = id.unwrap_or("nothing");
    session.emit("warning", "put-back", about, &format!("{id} is live again"));
    Ok(())
}
