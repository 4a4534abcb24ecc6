//! The attempt to change an app: who makes it, from what, and how it ended if nothing else records it.

use crate::app::Name;
use crate::audit::{Audit, GitRevision};
use crate::error::{Error, Kind};
use crate::host::{caller, checkout_of, is_root};
use crate::provenance::Provenance;
use crate::session::Session;
use std::cell::{Cell, Ref, RefCell};
use std::path::Path;

/// What an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptKind {
    /// `robotctl deploy`
    Deploy,
    /// `robotctl rollback`
    Rollback,
    /// `robotctl recover`
    Recover,
    /// `robotctl remove`
    Remove,
    /// `robotctl prune`
    Prune,
    /// `robotctl doctor --fix`
    Fix,
    /// `robotctl restart`
    Restart,
    /// `robotctl start`
    Start,
    /// `robotctl stop`
    Stop,
    /// `robotctl secret`
    Secret,
    /// `robotctl env`
    Env,
    /// The rollback of a release that failed within its soak time. No person has typed it.
    AutomaticRollback,
}

impl AttemptKind {
    /// What it is, in words.
    fn in_words(self) -> &'static str {
        match self {
            Self::Deploy => "`robotctl deploy`",
            Self::Rollback => "`robotctl rollback`",
            Self::Recover => "`robotctl recover`",
            Self::Remove => "`robotctl remove`",
            Self::Prune => "`robotctl prune`",
            Self::Fix => "`robotctl doctor --fix`",
            Self::Restart => "`robotctl restart`",
            Self::Start => "`robotctl start`",
            Self::Stop => "`robotctl stop`",
            Self::Secret => "`robotctl secret`",
            Self::Env => "`robotctl env`",
            Self::AutomaticRollback => "the automatic rollback",
        }
    }
}

/// What is known of the command that a context belongs to.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Who started it, and what it works with.
    audit: RefCell<Audit>,
    /// What it is, if the command changes apps.
    kind: Cell<Option<AttemptKind>>,
    /// The app that it means, as soon as that is known.
    app: RefCell<Option<Name>>,
    /// Whether its failure is recorded.
    is_recorded: Cell<bool>,
}

impl Attempt {
    /// The attempt of the person who started this process.
    pub(super) fn new() -> Self {
        Self {
            audit: RefCell::new(Audit {
                by: caller(),
                ..Audit::default()
            }),
            kind: Cell::new(None),
            app: RefCell::new(None),
            is_recorded: Cell::new(false),
        }
    }

    /// Who started the command, and what it works with.
    pub(super) fn audit(&self) -> &RefCell<Audit> {
        &self.audit
    }

    /// The app that the command means, if that is known.
    pub(super) fn app(&self) -> Ref<'_, Option<Name>> {
        self.app.borrow()
    }

    /// Whether the failure of the command is recorded already.
    pub(super) fn is_recorded(&self) -> bool {
        self.is_recorded.get()
    }

    /// Sets what the attempt is.
    pub(super) fn set_kind(&self, kind: AttemptKind) {
        self.kind.set(Some(kind));
    }

    /// Sets the app that the command means.
    pub(super) fn set_app(&self, app: &Name) {
        self.app.replace(Some(app.clone()));
    }

    /// Sets the text of the manifest, for a command that deploys it.
    pub(super) fn set_manifest(&self, text: &str) {
        if self.kind.get() != Some(AttemptKind::Deploy) {
            return;
        }
        let hash = blake3::hash(text.as_bytes()).to_string();
        self.audit.borrow_mut().manifest = Some(hash);
    }

    /// Sets the directory or the archive of the release, which may not be read yet.
    pub(super) fn set_source(&self, path: &Path) {
        self.audit.borrow_mut().source = Some(path.display().to_string());
    }

    /// Reads the Git revision of the source, which the person may read, and sets it.
    pub(super) fn set_revision_of(&self, source: &Path) {
        self.audit.borrow_mut().git = checkout_of(source).map(|found| GitRevision {
            revision: found.revision,
            dirty: found.is_dirty,
        });
    }

    /// Sets what was proved of the archive.
    pub(super) fn set_archive(&self, archive: Option<&Provenance>) {
        self.audit.borrow_mut().archive = archive.cloned();
    }

    /// Sets the hash of the plan.
    pub(super) fn set_plan(&self, hash: String) {
        self.audit.borrow_mut().plan = Some(hash);
    }

    /// Records in the history of an app that the command failed, unless an event of its own says so. Nothing is
    /// created for an app that this host does not know. An error while it is recorded is ignored: the error of
    /// the command is what counts.
    pub(super) fn record_failure(&self, session: &Session<'_>, error: &Error) {
        let Some(kind) = self.kind.get() else {
            return;
        };
        let Some((event, public)) = ending(kind, error.kind) else {
            return;
        };
        let has_history = session.store.has_history();
        if !is_root() || !has_history.is_ok_and(|has_history| has_history) {
            return;
        }
        let message = format!("{public}: {}", error.message);
        session.keep_attempt(event, &message, &public);
        self.is_recorded.set(true);
    }
}

/// The event of an attempt that failed so, and what every user may know of it; none where the events of the
/// change say it.
fn ending(attempt: AttemptKind, error: Kind) -> Option<(&'static str, String)> {
    let (event, how) = match error {
        Kind::Refused => ("refused", "was refused"),
        Kind::Locked => (
            "refused",
            "was refused, because another robotctl was changing the app",
        ),
        Kind::Interrupted => ("interrupted", "was interrupted"),
        Kind::Unhealthy | Kind::Degraded | Kind::Unexpected => {
            ("incomplete", "failed, and you must act")
        }
        Kind::RolledBack => return None,
    };
    Some((event, format!("{} {how}", attempt.in_words())))
}
