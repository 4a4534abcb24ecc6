//! Which app on this host a command means.

use super::Ctx;
use super::find::{HERE, refuse};
use crate::app::{Layout, Name};
use crate::error::Error;
use crate::host::files::is_file;
use crate::host::{is_root, read_user_file};
use crate::manifest::{app_name, nearest};
use crate::store::Store;
use anyhow::{Context, Result, anyhow};
use std::path::Path;

impl Ctx {
    /// The app that a command on this host means: `--app`, the manifest here, the only one.
    pub(super) fn deployed(&self) -> Result<Name> {
        let name = self.resolve_app()?;
        if self.app.is_some() {
            self.check_known(&name)?;
        }
        Ok(name)
    }

    /// The same, of which nothing may be known any more.
    pub(super) fn resolve_app(&self) -> Result<Name> {
        let parse = |name: &str| Name::parse(name).map_err(|clause| anyhow!("`{name}`: {clause}"));
        if let Some(name) = &self.app {
            return parse(name).with_context(|| "reading `--app`");
        }
        if self.manifest.is_some() {
            return Ok(self.load()?.app.name);
        }
        if is_file(Path::new(HERE)) {
            return self.named_here();
        }
        match Store::apps(&self.host.root)?.as_slice() {
            [name] => parse(name),
            [] => refuse(
                "no app is deployed on this host",
                "deploy one: `sudo robotctl deploy`",
            ),
            names => refuse(
                format!("several apps are deployed: {}", names.join(", ")),
                "choose one with `--app NAME`",
            ),
        }
    }

    /// The app of the manifest in this directory. What is on the host needs no more of it than
    /// the name: a manifest that is being written is no reason not to roll back.
    fn named_here(&self) -> Result<Name> {
        let error = match self.load() {
            Ok(loaded) => return Ok(loaded.app.name),
            Err(error) => error,
        };
        let told = Error::from(error).to_string();
        let (what, hint) = told.split_once("\n\nhint: ").unwrap_or((&told, ""));
        let text = read_user_file(Path::new(HERE)).unwrap_or_default();
        let name = app_name(&text).map(|name| match &self.environment {
            Some(environment) => format!("{name}-{environment}"),
            None => name,
        });
        let known = Store::all(&self.host.root)?;
        if let Some(name) = name.filter(|name| known.contains(name))
            && let Ok(name) = Name::parse(&name)
        {
            self.printer.say(&format!(
                "warning: {what}; only the app's name is taken from there: `{name}`"
            ));
            return Ok(name);
        }
        let hint = hint.trim_end();
        refuse(
            what,
            format!("{hint}; `--app NAME` does without the manifest"),
        )
    }

    /// All apps that a command on this host may mean, for reading.
    pub(super) fn all_deployed(&self) -> Result<Vec<Name>> {
        if self.app.is_some() || self.manifest.is_some() || is_file(Path::new(HERE)) {
            return Ok(vec![self.deployed()?]);
        }
        self.every_app()
    }

    /// All apps of this host.
    pub(super) fn every_app(&self) -> Result<Vec<Name>> {
        let names = Store::apps(&self.host.root)?;
        Ok(names
            .iter()
            .filter_map(|name| Name::parse(name).ok())
            .collect())
    }

    /// Refuses an app of which nothing is known, with the one that was most likely meant.
    pub(super) fn check_known(&self, name: &Name) -> Result<()> {
        let known = Store::all(&self.host.root)?;
        if known.iter().any(|known| known == name.as_str()) {
            return Ok(());
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = match nearest(name.as_str(), &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`sudo robotctl status` tells what is, from a directory without a \
                     `robot.toml`"
                .to_owned(),
        };
        refuse(format!("there is no app `{name}` on this host"), hint)
    }

    /// The book of an app, for reading.
    pub(super) fn store(&self, name: &Name) -> Result<Store> {
        let store = Store::new(&self.host.root, &Layout::new(name));
        match store.state() {
            Ok(_) => Ok(store),
            Err(_) if !is_root() => refuse(
                format!("reading what is live of `{name}` needs root"),
                "type `sudo` before the command",
            ),
            Err(error) => Err(error),
        }
    }

    /// Asks for every app that is meant; one that cannot be read hides no other. Whether all
    /// could be read comes with the answers.
    pub(super) fn of_each<T>(
        &self,
        mut ask: impl FnMut(&Name) -> Result<T>,
    ) -> Result<(Vec<T>, bool)> {
        let names = self.all_deployed()?;
        if let [name] = names.as_slice() {
            return Ok((vec![ask(name)?], true));
        }
        let (mut answers, mut all) = (Vec::new(), true);
        for name in &names {
            match ask(name) {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    all = false;
                    let error = Error::from(error);
                    let told = self.for_tree(&format!("error: {name}: {error}"));
                    self.printer.always(&told);
                }
            }
        }
        Ok((answers, all))
    }
}
