//! What goes, and what stays: old releases, and the whole app.

use crate::offline::{app, deploy, live};
use crate::tree::Kind;
use std::process::{Command, Stdio};

#[test]
fn prune_keeps_the_live_one_and_the_one_before() {
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
    test.run(["prune", "--keep", "1"]).any_stderr().success();
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
fn failed_releases_never_use_up_keep() {
    let test = app();
    for number in 0..5 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
        if matches!(number, 2 | 3) {
            // As a release that failed under its checks, for which systemd is needed, is marked.
            let id = live(&test).rsplit('/').next().unwrap().to_owned();
            let path = test.root(&format!("var/lib/robotctl/shop/releases/{id}.json"));
            let record = std::fs::read_to_string(&path).unwrap();
            let bad = "\"mark\": \"bad\", \"why\": \"no\"";
            let record = record.replace("\"mark\": \"good\"", bad);
            std::fs::write(&path, record).unwrap();
        }
    }
    // Of the failed, the newest stays as evidence.
    assert_eq!(marks(&test), ["bad", "good", "good", "good"]);
    test.run(["prune", "--keep", "2"]).any_stderr().success();
    assert_eq!(marks(&test), ["bad", "good", "good"]);

    // The one that is gone is remembered all the same, until it proves otherwise.
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
    test.run(["prune", "--keep", "1"]).any_stderr().success();
    test.write("src/data/pages.txt", "2\n");
    deploy(&test);
}

#[test]
fn what_is_known_outlives_a_file_system_that_is_not_mounted() {
    let test = app();
    for number in 0..3 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
    }
    let (there, away) = (test.root("opt/shop"), test.root("shop"));
    std::fs::rename(&there, &away).unwrap();
    test.run(["rollback"]).any_stderr().status(2);
    test.run(["prune", "--keep", "1"]).any_stderr().status(2);
    // Nor when the state was lost too, and the link cannot be seen.
    let state = test.root("var/lib/robotctl/shop/state.json");
    let was = std::fs::read(&state).unwrap();
    std::fs::remove_file(&state).unwrap();
    test.run(["prune", "--keep", "1"])
        .stderr(
            "error: `/opt/shop/releases` is not there, nothing was pruned\n\n\
             hint: mount the file system of /opt/shop, or deploy again\n",
        )
        .status(2);
    std::fs::write(&state, was).unwrap();
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(marks(&test), ["good", "good", "good"]);
    test.run(["rollback"]).any_stderr().success();
}

#[test]
fn remove_leaves_state_and_settings_unless_purged() {
    let test = app();
    deploy(&test);
    std::fs::write(test.root("var/lib/shop/shop.db"), "data").unwrap();
    test.run(["remove"])
        .stderr(
            "shop was removed\n\
             its state in /var/lib/shop, its settings in /etc/shop and its accounts are still \
             there\n",
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
    test.run(["remove", "--purge"]).any_stderr().success();
    let left = test.tree();
    // Mount points in the empty root of all services are in memory, and go with the next boot.
    let volatile = |path: &str| path.starts_with("run/robotctl/root/");
    let own = left
        .keys()
        .find(|path| path.contains("shop") && !volatile(path));
    assert_eq!(own, None, "something was left");
    test.run(["remove"])
        .stderr(
            "error: `shop` is not deployed on this host\n\n\
             hint: `robotctl --root [DIR]/root/ status` tells what is\n",
        )
        .status(2);
}

/// What nobody knows the units of cannot be stopped: it is not said to be gone.
#[test]
fn what_is_live_and_unknown_is_not_removed() {
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
        for args in [["remove", "--dry-run"], ["remove", "--purge"]] {
            let case = format!("{args:?}");
            test.run(args).case(&case).stderr(why).status(2);
            crate::tree::assert_same(&before, &test.state(), &case);
        }
    };
    let state = format!("[DIR]/root/{store}/state.json");
    let robotctl = "robotctl --root [DIR]/root/";
    refused(&format!(
        "error: the live release 1.0-[ID] has no record\n\n\
         hint: sudo mv {state} {state}.damaged, then `{robotctl} doctor` and, where the app's \
         robot.toml lies, `{robotctl} deploy --apply`\n"
    ));
    std::fs::remove_file(test.root(&format!("{store}/state.json"))).unwrap();
    refused(
        "error: `/opt/shop/current` leads to 1.0-[ID], and nothing is recorded of what that \
         installed\n\n\
         hint: deploy it again, then remove it\n",
    );
    assert_ne!(live(&test), first);
    deploy(&test);
    test.run(["remove"]).any_stderr().success();
    assert!(!test.root("opt/shop").exists());
}

/// The last step of a removal lets go of the name: whoever comes then begins anew, and nothing of
/// that is swept or burned by the end of the removal.
#[test]
fn the_end_of_a_removal_touches_nothing_of_the_next_app() {
    let test = app();
    deploy(&test);
    let store = test.root("var/lib/robotctl/shop");
    // Until the book loses its name: that is where the signal comes.
    let until = |signal: &str, command: &str| {
        let inject = format!("inject=/^rename:signal={signal}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, "-P"]);
        strace.arg(&store).arg(env!("CARGO_BIN_EXE_robotctl"));
        strace.arg(command).arg("--root").arg(test.root(""));
        let quiet = strace.current_dir(test.app("")).stderr(Stdio::null());
        quiet.spawn().expect("start strace")
    };
    let killed = until("KILL", "remove").wait().unwrap();
    assert!(!killed.success() && store.join("journal.json").exists());
    let mut stopped = until("STOP", "recover");
    while store.exists() {
        assert_eq!(stopped.try_wait().unwrap(), None, "it went on");
        std::thread::yield_now();
    }
    // As a deploy that has come as far as staging.
    let staging = test.root("opt/shop/releases/.staging-1");
    for dir in [&store, &staging] {
        std::fs::create_dir_all(dir).unwrap();
    }
    std::fs::write(store.join("lock"), "deploying").unwrap();
    let parent = stopped.id().to_string();
    // It is stopped again if it burns another.
    let ended = loop {
        let mut go_on = Command::new("pkill");
        go_on.args(["--signal", "CONT", "--parent", &parent]);
        go_on.status().expect("start pkill");
        if let Some(status) = stopped.try_wait().unwrap() {
            break status;
        }
    };
    assert!(ended.success());
    assert!(staging.exists(), "its staging was swept");
    assert!(store.join("lock").exists(), "its book was burned");
}

#[test]
fn a_removal_can_be_looked_at_and_purged_later() {
    let test = app();
    deploy(&test);
    std::fs::write(test.root("var/lib/shop/shop.db"), "data").unwrap();
    let before = test.tree();
    let shown = test.run(["remove", "--purge", "--dry-run"]).any_stdout();
    let shown = shown.success().stdout;
    for part in [
        "files that would be removed:\n  ",
        "  /usr/local/lib/systemd/system/shop-web.service\n",
        "directories that would be removed:\n  /opt/shop\n  /var/lib/shop\n",
        "its accounts are still there",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = test.run(["remove", "--dry-run"]).any_stdout().success();
    assert!(
        !shown.stdout.contains("  /var/lib/shop\n"),
        "{}",
        shown.stdout
    );
    crate::tree::assert_same(&before, &test.tree(), "a look changed something");
    test.run(["remove"]).any_stderr().success();
    test.run(["remove", "--purge", "--app", "shop"])
        .stderr(
            "shop was removed\n\
             its accounts are still there: other files may be theirs\n",
        )
        .success();
    for path in ["var/lib/shop", "etc/shop", "var/lib/robotctl/shop"] {
        assert!(!test.root(path).exists(), "{path}");
    }
    // What is not an app's is none of its leftovers.
    std::fs::create_dir_all(test.root("var/lib/other")).unwrap();
    let run = test.run(["remove", "--purge", "--app", "other"]);
    run.any_stderr().status(2);
    assert!(test.root("var/lib/other").exists());
}

#[test]
fn prune_takes_one_app_or_is_told_to_take_all() {
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
    test.run(["prune", "--keep", "2"]).any_stderr().success();
    assert_eq!((count("second"), count("shop")), (2, 3));
    let run = test.run(["prune", "--keep", "2", "--all"]).from(&elsewhere);
    run.any_stderr().success();
    assert_eq!((count("second"), count("shop")), (2, 2));
}
