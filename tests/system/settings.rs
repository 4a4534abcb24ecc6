//! What the doctor says about `/etc/<app>/env` is what systemd does with it, and what services run with older
//! settings than the files hold.

use crate::demo::{WEB, demo};
use crate::machine::{Machine, Out, until};

tests![
    Quick:
    systemd_drops_what_the_doctor_says,
    a_deploy_restarts_what_is_older_than_its_settings,
];

/// Each line, and whether systemd gives its variable to the service.
const LINES: &[(&str, bool)] = &[
    ("KEPT_1=1", true),
    ("export LOST_1=1", false),
    ("  KEPT_2 = 'a b' ", true),
    ("LOST 2=1", false),
    ("LOST-3=1", false),
    ("4LOST=1", false),
    ("LOST_5", false),
    ("KEPT_3=$KEPT_1", true),
    ("KEPT_8=\u{1b}[0m", true),
    ("KEPT_4=a'b", true),
    ("; comment", false),
    ("KEPT_5=\"a \\\" b\" c", true),
    ("KEPT_6=", true),
];

fn systemd_drops_what_the_doctor_says(machine: &Machine) {
    let lines: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    machine.ok("mkdir -p /etc/demo");
    // The last quote does not end.
    machine.write(
        "/etc/demo/env",
        &(lines.join("\n") + "\nKEPT_7=\"x\nLOST_7=1\n"),
        0o600,
    );
    demo("1.0").deploy_ok(machine);
    let environment = machine
        .ok("tr '\\0\\n' '\\n?' < /proc/$(systemctl show -P MainPID demo-worker.service)/environ");
    let has = |name: &str| {
        environment
            .lines()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    let doctor = machine.robotctl("doctor --app demo").exits(1).stdout;
    for (number, (line, is_kept)) in (1..).zip(LINES) {
        let name = line.split('=').next().unwrap_or_default().trim();
        assert_eq!(has(name), *is_kept, "{line}: {environment}");
        let is_named = doctor.contains(&format!("`/etc/demo/env`, line {number}: "));
        assert_eq!(
            is_named,
            !is_kept && !line.starts_with(';'),
            "{line}: {doctor}"
        );
    }
    assert!(has("KEPT_7") && !has("LOST_7"), "{environment}");
    let open = format!(
        "line {}: the quote does not end, so `KEPT_7`",
        LINES.len() + 1
    );
    assert!(doctor.contains(&open), "{doctor}");
}

const ENV: &str = "/etc/demo/env";
const KEY: &str = "/etc/demo/credentials/KEY";

/// A machine with the fixture, whose settings change.
struct Settings<'a> {
    machine: &'a Machine,
}

impl Settings<'_> {
    fn set(&self, text: &str) {
        self.machine.write(ENV, text, 0o600);
    }

    #[track_caller]
    fn deploy(&self) -> Out {
        let line = "--manifest /root/demo/robot.toml deploy --apply";
        self.machine.robotctl(line).exits(0)
    }

    /// Nothing is older than its settings.
    #[track_caller]
    fn is_quiet(&self) {
        self.deploy().says("nothing to do");
        self.doctor(0);
    }

    #[track_caller]
    fn doctor(&self, code: i32) -> Out {
        self.machine.robotctl("doctor --app demo").exits(code)
    }

    fn colour(&self) -> String {
        self.machine.get(&format!("{WEB}/env"))
    }

    fn pid(&self, unit: &str) -> String {
        self.machine.property(unit, "MainPID")
    }

    /// The secret that the worker got.
    fn given(&self) -> String {
        let line = "cat /run/credentials/demo-worker.service/KEY";
        self.machine.ok(line)
    }
}

fn a_deploy_restarts_what_is_older_than_its_settings(machine: &Machine) {
    let settings = Settings { machine };
    let mut app = demo("1.0");
    app.tables = "[[secret]]\nname = \"KEY\"\nservices = [\"worker\"]\ngenerate = \"hex:32\"\n";
    machine.ok("mkdir -p /etc/demo");
    settings.set("COLOUR=first\n");
    app.deploy_ok(machine);
    settings.is_quiet();
    a_variable_changes(&settings);
    a_variable_is_set_by_command(&settings);
    only_root_can_read_the_record(machine);
    the_same_variables_are_written_again(&settings);
    a_secret_changes(&settings);
}

/// `robotctl env` writes the file, and restarts exactly the services that have older variables.
fn a_variable_is_set_by_command(settings: &Settings<'_>) {
    let machine = settings.machine;
    let before = machine.read(ENV);
    let changed = machine
        .sh("robotctl --app demo env set 'COLOUR=dark blue'")
        .exits(0);
    drop(changed.says("sudo robotctl --app demo restart web worker"));
    drop(settings.doctor(1).says("`COLOUR` in `/etc/demo/env`"));
    drop(
        machine
            .robotctl("--app demo env set COLOUR=green --apply")
            .exits(0)
            .says("restarted: web, worker"),
    );
    assert_eq!(settings.colour(), "200 green");
    settings.doctor(0);
    let pid = settings.pid("demo-web.service");
    drop(
        machine
            .robotctl("--app demo env set COLOUR=green --apply")
            .exits(0)
            .says("no service has to restart"),
    );
    assert_eq!(settings.pid("demo-web.service"), pid);
    settings.set(&before);
    settings.deploy();
}

/// Every service reads the file. No value is printed.
fn a_variable_changes(settings: &Settings<'_>) {
    let machine = settings.machine;
    settings.set("COLOUR=turquoise\nSIZE=1\n");
    let what = "`COLOUR`, `SIZE` in `/etc/demo/env`";
    let since = format!("changed since it started: {what}");
    let found = settings
        .doctor(1)
        .says(&format!("settings of `demo-web.service` {since}"));
    assert!(!found.stdout.contains("turquoise"), "{found}");
    let status = machine.robotctl("status --app demo").exits(0);
    drop(status.says(&format!("settings {since}")));
    assert_eq!(settings.colour(), "200 first");
    let plan = machine.robotctl("--manifest /root/demo/robot.toml deploy");
    drop(plan.says(&format!(
        "overlap   demo-web.service     settings changed: {what}"
    )));
    let says = "settings changed, release unchanged: 1.0-";
    let done = settings.deploy().says(says);
    assert!(!done.stderr.contains("without an overlap"), "{done}");
    assert!(!done.stderr.contains("turquoise"), "{done}");
    assert_eq!(settings.colour(), "200 turquoise");
    settings.is_quiet();
}

fn only_root_can_read_the_record(machine: &Machine) {
    let record = "/run/robotctl/settings/demo.json";
    let modes = machine.ok(&format!("stat -c '%a %U' {record} $(dirname {record})"));
    assert_eq!(modes, "600 root\n700 root");
    assert!(!machine.read(record).contains("turquoise"));
    let user = "runuser --user daemon -- robotctl doctor --app demo";
    let report = machine.sh(user).stdout;
    let skipped = report.lines().find(|line| line.contains("it needs root"));
    assert!(
        skipped.is_some_and(|line| line.contains("settings")),
        "{report}"
    );
}

/// In each way in which a service can have started: by robotctl, by an administrator, after a crash.
fn the_same_variables_are_written_again(settings: &Settings<'_>) {
    let machine = settings.machine;
    let again = || settings.set("# again\nSIZE=1\nCOLOUR='turquoise'\n");
    again();
    settings.doctor(0);
    machine.ok("systemctl restart demo-web.service demo-worker.service");
    again();
    settings.is_quiet();
    let old = settings.pid("demo-web.service");
    machine.ok(&format!("kill -9 {old}"));
    let down = ["0".to_owned(), old];
    until("it is up", || {
        !down.contains(&settings.pid("demo-web.service")) && settings.colour() == "200 turquoise"
    });
    again();
    settings.doctor(0);
    // A variable is gone, and robotctl did not start the service.
    settings.set("SIZE=1\n");
    let gone = "settings of `demo-web.service` changed since it started: `/etc/demo/env`";
    drop(settings.doctor(1).says(gone));
    machine.ok("systemctl restart demo-web.service");
    let left = settings.doctor(1);
    assert!(!left.stdout.contains("demo-web"), "{left}");
    drop(settings.deploy().says("settings changed"));
    assert_eq!(settings.colour(), "200 none");
    settings.is_quiet();
}

/// Only the service that has the secret restarts.
fn a_secret_changes(settings: &Settings<'_>) {
    let machine = settings.machine;
    let (web, first) = (settings.pid("demo-web.service"), settings.given());
    machine.ok(&format!(
        "touch {KEY}; cp {KEY} /root/same; cp /root/same {KEY}"
    ));
    settings.doctor(0);
    machine.write(KEY, "another", 0o600);
    let changed = "settings of `demo-worker.service` changed since it started: secret `KEY`";
    drop(settings.doctor(1).says(changed));
    drop(settings.deploy().says("settings changed"));
    assert_eq!(settings.given(), "another");
    assert_eq!(settings.pid("demo-web.service"), web);
    settings.is_quiet();
    machine.ok(&format!("rm {KEY}"));
    // The check `secrets` reports it: a restart would only fail.
    let missing = settings.doctor(1).says("the secret `KEY` is missing");
    assert!(!missing.stdout.contains("systemctl restart"), "{missing}");
    drop(settings.deploy().says("settings changed"));
    let made = settings.given();
    assert!(made.len() == 64 && made != first, "{made}");
    settings.is_quiet();
}
