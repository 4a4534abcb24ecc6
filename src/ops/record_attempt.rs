//! Recording how an attempt to change an app ended, if nothing else records it.

use super::context::Context;
use crate::app::Name;
use crate::error::{Error, Kind};
use crate::host::is_root;
use crate::session::Session;

impl Context<'_> {
    /// Runs a command that changes apps, and records it in the history of its app if it fails without an
    /// event of its own. Nothing is created for an app that this host does not know. An error while it is
    /// recorded is ignored: the error of the command is what counts.
    pub(super) fn attempt<T>(
        &self,
        command: &'static str,
        run: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.attempt.command.set(Some(command));
        let result = run();
        if let Err(error) = &result
            && !self.attempt.is_recorded.get()
        {
            let named = self.options.app.as_deref();
            let named = named.and_then(|name| Name::parse(name).ok());
            if let Some(app) = named.or_else(|| self.attempt.app.borrow().clone()) {
                self.record_failure(&app, error);
            }
        }
        result
    }

    /// Records that the command failed for an app.
    pub(super) fn record_failure(&self, app: &Name, error: &Error) {
        let Some(command) = self.attempt.command.get() else {
            return;
        };
        let Some((event, public)) = outcome(command, error.kind) else {
            return;
        };
        let store = self.store(app);
        if !is_root() || !store.has_history().is_ok_and(|has_history| has_history) {
            return;
        }
        let session = Session {
            host: &self.host,
            store: &store,
            app: app.to_string(),
            environment: self.environment_of(app.as_str()),
            trace: self.trace.clone(),
            audit: &self.attempt.audit,
            sink: self.sink,
        };
        let message = format!("{public}: {}", error.message);
        session.keep_attempt(event, &message, &public);
        self.attempt.is_recorded.set(true);
    }
}

/// The event of a command that ended so, and what every user may know of it; none where the events of the
/// change say it.
fn outcome(command: &str, kind: Kind) -> Option<(&'static str, String)> {
    let (event, how) = match kind {
        Kind::Refused => ("refused", "was refused"),
        Kind::Locked => (
            "refused",
            "was refused, because another robotctl was changing the app",
        ),
        Kind::Interrupted => ("interrupted", "was interrupted"),
        Kind::Degraded | Kind::Unexpected => ("incomplete", "failed, and you must act"),
        Kind::RolledBack => return None,
    };
    Some((event, format!("`robotctl {command}` {how}")))
}
