//! Rules about all services together: their addresses, their names and their order.

use crate::app::application::App;
use crate::app::listen::Listen;
use crate::app::service::{Service, UnitRef};
use crate::manifest::{Problem, Result};

/// Refuses services that would open the same address, or have the same socket unit.
pub(super) fn check_addresses(services: &[Service]) -> Result<()> {
    for service in services {
        for name in service.listen_names.iter().skip(1) {
            let whole = format!("{}-{name}", service.name);
            if services.iter().any(|other| other.name.as_str() == whole) {
                let path = ["service", service.name.as_str(), "listen"];
                let message = format!(
                    "the socket `{name}` would have the unit name of the service `{whole}`"
                );
                return Err(Problem::new(&path, message, "give the socket another name"));
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
                let hint = "give each service its own address";
                return Err(Problem::new(&path, message, hint));
            }
            seen.push((service, listen));
        }
    }
    Ok(())
}

/// Refuses services that start with the app and cannot run at the same time.
pub(super) fn check_conflicts(app: &App) -> Result<()> {
    let enabled = || app.services.iter().filter(|one| one.enable);
    for service in enabled() {
        let others = app.conflicting(service);
        if let Some(other) = others.into_iter().find(|other| other.enable) {
            let (first, second) = (&service.name, &other.name);
            let message =
                format!("services `{first}` and `{second}` conflict, and both start with the app");
            let hint = "write `enable = false` in the one that you do not need now; \
                        `systemctl enable` and `disable` choose another later";
            return Err(Problem::new(
                &["service", second.as_str(), "enable"],
                message,
                hint,
            ));
        }
    }
    Ok(())
}

/// Orders the services: each after those that its `after`, `requires` and `wants` name.
pub(super) fn in_order(services: Vec<Service>) -> Result<Vec<Service>> {
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
                    "remove one of the names from `after`, `requires` or `wants`",
                ));
            }
        }
    }
    Ok(done)
}
