//! The app that a command on this host means.

use super::context::Context;
use super::load::MANIFEST;
use super::user_file::Links;
use crate::app::{BUNDLED_APP, Name};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, HintedError, fail};
use crate::host::files::is_present;
use crate::manifest::nearest;
use crate::store::Store;
use anyhow::Result;
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
    /// Refuses a command that needs a live release of an app. `then` says what it would do with one.
    pub(super) fn nothing_live<T>(&self, name: &Name, then: &str) -> Result<T> {
        let failure = self.store(name).last_failure()?;
        let (message, fix) = match failure {
            Some(failure) => (
                format!("no release of `{name}` is live, and {}", failure.in_words()),
                "fix the cause and deploy again",
            ),
            None => (format!("no release of `{name}` is live"), "deploy it"),
        };
        let deploy = CommandLine::sudo_robotctl(["deploy", "--apply"]);
        let read = Hint::to("see what is wrong", CommandLine::sudo_robotctl(["doctor"]));
        let hints = vec![Hint::to(format!("{fix}, {then}"), deploy), read];
        Err(HintedError { message, hints }.into())
    }

    /// The app that a command means: `--app`, the manifest in this directory, or the only one.
    pub(super) fn selected_app(&self) -> Result<Name> {
        let name = self.resolve_app()?;
        if self.options.app.is_some() {
            self.check_known(&name)?;
        }
        self.check_answers(&name)?;
        Ok(name)
    }

    /// The same for an app that may have been removed already.
    pub(super) fn resolve_app(&self) -> Result<Name> {
        let name = self.find_app()?;
        self.attempt.set_app(&name);
        Ok(name)
    }

    fn find_app(&self) -> Result<Name> {
        if let Some(name) = self.named_app()? {
            return Ok(name);
        }
        if let Some(path) = &self.options.manifest {
            return Ok(self.read_manifest(path, Links::Followed)?.app.name);
        }
        if is_present(Path::new(MANIFEST)) {
            return self.app_of_manifest_here();
        }
        match self.only_app()? {
            Some(name) => Ok(name),
            None => nothing_deployed(),
        }
    }

    /// The only app that is deployed. The bundled app counts only if there is no other, and an app of which no
    /// release is live only if a release of no other one is.
    pub(super) fn only_app(&self) -> Result<Option<Name>> {
        let (all, bundled) = self.deployed_apps()?;
        let live: Vec<Name> = all
            .iter()
            .filter(|name| self.may_be_live(name))
            .cloned()
            .collect();
        let (own, what) = match live.as_slice() {
            [] => (all, "no release is live, and several apps are known"),
            _ => (live, "several apps are deployed"),
        };
        match own.as_slice() {
            [] => Ok(bundled),
            [name] => Ok(Some(name.clone())),
            names => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                let bundled = bundled.map(|name| format!(", and the bundled app {name}"));
                fail(
                    format!(
                        "{what}: {}{}",
                        names.join(", "),
                        bundled.unwrap_or_default()
                    ),
                    "choose one with `--app NAME`",
                )
            }
        }
    }

    /// Whether a release of an app is live. A state that cannot be read counts: the command that reads it says why
    /// it cannot.
    fn may_be_live(&self, name: &Name) -> bool {
        let state = self.store(name).state();
        state.map_or(true, |state| state.live.is_some())
    }

    /// The apps of this host, and the bundled one if it is among them.
    pub(super) fn deployed_apps(&self) -> Result<(Vec<Name>, Option<Name>)> {
        let all = self.all_apps()?.into_iter();
        let (bundled, own): (Vec<Name>, Vec<Name>) =
            all.partition(|name| name.as_str() == BUNDLED_APP);
        Ok((own, bundled.into_iter().next()))
    }

    /// The app of `./robot.toml`. Commands for what is deployed need only its name, so a manifest with
    /// a mistake does not prevent a rollback.
    fn app_of_manifest_here(&self) -> Result<Name> {
        let error = match self.read_manifest(Path::new(MANIFEST), Links::Followed) {
            Ok(loaded) => return Ok(loaded.app.name),
            Err(error) => error,
        };
        let known = Store::all_store_names(&self.host.root)?;
        let name = self.name_here();
        if let Some(name) = name.filter(|name| known.iter().any(|one| one == name.as_str())) {
            let text =
                format!("{error:#}; robotctl uses only the app name `{name}` from this manifest");
            self.note("warning", name.as_str(), &text);
            return Ok(name);
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
        if options.app.is_some() || options.manifest.is_some() || is_present(Path::new(MANIFEST)) {
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
            None => self.candidates()?,
        };
        fail(format!("there is no app `{name}` on this host"), hint)
    }

    /// Refuses an app that is not deployed, before a lock creates a store for it.
    pub(super) fn check_deployed(&self, name: &Name) -> Result<()> {
        let apps = self.all_apps()?;
        if apps.contains(name) {
            return Ok(());
        }
        let hint = match apps.as_slice() {
            [] => Hint::to("deploy it", CommandLine::sudo_robotctl(["deploy"])),
            _ => self.candidates()?,
        };
        fail(format!("`{name}` is not deployed on this host"), hint)
    }

    /// The apps to choose from.
    fn candidates(&self) -> Result<Hint> {
        let names = self.all_apps()?;
        let names = names.iter().filter(|name| self.may_be_live(name));
        let names: Vec<&str> = names.map(Name::as_str).collect();
        Ok(match names.as_slice() {
            [] => "check the name: no app is deployed".into(),
            [name] => format!("this one is deployed: {name}").into(),
            names => format!("these are deployed: {}", names.join(", ")).into(),
        })
    }

    /// Asks every app that a command may mean. With a single app, its error is the error.
    pub(super) fn for_each_app<T>(
        &self,
        mut ask: impl FnMut(&Name) -> Result<T>,
    ) -> Result<PerApp<T>, Error> {
        self.change_each_app(|name| ask(name).nothing_changed())
    }

    /// The same for a command that changes apps: its errors say what they left behind.
    pub(super) fn change_each_app<T>(
        &self,
        mut ask: impl FnMut(&Name) -> Result<T, Error>,
    ) -> Result<PerApp<T>, Error> {
        let names = self.selected_apps().nothing_changed()?;
        let mut ask = |name: &Name| {
            self.check_answers(name).nothing_changed()?;
            ask(name)
        };
        if let [name] = names.as_slice() {
            self.check_deployed(name).nothing_changed()?;
            return Ok(PerApp {
                answers: vec![ask(name)?],
                failed: Vec::new(),
            });
        }
        let (mut answers, mut failed) = (Vec::new(), Vec::new());
        for name in names {
            match ask(&name) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    let error = self.name_app(&name, error);
                    failed.push((name, error));
                }
            }
        }
        Ok(PerApp { answers, failed })
    }
}
