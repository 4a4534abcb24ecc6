//! The lock of an app. The kernel holds it and releases it when the process ends in any way.

use super::clock::wait_until;
use super::root::Root;
use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::Duration;

/// How long the holder may take to write its name into the file.
const HOLDER_TIMEOUT: Duration = Duration::from_millis(200);

/// The lock of one app. Dropping it releases it.
#[derive(Debug)]
#[must_use = "the lock is released as soon as this is dropped"]
pub struct Lock {
    file: Flock<File>,
}

/// The process that holds a lock. For messages only: the kernel decides who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The command and its process id, as the holder wrote them.
    pub text: String,
}

/// Why a lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it.
    Held(Holder),
    /// The lock file cannot be used.
    Failed(anyhow::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) => write!(f, "another process holds the lock: {}", holder.text),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Whether the file of the lock is still the one at `path`. The removal of an app removes the file,
    /// and a process that waited for the lock then holds it on a file without a name.
    pub fn is_current(&self, root: &Root, path: &str) -> bool {
        let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let own = self.file.metadata().map(id).ok();
        own.is_some() && own == std::fs::metadata(root.followed(path)).map(id).ok()
    }

    /// Takes the lock with the file at `path`, and waits for it for at most `wait`.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder; [`LockError::Failed`] when the file cannot be used.
    pub fn take(root: &Root, path: &str, doing: &str, wait: Duration) -> Result<Self, LockError> {
        let open = || -> anyhow::Result<File> {
            let real = root.followed(path);
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                // A user who could open the file could hold the lock.
                .mode(0o600)
                .open(&real);
            file.with_context(|| format!("opening the lock `{}`", real.display()))
        };
        let mut file = open().map_err(LockError::Failed)?;
        let taken = wait_until(wait, || {
            let handle = file.try_clone().map_err(|_| nix::errno::Errno::EIO)?;
            Flock::lock(handle, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
        });
        match taken {
            Ok(mut lock) => {
                let text = format!("{doing} (pid {})\n", std::process::id());
                // The text is only for messages, so an error must not prevent a recovery on a full
                // disk. It is written before the rest is cut off, so that a reader always finds a
                // holder.
                let _ = lock
                    .rewind()
                    .and_then(|()| lock.write_all(text.as_bytes()))
                    .and_then(|()| lock.set_len(text.len() as u64));
                Ok(Self { file: lock })
            }
            Err(nix::errno::Errno::EWOULDBLOCK) => {
                let mut text = String::new();
                // A process that has just taken the lock may not have written its name yet.
                let _ = wait_until(HOLDER_TIMEOUT, || {
                    text.clear();
                    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
                    if text.contains('\n') { Ok(()) } else { Err(()) }
                });
                let first = text.lines().next().unwrap_or_default();
                Err(LockError::Held(Holder {
                    text: first.trim().to_owned(),
                }))
            }
            Err(errno) => Err(LockError::Failed(
                anyhow::Error::new(errno).context(format!("locking `{path}`")),
            )),
        }
    }

    /// The process that holds the lock with the file at `path`. It only reads the file and `/proc`: to
    /// try the lock, even for a moment, could make another command fail.
    pub fn holder(root: &Root, path: &str) -> Option<Holder> {
        let text = match root.read_text(path) {
            Ok(text) => text?.lines().next()?.trim().to_owned(),
            // Only root can read the file. The kernel tells every user who holds the lock.
            Err(_) => {
                let inode = std::fs::metadata(root.followed(path)).ok()?.ino();
                let table = std::fs::read_to_string("/proc/locks").ok()?;
                format!("robotctl (pid {})", flock_owner(&table, inode)?)
            }
        };
        let (_, pid) = text.rsplit_once("(pid ")?;
        let pid = pid.strip_suffix(')')?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let own = std::process::id().to_string();
        (command.trim() == "robotctl" && pid != own).then_some(Holder { text })
    }
}

/// The process that holds the flock(2) on an inode (proc_locks(5)).
fn flock_owner(table: &str, inode: u64) -> Option<&str> {
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, pid) = (words.next()?, words.nth(2)?);
        let found: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
        (kind == "FLOCK" && found == inode).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::flock_owner;

    #[test]
    fn the_owner_of_a_lock_is_found_and_processes_that_wait_are_not() {
        let table = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 12 08:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 08:01:78 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 14 08:01:77 0 EOF\n";
        assert_eq!(flock_owner(table, 77), Some("14"));
        assert_eq!(flock_owner(table, 7), None);
    }
}
