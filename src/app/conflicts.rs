//! Services of an app that cannot run at the same time.
//!
//! systemd stops a unit when one that conflicts with it starts, also when a request asks for it (systemd.unit(5),
//! "Conflicts="). So all units of such a service conflict: while one service runs, no socket of the other is
//! open, and no request can start it.

use super::application::App;
use super::service::{Service, Socket, UnitRef};
use std::collections::BTreeSet;

impl App {
    /// The services that cannot run at the same time as a service: `conflicts` of one names the other, or a
    /// service that the other requires, directly or not. Jobs are left out, because they end.
    pub fn conflicting(&self, service: &Service) -> Vec<&Service> {
        if service.is_job() {
            return Vec::new();
        }
        let own = self.with_required(service);
        let cannot = |other: &Service| {
            let theirs = self.with_required(other);
            self.names_one_of(&own, &theirs) || self.names_one_of(&theirs, &own)
        };
        let others = self
            .services
            .iter()
            .filter(|other| !other.is_job() && other.name != service.name && cannot(other));
        others.collect()
    }

    /// The units that a unit of a service names in `Conflicts=`: every unit of the services that conflict with
    /// it, if it is this service that names them.
    ///
    /// One of two services names the other, and when both are to start at the boot, systemd starts the one that
    /// names the other. So a service that does not start with the app names one that does: to enable it is to
    /// choose it.
    pub fn conflicting_units(&self, service: &Service) -> Vec<String> {
        let position = |one: &Service| self.services.iter().position(|it| it.name == one.name);
        let named = self.conflicting(service).into_iter().filter(|other| {
            match (service.enable, other.enable) {
                (false, true) => true,
                (true, false) => false,
                _ => position(service) > position(other),
            }
        });
        named.flat_map(|other| self.units_of(other)).collect()
    }

    /// The units beside that of the service that `systemctl enable` and `disable` take with it, so that one
    /// command chooses between services that conflict (systemd.unit(5), "Also=").
    pub fn enabled_with(&self, service: &Service) -> Vec<String> {
        if self.conflicting(service).is_empty() {
            return Vec::new();
        }
        let mut units = self.socket_units(service);
        if service.socket == Socket::Proxy {
            units.push(self.proxy_unit(service));
        }
        units
    }

    /// The short names of a service and of every service of the app that it requires, directly or not.
    fn with_required(&self, service: &Service) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut next = vec![service];
        while let Some(one) = next.pop() {
            if names.insert(one.name.to_string()) {
                let required = own(&one.requires);
                next.extend(required.filter_map(|name| self.service(name)));
            }
        }
        names
    }

    /// Whether `conflicts` of one of the services names one of the others.
    fn names_one_of(&self, services: &BTreeSet<String>, others: &BTreeSet<String>) -> bool {
        let services = services.iter().filter_map(|name| self.service(name));
        services
            .flat_map(|service| own(&service.conflicts))
            .any(|name| others.contains(name))
    }
}

/// The short names of the services of the app among units.
fn own(units: &[UnitRef]) -> impl Iterator<Item = &str> {
    units.iter().filter_map(|unit| match unit {
        UnitRef::Own(name) => Some(name.as_str()),
        UnitRef::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::manifest::parse;

    fn app(services: &str) -> Result<App, crate::manifest::Problem> {
        let text = format!("[app]\nname = \"shop\"\nversion = \"1\"\n{services}");
        App::from_manifest(&parse(&text).unwrap(), None)
    }

    /// `a` and `b` are two drivers, and `c` needs the first.
    const DRIVERS: &str = "[service.a]\nexec = [\"/bin/a\"]\nlisten = [\"127.0.0.1:1001\"]\n\
        [service.b]\nexec = [\"/bin/b\"]\nenable = false\nlisten = [\"127.0.0.1:1002\"]\nconflicts = [\"a\"]\n\
        [service.c]\nexec = [\"/bin/c\"]\nlisten = [\"127.0.0.1:1003\"]\nrequires = [\"a\"]\n\
        [service.d]\nexec = [\"/bin/d\"]\nrequires = [\"c\"]\n\
        [service.e]\nexec = [\"/bin/e\"]\nwants = [\"b\"]\n";

    #[test]
    fn a_service_conflicts_with_what_requires_the_one_that_it_names() {
        let app = app(DRIVERS).unwrap();
        let names = |name: &str| -> Vec<&str> {
            let all = app.conflicting(app.service(name).unwrap());
            all.into_iter().map(|one| one.name.as_str()).collect()
        };
        for (service, expected) in [
            ("a", &["b"][..]),
            ("b", &["a", "c", "d"]),
            ("c", &["b"]),
            ("d", &["b"]),
            // It only wants one of them.
            ("e", &[]),
        ] {
            assert_eq!(names(service), expected, "{service}");
        }
    }

    #[test]
    fn the_service_that_does_not_start_with_the_app_names_the_others() {
        let app = app(DRIVERS).unwrap();
        let units = |name: &str| app.conflicting_units(app.service(name).unwrap());
        for name in ["a", "c", "d", "e"] {
            assert_eq!(units(name), [""; 0], "{name}");
        }
        let expected = [
            "shop-a.socket",
            "shop-a.service",
            "shop-c.socket",
            "shop-c.service",
            "shop-d.service",
        ];
        assert_eq!(units("b"), expected);
        assert_eq!(
            app.enabled_with(app.service("a").unwrap()),
            ["shop-a.socket"]
        );
        assert_eq!(app.enabled_with(app.service("e").unwrap()), [""; 0]);
    }

    #[test]
    fn services_that_conflict_cannot_both_start_with_the_app() {
        let both = DRIVERS.replace("enable = false\n", "");
        let refused = app(&both).map(drop).unwrap_err().to_string();
        assert!(refused.contains("`a` and `b` conflict"), "{refused}");
        let through = both.replace("conflicts = [\"a\"]", "conflicts = [\"c\"]");
        let refused = app(&through).map(drop).unwrap_err().to_string();
        assert!(refused.contains("`b` and `c` conflict"), "{refused}");
        // A job ends by itself, and a timer may start it while the other service is down.
        let job = "[service.a]\nexec = [\"/bin/a\"]\n\
                   [service.b]\nexec = [\"/bin/b\"]\ntype = \"oneshot\"\nconflicts = [\"a\"]\n";
        assert!(app(job).unwrap().services.iter().all(|one| one.enable));
    }
}
