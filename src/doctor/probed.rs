//! What a probe of the sandboxes adds to a report.

use super::report::{Finding, Report, Severity};
use super::table::{BeforeChange, Check, Needs, WithoutRelease};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::sandbox::probes::{ProbeResult, ProbedSandbox, Status};
use anyhow::Result;

/// The id of its findings.
const ID: &str = "probe";

/// What `--probe` looks for. It is not in the table of checks, because it starts units and needs the option.
pub(crate) const PROBE: Check = Check {
    id: ID,
    severity: Severity::Error,
    summary: "with `--probe`: the sandbox of each service prevents what its unit says",
    why: "a kernel or a systemd may accept a setting and not enforce it, and then a service can do more than its score says",
    fix: "each finding names the setting and what this host lacks for it. The sandboxes reference lists every attempt",
    man: &["robotctl-doctor(1)", "systemd.exec(5)"],
    ends_checks: false,
    of_running_host: true,
    run: Needs::Public(|_| Ok(Vec::new())),
    without_release: WithoutRelease::Skip,
    before_change: BeforeChange::No("no: it starts units, and takes a second for each sandbox"),
};

impl Report {
    /// The report with what a probe found; unchanged if there was none.
    #[must_use]
    pub(crate) fn with_probe(mut self, probed: Option<Result<Vec<ProbedSandbox>>>) -> Self {
        match probed {
            Some(Ok(probed)) => {
                self.checked += 1;
                self.findings.extend(findings(&probed));
                self.probed = Some(probed);
            }
            Some(Err(error)) => {
                let message = format!("the sandboxes could not be probed: {error:#}");
                let again = CommandLine::sudo_robotctl(["doctor", "--probe"]);
                let fix = Hint::to("when its cause is fixed, probe again", again);
                self.findings.push(Finding {
                    check: ID,
                    ..Finding::new(Severity::Error, message, fix)
                });
            }
            None => {}
        }
        self
    }
}

/// One finding for all services in which the same has no effect.
fn findings(probed: &[ProbedSandbox]) -> Vec<Finding> {
    let mut found: Vec<(&ProbeResult, Vec<&str>)> = Vec::new();
    for sandbox in probed {
        let units = || sandbox.units.iter().map(String::as_str);
        for result in &sandbox.results {
            if !matches!(result.status, Status::NoEffect | Status::Unsupported) {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == result) {
                Some((_, all)) => all.extend(units()),
                None => found.push((result, units().collect())),
            }
        }
    }
    let failed = probed.iter().filter_map(failed);
    let found = found.iter().map(|(result, units)| finding(result, units));
    failed.chain(found).collect()
}

/// A sandbox in which nothing was tried.
fn failed(sandbox: &ProbedSandbox) -> Option<Finding> {
    let why = sandbox.failure.as_ref()?;
    let message = format!(
        "the sandbox of {} could not be probed: {why}",
        quoted(&sandbox.units)
    );
    let read = CommandLine::sudo(["journalctl", "-n", "50"]);
    Some(Finding {
        check: ID,
        ..Finding::new(Severity::Error, message, Hint::to("read why", read))
    })
}

/// A list of names as code.
fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    let names = names.iter().map(|name| format!("`{}`", name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

fn finding(result: &ProbeResult, units: &[&str]) -> Finding {
    let directives: Vec<String> = result
        .directives
        .iter()
        .map(|it| format!("{it}="))
        .collect();
    let (directives, names, what) = (quoted(&directives), quoted(units), result.what);
    let finding = if result.status == Status::Unsupported {
        let why = &result.why;
        Finding::new(
            Severity::Note,
            format!(
                "this host cannot enforce {directives}, so nothing prevents {names} from {what}: {why}"
            ),
            "use a host on which systemd can enforce it, if that matters for the service",
        )
    } else {
        let because = match result.set_by.is_empty() {
            true => String::new(),
            false => format!("; {} sets it", quoted(&result.set_by)),
        };
        let unit = units.first().copied().unwrap_or_default();
        Finding::new(
            Severity::Warning,
            format!(
                "the sandbox of {names} does not prevent {what}: {directives} has no effect{because}"
            ),
            Hint::to(
                "show the lines that are in force",
                CommandLine::new(["systemctl", "cat", unit]),
            ),
        )
    };
    Finding {
        check: ID,
        ..finding
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Report, Severity};
    use crate::sandbox::probes::{ProbeResult, ProbedSandbox, Status};
    use anyhow::anyhow;

    fn sandbox(unit: &str, status: Status, set_by: &[&str]) -> ProbedSandbox {
        ProbedSandbox {
            units: vec![unit.to_owned()],
            user: "demo".to_owned(),
            results: vec![ProbeResult {
                id: "ipc",
                what: "using message queues",
                directives: vec!["PrivateIPC"],
                status,
                why: "a reason".to_owned(),
                set_by: set_by.iter().map(|path| (*path).to_owned()).collect(),
            }],
            failure: None,
        }
    }

    fn messages(probed: Vec<ProbedSandbox>) -> (Vec<String>, bool) {
        let report = Report::default().with_probe(Some(Ok(probed)));
        let messages = report.findings.iter().map(|one| one.message.clone());
        (messages.collect(), report.is_below(Severity::Warning))
    }

    #[test]
    fn only_what_has_no_effect_makes_an_app_unhealthy() {
        for status in [Status::Enforced, Status::Allowed, Status::NotTested] {
            let found = messages(vec![sandbox("a.service", status, &[])]);
            assert_eq!(found, (Vec::new(), true), "{status:?}");
        }
        let same = || sandbox("b.service", Status::NoEffect, &[]);
        let (found, is_healthy) = messages(vec![
            sandbox("a.service", Status::NoEffect, &["/etc/a.conf"]),
            same(),
            sandbox("c.service", Status::NoEffect, &[]),
        ]);
        let says = "does not prevent using message queues: `PrivateIPC=` has no effect";
        assert_eq!(
            found,
            [
                format!("the sandbox of `a.service` {says}; `/etc/a.conf` sets it"),
                format!("the sandbox of `b.service`, `c.service` {says}"),
            ]
        );
        assert!(!is_healthy);
        let (found, is_healthy) = messages(vec![sandbox("a.service", Status::Unsupported, &[])]);
        let says = "this host cannot enforce `PrivateIPC=`, so nothing prevents `a.service` from using message queues: a reason";
        assert_eq!((found, is_healthy), (vec![says.to_owned()], true));
    }

    #[test]
    fn a_probe_that_fails_is_a_finding() {
        let report = Report::default().with_probe(Some(Err(anyhow!("no systemd"))));
        assert_eq!(report.findings[0].severity, Severity::Error);
        assert_eq!(Report::default().with_probe(None), Report::default());
        let (found, is_healthy) = messages(vec![ProbedSandbox {
            results: Vec::new(),
            failure: Some("it did not start".to_owned()),
            ..sandbox("a.service", Status::Enforced, &[])
        }]);
        let says = "the sandbox of `a.service` could not be probed: it did not start";
        assert_eq!((found, is_healthy), (vec![says.to_owned()], false));
    }
}
