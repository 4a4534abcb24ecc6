//! The app that a command on this host means.

use super::context::Context;
use super::load::MANIFEST;
use crate::app::Name;
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, HintedError, fail};
use crate::host::files::is_file;
use crate::host::read_user_file;
use crate::manifest::{app_name, nearest};
use crate::store::Store;
use anyhow::{Context as _, Result, anyhow};
use std::path::Path;

/// The answers of several apps: one that cannot be read does not hide the others.
#[derive(Debug)]
pub(crate) struct PerApp<T> {
    /// One answer an app.
    pub(crate) answers: Vec<T>,
    /// The apps that could not be read.
    pub(crate) failed: Vec<(Name, Error)>,
}

pub(super) fn nothing_deployed<T>() -> Result<T> {
    fail(
        "no app is deployed on this host",
        Hint::to("deploy one", CommandLine::sudo_robotctl(["deploy"])),
    )
}

impl Context<'_> {
    /// The app that a command means: `--app`, the manifest in this directory, or the only one.
    pub(super) fn selected_app(&self) -> Result<Name> {
        let name = self.resolve_app()?;
        if self.options.app.is_some() {
            self.check_known(&name)?;
        }
        Ok(name)
    }

    /// The same for an app that may have been removed already.
    pub(super) fn resolve_app(&self) -> Result<Name> {
        let parse = |name: &str| Name::parse(name).map_err(|clause| anyhow!("`{name}`: {clause}"));
        if let Some(name) = &self.options.app {
            return parse(name).context("reading `--app`");
        }
        if self.options.manifest.is_some() {
            return Ok(self.load()?.app.name);
        }
        if is_file(Path::new(MANIFEST)) {
            return self.app_of_manifest_here();
        }
        match Store::apps_with_records(&self.host.root)?.as_slice() {
            [name] => parse(name),
            [] => nothing_deployed(),
            names => fail(
                format!("several apps are deployed: {}", names.join(", ")),
                "choose one with `--app NAME`",
            ),
        }
    }

    /// The app of `./robot.toml`. Commands for what is deployed need only its name, so a manifest with
    /// a mistake does not prevent a rollback.
    fn app_of_manifest_here(&self) -> Result<Name> {
        let error = match self.load() {
            Ok(loaded) => return Ok(loaded.app.name),
            Err(error) => error,
        };
        let text = read_user_file(Path::new(MANIFEST)).unwrap_or_default();
        let name = app_name(&text).map(|name| match &self.options.environment {
            Some(environment) => format!("{name}-{environment}"),
            None => name,
        });
        let known = Store::all_store_names(&self.host.root)?;
        if let Some(name) = name.filter(|name| known.contains(name))
            && let Ok(valid) = Name::parse(&name)
        {
            let text =
                format!("{error:#}; robotctl uses only the app name `{name}` from this manifest");
            self.note("warning", &name, &text);
            return Ok(valid);
        }
        let error = Error::from(error);
        Err(HintedError {
            message: error.message,
            hints: error
                .hints
                .into_iter()
                .chain(["or name the app with `--app NAME`".into()])
                .collect(),
        }
        .into())
    }

    /// All apps that a command may mean.
    pub(super) fn selected_apps(&self) -> Result<Vec<Name>> {
        let options = &self.options;
        if options.app.is_some() || options.manifest.is_some() || is_file(Path::new(MANIFEST)) {
            return Ok(vec![self.selected_app()?]);
        }
        self.all_apps()
    }

    /// All apps of this host.
    pub(super) fn all_apps(&self) -> Result<Vec<Name>> {
        let names = Store::apps_with_records(&self.host.root)?;
        Ok(names
            .iter()
            .filter_map(|name| Name::parse(name).ok())
            .collect())
    }

    /// Refuses an app of which nothing is recorded, and names the nearest one.
    pub(super) fn check_known(&self, name: &Name) -> Result<()> {
        let known = Store::all_store_names(&self.host.root)?;
        if known.iter().any(|known| known == name.as_str()) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = match nearest(name.as_str(), &known) {
            Some(near) => format!("did you mean `{near}`?").into(),
            None => Hint::to(
                "list the apps, from a directory without a `robot.toml`",
                CommandLine::robotctl(["status"]),
            ),
        };
        fail(format!("there is no app `{name}` on this host"), hint)
    }

    /// Refuses an app that is not deployed, before a lock creates a store for it.
    pub(super) fn check_deployed(&self, name: &Name) -> Result<()> {
        let apps = Store::apps_with_records(&self.host.root)?;
        if apps.iter().any(|app| app == name.as_str()) {
            return Ok(());
        }
        fail(
            format!("`{name}` is not deployed on this host"),
            Hint::to(
                "list the apps, from a directory without a `robot.toml`",
                CommandLine::robotctl(["status"]),
            ),
        )
    }

    /// Asks every app that a command may mean. With a single app, its error is the error.
    pub(super) fn for_each_app<T>(
        &self,
        mut ask: impl FnMut(&Name) -> Result<T>,
    ) -> Result<PerApp<T>, Error> {
        let names = self.selected_apps().nothing_changed()?;
        if let [name] = names.as_slice() {
            self.check_deployed(name).nothing_changed()?;
            return Ok(PerApp {
                answers: vec![ask(name).nothing_changed()?],
                failed: Vec::new(),
            });
        }
        let (mut answers, mut failed) = (Vec::new(), Vec::new());
        for name in names {
            match ask(&name).nothing_changed() {
                Ok(answer) => answers.push(answer),
                Err(error) => failed.push((name, error)),
            }
        }
        Ok(PerApp { answers, failed })
    }
}
