//! One connection: the sockets of the client and the server, and the bytes between them.
//!
//! [`Connection::turn`] does what can be done without waiting and turns it into an [`Event`];
//! [`Phase::after`] says what the connection does next.

use super::ending::Ending;
use super::exchange::Exchange;
use super::flow::{Flow, FlowState};
use super::phase::{Event, Phase};
use super::watched::Watched;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_nodelay, socket_error};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, connect, recv, socket_with};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a server that is being restarted may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a refused attempt, and the longest.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// How long bytes of the client are read after the last response. If they were unread when the
/// connection is closed, the kernel would send a reset, which can overtake the response.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// One side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What the event loop reports: one side, and what can be done with it.
pub(super) type Ready = Option<(Side, EventFlags)>;

/// What a turn of a connection needs.
#[derive(Debug)]
pub(super) struct TurnContext<'a> {
    pub(super) server: SocketAddr,
    pub(super) now: Instant,
    /// How the process ends; `None` while it serves.
    pub(super) ending: Option<Ending>,
    /// Bytes pass through this buffer. A connection keeps only what could not be written.
    pub(super) buffer: &'a mut [u8],
}

#[derive(Debug)]
pub(super) struct Connection {
    phase: Phase,
    client: Watched,
    /// The socket to the server while the phase is `Connecting` or `Open`.
    server: Option<Watched>,
    /// When the phase `Backoff` or `Draining` ends.
    until: Instant,
    /// When an attempt to connect is the last one.
    connect_deadline: Instant,
    pause: Duration,
    up: Flow,
    down: Flow,
    exchange: Exchange,
}

impl Connection {
    /// The connection of a client that was just accepted. The first turn connects to the server.
    pub(super) fn new(client: OwnedFd, now: Instant) -> Self {
        // Otherwise a response that is written in two parts waits for the client's acknowledgement.
        // A unix socket has no such delay and refuses the option.
        let _ = set_tcp_nodelay(&client, true);
        Self {
            phase: Phase::Backoff,
            client: Watched::new(client),
            server: None,
            until: now,
            connect_deadline: now + CONNECT_TIMEOUT,
            pause: RETRY_PAUSES.0,
            up: Flow::default(),
            down: Flow::default(),
            exchange: Exchange::new(now),
        }
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Does what can be done without waiting. Returns false when the connection is over. `ready` is
    /// `None` when a deadline has come.
    pub(super) fn turn(&mut self, ready: Ready, context: &mut TurnContext<'_>) -> bool {
        let mut event = self.observe(ready, context);
        while let Some(happened) = event {
            self.phase = self.phase.after(happened);
            event = self.enter(happened, context);
        }
        self.phase != Phase::Closed
    }

    /// Whether nothing has passed since the server accepted. Before that, bytes of the client are not read.
    pub(super) fn is_silent(&self) -> bool {
        self.phase == Phase::Open && self.exchange.is_silent()
    }

    /// The deadline at which the connection needs a turn, even if nothing happens to its sockets.
    pub(super) fn deadline(&self, ending: Option<Ending>) -> Option<Instant> {
        match self.phase {
            Phase::Backoff | Phase::Draining => Some(self.until),
            // A server that is too busy to accept may not refuse either.
            Phase::Connecting => Some(self.connect_deadline),
            Phase::Open if !self.down.writes() => self.exchange.ends_at(ending?),
            Phase::Open | Phase::Closed => None,
        }
    }

    /// Lets the loop report what the connection waits for.
    pub(super) fn watch(
        &mut self,
        epoll: &OwnedFd,
        data: impl Fn(Side) -> u64,
    ) -> Result<(), Errno> {
        let (up, down) = (&self.up, &self.down);
        // For each side, whether it is read and whether it is written.
        let (client, server) = match self.phase {
            Phase::Backoff | Phase::Closed => ((false, false), None),
            Phase::Connecting => ((false, false), Some((false, true))),
            Phase::Open => (
                (up.reads(), down.writes()),
                Some((down.reads(), up.writes())),
            ),
            Phase::Draining => ((true, false), None),
        };
        if let (Some(socket), Some((read, write))) = (&mut self.server, server) {
            socket.watch(epoll, data(Side::Server), read, write)?;
        }
        self.client
            .watch(epoll, data(Side::Client), client.0, client.1)
    }

    /// What has happened in the current phase.
    fn observe(&mut self, ready: Ready, context: &mut TurnContext<'_>) -> Option<Event> {
        match self.phase {
            Phase::Backoff if self.until > context.now => None,
            Phase::Backoff => Some(Event::RetryDue),
            Phase::Connecting if ready.is_none() => {
                (self.connect_deadline <= context.now).then_some(Event::ConnectTimeout)
            }
            Phase::Connecting => {
                let error = self.server.as_ref().map(|one| socket_error(&one.socket));
                match error {
                    Some(Ok(Ok(()))) => Some(Event::Connected),
                    _ => Some(Event::Refused),
                }
            }
            Phase::Open => self.exchange(ready, context),
            Phase::Draining => {
                let read = recv(
                    &self.client.socket,
                    &mut *context.buffer,
                    RecvFlags::empty(),
                );
                let is_open = matches!(read, Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR));
                (!is_open || self.until <= context.now).then_some(Event::Finished)
            }
            Phase::Closed => None,
        }
    }

    /// Begins the phase after an event, which may cause the next event.
    fn enter(&mut self, event: Event, context: &mut TurnContext<'_>) -> Option<Event> {
        match (event, self.phase) {
            (Event::RetryDue, Phase::Connecting) => self.connect(context.server),
            (Event::Refused, Phase::Backoff) => {
                self.server = None;
                self.until = (context.now + self.pause).min(self.connect_deadline);
                self.pause = (self.pause * 2).min(RETRY_PAUSES.1);
                (self.connect_deadline <= context.now).then_some(Event::ConnectTimeout)
            }
            (Event::Connected, Phase::Open) => {
                self.exchange = Exchange::new(context.now);
                // Most clients have sent their request by now.
                self.exchange(Some((Side::Client, EventFlags::IN)), context)
            }
            (Event::ServerFinished, Phase::Draining) => {
                self.server = None;
                self.until = context.now + DRAIN_TIMEOUT;
                None
            }
            _ => None,
        }
    }

    /// Starts connect(2).
    fn connect(&mut self, server: SocketAddr) -> Option<Event> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = match server {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let Ok(socket) = socket_with(family, SocketType::STREAM, flags, None) else {
            return Some(Event::Refused);
        };
        // Without it, bytes arrive later.
        let _ = set_tcp_nodelay(&socket, true);
        let started = connect(&socket, &server);
        self.server = Some(Watched::new(socket));
        match started {
            Ok(()) => Some(Event::Connected),
            Err(Errno::INPROGRESS | Errno::INTR) => None,
            Err(_) => Some(Event::Refused),
        }
    }

    /// Passes bytes in both directions.
    fn exchange(&mut self, ready: Ready, context: &mut TurnContext<'_>) -> Option<Event> {
        let server = self.server.as_ref()?;
        let (client, exchange, now) = (&self.client, &mut self.exchange, context.now);
        let errors = EventFlags::ERR | EventFlags::HUP;
        let can = |side: Side, what: EventFlags| match ready {
            Some((one, flags)) => one == side && flags.intersects(what | errors),
            // The connection is about to end: bytes that the loop has not reported yet come first.
            None => what == EventFlags::IN,
        };
        if can(Side::Client, EventFlags::OUT) {
            self.down.flush(client);
        }
        if can(Side::Server, EventFlags::OUT) {
            self.up.flush(server);
        }
        if can(Side::Client, EventFlags::IN) {
            let on_bytes = |bytes: &[u8]| exchange.client_sent(bytes, now);
            self.up.pass(client, server, context.buffer, on_bytes);
        }
        if can(Side::Server, EventFlags::IN) {
            let on_bytes = |bytes: &[u8]| exchange.server_sent(bytes, now);
            self.down.pass(server, client, context.buffer, on_bytes);
        }
        match (self.down.state, self.up.state) {
            (FlowState::Forwarded, FlowState::Open | FlowState::Broken) => {
                Some(Event::ServerFinished)
            }
            (FlowState::Forwarded | FlowState::Broken, _) => Some(Event::Finished),
            _ if context.ending.is_none()
                || self.deadline(context.ending).is_none_or(|at| at > now) =>
            {
                None
            }
            _ if ready.is_some() => self.exchange(None, context),
            _ => Some(Event::Finished),
        }
    }
}
