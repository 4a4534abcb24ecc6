//! Which services stop, because they are up at the same time as another one that they conflict with.
//!
//! The units of a new release exclude each other, so systemd keeps one of two up. Those of an older release may
//! not: only its services exclude each other, and the sockets of both listen.

use super::input::Observed;
use crate::app::{App, Service};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The short names of the services that stop, each with a unit that stays up in its place.
///
/// Those that are enabled stay, and of them the one that systemd would start at the boot. Of those that are not
/// enabled, the one that runs stays. If the manifest enables both, it is from an older release, and both stay.
pub(super) fn yielding<'a>(app: &'a App, observed: &Observed) -> BTreeMap<&'a str, String> {
    let unit_up = |service: &Service| {
        let mut units = app.units_of(service).into_iter();
        units.find(|unit| observed.active.contains(unit))
    };
    let services = app.services.iter().enumerate();
    let mut up: Vec<_> = services
        .filter_map(|(position, service)| Some((position, service, unit_up(service)?)))
        .collect();
    up.sort_by_key(|(position, service, _)| {
        let is_down = !observed.active.contains(&app.unit(service));
        (rank(app, observed, service), is_down, Reverse(*position))
    });
    let mut stay: Vec<(&Service, &String)> = Vec::new();
    let mut stop = BTreeMap::new();
    for (_, service, unit) in &up {
        let others = app.conflicting(service);
        let stays = stay.iter().find(|(other, _)| {
            let conflicts = others.iter().any(|one| one.name == other.name);
            conflicts && !(service.enable && other.enable)
        });
        match stays {
            Some((_, other)) => {
                stop.insert(service.name.as_str(), (*other).clone());
            }
            None => stay.push((service, unit)),
        }
    }
    stop
}

/// Whether a unit of a service is enabled after the change, by the new manifest or by the administrator.
pub(super) fn is_chosen(observed: &Observed, service: &Service, unit: &str) -> bool {
    let live = observed.live.as_ref();
    let live = live.and_then(|live| live.app.service(service.name.as_str()));
    // The change removes the link that the live manifest has asked for.
    let is_by_manifest = live.is_some_and(|live| live.enable);
    service.enable || (observed.enabled.contains(unit) && !is_by_manifest)
}

/// The order in which services stay. Of two that are enabled, the one that the manifest does not enable names the
/// other in `Conflicts=`, and systemd starts that one at the boot.
fn rank(app: &App, observed: &Observed, service: &Service) -> u8 {
    let mut units = app.units_of(service).into_iter();
    if service.enable {
        1
    } else if units.any(|unit| is_chosen(observed, service, &unit)) {
        0
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::{is_chosen, yielding};
    use crate::app::App;
    use crate::manifest::parse;
    use crate::plan::{Action, Candidate, LiveRelease, Observed, plan};
    use crate::tree::FileTree;

    /// `a` and `b` conflict, `c` requires `a`, and each has a socket.
    fn app(enabled: &[&str]) -> App {
        let services = [
            ("a", ""),
            ("b", "conflicts = [\"a\"]"),
            ("c", "requires = [\"a\"]"),
        ];
        let mut text = "[app]\nname = \"shop\"\nversion = \"1\"\n".to_owned();
        for (number, (name, keys)) in services.into_iter().enumerate() {
            let enable = enabled.contains(&name);
            text.push_str(&format!(
                "[service.{name}]\nexec = [\"/bin/{name}\"]\nlisten = [\"127.0.0.1:100{number}\"]\n\
                 enable = {enable}\n{keys}\n"
            ));
        }
        App::from_manifest(&parse(&text).unwrap(), None).unwrap()
    }

    fn observed(live: &[&str], active: &[&str], enabled: &[&str]) -> Observed {
        let units = |units: &[&str]| units.iter().map(|unit| format!("shop-{unit}")).collect();
        Observed {
            live: Some(LiveRelease {
                id: "1-a".to_owned(),
                app: app(live),
                origin: String::new(),
                tree: FileTree::default(),
                payload: None,
            }),
            active: units(active),
            enabled: units(enabled),
            ..Observed::default()
        }
    }

    #[test]
    fn one_of_two_services_that_are_up_stops() {
        let sockets = &["a.socket", "b.socket"];
        let with_b = &["a.socket", "b.socket", "b.service"];
        for (enabled, active, by_administrator, expected) in [
            // Only `a` is enabled now, whichever runs.
            (
                &["a"][..],
                &sockets[..],
                &[][..],
                &[("b", "shop-a.socket")][..],
            ),
            (&["a"], with_b, &[], &[("b", "shop-a.socket")]),
            // `c` requires `a`, so `b` conflicts with it, too.
            (
                &["c"],
                &["b.service", "c.socket"],
                &[],
                &[("b", "shop-c.socket")],
            ),
            (
                &["b"],
                &["a.socket", "b.socket", "c.service"],
                &[],
                &[("a", "shop-b.socket"), ("c", "shop-b.socket")],
            ),
            // The administrator has enabled `b`.
            (&["a"], sockets, &["b.socket"], &[("a", "shop-b.socket")]),
            // Nothing is enabled: the one that runs stays.
            (
                &[],
                &["a.service", "b.socket"],
                &[],
                &[("b", "shop-a.service")],
            ),
            (&[], with_b, &[], &[("a", "shop-b.socket")]),
            // One is down.
            (&["a"], &["b.socket", "b.service"], &[], &[]),
            (&["a"], &["a.socket", "c.service"], &[], &[]),
        ] {
            let app = app(enabled);
            let observed = observed(enabled, active, by_administrator);
            let found: Vec<_> = yielding(&app, &observed).into_iter().collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|(one, by)| (*one, (*by).to_owned()))
                .collect();
            assert_eq!(
                found, expected,
                "{enabled:?} {active:?} {by_administrator:?}"
            );
        }
    }

    #[test]
    fn a_service_that_the_manifest_enables_no_longer_is_not_chosen() {
        let link = &["b.service"];
        for (live, new, expected) in [
            (&["b"][..], &[][..], false),
            (&[], &[], true),
            (&["b"], &["b"], true),
            (&[], &["b"], true),
        ] {
            let app = app(new);
            let service = app.service("b").unwrap();
            let observed = observed(live, &[], link);
            assert_eq!(
                is_chosen(&observed, service, "shop-b.service"),
                expected,
                "{live:?} {new:?}"
            );
        }
    }

    #[test]
    fn a_plan_starts_no_two_units_that_conflict() {
        let after = app(&["a"]);
        let tree = FileTree::default();
        let candidate = Candidate {
            id: "2-b",
            app: &after,
            tree: &tree,
            payload: None,
        };
        let actions = |observed: &Observed| {
            let units = plan(&candidate, observed).units.into_iter();
            let changed = units.filter(|unit| unit.action != Action::Unchanged);
            changed
                .map(|unit| (unit.unit, unit.action))
                .collect::<Vec<_>>()
        };
        let unit = |name: &str, action| (format!("shop-{name}"), action);
        // Both sockets listen, and the service of the one that is to go runs.
        let mut now = observed(
            &["b"],
            &["a.socket", "b.socket", "b.service"],
            &["b.socket", "b.service"],
        );
        assert_eq!(
            actions(&now),
            [
                unit("b.socket", Action::Stop),
                unit("b.service", Action::Stop)
            ]
        );
        // A failed unit of the one that stays starts.
        now.failed.insert("shop-a.service".to_owned());
        assert!(actions(&now).contains(&unit("a.service", Action::Restart)));
        // Both have failed, and the administrator has enabled the one that the manifest does not.
        let mut now = observed(&["a"], &[], &["b.service"]);
        now.failed = ["a.service", "b.service"]
            .map(|unit| format!("shop-{unit}"))
            .into();
        assert_eq!(actions(&now), [unit("a.service", Action::Restart)]);
    }
}
