//! The history: one line per event, oldest first, in two pairs of files.
//!
//! | what | for every user | for root |
//! |---|---|---|
//! | what happened to the app | `history.jsonl` | `history.private` |
//! | commands that were refused, interrupted or not completed | `attempts.jsonl` | `attempts.private` |
//!
//! A file for every user has a summary without the output of programs and without paths. The file for root
//! has the same events in full. Attempts have files of their own: a script that repeats a refused command
//! for ever does not push out what happened, and no lock is needed to keep these files short.

use super::records::{PRIVATE, PUBLIC, Store};
use super::release::UNKNOWN_FAILURE;
use crate::events::{Event, Kept, kept};
use anyhow::Result;
use std::collections::BTreeMap;

/// A pair of files of events.
struct EventFiles {
    public: &'static str,
    private: &'static str,
    /// How many lines trimming leaves.
    max_lines: usize,
}

const HISTORY: EventFiles = EventFiles {
    public: "history.jsonl",
    private: "history.private",
    max_lines: 1000,
};

const ATTEMPTS: EventFiles = EventFiles {
    public: "attempts.jsonl",
    private: "attempts.private",
    max_lines: 100,
};

/// Events before which a failure says nothing about what is live now.
const LIVE_ENDED: [&str; 3] = ["deployed", "rolled-back", "removed"];

/// Why no release is live, as the history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When it happened (RFC 3339).
    pub ts: String,
    /// The release that failed; `None` if a command failed before it had one.
    pub release: Option<String>,
    /// The first line of what was said, for this user.
    pub cause: String,
}

impl LastFailure {
    fn new(event: &Event) -> Self {
        Self {
            ts: event.ts.clone(),
            release: event.release.clone(),
            cause: event.message.lines().next().unwrap_or_default().to_owned(),
        }
    }

    /// What happened, as a clause.
    pub fn in_words(&self) -> String {
        match &self.release {
            Some(id) => format!("the last one, {id}, failed: {}", self.cause),
            None => format!("the last attempt failed: {}", self.cause),
        }
    }
}

impl EventFiles {
    fn of(event: &Event) -> Option<&'static Self> {
        match kept(&event.event) {
            Kept::No => None,
            Kept::History => Some(&HISTORY),
            Kept::Attempts => Some(&ATTEMPTS),
        }
    }

    /// The names, with the modes.
    fn with_modes(&self) -> [(&'static str, u32); 2] {
        [(self.public, PUBLIC), (self.private, PRIVATE)]
    }
}

impl Store {
    /// Adds an event, if its kind is kept. `public` is its message for every user. A history that cannot
    /// be written never fails a command.
    pub fn append_event(&self, event: &Event, public: &str) {
        let Some(files) = EventFiles::of(event) else {
            return;
        };
        let lines = [event.public(public), event.clone()];
        for ((file, mode), event) in files.with_modes().into_iter().zip(lines) {
            if let Ok(line) = serde_json::to_string(&event) {
                let _ = self.root.append(&self.path(file), &line, mode);
            }
        }
        if kept(&event.event) == Kept::Attempts {
            // Twice as many may be there, so that not every attempt writes all of them.
            let _ = self.trim(files, 2 * files.max_lines);
        }
    }

    /// The history with the attempts, oldest first. A torn last line is skipped. Root gets the events in
    /// full, where they are known.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn history(&self) -> Result<Vec<Event>> {
        let mut all = self.events(&HISTORY)?;
        all.extend(self.events(&ATTEMPTS)?);
        // Stable, so that events of the same time stay in their order.
        all.sort_by(|a, b| a.ts.cmp(&b.ts));
        Ok(all)
    }

    /// Why no release is live: the last release that failed since one was live, or else the last command that was
    /// refused, interrupted or not completed since then.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn last_failure(&self) -> Result<Option<LastFailure>> {
        let mut all = self.history()?;
        let is_end = |one: &Event| LIVE_ENDED.contains(&one.event.as_str());
        let since = all.iter().rposition(is_end).map_or(0, |at| at + 1);
        let since = all.split_off(since);
        let failed = since.iter().rfind(|one| one.event == "failed");
        let attempt = || {
            let mut attempts = since.iter().rev();
            attempts.find(|one| kept(&one.event) == Kept::Attempts)
        };
        Ok(failed.or_else(attempt).map(LastFailure::new))
    }

    fn events(&self, files: &EventFiles) -> Result<Vec<Event>> {
        let public = self.lines(files.public)?;
        // Another user may not read it, and an earlier robotctl has not written it.
        let private = self.lines(files.private).unwrap_or_default();
        let key = |event: &Event| {
            let Event {
                ts,
                trace_id,
                event,
                release,
                service,
                ..
            } = event.clone();
            (ts, trace_id, event, release, service)
        };
        let full: BTreeMap<_, Event> = private.into_iter().map(|one| (key(&one), one)).collect();
        let all = public.into_iter();
        let all = all.map(|one| full.get(&key(&one)).cloned().unwrap_or(one));
        Ok(all.collect())
    }

    fn lines(&self, file: &str) -> Result<Vec<Event>> {
        let text = self.text_of(file)?;
        let lines = text.lines();
        Ok(lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// The text of a file. A line that a crash has torn does not hide the others.
    fn text_of(&self, file: &str) -> Result<String> {
        let bytes = self.root.read(&self.path(file))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether the app has a history, or a state.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn has_history(&self) -> Result<bool> {
        let is_there = self.root.meta(&self.path(HISTORY.public))?.is_some();
        Ok(is_there || self.has_saved_state()?)
    }

    /// Drops all but the last lines: a thousand of the history, and a hundred attempts.
    ///
    /// # Errors
    /// When a file cannot be read or written; it is then as before.
    pub fn trim_history(&self) -> Result<()> {
        self.trim(&HISTORY, HISTORY.max_lines)?;
        self.trim(&ATTEMPTS, ATTEMPTS.max_lines)
    }

    /// Drops all but the last lines of a pair of files, if a file has more than `limit`.
    fn trim(&self, files: &EventFiles, limit: usize) -> Result<()> {
        for (file, mode) in files.with_modes() {
            let path = self.path(file);
            let text = self.text_of(file)?;
            let count = text.lines().count();
            if count <= limit {
                continue;
            }
            let excess = count.saturating_sub(files.max_lines);
            let kept: Vec<&str> = text.lines().skip(excess).collect();
            let kept = kept.join("\n") + "\n";
            self.root.write_atomic(&path, kept.as_bytes(), mode)?;
        }
        Ok(())
    }

    /// Writes a history of format 1, which only root could read, again for every user.
    pub(super) fn publish_history(&self) -> Result<()> {
        let mut text = String::new();
        for event in self.lines(HISTORY.public)? {
            text.push_str(&serde_json::to_string(&public(event))?);
            text.push('\n');
        }
        self.root
            .write_atomic(&self.path(HISTORY.public), text.as_bytes(), PUBLIC)
    }
}

/// The event without the output of a service, which any line of such a message may hold.
fn public(mut event: Event) -> Event {
    if event.event == "failed" {
        UNKNOWN_FAILURE.clone_into(&mut event.message);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, HISTORY, Store};
    use crate::app::{Layout, Name};
    use crate::audit::{Audit, Caller};
    use crate::events::Event;
    use crate::host::Root;

    fn event(kind: &str, number: usize) -> Event {
        Event {
            ts: format!("2026-11-30T12:00:{:02}.{number:06}Z", number % 60),
            trace_id: number.to_string(),
            app: "shop".to_owned(),
            environment: None,
            release: None,
            service: None,
            event: kind.to_owned(),
            level: "error".to_owned(),
            message: format!("/home/alice/{number} has the password `hunter2`"),
            audit: Some(Audit {
                by: Caller {
                    user: Some("alice".to_owned()),
                    ..Caller::default()
                },
                source: Some("/home/alice".to_owned()),
                ..Audit::default()
            }),
        }
    }

    fn store(dir: &tempfile::TempDir) -> Store {
        let root = Root::new(dir.path());
        let store = Store::new(&root, &Layout::new(&Name::parse("shop").unwrap()));
        root.make_dir("/var/lib/robotctl/shop", 0o711).unwrap();
        store
    }

    #[test]
    fn refused_commands_without_end_push_nothing_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        store.append_event(&event("deployed", 0), "0");
        let many = 2 * ATTEMPTS.max_lines + 7;
        for number in 1..=many {
            store.append_event(&event("refused", number), "refused");
        }
        let kinds = |kind: &str| {
            let all = store.history().unwrap();
            all.iter().filter(|one| one.event == kind).count()
        };
        assert_eq!(kinds("deployed"), 1);
        assert!((ATTEMPTS.max_lines..=2 * ATTEMPTS.max_lines).contains(&kinds("refused")));
        let all = store.history().unwrap();
        // The last one is there.
        assert!(all.iter().any(|one| one.trace_id == many.to_string()));
        store.trim_history().unwrap();
        assert_eq!(
            (kinds("deployed"), kinds("refused")),
            (1, ATTEMPTS.max_lines)
        );
    }

    #[test]
    fn the_last_failure_is_the_cause_and_not_what_followed_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let all = || store.history().unwrap();
        let last = || {
            let found = store.last_failure().unwrap();
            found.map(|one| {
                all()
                    .iter()
                    .find(|event| event.ts == one.ts)
                    .unwrap()
                    .trace_id
                    .clone()
            })
        };
        assert_eq!(last(), None);
        for (number, kind, expected) in [
            (1, "refused", Some("1")),
            (2, "failed", Some("2")),
            (3, "restored", Some("2")),
            // It was refused because the release has failed.
            (4, "refused", Some("2")),
            (5, "removed", None),
            (6, "incomplete", Some("6")),
            (7, "deployed", None),
        ] {
            store.append_event(&event(kind, number), kind);
            assert_eq!(last().as_deref(), expected, "{kind}");
        }
    }

    #[test]
    fn other_users_get_a_summary_and_root_gets_everything() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        let whole = event("failed", 1);
        store.append_event(&whole, "it failed");
        let all = store.history().unwrap();
        assert_eq!(all, std::slice::from_ref(&whole));
        for files in [&HISTORY, &ATTEMPTS] {
            let text = store.root.read_text(&store.path(files.public)).unwrap();
            let text = text.unwrap_or_default();
            assert!(
                !text.contains("hunter2") && !text.contains("/home"),
                "{text}"
            );
        }
        store
            .root
            .remove_file(&store.path(HISTORY.private))
            .unwrap();
        assert_eq!(store.history().unwrap(), [whole.public("it failed")]);
    }

    #[test]
    fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        store.append_event(&event("deployed", 1), "deployed");
        for file in [HISTORY.public, HISTORY.private] {
            let path = store.path(file);
            let mut bytes = store.root.read(&path).unwrap().unwrap();
            bytes.extend(b"{\"ts\": \"\xc3\n");
            store.root.write_atomic(&path, &bytes, 0o600).unwrap();
        }
        store.append_event(&event("deployed", 2), "deployed");
        assert_eq!(store.history().unwrap().len(), 2);
        store.trim_history().unwrap();
    }

    #[test]
    fn an_event_that_is_not_kept_creates_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir);
        store.append_event(&event("staging", 1), "staging");
        assert_eq!(store.root.list("/var/lib/robotctl/shop").unwrap(), [""; 0]);
    }
}
