//! Connections to a server whose every read and write ends in time, whatever the server does.

use super::activation::Stream;
use super::clock::Deadline;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection with one deadline for all that happens on it.
#[derive(Debug)]
pub struct Connection {
    peer: Stream,
    deadline: Deadline,
}

impl Connection {
    /// Connects over TCP.
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::TimedOut`] when the time is over.
    pub fn tcp(address: SocketAddr, deadline: Deadline) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
        let peer = Stream::Tcp(stream);
        Ok(Self { peer, deadline })
    }

    /// Connects to a unix socket. A server that accepts nobody fills its queue, where connect(2)
    /// would wait for as long as it lives: the send timeout bounds that too (socket(7)).
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::WouldBlock`] when the time is over.
    pub fn unix(path: &Path, deadline: Deadline) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)?))?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        let peer = Stream::Unix(UnixStream::from(socket));
        Ok(Self { peer, deadline })
    }
}

/// What is left until then, as the kernel takes it: a timeout of zero would be none.
fn left(deadline: Deadline) -> Result<Duration> {
    match deadline.is_over() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(deadline.left().max(Duration::from_millis(1))),
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.peer.set_patience(left(self.deadline)?)?;
        self.peer.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.peer.set_patience(left(self.deadline)?)?;
        self.peer.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.peer.flush()
    }
}

/// Whether somebody listens on an address already.
pub fn is_taken(address: SocketAddr) -> bool {
    // Anything else shows when the server starts.
    TcpListener::bind(address).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::Connection;
    use crate::host::{Deadline, Stopwatch};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    #[test]
    fn a_full_queue_is_waited_for_no_longer_than_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full.sock");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let short = || Deadline::after(Duration::from_millis(300));
        let _first = Connection::unix(&path, short()).unwrap();
        let watch = Stopwatch::start();
        let error = Connection::unix(&path, short()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        assert!(watch.elapsed() < Duration::from_secs(5), "{watch:?}");
    }
}
