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
    if let Some(id) = target.as_deref().and_then(|target| layout.targeted(target)) {
        return Ok(Some(id.to_owned()));
    }
    // By a way of its own.
    let Some(led) = led_to(host, &current)? else {
        return Ok(None);
    };
    for id in host.root.list(&layout.releases())? {
        if led_to(host, &layout.release(&id))? == Some(led) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Which directory a path leads to: its device and inode.
fn led_to(host: &Host, path: &str) -> Result<Option<(u64, u64)>> {
    let meta = host.root.meta_followed(path)?;
    Ok(meta.filter(|meta| meta.is_dir).map(|meta| meta.id))
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
    if record.mark != Mark::Good {
        return Ok(()); // Its change was cut off: nothing was proven.
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
