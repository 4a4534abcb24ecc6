//! The raw directives that a manifest cannot set: those that change what the rest of the manifest says, those
//! that let root open a file for the service, and those that keep a service from being stopped.
//!
//! A plan shows every other one as a right.
//!
//! The reference documents are generated from this table.

/// Directives that are refused for one reason.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// Their names, as in systemd.directives(7).
    pub names: &'static [&'static str],
    /// Why, as a clause whose subject is the directive.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// Every refused directive.
pub const REFUSED: &[Refused] = &[
    Refused {
        names: &[
            "User",
            "Group",
            "SupplementaryGroups",
            "DynamicUser",
            "PAMName",
            "SELinuxContext",
            "AppArmorProfile",
            "SmackProcessLabel",
        ],
        why: "decides as whom the service runs",
        instead: "use `user` and `groups` of the service",
    },
    Refused {
        names: &[
            "ExecStart",
            "ExecStartPre",
            "ExecStartPost",
            "ExecCondition",
            "ExecReload",
            "ExecReloadPost",
            "ExecStop",
            "ExecStopPost",
            "ExecSearchPath",
            "PermissionsStartOnly",
            "RootDirectoryStartOnly",
            "Type",
            "BusName",
            "PIDFile",
        ],
        why: "decides what runs",
        instead: "use `exec`, `exec-start-pre`, `exec-reload`, `type` or `hooks`",
    },
    Refused {
        names: &[
            "RootDirectory",
            "RootDirectoryFileDescriptor",
            "RootImage",
            "RootImageOptions",
            "RootImagePolicy",
            "RootEphemeral",
            "RootHash",
            "RootHashSignature",
            "RootVerity",
            "RootMStack",
            "MountAPIVFS",
            "MountImages",
            "MountImagePolicy",
            "ExtensionImages",
            "ExtensionImagePolicy",
            "ExtensionDirectories",
        ],
        why: "decides which files the service sees at `/`",
        instead: "use `read-only` and `read-write` for single paths, or `allow = [\"host-files\"]`",
    },
    Refused {
        names: &[
            "BindPaths",
            "BindReadOnlyPaths",
            "ReadWritePaths",
            "ReadWriteDirectories",
        ],
        why: "opens paths that robotctl then neither shows nor checks",
        instead: "use `read-only` and `read-write`",
    },
    Refused {
        names: &[
            "LoadCredential",
            "LoadCredentialEncrypted",
            "ImportCredential",
            "EnvironmentFile",
            "OpenFile",
            "USBFunctionDescriptors",
            "USBFunctionStrings",
        ],
        why: "lets root read any file of the host for the service",
        instead: "use `[[secret]]` or `/etc/APP/env`",
    },
    Refused {
        names: &[
            "RuntimeDirectory",
            "StateDirectory",
            "CacheDirectory",
            "LogsDirectory",
            "ConfigurationDirectory",
            "RuntimeDirectoryMode",
            "StateDirectoryMode",
            "CacheDirectoryMode",
            "LogsDirectoryMode",
            "ConfigurationDirectoryMode",
            "RuntimeDirectoryPreserve",
        ],
        why: "decides which directories root gives to the user of the service",
        instead: "use the directories that every service has, and `read-write` for others",
    },
    Refused {
        names: &[
            "FailureAction",
            "SuccessAction",
            "StartLimitAction",
            "RebootArgument",
        ],
        why: "can restart or power off the host",
        instead: "use `restart`",
    },
    Refused {
        names: &[
            "TimeoutSec",
            "TimeoutStartSec",
            "TimeoutStopSec",
            "TimeoutAbortSec",
            "SendSIGKILL",
            "FinalKillSignal",
        ],
        why: "decides when a service that does not start or stop is killed",
        instead: "use `timeout-start` and `timeout-stop`",
    },
    Refused {
        names: &["TTYPath", "TTYReset", "TTYVHangup", "TTYVTDisallocate"],
        why: "lets root open a terminal for the service",
        instead: "remove it: the output of a service goes to the journal",
    },
    Refused {
        names: &[
            "Sockets",
            "Slice",
            "NetworkNamespacePath",
            "IPCNamespacePath",
            "UserNamespacePath",
            "LogNamespace",
            "BPFProgram",
            "IPIngressFilterPath",
            "IPEgressFilterPath",
            "NFTSet",
            "FileDescriptorStoreMax",
            "FileDescriptorStorePreserve",
        ],
        why: "connects the service to units, processes, namespaces or filters that robotctl does not know",
        instead: "for sockets use `listen`; remove the others",
    },
    Refused {
        names: &["ExecPaths", "NoExecPaths"],
        why: "makes the paths that it lists writable again",
        instead: "remove it: `allow = [\"exec-writable\"]` lets the service execute files that it can write",
    },
];

/// Directives of which some values are refused for one reason.
#[derive(Debug, Clone, Copy)]
pub struct RefusedValues {
    /// Their names, as in systemd.directives(7).
    pub names: &'static [&'static str],
    /// The values that are allowed.
    pub allowed: &'static [&'static str],
    /// Why others are not, as a clause whose subject is the directive.
    pub why: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// Every directive of which some values are refused.
pub const REFUSED_VALUES: &[RefusedValues] = &[
    RefusedValues {
        names: &["StandardInput", "StandardOutput", "StandardError"],
        allowed: &["null", "journal", "inherit", "socket", "data"],
        why: "lets root open a file or a terminal for the service",
        instead: "write `journal`, `null`, `socket`, `inherit` or `data`",
    },
    RefusedValues {
        names: &["KillMode"],
        allowed: &["mixed", "control-group"],
        why: "lets processes go on when the service has stopped",
        instead: "write `mixed` or `control-group`",
    },
    RefusedValues {
        names: &["TemporaryFileSystem"],
        // It shows the service the directories of the host: the bundled app needs that.
        allowed: &[""],
        why: "makes a directory in which the service can execute what it writes",
        instead: "use `/tmp`",
    },
];

/// Why a directive with this value is refused, if it is.
pub fn refused(name: &str, value: &str) -> Option<(&'static str, &'static str)> {
    let mut values = REFUSED_VALUES.iter();
    let values = values.find(|row| row.names.contains(&name) && !row.allowed.contains(&value));
    if let Some(row) = values {
        return Some((row.why, row.instead));
    }
    let rows = REFUSED.iter();
    let mut rows = rows.filter(|row| row.names.contains(&name));
    rows.next().map(|row| (row.why, row.instead))
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn some_values_are_refused() {
        for (name, value, is_refused) in [
            ("StandardOutput", "journal", false),
            ("StandardOutput", "null", false),
            ("StandardOutput", "file:/etc/shadow", true),
            ("StandardOutput", "append:/etc/passwd", true),
            ("StandardOutput", "truncate:/etc/passwd", true),
            ("StandardOutput", "tty", true),
            ("StandardOutput", "journal+console", true),
            ("KillMode", "control-group", false),
            ("KillMode", "mixed", false),
            ("KillMode", "process", true),
            ("KillMode", "none", true),
            ("TemporaryFileSystem", "", false),
            ("TemporaryFileSystem", "/srv", true),
        ] {
            let found = refused(name, value).is_some();
            assert_eq!(found, is_refused, "{name}={value}");
        }
    }

    #[test]
    fn no_directive_keeps_a_service_from_being_killed() {
        for (name, value) in [
            ("SendSIGKILL", "no"),
            ("FinalKillSignal", "SIGCONT"),
            ("TimeoutStopSec", "infinity"),
            ("TimeoutSec", "0"),
        ] {
            assert!(refused(name, value).is_some(), "{name}");
        }
    }

    #[test]
    fn other_directives_are_allowed() {
        assert!(refused("ExecStartPre", "+/bin/sh").is_some());
        assert!(refused("ProtectProc", "default").is_none());
    }
}
