//! What every command gets: the host, the options, and where events go.

use super::attempt::{Attempt, AttemptKind};
use super::preflight::refuse;
use crate::app::{App, Layout, Name, Target};
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Error, Hint, fail};
use crate::events::{Event, Sink};
use crate::host::files::is_dir;
use crate::host::{self, Host, is_root};
use crate::prerequisites::{directories_of_changes, unwritable_directories};
use crate::session::Session;
use crate::stage::Progress;
use crate::store::Store;
use anyhow::Result;
use std::any::Any;
use std::fmt;
use std::path::PathBuf;

/// The options that all commands share, as they were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// `--app`
    pub(crate) app: Option<String>,
    /// `--manifest`
    pub(crate) manifest: Option<PathBuf>,
    /// `--environment`
    pub(crate) environment: Option<String>,
    /// Whether the maintainer script of a package gives the command. Then no service starts where policy-rc.d
    /// forbids it or systemd does not run.
    pub(crate) by_package: bool,
    /// `--root`
    pub(crate) root: Option<PathBuf>,
    /// The words of the command line, without the program and `--root`; none if they are not UTF-8.
    pub(crate) typed: Option<Vec<String>>,
}

/// The name of an app that a change can write: [`Context::check_app_writable`] has seen its directories. No
/// session begins without it, so that it is asked once.
#[derive(Debug)]
pub(super) struct WritableApp {
    name: Name,
}

impl WritableApp {
    /// The app.
    pub(super) fn name(&self) -> &Name {
        &self.name
    }
}

/// Makes the progress display of a copy of so many bytes.
pub(crate) type MakeProgress<'a> = dyn Fn(u64) -> Box<dyn Progress> + 'a;

/// Shows that a command runs, until it is dropped.
pub(crate) type ShowActivity<'a> = dyn Fn(&str) -> Box<dyn Any> + 'a;

/// What every command gets.
pub(crate) struct Context<'a> {
    /// The host that the command works on.
    pub(crate) host: Host,
    /// The options that all commands share.
    pub(crate) options: Options,
    /// The trace id of the command.
    pub(crate) trace: String,
    /// Who makes the command, from what, and for which app.
    pub(super) attempt: Attempt,
    /// Receives events.
    pub(crate) sink: &'a Sink<'a>,
    /// Makes progress displays.
    pub(crate) progress: &'a MakeProgress<'a>,
    /// Shows that a command runs.
    pub(crate) activity: &'a ShowActivity<'a>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("options", &self.options)
            .field("trace", &self.trace)
            .finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// The context of a command.
    pub(crate) fn new(
        options: Options,
        trace: String,
        sink: &'a Sink<'a>,
        progress: &'a MakeProgress<'a>,
        activity: &'a ShowActivity<'a>,
    ) -> Self {
        let mut host = Host::new(options.root.as_deref());
        if options.by_package && !host.may_start_services() {
            host = host.without_services();
        }
        Self {
            host,
            options,
            trace,
            attempt: Attempt::new(),
            sink,
            progress,
            activity,
        }
    }

    /// The environment of an app: the one that the command names, or the one that it was deployed with.
    pub(crate) fn environment_of(&self, app: &str) -> Option<String> {
        let named = self.options.environment.as_ref();
        let named = named.filter(|environment| app.ends_with(&format!("-{environment}")));
        let deployed = || self.store(&Name::parse(app).ok()?).environment();
        named.cloned().or_else(deployed)
    }

    /// The app that the command has found.
    pub(crate) fn app_of_command(&self) -> Option<String> {
        self.attempt.app().as_ref().map(ToString::to_string)
    }

    /// The live release of an app.
    pub(crate) fn live_release_of(&self, app: &str) -> Option<String> {
        self.store(&Name::parse(app).ok()?).state().ok()?.live
    }

    /// Tells the user something about the command itself, at the level `info` or `warning`.
    pub(super) fn note(&self, level: &str, app: &str, message: &str) {
        (self.sink)(&Event {
            ts: host::now().to_string(),
            trace_id: self.trace.clone(),
            app: app.to_owned(),
            environment: None,
            release: None,
            service: None,
            event: "note".to_owned(),
            level: level.to_owned(),
            message: message.to_owned(),
            audit: Some(self.attempt.audit().borrow().clone()),
        });
    }

    /// The store of an app.
    pub(super) fn store(&self, name: &Name) -> Store {
        Store::new(&self.host.root, &Layout::new(name))
    }

    /// The session of a command on an app. It holds no lock yet.
    pub(super) fn session<'s>(&'s self, store: &'s Store, name: &Name) -> Session<'s> {
        Session {
            host: &self.host,
            store,
            app: name.to_string(),
            environment: self.environment_of(name.as_str()),
            trace: self.trace.clone(),
            audit: self.attempt.audit(),
            sink: self.sink,
        }
    }

    /// Runs a command that changes apps, and records it in the history of its app if it fails without an
    /// event of its own.
    pub(super) fn record_attempt<T>(
        &self,
        kind: AttemptKind,
        run: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.attempt.set_kind(kind);
        let result = run();
        if let Err(error) = &result
            && !self.attempt.is_recorded()
        {
            let named = self.options.app.as_deref();
            let named = named.and_then(|name| Name::parse(name).ok());
            if let Some(app) = named.or_else(|| self.attempt.app().clone()) {
                let store = self.store(&app);
                self.attempt
                    .record_failure(&self.session(&store, &app), error);
            }
        }
        result
    }

    /// The version of systemd to write units for.
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

    /// Refuses a host or a tree that no deploy can work on.
    pub(super) fn check_host(&self) -> Result<()> {
        let root = self.host.root.path("/");
        let shown = root.to_string_lossy();
        let shown = shown.trim_end_matches('/');
        if !is_dir(&root) {
            return fail(
                format!("the root `{shown}` is not a directory"),
                "name the directory that holds the tree with `--root DIR`",
            );
        }
        let etc = self.host.root.meta("/etc")?;
        if self.host.is_offline() && etc.is_some_and(|meta| meta.is_symlink) {
            return fail(
                format!("`/etc` of the root `{shown}` is a link"),
                "make it a directory: the services' users are written there",
            );
        }
        if !self.host.is_offline() && !self.host.systemd.is_booted() {
            return fail(
                "this host was not booted with systemd",
                "run robotctl on the host itself, or work on a tree with `--root DIR`",
            );
        }
        Ok(())
    }

    /// Refuses what only root can do, on a host that a deploy can work on.
    pub(super) fn check_privileges(&self) -> Result<()> {
        if !is_root() && self.host.is_offline() {
            return fail(
                "only root can give files to the users of a tree",
                "type `sudo` before the command, or `unshare --map-root-user --map-auto` (from the \
                 packages util-linux and uidmap)",
            );
        }
        if !is_root() {
            return fail("only root can change this host", AS_ROOT);
        }
        self.check_host()
    }

    /// Refuses an app with a directory on a file system that does not answer: every look at it would wait.
    pub(super) fn check_answers(&self, name: &Name) -> Result<()> {
        let layout = Layout::new(name);
        let mut paths = vec![layout.store(), layout.opt(), layout.current(), layout.etc()];
        paths.extend(layout.own_directories());
        match self.host.root.silent_path(&paths)? {
            None => Ok(()),
            Some(path) => fail(
                format!("the file system of `{path}` does not answer"),
                Hint::to(
                    "find its server in the table of mounts, and bring it back or unmount it",
                    CommandLine::new(["findmnt", "--list"]),
                ),
            ),
        }
    }

    /// Refuses directories that every change of an app writes to and that cannot be written.
    pub(super) fn check_app_writable(&self, name: &Name) -> Result<WritableApp> {
        self.check_answers(name)?;
        let dirs = directories_of_changes(&Layout::new(name));
        if self.host.is_offline()
            && let Some(found) = self.host.root.foreign_directory(&dirs)
        {
            let path = found.path.display().to_string();
            let fix = match found.is_owned {
                true => ["chown", "root:", &path],
                false => ["chmod", "go-w", &path],
            };
            return fail(
                format!(
                    "another user than root can change `{path}`, and could lead this command out of the tree"
                ),
                Hint::to("let only root change it", CommandLine::sudo(fix)),
            );
        }
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        refuse(&unwritable_directories(&self.host.root, &dirs)?)?;
        Ok(WritableApp { name: name.clone() })
    }
}
