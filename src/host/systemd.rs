//! The service manager, in typed verbs. Offline there is none, and nothing is started.

use super::runner::{Command, Output};
use super::unit_state::UnitState;
use anyhow::{Context, Result, anyhow, bail};
use std::path::Path;
use std::time::Duration;

/// How many seconds a unit that was given up is waited for.
const STOP_TIMEOUT: &str = "10";

/// How many seconds the systemd journal may take to answer.
const WORDS: &str = "5";

/// The service manager of the host.
#[derive(Debug, Clone)]
pub struct Systemd {
    offline: bool,
}

/// The properties that the stages look at.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,MainPID,NRestarts,\
NeedDaemonReload,FragmentPath,UnitFileState,ActiveEnterTimestamp,ExecMainStatus,ExecMainCode,\
ExecMainStartTimestampMonotonic,ExecMainPID,InvocationID,DropInPaths,ControlGroup,MemoryCurrent,\
Triggers,TriggeredBy";

impl Systemd {
    pub(super) fn new(offline: bool) -> Self {
        Self { offline }
    }

    /// Whether there is no service manager to talk to.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Whether this host was booted with systemd (sd_booted(3)).
    pub fn is_booted(&self) -> bool {
        Path::new("/run/systemd/system").is_dir()
    }

    /// The version of the installed systemd, such as 252.
    ///
    /// # Errors
    /// When there is none.
    pub fn version(&self) -> Result<u16> {
        let text = Command::new(["systemctl", "--version"]).run()?;
        let word = text.split_whitespace().nth(1);
        let digits = word.map(|word| word.chars().take_while(char::is_ascii_digit));
        let digits: String = digits.map(Iterator::collect).unwrap_or_default();
        digits
            .parse()
            .map_err(|_| anyhow!("`systemctl --version` printed no version: {text}"))
    }

    /// Reads unit files anew.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn daemon_reload(&self) -> Result<()> {
        self.verb(&["daemon-reload"], &[])
    }

    /// Sees to it that the manager knows units by the files of a tree, or no longer where these are
    /// gone. It reads a unit's files when it first hears of it; reading all of them anew takes as
    /// long as the start of a small service, with a dozen generators, so that is done only when it
    /// shows others (systemctl(1), "daemon-reload").
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn reload_if_needed(&self, units: &[String], files: &[&str]) -> Result<()> {
        let states = self.show(units)?;
        let stale = |state: &UnitState| state.get("NeedDaemonReload") == "yes";
        let read = |path: &&str| states.iter().any(|state| state.is_made_of(path));
        match states.iter().any(stale) || !files.iter().all(read) {
            true => self.daemon_reload(),
            false => Ok(()),
        }
    }

    /// Starts units and waits until they are up.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn start(&self, units: &[String]) -> Result<()> {
        self.awaited("start", units)
    }

    /// Starts a unit as [`Systemd::start`] does; one that is still on its way when the time is
    /// over, or when the user waits no longer, is stopped, and false.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn start_within(&self, unit: &str, time: Duration) -> Result<bool> {
        if self.offline {
            return Ok(true);
        }
        let start = Command::new(["systemctl", "start", "--", unit]);
        if let Some(output) = start.output_within(time)? {
            return start.judged(output).map(|_| true);
        }
        // One that does not end when it is told to is not waited for.
        let stop = ["timeout", STOP_TIMEOUT, "systemctl", "stop", "--", unit];
        Command::new(stop).output().map(|_| false)
    }

    /// A verb that may take long: whoever presses Ctrl-C where that is heeded waits no longer.
    fn awaited(&self, verb: &str, units: &[String]) -> Result<()> {
        if self.offline || units.is_empty() {
            return Ok(());
        }
        let head = ["systemctl", verb, "--"].map(str::to_owned);
        let command = Command::new(head.into_iter().chain(units.iter().cloned()));
        match command.output_within(Duration::MAX)? {
            Some(output) => command.judged(output).map(drop),
            None => bail!("`{}` was interrupted", command.shown()),
        }
    }

    /// Asks for units to be started and does not wait: for use while the host is booting.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn start_later(&self, units: &[String]) -> Result<()> {
        self.verb(&["start", "--no-block"], units)
    }

    /// Starts units without what they want or require: a target, and not all that is in it.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn start_alone(&self, units: &[String]) -> Result<()> {
        self.verb(&["start", "--job-mode=ignore-dependencies"], units)
    }

    /// Restarts a unit and waits until it is up.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn restart(&self, units: &[String]) -> Result<()> {
        self.awaited("restart", units)
    }

    /// Stops units and waits until they are down.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn stop(&self, units: &[String]) -> Result<()> {
        self.verb(&["stop"], units)
    }

    /// Stops units whose files are about to go: what still runs would run on without a name.
    ///
    /// # Errors
    /// As [`Command::run`], when one of them is not down as far as anybody can tell.
    pub fn stop_and_confirm(&self, units: &[String]) -> Result<()> {
        self.stop(units).or_else(|error| match self.show(units) {
            Ok(states) if states.iter().all(UnitState::is_down) => Ok(()),
            _ => Err(error),
        })
    }

    /// Stops units and waits until they are down, but nothing that requires them.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn stop_alone(&self, units: &[String]) -> Result<()> {
        self.verb(&["stop", "--job-mode=ignore-dependencies"], units)
    }

    /// Forgets failures and start counters, which would refuse the next start
    /// (systemd.unit(5), "StartLimitBurst="). Units that are not loaded are passed over.
    pub fn reset_failed(&self, units: &[String]) {
        // A unit that is not loaded cannot be reset, and need not be; systemctl goes on after it.
        let _ = self.verb(&["reset-failed"], units);
    }

    fn verb(&self, verb: &[&str], units: &[String]) -> Result<()> {
        if self.offline || (units.is_empty() && verb != ["daemon-reload"]) {
            return Ok(());
        }
        let argv = ["systemctl"]
            .iter()
            .chain(verb)
            .map(|word| (*word).to_owned());
        let argv = argv.chain(["--".to_owned()]).chain(units.iter().cloned());
        Command::new(argv).run().map(drop)
    }

    /// What systemd knows of each unit, in the order asked.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn show(&self, units: &[String]) -> Result<Vec<UnitState>> {
        if self.offline || units.is_empty() || !self.is_booted() {
            return Ok(vec![UnitState::default(); units.len()]);
        }
        let head = ["systemctl", "show", "--property", PROPERTIES, "--"];
        let argv = head.iter().map(|word| (*word).to_owned());
        let text = Command::new(argv.chain(units.iter().cloned())).run()?;
        let mut states = UnitState::parse(&text);
        states.truncate(units.len());
        if states.len() < units.len() {
            bail!(
                "`systemctl show` told of {} units out of {}",
                states.len(),
                units.len()
            );
        }
        Ok(states)
    }

    /// What systemd knows of the loaded units whose names match one of these glob patterns, with
    /// `properties`; points in time are in UTC. For readers that must never wait long: a bus
    /// that hangs is given up after five seconds.
    ///
    /// # Errors
    /// In the words of `systemctl`; also when there is no service manager.
    pub fn show_matching(&self, patterns: &[String], properties: &str) -> Result<Vec<UnitState>> {
        if self.offline || !self.is_booted() {
            bail!("there is no service manager to ask");
        }
        let head = ["timeout", "5", "systemctl", "show", "--all"];
        let head = head.iter().copied().chain(["--timestamp=utc"]);
        let head = head.chain(["--property", properties, "--"]);
        let argv = head.map(str::to_owned).chain(patterns.iter().cloned());
        let output = Command::new(argv).output()?;
        if !output.success() {
            // Shown to people who did not type the command.
            match output.stderr.trim().lines().last() {
                Some(line) => bail!("{line}"),
                None => bail!("systemd did not answer in time"),
            }
        }
        let states = UnitState::parse(&output.stdout);
        Ok(states
            .into_iter()
            .filter(|state| !state.is_empty())
            .collect())
    }

    /// What systemd knows of one unit.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn show_one(&self, unit: &str) -> Result<UnitState> {
        let states = self.show(&[unit.to_owned()])?;
        states.into_iter().next().context("no unit was shown")
    }

    /// Loaded units whose names match a glob pattern.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn list(&self, pattern: &str) -> Result<Vec<String>> {
        if self.offline {
            return Ok(Vec::new());
        }
        let argv = [
            "systemctl",
            "list-units",
            "--all",
            "--plain",
            "--no-legend",
            "--full",
        ];
        let text = Command::new(argv.iter().copied().chain(["--", pattern])).run()?;
        let names = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Makes the users that a sysusers.d(5) file names.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn sysusers(&self, root: &super::Root, file: &str) -> Result<()> {
        self.configured("systemd-sysusers", &[], root, file)
    }

    /// Makes the users of a sysusers.d(5) text that is no file of the host yet.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn sysusers_of(&self, text: &str) -> Result<()> {
        let command = Command::new(["systemd-sysusers", "-"]);
        command.input(text).run().map(drop)
    }

    /// Makes the files that a tmpfiles.d(5) file names.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub fn tmpfiles(&self, root: &super::Root, file: &str) -> Result<()> {
        self.configured("systemd-tmpfiles", &["--create"], root, file)
    }

    /// Below a root the tools get the text, with paths on which no link is left: both follow links
    /// of the tree to the running host (systemd-tmpfiles to make parent directories).
    fn configured(&self, tool: &str, flags: &[&str], root: &super::Root, file: &str) -> Result<()> {
        let mut argv = vec![tool.to_owned()];
        argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if !self.offline {
            argv.push(file.to_owned());
            return Command::new(argv).run().map(drop);
        }
        argv.push(format!("--root={}", root.path("/").display()));
        argv.push("-".to_owned());
        let text = root.read_text(file)?.unwrap_or_default();
        let lines: Vec<String> = text.lines().map(|line| inside(root, line)).collect();
        let text = lines.join("\n") + "\n";
        Command::new(argv).input(text).run().map(drop)
    }

    /// `systemd-analyze verify` on unit files in `dir`, with their drop-ins.
    ///
    /// # Errors
    /// When it cannot be run; what it finds is in the output.
    pub fn verify(&self, dir: &Path, units: &[String]) -> Result<Output> {
        let files = units
            .iter()
            .map(|unit| dir.join(unit).display().to_string());
        let head = ["systemd-analyze", "verify", "--man=no"].map(str::to_owned);
        Command::new(head.into_iter().chain(files))
            .env("SYSTEMD_UNIT_PATH", &format!("{}:", dir.display()))
            .output()
    }

    /// The last lines that a unit wrote to the systemd journal since it was last started, its
    /// manager's own about it included; none of one that was not. A journal that hangs is given up.
    pub fn last_lines(&self, unit: &str, count: usize) -> Vec<String> {
        let state = self.show_one(unit).unwrap_or_default();
        let id = state.get("InvocationID");
        if id.is_empty() {
            return Vec::new();
        }
        // A busy journal takes a moment to write down what was just said.
        let _ = Command::new(["timeout", WORDS, "journalctl", "--sync"]).output();
        let count = format!("--lines={count}");
        let head = [
            "timeout",
            WORDS,
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output=cat",
            "--boot",
            &count,
        ];
        let mut argv: Vec<String> = head.map(str::to_owned).to_vec();
        // Anybody can name the invocation of any unit; a field with `_` is the journal's own word.
        let (own, told) = (
            format!("_SYSTEMD_INVOCATION_ID={id}"),
            format!("INVOCATION_ID={id}"),
        );
        argv.extend([own, "+".to_owned(), told.clone(), "_UID=0".to_owned()]);
        // Of what ends at once, the systemd journal may no longer learn the invocation.
        let pid = state.get("ExecMainPID");
        if !matches!(pid, "" | "0") {
            for more in [format!("_SYSTEMD_UNIT={unit}"), told] {
                argv.extend(["+".to_owned(), format!("_PID={pid}"), more]);
            }
        }
        let text = Command::new(argv)
            .output()
            .map(|output| output.stdout)
            .unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// A line of configuration whose second word is where that path lies in the tree.
fn inside(root: &super::Root, line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(kind), Some(path), Some(rest)) if path.starts_with('/') => {
            let base = root.path("/");
            let real = root.path(path);
            let below = real.strip_prefix(&base).unwrap_or(&real);
            format!("{kind} /{} {rest}", below.display())
        }
        _ => line.to_owned(),
    }
}
