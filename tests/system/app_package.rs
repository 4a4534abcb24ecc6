//! Debian packages of apps: what apt and dpkg do with them, and what the operator did in between.

use crate::machine::{Machine, Out, until};

tests![
    Slow:
    a_package_goes_through_every_event_of_apt,
    a_package_respects_the_operator_and_the_policy,
];

const PAGE: &str = "http://127.0.0.1:8081";

/// A web service whose health is a file of its release.
const MANIFEST: &str = r#"[app]
name = "shop"
version = "VERSION"
description = "Shop"
maintainer = "Ann <ann@example.org>"
[release]
source = "src"
[service.web]
exec = ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8081"]
listen = ["127.0.0.1:8081"]
socket = "direct"
check = [{ http = "/healthz", contains = "ok", within = "10s" }]
"#;

fn apt(machine: &Machine, arguments: &str) -> Out {
    machine.sh(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 {arguments} </dev/null"
    ))
}

/// Makes version `version` of the package as an unprivileged user, whose health file has the text `health`.
fn make(machine: &Machine, version: &str, health: &str) {
    machine.ok("mkdir -p /srv/shop/src /srv/debs && chown -R www-data: /srv/shop /srv/debs");
    machine.write(
        "/srv/shop/robot.toml",
        &MANIFEST.replace("VERSION", version),
        0o644,
    );
    machine.write("/srv/shop/src/version", version, 0o644);
    machine.write("/srv/shop/src/healthz", health, 0o644);
    machine.ok(
        "cd /srv/shop && setpriv --reuid www-data --clear-groups robotctl package --output /srv/debs --verify",
    );
}

/// Installs a version with apt, which must end well.
fn install(machine: &Machine, version: &str) -> Out {
    let deb = format!("/srv/debs/shop_{version}_all.deb");
    apt(
        machine,
        &format!("install --allow-downgrades --reinstall {deb}"),
    )
    .exits(0)
}

/// Installs a package `robot` for dpkg, without the program: that of this checkout is there already.
pub fn install_toolkit(machine: &Machine) {
    machine.ok("mkdir -p /root/robot/DEBIAN && cd /root && printf 'Package: robot\nVersion: 0.1.0-1\nArchitecture: all\n\
                Maintainer: Ann <ann@example.org>\nDescription: the program is there already\n' > robot/DEBIAN/control && \
                dpkg-deb --build robot robot.deb && dpkg --install robot.deb");
}

/// A machine with packages of four versions, of which the third is broken.
fn prepare(machine: &Machine) {
    install_toolkit(machine);
    for (version, health) in [("1.0", "ok"), ("2.0", "ok"), ("3.0", "bad"), ("4.0", "ok")] {
        make(machine, version, health);
    }
}

fn serves(machine: &Machine, version: &str) {
    let page = || machine.get(&format!("{PAGE}/version"));
    // A service of type `exec` is started before it listens.
    until("the service answers", || !page().starts_with("000 "));
    assert_eq!(page(), format!("200 {version}"));
}

/// What is left of the app, except its account.
fn left(machine: &Machine) -> String {
    machine.ok(
        "find /opt /usr/local/lib /usr/lib/shop /etc/shop /etc/systemd /var/lib/shop /var/lib/robotctl /run/shop \
         -name '*shop*' 2>/dev/null | sort; systemctl list-units --all --plain --no-legend 'shop*'",
    )
}

fn installed(machine: &Machine) -> String {
    machine.ok("dpkg-query --show --showformat '${db:Status-Abbrev}${Version}' shop")
}

/// Installs, removes and purges the package in a tree that does not run, by the programs of this host.
fn in_a_tree(machine: &Machine) {
    machine.ok("mkdir -p /srv/tree/var/lib/dpkg/info /srv/tree/var/lib/dpkg/updates /srv/tree/etc && cd /srv/tree && \
                touch var/lib/dpkg/status var/lib/dpkg/available && cp /etc/passwd /etc/group /etc/shadow etc/ && \
                mkdir -p usr/bin && install -m 755 /bin/true usr/bin/python3");
    let dpkg = |words: &str| {
        machine.ok(&format!(
            "dpkg --root=/srv/tree --force-script-chrootless --force-depends {words} 2>&1"
        ))
    };
    let shown = dpkg("--install /srv/debs/shop_1.0_all.deb");
    assert!(!shown.contains("did not make it live"), "{shown}");
    assert!(
        machine
            .link("/srv/tree/opt/shop/current")
            .starts_with("releases/1.0-")
    );
    assert!(machine.exists("/srv/tree/usr/local/lib/systemd/system/shop-web.service"));
    dpkg("--remove shop");
    assert!(!machine.exists("/srv/tree/opt/shop"));
    dpkg("--purge shop");
    let left = machine.ok("find /srv/tree -name '*shop*' -not -path '*/dpkg/*'");
    assert_eq!(left, "");
    // What runs on this host is another matter.
    serves(machine, "2.0");
}

fn a_package_goes_through_every_event_of_apt(machine: &Machine) {
    prepare(machine);
    install(machine, "1.0");
    serves(machine, "1.0");
    assert_eq!(
        machine.ok("systemctl is-enabled shop.target shop-web.service"),
        "enabled\nenabled"
    );
    // The machine's dpkg leaves out documents.
    let differing = machine.sh("dpkg --verify shop | grep -v /usr/share/doc");
    assert_eq!(differing.stdout, "");
    machine.robotctl("doctor").exits(0).says("shop: healthy");
    machine.ok("echo 'LOCAL=1' >> /etc/shop/env");
    machine.ok("echo precious > /var/lib/shop/data");

    // An upgrade, the same again, an older version, an unhealthy one.
    install(machine, "2.0");
    serves(machine, "2.0");
    let pid = machine.property("shop-web.service", "MainPID");
    install(machine, "2.0");
    assert_eq!(machine.property("shop-web.service", "MainPID"), pid);
    install(machine, "1.0");
    serves(machine, "1.0");
    install(machine, "3.0").says("robotctl did not make it live");
    serves(machine, "1.0");
    assert_eq!(installed(machine), "ii 3.0");
    let drift = "version 3.0 of the package shop is installed";
    machine.robotctl("doctor").exits(1).says(drift);
    machine.robotctl("status").exits(0).says(drift);
    // A later run of apt goes on, and does not try the unhealthy version again.
    apt(machine, "install").exits(0);
    machine.ok("dpkg --configure --pending");
    serves(machine, "1.0");

    // Unpacked only, as by a crash of apt: the old release is live until dpkg configures the new one.
    machine.ok("dpkg --unpack /srv/debs/shop_2.0_all.deb");
    serves(machine, "1.0");
    machine.ok("dpkg --configure --pending");
    serves(machine, "2.0");
    assert!(machine.read("/etc/shop/env").contains("LOCAL=1"));

    apt(machine, "remove shop").exits(0);
    assert!(machine.get(&format!("{PAGE}/version")).starts_with("000 "));
    assert!(!machine.exists("/opt/shop"));
    assert!(machine.read("/etc/shop/env").contains("LOCAL=1"));
    assert_eq!(machine.read("/var/lib/shop/data"), "precious\n");
    // dpkg passes the old version to postinst, and the services start all the same.
    install(machine, "2.0");
    serves(machine, "2.0");
    apt(machine, "purge shop").exits(0);
    assert_eq!(left(machine), "", "purge leaves nothing but the account");
    machine.ok("getent passwd shop");
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

fn a_package_respects_the_operator_and_the_policy(machine: &Machine) {
    prepare(machine);
    install(machine, "1.0");
    install(machine, "2.0");
    // A version that the operator has rolled back does not come back with the same package.
    machine.robotctl("rollback").exits(0);
    serves(machine, "1.0");
    install(machine, "2.0");
    machine.ok("dpkg-reconfigure shop 2>/dev/null || dpkg --configure --pending");
    serves(machine, "1.0");
    machine
        .robotctl("doctor")
        .exits(1)
        .says("you have deployed another release than its 2.0-");
    machine
        .robotctl("deploy --from-package shop --force --apply")
        .exits(0);
    serves(machine, "2.0");

    // Disabled, then masked, by the administrator.
    machine.ok("systemctl disable --now shop-web.service");
    install(machine, "4.0");
    let state = |machine: &Machine| machine.sh("systemctl is-enabled shop-web.service").stdout;
    assert_eq!(state(machine), "disabled\n");
    assert!(machine.get(&format!("{PAGE}/version")).starts_with("000 "));
    machine.ok("systemctl enable --now shop-web.service && systemctl mask --now shop-web.service");
    install(machine, "2.0");
    assert_eq!(state(machine), "masked\n");
    machine.ok("systemctl unmask shop-web.service && systemctl start shop-web.service");
    serves(machine, "2.0");

    // policy-rc.d: the release is live from the next start on, and nothing is restarted.
    let pid = machine.property("shop-web.service", "MainPID");
    machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755);
    install(machine, "4.0");
    assert_eq!(machine.property("shop-web.service", "MainPID"), pid);
    serves(machine, "2.0");
    machine.robotctl("doctor").exits(1).says("runs 2.0-");
    machine.ok("rm /usr/sbin/policy-rc.d && systemctl restart shop-web.service");
    serves(machine, "4.0");

    // systemd does not run, as in a chroot: the release is made ready, and nothing is restarted.
    install(machine, "1.0");
    let pid = machine.property("shop-web.service", "MainPID");
    machine.ok("unshare --mount sh -ec 'mount -t tmpfs tmpfs /run; dpkg --install /srv/debs/shop_2.0_all.deb'");
    assert_eq!(machine.property("shop-web.service", "MainPID"), pid);
    assert!(
        machine
            .link("/opt/shop/current")
            .starts_with("releases/2.0-")
    );
    machine.ok("systemctl daemon-reload && systemctl restart shop-web.service");
    serves(machine, "2.0");

    // A tree of `dpkg --root`.
    in_a_tree(machine);

    // A release from another place belongs to the operator: the package neither replaces nor removes it.
    make(machine, "5.0", "ok");
    machine
        .robotctl("--manifest /srv/shop/robot.toml deploy --apply")
        .exits(0);
    serves(machine, "5.0");
    install(machine, "1.0");
    serves(machine, "5.0");
    apt(machine, "purge shop")
        .exits(0)
        .says("deployed from another place");
    serves(machine, "5.0");
}
