//! Sources that are refused, as a directory or as an archive.

use crate::offline::live;
use crate::test::{SHOP, Test};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

/// The plan and the deploy refuse with the same message and leave no files.
#[track_caller]
pub(crate) fn refused(test: &Test, source: Option<&str>, message: &str, hint: &str) {
    let stderr = format!("error: {message}\n\nhint: {hint}\n");
    let before = test.tree();
    let mut runs = vec![test.run(["deploy"]), test.run(["deploy", "--apply"])];
    if let Some(source) = source {
        runs = vec![
            test.run(["deploy", source]),
            test.run(["deploy", source, "--apply"]),
        ];
    }
    for run in runs {
        run.case(message).stderr(&stderr).status(2);
        assert_eq!(test.tree(), before, "{message}: files were left behind");
    }
}

#[test]
fn a_missing_empty_or_unknown_source_is_refused() {
    let test = Test::new().manifest(SHOP);
    refused(
        &test,
        None,
        "the source `src` does not exist",
        "set `release.source` in the manifest, or name a directory or an archive: robotctl --root [DIR]/root/ deploy DIR",
    );
    std::fs::create_dir_all(test.app("src/only/directories")).expect("make directories");
    let empty = "build the application first, or check `release.exclude`";
    refused(&test, None, "the source `[DIR]/app/src` is empty", empty);
    let test = Test::shop().file("app.zip", "PK");
    refused(
        &test,
        Some("app.zip"),
        "the source `app.zip` is neither a directory nor an archive",
        "use a directory, `.tar`, `.tar.gz`, `.tar.zst` or `.tar.xz`",
    );
    test.write(
        "robot.toml",
        &SHOP.replace("\"src\"\n", "\"src\"\nexclude = [\"*\"]\n"),
    );
    refused(&test, None, "the source `[DIR]/app/src` is empty", empty);
}

#[test]
fn a_link_out_of_the_tree_is_refused() {
    let hint = "make it relative and keep it inside, or list it in `release.exclude`";
    for (path, target) in [
        ("src/passwd", "/etc/passwd"),
        ("src/up", ".."),
        ("src/bin/up", "../../robot.toml"),
        ("src/zigzag", "bin/../../robot.toml"),
    ] {
        let test = Test::shop().link(path, target);
        let name = path.trim_start_matches("src/");
        let message = format!("the link `{name}` -> `{target}` leads out of the release");
        refused(&test, None, &message, hint);
    }
    Test::shop()
        .link("src/same", "bin/web")
        .link("src/bin/dots", "../bin/./web")
        .run(["deploy"])
        .any_stdout()
        .any_stderr()
        .success();
}

#[test]
fn special_files_are_refused() {
    let test = Test::shop();
    let fifo = Command::new("mkfifo").arg(test.app("src/pipe")).status();
    assert!(fifo.expect("start mkfifo").success());
    let hint = "a release holds files, directories and links; list it in `release.exclude`";
    refused(
        &test,
        None,
        "the source holds a socket or pipe: `pipe`",
        hint,
    );

    for mode in [0o4755, 0o2755] {
        let test = Test::shop();
        test.mode("src/bin/web", mode);
        refused(
            &test,
            None,
            "the source holds a setuid or setgid file: `bin/web`",
            "clear the bit with `chmod ug-s`; a service gets its privileges from its unit",
        );
    }
}

#[test]
fn file_names_that_are_not_plain_utf_8_are_refused() {
    let hint = "rename it, or list it in `release.exclude`";
    for (name, message) in [
        (
            &b"gr\xfcn.txt"[..],
            "the source has a file name that is not UTF-8: `gr\u{fffd}n.txt`",
        ),
        (
            &b"two\nlines"[..],
            "the source has a file name that contains a control character: `two\\nlines`",
        ),
        // In a terminal, the name would look like `gpj.exe`.
        (
            "\u{202e}exe.jpg".as_bytes(),
            "the source has a file name that contains a control character: `\\u{202e}exe.jpg`",
        ),
    ] {
        let test = Test::shop();
        File::create(test.app("src").join(OsStr::from_bytes(name))).expect("make a file");
        refused(&test, None, message, hint);
    }
}

/// Makes an archive of the source, as the manual shows it.
pub(crate) fn pack(test: &Test, name: &str) {
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(test.app(name));
    tar.arg("--directory").arg(test.app("src")).arg(".");
    assert!(tar.status().expect("start tar").success());
}

#[test]
fn link_targets_that_are_not_utf_8_are_refused() {
    let test = Test::shop();
    let target = OsStr::from_bytes(b"gr\xfcn");
    std::os::unix::fs::symlink(target, test.app("src/link")).expect("make a link");
    pack(&test, "app.tar");
    for source in [None, Some("app.tar")] {
        refused(
            &test,
            source,
            "the source has a link target that is not UTF-8: `link` -> `gr\u{fffd}n`",
            "rename it, or list it in `release.exclude`",
        );
    }
}

/// The patterns exclude the same files from both.
#[test]
fn a_directory_and_its_archive_make_the_same_release() {
    for (patterns, stays) in [
        // A file in an excluded directory cannot be included again (gitignore(5)).
        (r#""a/", "!a/keep""#, ""),
        (r#""/a", "!a/keep", "!a/b/keep""#, ""),
        (r#""a/*", "!a/keep""#, "a a/keep"),
        (r#""a/*", "!a/b""#, "a a/b a/b/keep a/b/other"),
        (
            r#""other", "!a/b/other""#,
            "a a/b a/b/keep a/b/other a/keep",
        ),
    ] {
        let manifest = SHOP.replace("\"src\"\n", &format!("\"src\"\nexclude = [{patterns}]\n"));
        let released = |source: Option<&str>| {
            let mut test = Test::shop().manifest(&manifest);
            for path in ["a/keep", "a/other", "a/b/keep", "a/b/other"] {
                test = test.file(&format!("src/{path}"), path);
            }
            pack(&test, "app.tar");
            let run = match source {
                Some(source) => test.run(["deploy", source, "--apply"]),
                None => test.run(["deploy", "--apply"]),
            };
            run.case(patterns).any_stdout().any_stderr().success();
            let id = live(&test);
            let release = test.root(&format!("opt/shop/releases/{id}"));
            let mut paths = Vec::new();
            for entry in walkdir::WalkDir::new(release.join("a"))
                .into_iter()
                .flatten()
            {
                let path = entry.path().strip_prefix(&release).expect("below");
                paths.push(path.display().to_string());
            }
            paths.sort();
            (id, paths.join(" "))
        };
        let (directory, archive) = (released(None), released(Some("app.tar")));
        assert_eq!(directory.1, stays, "{patterns}");
        assert_eq!(directory, archive, "{patterns}");
    }
}
