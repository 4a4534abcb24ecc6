//! `doctor --fix`: what is safe is done, and nothing else. `--explain` and `--fail-on`.

use crate::doctor::{checks, looked};
use crate::formats::Earlier;
use crate::offline::{MANIFEST, app, deploy, live};
use crate::test::{Ended, Test};
use crate::tree;
use crate::unsuitable_hosts::{is_root, not_run};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

const UNITS: &str = "usr/local/lib/systemd/system";

/// An app with a secret.
fn with_secret() -> Test {
    let test = app();
    let manifest = fs::read_to_string(test.app("robot.toml")).unwrap();
    let secret = "[[secret]]\nname = \"TOKEN\"\n";
    test.write("robot.toml", &format!("{manifest}{secret}"));
    let token = test.root("etc/shop/credentials/TOKEN");
    fs::create_dir_all(token.parent().unwrap()).unwrap();
    fs::write(&token, "x").unwrap();
    set_mode(token.parent().unwrap(), 0o700);
    set_mode(&token, 0o600);
    deploy(&test);
    test
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

/// The words of the steps that a report of `doctor --fix` lists.
fn steps(ended: &Ended) -> Vec<String> {
    let data = ended.data("fix").pop().expect("a report");
    let steps = data["steps"].as_array().expect("steps").clone();
    let step = |step: Value| {
        let words = [&step["result"], &step["fix"]["id"]];
        let words = words.map(|word| word.as_str().unwrap_or("?").to_owned());
        words.join(" ")
    };
    steps.into_iter().map(step).collect()
}

/// Types a command of robotctl as it was printed, without `sudo`.
#[track_caller]
fn type_as_printed(test: &Test, printed: &str) {
    let dir = test.outside("").display().to_string();
    let line = printed.replace("[DIR]", dir.trim_end_matches('/'));
    let line = line.trim_start_matches("sudo ");
    let bin = Path::new(env!("CARGO_BIN_EXE_robotctl")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", bin.display());
    let mut sh = Command::new("sh");
    sh.args(["-c", line]).env("PATH", path);
    sh.current_dir(test.outside(""));
    let output = sh.output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

#[test]
fn each_level_of_fail_on_decides_which_findings_are_an_error() {
    let healthy: fn() -> Test = || {
        let test = app();
        deploy(&test);
        test
    };
    let noted: fn() -> Test = || {
        let test = crate::plans::releases(2);
        let run = test.run(["rollback", "--service", "web"]);
        run.any_stderr().success();
        test
    };
    let warned: fn() -> Test = || {
        let test = app();
        deploy(&test);
        fs::write(test.root(&format!("{UNITS}/shop-web.service")), "[Unit]\n").unwrap();
        test
    };
    let failed: fn() -> Test = || {
        let test = app();
        deploy(&test);
        fs::remove_file(test.root(&format!("{UNITS}/shop-web.service"))).unwrap();
        test
    };
    for (name, host, codes) in [
        ("healthy", healthy, [0, 0, 0, 0]),
        ("note", noted, [1, 0, 0, 0]),
        ("warning", warned, [1, 1, 0, 1]),
        ("error", failed, [1, 1, 1, 1]),
    ] {
        let test = host();
        for (level, code) in ["note", "warning", "error"].into_iter().zip(codes) {
            let run = test.run(["doctor", "--fail-on", level]);
            run.case(&format!("{name} {level}"))
                .any_stdout()
                .status(code);
            let run = test.run(["doctor", "--fix", "--fail-on", level]);
            let run = run.case(&format!("fix {name} {level}"));
            run.any_stdout().any_stderr().status(code);
        }
        let run = test.run(["doctor"]).case(name);
        run.any_stdout().status(codes[3]);
    }
    let test = Test::new();
    let run = test.run(["doctor", "--fail-on", "fatal"]);
    run.any_stderr().status(2);
}

/// It reads no host, so any user can ask, on any host.
#[test]
fn each_check_is_explained_with_its_reason_its_fix_and_a_man_page() {
    let test = Test::new();
    let ids = checks(&test);
    assert!(ids.len() > 20, "{ids:?}");
    for id in &ids {
        let args = ["doctor", "--explain", id.as_str()];
        let ended = test.run(args).case(id).any_stdout().success();
        let said = ended.stdout;
        assert!(said.starts_with(&format!("{id}: ")), "{said}");
        for begin in ["severity: ", "why: ", "fix: ", "read: "] {
            let line = said.lines().find_map(|line| line.strip_prefix(begin));
            assert!(line.is_some_and(|rest| rest.len() > 3), "{begin}{said}");
        }
        let read = said.lines().last().unwrap();
        assert!(read.contains('(') && read.ends_with(')'), "{read}");
        let run = test.run(["doctor", "--explain", id, "--format", "json"]);
        let data = run.any_stdout().success().data("doctor-check");
        assert_eq!(data.len(), 1);
        assert_eq!(data[0]["id"], id.as_str());
        for key in ["why", "fix"] {
            assert!(data[0][key].as_str().is_some_and(|text| !text.is_empty()));
        }
        assert!(data[0]["man"].as_array().is_some_and(|man| !man.is_empty()));
    }
    test.run(["doctor", "--explain", "tmpfile"])
        .stderr(
            "error: there is no check `tmpfile`\n\n\
             hint: did you mean `tmpfiles`?\n\n\
             hint: list them: robotctl --root [DIR]/root/ doctor --list\n",
        )
        .status(2);
}

/// One fault of each kind that needs no running host.
fn with_faults() -> Test {
    let test = with_secret();
    let units = test.root(UNITS);
    fs::remove_file(units.join("shop-web.socket")).unwrap();
    fs::remove_file(test.root("usr/local/lib/tmpfiles.d/shop.conf")).unwrap();
    fs::remove_dir(test.root("var/lib/shop")).unwrap();
    set_mode(&test.root("opt/shop/current/data/pages.txt"), 0o666);
    set_mode(&test.root("etc/shop/credentials/TOKEN"), 0o644);
    set_mode(&test.root("etc/shop/env"), 0o640);
    let release = format!("opt/shop/releases/{}", live(&test));
    set_mode(&test.root(&release), 0o755);
    // Not safe: what a person wrote.
    fs::write(units.join("shop-web.service"), "[Unit]\n").unwrap();
    test
}

const SAFE: [&str; 5] = [
    "write-file",
    "write-file",
    "create-directories",
    "protect-release",
    "set-readers",
];

#[test]
fn what_is_safe_is_shown_then_done_and_recorded() {
    if !is_root() {
        return not_run("this needs root, to give files to root");
    }
    let test = with_faults();
    let before = test.state();
    let preview = test.run(["doctor", "--fix", "--format", "json"]);
    let preview = preview.any_stdout().status(1);
    let closed = ["close-file", "close-file"];
    let wanted = |result: &str| -> Vec<String> {
        let all = SAFE.iter().chain(&closed);
        all.map(|id| format!("{result} {id}")).collect()
    };
    assert_eq!(steps(&preview), wanted("planned"));
    let shown = test.run(["doctor", "--fix"]).any_stdout().any_stderr();
    let shown = shown.status(1);
    assert!(
        shown.stdout.contains(
            "\nwhat `--apply` does:\n  \
             - write `/usr/local/lib/systemd/system/shop-web.socket` as the live release has it [files]\n"
        ),
        "{}",
        shown.stdout
    );
    let printed = shown.stderr.trim().strip_prefix("to do this: ").unwrap();
    assert!(
        printed.ends_with("--app shop doctor --fix --apply"),
        "{printed}"
    );
    tree::assert_same(&before, &test.state(), "a preview changed the host");

    // The finding that is left keeps the exit code.
    let run = test.run(["doctor", "--fix", "--apply", "--format", "json"]);
    let applied = run.any_stdout().status(1);
    assert_eq!(steps(&applied), wanted("done"));
    let left = &applied.data("fix")[0]["report"]["findings"];
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left[0]["safe_fixes"].as_array().map(Vec::len), Some(0));
    let hand = "`/usr/local/lib/systemd/system/shop-web.service` was changed by hand";
    assert_eq!(left[0]["message"], hand);
    let unit = fs::read_to_string(test.root(&format!("{UNITS}/shop-web.service")));
    assert_eq!(unit.unwrap(), "[Unit]\n");
    assert_eq!(mode(&test.root("opt/shop/current/data/pages.txt")), 0o644);
    for file in ["etc/shop/credentials/TOKEN", "etc/shop/env"] {
        assert_eq!(mode(&test.root(file)), 0o600, "{file}");
    }
    // A finding that is not fixed and its hint: a person decides.
    deploy(&test);
    let healthy = looked(&test, "no findings");
    test.run(["doctor"]).stdout(&healthy).success();
    let again = test.run(["doctor", "--fix", "--apply"]);
    again
        .stdout(&format!("{healthy}nothing to fix\n"))
        .success();

    let history = test.run(["history", "--format", "json"]).any_stdout();
    let events = history.success().of_kind("event");
    let fixed: Vec<&Value> = events
        .iter()
        .filter(|one| one["event"] == "fixed")
        .collect();
    assert_eq!(fixed.len(), SAFE.len() + closed.len());
    for event in fixed {
        assert_eq!(event["data"]["by"]["user"], "alice", "{event}");
    }
}

#[test]
fn the_printed_command_does_it() {
    if !is_root() {
        return not_run("this needs root, to give files to root");
    }
    let test = with_secret();
    fs::remove_file(test.root(&format!("{UNITS}/shop-web.socket"))).unwrap();
    let shown = test.run(["doctor", "--fix"]).any_stdout().any_stderr();
    let shown = shown.status(1).stderr;
    let printed = shown.trim().strip_prefix("to do this: ").unwrap();
    type_as_printed(&test, printed);
    let healthy = looked(&test, "no findings");
    test.run(["doctor"]).stdout(&healthy).success();
    let nothing = format!("{healthy}nothing to fix\n");
    test.run(["doctor", "--fix"]).stdout(&nothing).success();
}

/// A command that is killed while it writes a file leaves a temporary one.
#[test]
fn the_next_command_finishes_what_a_killed_one_began() {
    let test = app();
    deploy(&test);
    let unit = test.root(&format!("{UNITS}/shop-web.socket"));
    let whole = fs::read(&unit).unwrap();
    fs::remove_file(&unit).unwrap();
    let dir = unit.parent().unwrap();
    let temporary = dir.join(".shop-web.socket.robotctl-1-0-1");
    fs::write(&temporary, "[Sock").unwrap();
    let other = dir.join(".other-web.socket.robotctl-1-0-1");
    fs::write(&other, "x").unwrap();
    let run = test.run(["doctor", "--fix", "--apply"]);
    run.any_stdout().any_stderr().success();
    assert_eq!(fs::read(&unit).unwrap(), whole);
    assert!(!temporary.exists() && other.exists());
}

/// The other checks cannot run before the change has ended.
#[test]
fn an_interrupted_change_is_ended_before_the_rest_is_fixed() {
    let test = Earlier::new("interrupted-deploy").test;
    let before = test.state();
    let preview = test.run(["doctor", "--fix"]).any_stdout().any_stderr();
    let preview = preview.status(1);
    let said = "\nwhat `--apply` does:\n  - end the interrupted change [journal]\n  \
                - run the other checks, and fix what is safe to fix\n";
    assert!(preview.stdout.ends_with(said), "{}", preview.stdout);
    tree::assert_same(&before, &test.state(), "a preview changed the host");
    let run = test.run(["doctor", "--fix", "--apply", "--format", "json"]);
    let applied = run.any_stdout().status(1);
    let steps = steps(&applied);
    assert_eq!(steps[0], "done end-change", "{steps:?}");
    let findings = &applied.data("fix")[0]["report"]["findings"];
    let all = findings.as_array().unwrap();
    assert!(
        all.iter().all(|one| one["check"] != "journal"),
        "{findings}"
    );
}

#[test]
fn a_lost_state_is_rebuilt() {
    let test = crate::plans::releases(2);
    fs::remove_file(test.root("var/lib/robotctl/shop/state.json")).unwrap();
    let run = test.run(["doctor", "--fix", "--format", "json"]);
    assert_eq!(
        steps(&run.any_stdout().status(1)),
        ["planned rebuild-state"]
    );
    let run = test.run(["doctor", "--fix", "--apply", "--format", "json"]);
    assert_eq!(steps(&run.any_stdout().success()), ["done rebuild-state"]);
}

/// Makes a fault.
type Break = fn(&Test);

/// A fault that only a person can judge has a hint, and no safe fix.
#[test]
fn what_only_a_person_can_judge_is_left_alone() {
    if !is_root() {
        return not_run("this needs root, to give files to root");
    }
    let cases: [(&str, Break); 6] = [
        (
            "a changed tmpfiles.d file decides what is created",
            |test| {
                let file = test.root("usr/local/lib/tmpfiles.d/shop.conf");
                fs::write(file, "L+ /etc/shop - - - - /elsewhere\n").unwrap();
                fs::remove_dir(test.root("var/lib/shop")).unwrap();
            },
        ),
        ("a link leads to a file of others", |test| {
            let (file, target) = (test.root("etc/shop/credentials/TOKEN"), "etc/key");
            fs::rename(&file, test.root(target)).unwrap();
            set_mode(&test.root(target), 0o644);
            symlink("/etc/key", &file).unwrap();
        }),
        ("a file is in the place of a directory", |test| {
            fs::remove_dir(test.root("var/lib/shop")).unwrap();
            fs::write(test.root("var/lib/shop"), "mine").unwrap();
        }),
        ("a secret is missing", |test| {
            fs::remove_file(test.root("etc/shop/credentials/TOKEN")).unwrap();
        }),
        ("`current` leads elsewhere", |test| {
            fs::remove_file(test.root("opt/shop/current")).unwrap();
            symlink("/srv", test.root("opt/shop/current")).unwrap();
        }),
        ("a release without a record is open", |test| {
            let other = test.root("opt/shop/releases/0.1-000000000000");
            fs::create_dir(&other).unwrap();
            set_mode(&other, 0o755);
        }),
    ];
    for (name, break_it) in cases {
        let test = with_secret();
        break_it(&test);
        let whole = || {
            tree::only(&tree::read(&test.root("")), |path| {
                !path.starts_with("var/lib/robotctl")
            })
        };
        let before = whole();
        let run = test.run(["doctor", "--fix", "--apply", "--format", "json"]);
        let ended = run.case(name).any_stdout().status(1);
        assert_eq!(steps(&ended), [""; 0], "{name}");
        let findings = ended.data("fix")[0]["report"]["findings"].clone();
        for finding in findings.as_array().unwrap() {
            assert!(finding["fix"][0].is_object(), "{name}: {finding}");
        }
        tree::assert_same(&before, &whole(), name);
    }
}

#[test]
fn fixing_needs_root_and_a_deployed_app() {
    let test = Test::new().manifest(MANIFEST);
    test.run(["doctor", "--fix"]).any_stderr().status(2);
    let test = Test::new();
    test.run(["doctor", "--fix", "--apply"])
        .from(&test.outside(""))
        .stderr(
            "error: no app is deployed on this host\n\n\
             hint: deploy one: robotctl --root [DIR]/root/ deploy\n",
        )
        .status(2);
    for wrong in [
        &["doctor", "--apply"][..],
        &["doctor", "--fix", "--list"],
        &["doctor", "--fix", "--report", "x"],
        &["doctor", "--fail-on", "note", "--report", "x"],
    ] {
        test.run(wrong).any_stderr().status(2);
    }
    if !is_root() {
        return not_run("this needs root, to be another user");
    }
    let test = app();
    deploy(&test);
    test.open_to_all();
    for args in [&["doctor", "--fix"][..], &["doctor", "--fix", "--apply"]] {
        let ended = test.run(args).by_other_user().any_stderr().status(2);
        assert!(
            ended.stderr.starts_with("error: only root "),
            "{}",
            ended.stderr
        );
    }
}
