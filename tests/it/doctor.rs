//! What `doctor` finds on a host that was changed by hand.

use crate::offline::{app, deploy, live};
use crate::test::Test;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Fails unless `doctor` reports exactly this one finding.
fn found(test: &Test, said: &str) {
    let ended = test.run(["doctor"]).case(said).any_stdout().status(1);
    let verdict = ended.stdout.strip_prefix(said);
    let verdict = verdict.unwrap_or_else(|| panic!("{said}---\n{}", ended.stdout));
    assert!(verdict.starts_with("shop: 1 finding, "), "{verdict}");
}

fn healthy(test: &Test) {
    let ended = test.run(["doctor"]).any_stdout().success();
    assert!(
        ended.stdout.starts_with("shop: healthy, "),
        "{}",
        ended.stdout
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
    let hint = format!("  hint: roll back, then deploy it again: {robotctl} rollback\n");
    let said = "error: files of the live release are missing: data/big.bin [content]\n";
    found(&test, &format!("{said}{hint}"));
    std::fs::rename(&aside, &big).unwrap();
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
         masked [shadowed]\n  hint: make it a drop-in: \
         /etc/systemd/system/shop-web.service.d/50-local.conf\n",
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
    let skipped = "skipped: content, files, shadowed, units, running, tmpfiles, permissions, \
                   secrets, ports, manifest, pins, disk: no release is live\n";
    let hint = "  hint: deploy, in the directory of the app's robot.toml: \
                robotctl --root [DIR]/root/ deploy --apply\n";
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
        .stdout(
            "note: service `web` is pinned to 0.1-[ID] [pins]\n  \
             hint: deploy it with the other services: \
             robotctl --root [DIR]/root/ deploy --lift-pins --apply\n\
             shop: healthy, 15 checks\n",
        )
        .success();
    let json = test.run(["doctor", "--format", "json"]).any_stdout();
    let report = json.success().data("report").pop().expect("a report");
    assert_eq!(report["findings"][0]["severity"], "note", "{report}");
    assert_eq!(
        report["skipped"].as_array().map(Vec::len),
        Some(0),
        "{report}"
    );
}
