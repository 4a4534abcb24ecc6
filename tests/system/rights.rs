//! A line of sudoers(5) lets a user deploy one app and nothing else.

use crate::demo::{current, demo, installed};
use crate::machine::{Machine, Out};

tests![
    Quick:
    a_ci_user_deploys_one_app_and_nothing_else,
];

/// The directory of the user, with the manifest and the source.
const DIR: &str = "/srv/ci/demo";

/// The one command that sudo allows.
const COMMAND: &str =
    "/usr/bin/robotctl --app demo --manifest /srv/ci/demo/robot.toml deploy --apply --same-rights";

/// Keys of the service, other tables, and what the refusal names.
const MORE: &[(&str, &str, &str)] = &[
    ("user = \"mallory\"", "", "user `mallory` of service web"),
    ("user = \"root\"", "", "user `root` of service web"),
    ("groups = [\"shadow\"]", "", "group `shadow` of service web"),
    (
        "conflicts = [\"systemd-logind.service\"]",
        "",
        "unit `conflicts with systemd-logind.service` of service web",
    ),
    (
        "sandbox = { directives = { ProtectProc = \"default\" } }",
        "",
        "directive `ProtectProc=default` of service web",
    ),
    (
        "",
        "[hooks]\nbefore-switch = [[\"/bin/touch\", \"/var/lib/demo/hook\"]]\n",
        "hook `as demo` of hooks.before-switch",
    ),
    (
        "",
        "[release]\nbuild = [[\"/bin/true\"]]\n",
        "build `as robotctl-build-demo` of release.build",
    ),
    ("", "[release]\nsource = \"/etc\"\n", "source `/etc` of app"),
    (
        "",
        "[release]\nsource = \"../../../etc\"\n",
        "source `/etc` of app",
    ),
    (
        "",
        "[[secret]]\nname = \"KEY\"\n",
        "secret `KEY` of service web",
    ),
];

/// Runs a shell command as the user.
fn as_ci(machine: &Machine, line: &str) -> Out {
    machine.run(&["runuser", "--user", "ci", "--", "sh", "-c", line])
}

fn deploy(machine: &Machine) -> Out {
    as_ci(machine, &format!("cd / && sudo -n {COMMAND}"))
}

/// Writes a version into the directory of the user.
fn write(machine: &Machine, version: &str, web: &'static str, tables: &'static str) {
    let mut demo = demo(version);
    (demo.web, demo.tables) = (web, tables);
    demo.write(machine);
    machine.ok(&format!(
        "rm -rf {DIR} && mkdir -p /srv/ci && cp -r /root/demo {DIR} && chown -R ci: /srv/ci"
    ));
}

fn a_ci_user_deploys_one_app_and_nothing_else(machine: &Machine) {
    machine.ok("useradd --create-home ci && useradd mallory");
    machine.write(
        "/etc/sudoers.d/demo",
        &format!("ci ALL=(root) NOPASSWD: {COMMAND}\n"),
        0o440,
    );
    machine.ok("visudo -c");
    write(machine, "1.0", "", "");
    deploy(machine)
        .exits(2)
        .says("no release of `demo` is live, so there are no rights to compare with");
    assert!(!machine.exists("/opt/demo/releases"));
    machine
        .robotctl("--manifest /srv/ci/demo/robot.toml deploy --apply")
        .exits(0);

    // The same rights: it is deployed.
    write(machine, "2.0", "", "");
    deploy(machine).exits(0).says("is live");
    let live = current(machine);
    assert!(live.starts_with("2.0-"), "{live}");
    let before = installed(machine);

    // More rights: each is refused by its name, and nothing changes.
    for (web, tables, says) in MORE {
        write(machine, "3.0", web, tables);
        let out = deploy(machine).exits(2);
        out.says(&format!("the release asks for rights that {live} lacks: "))
            .says(says);
        assert_eq!(installed(machine), before, "{says}");
        assert_eq!(
            machine.ok("ls /opt/demo/releases | grep -c ^3 || true"),
            "0"
        );
    }

    links_lead_nowhere(machine);
    sudo_allows_nothing_else(machine);
    assert_eq!(installed(machine), before);

    // The app still takes a release with the same rights.
    write(machine, "4.0", "", "");
    deploy(machine).exits(0);
    assert!(current(machine).starts_with("4.0-"));
}

/// A link does not let root read a file for the user.
fn links_lead_nowhere(machine: &Machine) {
    write(machine, "3.0", "", "");
    as_ci(machine, &format!("ln -sf /etc/shadow {DIR}/robot.toml")).exits(0);
    let out = deploy(machine)
        .exits(2)
        .says("is a link, or a link leads to it");
    assert!(!out.stderr.contains('$'), "{out}");
    write(machine, "3.0", "", "[release]\nsource = \"etc\"\n");
    as_ci(machine, &format!("ln -s /etc {DIR}/etc")).exits(0);
    deploy(machine).exits(2).says("source `/etc` of app");
    write(machine, "3.0", "", "");
    machine.ok(&format!("sed -i 's/\"demo\"/\"other\"/' {DIR}/robot.toml"));
    deploy(machine)
        .exits(2)
        .says("is the manifest of `other`, not of `demo`");
}

fn sudo_allows_nothing_else(machine: &Machine) {
    for other in [
        COMMAND.replace(" --same-rights", ""),
        COMMAND.replace("--app demo", "--app other"),
        COMMAND.replace("/srv/ci/demo", "/srv/ci/other"),
        format!("{COMMAND} --force"),
        format!("{COMMAND} /etc"),
        "/usr/bin/robotctl rollback".to_owned(),
        "/usr/bin/robotctl --app demo remove --apply --purge".to_owned(),
        "/bin/sh".to_owned(),
    ] {
        let out = as_ci(machine, &format!("cd / && sudo -n {other}"));
        out.exits(1).says("sudo: a password is required");
    }
}
