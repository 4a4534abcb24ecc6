//! The example of the documentation: four Python services, built from wheels on the machine.

use crate::deploy::exposure;
use crate::machine::Machine;
use std::path::Path;
use std::time::Instant;

tests![Slow: the_wiki_is_deployed_upgraded_and_rolled_back];

const SERVICES: [(&str, u16); 4] = [
    ("wiki", 8000),
    ("search", 8001),
    ("media", 8002),
    ("audit", 8003),
];
const DEPLOY: &str = "--manifest /root/wiki-platform/robot.toml deploy --apply";

fn the_wiki_is_deployed_upgraded_and_rolled_back(machine: &Machine) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/wiki-platform");
    assert!(
        example.join("wheels").is_dir(),
        "the wheels are missing: docs/examples/wiki-platform/fetch-wheels"
    );
    machine.copy_in(&example, "/root/wiki-platform");
    let start = Instant::now();
    machine.robotctl(DEPLOY).exits(0);
    let first = start.elapsed();
    assert_answers(machine, "1.0.0");
    machine.robotctl("check").exits(0);
    machine.robotctl("doctor").exits(0).says("healthy");
    machine
        .sh("systemd-analyze verify --man=no /usr/local/lib/systemd/system/wiki-platform*.{service,socket,timer,target}")
        .exits(0)
        .prints_nothing();
    let scores: Vec<String> = ["wiki", "search", "media", "audit", "compact"]
        .iter()
        .map(|service| {
            format!(
                "{service} {}",
                exposure(machine, &format!("wiki-platform-{service}.service"))
            )
        })
        .collect();
    assert_build_is_right(machine);

    machine.ok("curl -sS -f -X PUT -H 'X-Remote-User: ann' --data-binary 'Sail against the wind' http://127.0.0.1:8000/pages/Boats");
    assert_data_is_there(machine);
    machine.ok("systemctl start wiki-platform-compact.service");

    machine.ok("cd /root/wiki-platform && echo 1.1.0 > VERSION && sed -i 's/^version = \"1.0.0\"/version = \"1.1.0\"/' robot.toml");
    let start = Instant::now();
    machine.robotctl(DEPLOY).exits(0);
    let upgrade = start.elapsed();
    assert_answers(machine, "1.1.0");
    assert_data_is_there(machine);
    machine.robotctl("doctor").exits(0);

    let start = Instant::now();
    machine.robotctl("rollback").exits(0);
    let rollback = start.elapsed();
    assert_answers(machine, "1.0.0");
    assert_data_is_there(machine);
    machine.robotctl("doctor").exits(0);
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    machine.note(&format!("exposure: {}", scores.join(", ")));
    machine.note(&format!(
        "first deploy {:.1} s, upgrade {:.1} s, rollback {:.1} s, each with its checks",
        first.as_secs_f32(),
        upgrade.as_secs_f32(),
        rollback.as_secs_f32()
    ));
}

fn assert_answers(machine: &Machine, version: &str) {
    for (service, port) in SERVICES {
        let text = machine.get(&format!("http://127.0.0.1:{port}/version"));
        let expected = format!("200 {{\"service\": \"{service}\", \"version\": \"{version}\"}}");
        assert_eq!(text, expected);
    }
}

fn assert_data_is_there(machine: &Machine) {
    let get = |path: &str| machine.get(&format!("'http://127.0.0.1:{path}'"));
    assert_eq!(get("8000/pages/Boats"), "200 Sail against the wind");
    assert!(
        get("8001/search?q=wind").contains("Boats"),
        "{}",
        get("8001/search?q=wind")
    );
    assert!(
        get("8003/events").contains("\"ann\""),
        "{}",
        get("8003/events")
    );
}

/// The build result is right at its final path: interpreter lines, links, owners.
fn assert_build_is_right(machine: &Machine) {
    let first = machine.ok("head -n 1 /opt/wiki-platform/current/.venv/bin/gunicorn");
    assert_eq!(first, "#!/opt/wiki-platform/current/.venv/bin/python");
    assert_eq!(
        machine.ok("readlink -f /opt/wiki-platform/current/.venv/bin/python"),
        machine.ok("readlink -f /usr/bin/python3")
    );
    assert_eq!(
        machine.ok("find /opt/wiki-platform/releases \\( ! -user root -o -perm /022 \\) ! -type l"),
        ""
    );
    assert_eq!(machine.ok("grep -rlI staging /opt/wiki-platform/current/.venv/bin /opt/wiki-platform/current/.venv/pyvenv.cfg || true"), "");
}
