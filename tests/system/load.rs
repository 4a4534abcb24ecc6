//! Clients that ask a server 5 ms after each answer, and a record of what each of them got.
//!
//! The machine has a network of its own, so the test program itself runs inside as `system load
//! ADDRESS CLIENTS`. Each line on its standard input names the next phase. At the end of the input,
//! the load ends and its tally is printed. CLIENTS is a number of clients that make a connection
//! for each request, or `fresh=8,kept=2,idle=2,slow=2`:
//!
//! | kind | asks |
//! |---|---|
//! | `fresh` | `/` over a new connection each time |
//! | `hard` | the same without the 5 ms: as fast as the server answers |
//! | `kept` | `/` over a connection that it keeps |
//! | `idle` | `/` over a connection that it keeps, after a pause of 50 ms |
//! | `slow` | `/slow`, which takes two seconds, over a new connection each time |
//!
//! A server may close a kept connection while no request is open (RFC 9112, 9.5). If the client
//! notices that before it asks, it makes a new connection, counted as `closed`. If it asks at that
//! very moment, it gets no answer and asks again (RFC 9110, 9.2.2), counted as `crossed`; a client
//! that does not retry would see an error. Everything else is a failure, counted by its kind.

use crate::machine::Machine;
use crate::tally::Tally;
use std::collections::BTreeMap;
use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

/// A client gives up after this time: a hang is a failure, a slow answer on a busy host is not.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How a client sends requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fresh,
    Hard,
    Kept,
    Idle,
    Slow,
}

impl Kind {
    /// How long it waits before each request.
    fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Idle => 50,
            Self::Hard => 0,
            Self::Fresh | Self::Kept | Self::Slow => 5,
        })
    }
}

/// Every client's kind, from `8` or `fresh=8,kept=2,idle=2,slow=2`.
fn kinds(text: &str) -> Vec<Kind> {
    if let Ok(count) = text.parse() {
        return vec![Kind::Fresh; count];
    }
    let mut out = Vec::new();
    for part in text.split(',') {
        let (word, count) = part.split_once('=').expect("KIND=COUNT");
        let kind = match word {
            "fresh" => Kind::Fresh,
            "hard" => Kind::Hard,
            "kept" => Kind::Kept,
            "idle" => Kind::Idle,
            "slow" => Kind::Slow,
            _ => panic!("`{word}` is not a kind of client"),
        };
        out.resize(out.len() + count.parse::<usize>().expect("a number"), kind);
    }
    out
}

/// The phases so far, each with its start time.
struct Phases(Vec<(String, Instant)>);

impl Phases {
    fn begin(&mut self, name: &str) {
        self.0.push((name.to_owned(), Instant::now()));
    }

    /// The current phase.
    fn now(&self) -> usize {
        self.0.len() - 1
    }

    /// A phase is at rest if its name without the number is `rest`.
    fn is_rest(&self, at: usize) -> bool {
        self.0[at].0.split(' ').next() == Some("rest")
    }

    /// The phase that is responsible for a request that was made in the phase `asked` and ends now.
    /// If it began at rest and was still open when a change started, the change delayed it, even if
    /// it ends much later.
    fn responsible_phase(&self, asked: usize) -> &(String, Instant) {
        let mut after = asked..self.0.len();
        &self.0[after.find(|at| !self.is_rest(*at)).unwrap_or(asked)]
    }
}

/// Runs the load until standard input ends, then prints the tally of every phase as JSON.
pub fn generate(address: &str, clients: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    let stopped = AtomicBool::new(false);
    let mut first = Phases(Vec::new());
    first.begin("rest");
    let phases = RwLock::new(first);
    let tallies: Mutex<BTreeMap<String, Tally>> = Mutex::default();
    let client = |kind: Kind| {
        let mut connection = None;
        while !stopped.load(Ordering::Relaxed) {
            std::thread::sleep(kind.pause());
            let asked = phases.read().unwrap().now();
            let start = Instant::now();
            let outcome = ask(address, kind, &mut connection);
            let took = start.elapsed();
            let (name, begun) = phases.read().unwrap().responsible_phase(asked).clone();
            let after = start.saturating_duration_since(begun);
            let mut tallies = tallies.lock().unwrap();
            outcome.count(tallies.entry(name).or_default(), kind, took, after);
        }
    };
    std::thread::scope(|scope| {
        for kind in kinds(clients) {
            scope.spawn(move || client(kind));
        }
        for line in std::io::stdin().lock().lines() {
            phases.write().unwrap().begin(&line.unwrap());
        }
        stopped.store(true, Ordering::Relaxed);
    });
    println!(
        "{}",
        serde_json::to_string(&*tallies.lock().unwrap()).unwrap()
    );
}

/// The outcome of one request.
struct RequestOutcome {
    closed: bool,
    crossed: bool,
    answer: Result<String, String>,
}

impl RequestOutcome {
    fn count(self, tally: &mut Tally, kind: Kind, took: Duration, after: Duration) {
        tally.closed += usize::from(self.closed);
        tally.crossed += usize::from(self.crossed);
        match self.answer {
            Ok(body) => {
                tally.answered += 1;
                *tally.bodies.entry(body).or_default() += 1;
                let millis = took.as_millis();
                if kind == Kind::Slow {
                    tally.slowest_slow_ms = tally.slowest_slow_ms.max(millis);
                } else {
                    tally.slower(millis, after.as_millis());
                    let tenths = u64::try_from(took.as_micros() / 100).unwrap_or(u64::MAX);
                    *tally.times.entry(tenths).or_default() += 1;
                }
            }
            Err(what) => *tally.failed.entry(what).or_default() += 1,
        }
    }
}

fn ask(address: SocketAddr, kind: Kind, kept: &mut Option<TcpStream>) -> RequestOutcome {
    let mut outcome = RequestOutcome {
        closed: false,
        crossed: false,
        answer: Err(String::new()),
    };
    if let Some(stream) = kept.take() {
        if is_closed(&stream) {
            outcome.closed = true;
        } else {
            let from = port(&stream);
            match exchange(stream, kind, kept) {
                Err(Failure {
                    received: 0,
                    what: "reset" | "closed",
                }) => outcome.crossed = true,
                Err(failure) => {
                    outcome.answer = Err(failure.report(from));
                    return outcome;
                }
                Ok(body) => {
                    outcome.answer = Ok(body);
                    return outcome;
                }
            }
        }
    }
    outcome.answer = match TcpStream::connect_timeout(&address, REQUEST_TIMEOUT) {
        Ok(stream) => {
            let from = port(&stream);
            exchange(stream, kind, kept).map_err(|failure| failure.report(from))
        }
        Err(error) => Err(format!("connecting: {}", error_name(&error))),
    };
    outcome
}

/// The port that a request comes from.
fn port(stream: &TcpStream) -> u16 {
    stream.local_addr().map_or(0, |from| from.port())
}

/// Whether the server has closed a connection on which no request is open.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let outcome = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Why there is no complete answer.
struct Failure {
    /// The number of bytes that arrived.
    received: usize,
    what: &'static str,
}

impl Failure {
    /// Prints the machine and the port, by which the server's own messages can be found.
    fn report(&self, port: u16) -> String {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        eprintln!("load: {} port {port}: {}", machine.trim(), self.message());
        self.message()
    }

    fn message(&self) -> String {
        match self.received {
            0 => self.what.to_owned(),
            _ => format!("{} in the middle of the answer", self.what),
        }
    }
}

fn error_name(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "hung",
        _ => "another error",
    }
}

/// One request and its answer. The connection is kept if both sides want that.
fn exchange(
    mut stream: TcpStream,
    kind: Kind,
    kept: &mut Option<TcpStream>,
) -> Result<String, Failure> {
    let keep = matches!(kind, Kind::Kept | Kind::Idle);
    let path = if kind == Kind::Slow { "/slow" } else { "/" };
    let connection = if keep { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: {connection}\r\n\r\n");
    let failed = |received: usize, error: &std::io::Error| Failure {
        received,
        what: error_name(error),
    };
    stream
        .set_nodelay(true)
        .map_err(|error| failed(0, &error))?;
    stream
        .set_read_timeout(Some(REQUEST_TIMEOUT))
        .map_err(|error| failed(0, &error))?;
    stream
        .write_all(request.as_bytes())
        .map_err(|error| failed(0, &error))?;
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some((status, body, more)) = complete_response(&text, false) {
            if keep && more {
                *kept = Some(stream);
            }
            return body_or_failure(status, body);
        }
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(&part[..count]),
            Err(error) => return Err(failed(text.len(), &error)),
        }
    }
    // Without a length, the end of the connection is the end of the answer.
    match complete_response(&text, true) {
        Some((status, body, _)) => body_or_failure(status, body),
        None => Err(Failure {
            received: text.len(),
            what: "closed",
        }),
    }
}

fn body_or_failure(status: u16, body: String) -> Result<String, Failure> {
    match status {
        200 => Ok(body),
        _ => Err(Failure {
            received: 0,
            what: "a wrong status",
        }),
    }
}

/// Returns status, body and whether the connection stays open, once the answer is complete.
fn complete_response(text: &[u8], ended: bool) -> Option<(u16, String, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(text) else {
        return None;
    };
    let value = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    let rest = &text[head..];
    let body = match value("content-length").and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if rest.len() >= length => &rest[..length],
        None if ended => rest,
        _ => return None,
    };
    let stays = response.version == Some(1) && value("connection").as_deref() != Some("close");
    let body = String::from_utf8_lossy(body).trim().to_owned();
    Some((response.code.unwrap_or(0), body, stays))
}

/// A load that runs inside a machine.
pub struct Load {
    child: Child,
    stdin: ChildStdin,
}

impl Load {
    /// Starts the load in a session of its own. `clients` is as on the command line.
    pub fn start(machine: &Machine, address: &str, clients: &str) -> Self {
        let mut child = machine
            .long_command(&["setsid", "--wait", "system", "load", address, clients])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin }
    }

    /// Starts another phase: `rest`, or the name of a change; either may have a number after a
    /// space. Requests that were made at rest and are still open count for the change.
    pub fn phase(&mut self, name: &str) {
        writeln!(self.stdin, "{name}").unwrap();
    }

    /// Ends the load and returns the tallies by phase.
    pub fn stop(self) -> BTreeMap<String, Tally> {
        drop(self.stdin);
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "the load failed: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
