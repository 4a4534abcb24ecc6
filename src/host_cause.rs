//! The causes of a failure that are the host's and not the release's. They do not mark a release as failed:
//! the same release can be deployed again once the host is in order.
//!
//! The list is closed. Whatever is not in it is the release's fault.

use nix::errno::Errno;

/// How a cause shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A system call of robotctl failed with this error, and its name is (errno(3)).
    Error(Errno, &'static str),
    /// A unit failed with this `Result=` (systemd.service(5)).
    Result(&'static str),
    /// robotctl sees it after the failure.
    Seen(&'static str),
}

/// A cause that is the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostCause {
    /// What is wrong with the host, as a clause.
    pub(crate) what: &'static str,
    /// How it shows, beside the exit codes that name it in `health/exit_codes.rs`.
    pub(crate) signs: &'static [Sign],
}

macro_rules! causes {
    ($($(#[$meta:meta])* $name:ident = $what:literal, [$($sign:expr),* $(,)?];)+) => {
        $($(#[$meta])* pub(crate) const $name: HostCause = HostCause {
            what: $what,
            signs: &[$($sign),*],
        };)+
        /// Every cause that is the host's.
        pub(crate) const HOST_CAUSES: &[HostCause] = &[$($name),+];
    };
}

use Sign::{Error, Result, Seen};

causes! {
    /// No bytes or no inodes are left.
    DISK_FULL = "a disk is full", [
        Error(Errno::ENOSPC, "ENOSPC"),
        Error(Errno::EDQUOT, "EDQUOT"),
        Seen("a file system that the services write to has no space or no inodes left"),
    ];
    /// Nothing can be written.
    READ_ONLY = "a file system is read-only", [
        Error(Errno::EROFS, "EROFS"),
        Seen("the file system of the state directory is read-only"),
    ];
    /// Nothing can be executed.
    NO_EXEC = "a file system is mounted with `noexec`", [
        Seen("the file system of the releases is mounted with `noexec`, and a service executes a file of them"),
    ];
    /// A disk cannot be read or written.
    DISK_FAULT = "a disk does not work", [Error(Errno::EIO, "EIO")];
    /// The memory of the host is used up, and not only that of the service.
    NO_MEMORY = "the host ran out of memory", [
        Error(Errno::ENOMEM, "ENOMEM"),
        Seen("the log of the kernel says that it killed the service for the memory of the host or of a slice"),
    ];
    /// The host opens no more files.
    NO_FILES = "the host has too many open files", [
        Error(Errno::ENFILE, "ENFILE"),
        Error(Errno::EMFILE, "EMFILE"),
    ];
    /// Another program listens on an address of the release.
    ADDRESS_TAKEN = "another program uses an address of the release", [
        Error(Errno::EADDRINUSE, "EADDRINUSE"),
        Seen("a process outside the app listens on an address that a service binds itself"),
    ];
    /// The host does not have an address of the release.
    NO_ADDRESS = "the host does not have an address of the release", [
        Error(Errno::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        Error(Errno::EAFNOSUPPORT, "EAFNOSUPPORT"),
    ];
    /// The user database lacks an account.
    NO_USER = "a user or a group is missing", [];
    /// systemd could not create a directory of the services.
    NO_DIRECTORY = "a directory of the services could not be created", [];
    /// systemd could not load a secret.
    NO_SECRET = "a secret could not be loaded", [];
    /// systemd could not set a unit up, so no program of the release has run.
    NO_RESOURCES = "systemd could not set up a unit", [
        Result("resources"),
    ];
    /// A program that robotctl runs is not installed.
    NO_PROGRAM = "a program of the host is missing", [
        Seen("a program that robotctl itself runs cannot be found"),
    ];
    /// Nothing is known of the units.
    NO_ANSWER = "systemd does not answer", [
        Seen("`systemctl` cannot tell the state of a unit"),
    ];
}

impl HostCause {
    fn find(is_sign: impl Fn(&Sign) -> bool) -> Option<&'static Self> {
        let mut causes = HOST_CAUSES.iter();
        causes.find(|cause| cause.signs.iter().any(&is_sign))
    }

    /// The cause of a system call that failed with this error.
    pub(crate) fn of_error(code: i32) -> Option<&'static Self> {
        Self::find(|sign| matches!(sign, Error(errno, _) if *errno as i32 == code))
    }

    /// The cause of a unit that failed with this `Result=`.
    pub(crate) fn of_result(word: &str) -> Option<&'static Self> {
        Self::find(|sign| matches!(sign, Result(result) if *result == word))
    }
}

impl Sign {
    /// How the cause shows, in words.
    pub(crate) fn in_words(self) -> String {
        match self {
            Error(_, name) => format!("a step of robotctl fails with `{name}`"),
            Result(word) => format!("a unit fails with the result `{word}`"),
            Seen(what) => what.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DISK_FULL, HOST_CAUSES, HostCause, NO_RESOURCES, READ_ONLY};

    #[test]
    fn a_cause_is_known_by_its_signs_and_everything_else_is_the_fault_of_the_release() {
        assert_eq!(HostCause::of_error(28), Some(&DISK_FULL));
        assert_eq!(HostCause::of_error(30), Some(&READ_ONLY));
        assert_eq!(HostCause::of_result("resources"), Some(&NO_RESOURCES));
        // A file of the release is missing, or may not be read.
        for code in [2, 13] {
            assert_eq!(HostCause::of_error(code), None, "{code}");
        }
        for word in ["exit-code", "signal", "oom-kill", "timeout", "success"] {
            assert_eq!(HostCause::of_result(word), None, "{word}");
        }
    }

    #[test]
    fn no_sign_has_two_causes() {
        let mut signs: Vec<String> = Vec::new();
        for cause in HOST_CAUSES {
            signs.extend(cause.signs.iter().map(|sign| sign.in_words()));
        }
        let count = signs.len();
        signs.sort();
        signs.dedup();
        assert_eq!(signs.len(), count);
    }
}
