//! A dummy process: a process that does nothing and is the main process of a unit for a moment.
//!
//! While it is the main process, systemd ends it instead of the process that it replaced, and then
//! starts the unit anew.

use super::process::{ProcessIdentity, Signal, parent_of};
use super::runner::Command;
use anyhow::{Context as _, Result, bail};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketType, UCred, connect, sendmsg, socket,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;

/// Where systemd receives notifications (sd_notify(3)).
const NOTIFY_SOCKET: &str = "/run/systemd/notify";
/// How long a dummy process lives, in seconds, if this command is killed. It ends with an error then,
/// so that systemd starts the unit again. Each further one that starts with it adds a second, because
/// the services of all are handed over before the first one restarts.
const LIFETIME_SECONDS: usize = 60;

/// Starts dummy processes as children of the init process, which sees them end. They end at SIGTERM.
///
/// # Errors
/// When one cannot be started, and when another process than the init process adopts them.
pub fn start_dummy_processes(count: usize) -> Result<Vec<u32>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    // `set -m` gives each a process group of its own, so that signals of the terminal do not reach it. It
    // reads from a pipe that stays empty, and is one process: timeout(1) would be two.
    let lifetime = LIFETIME_SECONDS + count;
    let script = format!(
        "set -m; exec 3<> <(:); for ((i = 0; i < {count}; i++)); do \
         (read -rt {lifetime} <&3; exit 1) </dev/null >/dev/null 2>&1 & echo $! || break; done"
    );
    let text = Command::new(["bash", "-c", &script]).run()?;
    let pids = text.lines().map(|line| line.trim().parse());
    let pids: Vec<u32> = pids
        .collect::<Result<_, _>>()
        .context("starting a dummy process")?;
    let is_its_child = |pid: &u32| parent_of(*pid) == Some(super::SYSTEMD_PID);
    if pids.len() != count || !pids.iter().all(is_its_child) {
        let started = pids.len();
        for process in pids.into_iter().filter_map(ProcessIdentity::of) {
            process.signal(Signal::TERM)?;
        }
        if started != count {
            bail!("only {started} of {count} dummy processes started");
        }
        bail!("another process than systemd adopts the children of this command");
    }
    Ok(pids)
}

/// Tells systemd that `new` is now the main process of the unit whose main process is `old`. systemd
/// accepts this from root (sd_notify(3), "MAINPID="), and acts on it some time later.
///
/// # Errors
/// When the message cannot be sent.
pub fn replace_main_process(old: u32, new: u32) -> Result<()> {
    let send = || -> Result<()> {
        let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
        connect(&socket, &SocketAddrUnix::new(NOTIFY_SOCKET)?)?;
        let pid = i32::try_from(old)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let sender = UCred {
            pid: pid.context("not a process id")?,
            uid: rustix::process::getuid(),
            gid: rustix::process::getgid(),
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmCredentials(sender)) {
            bail!("the credentials do not fit");
        }
        let text = format!("MAINPID={new}");
        let parts = [IoSlice::new(text.as_bytes())];
        sendmsg(&socket, &parts, &mut control, SendFlags::empty())?;
        Ok(())
    };
    send().context("notifying systemd of a main process")
}
