//! The guides work as they are printed: a user with sudo saves their files and types their commands.
//!
//! A block of language `console` holds commands, which start with `$`, and lines that they print. Any other
//! block is a file if the line above it ends with its path, in backticks, and a colon.
//! The lines that a guide shows must appear in this order. Between them may be others. Ids, times and sizes
//! differ in each run, so they are not compared.

use crate::app_package::install_toolkit;
use crate::machine::Machine;
use crate::package::install;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

tests![
    Slow:
    a_flask_app,
    a_node_server,
    a_program_of_one_file,
    a_worker_and_a_job,
    a_static_site,
    a_debian_package,
];
tests![Bare: start_here];

fn start_here(machine: &Machine) {
    install(machine);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/start.md");
    let text = std::fs::read_to_string(path).unwrap();
    // The part before builds the package.
    let (_, rest) = text.split_once("\n## Deploy the bundled").unwrap();
    follow(machine, rest);
}

fn a_flask_app(machine: &Machine) {
    let wheels = here().join("wheels");
    assert!(
        wheels.is_dir(),
        "the wheels are missing: tests/system/guides/fetch-wheels"
    );
    // The machine has no network. pip finds there what it would download.
    machine.copy_in(&wheels, "/usr/share/wheels");
    let config = "[global]\nno-index = true\nfind-links = /usr/share/wheels\n";
    machine.write("/etc/pip.conf", config, 0o644);
    let guide = guide("flask.md");
    let pins = std::fs::read_to_string(here().join("requirements.txt")).unwrap();
    for pin in pins.lines().filter(|line| !line.starts_with('#')) {
        assert!(guide.contains(pin), "the guide does not install {pin}");
    }
    follow(machine, &guide);
}

fn a_node_server(machine: &Machine) {
    follow(machine, &guide("node.md"));
}

fn a_program_of_one_file(machine: &Machine) {
    follow(machine, &guide("static-binary.md"));
    machine.robotctl("doctor").exits(0).says("files: healthy");
}

fn a_worker_and_a_job(machine: &Machine) {
    follow(machine, &guide("worker.md"));
}

fn a_static_site(machine: &Machine) {
    machine.ok("systemctl unmask --quiet nginx.service");
    follow(machine, &guide("static-site.md"));
    machine.robotctl("doctor").exits(0).says("blog: healthy");
}

fn a_debian_package(machine: &Machine) {
    install_toolkit(machine);
    follow(machine, &guide("debian-package.md"));
}

/// The directory with what the guides need besides their text.
fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/guides")
}

fn guide(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/guides")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a reader does.
#[derive(Debug, PartialEq)]
enum Step {
    Save { path: String, content: String },
    Type { command: String, shown: Vec<String> },
}

/// The steps of a guide, in its order.
fn steps(guide: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut above = "";
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let path = above
                .strip_suffix("`:")
                .and_then(|rest| rest.rsplit_once('`'))
                .map(|(_, path)| path);
            match (language, path) {
                ("console", _) => type_all(&mut steps, &block),
                (_, Some(path)) => steps.push(Step::Save {
                    path: path.replacen('~', HOME, 1),
                    content: block.join("\n") + "\n",
                }),
                _ => {}
            }
        } else if !line.is_empty() {
            above = line;
        }
    }
    steps
}

fn type_all(steps: &mut Vec<Step>, block: &[&str]) {
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Type {
                command: command.to_owned(),
                shown: Vec::new(),
            }),
            (None, Some(Step::Type { shown, .. })) => shown.push((*line).to_owned()),
            (None, _) => panic!("`{line}` follows no command"),
        }
    }
}

const USER: &str = "ann";
const HOME: &str = "/home/ann";
/// The first character of the lines that say where the output of a step begins and ends.
const MARK: char = '\u{1}';

/// Carries out a guide as a user with sudo, in one shell.
#[track_caller]
fn follow(machine: &Machine, guide: &str) {
    // Else sudo says for each command that it cannot resolve the name of the host.
    machine.ok("echo \"127.0.0.1 localhost $(hostname)\" > /etc/hosts");
    machine.ok(&format!(
        "useradd --create-home --shell /bin/bash {USER} && \
         echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER}"
    ));
    let steps = steps(guide);
    machine.write(&format!("{HOME}/.guide"), &script(&steps), 0o644);
    let out = machine.sh(&format!(
        "su --login {USER} -c 'bash ~/.guide' </dev/null 2>&1"
    ));
    let results = results(&out.stdout);
    assert_eq!(results.len(), steps.len(), "every step ends: {out}");
    let mut wrong = String::new();
    for (index, (step, (code, printed))) in steps.iter().zip(&results).enumerate() {
        let next = steps.get(index + 1);
        for problem in problems(step, next, *code, printed) {
            writeln!(wrong, "{problem}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{}", out.stdout);
}

/// A script that carries out the steps and marks what each prints, and how it ends.
fn script(steps: &[Step]) -> String {
    let mut out = String::from("code=0\n");
    for step in steps {
        let command = match step {
            Step::Type { command, .. } => command.clone(),
            Step::Save { path, content } => {
                let tee = if path.starts_with(HOME) {
                    "tee"
                } else {
                    "sudo tee"
                };
                format!("{tee} {path} >/dev/null <<'end of file'\n{content}end of file")
            }
        };
        // The subshell sets `$?` to what the previous command left.
        write!(
            out,
            "printf '\\n{MARK}begin\\n'\n(exit $code)\n{command}\ncode=$?\nprintf '\\n{MARK}end %s\\n' $code\n"
        )
        .unwrap();
    }
    out
}

/// The exit code of each step, and the lines that it printed.
fn results(output: &str) -> Vec<(i32, Vec<&str>)> {
    let mut results = Vec::new();
    let mut printed = Vec::new();
    for line in output.lines() {
        match line.strip_prefix(MARK) {
            Some("begin") => printed.clear(),
            Some(end) => {
                let code = end.rsplit(' ').next().unwrap_or_default();
                results.push((code.parse().unwrap_or(-1), std::mem::take(&mut printed)));
            }
            None => printed.push(line),
        }
    }
    results
}

/// What is wrong with the result of a step.
fn problems(step: &Step, next: Option<&Step>, code: i32, printed: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    let Step::Type { command, shown } = step else {
        return match code {
            0 => problems,
            _ => vec![format!("{step:?} ends with {code}")],
        };
    };
    // A guide that shows the exit code of a command expects that it fails.
    let fails = matches!(next, Some(Step::Type { command, .. }) if command == "echo $?");
    if code != 0 && !fails {
        problems.push(format!("`{command}` ends with exit code {code}"));
    }
    let mut left = printed.iter().map(|line| comparable(line));
    for line in shown {
        let wanted = comparable(line);
        if !left.any(|line| line == wanted) {
            problems.push(format!(
                "`{command}` does not print (in this place): {line}"
            ));
            break;
        }
    }
    problems
}

/// A line without what differs in each run: ids, times, sizes, durations, chosen ports, blanks that align.
fn comparable(line: &str) -> String {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut out: Vec<String> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let text = word.trim_start_matches('(');
        let text = text.trim_end_matches([',', ':', ')']);
        let is_unit = |word: &&str| {
            let unit = word.trim_end_matches([',', ')']);
            ["ms", "s", "B", "KiB", "MiB", "times"].contains(&unit)
        };
        let text = match text.rsplit_once('-') {
            Some((version, digest)) if is_hex(digest, 12) => format!("{version}-ID"),
            _ if is_hex(text, 16) => "PLAN".to_owned(),
            _ if text.len() == 20 && text.ends_with('Z') && is_number(text) => "TIME".to_owned(),
            // The time in a log of HTTP requests: `[29/Nov/2026 15:54:27]`.
            _ if text.starts_with('[') && text.matches('/').count() == 2 => "TIME".to_owned(),
            _ if is_number(text) && text.ends_with(']') => String::new(),
            _ if is_number(text) && words.get(index + 1).is_some_and(is_unit) => "N".to_owned(),
            _ => match text.strip_prefix("http://127.0.0.1:") {
                // A port that the kernel chose (ip_local_port_range).
                Some(rest)
                    if rest.len() > 5 && rest[..5].parse().is_ok_and(|port: u32| port > 32767) =>
                {
                    format!("http://127.0.0.1:PORT{}", &rest[5..])
                }
                _ => text.to_owned(),
            },
        };
        out.push(text);
    }
    out.join(" ")
}
