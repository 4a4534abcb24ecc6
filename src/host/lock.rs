//! One `robotctl` an app: a kernel lock, freed by any death.

use super::Root;
use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// How long a holder may take to say who it is.
const HOLDER_TIMEOUT: Duration = Duration::from_millis(200);

/// The lock of one app; dropping it frees it.
#[derive(Debug)]
#[must_use = "the lock is free again as soon as it is dropped"]
pub struct Lock {
    file: Flock<File>,
}

/// Who holds a lock: for the message only, the kernel's lock decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id, command and start time, as the holder wrote them.
    pub text: String,
}

/// Why a lock was not had.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held(Holder),
    /// It could not be tried.
    Failed(anyhow::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) if holder.text.is_empty() => {
                write!(f, "another `robotctl` works on this app")
            }
            Self::Held(holder) => {
                write!(f, "another `robotctl` works on this app: {}", holder.text)
            }
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Whether the lock's file is still the one at `path`: who removes an app removes the file,
    /// and whoever waited for it then holds a lock on nothing.
    pub fn is_current(&self, root: &Root, path: &str) -> bool {
        let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let own = self.file.metadata().map(id).ok();
        own.is_some() && own == std::fs::metadata(root.followed(path)).map(id).ok()
    }

    /// Takes the lock whose file is at `path`, waiting for it up to `wait`.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder.
    pub fn take(root: &Root, path: &str, doing: &str, wait: Duration) -> Result<Self, LockError> {
        let open = || -> anyhow::Result<File> {
            let real = root.followed(path);
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&real);
            file.with_context(|| format!("opening the lock `{}`", real.display()))
        };
        let mut file = open().map_err(LockError::Failed)?;
        let taken = super::wait_until(wait, || {
            let handle = file.try_clone().map_err(|_| nix::errno::Errno::EIO)?;
            Flock::lock(handle, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
        });
        match taken {
            Ok(mut lock) => {
                let text = format!("{doing} (pid {})\n", std::process::id());
                // Only a message for others: a full disk must not keep anyone from recovering.
                // Written before it is cut, so that whoever comes meanwhile finds somebody.
                let _ = lock
                    .rewind()
                    .and_then(|()| lock.write_all(text.as_bytes()))
                    .and_then(|()| lock.set_len(text.len() as u64));
                Ok(Self { file: lock })
            }
            Err(nix::errno::Errno::EWOULDBLOCK) => {
                let mut text = String::new();
                // Who has just taken the first lock has not said so yet.
                let _ = super::wait_until(HOLDER_TIMEOUT, || {
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
    /// Who works under the lock whose file is at `path`, when somebody does. Only the file's text
    /// and `/proc` are asked: trying the lock, even for a moment, could turn a command away.
    pub fn holder(root: &Root, path: &str) -> Option<Holder> {
        let text = root.read_text(path).ok()??;
        let text = text.lines().next()?;
        let (_, pid) = text.trim().rsplit_once("(pid ")?;
        let pid = pid.strip_suffix(')')?;
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let own = std::process::id().to_string();
        (command.trim() == "robotctl" && pid != own).then(|| Holder {
            text: text.trim().to_owned(),
        })
    }
}
