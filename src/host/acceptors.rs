//! Which processes of a unit wait for connections now, as the kernel shows it.

use super::cgroup::members;
use super::unit_state::UnitState;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;

/// The processes of a unit that wait for connections on a listener that systemd handed to them:
/// the listener is in an epoll set (proc_pid_fdinfo(5)), or a thread is blocked in accept(2),
/// poll(2) or select(2) on it (proc_pid_syscall(5)). A server that waits in another way, such as by
/// io_uring(7), never shows it.
pub fn acceptors(state: &UnitState) -> BTreeSet<u32> {
    // Systemd holds what it hands over: whoever takes it may give it another number.
    let handed = descriptors(1, usize::MAX);
    let handed: BTreeSet<OsString> = handed.into_iter().map(|(_, what)| what).collect();
    let waits = |pid: &u32| waits(*pid, &handed);
    members(state).into_iter().filter(waits).collect()
}

/// The first open descriptors of a process, each with what it is, such as `socket:[1234]`.
fn descriptors(pid: u32, most: usize) -> Vec<(u64, OsString)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    let entries = entries.into_iter().flatten().flatten().take(most);
    let found = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        let what = fs::read_link(entry.path()).ok()?;
        Some((number, what.into_os_string()))
    });
    found.collect()
}

fn waits(pid: u32, handed: &BTreeSet<OsString>) -> bool {
    let open = descriptors(pid, MAX_FDS);
    let socket = |what: &OsString| what.to_string_lossy().starts_with("socket:");
    let ours = open
        .iter()
        .filter(|(_, what)| socket(what) && handed.contains(what));
    let sockets: BTreeSet<u64> = ours.map(|(number, _)| *number).collect();
    let mut sets = open
        .iter()
        .filter(|(_, what)| what == "anon_inode:[eventpoll]");
    let watched = |set: u64| {
        // A listener is among the first; the live server stands still while the kernel writes this.
        let Ok(file) = File::open(format!("/proc/{pid}/fdinfo/{set}")) else {
            return false;
        };
        let lines = BufReader::new(file)
            .lines()
            .take(MAX_FDS)
            .map_while(Result::ok);
        let mut numbers = lines.filter_map(|line| {
            let rest = line.strip_prefix("tfd:")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        numbers.any(|number: u64| sockets.contains(&number))
    };
    !sockets.is_empty() && (sets.any(|(set, _)| watched(*set)) || blocked(pid, &sockets))
}

/// What a system call waits for.
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
    // Architectures of the kernel's generic table have no poll and select of their own.
    &[
        (202, Call::Accept),
        (242, Call::Accept),
        (73, Call::Poll),
        (72, Call::Select),
    ]
};

fn blocked(pid: u32, sockets: &BTreeSet<u64>) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().any(|task| {
        let text = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        let Some((call, first, second)) = parse(&text) else {
            return false;
        };
        let memory = |at: u64, count: usize| {
            let mut bytes = vec![0; count];
            let file = File::open(format!("/proc/{pid}/mem")).ok()?;
            file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
        };
        match call {
            Call::Accept => sockets.contains(&first),
            Call::Poll => {
                let count = usize::try_from(second).unwrap_or(MAX_FDS).min(MAX_FDS);
                let list = memory(first, count * POLLFD).unwrap_or_default();
                polled(&list).any(|number| sockets.contains(&number))
            }
            Call::Select => {
                let count = usize::try_from(first).unwrap_or(MAX_FDS).min(MAX_FDS);
                let bits = memory(second, count.div_ceil(64) * 8).unwrap_or_default();
                sockets.iter().any(|number| selected(&bits, *number))
            }
        }
    })
}

/// The call that a line of proc_pid_syscall(5) shows, with its first two arguments; none while the
/// task runs, or is in a call that waits for no connection.
fn parse(text: &str) -> Option<(Call, u64, u64)> {
    let mut words = text.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let (_, call) = WAITING_SYSCALLS
        .iter()
        .find(|(known, _)| *known == number)?;
    let mut hex = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    Some((*call, hex()?, hex()?))
}

/// A listener is among the first descriptors: so many are looked at, whatever a process has.
const MAX_FDS: usize = 4096;

/// `struct pollfd`: the descriptor, and two halves of 16 bits.
const POLLFD: usize = 8;

/// The descriptors in a list of `struct pollfd`; one below zero is passed over (poll(2)).
fn polled(list: &[u8]) -> impl Iterator<Item = u64> {
    let heads = list
        .chunks_exact(POLLFD)
        .filter_map(|one| one.first_chunk());
    heads.filter_map(|head| u64::try_from(i32::from_ne_bytes(*head)).ok())
}

/// Whether a bit is set in an `fd_set`, which is an array of machine words (select(2)).
fn selected(bits: &[u8], number: u64) -> bool {
    let word = usize::try_from(number / 64).map_or(&[][..], |at| bits.get(at * 8..).unwrap_or(&[]));
    word.first_chunk()
        .is_some_and(|word| u64::from_ne_bytes(*word) >> (number % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::{Call, descriptors, parse, polled, selected, waits};
    use crate::host::wait_until;
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd as _, OwnedFd};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn calls_are_read_with_their_arguments() {
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
    fn lists_of_descriptors_are_read() {
        let list: Vec<u8> = [5_i32, 1, -1, 1, 9, 1].map(i32::to_ne_bytes).concat();
        assert_eq!(polled(&list).collect::<Vec<u64>>(), [5, 9]);
        let bits: Vec<u8> = [1_u64 << 5, 1 << 1].map(u64::to_ne_bytes).concat();
        let set = (0..300).filter(|number| selected(&bits, *number));
        assert_eq!(set.collect::<Vec<u64>>(), [5, 65]);
    }

    /// Every way to wait shows; to have the listener is none.
    #[test]
    fn a_process_shows_that_it_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = u64::from(listener.as_raw_fd().cast_unsigned());
        let mine = descriptors(std::process::id(), usize::MAX);
        let (_, socket) = mine.into_iter().find(|one| one.0 == number).unwrap();
        let handed = BTreeSet::from([socket]);
        for (code, shows) in [
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
            if !shows {
                let mut stdout = child.stdout.take().unwrap();
                stdout.read_exact(&mut [0]).unwrap();
            }
            let seen = wait_until(Duration::from_secs(if shows { 20 } else { 0 }), || {
                waits(child.id(), &handed).then_some(()).ok_or(())
            });
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(seen.is_ok(), shows, "{code}");
        }
    }
}
