//! What systemd hands to a service: listening sockets, and a socket to say that it is ready
//! (`sd_listen_fds(3)`, `sd_notify(3)`).

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// A listening socket that was handed over.
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

/// One connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// How long one read or write may take.
    ///
    /// # Errors
    /// The operating system's; a zero duration is refused.
    pub fn set_patience(&self, patience: Duration) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        // The other side may have gone already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The sockets of this process, and the signals that end it.
#[derive(Debug)]
pub struct ActivatedSockets {
    listeners: Vec<Listener>,
    signals: SignalFd,
}

impl ActivatedSockets {
    /// Takes the sockets over; `None` when there are none. SIGTERM and SIGINT are from now on
    /// told by [`ActivatedSockets::accept`]: call this before the first thread is made, since each
    /// thread takes the mask of the one that made it.
    ///
    /// # Errors
    /// When a descriptor is no listening stream socket.
    pub fn take() -> Result<Option<Self>> {
        let mut given = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..given.len() {
            let listener = match given.take_tcp_listener(index) {
                Ok(listener) => listener.map(Listener::Tcp),
                Err(_) => given
                    .take_unix_listener(index)
                    .context("taking a listening socket over from systemd")?
                    .map(Listener::Unix),
            };
            listeners.extend(listener);
        }
        if listeners.is_empty() {
            return Ok(None);
        }
        // A connection that another process of the same socket took must not block this one.
        for listener in &listeners {
            match listener {
                Listener::Tcp(listener) => listener.set_nonblocking(true)?,
                Listener::Unix(listener) => listener.set_nonblocking(true)?,
            }
        }
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block().context("holding signals back")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .context("watching for signals")?;
        Ok(Some(Self { listeners, signals }))
    }

    /// The listeners, and what becomes readable once the process is told to end, for one who waits
    /// for more than connections.
    pub(super) fn into_parts(self) -> (Vec<OwnedFd>, OwnedFd) {
        let owned = |listener| match listener {
            Listener::Tcp(listener) => listener.into(),
            Listener::Unix(listener) => listener.into(),
        };
        let listeners = self.listeners.into_iter().map(owned).collect();
        (listeners, self.signals.into())
    }

    /// The next connection; `None` once the process was told to end.
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
            if ready.first() == Some(&true) {
                return Ok(None);
            }
            let listeners = self.listeners.iter().zip(ready.iter().skip(1));
            for (listener, _) in listeners.filter(|(_, ready)| **ready) {
                match listener.accept() {
                    Ok(peer) => return Ok(Some(peer)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The client has gone, or there are too many open files: others wait.
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }
    }
}

/// Tells systemd that the service is up; without `Type=notify` nobody listens.
///
/// # Errors
/// When systemd listens and cannot be told.
pub fn notify_ready() -> Result<()> {
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).context("telling systemd: ready")
}

/// Tells systemd that the service is going down.
pub fn notify_stopping() {
    // It goes down whether systemd hears it or not.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
}
