//! The relay, a program of its own behind `robotctl relay`: it passes bytes between clients and a
//! server that cannot take a listening socket from systemd.
//!
//! `systemd-socket-proxyd` does the same, but it drops every connection when it stops. The relay stops
//! accepting and ends after every client has its response. The listener stays with systemd, so that
//! another process can accept meanwhile.
//!
//! One thread serves all connections with a level-triggered event loop (epoll(7)).
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the event loop: accepting, deadlines, the end |
//! | `ending` | how it ends, by the signal |
//! | `connection` | one connection: its sockets, and what each turn does |
//! | `phase` | the phases of a connection, and the table of transitions |
//! | `flow` | one direction of a connection |
//! | `exchange`, `responses` | whether a client waits for a response |
//! | `watched` | a socket in the event loop |

#![expect(
    clippy::disallowed_methods,
    reason = "the relay works with raw sockets and the clock for every event"
)]

mod connection;
mod ending;
mod exchange;
mod flow;
mod phase;
mod responses;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;
mod watched;

use crate::host::{ActivatedSockets, notify_ready, notify_stopping};
use anyhow::{Context as _, Result, bail};
use connection::{Connection, Ready, Side, TurnContext};
use ending::Ending;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The most connections at a time. Another client takes the place of the one that has been silent longest since it was
/// accepted; if there is none, it waits in the queue of the listener. Each connection is two
/// lines of what the kernel shows of the event loop, and `health::acceptors` looks for the listener in
/// the first 4096.
const MAX_CONNECTIONS: usize = 1024;
/// File descriptors that are reserved for other uses than connections.
const RESERVED_FDS: usize = 32;
/// The most bytes that are passed at once. A connection with a slow reader keeps as many for each
/// direction.
const BUFFER_BYTES: usize = 32 * 1024;
/// The most events that are read, and connections that are accepted, at once.
const MAX_BATCH: usize = 64;
/// The pause after accept(2) has failed, as it does without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The event number of the signal that the process has to end.
const END: u64 = 0;
/// The event number of all listeners. Each connection has two of the following numbers.
const LISTENERS: u64 = 1;

/// Passes connections on to `server`. Ends after SIGTERM or SIGINT, when every client has its response.
///
/// # Errors
/// When systemd passed no listener, or when waiting fails.
pub(crate) fn run(server: SocketAddr) -> Result<()> {
    let Some(sockets) = ActivatedSockets::take()? else {
        bail!("systemd passed no socket: a socket unit has to start this command");
    };
    let (listeners, signals) = sockets.into_parts();
    let mut relay = Relay::new(server, listeners, signals, connection_limit())?;
    notify_ready()?;
    relay.run_until_signal()?;
    notify_stopping();
    // The stop timeout of the unit limits this.
    relay.finish()
}

/// How many connections there are file descriptors for. Each connection needs two.
fn connection_limit() -> usize {
    let wanted = u64::try_from(2 * MAX_CONNECTIONS + RESERVED_FDS).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |most| wanted.min(most)));
        let maximum = limit.maximum;
        let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum });
        // If the limit cannot be raised, fewer connections are accepted.
        limit.current = raised.map_or(limit.current, |()| current);
    }
    let files = limit.current.unwrap_or(wanted).min(wanted);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files.saturating_sub(RESERVED_FDS) / 2).clamp(1, MAX_CONNECTIONS)
}

/// The event loop.
#[derive(Debug)]
struct Relay {
    epoll: OwnedFd,
    server: SocketAddr,
    /// Becomes readable, or its other side is closed, when the process has to end.
    end: OwnedFd,
    listeners: Vec<OwnedFd>,
    /// Whether the loop reports clients that wait.
    accepts: bool,
    /// After accept(2) has failed, when connections are accepted again.
    pause: Option<Instant>,
    ending: Option<Ending>,
    max_connections: usize,
    /// The connections and their deadlines. A number is never used twice, so that late events of a
    /// connection that is over match no other.
    connections: HashMap<u64, (Connection, Option<Instant>)>,
    next: u64,
    /// The connections on which nothing has passed. Numbers are in the order in which clients were accepted.
    silent: BTreeSet<u64>,
    /// The deadlines of connections, in order.
    timers: BTreeSet<(Instant, u64)>,
    buffer: Vec<u8>,
}

impl Relay {
    fn new(
        server: SocketAddr,
        listeners: Vec<OwnedFd>,
        end: OwnedFd,
        max_connections: usize,
    ) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("creating an event loop")?;
        let added = epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN);
        added.context("watching for signals")?;
        let mut relay = Self {
            epoll,
            server,
            end,
            listeners,
            accepts: false,
            pause: None,
            ending: None,
            max_connections,
            connections: HashMap::new(),
            next: LISTENERS + 1,
            silent: BTreeSet::new(),
            timers: BTreeSet::new(),
            buffer: vec![0; BUFFER_BYTES],
        };
        relay.watch_listeners(Instant::now());
        Ok(relay)
    }

    /// Serves until the process has to end. From then on it accepts no connections.
    fn run_until_signal(&mut self) -> Result<()> {
        while self.ending.is_none() {
            self.step()?;
        }
        Ok(())
    }

    /// Serves until every client has its response.
    fn finish(&mut self) -> Result<()> {
        while !self.connections.is_empty() {
            self.step()?;
        }
        Ok(())
    }

    /// Waits for events, and gives each connection with an event its turn.
    fn step(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(MAX_BATCH);
        let timeout = self.timeout();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("waiting for connections"),
        }
        let now = Instant::now();
        let has = |number: u64| events.iter().any(|event| event.data.u64() == number);
        let (end, clients) = (has(END), has(LISTENERS));
        for event in &events {
            let (number, flags) = (event.data.u64(), event.flags);
            match number {
                END | LISTENERS => {}
                _ if number % 2 == 0 => self.turn(number, Some((Side::Client, flags)), now),
                _ => self.turn(number - 1, Some((Side::Server, flags)), now),
            }
        }
        while let Some((_, number)) = self.timers.first().copied().filter(|one| one.0 <= now) {
            self.turn(number, None, now);
        }
        self.pause = self.pause.filter(|until| *until > now);
        if end {
            self.stop(now);
        } else if clients && self.accepts {
            self.accept(now);
        }
        self.watch_listeners(now);
        Ok(())
    }

    /// The time to the next deadline.
    fn timeout(&self) -> Option<Timespec> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let next = timer.into_iter().chain(self.pause).min()?;
        let left = next.saturating_duration_since(Instant::now());
        Timespec::try_from(left).ok()
    }

    /// Gives a connection its turn, and removes it when it is over.
    fn turn(&mut self, number: u64, ready: Ready, now: Instant) {
        let Some((connection, timer)) = self.connections.get_mut(&number) else {
            return;
        };
        let mut context = TurnContext {
            server: self.server,
            now,
            ending: self.ending,
            buffer: &mut self.buffer,
        };
        let data = |side| match side {
            Side::Client => number,
            Side::Server => number + 1,
        };
        // An error of one connection ends no other.
        let is_alive =
            connection.turn(ready, &mut context) && connection.watch(&self.epoll, data).is_ok();
        let wanted = connection.deadline(self.ending).filter(|_| is_alive);
        let before = std::mem::replace(timer, wanted);
        if before != wanted {
            if let Some(at) = before {
                self.timers.remove(&(at, number));
            }
            if let Some(at) = wanted {
                self.timers.insert((at, number));
            }
        }
        if is_alive && connection.is_silent() {
            self.silent.insert(number);
        } else {
            self.silent.remove(&number);
        }
        if !is_alive {
            self.connections.remove(&number);
        }
    }

    /// Whether a client can be accepted: there is room, or a connection that can make room.
    fn has_room(&self) -> bool {
        self.connections.len() < self.max_connections || !self.silent.is_empty()
    }

    /// Ends the connection that has been silent longest, if there is one connection too many.
    fn make_room(&mut self, now: Instant) {
        while self.connections.len() > self.max_connections {
            let Some(number) = self.silent.first().copied() else {
                return;
            };
            // Its bytes may have arrived since.
            self.turn(number, Some((Side::Client, EventFlags::IN)), now);
            if self.silent.remove(&number) {
                self.connections.remove(&number);
            }
        }
    }

    /// Accepts clients that wait.
    ///
    /// The listeners are watched without EPOLLEXCLUSIVE. With it, the kernel reports a client to one
    /// process, and if that one ends before it accepts, no process knows of the client. Without it,
    /// another process may accept first, which costs only a call.
    fn accept(&mut self, now: Instant) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for index in 0..self.listeners.len() {
            for _ in 0..MAX_BATCH {
                let Some(listener) = self.listeners.get(index).filter(|_| self.has_room()) else {
                    return;
                };
                match accept_with(listener, flags) {
                    Ok(client) => {
                        let number = self.next;
                        self.next += 2;
                        let connection = Connection::new(client, now);
                        self.connections.insert(number, (connection, None));
                        self.turn(number, None, now);
                        self.make_room(now);
                    }
                    Err(Errno::AGAIN) => break,
                    // The client has gone.
                    Err(Errno::INTR | Errno::CONNABORTED) => {}
                    // No descriptor is free, for example.
                    Err(_) => {
                        self.pause = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    /// Lets the loop report clients while there is room for them.
    fn watch_listeners(&mut self, now: Instant) {
        let wanted = self.has_room() && self.pause.is_none() && self.ending.is_none();
        if wanted == self.accepts {
            return;
        }
        let data = EventData::new_u64(LISTENERS);
        let add = |one: &OwnedFd| epoll::add(&self.epoll, one, data, EventFlags::IN);
        self.accepts = wanted && self.listeners.iter().all(|one| add(one).is_ok());
        if !self.accepts {
            for listener in &self.listeners {
                // It may not have been in the loop.
                let _ = epoll::delete(&self.epoll, listener);
            }
            // The kernel may have memory for it later.
            self.pause = self.pause.or(wanted.then(|| now + ACCEPT_PAUSE));
        }
    }

    /// Stops accepting, and ends each connection on which no response is due.
    fn stop(&mut self, now: Instant) {
        let ending = Ending::read(&self.end);
        self.ending = Some(ending);
        if ending == Ending::Stop {
            // The end of the descriptor would be reported again and again.
            let _ = epoll::delete(&self.epoll, &self.end);
        }
        // A listener stays in the loop while any process has it open.
        self.watch_listeners(now);
        // shutdown(2) must not be used: systemd and other processes use the listener.
        self.listeners.clear();
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.turn(number, None, now);
        }
    }
}
