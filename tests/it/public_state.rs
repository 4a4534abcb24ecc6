//! The state has a public part, which status, releases, history and doctor need, and a private part
//! for root. See `robotctl::store`.

use crate::doctor::{NOT_RUNNING, checks, looked, nothing_runs};
use crate::formats::Earlier;
use crate::offline::{MANIFEST, app, deploy, live};
use crate::plans::{releases, version};
use crate::records::store;
use crate::test::Test;
use crate::tree::{self, Kind};
use crate::under_way::DeployUnderWay;
use crate::unsuitable_hosts::{is_root, not_run};
use std::fs;
use std::process::{Command, Stdio};

const STORE: &str = "var/lib/robotctl/shop";

/// The readers that work for every user.
const READERS: [&str; 4] = ["status", "releases", "history", "doctor"];

/// The mode of each file of the store, by the end of its name, as the store's documentation lists it.
const MODES: [(&str, u32); 12] = [
    ("/state.json", 0o644),
    ("/history.jsonl", 0o644),
    ("/history.private", 0o600),
    ("/attempts.jsonl", 0o644),
    ("/attempts.private", 0o600),
    ("/releases", 0o755),
    (".json", 0o644),
    (".private", 0o600),
    (".index", 0o600),
    ("/failed.json", 0o600),
    ("/reserve", 0o600),
    ("/lock", 0o600),
];

/// Fails unless every file of the store has the mode that is documented for it.
#[track_caller]
fn assert_modes(test: &Test) {
    let tree = test.tree();
    assert_eq!(tree["var/lib/robotctl"].mode, 0o755);
    assert_eq!(tree[STORE].mode, 0o711, "{STORE}");
    let below = format!("{STORE}/");
    for (path, fact) in tree.iter().filter(|(path, _)| path.starts_with(&below)) {
        let name = path.strip_prefix(STORE).expect("below");
        let is_record = name.starts_with("/releases/");
        let mode = MODES
            .iter()
            .rfind(|(end, _)| {
                name == *end || (is_record && end.starts_with('.') && name.ends_with(end))
            })
            .or_else(|| {
                MODES
                    .iter()
                    .find(|(end, _)| *end == "/reserve" && name.starts_with(end))
            });
        let (_, mode) = mode.unwrap_or_else(|| panic!("an undocumented file: {path}"));
        assert_eq!(
            fact.mode, *mode,
            "{path} has mode {:o}, not {mode:o}",
            fact.mode
        );
    }
}

#[test]
fn files_have_the_documented_modes() {
    let test = releases(3);
    assert_modes(&test);
    // Also when they are written again.
    let id = live(&test);
    let bad = robotctl::store::Mark::Failed("it did not start".into());
    store(&test).set_mark(&id, bad).expect("mark");
    store(&test).save_failure_reason(&id).expect("keep");
    version(&test, 4);
    deploy(&test);
    test.run(["rollback", "--service", "web"])
        .any_stderr()
        .success();
    test.run(["prune", "--keep", "2", "--apply"])
        .any_stderr()
        .success();
    assert!(test.root(STORE).join("failed.json").exists());
    assert_modes(&test);
}

/// What root and another user see.
fn seen(test: &Test, command: &str) -> [crate::test::Ended; 2] {
    let run = |command| test.run([command]).case(command).any_stdout();
    [
        run(command).success(),
        run(command).by_other_user().success(),
    ]
}

#[test]
fn readers_work_for_every_user() {
    if !is_root() {
        return not_run("this needs root, to become another user");
    }
    let test = releases(3);
    test.open_to_all();
    for command in ["status", "releases", "history"] {
        let [root, other] = seen(&test, command);
        assert_eq!(root.stdout, other.stdout, "{command}");
        assert!(
            root.stdout.contains("0.3-[ID]"),
            "{command}: {}",
            root.stdout
        );
    }
    let [root, other] = seen(&test, "doctor");
    assert_eq!(root.stdout, looked(&test, "no findings"));
    let (private, rest) = other.stdout.split_once('\n').expect("two lines");
    let reason = ": it needs root: type `sudo` before the command";
    let private = private.strip_prefix("skipped: ");
    let private = private.and_then(|line| line.strip_suffix(reason));
    let private = private.expect("checks that need root");
    let private = private.split(", ").count();
    let all = checks(&test).len();
    let looked = format!(
        "shop: no findings, {} checks\n",
        all - private - NOT_RUNNING
    );
    assert_eq!(rest, format!("{}{looked}", nothing_runs()));
    // What it can see, it reports.
    let link = test.root("opt/shop/current");
    fs::remove_file(&link).expect("remove the link");
    let ended = test.run(["doctor"]).by_other_user().any_stdout().status(1);
    let found = "error: `/opt/shop/current` is missing [current]\n";
    assert!(ended.stdout.starts_with(found), "{}", ended.stdout);
}

/// The readers see that a change is under way or was interrupted, although the journal is private.
#[test]
fn every_user_sees_an_interrupted_change() {
    if !is_root() {
        return not_run("this needs root, to become another user");
    }
    let test = releases(2);
    test.open_to_all();
    let store = test.root(STORE);
    // Only its name is public.
    fs::write(store.join("journal.json"), "{}").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(store.join("journal.json"), mode).expect("set a mode");
    let status = test.run(["status"]).by_other_user().any_stdout().success();
    let said = "  a change was interrupted; to end it: robotctl --root [DIR]/root/ recover\n";
    assert!(status.stdout.contains(said), "{}", status.stdout);
    let ended = test.run(["doctor"]).by_other_user().any_stdout().status(1);
    let found = "error: a change was interrupted [journal]\n";
    assert!(ended.stdout.contains(found), "{}", ended.stdout);
}

/// A user who could open the lock could hold it, and block every deploy.
#[test]
fn another_user_cannot_hold_the_lock() {
    if !is_root() {
        return not_run("this needs root, to become another user");
    }
    let test = releases(1);
    test.open_to_all();
    let lock = test.root(STORE).join("lock");
    let mut flock = Command::new("setpriv");
    flock.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    flock.args(["flock", "--nonblock"]).arg(&lock).arg("true");
    let ended = flock.stderr(Stdio::null()).status().expect("start flock");
    assert!(!ended.success(), "another user has held the lock");
}

/// The readers name the command that changes the app, for every user.
#[test]
fn every_user_sees_the_change_under_way() {
    if !is_root() {
        return not_run("this needs root, to become another user");
    }
    let test = app();
    test.open_to_all();
    deploy(&test);
    let under_way = DeployUnderWay::start(&test);
    let status = |run: crate::test::Run<'_>| run.any_stdout().success().stdout;
    let root = status(test.run(["status"]));
    let other = status(test.run(["status"]).by_other_user());
    let doctor = status(test.run(["doctor"]).by_other_user());
    let pid = format!("(pid {})", under_way.pid());
    under_way.finish();
    for text in [&root, &other] {
        let line = text
            .lines()
            .find(|line| line.contains("a change is under way: "));
        assert!(line.is_some_and(|line| line.ends_with(&pid)), "{text}");
        assert!(!text.contains("interrupted"), "{text}");
    }
    let said = "skipped: all: another `robotctl` is changing this app\n";
    assert!(doctor.starts_with(said), "{doctor}");
}

/// Whether a file holds a text.
fn holds(kind: &Kind, marker: &str) -> bool {
    let Kind::File(bytes) = kind else {
        return false;
    };
    let mut parts = bytes.windows(marker.len());
    parts.any(|part| part == marker.as_bytes())
}

/// Deploys with a tool of systemd that fails and prints a text. Root sees the text.
fn failing_deploy(test: &Test, output: &str) {
    let tools = test.outside("tools");
    fs::create_dir(&tools).expect("make a directory");
    let tool = tools.join("systemd-tmpfiles");
    let script = format!("#!/bin/sh\ncat > /dev/null\necho {output} >&2\nexit 1\n");
    fs::write(&tool, script).expect("write a program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&tool, mode).expect("set a mode");
    fs::remove_dir(test.root("var/lib/shop")).expect("remove a directory");
    let mut deploy = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    deploy
        .args(["deploy", "--apply", "--root"])
        .arg(test.root(""));
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", tools.display());
    let deploy = deploy.current_dir(test.app("")).env("PATH", path);
    let ended = deploy.output().expect("start robotctl");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{stderr}");
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    assert!(error.is_some_and(|line| line.contains(output)), "{stderr}");
    fs::create_dir(test.root("var/lib/shop")).expect("make a directory");
}

/// A value of the manifest, a secret and a service's output are never in the public part.
#[test]
fn no_content_is_readable_by_others() {
    const VALUE: &str = "marker-of-a-value";
    const SECRET: &str = "marker-of-a-secret";
    const OUTPUT: &str = "marker-of-output";
    const CONTENT: &str = "marker-of-content";
    let test = app();
    let manifest = |number: usize| {
        let version = format!("\"0.{number}\"");
        let manifest = MANIFEST.replace("\"1.0\"", &version);
        let more = format!("[env]\nKEY = \"{VALUE}\"\n[[secret]]\nname = \"TOKEN\"\n");
        test.write("robot.toml", &format!("{manifest}{more}"));
    };
    let token = test.root("etc/shop/credentials/TOKEN");
    fs::create_dir_all(token.parent().expect("a parent")).expect("make a directory");
    fs::write(&token, SECRET).expect("write a secret");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&token, mode).expect("set a mode");
    test.write("src/data/pages.txt", CONTENT);
    for number in 1..=3 {
        manifest(number);
        deploy(&test);
    }
    manifest(4);
    failing_deploy(&test, OUTPUT);
    test.run(["rollback", "--service", "web"])
        .any_stderr()
        .success();
    let history = fs::read_to_string(test.root(STORE).join("history.jsonl")).expect("read");
    let failed = history.lines().find(|line| line.contains("\"failed\""));
    let failed = failed.expect("the event");
    let summary = "\"message\":\"the change could not be made\"";
    assert!(failed.contains(summary), "{failed}");
    // Root has the whole of it.
    let history = store(&test).history().expect("read");
    let failed = history.iter().find(|event| event.event == "failed");
    assert!(failed.expect("the event").message.contains(OUTPUT));

    let tree = test.tree();
    // Whether no directory on the way keeps others out.
    let is_reachable = |path: &str| {
        let ends = path.match_indices('/').map(|(at, _)| &path[..at]);
        ends.into_iter().all(|dir| tree[dir].mode & 0o001 != 0)
    };
    let mut private = 0;
    for (path, fact) in &tree {
        // Every user sees the environment of a unit, also with systemctl(1).
        let is_unit = path.starts_with("usr/local/lib/systemd/system/");
        let is_release = path.starts_with("opt/shop/releases/");
        for marker in [VALUE, SECRET, OUTPUT, CONTENT] {
            if !holds(&fact.kind, marker)
                || (is_unit && marker == VALUE)
                || (is_release && marker == CONTENT)
            {
                continue;
            }
            private += 1;
            let is_public = fact.mode & 0o004 != 0 && is_reachable(path);
            assert!(!is_public, "every user can read {marker} in {path}");
        }
    }
    assert!(private >= 4, "three records and the secret hold a marker");
    if is_root() {
        test.open_to_all();
        for command in READERS {
            let run = test.run([command]).case(command).by_other_user();
            let ended = run.any_stdout().success();
            for marker in [VALUE, SECRET, OUTPUT, CONTENT] {
                assert!(
                    !ended.stdout.contains(marker),
                    "{command}: {}",
                    ended.stdout
                );
            }
        }
    } else {
        not_run("a part of this needs root, to become another user");
    }
}

/// Before the first change, the files of format 1 are read where they are; the change splits them.
#[test]
fn the_first_change_migrates_earlier_files() {
    let host = Earlier::new("settled");
    let test = &host.test;
    fs::remove_file(test.app("robot.toml")).expect("remove the manifest");
    let read = |command: &str| {
        let run = test.run([command, "--app", "shop"]).case(command);
        run.any_stdout().success().stdout
    };
    let readers = ["status", "releases", "history"];
    let before = readers.map(read);
    // One that changes nothing else.
    test.run(["recover", "--app", "shop"])
        .stderr("nothing to recover\n")
        .success();
    assert_eq!(readers.map(read), before);
    assert_modes(test);
    let records = test.root(STORE).join("releases");
    let records = fs::read_dir(records)
        .expect("list")
        .map(|file| file.expect("a file").path());
    let (mut public, mut private) = (0, 0);
    for path in records {
        let is_public = path.extension().is_some_and(|end| end == "json");
        let is_private = path.extension().is_some_and(|end| end == "private");
        if !is_public && !is_private {
            continue;
        }
        let json = fs::read_to_string(&path).expect("read");
        let record: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(record["format"], 2, "{}", path.display());
        for key in ["manifest", "files", "origin"] {
            assert_eq!(
                record.get(key).is_some(),
                is_private,
                "{key}: {}",
                path.display()
            );
        }
        for key in ["version", "units", "mark", "staged"] {
            assert_eq!(
                record.get(key).is_some(),
                is_public,
                "{key}: {}",
                path.display()
            );
        }
        public += usize::from(is_public);
        private += usize::from(is_private);
    }
    assert_eq!((public, private), (4, 4));
    // A second one changes nothing.
    let settled = test.state();
    test.run(["recover", "--app", "shop"])
        .stderr("nothing to recover\n")
        .success();
    tree::assert_same(&settled, &test.state(), "migrated twice");
    if is_root() {
        test.open_to_all();
        for (command, text) in readers.iter().zip(&before) {
            let run = test.run([*command, "--app", "shop"]).by_other_user();
            assert_eq!(run.any_stdout().success().stdout, *text, "{command}");
        }
    } else {
        not_run("a part of this needs root, to become another user");
    }
    // And the private part is still whole.
    test.run(["rollback", "--app", "shop"])
        .any_stderr()
        .success();
    test.run(["rollback", "1.3", "--force", "--app", "shop"])
        .any_stderr()
        .success();
}

/// A migration that is killed before any of its renames and changes of modes leaves state that is
/// read, and the next command ends it.
#[test]
fn a_killed_migration_is_finished_by_the_next_command() {
    let migrated = |test: &Test| {
        test.run(["recover", "--app", "shop"])
            .any_stderr()
            .success();
        tree::only(&test.state(), |path| path.starts_with(STORE))
    };
    let read = |test: &Test| {
        ["status", "releases", "history"].map(|command| {
            let run = test.run([command, "--app", "shop"]).case(command);
            run.any_stdout().success().stdout
        })
    };
    let whole = Earlier::new("settled").test;
    fs::remove_file(whole.app("robot.toml")).expect("remove the manifest");
    let (before, after) = (read(&whole), migrated(&whole));
    let mut kills = 0;
    for number in 1.. {
        let test = Earlier::new("settled").test;
        fs::remove_file(test.app("robot.toml")).expect("remove the manifest");
        let inject = format!("inject=/^(rename|f?chmod):signal=KILL:when={number}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
        strace.arg(env!("CARGO_BIN_EXE_robotctl"));
        strace
            .args(["recover", "--app", "shop", "--root"])
            .arg(test.root(""));
        let quiet = strace.current_dir(test.app("")).stderr(Stdio::null());
        if quiet.status().expect("start strace").success() {
            break;
        }
        kills += 1;
        assert_eq!(read(&test), before, "killed at {number}");
        tree::assert_same(&after, &migrated(&test), &format!("killed at {number}"));
    }
    assert!(
        kills >= 8,
        "only {kills} kills: four releases have two files each"
    );
}
