//! Clients with long-lived connections, and how often each of them is cut: `system streams ADDRESS
//! SSE WS`, two numbers of clients. They end, and their record is printed, at the end of the input.
//!
//! | kind | asks | the server's own close |
//! |---|---|---|
//! | `events` | `/events`: server-sent events | the last chunk (RFC 9112, 7.1) |
//! | `sockets` | `/socket`: a WebSocket | a close frame (RFC 6455, 5.5.1) |
//!
//! A client connects again at once.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server that sends nothing for this long hangs. It sends something five times a second.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a client that waits looks whether it may end.
const LOOK: Duration = Duration::from_millis(100);

/// What the clients of one kind got.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Streams {
    /// How often each client was cut.
    pub cuts: Vec<usize>,
    /// How many of these cuts were the server's own close.
    pub closed: usize,
    /// Connections that brought no answer, by what was wrong.
    pub failed: BTreeMap<String, usize>,
}

impl Streams {
    pub fn total(&self) -> usize {
        self.cuts.iter().sum()
    }

    /// How often the client was cut that was cut most often.
    pub fn most(&self) -> usize {
        self.cuts.iter().copied().max().unwrap_or(0)
    }
}

/// What the clients of both kinds got.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AllStreams {
    pub events: Streams,
    pub sockets: Streams,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Sockets,
}

/// How a connection ended.
enum Ended {
    /// This program ends.
    Stopped,
    /// It brought no answer.
    Failed(String),
    /// It was cut, by the server's own close or without it.
    Cut { closed: bool },
}

/// The connections that have brought something, for the caller that waits until all have.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Runs the clients until standard input ends, then prints what they got as JSON.
pub fn run(address: &str, events: &str, sockets: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    let [events, sockets] = [events, sockets].map(|count| count.parse::<usize>().unwrap());
    let mut all = AllStreams::default();
    std::thread::scope(|scope| {
        let start = |kind, count| -> Vec<_> {
            let clients = 0..count;
            clients
                .map(|_| scope.spawn(move || client(address, kind)))
                .collect()
        };
        let running = [start(Kind::Events, events), start(Kind::Sockets, sockets)];
        while OPEN.load(Ordering::SeqCst) < events + sockets {
            std::thread::sleep(LOOK);
        }
        println!("connected");
        std::io::stdin()
            .lock()
            .read_to_end(&mut Vec::new())
            .unwrap();
        STOPPED.store(true, Ordering::SeqCst);
        let [events, sockets] = running.map(|clients| {
            let mut sum = Streams::default();
            for client in clients {
                let one = client.join().unwrap();
                sum.cuts.extend(one.cuts);
                sum.closed += one.closed;
                for (what, count) in one.failed {
                    *sum.failed.entry(what).or_default() += count;
                }
            }
            sum
        });
        all = AllStreams { events, sockets };
    });
    println!("{}", serde_json::to_string(&all).unwrap());
}

fn client(address: SocketAddr, kind: Kind) -> Streams {
    let mut out = Streams {
        cuts: vec![0],
        ..Streams::default()
    };
    loop {
        match connection(address, kind) {
            Ended::Stopped => return out,
            Ended::Failed(what) => *out.failed.entry(what).or_default() += 1,
            Ended::Cut { closed } => {
                out.cuts[0] += 1;
                out.closed += usize::from(closed);
            }
        }
        if STOPPED.load(Ordering::SeqCst) {
            return out;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One connection, until it ends.
fn connection(address: SocketAddr, kind: Kind) -> Ended {
    let (path, more) = match kind {
        Kind::Events => ("/events", ""),
        Kind::Sockets => (
            "/socket",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
    };
    let mut stream = match TcpStream::connect_timeout(&address, SILENCE) {
        Ok(stream) => stream,
        Err(error) => return Ended::Failed(format!("connecting: {:?}", error.kind())),
    };
    stream.set_read_timeout(Some(LOOK)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: streams\r\n{more}\r\n");
    if let Err(error) = stream.write_all(request.as_bytes()) {
        return Ended::Failed(format!("asking: {:?}", error.kind()));
    }
    let mut text = Vec::new();
    let mut part = [0; 4096];
    let mut heard = Instant::now();
    let mut is_open = false;
    let error = loop {
        match stream.read(&mut part) {
            Ok(0) => break "the end".to_owned(),
            Ok(count) => {
                heard = Instant::now();
                text.extend_from_slice(&part[..count]);
                if !is_open && has_begun(&text, kind) {
                    is_open = true;
                    OPEN.fetch_add(1, Ordering::SeqCst);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if heard.elapsed() > SILENCE {
                    break "silence".to_owned();
                }
            }
            Err(error) => break format!("{:?}", error.kind()),
        }
        if STOPPED.load(Ordering::SeqCst) {
            return Ended::Stopped;
        }
        // What came long ago says nothing about the end.
        if is_open && text.len() > 1 << 16 {
            text.drain(..1 << 15);
        }
    };
    if !is_open {
        return Ended::Failed(format!("{error} after {} bytes", text.len()));
    }
    Ended::Cut {
        closed: match kind {
            Kind::Events => text.ends_with(b"0\r\n\r\n"),
            Kind::Sockets => has_close_frame(&text),
        },
    }
}

/// Whether the head of the right answer has arrived, and something after it.
fn has_begun(text: &[u8], kind: Kind) -> bool {
    let status: &[u8] = match kind {
        Kind::Events => b"HTTP/1.1 200 ",
        Kind::Sockets => b"HTTP/1.1 101 ",
    };
    let mut parts = text.windows(4).enumerate();
    let head = parts.find(|(_, part)| part == b"\r\n\r\n");
    text.starts_with(status) && head.is_some_and(|(at, _)| text.len() > at + 4)
}

/// Whether the text ends with a close frame. The frames of the test's servers hold a version, so the
/// byte 0x88 can only begin one.
fn has_close_frame(text: &[u8]) -> bool {
    text.iter().rev().take(130).any(|byte| *byte == 0x88)
}

/// Clients inside a machine.
pub struct StreamClients {
    child: Child,
    stdin: ChildStdin,
}

impl StreamClients {
    /// Starts the clients and waits until all are connected.
    pub fn start(machine: &Machine, address: &str, events: usize, sockets: usize) -> Self {
        use std::io::BufRead as _;
        let counts = [events, sockets].map(|count| count.to_string());
        let command = ["setsid", "--wait", "system", "streams", address];
        let mut child = machine
            .long_command(&[&command[..], &[&counts[0], &counts[1]]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = Vec::new();
        let stdout = child.stdout.as_mut().unwrap();
        // Byte by byte: what comes after the line is read at the end.
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert_eq!(
            line.as_slice().lines().next().unwrap().unwrap(),
            "connected"
        );
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin }
    }

    /// Ends the clients. Returns what they got.
    pub fn stop(self) -> AllStreams {
        drop(self.stdin);
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "the clients failed: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
