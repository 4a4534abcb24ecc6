//! `history`: who did what, also when it was refused, and what other users may know of it.

use crate::offline::{app, deploy};
use crate::records::store;
use crate::test::{Ended, Test};
use crate::unsuitable_hosts::{is_root, not_run};
use std::process::Command;
use std::time::Duration;

const STORE: &str = "var/lib/robotctl/shop";

/// A manifest that is refused, with a value that is not for every user.
const WRONG: &str = "[app]\nname = \"shop\"\nversion = \"2\"\n[service.web]\nexec = [\"/bin/sh\"]\n\
                     watchdog = \"hunter2\"\n";

fn history(test: &Test) -> Ended {
    test.run(["history"]).any_stdout().success()
}

/// The lines of the history with this event.
fn of_kind(ended: &Ended, kind: &str) -> Vec<String> {
    let lines = ended.stdout.lines();
    let lines = lines.filter(|line| line.split_whitespace().nth(2) == Some(kind));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_refused_command_is_recorded_once_with_its_reason() {
    let test = app();
    deploy(&test);
    let manifest = std::fs::read_to_string(test.app("robot.toml")).unwrap();
    test.write("robot.toml", WRONG);
    test.run(["deploy", "--apply"]).any_stderr().status(2);
    // A preview is no attempt.
    test.run(["deploy"]).any_stderr().status(2);
    test.write("robot.toml", &manifest);
    test.run(["rollback", "9.9"]).any_stderr().status(2);
    test.run(["rollback"]).any_stderr().status(2);
    let ended = history(&test);
    let refused = of_kind(&ended, "refused");
    assert_eq!(refused.len(), 3, "{}", ended.stdout);
    let wanted = "alice  `robotctl deploy` was refused: robot.toml:6: `hunter2` in `watchdog`";
    assert!(refused[0].contains(wanted), "{refused:?}");
    assert!(
        refused[1].contains("`robotctl rollback` was refused"),
        "{refused:?}"
    );
    let json = test
        .run(["history", "--format", "json"])
        .any_stdout()
        .success();
    let events = json.of_kind("event");
    let refused = events.iter().find(|one| one["event"] == "refused").unwrap();
    assert_eq!(refused["data"]["by"]["user"], "alice");
    assert_eq!(refused["data"]["by"]["sudo_uid"], 1000);
    assert_eq!(refused["data"]["manifest"], "[HASH]");
    let deployed = events
        .iter()
        .find(|one| one["event"] == "deployed")
        .unwrap();
    for key in ["source", "manifest", "plan"] {
        assert!(deployed["data"][key].is_string(), "{key}: {deployed}");
    }
}

#[test]
fn a_command_that_another_one_holds_up_is_recorded_without_the_lock() {
    let test = app();
    deploy(&test);
    let lock = store(&test).lock("testing", Duration::ZERO);
    test.write("src/bin/web", "#!/bin/sh\nexit 1\n");
    test.run(["deploy", "--apply"]).any_stderr().status(5);
    drop(lock);
    let ended = history(&test);
    let refused = of_kind(&ended, "refused");
    assert_eq!(refused.len(), 1, "{}", ended.stdout);
    assert!(
        refused[0].contains("another `robotctl` is changing `shop`"),
        "{refused:?}"
    );
}

#[test]
fn a_refused_first_deploy_leaves_nothing() {
    let test = app();
    test.write("robot.toml", WRONG);
    let before = test.tree();
    test.run(["deploy", "--apply"]).any_stderr().status(2);
    test.run(["--app", "shop", "rollback"])
        .any_stderr()
        .status(2);
    assert_eq!(test.tree(), before);
}

#[test]
fn an_attempt_that_cannot_be_recorded_keeps_its_own_error() {
    let test = app();
    deploy(&test);
    let refuse = || {
        test.run(["rollback", "9.9"])
            .stderr(
                "error: there is no release `9.9`\n\n\
                 hint: list the releases: robotctl --root [DIR]/root/ releases\n",
            )
            .status(2)
    };
    for file in ["attempts.jsonl", "attempts.private"] {
        let path = test.root(STORE).join(file);
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir(path).unwrap();
        refuse();
    }
}

#[test]
fn other_users_get_a_summary() {
    if !is_root() {
        return not_run("this needs root, to become another user");
    }
    let test = app();
    deploy(&test);
    test.write("robot.toml", WRONG);
    test.run(["deploy", "--apply"]).any_stderr().status(2);
    test.open_to_all();
    for format in ["text", "json"] {
        let run = test.run(["--app", "shop", "history", "--format", format]);
        let seen = run.any_stdout().by_other_user().success().stdout;
        assert!(seen.contains("`robotctl deploy` was refused"), "{seen}");
        assert!(seen.contains("alice"), "{seen}");
        for private in [
            "hunter2",
            "[DIR]/app",
            "\"plan\":",
            "\"source\":",
            "manifest",
        ] {
            assert!(!seen.contains(private), "{private}: {seen}");
        }
    }
}

#[test]
fn a_deploy_names_the_git_revision_of_its_source() {
    let test = app();
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(test.app("")).args(words);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("HOME", "/nowhere");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "A");
            git.env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        let output = git.output().expect("start git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let revision = git(&["rev-parse", "HEAD"]);
    // Git would run this program.
    git(&["config", "core.fsmonitor", "touch was-run"]);
    deploy(&test);
    assert!(!test.app("was-run").exists());
    let short = &revision[..12];
    let ended = history(&test);
    let deployed = of_kind(&ended, "deployed");
    assert!(
        deployed[0].ends_with(&format!(", git {short}")),
        "{deployed:?}"
    );
    test.write("src/bin/web", "#!/bin/sh\nexit 1\n");
    deploy(&test);
    let ended = history(&test);
    let deployed = of_kind(&ended, "deployed");
    assert!(
        deployed[1].ends_with(&format!(", git {short}, dirty")),
        "{deployed:?}"
    );
}
