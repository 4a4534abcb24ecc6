//! A lost `state.json`: every command takes the live release from the link `current`.

use crate::offline::live;
use crate::plans::{hash, releases, version};
use crate::test::Test;
use crate::tree;

/// Two releases without `state.json`.
fn without_state() -> Test {
    let test = releases(2);
    std::fs::remove_file(test.root(STATE)).expect("remove the state");
    test
}

const STATE: &str = "var/lib/robotctl/shop/state.json";

#[test]
fn readers_work_without_the_state() {
    let (known, lost) = (releases(2), without_state());
    let before = lost.tree();
    for arguments in [
        &["status"][..],
        &["releases"],
        &["rollback", "--dry-run"],
        &["rollback", "--dry-run", "--service", "web"],
        &["remove"],
        &["deploy"],
    ] {
        let printed = |test: &Test| {
            let run = test
                .run(arguments)
                .case(&arguments.join(" "))
                .any_stdout()
                .any_stderr();
            undated(&run.success().stdout)
        };
        assert_eq!(printed(&lost), printed(&known), "{}", arguments.join(" "));
    }
    let status = lost.run(["status"]).any_stdout().success().stdout;
    assert!(
        status.starts_with("shop: 0.2-[ID] is live since 2"),
        "{status}"
    );
    tree::assert_same(&before, &lost.tree(), "a reader wrote something");
    // Doctor reports it, and `recover` fixes it.
    let doctor = || lost.run(["doctor"]).any_stdout();
    let said = "error: the state is missing, and `/opt/shop/current` points at 0.2-[ID] \
                [state]\n  hint: rebuild it: robotctl --root [DIR]/root/ --app shop recover\n";
    let ended = doctor().status(1);
    assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    let again =
        "warning: shop: 0.2-[ID] is recorded as live again, because `/opt/shop/current` names it\n";
    lost.run(["recover"]).stderr(again).success();
    let ended = doctor().success();
    assert!(!ended.stdout.contains("[state]"), "{}", ended.stdout);
}

/// The text without times, which differ between hosts.
fn undated(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.contains('T') {
        true if word.starts_with('2') => word.trim_start_matches(|c| !matches!(c, 'Z' | '\n')),
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_deploy_without_the_state_does_what_its_plan_shows() {
    let test = without_state();
    version(&test, 3);
    let ended = test.run(["deploy"]).any_stdout().any_stderr().success();
    let plan = ended.stdout;
    assert!(
        plan.starts_with("shop 0.3: 0.2-[ID] -> 0.3-[ID]\n"),
        "{plan}"
    );
    let back = "\na rollback after this would restore 0.2-[ID]\n";
    assert!(plan.ends_with(back), "{plan}");
    let planned = hash(&test);
    assert!(!test.root(STATE).exists(), "a preview wrote the state");
    let run = test.run(["deploy", "--apply", "--plan", &planned]);
    run.stderr(
        "warning: shop: 0.2-[ID] is recorded as live again, because `/opt/shop/current` names it\n\
         shop: staging 0.3-[ID]\nshop: `current` points at 0.3-[ID]\n\
         shop: 0.3-[ID] is live (previous release: 0.2-[ID])\n",
    )
    .success();
    for version in ["0.2-", "0.1-"] {
        test.run(["rollback"]).any_stderr().success();
        assert!(live(&test).starts_with(version), "{}", live(&test));
    }
}

/// A running app is never treated as a new one.
#[test]
fn nothing_changes_while_the_live_release_is_unknown() {
    let test = without_state();
    let record = test.root(&format!(
        "var/lib/robotctl/shop/releases/{}.json",
        live(&test)
    ));
    let whole = std::fs::read(&record).expect("read");
    std::fs::write(&record, "{").expect("damage");
    let before = test.state();
    version(&test, 3);
    for arguments in [
        &["deploy"][..],
        &["deploy", "--apply"],
        &["rollback", "0.1", "--dry-run"],
        &["rollback", "0.1"],
        &["remove", "--app", "shop", "--purge"],
        &["remove", "--app", "shop", "--purge", "--apply"],
    ] {
        let case = arguments.join(" ");
        let ended = test.run(arguments).case(&case).any_stderr().status(2);
        let said = "error: `[DIR]/root/var/lib/robotctl/shop/releases/0.2-[ID].json` cannot be \
                    read: ";
        assert!(ended.stderr.contains(said), "{case}: {}", ended.stderr);
        tree::assert_same(&before, &test.state(), &case);
    }
    test.run(["prune"]).any_stderr().status(2);
    test.run(["prune", "--apply"]).any_stderr().status(2);
    test.run(["status"]).any_stderr().status(2);
    test.run(["recover"]).any_stderr().status(4);
    tree::assert_same(&before, &test.state(), "something was changed");
    std::fs::write(&record, whole).expect("fix");
    test.run(["deploy", "--apply"]).any_stderr().success();
    let ended = test.run(["releases"]).any_stdout().success();
    assert_eq!(ended.stdout.lines().count(), 3, "{}", ended.stdout);
}
