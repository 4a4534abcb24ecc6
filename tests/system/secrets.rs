//! Values of secrets: which services restart, what is restored, and that no value is where it does not belong.

use crate::machine::{Machine, Out, until};
use std::collections::BTreeMap;

tests![
    Quick:
    only_the_users_of_a_secret_restart_and_no_value_is_seen,
];

/// Each service and its argument.
const SERVICES: [(&str, &str); 6] = [
    ("gateway", "web"),
    ("orchestrator", "web"),
    ("agent-a", "web"),
    ("agent-b", "worker"),
    ("mailer", "worker"),
    ("cleaner", "worker"),
];

/// Each secret and its users.
const SECRETS: [(&str, &[&str]); 4] = [
    (
        "API_KEY",
        &["gateway", "orchestrator", "agent-a", "agent-b"],
    ),
    ("TOKEN", &["gateway"]),
    ("SMTP_PASSWORD", &["mailer"]),
    (
        "SESSION_KEY",
        &[
            "gateway",
            "orchestrator",
            "agent-a",
            "agent-b",
            "mailer",
            "cleaner",
        ],
    ),
];

const MANIFEST: &str = "/root/vault/robot.toml";

fn manifest(version: &str) -> String {
    let mut text = format!("[app]\nname = \"vault\"\nversion = \"{version}\"\n");
    for (name, users) in SECRETS {
        let users: Vec<String> = users.iter().map(|user| format!("{user:?}")).collect();
        let users = users.join(", ");
        text.push_str(&format!(
            "[[secret]]\nname = \"{name}\"\nservices = [{users}]\n"
        ));
        if name == "SESSION_KEY" {
            text.push_str("generate = \"hex:32\"\nas = \"env\"\nvariable = \"SESSION\"\n");
        }
    }
    for (port, (name, role)) in (8100..).zip(SERVICES) {
        text.push_str(&format!(
            "[service.{name}]\nexec = [\"{{current}}/vault.py\", \"{role}\"]\ntype = \"notify\"\n"
        ));
        let settle = "{ settle = \"100ms\" }";
        let check = match role {
            "web" => format!(
                "listen = [\"127.0.0.1:{port}\"]\n\
                 check = [{{ http = \"/healthz\", within = \"3s\" }}, {settle}]\n"
            ),
            _ => format!("check = [{settle}]\n"),
        };
        text.push_str(&check);
    }
    text
}

/// A machine with the app.
struct Vault<'a> {
    machine: &'a Machine,
}

impl Vault<'_> {
    fn write(&self, manifest: &str) {
        let machine = self.machine;
        machine.write(MANIFEST, manifest, 0o644);
        machine.write("/root/vault/vault.py", include_str!("vault.py"), 0o755);
    }

    /// Runs `robotctl secret` with a value on standard input. The value is in a file of root, so that the test itself
    /// shows it in no argument.
    #[track_caller]
    fn secret(&self, arguments: &str, value: &str) -> Out {
        self.machine.write("/root/value", value, 0o600);
        let line = format!("robotctl --app vault secret {arguments} < /root/value");
        let out = self.machine.sh(&line);
        self.machine.ok("rm /root/value");
        out
    }

    /// Rotates a secret, and records the arguments and the environment of each program that starts meanwhile.
    #[track_caller]
    fn rotate_traced(&self, name: &str, value: &str) -> Out {
        self.machine.write("/root/value", value, 0o600);
        let line = format!(
            "strace --follow-forks --quiet=all --no-abbrev --string-limit=65536 --trace=execve \
             --output=/root/trace-{name} robotctl --app vault secret rotate {name} --apply < /root/value"
        );
        let out = self.machine.sh(&line);
        self.machine.ok("rm /root/value");
        out
    }

    fn pids(&self) -> BTreeMap<&'static str, String> {
        let pid = |name: &str| {
            let unit = format!("vault-{name}.service");
            self.machine.property(&unit, "MainPID")
        };
        SERVICES
            .iter()
            .map(|(name, _)| (*name, pid(name)))
            .collect()
    }

    fn get(&self, port: u16, path: &str) -> String {
        let address = format!("http://127.0.0.1:{port}/{path}");
        self.machine.get(&address)
    }

    fn doctor(&self) -> Out {
        self.machine.robotctl("doctor --app vault")
    }
}

fn only_the_users_of_a_secret_restart_and_no_value_is_seen(machine: &Machine) {
    let vault = Vault { machine };
    vault.write(&manifest("1.0"));
    a_missing_secret_has_its_command(&vault);
    for (name, _) in SECRETS {
        if name != "SESSION_KEY" {
            drop(
                vault
                    .secret(&format!("set {name}"), &value(name, 0))
                    .exits(0),
            );
        }
    }
    drop(
        machine
            .robotctl(&format!("--manifest {MANIFEST} deploy --apply"))
            .exits(0),
    );
    each_rotation_restarts_its_users(&vault);
    a_value_that_fails_is_replaced_by_the_previous_one(&vault);
    a_value_waits_for_its_restart(&vault);
    services_that_share_a_secret_agree(&vault);
    a_kill_leaves_a_whole_value(&vault);
    a_variable_has_every_byte_of_its_secret(&vault);
    a_person_types_a_value(&vault);
    no_value_is_seen(&vault);
}

/// The values of the test all contain this.
const MARK: &str = "hunter-and-gatherer";

fn value(name: &str, round: u32) -> String {
    format!("{MARK}-{name}-{round}")
}

fn a_missing_secret_has_its_command(vault: &Vault<'_>) {
    let line = format!("--manifest {MANIFEST} deploy");
    let refused = vault.machine.robotctl(&line).exits(2);
    let refused = refused.says("the secret `API_KEY` is missing");
    drop(refused.says("sudo robotctl --app vault secret set API_KEY"));
}

/// The matrix: six services, four secrets.
fn each_rotation_restarts_its_users(vault: &Vault<'_>) {
    let machine = vault.machine;
    for (name, users) in SECRETS {
        let before = vault.pids();
        let out = vault.rotate_traced(name, &value(name, 1)).exits(0);
        assert!(!format!("{out}").contains(MARK), "{out}");
        let after = vault.pids();
        let mut cells = vec![name.to_owned()];
        for (service, _) in SERVICES {
            let restarted = before[service] != after[service];
            assert_eq!(
                restarted,
                users.contains(&service),
                "{name} {service}: {out}"
            );
            cells.push(if restarted { "new process" } else { "same" }.to_owned());
        }
        machine.row(
            "secret | gateway | orchestrator | agent-a | agent-b | mailer | cleaner",
            &cells,
        );
        drop(vault.doctor().exits(0));
    }
    assert_eq!(
        vault.get(8101, "secret/API_KEY"),
        format!("200 {}", value("API_KEY", 1))
    );
    // Three of the services have a socket, and hand over.
    let history = machine.robotctl("history --app vault").exits(0).stdout;
    assert!(
        history.contains("with the new value of the secret `API_KEY`"),
        "{history}"
    );
}

/// Its check fails in the pre-check; without a pre-check, after the restart.
fn a_value_that_fails_is_replaced_by_the_previous_one(vault: &Vault<'_>) {
    let machine = vault.machine;
    let token = format!("200 {}", value("TOKEN", 1));
    let before = vault.pids();
    let out = vault.secret("set TOKEN --apply", "bad").exits(2);
    drop(out.says("the previous value of the secret `TOKEN` was restored"));
    assert_eq!(vault.pids(), before);
    assert_eq!(vault.get(8100, "secret/TOKEN"), token);
    drop(vault.doctor().exits(0));
    let text = manifest("1.1").replace(
        "[service.gateway]\n",
        "[service.gateway]\npre-check = false\n",
    );
    vault.write(&text);
    drop(
        machine
            .robotctl(&format!("--manifest {MANIFEST} deploy --apply"))
            .exits(0),
    );
    let before = vault.pids();
    let out = vault.secret("set TOKEN --apply", "bad").exits(3);
    drop(out.says("the previous value of the secret `TOKEN` was restored"));
    assert_eq!(vault.get(8100, "secret/TOKEN"), token);
    assert_eq!(vault.get(8100, "healthz"), "200 ok");
    let after = vault.pids();
    for (service, _) in SERVICES {
        assert_eq!(before[service] != after[service], service == "gateway");
    }
    assert_eq!(
        machine.read("/etc/vault/credentials/TOKEN"),
        value("TOKEN", 1)
    );
    drop(vault.doctor().exits(0));
}

/// Without `--apply`, and after a kill between the two steps, every command says who must restart.
fn a_value_waits_for_its_restart(vault: &Vault<'_>) {
    let machine = vault.machine;
    let before = vault.pids();
    let out = vault.secret("set API_KEY", &value("API_KEY", 2)).exits(0);
    drop(out.says("sudo robotctl --app vault secret apply API_KEY"));
    // The value that the services run with stays the one to return to.
    drop(vault.secret("set API_KEY", &value("API_KEY", 3)).exits(0));
    assert_eq!(vault.pids(), before);
    drop(vault.doctor().exits(1).says("secret `API_KEY`"));
    let list = machine.robotctl("--app vault secret list").exits(0);
    drop(list.says("these run with another value of `API_KEY` until they restart"));
    drop(
        machine
            .robotctl("--app vault secret restore API_KEY")
            .exits(0)
            .says("no service has to restart"),
    );
    drop(vault.doctor().exits(0));
    drop(
        machine
            .robotctl("--app vault secret restore API_KEY --apply")
            .exits(0),
    );
    assert_eq!(
        vault.get(8102, "secret/API_KEY"),
        format!("200 {}", value("API_KEY", 3))
    );
    drop(
        machine
            .robotctl("--app vault secret apply API_KEY")
            .exits(0)
            .says("no service has to restart"),
    );
}

/// A service that cannot restart refuses the change. One that was restarted alone is a finding.
fn services_that_share_a_secret_agree(vault: &Vault<'_>) {
    let machine = vault.machine;
    let before = vault.pids();
    machine.ok("systemctl mask --runtime vault-agent-b.service");
    let out = vault
        .secret("set API_KEY --apply", &value("API_KEY", 4))
        .exits(2);
    drop(out.says("another one stays in use in `vault-agent-b.service`, which would not restart"));
    machine.ok("systemctl unmask --runtime vault-agent-b.service");
    assert_eq!(vault.pids(), before);
    assert_eq!(
        machine.read("/etc/vault/credentials/API_KEY"),
        value("API_KEY", 3)
    );
    drop(vault.secret("set API_KEY", &value("API_KEY", 5)).exits(0));
    machine.ok("systemctl restart vault-agent-b.service");
    let says = "`vault-agent-b.service` have the value in use of the secret `API_KEY`, and another one is in use in";
    drop(vault.doctor().exits(1).says(says));
    drop(
        machine
            .robotctl("--app vault secret apply API_KEY")
            .exits(0),
    );
    drop(vault.doctor().exits(0));
}

/// A kill at any step leaves one of the two values. The next command ends the change, and says who must restart.
fn a_kill_leaves_a_whole_value(vault: &Vault<'_>) {
    let machine = vault.machine;
    let mut kills = 0;
    for nth in (1..).step_by(2) {
        let values = [value("SMTP_PASSWORD", 10 + nth), machine.read(SMTP)];
        machine.write("/root/value", &values[0], 0o600);
        let line = format!(
            "strace -qq -o /dev/null -e trace=/^rename -e inject=/^rename:signal=KILL:when={nth} \
             robotctl --app vault secret set SMTP_PASSWORD --apply < /root/value"
        );
        let killed = machine.sh(&line);
        assert!(values.contains(&machine.read(SMTP)), "{nth}");
        if killed.code == 0 {
            break;
        }
        kills += 1;
        machine.robotctl("recover").exits(0);
        assert!(values.contains(&machine.read(SMTP)), "{nth}");
        let given = || machine.read("/run/credentials/vault-mailer.service/SMTP_PASSWORD");
        let list = machine.robotctl("--app vault secret list").exits(0);
        let is_named = list.stderr.contains("another value of `SMTP_PASSWORD`");
        assert_eq!(is_named, given() != machine.read(SMTP), "{nth}: {list}");
        drop(
            machine
                .robotctl("--app vault secret apply SMTP_PASSWORD")
                .exits(0),
        );
        assert_eq!(given(), machine.read(SMTP), "{nth}");
    }
    assert!(kills > 2, "only {kills} kills: does strace see the calls?");
    drop(vault.doctor().exits(0));
}

/// `robotctl with-secrets` sets the variable, and becomes the program of the service.
fn a_variable_has_every_byte_of_its_secret(vault: &Vault<'_>) {
    let machine = vault.machine;
    let variable = |service: &str| {
        let pid = machine.property(&format!("vault-{service}.service"), "MainPID");
        let code = format!(
            "import sys; all = open('/proc/{pid}/environ', 'rb').read().split(b'\\0'); \
             sys.stdout.write([one[8:].hex() for one in all if one.startswith(b'SESSION=')][0])"
        );
        machine.ok(&format!("python3 -c \"{code}\""))
    };
    let hex = |text: &str| {
        let digits = text.bytes().map(|byte| format!("{byte:02x}"));
        digits.collect::<Vec<_>>().concat()
    };
    let first = machine.read("/etc/vault/credentials/SESSION_KEY");
    assert_eq!(variable("gateway"), hex(&first));
    let hostile = format!(
        " {MARK}\n\\\n'\"$HOME ${{HOME}} `id` %n %% \\n\\\"#;=\t\u{1b}[0m \r\nNEXT=1\nü€\u{1f600}\\ "
    );
    drop(
        vault
            .secret("set SESSION_KEY --keep-newline --apply", &hostile)
            .exits(0),
    );
    for service in ["gateway", "agent-b"] {
        assert_eq!(variable(service), hex(&hostile));
    }
    drop(vault.doctor().exits(0));
    // As after a boot and after a crash.
    machine.ok("rm -rf /run/robotctl/vault && systemctl restart vault-cleaner.service");
    assert_eq!(variable("cleaner"), hex(&hostile));
    let refused = vault.secret("set SESSION_KEY --apply", "a\0b").exits(2);
    drop(refused.says("has a NUL byte, which no environment variable can have"));
    // The umask and the signals are those of any other service.
    let same = "grep -hE '^(Umask|Sig(Ign|Blk|Cgt)|Seccomp|NoNewPrivs|Cap)' /proc/$(systemctl show -P MainPID \
                vault-cleaner.service)/status | md5sum; \
                sed -n 's|^ExecStart=/usr/bin/robotctl with-secrets.* -- |ExecStart=|p' \
                /usr/local/lib/systemd/system/vault-cleaner.service.d/05-execstart.conf > /root/plain && \
                mkdir -p /run/systemd/system/vault-cleaner.service.d && \
                (echo '[Service]'; echo ExecStart=; cat /root/plain) > \
                /run/systemd/system/vault-cleaner.service.d/60-plain.conf && systemctl daemon-reload && \
                systemctl restart vault-cleaner.service && \
                grep -hE '^(Umask|Sig(Ign|Blk|Cgt)|Seccomp|NoNewPrivs|Cap)' /proc/$(systemctl show -P MainPID \
                vault-cleaner.service)/status | md5sum; \
                rm -r /run/systemd/system/vault-cleaner.service.d; systemctl daemon-reload; \
                systemctl restart vault-cleaner.service";
    let sums = machine.ok(same);
    let sums: Vec<&str> = sums.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");
    drop(vault.secret("rotate SESSION_KEY --apply", "").exits(0));
    let made = machine.read("/etc/vault/credentials/SESSION_KEY");
    assert_eq!((made.len(), variable("mailer")), (64, hex(&made)));
}

/// A prompt shows nothing of what is typed, also after Ctrl-C.
fn a_person_types_a_value(vault: &Vault<'_>) {
    let machine = vault.machine;
    machine.write("/root/ask.py", include_str!("ask.py"), 0o755);
    let typed = value("TYPED", 1);
    for (keys, ends) in [
        (format!("{typed}\n"), "0 echo"),
        ("\n".to_owned(), "2 echo"),
        (format!("{MARK}\nsecond line\n"), "2 echo"),
        (format!("{MARK}\u{3}"), "130 echo"),
    ] {
        machine.write("/root/keys", &keys, 0o600);
        let line = "/root/ask.py /root/keys robotctl --app vault secret set SMTP_PASSWORD";
        let shown = machine.ok(line);
        assert!(shown.starts_with(ends), "{keys:?}: {shown}");
        assert!(!shown.contains(MARK), "{shown}");
        assert_eq!(machine.read(SMTP), typed, "{keys:?}");
    }
    machine.ok("rm /root/keys");
}

const SMTP: &str = "/etc/vault/credentials/SMTP_PASSWORD";

/// Everything that robotctl writes, and the arguments and the environment of everything that it starts.
fn no_value_is_seen(vault: &Vault<'_>) {
    let machine = vault.machine;
    until("the journal has the last line", || {
        machine.sh("journalctl --sync").code == 0
    });
    let written = format!(
        "grep -rl {MARK} /var/lib/robotctl /opt /usr/local/lib /run/robotctl /etc/systemd /run/systemd/system \
         /root/vault /tmp /var/tmp; journalctl -o json --all | grep -c {MARK}; true"
    );
    assert_eq!(machine.ok(&written), "0");
    let count = "cat /root/trace-* | grep -c execve; grep -h -c PATH= /root/trace-API_KEY";
    let counts = machine.ok(count);
    assert!(
        counts
            .lines()
            .all(|count| count.parse::<u32>().unwrap() > 3),
        "{counts}"
    );
    assert_eq!(
        machine.ok(&format!("cat /root/trace-* | grep -c {MARK}; true")),
        "0"
    );
}
