//! Golden trees: `tests/golden/<name>/robot.toml` renders to `expected/`, file by file.
//!
//! `scripts/update-golden` writes them; read the diff before you commit it. A manifest
//! names its systemd in `app.target`, so that no golden depends on the machine. The file
//! `environment` beside a manifest names the overlay to render.

use crate::tree::{self, Fact, Kind, Tree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(dir).expect("list the goldens");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> String {
    case.file_name().unwrap().to_string_lossy().into_owned()
}

/// Renders a case with the real binary.
fn generate(case: &Path) -> TempDir {
    let out = TempDir::new().expect("make a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    command.args(["generate", "--quiet", "--output"]);
    command.arg(out.path());
    command.arg("--manifest").arg(case.join("robot.toml"));
    if let Ok(environment) = std::fs::read_to_string(case.join("environment")) {
        command.args(["--environment", environment.trim()]);
    }
    let output = command.output().expect("start robotctl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", name(case));
    assert!(stderr.is_empty(), "{}: {stderr}", name(case));
    out
}

/// Git keeps one bit of a mode; the rest depends on the umask of the checkout.
fn as_git_keeps_it(tree: &Tree) -> Tree {
    let plain = |fact: &Fact| Fact {
        mode: match fact.kind {
            Kind::Link(_) => 0,
            Kind::File(_) if fact.mode & 0o111 == 0 => 0o644,
            _ => 0o755,
        },
        kind: fact.kind.clone(),
    };
    let facts = tree.iter();
    facts
        .map(|(path, fact)| (path.clone(), plain(fact)))
        .collect()
}

#[test]
fn manifests_render_to_their_golden_trees() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    for case in cases() {
        let found = generate(&case);
        let expected = case.join("expected");
        if update {
            if expected.exists() {
                std::fs::remove_dir_all(&expected).expect("remove the old golden");
            }
            copy(found.path(), &expected);
            continue;
        }
        let diff = tree::diff(
            &as_git_keeps_it(&tree::read(&expected)),
            &tree::read(found.path()),
        );
        if !diff.is_empty() {
            wrong.push_str(&format!("tests/golden/{}:\n{diff}\n", name(&case)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\nif the change is intended: scripts/update-golden"
    );
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a directory");
    let status = Command::new("cp")
        .arg("--archive")
        .arg(from.join("."))
        .arg(to)
        .status()
        .expect("start cp");
    assert!(status.success(), "copying to {}", to.display());
}

/// The version of systemd on this machine, if its tools are installed.
fn systemd_version() -> Option<u16> {
    let output = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let word = text.split_whitespace().nth(1)?.to_owned();
    let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[test]
fn systemd_accepts_every_golden_unit() {
    let Some(version) = systemd_version() else {
        eprintln!("NOT RUN: systemd-analyze is not installed");
        assert!(std::env::var_os("CI").is_none(), "CI must run this");
        return;
    };
    let mut wrong = Vec::new();
    for case in cases() {
        let out = generate(&case);
        let dir = out.path().join("usr/local/lib/systemd/system");
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]);
        let units: BTreeSet<PathBuf> = tree::read(&dir)
            .keys()
            .filter(|path| !path.contains('/') && !path.ends_with(".d"))
            .map(|unit| dir.join(unit))
            .collect();
        assert!(!units.is_empty(), "{}", name(&case));
        let output = command
            .args(units)
            .env("SYSTEMD_UNIT_PATH", format!("{}:", dir.display()))
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("start systemd-analyze");
        let manifest = std::fs::read_to_string(case.join("robot.toml")).unwrap();
        let newer = manifest.contains("\"portable\"")
            || (version + 1..300).any(|one| manifest.contains(&format!("target = \"{one}\"")));
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let absent = line.contains("is not executable")
                && (line.contains("Command /opt/") || line.contains("Command /usr/bin/robotctl"));
            let words = ["Unknown key name", "parse boolean value, ignoring: strict"];
            let unknown = newer && words.iter().any(|word| line.contains(word));
            if !line.trim().is_empty() && !absent && !unknown {
                wrong.push(format!("{}: {line}", name(&case)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
