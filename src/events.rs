//! Events: what a command does, one step at a time.
//!
//! Every event has the same envelope. It goes to the systemd journal and to the user, as text or as
//! JSON. Those that [`KINDS`] marks also go to the app's history.

use crate::audit::Audit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One event of a deploy, rollback, recovery, removal or prune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When it happened: RFC 3339, UTC.
    pub ts: String,
    /// The same for all events of one command, and sent with every HTTP check.
    pub trace_id: String,
    /// The app's name, with its environment.
    pub app: String,
    /// The environment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub environment: Option<String>,
    /// The release that the event is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub release: Option<String>,
    /// The unit that the event is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub service: Option<String>,
    /// What happened: one of [`KINDS`].
    pub event: String,
    /// `debug`, `info`, `warning` or `error`.
    pub level: String,
    /// One sentence; lines of a service's own output may follow.
    pub message: String,
    /// Who started the command, and what it works with. An event that an earlier robotctl wrote has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audit: Option<Audit>,
}

impl Event {
    /// The event as every user may know it, with this message.
    #[must_use]
    pub fn public(&self, message: &str) -> Self {
        Self {
            message: message.to_owned(),
            audit: self.audit.as_ref().map(Audit::public),
            ..self.clone()
        }
    }

    /// The message, after the name of the app unless it begins with it.
    pub fn message_with_app(&self) -> String {
        let Self { app, message, .. } = self;
        if app.is_empty() || message.starts_with(&format!("{app} ")) {
            message.clone()
        } else {
            format!("{app}: {message}")
        }
    }
}

/// A field of an event in the systemd journal, beside those that systemd itself knows.
#[derive(Debug, Clone, Copy)]
pub struct JournalField {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: &'static str,
    /// Its value for an event, if that has one.
    pub value: fn(&Event) -> Option<String>,
}

const fn field(
    name: &'static str,
    holds: &'static str,
    value: fn(&Event) -> Option<String>,
) -> JournalField {
    JournalField { name, holds, value }
}

/// The fields of an event in the systemd journal. The reference is generated from this table.
pub const JOURNAL_FIELDS: &[JournalField] = &[
    field("ROBOTCTL_APP", "the app, with its environment", |event| {
        Some(event.app.clone())
    }),
    field("ROBOTCTL_ENVIRONMENT", "the environment", |event| {
        event.environment.clone()
    }),
    field("ROBOTCTL_EVENT", "the event", |event| {
        Some(event.event.clone())
    }),
    field(
        "ROBOTCTL_TRACE_ID",
        "the same for all events of one command",
        |event| Some(event.trace_id.clone()),
    ),
    field("ROBOTCTL_RELEASE", "the release", |event| {
        event.release.clone()
    }),
    field("ROBOTCTL_UNIT", "the unit", |event| event.service.clone()),
    field(
        "ROBOTCTL_USER",
        "who started the command: the user of sudo(8), else of the login, else of the process",
        |event| event.audit.as_ref()?.by.user.clone(),
    ),
    field("ROBOTCTL_UID", "the real user id of the process", |event| {
        Some(event.audit.as_ref()?.by.uid.to_string())
    }),
    field("ROBOTCTL_SUDO_UID", "`SUDO_UID`", |event| {
        Some(event.audit.as_ref()?.by.sudo_uid?.to_string())
    }),
    field(
        "ROBOTCTL_LOGIN_UID",
        "the user id of the login, which the kernel keeps; root cannot set it with a variable",
        |event| Some(event.audit.as_ref()?.by.login_uid?.to_string()),
    ),
    field(
        "ROBOTCTL_SOURCE",
        "the directory or the archive of the release",
        |event| event.audit.as_ref()?.source.clone(),
    ),
    field(
        "ROBOTCTL_GIT_REVISION",
        "the commit that is checked out there",
        |event| Some(event.audit.as_ref()?.git.as_ref()?.revision.clone()),
    ),
    field(
        "ROBOTCTL_GIT_DIRTY",
        "whether tracked files differ from it, if that is known",
        |event| Some(event.audit.as_ref()?.git.as_ref()?.dirty?.to_string()),
    ),
    field(
        "ROBOTCTL_MANIFEST",
        "the BLAKE3 hash of the manifest, as b3sum(1) prints it",
        |event| event.audit.as_ref()?.manifest.clone(),
    ),
    field(
        "ROBOTCTL_PLAN",
        "the hash of the plan, as `--plan` takes it",
        |event| event.audit.as_ref()?.plan.clone(),
    ),
];

/// Receives every event as it happens.
pub type Sink<'a> = dyn Fn(&Event) + 'a;

/// What an event is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// A release's id.
    pub release: Option<&'a str>,
    /// A unit's name.
    pub unit: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A release.
    pub fn release(id: &'a str) -> Self {
        Self {
            release: Some(id),
            unit: None,
        }
    }
}

/// Where the history of an app keeps a kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nowhere.
    No,
    /// Among what happened to the app.
    History,
    /// Among the attempts: commands that were refused, interrupted or not completed. Fewer of
    /// them are kept, because a script may repeat one for ever.
    Attempts,
}

/// A kind of event.
#[derive(Debug, Clone, Copy)]
pub struct EventKind {
    /// The word in `event`.
    pub name: &'static str,
    /// Where the app's history keeps it.
    pub kept: Kept,
    /// What happened.
    pub meaning: &'static str,
}

const fn step(name: &'static str, meaning: &'static str) -> EventKind {
    EventKind {
        name,
        kept: Kept::No,
        meaning,
    }
}

const fn result(name: &'static str, meaning: &'static str) -> EventKind {
    EventKind {
        name,
        kept: Kept::History,
        meaning,
    }
}

const fn attempt(name: &'static str, meaning: &'static str) -> EventKind {
    EventKind {
        name,
        kept: Kept::Attempts,
        meaning,
    }
}

/// Every kind of event, alphabetically. The reference is generated from this table.
pub const KINDS: &[EventKind] = &[
    step(
        "account-created",
        "An account that the new release needs was created.",
    ),
    step("checked", "A check of the new release passed."),
    step(
        "cleaned-up",
        "Units that a killed command left were stopped and removed.",
    ),
    step(
        "cleanup-failed",
        "Files or units of a killed command are still there. The next command tries again.",
    ),
    step(
        "condition-not-met",
        "systemd did not start a service, because one of its conditions is not met. That is no failure.",
    ),
    step(
        "configure-failed",
        "systemd-sysusers(8) or systemd-tmpfiles(8) failed while the previous release was restored.",
    ),
    result("deployed", "A release is live and healthy."),
    step(
        "drain-failed",
        "The processes of the previous release may take longer to end than `drain` says.",
    ),
    step(
        "drain-stopped",
        "A release still accepted connections ten seconds after it began to drain, and was stopped.",
    ),
    result(
        "env-changed",
        "Variables in `/etc/<app>/env` have changed. The event holds their names, and no value.",
    ),
    result("failed", "A release failed."),
    step(
        "files-not-kept",
        "The previous release may drain without its private /tmp or its shared memory.",
    ),
    step(
        "fix-failed",
        "`doctor --fix --apply` could not fix something. The doctor still reports it.",
    ),
    result("fixed", "`doctor --fix --apply` has fixed something."),
    step("hook", "A hook runs."),
    step(
        "hook-skipped",
        "A hook was not run, because the host is not running.",
    ),
    attempt(
        "incomplete",
        "A command failed, and you must act: its message says what to do.",
    ),
    attempt(
        "interrupted",
        "A signal ended a command before it changed what is live.",
    ),
    step(
        "killed",
        "A unit took longer to start or stop than its timeout allows, and its processes were killed.",
    ),
    step(
        "mark-failed",
        "A release that failed could not be marked as bad.",
    ),
    step(
        "migrate-failed",
        "The state that an older robotctl wrote could not be rewritten. It is still readable.",
    ),
    step(
        "move-failed",
        "What is in the way of a directory of the services could not be moved aside.",
    ),
    result(
        "moved-aside",
        "What a service had put in the way of one of its directories has another name now.",
    ),
    step(
        "not-checked",
        "The checks of a service were skipped, because it is stopped.",
    ),
    step(
        "not-handed-over",
        "A unit restarts while no other process answers. Its socket holds requests.",
    ),
    step(
        "not-marked",
        "A release that failed is not marked as failed, because the host is the cause.",
    ),
    step("not-pre-checked", "A service starts without a pre-check."),
    step("note", "Something to know about the command itself."),
    result(
        "pinned",
        "One service runs another release, until a deploy with `--lift-pins`.",
    ),
    step("pre-checked", "A check of a pre-check instance passed."),
    result("pruned", "An old release was removed."),
    step("reload", "The unit files were reloaded."),
    step("rebind", "A unit starts with another address."),
    result("recovered", "An interrupted change was ended."),
    step("recovering", "An interrupted change is being ended."),
    attempt(
        "refused",
        "A command was refused, or failed before it changed what is live.",
    ),
    result("removed", "An app was removed."),
    step("restart", "A unit restarts on the new release."),
    step(
        "restart-failed",
        "A unit did not start while the previous release was restored.",
    ),
    result("restarted", "`robotctl restart` has restarted services."),
    result("restored", "The previous release was restored."),
    result("rolled-back", "An earlier release is live and healthy."),
    result(
        "secret-applied",
        "The services that use a secret run with its new value.",
    ),
    result(
        "secret-changed",
        "A secret has a new value. The event holds its name, and no value.",
    ),
    step(
        "soaking",
        "The release is watched for restarts after the deploy.",
    ),
    step("staging", "A release is being staged."),
    step("start", "A unit starts."),
    result(
        "started",
        "`robotctl start` has started services, and they are healthy.",
    ),
    result(
        "state-rebuilt",
        "A lost state was rebuilt from the link `current`.",
    ),
    step("state-not-rebuilt", "A lost state could not be rebuilt."),
    result(
        "stopped",
        "`robotctl stop` has stopped services, and no process of them is left.",
    ),
    step("switched", "`current` points at the new release."),
    step(
        "trim-failed",
        "Old state could not be removed. It does no harm.",
    ),
    step(
        "waiting",
        "A change waits for a service that starts, stops or restarts, before it checks the services.",
    ),
    step(
        "overlap",
        "A unit restarts while the previous release answers.",
    ),
    step("unchanged", "A unit is not touched."),
    step("stop", "A unit stops."),
];

/// Where the history of the app keeps an event of this name.
pub fn kept(name: &str) -> Kept {
    let mut kinds = KINDS.iter();
    let kind = kinds.find(|kind| kind.name == name);
    kind.map_or(Kept::No, |kind| kind.kept)
}
