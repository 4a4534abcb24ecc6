//! Commands in hints that mean the same app as the command that failed.

use super::context::Context;
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Error, Hint};

impl Context<'_> {
    /// The error of the command, with hints to type as they are: they name its app where they must.
    pub(crate) fn complete_hints(&self, mut error: Error) -> Error {
        error.hints = error
            .hints
            .into_iter()
            .map(|hint| self.as_root(hint))
            .collect();
        match &*self.attempt.app() {
            Some(name) => self.name_app(name, error),
            None => error,
        }
    }

    /// The error of an app, with hints that name it where they must.
    pub(super) fn name_app(&self, name: &Name, mut error: Error) -> Error {
        error = error.with_any_hint();
        if self.app_without_options().as_ref() == Some(name) {
            return error;
        }
        let environment = self.environment_of(name.as_str());
        let named = |hint: Hint| match (&hint.command, &self.options.manifest) {
            // It ends the interrupted changes of all apps.
            (Some(command), _) if command.runs("recover") => hint,
            (Some(command), Some(manifest)) if command.runs("deploy") => {
                let command = command
                    .clone()
                    .for_manifest(manifest, environment.as_deref());
                Hint::to(hint.text, command)
            }
            _ => hint.for_app(name.as_str(), environment.as_deref()),
        };
        error.hints = error.hints.into_iter().map(named).collect();
        error
    }

    /// The command as it was typed.
    pub(super) fn typed(&self) -> CommandLine {
        CommandLine::robotctl(self.options.typed.iter().flatten())
    }

    /// The whole command, where the hint is to repeat it as root.
    fn as_root(&self, hint: Hint) -> Hint {
        let is_known = hint.command.is_none() && hint.text == AS_ROOT;
        if !is_known || self.host.is_offline() || self.options.typed.is_none() {
            return hint;
        }
        Hint::to("repeat it as root", self.typed().with_sudo())
    }
}
