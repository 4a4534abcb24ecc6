//! What to type when a file of the store is damaged, step by step.

use super::damage::Damaged;
use super::records::Store;
use super::release::public_name;
use crate::command_line::CommandLine;
use crate::error::Hint;

fn deploy() -> Hint {
    Hint::to(
        "then deploy",
        CommandLine::sudo_robotctl(["deploy", "--apply"]),
    )
}

impl Store {
    /// An error that says what to do about a damaged file.
    pub(super) fn damaged(&self, path: &str, reason: &str) -> anyhow::Error {
        let damaged = Damaged {
            path: self.shown(path),
            reason: reason.to_owned(),
            hints: match self.recorded_in(path) {
                Some(id) if self.is_live(id) => self.without_live_record(path, id),
                Some(id) => self.without_release(path, id),
                None => vec![self.file_aside("move the file aside", path), deploy()],
            },
        };
        damaged.into_error()
    }

    /// The hints about a damaged record of the live release: without a record and a state, the next
    /// deploy takes the app for a new one, and keeps its data.
    fn without_live_record(&self, path: &str, id: &str) -> Vec<Hint> {
        let (public, state) = (self.path(&public_name(id)), self.path("state.json"));
        let (mut hints, mut seen) = (Vec::new(), Vec::new());
        for (what, path) in [
            ("move the file aside", path),
            ("and the public record", public.as_str()),
            ("and the state", state.as_str()),
        ] {
            if !seen.contains(&path) && matches!(self.root.meta(path), Ok(Some(_))) {
                hints.push(self.file_aside(what, path));
                seen.push(path);
            }
        }
        hints.push(deploy());
        hints
    }

    /// The hints about a damaged record of another release, which nothing can restore any more.
    fn without_release(&self, path: &str, id: &str) -> Vec<Hint> {
        let state = self.saved_state().ok().flatten();
        if state.is_some_and(|state| state.pins.values().any(|pinned| pinned == id)) {
            // A service runs it: it must stay until the service has another release.
            return vec![Hint::to(
                "deploy its service with the others",
                CommandLine::sudo_robotctl(["deploy", "--lift-pins", "--apply"]),
            )];
        }
        let mut hints = Vec::new();
        let release = self.layout.release(id);
        for (what, path) in [
            ("move the file aside", path.to_owned()),
            ("and its release, which cannot be restored", release),
        ] {
            if matches!(self.root.meta(&path), Ok(Some(_))) {
                hints.push(self.file_aside(what, &path));
            }
        }
        hints.push(Hint::to(
            "then remove what is left of its record",
            CommandLine::sudo_robotctl(["recover"]),
        ));
        hints
    }

    /// The hint that renames a file or a directory, on the same file system. A release without a record is none.
    fn file_aside(&self, what: &str, path: &str) -> Hint {
        let to = format!("{path}.damaged");
        let words = ["mv".to_owned(), self.shown(path), self.shown(&to)];
        Hint::to(what, CommandLine::sudo(words))
    }

    fn shown(&self, path: &str) -> String {
        self.root.path(path).display().to_string()
    }

    /// The release of which a file of the store is the record.
    fn recorded_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.strip_prefix(&self.path("releases/"))?;
        let ends = [".json", ".private"];
        ends.iter().find_map(|end| name.strip_suffix(end))
    }

    /// Whether a release is live, as far as that can be known without its record.
    fn is_live(&self, id: &str) -> bool {
        let live = match self.saved_state() {
            Ok(Some(state)) => state.live,
            _ => self.release_of_current_link().ok().flatten(),
        };
        live.as_deref() == Some(id)
    }
}
