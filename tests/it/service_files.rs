//! `files` of a service: what is refused, and what a lint says. What restarts shows on a running systemd.

use crate::test::{SHOP, Test};

fn shop(files: &str) -> Test {
    Test::shop()
        .manifest(&format!("{SHOP}files = {files}\n"))
        .program("src/lib/a.py", "1")
}

#[test]
fn a_pattern_that_selects_nothing_refuses_the_deploy() {
    for (files, pattern) in [
        (r#"["bin/", "web/"]"#, "web/"),
        (r#"["bin/", "lib/*.js"]"#, "lib/*.js"),
        (r#"["bin/", "current"]"#, "current"),
    ] {
        let test = shop(files);
        for args in [&["deploy"][..], &["deploy", "--apply"]] {
            let refused = test.run(args).any_stdout().any_stderr().status(2).stderr;
            let says =
                format!("`{pattern}` in `files` of service `web` selects no file of the release");
            assert!(refused.contains(&says), "{refused}");
        }
    }
    for files in [r#"["bin/", "lib/*.py", "!lib/tests/"]"#, "[]"] {
        shop(files)
            .run(["deploy"])
            .any_stdout()
            .any_stderr()
            .success();
    }
    // A build may create the file, and `release.python` creates `.venv`.
    let built = SHOP.replace("[service", "build = [[\"make\"]]\n[service");
    let built = Test::shop().manifest(&format!("{built}files = [\"dist/\", \"bin/\"]\n"));
    built.run(["deploy"]).any_stdout().any_stderr().success();
}

#[test]
fn a_lint_names_what_a_service_uses_outside_its_files() {
    let lint = "service `web` uses `bin/web` of the release, which its `files` do not select";
    for (files, is_outside) in [
        (r#"["lib/"]"#, true),
        ("[]", true),
        (r#"["lib/", "bin/*", "!bin/web"]"#, true),
        (r#"["bin/"]"#, false),
        (r#"["/bin/web"]"#, false),
        (r#"["*"]"#, false),
    ] {
        let test = shop(files);
        let warned = test.run(["generate"]).any_stdout().any_stderr().success();
        assert_eq!(
            warned.stderr.contains(lint),
            is_outside,
            "{files}: {}",
            warned.stderr
        );
    }
}
