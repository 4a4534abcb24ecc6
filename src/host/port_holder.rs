//! Who listens on a TCP port of the host: a socket unit of systemd, or a process.

use super::cgroup::{is_in_unit, unit_of};
use super::process::{SYSTEMD_PID, processes};
use super::root::Root;
use super::runner::Command;
use super::sockets::{listening_inodes, socket_holders};
use crate::printable;
use crate::tree::generated_for;
use std::fmt;

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortHolder {
    /// systemd listens for a socket unit. The app is that which robotctl generated it for.
    Socket {
        /// The name of the unit.
        unit: String,
        /// The app, if there is one.
        app: Option<String>,
    },
    /// A process.
    Process {
        /// Its id.
        pid: u32,
        /// Its command.
        command: String,
        /// The service to which it belongs.
        service: Option<String>,
    },
    /// This user may not see who.
    Hidden,
}

/// How a port is used, for an app that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortUse {
    /// No process listens there.
    Free,
    /// A unit of the app listens there.
    Own,
    /// Something outside the app does.
    Other(PortHolder),
}

impl PortUse {
    /// How a port is used. `own` are the units of the app that may listen there. Where this user may not see
    /// who listens, `is_active` decides: whether such a unit is active.
    pub fn of(root: &Root, port: u16, own: &[String], is_active: bool) -> Self {
        let inodes = listening_inodes(port);
        if inodes.is_empty() {
            return Self::Free;
        }
        let holders = socket_holders(&inodes);
        let is_own = |pid: &u32| own.iter().any(|unit| listens_for(*pid, unit));
        let is_held_by_own = match &holders {
            Some(pids) => pids.iter().any(is_own),
            None => is_active,
        };
        match is_held_by_own {
            true => Self::Own,
            false => Self::Other(PortHolder::among(root, port, &holders.unwrap_or_default())),
        }
    }
}

/// Whether a process listens for a unit. systemd itself listens for a socket unit.
pub fn listens_for(pid: u32, unit: &str) -> bool {
    match unit.ends_with(".socket") {
        true => pid == SYSTEMD_PID,
        false => is_in_unit(pid, unit),
    }
}

impl PortHolder {
    /// The holder of a port among the processes that have its sockets open.
    pub fn among(root: &Root, port: u16, pids: &[u32]) -> Self {
        // A service has the socket of its unit open too, but the unit is what listens.
        if pids.contains(&SYSTEMD_PID)
            && let Some(unit) = socket_unit(port)
        {
            let app = app_of(root, &unit);
            return Self::Socket { unit, app };
        }
        let all = processes().unwrap_or_default();
        let of_pid = |pid: &u32| all.into_iter().find(|one| one.pid == *pid);
        match pids.first().and_then(of_pid) {
            Some(process) => Self::Process {
                service: unit_of(process.pid).filter(|unit| unit.ends_with(".service")),
                pid: process.pid,
                command: process.command,
            },
            None => Self::Hidden,
        }
    }

    /// The app for which robotctl generated the unit that holds it, if it is a socket.
    pub fn app(&self) -> Option<&str> {
        match self {
            Self::Socket { app, .. } => app.as_deref(),
            Self::Process { .. } | Self::Hidden => None,
        }
    }

    /// The unit that holds it.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Self::Socket { unit, .. } => Some(unit),
            Self::Process { service, .. } => service.as_deref(),
            Self::Hidden => None,
        }
    }
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { unit, app: None } => write!(f, "`{unit}`"),
            Self::Socket {
                unit,
                app: Some(app),
            } => write!(f, "`{unit}` of the app `{app}`"),
            Self::Process {
                pid,
                command,
                service,
            } => {
                write!(f, "pid {pid} (`{}`)", printable::name(command))?;
                match service {
                    Some(service) => write!(f, " of `{}`", printable::name(service)),
                    None => Ok(()),
                }
            }
            Self::Hidden => write!(f, "another process"),
        }
    }
}

/// The socket unit for which systemd listens on a port.
fn socket_unit(port: u16) -> Option<String> {
    let argv = [
        "systemctl",
        "list-sockets",
        "--all",
        "--full",
        "--plain",
        "--no-legend",
    ];
    let text = Command::new(argv).run().ok()?;
    unit_in_list(&text, port)
}

/// The app that a unit was generated for.
fn app_of(root: &Root, unit: &str) -> Option<String> {
    let argv = [
        "systemctl",
        "show",
        "--property=FragmentPath",
        "--value",
        "--",
        unit,
    ];
    let path = Command::new(argv).run().ok()?;
    let file = root.read(path.trim()).ok()??;
    generated_for(&file).map(str::to_owned)
}

/// The unit of a port in the output of `systemctl list-sockets`.
fn unit_in_list(text: &str, port: u16) -> Option<String> {
    let end = format!(":{port}");
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let listens = words.next()?.ends_with(&end);
        words.next().filter(|_| listens).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::{PortHolder, unit_in_list};

    #[test]
    fn the_unit_of_a_port_is_found_in_the_list() {
        let list = "/run/dbus/system_bus_socket dbus.socket dbus.service\n\
                    127.0.0.1:8080 demo-web.socket demo-web.service\n\
                    [::]:80 other.socket other.service\n";
        let unit = |port| unit_in_list(list, port);
        assert_eq!(unit(8080).as_deref(), Some("demo-web.socket"));
        assert_eq!(unit(80).as_deref(), Some("other.socket"));
        assert_eq!(unit(808), None);
    }

    #[test]
    fn a_process_is_named_with_its_service_in_one_line() {
        let holder = PortHolder::Process {
            pid: 7,
            command: "nginx".into(),
            service: Some("nginx.service".into()),
        };
        assert_eq!(holder.to_string(), "pid 7 (`nginx`) of `nginx.service`");
        let holder = PortHolder::Process {
            pid: 7,
            command: "x\nerror: y".into(),
            service: None,
        };
        assert_eq!(holder.to_string(), "pid 7 (`x\\nerror: y`)");
    }
}
