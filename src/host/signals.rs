//! Signals that wait until a change has ended, or that end its waits.
//!
//! They are caught and not blocked: a block would be inherited by every program that is started
//! meanwhile, which could then not be ended by a polite kill.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What the handlers see and tell; they stay once they are there.
#[derive(Debug, Default)]
struct Signals {
    /// They do what they do to any program.
    free: Arc<AtomicBool>,
    /// Ctrl-C or a polite kill has come.
    came: Arc<AtomicBool>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();
/// Whether waits end when one comes.
static HEEDED: AtomicBool = AtomicBool::new(false);

fn signals() -> &'static Signals {
    SIGNALS.get_or_init(|| {
        let signals = Signals::default();
        for signal in [SIGINT, SIGTERM] {
            // Where there can be no handler, the journal does what it is for.
            let free = Arc::clone(&signals.free);
            let _ = flag::register_conditional_default(signal, free);
            let _ = flag::register(signal, Arc::clone(&signals.came));
        }
        // Whoever lost a terminal wants the end of it, not another.
        let _ = flag::register(SIGHUP, Arc::default());
        signals
    })
}

/// While this lives, a lost terminal, Ctrl-C and a polite kill end nothing by themselves.
#[derive(Debug)]
#[must_use = "the next signal ends the process once it is dropped"]
pub struct SignalGuard(());

/// Holds back SIGHUP, SIGINT and SIGTERM. A kill that cannot wait is what the journal is for.
pub fn hold_signals() -> SignalGuard {
    let signals = signals();
    signals.came.store(false, Ordering::SeqCst);
    signals.free.store(false, Ordering::SeqCst);
    SignalGuard(())
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        signals().free.store(true, Ordering::SeqCst);
    }
}

/// While `then` runs, a signal that is held back ends the wait that is under way, and all that
/// follow.
pub fn interruptible<T>(then: impl FnOnce() -> T) -> T {
    HEEDED.store(true, Ordering::SeqCst);
    let out = then();
    HEEDED.store(false, Ordering::SeqCst);
    out
}

/// Whether Ctrl-C or a polite kill came where it is heeded.
pub fn interrupted() -> bool {
    let came = || SIGNALS.get().is_some_and(Signals::came);
    HEEDED.load(Ordering::SeqCst) && came()
}

impl Signals {
    fn came(&self) -> bool {
        self.came.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::hold_signals;
    use crate::host::Command;
    use nix::sys::signal::{Signal, raise};

    #[test]
    fn a_held_signal_ends_nothing_and_programs_do_not_inherit_the_hold() {
        let held = hold_signals();
        raise(Signal::SIGTERM).unwrap();
        let text = Command::new(["cat", "/proc/self/status"]).run().unwrap();
        for mask in ["SigBlk:", "SigIgn:"] {
            let line = text.lines().find_map(|line| line.strip_prefix(mask));
            let bits = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
                assert_eq!(bits >> (signal as u32 - 1) & 1, 0, "{mask} {signal}");
            }
        }
        drop(held);
    }
}
