//! Commands in hints that mean the same app as the command that failed.

use super::context::Context;
use super::load::MANIFEST;
use super::user_file::{Links, read_text};
use crate::app::{App, BUNDLED_APP, Name};
use crate::command_line::CommandLine;
use crate::doctor::Report;
use crate::error::{AS_ROOT, Error, Hint};
use crate::host::files::is_present;
use crate::host::real_path;
use crate::manifest::parse;
use std::path::{Path, PathBuf};

/// The manifest that a deploy must name.
enum NeededManifest {
    /// It finds one.
    None,
    /// This one.
    At(PathBuf),
    /// One that is not known.
    Unknown,
}

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
        let environment = self.environment_of(name.as_str());
        let is_meant = self.app_without_options().as_ref() == Some(name);
        let named = |hint: Hint| match &hint.command {
            // It ends the interrupted changes of all apps.
            Some(command) if command.runs("recover") => hint,
            _ => self.for_app(name, environment.as_deref(), hint, is_meant),
        };
        error.hints = error.hints.into_iter().map(named).collect();
        error
    }

    /// Makes the commands of the fixes in a report name their app.
    pub(super) fn complete_fixes(&self, name: &Name, report: &mut Report) {
        let environment = self.store(name).environment();
        report.map_fixes(|step| self.for_app(name, environment.as_deref(), step, false));
    }

    /// The hint for an app, which a command without options may mean already. A deploy names the manifest that it
    /// needs in this directory.
    fn for_app(
        &self,
        name: &Name,
        environment: Option<&str>,
        mut hint: Hint,
        is_meant: bool,
    ) -> Hint {
        let is_deploy = |command: &CommandLine| command.runs("deploy") && !command.names_manifest();
        if let Some(deploy) = hint.command.clone().filter(is_deploy) {
            match self.needed_manifest(name, environment) {
                NeededManifest::At(manifest) => {
                    return Hint::to(hint.text, deploy.for_manifest(&manifest, environment));
                }
                NeededManifest::Unknown => {
                    if !hint.text.is_empty() {
                        hint.text.push_str(", ");
                    }
                    hint.text
                        .push_str("in the directory of the app's robot.toml");
                }
                NeededManifest::None => {}
            }
        }
        if is_meant {
            return hint;
        }
        hint.for_app(name.as_str(), environment)
    }

    /// The manifest that a deploy of an app must name in this directory.
    fn needed_manifest(&self, name: &Name, environment: Option<&str>) -> NeededManifest {
        let is_here = is_present(Path::new(MANIFEST)) && self.name_here().as_ref() == Some(name);
        let path = match &self.options.manifest {
            Some(manifest) => Some(manifest.clone()),
            None if is_here || name.as_str() == BUNDLED_APP => return NeededManifest::None,
            None => self.manifest_of_origin(name, environment),
        };
        path.map_or(NeededManifest::Unknown, NeededManifest::At)
    }

    /// The manifest that an app was deployed from, if it is still there, says the same and would release the same
    /// source. Only root can see it, and only root deploys.
    fn manifest_of_origin(&self, name: &Name, environment: Option<&str>) -> Option<PathBuf> {
        let store = self.store(name);
        let id = match store.state().ok()?.live {
            Some(live) => live,
            None => store.last_failure().ok()??.release?,
        };
        let record = store.release(&id).ok()??;
        let recorded = parse(&record.manifest).ok()?;
        let app = App::from_record(&recorded, environment, None).ok()?;
        let origin = PathBuf::from(record.origin);
        let candidates = origin.ancestors().take(2).map(|dir| dir.join(MANIFEST));
        let mut candidates = candidates.filter(|path| is_present(path));
        candidates.find(|path| {
            let text = read_text(path, Links::Refused, "").unwrap_or_default();
            let is_same = parse(&text).is_ok_and(|found| found.written == recorded.written);
            let dir = path.parent().unwrap_or(Path::new("/"));
            let source = dir.join(app.release.source.as_str());
            is_same && app.name == *name && real_path(&source).is_ok_and(|source| source == origin)
        })
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
