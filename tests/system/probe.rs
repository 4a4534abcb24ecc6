//! `doctor --probe` says what a sandbox really prevents on a host.

use crate::machine::{Machine, until};
use nix::errno::Errno;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

tests![
    Quick:
    each_directive_that_is_switched_off_is_found,
    a_host_that_cannot_filter_packets_is_named,
    a_killed_probe_leaves_what_the_next_change_removes,
];

/// What a probe may take at most on a host that is busy. It takes less than a second on an idle one.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A drop-in that switches a directive off, and the one probe that then finds no effect.
const SWITCHED_OFF: &[(&str, &str)] = &[
    ("write-root", "ProtectSystem=no"),
    ("write-run", "ReadOnlyPaths="),
    ("execute", "NoExecPaths="),
    ("shared-memory", "TemporaryFileSystem="),
    ("device", "PrivateDevices=no"),
    ("users", "PrivateUsers=no"),
    ("ipc", "PrivateIPC=no"),
    ("processes", "ProtectProc=default"),
    ("proc-files", "ProcSubset=all"),
    ("cgroups", "ProtectControlGroups=no"),
    ("netlink", "RestrictAddressFamilies=AF_NETLINK"),
    ("socket", "RestrictAddressFamilies=AF_INET"),
    ("connect", "PrivateNetwork=no"),
    ("send", "IPAddressDeny="),
    ("bind", "SocketBindDeny="),
    ("unshare", "RestrictNamespaces=no"),
    ("memory", "MemoryDenyWriteExecute=no"),
    ("ptrace", "SystemCallFilter=@debug"),
    (
        "io-uring",
        "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register",
    ),
    ("setuid", "RestrictSUIDSGID=no"),
    ("personality", "LockPersonality=no"),
];

/// Probes that the manifest of the service `open` allows.
const ALLOWED: &[&str] = &[
    "execute",
    "home",
    "device",
    "users",
    "proc-files",
    "socket",
    "netlink",
    "connect",
    "send",
    "bind",
    "memory",
    "io-uring",
];
/// The service with exceptions.
const OPEN: &str = "sandbox = { allow = [\"bind-any\", \"exec-writable\", \"home\", \"host-users\", \
    \"io-uring\", \"jit\", \"netlink\", \"outbound\", \"proc-files\"], devices = [\"/dev/net/tun rw\"] }";
/// A client of programs on the host: it has sockets, and filters decide what it can do with them.
const CLIENT: &str = "sandbox = { allow = [\"loopback\"] }";

/// A job that nothing starts: a probe does not need its service to run.
fn job(name: &str, sandbox: &str) -> String {
    format!(
        "[service.{name}]\nexec = [\"/bin/true\"]\ntimer = {{ calendar = \"yearly\" }}\n{sandbox}\n"
    )
}

fn deploy(machine: &Machine, jobs: &str) {
    let manifest = format!("[app]\nname = \"prey\"\nversion = \"1\"\n{jobs}");
    machine.write("/root/prey/robot.toml", &manifest, 0o644);
    // An address of the machine that the client may not send to.
    machine.ok("ip addr add 192.0.2.1/32 dev lo");
    machine
        .robotctl("--manifest /root/prey/robot.toml deploy --apply")
        .exits(0);
}

fn drop_in(machine: &Machine, service: &str, text: &str) {
    let path = format!("/etc/systemd/system/prey-{service}.service.d/50-local.conf");
    machine.write(&path, text, 0o644);
}

/// Status and reason of each probe, by unit.
type Probed = BTreeMap<String, BTreeMap<String, (String, String)>>;

fn probe(machine: &Machine, code: i32) -> (Probed, Value) {
    let started = Instant::now();
    let out = machine.robotctl("--app prey --format json doctor --probe");
    let elapsed = started.elapsed();
    assert!(elapsed < HANGS_AFTER, "{elapsed:?}");
    let report = out.exits(code).data("report").remove(0);
    let mut probed = Probed::new();
    let sandboxes = report["probed"].as_array().unwrap();
    for sandbox in sandboxes {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let results = sandbox["results"].as_array().unwrap().iter();
        let results =
            results.map(|one| (text(&one["id"]), (text(&one["status"]), text(&one["why"]))));
        let results: BTreeMap<_, _> = results.collect();
        for unit in sandbox["units"].as_array().unwrap() {
            probed.insert(text(unit), results.clone());
        }
    }
    machine.note(&format!(
        "{} sandboxes were probed in {} ms",
        sandboxes.len(),
        elapsed.as_millis()
    ));
    leaves_nothing(machine);
    (probed, report)
}

fn leaves_nothing(machine: &Machine) {
    let left = machine.ok(
        "ls /run/systemd/system | grep -e -probe; systemctl list-units --all --plain --no-legend '*-probe*'; \
         ls -A /var/lib/prey; true",
    );
    assert_eq!(left, "");
}

/// The probes of a unit that are not enforced, with their status.
fn open<'a>(probed: &'a Probed, service: &str) -> Vec<(&'a str, &'a str)> {
    let results = &probed[&format!("prey-{service}.service")];
    let open = results
        .iter()
        .filter(|(_, (status, _))| status != "enforced");
    open.map(|(id, (status, _))| (id.as_str(), status.as_str()))
        .collect()
}

fn each_directive_that_is_switched_off_is_found(machine: &Machine) {
    let mut jobs = job("plain", "") + &job("twin", "") + &job("client", CLIENT);
    jobs += &(job("files", "sandbox = { allow = [\"host-files\"] }") + &job("open", OPEN));
    for (id, _) in SWITCHED_OFF {
        let needs_socket = ["send", "bind"].contains(id);
        jobs.push_str(&job(id, if needs_socket { CLIENT } else { "" }));
    }
    deploy(machine, &jobs);
    // Before 257, Debian's systemd accepts `SocketBindDeny=` and ignores it.
    let is_bookworm = machine.suite == "bookworm";
    let bind = if is_bookworm {
        "unsupported"
    } else {
        "enforced"
    };
    let of_client = |probed: &Probed, service: &str| {
        let mut found = open(probed, service);
        found.retain(|(_, status)| *status != "allowed");
        if is_bookworm {
            found.retain(|one| *one != ("bind", "unsupported"));
        }
        found
            .into_iter()
            .map(|(id, status)| (id.to_owned(), status.to_owned()))
            .collect::<Vec<_>>()
    };

    let (probed, report) = probe(machine, 0);
    for service in ["plain", "twin", "files"] {
        assert_eq!(open(&probed, service), []);
    }
    assert_eq!(probed["prey-plain.service"].len(), 24, "{probed:?}");
    assert_eq!(of_client(&probed, "client"), []);
    assert_eq!(probed["prey-client.service"]["bind"].0, bind);
    let mut allowed = open(&probed, "open");
    // The machine has no other device.
    allowed.retain(|(id, _)| *id != "open-device");
    let allowed: Vec<&str> = allowed
        .iter()
        .map(|(id, status)| {
            assert_eq!(*status, "allowed", "{id}");
            *id
        })
        .collect();
    let mut expected = ALLOWED.to_vec();
    expected.sort_unstable();
    assert_eq!(allowed, expected);
    let messages = report["findings"].to_string();
    assert_eq!(
        messages.contains("BPF_FRAMEWORK"),
        is_bookworm,
        "{messages}"
    );

    for (id, line) in SWITCHED_OFF {
        drop_in(machine, id, &format!("[Service]\n{line}\n"));
    }
    machine.ok("systemctl daemon-reload");
    let (probed, report) = probe(machine, 1);
    let findings = report["findings"].as_array().unwrap();
    for (id, line) in SWITCHED_OFF {
        let found = of_client(&probed, id);
        assert_eq!(
            found,
            [((*id).to_owned(), "no-effect".to_owned())],
            "{line}"
        );
        let path = format!("/etc/systemd/system/prey-{id}.service.d/50-local.conf");
        let named = findings.iter().any(|one| {
            let message = one["message"].as_str().unwrap();
            one["severity"] == "warning" && message.contains(&path)
        });
        assert!(named, "{path} in {findings:?}");
    }
    assert_eq!(open(&probed, "plain"), []);
    let text = machine.robotctl("--app prey doctor --probe").exits(1);
    text.says("no effect    creating a namespace ")
        .says("allowed      making writable memory executable ")
        .says("sandbox of prey-plain.service, prey-twin.service, user prey:");
    as_another_user(machine);
    a_unit_that_does_not_start_is_reported(machine);
}

fn a_unit_that_does_not_start_is_reported(machine: &Machine) {
    drop_in(
        machine,
        "plain",
        "[Unit]\nConditionPathExists=/no/such/file\n",
    );
    machine.ok("systemctl daemon-reload");
    let out = machine.robotctl("--app prey doctor --probe").exits(1);
    out.says("error: the sandbox of `prey-plain.service` could not be probed: ");
    leaves_nothing(machine);
}

fn as_another_user(machine: &Machine) {
    machine
        .sh("runuser --user daemon -- robotctl --app prey doctor --probe")
        .exits(2)
        .says("only root can probe the sandboxes of services");
}

fn a_host_that_cannot_filter_packets_is_named(machine: &Machine) {
    let other = Machine::boot_without_bpf(&machine.suite);
    deploy(&other, &(job("client", CLIENT) + &job("plain", "")));
    let (probed, _) = probe(&other, 0);
    let (status, why) = &probed["prey-client.service"]["send"];
    assert_eq!(status, "unsupported");
    assert!(why.contains("container"), "{why}");
    // Nothing else needs a filter of packets.
    assert_eq!(open(&probed, "plain"), []);
}

fn a_killed_probe_leaves_what_the_next_change_removes(machine: &Machine) {
    deploy(machine, &job("plain", ""));
    machine.write(
        "/etc/systemd/system/blocker.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n",
        0o644,
    );
    // The unit of the probe waits for it.
    drop_in(
        machine,
        "plain",
        "[Unit]\nWants=blocker.service\nAfter=blocker.service\n",
    );
    machine.ok("systemctl daemon-reload");
    for signal in ["INT", "TERM"] {
        let mut doctor = begin(machine);
        machine.ok(&format!(
            "pkill --oldest --signal {signal} --exact robotctl"
        ));
        doctor.wait().unwrap();
        leaves_nothing(machine);
    }
    let mut doctor = begin(machine);
    the_control_has_a_user_of_its_own(machine);
    machine.ok("pkill --oldest --signal KILL --exact robotctl");
    doctor.wait().unwrap();
    machine
        .robotctl("--app prey doctor")
        .exits(1)
        .says("-probe");
    machine.ok("rm -r /etc/systemd/system/prey-plain.service.d && systemctl stop blocker.service");
    machine
        .robotctl("--manifest /root/prey/robot.toml deploy --apply")
        .exits(0);
    leaves_nothing(machine);
    let (probed, _) = probe(machine, 0);
    assert_eq!(open(&probed, "plain"), []);
}

/// Begins a probe of which a unit waits.
fn begin(machine: &Machine) -> Child {
    let doctor = machine.spawn(&["robotctl", "--app", "prey", "doctor", "--probe"]);
    until("the unit of the probe waits", || {
        machine
            .ok("systemctl list-jobs --no-legend")
            .contains("-probe")
    });
    doctor
}

/// A copy of the control's unit also opens files that only root and only the user of the service can read. So no
/// process of that user can take the control over.
fn the_control_has_a_user_of_its_own(machine: &Machine) {
    machine.ok("install -m 600 /dev/null /srv/of-root");
    machine.ok("install -m 600 -o prey /dev/null /srv/of-prey");
    machine.ok(
        "sed '/^ExecStart=/s|$| open=/srv/of-root open=/srv/of-prey|' \
         /run/systemd/system/prey-probe*-control-hook.service > /run/systemd/system/copy.service",
    );
    machine.ok("systemctl start copy.service");
    let words = machine.property("copy.service", "StatusText");
    let access = Errno::EACCES as i32;
    assert!(words.ends_with(&format!(" {access} {access}")), "{words}");
    machine.ok("systemctl stop copy.service && rm /run/systemd/system/copy.service /srv/of-*");
}
