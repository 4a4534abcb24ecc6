//! What `doctor --fix --apply` may do to a host: a closed list.
//!
//! A safe fix loses no data, starts nothing that the administrator stopped, disabled or masked, and leaves
//! no gap in which a service does not answer. It is a value, so that it is carried out and never read from
//! the text of a hint. Everything else that the doctor finds stays a command to type.

use schemars::JsonSchema;
use serde::Serialize;

/// One thing that is safe to do. The order is that in which they are done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(tag = "id", rename_all = "kebab-case")]
pub enum SafeFix {
    /// Ends an interrupted change, as `recover` does.
    EndChange,
    /// Rebuilds a lost state, as `recover` does.
    RebuildState,
    /// Stops and removes the units of a killed command, as `recover` does.
    RemoveLeftovers,
    /// Writes a missing file as the live release has it.
    WriteFile {
        /// Its path.
        path: String,
    },
    /// Creates the missing accounts.
    CreateAccounts,
    /// Reads all unit files again.
    ReloadUnits,
    /// Creates the directories of the app's tmpfiles.d(5) file, with owner and mode.
    CreateDirectories,
    /// Gives a directory of the app to root, and removes write access for others.
    ProtectDirectory {
        /// Its path.
        path: String,
    },
    /// Gives the files of a release to root, and removes write access for others.
    ProtectRelease {
        /// The release.
        release: String,
    },
    /// Sets who can read a release: root and its services.
    SetReaders {
        /// The release.
        release: String,
    },
    /// Gives a file with settings to root, and closes it to everybody else.
    CloseFile {
        /// Its path.
        path: String,
    },
    /// Clears the failure and the start counter of a unit, except for a job.
    ResetFailed {
        /// The unit.
        unit: String,
        /// The result that systemd shows until then, such as `exit-code`.
        failure: String,
    },
    /// Opens a socket whose service does not run.
    OpenSocket {
        /// The unit.
        unit: String,
    },
    /// Restarts a service while its old processes still answer.
    Overlap {
        /// The unit.
        unit: String,
    },
}

/// What a kind of safe fix does, and why nothing is lost.
#[derive(Debug, Clone, Copy)]
pub struct SafeFixKind {
    /// The stable name.
    pub id: &'static str,
    /// What it does.
    pub does: &'static str,
    /// Why it is safe.
    pub safe_because: &'static str,
}

/// Every kind, in the order in which they are done. The reference is generated from this table.
pub const SAFE_FIXES: &[SafeFixKind] = &[
    SafeFixKind {
        id: "end-change",
        does: "ends an interrupted change, as `recover` does",
        safe_because: "the old release is live afterwards, or the new one if it had passed its checks",
    },
    SafeFixKind {
        id: "rebuild-state",
        does: "rebuilds a lost state from `current`, as `recover` does",
        safe_because: "there was none",
    },
    SafeFixKind {
        id: "remove-leftovers",
        does: "stops and removes the units that a killed command left, as `recover` does",
        safe_because: "no command needs them, and no client reaches them",
    },
    SafeFixKind {
        id: "write-file",
        does: "writes a unit, drop-in, tmpfiles.d or sysusers.d file that is missing, as the live release has it",
        safe_because: "a file that exists is never changed, and nothing is started or enabled",
    },
    SafeFixKind {
        id: "create-accounts",
        does: "creates users that are missing, with systemd-sysusers(8) and the app's sysusers.d file",
        safe_because: "users that exist stay as they are. A file that you have changed is not used",
    },
    SafeFixKind {
        id: "reload-units",
        does: "reads the unit files again: `systemctl daemon-reload`",
        safe_because: "no unit is started, stopped or restarted",
    },
    SafeFixKind {
        id: "create-directories",
        does: "creates directories that are missing and sets owners and modes, with systemd-tmpfiles(8) and the app's tmpfiles.d file",
        safe_because: "each boot and each deploy do the same. A file that you have changed is not used",
    },
    SafeFixKind {
        id: "protect-directory",
        does: "makes root the owner of one of the app's own directories, and removes write access for others",
        safe_because: "only root writes there",
    },
    SafeFixKind {
        id: "protect-release",
        does: "makes root the owner of the files of the live release, and removes write access for others",
        safe_because: "the content stays, and from then on only root can open the files for writing. A process that has opened one before can still write to it until it ends",
    },
    SafeFixKind {
        id: "set-readers",
        does: "closes a release to other users than root and those of its services, as a deploy does",
        safe_because: "its services can read it before and afterwards",
    },
    SafeFixKind {
        id: "close-file",
        does: "makes root the owner of a secret or of `/etc/<app>/env`, with mode 0600. A link is left alone",
        safe_because: "systemd reads it as root, and the content stays",
    },
    SafeFixKind {
        id: "reset-failed",
        does: "clears the failure and the start counter of a unit, except for a job: `systemctl reset-failed`",
        safe_because: "nothing is started. The history keeps the result, and the systemd journal the log",
    },
    SafeFixKind {
        id: "open-socket",
        does: "restarts a socket that has failed, or whose file is missing, if its service does not run",
        safe_because: "a socket that you stopped has not failed. No client can reach a dead one, and no process is stopped",
    },
    SafeFixKind {
        id: "overlap",
        does: "restarts a service that runs another release, or with older settings, as a deploy by overlap does",
        safe_because: "a pre-check proves the new settings first, and its old processes answer until the new ones do. Without a pre-check or an overlap, the command is printed",
    },
];

impl SafeFix {
    /// The stable name of the kind.
    pub fn id(&self) -> &'static str {
        match self {
            Self::EndChange => "end-change",
            Self::RebuildState => "rebuild-state",
            Self::RemoveLeftovers => "remove-leftovers",
            Self::WriteFile { .. } => "write-file",
            Self::CreateAccounts => "create-accounts",
            Self::ReloadUnits => "reload-units",
            Self::CreateDirectories => "create-directories",
            Self::ProtectDirectory { .. } => "protect-directory",
            Self::ProtectRelease { .. } => "protect-release",
            Self::SetReaders { .. } => "set-readers",
            Self::CloseFile { .. } => "close-file",
            Self::ResetFailed { .. } => "reset-failed",
            Self::OpenSocket { .. } => "open-socket",
            Self::Overlap { .. } => "overlap",
        }
    }

    /// What is to be done, such as `reload the unit files`.
    pub fn to_do(&self) -> String {
        let (verb, _, object) = self.words();
        format!("{verb} {object}")
    }

    /// The same when it is done, such as `reloaded the unit files`.
    pub fn done(&self) -> String {
        let (_, verb, object) = self.words();
        format!("{verb} {object}")
    }

    fn words(&self) -> (&'static str, &'static str, String) {
        let (to_do, done, object) = match self {
            Self::EndChange => ("end", "ended", "the interrupted change".to_owned()),
            Self::RebuildState => ("rebuild", "rebuilt", "the state from `current`".to_owned()),
            Self::RemoveLeftovers => (
                "stop and remove",
                "stopped and removed",
                "the units of a killed command".to_owned(),
            ),
            Self::WriteFile { path } => (
                "write",
                "wrote",
                format!("`{path}` as the live release has it"),
            ),
            Self::CreateAccounts => ("create", "created", "the missing accounts".to_owned()),
            Self::ReloadUnits => ("reload", "reloaded", "the unit files".to_owned()),
            Self::CreateDirectories => (
                "create",
                "created",
                "the directories of tmpfiles.d, with owner and mode".to_owned(),
            ),
            Self::ProtectDirectory { path } => ("protect", "protected", for_root_alone(path)),
            Self::ProtectRelease { release } => (
                "protect",
                "protected",
                format!(
                    "the files of the release {release}: only root can open them for writing; a process that has opened one before can still write to it"
                ),
            ),
            Self::SetReaders { release } => (
                "set",
                "set",
                format!("who can read the release {release}: root and its services"),
            ),
            Self::CloseFile { path } => ("close", "closed", format!("`{path}` to other users")),
            Self::ResetFailed { unit, failure } => (
                "clear",
                "cleared",
                format!("the failure of `{unit}` ({failure})"),
            ),
            Self::OpenSocket { unit } => ("open", "opened", format!("`{unit}` again")),
            Self::Overlap { unit } => (
                "restart",
                "restarted",
                format!("`{unit}` while its old processes answer"),
            ),
        };
        (to_do, done, object)
    }

    /// The unit that it is about.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::ResetFailed { unit, .. } | Self::OpenSocket { unit } | Self::Overlap { unit } => {
                Some(unit)
            }
            _ => None,
        }
    }
}

fn for_root_alone(path: &str) -> String {
    format!("`{path}`: only root can write to it")
}

#[cfg(test)]
mod tests {
    use super::{SAFE_FIXES, SafeFix};

    /// One of each kind.
    fn all() -> Vec<SafeFix> {
        let text = || "x".to_owned();
        vec![
            SafeFix::EndChange,
            SafeFix::RebuildState,
            SafeFix::RemoveLeftovers,
            SafeFix::WriteFile { path: text() },
            SafeFix::CreateAccounts,
            SafeFix::ReloadUnits,
            SafeFix::CreateDirectories,
            SafeFix::ProtectDirectory { path: text() },
            SafeFix::ProtectRelease { release: text() },
            SafeFix::SetReaders { release: text() },
            SafeFix::CloseFile { path: text() },
            SafeFix::ResetFailed {
                unit: text(),
                failure: text(),
            },
            SafeFix::OpenSocket { unit: text() },
            SafeFix::Overlap { unit: text() },
        ]
    }

    #[test]
    fn the_table_lists_every_kind_in_the_order_in_which_they_are_done() {
        let all = all();
        assert!(all.is_sorted());
        let ids: Vec<&str> = all.iter().map(SafeFix::id).collect();
        let table: Vec<&str> = SAFE_FIXES.iter().map(|kind| kind.id).collect();
        assert_eq!(ids, table);
        for fix in &all {
            let json = serde_json::to_value(fix).unwrap();
            assert_eq!(json["id"], fix.id());
            assert_ne!(fix.to_do(), "");
        }
    }
}
