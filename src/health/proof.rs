//! What is known of a release before the switch, so that nothing is waited for twice.

use super::settle::settle_time;
use crate::app::{App, Probe, Service, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a service must stay up when no check asks it, although its release was good before or the
/// pre-check has watched it.
const SHORT_SETTLE: Duration = Duration::from_secs(1);

/// What is known of a release before the switch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof {
    /// Whether the release was live and healthy before.
    was_good: bool,
    /// The units that were down then.
    unproved: BTreeSet<String>,
    /// How long the pre-check watched a second instance of a service, by the unit of the service.
    watched: BTreeMap<String, Duration>,
}

impl Proof {
    /// The release was live and healthy before, but for these units, which were down.
    pub(crate) fn of_good_release(unproved: BTreeSet<String>) -> Self {
        Self {
            was_good: true,
            unproved,
            ..Self::default()
        }
    }

    /// The pre-check watched instances of these units for this time.
    pub(crate) fn of_pre_check(units: impl IntoIterator<Item = String>, time: Duration) -> Self {
        Self {
            watched: units.into_iter().map(|unit| (unit, time)).collect(),
            ..Self::default()
        }
    }

    /// How long the services must still stay up. Their checks run in any case.
    pub(super) fn settle_time(&self, app: &App, services: &[&Service]) -> Duration {
        let needs = |service: &Service| settle_time(&[service]);
        let is_open = |service: &&Service| {
            let unit = app.unit(service);
            match self.watched.get(&unit) {
                Some(time) => *time < needs(service),
                None => !self.was_good || self.unproved.contains(&unit),
            }
        };
        let open: Vec<&Service> = services.iter().copied().filter(is_open).collect();
        if !open.is_empty() {
            return settle_time(&open);
        }
        // At another address, or on another day, it may end right after its start.
        let silent = |service: &&Service| !answers(service);
        let silent: Vec<&Service> = services.iter().copied().filter(silent).collect();
        match silent.as_slice() {
            [] => Duration::ZERO,
            silent => settle_time(silent).min(SHORT_SETTLE),
        }
    }
}

/// Whether a service itself says that it works: by READY=1, or by an answer to a check. systemd accepts
/// connections for a service that does not run, so a check that only connects proves nothing.
fn answers(service: &Service) -> bool {
    let mut checks = service.checks.iter();
    service.kind == Type::Notify
        || checks.any(|check| matches!(check.probe, Probe::Http { .. } | Probe::Command(..)))
}

#[cfg(test)]
mod tests {
    use super::{Proof, SHORT_SETTLE};
    use crate::app::App;
    use crate::health::settle::DEFAULT_SETTLE;
    use crate::manifest::parse;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn time(proof: &Proof, web: &str, worker: &str) -> Duration {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/web\"]\n\
             listen = [\"127.0.0.1:80\"]\n{web}\n[service.worker]\nexec = [\"/bin/work\"]\n{worker}\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
        let services: Vec<_> = app.services.iter().collect();
        proof.settle_time(&app, &services)
    }

    const HTTP: &str = "check = [{ http = \"/\" }]";
    const NOTIFY: &str = "type = \"notify\"";

    #[test]
    fn a_new_release_settles_unless_the_pre_check_has_watched_it() {
        let pre_check = |units: &[&str], seconds| {
            let units = units.iter().map(|unit| format!("shop-{unit}.service"));
            Proof::of_pre_check(units, Duration::from_secs(seconds))
        };
        assert_eq!(time(&Proof::default(), HTTP, ""), DEFAULT_SETTLE);
        assert_eq!(time(&pre_check(&["web"], 3), HTTP, ""), DEFAULT_SETTLE);
        let both = ["web", "worker"];
        assert_eq!(time(&pre_check(&both, 3), HTTP, NOTIFY), Duration::ZERO);
        assert_eq!(time(&pre_check(&both, 3), HTTP, ""), SHORT_SETTLE);
        // The pre-check watches for at most ten seconds.
        let long = "check = [{ settle = \"1min\" }]";
        assert_eq!(
            time(&pre_check(&both, 10), HTTP, long),
            Duration::from_secs(60)
        );
        // The other service has no settle time of its own.
        let short = "check = [{ settle = \"200ms\" }]";
        assert_eq!(time(&Proof::default(), short, ""), DEFAULT_SETTLE);
    }

    #[test]
    fn a_release_that_was_good_settles_only_where_no_service_answers() {
        let good = Proof::of_good_release(BTreeSet::new());
        assert_eq!(time(&good, HTTP, "type = \"notify\""), Duration::ZERO);
        assert_eq!(time(&good, HTTP, ""), SHORT_SETTLE);
        assert_eq!(
            time(
                &good,
                "check = [{ tcp = \"127.0.0.1:80\" }]",
                "type = \"notify\""
            ),
            SHORT_SETTLE
        );
        let short = "check = [{ settle = \"200ms\" }]";
        assert_eq!(time(&good, HTTP, short), Duration::from_millis(200));
    }

    #[test]
    fn a_service_that_was_down_when_its_release_was_good_settles_as_a_new_one() {
        let proof = |unit: &str| Proof::of_good_release(BTreeSet::from([unit.to_owned()]));
        assert_eq!(
            time(&proof("shop-web.service"), HTTP, NOTIFY),
            DEFAULT_SETTLE
        );
        assert_eq!(
            time(&proof("shop-worker.service"), HTTP, ""),
            DEFAULT_SETTLE
        );
        assert_eq!(
            time(&proof("shop-other.service"), HTTP, NOTIFY),
            Duration::ZERO
        );
    }
}
