//! Starting, stopping and reloading units.
//!
//! Each call fails with the command as typed and the end of its standard error. A call that waits for units
//! kills those that take longer to start or stop than their timeouts allow.

use super::overdue::Overdue;
use super::{Killed, Systemd, UnitStatus};
use crate::host::runner::Command;
use crate::host::signals::interrupted;
use anyhow::{Result, bail};
use std::time::Duration;

/// How long a unit that did not start in time may take to stop, in seconds.
const STOP_TIMEOUT_SECONDS: &str = "10";

impl Systemd {
    /// Reads all unit files again.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn daemon_reload(&self) -> Result<()> {
        self.run(&["daemon-reload"], &[])
    }

    /// Reloads when systemd does not have the units of `states` as `files` define them, or still has
    /// units whose files are gone.
    ///
    /// systemd reads the files of a unit when it first needs the unit. To read all of them again
    /// takes as long as the start of a small service, with a dozen generators, so this is done only
    /// when the status of the units shows other files (systemctl(1), "daemon-reload").
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn reload_if_needed(&self, states: &[UnitStatus], files: &[&str]) -> Result<()> {
        let is_read = |path: &&str| states.iter().any(|state| state.is_made_of(path));
        if states.iter().any(|state| state.need_daemon_reload) || !files.iter().all(is_read) {
            self.daemon_reload()
        } else {
            Ok(())
        }
    }

    /// Lets systemd unload units that are stopped and whose files are gone.
    ///
    /// systemd keeps a unit that has failed until its failure is cleared, and one that another unit refers
    /// to until all files are read again (systemd.unit(5), "CollectMode=").
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn unload(&self, units: &[String]) -> Result<()> {
        let mut states = self.show(units)?;
        if states.iter().any(UnitStatus::is_failed) {
            self.reset_failed(units);
            states = self.show(units)?;
        }
        self.reload_if_needed(&states, &[])
    }

    /// Starts units and waits until they are up.
    ///
    /// # Errors
    /// When one does not start, or when the user interrupts the wait.
    pub fn start(&self, units: &[String]) -> Result<()> {
        self.run_and_wait(&["start"], units, Wait::UntilInterrupted)
    }

    /// Starts units that are up at once, also when the user interrupts robotctl.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_at_once(&self, units: &[String]) -> Result<()> {
        self.run(&["start"], units)
    }

    /// Starts a unit and waits for at most `time` until it is up. Returns false and stops the unit
    /// when the time is over or the user interrupts the wait.
    ///
    /// # Errors
    /// When the unit does not start.
    pub fn start_within(&self, unit: &str, time: Duration) -> Result<bool> {
        if self.offline {
            return Ok(true);
        }
        if self.start_and_wait(&[unit.to_owned()], time)? {
            return Ok(true);
        }
        // A unit that does not stop either is not waited for.
        let stop = [
            "timeout",
            STOP_TIMEOUT_SECONDS,
            "systemctl",
            "stop",
            "--",
            unit,
        ];
        Command::new(stop).output().map(|_| false)
    }

    /// Starts units and waits for at most `time` until all are up. Returns false when the time is over or the
    /// user interrupts the wait, and leaves them as they are then.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_and_wait(&self, units: &[String], time: Duration) -> Result<bool> {
        if self.offline || units.is_empty() {
            return Ok(true);
        }
        let start = Command::new(systemctl(&["start"], units));
        match start.output_within(time)? {
            Some(output) => start.checked(output).map(|_| true),
            None => Ok(false),
        }
    }

    /// Requests the start of units and does not wait: for use while the host is booting.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn start_later(&self, units: &[String]) -> Result<()> {
        self.run(&["start", "--no-block"], units)
    }

    /// Requests the stop of units and does not wait.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn stop_without_waiting(&self, units: &[String]) -> Result<()> {
        if units.is_empty() {
            return Ok(());
        }
        self.run(&["stop", "--no-block"], units)
    }

    /// Starts units without the units that they want or require: a target alone, not its services.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_alone(&self, units: &[String]) -> Result<()> {
        let verb = ["start", "--job-mode=ignore-dependencies"];
        self.run_and_wait(&verb, units, Wait::ToTheEnd)
    }

    /// Restarts units and waits until they are up.
    ///
    /// # Errors
    /// When one does not start, or when the user interrupts the wait.
    pub fn restart(&self, units: &[String]) -> Result<()> {
        self.run_and_wait(&["restart"], units, Wait::UntilInterrupted)
    }

    /// Stops units and waits until they are down.
    ///
    /// # Errors
    /// When one does not stop.
    pub fn stop(&self, units: &[String]) -> Result<()> {
        self.run_and_wait(&["stop"], units, Wait::ToTheEnd)
    }

    /// Stops units whose files are about to be removed. Processes that still ran afterwards would
    /// belong to a unit without a file.
    ///
    /// # Errors
    /// When a unit is not down, or when its state is unknown.
    pub fn stop_and_confirm(&self, units: &[String]) -> Result<()> {
        self.stop(units).or_else(|error| match self.show(units) {
            Ok(states) if states.iter().all(UnitStatus::is_down) => Ok(()),
            _ => Err(error),
        })
    }

    /// Stops units and waits until they are down, but does not stop the units that require them.
    ///
    /// systemd also ignores the order of units then. So what triggers services stops before them: no request
    /// starts one again.
    ///
    /// # Errors
    /// When one does not stop.
    pub fn stop_alone(&self, units: &[String]) -> Result<()> {
        let verb = ["stop", "--job-mode=ignore-dependencies"];
        let units = units.iter().cloned();
        let (services, triggers): (Vec<_>, Vec<_>) =
            units.partition(|unit| unit.ends_with(".service"));
        self.run_and_wait(&verb, &triggers, Wait::ToTheEnd)?;
        self.run_and_wait(&verb, &services, Wait::ToTheEnd)
    }

    /// Clears failures and start counters, which could refuse the next start (systemd.unit(5),
    /// "StartLimitBurst="). Units that are not loaded are ignored.
    pub fn reset_failed(&self, units: &[String]) {
        // systemctl fails for units that are not loaded, and continues with the others.
        let _ = self.run(&["reset-failed"], units);
    }

    fn run(&self, verb: &[&str], units: &[String]) -> Result<()> {
        if self.offline || (units.is_empty() && verb != ["daemon-reload"]) {
            return Ok(());
        }
        Command::new(systemctl(verb, units)).run().map(drop)
    }

    /// Kills the processes of a unit that is overdue.
    pub(super) fn kill(&self, killed: Killed) {
        let verb = ["kill", "--signal=SIGKILL"];
        // It fails when the last process has just ended.
        if self.run(&verb, std::slice::from_ref(&killed.unit)).is_ok() {
            self.killed().all.push(killed);
        }
    }

    /// Runs a verb that waits for units.
    fn run_and_wait(&self, verb: &[&str], units: &[String], wait: Wait) -> Result<()> {
        if self.offline || units.is_empty() {
            return Ok(());
        }
        let command = Command::new(systemctl(verb, units));
        let mut overdue = Overdue::new(self, units);
        let ended = command.output_while(|| {
            overdue.kill();
            wait == Wait::ToTheEnd || !interrupted()
        })?;
        match ended {
            Some(output) => command.checked(output).map(drop),
            None => bail!("`{}` was interrupted", command.shown()),
        }
    }
}

/// How long a wait lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    ToTheEnd,
    UntilInterrupted,
}

fn systemctl(verb: &[&str], units: &[String]) -> Vec<String> {
    let head = ["systemctl"].iter().chain(verb).chain(&["--"]);
    let head = head.map(|word| (*word).to_owned());
    head.chain(units.iter().cloned()).collect()
}
