//! The event loop, step by step.

use super::tests::{REQUEST, RESPONSE, accept, expect, expect_end, pattern, server};
use super::{MAX_CONNECTIONS, Relay};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// A relay without a thread, with one client.
fn with_client(server: SocketAddr) -> (Relay, TcpStream) {
    let near = TcpListener::bind("127.0.0.1:0").unwrap();
    near.set_nonblocking(true).unwrap();
    let client = TcpStream::connect(near.local_addr().unwrap()).unwrap();
    let (_, signal) = UnixStream::pair().unwrap();
    let relay = Relay::new(server, vec![near.into()], signal.into(), MAX_CONNECTIONS).unwrap();
    // Its other side is closed, which must not end the relay here.
    rustix::event::epoll::delete(&relay.epoll, &relay.end).unwrap();
    (relay, client)
}

fn until_connected(relay: &mut Relay) {
    while !matches!(relay.connections.values().next(), Some((one, _)) if one.is_open()) {
        relay.step().unwrap();
    }
}

/// A port that refuses connections and that no other process can take.
fn refusing_port() -> TcpListener {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    TcpListener::from(socket)
}

/// Whether the loop reports an event within a moment.
fn has_event(relay: &Relay) -> bool {
    let mut set = [PollFd::new(relay.epoll.as_fd(), PollFlags::POLLIN)];
    poll(&mut set, PollTimeout::from(20_u8)).unwrap() > 0
}

#[test]
fn clients_wait_for_a_server_that_starts_late() {
    let late = refusing_port();
    let (mut relay, mut client) = with_client(late.local_addr().unwrap());
    client.write_all(REQUEST).unwrap();
    for _ in 0..8 {
        relay.step().unwrap();
    }
    assert!(!relay.timers.is_empty());
    rustix::net::listen(&late, 8).unwrap();
    until_connected(&mut relay);
    let mut far = accept(&late);
    expect(&mut far, REQUEST);
    far.write_all(RESPONSE).unwrap();
    drop(far);
    client.shutdown(Shutdown::Write).unwrap();
    while !relay.connections.is_empty() {
        relay.step().unwrap();
    }
    expect(&mut client, RESPONSE);
    expect_end(&mut client);
}

#[test]
fn a_request_that_was_unread_at_the_end_gets_its_response() {
    let (listener, address) = server();
    let (mut relay, mut client) = with_client(address);
    until_connected(&mut relay);
    let mut far = accept(&listener);
    client.write_all(REQUEST).unwrap();
    relay.step().unwrap();
    expect(&mut far, REQUEST);
    far.write_all(RESPONSE).unwrap();
    relay.step().unwrap();
    expect(&mut client, RESPONSE);
    client.write_all(REQUEST).unwrap();
    relay.stop(Instant::now());
    expect(&mut far, REQUEST);
    far.write_all(RESPONSE).unwrap();
    relay.finish().unwrap();
    expect(&mut client, RESPONSE);
    expect_end(&mut client);
}

/// The loop does not report the same state again and again: the buffers to the client are full, and the
/// client has finished.
#[test]
fn a_waiting_connection_does_not_use_cpu_time() {
    let (listener, address) = server();
    let (mut relay, client) = with_client(address);
    until_connected(&mut relay);
    let far = accept(&listener);
    far.set_nonblocking(true).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let bytes = pattern(1 << 20);
    let mut idle = 0;
    while idle < 3 {
        let wrote = (&far).write(&bytes).is_ok();
        let reported = has_event(&relay);
        if reported {
            relay.step().unwrap();
        }
        idle = if wrote || reported { 0 } else { idle + 1 };
    }
    assert_eq!(relay.connections.len(), 1);
}

/// accept(2) fails, as it does without a free descriptor. It is tried again after a pause.
#[test]
fn accepting_pauses_after_an_error() {
    let near = refusing_port();
    let (_end, signal) = UnixStream::pair().unwrap();
    let (_, address) = server();
    let mut relay = Relay::new(address, vec![near.into()], signal.into(), MAX_CONNECTIONS).unwrap();
    for _ in 0..3 {
        // The socket does not listen, so the kernel reports it and accept(2) fails.
        relay.step().unwrap();
        assert!(!relay.accepts && relay.pause.is_some());
        assert!(!has_event(&relay));
        relay.step().unwrap();
        assert!(relay.accepts && relay.pause.is_none());
    }
}
