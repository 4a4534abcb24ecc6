//! What `current` names: it outlives records that were lost.

use super::{About, Work};
use crate::host::Host;
use crate::model::Layout;
use crate::record::{Mark, State};
use anyhow::Result;
use jiff::Timestamp;

/// The release that `current` names, whether it is there or not; `None` when `current` is no link to
/// a release.
///
/// # Errors
/// When it cannot be read.
pub fn linked(host: &Host, layout: &Layout) -> Result<Option<String>> {
    let current = layout.current();
    let is_link = host.root.meta(&current)?.is_some_and(|it| it.is_symlink);
    let target = match is_link {
        true => host.root.read_link(&current)?,
        false => None,
    };
    // As a person may have written it.
    let own = format!("{}/", layout.opt());
    let target = target
        .as_deref()
        .map(|it| it.strip_prefix(&own).unwrap_or(it));
    Ok(target.and_then(|target| Layout::targeted(target).map(str::to_owned)))
}

/// Writes down what is live when the record of that was lost, and that of the release was not: else
/// the next deploy would take a running app for a new one, and a failure would take it away. What
/// had been live before are then the good releases that were staged before; pins are not told.
///
/// # Errors
/// When a record cannot be read or written.
pub fn adopt(work: &Work<'_>, layout: &Layout) -> Result<()> {
    if work.book.is_written()? {
        return Ok(());
    }
    let Some(live) = linked(work.host, layout)? else {
        return Ok(());
    };
    let is_there = work.host.root.meta(&layout.release(&live))?.is_some();
    let Some(record) = work.book.release(&live)?.filter(|_| is_there) else {
        return Ok(());
    };
    if record.mark == Mark::Staged {
        return Ok(()); // Its change was cut off: nothing was started, or nothing was proven.
    }
    let mut before = Vec::new();
    for id in work.book.releases()? {
        // A record that cannot be read is in nobody's way.
        if let Ok(Some(other)) = work.book.release(&id)
            && other.mark == Mark::Good
            && other.staged < record.staged
        {
            before.push((other.staged, id));
        }
    }
    before.sort();
    // The switch made the link: its time is the switch's.
    let link = work.host.root.meta(&layout.current())?;
    let since = link.and_then(|link| Timestamp::from_second(link.modified).ok());
    work.book.set_state(&State {
        live: Some(live.clone()),
        before: before.into_iter().map(|(_, id)| id).collect(),
        since: since.map(|since| since.to_string()),
        ..State::default()
    })?;
    let text = format!(
        "{live} is recorded as live again, as `{}` says",
        layout.current()
    );
    work.tell("warning", "adopted", About::release(&live), &text);
    Ok(())
}
