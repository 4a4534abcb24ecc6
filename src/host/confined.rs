//! A process of this program that has given up its rights, for content that may come from anywhere.

use super::clock::wait_until;
use anyhow::{Context as _, Result, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::fs::File;
use std::io::{BufWriter, Read, Stdin, Stdout, stdin, stdout};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use syscalls::Sysno;

/// The user and the group that own nothing (nss-systemd(8)).
const UNPRIVILEGED: u32 = 65534;
/// How long the process may take to end after its last message.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes the pipe to the parent holds, if the kernel gives as many (pipe(7)).
const PIPE_BYTES: usize = 1024 * 1024;

/// What the process may call: reading and writing what is open, memory, and its end. All else fails with EPERM.
/// Each name is a system call of some architecture (seccomp(2)).
const ALLOWED_CALLS: [Sysno; 24] = [
    Sysno::read,
    Sysno::readv,
    Sysno::write,
    Sysno::writev,
    Sysno::close,
    Sysno::brk,
    Sysno::mmap,
    Sysno::mremap,
    Sysno::munmap,
    Sysno::mprotect,
    Sysno::madvise,
    Sysno::futex,
    Sysno::getrandom,
    Sysno::clock_gettime,
    Sysno::sched_yield,
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::sigaltstack,
    Sysno::gettid,
    Sysno::getpid,
    Sysno::tgkill,
    Sysno::exit,
    Sysno::exit_group,
];

/// The parent's side of such a process: its standard output. Dropping it ends the process.
#[derive(Debug)]
pub struct ConfinedProcess {
    child: Child,
    output: ChildStdout,
}

impl ConfinedProcess {
    /// Starts a command of this program, which must call [`confine`] before it reads `input`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(arguments: &[&str], input: File) -> Result<Self> {
        // The program that runs, also while a package replaces it.
        let mut command = Command::new("/proc/self/exe");
        command.args(arguments).env_clear();
        // Ctrl-C on the terminal goes to robotctl alone.
        command.process_group(0).current_dir("/");
        command.stdin(input).stdout(Stdio::piped());
        let spawned = command.stderr(Stdio::null()).spawn();
        let mut child = spawned.context("starting a process without rights")?;
        let output = child.stdout.take().context("its output is not a pipe")?;
        // A smaller pipe works as well.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        Ok(Self { child, output })
    }

    /// Whether a signal has ended the process, as when it had no more memory. Ends it if it does not end by itself.
    pub fn is_killed(&mut self) -> bool {
        let ended = wait_until(END_TIMEOUT, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status.signal().is_some()),
            _ => Err(()),
        });
        // Dropping the process ends it.
        ended.unwrap_or(false)
    }
}

impl Read for ConfinedProcess {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Drop for ConfinedProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives up the rights of this process for ever, and limits its memory to what it has now and `memory` bytes.
/// Returns its input and its output.
///
/// # Errors
/// When the process would keep a right.
pub fn confine(memory: u64) -> Result<(Stdin, BufWriter<Stdout>)> {
    let parent = getppid();
    limit_memory(memory)?;
    // Other processes of the user cannot take it over (ptrace(2)).
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if Uid::effective().is_root() {
        drop_ids();
    }
    close_inherited()?;
    // After the change of user, which clears it. It must not go on decoding without its parent.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        bail!("the process that reads has ended");
    }
    let calls = ALLOWED_CALLS.iter();
    let rules = calls.map(|call| (i64::from(call.id()), Vec::new()));
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(nix::errno::Errno::EPERM as u32);
    let filter = SeccompFilter::new(rules.collect(), refused, SeccompAction::Allow, arch)?;
    let program = BpfProgram::try_from(filter)?;
    let sizes = (stdin(), BufWriter::with_capacity(64 * 1024, stdout()));
    apply_filter(&program).context("filtering the system calls of this process")?;
    // The filter holds: this call is not allowed.
    if rustix::process::getpriority_process(None).is_ok() {
        bail!("the kernel does not filter the system calls of this process");
    }
    Ok(sizes)
}

/// Closes what the caller of robotctl has left open: the process could write there.
fn close_inherited() -> Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // That of the list itself is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

fn limit_memory(memory: u64) -> Result<()> {
    let used = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = used.split(' ').next().unwrap_or_default().parse()?;
    let limit = pages * rustix::param::page_size() as u64 + memory;
    for (resource, most) in [(Resource::As, limit), (Resource::Core, 0)] {
        // The caller may have set a lower one.
        let own = getrlimit(resource).maximum;
        let most = Some(own.map_or(most, |own| own.min(most)));
        let both = Rlimit {
            current: most,
            maximum: most,
        };
        setrlimit(resource, both).context("limiting the memory of this process")?;
    }
    Ok(())
}

/// Becomes a user that owns nothing. A container may not have this user, or may not let its root change users: there, the filter
/// of system calls is what holds.
fn drop_ids() {
    let _ = setgroups(&[]);
    let group = Gid::from_raw(UNPRIVILEGED);
    let _ = setresgid(group, group, group);
    let user = Uid::from_raw(UNPRIVILEGED);
    let _ = setresuid(user, user, user);
}
