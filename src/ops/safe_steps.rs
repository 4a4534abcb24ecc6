//! The steps of `doctor --fix`: which safe fixes the findings ask for, and how each is carried out.

use crate::app::layout::{SYSUSERS_DIR, TMPFILES_DIR};
use crate::app::{App, Layout, Name};
use crate::doctor::Report;
use crate::host::{Batch, Host, UnitStatus, files, let_only_root_read, let_only_root_write};
use crate::safe_fix::SafeFix;
use crate::session::Session;
use crate::tree::FileTree;
use crate::units::UnitFile;
use anyhow::{Context as _, Result, bail, ensure};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum StepResult {
    /// `--apply` does it.
    Planned,
    /// It is done.
    Done,
    /// It could not be done.
    Failed {
        /// Why.
        error: String,
    },
}

/// One safe fix, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Step {
    /// What is done.
    pub(crate) fix: SafeFix,
    /// The same in words.
    pub(crate) text: String,
    /// The checks that found what it fixes.
    pub(crate) checks: BTreeSet<&'static str>,
    /// What became of it.
    #[serde(flatten)]
    pub(crate) result: StepResult,
}

impl Step {
    pub(super) fn new(fix: SafeFix, checks: BTreeSet<&'static str>, result: StepResult) -> Self {
        Self {
            text: fix.to_do(),
            fix,
            checks,
            result,
        }
    }
}

/// Every safe fix of a report once, in the order in which they are done.
pub(super) fn steps(host: &Host, report: &Report) -> Vec<Step> {
    let mut all: BTreeMap<SafeFix, BTreeSet<&'static str>> = BTreeMap::new();
    for finding in &report.findings {
        for fix in &finding.safe_fixes {
            all.entry(fix.clone()).or_default().insert(finding.check);
            // systemd does not know a new file.
            if let SafeFix::WriteFile { path } = fix
                && UnitFile::parse(path).is_some()
                && !host.is_offline()
            {
                let reload = all.entry(SafeFix::ReloadUnits).or_default();
                reload.insert(finding.check);
            }
        }
    }
    let steps = all.into_iter();
    steps
        .map(|(fix, checks)| Step::new(fix, checks, StepResult::Planned))
        .collect()
}

/// Carries out a safe fix. It may be repeated.
///
/// # Errors
/// When it cannot be done, and when it would no longer be safe.
pub(super) fn carry_out(session: &Session<'_>, name: &Name, fix: &SafeFix) -> Result<()> {
    let (host, store, layout) = (session.host, session.store, Layout::new(name));
    let root = &host.root;
    match fix {
        SafeFix::EndChange | SafeFix::RebuildState | SafeFix::RemoveLeftovers => {
            bail!("the recovery before the first step has not done it")
        }
        SafeFix::WriteFile { path } => write_file(session, path),
        SafeFix::CreateAccounts => {
            let file = format!("{SYSUSERS_DIR}/{name}.conf");
            host.systemd.sysusers(root, &file)
        }
        SafeFix::ReloadUnits => host.systemd.daemon_reload(),
        SafeFix::CreateDirectories => {
            let file = format!("{TMPFILES_DIR}/{name}.conf");
            host.systemd.tmpfiles(root, &file)
        }
        SafeFix::ProtectDirectory { path } => let_only_root_write(&root.path(path)),
        SafeFix::ProtectRelease { release } => {
            let dir = root.path(&layout.release(release));
            // A directory comes before what is in it, so no other user can exchange that any more.
            let loose = files::writable_by_others(&dir)?;
            loose.iter().try_for_each(|path| let_only_root_write(path))
        }
        SafeFix::SetReaders { release } => {
            let (state, (live, app, _)) = (store.state()?, live_release(session)?);
            if *release == live {
                return store.give_access_in_use(&live, &app, &state);
            }
            let record = store.release(release)?;
            let old = record.context("the release has no record")?.app()?;
            store.give_access(release, &[&old, &app])
        }
        SafeFix::CloseFile { path } => let_only_root_read(&root.path(path)),
        SafeFix::ResetFailed { unit, .. } => {
            host.systemd.reset_failed(std::slice::from_ref(unit));
            let state = host.systemd.show_one(unit)?;
            ensure!(!state.is_failed(), "systemd still calls it failed");
            Ok(())
        }
        SafeFix::OpenSocket { unit } => open_socket(session, unit),
        SafeFix::Overlap { .. } => bail!("it is a change of its own"),
    }
}

/// The id, the app and the files of the live release.
fn live_release(session: &Session<'_>) -> Result<(String, App, FileTree)> {
    let live = session.store.state()?.live.context("no release is live")?;
    let record = session.store.release(&live)?;
    let record = record.context("the live release has no record")?;
    Ok((live, record.app()?, record.tree()?))
}

/// Writes a missing file of the live release. One that exists stays.
fn write_file(session: &Session<'_>, path: &str) -> Result<()> {
    let root = &session.host.root;
    let (_, _, tree) = live_release(session)?;
    let entry = tree
        .get(path)
        .context("the live release has no such file")?;
    ensure!(root.entry(path)?.is_none(), "it exists now");
    if let Some((dir, name)) = path.rsplit_once('/') {
        // Of a command that was killed at this step.
        root.remove_temporaries(dir, |target| target == name)?;
    }
    let mut batch = Batch::new(root);
    batch.replace_or_remove(path, Some(entry))?;
    batch.end()
}

/// Opens a socket again whose service does not run.
fn open_socket(session: &Session<'_>, unit: &str) -> Result<()> {
    let systemd = &session.host.systemd;
    let state = systemd.show_one(unit)?;
    ensure!(!state.is_masked(), "it is masked now");
    ensure!(!state.is_down() || state.is_failed(), "it was stopped");
    let services = systemd.show(&state.triggers)?;
    ensure!(
        services.iter().all(UnitStatus::is_down),
        "its service runs now"
    );
    let all = std::slice::from_ref(&state.id);
    systemd.reset_failed(all);
    systemd.restart(all)
}
