//! Paths on a file system that does not answer, such as that of a server that is down (nfs(5), "hard").

use super::remote_mounts::RemoteMounts;
use super::root::Root;
use anyhow::Result;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long a server may take: also one whose disk must start to turn first.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

impl Root {
    /// The first of these paths at which nothing answers. On a host whose mounts are all local, every path answers.
    ///
    /// Each path has a thread that looks at it. A thread that waits for a server ends with this process: the kernel
    /// lets a signal that kills end such a wait.
    ///
    /// # Errors
    /// When the mounts cannot be read.
    pub fn silent_path<'a>(&self, paths: &'a [String]) -> Result<Option<&'a str>> {
        if !self.is_host() || RemoteMounts::read()?.is_empty() {
            return Ok(None);
        }
        // All of them look at the same time.
        let looks = paths.iter().map(|path| (path.as_str(), self.look(path)));
        let looks: Vec<(&str, Receiver<()>)> = looks.collect();
        let silent = |(_, look): &&(&str, Receiver<()>)| {
            look.recv_timeout(ANSWERS_WITHIN) == Err(RecvTimeoutError::Timeout)
        };
        Ok(looks.iter().find(silent).map(|(path, _)| *path))
    }

    /// Looks at a path in a thread of its own. Whether it is there does not matter.
    fn look(&self, path: &str) -> Receiver<()> {
        let (sender, receiver) = channel();
        let path = self.followed(path);
        // The receiver sees a thread that could not start as one that has ended.
        let _ = thread::Builder::new().spawn(move || {
            let _ = path.metadata();
            let _ = sender.send(());
        });
        receiver
    }
}
