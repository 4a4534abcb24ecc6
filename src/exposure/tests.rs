use super::{CHECKS, Check, Exposure, FLOORS, Floor, Role, Unit, score, score_as};

/// Everything on, nothing needed: the unit that all floors start from.
const BASE: &str = "\
[Unit]
Description=A worker
[Service]
ExecStart=/usr/bin/worker
User=worker
AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
IPAddressDeny=any
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateNetwork=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
UMask=0077
";

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

/// The lines that a role needs on top of the base.
fn needs(role: Role) -> String {
    let users = "PrivateUsers=no\n";
    let capabilities = |names: &str| {
        format!("CapabilityBoundingSet={names}\nAmbientCapabilities={names}\n{users}")
    };
    let loopback = "IPAddressAllow=localhost\n";
    let anywhere = "IPAddressDeny=\n";
    let packets = "RestrictAddressFamilies=AF_NETLINK AF_PACKET\n";
    let netlink = "RestrictAddressFamilies=AF_NETLINK\n";
    match role {
        Role::Closed => String::new(),
        Role::Devices => {
            "PrivateDevices=no\nDeviceAllow=/dev/spidev0.0 rw\nSupplementaryGroups=spi\n".into()
        }
        Role::Proxied => format!("RestrictAddressFamilies=AF_INET\n{loopback}"),
        Role::Loopback => format!("{INTERNET}{loopback}"),
        Role::Host => format!("{INTERNET}{anywhere}"),
        Role::LowPort => format!(
            "{INTERNET}{loopback}{}",
            capabilities("CAP_NET_BIND_SERVICE")
        ),
        Role::NetAdmin => format!(
            "PrivateNetwork=no\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_NETLINK\n{}",
            capabilities("CAP_NET_ADMIN")
        ),
        Role::NetAdminLoopback => {
            format!(
                "{INTERNET}{netlink}{loopback}{}",
                capabilities("CAP_NET_ADMIN")
            )
        }
        Role::NetAdminHost => {
            format!(
                "{INTERNET}{netlink}{anywhere}{}",
                capabilities("CAP_NET_ADMIN")
            )
        }
        Role::NetRaw => format!(
            "{INTERNET}{packets}{anywhere}{}",
            capabilities("CAP_NET_RAW")
        ),
        Role::NetRawAdmin => format!(
            "{INTERNET}{packets}{anywhere}{}",
            capabilities("CAP_NET_RAW CAP_NET_ADMIN")
        ),
    }
}

#[test]
fn every_floor_is_reached() {
    for floor in FLOORS {
        let needs = needs(floor.role);
        let exposure = scored(&needs);
        assert_eq!(exposure.raw, floor.raw, "{:?}", floor.role);
        assert_eq!(exposure.tenths, floor.tenths(false), "{:?}", floor.role);
        let rooted = scored(&format!("{needs}RootDirectory=/run/empty"));
        assert_eq!(rooted.tenths, floor.tenths(true), "{:?}", floor.role);
    }
    assert!(FLOORS.is_sorted_by_key(|floor| floor.raw));
}

#[test]
fn the_floors_are_the_measured_ones() {
    let of = |role, rooted| Floor::of(role).map(|floor| floor.tenths(rooted));
    assert_eq!(of(Role::Closed, false), Some(2));
    assert_eq!(of(Role::Closed, true), Some(1));
    assert_eq!(of(Role::Devices, false), Some(4));
    assert_eq!(of(Role::Proxied, false), Some(5));
    assert_eq!(of(Role::Loopback, false), Some(9));
    assert_eq!(of(Role::Loopback, true), Some(9));
    assert_eq!(of(Role::Host, false), Some(11));
    assert_eq!(of(Role::NetAdmin, false), Some(11));
    assert_eq!(of(Role::LowPort, false), Some(13));
    assert_eq!(of(Role::NetAdminLoopback, false), Some(14));
    assert_eq!(of(Role::NetAdminHost, false), Some(15));
    assert_eq!(of(Role::NetRaw, false), Some(16));
    assert_eq!(of(Role::NetRawAdmin, false), Some(18));
}

#[test]
fn what_keeps_a_score_up_is_told() {
    let exposure = scored(&format!("{INTERNET}IPAddressAllow=localhost"));
    assert_eq!(exposure.to_string(), "0.9");
    assert_eq!(exposure.word(), "SAFE");
    let remedies = exposure.cheapest(2);
    let told: Vec<_> = remedies
        .iter()
        .map(|it| (it.directive, it.points))
        .collect();
    assert_eq!(
        told,
        [("PrivateNetwork", 2500), ("RestrictAddressFamilies", 1525)]
    );
    let first = score(&Unit::default()).cheapest(1);
    assert_eq!(first[0].directive, "CapabilityBoundingSet");
    assert_eq!(first[0].findings.len(), 26);
}

#[test]
fn every_remedy_mends_its_finding() {
    for check in CHECKS {
        let bad = "User=app\nNotifyAccess=all\nDelegate=yes\nKeyringMode=shared\n\
                   SupplementaryGroups=a\nAmbientCapabilities=CAP_KILL\n";
        let name = check.name();
        assert_eq!(
            badness(&format!("{bad}{}", check.mend()), &name),
            0,
            "{name}: {}",
            check.mend()
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
