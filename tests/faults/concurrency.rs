//! Several commands at the same time, and signals at random times.

use super::fixture::{Fixture, Host, Outcome, PURGE, args};
use super::power_cuts::Rng;
use super::state::{HostState, check_no_leftovers};
use super::syscalls::operations;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};
use std::time::Duration;

tests![Suite: concurrent_commands_respect_the_lock, signals_leave_a_consistent_host];

const ROUNDS: u64 = 12;
const SIGNALS: u64 = 60;

fn start(host: &Host<'_>, arguments: &[String]) -> Child {
    let mut command = host.command(arguments, &[]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace('\n', " / "),
    }
}

/// Pairs of commands that run at the same time. Without `--wait`, one gets the lock and the other
/// names the process that holds it. With `--wait`, they run one after the other.
fn concurrent_commands_respect_the_lock(fixture: &Fixture) -> Result<String, String> {
    operations(fixture)?;
    let host = fixture.host("concurrency", 0);
    let two = fixture.dir.join("two");
    let pairs = [
        (host.deploy(3), host.deploy(4)),
        (host.deploy(3), args(&["rollback"])),
        (host.deploy(3), args(&["prune", "--apply", "--keep", "2"])),
        (host.deploy(3), args(&PURGE)),
        (args(&["rollback"]), args(&["rollback"])),
        (args(&["recover"]), host.deploy(3)),
    ];
    let (mut held, mut tried, mut rng) = (0, 0, Rng(11));
    // If the host rarely runs two commands at the same time, further rounds follow until one command
    // finds the lock held.
    for round in 0..ROUNDS * 20 {
        if round >= ROUNDS && held > 0 {
            break;
        }
        for (one, another) in &pairs {
            tried += 1;
            host.restore(&two);
            let wait = round % 2 == 1;
            let with = |arguments: &[String]| {
                let mut arguments = arguments.to_vec();
                if wait && arguments != ["recover"] {
                    arguments.extend(args(&["--wait", "60"]));
                }
                arguments
            };
            let first = start(&host, &with(one));
            std::thread::sleep(Duration::from_micros(rng.below(30_000)));
            let second = start(&host, &with(another));
            let names = format!("`{}` and `{}`", one.join(" "), another.join(" "));
            for ran in [end(first), end(second)] {
                match ran.code {
                    Some(0) => {}
                    Some(5) if !wait && ran.stderr.contains("(pid ") => held += 1,
                    // The other command removed the app, or there is no previous release.
                    Some(2)
                        if ran.stderr.contains("not deployed")
                            || ran.stderr.contains("there is no app `demo`")
                            || ran.stderr.contains("has no previous release")
                            || ran.stderr.contains("no app is deployed") => {}
                    code => return Err(format!("{names} at once: exit {code:?}: {}", ran.stderr)),
                }
            }
            check_no_leftovers(&host.root).map_err(|error| format!("{names} at once: {error}"))?;
            check_live_release(&host).map_err(|error| format!("{names} at once: {error}"))?;
        }
    }
    match held {
        0 => Err(format!(
            "in {tried} pairs no command found the lock held: the test detects nothing"
        )),
        _ => Ok(format!(
            "{tried} pairs, in {held} of them one found the lock held"
        )),
    }
}

/// Checks that the live release exists and that the state names it.
pub(crate) fn check_live_release(host: &Host<'_>) -> Result<(), String> {
    let state = HostState::read(&host.root);
    let said = state.recorded["live"].as_str();
    if state.live() != said {
        return Err(format!(
            "`current` is {:?}, the state says {said:?}",
            state.live()
        ));
    }
    match state.live() {
        Some(id) if !state.releases.contains_key(id) => {
            Err(format!("{id} is live and does not exist"))
        }
        _ => Ok(()),
    }
}

/// A lost terminal, Ctrl-C, SIGTERM, a closed pipe and SIGKILL.
fn signals_leave_a_consistent_host(fixture: &Fixture) -> Result<String, String> {
    let operations = operations(fixture)?;
    let mut rng = Rng(13);
    let mut cases = Vec::new();
    for _ in 0..SIGNALS {
        let operation = &operations[usize::try_from(rng.below(6)).unwrap()];
        let all = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGPIPE,
            Signal::SIGKILL,
        ];
        let signal = all[usize::try_from(rng.below(5)).unwrap()];
        cases.push((operation, signal, rng.below(45_000)));
    }
    fixture.run_cases(&cases, |host, (operation, signal, micros)| {
        host.restore(&operation.template);
        let mut child = start(host, &operation.arguments);
        if *signal == Signal::SIGPIPE {
            drop(child.stderr.take());
        }
        std::thread::sleep(Duration::from_micros(*micros));
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), *signal);
        let ran = end(child);
        let verified = host
            .run_ok(&args(&["recover"]))
            .and_then(|()| operation.verify(host));
        let verified = verified.and_then(|side| operation.retry(host, side));
        verified.map_err(|error| {
            format!(
                "{} and {signal} after {micros} µs (exit {:?}): {error}",
                operation.name, ran.code
            )
        })
    })?;
    Ok(format!("{SIGNALS} signals"))
}
