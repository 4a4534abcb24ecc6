//! The loop, one step after the other.

use super::tests::{ANSWER, ASK, accept, hear, hear_end, pattern, server};
use super::{MAX_CONNECTIONS, Relay};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// A relay without a thread, with one client.
fn by_hand(server: SocketAddr) -> (Relay, TcpStream) {
    let near = TcpListener::bind("127.0.0.1:0").unwrap();
    near.set_nonblocking(true).unwrap();
    let client = TcpStream::connect(near.local_addr().unwrap()).unwrap();
    let (_, told) = UnixStream::pair().unwrap();
    let relay = Relay::new(server, vec![near.into()], told.into(), MAX_CONNECTIONS).unwrap();
    // Its other side has gone, which nobody is told of here.
    rustix::event::epoll::delete(&relay.epoll, &relay.end).unwrap();
    (relay, client)
}

fn until_connected(relay: &mut Relay) {
    while !matches!(relay.connections.values().next(), Some((one, _)) if one.is_here()) {
        relay.step().unwrap();
    }
}

/// A port that refuses, and that nobody else can take meanwhile.
fn bound() -> TcpListener {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    TcpListener::from(socket)
}

/// Whether the loop has anything to do within a moment.
fn is_told(relay: &Relay) -> bool {
    let mut set = [PollFd::new(relay.epoll.as_fd(), PollFlags::POLLIN)];
    poll(&mut set, PollTimeout::from(20_u8)).unwrap() > 0
}

#[test]
fn a_server_that_comes_late_is_waited_for() {
    let late = bound();
    let (mut relay, mut client) = by_hand(late.local_addr().unwrap());
    client.write_all(ASK).unwrap();
    for _ in 0..8 {
        relay.step().unwrap();
    }
    assert!(!relay.timers.is_empty());
    rustix::net::listen(&late, 8).unwrap();
    until_connected(&mut relay);
    let mut far = accept(&late);
    hear(&mut far, ASK);
    far.write_all(ANSWER).unwrap();
    drop(far);
    client.shutdown(Shutdown::Write).unwrap();
    while !relay.connections.is_empty() {
        relay.step().unwrap();
    }
    hear(&mut client, ANSWER);
    hear_end(&mut client);
}

#[test]
fn what_nobody_had_read_when_the_end_came_is_answered() {
    let (listener, address) = server();
    let (mut relay, mut client) = by_hand(address);
    until_connected(&mut relay);
    let mut far = accept(&listener);
    client.write_all(ASK).unwrap();
    relay.step().unwrap();
    hear(&mut far, ASK);
    far.write_all(ANSWER).unwrap();
    relay.step().unwrap();
    hear(&mut client, ANSWER);
    client.write_all(ASK).unwrap();
    relay.stop(Instant::now());
    hear(&mut far, ASK);
    far.write_all(ANSWER).unwrap();
    relay.until_answered().unwrap();
    hear(&mut client, ANSWER);
    hear_end(&mut client);
}

/// What a connection cannot do anything about is not told again and again: its way down is full,
/// and its client has said all.
#[test]
fn waiting_takes_no_processor() {
    let (listener, address) = server();
    let (mut relay, client) = by_hand(address);
    until_connected(&mut relay);
    let far = accept(&listener);
    far.set_nonblocking(true).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let bytes = pattern(1 << 20);
    let mut idle = 0;
    while idle < 3 {
        let wrote = (&far).write(&bytes).is_ok();
        let told = is_told(&relay);
        if told {
            relay.step().unwrap();
        }
        idle = if wrote || told { 0 } else { idle + 1 };
    }
    assert_eq!(relay.connections.len(), 1);
}

/// As where no descriptor is free: after a while it is tried again, and not before.
#[test]
fn where_nobody_can_be_accepted_it_pauses() {
    let near = bound();
    let (_end, told) = UnixStream::pair().unwrap();
    let (_, address) = server();
    let mut relay = Relay::new(address, vec![near.into()], told.into(), MAX_CONNECTIONS).unwrap();
    for _ in 0..3 {
        // It does not listen, so that the kernel tells of it and accept(2) fails.
        relay.step().unwrap();
        assert!(!relay.accepts && relay.pause.is_some());
        assert!(!is_told(&relay));
        relay.step().unwrap();
        assert!(relay.accepts && relay.pause.is_none());
    }
}
