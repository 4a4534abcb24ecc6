//! The score of a unit without the directives that a host does not enforce.

use super::probes::Facility;
use crate::exposure::{Unit, score_as};
use schemars::JsonSchema;
use serde::Serialize;

/// The directives that have no effect without a facility of the host (systemd.exec(5),
/// systemd.resource-control(5)). Those of mounts, of which a service does not even start, are not listed.
pub const NEEDS: &[(Facility, &[&str])] = &[
    (
        Facility::SystemCallFilter,
        &[
            "SystemCallFilter",
            "SystemCallArchitectures",
            "RestrictAddressFamilies",
            "RestrictNamespaces",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "LockPersonality",
            "MemoryDenyWriteExecute",
        ],
    ),
    (Facility::PacketFilter, &["IPAddressDeny", "IPAddressAllow"]),
    (Facility::DeviceFilter, &["DevicePolicy", "DeviceAllow"]),
    (
        Facility::BpfFramework,
        &["SocketBindDeny", "SocketBindAllow", "RestrictFileSystems"],
    ),
    (Facility::ProcOptions, &["ProtectProc", "ProcSubset"]),
    (Facility::UserNamespaces, &["PrivateUsers"]),
];

/// Directives that a host does not enforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotEnforced {
    /// Their names.
    pub directives: Vec<&'static str>,
    /// Why not.
    pub why: String,
}

/// What of a unit is in force on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InForce {
    /// The score without what is not in force, such as `1.4`.
    pub score: String,
    /// The same in tenths.
    pub tenths: u32,
    /// The sum of points that it comes from.
    pub points: u32,
    /// The directives of the unit that are not in force.
    pub missing: Vec<NotEnforced>,
}

impl InForce {
    /// What of a unit is in force; `None` if all of it is, as far as it is known.
    pub fn of(unit: &Unit, version: u16, host: &[NotEnforced]) -> Option<Self> {
        let sets = |name: &&&'static str| {
            let values = unit.values("Service", name);
            values.last().is_some_and(|value| !value.is_empty())
        };
        let missing = host.iter().filter_map(|one| {
            let directives: Vec<&str> = one.directives.iter().filter(sets).copied().collect();
            (!directives.is_empty()).then(|| NotEnforced {
                directives,
                why: one.why.clone(),
            })
        });
        let missing: Vec<NotEnforced> = missing.collect();
        if missing.is_empty() {
            return None;
        }
        let names = missing.iter().flat_map(|one| &one.directives);
        let names: Vec<&str> = names.copied().collect();
        let exposure = score_as(&unit.without("Service", &names), version);
        Some(Self {
            score: exposure.to_string(),
            tenths: exposure.tenths,
            points: exposure.raw,
            missing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{InForce, NEEDS, NotEnforced};
    use crate::exposure::{Unit, score_as};
    use crate::sandbox::probes::PROBES;

    #[test]
    fn what_is_not_in_force_does_not_count() {
        let text = "[Service]\nUser=x\nIPAddressDeny=any\nDevicePolicy=closed\nPrivateTmp=yes\n";
        let unit = Unit::merge(&[text]);
        let lost = |directives: &[&'static str]| NotEnforced {
            directives: directives.to_vec(),
            why: "a reason".to_owned(),
        };
        let host = [
            lost(&["IPAddressDeny", "IPAddressAllow"]),
            lost(&["PrivateUsers"]),
        ];
        let found = InForce::of(&unit, 252, &host).unwrap();
        assert_eq!(found.missing, [lost(&["IPAddressDeny"])]);
        let without = text.replace("IPAddressDeny=any\n", "");
        assert_eq!(found.points, score_as(&Unit::merge(&[&without]), 252).raw);
        assert!(found.points > score_as(&unit, 252).raw);
        assert_eq!(InForce::of(&unit, 252, &[lost(&["PrivateUsers"])]), None);
        let reset = Unit::merge(&[text, "[Service]\nIPAddressDeny=\n"]);
        assert_eq!(InForce::of(&reset, 252, &host), None);
    }

    /// What a probe tries because of a facility is lost without it.
    #[test]
    fn the_directives_of_the_probes_are_listed() {
        for (facility, directives) in NEEDS {
            let of_facility = PROBES.iter().filter(|probe| probe.needs == *facility);
            for probe in of_facility {
                let mut tried = probe.directives.iter();
                assert!(tried.any(|name| directives.contains(name)), "{}", probe.id);
            }
        }
    }
}
