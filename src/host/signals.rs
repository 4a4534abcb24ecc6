//! Signals that must not end the process in the middle of a change.
//!
//! They are handled, not blocked. Programs that robotctl starts would inherit a block, and SIGTERM
//! could not end them.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The flags of the signal handlers, which stay installed.
#[derive(Debug, Default)]
struct Signals {
    /// Whether signals have their default effect.
    has_default_effect: Arc<AtomicBool>,
    /// Whether SIGINT or SIGTERM has arrived.
    has_arrived: Arc<AtomicBool>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();
/// Whether a signal ends waits.
static INTERRUPTIBLE: AtomicBool = AtomicBool::new(false);

fn signals() -> &'static Signals {
    SIGNALS.get_or_init(|| {
        let signals = Signals::default();
        for signal in [SIGINT, SIGTERM] {
            // Without a handler, a signal ends the process, and the journal makes recovery possible.
            let default = Arc::clone(&signals.has_default_effect);
            let _ = flag::register_conditional_default(signal, default);
            let _ = flag::register(signal, Arc::clone(&signals.has_arrived));
        }
        // A lost terminal does not end a change: it runs to its end.
        let _ = flag::register(SIGHUP, Arc::default());
        signals
    })
}

/// While this value lives, SIGHUP, SIGINT and SIGTERM do not end the process.
#[derive(Debug)]
#[must_use = "signals end the process again once this is dropped"]
pub struct SignalGuard(());

/// Defers SIGHUP, SIGINT and SIGTERM. SIGKILL cannot be deferred; the journal makes recovery possible.
pub fn defer_signals() -> SignalGuard {
    let signals = signals();
    signals.has_arrived.store(false, Ordering::SeqCst);
    signals.has_default_effect.store(false, Ordering::SeqCst);
    SignalGuard(())
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        signals().has_default_effect.store(true, Ordering::SeqCst);
    }
}

/// While `then` runs, a deferred signal ends the current wait and all later ones.
pub fn interruptible<T>(then: impl FnOnce() -> T) -> T {
    INTERRUPTIBLE.store(true, Ordering::SeqCst);
    let out = then();
    INTERRUPTIBLE.store(false, Ordering::SeqCst);
    out
}

/// Whether SIGINT or SIGTERM arrived and ends waits.
pub fn interrupted() -> bool {
    let has_arrived = || {
        let signals = SIGNALS.get();
        signals.is_some_and(|signals| signals.has_arrived.load(Ordering::SeqCst))
    };
    INTERRUPTIBLE.load(Ordering::SeqCst) && has_arrived()
}

#[cfg(test)]
mod tests {
    use super::defer_signals;
    use crate::host::Command;
    use nix::sys::signal::{Signal, raise};

    #[test]
    fn a_deferred_signal_does_not_end_the_process_and_programs_inherit_no_mask() {
        let guard = defer_signals();
        raise(Signal::SIGTERM).unwrap();
        let text = Command::new(["cat", "/proc/self/status"]).run().unwrap();
        for mask in ["SigBlk:", "SigIgn:"] {
            let line = text.lines().find_map(|line| line.strip_prefix(mask));
            let bits = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
                assert_eq!(bits >> (signal as u32 - 1) & 1, 0, "{mask} {signal}");
            }
        }
        drop(guard);
    }
}
