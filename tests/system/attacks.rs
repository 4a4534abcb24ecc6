//! What a service that was taken over tries against the host, and whether its sandbox holds.

use crate::machine::{Machine, until};
use std::path::Path;
use std::process::Command;

tests![Quick: the_sandbox_holds_what_a_service_tries];

/// Keys of each service that tries every attack. The last one is a control: it shows that the attacks work.
const SERVICES: [(&str, &str); 4] = [
    ("plain", "type = \"exec\""),
    ("notify", "type = \"notify\""),
    (
        "bus",
        "type = \"exec\"\nsandbox = { allow = [\"system-bus\", \"host-users\", \"proc-files\"] }",
    ),
    (
        CONTROL,
        "type = \"exec\"\nsandbox = { allow = [\"io-uring\", \"userfaultfd\", \"keyring\", \"exec-writable\"], read-write = [\"/dev/shm\"] }",
    ),
];
const CONTROL: &str = "control";
/// The attack on the service that has the secret KEY.
const SECRET: &str = "a secret of another service";
/// Runs the service that has the secret in the user namespace of the host.
const OPEN_VAULT: &str = "/etc/systemd/system/prey-vault.service.d/50-local.conf";

/// Each attack, as `attack.c` names it, and whether the sandbox holds it.
const ATTACKS: [(&str, bool); 9] = [
    ("an Internet socket through io_uring", true),
    ("a netlink socket through io_uring", true),
    ("a socket to the hypervisor through io_uring", true),
    ("userfaultfd", true),
    ("a key in a keyring of the kernel", true),
    ("a file of another user in shared memory", true),
    ("a program that it wrote into a directory", true),
    // No directive prevents it; docs/operations.md says so.
    ("a program that it wrote into memory", false),
    (SECRET, true),
];

/// Compiles the attacks and deploys an app whose services try them.
fn deploy(machine: &Machine) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/attacks/attack.c");
    machine.ok("mkdir -p /root/prey");
    let program = machine.path("/root/prey/attack");
    let compiler = Command::new("cc")
        .args(["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .args([&program, &source])
        .status();
    assert!(compiler.unwrap().success(), "compiling attack.c");
    let mut manifest = "[app]\nname = \"prey\"\nversion = \"1\"\n".to_owned();
    for (name, keys) in SERVICES {
        manifest.push_str(&format!(
            "[service.{name}]\nexec = [\"/usr/bin/python3\", \"{{current}}/attacked.py\", \
             \"{{current}}/attack\", \"{{state}}/{name}\", \"{SECRET}\"]\n{keys}\n\
             after = [\"vault\"]\ncheck = [{{ settle = \"1s\" }}]\n"
        ));
    }
    manifest.push_str(
        "[service.vault]\nexec = [\"/bin/sleep\", \"infinity\"]\ntype = \"exec\"\n\
         [[secret]]\nname = \"KEY\"\ngenerate = \"hex:32\"\nservices = [\"vault\"]\n",
    );
    machine.write("/root/prey/robot.toml", &manifest, 0o644);
    machine.write(
        "/root/prey/attacked.py",
        include_str!("attacks/attacked.py"),
        0o644,
    );
    machine
        .robotctl("--manifest /root/prey/robot.toml deploy --apply")
        .exits(0);
}

fn the_sandbox_holds_what_a_service_tries(machine: &Machine) {
    machine.ok(
        "runuser --user daemon -- sh -c 'umask 022; echo left > /dev/shm/left-by-another-user'",
    );
    deploy(machine);
    for (service, _) in SERVICES {
        let report = format!("/var/lib/prey/{service}");
        until(service, || machine.exists(&report));
        let report = machine.read(&report);
        for (attack, is_held) in ATTACKS {
            let result = report.lines().find_map(|line| {
                let rest = line.strip_prefix(attack)?;
                rest.strip_prefix(": ")
            });
            let result = result.unwrap_or_else(|| panic!("{attack}: no result in {report}"));
            let is_open = service == CONTROL && attack != SECRET;
            let wanted = if is_held && !is_open {
                "held"
            } else {
                "succeeded"
            };
            assert_eq!(result, wanted, "{service}: {attack}");
        }
        assert_eq!(report.lines().count(), ATTACKS.len(), "{report}");
    }
    // The attack on the secret works where the service that has it has no private users. The manifest may
    // not say that.
    machine.write(OPEN_VAULT, "[Service]\nPrivateUsers=no\n", 0o644);
    machine.ok("systemctl daemon-reload && systemctl restart prey-vault");
    machine.ok("rm /var/lib/prey/bus && systemctl restart prey-bus");
    until("bus", || machine.exists("/var/lib/prey/bus"));
    let report = machine.read("/var/lib/prey/bus");
    assert!(report.contains(&format!("{SECRET}: succeeded")), "{report}");
    for (attack, is_held) in ATTACKS {
        let held = if is_held { "held" } else { "not held" };
        machine.row("attacks", &[attack.to_owned(), held.to_owned()]);
    }
}
