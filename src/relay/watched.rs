//! A socket, and what the event loop reports about it.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// A socket in the event loop.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) socket: OwnedFd,
    watched: EventFlags,
}

impl Watched {
    pub(super) fn new(socket: OwnedFd) -> Self {
        let watched = EventFlags::empty();
        Self { socket, watched }
    }

    /// Lets the loop report when the socket can be read or written. A socket that needs neither is
    /// removed from the loop: otherwise the kernel would report its errors again and again.
    pub(super) fn watch(
        &mut self,
        epoll: &OwnedFd,
        data: u64,
        read: bool,
        write: bool,
    ) -> Result<(), Errno> {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, read);
        wanted.set(EventFlags::OUT, write);
        if wanted == self.watched {
            return Ok(());
        }
        let data = EventData::new_u64(data);
        let before = std::mem::replace(&mut self.watched, wanted);
        if before.is_empty() {
            epoll::add(epoll, &self.socket, data, wanted)
        } else if wanted.is_empty() {
            epoll::delete(epoll, &self.socket)
        } else {
            epoll::modify(epoll, &self.socket, data, wanted)
        }
    }
}
