//! The lock of a store, and its end.

use super::records::{DIR_MODE, Store};
use crate::app::layout::STORES_DIR;
use crate::host::{Lock, LockError, Root};
use anyhow::Result;
use std::time::Duration;

/// How often another command may delete the store while this one is about to lock it.
const MAX_LOCK_TRIES: u32 = 100;

impl Store {
    /// Takes the app's lock. The directory of the store is created if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that holds it.
    pub fn lock(&self, doing: &str, wait: Duration) -> Result<Lock, LockError> {
        let path = self.path("lock");
        let mut tries = 0;
        loop {
            self.root
                .make_dir(STORES_DIR, 0o755)
                .and_then(|()| self.root.make_dir(&self.dir, DIR_MODE))
                .map_err(LockError::Failed)?;
            match Lock::take(&self.root, &path, doing, wait) {
                Ok(lock) if self.is_lock_current(&lock) => {
                    let made = self.root.make_dir(&self.path("releases"), 0o755);
                    return made.map(|()| lock).map_err(LockError::Failed);
                }
                // The store was deleted meanwhile: the next turn creates a new one.
                Ok(_) => {}
                Err(LockError::Failed(error)) if is_absent(&error) && tries < MAX_LOCK_TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a lock is still the lock of this store; not after the store was deleted.
    pub fn is_lock_current(&self, lock: &Lock) -> bool {
        lock.is_current(&self.root, &self.path("lock"))
    }

    /// The process that changes the app now, in words.
    pub fn lock_holder(&self) -> Option<String> {
        Lock::holder(&self.root, &self.path("lock")).map(|holder| holder.text)
    }

    /// The directories that hold the store's files.
    pub fn directories(&self) -> [String; 2] {
        [self.dir.clone(), self.path("releases")]
    }

    /// Removes temporary files that killed writers left in the store.
    ///
    /// # Errors
    /// When it cannot be listed or a file cannot be removed.
    pub fn clean_up(&self) -> Result<()> {
        for dir in self.directories() {
            self.root.remove_temporaries(&dir, |_| true)?;
        }
        Ok(())
    }

    /// Deletes the store. One rename takes journal and lock along, so a command that comes after it
    /// creates a store of its own, which this one does not touch.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self) -> Result<()> {
        self.root.discard(&self.dir)
    }

    /// Finishes deletions of stores that were killed. Any command may do this, because those apps are
    /// removed already.
    ///
    /// # Errors
    /// When the directory cannot be listed or a store cannot be removed.
    pub fn remove_deleted(root: &Root) -> Result<()> {
        root.remove_temporaries(STORES_DIR, |_| true)
    }
}

/// Whether a file did not exist.
fn is_absent(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::{STORES_DIR, Store};
    use crate::app::{Layout, Name};
    use crate::host::Root;
    use std::time::Duration;

    fn store(root: &Root) -> Store {
        Store::new(root, &Layout::new(&Name::parse("shop").unwrap()))
    }

    /// Commands create a store one after the other, and every second one deletes it while others wait
    /// for its lock.
    #[test]
    fn deleting_a_store_never_touches_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let round = &|number: usize| {
            let store = store(&root);
            let lock = store.lock("testing", Duration::from_secs(30)).unwrap();
            let state = State {
                live: Some(number.to_string()),
                ..State::default()
            };
            store.set_state(&state).unwrap();
            for _ in 0..20 {
                std::thread::yield_now();
                assert!(
                    store.is_lock_current(&lock),
                    "the lock of {number} is no longer current"
                );
                let live = store.state().unwrap().live;
                assert_eq!(
                    live, state.live,
                    "the store of {number} was deleted by another command"
                );
            }
            if number.is_multiple_of(2) {
                store.delete().unwrap();
            }
        };
        std::thread::scope(|scope| {
            for first in 0..4 {
                scope.spawn(move || {
                    for number in 0..60 {
                        round(number * 4 + first + number % 2);
                    }
                });
            }
        });
    }

    /// A killed deletion leaves a directory that is not a store, and the next command removes it.
    #[test]
    fn a_killed_deletion_is_finished_by_the_next_command() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let store = store(&root);
        drop(store.lock("testing", Duration::ZERO).unwrap());
        store.set_state(&State::default()).unwrap();
        store.reserve();
        let aside = format!("{STORES_DIR}/.shop.robotctl-1-0-0");
        root.rename(&format!("{STORES_DIR}/shop"), &aside).unwrap();
        assert!(
            Store::apps_with_records(&root).unwrap().is_empty()
                && Store::all_store_names(&root).unwrap().is_empty()
        );
        assert!(store.is_empty().unwrap());
        Store::remove_deleted(&root).unwrap();
        assert!(root.list(STORES_DIR).unwrap().is_empty());
    }
}
