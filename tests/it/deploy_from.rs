//! `deploy --from`: what is live in another environment, with the settings of this one.

use crate::test::{SHOP, Test};
use std::fs;

fn shop() -> Test {
    let manifest = format!(
        "{SHOP}env = {{ MODE = \"production\" }}\n[environment.staging]\nenv.MODE = \"staging\"\n"
    );
    Test::shop()
        .manifest(&manifest)
        .file("src/data", "tested\n")
}

fn read(test: &Test, path: &str) -> String {
    fs::read_to_string(test.root(path)).expect("read a file of the host")
}

fn deploy(test: &Test, more: &[&str]) -> String {
    let words = [&["deploy", "--apply"], more].concat();
    test.run(words).any_stdout().any_stderr().success().stderr
}

fn refused(test: &Test, words: &[&str]) -> String {
    test.run(words).any_stdout().any_stderr().status(2).stderr
}

#[test]
fn the_content_of_another_environment_gets_the_settings_of_this_one() {
    let test = shop();
    deploy(&test, &["--environment", "staging"]);
    // What a build would have made in staging is not taken.
    let staged = fs::read_link(test.root("opt/shop-staging/current")).expect("read the link");
    let staged = test.root("opt/shop-staging").join(staged);
    fs::write(staged.join("built"), "staging").expect("write a file");
    // The source and the manifest have gone on since.
    test.write("src/data", "untested\n");
    test.write("robot.toml", &SHOP.replace("1.0", "2.0"));

    let preview = test
        .run(["deploy", "--from", "staging"])
        .any_stdout()
        .any_stderr();
    let preview = preview.success();
    let note = "the content is that of shop-staging 1.0-";
    assert!(preview.stdout.contains(note), "{}", preview.stdout);
    assert!(
        preview.stderr.contains("--from staging"),
        "{}",
        preview.stderr
    );
    deploy(&test, &["--from", "staging"]);
    assert_eq!(read(&test, "opt/shop/current/data"), "tested\n");
    assert!(!test.root("opt/shop/current/built").exists());
    let unit = read(&test, "usr/local/lib/systemd/system/shop-web.service");
    assert!(unit.contains("Environment=MODE=production"), "{unit}");
    let again = test
        .run(["deploy", "--from", "staging"])
        .any_stdout()
        .any_stderr();
    assert!(again.success().stdout.starts_with("nothing to do"));

    // And back: the release of the app without an environment.
    deploy(&test, &["--environment", "staging", "--from", "shop"]);
    assert_eq!(read(&test, "opt/shop-staging/current/data"), "tested\n");
}

#[test]
fn a_release_that_cannot_be_taken_is_refused() {
    let test = shop();
    for (words, says) in [
        (
            &["deploy", "--from", "staging"][..],
            "`shop-staging` is not deployed on this host",
        ),
        (
            &["deploy", "--from", "Bad"],
            "`Bad` is not the name of an environment",
        ),
        (
            &["deploy", "--from", "shop"],
            "`--from` names `shop` itself",
        ),
        (
            &["deploy", "--environment", "staging", "--from", "staging"],
            "`--from` names `shop-staging` itself",
        ),
        (
            &["deploy", "--from", "staging", "src"],
            "cannot be used with",
        ),
    ] {
        let found = refused(&test, words);
        assert!(found.contains(says), "{says}: {found}");
    }
    deploy(&test, &["--environment", "staging"]);
    let current = test.root("opt/shop-staging/current");
    fs::write(current.join("data"), "changed\n").expect("change a file");
    let found = refused(&test, &["deploy", "--apply", "--from", "staging"]);
    assert!(found.contains("are not as they were staged"), "{found}");
    assert!(!test.root("opt/shop/current").exists());
}
