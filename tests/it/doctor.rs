//! What `doctor` finds on a host that was changed by hand.

use crate::offline::{MANIFEST, app, deploy, live};
use crate::plans::version;
use crate::test::Test;
use crate::unsuitable_hosts::{is_root, not_run};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The checks that need a running host. A new one has its row here.
const OF_RUNNING_HOST: [&str; 14] = [
    "units",
    "restarts",
    "timers",
    "leftovers",
    "running",
    "orphans",
    "directories",
    "settings",
    "executables",
    "ports",
    "limits",
    "drop-ins",
    "unenforced",
    "exposure",
];
pub(crate) const NOT_RUNNING: usize = OF_RUNNING_HOST.len();

/// What `doctor` says of the checks that need a running host.
pub(crate) fn nothing_runs() -> String {
    let ids = format!("{NOT_RUNNING} checks (`--format json` lists them)");
    format!("skipped: {ids}: the tree of `--root` does not run\n")
}

/// The ids of all checks.
pub(crate) fn checks(test: &Test) -> Vec<String> {
    let list = test.run(["doctor", "--list"]).any_stdout().success().stdout;
    let ids = list.lines().filter_map(|line| line.split(' ').next());
    ids.map(str::to_owned).collect()
}

/// The last line of a report on which all but these checks have looked.
pub(crate) fn verdict(test: &Test, verdict: &str, skipped: usize) -> String {
    format!("shop: {verdict}, {} checks\n", checks(test).len() - skipped)
}

/// The end of a report on a tree: nothing runs in it, and all other checks have looked.
pub(crate) fn looked(test: &Test, said: &str) -> String {
    format!("{}{}", nothing_runs(), verdict(test, said, NOT_RUNNING))
}

/// Fails unless `doctor` reports exactly this one finding.
fn found(test: &Test, said: &str) {
    let wanted = format!("{said}{}", looked(test, "1 finding"));
    test.run(["doctor"]).case(said).stdout(&wanted).status(1);
}

fn healthy(test: &Test) {
    test.run(["doctor"])
        .stdout(&looked(test, "no findings"))
        .success();
}

/// All checks but these, as a list of what was skipped.
fn all_but(test: &Test, looked: &[&str]) -> String {
    let mut ids = checks(test);
    ids.retain(|id| !looked.contains(&id.as_str()));
    match ids.len() {
        0..=5 => ids.join(", "),
        count => format!("{count} checks (`--format json` lists them)"),
    }
}

/// The cases cause a fault on a running host, and run the commands that doctor prints about it.
#[test]
fn every_check_has_a_case_on_a_running_host() {
    let cases = include_str!("../system/findings.rs");
    let without: Vec<String> = checks(&Test::new())
        .into_iter()
        .filter(|id| !cases.contains(&format!("        id: \"{id}\",\n")))
        .collect();
    assert!(
        without.is_empty(),
        "no case in tests/system/findings.rs: {without:?}"
    );
}

/// Doctor tells truncated and rewritten files of the live release from missing ones, and names three
/// of many.
#[test]
fn changed_and_missing_files_of_the_live_release_are_found() {
    let test = app();
    for name in ["a", "b", "c", "d"] {
        test.write(&format!("src/many/{name}"), "many\n");
    }
    deploy(&test);
    healthy(&test);
    let release = test.root(&format!("opt/shop/releases/{}", live(&test)));
    let (big, aside) = (release.join("data/big.bin"), test.outside("aside"));
    std::fs::rename(&big, &aside).unwrap();
    let robotctl = "robotctl --root [DIR]/root/";
    let opt = "[DIR]/root/opt/shop";
    let hints = format!(
        "  hint: move it aside: sudo mv {opt}/releases/1.0-[ID] {opt}/releases/1.0-[ID].damaged\n  \
         hint: deploy again: {robotctl} --app shop deploy --apply\n"
    );
    let said = "error: files of the live release are missing: data/big.bin [content]\n";
    found(&test, &format!("{said}{hints}"));
    // A deploy does not stage what is on the disk.
    let damaged = std::path::PathBuf::from(format!("{}.damaged", release.display()));
    std::fs::rename(&release, &damaged).unwrap();
    deploy(&test);
    healthy(&test);
    // No command takes it for a release.
    test.run(["prune", "--apply"]).any_stderr().success();
    let listed = test.run(["releases"]).any_stdout().success().stdout;
    assert!(!listed.contains("damaged"), "{listed}");
    assert!(damaged.join("many/a").exists());
    // With a previous release, a rollback is quicker.
    version(&test, 2);
    deploy(&test);
    let second = test.root(&format!("opt/shop/releases/{}", live(&test)));
    std::fs::rename(second.join("data/big.bin"), &aside).unwrap();
    let hint = format!("  hint: roll back, then deploy it again: {robotctl} --app shop rollback\n");
    found(&test, &format!("{said}{hint}"));
    test.run(["rollback"]).any_stderr().success();
    healthy(&test);
    let open = |path: &Path| File::options().write(true).open(path).unwrap();
    let was = big.metadata().unwrap().modified().unwrap();
    open(&big).set_len(3).unwrap();
    // A new time stamp alone would show it, too.
    open(&big).set_modified(was).unwrap();
    let hint = "  hint: deploy a new version: previous releases share these files\n";
    let said = "error: files of the live release were changed by hand:";
    found(&test, &format!("{said} data/big.bin [content]\n{hint}"));
    for name in ["a", "b", "c", "d"] {
        let file = release.join("many").join(name);
        std::fs::write(&file, "MANY\n").unwrap();
        let later = was + Duration::from_secs(60);
        open(&file).set_modified(later).unwrap();
    }
    let named = "data/big.bin, many/a, many/b";
    found(&test, &format!("{said} {named} [content]\n{hint}"));
    // A removal takes it along, so that it is no obstacle to a new app of this name.
    test.run(["remove", "--apply"]).any_stderr().success();
    assert!(!damaged.exists());
    deploy(&test);
}

/// Modes, kinds and added files show without reading contents. A change that keeps size and time stamp shows
/// only with `--digests`.
#[test]
fn what_differs_from_what_was_staged_is_found() {
    let test = app();
    deploy(&test);
    healthy(&test);
    let id = live(&test);
    let release = test.root(&format!("opt/shop/releases/{id}"));
    let pages = release.join("data/pages.txt");
    let said = |options: &[&str]| {
        let run = test.run([&["doctor"], options].concat()).any_stdout();
        run.status(1).stdout
    };
    std::fs::set_permissions(&pages, Permissions::from_mode(0o600)).unwrap();
    let mode = "files of the live release have other modes than they were staged with: \
                data/pages.txt (0600, not 0644) [content]\n  hint: set the mode as it was staged: sudo chmod 0644 ";
    assert!(said(&[]).contains(mode), "{}", said(&[]));
    std::fs::set_permissions(&pages, Permissions::from_mode(0o644)).unwrap();
    healthy(&test);
    let added = release.join("data/__pycache__");
    std::fs::create_dir(&added).unwrap();
    std::fs::write(added.join("x.pyc"), "x").unwrap();
    let words = "warning: files were added to the live release by hand: data/__pycache__ [content]\n  \
         hint: create a directory of root alone: sudo install -d -m 700 /root/shop-added\n  \
         hint: move them there: sudo mv --backup=numbered --target-directory /root/shop-added ";
    assert!(said(&[]).contains(words), "{}", said(&[]));
    std::fs::remove_dir_all(&added).unwrap();
    healthy(&test);
    let was = pages.metadata().unwrap().modified().unwrap();
    std::fs::write(&pages, "one\nTWO\n").unwrap();
    let file = File::options().write(true).open(&pages).unwrap();
    file.set_modified(was).unwrap();
    healthy(&test);
    let words = "error: files of the live release were changed by hand: data/pages.txt [content]\n";
    let digests = said(&["--digests"]);
    assert!(digests.contains(words), "{digests}");
    std::fs::remove_file(&pages).unwrap();
    std::os::unix::fs::symlink("big.bin", &pages).unwrap();
    assert!(said(&[]).contains(words), "{}", said(&[]));
}

/// systemd prefers the administrator's unit to a generated one of the same name. A mask and a drop-in
/// are deliberate and not reported.
#[test]
fn a_unit_that_shadows_a_generated_one_is_found() {
    let test = app();
    deploy(&test);
    let own = test.root("etc/systemd/system/shop-web.service");
    std::os::unix::fs::symlink("/dev/null", &own).unwrap();
    healthy(&test);
    std::fs::remove_file(&own).unwrap();
    let drop_in = test.root("etc/systemd/system/shop-web.service.d");
    std::fs::create_dir(&drop_in).unwrap();
    std::fs::write(drop_in.join("50-local.conf"), "[Service]\nNice=5\n").unwrap();
    healthy(&test);
    std::fs::write(&own, "[Service]\nExecStart=/bin/true\n").unwrap();
    found(
        &test,
        "warning: `/etc/systemd/system/shop-web.service` hides the generated unit, and cannot be \
         masked [shadowed]\n  hint: write what you changed to \
         /etc/systemd/system/shop-web.service.d/50-local.conf, then turn it off: sudo mv \
         [DIR]/root/etc/systemd/system/shop-web.service \
         [DIR]/root/etc/systemd/system/shop-web.service.off\n",
    );
}

#[test]
fn an_app_without_a_live_release_is_a_finding() {
    let test = app();
    deploy(&test);
    let state = test.root("var/lib/robotctl/shop/state.json");
    std::fs::write(
        &state,
        "{ \"format\": 2, \"live\": null, \"since\": null }\n",
    )
    .unwrap();
    let rest = [&["state", "journal", "current"][..], &OF_RUNNING_HOST].concat();
    let rest = all_but(&test, &rest);
    let skipped = format!("skipped: {rest}: no release is live\n{}", nothing_runs());
    let hint = "  hint: deploy: robotctl --root [DIR]/root/ --app shop deploy --apply\n";
    let report = |message: &str| {
        format!("error: {message} [current]\n{hint}{skipped}shop: 1 finding, 3 checks\n")
    };
    let linked =
        "no release is recorded as live, and `/opt/shop/current` points at releases/1.0-[ID]";
    test.run(["doctor"]).stdout(&report(linked)).status(1);
    std::fs::remove_file(test.root("opt/shop/current")).unwrap();
    let ended = test.run(["doctor"]).stdout(&report("no release is live"));
    ended.status(1);
    // The hint helps.
    deploy(&test);
    healthy(&test);
}

/// Notes and skipped checks inform, and the exit code stays 0.
#[test]
fn notes_and_skipped_checks_do_not_change_the_exit_code() {
    let test = crate::plans::releases(2);
    test.run(["rollback", "--service", "web"])
        .any_stderr()
        .success();
    test.run(["doctor"])
        .stdout(&format!(
            "note: service `web` is pinned to 0.1-[ID] [pins]\n  \
             hint: deploy it with the other services: \
             robotctl --root [DIR]/root/ --app shop deploy --lift-pins --apply\n{}",
            looked(&test, "no findings")
        ))
        .success();
    let json = test.run(["doctor", "--format", "json"]).any_stdout();
    let report = json.success().data("report").pop().expect("a report");
    assert_eq!(report["findings"][0]["severity"], "note", "{report}");
    assert_eq!(
        report["skipped"].as_array().map(Vec::len),
        Some(NOT_RUNNING),
        "{report}"
    );
}

/// A check that has nothing to compare with does not count.
#[test]
fn a_check_that_could_not_look_is_skipped_with_the_true_reason() {
    let test = app();
    deploy(&test);
    let id = live(&test);
    let record = |end: &str| test.root(&format!("var/lib/robotctl/shop/releases/{id}.{end}"));
    std::fs::remove_file(record("index")).unwrap();
    let skipped =
        "skipped: content: no index of the release was kept; the next deploy writes one\n";
    let rest = verdict(&test, "no findings", NOT_RUNNING + 1);
    test.run(["doctor"])
        .stdout(&format!("{skipped}{}{rest}", nothing_runs()))
        .success();
    let reason = |said: &str, looked: &[&str]| {
        let run = test.run(["doctor"]).case(said).any_stdout();
        let ended = run.status(1);
        let looked = [looked, &OF_RUNNING_HOST].concat();
        let skipped = format!("skipped: {}: {said}\n", all_but(&test, &looked));
        assert!(ended.stdout.contains(&skipped), "{}", ended.stdout);
    };
    let public = std::fs::read(record("json")).unwrap();
    std::fs::remove_file(record("json")).unwrap();
    let none = "the live release 1.0-[ID] has no record";
    reason(none, &["state", "journal", "current"]);
    std::fs::write(record("json"), "{").unwrap();
    let unreadable = "the record of the live release 1.0-[ID] cannot be read";
    reason(unreadable, &["state", "journal"]);
    std::fs::write(record("json"), public).unwrap();
    std::fs::write(test.root("var/lib/robotctl/shop/state.json"), "{").unwrap();
    reason("the state cannot be read", &["state", "journal"]);
}

/// Hints are pasted by root, so a name must not become a command.
#[test]
fn a_hint_is_safe_to_paste_whatever_the_root_is_called() {
    if !is_root() {
        return not_run("this needs root, to give files to another user");
    }
    let test = app();
    let root = test.outside("my root; touch pwned; $(touch pwned)");
    std::fs::create_dir(&root).unwrap();
    let secret = "[[secret]]\nname = \"TOKEN\"\n";
    test.write("robot.toml", &format!("{MANIFEST}{secret}"));
    let token = root.join("etc/shop/credentials/TOKEN");
    std::fs::create_dir_all(token.parent().unwrap()).unwrap();
    std::fs::write(&token, "x").unwrap();
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    let deploy = test.run(["deploy", "--apply"]).on(&root).any_stderr();
    deploy.success();
    let current = std::fs::canonicalize(root.join("opt/shop/current")).unwrap();
    let file = current.join("data/pages.txt");
    std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    std::fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    let ended = test.run(["doctor"]).on(&root).any_stdout().status(1);
    assert!(
        ended.stdout.contains("shop: 2 findings, "),
        "{}",
        ended.stdout
    );
    let hints = ended.stdout.lines().filter_map(|line| {
        let (_, command) = line.trim().strip_prefix("hint: ")?.split_once(": ")?;
        command.strip_prefix("sudo ")
    });
    for command in hints {
        let dir = test.outside("").display().to_string();
        let command = command.replace("[DIR]", dir.trim_end_matches('/'));
        let command = command.replace("[ID]", live_digest(&current));
        let mut sh = Command::new("sh");
        sh.args(["-c", &command]).current_dir(test.app(""));
        assert!(sh.status().unwrap().success(), "{command}");
    }
    assert!(!test.app("pwned").exists(), "a name became a command");
    let ended = test.run(["doctor"]).on(&root).any_stdout();
    ended.success();
}

/// The digest at the end of a release's id.
fn live_digest(release: &Path) -> &str {
    let name = release.file_name().and_then(std::ffi::OsStr::to_str);
    name.and_then(|name| name.rsplit_once('-'))
        .expect("an id")
        .1
}

/// In another directory, a deploy in a hint names the manifest that the app was deployed from.
#[test]
fn a_deploy_in_a_hint_works_in_every_directory() {
    let test = app();
    deploy(&test);
    let unit = test.root("usr/local/lib/systemd/system/shop-web.service");
    let by_hand = std::fs::read_to_string(&unit).unwrap() + "# by hand\n";
    std::fs::write(&unit, by_hand).unwrap();
    let elsewhere = test.outside("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let hint = |dir: &Path| {
        let ended = test.run(["doctor"]).from(dir).any_stdout().status(1);
        let hints = ended
            .stdout
            .lines()
            .filter(|line| line.contains(" deploy "));
        let hints: Vec<String> = hints.map(str::to_owned).collect();
        hints.join("\n")
    };
    let here = hint(&test.app(""));
    assert!(here.contains(" --app shop deploy "), "{here}");
    let there = hint(&elsewhere);
    let command = " --manifest [DIR]/app/robot.toml deploy ";
    assert!(there.lines().all(|line| line.contains(command)), "{there}");
    assert!(!there.is_empty());
    // A manifest that would deploy something else is not named.
    test.write(
        "robot.toml",
        &crate::test::SHOP.replace("\"src\"", "\"other\""),
    );
    let other = hint(&elsewhere);
    assert!(other.contains(" --app shop deploy "), "{other}");
}

/// The only attempt failed: the doctor and `status` say why, and other apps are not mixed up with it.
#[test]
fn the_cause_of_a_failed_first_deploy_is_kept() {
    let test = app();
    let other = test.root("var/lib/robotctl/other");
    let records = other.join("releases");
    std::fs::create_dir_all(&records).unwrap();
    let record = r#"{"format":2,"id":"1.0-aa","version":"1.0","environment":null,"staged":"2026-11-30T12:00:00Z","mark":"staged","units":[]}"#;
    std::fs::write(records.join("1.0-aa.json"), record).unwrap();
    let event = |kind: &str, message: &str| {
        format!(
            "{{\"ts\":\"2026-11-30T12:00:00Z\",\"trace_id\":\"1\",\"app\":\"other\",\"environment\":null,\
             \"release\":\"1.0-aa\",\"service\":null,\"event\":\"{kind}\",\"level\":\"error\",\"message\":\"{message}\"}}\n"
        )
    };
    let history = event("failed", "service `web`: it ended\\n    line")
        + &event("restored", "restored: no release is live");
    std::fs::write(other.join("history.jsonl"), history).unwrap();
    let elsewhere = test.outside("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let cause = "no release is live, and the last one, 1.0-aa, failed: service `web`: it ended";
    let report = test.run(["doctor"]).from(&elsewhere).any_stdout().status(1);
    let fix = "hint: fix the cause and deploy again, in the directory of the app's robot.toml: \
               robotctl --root [DIR]/root/ --app other deploy --apply\n";
    assert!(
        report
            .stdout
            .contains(&format!("error: {cause} [current]\n  {fix}")),
        "{}",
        report.stdout
    );
    let status = test.run(["status"]).from(&elsewhere).any_stdout().success();
    let line = format!(
        "other: {cause}\n  what to do about it: robotctl --root [DIR]/root/ --app other doctor\n"
    );
    assert_eq!(status.stdout, line);
    // An app of which a release is live is the only one that is deployed.
    deploy(&test);
    let releases = test.run(["rollback", "--dry-run"]).from(&elsewhere);
    let refused = releases.any_stderr().status(2);
    assert!(
        refused.stderr.contains("it is the first one of `shop`"),
        "{}",
        refused.stderr
    );
}

/// A rollback takes no release that failed, so that it would not help where no other one is left.
#[test]
fn a_rollback_is_suggested_only_where_it_finds_a_release() {
    let test = crate::plans::releases(1);
    let first = format!("var/lib/robotctl/shop/releases/{}.json", live(&test));
    let first = test.root(&first);
    version(&test, 2);
    deploy(&test);
    std::fs::remove_dir_all(test.root("opt/shop/releases").join(live(&test))).unwrap();
    let fix = |test: &Test| {
        let report = test.run(["doctor"]).any_stdout().any_stderr().status(1);
        let (_, rest) = report
            .stdout
            .split_once("the live release is missing")
            .unwrap();
        rest.lines().nth(1).unwrap().to_owned()
    };
    let found = fix(&test);
    assert!(found.contains("roll back, or deploy it again"), "{found}");
    let record = std::fs::read_to_string(&first).unwrap();
    let failed = record.replace("\"mark\": \"good\"", "\"mark\": \"bad\", \"why\": \"x\"");
    assert_ne!(record, failed);
    std::fs::write(&first, failed).unwrap();
    let found = fix(&test);
    assert!(!found.contains("rollback"), "{found}");
    assert!(found.contains("deploy"), "{found}");
}
