//! The table of checks, and running it.

use super::report::{BareContext, CheckContext, Finding, Report, Severity, Skipped};
use super::{before_change, checks};
use crate::app::{App, Name};
use crate::fault::{Fault, Impact};
use crate::host::{Host, is_root};
use crate::prerequisites::PlannedChange;
use crate::printable;
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
pub(crate) enum BeforeChange {
    /// This function asks it of the release that is about to go live.
    Asks(fn(&PlannedChange<'_>) -> Result<Vec<Fault>>),
    /// The same, and what it finds prevents a plan without changes, too: the services that run could not start
    /// again.
    AlwaysAsks(fn(&PlannedChange<'_>) -> Result<Vec<Fault>>),
    /// Another step of the change refuses or warns, and this says which.
    By(&'static str),
    /// It says nothing about a release that is not live yet, and this says why.
    No(&'static str),
}

impl BeforeChange {
    /// The same in words.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Asks(_) | Self::AlwaysAsks(_) => "yes",
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
    /// How to fix what it finds.
    pub(crate) fix: &'static str,
    /// The man pages to read, such as `systemd.unit(5)`.
    pub(crate) man: &'static [&'static str],
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
    pub(crate) before_change: BeforeChange,
}

/// Every check, in the order in which a person would run them.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "state",
        severity: Severity::Error,
        summary: "the state that robotctl keeps of the app can be read",
        why: "deploy and rollback refuse a state that is damaged",
        fix: "move the file that the finding names aside, as its hint says, then deploy again. A state that is missing is rebuilt from `current` by `recover`",
        man: &["robotctl-recover(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, _, _| checks::state(context)),
        without_release: WithoutRelease::Run(|context| checks::damaged(context.store)),
        before_change: BeforeChange::By("yes: they refuse a state that is damaged"),
    },
    Check {
        id: "journal",
        severity: Severity::Error,
        summary: "no change was interrupted",
        why: "an interrupted change leaves the host between two releases until it is ended",
        fix: "`recover` ends the change: the old release is live or the new one, never a mixture",
        man: &["robotctl-recover(1)"],
        ends_checks: true,
        of_running_host: false,
        run: Needs::Public(checks::journal),
        without_release: WithoutRelease::Run(|context| checks::journal_of(context.store)),
        before_change: BeforeChange::By(
            "yes: a preview is refused, and the change ends the interrupted one first",
        ),
    },
    Check {
        id: "current",
        severity: Severity::Error,
        summary: "`current` is a relative link to the live release, and the release exists",
        why: "services start the release that `current` names",
        fix: "deploy again, or roll back to the release that is live. Move what is not a link aside first",
        man: &["robotctl-rollback(1)", "ln(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::current),
        without_release: WithoutRelease::Run(checks::no_live_release),
        before_change: BeforeChange::By("yes: a deploy repairs it, and refuses what is not a link"),
    },
    Check {
        id: "content",
        severity: Severity::Error,
        summary: "the files of the live release are as they were staged, and none was added",
        why: "releases share unchanged files, so a change by hand changes several releases",
        fix: "deploy a new version: it does not share the changed files. If files are missing, roll back",
        man: &["robotctl-deploy(1)", "robotctl-rollback(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::content(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::By(
            "yes: a rollback skips a release that lost files; neither looks for changes by hand",
        ),
    },
    Check {
        id: "files",
        severity: Severity::Error,
        summary: "units, drop-ins, tmpfiles.d and sysusers.d are as the live release has them",
        why: "the next deploy overwrites changes by hand",
        fix: "deploy again, or write your change into a drop-in under `/etc/systemd/system`, which a deploy leaves alone",
        man: &["systemd.unit(5)", "robotctl-deploy(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(checks::files),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they write these files"),
    },
    Check {
        id: "shadowed",
        severity: Severity::Warning,
        summary: "no file of the administrator hides a generated unit, or a generated line of tmpfiles.d or sysusers.d",
        why: "systemd reads the file in `/etc` or `/run` and ignores the generated one",
        fix: "keep what you need in a drop-in or under another name, and remove the file that hides the generated one",
        man: &["systemd.unit(5)", "tmpfiles.d(5)", "sysusers.d(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::shadowed),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::shadowed),
    },
    Check {
        id: "units",
        severity: Severity::Error,
        summary: "enabled units are loaded, active and not failed",
        why: "a unit that is down does not serve",
        fix: "read the log of the unit, fix the cause, then start it. What you stopped, disabled or masked stays so until you start it",
        man: &["systemctl(1)", "journalctl(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::units),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they start the units, and their checks judge them"),
    },
    Check {
        id: "restarts",
        severity: Severity::Error,
        summary: "no service restarts again and again, runs out of memory or misses its watchdog",
        why: "a service that ends every few seconds is active whenever somebody looks",
        fix: "read why it ends in its log. Raise `limits.memory-max` if memory ran out",
        man: &["systemd.service(5)", "systemd.resource-control(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::restarts),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No(
            "no: their settle time and the soak time judge the new release",
        ),
    },
    Check {
        id: "timers",
        severity: Severity::Warning,
        summary: "every timer has started its job, or will",
        why: "nothing has shown that a job works which has never run",
        fix: "start the job once by hand, and enable its timer",
        man: &["systemd.timer(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::timers),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: a timer starts its job later"),
    },
    Check {
        id: "leftovers",
        severity: Severity::Warning,
        summary: "no unit of a killed command is left",
        why: "a pre-check instance would run a release that is not live",
        fix: "`recover` stops and removes these units",
        man: &["robotctl-recover(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::leftovers),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they stop and remove these units first"),
    },
    Check {
        id: "running",
        severity: Severity::Error,
        summary: "every process runs the live release, or one with the same files for its service",
        why: "a process that was not restarted answers with old code",
        fix: "restart the service. `doctor --fix` does it by overlap where the service overlaps",
        man: &["systemctl(1)", "robotctl-deploy(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::running),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they restart what runs another release"),
    },
    Check {
        id: "orphans",
        severity: Severity::Warning,
        summary: "no process uses files of the app outside its units",
        why: "nothing stops, restarts or limits such a process",
        fix: "stop the process, or start it as a service of the app",
        man: &["systemd-cgls(1)", "systemctl(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::orphans(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they say nothing about the new release"),
    },
    Check {
        id: "tmpfiles",
        severity: Severity::Error,
        summary: "the directories of tmpfiles.d exist, with owner and mode",
        why: "services fail without their directories",
        fix: "run systemd-tmpfiles on the file of the app. Move what is in the place of a directory aside first",
        man: &["tmpfiles.d(5)", "systemd-tmpfiles(8)", "sysusers.d(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(checks::tmpfiles),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::directories),
    },
    Check {
        id: "directories",
        severity: Severity::Error,
        summary: "the services can write to their directories and to what is in them",
        why: "a file that root has made in such a directory stops the service that must change it",
        fix: "give the directory or the file to the user of the services",
        man: &["systemd.exec(5)", "chown(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::directories(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No(
            "no: the pre-check and the checks show whether the new release can",
        ),
    },
    Check {
        id: "permissions",
        severity: Severity::Error,
        summary: "only root can write to the release and replace directories of the app, only its services can read it, and its accounts are its own",
        why: "a service that can write to its own program can keep an intruder",
        fix: "make root the owner and remove write access for others. A deploy of the live release sets who can read it",
        man: &["chmod(1)", "chown(1)", "acl(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::permissions(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::replaceable),
    },
    Check {
        id: "secrets",
        severity: Severity::Error,
        summary: "every secret is a file that systemd can load and that only root can read",
        why: "a service does not start without a credential that it loads",
        fix: "set the secret: `sudo robotctl secret set NAME`",
        man: &["systemd.exec(5)", "install(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::secrets(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::AlwaysAsks(before_change::secrets),
    },
    Check {
        id: "same-secrets",
        severity: Severity::Warning,
        summary: "no two secrets of the host have the same content",
        why: "a secret that leaks from one service is that of the other too",
        fix: "give each service, and each environment, a secret of its own",
        man: &["systemd.exec(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::same(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::same_secrets),
    },
    Check {
        id: "env-file",
        severity: Severity::Error,
        summary: "systemd understands and uses every line of `/etc/<app>/env`, and it sets what the services need",
        why: "systemd drops an assignment that it does not understand, and the service runs without it",
        fix: "correct the line that the finding names. systemd takes lines `NAME=value`, without `export`",
        man: &["systemd.exec(5)", "environ(7)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::env_file(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::AlwaysAsks(before_change::env_file),
    },
    Check {
        id: "settings",
        severity: Severity::Warning,
        summary: "no service has started before its settings changed, services that share a secret agree about its value, and the overlay of this host is in force",
        why: "a service gets `/etc/<app>/env` and its secrets when it starts, and goes on with old values. A deploy reads `/etc/<app>/robot.local.toml`",
        fix: "deploy again, or restart the service. A deploy and `doctor --fix` do it by overlap where the service overlaps",
        man: &["robotctl-deploy(1)", "systemd.exec(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::settings(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::settings),
    },
    Check {
        id: "programs",
        severity: Severity::Error,
        summary: "every program of the services exists and can be executed",
        why: "a service does not start without its program",
        fix: "install the program, or make the file executable and deploy again",
        man: &["systemd.service(5)", "systemd.exec(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|context, app, _| checks::programs(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::programs),
    },
    Check {
        id: "executables",
        severity: Severity::Error,
        summary: "every program can run: its interpreter, libraries and Python environment are where the service sees them, and it is built for this host",
        why: "a program that exists may still not start in its sandbox",
        fix: "install what is missing, or put the program and what it needs into the release",
        man: &["ld.so(8)", "systemd.exec(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::executables(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: the pre-check and the checks start the new programs"),
    },
    Check {
        id: "ports",
        severity: Severity::Error,
        summary: "the host has every address, every TCP port is held by its unit on that address, and every unix socket exists",
        why: "another process on the address answers in place of the service",
        fix: "start the unit that should hold the address, stop the other process, or write another address in `listen`",
        man: &["systemd.socket(5)", "ss(8)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Content(|context, app, _| checks::ports(context, app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::addresses),
    },
    Check {
        id: "unchecked",
        severity: Severity::Note,
        summary: "every service without an address has a check or a watchdog",
        why: "nothing else shows whether a worker that runs does its work",
        fix: "add `check` or `watchdog` to the service",
        man: &["robot.toml(5)", "systemd.service(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|_, app, _| checks::unchecked(app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: such a release can be deployed"),
    },
    Check {
        id: "manifest",
        severity: Severity::Error,
        summary: "the manifest of the live release has no error and no lint warning",
        why: "lints find settings that are allowed and probably wrong",
        fix: "change the line of the manifest that the finding names, then deploy",
        man: &["robot.toml(5)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Content(|_, app, _| checks::manifest(app)),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::By("yes: the plan lists what lints find"),
    },
    Check {
        id: "limits",
        severity: Severity::Warning,
        summary: "no service can use up the memory or the processes of the host, and the kernel filters packets",
        why: "a service without limits can stop every other program of the host; nothing limits disk space",
        fix: "set `limits` of the service and deploy, or remove your drop-in. A kernel or container without a control group controller enforces no limit",
        man: &["systemd.resource-control(5)", "robot.toml(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::limits),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::enforcement),
    },
    Check {
        id: "drop-ins",
        severity: Severity::Note,
        summary: "no drop-in of the administrator changes a unit",
        why: "a drop-in overrides the manifest, in this release and in every later one",
        fix: "put what every host needs into the manifest, and remove the drop-in",
        man: &["systemd.unit(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::drop_ins),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they respect the administrator's drop-ins"),
    },
    Check {
        id: "unenforced",
        severity: Severity::Note,
        summary: "this version of systemd enforces every directive of the units",
        why: "a directive without effect looks like protection",
        fix: "use a newer systemd, or limit the service in another way",
        man: &["systemd.exec(5)", "systemd.resource-control(5)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::unenforced),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: such a release can be deployed"),
    },
    Check {
        id: "exposure",
        severity: Severity::Warning,
        summary: "no service is more exposed than its release makes it",
        why: "a drop-in may open what the sandbox closes",
        fix: "remove the line of the drop-in that opens the sandbox",
        man: &["systemd-analyze(1)"],
        ends_checks: false,
        of_running_host: true,
        run: Needs::Public(checks::exposure),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they respect the administrator's drop-ins"),
    },
    Check {
        id: "package",
        severity: Severity::Warning,
        summary: "the version of the app's package that is installed is live",
        why: "apt and dpkg say that a version is installed which does not run",
        fix: "install a version that is healthy, deploy this one with `--from-package`, or hold the package",
        man: &["robotctl-package(1)", "apt-mark(8)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::package),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::No("no: they change what is live"),
    },
    Check {
        id: "pins",
        severity: Severity::Error,
        summary: "no service is pinned to another release, and pinned releases exist",
        why: "the next deploy is refused unless it lifts the pins with `--lift-pins`",
        fix: "deploy with `--lift-pins`",
        man: &["robotctl-deploy(1)", "robotctl-rollback(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::pins),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::By("yes: a deploy is refused unless it lifts the pins"),
    },
    Check {
        id: "tools",
        severity: Severity::Error,
        summary: "the programs of systemd that robotctl runs are installed",
        why: "no deploy and no rollback works without them",
        fix: "install the package that the finding names",
        man: &["systemd(1)", "apt(8)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::tools),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::tools),
    },
    Check {
        id: "writable",
        severity: Severity::Warning,
        summary: "the directories that every change writes to can be written",
        why: "a deploy and a rollback are refused on a read-only file system",
        fix: "mount the file system read-write, and find out why the kernel made it read-only",
        man: &["mount(8)", "dmesg(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::writable),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::writable),
    },
    Check {
        id: "disk",
        severity: Severity::Warning,
        summary: "the disks of the releases and of the records have space for another release",
        why: "a deploy is refused on a full disk",
        fix: "free disk space, or remove old releases with `prune`",
        man: &["df(1)", "robotctl-prune(1)"],
        ends_checks: false,
        of_running_host: false,
        run: Needs::Public(checks::disk),
        without_release: WithoutRelease::Skip,
        before_change: BeforeChange::Asks(before_change::space),
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
/// say. Each fault is named once. What this user may not see is left out, unless it is root. A plan that
/// changes nothing is prevented only by what [`BeforeChange::AlwaysAsks`].
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn ask_before(change: &PlannedChange<'_>) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for check in CHECKS {
        let (ask, prevents) = match check.before_change {
            BeforeChange::Asks(ask) => (ask, !change.plan.is_empty()),
            BeforeChange::AlwaysAsks(ask) => (ask, true),
            BeforeChange::By(_) | BeforeChange::No(_) => continue,
        };
        match ask(change) {
            Ok(found) => {
                for fault in found {
                    let counts = prevents || fault.impact != Impact::Blocking;
                    if counts && faults.iter().all(|one| one.message != fault.message) {
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
            Err(error) => report
                .skipped
                .push(skipped(printable::name(&format!("{error:#}")).into_owned())),
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
    use super::{BeforeChange, CHECKS};
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

    #[test]
    fn every_check_says_how_to_fix_what_it_finds_and_names_a_man_page() {
        let is_page = |page: &&str| -> bool {
            let parts = page.strip_suffix(')').and_then(|page| page.split_once('('));
            parts.is_some_and(|(name, section)| {
                !name.is_empty() && matches!(section, "1" | "5" | "7" | "8")
            })
        };
        for check in CHECKS {
            assert!(!check.fix.is_empty(), "{}", check.id);
            assert!(!check.man.is_empty(), "{}", check.id);
            assert!(check.man.iter().all(is_page), "{}", check.id);
        }
    }

    /// The type makes each row say whether a change asks the same before it begins. A row that does not ask
    /// says which step does, or why none needs to.
    #[test]
    fn every_check_says_whether_a_change_asks_it_first() {
        for check in CHECKS {
            let (is_right, words) = match check.before_change {
                BeforeChange::Asks(_) | BeforeChange::AlwaysAsks(_) => (true, ""),
                BeforeChange::By(step) => (step.starts_with("yes: "), step),
                BeforeChange::No(why) => (why.starts_with("no: "), why),
            };
            assert!(is_right, "{}: {words}", check.id);
        }
        // What describes the host, and not the live release, is asked before every change.
        let of_host = [
            "shadowed",
            "tmpfiles",
            "permissions",
            "secrets",
            "same-secrets",
            "env-file",
            "settings",
            "programs",
            "ports",
            "limits",
            "tools",
            "writable",
            "disk",
        ];
        let asked = CHECKS
            .iter()
            .filter(|check| check.before_change.in_words() == "yes");
        assert_eq!(asked.map(|check| check.id).collect::<Vec<_>>(), of_host);
    }
}
