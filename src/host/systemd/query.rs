//! What systemd knows.

use super::scope::MANAGER;
use super::status::PROPERTIES;
use super::{Systemd, UnitJob, UnitStatus};
use crate::host::runner::Command;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// The exit code of `systemd-analyze condition` when a condition is not met.
const NOT_MET: i32 = 1;
/// How long systemd may take to answer a reader that must not wait, in seconds.
const QUERY_TIMEOUT_SECONDS: &str = "5";
/// How long it may take to say its own state.
const STATE_TIME: Duration = Duration::from_secs(5);

/// How often at most the jobs of units are asked for, while they end.
const MAX_LOOKS_FOR_JOBS: u32 = 3;

/// Prints times in a form that every locale shares.
const IN_UTC: &str = "--timestamp=utc";
/// What is said without a service manager.
const NOT_BOOTED: &str = "this host does not run systemd";

/// Whether a condition is about the service manager or the unit. systemd-analyze(1) compares it with itself.
fn is_of_manager(line: &str) -> bool {
    const OF_MANAGER: [&str; 5] = ["Environment", "Credential", "User", "Group", "Capability"];
    let rest = line.strip_prefix("Condition").unwrap_or_default();
    OF_MANAGER.iter().any(|name| {
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    })
}

/// The jobs by id, from the output of `systemctl list-jobs`: id, unit, type and state.
fn jobs(text: &str) -> BTreeMap<u32, UnitJob> {
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let id = words.next()?.parse().ok()?;
        Some((id, UnitJob::parse(words.nth(1)?)))
    });
    rows.collect()
}

/// What `systemctl --version` prints. It does not change while robotctl runs.
fn version_text() -> Result<&'static str> {
    static TEXT: OnceLock<String> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(text);
    }
    let text = Command::new(["systemctl", "--version"]).run()?;
    Ok(TEXT.get_or_init(|| text))
}

impl Systemd {
    /// Whether this host was booted with systemd (sd_booted(3)).
    pub fn is_booted(&self) -> bool {
        Path::new("/run/systemd/system").is_dir()
    }

    /// Whether the host has booted and does not shut down (systemctl(1), "is-system-running").
    pub fn is_up(&self) -> bool {
        // Its exit code is 0 only without failed units.
        let asked = Command::new(["systemctl", "is-system-running"]).output_within(STATE_TIME);
        let state = asked.ok().flatten().map(|ended| ended.stdout);
        state.is_some_and(|state| ["running", "degraded"].contains(&state.trim()))
    }

    /// The version of the installed systemd, such as 252.
    ///
    /// # Errors
    /// When systemd is not installed.
    pub fn version(&self) -> Result<u16> {
        let text = version_text()?;
        let word = text.split_whitespace().nth(1);
        let digits = word.map(|word| word.chars().take_while(char::is_ascii_digit));
        let digits: String = digits.map(Iterator::collect).unwrap_or_default();
        digits
            .parse()
            .map_err(|_| anyhow!("`systemctl --version` printed no version: {text}"))
    }

    /// Whether systemd is built without a feature, such as `BPF_FRAMEWORK` (systemctl(1), "--version").
    ///
    /// # Errors
    /// When systemd is not installed.
    pub fn is_built_without(&self, feature: &str) -> Result<bool> {
        let without = format!("-{feature}");
        Ok(version_text()?.split_whitespace().any(|it| it == without))
    }

    /// Whether conditions are met now, each as a line of a unit (systemd-analyze(1), "condition"). Those
    /// that it cannot check count as met: the start of the unit decides.
    pub fn are_met(&self, lines: &[String]) -> bool {
        let lines = lines.iter().filter(|line| !is_of_manager(line));
        let lines: Vec<String> = lines.cloned().collect();
        if self.offline || lines.is_empty() {
            return true;
        }
        let head = ["systemd-analyze", "condition", "--"].map(str::to_owned);
        let ended = Command::new(head.into_iter().chain(lines)).output();
        // A line that it does not understand ends it with the same code.
        ended.map_or(true, |ended| {
            ended.code != NOT_MET || !(ended.stderr + &ended.stdout).contains("Conditions failed.")
        })
    }

    /// The uid of the dynamic user with this name, which a unit that runs has (systemd.exec(5),
    /// "DynamicUser="). The name service need not know it.
    ///
    /// # Errors
    /// When systemd does not answer, or knows no such user.
    pub fn dynamic_user(&self, name: &str) -> Result<u32> {
        let call = ["LookupDynamicUserByName", "s", name];
        let answer = Command::new(MANAGER.into_iter().chain(call)).run()?;
        // A type and a value (busctl(1)).
        let uid = answer.trim().strip_prefix("u ");
        let uid = uid.and_then(|uid| uid.parse().ok());
        uid.with_context(|| format!("reading the uid of `{name}` in `{}`", answer.trim()))
    }

    /// The status of each unit, in the order of `units`. Without a service manager, the default.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn show(&self, units: &[String]) -> Result<Vec<UnitStatus>> {
        if self.offline || units.is_empty() || !self.is_booted() {
            return Ok(vec![UnitStatus::default(); units.len()]);
        }
        self.show_named(&[], units)
    }

    /// The same with times.
    ///
    /// # Errors
    /// When systemd does not answer, and without a service manager.
    pub fn show_with_times(&self, units: &[String]) -> Result<Vec<UnitStatus>> {
        if self.offline || !self.is_booted() {
            bail!(NOT_BOOTED);
        }
        if units.is_empty() {
            return Ok(Vec::new());
        }
        self.show_named(&[IN_UTC], units)
    }

    fn show_named(&self, options: &[&str], units: &[String]) -> Result<Vec<UnitStatus>> {
        let head = ["systemctl", "show", "--property", PROPERTIES];
        let argv = head.iter().chain(options).chain(&["--"]);
        let argv = argv.map(|word| (*word).to_owned());
        let argv: Vec<String> = argv.chain(units.iter().cloned()).collect();
        let states = self.with_jobs(&[], || Command::new(argv.clone()).run())?;
        if states.len() != units.len() {
            bail!(
                "`systemctl show` printed {} units instead of {}",
                states.len(),
                units.len()
            );
        }
        Ok(states)
    }

    /// The status of one unit.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn show_one(&self, unit: &str) -> Result<UnitStatus> {
        let states = self.show(&[unit.to_owned()])?;
        states.into_iter().next().context("no unit was shown")
    }

    /// The units that systemd restarts with a unit, because they require it or are bound to it (systemd.unit(5),
    /// "Requires=").
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn restarted_with(&self, unit: &str) -> Result<Vec<String>> {
        if self.offline || !self.is_booted() {
            return Ok(Vec::new());
        }
        let property = "--property=RequiredBy,BoundBy";
        let argv = ["systemctl", "show", "--value", property, "--", unit];
        let text = Command::new(argv.map(str::to_owned)).run()?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether a unit has been active since systemd has loaded it. One of type `exec` becomes active when its program
    /// runs.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn has_been_active(&self, unit: &str) -> Result<bool> {
        let property = "--property=ActiveEnterTimestampMonotonic";
        let argv = ["systemctl", "show", "--value", property, "--", unit];
        let text = Command::new(argv.map(str::to_owned)).run()?;
        Ok(!matches!(text.trim(), "" | "0"))
    }

    /// The status, with times, of the loaded units whose names match one of these glob patterns. For
    /// readers that must not wait: the call ends after five seconds.
    ///
    /// # Errors
    /// With the message of `systemctl` alone, because readers did not type the command; also
    /// without a service manager.
    pub fn show_matching(&self, patterns: &[String]) -> Result<Vec<UnitStatus>> {
        self.show_patterns(&["timeout", QUERY_TIMEOUT_SECONDS], patterns)
    }

    /// The same, for a change: it waits as long as systemd takes.
    ///
    /// # Errors
    /// The same.
    pub fn show_loaded(&self, patterns: &[String]) -> Result<Vec<UnitStatus>> {
        self.show_patterns(&[], patterns)
    }

    fn show_patterns(&self, before: &[&str], patterns: &[String]) -> Result<Vec<UnitStatus>> {
        if self.offline || !self.is_booted() {
            bail!(NOT_BOOTED);
        }
        let call = [
            "systemctl",
            "show",
            "--all",
            IN_UTC,
            "--property",
            PROPERTIES,
            "--",
        ];
        let argv = before.iter().chain(&call).map(|word| (*word).to_owned());
        let argv: Vec<String> = argv.chain(patterns.iter().cloned()).collect();
        self.with_jobs(before, || {
            let output = Command::new(argv.clone()).output()?;
            if !output.success() {
                match output.stderr.trim().lines().last() {
                    Some(line) => bail!("{line}"),
                    None => bail!("systemd did not answer in time"),
                }
            }
            Ok(output.stdout)
        })
    }

    /// The states that `show` prints, with the types of their jobs. A job may end before its type is asked for:
    /// then the states are asked for again.
    fn with_jobs(
        &self,
        before: &[&str],
        show: impl Fn() -> Result<String>,
    ) -> Result<Vec<UnitStatus>> {
        let mut states = self.parsed(&show()?);
        for _ in 0..MAX_LOOKS_FOR_JOBS {
            if states.iter().all(|state| state.job_id.is_none()) {
                break;
            }
            let list = ["systemctl", "list-jobs", "--no-legend", "--plain", "--full"];
            let argv = before.iter().chain(&list).map(|word| (*word).to_owned());
            let jobs = jobs(&Command::new(argv).run()?);
            let mut is_complete = true;
            for state in &mut states {
                let Some(id) = state.job_id else { continue };
                let job = jobs.get(&id).copied();
                state.job = job.unwrap_or_default();
                is_complete &= job.is_some();
            }
            if is_complete {
                break;
            }
            states = self.parsed(&show()?);
        }
        Ok(states)
    }

    /// What `systemctl show` printed, and which of the units were killed.
    fn parsed(&self, text: &str) -> Vec<UnitStatus> {
        let mut states = UnitStatus::parse(text);
        let killed = self.killed();
        for state in &mut states {
            state.note_killed(&killed.all);
        }
        states
    }

    /// The names of the units that match one of these glob patterns and have failed.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn failed_units(&self, patterns: &[String]) -> Result<Vec<String>> {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        self.list_units(&["--state=failed"], &patterns)
    }

    /// The names of loaded units that match a glob pattern.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn list(&self, pattern: &str) -> Result<Vec<String>> {
        self.list_units(&[], &[pattern])
    }

    fn list_units(&self, options: &[&str], patterns: &[&str]) -> Result<Vec<String>> {
        if self.offline {
            return Ok(Vec::new());
        }
        let head = [
            "systemctl",
            "list-units",
            "--all",
            "--plain",
            "--no-legend",
            "--full",
        ];
        let words = head.iter().chain(options).chain(&["--"]).chain(patterns);
        let text = Command::new(words.map(|word| (*word).to_owned())).run()?;
        let names = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{UnitJob, jobs};

    #[test]
    fn the_types_of_jobs_are_parsed() {
        let text = "125 slow.service restart running\n176 a-b.socket  stop  waiting\n177 c.service reload running\n";
        let all: Vec<(u32, UnitJob)> = jobs(text).into_iter().collect();
        let expected = [
            (125, UnitJob::Start),
            (176, UnitJob::Stop),
            (177, UnitJob::None),
        ];
        assert_eq!(all, expected);
        assert!(jobs("No jobs running.\n").is_empty());
    }
}
