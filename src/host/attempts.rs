//! Attempts at what a sandbox prevents, for `robotctl doctor --probe`.
//!
//! None does harm where the sandbox does not hold. What is written has no name in any directory. A call that
//! would change something has an argument that the kernel refuses, after every filter of system calls: the
//! error shows how far the call came.
//!
//! An attempt is `NAME=ARGUMENT`, and what it gave is one word:
//!
//! | word | meaning |
//! |---|---|
//! | `ok` | it succeeded |
//! | a number | it failed with this error (errno(3)) |
//! | `killed` | SIGSYS of a filter of system calls ended the process |
//! | `unknown` | it could not be made, or did not end |

use super::clock::Deadline;
use super::runner::Command;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::personality::{self, Persona};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Pid;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::net::{AddressFamily, SendFlags, SocketType, bind, connect, send, socket};
use std::fs::{self, File};
use std::io::{self, Error, ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Makes an attempt. Errors without a number mean that it could not be made.
type Attempt = fn(&str) -> io::Result<()>;

/// Every attempt.
const ATTEMPTS: &[(&str, Attempt)] = &[
    ("bind", |_| bind_port()),
    ("connect", connect_to),
    ("execute", execute_in),
    ("io-uring", |_| io_uring::IoUring::new(1).map(drop)),
    ("memory", |_| executable_memory()),
    ("module", |_| load_module()),
    ("open", open_file),
    ("personality", |_| {
        Ok(personality::set(Persona::ADDR_NO_RANDOMIZE).map(drop)?)
    }),
    ("privileges", |_| may_gain_privileges()),
    // No process has this id.
    ("ptrace", |_| Ok(ptrace::attach(Pid::from_raw(0))?)),
    ("same-directory", same_directory),
    ("same-namespace", same_namespace),
    ("see", |path| fs::symlink_metadata(path).map(drop)),
    ("send", send_to),
    ("setuid", |_| setuid_file()),
    ("socket", open_socket),
    ("unshare", |_| new_namespace()),
    ("write", write_in),
];

/// Whether there is an attempt of this name.
pub fn is_attempt(name: &str) -> bool {
    ATTEMPTS.iter().any(|(known, _)| *known == name)
}

/// Makes attempts in this process, and gives the word of each to `report` before it makes the next one.
pub fn attempt_each(attempts: &[String], mut report: impl FnMut(&str)) {
    for attempt in attempts {
        let (name, argument) = attempt.split_once('=').unwrap_or((attempt, ""));
        let known = ATTEMPTS.iter().find(|(known, _)| *known == name);
        let word = match known.map(|(_, attempt)| attempt(argument)) {
            Some(Ok(())) => "ok".to_owned(),
            Some(Err(error)) => error
                .raw_os_error()
                .map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string()),
            None => UNKNOWN.to_owned(),
        };
        report(&word);
    }
}

/// Makes attempts in a process of their own, which `program` starts for the attempts that it gets, and
/// returns their words. If one of them ends that process, a new one makes those that follow. When they have
/// not ended `within` this time, the words of those that still run are `unknown`: another process of the same
/// user may have stopped them.
///
/// # Errors
/// When the process cannot be started.
pub fn attempt_all(
    program: impl Fn(&[String]) -> Command,
    attempts: &[String],
    within: Duration,
) -> Result<Vec<String>> {
    let deadline = Deadline::after(within);
    let mut words: Vec<String> = Vec::new();
    while let Some(rest) = attempts.get(words.len()..).filter(|rest| !rest.is_empty()) {
        let Some(ended) = program(rest).output_within(deadline.left())? else {
            words.resize(attempts.len(), UNKNOWN.to_owned());
            break;
        };
        let made = ended.stdout.split_whitespace().take(rest.len());
        words.extend(made.map(str::to_owned));
        if words.len() < attempts.len() {
            // Another process can send any other signal, so it shows nothing.
            let is_killed = ended.code == SIGNALLED + Signal::SIGSYS as i32;
            words.push(if is_killed { "killed" } else { UNKNOWN }.to_owned());
        }
    }
    Ok(words)
}

/// The command that makes attempts in its own process.
pub fn attempt_command(attempts: &[String]) -> Command {
    let head = ["/proc/self/exe", "probe-sandbox", "--here"].map(str::to_owned);
    Command::new(head.into_iter().chain(attempts.iter().cloned()))
}

/// The code of a program that a signal ended is larger than this by the number of the signal.
const SIGNALLED: i32 = 128;
/// The word of an attempt that shows nothing.
const UNKNOWN: &str = "unknown";

/// Tells systemd the words of attempts, as the status of the unit (sd_notify(3), "STATUS=").
///
/// # Errors
/// When systemd waits for the notification and it cannot be sent.
pub fn notify_attempts(words: &str) -> Result<()> {
    let status = sd_notify::NotifyState::Status(words);
    sd_notify::notify(false, &[status]).context("notifying systemd: status")
}

/// Opens a file without a name in a directory. The kernel asks first whether the mount is writable.
fn write_in(directory: &str) -> io::Result<()> {
    match unnamed_file(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(unprepared()),
        file => file.map(drop),
    }
}

/// An attempt for which something is missing. It shows nothing, although it fails.
fn unprepared() -> Error {
    Error::other("it cannot be tried here")
}

fn unnamed_file(directory: &str) -> io::Result<File> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    Ok(open(directory, flags, Mode::S_IRWXU).map(File::from)?)
}

/// Writes a script without a name into a directory, and executes it.
fn execute_in(directory: &str) -> io::Result<()> {
    let mut script = match unnamed_file(directory) {
        Err(error)
            if [Errno::EOPNOTSUPP, Errno::EACCES]
                .map(|errno| Some(errno as i32))
                .contains(&error.raw_os_error()) =>
        {
            // The file system has no such files, or the directory is of another user: the mount says what
            // it would do.
            let flags = statvfs(directory).map_err(|_| unprepared())?.f_flag;
            return match flags.contains(StatVfsMountFlags::NOEXEC) {
                true => Err(Errno::EACCES.into()),
                false => Ok(()),
            };
        }
        file => file.map_err(|_| unprepared())?,
    };
    script
        .write_all(b"#!/usr/bin/true\n")
        .map_err(|_| unprepared())?;
    let path = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    // A file that is open for writing cannot be executed.
    let readable = File::open(path(&script)).map_err(|_| unprepared())?;
    drop(script);
    std::process::Command::new(path(&readable))
        .status()
        .map(drop)
}

fn open_file(path: &str) -> io::Result<()> {
    let flags = OFlag::O_NONBLOCK.bits();
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(flags).open(path).map(drop)
}

/// `PATH@DEVICE:INODE`: whether the directory at this path is the one with this inode, and can be read.
fn same_directory(argument: &str) -> io::Result<()> {
    let (path, inode) = argument.rsplit_once('@').unwrap_or((argument, ""));
    let meta = fs::metadata(path)?;
    if format!("{}:{}", meta.dev(), meta.ino()) != inode {
        return Err(Errno::ENOENT.into());
    }
    fs::read_dir(path).map(drop)
}

/// `KIND@INODE`: whether this process is in this namespace.
fn same_namespace(argument: &str) -> io::Result<()> {
    let (kind, inode) = argument.rsplit_once('@').unwrap_or((argument, ""));
    let own = fs::metadata(format!("/proc/self/ns/{kind}"))?.ino();
    match own.to_string() == inode {
        true => Ok(()),
        false => Err(Errno::ENOENT.into()),
    }
}

fn open_socket(family: &str) -> io::Result<()> {
    let (family, kind) = match family {
        "netlink" => (AddressFamily::NETLINK, SocketType::RAW),
        _ => (AddressFamily::INET, SocketType::STREAM),
    };
    Ok(socket(family, kind, None).map(drop)?)
}

/// Connects to a socket without a file, which only processes in its network reach.
fn connect_to(name: &str) -> io::Result<()> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    UnixStream::connect_addr(&address).map(drop)
}

/// The port of the discard protocol.
const DISCARD_PORT: u16 = 9;

/// Sends an empty packet.
fn send_to(address: &str) -> io::Result<()> {
    let address: IpAddr = address.parse().map_err(Error::other)?;
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    // Without a socket or a route, nothing shows whether the packet would have been filtered.
    let socket = socket(family, SocketType::DGRAM, None).map_err(|_| unprepared())?;
    let to = SocketAddr::new(address, DISCARD_PORT);
    connect(&socket, &to).map_err(|_| unprepared())?;
    Ok(send(&socket, b"", SendFlags::NOSIGNAL).map(drop)?)
}

/// Opens a port that the kernel chooses.
fn bind_port() -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).map_err(|_| unprepared())?;
    Ok(bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?)
}

/// unshare(2) with a flag that it does not take: no namespace is made.
fn new_namespace() -> io::Result<()> {
    Ok(unshare(
        CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_PTRACE,
    )?)
}

fn executable_memory() -> io::Result<()> {
    let memory = memmap2::MmapMut::map_anon(1).map_err(|_| unprepared())?;
    memory.make_exec().map(drop)
}

/// finit_module(2) with a file that is not a module.
fn load_module() -> io::Result<()> {
    let flags = nix::kmod::ModuleInitFlags::empty();
    Ok(nix::kmod::finit_module(
        File::open("/dev/null")?,
        c"",
        flags,
    )?)
}

/// Makes a file in memory setuid.
fn setuid_file() -> io::Result<()> {
    let file = memfd_create(c"probe", MFdFlags::MFD_CLOEXEC).map_err(|_| unprepared())?;
    Ok(fchmod(&file, Mode::S_ISUID | Mode::S_IRWXU)?)
}

/// Whether a setuid program has an effect for this process (proc_pid_status(5), "NoNewPrivs").
fn may_gain_privileges() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("NoNewPrivs:"));
    match value.map(str::trim) {
        Some("0") => Ok(()),
        Some(_) => Err(Errno::EPERM.into()),
        None => Err(unprepared()),
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, Command, attempt_all, attempt_each};
    use crate::host::Stopwatch;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::Duration;

    fn word(attempt: &str) -> String {
        let mut words = Vec::new();
        attempt_each(&[attempt.to_owned()], |word| words.push(word.to_owned()));
        assert_eq!(words.len(), 1);
        words.remove(0)
    }

    #[test]
    fn attempts_have_names_in_alphabetical_order() {
        let names: Vec<&str> = ATTEMPTS.iter().map(|(name, _)| *name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert_eq!(word("no-such-attempt=x"), "unknown");
    }

    /// Without a sandbox these succeed or fail late, and leave nothing.
    #[test]
    fn attempts_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let meta = std::fs::metadata(path).unwrap();
        let inode = format!("{}:{}", meta.dev(), meta.ino());
        for (attempt, expected) in [
            (format!("write={path}"), "ok"),
            (format!("execute={path}"), "ok"),
            (format!("same-directory={path}@{inode}"), "ok"),
            ("same-directory=/@0:0".to_owned(), "2"),
            ("same-namespace=user@0".to_owned(), "2"),
            ("see=/no/such/file".to_owned(), "2"),
            ("memory".to_owned(), "ok"),
            ("setuid".to_owned(), "ok"),
            ("ptrace".to_owned(), "3"),
            ("unshare".to_owned(), "22"),
            ("connect=robotctl-no-such-socket".to_owned(), "111"),
            ("send=not an address".to_owned(), "unknown"),
            // What an attempt needs is missing: it shows nothing.
            ("write=/no/such/directory".to_owned(), "unknown"),
            ("execute=/no/such/directory".to_owned(), "unknown"),
            ("send=127.0.0.1".to_owned(), "ok"),
            ("bind".to_owned(), "ok"),
        ] {
            assert_eq!(word(&attempt), expected, "{attempt}");
        }
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 0);
    }

    /// A shell that does what the attempts say.
    fn shell(rest: &[String]) -> Command {
        let script = "for i; do case $i in sys) kill -SYS $$;; kill) kill -KILL $$;; stop) kill -STOP $$;; \
                      exit) exit 3;; esac; echo ok; done";
        let head = ["sh", "-c", script, "sh"].map(str::to_owned);
        Command::new(head.into_iter().chain(rest.iter().cloned()))
    }

    #[test]
    fn an_attempt_that_ends_its_process_does_not_keep_the_others() {
        let attempts = ["a", "sys", "exit", "b", "sys"].map(str::to_owned);
        let minute = Duration::from_secs(60);
        let words = attempt_all(shell, &attempts, minute).unwrap();
        assert_eq!(words, ["ok", "killed", "unknown", "ok", "killed"]);
        assert_eq!(attempt_all(shell, &[], minute).unwrap(), [""; 0]);
    }

    /// Another process of the same user can send any signal.
    #[test]
    fn only_the_signal_of_a_filter_of_system_calls_shows_something() {
        let attempts = ["kill", "a", "sys"].map(str::to_owned);
        let words = attempt_all(shell, &attempts, Duration::from_secs(60)).unwrap();
        assert_eq!(words, ["unknown", "ok", "killed"]);
    }

    #[test]
    fn an_attempt_that_is_stopped_ends_when_the_time_is_over() {
        let watch = Stopwatch::start();
        let attempts = ["sys", "stop", "a"].map(str::to_owned);
        let words = attempt_all(shell, &attempts, Duration::from_millis(500)).unwrap();
        assert_eq!(words, ["killed", "unknown", "unknown"]);
        assert!(watch.elapsed() < Duration::from_secs(10), "{watch:?}");
    }
}
