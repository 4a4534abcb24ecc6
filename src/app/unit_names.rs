//! The names of an app's units.

use super::application::App;
use super::service::{Service, Socket};
use crate::units;

/// What the name of a stand-in ends in.
pub const STAND_IN_SUFFIX: &str = "-standin";
/// What the name of a proxy ends in.
pub const PROXY_SUFFIX: &str = "-proxy";
/// What the name of a pre-check instance ends in.
pub const PRE_CHECK_SUFFIX: &str = "-precheck";

impl App {
    /// The whole unit name of a service: `<app>-<service>.service`.
    pub fn unit(&self, service: &Service) -> String {
        self.unit_called(service.name.as_str())
    }

    /// The unit name of the service with this short name.
    pub fn unit_called(&self, service: &str) -> String {
        format!("{}-{service}.service", self.name)
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
        format!("{}-{}{STAND_IN_SUFFIX}@.service", self.name, service.name)
    }

    /// The stand-in of a service on one release.
    pub fn standin_unit(&self, service: &Service, id: &str) -> String {
        units::instance(&self.standin_template(service), id)
    }

    /// The proxy unit of a service.
    pub fn proxy_unit(&self, service: &Service) -> String {
        format!("{}-{}{PROXY_SUFFIX}.service", self.name, service.name)
    }

    /// The proxy's template unit, before a stand-in of the service.
    pub fn proxy_standin_template(&self, service: &Service) -> String {
        format!(
            "{}-{}{PROXY_SUFFIX}{STAND_IN_SUFFIX}@.service",
            self.name, service.name
        )
    }

    /// Every unit that stands in for a service on one release, each with the unit that it
    /// stands in for, in their starting order.
    pub fn standins(&self, service: &Service, id: &str) -> Vec<(String, String)> {
        let mut out = vec![(self.standin_unit(service, id), self.unit(service))];
        if service.socket == Socket::Proxy {
            let template = self.proxy_standin_template(service);
            out.push((units::instance(&template, id), self.proxy_unit(service)));
        }
        out
    }

    /// The unit that starts and stops all of the app.
    pub fn target_unit(&self) -> String {
        format!("{}.target", self.name)
    }

    /// Every unit of a service that is there all the time, what triggers it first: in the order of
    /// [`UnitType`](units::UnitType).
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
}
