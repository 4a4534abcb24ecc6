//! Typing mistakes and broken hosts: each message says what to type.

use crate::doctor::looked;
use crate::offline::{app, deploy, live};
use crate::plans::releases;
use crate::records::store;
use crate::test::{Run, SHOP, Test};
use crate::tree;
use crate::unsuitable_hosts::{is_root, mount_tmpfs, not_run, private_mounts};
use robotctl::store::Mark;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

/// The command in the last line of a plan.
fn apply_command(stderr: &str) -> String {
    let line = stderr.lines().last().unwrap_or_default();
    let command = line.strip_prefix("to apply this plan: ");
    command.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

#[test]
fn the_command_below_a_plan_applies_that_plan() {
    let test = Test::shop().program("other dir/bin/web", "#!/bin/sh\nexit 1\n");
    test.write(
        "deploy/robot.toml",
        &format!("{}[environment.staging]\n", SHOP.replace("src", "../src")),
    );
    let root = test.root("").display().to_string();
    let mut robotctl = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    robotctl.current_dir(test.app(""));
    robotctl.args(["--environment", "staging", "--manifest"]);
    robotctl.args(["deploy/robot.toml", "--root", &root]);
    robotctl.args(["deploy", "other dir", "--wait", "3"]);
    let shown = robotctl.output().expect("start robotctl");
    let stderr = String::from_utf8_lossy(&shown.stderr).into_owned();
    let command = apply_command(&stderr);
    let wanted =
        format!("robotctl --root {root} --manifest deploy/robot.toml --environment staging ");
    assert!(command.starts_with(&wanted), "{command}");
    let program = env!("CARGO_BIN_EXE_robotctl").rsplit_once('/').unwrap().0;
    let typed = Command::new("sh")
        .args(["-c", &command])
        .env("PATH", format!("{program}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .current_dir(test.app(""))
        .output()
        .expect("start a shell");
    let stderr = String::from_utf8_lossy(&typed.stderr);
    assert!(typed.status.success(), "{command}: {stderr}");
    let web = test.root("opt/shop-staging/current/bin/web");
    assert_eq!(std::fs::read_to_string(web).unwrap(), "#!/bin/sh\nexit 1\n");
}

/// A systemctl(1) that knows no unit.
const SYSTEMCTL: &str = r#"#!/bin/sh
case $1 in --version) echo 'systemd 252' ;; esac
for unit; do
    case $unit in *.*) printf 'Id=%s\nLoadState=not-found\n\n' "$unit" ;; esac
done
"#;

/// The host looks as if systemd had booted it, and its systemctl(1) knows no unit.
#[test]
fn the_command_below_a_plan_starts_with_sudo_on_a_host() {
    if !is_root() {
        return not_run("this needs root, to mount a directory over /run");
    }
    let test = Test::shop();
    private_mounts();
    mount_tmpfs("/run");
    std::fs::create_dir_all("/run/systemd/system").unwrap();
    for tool in ["systemctl", "systemd-analyze"] {
        let tool = format!("tools/{tool}");
        test.write(&tool, SYSTEMCTL);
        test.mode(&tool, 0o755);
    }
    let path = format!("PATH={}:/usr/bin:/bin", test.app("tools").display());
    for root in [None, Some("/")] {
        let run = test.run(["deploy"]).through(&["env", &path]);
        let run = match root {
            Some(root) => run.on(Path::new(root)),
            None => run.on_this_host(),
        };
        let ended = run.any_stdout().any_stderr().success();
        let wanted = "sudo robotctl deploy --apply --plan [HASH]";
        assert_eq!(apply_command(&ended.stderr), wanted);
    }
}

#[test]
fn an_unknown_app_is_refused_by_every_command() {
    let test = app();
    deploy(&test);
    for command in [
        "status", "doctor", "releases", "history", "recover", "prune", "rollback",
    ] {
        let run = test.run(["--app", "shpo", command]).case(command);
        run.stderr("error: there is no app `shpo` on this host\n\nhint: did you mean `shop`?\n")
            .status(2);
        let ended = test.run(["--app", "zebra", command]).any_stderr().status(2);
        assert!(
            ended.stderr.contains("there is no app `zebra`")
                && ended
                    .stderr
                    .ends_with("\n\nhint: this one is deployed: shop\n"),
            "{command}: {}",
            ended.stderr
        );
    }
    assert!(!test.root("var/lib/robotctl/shpo").exists());
}

#[test]
fn a_broken_manifest_does_not_block_commands_on_the_deployed_app() {
    let test = app();
    deploy(&test);
    test.write("src/data/pages.txt", "three\n");
    deploy(&test);
    let second = live(&test);
    test.write("robot.toml", "[app]\nname = \"shop\"\n[service.web\n");
    let ended = test.run(["status"]).any_stdout().any_stderr().success();
    assert!(
        ended.stdout.starts_with("shop: 1.0-[ID]"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.starts_with("warning: robot.toml:3: ")
            && ended
                .stderr
                .ends_with("; robotctl uses only the app name `shop` from this manifest\n"),
        "{}",
        ended.stderr
    );
    test.run(["rollback"]).any_stderr().success();
    assert_ne!(live(&test), second);
    test.write("robot.toml", "[app\nname = \"shop\"\n");
    for command in ["status", "doctor", "rollback", "releases", "history"] {
        let ended = test.run([command]).case(command).any_stderr().status(2);
        assert!(
            ended.stderr.starts_with("error: robot.toml:1: ")
                && ended.stderr.contains("\n\nhint: ")
                && ended
                    .stderr
                    .ends_with("\n\nhint: or name the app with `--app NAME`\n"),
            "{command}: {}",
            ended.stderr
        );
    }
    let run = test.run(["status", "--app", "shop"]);
    run.any_stdout().success();
}

#[test]
fn commands_on_a_root_do_not_ask_this_host() {
    let test = app();
    deploy(&test);
    test.run(["check"])
        .stderr(
            "error: checks need running services, and nothing runs below `--root`\n\n\
             hint: run `check` on the host itself; this command checks a tree: \
             robotctl --root [DIR]/root/ doctor\n",
        )
        .status(2);
    test.run(["doctor", "--probe"])
        .stderr(
            "error: `--probe` needs running services, and nothing runs below `--root`\n\n\
             hint: probe on the host itself; this command checks a tree: \
             robotctl --root [DIR]/root/ doctor\n",
        )
        .status(2);
    let ended = test.run(["doctor"]).any_stdout().success();
    assert_eq!(ended.stdout, looked(&test, "no findings"));
    let ended = test.run(["status"]).any_stdout().success();
    assert!(!ended.stdout.contains("()"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("  shop-web.service  -    "),
        "{}",
        ended.stdout
    );
    std::fs::remove_dir(test.root("var/lib/shop")).unwrap();
    std::fs::remove_file(test.root("usr/local/lib/systemd/system/shop-web.socket")).unwrap();
    let ended = test.run(["doctor"]).any_stdout().status(1);
    for hint in [
        "create it: \
         sudo systemd-tmpfiles --root=[DIR]/root --create /usr/local/lib/tmpfiles.d/shop.conf",
        "deploy again: robotctl --root [DIR]/root/ --app shop deploy --apply",
    ] {
        let hint = format!("  hint: {hint}\n");
        assert!(ended.stdout.contains(&hint), "{hint}{}", ended.stdout);
    }
}

/// Runs robotctl with standard output on `/dev/full`.
fn into_full(test: &Test, args: &[&str]) -> (Option<i32>, String) {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .args(args)
        .arg("--root")
        .arg(test.root(""))
        .current_dir(test.app(""))
        .stdout(full.expect("open /dev/full"))
        .output()
        .expect("start robotctl");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn a_failed_write_to_standard_output_is_an_error() {
    let test = app();
    let why = "error: writing to standard output: No space left on device (os error 28)";
    let (code, stderr) = into_full(&test, &["deploy", "--apply", "--format", "json"]);
    assert_eq!(code, Some(4), "{stderr}");
    let done = format!("{why}; the command succeeded\n");
    assert!(stderr.starts_with(&done), "{stderr}");
    test.run(["status"]).any_stdout().success();
    for command in ["history", "status", "releases", "deploy"] {
        let (code, stderr) = into_full(&test, &[command]);
        assert_eq!(code, Some(2), "{command}: {stderr}");
        assert!(stderr.contains(why), "{command}: {stderr}");
    }
    assert_eq!(into_full(&test, &["--help"]).0, Some(2));
    // Files that the user names are written, and only the last line is lost.
    let to = test.outside("to").display().to_string();
    let report = test.outside("report").display().to_string();
    for args in [
        &["generate", "--output", &to][..],
        &["doctor", "--report", &report],
    ] {
        let args = [args, &["--format", "json"]].concat();
        let (code, stderr) = into_full(&test, &args);
        assert_eq!(code, Some(4), "{args:?}: {stderr}");
        assert!(stderr.starts_with(&done), "{args:?}: {stderr}");
        assert!(test.outside("to").exists(), "{args:?}");
    }
    assert!(test.outside("report").exists());
}

#[test]
fn a_directory_that_cannot_be_created_changes_nothing() {
    let test = app();
    let ended = test.run(["generate", "--output", "/proc/x"]).any_stderr();
    let ended = ended.status(2);
    let hint = "hint: name a directory that can be created with `--output DIR`\n";
    assert!(ended.stderr.ends_with(hint), "{}", ended.stderr);
    // Its parent was created.
    let long = test.outside("new").join("x".repeat(300));
    let long = long.display().to_string();
    let ended = test.run(["generate", "--output", &long]).any_stderr();
    ended.status(4);
    assert!(test.outside("new").exists());
}

#[test]
fn history_names_the_event_and_the_release() {
    let test = app();
    deploy(&test);
    test.write("src/data/pages.txt", "three\n");
    deploy(&test);
    let run = test.run(["rollback", "--service", "web"]);
    let ended = run.any_stderr().success();
    let pinned =
        "service `web` runs 1.0-[ID] until a deploy with `--lift-pins` (1.0-[ID] is live)\n";
    assert!(ended.stderr.ends_with(pinned), "{}", ended.stderr);
    let history = test.root("var/lib/robotctl/shop/history.jsonl");
    let failed = "{\"ts\":\"2026-01-02T03:04:05Z\",\"trace_id\":\"0\",\"app\":\"shop\",\
                  \"release\":\"2.0-0123456789ab\",\"event\":\"failed\",\"level\":\"error\",\
                  \"message\":\"it did not start\"}\n";
    let earlier = std::fs::read_to_string(&history).unwrap();
    std::fs::write(&history, format!("{failed}{earlier}")).unwrap();
    test.run(["rollback"]).any_stderr().success();
    let shown = test.run(["history"]).any_stdout().success().stdout;
    let lines = shown.lines().map(|line| line.split_once("  ").unwrap().1);
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "shop  failed       -      2.0-[ID]: it did not start",
            "shop  deployed     alice  1.0-[ID] is live (previous release: none)",
            "shop  deployed     alice  1.0-[ID] is live (previous release: 1.0-[ID])",
            &format!("shop  pinned       alice  {}", pinned.trim_end()),
            "shop  rolled-back  alice  1.0-[ID] is live, in place of 1.0-[ID]",
        ]
    );
}

#[test]
fn messages_about_a_missing_secret_and_a_held_lock_say_what_to_type() {
    let test = app();
    test.write(
        "robot.toml",
        &format!("{}[[secret]]\nname = \"KEY\"\n", crate::offline::MANIFEST),
    );
    let hint = "hint: set it: robotctl --root [DIR]/root/ secret set KEY\n";
    let ended = test.run(["deploy", "--apply"]).any_stderr().status(2);
    assert!(ended.stderr.ends_with(hint), "{}", ended.stderr);
    let test = app();
    deploy(&test);
    let store = store(&test);
    let lock = store.lock("testing", std::time::Duration::ZERO).unwrap();
    let ended = test.run(["prune", "--apply"]).any_stderr().status(5);
    let hint = "\n\nhint: try again later, or wait for it with `--wait SECONDS`\n";
    assert!(ended.stderr.ends_with(hint), "{}", ended.stderr);
    // By default, `recover` waits for a minute.
    let run = test.run(["recover", "--wait", "0"]).any_stderr();
    let ended = run.status(5);
    assert!(ended.stderr.ends_with(hint), "{}", ended.stderr);
    drop(lock);
}

/// Marks a release as failed.
fn mark_bad(test: &Test, id: &str) {
    let store = store(test);
    let mut record = store.release(id).unwrap().expect("a record");
    record.public.mark = Mark::Failed("it did not start".into());
    store.set_release(&record).unwrap();
}

#[test]
fn a_rollback_to_a_failed_release_needs_force() {
    let test = releases(3);
    let third = live(&test);
    test.run(["rollback"]).any_stderr().success();
    mark_bad(&test, &third);
    let said = "error: release 0.3-[ID] failed before: it did not start\n\n\
                hint: restore it all the same: \
                robotctl --root [DIR]/root/ rollback 0.3-[ID] --force\n";
    let before = test.state();
    let refused = |run: Run<'_>| run.stderr(said).status(2);
    refused(test.run(["rollback", "0.3"]));
    refused(test.run(["rollback", &third]));
    refused(test.run(["rollback", "0.3", "--dry-run"]));
    refused(test.run(["rollback", "0.3", "--service", "web"]));
    refused(test.run(["rollback", "0.3", "--service", "web", "--dry-run"]));
    tree::assert_same(&before, &test.state(), "a refusal changed something");
    let run = test.run(["rollback", "0.3", "--force"]);
    run.any_stderr().success();
    assert_eq!(live(&test), third);
    let record = store(&test).release(&third).unwrap().expect("a record");
    assert_eq!(record.public.mark, Mark::Good, "it is healthy now");
    // The live release may be repaired although it failed, and a rollback without a name needs no
    // `--force`.
    mark_bad(&test, &third);
    std::fs::remove_file(test.root("opt/shop/current")).unwrap();
    test.run(["rollback", "0.3"]).any_stderr().success();
    assert_eq!(live(&test), third);
    mark_bad(&test, &third);
    mark_bad(&test, &store(&test).state().unwrap().previous[1]);
    test.run(["rollback"]).any_stderr().success();
    assert!(live(&test).starts_with("0.1-"));
}

/// A mistake in an argument that is not UTF-8 is reported like every other.
#[test]
fn an_argument_that_is_not_utf_8_is_an_error_and_not_a_crash() {
    let word = std::ffi::OsStr::from_bytes(b"deplo\xff");
    let output = Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .arg(word)
        .args(["--format", "json"])
        .output()
        .expect("start robotctl");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    assert!(stdout.contains("unrecognized subcommand"), "{stdout}");
}

/// systemd's tools would write to another directory.
#[test]
fn a_root_that_is_not_utf_8_is_refused() {
    let test = app();
    let root = test
        .outside("tree")
        .join(std::ffi::OsStr::from_bytes(b"x\xff"));
    std::fs::create_dir_all(&root).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .args(["deploy", "--apply", "--root"])
        .arg(&root)
        .current_dir(test.app(""))
        .output()
        .expect("start robotctl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let said = "error: the path of `--root` is not UTF-8\n\nhint: ";
    assert!(stderr.starts_with(said), "{stderr}");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
}
