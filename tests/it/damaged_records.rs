//! Damaged records: the message says how to fix them, and commands that do not need them still work.

use crate::doctor::looked;
use crate::offline::{app, deploy, live};
use crate::plans::releases;
use crate::records::store;
use crate::test::Test;
use robotctl::store::Mark;
use std::path::Path;
use std::process::Command;

/// What to type when a record cannot be read.
fn steps(path: &str) -> [String; 2] {
    [
        format!("hint: move the file aside: sudo mv {path} {path}.damaged\n"),
        "hint: then deploy: \
         robotctl --root [DIR]/root/ deploy --apply\n"
            .to_owned(),
    ]
}

/// The same below an error.
pub(crate) fn recovery_hints(path: &str) -> String {
    steps(path).join("\n")
}

/// The same below a finding of the doctor, whose commands name the app.
pub(crate) fn recovery_fix(path: &str) -> String {
    let steps = steps(path).map(|step| format!("  {step}")).concat();
    steps.replace("/root/ deploy", "/root/ --app shop deploy")
}

#[test]
fn a_damaged_record_is_reported_with_a_hint() {
    for name in ["state.json", "journal.json"] {
        let test = app();
        deploy(&test);
        let path = format!("[DIR]/root/var/lib/robotctl/shop/{name}");
        let file = test.root(&format!("var/lib/robotctl/shop/{name}"));
        std::fs::write(&file, "").unwrap();
        let why = "EOF while parsing a value at line 1 column 0";
        let ended = test.run(["doctor"]).any_stdout().status(1);
        let said = format!(
            "error: `{path}` cannot be read: {why} [state]\n{}",
            recovery_fix(&path)
        );
        assert!(ended.stdout.contains(&said), "{}", ended.stdout);
        if name == "journal.json" {
            let ended = test.run(["recover"]).any_stderr().status(4);
            let said = format!(
                "error: `{path}` cannot be read: {why}\n\n{}",
                recovery_hints(&path)
            );
            assert_eq!(ended.stderr, said);
        }
        // The hint works.
        std::fs::rename(&file, format!("{}.damaged", file.display())).unwrap();
        if name == "state.json" {
            let ended = test.run(["doctor"]).any_stdout().status(1);
            let said = "error: the state is missing, and `/opt/shop/current` points at 1.0-[ID] \
                        [state]\n  hint: rebuild it: robotctl --root [DIR]/root/ --app shop recover\n";
            assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
        }
        deploy(&test);
        let run = test.run(["status"]).any_stdout().success();
        assert!(run.stdout.starts_with("shop: 1.0-[ID] is live since 2"));
        test.run(["recover"])
            .stderr("nothing to recover\n")
            .success();
    }
}

#[test]
fn readers_show_the_other_apps_when_one_is_damaged() {
    let test = app();
    deploy(&test);
    std::fs::create_dir(test.root("var/lib/robotctl/zz")).unwrap();
    std::fs::write(test.root("var/lib/robotctl/zz/state.json"), "").unwrap();
    let elsewhere = test.outside("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // The history of an app needs no other file.
    let run = test.run(["history"]).from(&elsewhere);
    assert!(run.any_stdout().success().stdout.contains("shop"));
    for command in ["status", "releases"] {
        let run = test.run([command]).from(&elsewhere).case(command);
        let ended = run.any_stdout().any_stderr().status(2);
        assert!(ended.stdout.contains("shop"), "{command}: {}", ended.stdout);
        let said = "error: zz: `[DIR]/root/var/lib/robotctl/zz/state.json` cannot be read: ";
        assert!(
            ended.stderr.starts_with(said),
            "{command}: {}",
            ended.stderr
        );
        assert!(
            ended
                .stderr
                .contains("\n\nhint: move the file aside: sudo mv "),
            "{}",
            ended.stderr
        );
    }
    let run = test.run(["doctor"]).from(&elsewhere);
    let ended = run.any_stdout().status(1);
    let healthy = looked(&test, "no findings");
    assert!(ended.stdout.contains(&healthy), "{}", ended.stdout);
    assert!(
        ended.stdout.ends_with("zz: 1 finding, 2 checks\n"),
        "{}",
        ended.stdout
    );
}

/// `failed.json` lists failed releases that were removed. Commands work without it, and none overwrites
/// a damaged one.
#[test]
fn a_damaged_list_of_failed_releases_does_not_block_a_command() {
    let test = releases(3);
    let before = store(&test).state().unwrap().previous;
    // It failed, and the administrator removed it.
    let gone = |id: &str| {
        let mut record = store(&test).release(id).unwrap().expect("a record");
        record.public.mark = Mark::Failed("it did not start".into());
        store(&test).set_release(&record).unwrap();
        std::fs::remove_dir_all(test.root(&format!("opt/shop/releases/{id}"))).unwrap();
        test.run(["recover"])
            .stderr("nothing to recover\n")
            .success();
        assert!(store(&test).release(id).unwrap().is_none(), "it is known");
    };
    let failed = |id: &str| store(&test).failure_reason(id).unwrap();
    gone(&before[0]);
    assert_eq!(failed(&before[0]).as_deref(), Some("it did not start"));
    let path = "var/lib/robotctl/shop/failed.json";
    let file = test.root(path);
    let whole = std::fs::read(&file).expect("read");
    let torn = &whole[..whole.len() / 2];
    std::fs::write(&file, torn).unwrap();
    gone(&before[1]);
    deploy(&test);
    test.run(["status"]).any_stdout().success();
    test.run(["prune", "--apply"]).any_stderr().success();
    assert_eq!(failed(&before[0]), None);
    assert_eq!(std::fs::read(&file).unwrap(), torn, "it was overwritten");
    // Doctor reports it with a hint.
    let ended = test.run(["doctor"]).any_stdout().status(1);
    let (said, rest) = ended.stdout.split_once('\n').expect("two lines");
    let wrong = format!("error: `[DIR]/root/{path}` cannot be read: ");
    assert!(
        said.starts_with(&wrong) && said.ends_with(" [state]"),
        "{said}"
    );
    let hint = recovery_fix(&format!("[DIR]/root/{path}"));
    assert!(rest.starts_with(&hint), "{rest}");
    std::fs::rename(&file, format!("{}.damaged", file.display())).unwrap();
    let ended = test.run(["doctor"]).any_stdout().success();
    assert!(!ended.stdout.contains("[state]"), "{}", ended.stdout);
}

/// A rollback is needed most when something is damaged.
#[test]
fn a_rollback_skips_a_release_whose_record_is_damaged() {
    let test = releases(3);
    let second = store(&test).state().unwrap().previous[1].clone();
    let record = test.root(&format!("var/lib/robotctl/shop/releases/{second}.private"));
    std::fs::write(record, "{").unwrap();
    let skipped = "warning: 0.2-[ID] is skipped: `[DIR]/root/var/lib/robotctl/shop/releases/\
                   0.2-[ID].private` cannot be read: ";
    for args in [&["rollback", "--dry-run"][..], &["rollback"]] {
        let ended = test.run(args).any_stdout().any_stderr().success();
        assert!(ended.stderr.starts_with(skipped), "{}", ended.stderr);
    }
    assert!(live(&test).starts_with("0.1-"), "{}", live(&test));
}

/// A version names its own releases, and not those whose version begins so.
#[test]
fn a_rollback_to_a_version_does_not_take_a_longer_version() {
    let test = releases(1);
    for number in [10, 11, 2] {
        crate::plans::version(&test, number);
        deploy(&test);
    }
    let first = store(&test).state().unwrap().previous[0].clone();
    test.run(["rollback", "0.1"]).any_stderr().success();
    assert_eq!(live(&test), first);
    test.run(["rollback", "0.11"]).any_stderr().success();
    assert!(live(&test).starts_with("0.11-"), "{}", live(&test));
    // The beginning of an id, as long as it has one meaning.
    test.run(["rollback", &first[..6]]).any_stderr().success();
    assert_eq!(live(&test), first);
    // A version that is gone does not stand for a longer one.
    test.run(["rollback", "0.11"]).any_stderr().success();
    std::fs::remove_dir_all(test.root(&format!("opt/shop/releases/{first}"))).unwrap();
    for end in ["json", "private", "index"] {
        let record = format!("var/lib/robotctl/shop/releases/{first}.{end}");
        std::fs::remove_file(test.root(&record)).unwrap();
    }
    let gone = test.run(["rollback", "0.1"]).any_stderr().status(2);
    let message = "error: there is no release `0.1`\n";
    assert!(gone.stderr.starts_with(message), "{}", gone.stderr);
    let ambiguous = test.run(["rollback", "0."]).any_stderr().status(2);
    let message = "error: several releases begin with `0.`\n";
    assert!(
        ambiguous.stderr.starts_with(message),
        "{}",
        ambiguous.stderr
    );
}

/// A release that lost files does not go live again: a rollback takes another one, and a deploy stages
/// it again.
#[test]
fn a_release_that_lost_files_does_not_go_live() {
    let test = releases(3);
    let second = store(&test).state().unwrap().previous[1].clone();
    let file = test.root(&format!("opt/shop/releases/{second}/data/pages.txt"));
    std::fs::remove_file(&file).unwrap();
    let named = test.run(["rollback", "0.2"]).any_stderr().status(2);
    let missing = "`data/pages.txt` of release 0.2-[ID] is missing";
    let message = format!("error: {missing}\n");
    assert!(named.stderr.starts_with(&message), "{}", named.stderr);
    let ended = test.run(["rollback"]).any_stderr().success();
    let skipped = format!("warning: 0.2-[ID] is skipped: {missing}\n");
    assert!(ended.stderr.starts_with(&skipped), "{}", ended.stderr);
    assert!(live(&test).starts_with("0.1-"), "{}", live(&test));
    crate::plans::version(&test, 2);
    let ended = test.run(["deploy", "--apply"]).any_stderr().success();
    let again = "warning: 0.2-[ID] was changed on the disk, so it is staged again\n";
    assert!(ended.stderr.contains(again), "{}", ended.stderr);
    assert_eq!(live(&test), second);
    assert!(file.exists());
    test.run(["doctor"]).any_stdout().success();
}

/// One file that cannot be read does not hide the others from the doctor.
#[test]
fn the_doctor_names_every_file_of_the_state_that_it_cannot_read() {
    let test = releases(3);
    let previous = store(&test).state().unwrap().previous;
    let record =
        |id: &str, end: &str| test.root(&format!("var/lib/robotctl/shop/releases/{id}.{end}"));
    std::fs::write(record(&previous[0], "json"), "{ \"format\": 99 }\n").unwrap();
    std::fs::write(record(&previous[1], "private"), "{").unwrap();
    let ended = test.run(["doctor"]).any_stdout().status(1);
    for said in [
        "0.1-[ID].json` was written by a newer robotctl: ",
        "0.2-[ID].private` cannot be read: ",
    ] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
}

/// A pinned service cannot start again without its release.
#[test]
fn the_doctor_reports_a_pinned_release_that_is_missing() {
    let test = releases(2);
    test.run(["rollback", "--service", "web"])
        .any_stderr()
        .success();
    let pinned = store(&test).state().unwrap().pins["web"].clone();
    std::fs::remove_dir_all(test.root(&format!("opt/shop/releases/{pinned}"))).unwrap();
    let ended = test.run(["doctor"]).any_stdout().status(1);
    let said = "error: service `web` is pinned to 0.1-[ID], which is missing: it cannot start again \
                [pins]\n  hint: deploy it with the other services: \
                robotctl --root [DIR]/root/ --app shop deploy --lift-pins --apply\n";
    assert!(ended.stdout.contains(said), "{}", ended.stdout);
    test.run(["deploy", "--lift-pins", "--apply"])
        .any_stderr()
        .success();
    test.run(["doctor"]).any_stdout().success();
}

/// The release that a service runs is never moved aside.
#[test]
fn the_hint_about_a_damaged_record_of_a_pinned_release_keeps_the_service_running() {
    let test = releases(2);
    let pin = test.run(["rollback", "--service", "web"]);
    pin.any_stderr().success();
    let pinned = store(&test).state().unwrap().pins["web"].clone();
    let record = format!("var/lib/robotctl/shop/releases/{pinned}.private");
    std::fs::write(test.root(&record), "{").unwrap();
    let report = lines(&test, &["doctor"]).swap_remove(0);
    let findings = report["data"]["findings"].as_array().expect("findings");
    let state = findings.iter().find(|finding| finding["check"] == "state");
    let fix = state.expect("a finding")["fix"].as_array().expect("hints");
    let [step] = &fix[..] else {
        panic!("{report}");
    };
    let command = step["command"].as_str().expect("a command");
    assert!(
        command.ends_with("--app shop deploy --lift-pins --apply"),
        "{command}"
    );
    follow(&test, fix);
    assert!(store(&test).state().unwrap().pins.is_empty());
    assert!(test.root(&format!("opt/shop/releases/{pinned}")).exists());
}

#[test]
fn a_rollback_that_is_not_possible_says_what_to_type() {
    let test = releases(3);
    let first = store(&test).state().unwrap().previous[0].clone();
    std::fs::remove_dir_all(test.root(&format!("opt/shop/releases/{first}"))).unwrap();
    // Without `--dry-run`, the rollback would delete this record first.
    test.run(["rollback", "0.1", "--dry-run"])
        .stderr(
            "error: release 0.1-[ID] is no longer on this host\n\n\
             hint: deploy it again from its source, or choose another release: \
             robotctl --root [DIR]/root/ releases\n",
        )
        .status(2);
    let third = live(&test);
    let record = format!("var/lib/robotctl/shop/releases/{third}.json");
    std::fs::remove_file(test.root(&record)).unwrap();
    let run = test.run(["rollback", "--service", "web"]);
    run.stderr(
        "error: the live release 0.3-[ID] has no record\n\n\
         hint: find out what to do: robotctl --root [DIR]/root/ doctor\n",
    )
    .status(2);
    let state = "[DIR]/root/var/lib/robotctl/shop/state.json";
    test.run(["rollback"])
        .stderr(&format!(
            "error: `{state}` cannot be read: the live release 0.3-[ID] has no record\n\n{}",
            recovery_hints(state)
        ))
        .status(2);
    std::fs::remove_file(test.root("var/lib/robotctl/shop/state.json")).unwrap();
    let run = test.run(["rollback", "0.2", "--service", "web"]);
    run.stderr(
        "error: no release is live, so no service can be rolled back alone\n\n\
         hint: roll back the whole app: the same command without `--service`\n",
    )
    .status(2);
    // The hint works.
    deploy(&test);
    assert_eq!(live(&test), third);
}

/// Does what the hints say, one after the other, as a person would paste them.
fn follow(test: &Test, hints: &[serde_json::Value]) {
    let program = Path::new(env!("CARGO_BIN_EXE_robotctl"));
    let path = format!(
        "{}:/usr/bin:/bin:/usr/sbin:/sbin",
        program.parent().expect("a directory").display()
    );
    assert!(!hints.is_empty(), "no hint");
    for hint in hints {
        let command = hint["command"].as_str().expect("a command");
        let mut sh = Command::new("sh");
        let command = command.strip_prefix("sudo ").unwrap_or(command);
        sh.args(["-c", command]).current_dir(test.app(""));
        let ended = sh.env("PATH", &path).output().expect("start sh");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{command}: {stderr}");
    }
}

/// The hints of the doctor without the app that their commands name.
fn fix_without_app(fix: &serde_json::Value) -> serde_json::Value {
    let text = fix.to_string().replace("--app shop ", "");
    serde_json::from_str(&text).expect("JSON")
}

/// The JSON lines of a command that fails, as they are.
fn lines(test: &Test, args: &[&str]) -> Vec<serde_json::Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    command.args(args).args(["--format", "json", "--root"]);
    let output = command.arg(test.root("")).current_dir(test.app(""));
    let output = output.output().expect("start robotctl");
    assert!(!output.status.success(), "{args:?} succeeded");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = stdout.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

/// The hints about a damaged record lead out: each of them works, and the last one ends it.
#[test]
fn the_hints_about_a_damaged_record_of_a_release_lead_out() {
    for (end, is_live) in [
        ("private", true),
        ("json", true),
        ("private", false),
        ("json", false),
    ] {
        let test = releases(3);
        let id = match is_live {
            true => live(&test),
            false => store(&test).state().unwrap().previous[1].clone(),
        };
        let case = format!("{end} of {id}");
        let record = format!("var/lib/robotctl/shop/releases/{id}.{end}");
        std::fs::write(test.root(&record), "{").unwrap();
        let report = lines(&test, &["doctor"]).swap_remove(0);
        let findings = report["data"]["findings"].as_array().expect("findings");
        let [finding] = &findings[..] else {
            panic!("{case}: {report}");
        };
        let said = finding["message"].as_str().expect("a message");
        assert!(said.contains(&record), "{case}: {said}");
        let fix = finding["fix"].as_array().expect("hints");
        // A command that needs the record says the same.
        let args: &[&str] = match is_live {
            true => &["deploy"],
            false => &["rollback", &id, "--dry-run"],
        };
        let error = lines(&test, args).pop().expect("an error");
        let without_app = fix_without_app(&finding["fix"]);
        assert_eq!(error["hints"], without_app, "{case}: {error}");
        follow(&test, fix);
        assert!(test.root(&format!("{record}.damaged")).exists(), "{case}");
        test.run(["doctor"])
            .case(&case)
            .stdout(&looked(&test, "no findings"))
            .success();
        test.run(["deploy"])
            .case(&case)
            .any_stdout()
            .any_stderr()
            .success();
        if !is_live {
            test.run(["rollback"]).case(&case).any_stderr().success();
        }
    }
}
