//! A release has the content of its source, whatever the source says of its files.

use crate::bad_sources::packed;
use crate::offline::{app, deploy, live};
use crate::records::store;
use crate::test::Test;
use std::fs::{File, read_to_string};
use std::time::Duration;

/// How many members of an archive have no content, but the name of one that has.
fn links(test: &Test, name: &str) -> usize {
    let mut archive = tar::Archive::new(File::open(test.app(name)).unwrap());
    let kinds = archive.entries().unwrap();
    let kinds = kinds.map(|entry| entry.unwrap().header().entry_type());
    kinds.filter(tar::EntryType::is_hard_link).count()
}

/// tar writes a file of several names once; each of them has the content, whether it is copied or
/// shared with the release before.
#[test]
fn members_that_are_links_have_their_content() {
    let test = app();
    let link = |name: &str| {
        std::fs::hard_link(test.app("src/data/pages.txt"), test.app(name)).unwrap();
    };
    let deploy_packed = |count: usize| {
        packed(&test, "app.tar");
        assert_eq!(links(&test, "app.tar"), count);
        let run = test.run(["deploy", "app.tar", "--apply"]);
        run.any_stderr().success();
        test.root(&format!("opt/shop/releases/{}/data", live(&test)))
    };
    link("src/data/again.txt");
    let first = deploy_packed(1);
    // One more name, of what is there already; then another content of all three.
    link("src/data/zoo.txt");
    let second = deploy_packed(2);
    test.write("src/data/pages.txt", "three\n");
    let third = deploy_packed(2);
    for (release, names, content) in [
        (&first, &["again", "pages"][..], "one\ntwo\n"),
        (&second, &["again", "pages", "zoo"], "one\ntwo\n"),
        (&third, &["again", "pages", "zoo"], "three\n"),
    ] {
        for name in names {
            let path = release.join(format!("{name}.txt"));
            assert_eq!(
                read_to_string(&path).unwrap(),
                content,
                "{}",
                path.display()
            );
        }
    }
    assert!(!first.join("zoo.txt").exists());
    // As the directory says.
    test.run(["deploy", "--apply"])
        .stderr("nothing to do: shop 1.0-[ID] is live\n")
        .success();
}

/// A file that was changed without another length or time is read all the same: of a change, the
/// kernel keeps a time of its own.
#[test]
fn a_change_that_hides_is_noticed() {
    let test = app();
    let path = test.app("src/data/pages.txt");
    let time = || path.metadata().unwrap().modified().unwrap();
    // A file this young is always read.
    while time().elapsed().unwrap() < Duration::from_millis(2100) {
        std::thread::sleep(Duration::from_millis(20));
    }
    deploy(&test);
    let (first, was) = (live(&test), time());
    let known = store(&test).payload(&first).unwrap().expect("a payload");
    let stamps = known.items.iter();
    let kept = stamps.filter(|item| item.traces.source.is_some());
    let kept: Vec<&str> = kept.map(|item| item.path.as_str()).collect();
    assert!(kept.contains(&"data/pages.txt"), "{kept:?}");
    test.write("src/data/pages.txt", "one\nTWO\n");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(was).unwrap();
    assert_eq!(time(), was);
    deploy(&test);
    assert_ne!(live(&test), first);
    let there = test.root("opt/shop/current/data/pages.txt");
    assert_eq!(read_to_string(there).unwrap(), "one\nTWO\n");
}
