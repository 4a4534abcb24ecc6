//! The exit codes with which systemd says that it could not run a program.

use crate::host_cause::{HostCause, NO_DIRECTORY, NO_MEMORY, NO_RESOURCES, NO_SECRET, NO_USER};

/// One exit code of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SystemdExit {
    /// The exit status of the process.
    pub(crate) status: i32,
    /// Its name, without `EXIT_`.
    pub(crate) name: &'static str,
    /// What happened, as a clause about the unit.
    what: &'static str,
    /// What to do about it.
    pub(super) hint: &'static str,
    /// What is wrong with the host, if that is the cause. Otherwise it is the release's fault.
    pub(crate) host_cause: Option<&'static HostCause>,
}

/// The exit codes that a manifest or a host can cause (systemd.exec(5), "Process Exit Codes").
pub(crate) const SYSTEMD_EXITS: &[SystemdExit] = &[
    SystemdExit {
        status: 200,
        name: "CHDIR",
        what: "its working directory does not exist, or its user cannot enter it",
        hint: "check `working-directory`",
        host_cause: None,
    },
    SystemdExit {
        status: 203,
        name: "EXEC",
        what: "its program could not be executed",
        hint: "check `exec`, its first line (`#!`) and that the file is executable",
        host_cause: None,
    },
    SystemdExit {
        status: 204,
        name: "MEMORY",
        what: "systemd had too little memory to start it",
        hint: "see `free -m`, and free memory of the host",
        host_cause: Some(&NO_MEMORY),
    },
    SystemdExit {
        status: 216,
        name: "GROUP",
        what: "its group, or one of `groups`, does not exist",
        hint: "check `groups` and `user`",
        host_cause: Some(&NO_USER),
    },
    SystemdExit {
        status: 217,
        name: "USER",
        what: "its user does not exist",
        hint: "check `user`",
        host_cause: Some(&NO_USER),
    },
    SystemdExit {
        status: 219,
        name: "CGROUP",
        what: "its control group could not be set up",
        hint: "see `sudo journalctl -k`, and check `/sys/fs/cgroup`",
        host_cause: Some(&NO_RESOURCES),
    },
    SystemdExit {
        status: 226,
        name: "NAMESPACE",
        what: "its sandbox could not be set up",
        hint: "check that each path in `sandbox.read-write` exists on this host",
        host_cause: None,
    },
    SystemdExit {
        status: 233,
        name: "RUNTIME_DIRECTORY",
        what: "its directory in `/run` could not be created",
        hint: "another file has its name: check `ls -la /run` and remove it",
        host_cause: Some(&NO_DIRECTORY),
    },
    SystemdExit {
        status: 238,
        name: "STATE_DIRECTORY",
        what: "its directory in `/var/lib` could not be created",
        hint: "another file has its name: check `ls -la /var/lib` and move it aside",
        host_cause: Some(&NO_DIRECTORY),
    },
    SystemdExit {
        status: 239,
        name: "CACHE_DIRECTORY",
        what: "its directory in `/var/cache` could not be created",
        hint: "another file has its name: check `ls -la /var/cache` and move it aside",
        host_cause: Some(&NO_DIRECTORY),
    },
    SystemdExit {
        status: 240,
        name: "LOGS_DIRECTORY",
        what: "its directory in `/var/log` could not be created",
        hint: "another file has its name: check `ls -la /var/log` and move it aside",
        host_cause: Some(&NO_DIRECTORY),
    },
    SystemdExit {
        status: 243,
        name: "CREDENTIALS",
        what: "a secret is missing or cannot be read",
        hint: "sudo robotctl secret set NAME",
        host_cause: Some(&NO_SECRET),
    },
];

impl SystemdExit {
    /// The row of an exit status, if systemd uses it.
    pub(super) fn of(status: i32) -> Option<&'static Self> {
        SYSTEMD_EXITS.iter().find(|exit| exit.status == status)
    }

    /// What happened, with the exit status and its name.
    pub(super) fn in_words(&self) -> String {
        format!("{} ({}/{})", self.what, self.status, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{SYSTEMD_EXITS, SystemdExit};
    use crate::host_cause::{NO_DIRECTORY, NO_MEMORY, NO_USER};

    #[test]
    fn every_exit_status_has_one_row() {
        assert!(SYSTEMD_EXITS.is_sorted_by(|one, next| one.status < next.status));
    }

    #[test]
    fn the_exit_status_says_whether_the_host_is_to_blame() {
        for (status, cause) in [
            (204, Some(&NO_MEMORY)),
            (217, Some(&NO_USER)),
            (238, Some(&NO_DIRECTORY)),
            // Its program, its working directory, its sandbox.
            (200, None),
            (203, None),
            (226, None),
        ] {
            let exit = SystemdExit::of(status).unwrap();
            assert_eq!(exit.host_cause, cause, "{status}");
        }
        // Exit codes of programs.
        for status in [0, 1, 2, 126, 255] {
            assert_eq!(SystemdExit::of(status), None, "{status}");
        }
    }
}
