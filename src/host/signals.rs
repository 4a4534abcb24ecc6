//! Signals that wait until a change has ended.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// While this lives, a lost terminal, Ctrl-C and a polite kill wait.
#[derive(Debug)]
#[must_use = "the signals arrive as soon as it is dropped"]
pub struct Held {
    before: Option<SigSet>,
}

/// Holds back SIGHUP, SIGINT and SIGTERM. A kill that cannot wait is what the journal is for.
pub fn hold_signals() -> Held {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        set.add(signal);
    }
    Held {
        before: set.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok(),
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = before.thread_set_mask();
        }
    }
}
