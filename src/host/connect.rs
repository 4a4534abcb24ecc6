//! Connections to a server. Every read and write ends in time, no matter what the server does.

use super::clock::Deadline;
use super::stream::Stream;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection with one deadline for everything that happens on it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    deadline: Deadline,
}

impl Connection {
    /// Connects over TCP.
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::TimedOut`] when the time is over.
    pub fn tcp(address: SocketAddr, deadline: Deadline) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, time_left(deadline)?)?;
        let stream = Stream::Tcp(stream);
        Ok(Self { stream, deadline })
    }

    /// Connects to a unix socket. When the queue of the server is full, connect(2) waits for as long
    /// as the server lives, so the send timeout bounds it (socket(7)).
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`] when the time is over.
    pub fn unix(path: &Path, deadline: Deadline) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let address = SocketAddrUnix::new(path)?;
        loop {
            set_socket_timeout(&socket, Timeout::Send, Some(time_left(deadline)?))?;
            match connect(&socket, &address) {
                // With a send timeout, a signal handler always ends connect(2) (signal(7)).
                Err(Errno::INTR) => {}
                ended => break ended?,
            }
        }
        let stream = Stream::Unix(UnixStream::from(socket));
        Ok(Self { stream, deadline })
    }
}

/// The time left, as the kernel takes it: a timeout of zero would mean none.
fn time_left(deadline: Deadline) -> Result<Duration> {
    if deadline.is_over() {
        Err(ErrorKind::TimedOut.into())
    } else {
        Ok(deadline.left().max(Duration::from_millis(1)))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.stream.set_timeout(time_left(self.deadline)?)?;
        self.stream.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.stream.set_timeout(time_left(self.deadline)?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;
    use crate::host::{Deadline, Stopwatch};
    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::Signal;
    use signal_hook::consts::SIGUSR2;
    use std::io::ErrorKind;
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[test]
    fn connecting_to_a_full_queue_ends_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.sock");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let short = || Deadline::after(Duration::from_millis(300));
        let _first = Connection::unix(&path, short()).unwrap();
        let watch = Stopwatch::start();
        let error = Connection::unix(&path, short()).unwrap_err();
        assert!(is_over(error.kind()), "{error:?}");
        assert!(watch.elapsed() < Duration::from_secs(5), "{watch:?}");
    }

    fn is_over(kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }

    /// A child that ends sends a signal, for example.
    #[test]
    fn a_signal_does_not_end_an_attempt_to_connect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.sock");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = Connection::unix(&path, Deadline::after(Duration::from_secs(1))).unwrap();
        let is_handled = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGUSR2, Arc::clone(&is_handled)).unwrap();
        let this = pthread_self();
        let waiting = AtomicBool::new(true);
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                while waiting.load(Ordering::Relaxed) {
                    pthread_kill(this, Signal::SIGUSR2).unwrap();
                    std::thread::yield_now();
                }
            });
            let error = Connection::unix(&path, Deadline::after(Duration::from_millis(300)));
            waiting.store(false, Ordering::Relaxed);
            error.unwrap_err()
        });
        assert!(is_handled.load(Ordering::Relaxed));
        assert!(is_over(error.kind()), "{error:?}");
    }
}
