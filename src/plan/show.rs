//! The plan as a person reads it.

use super::{Action, Plan};
use crate::bytesize::format_bytes;
use crate::store::{FileChange, Stored};
use similar::TextDiff;
use std::fmt;

/// The diff of one file outside the release.
#[derive(Debug)]
pub struct Diff<'a>(pub &'a FileChange);

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileChange {
            path,
            before,
            after,
        } = self.0;
        let (before, after) = (text(before.as_ref()), text(after.as_ref()));
        let diff = TextDiff::from_lines(&before, &after);
        let from = if before.is_empty() { "/dev/null" } else { path };
        let to = if after.is_empty() { "/dev/null" } else { path };
        write!(
            f,
            "{}",
            diff.unified_diff().context_radius(2).header(from, to)
        )
    }
}

fn text(stored: Option<&Stored>) -> String {
    stored
        .and_then(|stored| stored.entry().ok())
        .map_or(String::new(), |entry| entry.text())
}

impl Plan {
    /// What the release takes on the disk.
    fn disk(&self) -> String {
        let payload = &self.payload;
        if payload.there {
            return "nothing, the release is there already".to_owned();
        }
        let shared = match (&self.from, payload.shared) {
            (Some(from), count) if count > 0 => format!(", {count} files shared with {from}"),
            _ => String::new(),
        };
        let (bytes, inodes) = (format_bytes(payload.disk_bytes), payload.disk_inodes);
        format!("{bytes} in {inodes} new inodes{shared}")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.app, self.version)?;
        match self.from.as_deref() {
            Some(from) if from == self.to => writeln!(f, "{from} stays")?,
            from => writeln!(f, "{} -> {}", from.unwrap_or("nothing"), self.to)?,
        }
        let payload = &self.payload;
        if payload.files > 0 {
            writeln!(
                f,
                "\ncontent: {} files, {} ({} new): {} added, {} changed, {} removed",
                payload.files,
                format_bytes(payload.bytes),
                format_bytes(payload.new_bytes),
                payload.added.len(),
                payload.changed.len(),
                payload.removed.len()
            )?;
            writeln!(f, "disk: {}", self.disk())?;
        }
        if !self.manifest.is_empty() {
            writeln!(f, "\nmanifest: {}", self.manifest.join(", "))?;
        }
        if let Some(wrong) = &self.repair {
            writeln!(f, "\nput right: {wrong}")?;
        }
        if !self.files.is_empty() {
            writeln!(f, "\nfiles on the host:")?;
            for change in &self.files {
                let mark = match (&change.before, &change.after) {
                    (None, _) => '+',
                    (_, None) => '-',
                    _ => '~',
                };
                writeln!(f, "  {mark} {}", change.path)?;
            }
        }
        if !self.commands.is_empty() {
            writeln!(f, "\ncommands:")?;
        }
        for command in &self.commands {
            writeln!(f, "  {:13}  {}", command.when, command.argv.join(" "))?;
        }
        if !self.accounts.is_empty() {
            writeln!(f, "\naccounts:")?;
        }
        for account in &self.accounts {
            writeln!(f, "  creates {account}")?;
        }
        writeln!(f, "\nunits:")?;
        let width = self.units.iter().map(|unit| unit.unit.len()).max();
        let width = width.unwrap_or_default();
        for unit in &self.units {
            let word = unit.action.word();
            writeln!(f, "  {word:8} {:width$}  {}", unit.unit, unit.why)?;
        }
        if self.units.iter().any(|unit| unit.action == Action::Rebind) {
            writeln!(f, "\nan address refuses connections while it is rebound")?;
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "\nwarning: {warning}")?;
        }
        match &self.back {
            Some(back) => writeln!(f, "\na rollback after this would put back {back}"),
            None => Ok(()),
        }
    }
}
