//! The base units: service, socket, timer, target.

use super::escape::{assignment, reload, words};
use crate::app::{
    App, Condition, Listen, Name, PROXY_SUFFIX, Service, Socket, Text, Timer, Type, UnitRef,
};
use crate::sandbox::prefix::{Prefix, words as words_of};
use crate::units::stem;
use anyhow::Result;
use askama::Template;

/// The role of a service unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceUnitRole {
    /// The service itself.
    Main,
    /// The proxy.
    Proxy,
}

#[derive(Template)]
#[template(path = "service.service", config = "packaging/askama.toml")]
struct ServiceUnit<'a> {
    app: &'a str,
    description: &'a str,
    target_unit: String,
    /// `Slice=`
    slice: String,
    relations: Vec<(&'static str, String)>,
    conditions: &'a [Condition],
    start_limit: Vec<(&'static str, String)>,
    kind: &'static str,
    user: &'a str,
    group: &'a str,
    groups: String,
    working_directory: &'a str,
    exec_start_pre: Vec<String>,
    exec_start: String,
    exec_start_post: String,
    exec_reload: String,
    restart: &'static str,
    /// `RestartSec=`, for a service that systemd restarts.
    restart_sec: &'a str,
    /// What the lines of the service have in the journal. Without it, those of several services that the
    /// same program runs look alike.
    identifier: String,
    /// Whether systemd must take a message about another main process (sd_notify(3), "MAINPID="), for
    /// a service that sends no messages itself.
    takes_main_process: bool,
    timeout_start: &'a str,
    timeout_stop: &'a str,
    watchdog: &'a str,
    sockets: String,
    /// Whether another process may accept from the same socket at the same time. When it starts one,
    /// systemd resets the mode of the socket, which both share. Without this setting, a server
    /// that relies on a nonblocking accept(2) would hang until the other process sets the mode.
    nonblocking: bool,
    environment: Vec<String>,
    env_file: String,
    credentials: Vec<(&'a str, String)>,
    /// `WantedBy=`; empty for a unit that cannot be enabled.
    wanted_by: String,
    /// `Also=`
    also: String,
}

/// The `.service` unit of a service in one role.
pub(super) fn service(app: &App, service: &Service, role: ServiceUnitRole) -> Result<String> {
    let groups: Vec<&str> = service.groups.iter().map(Name::as_str).collect();
    let unit = ServiceUnit {
        app: app.name.as_str(),
        description: service.description.as_str(),
        target_unit: app.target_unit(),
        slice: app.slice_unit(),
        relations: relations(app, service, role),
        conditions: &service.conditions,
        start_limit: service.restart.limits(),
        kind: service.kind.word(),
        user: service.user.as_str(),
        group: service.group.as_str(),
        groups: groups.join(" "),
        working_directory: service.working_directory.as_str(),
        exec_start_pre: service
            .exec_start_pre
            .iter()
            .map(|argv| command(service, argv))
            .collect(),
        exec_start: command(service, &service.exec),
        exec_start_post: wait_for_port(service),
        exec_reload: reload(&service.exec_reload),
        restart: service.restart.when,
        restart_sec: match role {
            ServiceUnitRole::Main if service.restart.when != "no" => &service.restart.after.text,
            ServiceUnitRole::Main | ServiceUnitRole::Proxy => "",
        },
        identifier: stem(&app.unit(service)).to_owned(),
        takes_main_process: takes_main_process(service, role),
        timeout_start: &service.timeout_start.text,
        timeout_stop: &service.timeout_stop.text,
        watchdog: service.watchdog.as_ref().map_or("", |span| &span.text),
        sockets: match role {
            ServiceUnitRole::Proxy => proxied_socket(app, service),
            _ if service.has_socket_unit() && service.socket == Socket::Activate => {
                app.socket_units(service).join(" ")
            }
            ServiceUnitRole::Main => String::new(),
        },
        nonblocking: match role {
            ServiceUnitRole::Proxy => true,
            ServiceUnitRole::Main => service.overlaps() && service.socket == Socket::Activate,
        },
        environment: service
            .env
            .iter()
            .map(|(name, value)| assignment(name, value))
            .collect(),
        env_file: match role {
            ServiceUnitRole::Proxy => String::new(),
            ServiceUnitRole::Main => app.layout.env_file(),
        },
        credentials: service
            .secrets
            .iter()
            .map(|name| (name.as_str(), app.layout.credential(name.as_str())))
            .collect(),
        wanted_by: if is_installed(app, service, role) {
            app.target_unit()
        } else {
            String::new()
        },
        also: app.enabled_with(service).join(" "),
    };
    Ok(unit.render()?)
}

/// Whether the administrator can enable a unit, also one that does not start with the app. A job with a timer
/// has none, nor has a unit that exists for one step, such as a pre-check instance.
fn is_installed(app: &App, service: &Service, role: ServiceUnitRole) -> bool {
    let is_of_app = app.service(service.name.as_str()).is_some();
    service.timer.is_none() && (is_of_app || role == ServiceUnitRole::Proxy)
}

/// Whether a unit needs `NotifyAccess=main` to be handed over. `Type=notify` and `WatchdogSec=` imply
/// it, and such a service sends messages itself.
fn takes_main_process(service: &Service, role: ServiceUnitRole) -> bool {
    role == ServiceUnitRole::Main
        && service.overlaps()
        && service.kind != Type::Notify
        && service.watchdog.is_none()
}

/// A command of a service. With secrets that are variables, `robotctl with-secrets` sets these from the credentials and
/// becomes the program: same process, same sandbox, same user.
pub(super) fn command(service: &Service, argv: &[Text]) -> String {
    if service.secret_variables.is_empty() {
        return words(argv);
    }
    let pairs = service.secret_variables.iter();
    let pairs: Vec<String> = pairs
        .map(|one| format!("{}={}", one.secret, one.variable))
        .collect();
    format!(
        "/usr/bin/robotctl with-secrets {} -- {}",
        pairs.join(" "),
        words(argv)
    )
}

/// The command that waits until a server behind a proxy accepts connections, so that the first
/// request through the proxy succeeds.
pub(super) fn wait_for_port(service: &Service) -> String {
    let address = service.listen.iter().find_map(Listen::local_address);
    match address {
        Some(address) if service.socket == Socket::Proxy => {
            format!("/usr/bin/robotctl await {address}")
        }
        _ => String::new(),
    }
}

/// The socket unit whose listener a proxy takes.
fn proxied_socket(app: &App, proxy: &Service) -> String {
    format!("{}-{}.socket", app.name, proxied(proxy))
}

/// The name of the service that a proxy belongs to.
fn proxied(proxy: &Service) -> &str {
    let name = proxy.name.as_str();
    name.strip_suffix(PROXY_SUFFIX).unwrap_or(name)
}

/// The service of the app that a unit belongs to: for a proxy, its server.
fn of_app<'a>(app: &'a App, service: &'a Service, role: ServiceUnitRole) -> &'a Service {
    let server = match role {
        ServiceUnitRole::Proxy => app.service(proxied(service)),
        ServiceUnitRole::Main => None,
    };
    server.unwrap_or(service)
}

/// Ordering and requirement lines of `[Unit]`.
fn relations(app: &App, service: &Service, role: ServiceUnitRole) -> Vec<(&'static str, String)> {
    let names = |units: &[UnitRef]| -> Vec<String> {
        let name = |unit: &UnitRef| match unit {
            UnitRef::Own(name) => format!("{}-{name}.service", app.name),
            UnitRef::Other(name) => name.to_string(),
        };
        units.iter().map(name).collect()
    };
    let mut requires = names(&service.requires);
    let wants = names(&service.wants);
    let mut after = names(&service.after);
    after.extend(requires.iter().chain(&wants).cloned());
    let mut conflicts = names(&service.conflicts);
    // One of two services of the app names the other, with all its units.
    let own = of_app(app, service, role);
    let others = app.conflicting(own);
    conflicts.retain(|unit| others.iter().all(|other| app.unit(other) != *unit));
    conflicts.extend(app.conflicting_units(own));
    let mut join = Vec::new();
    match role {
        ServiceUnitRole::Proxy => {
            let backend = format!("{}-{}.service", app.name, proxied(service));
            requires.push(backend.clone());
            after.push(backend.clone());
            join.push(backend);
            requires.push(proxied_socket(app, service));
            after.push(proxied_socket(app, service));
        }
        _ if service.has_socket_unit() && service.socket == Socket::Activate => {
            requires.extend(app.socket_units(service));
            after.extend(app.socket_units(service));
        }
        ServiceUnitRole::Main => {}
    }
    let all = [
        ("Requires", requires),
        ("Wants", wants),
        ("After", after),
        ("Conflicts", conflicts),
        ("JoinsNamespaceOf", join),
    ];
    let lines = all.into_iter().filter(|(_, units)| !units.is_empty());
    lines.map(|(name, units)| (name, unique(units))).collect()
}

/// The names without duplicates, in order.
fn unique(units: Vec<String>) -> String {
    let mut out: Vec<String> = Vec::new();
    for unit in units {
        if !out.contains(&unit) {
            out.push(unit);
        }
    }
    out.join(" ")
}

#[derive(Template)]
#[template(path = "socket.socket", config = "packaging/askama.toml")]
struct SocketUnit<'a> {
    app: &'a str,
    description: &'a str,
    target_unit: String,
    /// `Slice=`
    slice: String,
    /// `Conflicts=`
    conflicts: String,
    listen: Vec<String>,
    fd_name: &'a str,
    service: String,
    tcp: bool,
    unix: bool,
    conditions: &'a [Condition],
    user: &'a str,
    group: &'a str,
    /// Who may connect over TCP; empty for everyone.
    clients: String,
    wanted_by: String,
}

/// A `.socket` unit of a service, with its addresses.
pub(super) fn socket(app: &App, service: &Service, unit: &str) -> Result<String> {
    let owners = app.sockets_by_address(service);
    let mine: Vec<usize> = (0..owners.len())
        .filter(|index| owners.get(*index).is_some_and(|owner| owner == unit))
        .collect();
    let name = mine.first().and_then(|one| service.listen_names.get(*one));
    let listen = mine.iter().filter_map(|index| service.listen.get(*index));
    let listen: Vec<&Listen> = listen.collect();
    let tcp = listen.iter().any(|listen| listen.port().is_some());
    let unit = SocketUnit {
        app: app.name.as_str(),
        description: service.description.as_str(),
        target_unit: app.target_unit(),
        slice: app.slice_unit(),
        conflicts: unique(app.conflicting_units(service)),
        listen: listen.iter().map(ToString::to_string).collect(),
        fd_name: name.map_or("", Name::as_str),
        service: match service.socket {
            Socket::Proxy => app.proxy_unit(service),
            Socket::Activate | Socket::Direct => app.unit(service),
        },
        tcp,
        unix: listen.iter().any(|listen| listen.port().is_none()),
        // A request for a service that may not start would start it again and again.
        conditions: &service.conditions,
        user: service.user.as_str(),
        group: service.group.as_str(),
        clients: if listen.iter().any(|listen| listen.is_public()) {
            words_of(&service.clients())
        } else if tcp {
            words_of(&Prefix::LOOPBACK)
        } else {
            String::new()
        },
        wanted_by: format!("sockets.target {}", app.target_unit()),
    };
    Ok(unit.render()?)
}

#[derive(Template)]
#[template(path = "timer.timer", config = "packaging/askama.toml")]
struct TimerUnit<'a> {
    app: &'a str,
    description: &'a str,
    target_unit: String,
    service: String,
    triggers: Vec<(&'static str, String)>,
    wanted_by: String,
}

/// The `.timer` unit of a service.
pub(super) fn timer(app: &App, service: &Service, timer: &Timer) -> Result<String> {
    let Timer {
        calendar,
        on_boot,
        on_unit_active,
        persistent,
        randomized_delay,
    } = timer;
    let all = [
        ("OnCalendar", calendar.as_ref().map(ToString::to_string)),
        ("OnBootSec", on_boot.as_ref().map(|span| span.text.clone())),
        (
            "OnUnitActiveSec",
            on_unit_active.as_ref().map(|span| span.text.clone()),
        ),
        ("Persistent", persistent.then(|| "yes".to_owned())),
        (
            "RandomizedDelaySec",
            randomized_delay.as_ref().map(|span| span.text.clone()),
        ),
    ];
    let unit = TimerUnit {
        app: app.name.as_str(),
        description: service.description.as_str(),
        target_unit: app.target_unit(),
        service: app.unit(service),
        triggers: all
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect(),
        wanted_by: format!("timers.target {}", app.target_unit()),
    };
    debug_assert!(
        service.kind == Type::Oneshot,
        "the manifest allows no other"
    );
    Ok(unit.render()?)
}

#[derive(Template)]
#[template(path = "app.target", config = "packaging/askama.toml")]
struct TargetUnit<'a> {
    app: &'a str,
    description: String,
}

/// The target of an app.
pub(super) fn target(app: &App) -> Result<String> {
    let description = match app.description.as_str() {
        "" => format!("{} services", app.name),
        text => text.to_owned(),
    };
    let unit = TargetUnit {
        app: app.name.as_str(),
        description,
    };
    Ok(unit.render()?)
}
