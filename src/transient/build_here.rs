//! The build of a package: the same commands as those of a release, run by the user who makes the package.
//!
//! No root and no systemd are needed. The commands run in mount and user namespaces of their own (unshare(1)), where
//! the staged tree is `/opt/<app>/current`: what they write is right on the host where the package is installed.

use super::build::{COMMAND_LINES, failed, parts};
use super::build_hint::Network;
use super::build_step::BuildStep;
use crate::app::{App, PYTHON_DIR};
use crate::error::fail;
use crate::host::{Command, interrupted, is_root};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Mounts the tree, and runs the command in it. `/opt` is empty otherwise, as for a release. What the command writes to
/// standard output is part of its log.
const IN_RELEASE: &str = "mount -t tmpfs -o mode=0755 tmpfs /opt && mkdir -p \"$2\" && mount --bind \"$1\" \"$2\" && \
                          cd \"$2\" || exit 125; shift 2; exec \"$@\" >&2";

/// The exit code when the tree cannot be mounted; also that of unshare(1).
const NOT_MOUNTED: [i32; 2] = [1, 125];

/// Runs the build commands of the manifest in the tree at `staged`. Returns the directory that they may have
/// written to.
///
/// # Errors
/// [`HintedError`](crate::error::HintedError) with the command that failed and its last lines.
pub(crate) fn build_here(app: &App, staged: &Path, epoch: i64) -> Result<PathBuf> {
    for step in parts(app).into_iter().flat_map(|part| part.steps) {
        run(app, staged, epoch, &step)?;
    }
    Ok(match app.release.build.is_empty() {
        true => staged.join(PYTHON_DIR),
        false => staged.to_owned(),
    })
}

fn run(app: &App, staged: &Path, epoch: i64, step: &BuildStep) -> Result<()> {
    let mut argv = vec!["unshare", "--mount"];
    if !is_root() {
        argv.extend(["--user", "--map-root-user"]);
    }
    let has_network = app.release.sandbox.has_network();
    if step.is_offline || !has_network {
        argv.push("--net");
    }
    let (staged, current) = (staged.display().to_string(), app.layout.current());
    argv.extend(["sh", "-c", IN_RELEASE, "sh", &staged, &current]);
    argv.extend(step.argv.iter().map(String::as_str));
    let mut command = Command::new(argv)
        .env("SOURCE_DATE_EPOCH", &epoch.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONHASHSEED", "0")
        .env("PIP_ROOT_USER_ACTION", "ignore");
    if let Some(input) = step.input {
        command = command.input(input);
    }
    let Some(output) = command.output_while(|| !interrupted())? else {
        return fail("the build was interrupted", "make the package again");
    };
    if output.success() {
        return Ok(());
    }
    let log: Vec<String> = output.stderr.lines().map(str::to_owned).collect();
    let mount = ["unshare: ", "mount: ", "sh: 1: mount"];
    if NOT_MOUNTED.contains(&output.code)
        && let Some(line) = log.last()
        && mount.iter().any(|program| line.starts_with(program))
    {
        return fail(
            format!("the build cannot see the release where it will be: {line}"),
            "allow namespaces to users (on Ubuntu: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`), or \
             make the package as root",
        );
    }
    let last = log
        .get(log.len().saturating_sub(COMMAND_LINES)..)
        .unwrap_or(&[]);
    let network = match has_network {
        true => Network::Open,
        false => Network::Closed,
    };
    failed(app, step, network, output.code, &log, last)
}
