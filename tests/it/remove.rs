//! What goes, and what stays: old releases, and the whole app.

use crate::offline::{app, deploy, live};
use crate::tree::Kind;

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

#[test]
fn remove_leaves_state_and_settings_unless_purged() {
    let test = app();
    deploy(&test);
    std::fs::write(test.root("var/lib/shop/shop.db"), "data").unwrap();
    test.run(["remove"])
        .stderr(
            "shop was removed\n\
             its state in /var/lib/shop and its settings in /etc/shop are still there\n",
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
             hint: `robotctl status` tells what is\n",
        )
        .status(2);
}
