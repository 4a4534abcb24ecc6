//! Transient scopes: units of processes that run already (systemd.scope(5)).
//!
//! The D-Bus interface of systemd is described in org.freedesktop.systemd1(5).

use super::{Systemd, UnitStatus};
use crate::host::runner::Command;
use anyhow::Result;
use jiff::Timestamp;
use std::time::Duration;

/// The target of every call.
pub(super) const MANAGER: [&str; 6] = [
    "busctl",
    // The words of a call may look like options.
    "--",
    "call",
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
];

/// What stands before the seconds in the description of a timer that ends a scope.
const TIME_OF: &str = " ends after this many seconds: ";

/// How much later than its time a scope may end.
const ACCURACY: Duration = Duration::from_millis(100);

/// A scope to start, with the units beside it.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// Its name, which ends in `.scope`.
    pub name: &'a str,
    /// `Description=`
    pub description: &'a str,
    /// The first process in it.
    pub pid: u32,
    /// `Slice=`
    pub slice: &'a str,
    /// `PartOf=`: the scope stops when one of these units is stopped. A restart of the unit leaves it
    /// alone, because systemd drops the restart of a unit that cannot be started.
    pub part_of: &'a [String],
    /// `BindsTo=` and `After=`: the scope also stops when this unit ends by itself.
    pub binds_to: Option<&'a str>,
    /// `RuntimeMaxSec=`
    pub runtime_max: Duration,
    /// `TimeoutStopSec=`
    pub timeout_stop: Duration,
    /// A unit that starts with the scope.
    pub cleanup: Cleanup<'a>,
    /// A timer that can be started later.
    pub drain: Drain<'a>,
}

/// A unit that runs a command as root each time an interval is over, and again when its scope has ended.
#[derive(Debug, Clone)]
pub struct Cleanup<'a> {
    /// Its name.
    pub name: &'a str,
    /// The time between two runs.
    pub interval: Duration,
    /// The command. No word may contain a special character of systemd.service(5), such as `$` or `%`.
    pub argv: &'a [&'a str],
}

/// A timer that ends its scope some time after it has started. It needs no process meanwhile.
#[derive(Debug, Clone)]
pub struct Drain<'a> {
    /// Its name.
    pub timer: &'a str,
    /// The unit that it starts: its name with `.service`.
    pub service: &'a str,
    /// The time.
    pub time: Duration,
}

impl Systemd {
    /// Starts a scope. Its first process moves there from its unit, and nothing else changes for it.
    ///
    /// # Errors
    /// When systemd refuses.
    pub fn start_scope(&self, scope: &Scope<'_>) -> Result<()> {
        let argv = MANAGER.into_iter().map(str::to_owned);
        let argv: Vec<String> = argv.chain(start_call(scope)).collect();
        Command::new(argv).run().map(drop)
    }

    /// Moves processes into a unit.
    ///
    /// # Errors
    /// When systemd refuses, also because one of them has ended.
    pub fn attach_processes(&self, unit: &str, pids: &[u32]) -> Result<()> {
        let argv = MANAGER.into_iter().map(str::to_owned);
        let call = ["AttachProcessesToUnit", "ssau", unit, ""];
        let count = pids.len().to_string();
        let numbers = std::iter::once(count).chain(pids.iter().map(u32::to_string));
        let argv: Vec<String> = argv.chain(call.map(str::to_owned)).chain(numbers).collect();
        Command::new(argv).run().map(drop)
    }

    /// Starts the unit `name`, which is of `user` until a scope with the main process `pid` ends. systemd
    /// removes the shared memory of a user who has no unit (systemd.exec(5), "RemoveIPC=").
    ///
    /// # Errors
    /// When systemd does not start that unit, although the scope still exists.
    pub fn keep_user(&self, name: &str, scope: &str, user: &str, pid: u32) -> Result<()> {
        // A service could leave its sandbox through a process of its user that has none, so this one
        // ends at once and has no rights.
        let properties = [
            "Type=oneshot",
            "RemainAfterExit=yes",
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateNetwork=yes",
            "PrivateUsers=yes",
            "RestrictNamespaces=yes",
        ];
        let head = [
            "systemd-run".to_owned(),
            "--quiet".to_owned(),
            "--collect".to_owned(),
            format!("--unit={name}"),
            format!("--description=Keeps shared memory of {user} for {scope}"),
            format!("--property=BindsTo={scope}"),
            // It stops when the scope has stopped.
            format!("--property=Before={scope}"),
            format!("--property=User={user}"),
            // systemd would start the unit beside a scope that has ended, and would not end it.
            format!("--property=ConditionPathExists=/proc/{pid}"),
        ];
        let properties = properties.map(|text| format!("--property={text}"));
        let words = head.into_iter().chain(properties);
        let words = words.chain(std::iter::once("/bin/true".to_owned()));
        let Err(error) = Command::new(words).run() else {
            return Ok(());
        };
        // A unit that already runs and a scope that has ended are no errors.
        let states = self.show(&[name.to_owned(), scope.to_owned()])?;
        match states.as_slice() {
            [helper, scope] if !helper.is_down() || !scope.is_active() => Ok(()),
            _ => Err(error),
        }
    }
}

/// When a scope ends, from the state of the timer that ends it.
pub fn end_of_scope(timer: &UnitStatus) -> Option<Timestamp> {
    let (_, seconds) = timer.description.rsplit_once(TIME_OF)?;
    let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    timer.active_since?.checked_add(time).ok()
}

/// A property of a unit, as busctl(1) takes it: its name, its type and its value.
type Property = Vec<String>;

fn property(name: &str, kind: &str, value: &str) -> Property {
    [name, kind, value].map(str::to_owned).to_vec()
}

fn list(name: &str, values: &[&str]) -> Property {
    let count = values.len().to_string();
    let head = [name, "as", &count].map(str::to_owned);
    head.into_iter()
        .chain(values.iter().copied().map(str::to_owned))
        .collect()
}

/// A command to run. An exit code other than 0 is an error.
fn command(name: &str, argv: &[&str]) -> Property {
    let (program, count) = (
        argv.first().copied().unwrap_or_default(),
        argv.len().to_string(),
    );
    let head = [name, "a(sasb)", "1", program, &count].map(str::to_owned);
    let words = argv.iter().copied().chain(["false"]).map(str::to_owned);
    head.into_iter().chain(words).collect()
}

fn micros(time: Duration) -> String {
    time.as_micros().to_string()
}

/// systemd unloads the unit when it has ended, also when it has failed.
fn collected() -> Property {
    property("CollectMode", "s", "inactive-or-failed")
}

/// `StartTransientUnit(name, mode, properties, aux)`, as busctl(1) takes it. systemd reads the units in
/// `aux` with the scope, and starts those that the scope wants.
fn start_call(scope: &Scope<'_>) -> Vec<String> {
    let units = [
        (scope.cleanup.name, cleanup_properties(scope)),
        (scope.drain.timer, timer_properties(scope)),
        (scope.drain.service, stop_properties(scope)),
    ];
    let head = ["StartTransientUnit", "ssa(sv)a(sa(sv))", scope.name, "fail"].map(str::to_owned);
    let mut call = head.to_vec();
    call.extend(array(scope_properties(scope)));
    call.push(units.len().to_string());
    for (name, properties) in units {
        call.push(name.to_owned());
        call.extend(array(properties));
    }
    call
}

/// An array: the number of its elements, and the elements.
fn array(properties: Vec<Property>) -> impl Iterator<Item = String> {
    let count = properties.len().to_string();
    std::iter::once(count).chain(properties.into_iter().flatten())
}

fn scope_properties(scope: &Scope<'_>) -> Vec<Property> {
    let part_of: Vec<&str> = scope.part_of.iter().map(String::as_str).collect();
    let mut properties = vec![
        property("Description", "s", scope.description),
        ["PIDs", "au", "1", &scope.pid.to_string()]
            .map(str::to_owned)
            .to_vec(),
        property("Slice", "s", scope.slice),
        list("PartOf", &part_of),
        // Other processes may only be moved into a scope that is delegated.
        property("Delegate", "b", "yes"),
        collected(),
        property("TimeoutStopUSec", "t", &micros(scope.timeout_stop)),
        property("RuntimeMaxUSec", "t", &micros(scope.runtime_max)),
        list("Wants", &[scope.cleanup.name]),
        // systemd keeps the timer, which has not started, because the scope names it.
        list("Before", &[scope.drain.timer]),
    ];
    if let Some(unit) = scope.binds_to {
        properties.push(list("BindsTo", &[unit]));
        properties.push(list("After", &[unit]));
    }
    properties
}

fn cleanup_properties(scope: &Scope<'_>) -> Vec<Property> {
    let Cleanup { interval, argv, .. } = scope.cleanup;
    let seconds = interval.as_secs().to_string();
    vec![
        property(
            "Description",
            "s",
            &format!("Cleans up after {}", scope.name),
        ),
        collected(),
        list("BindsTo", &[scope.name]),
        // It starts before the scope starts, and stops when the scope has stopped.
        list("Before", &[scope.name]),
        property("Type", "s", "exec"),
        property("Restart", "s", "always"),
        // What it runs may restore a service.
        property("TimeoutStopUSec", "t", &u64::MAX.to_string()),
        command("ExecStart", &["/bin/sleep", &seconds]),
        // systemd 252 loses a line with a prefix, such as `+` or `-`, at a daemon-reload.
        command("ExecStopPost", argv),
    ]
}

fn timer_properties(scope: &Scope<'_>) -> Vec<Property> {
    let time = scope.drain.time;
    let description = format!("{}{TIME_OF}{:.3}", scope.name, time.as_secs_f64());
    let after = [
        "TimersMonotonic",
        "a(st)",
        "1",
        "OnActiveSec",
        &micros(time),
    ];
    vec![
        property("Description", "s", &description),
        collected(),
        list("BindsTo", &[scope.name]),
        // systemd does not start it then when the scope has just ended.
        list("After", &[scope.name]),
        after.map(str::to_owned).to_vec(),
        property("AccuracyUSec", "t", &micros(ACCURACY)),
    ]
}

fn stop_properties(scope: &Scope<'_>) -> Vec<Property> {
    let stop = ["/bin/systemctl", "stop", "--no-block", scope.name];
    vec![
        property("Description", "s", &format!("Ends {}", scope.name)),
        collected(),
        property("Type", "s", "oneshot"),
        command("ExecStart", &stop),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Cleanup, Drain, Scope, UnitStatus, end_of_scope, start_call, timer_properties};
    use std::time::Duration;

    fn scope(part_of: &[String]) -> Scope<'_> {
        Scope {
            name: "shop-web-old-1a2b3c4d.scope",
            description: "old",
            pid: 7,
            slice: "shop.slice",
            part_of,
            binds_to: Some("shop-web-proxy-old-5e6f.scope"),
            runtime_max: Duration::from_secs(30),
            timeout_stop: Duration::from_secs(5),
            cleanup: Cleanup {
                name: "shop-web-old-1a2b3c4d-after.service",
                interval: Duration::from_secs(40),
                argv: &["/bin/clean", "up"],
            },
            drain: Drain {
                timer: "shop-web-old-1a2b3c4d-drain.timer",
                service: "shop-web-old-1a2b3c4d-drain.service",
                time: Duration::from_millis(60_500),
            },
        }
    }

    #[test]
    fn the_end_of_a_scope_is_read_from_the_unit_that_ends_it() {
        let properties = timer_properties(&scope(&[]));
        let description = properties.iter().find(|one| one[0] == "Description");
        let mut state = UnitStatus {
            description: description.unwrap()[2].clone(),
            active_since: Some("2026-11-20T23:59:30Z".parse().unwrap()),
            ..UnitStatus::default()
        };
        let end = end_of_scope(&state).unwrap();
        assert_eq!(end.to_string(), "2026-11-21T00:00:30.5Z");
        // It has not started.
        state.active_since = None;
        assert_eq!(end_of_scope(&state), None);
    }

    #[test]
    fn a_scope_becomes_a_call_of_busctl() {
        let part_of = ["shop-web.service".to_owned(), "shop.target".to_owned()];
        let text = start_call(&scope(&part_of)).join(" ");
        assert!(
            text.starts_with(
                "StartTransientUnit ssa(sv)a(sa(sv)) shop-web-old-1a2b3c4d.scope fail 12 "
            ),
            "{text}"
        );
        for part in [
            " PIDs au 1 7 ",
            " PartOf as 2 shop-web.service shop.target ",
            " RuntimeMaxUSec t 30000000 ",
            " BindsTo as 1 shop-web-proxy-old-5e6f.scope ",
            " Wants as 1 shop-web-old-1a2b3c4d-after.service ",
            " 3 shop-web-old-1a2b3c4d-after.service 9 Description ",
            " ExecStart a(sasb) 1 /bin/sleep 2 /bin/sleep 40 false ",
            " ExecStopPost a(sasb) 1 /bin/clean 2 /bin/clean up false ",
            " shop-web-old-1a2b3c4d-drain.timer 6 Description ",
            " TimersMonotonic a(st) 1 OnActiveSec 60500000 ",
            " shop-web-old-1a2b3c4d-drain.service 4 Description ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
