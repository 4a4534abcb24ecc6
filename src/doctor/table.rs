//! The table of checks, and running it.

use super::report::{BareContext, CheckContext, Finding, Report, Severity, Skipped};
use super::{checks, preflight};
use crate::app::{App, Name};
use crate::host::{Host, is_root};
use crate::prerequisites;
use crate::settings::Fault;
use crate::tree::FileTree;
use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

/// What a check must be able to read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// What any user may read.
    Public(fn(&CheckContext<'_>) -> Result<Vec<Finding>>),
    /// The content of the live release, which only root can read.
    Content(fn(&CheckContext<'_>, &App, &FileTree) -> Result<Vec<Finding>>),
}

/// What a check does for an app without a readable live release.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WithoutRelease {
    /// It has nothing to look at.
    Skip,
    /// It looks at less.
    Run(fn(&BareContext<'_>) -> Result<Vec<Finding>>),
}

/// Whether a deploy and a rollback ask the same before they change anything.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preflight {
    /// This function asks it of the release that is about to go live.
    Asks(fn(&prerequisites::Preflight<'_>) -> Result<Vec<Fault>>),
    /// Another step of the change refuses or warns, and this says which.
    By(&'static str),
    /// It says nothing about a release that is not live yet, and this says why.
    No(&'static str),
}

impl Preflight {
    /// The same in words.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Asks(_) => "yes",
            Self::By(step) => step,
            Self::No(why) => why,
        }
    }
}

/// One check.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// Stable name.
    pub(crate) id: &'static str,
    /// The worst severity of its findings.
    pub(crate) severity: Severity,
    /// What must hold.
    pub(crate) summary: &'static str,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// Whether an error that it finds makes the checks after it useless.
    #[serde(skip)]
    pub(crate) ends_checks: bool,
    /// Whether it looks at units and processes, which exist only on a host that runs.
    #[serde(skip)]
    pub(crate) of_running_host: bool,
    /// The function that runs the check.
    #[serde(skip)]
    pub(crate) run: Needs,
    /// The same for an app without a readable live release.
    #[serde(skip)]
    pub(crate) without_release: WithoutRelease,
    /// Whether a deploy and a rollback ask the same before they change anything.
    #[serde(skip)]
    pub(crate) preflight: Preflight,
}

/// Every check, in the order in which a person would run them.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "state",
        severity: Severity::Error,
        summary: "the state that robotctl keeps of the app can be read",
        why: "deploy and rollback refuse a state that is damaged",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, _, _| checks::state(context)),
        without_release: WithoutRelease::Run(|context| checks::damaged(context.store)),
        preflight: Preflight::By("yes: they refuse a state that is damaged"),
    },
    Check {
        id: "journal",
        severity: Severity::Error,
        summary: "no change was interrupted",
        why: "an interrupted change leaves the host between two releases until it is ended",
        ends_checks: true,
        of_running_host: false,
        run: Needs::Public(checks::journal),
        without_release: WithoutRelease::Run(|context| checks::journal_of(context.store)),
        preflight: Preflight::By(
            "yes: a preview is refused, and the change ends the interrupted one first",
        ),
    },
    Check {
        id: "current",
        severity: Severity::Error,
        summary: "`current` is a relative link to the live release, and the release exists",
        why: "services start the release that `current` names",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::current),
        without_release: WithoutRelease::Run(checks::no_live_release),
        preflight: Preflight::By("yes: a deploy repairs it, and refuses what is not a link"),
    },
    Check {
        id: "content",
        severity: Severity::Error,
        summary: "the files of the live release are as they were staged, and none was added",
        why: "releases share unchanged files, so a change by hand changes several releases",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::content(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::By(
            "yes: a deploy stages such a release again, and a rollback skips it",
        ),
    },
    Check {
        id: "files",
        severity: Severity::Error,
        summary: "units, drop-ins, tmpfiles.d and sysusers.d are as the live release has them",
        why: "the next deploy overwrites changes by hand",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(checks::files),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they write these files"),
    },
    Check {
        id: "shadowed",
        severity: Severity::Warning,
        summary: "no file of the administrator hides a generated unit, or a generated line of tmpfiles.d or sysusers.d",
        why: "systemd reads the file in `/etc` or `/run` and ignores the generated one",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::shadowed),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::shadowed),
    },
    Check {
        id: "units",
        severity: Severity::Error,
        summary: "enabled units are loaded, active and not failed",
        why: "a unit that is down does not serve",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::units),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they start the units, and their checks judge them"),
    },
    Check {
        id: "restarts",
        severity: Severity::Error,
        summary: "no service restarts again and again, runs out of memory or misses its watchdog",
        why: "a service that ends every few seconds is active whenever somebody looks",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::restarts),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: their settle time and the soak time judge the new release"),
    },
    Check {
        id: "timers",
        severity: Severity::Warning,
        summary: "every timer has started its job, or will",
        why: "nothing has shown that a job works which has never run",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::timers),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: a timer starts its job later"),
    },
    Check {
        id: "leftovers",
        severity: Severity::Warning,
        summary: "no unit of a killed command is left",
        why: "a pre-check instance would run a release that is not live",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::leftovers),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they stop and remove these units first"),
    },
    Check {
        id: "running",
        severity: Severity::Error,
        summary: "every process runs the live release, or one with the same files for its service",
        why: "a process that was not restarted answers with old code",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::running),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they restart what runs another release"),
    },
    Check {
        id: "orphans",
        severity: Severity::Warning,
        summary: "no process uses files of the app outside its units",
        why: "nothing stops, restarts or limits such a process",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::orphans(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they say nothing about the new release"),
    },
    Check {
        id: "tmpfiles",
        severity: Severity::Error,
        summary: "the directories of tmpfiles.d exist, with owner and mode",
        why: "services fail without their directories",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(checks::tmpfiles),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::directories),
    },
    Check {
        id: "directories",
        severity: Severity::Error,
        summary: "the services can write to their directories and to what is in them",
        why: "a file that root has made in such a directory stops the service that must change it",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::directories(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No(
            "no: the pre-check and the checks show whether the new release can",
        ),
    },
    Check {
        id: "permissions",
        severity: Severity::Error,
        summary: "only root can write to the release and replace directories of the app, and only its services can read it",
        why: "a service that can write to its own program can keep an intruder",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::permissions(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::replaceable),
    },
    Check {
        id: "secrets",
        severity: Severity::Error,
        summary: "every secret is a file that systemd can load and that only root can read",
        why: "a service does not start without a credential that it loads",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::secrets(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::secrets),
    },
    Check {
        id: "same-secrets",
        severity: Severity::Note,
        summary: "no two secrets of the host have the same content",
        why: "a secret that leaks from one service is that of the other too",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::same(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: such a release can be deployed"),
    },
    Check {
        id: "env-file",
        severity: Severity::Error,
        summary: "systemd understands and uses every line of `/etc/<app>/env`, and it sets what the services need",
        why: "systemd drops an assignment that it does not understand, and the service runs without it",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::env_file(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::env_file),
    },
    Check {
        id: "settings",
        severity: Severity::Warning,
        summary: "no service has started before its settings changed",
        why: "a service gets `/etc/<app>/env` and its secrets when it starts, and goes on with old values",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::settings(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::By("yes: a deploy restarts such a service"),
    },
    Check {
        id: "programs",
        severity: Severity::Error,
        summary: "every program of the services exists and can be executed",
        why: "a service does not start without its program",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::programs(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::programs),
    },
    Check {
        id: "executables",
        severity: Severity::Error,
        summary: "every program can run: its interpreter, libraries and Python environment are where the service sees them, and it is built for this host",
        why: "a program that exists may still not start in its sandbox",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::executables(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: the pre-check and the checks start the new programs"),
    },
    Check {
        id: "ports",
        severity: Severity::Error,
        summary: "the host has every address, every TCP port is held by its unit on that address, and every unix socket exists",
        why: "another process on the address answers in place of the service",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::ports(context, app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::addresses),
    },
    Check {
        id: "unchecked",
        severity: Severity::Note,
        summary: "every service without an address has a check or a watchdog",
        why: "nothing else shows whether a worker that runs does its work",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|_, app, _| checks::unchecked(app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: such a release can be deployed"),
    },
    Check {
        id: "manifest",
        severity: Severity::Error,
        summary: "the manifest of the live release has no error and no lint warning",
        why: "lints find settings that are allowed and probably wrong",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|_, app, _| checks::manifest(app)),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::By("yes: the plan lists what lints find"),
    },
    Check {
        id: "limits",
        severity: Severity::Warning,
        summary: "no service can use up the memory or the processes of the host, and the kernel filters packets",
        why: "a service without limits can stop every other program of the host; nothing limits disk space",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::limits),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::enforcement),
    },
    Check {
        id: "drop-ins",
        severity: Severity::Note,
        summary: "no drop-in of the administrator changes a unit",
        why: "a drop-in overrides the manifest, in this release and in every later one",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::drop_ins),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they respect the administrator's drop-ins"),
    },
    Check {
        id: "unenforced",
        severity: Severity::Note,
        summary: "this version of systemd enforces every directive of the units",
        why: "a directive without effect looks like protection",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::unenforced),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: such a release can be deployed"),
    },
    Check {
        id: "exposure",
        severity: Severity::Warning,
        summary: "no service is more exposed than its release makes it",
        why: "a drop-in may open what the sandbox closes",
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::exposure),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::No("no: they respect the administrator's drop-ins"),
    },
    Check {
        id: "pins",
        severity: Severity::Error,
        summary: "no service is pinned to another release, and pinned releases exist",
        why: "the next deploy is refused unless it lifts the pins with `--lift-pins`",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::pins),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::By("yes: a deploy is refused unless it lifts the pins"),
    },
    Check {
        id: "tools",
        severity: Severity::Error,
        summary: "the programs of systemd that robotctl runs are installed",
        why: "no deploy and no rollback works without them",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::tools),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::tools),
    },
    Check {
        id: "writable",
        severity: Severity::Warning,
        summary: "the directories that every change writes to can be written",
        why: "a deploy and a rollback are refused on a read-only file system",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::writable),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::writable),
    },
    Check {
        id: "disk",
        severity: Severity::Warning,
        summary: "the disks of the releases and of the records have space for another release",
        why: "a deploy is refused on a full disk",
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::disk),
        without_release: WithoutRelease::Skip,
        preflight: Preflight::Asks(preflight::space),
    },
];

/// Why checks of units and processes are skipped below `--root`.
const NOTHING_RUNS: &str = "the tree of `--root` does not run";
/// Why all other checks are skipped after an interrupted change: their findings follow from it, and
/// their hints would compete with `recover`.
const INTERRUPTED: &str = "a change was interrupted";
/// Why checks of content are skipped for other users than root.
const NEEDS_ROOT: &str = "it needs root: type `sudo` before the command";

/// Runs every check of an app with a live release.
pub(crate) fn run_checks(context: &CheckContext<'_>) -> Report {
    run_all(context.host, context.name, |check| {
        match (check.run, context.content) {
            (Needs::Public(run), _) => run(context),
            (Needs::Content(run), Some((app, tree))) => run(context, app, tree),
            (Needs::Content(_), None) => bail!(NEEDS_ROOT),
        }
    })
}

/// What the checks find that asks before a change: everything that prevents it, and what its plan should
/// say. Each fault is named once. What this user may not see is left out, unless it is root.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn ask_before(change: &prerequisites::Preflight<'_>) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for check in CHECKS {
        let Preflight::Asks(ask) = check.preflight else {
            continue;
        };
        match ask(change) {
            Ok(found) => {
                for fault in found {
                    if faults.iter().all(|one| one.message != fault.message) {
                        faults.push(fault);
                    }
                }
            }
            Err(_) if !is_root() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(faults)
}

/// Runs the checks that need no live release.
pub(crate) fn checks_without_release(context: &BareContext<'_>) -> Report {
    run_all(context.host, context.name, |check| {
        match check.without_release {
            WithoutRelease::Run(run) => run(context),
            WithoutRelease::Skip => bail!(context.reason.clone()),
        }
    })
}

/// Runs the checks in order. One that cannot run is skipped, with its error as the reason.
fn run_all(host: &Host, name: &Name, run: impl Fn(&Check) -> Result<Vec<Finding>>) -> Report {
    let mut report = Report {
        app: name.to_string(),
        ..Report::default()
    };
    let mut is_interrupted = false;
    for check in CHECKS {
        let skipped = |reason| Skipped {
            check: check.id,
            reason,
        };
        if is_interrupted {
            report.skipped.push(skipped(INTERRUPTED.to_owned()));
            continue;
        }
        if check.of_running_host && host.is_offline() {
            report.skipped.push(skipped(NOTHING_RUNS.to_owned()));
            continue;
        }
        match run(check) {
            Ok(found) => {
                report.checked += 1;
                let mut severities = found.iter().map(|finding| finding.severity);
                is_interrupted = check.ends_checks && severities.any(|it| it == Severity::Error);
                report
                    .findings
                    .extend(found.into_iter().map(|finding| Finding {
                        check: check.id,
                        ..finding
                    }));
            }
            Err(error) => report.skipped.push(skipped(format!("{error:#}"))),
        }
    }
    report
}

/// The report of an app that no check can look at now.
pub(crate) fn skipped(name: &Name, reason: &str) -> Report {
    Report {
        app: name.to_string(),
        skipped: vec![Skipped {
            check: "all",
            reason: reason.to_owned(),
        }],
        ..Report::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{CHECKS, Preflight};
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_an_id_of_its_own_and_says_what_and_why() {
        let ids: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        for check in CHECKS {
            assert!(
                !check.summary.is_empty() && !check.why.is_empty(),
                "{}",
                check.id
            );
        }
    }

    /// The type makes each row say whether a change asks the same before it begins. A row that does not ask
    /// says which step does, or why none needs to.
    #[test]
    fn every_check_says_whether_a_change_asks_it_first() {
        for check in CHECKS {
            let (is_right, words) = match check.preflight {
                Preflight::Asks(_) => (true, ""),
                Preflight::By(step) => (step.starts_with("yes: "), step),
                Preflight::No(why) => (why.starts_with("no: "), why),
            };
            assert!(is_right, "{}: {words}", check.id);
        }
        // What describes the host, and not the live release, is asked before every change.
        let of_host = [
            "shadowed",
            "tmpfiles",
            "permissions",
            "secrets",
            "env-file",
            "programs",
            "ports",
            "limits",
            "tools",
            "writable",
            "disk",
        ];
        let asked = CHECKS
            .iter()
            .filter(|check| matches!(check.preflight, Preflight::Asks(_)));
        assert_eq!(asked.map(|check| check.id).collect::<Vec<_>>(), of_host);
    }
}
