//! A unit that exists only while one step of a command runs.

use super::still_running::all_down;
use crate::failure::Failure;
use crate::host::{
    Command, Host, MainExit, Output, Root, RunLog, Systemd, UnitResult, UnitStatus, interrupted,
};
use crate::tree::FileTree;
use crate::units::RUNTIME_UNIT_DIR;
use anyhow::{Context as _, Result};
use std::fmt;
use std::time::Duration;

/// A transient unit, with the sockets that start it.
///
/// | step | with unit files | with `systemd-run` |
/// |---|---|---|
/// | [`put`](Self::put) | writes the files to `/run/systemd/system` | nothing |
/// | [`start`](Self::start), [`run`](Self::run) | `systemctl start` | `systemd-run` creates the unit and starts it |
/// | [`run_log`](Self::run_log) | from the systemd journal | from the output of the run |
/// | [`remove`](Self::remove) | stops the units and removes the files | stops the unit; systemd removes it |
#[derive(Debug)]
pub(crate) struct TransientUnit<'a> {
    host: &'a Host,
    /// The unit itself.
    name: String,
    /// The socket units that start it.
    sockets: Vec<String>,
    definition: Definition,
}

/// What makes a unit.
#[derive(Debug)]
enum Definition {
    /// Unit files and drop-ins, and the unix sockets that the socket units make.
    Files {
        tree: FileTree,
        socket_paths: Vec<String>,
    },
    /// A command of `systemd-run`, and its output once it was run.
    Command {
        properties: Vec<String>,
        argv: Vec<String>,
        input: Option<&'static str>,
        output: Option<Output>,
    },
}

/// Why a run to the end failed.
#[derive(Debug)]
pub(crate) enum RunFailure {
    /// The unit failed; its status says how.
    Failed(Box<UnitStatus>),
    /// The unit did not end in time and was stopped.
    Timeout(Duration),
    /// The user interrupted the run, and the unit was stopped.
    Interrupted,
    /// systemd did not answer.
    Unknown(anyhow::Error),
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(state) => write!(f, "it is {} ({})", state.active_state, state.result),
            Self::Timeout(time) => write!(f, "it did not end within {time:.0?}"),
            Self::Interrupted => f.write_str("it was interrupted"),
            Self::Unknown(error) => write!(f, "{error:#}"),
        }
    }
}

impl<'a> TransientUnit<'a> {
    /// A unit from unit files in `/run/systemd/system`.
    pub(crate) fn from_files(host: &'a Host, name: String, tree: FileTree) -> Self {
        Self {
            host,
            name,
            sockets: Vec::new(),
            definition: Definition::Files {
                tree,
                socket_paths: Vec::new(),
            },
        }
    }

    /// A command in a unit of `systemd-run`, with properties in the syntax of unit files. `input` is
    /// its standard input.
    pub(super) fn from_command(
        host: &'a Host,
        name: String,
        properties: Vec<String>,
        argv: Vec<String>,
        input: Option<&'static str>,
    ) -> Self {
        Self {
            host,
            name,
            sockets: Vec::new(),
            definition: Definition::Command {
                properties,
                argv,
                input,
                output: None,
            },
        }
    }

    /// Adds the socket units that start the unit. `paths` are their unix sockets.
    #[must_use]
    pub(crate) fn with_sockets(mut self, units: Vec<String>, paths: Vec<String>) -> Self {
        self.sockets = units;
        if let Definition::Files { socket_paths, .. } = &mut self.definition {
            *socket_paths = paths;
        }
        self
    }

    /// The name of the unit itself.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// All units, in the order in which they start.
    pub(crate) fn units(&self) -> impl Iterator<Item = String> {
        let sockets = self.sockets.iter().cloned();
        sockets.chain([self.name.clone()])
    }

    /// Puts the unit in place.
    ///
    /// # Errors
    /// When a file cannot be written, or systemd cannot read it.
    pub(crate) fn put(&self) -> Result<()> {
        Self::put_all(self.host, std::slice::from_ref(self))
    }

    /// Puts several units in place. One that still runs from an earlier command keeps running as it is.
    ///
    /// # Errors
    /// When a file cannot be written or systemd cannot read it: nothing is left of the units then. When
    /// a unit still runs: all keep their files, by which the next command finds them.
    pub(crate) fn put_all(host: &Host, units: &[Self]) -> Result<()> {
        // What cannot be removed is found by the next command.
        let clean_up = |_: &anyhow::Error| drop(Self::remove_all(host, units));
        let (names, paths) = (
            names(units),
            Self::write_files(host, units).inspect_err(clean_up)?,
        );
        if host.is_offline() {
            return Ok(());
        }
        let states = host.systemd.show(&names).inspect_err(clean_up)?;
        all_down(&names, &states)?;
        let reloaded = host.systemd.reload_if_needed(&states, &paths);
        reloaded.inspect_err(clean_up)
    }

    /// Writes the files of units, and returns their paths.
    fn write_files<'u>(host: &Host, units: &'u [Self]) -> Result<Vec<&'u str>> {
        let mut paths = Vec::new();
        for unit in units {
            if let Definition::Files { tree, .. } = &unit.definition {
                host.root.put_tree(tree)?;
                paths.extend(tree.paths());
            }
        }
        Ok(paths)
    }

    /// Starts the unit, and before it its sockets.
    ///
    /// # Errors
    /// With the command that failed.
    pub(crate) fn start(&self) -> Result<()> {
        match &self.definition {
            Definition::Files { .. } => {
                // The unit requires its sockets, and starts after them.
                let units: Vec<String> = self.units().collect();
                self.host.systemd.start(&units)
            }
            Definition::Command { .. } => self.systemd_run(&[]).run().map(drop),
        }
    }

    /// Runs the unit once, to its end. When it has not ended `within` this time, it is stopped.
    ///
    /// # Errors
    /// Why it failed.
    pub(crate) fn run(&mut self, within: Duration) -> Result<(), RunFailure> {
        let systemd = &self.host.systemd;
        if matches!(self.definition, Definition::Files { .. }) {
            // Five starts within ten seconds would fail it (systemd.unit(5), "StartLimitBurst=").
            systemd.reset_failed(std::slice::from_ref(&self.name));
            return run_to_end(systemd, &self.name, within);
        }
        // systemd ends the run: RuntimeMaxSec= is among the properties.
        let run = self.systemd_run(&["--wait", "--pipe"]).output();
        let ended = run.map_err(RunFailure::Unknown)?;
        let code = ended.code;
        if let Definition::Command { output, .. } = &mut self.definition {
            *output = Some(ended);
        }
        if code == 0 {
            return Ok(());
        }
        Err(RunFailure::Failed(Box::new(UnitStatus {
            id: self.name.clone(),
            result: UnitResult::ExitCode,
            main_exit: Some(MainExit::Exited(code)),
            ..UnitStatus::default()
        })))
    }

    fn systemd_run(&self, flags: &[&str]) -> Command {
        let Definition::Command {
            properties,
            argv,
            input,
            ..
        } = &self.definition
        else {
            return Command::new(["true"]);
        };
        let name = format!("--unit={}", self.name);
        let head = ["systemd-run", "--quiet", "--collect", &name];
        let head = head.iter().chain(flags).map(|word| (*word).to_owned());
        let properties = properties.iter().map(|text| format!("--property={text}"));
        // systemd expands `$` in a command (systemd.service(5)).
        let argv = argv.iter().map(|word| word.replace('$', "$$"));
        let words = head.chain(properties).chain(["--".to_owned()]).chain(argv);
        let command = Command::new(words);
        match input {
            Some(input) => command.input(*input),
            None => command,
        }
    }

    /// What the run of the unit wrote.
    pub(crate) fn run_log(&self) -> RunLog {
        match &self.definition {
            Definition::Files { .. } => self.host.systemd.run_log(&self.name, None),
            Definition::Command { output, .. } => {
                let text = output.as_ref().map(|one| one.stdout.clone() + &one.stderr);
                RunLog::of_output(&text.unwrap_or_default(), None)
            }
        }
    }

    /// Stops the unit and removes it.
    ///
    /// # Errors
    /// When it cannot be stopped or removed. What does not stop keeps its files, by which the next
    /// command finds it.
    pub(crate) fn remove(&self) -> Result<()> {
        Self::remove_all(self.host, std::slice::from_ref(self))
    }

    /// Stops several units together and removes them.
    ///
    /// # Errors
    /// When one cannot be stopped or removed. Then the units keep their files, by which the next
    /// command finds them.
    pub(crate) fn remove_all(host: &Host, units: &[Self]) -> Result<()> {
        let names = names(units);
        let remove = || -> Result<()> {
            host.systemd.stop_and_confirm(&names)?;
            units.iter().try_for_each(Self::remove_files)?;
            host.systemd.unload(&names)
        };
        // When the units are stopped and their files removed, a failed reload does no harm.
        remove().or_else(|error| {
            if units.iter().all(Self::is_removed) {
                Ok(())
            } else {
                Err(error)
            }
        })
    }

    /// Removes the unit after a run with this outcome.
    ///
    /// # Errors
    /// The outcome's, and why the unit could not be removed.
    pub(crate) fn remove_after(&self, outcome: Result<()>) -> Result<()> {
        let name = &self.name;
        match (outcome, self.remove()) {
            (Ok(()), removed) => removed.with_context(|| format!("`{name}` is still there")),
            (Err(what), Err(error)) => {
                let failure = Failure::of(&what);
                let detail = format!("{what:#}; `{name}` is still there: {error:#}");
                Err(failure.with_detail(detail).into())
            }
            (failed, Ok(())) => failed,
        }
    }

    fn remove_files(&self) -> Result<()> {
        let root = &self.host.root;
        let Definition::Files { tree, socket_paths } = &self.definition else {
            return Ok(());
        };
        for path in tree.paths() {
            remove_unit_file(root, path)?;
        }
        for path in socket_paths {
            root.remove_file(path)?;
        }
        Ok(())
    }

    fn is_removed(&self) -> bool {
        match &self.definition {
            Definition::Files { tree, .. } => {
                let mut paths = tree.paths();
                paths.all(|path| matches!(self.host.root.meta(path), Ok(None)))
            }
            Definition::Command { .. } => false,
        }
    }
}

fn names(units: &[TransientUnit<'_>]) -> Vec<String> {
    units.iter().flat_map(TransientUnit::units).collect()
}

/// Removes a file in `/run/systemd/system`, and the directory of drop-ins that is empty then.
fn remove_unit_file(root: &Root, path: &str) -> Result<()> {
    root.remove_file(path)?;
    // The unit directory itself must stay: by it, programs see that the host runs systemd.
    match path.rsplit_once('/') {
        Some((dir, _)) if dir != RUNTIME_UNIT_DIR => root.remove_dir_if_empty(dir),
        _ => Ok(()),
    }
}

/// Starts a job, of which the unit may be a permanent one, and waits for its end. When it has not
/// ended `within` this time, it is stopped.
///
/// # Errors
/// Why it failed.
pub(crate) fn run_to_end(
    systemd: &Systemd,
    unit: &str,
    within: Duration,
) -> Result<(), RunFailure> {
    // The start of a job ends when the job ends.
    match systemd.start_within(unit, within) {
        Ok(true) => Ok(()),
        Ok(false) if interrupted() => Err(RunFailure::Interrupted),
        Ok(false) => Err(RunFailure::Timeout(within)),
        Err(_) => Err(match systemd.show_one(unit) {
            Ok(state) => RunFailure::Failed(Box::new(state)),
            Err(error) => RunFailure::Unknown(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::TransientUnit;
    use crate::host::Host;
    use crate::tree::{Entry, FileTree};
    use anyhow::anyhow;

    /// Offline, systemd is not called.
    #[test]
    fn files_and_drop_ins_are_put_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(Some(dir.path()));
        let mut tree = FileTree::default();
        let units = "/run/systemd/system";
        tree.insert(format!("{units}/demo-x.service"), Entry::file("a"));
        tree.insert(
            format!("{units}/demo-x.service.d/05.conf"),
            Entry::file("b"),
        );
        let name = "demo-x.service".to_owned();
        let unit = TransientUnit::from_files(&host, name, tree);
        unit.put().unwrap();
        assert_eq!(
            host.root.list(units).unwrap(),
            ["demo-x.service", "demo-x.service.d"]
        );
        unit.remove().unwrap();
        assert_eq!(host.root.list(units).unwrap(), [""; 0]);
        assert!(host.root.meta(units).unwrap().is_some());
    }

    #[test]
    fn the_failure_of_a_run_stays_when_the_unit_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(Some(dir.path()));
        let unit = TransientUnit::from_files(&host, "x.service".to_owned(), FileTree::default());
        let error = unit.remove_after(Err(anyhow!("it failed"))).unwrap_err();
        assert_eq!(error.to_string(), "it failed");
    }

    #[test]
    fn a_command_becomes_a_line_of_systemd_run() {
        let host = Host::new(None);
        let command = TransientUnit::from_command(
            &host,
            "x.service".to_owned(),
            vec!["User=me".to_owned()],
            vec!["echo".to_owned(), "$HOME".to_owned()],
            None,
        );
        assert_eq!(
            command.systemd_run(&["--wait"]).shown(),
            "systemd-run --quiet --collect --unit=x.service --wait --property=User=me -- echo $$HOME"
        );
    }
}
