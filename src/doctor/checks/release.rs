//! The release that is live: whole, known and the one that runs.

use super::{Findings, error, warning};
use crate::app::{Layout, Severity, lint};
use crate::doctor::CheckContext;
use crate::host::{is_hidden, release_of};
use crate::store::Store;
use anyhow::bail;

pub(in crate::doctor) fn records(context: &CheckContext<'_>) -> Findings {
    let mut found = damaged(context.store)?;
    if let (false, Some(live)) = (context.store.has_saved_state()?, &context.state.live) {
        let current = context.layout.current();
        found.push(error(
            format!("no release is recorded as live, and `{current}` points at {live}"),
            "sudo robotctl recover",
        ));
    }
    Ok(found)
}

/// Records that cannot be read.
pub(in crate::doctor) fn damaged(store: &Store) -> Findings {
    let damaged = store.damaged_files()?;
    let found = damaged
        .iter()
        .map(|it| error(it.message(), it.recovery_hint()));
    Ok(found.collect())
}

pub(in crate::doctor) fn journal(context: &CheckContext<'_>) -> Findings {
    let Some(journal) = context.store.journal()? else {
        return Ok(Vec::new());
    };
    Ok(vec![match context.store.lock_holder() {
        Some(lock_holder) => warning(
            format!("a {} is under way: {lock_holder}", journal.operation),
            "look again when it has ended",
        ),
        None => error(
            format!("a {} was interrupted", journal.operation),
            "sudo robotctl recover",
        ),
    }])
}

pub(in crate::doctor) fn current(context: &CheckContext<'_>) -> Findings {
    let path = context.layout.current();
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let again = "sudo robotctl deploy --apply";
    let wanted = Layout::target(live);
    let root = &context.host.root;
    let mut out = Vec::new();
    match root.meta(&path)? {
        None => out.push(error(format!("`{path}` is missing"), again)),
        Some(meta) if !meta.is_symlink => {
            out.push(error(
                format!("`{path}` is no link"),
                format!(
                    "move it away, then: sudo ln -s {wanted} {}",
                    root.path(&path).display()
                ),
            ));
        }
        Some(_) => {
            let target = root.read_link(&path)?.unwrap_or_default();
            if target != wanted {
                out.push(error(
                    format!("`{path}` points at `{target}`, `{wanted}` is live"),
                    format!("sudo robotctl rollback {live}"),
                ));
            }
        }
    }
    let dir = context.layout.release(live);
    if root.meta(&dir)?.is_none() {
        out.push(error(
            format!("the live release is gone: `{dir}`"),
            "deploy it again, or: sudo robotctl rollback",
        ));
        return Ok(out);
    }
    let payload = context.store.payload(live)?.unwrap_or_default();
    let (mut missing, mut changed) = (Vec::new(), Vec::new());
    for item in &payload.items {
        let path = item.path.as_str();
        match root.meta(&format!("{dir}/{path}"))? {
            None => missing.push(path),
            Some(meta) if item.is_changed(meta.len, meta.modified) => changed.push(path),
            Some(_) => {}
        }
    }
    missing.truncate(3);
    changed.truncate(3);
    if !changed.is_empty() {
        out.push(error(
            format!(
                "files of the live release were changed by hand: {}",
                changed.join(", ")
            ),
            "deploy a new version: earlier releases share these files",
        ));
    }
    if !missing.is_empty() {
        out.push(error(
            format!("files of the live release are gone: {}", missing.join(", ")),
            "sudo robotctl rollback, then deploy it again",
        ));
    }
    Ok(out)
}

pub(in crate::doctor) fn running(context: &CheckContext<'_>) -> Findings {
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    let mut hidden = Vec::new();
    for service in &context.app.services {
        let unit = context.app.unit(service);
        let state = context.host.systemd.show_one(&unit)?;
        let Some(pid) = state.main_pid() else {
            continue;
        };
        if is_hidden(pid) {
            hidden.push(format!("`{unit}`"));
            continue;
        }
        let runs = release_of(pid, context.app.name.as_str());
        let wanted = context
            .state
            .pins
            .get(service.name.as_str())
            .unwrap_or(live);
        if let Some(runs) = runs.filter(|runs| runs != wanted) {
            out.push(error(
                format!("`{unit}` runs {runs}, it should run {wanted}"),
                format!("sudo systemctl restart {unit}"),
            ));
        }
    }
    let pattern = format!("{}-*-standin@*", context.app.name);
    for unit in context.host.systemd.list(&pattern)? {
        out.push(warning(
            format!("the stand-in `{unit}` was left behind"),
            format!("sudo systemctl stop {unit}"),
        ));
    }
    if out.is_empty() && !hidden.is_empty() {
        bail!("the processes of {} cannot be seen", hidden.join(", "));
    }
    Ok(out)
}

/// Notices are choices: a healthy host has them too.
#[expect(clippy::unnecessary_wraps, reason = "every check may fail to look")]
pub(in crate::doctor) fn manifest(context: &CheckContext<'_>) -> Findings {
    let found = |hit: crate::app::LintFinding| match hit.severity {
        Severity::Note => None,
        Severity::Warning => Some(warning(hit.message, hit.hint)),
        Severity::Error => Some(error(hit.message, hit.hint)),
    };
    let hits = lint(context.app, None).into_iter();
    Ok(hits.filter_map(found).collect())
}

pub(in crate::doctor) fn disk(context: &CheckContext<'_>) -> Findings {
    let path = context.layout.releases();
    let (bytes, inodes) = context.host.root.free_space(&path)?;
    let payload = match &context.state.live {
        Some(live) => context.store.payload(live)?,
        None => None,
    };
    let need = payload.as_ref().map_or(0, crate::payload::Payload::bytes) + 64 * 1024 * 1024;
    let count = payload.as_ref().map_or(0, crate::payload::Payload::files) + 1024;
    if bytes < need || inodes < count as u64 {
        return Ok(vec![warning(
            format!(
                "the disk of `{path}` is nearly full: {} free",
                crate::bytesize::format_bytes(bytes)
            ),
            "sudo robotctl prune",
        )]);
    }
    Ok(Vec::new())
}
