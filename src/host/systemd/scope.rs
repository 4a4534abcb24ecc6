//! Transient scopes: units of processes that run already (systemd.scope(5)).
//!
//! The D-Bus interface of systemd is described in org.freedesktop.systemd1(5).

use super::Systemd;
use crate::host::clock;
use crate::host::runner::Command;
use anyhow::Result;
use jiff::Timestamp;
use std::time::Duration;

/// The target of every call.
const MANAGER: [&str; 5] = [
    "busctl",
    "call",
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
];

/// What stands before the time in the description of a unit that ends a scope.
const UNTIL: &str = " has time until ";

/// A scope to start.
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
}

impl Systemd {
    /// Starts a scope. Its first process moves there from its unit, and nothing else changes for it.
    ///
    /// # Errors
    /// When systemd refuses, also because the process has ended.
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

    /// Starts the unit `name`, which ends a scope when `time` is over.
    ///
    /// # Errors
    /// When systemd does not start that unit, although the scope still exists.
    pub fn end_scope_after(&self, name: &str, scope: &str, time: Duration) -> Result<()> {
        let stop = format!("ExecStopPost=/bin/systemctl stop --no-block {scope}");
        self.start_helper(&Helper {
            name,
            scope,
            // systemd does not start it then when the scope has just ended.
            order: "After",
            description: &text_of_end(scope, time),
            properties: &["Type=exec", &stop],
            argv: &["/bin/sleep", &format!("{:.3}", time.as_secs_f64())],
        })
    }

    /// Starts the unit `name`, which runs a command as root each time an interval is over, and again when
    /// a scope has ended. The words of the command may not contain spaces or other special characters of
    /// systemd.service(5).
    ///
    /// # Errors
    /// When systemd does not start that unit, although the scope still exists.
    pub fn run_beside_scope(
        &self,
        name: &str,
        scope: &str,
        interval: Duration,
        argv: &[&str],
    ) -> Result<()> {
        // systemd 252 loses a line with a prefix, such as `+` or `-`, at a daemon-reload.
        let command = format!("ExecStopPost={}", argv.join(" "));
        let helper = Helper {
            name,
            scope,
            // It stops when the scope has stopped.
            order: "Before",
            description: &format!("Cleans up after {scope}"),
            properties: &[
                "Type=exec",
                "Restart=always",
                // What it runs may restore a service.
                "TimeoutStopSec=infinity",
                &command,
            ],
            argv: &["/bin/sleep", &interval.as_secs().to_string()],
        };
        self.start_helper(&helper)
    }

    /// Starts the unit `name`, which is of `user` until a scope with the main process `pid` ends. systemd
    /// removes the shared memory of a user who has no unit (systemd.exec(5), "RemoveIPC=").
    ///
    /// # Errors
    /// When systemd does not start that unit, although the scope still exists.
    pub fn keep_user(&self, name: &str, scope: &str, user: &str, pid: u32) -> Result<()> {
        let user_line = format!("User={user}");
        // systemd would start the unit beside a scope that has ended, and would not end it.
        let condition = format!("ConditionPathExists=/proc/{pid}");
        let helper = Helper {
            name,
            scope,
            // It stops when the scope has stopped.
            order: "Before",
            description: &format!("Keeps shared memory of {user} for {scope}"),
            // A service could leave its sandbox through a process of its user that has none, so this one
            // ends at once and has no rights.
            properties: &[
                "Type=oneshot",
                "RemainAfterExit=yes",
                &user_line,
                &condition,
                "NoNewPrivileges=yes",
                "CapabilityBoundingSet=",
                "ProtectSystem=strict",
                "ProtectHome=yes",
                "PrivateNetwork=yes",
                "PrivateUsers=yes",
                "RestrictNamespaces=yes",
            ],
            argv: &["/bin/true"],
        };
        self.start_helper(&helper)
    }

    /// A helper that already runs and a scope that has ended are no errors.
    fn start_helper(&self, helper: &Helper<'_>) -> Result<()> {
        let Helper { name, scope, .. } = helper;
        let head = [
            "systemd-run".to_owned(),
            "--quiet".to_owned(),
            "--collect".to_owned(),
            format!("--unit={name}"),
            format!("--description={}", helper.description),
            format!("--property=BindsTo={scope}"),
            format!("--property={}={scope}", helper.order),
        ];
        let properties = helper.properties.iter();
        let properties = properties.map(|text| format!("--property={text}"));
        let argv = helper.argv.iter().map(|word| (*word).to_owned());
        let words = head.into_iter().chain(properties).chain(argv);
        let Err(error) = Command::new(words).run() else {
            return Ok(());
        };
        let states = self.show(&[(*name).to_owned(), (*scope).to_owned()])?;
        match states.as_slice() {
            [helper, scope] if !helper.is_down() || !scope.is_active() => Ok(()),
            _ => Err(error),
        }
    }
}

/// A unit beside a scope, which ends with it.
struct Helper<'a> {
    name: &'a str,
    scope: &'a str,
    /// `Before` or `After`: when it starts and stops, as seen from the scope.
    order: &'a str,
    description: &'a str,
    properties: &'a [&'a str],
    argv: &'a [&'a str],
}

/// The description of a unit that ends a scope after a time. [`end_of_scope`] reads it.
fn text_of_end(scope: &str, time: Duration) -> String {
    let end = clock::now().saturating_add(time).unwrap_or(Timestamp::MAX);
    format!("{scope}{UNTIL}{end}")
}

/// When a scope ends, from the description of the unit that ends it.
pub fn end_of_scope(description: &str) -> Option<Timestamp> {
    description.rsplit_once(UNTIL)?.1.parse().ok()
}

/// `StartTransientUnit(name, mode, properties, aux)`, as busctl(1) takes it.
fn start_call(scope: &Scope<'_>) -> Vec<String> {
    let micros = |time: Duration| time.as_micros().to_string();
    let list = |name: &str, values: &[&str]| {
        let head = [name.to_owned(), "as".to_owned(), values.len().to_string()];
        let values = values.iter().map(|value| (*value).to_owned());
        head.into_iter().chain(values).collect::<Vec<String>>()
    };
    let one = |name: &str, kind: &str, value: &str| [name, kind, value].map(str::to_owned).to_vec();
    let part_of: Vec<&str> = scope.part_of.iter().map(String::as_str).collect();
    let mut properties = vec![
        one("Description", "s", scope.description),
        ["PIDs", "au", "1", &scope.pid.to_string()]
            .map(str::to_owned)
            .to_vec(),
        one("Slice", "s", scope.slice),
        list("PartOf", &part_of),
        // Other processes may only be moved into a scope that is delegated.
        one("Delegate", "b", "yes"),
        one("CollectMode", "s", "inactive-or-failed"),
        one("TimeoutStopUSec", "t", &micros(scope.timeout_stop)),
        one("RuntimeMaxUSec", "t", &micros(scope.runtime_max)),
    ];
    if let Some(unit) = scope.binds_to {
        properties.push(list("BindsTo", &[unit]));
        properties.push(list("After", &[unit]));
    }
    let head = [
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        scope.name,
        "fail",
        &properties.len().to_string(),
    ]
    .map(str::to_owned);
    let tail = ["0".to_owned()];
    let properties = properties.into_iter().flatten();
    head.into_iter().chain(properties).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::{Scope, end_of_scope, start_call, text_of_end};
    use crate::host::clock;
    use std::time::Duration;

    #[test]
    fn the_end_of_a_scope_is_read_from_the_description() {
        let end = end_of_scope(&text_of_end("a.scope", Duration::from_secs(60))).unwrap();
        let left = end.as_second() - clock::now().as_second();
        assert!((55..=60).contains(&left), "{left}");
        assert_eq!(end_of_scope("a.scope"), None);
    }

    #[test]
    fn a_scope_becomes_a_call_of_busctl() {
        let part_of = ["shop-web.service".to_owned(), "shop.target".to_owned()];
        let call = start_call(&Scope {
            name: "shop-web-old-1a2b3c4d.scope",
            description: "old",
            pid: 7,
            slice: "shop.slice",
            part_of: &part_of,
            binds_to: Some("shop-web-proxy-old-5e6f.scope"),
            runtime_max: Duration::from_secs(30),
            timeout_stop: Duration::from_secs(5),
        });
        let text = call.join(" ");
        assert!(
            text.starts_with(
                "StartTransientUnit ssa(sv)a(sa(sv)) shop-web-old-1a2b3c4d.scope fail 10 "
            ),
            "{text}"
        );
        for part in [
            " PIDs au 1 7 ",
            " PartOf as 2 shop-web.service shop.target ",
            " RuntimeMaxUSec t 30000000 ",
            " BindsTo as 1 shop-web-proxy-old-5e6f.scope ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(call.last().map(String::as_str), Some("0"));
    }
}
