//! The names of an app's units.

use super::application::App;
use super::service::{Service, Socket};
use crate::units::slice_unit;

/// The end of the name of a draining service, before its run: `shop-web-old-1a2b3c4d.scope`.
pub const OLD_SUFFIX: &str = "-old";
/// The end of a proxy's name.
pub const PROXY_SUFFIX: &str = "-proxy";
/// The end of a pre-check instance's name.
pub const PRE_CHECK_SUFFIX: &str = "-precheck";

impl App {
    /// The unit of a service: `<app>-<service>.service`.
    pub fn unit(&self, service: &Service) -> String {
        self.unit_called(service.name.as_str())
    }

    /// The unit of the service with this short name.
    pub fn unit_called(&self, service: &str) -> String {
        format!("{}-{service}.service", self.name)
    }

    /// The socket unit of a service.
    pub fn socket_unit(&self, service: &Service) -> String {
        format!("{}-{}.socket", self.name, service.name)
    }

    /// The socket unit of each address of a service, in the order of `listen`. Addresses with the
    /// same name share a unit, since a unit has one name for all its sockets (systemd.socket(5),
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

    /// The socket units of a service; none if it opens its addresses itself.
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

    /// The proxy unit of a service.
    pub fn proxy_unit(&self, service: &Service) -> String {
        format!("{}-{}{PROXY_SUFFIX}.service", self.name, service.name)
    }

    /// The target, which starts and stops the whole app.
    pub fn target_unit(&self) -> String {
        format!("{}.target", self.name)
    }

    /// The slice of the control groups of every service and socket (systemd.slice(5)). To stop it waits until
    /// all of them have ended.
    pub fn slice_unit(&self) -> String {
        slice_unit(self.name.as_str())
    }

    /// Every permanent unit of a service, in the order of [`UnitType`](units::UnitType): first what
    /// triggers it.
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
