//! Staging: the same content makes the same release, and releases share unchanged files.

use crate::offline::{app, deploy, live};
use crate::plans;
use crate::test::{SHOP, Test};
use crate::tree::{self, Kind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::Command;

fn inode(test: &Test, id: &str, path: &str) -> u64 {
    let path = test.root(&format!("opt/shop/releases/{id}/{path}"));
    path.metadata().expect("look").ino()
}

#[test]
fn modes_and_time_stamps_of_the_source_do_not_change_the_release() {
    let test = app();
    deploy(&test);
    let id = live(&test);
    for (path, mode) in [
        ("src/bin/web", 0o700),
        ("src/data/pages.txt", 0o666),
        ("src/data", 0o777),
    ] {
        test.mode(path, mode);
    }
    let mut touch = Command::new("touch");
    touch.args(["-d", "2001-01-01"]);
    let touched = touch.arg(test.app("src/data/pages.txt")).status();
    assert!(touched.expect("start touch").success());
    test.run(["deploy", "--apply"])
        .stderr("nothing to do: shop 1.0-[ID] is live\n")
        .success();
    let release = tree::read(&test.root(&format!("opt/shop/releases/{id}")));
    for (path, fact) in release {
        let mode = match (&fact.kind, path.as_str()) {
            (Kind::Link(_), _) => 0,
            (Kind::Dir, _) | (_, "bin/web") => 0o755,
            _ => 0o644,
        };
        assert_eq!(fact.mode, mode, "{path}");
    }
    // The executable bit is content.
    test.mode("src/data/pages.txt", 0o744);
    deploy(&test);
    assert_ne!(live(&test), id);
}

#[test]
fn files_that_did_not_change_are_shared_between_releases() {
    let test = app();
    deploy(&test);
    let first = live(&test);
    test.write("src/data/pages.txt", "one\nTWO\n");
    deploy(&test);
    let second = live(&test);
    assert_ne!(first, second);
    for (path, shared) in [
        ("data/big.bin", true),
        ("bin/web", true),
        ("data/pages.txt", false),
    ] {
        let same = inode(&test, &first, path) == inode(&test, &second, path);
        assert_eq!(same, shared, "{path}");
    }
    let source = test.app("src/data/big.bin").metadata().unwrap().ino();
    assert_ne!(
        inode(&test, &second, "data/big.bin"),
        source,
        "it must not be shared with the source"
    );
    let old = test.root(&format!("opt/shop/releases/{first}/data/pages.txt"));
    assert_eq!(std::fs::read_to_string(old).unwrap(), "one\ntwo\n");
}

/// When root changed files of the live release, the next release does not get the changes.
#[test]
fn changes_to_the_live_release_are_not_copied_into_the_next_one() {
    let test = app();
    for name in ["a", "b", "c", "d", "e"] {
        test.write(&format!("src/data/{name}"), "true\n");
    }
    deploy(&test);
    let first = test.root(&format!("opt/shop/releases/{}/data", live(&test)));
    // Changed in place with the same length; another mode; a link; another file; removed.
    std::fs::write(first.join("a"), "lies\n").expect("write");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(first.join("b"), mode).expect("open");
    std::fs::remove_file(first.join("c")).expect("remove");
    std::os::unix::fs::symlink("/etc/shadow", first.join("c")).expect("link");
    std::fs::remove_file(first.join("d")).expect("remove");
    std::fs::write(first.join("d"), "true\n").expect("write");
    std::fs::remove_file(first.join("e")).expect("remove");
    test.write("src/data/pages.txt", "one\nTWO\n");
    deploy(&test);
    let second = test.root(&format!("opt/shop/releases/{}/data", live(&test)));
    for name in ["a", "b", "c", "d", "e"] {
        let (was, is) = (first.join(name), second.join(name));
        let meta = is.symlink_metadata().expect("look");
        assert!(meta.is_file(), "{name}");
        assert_eq!(meta.mode() & 0o7777, 0o644, "{name}");
        assert_eq!(std::fs::read_to_string(&is).expect("read"), "true\n");
        if name != "e" {
            let was = was.symlink_metadata().expect("look").ino();
            assert_ne!(was, meta.ino(), "{name}");
        }
    }
    // The second release is unchanged: the third shares all of its files.
    let second = live(&test);
    test.write("src/data/pages.txt", "ONE\nTWO\n");
    deploy(&test);
    for name in ["a", "b", "c", "d", "e"] {
        let path = format!("data/{name}");
        let (was, is) = (
            inode(&test, &second, &path),
            inode(&test, &live(&test), &path),
        );
        assert_eq!(was, is, "{name}");
    }
}

#[test]
fn archives_make_the_same_release_as_their_directory() {
    let test = app();
    deploy(&test);
    for (end, flag) in [
        ("tar", "--format=gnu"),
        ("tar.gz", "--gzip"),
        ("tar.zst", "--zstd"),
        ("tar.xz", "--xz"),
    ] {
        let name = format!("app.{end}");
        let mut tar = Command::new("tar");
        tar.args(["--create", flag, "--owner=nobody", "--mtime=2001-01-01"])
            .arg("--file")
            .arg(test.app(&name))
            .arg("--directory")
            .arg(test.app("src"))
            .arg(".");
        assert!(tar.status().expect("start tar").success(), "{end}");
        test.run(["deploy", &name, "--apply"])
            .case(end)
            .stderr("nothing to do: shop 1.0-[ID] is live\n")
            .success();
        // On another host, it unpacks to the same tree.
        let other = test.outside(end);
        std::fs::create_dir(&other).unwrap();
        let run = test.run(["deploy", &name, "--apply"]);
        run.on(&other).any_stderr().success();
        let releases = |root: &std::path::Path| tree::read(&root.join("opt/shop"));
        tree::assert_same(&releases(&test.root("")), &releases(&other), end);
    }
}

#[test]
fn a_directory_and_its_archive_have_the_same_warning() {
    let test = Test::new();
    let block = |kind: &str| format!("-----BEGIN {kind}-----\nAA==\n-----END {kind}-----\n");
    let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
    let long = certificate.clone() + &"\n".repeat(1024 * 1024) + &key;
    for (path, text) in [
        ("src/bin/web", "#!/bin/sh\n"),
        ("src/public/ca.pem", &certificate),
        ("src/public/talk.key", "PK\u{3}\u{4}x"),
        ("src/public/cacert.pem", &certificate),
        ("src/tls/cacert.pem", &key),
        ("src/tls/both.pem", &(certificate.clone() + &key)),
        ("src/tls/long.pem", &long),
        ("src/tls/server.KEY", &key),
        ("src/deep/closed/data", "x"),
    ] {
        test.write(path, text);
        test.mode(path, 0o644);
    }
    test.mode("src/bin/web", 0o755);
    for dir in ["src/bin", "src/public", "src/tls", "src/deep"] {
        test.mode(dir, 0o755);
    }
    test.mode("src/deep/closed", 0o700);
    // The mode of the top says nothing.
    test.mode("src", 0o700);
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(test.app("a.tar"));
    let made = tar
        .arg("--directory")
        .arg(test.app("src"))
        .arg(".")
        .status();
    assert!(made.expect("start tar").success());
    let exclude = "exclude = [\"/deep/closed/\", \"/tls/both.pem\", \"/tls/cacert.pem\", \
                   \"/tls/long.pem\", \"/tls/server.KEY\"]";
    let warns = |manifest: &str, source: &str, is_expected: bool| {
        test.write("robot.toml", manifest);
        let run = test.run(["deploy", source]).any_stdout().any_stderr();
        let ended = run.success();
        let said = ended.stdout + &ended.stderr;
        assert_eq!(said.contains(exclude), is_expected, "{source}: {said}");
    };
    for source in ["src", "a.tar"] {
        warns(SHOP, source, true);
        let excluded = SHOP.replace("[release]\n", &format!("[release]\n{exclude}\n"));
        warns(&excluded, source, false);
    }
}

/// The source gets this file, of this size in bytes, with some data in the middle.
fn hole(test: &Test, len: u64) {
    let file = std::fs::File::create(test.app("src/disk.img")).expect("create");
    file.set_len(len).expect("set the size");
    file.write_all_at(b"data", len / 2).expect("write");
}

#[test]
fn a_file_with_holes_is_the_same_file_and_keeps_its_holes() {
    const LEN: u64 = 8 * 1024 * 1024;
    let (sparse, full) = (app(), app());
    hole(&sparse, LEN);
    hole(&full, LEN);
    let bytes = std::fs::read(full.app("src/disk.img")).expect("read");
    std::fs::write(full.app("src/disk.img"), &bytes).expect("write");
    let [kept, whole] = [&sparse, &full].map(|test| {
        deploy(test);
        let copy = test.root(&format!("opt/shop/releases/{}/disk.img", live(test)));
        assert!(std::fs::read(&copy).expect("read") == bytes);
        copy.metadata().expect("look").blocks() * 512
    });
    assert_eq!(live(&sparse), live(&full), "the same content");
    assert!(
        kept < LEN / 8 && whole >= LEN,
        "{kept} and {whole} bytes on the disk"
    );
    sparse.run(["doctor", "--digests"]).any_stdout().success();
    // The other release shares it.
    plans::version(&sparse, 2);
    deploy(&sparse);
    let again = sparse.root(&format!("opt/shop/releases/{}/disk.img", live(&sparse)));
    assert_eq!(again.metadata().expect("look").nlink(), 2);
}

/// A preview reads every byte, and that of a hole is a zero.
#[test]
fn holes_that_take_long_to_hash_are_refused() {
    let test = app();
    hole(&test, 300 * 1024 * 1024 * 1024);
    let before = test.tree();
    for arguments in [&["deploy"][..], &["deploy", "--apply"]] {
        let ended = test.run(arguments).any_stderr().status(2);
        let said = "error: the source holds a file with large holes: 300.00 GiB of the 300.00 GiB of \
                    `disk.img` have no data, and all holes of a source can have 16.00 GiB\n";
        assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("`release.exclude`"),
            "{}",
            ended.stderr
        );
        tree::assert_same(&before, &test.tree(), "something was changed");
    }
}

/// An access control list that gives another user access (acl(5)), as `system.posix_acl_access` holds it:
/// the version, and tag, permissions and id of each entry.
fn access_control_list() -> Vec<u8> {
    let (other, none) = (65534_u32, u32::MAX);
    let entries = [
        (1, 6, none),
        (2, 4, other),
        (4, 4, none),
        (16, 4, none),
        (32, 4, none),
    ];
    let entries = entries.iter().flat_map(|(tag, allowed, id)| {
        let (tag, allowed): (u16, u16) = (*tag, *allowed);
        [
            &tag.to_le_bytes()[..],
            &allowed.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

#[test]
fn attributes_that_a_release_does_not_have_are_reported() {
    let test = app();
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(test.app(path), name, value, rustix::fs::XattrFlags::empty())
            .unwrap_or_else(|errno| panic!("{path}: {name}: {errno}"));
    };
    set(
        "src/data/pages.txt",
        "system.posix_acl_access",
        &access_control_list(),
    );
    // CAP_NET_BIND_SERVICE, permitted and effective (`VFS_CAP_REVISION_2`).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set("src/bin/web", "security.capability", &capability);
    let warnings = "warning: a release has no file capabilities (capabilities(7)), so those of `bin/web` are \
                    left out. To give a service one, write it in `capabilities` below \
                    `[service.NAME.sandbox]`\n";
    let lists = "warning: a release has no access control lists (acl(5)), so those of `data/pages.txt` are \
                 left out. ";
    let plan = test.run(["deploy"]).any_stdout().any_stderr().success();
    let applied = test.run(["deploy", "--apply"]).any_stderr().success();
    for text in [plan.stdout + &plan.stderr, applied.stderr] {
        assert!(text.contains(warnings) && text.contains(lists), "{text}");
    }
    let copy = test.root(&format!("opt/shop/releases/{}/bin/web", live(&test)));
    let kept = rustix::fs::getxattr(copy, "security.capability", &mut [0_u8; 64][..]);
    assert_eq!(kept, Err(rustix::io::Errno::NODATA));
}

/// `script` provides the terminal.
#[test]
fn staging_shows_files_bytes_and_rate_on_a_terminal() {
    let test = app();
    let robotctl = env!("CARGO_BIN_EXE_robotctl");
    let root = test.root("").display().to_string();
    let typed = format!("stty cols 120; {robotctl} --root {root} deploy --apply");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &typed, "/dev/null"])
        .current_dir(test.app(""))
        .env("TERM", "xterm")
        .output()
        .expect("start script");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    let lines = shown.split(['\r', '\n', '\x1b']);
    let bar = lines.filter(|line| line.starts_with("staging ") || line.contains("Kstaging "));
    let bar: Vec<&str> = bar.collect();
    assert!(!bar.is_empty(), "{shown:?}");
    for line in bar.iter().filter(|line| line.contains(" files ")) {
        assert!(line.contains("/3 files ") && line.contains("/s "), "{line}");
    }
    assert!(
        bar.iter().any(|line| line.contains("/3 files ")),
        "{shown:?}"
    );
}

/// tar(1) keeps the content with the first name of a file. If that name is left out, the first name that is kept gets the
/// content, as in a release from the directory.
#[test]
fn a_hard_link_to_what_is_left_out_keeps_the_content() {
    let test = Test::new().program("src/.cache/tool", "#!/bin/sh\n");
    let test = test.manifest(&SHOP.replace(
        "source = \"src\"",
        "source = \"app.tar\"\nexclude = [\".cache/\", \"*.bak\"]",
    ));
    std::fs::create_dir(test.app("src/bin")).unwrap();
    for name in ["a.bak", "bin/a", "bin/web"] {
        std::fs::hard_link(test.app("src/.cache/tool"), test.app("src").join(name)).unwrap();
    }
    let names = [".cache/tool", "a.bak", "bin/a", "bin/web"];
    let tar = Command::new("tar")
        .args(["-cf", "app.tar", "-C", "src"])
        .args(names)
        .current_dir(test.app(""))
        .status();
    assert!(tar.unwrap().success());
    test.run(["deploy", "--apply"]).any_stderr().success();
    let release = test.root("opt/shop/current");
    for name in ["bin/a", "bin/web"] {
        let file = release.join(name);
        assert_eq!(std::fs::read(&file).unwrap(), b"#!/bin/sh\n", "{name}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o755, "{name}");
    }
    for name in [".cache", "a.bak"] {
        assert!(!release.join(name).exists(), "{name}");
    }
    // A link whose target is left out and is not in the archive either.
    let tar = Command::new("tar")
        .args(["--delete", "-f", "app.tar", ".cache/tool"])
        .current_dir(test.app(""))
        .status();
    assert!(tar.unwrap().success());
    test.run(["deploy"])
        .stderr(
            "error: the archive's member `bin/a` is a hard link to `.cache/tool`, which is not in the archive \
             before it\n\nhint: create the archive again from the whole directory\n",
        )
        .status(2);
}
