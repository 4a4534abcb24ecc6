//! Who works on a book, and how one ends.

use super::Store;
use crate::app::layout::STORES_DIR;
use crate::host::{Lock, LockError, Root};
use anyhow::Result;
use std::time::Duration;

/// How often a book may be burned under somebody who is about to lock it.
const MAX_LOCK_TRIES: u32 = 100;

impl Store {
    /// Takes the app's lock; the book's directory is made when it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] names who has it.
    pub fn lock(&self, doing: &str, wait: Duration) -> Result<Lock, LockError> {
        let path = self.path("lock");
        let mut tries = 0;
        loop {
            self.root
                .make_dir(STORES_DIR, 0o755)
                .and_then(|()| self.root.make_dir(&self.dir, 0o700))
                .map_err(LockError::Failed)?;
            match Lock::take(&self.root, &path, doing, wait) {
                Ok(lock) if self.is_lock_current(&lock) => {
                    let made = self.root.make_dir(&self.path("releases"), 0o700);
                    return made.map(|()| lock).map_err(LockError::Failed);
                }
                // The book was burned meanwhile: the next one is begun, by us or by another.
                Ok(_) => {}
                Err(LockError::Failed(error)) if is_absent(&error) && tries < MAX_LOCK_TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a lock is still the app's: it is not once the book was burned.
    pub fn is_lock_current(&self, lock: &Lock) -> bool {
        lock.is_current(&self.root, &self.path("lock"))
    }

    /// Who works on the app now, in words; nobody most of the time.
    pub fn lock_holder(&self) -> Option<String> {
        Lock::holder(&self.root, &self.path("lock")).map(|holder| holder.text)
    }

    /// Removes what killed writers left in the book.
    ///
    /// # Errors
    /// When it cannot be listed or removed.
    pub fn clean_up(&self) -> Result<()> {
        for dir in [self.dir.clone(), self.path("releases")] {
            self.root.sweep_temporaries(&dir, |_| true)?;
        }
        Ok(())
    }

    /// Removes the whole book. One rename takes journal and lock along: whoever comes then begins
    /// a book of its own, and nothing of that is touched here.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self) -> Result<()> {
        self.root.discard(&self.dir)
    }

    /// Removes what is left of books whose burning was killed. Their apps are gone, so that this
    /// is for every command to do.
    ///
    /// # Errors
    /// When it cannot be listed or removed.
    pub fn remove_deleted(root: &Root) -> Result<()> {
        root.sweep_temporaries(STORES_DIR, |_| true)
    }
}

/// Whether something was not there.
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

    /// One command after the other writes a book of its own, and every second one burns it while
    /// others wait for its lock.
    #[test]
    fn burning_a_book_never_touches_the_next_one() {
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
                    "the lock of {number} was taken away"
                );
                let live = store.state().unwrap().live;
                assert_eq!(
                    live, state.live,
                    "the book of {number} was burned by another"
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

    /// A killed burning leaves a directory that is nobody's book, and the next command sweeps it.
    #[test]
    fn a_burned_book_is_none_and_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let store = store(&root);
        drop(store.lock("testing", Duration::ZERO).unwrap());
        store.set_state(&State::default()).unwrap();
        store.reserve();
        let aside = format!("{STORES_DIR}/.shop.robotctl-1-0-0");
        root.rename(&format!("{STORES_DIR}/shop"), &aside).unwrap();
        assert!(Store::apps(&root).unwrap().is_empty() && Store::all(&root).unwrap().is_empty());
        assert!(store.is_empty().unwrap());
        Store::remove_deleted(&root).unwrap();
        assert!(root.list(STORES_DIR).unwrap().is_empty());
    }
}
