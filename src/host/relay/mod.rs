//! Passing bytes between clients and a server that cannot take a socket over.
//!
//! `systemd-socket-proxyd` does the same, and drops every connection when it is stopped. This
//! one stops accepting, and ends once each connection has been answered: the listener stays
//! with systemd, so that others accept meanwhile.
//!
//! One thread serves all connections, whichever can go on (epoll(7)). It is level-triggered:
//! what is left over is told again.

mod answers;
mod connection;
mod exchange;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;

use super::activation::{ActivatedSockets, notify_ready, notify_stopping};
use anyhow::{Context as _, Result, bail};
use connection::{Connection, Side, Step};
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

/// More connections than this wait in the listener's queue. Each is two lines of what the kernel
/// shows of the loop, where `acceptors` looks for the listener in the first 4096.
const MAX_CONNECTIONS: usize = 1024;
/// Descriptors that are no connection's, with room to spare.
const RESERVED_FDS: usize = 32;
/// What goes over at once; a connection whose reader is slow keeps as much for each direction.
const BUFFER: usize = 32 * 1024;
/// So many events are told, and so many connections accepted, at once.
const BATCH: usize = 64;
/// Nobody is accepted for so long after accept(2) has failed, as without a free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The number of what tells that the process is to end.
const END: u64 = 0;
/// The number of all listeners. Connections have those that follow, two each.
const LISTENERS: u64 = 1;

/// Passes connections on to `server` until the process is told to end and all are answered.
///
/// # Errors
/// When systemd handed no listener over, or waiting fails.
pub fn relay(server: SocketAddr) -> Result<()> {
    let Some(inherited) = ActivatedSockets::take()? else {
        bail!("systemd handed no socket over: this is started by a socket unit");
    };
    let (listeners, signals) = inherited.into_parts();
    let mut relay = Relay::new(server, listeners, signals, room())?;
    notify_ready()?;
    relay.until_told()?;
    notify_stopping();
    // The stop timeout of the unit ends what lasts longer.
    relay.until_answered()
}

/// How many connections there are descriptors for, of which each has two.
fn room() -> usize {
    let wanted = u64::try_from(2 * MAX_CONNECTIONS + RESERVED_FDS).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < wanted) {
        let current = Some(limit.maximum.map_or(wanted, |most| wanted.min(most)));
        let maximum = limit.maximum;
        let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum });
        // Where it may not be raised, fewer are accepted.
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
    /// Readable, or closed at its other side, once the process is to end.
    end: OwnedFd,
    listeners: Vec<OwnedFd>,
    /// Whether the loop tells of clients that wait.
    accepts: bool,
    /// After accept(2) failed, nobody is accepted until then.
    pause: Option<Instant>,
    ending: bool,
    most: usize,
    /// By a number that is never given twice: what is told of one that has just gone is nobody's.
    connections: HashMap<u64, (Connection, Option<Instant>)>,
    next: u64,
    /// Which connection wants a turn when.
    timers: BTreeSet<(Instant, u64)>,
    buffer: Vec<u8>,
}

impl Relay {
    fn new(server: SocketAddr, listeners: Vec<OwnedFd>, end: OwnedFd, most: usize) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("making an event loop")?;
        let told = epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN);
        told.context("watching for the end")?;
        let mut relay = Self {
            epoll,
            server,
            end,
            listeners,
            accepts: false,
            pause: None,
            ending: false,
            most,
            connections: HashMap::new(),
            next: LISTENERS + 1,
            timers: BTreeSet::new(),
            buffer: vec![0; BUFFER],
        };
        relay.heed(Instant::now());
        Ok(relay)
    }

    /// Serves until the process is told to end, and accepts nobody from then on.
    fn until_told(&mut self) -> Result<()> {
        while !self.ending {
            self.step()?;
        }
        Ok(())
    }

    /// Serves until each connection has had its answer.
    fn until_answered(&mut self) -> Result<()> {
        while !self.connections.is_empty() {
            self.step()?;
        }
        Ok(())
    }

    /// Waits until something can go on, and has it go on.
    fn step(&mut self) -> Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(BATCH);
        let timeout = self.timeout();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("waiting for connections"),
        }
        let now = Instant::now();
        let told = |number: u64| events.iter().any(|event| event.data.u64() == number);
        let (end, clients) = (told(END), told(LISTENERS));
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
        self.heed(now);
        Ok(())
    }

    /// How long nothing happens by itself.
    fn timeout(&self) -> Option<Timespec> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let next = timer.into_iter().chain(self.pause).min()?;
        let left = next.saturating_duration_since(Instant::now());
        Timespec::try_from(left).ok()
    }

    /// One connection goes on, or is over.
    fn turn(&mut self, number: u64, ready: Option<(Side, EventFlags)>, now: Instant) {
        let Some((connection, timer)) = self.connections.get_mut(&number) else {
            return;
        };
        let mut turn = Step {
            server: self.server,
            now,
            ending: self.ending,
            buffer: &mut self.buffer,
        };
        let data = |side| match side {
            Side::Client => number,
            Side::Server => number + 1,
        };
        // One connection's error ends no other.
        let goes_on =
            connection.turn(ready, &mut turn) && connection.watch(&self.epoll, data).is_ok();
        let wanted = connection.deadline(self.ending).filter(|_| goes_on);
        let before = std::mem::replace(timer, wanted);
        if before != wanted {
            if let Some(at) = before {
                self.timers.remove(&(at, number));
            }
            if let Some(at) = wanted {
                self.timers.insert((at, number));
            }
        }
        if !goes_on {
            self.connections.remove(&number);
        }
    }

    /// Takes in who waits.
    ///
    /// Without EPOLLEXCLUSIVE: who is told alone and ends before it accepts would leave a client
    /// that nobody else was told of. That others took it is the cheaper surprise.
    fn accept(&mut self, now: Instant) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for index in 0..self.listeners.len() {
            for _ in 0..BATCH {
                let Some(listener) = self.listeners.get(index) else {
                    return;
                };
                if self.connections.len() >= self.most {
                    return;
                }
                match accept_with(listener, flags) {
                    Ok(client) => {
                        let number = self.next;
                        self.next += 2;
                        let connection = Connection::new(client, now);
                        self.connections.insert(number, (connection, None));
                        self.turn(number, None, now);
                    }
                    Err(Errno::AGAIN) => break,
                    // The client has gone.
                    Err(Errno::INTR | Errno::CONNABORTED) => {}
                    // As when there are too many open files: others wait.
                    Err(_) => {
                        self.pause = Some(now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    /// Has the loop tell of clients while there is room for them.
    fn heed(&mut self, now: Instant) {
        let room = self.connections.len() < self.most;
        let wanted = room && self.pause.is_none() && !self.ending;
        if wanted == self.accepts {
            return;
        }
        let data = EventData::new_u64(LISTENERS);
        let add = |one: &OwnedFd| epoll::add(&self.epoll, one, data, EventFlags::IN);
        self.accepts = wanted && self.listeners.iter().all(|one| add(one).is_ok());
        if !self.accepts {
            for listener in &self.listeners {
                // It may not have been there.
                let _ = epoll::delete(&self.epoll, listener);
            }
            // The kernel may have memory for it later.
            self.pause = self.pause.or(wanted.then(|| now + ACCEPT_PAUSE));
        }
    }

    /// Accepts nobody any more, and looks at each connection whether it may end.
    fn stop(&mut self, now: Instant) {
        self.ending = true;
        // It stays readable; there is nothing more to be told.
        let _ = epoll::delete(&self.epoll, &self.end);
        // A listener is in the loop for as long as anybody has it, not only this process.
        self.heed(now);
        // Never shutdown(2): the listener is systemd's and others accept from it.
        self.listeners.clear();
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.turn(number, None, now);
        }
    }
}
