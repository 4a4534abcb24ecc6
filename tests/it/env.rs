//! `env`: what is written to `/etc/<app>/env`, and what is refused.

use crate::test::{SHOP, Test};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

const ENV: &str = "etc/shop/env";

fn shop() -> Test {
    Test::shop().manifest(SHOP)
}

fn write(test: &Test, content: &str) {
    let path = test.root(ENV);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn file(test: &Test) -> String {
    fs::read_to_string(test.root(ENV)).unwrap()
}

#[test]
fn variables_are_set_removed_and_listed() {
    let test = shop();
    let run = |args: &[&str]| {
        let args: Vec<&str> = ["env"].iter().chain(args).copied().collect();
        test.run(args).any_stdout().any_stderr().success()
    };
    // The app need not be deployed.
    drop(run(&["set", "LOG=debug", "PRICE=5 $", "API_KEY=k"]));
    assert_eq!(file(&test), "LOG=debug\nPRICE=\"5 \\$\"\nAPI_KEY=k\n");
    let mode = fs::metadata(test.root(ENV)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    drop(test.run(["deploy", "--apply"]).any_stderr().success());
    write(&test, "# levels\nLOG=debug\nEMPTY=\n");
    fs::set_permissions(test.root(ENV), fs::Permissions::from_mode(0o640)).unwrap();
    drop(run(&["set", "LOG=info", "API_KEY=k=v", "EMPTY="]));
    drop(run(&["unset", "EMPTY", "ABSENT"]));
    assert_eq!(file(&test), "# levels\nLOG=info\nAPI_KEY=k=v\n");
    let mode = fs::metadata(test.root(ENV)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o640);
    assert_eq!(run(&["list"]).stdout, "API_KEY=(hidden)\nLOG=info\n");
    let same = run(&["set", "LOG=info"]);
    assert!(same.stderr.contains("nothing to write"), "{}", same.stderr);
    // The history has names alone.
    let history = test.run(["history"]).any_stdout().success().stdout;
    assert!(
        history.contains("has another value of LOG, API_KEY") && !history.contains("k=v"),
        "{history}"
    );
}

#[test]
fn bad_input_is_refused_in_a_sentence_and_nothing_changes() {
    let test = shop();
    write(&test, "A=1\nB='open\n");
    for (args, says) in [
        (&["set", "LOG"][..], "`LOG` has no `=`"),
        (&["unset", "LOG=1"], "`LOG=1` has a value"),
        (&["set", "4X=1"], "`4X` is not the name of a variable"),
        (&["set", "export X=1"], "write it without `export`"),
        (&["set", "=1"], "`` is not the name of a variable"),
        (&["set", "C=1"], "systemd would misread `C`"),
        (&["set", "A=2", "C=1"], "systemd would misread `C`"),
        (&["list", "A"], "`env list` shows all variables"),
        (
            &["set", "A=2", "--apply"],
            "nothing runs below `--root`, so nothing can restart",
        ),
    ] {
        let before = test.state();
        let args: Vec<&str> = ["env"].iter().chain(args).copied().collect();
        let said = test.run(&args).any_stderr().status(2).stderr;
        assert!(said.contains(says), "{args:?}: {said}");
        assert_eq!(test.state(), before, "{args:?}");
    }
    fs::remove_file(test.root(ENV)).unwrap();
    symlink("/srv/env", test.root(ENV)).unwrap();
    let said = test
        .run(["env", "set", "A=1"])
        .any_stderr()
        .status(2)
        .stderr;
    assert!(said.contains("is a link, and no file"), "{said}");
}
