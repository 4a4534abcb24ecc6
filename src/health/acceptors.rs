//! Which processes wait for connections at this moment, as the kernel shows it.

use crate::host::SYSTEMD_PID;
use crate::host::inspect::{blocked_calls, descriptor_info, memory, open_files};
use std::collections::BTreeSet;
use std::ffi::OsString;

/// How many file descriptors of a process are searched. A listener is among the first.
const MAX_FDS: usize = 4096;
/// The size of `struct pollfd`: the descriptor, and two fields of 16 bits.
const POLLFD_BYTES: usize = 8;

/// Those of some processes that wait for connections on a listener from systemd: the listener is in
/// an epoll set (proc_pid_fdinfo(5)), or a thread is blocked in accept(2), poll(2) or select(2) on it
/// (proc_pid_syscall(5)). A server that waits in another way, such as with io_uring(7), is never
/// among them.
pub(super) fn acceptors(processes: Vec<u32>, sockets: &ManagerSockets) -> BTreeSet<u32> {
    let waits = |pid: &u32| is_waiting(*pid, &sockets.0);
    processes.into_iter().filter(waits).collect()
}

/// The sockets that systemd has open, and so may have passed to services. A service may give the
/// descriptor another number, so sockets are compared by their inodes.
#[derive(Debug)]
pub(crate) struct ManagerSockets(BTreeSet<OsString>);

impl ManagerSockets {
    /// systemd has some sockets for each service of the host, so one reading serves many services.
    pub(crate) fn read() -> Self {
        let open = open_files(SYSTEMD_PID, usize::MAX).into_iter();
        Self(open.map(|(_, target)| target).collect())
    }
}

/// Whether a process waits on one of these sockets.
fn is_waiting(pid: u32, passed: &BTreeSet<OsString>) -> bool {
    let open = open_files(pid, MAX_FDS);
    let is_listener = |target: &OsString| {
        target.to_string_lossy().starts_with("socket:") && passed.contains(target)
    };
    let listeners = open.iter().filter(|(_, target)| is_listener(target));
    let listeners: BTreeSet<u64> = listeners.map(|(number, _)| *number).collect();
    let mut epoll_sets = open
        .iter()
        .filter(|(_, target)| target == "anon_inode:[eventpoll]");
    let is_watched = |set: u64| {
        // A listener is among the first descriptors of the set.
        let lines = descriptor_info(pid, set, MAX_FDS);
        let mut watched = lines.filter_map(|line| watched_descriptor(&line));
        watched.any(|number| listeners.contains(&number))
    };
    !listeners.is_empty()
        && (epoll_sets.any(|(set, _)| is_watched(*set))
            || blocked_calls(pid).any(|line| waits_on(pid, &line, &listeners)))
}

/// The descriptor in a line such as `tfd: 5 events: 19 data: 5`.
fn watched_descriptor(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("tfd:")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// How a system call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// accept(2): the first argument is the descriptor.
    Accept,
    /// poll(2): the first argument points to a list, the second is its length.
    Poll,
    /// select(2): the first argument is the number of bits, the second points to them.
    Select,
}

/// accept, accept4, poll, ppoll, select, pselect6.
const WAITING_SYSCALLS: &[(u64, Call)] = if cfg!(target_arch = "x86_64") {
    &[
        (43, Call::Accept),
        (288, Call::Accept),
        (7, Call::Poll),
        (271, Call::Poll),
        (23, Call::Select),
        (270, Call::Select),
    ]
} else {
    // Architectures with the kernel's generic table have only ppoll and pselect6.
    &[
        (202, Call::Accept),
        (242, Call::Accept),
        (73, Call::Poll),
        (72, Call::Select),
    ]
};

/// Whether a thread is blocked in a call on one of these descriptors.
fn waits_on(pid: u32, line: &str, listeners: &BTreeSet<u64>) -> bool {
    let Some((call, first, second)) = parse(line) else {
        return false;
    };
    match call {
        Call::Accept => listeners.contains(&first),
        Call::Poll => {
            let count = usize::try_from(second).unwrap_or(MAX_FDS).min(MAX_FDS);
            let list = memory(pid, first, count * POLLFD_BYTES).unwrap_or_default();
            polled(&list).any(|number| listeners.contains(&number))
        }
        Call::Select => {
            let count = usize::try_from(first).unwrap_or(MAX_FDS).min(MAX_FDS);
            let bits = memory(pid, second, count.div_ceil(64) * 8).unwrap_or_default();
            listeners.iter().any(|number| is_selected(&bits, *number))
        }
    }
}

/// The call in a line of proc_pid_syscall(5), with its first two arguments; `None` when the thread
/// runs, or is blocked in another call.
fn parse(line: &str) -> Option<(Call, u64, u64)> {
    let mut words = line.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let (_, call) = WAITING_SYSCALLS
        .iter()
        .find(|(known, _)| *known == number)?;
    let mut hex = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    Some((*call, hex()?, hex()?))
}

/// The descriptors in a list of `struct pollfd`. A negative one is ignored (poll(2)).
fn polled(list: &[u8]) -> impl Iterator<Item = u64> {
    let heads = list
        .chunks_exact(POLLFD_BYTES)
        .filter_map(|one| one.first_chunk());
    heads.filter_map(|head| u64::try_from(i32::from_ne_bytes(*head)).ok())
}

/// Whether a bit is set in an `fd_set`, which is an array of machine words (select(2)).
fn is_selected(bits: &[u8], number: u64) -> bool {
    let word = usize::try_from(number / 64).map_or(&[][..], |at| bits.get(at * 8..).unwrap_or(&[]));
    word.first_chunk()
        .is_some_and(|word| u64::from_ne_bytes(*word) >> (number % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "the test makes listeners and starts servers"
    )]

    use super::{Call, is_selected, is_waiting, parse, polled, watched_descriptor};
    use crate::host::inspect::open_files;
    use crate::host::wait_until;
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn a_blocked_call_is_parsed_with_its_arguments() {
        let accept = if cfg!(target_arch = "x86_64") {
            288
        } else {
            242
        };
        let line = format!("{accept} 0x3 0x7ffd 0x0 0x0 0x0 0x0 0x7ffd 0x7f12");
        assert_eq!(parse(&line), Some((Call::Accept, 3, 0x7ffd)));
        assert_eq!(parse("running"), None);
        assert_eq!(parse("-1 0x7ffd 0x7f12"), None);
        assert_eq!(parse("0 0x3 0x0"), None);
    }

    #[test]
    fn descriptors_are_read_from_lists_and_sets() {
        let list: Vec<u8> = [5_i32, 1, -1, 1, 9, 1].map(i32::to_ne_bytes).concat();
        assert_eq!(polled(&list).collect::<Vec<u64>>(), [5, 9]);
        let bits: Vec<u8> = [1_u64 << 5, 1 << 1].map(u64::to_ne_bytes).concat();
        let set = (0..300).filter(|number| is_selected(&bits, *number));
        assert_eq!(set.collect::<Vec<u64>>(), [5, 65]);
        let line = "tfd:        5 events:       19 data:                5";
        assert_eq!(watched_descriptor(line), Some(5));
        assert_eq!(watched_descriptor("pos:\t0"), None);
    }

    /// Every way to wait is found. To have the listener open is not enough.
    #[test]
    fn a_process_that_waits_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = u64::from(listener.as_raw_fd().cast_unsigned());
        let mine = open_files(std::process::id(), usize::MAX);
        let (_, socket) = mine.into_iter().find(|one| one.0 == number).unwrap();
        let passed = BTreeSet::from([socket]);
        for (code, waits) in [
            ("s.accept()", true),
            ("select.select([s], [], [])", true),
            ("p = select.poll(); p.register(s); p.poll()", true),
            ("p = select.epoll(); p.register(s); p.poll()", true),
            (
                "print(end='.', flush=True); select.select([], [], [])",
                false,
            ),
        ] {
            let code = format!("import select, socket; s = socket.socket(fileno=0); {code}");
            let own = OwnedFd::from(listener.try_clone().unwrap());
            let mut command = Command::new("python3");
            command
                .args(["-c", &code])
                .stdin(own)
                .stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            if !waits {
                let mut stdout = child.stdout.take().unwrap();
                stdout.read_exact(&mut [0]).unwrap();
            }
            let seen = wait_until(Duration::from_secs(if waits { 20 } else { 0 }), || {
                is_waiting(child.id(), &passed).then_some(()).ok_or(())
            });
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(seen.is_ok(), waits, "{code}");
        }
    }
}
