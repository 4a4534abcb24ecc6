//! The attempt to change an app: who makes it, and from what.

use crate::app::Name;
use crate::audit::{Audit, Caller, GitRevision};
use crate::host::{CallerIds, caller, checkout_of};
use std::cell::{Cell, RefCell};
use std::path::Path;

/// The command that deploys.
pub(super) const DEPLOY: &str = "deploy";

/// What is known of the command that a context belongs to.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Who started it, and what it works with.
    pub(super) audit: RefCell<Audit>,
    /// The command, if it changes apps.
    pub(super) command: Cell<Option<&'static str>>,
    /// The app that it means, as soon as that is known.
    pub(super) app: RefCell<Option<Name>>,
    /// Whether its failure is recorded.
    pub(super) is_recorded: Cell<bool>,
}

impl Attempt {
    /// The attempt of the person who started this process.
    pub(super) fn new() -> Self {
        let CallerIds {
            user,
            uid,
            sudo_uid,
            login_uid,
        } = caller();
        let by = Caller {
            user,
            uid,
            sudo_uid,
            login_uid,
        };
        Self {
            audit: RefCell::new(Audit {
                by,
                ..Audit::default()
            }),
            ..Self::default()
        }
    }

    /// Notes the app that the command means.
    pub(super) fn is_about(&self, app: &Name) {
        self.app.replace(Some(app.clone()));
    }

    /// Notes the text of the manifest, for a command that deploys it.
    pub(super) fn uses_manifest(&self, text: &str) {
        if self.command.get() != Some(DEPLOY) {
            return;
        }
        let hash = blake3::hash(text.as_bytes()).to_string();
        self.audit.borrow_mut().manifest = Some(hash);
    }

    /// Notes the directory or the archive of the release, which may not be read yet.
    pub(super) fn uses_source(&self, path: &Path) {
        self.audit.borrow_mut().source = Some(path.display().to_string());
    }

    /// Notes the Git revision of the source, which the person may read.
    pub(super) fn reads_revision(&self, source: &Path) {
        self.audit.borrow_mut().git = checkout_of(source).map(|found| GitRevision {
            revision: found.revision,
            dirty: found.is_dirty,
        });
    }

    /// Notes the hash of the plan.
    pub(super) fn uses_plan(&self, hash: String) {
        self.audit.borrow_mut().plan = Some(hash);
    }
}
