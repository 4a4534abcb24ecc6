//! Whether systemd filters the packets and the devices of a service on this host: it is asked to deny one of each to
//! a unit, which tries both.
//!
//! Files do not say it. A container may refuse the programs (bpf(2)) by which systemd filters, and systemd then starts
//! the unit without.

use crate::host::{Command, Host, MissingFilters, is_root, restricted_systemd};
use crate::sandbox::probes::Tried;
use nix::errno::Errno;
use std::sync::OnceLock;
use std::time::Duration;

/// The program that makes the attempts.
const PROGRAM: &str = "/usr/bin/robotctl";
/// A packet to this host, and a device that every host has and that `DeviceAllow=` does not list.
const ATTEMPTS: [&str; 2] = ["send=127.0.0.1", "open=/dev/full"];
/// The unit may neither send nor open, and is gone when it has ended (systemd-run(1)).
const PROPERTIES: [&str; 9] = [
    "--property=Description=robotctl: whether packets and devices are filtered",
    // It waits for no other unit.
    "--property=DefaultDependencies=no",
    "--property=DynamicUser=yes",
    "--property=NoNewPrivileges=yes",
    "--property=IPAddressDeny=any",
    "--property=DevicePolicy=strict",
    // systemd opens it for the unit.
    "--property=DeviceAllow=/dev/null rw",
    "--property=TimeoutStartSec=5",
    "--property=RuntimeMaxSec=5",
];
/// The longest time to wait for the unit, also for its start.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Why a filter has no effect, if an attempt shows it.
const TRIED: &str =
    "systemd cannot load BPF programs on this host: a unit could do what they should deny";

/// The same where systemd does not have all rights.
const IN_CONTAINER: &str = "systemd may not load BPF programs in this container";

/// What was found.
static FOUND: OnceLock<MissingFilters> = OnceLock::new();

/// Why this host does not filter packets and devices, if that is known. Root tries it, once per command, but not while
/// the host boots or shuts down.
pub(crate) fn missing_filters(host: &Host) -> MissingFilters {
    let known = MissingFilters::known();
    if known.packets.is_some() || host.is_offline() || !host.systemd.is_booted() || !is_root() {
        return known;
    }
    let found = || host.systemd.is_up().then(try_both).flatten();
    *FOUND.get_or_init(|| found().unwrap_or(known))
}

/// What a unit shows; `None` if it shows nothing.
fn try_both() -> Option<MissingFilters> {
    let head = ["systemd-run", "--quiet", "--wait", "--collect", "--pipe"];
    let words = head.into_iter().chain(PROPERTIES);
    let words = words.chain(["--", PROGRAM, "probe-sandbox", "--here"]);
    let run = Command::new(words.chain(ATTEMPTS));
    let ended = run.output_within(TIME_LIMIT).ok()??;
    shown(
        &ended.stdout,
        restricted_systemd().map_or(TRIED, |_| IN_CONTAINER),
    )
}

/// What the words of the attempts show. Another error than that of a filter shows nothing.
fn shown(words: &str, why: &'static str) -> Option<MissingFilters> {
    let mut tried = words.split_whitespace().map(Tried::parse);
    let mut missing = || match tried.next()? {
        Tried::Succeeded => Some(Some(why)),
        Tried::Failed(Errno::EPERM) => Some(None),
        Tried::Failed(_) | Tried::Killed | Tried::Unknown => None,
    };
    Some(MissingFilters {
        packets: missing()?,
        devices: missing()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, TRIED, shown};
    use crate::host::{MissingFilters, is_attempt};

    #[test]
    fn only_an_attempt_that_succeeds_shows_that_a_filter_is_missing() {
        for attempt in ATTEMPTS {
            assert!(is_attempt(attempt.split('=').next().unwrap()), "{attempt}");
        }
        let of = |packets: Option<_>, devices: Option<_>| Some(MissingFilters { packets, devices });
        for (words, expected) in [
            ("1\n1\n", of(None, None)),
            ("ok\nok\n", of(Some(TRIED), Some(TRIED))),
            ("ok\n1\n", of(Some(TRIED), None)),
            ("unknown\n1\n", None),
            ("101\n1\n", None),
            ("1\n", None),
            ("", None),
        ] {
            assert_eq!(shown(words, TRIED), expected, "{words:?}");
        }
    }
}
