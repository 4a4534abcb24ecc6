//! Build commands and the Python environment of a release. They run unprivileged, in a sandbox where the
//! staged tree is `/opt/<app>/current`, so that paths which they write are right when it is live.

use super::build_hint;
use super::build_step::{BuildStep, Purpose};
use super::python;
use super::unit::{RunFailure, TransientUnit};
use crate::app::{App, DEFAULT_MEMORY_MAX, DEFAULT_SWAP_MAX, DEFAULT_TASKS_MAX, Name};
use crate::error::fail;
use crate::host::{Command, Host, Lock, MainExit, files, user_ids};
use crate::units::BUILD_PREFIX;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

/// The system user that owns a staged tree while it is built.
const BUILD_USER: &str = "robotctl-build";
/// The lock of the build that runs on this host.
const BUILD_LOCK: &str = "/run/robotctl/build.lock";
/// The longest time of a build.
const MAX_BUILD_TIME: Duration = Duration::from_secs(3600);
/// The units of all builds. No app but the bundled one has a name that begins with `robotctl-`, so none of them is a
/// service's own.
const UNIT_PATTERN: &str = "robotctl-build-*.service";
/// How many lines of a command an error shows. pip names the cause well above its last line.
pub(super) const COMMAND_LINES: usize = 20;

/// The unit that runs while an app is built. The commands of the build are bound to it.
fn guard_unit(app: &Name) -> String {
    format!("{BUILD_PREFIX}{app}.service")
}

/// The unit of a command of the build. Each has its own, because systemd may not have removed the
/// previous one yet. The name of an app contains no dot, so it is no app's guard unit.
fn command_unit(app: &Name, number: usize) -> String {
    format!("{BUILD_PREFIX}{app}.{number}.service")
}

/// Runs the build commands of the manifest in a staged tree. Returns the directory that the build has
/// written to; it belongs to root again.
///
/// # Errors
/// [`HintedError`] with the command that failed and its last lines.
pub(crate) fn build(host: &Host, app: &App, staging: &str) -> Result<PathBuf> {
    if host.is_offline() {
        return fail(
            "build commands cannot run with `--root`",
            "build first, and deploy a source that needs no `build` and no `python`",
        );
    }
    // All builds have the same user, so at the same time they could change each other's files.
    host.root.make_dir("/run/robotctl", 0o755)?;
    let _lock = Lock::take(&host.root, BUILD_LOCK, "building", MAX_BUILD_TIME)
        .map_err(anyhow::Error::new)
        .context("waiting for the build of another app")?;
    start_guard(host, app)?;
    let line = format!("u {BUILD_USER} - \"robotctl build sandbox\" / -\n");
    Command::new(["systemd-sysusers", "-"]).input(line).run()?;
    let (uid, gid) =
        user_ids(BUILD_USER)?.with_context(|| format!("looking up the user `{BUILD_USER}`"))?;
    let mut written = host.root.path(staging);
    if app.release.build.is_empty() {
        // Only the Python environment is written. The payload may share inodes with other releases, so
        // it stays root's, and the build can only read it.
        host.root.set_readers(staging, gid, &[])?;
        written.push(".venv");
        files::PlainDirs::begin(&written)?;
    }
    files::chown_tree(&written, uid, gid)?;
    for (number, step) in steps(app).iter().enumerate() {
        run(host, app, staging, number, step)?;
    }
    files::chown_tree(&written, 0, 0)?;
    host.root.set_readers(staging, 0, &[])?;
    Ok(written)
}

/// The commands of a build, in their order.
pub(super) fn steps(app: &App) -> Vec<BuildStep> {
    let python = app.release.python.as_ref();
    let mut steps = python.map_or(Vec::new(), |python| python::steps(app, python));
    steps.extend(app.release.build.iter().map(|argv| BuildStep {
        argv: argv.iter().map(ToString::to_string).collect(),
        purpose: Purpose::Command,
        is_offline: false,
        input: None,
    }));
    steps
}

/// Starts the guard unit, which waits for the lock that this process holds. It ends when this process
/// ends, even by SIGKILL, and ends the commands that are bound to it.
fn start_guard(host: &Host, app: &App) -> Result<()> {
    // Units of an earlier build have lost the lock.
    host.systemd.stop(&[UNIT_PATTERN.to_owned()])?;
    let unit = guard_unit(&app.name);
    host.systemd.reset_failed(std::slice::from_ref(&unit));
    let properties = vec![
        "Type=exec".to_owned(),
        format!("Description={}: building", app.name),
    ];
    let argv = ["flock", "--shared", BUILD_LOCK, "true"];
    let argv = argv.map(str::to_owned).to_vec();
    TransientUnit::from_command(host, unit, properties, argv, None).start()
}

/// Runs one command.
fn run(host: &Host, app: &App, staging: &str, number: usize, step: &BuildStep) -> Result<()> {
    let properties = properties(host, app, staging, step.is_offline);
    // systemd-run looks for the program on the host, where the release is not mounted.
    let argv = ["/usr/bin/env", "--"].map(str::to_owned).into_iter();
    let argv = argv.chain(step.argv.iter().cloned()).collect();
    let name = command_unit(&app.name, number);
    let mut unit = TransientUnit::from_command(host, name, properties, argv, step.input);
    let code = match unit.run(MAX_BUILD_TIME) {
        Ok(()) => return Ok(()),
        Err(RunFailure::Failed(state)) => match state.main_exit {
            Some(MainExit::Exited(code) | MainExit::Killed(code)) => code,
            None => 0,
        },
        Err(RunFailure::Unknown(error)) => return Err(error),
        Err(failure) => return Err(anyhow::Error::msg(failure.to_string())),
    };
    let log = unit.run_log();
    let lines = log.last_lines(COMMAND_LINES, 0);
    failed(app, step, code, &log.program, &lines)
}

/// The error of a command: its exit code, all that it wrote, and the lines of that to show.
pub(super) fn failed<T>(
    app: &App,
    step: &BuildStep,
    code: i32,
    log: &[String],
    lines: &[String],
) -> Result<T> {
    fail(
        format!(
            "building the release: `{}` ended with exit code {code}:\n{}",
            step.argv.join(" "),
            lines.join("\n")
        ),
        build_hint::of_failure(&app.release, step, code, log, lines),
    )
}

/// The sandbox of a command (systemd.exec(5)), and its limits.
fn properties(host: &Host, app: &App, staging: &str, is_offline: bool) -> Vec<String> {
    let current = app.layout.current();
    let real = host.root.path(staging);
    let guard = guard_unit(&app.name);
    vec![
        format!("Description={}: building", app.name),
        format!("BindsTo={guard}"),
        format!("After={guard}"),
        // A build that is stopped must not change anything more.
        "KillSignal=SIGKILL".to_owned(),
        format!("User={BUILD_USER}"),
        format!("Group={BUILD_USER}"),
        // /opt is a tmpfs of this unit, so that no mount point is created on the host.
        "TemporaryFileSystem=/opt:mode=0755".to_owned(),
        format!("BindPaths={}:{current}", real.display()),
        format!("WorkingDirectory={current}"),
        format!("PrivateNetwork={}", if is_offline { "yes" } else { "no" }),
        "NoNewPrivileges=yes".into(),
        "PrivateTmp=yes".into(),
        "PrivateDevices=yes".into(),
        "PrivateIPC=yes".into(),
        "TemporaryFileSystem=/dev/shm:mode=1777".into(),
        "ProtectSystem=strict".into(),
        format!("ReadWritePaths={current}"),
        "ProtectHome=yes".into(),
        "ProtectControlGroups=yes".into(),
        "ProtectKernelModules=yes".into(),
        "ProtectKernelTunables=yes".into(),
        "ProtectKernelLogs=yes".into(),
        "ProtectClock=yes".into(),
        "ProtectHostname=yes".into(),
        // Other processes of the host, such as their command lines.
        "ProtectProc=invisible".into(),
        "KeyringMode=private".into(),
        "LockPersonality=yes".into(),
        "RestrictRealtime=yes".into(),
        "RestrictNamespaces=yes".into(),
        // getaddrinfo(3) asks the kernel by AF_NETLINK.
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK".into(),
        "SystemCallArchitectures=native".into(),
        "SystemCallFilter=@system-service".into(),
        // io_uring passes by the filter of address families (io_uring(7)).
        "SystemCallFilter=~@keyring io_uring_setup io_uring_enter io_uring_register userfaultfd"
            .into(),
        "SystemCallErrorNumber=EPERM".into(),
        "CapabilityBoundingSet=".into(),
        "RestrictSUIDSGID=yes".into(),
        // The same limits as those of a service.
        format!("MemoryMax={DEFAULT_MEMORY_MAX}"),
        format!("MemorySwapMax={DEFAULT_SWAP_MAX}"),
        format!("TasksMax={DEFAULT_TASKS_MAX}"),
        "LimitCORE=0".into(),
        "InaccessiblePaths=-/etc/".to_owned() + app.name.as_str(),
        "InaccessiblePaths=-/var/lib/".to_owned() + app.name.as_str(),
        "Environment=HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1".into(),
        format!("RuntimeMaxSec={}", MAX_BUILD_TIME.as_secs()),
    ]
}
