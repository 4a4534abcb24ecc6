//! The end of a change that succeeded.

use super::operation::Operation;
use crate::events::Subject;
use crate::session::Session;
use crate::store::Journal;
use anyhow::Result;

/// Finishes a change whose state is saved already. Recovery may repeat it.
pub(super) fn commit(session: &Session<'_>, journal: &Journal) -> Result<()> {
    if let Some(id) = &journal.to
        && let Some(mark) = session.store.mark_good(id)?
    {
        mark.end()?;
    }
    close(session, journal)
}

/// Removes the journal of a change of which everything is durable, and reports the change.
pub(super) fn close(session: &Session<'_>, journal: &Journal) -> Result<()> {
    close_open_releases(session, journal);
    session.store.clear_journal()?;
    // A file that stays is dropped after the next change.
    let _ = session.store.drop_old_overlays();
    // A removal reports its end once the releases are removed, too.
    let Some(id) = &journal.to else {
        return Ok(());
    };
    let before = &journal.state_before.pins;
    let mut pins = journal.state_after.pins.iter();
    if let Some((service, pinned)) = pins.find(|(service, id)| before.get(*service) != Some(*id)) {
        let text = format!(
            "service `{service}` runs {pinned} until a deploy with `--lift-pins` ({id} is live)"
        );
        session.emit("info", "pinned", Subject::release(pinned), &text);
        return Ok(());
    }
    let from = journal.from.as_deref();
    let listed = |units: &[String]| {
        let units = units.iter().map(|unit| format!("`{unit}`"));
        units.collect::<Vec<_>>().join(", ")
    };
    let (event, text) = if journal.operation == Operation::Fix.word() {
        let units = listed(&journal.units.restarted);
        (
            "fixed",
            format!("restarted {units} by overlap: {id} is live"),
        )
    } else if journal.operation == Operation::Restart.word() {
        let units = [&journal.units.restarted[..], &journal.units.started].concat();
        let text = format!("restarted {}: {id} is live, as before", listed(&units));
        ("restarted", text)
    } else if let Some(secret) = journal.secrets.first() {
        let text = format!("{id} is live with the new value of the secret `{secret}`");
        ("secret-applied", text)
    } else if journal.is_of_settings {
        let text = format!("settings changed, release unchanged: {id} is live");
        ("deployed", text)
    } else if journal.operation == "rollback" {
        let from = from.unwrap_or("no release");
        ("rolled-back", format!("{id} is live, in place of {from}"))
    } else if from == Some(id.as_str()) {
        ("deployed", format!("{id} is live, as before"))
    } else {
        let from = from.unwrap_or("none");
        (
            "deployed",
            format!("{id} is live (previous release: {from})"),
        )
    };
    session.emit("info", event, Subject::release(id), &text);
    Ok(())
}

/// Closes the releases that an earlier version of robotctl left open. The change has succeeded, whatever
/// comes of it; the doctor finds a release that stays open.
fn close_open_releases(session: &Session<'_>, journal: &Journal) {
    let state = &journal.state_after;
    let others = state
        .pins
        .values()
        .chain(state.same_files.values().flatten());
    let in_use = journal
        .to
        .iter()
        .chain(others)
        .map(String::as_str)
        .collect();
    if let Err(error) = session.store.close_open_releases(&in_use) {
        let text = format!("{error:#}");
        session.emit("warning", "configure-failed", Subject::default(), &text);
    }
}
