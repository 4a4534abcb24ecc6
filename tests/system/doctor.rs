//! Doctor: each fault is found, and its hint mends it.

use crate::demo::{UNITS, demo, installed, stranger};
use crate::machine::Machine;

tests![Quick: each_fault_is_found_with_its_hint];

/// A fault, what doctor says of it, what its hint tells to type, and what mends it.
struct Fault {
    name: &'static str,
    cause: &'static str,
    says: &'static [&'static str],
    mend: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "deleted unit file",
        cause: "rm /usr/local/lib/systemd/system/demo-worker.service",
        says: &["demo-worker.service` is missing", "hint: sudo robotctl"],
        mend: "robotctl --manifest /root/demo/robot.toml deploy --apply",
    },
    Fault {
        name: "hand-edited unit",
        cause: "echo '# hand' >> /usr/local/lib/systemd/system/demo-web.service.d/10-hardening.conf",
        says: &["10-hardening.conf` was changed", "hint: "],
        mend: "robotctl --manifest /root/demo/robot.toml deploy --apply",
    },
    Fault {
        name: "wrong mode",
        cause: "chmod 777 /run/demo",
        says: &[
            "`/run/demo` has mode 0777, not 0750",
            "hint: sudo systemd-tmpfiles --create",
        ],
        mend: "systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/demo.conf",
    },
    Fault {
        name: "current elsewhere",
        cause: "ln -sfn /root/demo /opt/demo/current",
        says: &["current", "hint: "],
        mend: "ln -sfn releases/$(ls /opt/demo/releases) /opt/demo/current",
    },
    Fault {
        name: "stopped service",
        cause: "systemctl stop demo-worker.service",
        says: &[
            "`demo-worker.service` is inactive",
            "hint: if it should run: sudo systemctl start demo-worker.service",
        ],
        mend: "systemctl start demo-worker.service",
    },
    Fault {
        name: "failed service",
        cause: "mkdir -p /run/systemd/system/demo-worker.service.d; \
                printf '[Service]\\nExecStartPre=/bin/false\\nRestart=no\\n' \
                    > /run/systemd/system/demo-worker.service.d/90-test.conf; \
                systemctl daemon-reload; systemctl restart demo-worker.service || true",
        says: &[
            "`demo-worker.service` has failed: exit-code",
            "hint: journalctl -u demo-worker.service",
        ],
        mend: "rm -r /run/systemd/system/demo-worker.service.d; systemctl daemon-reload; \
               systemctl restart demo-worker.service",
    },
    Fault {
        name: "disabled timer",
        cause: "systemctl disable --now demo-tidy.timer",
        says: &[
            "`demo-tidy.timer` is inactive",
            "hint: if it should run: sudo systemctl enable --now demo-tidy.timer",
        ],
        mend: "systemctl enable --now demo-tidy.timer",
    },
    Fault {
        name: "missing secret",
        cause: "rm /etc/demo/credentials/API_KEY",
        says: &[
            "the secret `API_KEY` is missing",
            "hint: sudo install -D -m 600 FILE /etc/demo/credentials/API_KEY",
        ],
        mend: "install -m 600 /dev/stdin /etc/demo/credentials/API_KEY <<< x",
    },
    Fault {
        name: "readable secret",
        cause: "chmod 644 /etc/demo/credentials/API_KEY",
        says: &["can be read by others", "chmod 600"],
        mend: "chmod 600 /etc/demo/credentials/API_KEY",
    },
    Fault {
        name: "writable release",
        cause: "chmod 666 /opt/demo/current/VERSION",
        says: &["not root's alone to write", "hint: sudo chown"],
        mend: "chmod 644 /opt/demo/current/VERSION",
    },
];

fn each_fault_is_found_with_its_hint(machine: &Machine) {
    machine.write("/etc/demo/credentials/API_KEY", "x", 0o600);
    machine.ok("chmod 700 /etc/demo/credentials");
    let mut demo = demo("1.0");
    demo.tables = "[[secret]]\nname = \"API_KEY\"\n";
    demo.deployed(machine);
    machine.robotctl("doctor").exits(0);
    let healthy = installed(machine);
    for fault in FAULTS {
        machine.ok(fault.cause);
        let mut out = machine.robotctl("doctor").exits(1);
        for text in fault.says {
            out = out.says(text);
        }
        let json = machine.robotctl("doctor --format json").exits(1);
        let reports: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        for finding in reports[0]["findings"].as_array().unwrap() {
            assert!(
                !finding["hint"].as_str().unwrap().is_empty(),
                "{}: {finding}",
                fault.name
            );
        }
        machine.ok(fault.mend);
        let out = machine.robotctl("doctor");
        assert_eq!(out.code, 0, "{} is mended: {out}", fault.name);
        assert_eq!(installed(machine), healthy, "{}", fault.name);
    }
    held_port(machine);
}

/// A port that somebody else holds is told by pid and command, before anything changes.
fn held_port(machine: &Machine) {
    machine.ok("systemctl stop demo-web.socket demo-web.service");
    let mut other = stranger(machine);
    let pid = machine.ok("pgrep -f 'http.server --bind'");
    let doctor = machine.robotctl("doctor").exits(1);
    doctor
        .says(&format!("held by pid {pid}"))
        .says("hint: stop that process");
    let out = demo("2.0").deploy(machine).exits(2);
    out.says(&format!("in use by pid {pid} (`python3`)"))
        .says("hint: ");
    machine.ok(&format!("kill {pid}"));
    let _ = other.wait();
    machine.ok("systemctl start demo-web.socket demo-web.service");
    machine.robotctl("doctor").exits(0);
    assert!(machine.exists(&format!("{UNITS}/demo-web.socket")));
}
