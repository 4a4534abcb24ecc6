//! The one JSON shape of the plans of deploy, rollback, remove and prune.

use crate::command_line::CommandLine;
use crate::ops::{Pruned, RemovalPreview};
use crate::plan::{CommandPlan, Diff, OutputPlan, OverlayPlan, PayloadPlan, Plan, Right};
use crate::provenance::Provenance;
use crate::tree::FileChange;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

/// What a command would do.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct PlanData {
    /// `deploy`, `rollback`, `remove` or `prune`.
    operation: &'static str,
    /// Whether nothing would change.
    empty: bool,
    /// The app's name, with its environment.
    app: String,
    /// The version that goes live.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The release that is live.
    from: Option<String>,
    /// The release that goes live, or stays so; none after a removal.
    to: Option<String>,
    /// What was proved of the archive before robotctl read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<Provenance>,
    /// The content of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<PayloadPlan>,
    /// Keys of the manifest whose values differ from those of the live release.
    manifest: Vec<String>,
    /// The overlay of this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<OverlayPlan>,
    /// What is repaired although the release stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<String>,
    /// Files on the host.
    files: Vec<FilePlanData>,
    /// Directories that are removed.
    directories: Vec<String>,
    /// Releases that are removed.
    removed_releases: Vec<String>,
    /// Releases that are due to be removed and stay, each with the reason.
    kept_releases: Vec<KeptRelease>,
    /// Commands that run.
    commands: Vec<CommandPlan>,
    /// What the build makes, or takes over from an earlier release.
    outputs: Vec<OutputPlan>,
    /// Accounts that are created, such as `user shop`.
    accounts: Vec<String>,
    /// Secrets that are generated, because they do not exist.
    secrets: Vec<String>,
    /// Units, in the order in which they change.
    units: Vec<UnitPlanData>,
    /// The rights that the release asks for on the host, beyond those that every app has.
    rights: Vec<Right>,
    /// What was measured just now. It is not part of the hash.
    notes: Vec<String>,
    /// What to know although nothing is wrong.
    warnings: Vec<String>,
    /// The release that a rollback afterwards would restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback_to: Option<String>,
    /// The plan's hash, for `--plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The command that carries out the plan; none when there is nothing to do, when it is refused, and
    /// for a rollback, which acts without `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    apply: Option<CommandLine>,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum FileAction {
    Create,
    Replace,
    Remove,
}

/// A file on the host.
#[derive(Debug, Serialize, JsonSchema)]
struct FilePlanData {
    /// Absolute path.
    path: String,
    /// What happens to it.
    action: FileAction,
    /// The unified diff, with `--diff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// A unit.
#[derive(Debug, Serialize, JsonSchema)]
struct UnitPlanData {
    /// Its name.
    unit: String,
    /// The short name of its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// `unchanged`, `start`, `restart`, `overlap`, `rebind` or `stop`.
    action: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// What has changed in the settings of a service since it started, if it restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    /// The release that a service goes on to run, because the new release has the same files for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<String>,
}

/// A release that stays.
#[derive(Debug, Serialize, JsonSchema)]
struct KeptRelease {
    /// Its id.
    release: String,
    /// Why it stays.
    reason: String,
}

impl PlanData {
    fn new(operation: &'static str, app: &str) -> Self {
        Self {
            operation,
            empty: false,
            app: app.to_owned(),
            version: None,
            from: None,
            to: None,
            archive: None,
            content: None,
            manifest: Vec::new(),
            overlay: None,
            repair: None,
            files: Vec::new(),
            directories: Vec::new(),
            removed_releases: Vec::new(),
            kept_releases: Vec::new(),
            commands: Vec::new(),
            outputs: Vec::new(),
            accounts: Vec::new(),
            secrets: Vec::new(),
            units: Vec::new(),
            rights: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            rollback_to: None,
            hash: None,
            apply: None,
        }
    }

    /// The plan of a deploy or of a rollback.
    pub(in crate::cli) fn of_release(operation: &'static str, plan: &Plan, diff: bool) -> Self {
        let units = plan.units.iter().map(|unit| UnitPlanData {
            unit: unit.unit.clone(),
            service: unit.service.clone(),
            action: unit.action.word().to_owned(),
            why: unit.why.clone(),
            settings: unit.settings.clone(),
            runs: unit.runs.clone(),
        });
        let files = plan
            .files
            .iter()
            .map(|change| FilePlanData::new(change, diff));
        Self {
            empty: plan.is_empty(),
            version: Some(plan.version.clone()),
            from: plan.from.clone(),
            to: Some(plan.to.clone()),
            archive: plan.archive.clone(),
            content: Some(plan.payload.clone()).filter(|content| content.files > 0),
            manifest: plan.manifest.clone(),
            overlay: plan.overlay.clone(),
            repair: plan.repair.clone(),
            files: files.collect(),
            commands: plan.commands.clone(),
            outputs: plan.outputs.clone(),
            accounts: plan.accounts.clone(),
            secrets: plan.secrets.clone(),
            units: units.collect(),
            rights: plan.rights.clone(),
            notes: plan.notes.clone(),
            warnings: plan.warnings.clone(),
            rollback_to: plan.rollback_target.clone(),
            hash: Some(plan.hash()),
            ..Self::new(operation, &plan.app)
        }
    }

    /// The same plan, with the command that carries it out.
    pub(in crate::cli) fn applied_by(self, apply: Option<CommandLine>) -> Self {
        Self { apply, ..self }
    }

    /// The plan of a removal.
    pub(in crate::cli) fn of_removal(preview: &RemovalPreview, apply: &CommandLine) -> Self {
        let removal = &preview.removal;
        let files = removal.files.iter().map(|path| FilePlanData {
            path: path.clone(),
            action: FileAction::Remove,
            diff: None,
        });
        let units = removal.units.iter().map(|unit| UnitPlanData {
            unit: unit.clone(),
            service: None,
            action: "stop".to_owned(),
            why: String::new(),
            settings: None,
            runs: None,
        });
        Self {
            from: preview.live.clone(),
            files: files.collect(),
            directories: removal.directories.clone(),
            units: units.collect(),
            notes: vec![preview.kept.clone()],
            apply: Some(apply.clone()),
            ..Self::new("remove", &preview.app)
        }
    }

    /// The plan of a prune.
    pub(in crate::cli) fn of_prune(pruned: &Pruned, root: Option<&Path>) -> Self {
        let apply = pruned.apply.clone();
        let kept = pruned.kept.iter().map(|(release, reason)| KeptRelease {
            release: release.clone(),
            reason: reason.clone(),
        });
        let interrupted = pruned.interrupted.iter();
        let warnings = interrupted
            .map(|operation| format!("a {operation} was interrupted, so nothing is removed"));
        Self {
            empty: pruned.removed.is_empty(),
            from: pruned.live.clone(),
            to: pruned.live.clone(),
            removed_releases: pruned.removed.clone(),
            kept_releases: kept.collect(),
            warnings: warnings.collect(),
            apply: apply.map(|command| command.for_root(root)),
            ..Self::new("prune", &pruned.app)
        }
    }
}

impl FilePlanData {
    fn new(change: &FileChange, diff: bool) -> Self {
        Self {
            path: change.path.clone(),
            action: match (&change.before, &change.after) {
                (None, _) => FileAction::Create,
                (_, None) => FileAction::Remove,
                _ => FileAction::Replace,
            },
            diff: diff.then(|| Diff(change).to_string()),
        }
    }
}
