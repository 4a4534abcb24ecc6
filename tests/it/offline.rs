//! Deploy, upgrade and rollback with `--root`, on a tree that is not running.

use crate::test::Test;
use crate::tree::{self, Kind, Tree};

pub(crate) const MANIFEST: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                        [release]\nsource = \"src\"\nexclude = [\"*.log\", \"/tests/\"]\n\
                        [service.web]\nexec = [\"{current}/bin/web\"]\ntype = \"notify\"\n\
                        listen = [\"127.0.0.1:8080\"]\n";
const JOB: &str = "[service.job]\nexec = [\"{current}/bin/web\", \"job\"]\n\
                   timer = { calendar = \"daily\" }\n";

pub(crate) fn app() -> Test {
    Test::new()
        .manifest(&format!("{MANIFEST}{JOB}"))
        .program("src/bin/web", "#!/bin/sh\n")
        .file("src/data/pages.txt", "one\ntwo\n")
        .file("src/data/big.bin", &"0123456789".repeat(10_000))
        .file("src/debug.log", "noise")
        .file("src/tests/it.py", "noise")
        .link("src/data/latest", "pages.txt")
}

#[track_caller]
pub(crate) fn deploy(test: &Test) {
    let run = test.run(["deploy", "--apply"]);
    run.any_stderr().success();
}

/// What `current` names.
pub(crate) fn live(test: &Test) -> String {
    let link = std::fs::read_link(test.root("opt/shop/current")).expect("current is a link");
    let link = link.to_string_lossy().into_owned();
    let id = link.strip_prefix("releases/").expect("relative");
    id.to_owned()
}

/// What an app installs on a host, without the releases and the records.
pub(crate) fn host(test: &Test) -> Tree {
    tree::only(&test.tree(), |path| {
        !path.starts_with("opt/shop/releases/") && !path.starts_with("var/lib/robotctl")
    })
}

#[test]
fn a_first_deploy_installs_everything() {
    let test = app();
    test.run(["deploy", "--apply"])
        .stderr(
            "shop: staging 1.0-[ID]\nshop: `current` points at 1.0-[ID]\n\
             shop: 1.0-[ID] is live (previous release: none)\n",
        )
        .success();
    let id = live(&test);
    let release = tree::read(&test.root(&format!("opt/shop/releases/{id}")));
    let names: Vec<&str> = release.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "bin",
            "bin/web",
            "data",
            "data/big.bin",
            "data/latest",
            "data/pages.txt"
        ]
    );
    assert_eq!(release["data/latest"].kind, Kind::Link("pages.txt".into()));
    let tree = test.tree();
    for (path, mode) in [
        ("etc/shop/env", 0o600),
        ("etc/shop/credentials", 0o700),
        ("var/lib/shop", 0o750),
        ("var/lib/robotctl/shop", 0o711),
        ("opt/shop", 0o755),
        ("opt/shop/releases", 0o755),
        ("usr/local/lib/systemd/system/shop-web.service", 0o644),
    ] {
        let fact = tree.get(path).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(fact.mode, mode, "{path}");
    }
    let passwd = std::fs::read_to_string(test.root("etc/passwd")).expect("the users exist");
    assert!(passwd.contains("\nshop:") || passwd.starts_with("shop:"));
    // The units are those that `generate` writes.
    let out = test.outside("generated");
    test.run([
        "generate",
        "--quiet",
        "--output",
        &out.display().to_string(),
    ])
    .success();
    for (path, fact) in tree::read(&out) {
        if fact.kind != Kind::Dir {
            assert_eq!(tree.get(&path), Some(&fact), "{path}");
        }
    }
    test.run(["generate", "--check"]).success();
    let nowhere = test.outside("nowhere").display().to_string();
    test.run(["generate", "--check", "--output", &nowhere])
        .stderr(
            "error: there is no directory `[DIR]/nowhere` to compare with\n\n\
             hint: write the files first: robotctl --root [DIR]/root/ generate --output DIR\n",
        )
        .status(2);
}

#[test]
fn a_second_deploy_of_the_same_release_does_nothing() {
    let test = app();
    test.settle("src/tests/it.py");
    deploy(&test);
    let before = test.state();
    test.run(["deploy", "--apply"])
        .stderr("nothing to do: shop 1.0-[ID] is live\n")
        .success();
    test.run(["deploy"])
        .stdout("nothing to do: shop 1.0-[ID] is live\n")
        .success();
    tree::assert_same(&before, &test.state(), "a deploy of the same changed");
}

#[test]
fn an_upgrade_removes_old_units_and_a_rollback_restores_them() {
    let test = app();
    deploy(&test);
    let (first, old) = (live(&test), host(&test));
    let manifest = MANIFEST
        .replace("8080", "9090")
        .replace("\"1.0\"", "\"2.0\"");
    test.write("robot.toml", &format!("{manifest}[env]\nNEW = \"1\"\n"));
    test.write("src/new.txt", "new");
    deploy(&test);
    let new = host(&test);
    let removed = "usr/local/lib/systemd/system/shop-job.timer";
    assert!(old.contains_key(removed) && !new.contains_key(removed));
    let leftover = new.keys().find(|path| path.contains("shop-job"));
    assert_eq!(leftover, None, "something of the job is still there");
    assert!(live(&test).starts_with("2.0-"));

    test.run(["rollback"])
        .stderr(
            "shop: `current` points at 1.0-[ID]\nshop: 1.0-[ID] is live, in place of 2.0-[ID]\n",
        )
        .success();
    assert_eq!(live(&test), first);
    tree::assert_same(&old, &host(&test), "a rollback left another host");
    test.run(["rollback"])
        .stderr(
            "error: 1.0-[ID] has no previous release: it is the first one of `shop`\n\n\
             hint: list the releases: robotctl --root [DIR]/root/ releases\n",
        )
        .status(2);
    // Forward again, by name.
    test.run(["rollback", "2.0"]).any_stderr().success();
    tree::assert_same(&new, &host(&test), "going forward left another host");
}

#[test]
fn changes_of_the_administrator_are_kept() {
    let test = app();
    deploy(&test);
    let link = test.root("etc/systemd/system/sockets.target.wants/shop-web.socket");
    std::fs::remove_file(&link).expect("disable the socket");
    std::fs::write(test.root("etc/shop/env"), "MINE=1\n").expect("write");
    let local = "usr/local/lib/systemd/system/shop-web.service.d/50-local.conf";
    std::fs::write(test.root(local), "[Service]\nNice=5\n").expect("write");
    test.write("src/data/pages.txt", "three\n");
    let ended = test.run(["deploy", "--apply"]).any_stderr().success();
    assert!(
        ended
            .stderr
            .contains("`shop-web.socket` was disabled by the administrator and stays disabled"),
        "{}",
        ended.stderr
    );
    assert!(link.symlink_metadata().is_err());
    let env = std::fs::read_to_string(test.root("etc/shop/env")).unwrap();
    assert_eq!(env, "MINE=1\n");
    assert!(test.root(local).exists());
}

#[test]
fn readers_print_json() {
    let test = app();
    deploy(&test);
    test.write("src/data/pages.txt", "three\n");
    deploy(&test);
    let json = |command: &str| {
        let run = test.run([command, "--format", "json"]);
        run.any_stdout().success()
    };
    let status = json("status").data("status");
    assert_eq!(status[0]["app"], "shop");
    assert_eq!(status[0]["live"], "1.0-[ID]");
    assert_eq!(status[0]["current"], "releases/1.0-[ID]");
    assert_eq!(status[0]["interrupted"], false);
    let releases = json("releases").data("release");
    let which: Vec<bool> = releases
        .iter()
        .map(|release| release["live"].as_bool().unwrap())
        .collect();
    assert_eq!(which, [false, true], "in the order of staging");
    let history = json("history").of_kind("event");
    let events: Vec<&str> = history
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["deployed", "deployed"]);
    for event in &history {
        for key in ["ts", "trace_id", "app", "release", "level", "message"] {
            assert!(event[key].is_string(), "{key} of {event}");
        }
    }
    // A deploy in JSON is one event a line, and the result.
    test.write("src/data/pages.txt", "four\n");
    let ended = test
        .run(["deploy", "--apply", "--format", "json"])
        .any_stdout()
        .success();
    let events = ended.of_kind("event");
    for event in &events {
        assert_eq!(event["app"], "shop", "{event}");
    }
    assert!(events.len() >= 3, "{}", ended.stdout);
    assert_eq!(ended.json().len(), events.len() + 1, "{}", ended.stdout);
    let ended = test.run(["releases"]).any_stdout().success();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[2].starts_with("* shop 1.0-[ID]  20") && lines[2].ends_with("Z  good"));
    test.run(["history"]).any_stdout().success();
    test.run(["status"]).any_stdout().success();
}

/// The records say that the release is live, but the disk decides.
#[test]
fn a_deploy_repairs_a_live_release_that_is_missing() {
    let test = app();
    deploy(&test);
    // The records hold the time of staging.
    let seen = || {
        let mut tree = test.state();
        tree.retain(|path, _| !path.starts_with("var/lib/robotctl/"));
        tree
    };
    let before = seen();
    let id = live(&test);
    let current = test.root("opt/shop/current");
    let releases = test.root("opt/shop/releases");
    let losses: [(&str, &dyn Fn()); 3] = [
        ("`/opt/shop/current` is missing", &|| {
            std::fs::remove_file(&current).unwrap();
        }),
        ("`/opt/shop/current` points at `/etc`", &|| {
            std::fs::remove_file(&current).unwrap();
            std::os::unix::fs::symlink("/etc", &current).unwrap();
        }),
        ("the live release 1.0-[ID] is missing", &|| {
            std::fs::remove_dir_all(releases.join(&id)).unwrap();
        }),
    ];
    for (wrong, lose) in losses {
        lose();
        let plan = test.run(["deploy"]).any_stdout().any_stderr().success();
        assert!(
            plan.stdout.contains(&format!("repair: {wrong}")),
            "{}",
            plan.stdout
        );
        deploy(&test);
        tree::assert_same(&before, &seen(), wrong);
    }
}

/// How many releases are on the host.
fn releases(test: &Test) -> usize {
    let releases = std::fs::read_dir(test.root("opt/shop/releases"));
    releases.expect("list").count()
}

#[test]
fn a_change_of_a_key_that_no_file_shows_is_deployed() {
    let test = app();
    for content in ["one", "two", "three", "four", "five"] {
        test.write("src/data/pages.txt", content);
        deploy(&test);
    }
    assert_eq!(releases(&test), 5);
    let written = |rest: &str| {
        let keep = format!("{MANIFEST}{rest}{JOB}").replace("[release]\n", "[release]\nkeep = 2\n");
        test.write("robot.toml", &keep);
    };
    written("");
    let shown = test.run(["deploy"]).any_stdout().any_stderr().success();
    let lines = shown.stdout.lines();
    let lines: Vec<&str> = lines.filter(|it| it.starts_with("manifest: ")).collect();
    assert_eq!(lines, ["manifest: release.keep"]);
    assert!(
        !shown.stdout.contains("files on the host"),
        "{}",
        shown.stdout
    );
    let before = live(&test);
    deploy(&test);
    assert_ne!(live(&test), before);
    assert_eq!(releases(&test), 2);
    test.run(["prune"])
        .stdout("shop: nothing to remove\n")
        .success();
    test.run(["prune", "--apply"])
        .stderr("shop: nothing was removed\n")
        .success();
    assert_eq!(releases(&test), 2);
    // Checks and hooks are part of a release; comments are not.
    for (rest, is_new) in [
        ("check = [{ http = \"/\" }]\n", true),
        ("check = [{ http = \"/\" }] # The start page.\n", false),
        ("pre-check = false\n", true),
        ("[hooks]\nafter-switch = [[\"{current}/bin/web\"]]\n", true),
    ] {
        let before = live(&test);
        written(rest);
        test.run(["deploy", "--apply"]).any_stderr().success();
        assert_eq!(live(&test) != before, is_new, "{rest}");
    }
}

/// systemd-tmpfiles(8) and systemd-sysusers(8) refuse a root with `..` in it.
#[test]
fn the_root_may_be_relative_have_dots_or_be_a_link() {
    for typed in ["../root", "[DIR]/app/../root", "../link", "[DIR]/link/"] {
        let test = app();
        let dir = test.outside("");
        std::os::unix::fs::symlink("root", test.outside("link")).expect("make a link");
        let typed = typed.replace("[DIR]/", dir.to_str().expect("UTF-8"));
        let run = test.run(["deploy", "--apply"]).case(&typed);
        run.on(std::path::Path::new(&typed)).any_stderr().success();
        assert!(live(&test).starts_with("1.0-"), "{typed}");
        assert!(test.root("var/lib/shop").is_dir(), "{typed}");
    }
}
