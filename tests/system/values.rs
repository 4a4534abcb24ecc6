//! Values are data: arbitrary strings reach systemd and its processes unchanged.
//!
//! The test reads what systemd parsed over D-Bus, which has strings without quoting, and what a
//! process got in /proc. Another test compares many more values with a parser of our own.

use crate::machine::{Machine, until};
use serde_json::Value;
use std::collections::BTreeMap;

tests![Quick: arbitrary_values_arrive_byte_for_byte];

/// The number of services, and of those that are started.
const SERVICES: usize = 400;
const STARTED: usize = 80;
const SEED: u64 = 0x5eed_da7a;

/// Pseudo-random numbers, the same in every run (xorshift).
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A string made of characters that have a meaning for systemd.
    fn text(&mut self) -> String {
        const SPECIAL: &[&str] = &[
            "\"",
            "'",
            "\\",
            "$",
            "%",
            "$$",
            "%%",
            "%n",
            "%i",
            "%H",
            "$HOME",
            "${PATH}",
            "$(id)",
            "`id`",
            " ",
            "  ",
            "\\n",
            "\\x41",
            "\\u00e9",
            "\\t",
            "\\\\",
            "\\\"",
            ";",
            " ; ",
            "#",
            "[Service]",
            "ExecStart=",
            "=",
            "-",
            "+",
            "!",
            "@",
            ":",
            "~",
            "*",
            "?",
            "&",
            "|",
            "<",
            ">",
            "{",
            "}",
            "{x}",
            "é",
            "日本",
            "🚀",
            "\u{a0}",
            "\u{2028}",
            "\u{200b}",
            "\u{feff}",
            "\u{301}",
            "a",
            "B",
            "0",
            "_",
            "/",
            ".",
            ",",
            "|",
            "^",
            "yes",
            "none",
        ];
        let length = match self.below(20) {
            0 => 0,
            1 => 1500,
            _ => 1 + self.below(14),
        };
        (0..length).map(|_| self.pick(SPECIAL)).collect()
    }
}

/// The values of one service.
struct ServiceValues {
    description: String,
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
}

fn service_values(rng: &mut Rng) -> ServiceValues {
    let description = rng.text();
    let description = description.trim_matches(' ').trim_end_matches('\\');
    let arguments = (0..rng.below(5)).map(|_| rng.text()).collect();
    let env = (0..rng.below(4)).map(|number| (format!("K{number}"), rng.text()));
    ServiceValues {
        description: format!("d{}.", description.chars().take(300).collect::<String>()),
        arguments,
        env: env.collect(),
    }
}

const PROGRAM: [&str; 3] = ["/usr/bin/python3", "-c", "import signal; signal.pause()"];

fn manifest(all: &[ServiceValues]) -> String {
    let services = all.iter().enumerate().map(|(number, given)| {
        let mut exec: Vec<String> = PROGRAM.map(str::to_owned).to_vec();
        exec.extend(given.arguments.iter().cloned());
        let env = given.env.iter();
        let env: serde_json::Map<String, Value> = env
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let table = serde_json::json!({
            "description": given.description,
            "exec": exec,
            "env": env,
            "working-directory": "/",
            "enable": false,
        });
        (format!("s{number}"), table)
    });
    let services: serde_json::Map<String, Value> = services.collect();
    let app = serde_json::json!({ "name": "values", "version": "1" });
    toml::to_string(&serde_json::json!({ "app": app, "service": services })).unwrap()
}

fn arbitrary_values_arrive_byte_for_byte(machine: &Machine) {
    let mut rng = Rng(SEED);
    let all: Vec<ServiceValues> = (0..SERVICES).map(|_| service_values(&mut rng)).collect();
    machine.write("/root/values/robot.toml", &manifest(&all), 0o644);
    machine.ok("cd /root/values && robotctl --root / --quiet generate --output /");
    machine.ok("systemd-sysusers && systemd-tmpfiles --create values.conf");
    machine.ok("mkdir /opt/values/releases/1 && ln -s releases/1 /opt/values/current");
    machine.ok("systemctl daemon-reload");
    let mut compared = 0;
    for (number, shown) in parsed_by_systemd(machine).iter().enumerate() {
        let given = &all[number];
        let argv: Vec<&str> = shown["ExecStart"][0][1]
            .as_array()
            .unwrap_or_else(|| panic!("s{number}: {shown}"))
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        // `$$` stands for `$` until the command is run.
        let expected: Vec<String> = given
            .arguments
            .iter()
            .map(|it| it.replace('$', "$$"))
            .collect();
        assert_eq!(argv[..3], PROGRAM, "s{number}");
        assert_eq!(argv[3..], expected, "arguments of s{number}");
        let env: Vec<&str> = shown["Environment"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect();
        let expected: Vec<String> = given
            .env
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(env, expected, "environment of s{number}");
        assert_eq!(
            shown["Description"],
            given.description.as_str(),
            "s{number}"
        );
        compared += argv.len() - 3 + env.len() + 1;
    }
    let started = start_and_compare(machine, &all[..STARTED]);
    machine.note(&format!(
        "{SERVICES} services with {compared} values as systemd parsed them; {STARTED} processes with {started} values"
    ));
}

/// What systemd parsed of each unit, in order.
fn parsed_by_systemd(machine: &Machine) -> Vec<Value> {
    let script = format!(
        "for n in $(seq 0 {}); do u=/org/freedesktop/systemd1/unit/values_2ds${{n}}_2eservice; \
         busctl --json=short get-property org.freedesktop.systemd1 $u org.freedesktop.systemd1.Unit Description && \
         busctl --json=short get-property org.freedesktop.systemd1 $u org.freedesktop.systemd1.Service ExecStart Environment || exit 1; done",
        SERVICES - 1
    );
    let lines = machine.ok(&script);
    let data = |line: &str| serde_json::from_str::<Value>(line).unwrap()["data"].clone();
    let values: Vec<Value> = lines.lines().map(data).collect();
    assert_eq!(values.len(), SERVICES * 3);
    let unit = |three: &[Value]| {
        serde_json::json!({
            "Description": three[0], "ExecStart": three[1], "Environment": three[2],
        })
    };
    values.chunks(3).map(unit).collect()
}

/// Starts services and compares the values of their processes.
fn start_and_compare(machine: &Machine, some: &[ServiceValues]) -> usize {
    let units: Vec<String> = (0..some.len())
        .map(|number| format!("values-s{number}.service"))
        .collect();
    for units in units.chunks(20) {
        machine.ok(&format!("systemctl start {}", units.join(" ")));
    }
    let mut compared = 0;
    for (given, unit) in some.iter().zip(&units) {
        let pid = machine.property(unit, "MainPID");
        let read = |file: &str| -> Vec<String> {
            let bytes = std::fs::read(machine.path(&format!("/proc/{pid}/{file}"))).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let mut parts: Vec<String> = text.split('\0').map(str::to_owned).collect();
            parts.pop();
            parts
        };
        until("the program runs", || read("cmdline").len() >= 3);
        assert_eq!(read("cmdline")[3..], given.arguments, "{unit}");
        let environ = read("environ");
        for (key, value) in &given.env {
            assert!(
                environ.contains(&format!("{key}={value}")),
                "{unit}: {key}: {environ:?}"
            );
        }
        compared += given.arguments.len() + given.env.len();
    }
    compared
}
