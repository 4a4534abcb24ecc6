//! Build commands and the Python environment of a release. They run unprivileged, in a sandbox where the
//! staged tree is `/opt/<app>/current`, so that paths which they write are right when it is live.

use super::build_hint::{self, Network};
use super::build_sandbox::{MAX_BUILD_TIME, make_root, properties, secrets, words};
pub(crate) use super::build_step::BuildPart;
use super::build_step::{BUILD, BuildStep, Purpose};
use super::python;
use super::resolvers::are_shared;
use super::unit::{RunFailure, TransientUnit};
use crate::app::{App, Name, PYTHON_DIR, Text};
use crate::error::fail;
use crate::host::{Command, Host, Lock, MainExit, files, user_ids};
use crate::units::BUILD_PREFIX;
use anyhow::{Context, Result};
use std::any::Any;
use std::path::PathBuf;

/// The lock of the build that runs on this host.
const BUILD_LOCK: &str = "/run/robotctl/build.lock";
/// The units of all builds. No app but the bundled one has a name that begins with `robotctl-`, so none of them is a
/// service's own.
const UNIT_PATTERN: &str = "robotctl-build-*.service";
/// The shortest line of a secret that is taken out of the output of a command: a shorter one could be a word.
const SHORTEST_HIDDEN: usize = 4;
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

/// What takes place between the commands of a build: parts that an earlier release has are taken over.
pub(crate) trait Reuse {
    /// Whether part `at` is taken over.
    fn is_reused(&self, at: usize) -> bool;

    /// Takes over what part `at` makes. Returns the paths that the commands of the build may then write.
    fn take_over(&mut self, at: usize, writable: bool) -> Result<Vec<PathBuf>>;

    /// A command begins. What is returned is dropped when it has ended.
    fn begins(&self, argv: &[String]) -> Box<dyn Any>;

    /// The commands of part `at` have run.
    fn has_run(&mut self, at: usize) -> Result<()>;
}

/// Runs the commands of a build in a staged tree, except those of parts that are taken over. Returns the directory that
/// they have written to, if any ran; it belongs to root again.
///
/// # Errors
/// [`HintedError`] with the command that failed and its last lines.
pub(crate) fn build(
    host: &Host,
    app: &App,
    staging: &str,
    parts: &[BuildPart],
    reuse: &mut dyn Reuse,
) -> Result<Option<PathBuf>> {
    let runs = |at: usize| !reuse.is_reused(at);
    if !(0..parts.len()).any(runs) {
        for at in 0..parts.len() {
            reuse.take_over(at, false)?;
        }
        return Ok(None);
    }
    let is_whole = parts
        .iter()
        .enumerate()
        .any(|(at, part)| part.may_write_all() && runs(at));
    if host.is_offline() {
        return fail(
            "build commands cannot run with `--root`",
            "build first, and deploy a source that needs no `build` and no `python`",
        );
    }
    // Each may use most of the memory of the host, so they do not run at the same time.
    host.root.make_dir("/run/robotctl", 0o755)?;
    let _lock = Lock::take(&host.root, BUILD_LOCK, "building", MAX_BUILD_TIME)
        .map_err(anyhow::Error::new)
        .context("waiting for the build of another app")?;
    start_guard(host, app)?;
    make_root(host, app)?;
    let user = app.build_user();
    let line = format!("u {user} - \"builds of {}\" / -\n", app.name);
    Command::new(["systemd-sysusers", "-"]).input(line).run()?;
    let (uid, gid) = user_ids(&user)?.with_context(|| format!("looking up the user `{user}`"))?;
    let mut written = host.root.path(staging);
    if !is_whole {
        // Only the Python environment is written. The payload may share inodes with other releases, so
        // it stays root's, and the build can only read it.
        host.root.set_readers(staging, gid, &[])?;
        written.push(PYTHON_DIR);
        files::PlainDirs::begin(&written)?;
    }
    files::chown_tree(&written, uid, gid)?;
    let mut number = 0;
    for (at, part) in parts.iter().enumerate() {
        if reuse.is_reused(at) {
            for path in reuse.take_over(at, is_whole)? {
                files::chown_tree(&path, uid, gid)?;
            }
            continue;
        }
        for step in &part.steps {
            let shown = reuse.begins(&step.argv);
            run(host, app, staging, number, step)?;
            drop(shown);
            number += 1;
        }
        reuse.has_run(at)?;
    }
    files::chown_tree(&written, 0, 0)?;
    host.root.set_readers(staging, 0, &[])?;
    Ok(Some(written))
}

/// The parts of the build of an app, in the order in which they run.
pub(crate) fn parts(app: &App) -> Vec<BuildPart> {
    let release = &app.release;
    let python = release.python.iter().map(|python| BuildPart {
        key: "python",
        steps: python::steps(app, python),
        inputs: Vec::new(),
        outputs: vec![PYTHON_DIR.to_owned()],
    });
    let commands = release.build.iter().map(|command| {
        let texts = |list: &[Text]| list.iter().map(ToString::to_string).collect();
        BuildPart {
            key: BUILD,
            steps: vec![BuildStep {
                argv: texts(&command.argv),
                purpose: Purpose::Command,
                is_offline: false,
                input: None,
            }],
            inputs: texts(&command.inputs),
            outputs: texts(&command.outputs),
        }
    });
    python.chain(commands).collect()
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
    let properties = properties(host, app, staging, &guard_unit(&app.name), step)?;
    let name = command_unit(&app.name, number);
    let words = words(app, step);
    let mut unit = TransientUnit::from_command(host, name, properties, words, step.input);
    let code = match unit.run(MAX_BUILD_TIME) {
        Ok(()) => return Ok(()),
        Err(RunFailure::Failed(state)) => match state.main_exit {
            Some(MainExit::Exited(code) | MainExit::Killed(code)) => code,
            None => 0,
        },
        Err(RunFailure::Unknown(error)) => return Err(error),
        Err(failure) => return Err(anyhow::Error::msg(failure.to_string())),
    };
    let mut log = unit.run_log();
    hide_secrets(host, app, step, &mut log.program)?;
    let lines = log.last_lines(COMMAND_LINES, 0);
    failed(app, step, network(host, app), code, &log.program, &lines)
}

/// The error of a command: its exit code, all that it wrote, and the lines of that to show.
pub(super) fn failed<T>(
    app: &App,
    step: &BuildStep,
    network: Network,
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
        build_hint::of_failure(&app.release, network, step, code, log, lines),
    )
}

/// What the commands of a build can reach.
fn network(host: &Host, app: &App) -> Network {
    let sandbox = &app.release.sandbox;
    if !sandbox.has_network() {
        return Network::Closed;
    }
    if !sandbox.allow.contains("outbound") {
        return Network::Listed;
    }
    if !sandbox.allow.contains("loopback") && are_shared(&host.root) {
        return Network::WithoutResolver;
    }
    Network::Open
}

/// Takes the values of the secrets of a command out of what it wrote.
fn hide_secrets(host: &Host, app: &App, step: &BuildStep, lines: &mut [String]) -> Result<()> {
    for secret in secrets(app, step) {
        let value = host
            .root
            .read(&app.layout.credential(secret.name.as_str()))?;
        let value = value.unwrap_or_default();
        // A value may have several lines, as a key file has.
        let value = String::from_utf8_lossy(&value).into_owned();
        let parts: Vec<&str> = value
            .lines()
            .map(str::trim)
            .filter(|part| part.len() >= SHORTEST_HIDDEN)
            .collect();
        for line in lines.iter_mut() {
            for part in &parts {
                *line = line.replace(part, "***");
            }
        }
    }
    Ok(())
}
