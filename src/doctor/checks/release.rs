//! The live release: complete, known, and the one that runs.

use crate::app::{App, Layout, Severity as LintSeverity, lint};
use crate::bytesize::format_bytes;
use crate::command_line::CommandLine;
use crate::doctor::report::{BareContext, CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{
    ProcessOrigin, Undetermined, is_root, members, process_origins, release_of, release_of_unit,
};
use crate::payload::Payload;
use crate::prerequisites::{how_to_free_space, shortages, spaces_of_files};
use crate::safe_fix::SafeFix;
use crate::store::{LastFailure, Mark, Shortage, Space, Store, UnitRole};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The doctor warns this many bytes before a deploy would be refused.
const MARGIN_BYTES: u64 = 48 * 1024 * 1024;
/// The doctor warns this many inodes before a deploy would be refused.
const MARGIN_INODES: u64 = 768;
/// Bytes and inodes that the services need in their caches and logs to go on.
const SERVICE_BYTES: u64 = 256 * 1024;
const SERVICE_INODES: u64 = 16;
/// The user id of root.
const ROOT: u32 = 0;
/// How many paths a message names.
const MAX_NAMED: usize = 3;
/// How many paths a command has.
const MAX_TYPED: usize = 20;
/// Where a hint moves files that were added to a release: only root can enter it (file-hierarchy(7)).
const ROOT_HOME: &str = "/root";

fn deploy_again() -> Hint {
    Hint::to(
        "deploy again",
        CommandLine::sudo_robotctl(["deploy", "--apply"]),
    )
}

/// An app of which no release is live, or whose live release has no record.
pub(in crate::doctor) fn no_live_release(context: &BareContext<'_>) -> Result<Vec<Finding>> {
    let (store, current) = (context.store, context.layout.current());
    // The check `state` reports what is damaged.
    let Ok(state) = store.state() else {
        bail!(context.reason.clone());
    };
    let message = match (state.live, context.host.root.read_link(&current)?) {
        (Some(live), _) if store.public_release(&live).is_ok_and(|one| one.is_none()) => {
            format!("the live release {live} has no record")
        }
        (Some(_), _) => bail!(context.reason.clone()),
        (None, Some(target)) => {
            format!("no release is recorded as live, and `{current}` points at {target}")
        }
        (None, None) => match store.last_failure()? {
            Some(failure) => return Ok(vec![failed_attempt(store, &failure)?]),
            None => "no release is live".to_owned(),
        },
    };
    let fix = Hint::to("deploy", CommandLine::sudo_robotctl(["deploy", "--apply"]));
    Ok(vec![Finding::new(Severity::Error, message, fix)])
}

/// Why no release is live: what the history says about the last attempt.
fn failed_attempt(store: &Store, failure: &LastFailure) -> Result<Finding> {
    let release = failure.release.as_deref();
    let marked = release.map(|id| store.failure_reason(id)).transpose()?;
    let deploy = CommandLine::sudo_robotctl(["deploy"]);
    let fix = match marked.flatten() {
        Some(_) => Hint::to(
            "fix the cause and deploy again, or try the same release again",
            deploy.arg("--force").arg("--apply"),
        ),
        None => Hint::to("fix the cause and deploy again", deploy.arg("--apply")),
    };
    let history = CommandLine::sudo_robotctl(["history"]);
    let message = format!("no release is live, and {}", failure.in_words());
    Ok(Finding::with_steps(
        Severity::Error,
        message,
        vec![fix, Hint::to("read what happened", history)],
    ))
}

pub(in crate::doctor) fn current(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let path = context.layout.current();
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let wanted = Layout::current_link_text(live);
    let root = &context.host.root;
    let mut found = Vec::new();
    match root.meta(&path)? {
        None => found.push(Finding::new(
            Severity::Error,
            format!("`{path}` is missing"),
            deploy_again(),
        )),
        Some(meta) if !meta.is_symlink => {
            let real = root.path(&path).display().to_string();
            found.push(Finding::new(
                Severity::Error,
                format!("`{path}` is not a link"),
                Hint::to(
                    "move it to another place, then",
                    CommandLine::sudo(["ln", "-s", &wanted, &real]),
                ),
            ));
        }
        Some(_) => {
            let target = root.read_link(&path)?.unwrap_or_default();
            if target != wanted {
                found.push(Finding::new(
                    Severity::Error,
                    format!("`{path}` points at `{target}`, but `{wanted}` is live"),
                    Hint::run(CommandLine::sudo_robotctl(["rollback", live.as_str()])),
                ));
            }
        }
    }
    let dir = context.layout.release(live);
    if root.meta(&dir)?.is_none() {
        found.push(Finding::new(
            Severity::Error,
            format!("the live release is missing: `{dir}`"),
            roll_back(context, "roll back, or deploy it again").unwrap_or_else(deploy_again),
        ));
    }
    Ok(found)
}

/// The hint to roll back, if there is a release to roll back to.
fn roll_back(context: &CheckContext<'_>, what: &str) -> Option<Hint> {
    let rollback = CommandLine::sudo_robotctl(["rollback"]);
    previous(context).map(|_| Hint::to(what, rollback))
}

/// The release that a rollback restores. Only root can see whether it is complete.
pub(super) fn previous(context: &CheckContext<'_>) -> Option<String> {
    let (store, state) = (context.store, context.state);
    if let Ok(found) = store.previous_release(state, &|_, _| {}) {
        return found.map(|record| record.public.id);
    }
    let is_usable = |id: &String| {
        let dir = context.host.root.meta(&context.layout.release(id));
        let release = store.public_release(id).ok().flatten();
        dir.is_ok_and(|dir| dir.is_some())
            && release.is_some_and(|release| !matches!(release.mark, Mark::Failed(_)))
    };
    let mut ids = state.previous.iter().rev();
    let found = ids.find(|id| state.live.as_ref() != Some(id) && is_usable(id));
    found.cloned()
}

/// The hint that renames a release, on the same file system. Services that run it keep it. Without a record, the name
/// is that of no release.
fn set_aside(context: &CheckContext<'_>, id: &str) -> Hint {
    let real = |path: String| context.host.root.path(&path).display().to_string();
    let from = real(context.layout.release(id));
    let to = real(context.layout.release(&format!("{id}.damaged")));
    Hint::to("move it aside", CommandLine::sudo(["mv", &from, &to]))
}

pub(in crate::doctor) fn content(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let dir = context.layout.release(live);
    if context.host.root.meta(&dir)?.is_none() {
        bail!("the release is missing"); // The check `current` reports it.
    }
    let payload = context.store.payload(live)?;
    let (Some(found), Some(payload)) = (context.store.content_changes(live)?, payload) else {
        bail!("no index of the release was kept; the next deploy writes one");
    };
    let (mut missing, mut changed) = (found.missing, found.changed);
    let exact = context
        .store
        .exact_changes(live, app, &payload, context.digests)?;
    for path in exact.changed {
        if !changed.contains(&path) {
            changed.push(path);
        }
    }
    changed.sort();
    missing.truncate(MAX_NAMED);
    changed.truncate(MAX_NAMED);
    let mut found = Vec::new();
    if !changed.is_empty() {
        found.push(Finding::new(
            Severity::Error,
            format!(
                "files of the live release were changed by hand: {}",
                changed.join(", ")
            ),
            "deploy a new version: previous releases share these files",
        ));
    }
    if !missing.is_empty() {
        let message = format!(
            "files of the live release are missing: {}",
            missing.join(", ")
        );
        let fix = match roll_back(context, "roll back, then deploy it again") {
            Some(fix) => vec![fix],
            // A deploy of a release that is on the disk does not stage it again.
            None => vec![set_aside(context, live), deploy_again()],
        };
        found.push(Finding::with_steps(Severity::Error, message, fix));
    }
    let real = context.host.root.path(&dir).display().to_string();
    found.extend(modes(&real, &exact.modes));
    found.extend(added(context.name.as_str(), &real, &exact.added));
    Ok(found)
}

/// Files whose permission bits were changed. They are shared with previous releases, which get them too.
fn modes(dir: &str, modes: &[(String, u32, u32)]) -> Option<Finding> {
    let named = modes.iter().take(MAX_NAMED);
    let named = named.map(|(path, is, wanted)| format!("{path} ({is:04o}, not {wanted:04o})"));
    let named: Vec<String> = named.collect();
    let mut by_mode: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (path, _, wanted) in modes.iter().take(MAX_TYPED) {
        let paths = by_mode.entry(*wanted).or_default();
        paths.push(format!("{dir}/{path}"));
    }
    let chmod = |(mode, paths): (u32, Vec<String>)| {
        let command = CommandLine::sudo(["chmod", &format!("{mode:04o}")]).args(paths);
        Hint::to("set the mode as it was staged", command)
    };
    let message = format!(
        "files of the live release have other modes than they were staged with: {}",
        named.join(", ")
    );
    let fix: Vec<Hint> = by_mode.into_iter().map(chmod).collect();
    (!modes.is_empty()).then(|| Finding::with_steps(Severity::Error, message, fix))
}

/// Files that were put into the release by hand. A later release does not have them.
fn added(app: &str, dir: &str, added: &[String]) -> Option<Finding> {
    let named: Vec<&str> = added.iter().take(MAX_NAMED).map(String::as_str).collect();
    let paths = added.iter().take(MAX_TYPED);
    let paths = paths.map(|path| format!("{dir}/{path}"));
    let kept = format!("{ROOT_HOME}/{app}-added");
    let create = CommandLine::sudo(["install", "-d", "-m", "700", &kept]);
    let aside = CommandLine::sudo(["mv", "--backup=numbered", "--target-directory", &kept]);
    let message = format!(
        "files were added to the live release by hand: {}",
        named.join(", ")
    );
    let fix = vec![
        Hint::to("create a directory of root alone", create),
        Hint::to("move them there", aside.args(paths)),
    ];
    (!added.is_empty()).then(|| Finding::with_steps(Severity::Warning, message, fix))
}

/// Processes of the services that run another release. A service may have several, and any of them may be
/// older than the main one.
pub(in crate::doctor) fn running(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let Some(live) = &context.state.live else {
        return Ok(Vec::new());
    };
    let (mut found, mut hidden) = (Vec::new(), Vec::new());
    let processes = process_origins().unwrap_or_default();
    let daemons = context.release.units.iter();
    for daemon in daemons.filter(|unit| unit.role == UnitRole::Daemon) {
        let unit = &daemon.unit;
        let state = context.units.state(unit)?;
        let restart = CommandLine::sudo(["systemctl", "restart", unit]);
        let main = match release_of_unit(state, context.name.as_str()) {
            Ok(id) => Some(id),
            Err(Undetermined::NoProcess) => continue,
            // It is not hidden from root: it has ended.
            Err(Undetermined::Hidden) if is_root() => continue,
            Err(Undetermined::Hidden) => {
                hidden.push(format!("`{unit}`"));
                continue;
            }
            Err(Undetermined::Several(_)) => None,
            Err(why) => {
                found.extend(undetermined(context, &daemon.service, unit, &why, restart));
                continue;
            }
        };
        let others: Vec<u32> = match state.main_pid {
            Some(pid) => processes_like(pid, unit, &processes).collect(),
            None => members(state),
        };
        let wanted = context.state.pins.get(&daemon.service).unwrap_or(live);
        let others = others.into_iter();
        let others = others.filter_map(|pid| release_of(pid, context.name.as_str()).ok());
        let all = main.into_iter().chain(others);
        let runs: BTreeSet<String> = all.filter(|runs| runs != wanted).collect();
        found.extend(runs.into_iter().map(|runs| {
            if context.state.may_run(&daemon.service, &runs) {
                Finding::new(
                    Severity::Note,
                    format!("`{unit}` runs {runs}, which has the same files for it as {wanted}"),
                    Hint::to(format!("to start it from {wanted}"), restart.clone()),
                )
            } else {
                Finding::new(
                    Severity::Error,
                    format!("`{unit}` runs {runs}, it should run {wanted}"),
                    Hint::to("restart it", restart.clone()),
                )
                .safely([SafeFix::Overlap { unit: unit.clone() }])
            }
        }));
    }
    let jobs = context.release.units.iter();
    for job in jobs.filter(|unit| unit.role == UnitRole::Job) {
        let state = context.units.state(&job.unit)?;
        let Some(pid) = state.main_pid else {
            continue;
        };
        let wanted = context.state.pins.get(&job.service).unwrap_or(live);
        let runs = release_of(pid, context.name.as_str()).ok();
        let is_old = |runs: &String| runs != wanted && !context.state.may_run(&job.service, runs);
        found.extend(
            runs.filter(is_old)
                .map(|runs| unfinished_job(&job.unit, &runs, wanted)),
        );
    }
    if found.is_empty() && !hidden.is_empty() {
        bail!(
            "the processes of {} are hidden from this user",
            hidden.join(", ")
        );
    }
    Ok(found)
}

/// A service whose program is in the release, which does not run any release that can be seen.
fn undetermined(
    context: &CheckContext<'_>,
    service: &str,
    unit: &str,
    why: &Undetermined,
    restart: CommandLine,
) -> Option<Finding> {
    let (app, _) = context.content?;
    let live = context.state.live.as_ref()?;
    // Without its release, it could not start again.
    let release = context.host.root.meta(&context.layout.release(live));
    let fix = match why {
        _ if !matches!(release, Ok(Some(_))) => deploy_again(),
        Undetermined::NoMount => Hint::to(
            "remove the drop-in that changes `BindReadOnlyPaths=`, if there is one, and restart it",
            CommandLine::new(["systemctl", "cat", unit]),
        ),
        _ => Hint::to("restart it from the live release", restart),
    };
    let is_in_release = app
        .service(service)
        .is_some_and(|service| app.runs_from_release(service));
    is_in_release.then(|| Finding::new(Severity::Warning, format!("`{unit}`: {why}"), fix))
}

/// A job goes on when another release goes live. To end it would lose its work.
fn unfinished_job(unit: &str, runs: &str, wanted: &str) -> Finding {
    Finding::new(
        Severity::Note,
        format!("the job `{unit}` still runs {runs}; its next run is one of {wanted}"),
        Hint::to(
            "see what it does",
            CommandLine::sudo(["journalctl", "-u", unit, "-n", "20"]),
        ),
    )
}

/// The processes of a unit that act as the same user as its main process. Those of a service of root may act as any.
fn processes_like<'a>(
    main_pid: u32,
    unit: &'a str,
    all: &'a [ProcessOrigin],
) -> impl Iterator<Item = u32> + use<'a> {
    let main = all.iter().find(|process| process.pid == main_pid);
    let user = main.map(|process| process.uid);
    let own = all.iter().filter(move |process| {
        process.unit.as_deref() == Some(unit) && (user == Some(ROOT) || user == Some(process.uid))
    });
    own.map(|process| process.pid)
}

/// Lints of severity note are choices, and a healthy app has them too. These recommend another choice.
const RECOMMENDING: [&str; 1] = ["direct-socket"];

#[expect(clippy::unnecessary_wraps, reason = "every check may fail to run")]
pub(in crate::doctor) fn manifest(app: &App) -> Result<Vec<Finding>> {
    let found = |finding: crate::app::LintFinding| match finding.severity {
        LintSeverity::Note if RECOMMENDING.contains(&finding.lint) => {
            Some(Finding::new(Severity::Note, finding.message, finding.hint))
        }
        LintSeverity::Note => None,
        LintSeverity::Warning => Some(Finding::new(
            Severity::Warning,
            finding.message,
            finding.hint,
        )),
        LintSeverity::Error => Some(Finding::new(Severity::Error, finding.message, finding.hint)),
    };
    Ok(lint(app, None).into_iter().filter_map(found).collect())
}

pub(in crate::doctor) fn pins(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for (service, release) in &context.state.pins {
        let dir = context.layout.release(release);
        let (severity, what) = if context.host.root.meta(&dir)?.is_none() {
            (Severity::Error, ", which is missing: it cannot start again")
        } else {
            (Severity::Note, "")
        };
        found.push(Finding::new(
            severity,
            format!("service `{service}` is pinned to {release}{what}"),
            Hint::to(
                "deploy it with the other services",
                CommandLine::sudo_robotctl(["deploy", "--lift-pins", "--apply"]),
            ),
        ));
    }
    Ok(found)
}

/// A release as large as the live one must fit, with a margin: the warning comes before a deploy is
/// refused.
pub(in crate::doctor) fn disk(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    // Only root can read how large the live release is.
    let payload = match (&context.state.live, context.content) {
        (Some(live), Some(_)) => context.store.payload(live)?.unwrap_or_default(),
        _ => Payload::default(),
    };
    let (files, bytes) = (payload.files(), payload.bytes());
    let mut spaces = Space::of_release(context.layout, files, bytes, files as u64).to_vec();
    for space in &mut spaces {
        space.bytes += MARGIN_BYTES;
        space.inodes += MARGIN_INODES;
    }
    let of_files = context.content.map_or(0, |(_, tree)| tree.paths().count());
    spaces.extend(spaces_of_files(context.layout, of_files));
    let written = [context.layout.cache(), context.layout.logs()];
    spaces.extend(written.map(|path| Space {
        path,
        bytes: SERVICE_BYTES,
        inodes: SERVICE_INODES,
    }));
    let root = &context.host.root;
    // A prune frees space for both.
    let of_releases = [context.layout.releases(), context.layout.store()];
    let of_releases = of_releases.map(|path| root.mount_of(&path));
    let of_releases: Vec<PathBuf> = of_releases.into_iter().collect::<Result<_>>()?;
    let shortages = shortages(root, spaces)?.into_iter();
    let finding = |(path, shortage): (String, Shortage)| {
        let mount = root.mount_of(&path)?;
        let fix = match of_releases.contains(&mount) {
            true => how_to_free_space(),
            false => Hint::to(
                "free disk space; this shows what takes it",
                CommandLine::sudo(["du", "-xhd2", &mount.display().to_string()]),
            ),
        };
        let message = match shortage {
            Shortage::Bytes { free, .. } => {
                let free = format_bytes(free);
                format!("the disk of `{path}` is nearly full: {free} are free")
            }
            Shortage::Inodes { free, .. } => {
                format!("the disk of `{path}` has few inodes left: {free} are free")
            }
        };
        Ok(Finding::new(Severity::Warning, message, fix))
    };
    shortages.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::processes_like;
    use crate::host::ProcessOrigin;

    #[test]
    fn processes_of_other_users_say_nothing_about_the_release_that_a_service_runs() {
        let process = |pid, uid, unit: &str| ProcessOrigin {
            pid,
            uid,
            unit: Some(unit.to_owned()),
            is_of_session: false,
        };
        let mut all = vec![
            process(1, 5, "shop-web.service"),
            process(2, 5, "shop-web.service"),
            process(3, 6, "shop-web.service"),
            process(4, 5, "other.service"),
        ];
        let like = |all: &[ProcessOrigin]| -> Vec<u32> {
            processes_like(1, "shop-web.service", all).collect()
        };
        assert_eq!(like(&all), [1, 2]);
        // It may start workers as another user.
        all[0].uid = 0;
        assert_eq!(like(&all), [1, 2, 3]);
        assert_eq!(like(&all[1..]), [0; 0]);
    }
}
