//! Upgrades and rollbacks under load.

use crate::demo::{demo, runs};
use crate::load::Load;
use crate::machine::Machine;
use std::time::Duration;

const CLIENTS: usize = 8;

pub fn no_request_is_lost_in_upgrades_and_rollbacks(machine: &Machine) {
    demo("1.0").deployed(machine);
    let mut load = Load::start(machine, "127.0.0.1:8080", &CLIENTS.to_string());
    // Time at rest, to compare with: nothing announces that enough was asked.
    std::thread::sleep(Duration::from_secs(2));
    load.phase("changes");
    for version in ["2.0", "3.0", "4.0", "5.0"] {
        let release = demo(version).deployed(machine);
        assert_eq!(runs(machine, "demo-web.service"), release);
    }
    machine.robotctl("rollback").exits(0);
    machine.robotctl("rollback").exits(0);
    load.phase("after");
    std::thread::sleep(Duration::from_millis(300));
    let tallies = load.stop();
    let lost: usize = tallies
        .values()
        .flat_map(|tally| tally.failed.values())
        .sum();
    let (rest, changes, after) = (&tallies["rest"], &tallies["changes"], &tallies["after"]);
    machine.note(&format!(
        "4 upgrades and 2 rollbacks under {CLIENTS} clients: {lost} of {} requests lost, slowest {} ms ({} ms at rest)",
        changes.answered, changes.slowest_ms, rest.slowest_ms,
    ));
    assert_eq!(lost, 0, "{tallies:?}");
    for version in ["1.0", "2.0", "3.0", "4.0", "5.0"] {
        assert!(
            changes.bodies.contains_key(version),
            "{version} answered: {tallies:?}"
        );
    }
    let only: Vec<&String> = after.bodies.keys().collect();
    assert_eq!(
        only.last().map(|version| version.as_str()),
        Some("3.0"),
        "{tallies:?}"
    );
    assert!(
        changes.slowest_ms < 1000,
        "clients had to wait: {tallies:?}"
    );
}
