//! How a relay ends, by the signal that it got.

use rustix::io::read;
use std::os::fd::OwnedFd;

/// SIGINT, as signalfd(2) gives it. robotctl sends it to the relay of a previous release.
const SIGINT: u32 = 2;

/// How a relay ends. In both ways it accepts no more connections, and closes each one on which no
/// response is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The next release serves already. A connection whose bytes do not show whether a
    /// response is due stays until one side closes it.
    Drain,
    /// The service stops: such a connection is closed after a silence.
    Stop,
}

impl Ending {
    /// Reads the signal. Anything but SIGINT, the end of the descriptor too, means to stop.
    pub(super) fn read(signals: &OwnedFd) -> Self {
        let mut number = [0_u8; 128];
        let count = read(signals, &mut number).unwrap_or(0);
        let first = number.first_chunk().filter(|_| count >= 4);
        match first.map(|bytes| u32::from_ne_bytes(*bytes)) {
            Some(SIGINT) => Self::Drain,
            _ => Self::Stop,
        }
    }
}
