use super::{CHECKS, Check, Exposure, Unit, score, score_as};

/// A unit with every restriction.
const BASE: &str = include_str!("hardened.service");

const INTERNET: &str = "RestrictAddressFamilies=AF_INET AF_INET6\nPrivateNetwork=no\n";

fn scored(drop_in: &str) -> Exposure {
    score(&Unit::merge(&[
        BASE,
        "[Service]\n",
        &format!("[Service]\n{drop_in}"),
    ]))
}

/// The score of a unit of one section's lines.
fn bare(lines: &str) -> String {
    score(&Unit::merge(&[&format!("[Service]\n{lines}")])).to_string()
}

fn badness(lines: &str, name: &str) -> u32 {
    let exposure = score(&Unit::merge(&[&format!("[Service]\n{lines}")]));
    let mut findings = exposure.findings.into_iter();
    findings
        .find(|it| it.check.name() == name)
        .map_or(0, |it| it.badness)
}

#[test]
fn there_are_81_checks_of_known_weight() {
    assert_eq!(CHECKS.len(), 81);
    assert_eq!(CHECKS.iter().map(|check| check.weight).sum::<u32>(), 56_460);
    let mut names: Vec<_> = CHECKS.iter().map(Check::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 81);
}

#[test]
fn names_and_fields_are_those_of_systemd() {
    let of = |name: &str| {
        let check = CHECKS.iter().find(|check| check.name() == name);
        check.map(Check::field).unwrap_or_default()
    };
    assert_eq!(of("PrivateNetwork="), "PrivateNetwork");
    assert_eq!(of("User=/DynamicUser="), "UserOrDynamicUser");
    assert_eq!(of("RootDirectory=/RootImage="), "RootDirectoryOrRootImage");
    assert_eq!(of("SystemCallFilter=~@raw-io"), "SystemCallFilter_raw_io");
    assert_eq!(
        of("RestrictAddressFamilies=~…"),
        "RestrictAddressFamilies_OTHER"
    );
    assert_eq!(
        of("RestrictAddressFamilies=~AF_(INET|INET6)"),
        "RestrictAddressFamilies_AF_INET_INET6"
    );
    assert_eq!(
        of("CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)"),
        "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER"
    );
    assert_eq!(
        of("CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)"),
        "CapabilityBoundingSet_CAP_NET_BIND_SERVICE_BROADCAST_RAW)"
    );
}

#[test]
fn plain_units_score_as_systemd_scores_them() {
    assert_eq!(bare("ExecStart=/bin/true"), "9.6");
    assert_eq!(bare("User=app"), "9.2");
    assert_eq!(bare("DynamicUser=yes"), "8.4");
    let empty = score(&Unit::merge(&[]));
    assert_eq!(empty.word(), "UNSAFE");
    assert_eq!(empty.total_weight, 56_160);
    let early = score(&Unit::merge(&["[Unit]\nDefaultDependencies=no"]));
    assert_eq!(early.total_weight, 56_160 - 3_200);
}

#[test]
fn the_most_expensive_findings_come_first() {
    let exposure = scored(&format!("{INTERNET}IPAddressAllow=localhost"));
    assert_eq!(exposure.to_string(), "0.9");
    assert_eq!(exposure.word(), "SAFE");
    let remedies = exposure.cheapest(2);
    let found: Vec<_> = remedies
        .iter()
        .map(|it| (it.directive, it.points))
        .collect();
    assert_eq!(
        found,
        [("PrivateNetwork", 2500), ("RestrictAddressFamilies", 1525)]
    );
    let first = score(&Unit::default()).cheapest(1);
    assert_eq!(first[0].directive, "CapabilityBoundingSet");
    assert_eq!(first[0].findings.len(), 26);
}

#[test]
fn every_fix_removes_its_finding() {
    for check in CHECKS {
        let bad = "User=app\nNotifyAccess=all\nDelegate=yes\nKeyringMode=shared\n\
                   SupplementaryGroups=a\nAmbientCapabilities=CAP_KILL\n";
        let name = check.name();
        assert_eq!(
            badness(&format!("{bad}{}", check.fix()), &name),
            0,
            "{name}: {}",
            check.fix()
        );
    }
}

#[test]
fn the_clock_keeps_a_device_listed() {
    assert_eq!(badness("DevicePolicy=closed", "DeviceAllow="), 0);
    assert_eq!(badness("ProtectClock=yes", "DeviceAllow="), 10);
    for lines in [
        "ProtectClock=yes\nDevicePolicy=closed",
        "ProtectClock=yes\nPrivateDevices=yes\nDevicePolicy=auto",
        "DevicePolicy=strict\nLoadCredentialEncrypted=a:/b",
        "DevicePolicy=strict\nRootImage=/a.raw",
    ] {
        assert_eq!(badness(lines, "DeviceAllow="), 5, "{lines}");
    }
    let settled = "DevicePolicy=strict\nLoadCredentialEncrypted=a:/b\nLoadCredential=a:/b";
    assert_eq!(badness(settled, "DeviceAllow="), 0);
}

#[test]
fn a_word_counts_from_the_version_that_knows_it() {
    let unit = Unit::merge(&["[Service]\nPrivateTmp=disconnected"]);
    assert_eq!(score_as(&unit, 252).raw - score_as(&unit, 257).raw, 1000);
    let ladder = Unit::merge(&["[Service]\nPrivateTmp=yes\nPrivateTmp=disconnected"]);
    assert_eq!(score_as(&ladder, 252).raw, score(&ladder).raw);
}

#[test]
fn a_dynamic_user_implies_what_the_manual_says() {
    let dynamic = "DynamicUser=yes\nProtectSystem=no\nPrivateTmp=no\n";
    for (name, expected) in [
        ("ProtectSystem=", 0),
        ("ProtectHome=", 5),
        ("PrivateTmp=", 0),
        ("RemoveIPC=", 0),
        ("NoNewPrivileges=", 0),
        ("RestrictSUIDSGID=", 0),
        ("User=/DynamicUser=", 0),
    ] {
        assert_eq!(badness(dynamic, name), expected, "{name}");
    }
    let root = format!("{dynamic}User=root");
    assert_eq!(badness(&root, "User=/DynamicUser="), 10);
    assert_eq!(badness("User=nobody", "User=/DynamicUser="), 9);
}
