//! A release has the content of its source, whatever the metadata of the source says.

use crate::bad_sources::pack;
use crate::offline::{app, deploy, live};
use crate::records::store;
use crate::test::Test;
use std::fs::{File, read_to_string};

/// How many members of an archive are hard links to another member.
fn links(test: &Test, name: &str) -> usize {
    let mut archive = tar::Archive::new(File::open(test.app(name)).unwrap());
    let kinds = archive.entries().unwrap();
    let kinds = kinds.map(|entry| entry.unwrap().header().entry_type());
    kinds.filter(tar::EntryType::is_hard_link).count()
}

/// tar writes a file with several names once. Each name gets the content, also when the file is shared
/// with the previous release.
#[test]
fn hard_links_in_an_archive_have_the_content_of_their_file() {
    let test = app();
    let link = |name: &str| {
        std::fs::hard_link(test.app("src/data/pages.txt"), test.app(name)).unwrap();
    };
    let deploy_packed = |count: usize| {
        pack(&test, "app.tar");
        assert_eq!(links(&test, "app.tar"), count);
        let run = test.run(["deploy", "app.tar", "--apply"]);
        run.any_stderr().success();
        test.root(&format!("opt/shop/releases/{}/data", live(&test)))
    };
    link("src/data/again.txt");
    // A link can have two names as well: tar(1) writes the second one as a hard link to the first.
    let symlink = test.app("src/data/latest");
    std::fs::hard_link(&symlink, test.app("src/data/newest")).unwrap();
    let first = deploy_packed(2);
    // One more name for the same content; then other content for all three.
    link("src/data/zoo.txt");
    let second = deploy_packed(3);
    test.write("src/data/pages.txt", "three\n");
    let third = deploy_packed(3);
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
    // The directory has the same content.
    test.run(["deploy", "--apply"])
        .stderr("nothing to do: shop 1.0-[ID] is live\n")
        .success();
}

/// A file whose length and time stamp are unchanged is read again all the same: the kernel's change
/// time shows the change.
#[test]
fn a_change_with_the_same_length_and_time_is_noticed() {
    let test = app();
    let path = test.app("src/data/pages.txt");
    let time = || path.metadata().unwrap().modified().unwrap();
    test.settle("src/data/pages.txt");
    deploy(&test);
    let (first, was) = (live(&test), time());
    let known = store(&test).payload(&first).unwrap().expect("a payload");
    let stamps = known.items.iter();
    let kept = stamps.filter(|item| item.fingerprints.source.is_some());
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
