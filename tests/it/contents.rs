//! A release has the content of its source, whatever the source says of its files.

use crate::bad_sources::packed;
use crate::offline::{app, deploy, live};
use crate::test::Test;
use std::fs::{File, read_to_string};

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
