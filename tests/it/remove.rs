//! Prune and remove: what they delete, and what they keep.

use crate::damaged_records::recovery_hints;
use crate::offline::{app, deploy, live};
use crate::tree::Kind;
use std::process::{Command, Stdio};

#[test]
fn prune_keeps_the_live_and_the_previous_release() {
    let test = app();
    for number in 0..8 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
    }
    let count = || {
        let names = std::fs::read_dir(test.root("opt/shop/releases")).unwrap();
        names.count()
    };
    assert_eq!(count(), 5, "`keep` is 5");
    test.run(["prune", "--keep", "1", "--apply"])
        .any_stderr()
        .success();
    assert_eq!(count(), 2);
    let before = live(&test);
    test.run(["rollback"]).any_stderr().success();
    assert_ne!(live(&test), before);
}

/// The releases of shop by their marks, as recorded.
fn marks(test: &crate::test::Test) -> Vec<String> {
    let dir = test.root("var/lib/robotctl/shop/releases");
    let names = std::fs::read_dir(dir).unwrap();
    let records = names.map(|name| name.unwrap().path());
    let records = records.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let texts = records.map(|path| std::fs::read_to_string(path).unwrap());
    let mut marks: Vec<String> = texts
        .map(|text| {
            let record: serde_json::Value = serde_json::from_str(&text).unwrap();
            record["mark"].as_str().unwrap().to_owned()
        })
        .collect();
    marks.sort();
    marks
}

#[test]
fn failed_releases_do_not_count_for_keep() {
    let test = app();
    for number in 0..5 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
        if matches!(number, 2 | 3) {
            // Checks need a running systemd, so the mark is written here.
            let id = live(&test).rsplit('/').next().unwrap().to_owned();
            let path = test.root(&format!("var/lib/robotctl/shop/releases/{id}.json"));
            let record = std::fs::read_to_string(&path).unwrap();
            let bad = "\"mark\": \"bad\", \"why\": \"no\"";
            let record = record.replace("\"mark\": \"good\"", bad);
            std::fs::write(&path, record).unwrap();
        }
    }
    // The newest failed release is kept for inspection.
    assert_eq!(marks(&test), ["bad", "good", "good", "good"]);
    test.run(["prune", "--keep", "2", "--apply"])
        .any_stderr()
        .success();
    assert_eq!(marks(&test), ["bad", "good", "good"]);

    // A failed release that was removed is still refused, until it was deployed with `--force`.
    test.write("src/data/pages.txt", "2\n");
    let again = ["deploy", "--apply"];
    let refused = test.run(again).any_stdout().any_stderr().status(2);
    assert!(
        refused.stderr.contains("failed before: no"),
        "{}",
        refused.stderr
    );
    let forced = [again[0], again[1], "--force"];
    test.run(forced).any_stdout().any_stderr().success();
    for number in 5..8 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
    }
    test.run(["prune", "--keep", "1", "--apply"])
        .any_stderr()
        .success();
    test.write("src/data/pages.txt", "2\n");
    deploy(&test);
}

#[test]
fn records_are_kept_while_the_file_system_of_the_releases_is_not_mounted() {
    let test = app();
    for number in 0..3 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
    }
    let (mounted, away) = (test.root("opt/shop"), test.root("shop"));
    std::fs::rename(&mounted, &away).unwrap();
    test.run(["rollback"]).any_stderr().status(2);
    let prunes = [
        &["prune", "--keep", "1"][..],
        &["prune", "--keep", "1", "--apply"],
    ];
    for args in prunes {
        let run = test.run(args).any_stderr();
        let said = run.status(2).stderr;
        let why = "error: the live release `1.0-[ID]` is missing, so nothing was pruned\n";
        assert!(said.starts_with(why), "{said}");
    }
    // The same without the state, when the link is missing as well.
    let state = test.root("var/lib/robotctl/shop/state.json");
    let was = std::fs::read(&state).unwrap();
    std::fs::remove_file(&state).unwrap();
    for args in prunes {
        test.run(args)
            .stderr(
                "error: `/opt/shop/releases` is missing, so nothing was pruned\n\n\
                 hint: mount the file system of /opt/shop, or deploy again: \
                 robotctl --root [DIR]/root/ deploy --apply\n",
            )
            .status(2);
    }
    std::fs::write(&state, was).unwrap();
    std::fs::rename(&away, &mounted).unwrap();
    assert_eq!(marks(&test), ["good", "good", "good"]);
    test.run(["rollback"]).any_stderr().success();
}

#[test]
fn remove_keeps_state_and_settings_without_purge() {
    let test = app();
    deploy(&test);
    std::fs::write(test.root("var/lib/shop/shop.db"), "data").unwrap();
    test.run(["remove", "--apply"])
        .stderr(
            "shop was removed\n\
             its state in /var/lib/shop, its settings in /etc/shop and its accounts are kept\n",
        )
        .success();
    let left = test.tree();
    let own: Vec<&str> = left
        .iter()
        .filter(|(path, fact)| path.contains("shop") && fact.kind != Kind::Dir)
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!(own, ["etc/shop/env", "var/lib/shop/shop.db"]);
    assert!(!left.contains_key("opt/shop") && !left.contains_key("var/lib/robotctl/shop"));
    deploy(&test);
    test.run(["remove", "--app", "shop", "--purge", "--apply"])
        .any_stderr()
        .success();
    let left = test.tree();
    // The empty root of all services is in memory: its mount points are removed at the next boot.
    let volatile = |path: &str| path.starts_with("run/robotctl/root/");
    let own = left
        .keys()
        .find(|path| path.contains("shop") && !volatile(path));
    assert_eq!(own, None, "a file is left");
    for args in [&["remove"][..], &["remove", "--apply"]] {
        test.run(args)
            .stderr(
                "error: there is no app `shop` on this host\n\n\
                 hint: check the name: no app is deployed\n",
            )
            .status(2);
    }
}

/// Without the record, robotctl does not know the units that it must stop.
#[test]
fn an_app_whose_live_release_has_no_record_is_not_removed() {
    let test = app();
    deploy(&test);
    let first = live(&test);
    test.write("src/data/pages.txt", "another");
    deploy(&test);
    let store = "var/lib/robotctl/shop";
    let record = test.root(&format!("{store}/releases/{}.json", live(&test)));
    std::fs::remove_file(&record).unwrap();
    let refused = |why: &str| {
        let before = test.state();
        for args in [
            &["remove"][..],
            &["remove", "--apply"],
            &["remove", "--app", "shop", "--purge", "--apply"],
        ] {
            let case = format!("{args:?}");
            test.run(args).case(&case).stderr(why).status(2);
            crate::tree::assert_same(&before, &test.state(), &case);
        }
    };
    let state = format!("[DIR]/root/{store}/state.json");
    refused(&format!(
        "error: `{state}` cannot be read: the live release 1.0-[ID] has no record\n\n\
         {}",
        recovery_hints(&state)
    ));
    std::fs::remove_file(test.root(&format!("{store}/state.json"))).unwrap();
    refused(
        "error: `/opt/shop/current` leads to 1.0-[ID], and no record says what it installed\n\n\
         hint: deploy it again, then remove it: robotctl --root [DIR]/root/ deploy --apply\n",
    );
    assert_ne!(live(&test), first);
    deploy(&test);
    test.run(["remove", "--apply"]).any_stderr().success();
    assert!(!test.root("opt/shop").exists());
}

/// The last step of a removal renames the records away. Another command can then deploy the app again,
/// and the end of the removal must not delete anything of that.
#[test]
fn a_removal_does_not_touch_a_new_deploy_of_the_same_app() {
    let test = app();
    deploy(&test);
    let store = test.root("var/lib/robotctl/shop");
    // Sends the signal when the directory of the records is renamed.
    let until = |signal: &str, command: &[&str]| {
        let inject = format!("inject=/^rename:signal={signal}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, "-P"]);
        strace.arg(&store).arg(env!("CARGO_BIN_EXE_robotctl"));
        strace.args(command).arg("--root").arg(test.root(""));
        let quiet = strace.current_dir(test.app("")).stderr(Stdio::null());
        quiet.spawn().expect("start strace")
    };
    let killed = until("KILL", &["remove", "--apply"]).wait().unwrap();
    assert!(!killed.success() && store.join("journal.json").exists());
    let mut stopped = until("STOP", &["recover"]);
    while store.exists() {
        assert_eq!(stopped.try_wait().unwrap(), None, "it was not stopped");
        std::thread::yield_now();
    }
    // A new deploy that has begun to stage.
    let staging = test.root("opt/shop/releases/.staging-1");
    for dir in [&store, &staging] {
        std::fs::create_dir_all(dir).unwrap();
    }
    std::fs::write(store.join("lock"), "deploying").unwrap();
    let parent = stopped.id().to_string();
    // It is stopped again if it deletes the new records.
    let ended = loop {
        let mut go_on = Command::new("pkill");
        go_on.args(["--signal", "CONT", "--parent", &parent]);
        go_on.status().expect("start pkill");
        if let Some(status) = stopped.try_wait().unwrap() {
            break status;
        }
    };
    assert!(ended.success());
    assert!(staging.exists(), "the new staging directory was deleted");
    assert!(store.join("lock").exists(), "the new records were deleted");
}

/// systemd notes when a timer has elapsed last. A purge removes the notes of timers that the app has or had,
/// also after a removal without one, and keeps those of an app with a longer name.
#[test]
fn a_purge_removes_the_notes_of_systemd_about_timers() {
    let stamps = "var/lib/systemd/timers";
    for is_removed_first in [false, true] {
        let test = app();
        deploy(&test);
        std::fs::create_dir_all(test.root(stamps)).unwrap();
        std::fs::create_dir_all(test.root("etc/shop-staging")).unwrap();
        let names = [
            "shop-job",
            "shop-old-job",
            "shop-staging-job",
            "shopping-job",
            "apt-daily",
        ];
        for name in names {
            let stamp = format!("{stamps}/stamp-{name}.timer");
            std::fs::write(test.root(&stamp), "").unwrap();
        }
        let left = || {
            let left = std::fs::read_dir(test.root(stamps)).unwrap();
            let names = left.map(|one| one.unwrap().file_name().into_string().unwrap());
            let mut left: Vec<String> = names.collect();
            left.sort();
            left
        };
        let all = left();
        if is_removed_first {
            test.run(["remove", "--apply"]).any_stderr().success();
            assert_eq!(left(), all, "they are state, which a removal keeps");
        }
        let purge = ["remove", "--purge", "--app", "shop"];
        let shown = test.run(purge).any_stdout().any_stderr().success().stdout;
        let stamp = "  - /var/lib/systemd/timers/stamp-shop-job.timer\n";
        assert!(shown.contains(stamp), "{shown}");
        test.run(["remove", "--purge", "--app", "shop", "--apply"])
            .any_stderr()
            .success();
        let kept = ["apt-daily", "shop-staging-job", "shopping-job"];
        assert_eq!(left(), kept.map(|name| format!("stamp-{name}.timer")));
    }
}

#[test]
fn a_removal_can_be_previewed_and_purged_later() {
    let test = app();
    deploy(&test);
    std::fs::write(test.root("var/lib/shop/shop.db"), "data").unwrap();
    let before = test.tree();
    let shown = test
        .run(["remove", "--purge", "--app", "shop"])
        .any_stdout()
        .stderr(
            "\nto apply this plan: \
             robotctl --root [DIR]/root/ --app shop remove --purge --apply\n",
        );
    let shown = shown.success().stdout;
    for part in [
        "files on the host:\n  - ",
        "  - /usr/local/lib/systemd/system/shop-web.service\n",
        "directories:\n  - /opt/shop\n  - /var/lib/shop\n",
        "its accounts are kept",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = test
        .run(["remove"])
        .any_stdout()
        .stderr("\nto apply this plan: robotctl --root [DIR]/root/ remove --apply\n")
        .success();
    assert!(
        !shown.stdout.contains("  - /var/lib/shop\n"),
        "{}",
        shown.stdout
    );
    crate::tree::assert_same(&before, &test.tree(), "a preview changed something");
    test.run(["remove", "--apply"]).any_stderr().success();
    test.run(["remove", "--purge", "--app", "shop", "--apply"])
        .stderr(
            "shop was removed\n\
             its accounts are kept: other files may belong to them\n",
        )
        .success();
    for path in ["var/lib/shop", "etc/shop", "var/lib/robotctl/shop"] {
        assert!(!test.root(path).exists(), "{path}");
    }
    // A directory that does not belong to an app is kept.
    std::fs::create_dir_all(test.root("var/lib/other")).unwrap();
    for args in [
        &["remove", "--purge", "--app", "other"][..],
        &["remove", "--purge", "--app", "other", "--apply"],
    ] {
        test.run(args).any_stderr().status(2);
    }
    assert!(test.root("var/lib/other").exists());
}

#[test]
fn what_a_removal_says_to_type_names_the_app_and_keeps_the_options() {
    let test = app();
    deploy(&test);
    for args in [
        &["remove", "--purge"][..],
        &["remove", "--purge", "--wait", "5", "--apply"],
    ] {
        let hint = format!(
            "error: `--purge` deletes data that nothing can restore, so it needs the app's name\n\n\
             hint: name the app: robotctl --root [DIR]/root/ --app shop {}\n",
            args.join(" ")
        );
        test.run(args).stderr(&hint).status(2);
    }
    // In another directory, the same command without its manifest would mean another app.
    let manifest = test.app("robot.toml").display().to_string();
    test.run(["--manifest", &manifest, "remove", "--wait", "5"])
        .from(&test.outside("."))
        .any_stdout()
        .stderr("\nto apply this plan: robotctl --root [DIR]/root/ remove --wait 5 --apply\n")
        .success();
    let second = std::fs::read_to_string(test.app("robot.toml")).unwrap();
    test.write("robot.toml", &second.replace("\"shop\"", "\"second\""));
    test.run(["remove", "--purge", "--app", "shop"])
        .any_stdout()
        .stderr(
            "\nto apply this plan: robotctl --root [DIR]/root/ --app shop remove --purge --apply\n",
        )
        .success();
}

#[test]
fn prune_works_on_one_app_or_on_all_with_an_option() {
    let test = app();
    let manifest = std::fs::read_to_string(test.app("robot.toml")).unwrap();
    for name in ["shop", "second"] {
        test.write(
            "robot.toml",
            &manifest.replace("\"shop\"", &format!("\"{name}\"")),
        );
        for number in 0..3 {
            test.write("src/data/pages.txt", &format!("{number}\n"));
            deploy(&test);
        }
    }
    let count = |name: &str| {
        let names = std::fs::read_dir(test.root(&format!("opt/{name}/releases")));
        names.unwrap().count()
    };
    let elsewhere = test.outside("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    test.run(["prune", "--keep", "2"])
        .from(&elsewhere)
        .stderr(
            "error: several apps are deployed: second, shop\n\n\
             hint: choose one with `--app NAME`\n",
        )
        .status(2);
    test.run(["prune", "--keep", "2", "--apply"])
        .any_stderr()
        .success();
    assert_eq!((count("second"), count("shop")), (2, 3));
    let run = test
        .run(["prune", "--keep", "2", "--all", "--apply"])
        .from(&elsewhere);
    run.any_stderr().success();
    assert_eq!((count("second"), count("shop")), (2, 2));
}
