//! Several at once, and signals at random instants.

use super::bench::{Bench, Place, Ran, words};
use super::power::Dice;
use super::seen::{Seen, leftovers};
use super::syscalls::operations;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};
use std::time::Duration;

tests![Suite: at_once, signals];

const ROUNDS: u64 = 12;
const SIGNALS: u64 = 60;

fn start(place: &Place<'_>, arguments: &[String]) -> Child {
    let mut command = place.command(arguments, &[]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace('\n', " / "),
    }
}

/// Pairs of commands that run at once: one wins and the other says who has the lock, or, when
/// told to wait, both are done one after the other.
fn at_once(bench: &Bench) -> Result<String, String> {
    operations(bench)?;
    let place = bench.place("crowd", 0);
    let two = bench.dir.join("two");
    let pairs = [
        (place.deploy(3), place.deploy(4)),
        (place.deploy(3), words(&["rollback"])),
        (place.deploy(3), words(&["prune", "--keep", "2"])),
        (place.deploy(3), words(&["remove", "--purge"])),
        (words(&["rollback"]), words(&["rollback"])),
        (words(&["recover"]), place.deploy(3)),
    ];
    let (mut held, mut tried, mut dice) = (0, 0, Dice(11));
    for round in 0..ROUNDS {
        for (one, another) in &pairs {
            tried += 1;
            place.become_like(&two);
            let wait = round % 2 == 1;
            let with = |arguments: &[String]| {
                let mut arguments = arguments.to_vec();
                if wait && arguments != ["recover"] {
                    arguments.extend(words(&["--wait", "60"]));
                }
                arguments
            };
            let first = start(&place, &with(one));
            std::thread::sleep(Duration::from_micros(dice.below(30_000)));
            let second = start(&place, &with(another));
            let names = format!("`{}` and `{}`", one.join(" "), another.join(" "));
            for ran in [end(first), end(second)] {
                match ran.code {
                    Some(0) => {}
                    Some(5) if !wait && ran.said.contains("(pid ") => held += 1,
                    // What it wanted to work on has been removed, or there is nothing before.
                    Some(2)
                        if ran.said.contains("not deployed")
                            || ran.said.contains("no release before")
                            || ran.said.contains("no app is deployed")
                            || ran.said.contains("nothing is deployed") => {}
                    code => return Err(format!("{names} at once: exit {code:?}: {}", ran.said)),
                }
            }
            leftovers(&place.root).map_err(|wrong| format!("{names} at once: {wrong}"))?;
            whole(&place).map_err(|wrong| format!("{names} at once: {wrong}"))?;
        }
    }
    match held {
        0 => Err(format!(
            "in {tried} pairs nobody ever found the lock held: the test does not bite"
        )),
        _ => Ok(format!(
            "{tried} pairs, in {held} of them one found the lock held"
        )),
    }
}

/// The release that is live is there, and the state says the same.
pub(crate) fn whole(place: &Place<'_>) -> Result<(), String> {
    let seen = Seen::at(&place.root);
    let said = seen.state["live"].as_str();
    if seen.live() != said {
        return Err(format!(
            "`current` is {:?}, the state says {said:?}",
            seen.live()
        ));
    }
    match seen.live() {
        Some(id) if !seen.releases.contains_key(id) => Err(format!("{id} is live and not there")),
        _ => Ok(()),
    }
}

/// A lost terminal, Ctrl-C, a polite kill, a reader that has gone, and a kill.
fn signals(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let mut dice = Dice(13);
    let mut cases = Vec::new();
    for _ in 0..SIGNALS {
        let operation = &operations[usize::try_from(dice.below(6)).unwrap()];
        let all = [
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGPIPE,
            Signal::SIGKILL,
        ];
        let signal = all[usize::try_from(dice.below(5)).unwrap()];
        cases.push((operation, signal, dice.below(45_000)));
    }
    bench.each(&cases, |place, (operation, signal, micros)| {
        place.become_like(&operation.template);
        let mut child = start(place, &operation.arguments);
        if *signal == Signal::SIGPIPE {
            drop(child.stderr.take());
        }
        std::thread::sleep(Duration::from_micros(*micros));
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), *signal);
        let ran = end(child);
        let judged = place
            .must(&words(&["recover"]))
            .and_then(|()| operation.judge(place));
        let judged = judged.and_then(|side| operation.retry(place, side));
        judged.map_err(|wrong| {
            format!(
                "{} and {signal} after {micros} µs (exit {:?}): {wrong}",
                operation.name, ran.code
            )
        })
    })?;
    Ok(format!("{SIGNALS} signals"))
}
