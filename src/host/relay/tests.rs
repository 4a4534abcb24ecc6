//! The loop over real sockets of the loopback address.

use super::{MAX_CONNECTIONS, Relay};
use crate::host::wait_until;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);
pub(super) const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(super) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A relay in a thread, as systemd would have started it.
struct Running {
    address: SocketAddr,
    /// The other side is told by what is written here.
    end: UnixStream,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn before(server: SocketAddr, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, told) = UnixStream::pair().unwrap();
        let relay = Relay::new(server, vec![listener.into()], told.into(), most).unwrap();
        Self {
            address,
            end,
            thread: run(relay),
        }
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn tell(&mut self) {
        self.end.write_all(b"x").unwrap();
        // Once nobody listens there, it has been heard.
        let gone = || TcpStream::connect(self.address).map_or(Ok(()), |_| Err(()));
        wait_until(LONG, gone).unwrap();
    }

    fn ends(self) {
        drop(self.end);
        self.thread.join().unwrap().unwrap();
    }
}

fn run(mut relay: Relay) -> JoinHandle<anyhow::Result<()>> {
    std::thread::spawn(move || {
        relay.until_told()?;
        relay.until_answered()
    })
}

pub(super) fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Serves each connection in a thread of its own.
fn serve(listener: TcpListener, with: fn(TcpStream)) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || with(stream));
        }
    });
}

fn echo(mut stream: TcpStream) {
    let mut own = stream.try_clone().unwrap();
    std::io::copy(&mut stream, &mut own).unwrap();
}

pub(super) fn hear(stream: &mut impl Read, what: &[u8]) {
    let mut heard = vec![0; what.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, what);
}

pub(super) fn hear_end(stream: &mut impl Read) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// Bytes that show when some are missing, twice there or in another order.
pub(super) fn pattern(count: usize) -> Vec<u8> {
    let bytes = (0..count).map(|index| (index * 7 + index / 251) % 256);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

#[test]
fn many_talk_at_once() {
    let (listener, address) = server();
    serve(listener, echo);
    let relay = Running::before(address, MAX_CONNECTIONS);
    let mut clients: Vec<TcpStream> = (0..200).map(|_| relay.dial()).collect();
    for round in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            write!(client, "{round:04} {index:04}").unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate().rev() {
            hear(client, format!("{round:04} {index:04}").as_bytes());
        }
    }
    drop(clients);
    relay.ends();
}

/// More than all buffers on the way hold, both ways at once, and a client that reads only after
/// it has written: nothing is lost, and nobody else waits.
#[test]
fn a_slow_reader_holds_up_nobody_and_loses_nothing() {
    let (listener, address) = server();
    let relay = Running::before(address, MAX_CONNECTIONS);
    let bytes = pattern(24 << 20);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    let (sent, answered) = (bytes.clone(), bytes.clone());
    let mut far_writes = far.try_clone().unwrap();
    let down = std::thread::spawn(move || {
        far_writes.write_all(&answered).unwrap();
        far_writes.shutdown(Shutdown::Write).unwrap();
    });
    // The way down is full: the server's bytes do not go out any more.
    let first = wait_until(LONG, || match client.peek(&mut [0]) {
        Ok(1) => Ok(()),
        _ => Err(()),
    });
    first.unwrap();
    let mut other = relay.dial();
    let mut other_far = accept(&listener);
    other.write_all(ASK).unwrap();
    hear(&mut other_far, ASK);
    other_far.write_all(ANSWER).unwrap();
    hear(&mut other, ANSWER);
    let mut client_writes = client.try_clone().unwrap();
    let up = std::thread::spawn(move || {
        client_writes.write_all(&sent).unwrap();
        client_writes.shutdown(Shutdown::Write).unwrap();
    });
    let mut came = Vec::new();
    far.read_to_end(&mut came).unwrap();
    assert!(came == bytes, "{} bytes came up", came.len());
    came.clear();
    client.read_to_end(&mut came).unwrap();
    assert!(came == bytes, "{} bytes came down", came.len());
    up.join().unwrap();
    down.join().unwrap();
    drop((other, other_far));
    relay.ends();
}

#[test]
fn each_side_hears_that_the_other_has_said_all() {
    let (listener, address) = server();
    let relay = Running::before(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    far.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    heard.clear();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "answer");
    relay.ends();
}

/// Whoever waits for an answer gets it, and whoever has it and is kept is let go.
#[test]
fn the_end_waits_for_answers_and_for_nothing_else() {
    let (listener, address) = server();
    let mut relay = Running::before(address, MAX_CONNECTIONS);
    let mut kept = relay.dial();
    let mut kept_far = accept(&listener);
    kept.write_all(ASK).unwrap();
    hear(&mut kept_far, ASK);
    kept_far.write_all(ANSWER).unwrap();
    hear(&mut kept, ANSWER);
    let mut slow = relay.dial();
    let mut slow_far = accept(&listener);
    slow.write_all(ASK).unwrap();
    hear(&mut slow_far, ASK);
    let (half, rest) = ANSWER.split_at(20);
    slow_far.write_all(half).unwrap();
    hear(&mut slow, half);
    relay.tell();
    hear_end(&mut kept);
    hear_end(&mut kept_far);
    assert!(!relay.thread.is_finished());
    slow_far.write_all(rest).unwrap();
    hear(&mut slow, rest);
    hear_end(&mut slow);
    relay.ends();
}

/// What announces an answer is none.
#[test]
fn an_answer_that_was_only_announced_is_waited_for() {
    let (listener, address) = server();
    let mut relay = Running::before(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    let (ask, hint) = (
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    );
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    client.write_all(ask).unwrap();
    hear(&mut far, ask);
    far.write_all(hint).unwrap();
    hear(&mut client, hint);
    relay.tell();
    far.write_all(answer).unwrap();
    hear(&mut client, answer);
    hear_end(&mut client);
    relay.ends();
}

/// Its bytes do not tell whether an answer is owed: a second of silence does.
#[test]
fn at_the_end_silence_ends_what_is_no_http() {
    let (listener, address) = server();
    let mut relay = Running::before(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"hello\n").unwrap();
    hear(&mut far, b"hello\n");
    far.write_all(b"+PONG\r\n").unwrap();
    hear(&mut client, b"+PONG\r\n");
    let start = Instant::now();
    relay.tell();
    hear_end(&mut client);
    assert!(start.elapsed() > Duration::from_millis(800), "{start:?}");
    relay.ends();
}

/// It answers before it has read all, and closes: the answer arrives, though bytes that it never
/// read turn its end into a reset.
#[test]
fn a_server_that_closes_early_is_heard() {
    let (listener, address) = server();
    let relay = Running::before(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    hear(&mut far, b"POST / HTTP/1.1\r\n");
    far.write_all(ANSWER).unwrap();
    drop(far);
    hear(&mut client, ANSWER);
    hear_end(&mut client);
    // Its further bytes are of no use, and do no harm.
    client.write_all(&pattern(100_000)).unwrap();
    hear_end(&mut client);
    drop(client);
    relay.ends();
}

#[test]
fn a_client_that_vanishes_ends_its_connection_only() {
    let (listener, address) = server();
    let relay = Running::before(address, MAX_CONNECTIONS);
    let mut other = relay.dial();
    let mut other_far = accept(&listener);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    far.write_all(ANSWER).unwrap();
    hear(&mut client, &ANSWER[..5]);
    // What it has not read makes a reset of its end.
    drop(client);
    hear_end(&mut far);
    // Nobody takes them: the server hears of it, some bytes later.
    let bytes = pattern(1 << 16);
    wait_until(LONG, || far.write_all(&bytes).map_or(Ok(()), |()| Err(()))).unwrap();
    other.write_all(ASK).unwrap();
    hear(&mut other_far, ASK);
    drop((other, other_far));
    relay.ends();
}

/// The rest waits in the queue of the listener, from where another process could take them.
#[test]
fn more_than_the_most_wait_for_room() {
    let (listener, address) = server();
    let relay = Running::before(address, 2);
    let mut clients: Vec<TcpStream> = (0..3).map(|_| relay.dial()).collect();
    let mut far: Vec<TcpStream> = (0..2).map(|_| accept(&listener)).collect();
    let mut third = clients.pop().unwrap();
    third.write_all(ASK).unwrap();
    for (client, far) in clients.iter_mut().zip(&mut far) {
        client.write_all(ASK).unwrap();
        hear(far, ASK);
    }
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    drop((clients, far));
    hear(&mut accept(&listener), ASK);
    drop(third);
    relay.ends();
}

/// Several listeners, of which one is a unix socket; another process takes from the same.
#[test]
fn a_listener_that_is_shared_goes_on_when_the_relay_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let unix = UnixListener::bind(&path).unwrap();
    unix.set_nonblocking(true).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let shared = unix.try_clone().unwrap();
    let (far, address) = server();
    serve(far, echo);
    let (end, told) = UnixStream::pair().unwrap();
    let listeners = vec![unix.into(), tcp.into()];
    let thread = run(Relay::new(address, listeners, told.into(), MAX_CONNECTIONS).unwrap());
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"over a file").unwrap();
    hear(&mut client, b"over a file");
    client.shutdown(Shutdown::Write).unwrap();
    hear_end(&mut client);
    drop(end);
    thread.join().unwrap().unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    shared.accept().unwrap();
}
