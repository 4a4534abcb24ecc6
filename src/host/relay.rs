//! Passing bytes between clients and a server that cannot take a socket over.
//!
//! `systemd-socket-proxyd` does the same, and drops every connection when it is stopped. This
//! one stops accepting, and ends once each connection has been answered: the listener stays
//! with systemd, so that others accept meanwhile.

use super::activation::{Inherited, Peer, notify_ready, notify_stopping};
use super::answers::Answers;
use super::wait_until;
use anyhow::{Context as _, Result, bail};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server that is just being restarted is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a connection looks whether the end has come.
const TICK: Duration = Duration::from_millis(100);
/// At the end, a connection that says nothing for this long is closed where its bytes do not
/// tell whether an answer is owed.
const SILENCE: Duration = Duration::from_secs(1);
/// More connections than this wait in the listener's queue.
const MOST: usize = 512;
/// Each connection has two threads that only copy.
const STACK: usize = 128 * 1024;

/// Passes connections on to `server` until the process is told to end and all are answered.
///
/// # Errors
/// When systemd handed no listener over, or waiting fails.
pub fn relay(server: SocketAddr) -> Result<()> {
    let Some(inherited) = Inherited::take()? else {
        bail!("systemd handed no socket over: this is started by a socket unit");
    };
    let state = Arc::new(State::default());
    notify_ready()?;
    while let Some(peer) = inherited.accept()? {
        wait_until(PATIENCE, || {
            let free = state.open.load(Ordering::SeqCst) < MOST;
            if free { Ok(()) } else { Err(()) }
        })
        .ok();
        state.open.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&state);
        let pass = move || {
            // A client that goes away, or a server that does, ends its connection only.
            let _ = connection(peer, server, &shared);
            shared.open.fetch_sub(1, Ordering::SeqCst);
        };
        let thread = std::thread::Builder::new().stack_size(STACK);
        if thread.spawn(pass).is_err() {
            state.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
    // Never shutdown(2): the listener is systemd's and others accept from it.
    drop(inherited);
    notify_stopping();
    state.ending.store(true, Ordering::SeqCst);
    // The stop timeout of the unit ends what lasts longer.
    while state.open.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct State {
    ending: AtomicBool,
    open: AtomicUsize,
}

/// What goes on on one connection.
#[derive(Debug)]
struct Talk {
    answers: Answers,
    /// An answer is owed, as far as one can tell.
    owed: bool,
    /// The client has sent something.
    asked: bool,
    /// When bytes passed last.
    last: Instant,
}

impl Talk {
    /// What was just accepted carries a request, or will in a moment.
    fn new() -> Self {
        Self {
            answers: Answers::default(),
            owed: true,
            asked: false,
            last: Instant::now(),
        }
    }

    fn client_said(&mut self, bytes: &[u8]) {
        // Its answer has a length and no body.
        if bytes.starts_with(b"HEAD ") {
            self.answers.give_up();
        }
        self.asked = true;
        self.owed = true;
        self.last = Instant::now();
    }

    fn server_said(&mut self, bytes: &[u8]) {
        self.answers.feed(bytes);
        self.owed = self.answers.are_whole() == Some(false);
        self.last = Instant::now();
    }

    /// Whether it can be closed and nobody misses an answer. Where the bytes do not tell where
    /// an answer ends, a pause does.
    fn may_end(&self) -> bool {
        let pause = self.last.elapsed();
        match self.answers.are_whole() {
            _ if !self.asked => pause > SILENCE,
            Some(_) => !self.owed,
            None => !self.owed && pause > SILENCE,
        }
    }
}

fn connection(client: Peer, server: SocketAddr, state: &State) -> Result<()> {
    let server = wait_until(PATIENCE, || TcpStream::connect(server))
        .with_context(|| format!("connecting to {server}"))?;
    server.set_nodelay(true)?;
    let server = Peer::Tcp(server);
    client.set_patience(TICK)?;
    server.set_patience(TICK)?;
    let talk = Mutex::new(Talk::new());
    let over = AtomicBool::new(false);
    let line = Line {
        talk: &talk,
        over: &over,
        state,
    };
    let (mut from_client, mut to_client) = (client.twin()?, client);
    let (mut from_server, mut to_server) = (server.twin()?, server);
    std::thread::scope(|scope| {
        let up = std::thread::Builder::new().stack_size(STACK);
        let up = up.spawn_scoped(scope, || {
            line.copy(&mut from_client, &mut to_server, Talk::client_said);
            to_server.finish();
        });
        if up.is_ok() {
            line.copy(&mut from_server, &mut to_client, Talk::server_said);
        }
        // The server has said all: nothing that the client adds can be answered.
        over.store(true, Ordering::SeqCst);
        to_client.finish();
    });
    Ok(())
}

/// What both directions of one connection share.
#[derive(Clone, Copy)]
struct Line<'a> {
    talk: &'a Mutex<Talk>,
    over: &'a AtomicBool,
    state: &'a State,
}

impl Line<'_> {
    /// Copies one direction until it ends, or the process does and no answer is owed.
    fn copy(&self, from: &mut Peer, to: &mut Peer, said: fn(&mut Talk, &[u8])) {
        let mut buffer = [0; 16 * 1024];
        while !self.ends() {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    if let Ok(mut talk) = self.talk.lock() {
                        said(&mut talk, bytes);
                    }
                    if self.write(to, bytes).is_err() {
                        return;
                    }
                }
                Err(error) if goes_on(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn ends(&self) -> bool {
        let ending = self.state.ending.load(Ordering::SeqCst);
        let may_end = || self.talk.lock().is_ok_and(|talk| talk.may_end());
        self.over.load(Ordering::SeqCst) || (ending && may_end())
    }

    /// Writes all of it, however slowly the other side reads, while the connection lives.
    fn write(&self, to: &mut Peer, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if goes_on(&error) && !self.over.load(Ordering::SeqCst) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Nothing came, or nothing went, within a tick.
fn goes_on(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
    )
}
