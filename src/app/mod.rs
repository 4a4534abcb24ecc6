//! What the manifest means: an [`App`] that cannot hold a bad value.
//!
//! [`App::from_manifest`] is the only way to one. It knows no host, so that the same manifest
//! is the same app everywhere.

mod canonical;
pub mod layout;
mod lines;
mod lints;
mod listen;
pub mod names;
mod read;
mod reserved;
mod sandbox;
mod schema;
mod service;

pub use canonical::Canonical;
pub use layout::Layout;
pub use lines::{Calendar, Device, Line};
pub use lints::{LINTS, Lint, LintFinding, Severity, UNENFORCED, lint};
pub use listen::Listen;
pub use names::{AbsPath, EnvName, Name, Span, Text, UnitName, Version};
pub use sandbox::{CAPABILITIES, EXCEPTIONS, Exception, Network, PRESETS, Sandbox, Shape};
pub use schema::schema;
pub use service::{
    Check, DEFAULT_STOP_SECONDS, Limits, Probe, Service, Socket, Timer, Type, UnitRef, Upgrade,
};

use crate::manifest::{Manifest, Problem, Result};
use read::Reader;

/// Which systemd the units are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Exactly this version.
    Version(u16),
    /// Any from 247 on: the old value first, then the new one.
    Portable,
}

impl Target {
    /// The oldest systemd that is supported (Debian 11).
    pub const OLDEST: u16 = 247;
    /// Read as this, a unit may hold whatever any version knows.
    pub const NEWEST: u16 = u16::MAX;

    /// Whether a directive that appeared in `since` may be written.
    pub fn has(self, since: u16) -> bool {
        match self {
            Self::Version(version) => version >= since,
            Self::Portable => true,
        }
    }
}

/// A secret, delivered as a credential.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The credential's name.
    pub name: EnvName,
    /// Made with this many random bytes, in hexadecimal, when it is absent.
    pub generate: Option<u16>,
}

/// How the Python environment of a release is made.
#[derive(Debug, Clone)]
pub struct Python {
    /// Requirement files, relative to the release.
    pub requirements: Vec<Text>,
    /// Directory of wheels, relative to the release.
    pub wheels: Option<Text>,
}

/// What a release is made of.
#[derive(Debug, Clone)]
pub struct Release {
    /// Directory or archive, relative to the manifest.
    pub source: Text,
    /// Patterns in gitignore syntax.
    pub exclude: Vec<Text>,
    /// Commands run in the staged tree.
    pub build: Vec<Vec<Text>>,
    /// The Python environment.
    pub python: Option<Python>,
    /// How many releases stay.
    pub keep: u32,
    /// For how long a release that went live is watched, and put back when a service loops.
    pub soak: Option<Span>,
}

/// Jobs that run once a deploy, on the new release.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Before anything live changes: a failure stops the deploy.
    pub before_switch: Option<Service>,
    /// After the new release took over, before its checks: a failure puts the old one back.
    pub after_switch: Option<Service>,
}

impl Hooks {
    /// What the names of these jobs end in.
    pub const SUFFIX: &'static str = "-hook";
}

/// The types of unit that an app may have (systemd.unit(5)), in the order in which they are
/// stopped: nothing starts a service again that has just been stopped.
pub const UNIT_TYPES: [&str; 4] = ["target", "timer", "socket", "service"];

/// The type of a unit of an app, as an index into [`UNIT_TYPES`]; none for any other name.
pub fn unit_type(unit: &str) -> Option<usize> {
    let (_, end) = unit.rsplit_once('.')?;
    UNIT_TYPES.iter().position(|one| *one == end)
}

/// A whole application.
#[derive(Debug, Clone)]
pub struct App {
    /// Name, with `-<environment>` for an overlay.
    pub name: Name,
    /// Version as shown; a release's id begins with it.
    pub version: Version,
    /// One line.
    pub description: Line,
    /// `Name <mail>`.
    pub maintainer: Option<Line>,
    /// Owner of the state.
    pub user: Name,
    /// The overlay, if one was asked for.
    pub environment: Option<Name>,
    /// The target that the manifest names; `None` is the host's own.
    pub target: Option<Target>,
    /// What a release is made of.
    pub release: Release,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Services, in an order in which each comes after what it names in `after`.
    pub services: Vec<Service>,
    /// Jobs of a deploy.
    pub hooks: Hooks,
    /// Where it lives.
    pub layout: Layout,
    /// The manifest that it is of, without its layout.
    pub manifest: Canonical,
}

impl App {
    /// Judges a manifest; `environment` names the overlay to apply.
    ///
    /// # Errors
    /// A [`Problem`] with the key's path; [`Problem::at`] adds the line.
    pub fn from_manifest(manifest: &Manifest, environment: Option<&str>) -> Result<Self> {
        Reader::new(manifest, environment)?.app()
    }

    /// The whole unit name of a service: `<app>-<service>.service`.
    pub fn unit(&self, service: &Service) -> String {
        format!("{}-{}.service", self.name, service.name)
    }

    /// The socket unit of a service.
    pub fn socket_unit(&self, service: &Service) -> String {
        format!("{}-{}.socket", self.name, service.name)
    }

    /// The socket unit of each address of a service, in the order of `listen`. Addresses of one
    /// name share a unit, since a unit has one name for all its sockets (systemd.socket(5),
    /// "FileDescriptorName=").
    pub fn sockets_by_address(&self, service: &Service) -> Vec<String> {
        let main = self.socket_unit(service);
        let name = |index: usize| service.listen_names.get(index);
        let unit = |index: usize| match name(index) {
            Some(own) if name(0) != Some(own) => {
                format!("{}-{}-{own}.socket", self.name, service.name)
            }
            _ => main.clone(),
        };
        (0..service.listen.len()).map(unit).collect()
    }

    /// The socket units of a service; none when it binds its addresses itself.
    pub fn socket_units(&self, service: &Service) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        if service.has_socket_unit() {
            for unit in self.sockets_by_address(service) {
                if !out.contains(&unit) {
                    out.push(unit);
                }
            }
        }
        out
    }

    /// The timer unit of a service.
    pub fn timer_unit(&self, service: &Service) -> String {
        format!("{}-{}.timer", self.name, service.name)
    }

    /// The stand-in's template unit.
    pub fn standin_template(&self, service: &Service) -> String {
        format!("{}-{}-standin@.service", self.name, service.name)
    }

    /// The stand-in of a service on one release.
    pub fn standin_unit(&self, service: &Service, id: &str) -> String {
        format!("{}-{}-standin@{id}.service", self.name, service.name)
    }

    /// The proxy unit of a service.
    pub fn proxy_unit(&self, service: &Service) -> String {
        format!("{}-{}-proxy.service", self.name, service.name)
    }

    /// The proxy's template unit, before a stand-in of the service.
    pub fn proxy_standin_template(&self, service: &Service) -> String {
        format!("{}-{}-proxy-standin@.service", self.name, service.name)
    }

    /// Every unit that stands in for a service on one release, each with the unit that it
    /// stands in for, in their starting order.
    pub fn standins(&self, service: &Service, id: &str) -> Vec<(String, String)> {
        let mut out = vec![(self.standin_unit(service, id), self.unit(service))];
        if service.socket == Socket::Proxy {
            let template = self.proxy_standin_template(service);
            let unit = template.replacen('@', &format!("@{id}"), 1);
            out.push((unit, self.proxy_unit(service)));
        }
        out
    }

    /// The unit that starts and stops all of the app.
    pub fn target_unit(&self) -> String {
        format!("{}.target", self.name)
    }

    /// Every unit of a service that is there all the time, what triggers it first: in the order of
    /// [`UNIT_TYPES`].
    pub fn units_of(&self, service: &Service) -> Vec<String> {
        let mut out = Vec::new();
        if service.timer.is_some() {
            out.push(self.timer_unit(service));
        }
        out.extend(self.socket_units(service));
        if service.socket == Socket::Proxy {
            out.push(self.proxy_unit(service));
        }
        out.push(self.unit(service));
        out
    }

    /// A service by its short name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.name.as_str() == name)
    }

    /// Directories that systemd makes for a service and gives to its user, each with the stem of
    /// its directive (systemd.exec(5), "StateDirectory="). They are the app's user's, so that a
    /// service of another user gets none. Cache and logs are made for those that name them.
    pub fn directories(&self, service: &Service) -> Vec<(&'static str, String)> {
        if service.user != self.user {
            return Vec::new();
        }
        let mut out = vec![
            ("Runtime", self.layout.run()),
            ("State", self.layout.state()),
        ];
        let texts = || {
            let env = service.env.iter().map(|(_, value)| value);
            let pre = service.exec_start_pre.iter().flatten();
            service.exec.iter().chain(pre).chain(env)
        };
        for (stem, path) in [("Cache", self.layout.cache()), ("Logs", self.layout.logs())] {
            if texts().any(|text| text.as_str().contains(&path)) {
                out.push((stem, path));
            }
        }
        out
    }
}

/// Two services of one app that would bind the same address.
fn colliding(services: &[Service]) -> Result<()> {
    for service in services {
        for name in service.listen_names.iter().skip(1) {
            let whole = format!("{}-{name}", service.name);
            if services.iter().any(|other| other.name.as_str() == whole) {
                let path = ["service", service.name.as_str(), "listen"];
                let message = format!("the socket `{name}` is called as the service `{whole}` is");
                return Err(Problem::new(&path, message).hint("give the socket another name"));
            }
        }
    }
    let mut seen: Vec<(&Service, &Listen)> = Vec::new();
    for service in services {
        for (index, listen) in service.listen.iter().enumerate() {
            if let Some((other, one)) = seen.iter().find(|(_, one)| one.collides(listen)) {
                let path = [
                    "service",
                    service.name.as_str(),
                    "listen",
                    &index.to_string(),
                ];
                let what = match (listen.port(), one == &listen) {
                    (Some(port), false) => format!("port {port}"),
                    _ => format!("`{listen}`"),
                };
                let message = if other.name == service.name {
                    format!("service `{}` listens on {what} twice", service.name)
                } else {
                    format!(
                        "services `{}` and `{}` both listen on {what}",
                        other.name, service.name
                    )
                };
                let hint = "give each service an address of its own";
                return Err(Problem::new(&path, message).hint(hint));
            }
            seen.push((service, listen));
        }
    }
    Ok(())
}

/// Orders services so that each comes after its own `after`, `requires` and `wants`.
fn ordered(services: Vec<Service>) -> Result<Vec<Service>> {
    let mut rest = services;
    let mut done: Vec<Service> = Vec::new();
    while !rest.is_empty() {
        let ready = rest.iter().position(|service| {
            let needs = service.after.iter().chain(&service.requires);
            !needs.chain(&service.wants).any(|unit| match unit {
                UnitRef::Own(name) => rest.iter().any(|other| other.name == *name),
                UnitRef::Other(_) => false,
            })
        });
        match ready {
            Some(index) => done.push(rest.remove(index)),
            None => {
                let names: Vec<String> = rest.iter().map(|one| format!("`{}`", one.name)).collect();
                let first = rest.first().map_or("", |one| one.name.as_str());
                return Err(Problem::new(
                    &["service", first, "after"],
                    format!("services {} wait for each other", names.join(", ")),
                )
                .hint("take one of the names out of `after`, `requires` or `wants`"));
            }
        }
    }
    Ok(done)
}
