//! One direction of a connection: bytes are read from one socket and written to the other.

use super::watched::Watched;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) state: FlowState,
    /// Bytes that were read and could not be written yet. Until they are, no more is read.
    rest: Vec<u8>,
}

/// How far a direction has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlowState {
    /// More bytes may come.
    #[default]
    Open,
    /// The sender has finished.
    Ended,
    /// The sender has finished, and the receiver knows.
    Forwarded,
    /// The receiver takes no more bytes.
    Broken,
}

impl Flow {
    /// Whether bytes are read.
    pub(super) fn reads(&self) -> bool {
        self.state == FlowState::Open && self.rest.is_empty()
    }

    /// Whether bytes wait to be written.
    pub(super) fn writes(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Passes on what has arrived, at most one buffer, so that other connections get their turn.
    /// `on_bytes` sees the bytes.
    pub(super) fn pass(
        &mut self,
        from: &Watched,
        to: &Watched,
        buffer: &mut [u8],
        on_bytes: impl FnOnce(&[u8]),
    ) {
        if !self.reads() {
            return;
        }
        match recv(&from.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count @ 1.., _)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                on_bytes(bytes);
                self.send(bytes, to);
            }
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(_) | Err(_) => self.state = FlowState::Ended,
        }
        self.forward_end(to);
    }

    /// Writes the bytes that wait.
    pub(super) fn flush(&mut self, to: &Watched) {
        if self.writes() {
            let rest = std::mem::take(&mut self.rest);
            self.send(&rest, to);
            self.forward_end(to);
        }
    }

    fn send(&mut self, bytes: &[u8], to: &Watched) {
        let sent = match send(&to.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.state = FlowState::Broken;
                return;
            }
        };
        self.rest = bytes.get(sent..).unwrap_or_default().to_vec();
    }

    /// Ends the direction at the receiver, once all bytes are written.
    fn forward_end(&mut self, to: &Watched) {
        if self.state == FlowState::Ended && self.rest.is_empty() {
            self.state = FlowState::Forwarded;
            // The receiver may have closed the connection already.
            let _ = shutdown(&to.socket, Shutdown::Write);
        }
    }
}
