//! Build commands and the Python environment, run unprivileged in a sandbox where the staged
//! tree is `/opt/<app>/current`, so that what they write down is right when it is live.

use super::python::{self, Step};
use crate::app::{App, Name};
use crate::error::HintedError;
use crate::host::files::WalkEntry;
use crate::host::{Command, Host, Lock, files};
use crate::payload::links::check_built_links;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The system user that owns a staged tree while it is built.
const BUILD_USER: &str = "robotctl-build";
/// The lock of whoever builds on this host.
const OWN_NAMESPACES: &str = "/run/robotctl/build.lock";
/// A build lasts no longer than this.
const MAX_BUILD_TIME: Duration = Duration::from_secs(3600);
/// The units of all builds. No app may be called `robotctl-…`, so that none is a service's own.
const UNIT_PREFIX: &str = "robotctl-build-*.service";

/// The unit that is there while an app is built, and without which no command of the build goes on.
fn unit(app: &Name) -> String {
    format!("robotctl-build-{app}.service")
}

/// Runs everything that the manifest asks for, then gives the tree back to root.
pub(super) fn build(host: &Host, app: &App, staging: &str) -> Result<()> {
    if host.is_offline() {
        bail!(
            "building below `--root` is not possible\n\nhint: build first, and deploy a source that needs no `build` and no `python`"
        );
    }
    // All builds have one user, and may look at each other through /proc.
    host.root.make_dir("/run/robotctl", 0o755)?;
    let _alone = Lock::take(&host.root, OWN_NAMESPACES, "building", MAX_BUILD_TIME)
        .map_err(anyhow::Error::new)
        .context("waiting for another app's build to end")?;
    begin(host, app)?;
    let line = format!("u {BUILD_USER} - \"robotctl build sandbox\" / -\n");
    Command::new(["systemd-sysusers", "-"]).input(line).run()?;
    let (uid, gid) = files::user_ids(BUILD_USER)?
        .with_context(|| format!("looking up the user `{BUILD_USER}`"))?;
    let dir = host.root.path(staging);
    let mut own = dir.clone();
    if app.release.build.is_empty() {
        // Only the environment is written: the payload stays root's, and may share inodes.
        own.push(".venv");
        files::PlainDirs::begin(&own)?;
    }
    files::give_to(&own, uid, gid)?;
    for step in steps(app) {
        run(host, app, staging, &step)?;
    }
    files::give_to(&own, 0, 0)?;
    normalise(&own, &dir, app)
}

fn steps(app: &App) -> Vec<Step> {
    let python = app.release.python.as_ref();
    let mut steps = python.map_or(Vec::new(), |python| python::steps(app, python));
    steps.extend(app.release.build.iter().map(|argv| Step {
        argv: argv.iter().map(ToString::to_string).collect(),
        offline: false,
        input: None,
    }));
    steps
}

/// Starts the unit of the build, which waits for the lock that this process holds: it ends when
/// this process does, be it by a kill, and what is bound to it ends with it.
fn begin(host: &Host, app: &App) -> Result<()> {
    // Whoever still builds has lost the lock.
    host.systemd.stop(&[UNIT_PREFIX.to_owned()])?;
    let unit = unit(&app.name);
    host.systemd.reset_failed(std::slice::from_ref(&unit));
    let argv = [
        "systemd-run",
        "--quiet",
        "--collect",
        "--property=Type=exec",
        &format!("--unit={unit}"),
        &format!("--description={}: building", app.name),
        "flock",
        "--shared",
        OWN_NAMESPACES,
        "true",
    ];
    Command::new(argv).run().map(drop)
}

/// One command in a transient service (systemd-run(1)).
fn run(host: &Host, app: &App, staging: &str, step: &Step) -> Result<()> {
    let head = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"];
    let mut command: Vec<String> = head.map(str::to_owned).to_vec();
    command.push(format!("--description={}: building", app.name));
    for property in properties(host, app, staging, step.offline) {
        command.extend(["--property".to_owned(), property]);
    }
    // systemd-run looks for the program on the host, where the release is not mounted.
    command.extend(["--", "/usr/bin/env", "--"].map(str::to_owned));
    // The manager expands what it takes for variables (systemd.service(5)).
    command.extend(step.argv.iter().map(|word| word.replace('$', "$$")));
    let mut command = Command::new(command);
    if let Some(input) = step.input {
        command = command.input(input);
    }
    let output = command.output()?;
    if output.success() {
        return Ok(());
    }
    let all = format!("{}{}", output.stdout, output.stderr);
    let lines: Vec<&str> = all.trim().lines().collect();
    let tail = lines.get(lines.len().saturating_sub(8)..).unwrap_or(&[]);
    let refused = HintedError::new(
        format!(
            "building the release: `{}` ended with exit code {}:\n{}",
            step.argv.join(" "),
            output.code,
            tail.join("\n")
        ),
        "mend what it says and deploy again; it runs as an unprivileged user that writes only to the release and to /tmp",
    );
    Err(refused.into())
}

/// The sandbox of a command (systemd.exec(5)), and what it ends with.
fn properties(host: &Host, app: &App, staging: &str, offline: bool) -> Vec<String> {
    let current = app.layout.current();
    let real = host.root.path(staging);
    let unit = unit(&app.name);
    vec![
        format!("BindsTo={unit}"),
        format!("After={unit}"),
        // Nobody wants what a build that is given up would still do.
        "KillSignal=SIGKILL".to_owned(),
        format!("User={BUILD_USER}"),
        format!("Group={BUILD_USER}"),
        // The mount point must not be made on the host: /opt is a tmpfs of this unit.
        "TemporaryFileSystem=/opt:mode=0755".to_owned(),
        format!("BindPaths={}:{current}", real.display()),
        format!("WorkingDirectory={current}"),
        format!("PrivateNetwork={}", if offline { "yes" } else { "no" }),
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
        "CapabilityBoundingSet=".into(),
        "RestrictSUIDSGID=yes".into(),
        "InaccessiblePaths=-/etc/".to_owned() + app.name.as_str(),
        "InaccessiblePaths=-/var/lib/".to_owned() + app.name.as_str(),
        "Environment=HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1".into(),
        format!("RuntimeMaxSec={}", MAX_BUILD_TIME.as_secs()),
    ]
}

/// Plain modes below `own`, no special files, and links of the whole tree, whose top is `top`, that
/// lead into it or to `/usr`.
fn normalise(own: &Path, top: &Path, app: &App) -> Result<()> {
    let found: Vec<WalkEntry> = files::below(top).collect::<Result<_>>()?;
    let mut links = BTreeMap::new();
    for found in found {
        match found {
            WalkEntry::Dir(path) if path.starts_with(own) => files::set_mode(&path, 0o755)?,
            WalkEntry::File(path, mode) if path.starts_with(own) => {
                // A copy: who kept the file open can still write to the one that was built.
                files::renew(&path, if mode & 0o111 != 0 { 0o755 } else { 0o644 })?;
            }
            WalkEntry::Dir(_) | WalkEntry::File(..) => {}
            WalkEntry::Link(path, target) => {
                let name = path.strip_prefix(top).unwrap_or(&path);
                let (name, target) = plain_link(name, &target)?;
                links.insert(name, target);
            }
            WalkEntry::Special(path) => {
                let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy();
                let refused = HintedError::new(
                    format!("the build made a special file: `{}`", name.escape_debug()),
                    "let the build remove it: a release holds files, directories and links",
                );
                return Err(refused.into());
            }
        }
    }
    Ok(check_built_links(&links, &app.layout.current())?)
}

/// The name and the target of a link that was built, where each is text.
fn plain_link(name: &Path, target: &Path) -> Result<(String, String), HintedError> {
    match (name.to_str(), target.to_str()) {
        (Some(name), Some(target)) => Ok((name.to_owned(), target.to_owned())),
        _ => Err(HintedError::new(
            format!(
                "the build made a link whose name or target is not UTF-8: `{}` -> `{}`",
                name.to_string_lossy().escape_debug(),
                target.to_string_lossy().escape_debug()
            ),
            "let the build remove or rename it",
        )),
    }
}
