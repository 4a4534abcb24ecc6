//! Doctor finds each fault, and the commands that it prints fix the fault. Every check has a case.

use crate::demo::{UNITS, demo, installed, occupy_port};
use crate::machine::{Machine, Out};
use serde_json::Value;
use std::collections::BTreeSet;

tests![
    Slow:
    each_fault_is_found_and_the_printed_commands_fix_it,
    a_deploy_fixes_or_names_what_the_doctor_calls_an_error,
];

/// A fault, what doctor reports, and what ends it.
struct Case {
    /// The check that reports it.
    id: &'static str,
    /// A line of shell that causes it.
    cause: &'static str,
    /// Words of the message.
    says: &'static [&'static str],
    /// Other checks that report consequences of the same cause as errors or warnings.
    also: &'static [&'static str],
    /// What a person does first where doctor cannot know the right value: a line of shell.
    by_hand: &'static str,
    /// Options of `doctor`.
    options: &'static str,
    /// A line of shell that removes what the cause and the fix leave, and that is no fault.
    after: &'static str,
}

impl Case {
    /// Whether this finding is the expected one.
    fn is_about(&self, finding: &Value) -> bool {
        let message = finding["message"].as_str().unwrap_or_default();
        finding["check"] == self.id && self.says.iter().all(|words| message.contains(words))
    }
}

const CASE: Case = Case {
    id: "",
    cause: "",
    says: &[],
    also: &[],
    by_hand: "",
    options: "",
    after: "",
};

/// Cases that hold on a new host. What they find is not found again, so they come first.
const ON_A_NEW_HOST: &[Case] = &[
    Case {
        id: "timers",
        says: &[
            "systemd knows of no run of `demo-tidy.service`",
            "`demo-tidy.timer`",
        ],
        ..CASE
    },
    Case {
        id: "unchecked",
        says: &["service `worker` has no check"],
        by_hand: "cd /root/demo && sed -i 's/^\\[service.worker\\]/&\\ncheck = [{ settle = \"200ms\" }]/' robot.toml \
                  && robotctl deploy --apply",
        ..CASE
    },
];

const CASES: &[Case] = &[
    Case {
        id: "state",
        cause: "rm /var/lib/robotctl/demo/state.json",
        says: &["the state is missing"],
        ..CASE
    },
    Case {
        id: "journal",
        cause: "cp -r /root/demo /root/killed && cd /root/killed && echo 1.1 > VERSION \
                && printf '[hooks]\\nafter-switch = [[\"/usr/bin/sleep\", \"600\"]]\\n' >> robot.toml \
                && { robotctl deploy --apply >/dev/null 2>&1 & pid=$!; } \
                && until [ $(systemctl show -P ActiveState demo-after-switch-hook.service) = activating ]; \
                do sleep 0.1; done \
                && kill -9 $pid",
        says: &["a change was interrupted"],
        after: "rm -r /root/killed",
        ..CASE
    },
    Case {
        id: "package",
        cause: "cp -r /root/demo /root/packed && cd /root/packed \
                && sed -i 's/^\\[app\\]/&\\nmaintainer = \"Ann <ann@example.org>\"/' robot.toml \
                && robotctl package && dpkg-deb --extract demo_*.deb /",
        says: &["of the package demo is installed, but its release was not deployed"],
        after: "rm -r /usr/lib/demo /root/packed && cd /root/demo && robotctl deploy --apply",
        ..CASE
    },
    Case {
        id: "current",
        cause: "ln -sfn /root/demo /opt/demo/current",
        says: &["`/opt/demo/current` points at `/root/demo`"],
        ..CASE
    },
    Case {
        id: "content",
        cause: "chmod 600 /opt/demo/current/VERSION && chmod 700 /opt/demo/current/lib",
        says: &[
            "other modes",
            "VERSION (0600, not 0644)",
            "lib (0700, not 0755)",
        ],
        ..CASE
    },
    Case {
        id: "content",
        cause: "mkdir /opt/demo/current/extra && touch /opt/demo/current/extra/file /opt/demo/current/more",
        says: &["were added to the live release by hand: extra, more"],
        after: "rm -r /root/demo-added",
        ..CASE
    },
    Case {
        id: "content",
        cause: "cd /opt/demo/current && cp -p VERSION /root/kept && printf 9 | dd of=VERSION conv=notrunc status=none \
                && touch -r /root/kept VERSION",
        says: &["were changed by hand: VERSION"],
        by_hand: "cp -p /root/kept /opt/demo/current/VERSION && rm /root/kept",
        options: "--digests",
        ..CASE
    },
    Case {
        id: "content",
        cause: "cd /opt/demo/current && mv VERSION /root/kept && ln -s app.py VERSION",
        says: &["were changed by hand: VERSION"],
        by_hand: "rm /opt/demo/current/VERSION && mv /root/kept /opt/demo/current/VERSION",
        ..CASE
    },
    Case {
        id: "files",
        cause: "rm /usr/local/lib/systemd/system/demo-worker.service",
        says: &["demo-worker.service` is missing"],
        also: &["units"],
        ..CASE
    },
    Case {
        id: "files",
        cause: "echo '# hand' >> /usr/local/lib/systemd/system/demo-web.service.d/10-hardening.conf",
        says: &["10-hardening.conf` was changed"],
        also: &["units"],
        by_hand: "cd /root/demo && robotctl deploy --apply",
        ..CASE
    },
    Case {
        id: "shadowed",
        cause: "cp /usr/local/lib/systemd/system/demo-worker.service /etc/systemd/system/ && systemctl daemon-reload",
        says: &["`/etc/systemd/system/demo-worker.service` hides the generated unit"],
        after: "rm /etc/systemd/system/demo-worker.service.off",
        ..CASE
    },
    Case {
        id: "shadowed",
        cause: "cp /usr/local/lib/tmpfiles.d/demo.conf /etc/tmpfiles.d/",
        says: &["`/etc/tmpfiles.d/demo.conf` hides"],
        after: "rm /etc/tmpfiles.d/demo.conf.off",
        ..CASE
    },
    Case {
        id: "shadowed",
        cause: "printf '# local\\nd /var/lib/demo 0755 root root -\\n' > /etc/tmpfiles.d/a-local.conf",
        says: &["line 2 of `/etc/tmpfiles.d/a-local.conf` counts for `/var/lib/demo`"],
        after: "rm /etc/tmpfiles.d/a-local.conf",
        ..CASE
    },
    Case {
        id: "units",
        cause: "systemctl stop demo-worker.service",
        says: &["`demo-worker.service` is inactive"],
        ..CASE
    },
    Case {
        id: "units",
        cause: "systemctl mask demo-worker.service",
        says: &["`demo-worker.service` is masked by the administrator"],
        ..CASE
    },
    Case {
        id: "units",
        cause: "systemctl disable --now demo-tidy.timer",
        says: &["`demo-tidy.timer` is inactive and disabled"],
        // systemd keeps nothing of a unit that it has unloaded.
        after: "systemctl start demo-tidy.service",
        ..CASE
    },
    Case {
        id: "units",
        cause: "systemctl disable demo-web.socket",
        says: &["`demo-web.socket` is disabled: it does not start at the next boot"],
        ..CASE
    },
    Case {
        id: "units",
        cause: "touch /usr/local/lib/systemd/system/demo-worker.service",
        says: &["`demo-worker.service` changed on disk"],
        ..CASE
    },
    // The cause of the failure is gone, as after a release was restored.
    Case {
        id: "units",
        cause: "drop=/run/systemd/system/demo-tidy.service.d; mkdir -p $drop \
                && printf '[Service]\\nExecStartPre=/bin/false\\n' > $drop/90-test.conf && systemctl daemon-reload \
                && ! systemctl start demo-tidy.service && rm -r $drop && systemctl daemon-reload",
        says: &["`demo-tidy.service` has failed: a command that runs before its program failed"],
        ..CASE
    },
    Case {
        id: "units",
        cause: "drop=/run/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nExecStartPre=/bin/false\\nRestart=no\\n' > $drop/90-test.conf \
                && systemctl daemon-reload && ! systemctl restart demo-worker.service",
        says: &["`demo-worker.service` has failed: a command that runs before its program failed"],
        by_hand: "rm -r /run/systemd/system/demo-worker.service.d; systemctl daemon-reload",
        ..CASE
    },
    Case {
        id: "restarts",
        cause: "drop=/run/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nWatchdogSec=1\\n' > $drop/90-test.conf && systemctl daemon-reload \
                && systemctl restart demo-worker.service \
                && until [ $(systemctl show -P NRestarts demo-worker.service) -gt 0 ]; do sleep 0.1; done \
                && rm -r $drop && systemctl daemon-reload",
        says: &["`demo-worker.service` did not notify its watchdog in time"],
        ..CASE
    },
    Case {
        id: "leftovers",
        cause: "printf '# Generated by robotctl from the manifest of demo; edit that instead.\\n[Service]\\n\
                ExecStart=/bin/sleep 600\\n' > /run/systemd/system/demo-web-precheck.service \
                && systemctl daemon-reload && systemctl start demo-web-precheck.service",
        says: &["`demo-web-precheck.service` was left by a killed command"],
        ..CASE
    },
    Case {
        id: "running",
        cause: "cd /opt/demo && live=$(readlink current) && cp -a $live releases/0.9-000000000000 \
                && ln -sfn releases/0.9-000000000000 current && systemctl restart demo-worker.service \
                && ln -sfn $live current",
        says: &["`demo-worker.service` runs 0.9-000000000000, it should run 1.0-"],
        after: "rm -r /opt/demo/releases/0.9-000000000000",
        ..CASE
    },
    // To end a job would lose its work.
    Case {
        id: "running",
        cause: "drop=/run/systemd/system/demo-tidy.service.d; mkdir -p $drop \
                && printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep 600\\n' > $drop/90-test.conf && systemctl daemon-reload \
                && cd /opt/demo && live=$(readlink current) && cp -a $live releases/0.9-000000000000 \
                && ln -sfn releases/0.9-000000000000 current && systemctl start --no-block demo-tidy.service \
                && until [ \"$(cat /proc/$(systemctl show -P MainPID demo-tidy.service)/comm)\" = sleep ]; do sleep 0.1; done \
                && ln -sfn $live current",
        says: &[
            "the job `demo-tidy.service` still runs 0.9-000000000000; its next run is one of 1.0-",
        ],
        after: "rm -r /run/systemd/system/demo-tidy.service.d; systemctl daemon-reload; systemctl stop demo-tidy.service; \
                systemctl start demo-tidy.service && rm -r /opt/demo/releases/0.9-000000000000",
        ..CASE
    },
    Case {
        id: "orphans",
        cause: "systemd-run --quiet --unit=stray --uid=demo -p WorkingDirectory=/opt/demo/current -p Type=notify \
                /opt/demo/current/app.py worker",
        says: &["(`app.py`) uses files in `/opt/demo/`, and belongs to `stray.service`"],
        ..CASE
    },
    Case {
        id: "tmpfiles",
        cause: "chmod 777 /run/demo",
        says: &["`/run/demo` has mode 0777, not 0750"],
        ..CASE
    },
    Case {
        id: "directories",
        cause: "mkdir -m 700 /var/lib/demo/sub && touch /var/lib/demo/sub/db /var/lib/demo/db",
        says: &["cannot read or write `/var/lib/demo/", "owned by `root`"],
        after: "rm -r /var/lib/demo/sub /var/lib/demo/db",
        ..CASE
    },
    // What is mounted below does not change, also when it is on the same file system.
    Case {
        id: "directories",
        cause: "mkdir -p /srv/other/of-root /var/lib/demo/mnt && chown demo: /var/lib/demo/mnt \
                && mount --bind /srv/other /var/lib/demo/mnt \
                && mkdir -m 700 /var/lib/demo/sub && touch /var/lib/demo/sub/db",
        says: &["cannot read or write `/var/lib/demo/sub`, owned by `root`"],
        after: "test $(stat -c %U /var/lib/demo/sub/db):$(stat -c %U /srv/other):$(stat -c %U /srv/other/of-root) \
                = demo:root:root \
                && umount /var/lib/demo/mnt && rm -r /srv/other /var/lib/demo/sub /var/lib/demo/mnt",
        ..CASE
    },
    Case {
        id: "directories",
        cause: "touch /var/lib/demo/db",
        says: &["cannot write to `/var/lib/demo/db`, owned by `root`"],
        after: "rm /var/lib/demo/db",
        ..CASE
    },
    Case {
        id: "directories",
        cause: "mount -t tmpfs -o ro,mode=0750,uid=$(id -u demo),gid=$(id -g demo) tmpfs /var/lib/demo",
        says: &["the file system of `/var/lib/demo` is read-only"],
        after: "umount /var/lib/demo",
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "chmod 666 /opt/demo/current/VERSION",
        says: &["users other than root can write to files of the live release"],
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "chmod 755 /opt/demo/current/",
        says: &["every user of this host can read the release 1.0-"],
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "chown root:root /opt/demo/current/",
        says: &["has other readers than its services need"],
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "mkdir -m 755 /opt/demo/releases/0.9-000000000000",
        says: &["every user of this host can read the release 0.9-000000000000"],
        after: "rmdir /opt/demo/releases/0.9-000000000000",
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "usermod --append --groups demo daemon",
        says: &["`daemon` is a member of the group `demo`"],
        ..CASE
    },
    Case {
        id: "permissions",
        cause: "usermod --shell /bin/bash demo",
        says: &["the user `demo` of the services can log in: its shell is `/bin/bash`"],
        ..CASE
    },
    Case {
        id: "secrets",
        cause: "rm /etc/demo/credentials/API_KEY",
        says: &["the secret `API_KEY` is missing"],
        ..CASE
    },
    Case {
        id: "secrets",
        cause: "chmod 644 /etc/demo/credentials/API_KEY",
        says: &["users other than root can read `/etc/demo/credentials/API_KEY`"],
        ..CASE
    },
    Case {
        id: "same-secrets",
        cause: "cat /etc/demo/credentials/API_KEY > /etc/demo/credentials/OTHER_KEY",
        says: &["the secret `OTHER_KEY` has the same content as `/etc/demo/credentials/API_KEY`"],
        by_hand: "echo new > /root/fix/FILE",
        ..CASE
    },
    Case {
        id: "env-file",
        cause: "sed -i '1i COLOUR=blue' /etc/demo/env",
        says: &[
            "`/etc/demo/env`, line 2: systemd uses this value of `COLOUR`, and not that of line 1",
        ],
        ..CASE
    },
    Case {
        id: "env-file",
        cause: "echo COLUOR=red >> /etc/demo/env; systemctl restart demo-direct.service demo-web.service demo-worker.service",
        says: &["no file of the live release contains `COLUOR`, which `/etc/demo/env` sets"],
        after: "systemctl restart demo-direct.service demo-web.service demo-worker.service",
        ..CASE
    },
    Case {
        id: "settings",
        cause: "sed -i s/red/green/ /etc/demo/env",
        says: &["settings of `demo-worker.service` changed since it started: `COLOUR`"],
        ..CASE
    },
    Case {
        id: "programs",
        cause: "chmod 644 /usr/local/bin/first",
        says: &["the program `/usr/local/bin/first` of service `direct` is not executable"],
        by_hand: "chmod 755 /usr/local/bin/first",
        ..CASE
    },
    Case {
        id: "executables",
        cause: "mv /usr/local/bin/interpreter /root/interpreter",
        says: &[
            "`/usr/local/bin/first` of service `direct` cannot start",
            "its interpreter is `/usr/local/bin/interpreter`, which does not exist",
        ],
        by_hand: "mv /root/interpreter /usr/local/bin/interpreter",
        ..CASE
    },
    Case {
        id: "executables",
        cause: "mv /usr/local/bin/interpreter /home/ && ln -s /home/interpreter /usr/local/bin/interpreter",
        says: &["its interpreter is `/home/interpreter`, which the service cannot see"],
        by_hand: "mv -f /home/interpreter /usr/local/bin/",
        ..CASE
    },
    Case {
        id: "executables",
        cause: "cp -p /usr/local/bin/interpreter /root/ \
                && sed -i 's/libc\\.so\\.6/libx.so.6/g' /usr/local/bin/interpreter",
        says: &[
            "`/usr/local/bin/interpreter` needs the library `libx.so.6`, which the service does not find",
        ],
        by_hand: "mv /root/interpreter /usr/local/bin/",
        ..CASE
    },
    Case {
        id: "executables",
        cause: "cp -p /usr/local/bin/interpreter /root/ \
                && printf '\\xf3' | dd of=/usr/local/bin/interpreter bs=1 seek=18 conv=notrunc status=none",
        says: &["`/usr/local/bin/interpreter` is built for another architecture than"],
        by_hand: "mv /root/interpreter /usr/local/bin/",
        ..CASE
    },
    Case {
        id: "ports",
        cause: "systemctl stop demo-web.socket demo-web.service",
        says: &["no process listens on 127.0.0.1:8080"],
        also: &["units"],
        by_hand: "systemctl start demo-web.service",
        ..CASE
    },
    Case {
        id: "ports",
        cause: "echo HOST=0.0.0.0 >> /etc/demo/env; systemctl restart demo-direct.service",
        says: &[
            "`demo-direct.service` listens on 0.0.0.0:8090, and the manifest says 127.0.0.1:8090",
        ],
        also: &["settings"],
        by_hand: "sed -i /HOST/d /etc/demo/env",
        ..CASE
    },
    Case {
        id: "manifest",
        cause: "cp -r /root/demo /root/wrapped && cd /root/wrapped && sed -i 's/^version = .*/version = \"1.2\"/' robot.toml \
                && printf '[service.shell]\\nexec = [\"/bin/sh\", \"-c\", \"sleep 600; true\"]\\n' >> robot.toml \
                && robotctl deploy --apply",
        says: &["service `shell` is started by `sh`"],
        by_hand: "robotctl --app demo rollback && rm -r /root/wrapped",
        ..CASE
    },
    Case {
        id: "limits",
        cause: "drop=/etc/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nMemoryMax=infinity\\n' > $drop/50-local.conf && systemctl daemon-reload",
        says: &["`demo-worker.service` can use up the memory of the host"],
        by_hand: "rm -r /etc/systemd/system/demo-worker.service.d; systemctl daemon-reload",
        ..CASE
    },
    Case {
        id: "drop-ins",
        cause: "drop=/etc/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nNice=5\\n' > $drop/50-local.conf && systemctl daemon-reload",
        says: &[
            "`/etc/systemd/system/demo-worker.service.d/50-local.conf` changes `demo-worker.service`",
        ],
        after: "rm -r /etc/systemd/system/demo-worker.service.d",
        ..CASE
    },
    Case {
        id: "unenforced",
        cause: "drop=/etc/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nRestrictFileSystems=ext4\\n' > $drop/50-local.conf && systemctl daemon-reload",
        says: &["accepts `RestrictFileSystems=` of `demo-worker.service` and does not enforce it"],
        after: "rm -r /etc/systemd/system/demo-worker.service.d",
        ..CASE
    },
    Case {
        id: "exposure",
        cause: "drop=/etc/systemd/system/demo-worker.service.d; mkdir -p $drop \
                && printf '[Service]\\nNice=5\\n' > $drop/50-local.conf \
                && printf '[Service]\\nProtectHome=no\\nPrivateDevices=no\\n' > $drop/60-open.conf \
                && systemctl daemon-reload && systemctl restart demo-worker.service",
        says: &[
            "`demo-worker.service` has the exposure ",
            "`PrivateDevices=`, `ProtectHome=`",
        ],
        by_hand: "rm /etc/systemd/system/demo-worker.service.d/50-local.conf",
        after: "rm -r /etc/systemd/system/demo-worker.service.d",
        ..CASE
    },
    Case {
        id: "pins",
        cause: "robotctl --app demo rollback --service worker",
        says: &["service `worker` is pinned to "],
        ..CASE
    },
    Case {
        id: "tools",
        cause: "mv /usr/bin/systemd-tmpfiles /root/",
        says: &["the program `systemd-tmpfiles` is not installed"],
        by_hand: "mv /root/systemd-tmpfiles /usr/bin/",
        ..CASE
    },
    Case {
        id: "writable",
        cause: "store=/var/lib/robotctl/demo/releases; mount -t tmpfs -o mode=0755 tmpfs /mnt && cp -a $store/. /mnt/ \
                && mount --bind /mnt $store && umount /mnt && mount -o remount,ro $store",
        says: &["the file system of `/var/lib/robotctl/demo/releases` is read-only"],
        after: "umount /var/lib/robotctl/demo/releases",
        ..CASE
    },
    Case {
        id: "disk",
        cause: "mount -t tmpfs -o size=64k,mode=0750,uid=$(id -u demo),gid=$(id -g demo) tmpfs /var/lib/demo",
        says: &["the disk of `/var/lib/demo` is nearly full"],
        by_hand: "umount /var/lib/demo",
        ..CASE
    },
    Case {
        id: "disk",
        cause: "mkdir /var/cache/demo && mount -t tmpfs -o size=64k tmpfs /var/cache/demo",
        says: &["the disk of `/var/cache/demo` is nearly full"],
        after: "umount /var/cache/demo && rmdir /var/cache/demo",
        ..CASE
    },
];

/// A further service that opens its port itself, on an address that its settings give, and secrets of a job.
const TABLES: &str = r#"[[secret]]
name = "API_KEY"
services = ["tidy"]

[[secret]]
name = "OTHER_KEY"
services = ["tidy"]

[service.direct]
exec = ["{current}/app.py", "direct"]
exec-start-pre = [["/usr/local/bin/first"]]
type = "notify"
listen = ["127.0.0.1:8090"]
socket = "direct"
"#;

/// A service on a unix socket.
const TALK: &str = "[service.talk]\nexec = [\"{current}/app.py\", \"web\"]\ntype = \"notify\"\n\
                    listen = [\"unix:/run/demo-talk.sock\"]\n";

/// A case that doctor does not find, or whose commands do not fix it.
type Failure = String;

fn each_fault_is_found_and_the_printed_commands_fix_it(machine: &Machine) {
    prepare(machine, "");
    let mut failures: Vec<Failure> = Vec::new();
    for case in ON_A_NEW_HOST {
        failures.extend(fault(machine, case).err());
        let left = findings(machine, "").into_iter();
        failures.extend(
            left.filter(|one| one["check"] == case.id)
                .map(|one| format!("{one} is left")),
        );
    }
    let mut healthy = summary(&findings(machine, ""));
    let errors = healthy.iter().filter(|(_, severity, _)| severity != "note");
    assert_eq!(errors.count(), 0, "{healthy:?}");
    let files = installed(machine);
    for case in CASES {
        failures.extend(fault(machine, case).err());
        machine.ok(case.after);
        let now = summary(&findings(machine, case.options));
        if now != healthy {
            failures.push(format!(
                "{}: `{}` is not fixed: {now:?}",
                case.id, case.cause
            ));
            healthy = now; // One case that is not fixed does not fail the others.
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(installed(machine), files);
    the_holder_of_a_port_is_named(machine);
}

/// Deploys the app of the cases, with more tables.
fn prepare(machine: &Machine, more: &str) {
    machine.ok("mkdir /root/fix && cp /bin/true /usr/local/bin/interpreter");
    machine.write("/root/fix/FILE", "another", 0o600);
    machine.write(
        "/usr/local/bin/first",
        "#!/usr/local/bin/interpreter\n",
        0o755,
    );
    machine.write("/etc/demo/env", "COLOUR=red\n", 0o600);
    for name in ["API_KEY", "OTHER_KEY"] {
        machine.write(&format!("/etc/demo/credentials/{name}"), name, 0o600);
    }
    machine.ok("chmod 700 /etc/demo/credentials");
    let deploy = |version: &str| {
        let mut demo = demo(version);
        demo.tables = TABLES;
        demo.write(machine);
        machine.ok(&format!(
            "cat >> /root/demo/robot.toml <<'end'\n{more}\nend"
        ));
        machine.write("/root/demo/lib/empty", "", 0o644);
        machine
            .robotctl("--manifest /root/demo/robot.toml deploy --apply")
            .exits(0);
    };
    deploy("0.9");
    deploy("1.0");
}

/// Faults that only this test causes: a deploy leaves them, and names them.
const LEFT_BY_A_DEPLOY: &[Case] = &[
    Case {
        id: "ports",
        cause: "rm /run/demo-talk.sock",
        says: &["the socket `/run/demo-talk.sock` is missing"],
        ..CASE
    },
    // systemd opens no socket while its service runs.
    Case {
        id: "ports",
        cause: "systemctl start demo-talk.service && rm /run/demo-talk.sock",
        says: &["the socket `/run/demo-talk.sock` is missing"],
        ..CASE
    },
];

/// Every pair of an error of the doctor and a deploy of the live release: afterwards the doctor finds no error, or the
/// deploy has named it.
fn a_deploy_fixes_or_names_what_the_doctor_calls_an_error(machine: &Machine) {
    prepare(machine, TALK);
    let errors = || -> Vec<String> {
        let found = findings(machine, "").into_iter();
        let errors = found.filter(|one| one["severity"] == "error");
        errors
            .map(|one| one["message"].as_str().unwrap().to_owned())
            .collect()
    };
    let (mut failures, mut fixed, mut named) = (Vec::<Failure>::new(), 0, 0);
    for case in CASES.iter().chain(LEFT_BY_A_DEPLOY) {
        let Case { id, cause, .. } = case;
        machine.sh("systemctl reset-failed 'demo-*.service'");
        machine.ok(cause);
        if !errors().is_empty() {
            let deploy = machine.sh("cd /root/demo && robotctl deploy --apply");
            let left = errors();
            let unnamed = left.iter().filter(|message| !is_named(message, &deploy));
            failures.extend(
                unnamed.map(|message| {
                    format!("{id}: `{cause}`: a deploy leaves `{message}`: {deploy}")
                }),
            );
            match left.is_empty() {
                true => fixed += 1,
                false => named += 1,
            }
        }
        machine.sh(case.by_hand);
        for finding in findings(machine, case.options) {
            if finding["severity"] != "note" || case.is_about(&finding) {
                follow(machine, &finding);
            }
        }
        machine.sh(case.after);
    }
    failures.extend(errors());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(fixed > 0 && named > 0, "{fixed} {named}");
    machine.note(&format!(
        "errors of the doctor: a deploy of the live release fixes {fixed} and names {named}"
    ));
}

/// Whether a deploy says what a finding says. One that fails because of a unit says it in its own words.
fn is_named(message: &str, deploy: &Out) -> bool {
    let printed = format!("{}{}", deploy.stdout, deploy.stderr);
    let mut parts = message.split(" has failed: ");
    match deploy.code {
        0 => printed.contains(message),
        _ => parts.all(|part| printed.contains(part)),
    }
}

/// Runs what doctor prints about a finding.
fn follow(machine: &Machine, finding: &Value) -> Vec<String> {
    let mut failures = Vec::new();
    for step in finding["fix"].as_array().unwrap() {
        assert!(step["text"].is_string(), "{finding}");
        let Some(command) = step["command"].as_str() else {
            continue;
        };
        // In place of the steps before it.
        if step["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("or restore "))
        {
            continue;
        }
        // A deploy reads the manifest of the directory in which it is typed.
        let dir = if command.contains("robotctl") {
            "demo"
        } else {
            "fix"
        };
        // The value of a secret.
        let ended = machine.sh(&format!("cd /root/{dir} && {command} < /root/fix/FILE"));
        if ended.code != 0 {
            failures.push(format!("the printed command fails: {ended}"));
        }
    }
    failures
}

/// Causes a fault, and runs what doctor prints about it.
fn fault(machine: &Machine, case: &Case) -> Result<(), Failure> {
    // A case restarts services, which counts against the limit of starts (systemd.unit(5), "StartLimitBurst=").
    machine.sh("systemctl reset-failed 'demo-*.service'");
    let Case { id, cause, .. } = case;
    let caused = machine.sh(cause);
    if caused.code != 0 {
        return Err(format!("{id}: the cause fails: {caused}"));
    }
    let found = findings(machine, case.options);
    let Some(finding) = found.iter().find(|one| case.is_about(one)) else {
        return Err(format!("{id}: `{cause}` is not found: {found:?}"));
    };
    let is_unrelated = |finding: &&Value| {
        let check = finding["check"].as_str().unwrap_or_default();
        finding["severity"] != "note" && check != *id && !case.also.contains(&check)
    };
    if let Some(other) = found.iter().find(is_unrelated) {
        return Err(format!("{id}: `{cause}` causes another finding: {other}"));
    }
    machine.ok(case.by_hand);
    match follow(machine, finding).first() {
        Some(failure) => Err(format!("{id}: {failure}")),
        None => Ok(()),
    }
}

/// What doctor finds.
fn findings(machine: &Machine, options: &str) -> Vec<Value> {
    let doctor = machine.robotctl(&format!("doctor --format json {options}"));
    let mut reports = doctor.data("report");
    assert_eq!(reports.len(), 1, "{doctor}");
    let found = reports[0]["findings"].take();
    let found = found.as_array().unwrap().clone();
    let is_worse = found.iter().any(|one| one["severity"] != "note");
    assert_eq!(
        doctor.code,
        i32::from(is_worse),
        "notes do not change it: {doctor}"
    );
    found
}

/// The findings as what two reports are compared by.
fn summary(findings: &[Value]) -> BTreeSet<(String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = findings.iter();
    all.map(|one| {
        (
            text(one, "check"),
            text(one, "severity"),
            text(one, "message"),
        )
    })
    .collect()
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
