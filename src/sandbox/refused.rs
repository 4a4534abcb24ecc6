//! The raw directives that a manifest cannot set: those that change what the rest of the manifest says, and
//! those that let root open a file for the service.
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

/// Directives of which some values are refused: those that let root open a file or a terminal.
pub const STREAMS: &[&str] = &["StandardInput", "StandardOutput", "StandardError"];

/// The values of [`STREAMS`] that are allowed.
pub const STREAM_VALUES: &[&str] = &["null", "journal", "inherit", "socket", "data"];

/// Why other values are refused.
pub const STREAM_WHY: &str = "lets root open a file or a terminal for the service";
/// What to write instead.
pub const STREAM_INSTEAD: &str = "write `journal`, `null`, `socket`, `inherit` or `data`";

/// Why a directive with this value is refused, if it is.
pub fn refused(name: &str, value: &str) -> Option<(&'static str, &'static str)> {
    if STREAMS.contains(&name) && !STREAM_VALUES.contains(&value) {
        return Some((STREAM_WHY, STREAM_INSTEAD));
    }
    let rows = REFUSED.iter();
    let mut rows = rows.filter(|row| row.names.contains(&name));
    rows.next().map(|row| (row.why, row.instead))
}

#[cfg(test)]
mod tests {
    use super::refused;

    #[test]
    fn streams_are_refused_by_value() {
        for (value, is_refused) in [
            ("journal", false),
            ("null", false),
            ("file:/etc/shadow", true),
            ("append:/etc/passwd", true),
            ("truncate:/etc/passwd", true),
            ("tty", true),
            ("journal+console", true),
        ] {
            assert_eq!(
                refused("StandardOutput", value).is_some(),
                is_refused,
                "{value}"
            );
        }
        assert!(refused("ExecStartPre", "+/bin/sh").is_some());
        assert!(refused("ProtectProc", "default").is_none());
    }
}
