//! One connection: a client, the server, and what is on its way between them.

use super::exchange::Exchange;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, connect, recv, send,
    shutdown, socket_with,
};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A server that is just being restarted is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a server has refused, and the longest.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// What a client still sends after the last answer is read for so long: unread when the
/// connection is closed, it turns into a reset, which can overtake the answer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// One side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What a turn of a connection needs.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) server: SocketAddr,
    pub(super) now: Instant,
    /// The process ends, and with it what nobody waits for.
    pub(super) ending: bool,
    /// What is read goes through this; each connection keeps only what could not be passed on.
    pub(super) buffer: &'a mut [u8],
}

/// A socket, and what the event loop tells of it.
#[derive(Debug)]
struct Watched {
    socket: OwnedFd,
    watched: EventFlags,
}

impl Watched {
    fn new(socket: OwnedFd) -> Self {
        let watched = EventFlags::empty();
        Self { socket, watched }
    }

    /// Has the loop tell when one of these can be done. What nothing is wanted of is not in it at
    /// all: the kernel would tell of errors all the same, again and again.
    fn watch(&mut self, epoll: &OwnedFd, data: u64, read: bool, write: bool) -> Result<(), Errno> {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, read);
        wanted.set(EventFlags::OUT, write);
        if wanted == self.watched {
            return Ok(());
        }
        let data = EventData::new_u64(data);
        let before = std::mem::replace(&mut self.watched, wanted);
        match (before.is_empty(), wanted.is_empty()) {
            (true, _) => epoll::add(epoll, &self.socket, data, wanted),
            (_, true) => epoll::delete(epoll, &self.socket),
            _ => epoll::modify(epoll, &self.socket, data, wanted),
        }
    }
}

#[derive(Debug)]
enum Server {
    /// It refuses, and is asked again then.
    Backoff(Instant),
    /// connect(2) is under way.
    Connecting(Watched),
    Open(Watched),
    /// It has said all, and the client has it. What the client adds can only be thrown away.
    Draining(Instant),
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    stage: Stage,
    /// What was read and does not go out yet. Nothing more is read meanwhile.
    rest: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// Whoever speaks has said all.
    Ended,
    /// And whoever listens knows.
    Told,
    /// Whoever listens takes no more.
    Broken,
}

impl Flow {
    fn reads(&self) -> bool {
        self.stage == Stage::Open && self.rest.is_empty()
    }

    fn writes(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Passes on what there is, at most one buffer: the loop tells of more, and others wait.
    fn pass(&mut self, from: &Watched, to: &Watched, buffer: &mut [u8], said: impl FnOnce(&[u8])) {
        if !self.reads() {
            return;
        }
        match recv(&from.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count @ 1.., _)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                said(bytes);
                self.send(bytes, to);
            }
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(_) | Err(_) => self.stage = Stage::Ended,
        }
        self.tell(to);
    }

    /// Goes on with what is left.
    fn flush(&mut self, to: &Watched) {
        if self.writes() {
            let rest = std::mem::take(&mut self.rest);
            self.send(&rest, to);
            self.tell(to);
        }
    }

    fn send(&mut self, bytes: &[u8], to: &Watched) {
        let sent = match send(&to.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                self.stage = Stage::Broken;
                return;
            }
        };
        self.rest = bytes.get(sent..).unwrap_or_default().to_vec();
    }

    /// Says that nothing more comes, once all is out.
    fn tell(&mut self, to: &Watched) {
        if self.stage == Stage::Ended && self.rest.is_empty() {
            self.stage = Stage::Told;
            // The other side may have gone already.
            let _ = shutdown(&to.socket, Shutdown::Write);
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    client: Watched,
    server: Server,
    /// When the server was asked first.
    since: Instant,
    pause: Duration,
    up: Flow,
    down: Flow,
    exchange: Exchange,
}

impl Connection {
    /// Of a client that was just accepted; the first turn calls the server.
    pub(super) fn new(client: OwnedFd, now: Instant) -> Self {
        // An answer that is written in two parts would wait for the client's acknowledgement;
        // a unix socket has no such delay to turn off.
        let _ = set_tcp_nodelay(&client, true);
        Self {
            client: Watched::new(client),
            server: Server::Backoff(now),
            since: now,
            pause: RETRY_PAUSES.0,
            up: Flow::default(),
            down: Flow::default(),
            exchange: Exchange::new(now),
        }
    }

    #[cfg(test)]
    pub(super) fn is_here(&self) -> bool {
        matches!(self.server, Server::Open(_))
    }

    /// Does what can be done without waiting; whether there is more to come. `ready` is what the
    /// loop tells of one side, nothing where a time has come.
    pub(super) fn turn(&mut self, ready: Option<(Side, EventFlags)>, turn: &mut Step<'_>) -> bool {
        match &self.server {
            Server::Backoff(until) if *until > turn.now => true,
            Server::Backoff(_) => self.call(turn),
            Server::Connecting(_) if ready.is_none() => turn.now < self.since + CONNECT_TIMEOUT,
            Server::Connecting(end) => match socket_error(&end.socket) {
                Ok(Ok(())) => self.begin(turn),
                _ => self.wait(turn.now),
            },
            Server::Open(_) => self.exchange(ready, turn),
            Server::Draining(until) => {
                let read = recv(&self.client.socket, &mut *turn.buffer, RecvFlags::empty());
                let goes_on = matches!(read, Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR));
                goes_on && *until > turn.now
            }
        }
    }

    /// When it wants a turn though nothing is told of its sockets.
    pub(super) fn deadline(&self, ending: bool) -> Option<Instant> {
        match &self.server {
            Server::Backoff(until) | Server::Draining(until) => Some(*until),
            Server::Open(_) if ending && !self.down.writes() => self.exchange.ends_at(),
            // One that is too busy to accept may not even refuse.
            Server::Connecting(_) => Some(self.since + CONNECT_TIMEOUT),
            Server::Open(_) => None,
        }
    }

    /// Has the loop tell what this waits for.
    pub(super) fn watch(
        &mut self,
        epoll: &OwnedFd,
        data: impl Fn(Side) -> u64,
    ) -> Result<(), Errno> {
        let (up, down) = (&self.up, &self.down);
        let (reads, writes) = match &mut self.server {
            Server::Backoff(_) => (false, false),
            Server::Connecting(end) => {
                end.watch(epoll, data(Side::Server), false, true)?;
                (false, false)
            }
            Server::Open(end) => {
                end.watch(epoll, data(Side::Server), down.reads(), up.writes())?;
                (up.reads(), down.writes())
            }
            Server::Draining(_) => (true, false),
        };
        self.client.watch(epoll, data(Side::Client), reads, writes)
    }

    fn call(&mut self, turn: &mut Step<'_>) -> bool {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = match turn.server {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let Ok(socket) = socket_with(family, SocketType::STREAM, flags, None) else {
            return self.wait(turn.now);
        };
        // Without it bytes come later, and come all the same.
        let _ = set_tcp_nodelay(&socket, true);
        let called = connect(&socket, &turn.server);
        self.server = Server::Connecting(Watched::new(socket));
        match called {
            Ok(()) => self.begin(turn),
            Err(Errno::INPROGRESS | Errno::INTR) => true,
            Err(_) => self.wait(turn.now),
        }
    }

    /// The server refused: another attempt follows, while there is patience.
    fn wait(&mut self, now: Instant) -> bool {
        let last = self.since + CONNECT_TIMEOUT;
        self.server = Server::Backoff((now + self.pause).min(last));
        self.pause = (self.pause * 2).min(RETRY_PAUSES.1);
        now < last
    }

    fn begin(&mut self, turn: &mut Step<'_>) -> bool {
        let called = std::mem::replace(&mut self.server, Server::Backoff(turn.now));
        if let Server::Connecting(end) = called {
            self.server = Server::Open(end);
        }
        self.exchange = Exchange::new(turn.now);
        // Most clients have asked by now.
        self.exchange(Some((Side::Client, EventFlags::IN)), turn)
    }

    fn exchange(&mut self, ready: Option<(Side, EventFlags)>, turn: &mut Step<'_>) -> bool {
        let Server::Open(server) = &self.server else {
            return false;
        };
        let (client, exchange, now) = (&self.client, &mut self.exchange, turn.now);
        let join = EventFlags::ERR | EventFlags::HUP;
        let can = |side: Side, what: EventFlags| match ready {
            Some((one, flags)) => one == side && flags.intersects(what | join),
            // It is to end: what nobody has told of yet is looked for first.
            None => what == EventFlags::IN,
        };
        if can(Side::Client, EventFlags::OUT) {
            self.down.flush(client);
        }
        if can(Side::Server, EventFlags::OUT) {
            self.up.flush(server);
        }
        if can(Side::Client, EventFlags::IN) {
            let said = |bytes: &[u8]| exchange.client_said(bytes, now);
            self.up.pass(client, server, turn.buffer, said);
        }
        if can(Side::Server, EventFlags::IN) {
            let said = |bytes: &[u8]| exchange.server_said(bytes, now);
            self.down.pass(server, client, turn.buffer, said);
        }
        match (self.down.stage, self.up.stage) {
            // The server has said all: nothing that the client adds can be answered.
            (Stage::Told, Stage::Open | Stage::Broken) => {
                self.server = Server::Draining(now + DRAIN_TIMEOUT);
                true
            }
            (Stage::Told | Stage::Broken, _) => false,
            _ if !turn.ending || self.deadline(true).is_none_or(|at| at > now) => true,
            _ => ready.is_some() && self.exchange(None, turn),
        }
    }
}
