//! When the host is not one that can be changed: no root, no systemd, no room.

use crate::test::Test;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                        [release]\nsource = \"src\"\n\
                        [service.web]\nexec = [\"{current}/bin/web\"]\n";

fn app() -> Test {
    Test::new()
        .manifest(MANIFEST)
        .program("src/bin/web", "#!/bin/sh\n")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says that something was not tested, and fails where it must be.
fn not_run(what: &str) {
    eprintln!("NOT RUN: {what}");
    assert!(std::env::var_os("CI").is_none(), "CI must run this: {what}");
}

#[test]
fn changing_a_host_needs_root() {
    let test = app();
    let stderr = "error: changing this host needs root\n\nhint: type `sudo` before the command\n";
    for command in ["deploy --apply", "rollback", "prune", "remove"] {
        let mut run = match command {
            "deploy --apply" => test.run(["deploy", "--apply"]),
            command => test.run([command]),
        };
        if is_root() {
            test.open_to_all();
            run = run.through(&[
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ]);
        }
        let run = run.on_this_host().case(command);
        run.stderr(stderr).status(2);
    }
}

#[test]
fn changing_a_host_needs_systemd() {
    if Path::new("/run/systemd/system").exists() || !is_root() {
        // On a host with systemd it would really deploy.
        return not_run("this needs root on a machine that was not booted with systemd");
    }
    let stderr = "error: this host was not booted with systemd\n\n\
                  hint: run it on the host itself, or work on a tree with `--root DIR`\n";
    let run = app();
    run.run(["deploy", "--apply"])
        .on_this_host()
        .stderr(stderr)
        .status(2);
    assert!(!Path::new("/opt/shop").exists() && !Path::new("/var/lib/robotctl/shop").exists());
}

#[test]
fn a_root_that_is_not_there_is_refused() {
    let test = app();
    let typo = test.outside("tree/typo");
    for command in ["rollback", "remove", "prune"] {
        let run = test.run([command]).on(&typo).case(command);
        run.stderr(
            "error: the root `[DIR]/tree/typo` is not a directory\n\n\
             hint: name the directory that holds the tree with `--root DIR`\n",
        )
        .status(2);
    }
    assert!(!test.outside("tree").exists());
}

/// A small file system, gone when the test has ended.
struct Disk(PathBuf);

impl Disk {
    fn new(test: &Test, options: &str) -> Option<Self> {
        let dir = test.outside("disk");
        std::fs::create_dir(&dir).expect("make a directory");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&dir);
        let mounted = is_root() && mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }

    /// All files but the lock and the directories that lead to it.
    fn files(&self) -> Vec<String> {
        let tree = crate::tree::read(&self.0);
        let files = tree
            .into_iter()
            .filter(|(path, fact)| fact.kind != crate::tree::Kind::Dir && !path.ends_with("/lock"));
        files.map(|(path, _)| path).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_seen_before_anything_changes() {
    let test = app();
    let Some(disk) = Disk::new(&test, "size=8m") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    test.run(["deploy", "--apply"])
        .on(&disk.0)
        .stderr(
            "error: the disk of `[DIR]/disk/opt/shop/releases` is too full: 8.00 MiB are free, \
             the release needs 16.01 MiB\n\n\
             hint: remove old releases with `robotctl prune`, or make room\n",
        )
        .status(2);
    assert_eq!(disk.files(), [""; 0]);
}

#[test]
fn a_disk_without_inodes_is_seen_before_anything_changes() {
    let test = app();
    let Some(disk) = Disk::new(&test, "size=64m,nr_inodes=100") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    let ended = test
        .run(["deploy", "--apply"])
        .on(&disk.0)
        .any_stderr()
        .status(2);
    // How many are left is the kernel's to count.
    let (head, tail) = ended.stderr.split_once(": 9").expect("a number");
    assert_eq!(
        head,
        "error: the disk of `[DIR]/disk/opt/shop/releases` has too few inodes"
    );
    assert!(tail.contains(" are free, the release needs 258\n\nhint: remove"));
    assert_eq!(disk.files(), [""; 0]);
}

/// The estimate can be wrong, as when another program fills the disk meanwhile: then the release
/// that was begun is taken away.
#[test]
fn a_disk_that_fills_up_while_staging_is_left_clean() {
    let test = app();
    let Some(disk) = Disk::new(&test, "size=24m") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    // A long link takes a page of its own.
    let target = format!("{}bin/web", "./".repeat(500));
    for number in 0..7000 {
        let link = test.app(&format!("src/{number}"));
        std::os::unix::fs::symlink(&target, link).expect("make a link");
    }
    let ended = test
        .run(["deploy", "--apply"])
        .on(&disk.0)
        .any_stderr()
        .status(2);
    assert!(
        ended.stderr.contains("No space left on device"),
        "{}",
        ended.stderr
    );
    // The reserve is what makes going back possible on a full disk: it stays.
    assert_eq!(disk.files(), ["var/lib/robotctl/shop/reserve"]);
    let releases = std::fs::read_dir(disk.0.join("opt/shop/releases")).expect("list");
    assert_eq!(releases.count(), 0, "an unfinished release was left");
}
