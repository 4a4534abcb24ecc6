//! What the doctor says about `/etc/<app>/env` is what systemd does with it.

use crate::demo::demo;
use crate::machine::Machine;

tests![
    Quick:
    systemd_drops_what_the_doctor_says,
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
