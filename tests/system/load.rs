//! Clients that ask a server without a pause, each time over a new connection.
//!
//! The machine has a network of its own, so the test's own executable runs inside as
//! `system load ADDRESS CLIENTS`: a line on its standard input names the phase that begins, and
//! its end ends the load, whose tally is then printed.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

/// What the clients saw in one phase.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub answered: usize,
    /// Failures by what happened.
    pub failed: BTreeMap<String, usize>,
    pub slowest_ms: u128,
    /// Answers by body.
    pub bodies: BTreeMap<String, usize>,
}

/// A client gives up after this long: a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the load until standard input ends, then prints the tally of every phase as JSON.
pub fn generate(address: &str, clients: usize) {
    let address: SocketAddr = address.parse().expect("an address");
    let stopped = AtomicBool::new(false);
    let phase = RwLock::new("rest".to_owned());
    let tallies: Mutex<BTreeMap<String, Tally>> = Mutex::default();
    let client = || {
        while !stopped.load(Ordering::Relaxed) {
            let name = phase.read().unwrap().clone();
            let start = Instant::now();
            let result = ask(address);
            let took = start.elapsed().as_millis();
            let mut tallies = tallies.lock().unwrap();
            let tally = tallies.entry(name).or_default();
            match result {
                Ok(body) => {
                    tally.answered += 1;
                    tally.slowest_ms = tally.slowest_ms.max(took);
                    *tally.bodies.entry(body).or_default() += 1;
                }
                Err(what) => *tally.failed.entry(what).or_default() += 1,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(client);
        }
        for line in std::io::stdin().lock().lines() {
            *phase.write().unwrap() = line.unwrap();
        }
        stopped.store(true, Ordering::Relaxed);
    });
    println!(
        "{}",
        serde_json::to_string(&*tallies.lock().unwrap()).unwrap()
    );
}

fn ask(address: SocketAddr) -> Result<String, String> {
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = exchange().map_err(|error| format!("{:?}", error.kind()))?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") && !body.is_empty() => {
            Ok(body.trim().to_owned())
        }
        Some((head, _)) => Err(head.lines().next().unwrap_or_default().to_owned()),
        None => Err(format!("cut short after {} bytes", text.len())),
    }
}

/// A load that runs inside a machine.
pub struct Load {
    child: Child,
    stdin: ChildStdin,
}

impl Load {
    pub fn start(machine: &Machine, address: &str, clients: usize) -> Self {
        let mut child = machine
            .command(&["system", "load", address, &clients.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin }
    }

    /// What is asked from now on counts for another phase.
    pub fn phase(&mut self, name: &str) {
        writeln!(self.stdin, "{name}").unwrap();
    }

    /// Ends the load and gives the tallies by phase.
    pub fn stop(self) -> BTreeMap<String, Tally> {
        drop(self.stdin);
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "the load failed: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
