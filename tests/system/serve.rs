//! A small HTTP server in Rust with socket activation: `system serve`.
//!
//! The file `fault` in its release says how it fails: see `servers.rs`.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static STOPPING: AtomicBool = AtomicBool::new(false);

pub fn run() {
    let version = fs::read_to_string("VERSION").unwrap().trim().to_owned();
    let fault = fs::read_to_string("fault").unwrap().trim().to_owned();
    let die = |after: u64, signal| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(after));
            nix::sys::signal::raise(signal).unwrap();
        });
    };
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::SIGTERM);
    set.thread_block().unwrap();
    match fault.as_str() {
        "no-start" => panic!("it does not start"),
        "crash" => die(2, nix::sys::signal::SIGABRT),
        // As the kernel kills a process when memory runs out.
        "memory" => die(0, nix::sys::signal::SIGKILL),
        _ => {}
    }
    let mut given = listenfd::ListenFd::from_env();
    let listener = given.take_tcp_listener(0).unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    if fault != "memory" {
        sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).unwrap();
    }
    std::thread::spawn(move || {
        set.wait().unwrap();
        STOPPING.store(true, Ordering::SeqCst);
    });
    std::thread::scope(|scope| {
        while !STOPPING.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, from)) => {
                    let (version, fault) = (&version, &fault);
                    scope.spawn(move || answer(stream, from, version, fault));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&listener),
                Err(error) => eprintln!("a connection was not accepted: {error}"),
            }
        }
    });
}

/// Waits for a connection, or for a moment, so that the loop sees a stop request.
fn wait(listener: &std::net::TcpListener) {
    use std::os::fd::AsFd as _;
    let mut watched = [nix::poll::PollFd::new(
        listener.as_fd(),
        nix::poll::PollFlags::POLLIN,
    )];
    let _ = nix::poll::poll(&mut watched, 20_u8);
}

/// Prints, for the systemd journal, why a connection ends without an answer.
fn log_unanswered(from: SocketAddr, why: &dyn std::fmt::Display) {
    eprintln!("{from} got no answer: {why}");
}

/// Sends the version now and then, and says goodbye when this process stops.
fn stream_lines(mut stream: TcpStream, from: SocketAddr, version: &str, is_socket: bool) {
    let line = format!("data: {version}\n\n");
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    let frame = [
        &[0x81, u8::try_from(version.len()).unwrap()],
        version.as_bytes(),
    ]
    .concat();
    // The answer to the key of the tests. The code 1012: the server restarts.
    let socket_head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let events_head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (head, part, end): (&str, &[u8], &[u8]) = match is_socket {
        true => (socket_head, &frame, &[0x88, 2, 0x03, 0xf4]),
        false => (events_head, chunk.as_bytes(), b"0\r\n\r\n"),
    };
    let mut send = || -> std::io::Result<()> {
        stream.write_all(head.as_bytes())?;
        while !STOPPING.load(Ordering::SeqCst) {
            stream.write_all(part)?;
            std::thread::sleep(Duration::from_millis(200));
        }
        stream.write_all(end)
    };
    if let Err(error) = send() {
        log_unanswered(from, &error);
    }
}

/// Answers on one connection until it ends or this process stops.
fn answer(mut stream: TcpStream, from: SocketAddr, version: &str, fault: &str) {
    stream.set_nonblocking(false).unwrap();
    let moment = Some(Duration::from_millis(50));
    stream.set_read_timeout(moment).unwrap();
    let mut text = Vec::new();
    let mut kept = false;
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) if kept && text.is_empty() => return,
            Ok(0) => return log_unanswered(from, &"the client closed first"),
            Ok(count) => text.extend_from_slice(&part[..count]),
            // systemd sends SIGCONT after SIGTERM (systemd.kill(5)). While a thread starts another
            // one it blocks signals, so the signal may reach a thread that reads with a timeout.
            // Such a call is never restarted (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // A connection without any request yet will carry one soon.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if STOPPING.load(Ordering::SeqCst) && kept && text.is_empty() {
                    return;
                }
                continue;
            }
            Err(error) => return log_unanswered(from, &error),
        }
        if !text.ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8_lossy(&text).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        if fault == "hang" {
            std::thread::sleep(Duration::from_secs(3600));
        }
        if let "/events" | "/socket" = path {
            return stream_lines(stream, from, version, path == "/socket");
        }
        if path == "/slow" {
            std::thread::sleep(Duration::from_secs(2));
        }
        let status = match (fault, path) {
            ("sick", "/healthz") => "503 Sick",
            _ => "200 OK",
        };
        let ends = request.contains("Connection: close") || STOPPING.load(Ordering::SeqCst);
        let connection = if ends { "close" } else { "keep-alive" };
        let length = version.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{version}"
        );
        if let Err(error) = stream.write_all(answer.as_bytes()) {
            return log_unanswered(from, &error);
        }
        if ends {
            return;
        }
        text.clear();
        kept = true;
    }
}
