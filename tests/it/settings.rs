//! Faults of `/etc/<app>/env` and of secrets: the plan and the doctor judge them alike.

use crate::test::{SHOP, Test};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A deploy of the next release with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Refuses,
    Warns,
}

struct Fault {
    name: &'static str,
    /// Makes the fault. It gets the path of the environment file and that of the secret.
    make: fn(&Path, &Path),
    says: &'static str,
    plan: Plan,
}

fn write(path: &Path, text: impl AsRef<[u8]>) {
    let _ = fs::remove_file(path);
    fs::write(path, text).expect("write a setting");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set a mode");
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "export",
        make: |env, _| write(env, "A=1\nexport B=2\nURL=x\n"),
        says: "`/etc/shop/env`, line 2: systemd drops `B`, because `export` is part of its name",
        plan: Plan::Warns,
    },
    Fault {
        name: "a byte order mark",
        make: |env, _| write(env, "\u{feff}A=1\nURL=x\n"),
        says: "`/etc/shop/env`, line 1: systemd drops `A`, because a byte order mark is before its name",
        plan: Plan::Warns,
    },
    Fault {
        name: "a wrong name",
        make: |env, _| write(env, "URL=x\nBAD NAME=1\n"),
        says: "`/etc/shop/env`, line 2: systemd drops `BAD NAME`, which is not the name of a variable",
        plan: Plan::Warns,
    },
    Fault {
        name: "an open quote",
        make: |env, _| write(env, "URL=x\nA=\"1\nB=2\n"),
        says: "`/etc/shop/env`, line 2: the quote does not end, so `A` has every line below it as its value",
        plan: Plan::Warns,
    },
    Fault {
        name: "an environment file that is not UTF-8",
        make: |env, _| write(env, b"URL=x\nA=\xff\n"),
        says: "`/etc/shop/env` is not UTF-8, so systemd drops all of it",
        plan: Plan::Refuses,
    },
    Fault {
        name: "a missing variable",
        make: |env, _| write(env, "URI=x\n"),
        says: "service `web` needs `URL`, and `/etc/shop/env` does not set it",
        plan: Plan::Refuses,
    },
    Fault {
        name: "an environment file that others can read",
        make: |env, _| {
            fs::set_permissions(env, fs::Permissions::from_mode(0o644)).expect("set a mode");
        },
        says: "users other than root can read `/etc/shop/env`",
        plan: Plan::Warns,
    },
    Fault {
        name: "a directory for the environment file",
        make: |env, _| {
            fs::remove_file(env).expect("remove the file");
            fs::create_dir(env).expect("make a directory");
        },
        says: "`/etc/shop/env` is a directory, so services get no settings from it",
        plan: Plan::Refuses,
    },
    Fault {
        name: "a missing secret",
        make: |_, key| fs::remove_file(key).expect("remove the secret"),
        says: "the secret `KEY` is missing",
        plan: Plan::Refuses,
    },
    Fault {
        name: "a dangling link",
        make: |_, key| {
            fs::remove_file(key).expect("remove the secret");
            symlink("/etc/nothing", key).expect("make a link");
        },
        says: "the secret `KEY` is a link to `/etc/nothing`, which does not exist",
        plan: Plan::Refuses,
    },
    Fault {
        name: "a link to a file that others can read",
        make: |_, key| {
            let other = key.with_file_name("other");
            write(&other, "x");
            fs::set_permissions(&other, fs::Permissions::from_mode(0o640)).expect("set a mode");
            fs::remove_file(key).expect("remove the secret");
            symlink("other", key).expect("make a link");
        },
        says: "users other than root can read `/etc/shop/credentials/KEY`",
        plan: Plan::Warns,
    },
    Fault {
        name: "a directory for a secret",
        make: |_, key| {
            fs::remove_file(key).expect("remove the secret");
            fs::create_dir(key).expect("make a directory");
        },
        says: "the secret `KEY` is a directory, and no file",
        plan: Plan::Refuses,
    },
    Fault {
        name: "an empty secret",
        make: |_, key| write(key, ""),
        says: "the secret `KEY` is empty",
        plan: Plan::Warns,
    },
    Fault {
        name: "a variable with a NUL byte",
        make: |_, key| write(&key.with_file_name("PASSWORD"), b"a\0b"),
        says: "the secret `PASSWORD` has a NUL byte, which no environment variable can have",
        plan: Plan::Refuses,
    },
    Fault {
        name: "a large secret",
        make: |_, key| write(key, vec![b'x'; 1024 * 1024 + 1]),
        says: "the secret `KEY` has 1.00 MiB, and systemd loads at most 1 MiB",
        plan: Plan::Refuses,
    },
];

/// A deployed app with settings that are right, and their paths.
fn deployed() -> Test {
    let manifest = format!(
        "{SHOP}required-env = [\"URL\"]\n[[secret]]\nname = \"KEY\"\n\
         [[secret]]\nname = \"PASSWORD\"\nas = \"env\"\n"
    );
    let test = Test::shop().manifest(&manifest);
    fs::create_dir_all(test.root("etc/shop/credentials")).expect("make a directory");
    write(&test.root("etc/shop/env"), "URL='x'\n");
    write(&test.root("etc/shop/credentials/KEY"), "secret");
    write(&test.root("etc/shop/credentials/PASSWORD"), "another");
    test.run(["deploy", "--apply"]).any_stderr().success();
    test.write("robot.toml", &manifest.replace("1.0", "2.0"));
    test
}

#[test]
fn the_plan_and_the_doctor_judge_settings_alike() {
    for fault in FAULTS {
        let test = deployed();
        let case = |what: &str| format!("{}: {what}", fault.name);
        let healthy = test.run(["doctor"]).any_stdout().any_stderr().success();
        assert!(!healthy.stdout.contains(fault.says), "{}", fault.name);
        let (env, key) = ("etc/shop/env", "etc/shop/credentials/KEY");
        (fault.make)(&test.root(env), &test.root(key));
        let doctor = test.run(["doctor"]).case(&case("doctor"));
        let doctor = doctor.any_stdout().any_stderr().status(1).stdout;
        assert!(doctor.contains(fault.says), "{}: {doctor}", fault.name);
        assert!(doctor.contains("hint: "), "{}: {doctor}", fault.name);
        let plan = test
            .run(["deploy"])
            .case(&case("plan"))
            .any_stdout()
            .any_stderr();
        match fault.plan {
            Plan::Warns => {
                let plan = plan.success().stdout;
                assert!(plan.contains(fault.says), "{}: {plan}", fault.name);
            }
            Plan::Refuses => {
                let refused = plan.status(2).stderr;
                assert!(refused.contains(fault.says), "{}: {refused}", fault.name);
                let same = test.run(["deploy", "--apply"]).any_stdout().any_stderr();
                assert!(same.status(2).stderr.contains(fault.says), "{}", fault.name);
            }
        }
    }
}

/// A link to a file that only root can read is as good as the file.
#[test]
fn a_link_to_a_private_file_is_no_fault() {
    let test = deployed();
    let key = test.root("etc/shop/credentials/KEY");
    fs::rename(&key, key.with_file_name("real")).expect("rename the secret");
    symlink("real", &key).expect("make a link");
    test.run(["doctor"]).any_stdout().any_stderr().success();
    let plan = test
        .run(["deploy"])
        .any_stdout()
        .any_stderr()
        .success()
        .stdout;
    assert!(!plan.contains("warning"), "{plan}");
}

/// The manifest sets a required variable as well as the file, and a secret that is generated is made.
#[test]
fn a_first_deploy_needs_only_what_it_does_not_make() {
    let manifest = format!(
        "{SHOP}required-env = [\"URL\"]\nenv = {{ URL = \"x\" }}\n\
         [[secret]]\nname = \"KEY\"\ngenerate = \"hex:32\"\n"
    );
    let test = Test::shop().manifest(&manifest);
    let plan = test
        .run(["deploy"])
        .any_stdout()
        .any_stderr()
        .success()
        .stdout;
    assert!(!plan.contains("warning"), "{plan}");
    test.run(["deploy", "--apply"]).any_stderr().success();
    test.write("robot.toml", &manifest.replace("env = {", "# env = {"));
    let refused = test.run(["deploy"]).any_stdout().any_stderr().status(2);
    let hint = "hint: type the line `URL=VALUE`, then Ctrl-D: sudo tee --append ";
    assert!(refused.stderr.contains(hint), "{}", refused.stderr);
}

/// A secret that was removed: the release is live already, and its services would not start again.
#[test]
fn a_deploy_of_the_live_release_makes_a_missing_secret_or_is_refused() {
    let manifest = format!(
        "{SHOP}[[secret]]\nname = \"KEY\"\ngenerate = \"hex:32\"\n[[secret]]\nname = \"OTHER\"\n"
    );
    let test = Test::shop().manifest(&manifest);
    let file = |name: &str| test.root(&format!("etc/shop/credentials/{name}"));
    fs::create_dir_all(test.root("etc/shop/credentials")).expect("make a directory");
    write(&file("OTHER"), "secret");
    test.run(["deploy", "--apply"]).any_stderr().success();
    let first = fs::read(file("KEY")).expect("read the secret");
    let deploy = |args: &[&str]| test.run(args).any_stdout().any_stderr();
    let nothing = deploy(&["deploy", "--apply"]).success().stderr;
    assert!(nothing.contains("nothing to do"), "{nothing}");

    fs::remove_file(file("KEY")).expect("remove the secret");
    let plan = deploy(&["deploy"]).success().stdout;
    assert!(plan.contains("secrets:\n  generates KEY\n"), "{plan}");
    let made = deploy(&["deploy", "--apply"]).success().stderr;
    let says = "settings changed, release unchanged: 1.0-";
    assert!(made.contains(says), "{made}");
    let second = fs::read(file("KEY")).expect("read the secret");
    assert!(second.len() == 64 && second != first);
    let nothing = deploy(&["deploy", "--apply"]).success().stderr;
    assert!(nothing.contains("nothing to do"), "{nothing}");

    fs::remove_file(file("OTHER")).expect("remove the secret");
    let refused = "the secret `OTHER` is missing";
    for args in [&["deploy"][..], &["deploy", "--apply"]] {
        let ended = deploy(args).status(2).stderr;
        assert!(ended.contains(refused), "{ended}");
    }
    assert!(!file("OTHER").exists());
}
