//! Files, units and users that belong to another app or to the system are left alone.

use crate::offline::{MANIFEST, app, deploy, host};
use crate::test::Test;
use crate::tree::{self, Kind};
use crate::unsuitable_hosts::{is_root, not_run};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const UNITS: &str = "usr/local/lib/systemd/system";

/// Writes a file on the host and makes its directories.
fn write(test: &Test, path: &str, content: &str) {
    let path = test.root(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
    std::fs::write(path, content).expect("write a file");
}

/// The plan and the deploy are refused with this message and change nothing.
#[track_caller]
fn refused(test: &Test, case: &str, stderr: &str) {
    let before = test.state();
    for arguments in [["deploy", "--quiet"], ["deploy", "--apply"]] {
        let run = test.run(arguments).case(case);
        run.stderr(stderr).status(2);
        tree::assert_same(&before, &test.state(), case);
    }
}

#[test]
fn environments_live_side_by_side() {
    let test = app();
    test.write(
        "robot.toml",
        &format!("{MANIFEST}[environment.staging]\nlisten.web = [\"127.0.0.1:9080\"]\n"),
    );
    deploy(&test);
    let before = host(&test);
    test.run(["deploy", "--apply", "--environment", "staging"])
        .any_stderr()
        .success();
    let after = test.tree();
    assert!(after.contains_key("opt/shop-staging/current"));
    let status = test
        .run(["status", "--app", "shop"])
        .any_stdout()
        .any_stderr();
    let status = status.success().stdout;
    assert!(
        status.contains("  also here: shop-staging, environment staging: "),
        "{status}"
    );
    for (path, fact) in &before {
        // They share the user database only.
        if fact.kind != Kind::Dir && path.contains("shop") {
            assert_eq!(after.get(path), Some(fact), "{path}");
        }
    }
    test.run(["remove", "--purge", "--app", "shop-staging", "--apply"])
        .any_stderr()
        .success();
    assert!(!test.tree().contains_key("opt/shop-staging"));
    assert!(test.tree().contains_key("opt/shop/current"));
}

#[test]
fn directories_of_others_are_not_used() {
    const MARK: &str = "give the app another name; if the directory belongs to this app, create `/etc/shop/env` to confirm it: \
                        sudo install -D -m 600 /dev/null /etc/shop/env";
    for (path, named, hint) in [
        ("var/lib/shop/db", "/var/lib/shop", MARK),
        ("var/cache/shop/x", "/var/cache/shop", MARK),
        ("var/log/shop/x", "/var/log/shop", MARK),
        ("run/shop/x", "/run/shop", MARK),
        ("etc/shop/shop.conf", "/etc/shop", MARK),
        (
            "opt/shop/bin/shop",
            "/opt/shop",
            "give the app another name, or move the directory to another place",
        ),
    ] {
        let test = app();
        write(&test, path, "another program's");
        let stderr =
            format!("error: `{named}` exists already and is not this app's\n\nhint: {hint}\n");
        refused(&test, path, &stderr);
    }
}

/// Links in a tree are resolved inside the tree, absolute and relative ones.
#[test]
fn links_in_a_tree_stay_inside_it() {
    let plain = app();
    deploy(&plain);
    for (place, depth) in [
        ("opt", 0),
        ("var/lib", 1),
        ("etc/systemd", 1),
        ("usr/local/lib", 2),
    ] {
        for absolute in [true, false] {
            let case = format!("{place}, absolute: {absolute}");
            let test = app();
            let outside = test.outside("escape");
            let target = match absolute {
                true => outside.clone(),
                false => {
                    PathBuf::from("../".repeat(depth + 20)).join(outside.strip_prefix("/").unwrap())
                }
            };
            // The link leads to the same path inside the tree.
            let inside = test.root("").join(outside.strip_prefix("/").unwrap());
            for dir in [&outside, &inside, &test.root(place)] {
                std::fs::create_dir_all(dir).unwrap();
            }
            std::fs::remove_dir(test.root(place)).unwrap();
            std::os::unix::fs::symlink(&target, test.root(place)).unwrap();
            deploy(&test);
            let run = test.run(["deploy", "--apply"]).case(&case);
            run.stderr("nothing to do: shop 1.0-[ID] is live\n")
                .success();
            assert_eq!(
                tree::read(&outside).len(),
                0,
                "{case}: the link left the tree"
            );
            let moved = tree::read(&inside);
            for path in tree::read(&plain.root(place)).keys() {
                // The tools of the host create the rest of the plain tree.
                assert!(moved.contains_key(path), "{case}: {path} is missing");
            }
            test.write("src/data/pages.txt", "another");
            deploy(&test);
            test.run(["rollback"]).any_stderr().case(&case).success();
            test.run(["remove", "--purge", "--app", "shop", "--apply"])
                .any_stderr()
                .case(&case)
                .success();
            let left = test.tree();
            let own =
                |path: &&String| path.contains("shop") && !path.starts_with("run/robotctl/root/");
            assert_eq!(left.keys().find(own), None, "{case}: a file is left");
            assert_eq!(
                tree::read(&outside).len(),
                0,
                "{case}: the link left the tree"
            );
        }
    }
}

/// The tools that create users would follow the link.
#[test]
fn a_tree_whose_etc_is_a_link_is_refused() {
    let test = app();
    std::os::unix::fs::symlink(test.outside("escape"), test.root("etc")).unwrap();
    let run = test.run(["deploy", "--apply"]);
    run.stderr(
        "error: `/etc` of the root `[DIR]/root` is a link\n\n\
         hint: make it a directory: the services' users are written there\n",
    )
    .status(2);
    assert_eq!(test.tree().len(), 1, "something was created");
}

#[test]
fn an_account_of_a_person_is_not_used_for_services() {
    for (line, options) in [
        // A person could not log in any longer.
        ("shop:x:1000:1000:Sho P:/home/shop:/bin/bash", ""),
        (
            "shop:x:1000:1000::/home/shop:/usr/sbin/nologin",
            "--home /var/lib/shop",
        ),
        ("shop:x:0:0::/root:/bin/bash", ""),
        (
            "shop:x:105:105::/var/lib/shop:/bin/sh",
            "--shell /usr/sbin/nologin",
        ),
    ] {
        let test = app();
        write(&test, "etc/passwd", &format!("{line}\n"));
        let fields: Vec<&str> = line.split(':').collect();
        let own = match options {
            "" => String::new(),
            options => format!(
                "\nhint: if it is the user of this app alone: sudo usermod --root [DIR]/root {options} shop\n"
            ),
        };
        let stderr = format!(
            "error: the user `shop` exists already, with uid {} and the shell `{}`\n\n\
             hint: give the app another name, or name a system user for its services with `app.user`\n{own}",
            fields[2], fields[6]
        );
        refused(&test, line, &stderr);
    }
}

/// The members of the group of an app read its releases and its files.
#[test]
fn a_group_with_other_members_is_not_used_for_services() {
    for (group, passwd, says) in [
        (
            "shop:x:990:ann,bob",
            "ann:x:1000:1000::/home/ann:/bin/sh\n",
            "error: `ann`, `bob` are members of the group `shop`, which can read the releases and the files of the app\n\n\
             hint: take it out of the group, if it is not meant so: sudo gpasswd --root [DIR]/root --delete ann shop\n\n\
             hint: take it out of the group, if it is not meant so: sudo gpasswd --root [DIR]/root --delete bob shop\n\n",
        ),
        (
            "shop:x:990:",
            "ann:x:1000:990::/home/ann:/bin/sh\n",
            "error: `ann` is a member of the group `shop`, which can read the releases and the files of the app\n\n\
             hint: take it out of the group, if it is not meant so: sudo usermod --root [DIR]/root --gid users ann\n\n",
        ),
        // The program of a system user may need the group.
        (
            "shop:x:990:",
            "mail:x:8:990::/var/mail:/usr/sbin/nologin\n",
            "error: `mail` is a member of the group `shop`, which can read the releases and the files of the app\n\n\
             hint: give the system user `mail` another main group, if it is not meant so\n\n",
        ),
    ] {
        let test = app();
        write(&test, "etc/group", &format!("{group}\n"));
        write(&test, "etc/passwd", passwd);
        let other = "hint: if it is meant so, confirm it with the directory of the settings: \
                     sudo install -d -m 0755 [DIR]/root/etc/shop\n\n\
                     hint: give the app another name, or name a group for its services with `app.group`\n";
        refused(&test, group, &format!("{says}{other}"));
        // The administrator says that it is meant so.
        std::fs::create_dir(test.root("etc/shop")).unwrap();
        deploy(&test);
    }
    // Also after a removal.
    let test = app();
    deploy(&test);
    test.run(["remove", "--apply"]).any_stderr().success();
    write(&test, "etc/group", "shop:x:990:ann\n");
    deploy(&test);
    // Root can read all files.
    let test = app();
    write(&test, "etc/group", "shop:x:990:root\n");
    write(&test, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    deploy(&test);
    // The user of the services is one.
    let test = app();
    write(&test, "etc/group", "shop:x:990:shop\n");
    write(
        &test,
        "etc/passwd",
        "shop:x:990:990::/var/lib/shop:/usr/sbin/nologin\n",
    );
    deploy(&test);
}

/// The account of a person keeps its shell.
#[test]
fn a_login_of_the_user_of_the_services_is_a_note() {
    let test = app();
    deploy(&test);
    for (line, hint) in [
        (
            "shop:x:105:105::/var/lib/shop:/bin/sh",
            "if it is the user of this app alone: sudo usermod --root [DIR]/root --shell /usr/sbin/nologin shop",
        ),
        (
            "shop:x:1000:1000::/home/shop:/bin/sh",
            "name a system user for the services with `app.user`, and deploy again",
        ),
    ] {
        write(&test, "etc/passwd", &format!("{line}\n"));
        let said = format!(
            "the user `shop` of the services can log in: its shell is `/bin/sh` [permissions]\n  hint: {hint}\n"
        );
        // The directories still have another owner.
        let stdout = test.run(["doctor"]).any_stdout().status(1).stdout;
        assert!(stdout.contains(&said), "{stdout}");
    }
}

/// A removal leaves them, the administrator prepared them, or they are empty.
#[test]
fn directories_of_the_app_itself_are_used() {
    let test = app();
    deploy(&test);
    write(&test, "var/lib/shop/db", "precious");
    test.run(["remove", "--apply"]).any_stderr().success();
    deploy(&test);
    assert_eq!(
        std::fs::read_to_string(test.root("var/lib/shop/db")).unwrap(),
        "precious"
    );

    let test = app();
    write(&test, "etc/shop/credentials/KEY", "secret");
    write(&test, "var/lib/shop/db", "restored from a backup");
    deploy(&test);

    let test = app();
    std::fs::create_dir_all(test.root("var/lib/shop")).unwrap();
    std::fs::create_dir_all(test.root("opt/shop/releases")).unwrap();
    deploy(&test);

    // A directory that the services' user owns.
    let test = app();
    write(
        &test,
        "etc/passwd",
        "shop:x:105:105::/nonexistent:/usr/sbin/nologin\n",
    );
    write(&test, "etc/group", "shop:x:105:\n");
    write(&test, "var/lib/shop/db", "mine");
    if !is_root() {
        return not_run("the last part of this needs root, to give files to another user");
    }
    std::os::unix::fs::chown(test.root("var/lib/shop"), Some(105), Some(105)).unwrap();
    deploy(&test);
}

#[test]
fn files_of_others_are_not_overwritten() {
    let stderr = |path: &str| {
        format!(
            "error: `/{path}` exists already and was not written for this app\n\n\
             hint: give the app or the service another name, or move the file to another place\n"
        )
    };
    for path in [
        &format!("{UNITS}/shop-web.service"),
        &format!("{UNITS}/shop-web.service.d/10-hardening.conf"),
        "usr/local/lib/tmpfiles.d/shop.conf",
        // Units that would shadow, or be shadowed by, the app's unit.
        "usr/lib/systemd/system/shop-web.socket",
        "etc/systemd/system/shop-job.timer",
    ] {
        let test = app();
        write(&test, path, "[Unit]\n");
        refused(&test, path, &stderr(path));
    }
    // A mask by the administrator is allowed.
    let test = app();
    let mask = test.root("etc/systemd/system/shop-web.service");
    std::fs::create_dir_all(mask.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/null", &mask).unwrap();
    deploy(&test);
}

/// Files of an interrupted deploy belong to the app, also when the records are lost.
#[test]
fn files_of_an_interrupted_deploy_are_overwritten() {
    let test = app();
    deploy(&test);
    let whole = host(&test);
    std::fs::remove_dir_all(test.root("var/lib/robotctl/shop")).unwrap();
    let stale = test.root(&format!("{UNITS}/shop-web.service"));
    let unit = std::fs::read_to_string(&stale).unwrap();
    std::fs::write(&stale, unit + "# an older one\n").unwrap();
    std::fs::set_permissions(&stale, std::fs::Permissions::from_mode(0o600)).unwrap();
    deploy(&test);
    tree::assert_same(&whole, &host(&test), "the host is another");
}

/// `demo` with a service `staging-web`, and `demo-staging` with a service `web`.
#[test]
fn two_apps_never_share_a_unit_name() {
    let manifest = |name: &str, service: &str| {
        format!(
            "[app]\nname = \"{name}\"\nversion = \"1.0\"\n[release]\nsource = \"src\"\n\
             [service.one]\nexec = [\"{{current}}/bin/web\"]\n\
             [service.{service}]\nexec = [\"{{current}}/bin/web\"]\n"
        )
    };
    let test = app();
    let unit = format!("{UNITS}/demo-staging-web.service");
    let read = || std::fs::read_to_string(test.root(&unit)).unwrap();
    test.write("robot.toml", &manifest("demo-staging", "web"));
    deploy(&test);
    let theirs = read();
    test.write("robot.toml", &manifest("demo", "staging-web"));
    let stderr = format!(
        "error: `/{unit}` belongs to the app `demo-staging`\n\n\
         hint: give one of the two apps, or the service, another name\n"
    );
    refused(&test, "first", &stderr);
    // An upgrade is refused, too.
    test.write("robot.toml", &manifest("demo", "web"));
    deploy(&test);
    test.write("robot.toml", &manifest("demo", "staging-web"));
    refused(&test, "upgrade", &stderr);
    assert_eq!(read(), theirs);
    // An upgrade and a removal leave the other app's unit alone.
    std::fs::remove_dir_all(test.root(&format!("{UNITS}/demo-staging-web.service.d"))).unwrap();
    for name in ["demo-staging", "demo"] {
        test.run(["remove", "--app", name, "--apply"])
            .any_stderr()
            .success();
    }
    deploy(&test);
    std::fs::write(test.root(&unit), &theirs).unwrap();
    test.write("robot.toml", &manifest("demo", "web"));
    deploy(&test);
    assert_eq!(read(), theirs, "an upgrade changed it");
    test.write("robot.toml", &manifest("demo", "staging-web"));
    std::fs::remove_file(test.root(&unit)).unwrap();
    deploy(&test);
    std::fs::write(test.root(&unit), &theirs).unwrap();
    test.run(["remove", "--apply"]).any_stderr().success();
    assert_eq!(read(), theirs, "a removal changed it");
}

/// The names of two apps and their services can make the same name of a unit. The second app is refused,
/// whichever comes first.
#[test]
fn the_second_app_with_the_same_unit_is_refused() {
    const TIMER: &str = "timer = { calendar = \"daily\" }";
    const SOCKET: &str = "listen = [\"127.0.0.1:8080\"]";
    const OTHER_SOCKET: &str = "listen = [\"127.0.0.1:8081\"]";
    const NAMED: &str = "listen = [\"main=127.0.0.1:8082\", \"api=127.0.0.1:8083\"]";
    const PROXY: &str = "socket = \"proxy\"\nlisten = [\"127.0.0.1:8084\"]";
    // App, environment, service and keys of both, and what they share.
    for (one, other, shared) in [
        (
            ("shop", "", "web-api", ""),
            ("shop-web", "", "api", ""),
            "shop-web-api.service",
        ),
        (
            ("shop", "", "web-api", TIMER),
            ("shop-web", "", "api", TIMER),
            "shop-web-api.service",
        ),
        (
            ("shop", "", "web-api", SOCKET),
            ("shop-web", "", "api", OTHER_SOCKET),
            "shop-web-api.service",
        ),
        (
            ("shop", "", "web", NAMED),
            ("shop-web", "", "api", SOCKET),
            "shop-web-api.socket",
        ),
        (
            ("shop", "", "web-api", ""),
            ("shop", "web", "api", ""),
            "shop-web-api.service",
        ),
        (
            ("shop", "", "web-x-api", TIMER),
            ("shop-web", "x", "api", ""),
            "shop-web-x-api.service",
        ),
        (
            ("shop", "", "web-api", PROXY),
            ("shop-web", "", "api", PROXY),
            "shop-web-api-proxy.service",
        ),
    ] {
        for (first, second) in [(one, other), (other, one)] {
            let case = format!("{first:?}, then {second:?}");
            let test = app();
            let run = |(name, environment, service, keys): (&str, &str, &str, &str)| {
                let table = match environment {
                    "" => String::new(),
                    environment => format!("[environment.{environment}]\n"),
                };
                test.write(
                    "robot.toml",
                    &format!(
                        "[app]\nname = \"{name}\"\nversion = \"1.0\"\n[release]\nsource = \"src\"\n\
                         [service.{service}]\nexec = [\"{{current}}/bin/web\"]\n{keys}\n{table}"
                    ),
                );
                let mut arguments = vec!["deploy", "--apply"];
                if !environment.is_empty() {
                    arguments.extend(["--environment", environment]);
                }
                test.run(arguments).case(&case)
            };
            run(first).any_stderr().success();
            let owner = match first {
                (name, "", ..) => name.to_owned(),
                (name, environment, ..) => format!("{name}-{environment}"),
            };
            let before = test.state();
            let stderr = format!(
                "error: `/{UNITS}/{shared}` belongs to the app `{owner}`\n\n\
                 hint: give one of the two apps, or the service, another name\n"
            );
            run(second).stderr(&stderr).status(2);
            tree::assert_same(&before, &test.state(), &case);
        }
    }
}
