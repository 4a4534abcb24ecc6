//! `secret`: where values come from, what is refused, and what is kept. No value is printed or recorded.

use crate::test::{SHOP, Test};
use crate::tree::Kind;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// An app with a secret of its own and one that is generated.
fn shop() -> Test {
    let manifest = format!(
        "{SHOP}[[secret]]\nname = \"KEY\"\n[[secret]]\nname = \"MADE\"\ngenerate = \"hex:16\"\n"
    );
    Test::shop().manifest(&manifest)
}

fn value(test: &Test, name: &str) -> Option<String> {
    fs::read_to_string(test.root(&format!("etc/shop/credentials/{name}"))).ok()
}

fn previous(test: &Test, name: &str) -> Option<String> {
    fs::read_to_string(test.root(&format!("etc/shop/credentials.previous/{name}"))).ok()
}

#[test]
fn a_value_comes_from_standard_input_a_file_or_another_app() {
    let test = shop();
    let set = |args: &[&str], input: &str| {
        let all = ["secret", "set", "KEY"].iter().chain(args);
        let all: Vec<&str> = all.copied().collect();
        drop(test.run(all).input(input).any_stderr().success());
    };
    // The app need not be deployed: its first deploy needs the secret.
    for (args, input, wanted) in [
        (&[][..], "plain", "plain"),
        (&[], "one line\n", "one line"),
        (&[], "one line\r\n", "one line"),
        (&[], "two\nlines\n\n", "two\nlines\n"),
        (&["--keep-newline"], "kept\n", "kept\n"),
        (&["--file", "key.pem"], "", "from a file\n"),
        (&["--from", "shop/OTHER"], "", "of another"),
    ] {
        test.write("key.pem", "from a file\n");
        let other = test.root("etc/shop/credentials/OTHER");
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(other, "of another").unwrap();
        set(args, input);
        assert_eq!(value(&test, "KEY").as_deref(), Some(wanted), "{args:?}");
    }
    let mode = |path: &str| fs::metadata(test.root(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("etc/shop/credentials/KEY"), 0o600);
    assert_eq!(mode("etc/shop/credentials.previous/KEY"), 0o600);
    assert_eq!(mode("etc/shop/credentials.previous"), 0o700);
    drop(test.run(["deploy", "--apply"]).any_stderr().success());
}

#[test]
fn bad_input_is_refused_in_a_sentence_and_nothing_changes() {
    let test = shop();
    fs::create_dir_all(test.root("etc/shop/credentials/DIR")).unwrap();
    symlink("/run/agenix/key", test.root("etc/shop/credentials/LINK")).unwrap();
    test.write("large", &"x".repeat(1024 * 1024 + 1));
    test.write("empty", "");
    for (args, input, says) in [
        (
            &["set", "KEY", "hunter2"][..],
            "",
            "a value is no argument: it is in the history of your shell now",
        ),
        (&["set", "KEY", "-hunter2"], "", "a value is no argument"),
        (&["set", "KEY", "--hunter2"], "", "a value is no argument"),
        (&["set", "KEY=hunter2"], "", "a value is no argument"),
        (&["set", "KEY"], "", "the value on standard input is empty"),
        (
            &["set", "KEY"],
            "\n",
            "the value on standard input is empty",
        ),
        (&["set", "KEY", "--file", "empty"], "", "`empty` is empty"),
        (
            &["set", "KEY", "--file", "large"],
            "",
            "`large` is larger than 1 MiB",
        ),
        (
            &["set", "KEY", "--file", "absent"],
            "",
            "`absent` does not exist",
        ),
        (&["set", "KEY", "--file", "src"], "", "`src` is a directory"),
        (
            &["set", "KEY", "--from", "KEY"],
            "",
            "`--from` takes the name of an app and that of a secret",
        ),
        (
            &["set", "KEY", "--from", "blog/KEY"],
            "",
            "the app `blog` has no value for the secret `KEY`",
        ),
        (&["set", "../env"], "x", "this is not the name of a secret"),
        (
            &["set", "LINK"],
            "x",
            "the secret `LINK` is a link to `/run/agenix/key`, which something else may manage",
        ),
        (&["set", "DIR"], "x", "the secret `DIR` is a directory"),
        (
            &["restore", "KEY"],
            "",
            "no earlier value of the secret `KEY` is kept",
        ),
        (
            &["set", "KEY", "--apply"],
            "x",
            "nothing runs below `--root`, so nothing can restart",
        ),
    ] {
        let before = test.state();
        let args: Vec<&str> = ["secret"].iter().chain(args).copied().collect();
        let run = test.run(&args).input(input).any_stderr();
        let said = run.status(2).stderr;
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!said.contains("hunter2"), "{args:?}: {said}");
        assert_eq!(test.state(), before, "{args:?}");
    }
    let large = "x".repeat(1024 * 1024 + 2);
    let run = test.run(["secret", "set", "KEY"]).input(large).any_stderr();
    let said = run.status(2).stderr;
    assert!(
        said.contains("the value on standard input is larger than 1 MiB"),
        "{said}"
    );
}

#[test]
fn a_rotation_keeps_the_value_before_and_restore_returns_to_it() {
    let test = shop();
    let secret = |args: &[&str], input: &str, code: i32| {
        let all = ["secret"].iter().chain(args);
        let all: Vec<&str> = all.copied().collect();
        test.run(all).input(input).any_stderr().status(code).stderr
    };
    secret(&["set", "KEY"], "first", 0);
    assert_eq!(previous(&test, "KEY"), None);
    secret(&["rotate", "KEY"], "second", 0);
    assert_eq!(value(&test, "KEY").as_deref(), Some("second"));
    assert_eq!(previous(&test, "KEY").as_deref(), Some("first"));
    let said = secret(&["rotate", "KEY"], "second", 2);
    assert!(
        said.contains("the secret `KEY` has this value already"),
        "{said}"
    );
    let said = secret(&["set", "KEY"], "second", 0);
    assert!(said.contains("nothing to write"), "{said}");
    assert_eq!(previous(&test, "KEY").as_deref(), Some("first"));
    for (now, kept) in [("first", "second"), ("second", "first")] {
        secret(&["restore", "KEY"], "", 0);
        assert_eq!(value(&test, "KEY").as_deref(), Some(now));
        assert_eq!(previous(&test, "KEY").as_deref(), Some(kept));
    }
    // The file was deleted.
    fs::remove_file(test.root("etc/shop/credentials/KEY")).unwrap();
    secret(&["restore", "KEY"], "", 0);
    assert_eq!(value(&test, "KEY").as_deref(), Some("first"));
    // A value of which the manifest says `generate` needs no input.
    secret(&["rotate", "MADE"], "", 0);
    let made = value(&test, "MADE").unwrap();
    assert_eq!(made.len(), 32);
    secret(&["rotate", "MADE"], "", 0);
    assert_ne!(value(&test, "MADE").unwrap(), made);
    assert_eq!(previous(&test, "MADE").unwrap(), made);
}

#[test]
fn the_list_shows_fingerprints_and_what_is_missing() {
    let test = shop();
    drop(
        test.run(["secret", "set", "KEY"])
            .input("hunter2")
            .any_stderr()
            .success(),
    );
    fs::write(test.root("etc/shop/credentials/UNUSED"), "hunter2").unwrap();
    let list = test
        .run(["--format", "json", "secret", "list"])
        .any_stdout();
    let list = list.success();
    assert!(!list.stdout.contains("hunter2"), "{}", list.stdout);
    let rows = list.data("secret");
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["KEY", "MADE", "UNUSED"]);
    assert_eq!(rows[0]["fingerprint"], rows[2]["fingerprint"]);
    assert_eq!(rows[0]["fingerprint"].as_str().unwrap().len(), 6);
    assert_eq!(rows[0]["services"][0], "web");
    assert_eq!(rows[1]["is_set"], false);
    assert!(rows[1]["fingerprint"].is_null());
    assert_eq!(rows[2]["services"].as_array().unwrap().len(), 0);
    let shown = test.run(["secret", "list"]).any_stdout().success().stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("SECRET  FINGERPRINT  AGE"), "{shown}");
    assert!(lines[2].starts_with("MADE    missing"), "{shown}");
    assert!(lines[3].ends_with("  none"), "{shown}");
}

#[test]
fn a_user_without_root_sees_names_only() {
    let test = shop();
    drop(
        test.run(["secret", "set", "KEY"])
            .input("hunter2")
            .any_stderr()
            .success(),
    );
    test.open_to_all();
    let list = test.run(["--format", "json", "secret", "list"]);
    let list = list.by_other_user().any_stdout().success();
    for row in list.data("secret") {
        for key in ["is_set", "fingerprint", "changed", "previous"] {
            assert!(row[key].is_null(), "{row}");
        }
    }
    assert_eq!(list.data("secret").len(), 2);
    let set = test.run(["secret", "set", "KEY"]).by_other_user();
    let said = set.input("x").any_stderr().status(2).stderr;
    assert!(said.contains("only root can"), "{said}");
    assert_eq!(value(&test, "KEY").as_deref(), Some("hunter2"));
}

/// The history has names only, and no file but those of the secret has the value.
#[test]
fn a_value_is_only_in_its_files() {
    let test = shop();
    for input in ["hunter-one", "hunter-two"] {
        let run = test.run(["secret", "set", "KEY"]).input(input);
        let said = run.any_stderr().success().stderr;
        assert!(!said.contains("hunter"), "{said}");
        drop(test.run(["deploy", "--apply"]).any_stderr().success());
    }
    let history = test.run(["history"]).any_stdout().success().stdout;
    assert!(
        history.contains("the secret `KEY` has another value"),
        "{history}"
    );
    let with_value: Vec<String> = test
        .tree()
        .into_iter()
        .filter(|(_, fact)| match &fact.kind {
            Kind::File(bytes) => bytes.windows(6).any(|part| part == b"hunter"),
            _ => false,
        })
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        with_value,
        [
            "etc/shop/credentials.previous/KEY",
            "etc/shop/credentials/KEY"
        ]
    );
}

#[test]
fn two_environments_with_the_same_value_are_a_warning_and_another_app_is_a_note() {
    let manifest = format!("{SHOP}[[secret]]\nname = \"KEY\"\n[environment.staging]\n");
    let test = Test::shop().manifest(&manifest);
    let set = |environment: &[&str], value: &str| {
        let args = [environment, &["secret", "set", "KEY"]].concat();
        drop(test.run(args).input(value).any_stderr().success());
    };
    set(&[], "one");
    drop(test.run(["deploy", "--apply"]).any_stderr().success());
    let staging = ["--environment", "staging"];
    let warning = "the secret `KEY` has the same value in another environment, `shop`";
    for (value, is_said) in [("one", true), ("two", false)] {
        set(&staging, value);
        let plan = test.run([staging.as_slice(), &["deploy"]].concat());
        let plan = plan.any_stdout().any_stderr().success();
        let all = plan.stdout + &plan.stderr;
        assert_eq!(all.contains(warning), is_said, "{value}: {all}");
    }
    // An app of its own that only has a similar name.
    let other = manifest.replace("name = \"shop\"", "name = \"shop-admin\"");
    test.write("robot.toml", &other);
    set(&[], "one");
    let plan = test.run(["deploy"]).any_stdout().any_stderr().success();
    assert!(!(plan.stdout + &plan.stderr).contains("another environment"));
}
