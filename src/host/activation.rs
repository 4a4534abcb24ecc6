//! What systemd passes to a service: listening sockets, and a socket for notifications
//! (`sd_listen_fds(3)`, `sd_notify(3)`).

use super::stream::Stream;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// The pause after accept(2) has failed, as it does without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// A listening socket that systemd passed.
#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }

    fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                Ok(Stream::Unix(stream))
            }
        }
    }
}

/// The listening sockets of this process, and the signals that end it.
#[derive(Debug)]
pub struct ActivatedSockets {
    listeners: Vec<Listener>,
    signals: SignalFd,
}

impl ActivatedSockets {
    /// Takes the sockets; `None` when systemd passed none.
    ///
    /// From then on [`ActivatedSockets::accept`] reports SIGTERM and SIGINT. Call this before the
    /// first thread starts: a thread inherits the signal mask of the thread that starts it.
    ///
    /// # Errors
    /// When a descriptor is not a listening stream socket.
    pub fn take() -> Result<Option<Self>> {
        let mut given = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..given.len() {
            let listener = match given.take_tcp_listener(index) {
                Ok(listener) => listener.map(Listener::Tcp),
                Err(_) => given
                    .take_unix_listener(index)
                    .context("taking a listening socket from systemd")?
                    .map(Listener::Unix),
            };
            listeners.extend(listener);
        }
        if listeners.is_empty() {
            return Ok(None);
        }
        // When another process or thread accepts the connection first, accept(2) must not block.
        for listener in &listeners {
            match listener {
                Listener::Tcp(listener) => listener.set_nonblocking(true)?,
                Listener::Unix(listener) => listener.set_nonblocking(true)?,
            }
        }
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block().context("blocking signals")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .context("watching for signals")?;
        Ok(Some(Self { listeners, signals }))
    }

    /// The listeners, and a descriptor that becomes readable when the process has to end: for a
    /// caller with an event loop of its own.
    pub(crate) fn into_parts(self) -> (Vec<OwnedFd>, OwnedFd) {
        let owned = |listener| match listener {
            Listener::Tcp(listener) => listener.into(),
            Listener::Unix(listener) => listener.into(),
        };
        let listeners = self.listeners.into_iter().map(owned).collect();
        (listeners, self.signals.into())
    }

    /// The next connection; `None` when the process has to end. Several threads may wait here: each
    /// connection goes to one of them, the end to all.
    ///
    /// # Errors
    /// The operating system's, when waiting itself fails.
    pub fn accept(&self) -> Result<Option<Stream>> {
        loop {
            let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let sockets = self.listeners.iter();
            watched.extend(sockets.map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)));
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).context("waiting for a connection"),
            }
            let ready: Vec<bool> = watched
                .iter()
                .map(|one| one.any().unwrap_or(true))
                .collect();
            // The signal is never read, so that every waiting thread sees it.
            if ready.first() == Some(&true) {
                return Ok(None);
            }
            let listeners = self.listeners.iter().zip(ready.iter().skip(1));
            for (listener, _) in listeners.filter(|(_, ready)| **ready) {
                match listener.accept() {
                    Ok(stream) => return Ok(Some(stream)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The client has gone, or no descriptor is free.
                    Err(_) => std::thread::sleep(ACCEPT_PAUSE),
                }
            }
        }
    }
}

/// Notifies systemd that the service is ready. Does nothing unless systemd started it with
/// `Type=notify`.
///
/// # Errors
/// When systemd waits for the notification and it cannot be sent.
pub fn notify_ready() -> Result<()> {
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).context("notifying systemd: ready")
}

/// Notifies systemd that the service stops.
pub fn notify_stopping() {
    // The service stops with or without the notification.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
}
