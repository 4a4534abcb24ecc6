//! Doctor finds each fault, and its hint fixes the fault.

use crate::demo::{UNITS, demo, installed, occupy_port};
use crate::machine::Machine;

tests![Quick: each_fault_is_found_with_its_hint];

/// A fault, what doctor reports, and the command that fixes it.
struct Fault {
    name: &'static str,
    cause: &'static str,
    says: &'static [&'static str],
    fix: &'static str,
    /// The exit code of `doctor`: notes do not change it.
    code: i32,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "deleted unit file",
        cause: "rm /usr/local/lib/systemd/system/demo-worker.service",
        says: &[
            "demo-worker.service` is missing",
            "hint: deploy again: sudo robotctl --app demo deploy --apply",
        ],
        fix: "robotctl --manifest /root/demo/robot.toml deploy --apply",
        code: 1,
    },
    Fault {
        name: "hand-edited unit",
        cause: "echo '# hand' >> /usr/local/lib/systemd/system/demo-web.service.d/10-hardening.conf",
        says: &["10-hardening.conf` was changed", "hint: "],
        fix: "robotctl --manifest /root/demo/robot.toml deploy --apply",
        code: 1,
    },
    Fault {
        name: "wrong mode",
        cause: "chmod 777 /run/demo",
        says: &[
            "`/run/demo` has mode 0777, not 0750",
            "hint: set the mode: sudo systemd-tmpfiles --create",
        ],
        fix: "systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/demo.conf",
        code: 1,
    },
    Fault {
        name: "current elsewhere",
        cause: "ln -sfn /root/demo /opt/demo/current",
        says: &["current", "hint: "],
        fix: "ln -sfn releases/$(ls /opt/demo/releases) /opt/demo/current",
        code: 1,
    },
    Fault {
        name: "stopped service",
        cause: "systemctl stop demo-worker.service",
        says: &[
            "`demo-worker.service` is inactive",
            "hint: if it should run: sudo systemctl start demo-worker.service",
        ],
        fix: "systemctl start demo-worker.service",
        code: 1,
    },
    Fault {
        name: "failed service",
        cause: "mkdir -p /run/systemd/system/demo-worker.service.d; \
                printf '[Service]\\nExecStartPre=/bin/false\\nRestart=no\\n' \
                    > /run/systemd/system/demo-worker.service.d/90-test.conf; \
                systemctl daemon-reload; systemctl restart demo-worker.service || true",
        says: &[
            "`demo-worker.service` has failed: a command that runs before its program failed (exit-code)",
            "hint: read why: sudo journalctl -u demo-worker.service -n 50",
            "hint: then: sudo systemctl restart demo-worker.service",
        ],
        fix: "rm -r /run/systemd/system/demo-worker.service.d; systemctl daemon-reload; \
               systemctl restart demo-worker.service",
        code: 1,
    },
    Fault {
        name: "disabled timer",
        cause: "systemctl disable --now demo-tidy.timer",
        says: &[
            "`demo-tidy.timer` is inactive",
            "hint: if it should run: sudo systemctl enable --now demo-tidy.timer",
        ],
        fix: "systemctl enable --now demo-tidy.timer",
        code: 1,
    },
    Fault {
        name: "missing secret",
        cause: "rm /etc/demo/credentials/API_KEY",
        says: &[
            "the secret `API_KEY` is missing",
            "hint: install it from a file: sudo install -D -m 600 FILE /etc/demo/credentials/API_KEY",
        ],
        fix: "printf x | install -m 600 /dev/stdin /etc/demo/credentials/API_KEY",
        code: 1,
    },
    Fault {
        name: "readable secret",
        cause: "chmod 644 /etc/demo/credentials/API_KEY",
        says: &["users other than root can read", "chmod 600"],
        fix: "chmod 600 /etc/demo/credentials/API_KEY",
        code: 1,
    },
    Fault {
        name: "writable release",
        cause: "chmod 666 /opt/demo/current/VERSION",
        says: &[
            "users other than root can write to files of the live release",
            "hint: make root the owner: sudo chown -R root /opt/demo/releases/",
            "hint: then remove write access for others: sudo chmod -R go-w,ug-s /opt/demo/releases/",
        ],
        fix: "chmod 644 /opt/demo/current/VERSION",
        code: 1,
    },
    Fault {
        name: "unlimited memory",
        cause: "mkdir -p /etc/systemd/system/demo-worker.service.d; \
                printf '[Service]\\nMemoryMax=infinity\\n' \
                    > /etc/systemd/system/demo-worker.service.d/50-local.conf; \
                systemctl daemon-reload",
        says: &[
            "`demo-worker.service` can use up the memory of the host",
            "hint: set them in `limits` of the service and deploy again, or change your drop-in",
        ],
        fix: "rm -r /etc/systemd/system/demo-worker.service.d; systemctl daemon-reload",
        code: 0,
    },
    Fault {
        name: "open release",
        cause: "chmod 755 /opt/demo/current/",
        says: &[
            "every user of this host can read the release 1.0-",
            "hint: deploy the live release again, which sets its readers: sudo robotctl --app demo deploy --apply",
        ],
        fix: "robotctl --manifest /root/demo/robot.toml deploy --apply",
        code: 1,
    },
    Fault {
        name: "closed release",
        cause: "chown root:root /opt/demo/current/",
        says: &[
            "the release 1.0-",
            " has other readers than its services need",
        ],
        fix: "robotctl --manifest /root/demo/robot.toml deploy --apply",
        code: 1,
    },
    Fault {
        name: "open old release",
        cause: "mkdir -m 755 /opt/demo/releases/0.9-000000000000",
        says: &[
            "every user of this host can read the release 0.9-000000000000",
            "hint: close it: a rollback to it lets its services read it again: sudo chmod go= /opt/demo/releases/0.9-000000000000",
        ],
        fix: "rmdir /opt/demo/releases/0.9-000000000000",
        code: 1,
    },
];

fn each_fault_is_found_with_its_hint(machine: &Machine) {
    machine.write("/etc/demo/credentials/API_KEY", "x", 0o600);
    machine.ok("chmod 700 /etc/demo/credentials");
    let mut demo = demo("1.0");
    demo.tables = "[[secret]]\nname = \"API_KEY\"\n";
    demo.deploy_ok(machine);
    machine.robotctl("doctor").exits(0);
    let healthy = installed(machine);
    for fault in FAULTS {
        machine.ok(fault.cause);
        let mut out = machine.robotctl("doctor").exits(fault.code);
        for text in fault.says {
            out = out.says(text);
        }
        let json = machine.robotctl("doctor --format json").exits(fault.code);
        let reports = json.data("report");
        assert_eq!(reports.len(), 1, "{}", fault.name);
        let findings = reports[0]["findings"].as_array().unwrap();
        assert!(!findings.is_empty(), "{}", fault.name);
        for finding in findings {
            let fix = finding["fix"].as_array().unwrap();
            let is_text =
                |step: &serde_json::Value| step["text"].is_string() || step["command"].is_string();
            assert!(
                !fix.is_empty() && fix.iter().all(is_text),
                "{}: {finding}",
                fault.name
            );
        }
        machine.ok(fault.fix);
        let out = machine.robotctl("doctor");
        assert_eq!(out.code, 0, "{} is fixed: {out}", fault.name);
        for text in fault.says {
            let shown = format!("{out}");
            assert!(
                text.starts_with("hint: ") || !shown.contains(text),
                "{shown}"
            );
        }
        assert_eq!(installed(machine), healthy, "{}", fault.name);
    }
    the_holder_of_a_port_is_named(machine);
}

/// If another process holds a port, its pid and its command are reported before any change.
fn the_holder_of_a_port_is_named(machine: &Machine) {
    machine.ok("systemctl stop demo-web.socket demo-web.service");
    let mut other = occupy_port(machine, "8080");
    let pid = machine.ok("pgrep -f 'http.server --bind'");
    let doctor = machine.robotctl("doctor").exits(1);
    doctor
        .says(&format!("pid {pid} (`python3`) listens on "))
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
