//! Everything that can be missing from a host, in every combination: the commands that robotctl prints lead
//! to a healthy app, or to one that is removed.

use super::after_commit::{LINK, calls};
use super::fixture::{Fixture, Host, args};
use super::injection::{Fault, inject};
use super::midway::point_after;
use super::regressions::{deploy_ok, live_release};
use super::state::HostState;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

tests![
    Suite:
    printed_commands_lead_out_of_every_state,
];

/// What can be missing. The journal is there or not.
const PARTS: [&str; 7] = [
    "link",
    "live release",
    "state",
    "records",
    "units",
    "journal",
    "volume",
];
/// The commands that someone may begin with.
const BEGIN: [&[&str]; 6] = [
    &["doctor"],
    &["deploy 2"],
    &["deploy 3"],
    &["rollback"],
    &["recover"],
    &["--app", "demo", "remove", "--apply"],
];
/// How many messages someone may have to follow.
const MAX_STEPS: usize = 3;

/// One combination, and the command to begin with.
#[derive(Clone)]
struct Case {
    lost: Vec<&'static str>,
    begin: &'static [&'static str],
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lost: {}; `{}`",
            self.lost.join(", "),
            self.begin.join(" ")
        )
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 0..1_u32 << PARTS.len() {
        let lost = PARTS.iter().enumerate();
        let lost = lost.filter(|(at, _)| bits & (1 << at) != 0);
        let lost: Vec<&str> = lost.map(|(_, part)| *part).collect();
        // The link and the release are on the volume.
        let is_same =
            lost.contains(&"volume") && (lost.contains(&"link") || lost.contains(&"live release"));
        if !is_same {
            cases.extend(BEGIN.iter().map(|begin| Case {
                lost: lost.clone(),
                begin,
            }));
        }
    }
    cases
}

fn printed_commands_lead_out_of_every_state(fixture: &Fixture) -> Result<String, String> {
    let host = fixture.host("template", 0);
    deploy_ok(&host, 1)?;
    let live = deploy_ok(&host, 2)?;
    let whole = kept(&host, "dead-ends-whole");
    let found = calls(&host, 3)?;
    inject(
        &host,
        &host.deploy(3),
        point_after(&found, &format!("{LINK}\""))?,
        Fault::Kill,
    )?;
    let interrupted = kept(&host, "dead-ends-interrupted");
    let cases = cases();
    let ends = Mutex::new((0, 0, 0));
    fixture.run_cases(&cases, |host, case| {
        let is_interrupted = case.lost.contains(&"journal");
        restore(host, if is_interrupted { &interrupted } else { &whole });
        lose(&host.root, &case.lost, &live);
        let end = follow(host, case).map_err(|error| format!("{case}: {error}"))?;
        let mut ends = ends.lock().unwrap();
        match end {
            End::Healthy(steps) => {
                ends.0 += 1;
                ends.2 += steps;
            }
            End::Removed(steps) => {
                ends.1 += 1;
                ends.2 += steps;
            }
        }
        Ok(())
    })?;
    let (healthy, removed, steps) = *ends.lock().unwrap();
    Ok(format!(
        "{} combinations with {} commands each: {healthy} end healthy, {removed} removed, after {steps} printed steps",
        cases.len() / BEGIN.len(),
        BEGIN.len(),
    ))
}

/// Keeps a copy of a host.
fn kept(host: &Host<'_>, name: &str) -> PathBuf {
    let dir = host.fixture.dir.join(name);
    copy(&host.root, &dir);
    dir
}

fn restore(host: &Host<'_>, from: &Path) {
    fs::remove_dir_all(&host.root).unwrap();
    copy(from, &host.root);
}

/// With times, which the doctor compares.
fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    let status = cp
        .args(["--archive", "--no-target-directory"])
        .arg(from)
        .arg(to)
        .status();
    assert!(status.unwrap().success());
}

fn lose(root: &Path, lost: &[&str], live: &str) {
    let store = root.join("var/lib/robotctl/demo");
    for part in lost {
        match *part {
            "link" => fs::remove_file(root.join("opt/demo/current")).unwrap(),
            "live release" => {
                fs::remove_dir_all(root.join("opt/demo/releases").join(live)).unwrap();
            }
            "state" => fs::remove_file(store.join("state.json")).unwrap(),
            "records" => fs::remove_dir_all(store.join("releases")).unwrap(),
            "units" => {
                for dir in [
                    "usr/local/lib/systemd",
                    "usr/local/lib/tmpfiles.d",
                    "usr/local/lib/sysusers.d",
                    "etc/systemd",
                ] {
                    fs::remove_dir_all(root.join(dir)).unwrap();
                }
            }
            "volume" => fs::remove_dir_all(root.join("opt/demo")).unwrap(),
            _ => {}
        }
    }
}

enum End {
    Healthy(usize),
    Removed(usize),
}

/// How a command ended.
struct Ran {
    code: i32,
    text: String,
}

/// Runs the first command, and then what is printed, until the app is healthy or removed.
fn follow(host: &Host<'_>, case: &Case) -> Result<End, String> {
    let version = if case.begin == ["deploy 3"] { 3 } else { 2 };
    let mut log = Vec::new();
    let mut stuck = BTreeSet::new();
    let mut run = |words: &[String]| -> Result<Ran, String> {
        let ran = run(host, words, version);
        log.push(format!(
            "`{}` -> {}: {}",
            words.join(" "),
            ran.code,
            ran.text
        ));
        if ran.code == 4 && !stuck.insert(ran.text.clone()) {
            return Err(format!("exit code 4 twice:\n    {}", log.join("\n    ")));
        }
        Ok(ran)
    };
    let begin = match case.begin {
        ["deploy 2" | "deploy 3"] => args(&["robotctl", "deploy", "--apply"]),
        words => [&["robotctl".to_owned()][..], &args(words)].concat(),
    };
    let mut ran = run(&begin)?;
    let mut steps = 0;
    loop {
        if ran.code == 0 && !ran.text.contains("to apply this plan: ") {
            if is_removed(&host.root) {
                return Ok(End::Removed(steps));
            }
            ran = run(&args(&["robotctl", "doctor"]))?;
            if ran.code == 0 {
                live_release(host)?;
                return Ok(End::Healthy(steps));
            }
        }
        let commands = printed(&ran.text);
        steps += 1;
        let is_over = steps > MAX_STEPS || commands.is_empty();
        for command in commands.iter().filter(|_| !is_over) {
            ran = run(command)?;
            if ran.code != 0 {
                break;
            }
        }
        if is_over {
            return Err(format!("after {steps} steps:\n    {}", log.join("\n    ")));
        }
    }
}

fn run(host: &Host<'_>, words: &[String], version: u32) -> Ran {
    let is_robotctl = words[0] == "robotctl";
    let mut command = if is_robotctl {
        let mut words = words[1..].to_vec();
        if !words.contains(&"--root".to_owned()) {
            words.splice(0..0, args(&["--root", &host.root.display().to_string()]));
        }
        if words.contains(&"deploy".to_owned()) && !words.contains(&"--manifest".to_owned()) {
            words.splice(0..0, args(&["--manifest", &host.fixture.manifest(version)]));
        }
        let mut command = Command::new(host.fixture.dir.join("robotctl"));
        command.args(words);
        command
    } else {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    };
    command.current_dir(&host.fixture.dir);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Ran {
        code: output.status.code().unwrap_or(-1),
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// The commands below the first error, in their order.
fn printed(text: &str) -> Vec<Vec<String>> {
    let from = text.find("error: ").unwrap_or(0);
    let text = text.split_at(from).1;
    let mut out = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let ends = ["error: ", "warning: ", "note: "];
        if !out.is_empty() && ends.iter().any(|start| line.starts_with(start)) {
            break;
        }
        let hint = line
            .strip_prefix("hint: ")
            .or(line.strip_prefix("to apply this plan: "));
        let Some(hint) = hint else {
            continue;
        };
        let starts = ["sudo ", "robotctl "];
        let at = starts.iter().filter_map(|start| {
            let at = hint.rfind(&format!(": {start}"));
            at.map(|at| at + 2).or(hint.starts_with(start).then_some(0))
        });
        let Some(at) = at.min() else { continue };
        let words = hint
            .split_at(at)
            .1
            .split_whitespace()
            .filter(|word| *word != "sudo");
        out.push(words.map(str::to_owned).collect());
    }
    out
}

/// Nothing of the app is left but its settings and its data.
fn is_removed(root: &Path) -> bool {
    let directories = ["opt/demo", "var/lib/robotctl/demo"];
    let is_gone = directories.iter().all(|path| !root.join(path).exists());
    is_gone && HostState::read(root).files.is_empty()
}
