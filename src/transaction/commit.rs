//! The end of a change: the new release is recorded, or the earlier one is put back.

use super::{Subject, Sick, Work, daemons, recover};
use crate::store::{Journal, Mark, State};
use crate::health::verify;
use anyhow::{Context, Result, bail};

/// The state says that the new release is healthy: so does its record now, and the change is over.
/// For recovery, which may repeat it.
pub(super) fn commit(work: &Work<'_>, journal: &Journal) -> Result<()> {
    if let Some(id) = &journal.to
        && let Some(good) = work.book.good(id)?
    {
        good.end()?;
    }
    close(work, journal)
}

/// Everything that a change wanted is durable: it is over.
pub(super) fn close(work: &Work<'_>, journal: &Journal) -> Result<()> {
    work.book.clear_journal()?;
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
        work.tell("info", "pinned", Subject::release(pinned), &text);
        return Ok(());
    }
    let event = if journal.operation == "rollback" {
        "rolled-back"
    } else {
        "deployed"
    };
    let from = journal.from.as_deref().unwrap_or("nothing");
    work.tell(
        "info",
        event,
        Subject::release(id),
        &format!("{id} is live (before: {from})"),
    );
    Ok(())
}

/// How putting back ended.
pub(super) enum Back {
    /// The earlier release is live and healthy.
    Healthy,
    /// It is live, and something is wrong with it.
    Sick(String),
    /// It is not live: the journal is still there.
    Stuck(String),
}

/// Puts everything back. With `blame`, the release is marked as bad for that reason.
pub(super) fn back(work: &Work<'_>, journal: &mut Journal, blame: Option<&str>) -> Back {
    let mut put_back = || -> Result<()> {
        recover::turn_back(work, journal)?;
        recover::revert(work, journal, recover::RecoveryMode::Restart)?;
        if let Some(why) = blame {
            mark_bad(work, journal, why);
        }
        finish_back(work, journal)
    };
    if let Err(error) = put_back() {
        return Back::Stuck(format!("{error:#}"));
    }
    match healthy(work, journal) {
        Ok(()) => Back::Healthy,
        Err(error) => Back::Sick(format!("{error:#}")),
    }
}

/// Whether what was put back answers as it did.
fn healthy(work: &Work<'_>, journal: &Journal) -> Result<()> {
    if let (None, Some(link)) = (&journal.from, &journal.link) {
        bail!("`current` leads to `{link}` again, and nothing is recorded of it");
    }
    let Some(from) = journal.from.as_ref().filter(|_| !work.host.is_offline()) else {
        return Ok(());
    };
    let record = work
        .book
        .release(from)?
        .context("the release has no record")?;
    let app = record.app()?;
    let states = work.host.systemd.show(&daemons(&app))?;
    let touched = |unit: &str| {
        let units = &journal.units;
        units
            .restarted
            .iter()
            .chain(&units.stopped)
            .any(|name| name == unit)
    };
    let down: Vec<String> = daemons(&app)
        .into_iter()
        .zip(states)
        .filter(|(unit, state)| !state.is_active() && !touched(unit))
        .map(|(unit, _)| unit)
        .collect();
    let skip = |unit: &str| down.iter().any(|name| name == unit);
    verify(
        work.host,
        &app,
        from,
        &journal.state_before.pins,
        &skip,
        &work.trace,
    )
    .map(drop)
    .map_err(|unhealthy| anyhow::Error::new(Sick(unhealthy)))
}

/// Without the mark, the next deploy would only try again: that is no reason to stay between.
fn mark_bad(work: &Work<'_>, journal: &Journal, why: &str) {
    let mark = || -> Result<()> {
        // What was good before stays so: a rollback's target failed for a reason of today.
        if let Some(id) = &journal.to
            && let Some(mut record) = work.book.release(id)?
            && record.mark != Mark::Good
        {
            record.mark = Mark::Bad(why.lines().next().unwrap_or_default().to_owned());
            work.book.set_release(&record)?;
        }
        Ok(())
    };
    if let Err(error) = mark() {
        let about = Subject {
            release: journal.to.as_deref(),
            unit: None,
        };
        let text = format!("the release could not be marked as bad: {error:#}");
        work.tell("warning", "not-marked", about, &text);
    }
}

/// The earlier state is in place: record it.
pub(super) fn finish_back(work: &Work<'_>, journal: &Journal) -> Result<()> {
    let state: &State = &journal.state_before;
    work.book.set_state(state)?;
    work.book.clear_journal()?;
    let ran = recover::ran(work, journal);
    let about = Subject {
        release: ran.as_deref(),
        unit: None,
    };
    let id = about.release.or(journal.link.as_deref());
    let id = id.unwrap_or("nothing");
    work.tell("warning", "put-back", about, &format!("{id} is live again"));
    Ok(())
}
