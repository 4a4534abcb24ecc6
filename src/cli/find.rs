//! Which app is meant, and what must hold before a command changes the host.

use super::Ctx;
use crate::app::layout::VENDOR_DIR;
use crate::app::{App, Layout, Name, Target};
use crate::error::HintedError;
use crate::events::{Event, Subject};
use crate::host::files::{is_dir, is_file};
use crate::host::{self, Lock, is_root};
use crate::manifest::{self, Problem};
use crate::session::Session;
use crate::store::{Damaged, Store};
use crate::transaction::{Recovered, RecoveryMode, StateRebuild, rebuild_state, recover};
use anyhow::{Result, anyhow};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The manifest of the directory in which a command is typed.
pub(super) const HERE: &str = "robot.toml";

/// A manifest that was read and judged.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) app: App,
    /// Whether what was given as the source is the app's directory.
    pub(super) is_source: bool,
}

pub(super) fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T> {
    Err(HintedError::new(message.into(), hint.into()).into())
}

/// How an interrupted change was ended.
#[derive(Debug)]
pub(super) struct RecoveryReport {
    /// Whether there was one.
    pub(super) found: bool,
    /// What became of a state that was lost.
    pub(super) adopted: StateRebuild,
    /// Whether everything is gone that killed runs left.
    pub(super) clean: bool,
}

impl Ctx {
    /// The manifest: `--manifest`, `./robot.toml`, then the installed app's.
    pub(super) fn load(&self) -> Result<Loaded> {
        self.load_for(None)
    }

    /// The same for a deploy of `source`: where no manifest is named or lies here, one in the
    /// source is meant before that of an installed app.
    pub(super) fn load_for(&self, source: Option<&Path>) -> Result<Loaded> {
        let inside = source.map(|source| source.join("robot.toml"));
        let named = self.app.is_some() || self.manifest.is_some();
        let inside = inside.filter(|inside| !named && !is_file(Path::new(HERE)) && is_file(inside));
        let is_source = inside.is_some();
        let path = match inside {
            Some(path) => path,
            None => self.manifest_path()?,
        };
        let text = match host::read_user_file(&path) {
            Ok(text) => text,
            Err(error) => {
                return refuse(
                    format!("reading `{}`: {error}", path.display()),
                    "name the manifest with `--manifest FILE`",
                );
            }
        };
        let app = self.check_health(&path, &text)?;
        Ok(Loaded {
            path,
            text,
            app,
            is_source,
        })
    }

    fn check_health(&self, path: &Path, text: &str) -> Result<App> {
        let read = || App::from_manifest(&manifest::parse(text)?, self.environment.as_deref());
        let app = read().map_err(|problem| {
            let problem = problem.at(text);
            let Problem {
                line,
                message,
                hint,
                path: _,
            } = problem;
            let place = match line {
                Some(line) => format!("{}:{line}", path.display()),
                None => path.display().to_string(),
            };
            let hint = hint.unwrap_or_else(|| "docs/manifest.md tells of every key".to_owned());
            anyhow!("{place}: {message}\n\nhint: {hint}")
        })?;
        if let Some(name) = &self.app
            && *name != app.name.as_str()
        {
            return refuse(
                format!(
                    "`{}` is the manifest of `{}`, not of `{name}`",
                    path.display(),
                    app.name
                ),
                "leave `--app` out, or name another `--manifest`",
            );
        }
        Ok(app)
    }

    fn manifest_path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.manifest {
            return Ok(path.clone());
        }
        let here = PathBuf::from(HERE);
        if self.app.is_none() && is_file(&here) {
            return Ok(here);
        }
        let installed = |name: &str| format!("{VENDOR_DIR}/{name}/robot.toml");
        let root = &self.host.root;
        if let Some(name) = &self.app {
            let path = root.followed(&installed(name));
            if is_file(&path) {
                return Ok(path);
            }
            if is_file(&here) {
                return Ok(here);
            }
            return refuse(
                format!("there is no manifest of `{name}`"),
                "go to its directory, or name it with `--manifest FILE`",
            );
        }
        let mut found = Vec::new();
        for name in root.list(VENDOR_DIR)? {
            if Name::parse(&name).is_ok() && is_file(&root.followed(&installed(&name))) {
                found.push(name);
            }
        }
        match found.as_slice() {
            [name] => {
                let path = installed(name);
                self.printer.say(&format!(
                    "no robot.toml here: taking the installed app `{name}` ({path})"
                ));
                Ok(root.followed(&path))
            }
            [] => refuse(
                "there is no `robot.toml` here and no app is installed",
                "go to the app's directory, or name the manifest with `--manifest FILE`",
            ),
            names => refuse(
                format!("several apps are installed: {}", names.join(", ")),
                "choose one with `--app NAME`",
            ),
        }
    }

    /// The systemd to write units for.
    pub(super) fn target(&self, app: &App) -> Target {
        match (app.target, self.host.is_offline()) {
            (Some(target), _) => target,
            (None, true) => Target::Portable,
            (None, false) => match self.host.systemd.version() {
                Ok(version) => Target::Version(version),
                Err(_) => Target::Portable,
            },
        }
    }

    /// Refuses what only root on a systemd host can do.
    pub(super) fn check_privileges(&self) -> Result<()> {
        if !is_root() && !self.host.is_offline() {
            return refuse(
                "changing this host needs root",
                "type `sudo` before the command",
            );
        }
        let root = self.host.root.path("/");
        let shown = root.to_string_lossy();
        let shown = shown.trim_end_matches('/');
        if !is_dir(&root) {
            return refuse(
                format!("the root `{shown}` is not a directory"),
                "name the directory that holds the tree with `--root DIR`",
            );
        }
        let etc = self.host.root.meta("/etc")?;
        if self.host.is_offline() && etc.is_some_and(|meta| meta.is_symlink) {
            return refuse(
                format!("`/etc` of the root `{shown}` is a link"),
                "make it a directory: the services' users are written there",
            );
        }
        if !self.host.is_offline() && !self.host.systemd.is_booted() {
            return refuse(
                "this host was not booted with systemd",
                "run it on the host itself, or work on a tree with `--root DIR`",
            );
        }
        Ok(())
    }

    /// Refuses an app that this host does not know, before a lock makes a book for it.
    pub(super) fn check_deployed(&self, name: &Name) -> Result<()> {
        self.check_privileges()?;
        if Store::apps(&self.host.root)?
            .iter()
            .any(|app| app == name.as_str())
        {
            return Ok(());
        }
        refuse(
            format!("`{name}` is not deployed on this host"),
            "`sudo robotctl status` tells what is",
        )
    }

    /// Ends an interrupted change and sweeps what killed runs left. The end of a removal takes the
    /// lock along: what is there from then on may be somebody else's.
    pub(super) fn recover_and_clean(
        &self,
        session: &Session<'_>,
        name: &Name,
        mode: RecoveryMode,
        lock: &Lock,
    ) -> Result<RecoveryReport> {
        session.store.check_format()?;
        let ended = recover(session, mode)?;
        if !session.store.is_lock_current(lock) {
            return Ok(RecoveryReport {
                found: true,
                adopted: StateRebuild::Nothing,
                clean: true,
            });
        }
        let found = match ended {
            Recovered::Nothing => false,
            Recovered::Old(id) | Recovered::New(id) => {
                // What was no release of this app is back as well.
                let id = id.or_else(|| session.store.link().ok().flatten());
                let id = id.unwrap_or_else(|| "nothing".to_owned());
                let told = format!("an interrupted change was ended: {id} is live");
                // Of an app that never was live there is no book to write into.
                if session.store.has_saved_state()? {
                    session.emit("warning", "recovered", Subject::default(), &told);
                }
                true
            }
        };
        let layout = Layout::new(name);
        let adopted = rebuild_state(session, &layout);
        // What does not stop is no reason to keep what takes room.
        let running = crate::transaction::clean_up(&self.host, name.as_str());
        let lying = crate::stage::clean_up(&self.host, session.store, &layout);
        let swept = match (running, lying) {
            (Err(one), Err(two)) => Err(anyhow!("{one:#}; {two:#}")),
            (running, lying) => running.and(lying),
        };
        let swept = swept.map_err(|error| {
            // In nobody's way: the next command tries again.
            let text = match error.is::<Damaged>() {
                true => format!("no leftovers of a killed run were looked for: {error:#}"),
                false => format!("leftovers of a killed run are still there: {error:#}"),
            };
            session.emit("warning", "not-swept", Subject::default(), &text);
        });
        Ok(RecoveryReport {
            found,
            adopted,
            clean: swept.is_ok(),
        })
    }

    /// Takes the lock, ends an interrupted change, then runs `then`.
    pub(super) fn change<T>(
        &self,
        name: &Name,
        doing: &str,
        wait: Duration,
        then: impl FnOnce(&Session<'_>) -> Result<T>,
    ) -> Result<T> {
        self.with_session(name, |session| {
            loop {
                let lock: Lock = session
                    .store
                    .lock(doing, wait)
                    .map_err(anyhow::Error::new)?;
                self.recover_and_clean(session, name, RecoveryMode::Restart, &lock)?;
                // Ending an interrupted removal takes the lock's file along.
                if session.store.is_lock_current(&lock) {
                    return then(session);
                }
            }
        })
    }

    /// Takes the lock, then runs `then`; an interrupted change is left as it is.
    pub(super) fn locked<T>(
        &self,
        name: &Name,
        doing: &str,
        wait: Duration,
        then: impl FnOnce(&Session<'_>, &Lock) -> Result<T>,
    ) -> Result<T> {
        self.with_session(name, |session| {
            let lock: Lock = session
                .store
                .lock(doing, wait)
                .map_err(anyhow::Error::new)?;
            then(session, &lock)
        })
    }

    fn with_session<T>(
        &self,
        name: &Name,
        then: impl FnOnce(&Session<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check_privileges()?;
        let store = Store::new(&self.host.root, &Layout::new(name));
        // In nobody's way: the next command tries again.
        let _ = Store::remove_deleted(&self.host.root);
        let show = |event: &Event| self.event(event);
        then(&Session {
            host: &self.host,
            store: &store,
            app: name.to_string(),
            environment: self.environment.clone().or_else(|| store.environment()),
            trace: host::random_hex(8)?,
            show: &show,
        })
    }

    /// Shows an event as it happens.
    pub(super) fn event(&self, event: &Event) {
        match self.printer.format {
            super::Format::Json => {
                let line = serde_json::to_string(event).unwrap_or_default();
                self.printer.data(&format!("{line}\n"));
            }
            super::Format::Text if host::journald::has_stderr() => {}
            super::Format::Text if event.level == "info" => self.printer.say(&of_app(event)),
            // The command's last words tell of the failure, with what to do.
            super::Format::Text if event.level == "debug" || event.event == "failed" => {}
            super::Format::Text => {
                self.printer
                    .always(&format!("{}: {}", event.level, of_app(event)));
            }
        }
    }
}

/// What happened, with the app that it happened to.
fn of_app(event: &Event) -> String {
    let Event { app, message, .. } = event;
    match message.starts_with(&format!("{app} ")) {
        true => message.clone(),
        false => format!("{app}: {message}"),
    }
}
