//! The loop over real sockets of the loopback address.

use super::{MAX_CONNECTIONS, Relay};
use crate::host::wait_until;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const TEST_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A relay in a thread, as systemd would start it.
struct Running {
    address: SocketAddr,
    /// Data or the end of this stream ends the relay.
    end: UnixStream,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start(server: SocketAddr, max_connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, signal) = UnixStream::pair().unwrap();
        let listeners = vec![listener.into()];
        let relay = Relay::new(server, listeners, signal.into(), max_connections).unwrap();
        Self {
            address,
            end,
            thread: run(relay),
        }
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
        stream
    }

    fn signal(&mut self) {
        self.signal_with(b"x");
    }

    fn signal_with(&mut self, bytes: &[u8]) {
        self.end.write_all(bytes).unwrap();
        // The relay has seen the signal when it does not listen any more.
        let gone = || TcpStream::connect(self.address).map_or(Ok(()), |_| Err(()));
        wait_until(TEST_TIMEOUT, gone).unwrap();
    }

    fn stop(self) {
        drop(self.end);
        self.thread.join().unwrap().unwrap();
    }
}

fn run(mut relay: Relay) -> JoinHandle<anyhow::Result<()>> {
    std::thread::spawn(move || {
        relay.run_until_signal()?;
        relay.finish()
    })
}

pub(super) fn server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}

/// Serves each connection in its own thread.
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

pub(super) fn expect(stream: &mut impl Read, what: &[u8]) {
    let mut received = vec![0; what.len()];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(received, what);
}

pub(super) fn expect_end(stream: &mut impl Read) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// Bytes in which a missing, doubled or moved part shows.
pub(super) fn pattern(count: usize) -> Vec<u8> {
    let bytes = (0..count).map(|index| (index * 7 + index / 251) % 256);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

#[test]
fn many_connections_are_served_at_once() {
    let (listener, address) = server();
    serve(listener, echo);
    let relay = Running::start(address, MAX_CONNECTIONS);
    let mut clients: Vec<TcpStream> = (0..200).map(|_| relay.dial()).collect();
    for round in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            write!(client, "{round:04} {index:04}").unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate().rev() {
            expect(client, format!("{round:04} {index:04}").as_bytes());
        }
    }
    drop(clients);
    relay.stop();
}

/// More bytes than all buffers on the way hold, in both directions at once, and a client that reads
/// only after it has written: no byte is lost, and no other client waits.
#[test]
fn a_slow_reader_does_not_lose_bytes_or_delay_others() {
    let (listener, address) = server();
    let relay = Running::start(address, MAX_CONNECTIONS);
    let bytes = pattern(24 << 20);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    let (sent, response) = (bytes.clone(), bytes.clone());
    let mut far_writes = far.try_clone().unwrap();
    let down = std::thread::spawn(move || {
        far_writes.write_all(&response).unwrap();
        far_writes.shutdown(Shutdown::Write).unwrap();
    });
    // Now the buffers to the client are full.
    let first = wait_until(TEST_TIMEOUT, || match client.peek(&mut [0]) {
        Ok(1) => Ok(()),
        _ => Err(()),
    });
    first.unwrap();
    let mut other = relay.dial();
    let mut other_far = accept(&listener);
    other.write_all(REQUEST).unwrap();
    expect(&mut other_far, REQUEST);
    other_far.write_all(RESPONSE).unwrap();
    expect(&mut other, RESPONSE);
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
    relay.stop();
}

#[test]
fn each_side_sees_that_the_other_has_finished() {
    let (listener, address) = server();
    let relay = Running::start(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    far.read_to_string(&mut received).unwrap();
    assert_eq!(received, "question");
    far.write_all(b"answer").unwrap();
    drop(far);
    received.clear();
    client.read_to_string(&mut received).unwrap();
    assert_eq!(received, "answer");
    relay.stop();
}

/// A client that waits for a response gets it; an idle connection is closed.
#[test]
fn the_end_waits_only_for_responses() {
    let (listener, address) = server();
    let mut relay = Running::start(address, MAX_CONNECTIONS);
    let mut kept = relay.dial();
    let mut kept_far = accept(&listener);
    kept.write_all(REQUEST).unwrap();
    expect(&mut kept_far, REQUEST);
    kept_far.write_all(RESPONSE).unwrap();
    expect(&mut kept, RESPONSE);
    let mut slow = relay.dial();
    let mut slow_far = accept(&listener);
    slow.write_all(REQUEST).unwrap();
    expect(&mut slow_far, REQUEST);
    let (half, rest) = RESPONSE.split_at(20);
    slow_far.write_all(half).unwrap();
    expect(&mut slow, half);
    relay.signal();
    expect_end(&mut kept);
    expect_end(&mut kept_far);
    assert!(!relay.thread.is_finished());
    slow_far.write_all(rest).unwrap();
    expect(&mut slow, rest);
    expect_end(&mut slow);
    relay.stop();
}

/// An interim response is not the response.
#[test]
fn the_end_waits_for_the_response_after_an_interim_one() {
    let (listener, address) = server();
    let mut relay = Running::start(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    let (request, hint) = (
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    );
    let response = b"HTTP/1.1 204 No Content\r\n\r\n";
    client.write_all(request).unwrap();
    expect(&mut far, request);
    far.write_all(hint).unwrap();
    expect(&mut client, hint);
    relay.signal();
    far.write_all(response).unwrap();
    expect(&mut client, response);
    expect_end(&mut client);
    relay.stop();
}

/// A relay with a connection of another protocol, on which both sides have sent something.
fn without_http() -> (Running, TcpStream, TcpStream) {
    let (listener, address) = server();
    let relay = Running::start(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"hello\n").unwrap();
    expect(&mut far, b"hello\n");
    far.write_all(b"+PONG\r\n").unwrap();
    expect(&mut client, b"+PONG\r\n");
    (relay, client, far)
}

/// The bytes do not show whether a response is due, so a second of silence decides.
#[test]
fn at_the_end_silence_closes_a_connection_without_http() {
    let (mut relay, mut client, _far) = without_http();
    let start = Instant::now();
    relay.signal();
    expect_end(&mut client);
    assert!(start.elapsed() > Duration::from_millis(800), "{start:?}");
    relay.stop();
}

/// With another release in its place, the relay has time: only the end of the drain ends such a
/// connection.
#[test]
fn a_drain_keeps_a_silent_connection_without_http() {
    let (mut relay, mut client, mut far) = without_http();
    let sigint = 2_u32.to_ne_bytes();
    relay.signal_with(&sigint);
    let short = Some(Duration::from_millis(1500));
    client.set_read_timeout(short).unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    client.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    far.write_all(b"+PONG\r\n").unwrap();
    expect(&mut client, b"+PONG\r\n");
    // SIGTERM ends it after a silence.
    relay.end.write_all(b"x").unwrap();
    expect_end(&mut client);
    relay.stop();
}

/// The server responds and closes before it has read everything: the kernel sends a reset, and the
/// response arrives all the same.
#[test]
fn the_response_of_a_server_that_closes_early_arrives() {
    let (listener, address) = server();
    let relay = Running::start(address, MAX_CONNECTIONS);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    client.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    expect(&mut far, b"POST / HTTP/1.1\r\n");
    far.write_all(RESPONSE).unwrap();
    drop(far);
    expect(&mut client, RESPONSE);
    expect_end(&mut client);
    // Further bytes of the client are dropped.
    client.write_all(&pattern(100_000)).unwrap();
    expect_end(&mut client);
    drop(client);
    relay.stop();
}

#[test]
fn a_client_that_disappears_ends_only_its_connection() {
    let (listener, address) = server();
    let relay = Running::start(address, MAX_CONNECTIONS);
    let mut other = relay.dial();
    let mut other_far = accept(&listener);
    let mut client = relay.dial();
    let mut far = accept(&listener);
    far.write_all(RESPONSE).unwrap();
    expect(&mut client, &RESPONSE[..5]);
    // The client has unread bytes, so the kernel sends a reset.
    drop(client);
    expect_end(&mut far);
    // The server gets an error, some bytes later.
    let bytes = pattern(1 << 16);
    wait_until(TEST_TIMEOUT, || {
        far.write_all(&bytes).map_or(Ok(()), |()| Err(()))
    })
    .unwrap();
    other.write_all(REQUEST).unwrap();
    expect(&mut other_far, REQUEST);
    drop((other, other_far));
    relay.stop();
}

/// Others wait in the queue of the listener, from which another process could accept them.
#[test]
fn clients_beyond_the_limit_wait() {
    let (listener, address) = server();
    let relay = Running::start(address, 2);
    let mut clients: Vec<TcpStream> = (0..2).map(|_| relay.dial()).collect();
    let mut far: Vec<TcpStream> = (0..2).map(|_| accept(&listener)).collect();
    for (client, far) in clients.iter_mut().zip(&mut far) {
        client.write_all(REQUEST).unwrap();
        expect(far, REQUEST);
    }
    let mut third = relay.dial();
    third.write_all(REQUEST).unwrap();
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    drop((clients, far));
    expect(&mut accept(&listener), REQUEST);
    drop(third);
    relay.stop();
}

/// Clients that send nothing lock no other out, and what is in use is not ended for a new client.
#[test]
fn the_client_that_is_silent_longest_makes_room() {
    let (listener, address) = server();
    let relay = Running::start(address, 4);
    let mut busy = relay.dial();
    let mut busy_far = accept(&listener);
    busy.write_all(REQUEST).unwrap();
    expect(&mut busy_far, REQUEST);
    // This server speaks first.
    let mut greeted = relay.dial();
    let mut greeted_far = accept(&listener);
    greeted_far.write_all(b"220 ready").unwrap();
    expect(&mut greeted, b"220 ready");
    let mut silent: Vec<(TcpStream, TcpStream)> = Vec::new();
    for _ in 0..2 {
        let client = relay.dial();
        silent.push((client, accept(&listener)));
    }
    let mut kept = Vec::new();
    for (mut client, mut far) in silent {
        let mut next = relay.dial();
        next.write_all(REQUEST).unwrap();
        let mut next_far = accept(&listener);
        expect(&mut next_far, REQUEST);
        next_far.write_all(RESPONSE).unwrap();
        expect(&mut next, RESPONSE);
        // The oldest is ended, on both sides.
        expect_end(&mut client);
        expect_end(&mut far);
        kept.push((next, next_far));
    }
    busy_far.write_all(RESPONSE).unwrap();
    expect(&mut busy, RESPONSE);
    greeted.write_all(b"QUIT").unwrap();
    expect(&mut greeted_far, b"QUIT");
    drop((busy, busy_far, greeted, greeted_far, kept));
    relay.stop();
}

/// There are several listeners, one of them a unix socket, and another process uses them too.
#[test]
fn a_shared_listener_works_after_the_relay_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let unix = UnixListener::bind(&path).unwrap();
    unix.set_nonblocking(true).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let shared = unix.try_clone().unwrap();
    let (far, address) = server();
    serve(far, echo);
    let (end, signal) = UnixStream::pair().unwrap();
    let listeners = vec![unix.into(), tcp.into()];
    let thread = run(Relay::new(address, listeners, signal.into(), MAX_CONNECTIONS).unwrap());
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"over a file").unwrap();
    expect(&mut client, b"over a file");
    client.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut client);
    drop(end);
    thread.join().unwrap().unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    shared.accept().unwrap();
}
