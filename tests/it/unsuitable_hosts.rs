//! Hosts that cannot be changed: no root rights, no systemd, no space.

use crate::bad_sources::pack;
use crate::test::Test;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Gives this thread and its children mounts of their own, which end with them.
pub(crate) fn private_mounts() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("make it private");
}

/// Hides a directory below an empty one, for this thread and its children.
pub(crate) fn mount_tmpfs(path: &str) {
    let tmpfs = Some("tmpfs");
    mount(tmpfs, path, tmpfs, MsFlags::empty(), None::<&str>).expect("mount an empty directory");
}

/// Ends a test that cannot run here: in CI it fails. Elsewhere the test harness counts it as passed,
/// so it is named on stderr, and in the file that `scripts/check` shows at its end.
pub(crate) fn not_run(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must run this: {what}");
    let thread = std::thread::current();
    let line = format!("NOT RUN: {}: {what}\n", thread.name().unwrap_or("a test"));
    // The harness would capture what `eprint` writes.
    let written = std::io::stderr().write_all(line.as_bytes());
    written.expect("write to stderr");
    if let Some(list) = std::env::var_os("TESTS_NOT_RUN") {
        let list = std::fs::OpenOptions::new().append(true).open(list);
        let written = list.and_then(|mut list| list.write_all(line.as_bytes()));
        written.expect("write to the file that TESTS_NOT_RUN names");
    }
}

#[test]
fn changing_a_host_needs_root() {
    let test = Test::shop();
    let on_a_tree = "error: only root can give files to the users of a tree\n\n\
                     hint: type `sudo` before the command, or `unshare --map-root-user --map-auto` \
                     (from the packages util-linux and uidmap)\n";
    for args in [
        &["deploy", "--apply"][..],
        &["rollback"],
        &["recover"],
        &["prune", "--apply"],
        &["remove", "--apply"],
    ] {
        let run = || {
            let run = test.run(args).case(&args.join(" "));
            if is_root() {
                test.open_to_all();
                return run.by_other_user();
            }
            run
        };
        let stderr = format!(
            "error: only root can change this host\n\nhint: repeat it as root: sudo robotctl {}\n",
            args.join(" ")
        );
        run().on_this_host().stderr(&stderr).status(2);
        run().stderr(on_a_tree).status(2);
    }
}

#[test]
fn changing_a_host_needs_systemd() {
    if !is_root() {
        return not_run("this needs root, to hide systemd");
    }
    private_mounts();
    if Path::new("/run/systemd").exists() {
        mount_tmpfs("/run/systemd");
    }
    // Otherwise the command would deploy on this machine.
    assert!(!Path::new("/run/systemd/system").exists());
    let stderr = "error: this host was not booted with systemd\n\n\
                  hint: run robotctl on the host itself, or work on a tree with `--root DIR`\n";
    let run = Test::shop();
    for args in [&["deploy"][..], &["deploy", "--apply"]] {
        let run = run.run(args).on_this_host();
        run.stderr(stderr).status(2);
    }
    assert!(!Path::new("/opt/shop").exists() && !Path::new("/var/lib/robotctl/shop").exists());
}

#[test]
fn a_root_that_does_not_exist_is_refused() {
    let test = Test::shop();
    let typo = test.outside("tree/typo");
    for args in [
        &["deploy"][..],
        &["deploy", "--apply"],
        &["rollback"],
        &["rollback", "--dry-run"],
        &["recover"],
        &["remove"],
        &["remove", "--apply"],
        &["prune"],
        &["prune", "--apply"],
    ] {
        let run = test.run(args).on(&typo).case(&args.join(" "));
        run.stderr(
            "error: the root `[DIR]/tree/typo` is not a directory\n\n\
             hint: name the directory that holds the tree with `--root DIR`\n",
        )
        .status(2);
    }
    assert!(!test.outside("tree").exists());
}

/// A small file system that is unmounted when the test ends.
struct Disk(PathBuf);

impl Disk {
    fn new(test: &Test, options: &str) -> Option<Self> {
        Self::at(test.outside("disk"), options)
    }

    fn at(dir: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&dir).expect("make a directory");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&dir);
        let mounted = is_root() && mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }

    /// All files except the lock and the reserve.
    fn files(&self) -> Vec<String> {
        let tree = crate::tree::read(&self.0);
        let files = tree.into_iter().filter(|(path, fact)| {
            fact.kind != crate::tree::Kind::Dir
                && !path.ends_with("/lock")
                && !path.contains("/reserve")
        });
        files.map(|(path, _)| path).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Checks the message about a full disk without its numbers, which depend on the file system.
fn assert_too_full(stderr: &str, what: &str) {
    let (head, tail) = stderr.split_once(": ").expect("a sentence");
    assert_eq!(head, "error", "{stderr}");
    let start = format!("the disk of `[DIR]/disk/opt/shop/releases` {what}: ");
    let rest = tail.strip_prefix(&start);
    let rest = rest.unwrap_or_else(|| panic!("{stderr}"));
    assert!(rest.contains(" are free, the release needs "), "{stderr}");
    let hint = "\n\nhint: free disk space, or remove old releases: \
                robotctl --root [DIR]/disk prune --apply\n";
    assert!(rest.ends_with(hint), "{stderr}");
}

#[test]
fn a_full_disk_is_refused_before_anything_changes() {
    for (options, what) in [
        ("size=8m", "is too full"),
        ("size=64m,nr_inodes=100", "has too few inodes"),
    ] {
        let test = Test::shop();
        let Some(disk) = Disk::new(&test, options) else {
            return not_run("a full disk needs root, to mount a small one");
        };
        let run = test.run(["deploy", "--apply"]).on(&disk.0).case(what);
        assert_too_full(&run.any_stderr().status(2).stderr, what);
        assert_eq!(disk.files(), [""; 0]);
    }
}

/// The records may be on a disk of their own.
#[test]
fn a_full_disk_for_the_records_is_refused() {
    let test = Test::shop();
    let Some(_disk) = Disk::at(test.root("var/lib/robotctl"), "size=1m") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    let run = test.run(["deploy", "--apply"]);
    let stderr = run.any_stderr().status(2).stderr;
    let start = "error: the disk of `[DIR]/root/var/lib/robotctl/shop` is too full: ";
    assert!(stderr.starts_with(start), "{stderr}");
    let releases = std::fs::read_dir(test.root("opt/shop/releases"));
    assert!(releases.is_err(), "staging has begun");
}

/// The doctor warns before a deploy is refused, on both disks.
#[test]
fn the_doctor_warns_of_a_disk_that_is_nearly_full() {
    for (dir, options, message) in [
        (
            "opt/shop",
            "size=60m",
            "the disk of `/opt/shop/releases` is nearly full: ",
        ),
        (
            "opt/shop",
            "size=200m,nr_inodes=500",
            "the disk of `/opt/shop/releases` has few inodes left: ",
        ),
        (
            "var/lib/robotctl",
            "size=40m",
            "the disk of `/var/lib/robotctl/shop` is nearly full: ",
        ),
        (
            "var/lib/robotctl",
            "size=200m,nr_inodes=500",
            "the disk of `/var/lib/robotctl/shop` has few inodes left: ",
        ),
    ] {
        let test = Test::shop();
        let Some(_disk) = Disk::at(test.root(dir), options) else {
            return not_run("a full disk needs root, to mount a small one");
        };
        crate::offline::deploy(&test);
        let run = test.run(["doctor"]).case(message).any_stdout().status(1);
        assert!(
            run.stdout.contains(&format!("warning: {message}")),
            "{}",
            run.stdout
        );
        assert!(
            run.stdout
                .contains("hint: free disk space, or remove old releases: "),
            "{}",
            run.stdout
        );
    }
}

/// What fills a file system may lie outside the directories of the app.
#[test]
fn the_doctor_looks_for_what_fills_a_disk_on_the_whole_disk() {
    let test = Test::shop();
    let Some(_disk) = Disk::at(test.root("var/cache"), "size=64k") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    crate::offline::deploy(&test);
    let run = test.run(["doctor"]).any_stdout().status(1);
    let found = "warning: the disk of `/var/cache/shop` is nearly full: ";
    assert!(run.stdout.contains(found), "{}", run.stdout);
    let shown = "sudo du -xhd2 [DIR]/root/var/cache\n";
    assert!(run.stdout.contains(shown), "{}", run.stdout);
}

/// Another program fills the disk during staging. The incomplete release is removed, from a directory
/// and from an archive.
#[test]
fn staging_on_a_disk_that_fills_up_leaves_no_files() {
    for source in ["src", "app.tar"] {
        stage_while_the_disk_fills_up(source);
    }
}

fn stage_while_the_disk_fills_up(source: &str) {
    let test = Test::shop();
    let Some(disk) = Disk::new(&test, "size=120m") else {
        return not_run("a full disk needs root, to mount a small one");
    };
    let bytes = vec![7; 1 << 20];
    for number in 0..60 {
        std::fs::write(test.app(&format!("src/{number}")), &bytes).expect("write a file");
    }
    pack(&test, "app.tar");
    let mut command = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    command.args(["deploy", source, "--apply", "--root"]);
    command.arg(&disk.0);
    command.current_dir(test.app("")).stderr(Stdio::piped());
    let child = command.spawn().expect("start robotctl");
    let releases = disk.0.join("opt/shop/releases");
    let begun = || std::fs::read_dir(&releases).is_ok_and(|list| list.count() > 0);
    let start = Instant::now();
    while !begun() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "nothing is staged"
        );
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGSTOP).expect("stop it");
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler).expect("make a file");
    while file.write_all(&bytes).is_ok() {}
    kill(pid, Signal::SIGCONT).expect("let it go on");
    let output = child.wait_with_output().expect("wait");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert_eq!(disk.files(), ["filler"]);
    assert!(!begun(), "an unfinished release was left");
}

/// A deploy names every obstacle at once, and the doctor finds the same. A rollback names those without which no
/// service starts.
#[test]
fn all_obstacles_of_a_host_are_named_before_anything_changes() {
    let test = crate::plans::releases(2);
    let link = test.root("var/lib/shop");
    std::fs::rename(&link, test.root("srv-shop")).expect("move the state");
    std::os::unix::fs::symlink("/srv-shop", &link).expect("make a link");
    let env = test.root("etc/shop/env");
    std::fs::remove_file(&env).expect("remove the settings");
    std::fs::create_dir(&env).expect("make a directory");
    let messages = [
        "`/var/lib/shop` is a link to `/srv-shop`, and systemd needs a directory there",
        "`/etc/shop/env` is a directory, so services get no settings from it",
    ];
    let prevented = format!("error: 2 things prevent it: {}\n", messages.join("; "));
    test.write("src/data/pages.txt", "changed\n");
    let before = test.state();
    for args in [
        &["deploy"][..],
        &["deploy", "--apply"],
        &["rollback", "--dry-run"],
        &["rollback"],
    ] {
        let run = test.run(args).case(&args.join(" ")).any_stdout();
        let stderr = run.any_stderr().status(2).stderr;
        assert!(stderr.contains("hint: remove the link: "), "{stderr}");
        if args.first() == Some(&"rollback") {
            let prevented = format!("error: {}\n", messages[0]);
            assert!(stderr.contains(&prevented), "{stderr}");
        } else {
            assert!(stderr.contains(&prevented), "{stderr}");
            assert!(
                stderr.contains("hint: move it to another place: "),
                "{stderr}"
            );
        }
        crate::tree::assert_same(&before, &test.state(), "it was refused");
    }
    let doctor = test.run(["doctor"]).any_stdout().status(1).stdout;
    for message in messages {
        assert!(doctor.contains(message), "{doctor}");
    }
    // The hints help. A mount needs root, so the state moves back.
    std::fs::remove_file(&link).expect("remove the link");
    std::fs::rename(test.root("srv-shop"), &link).expect("move the state back");
    std::fs::remove_dir(&env).expect("remove the directory");
    std::fs::write(&env, "").expect("write the settings");
    test.run(["rollback"]).any_stderr().success();
}

/// Where the directories of every change cannot be written, no lock can be taken: everything else that
/// prevents the change is named all the same.
#[test]
fn a_read_only_host_is_refused_with_everything_else() {
    if !is_root() {
        return not_run("this needs root, to make a file system read-only");
    }
    private_mounts();
    let test = crate::plans::releases(2);
    let (opt, enabled) = (test.root("opt/shop"), test.root("etc/systemd/system"));
    test.write("src/data/pages.txt", "changed\n");
    let manifest = std::fs::read_to_string(test.app("robot.toml")).expect("read the manifest");
    let more = "[service.more]\nexec = [\"/absent/program\"]\n";
    test.write("robot.toml", &format!("{manifest}{more}"));
    let read_only = [opt, enabled].map(|dir| crate::previews::ReadOnly::new(&dir));
    for args in [&["deploy"][..], &["deploy", "--apply"]] {
        let run = test.run(args).case(&args.join(" ")).any_stdout();
        let stderr = run.any_stderr().status(2).stderr;
        for message in [
            "things prevent it: ",
            "the program `/absent/program` of service `more` does not exist",
            "the file system of `/opt/shop` is read-only",
        ] {
            assert!(stderr.contains(message), "{message}: {stderr}");
        }
    }
    drop(read_only);
}

/// The plan is refused for the same reasons as the deploy.
#[test]
fn a_plan_that_apply_would_refuse_is_refused() {
    let missing = "error: the program `/opt/shop/current/bin/web` of service `web` is not executable\n\nhint: make it executable in the source with `chmod +x`, and deploy again\n";
    let secret = "error: the secret `KEY` is missing\n\n\
                  hint: set it: robotctl --root [DIR]/root/ secret set KEY\n";
    let with_secret = format!("{}[[secret]]\nname = \"KEY\"\n", crate::test::SHOP);
    for (manifest, mode, stderr) in [
        (crate::test::SHOP, 0o644, missing),
        (with_secret.as_str(), 0o755, secret),
    ] {
        let test = Test::shop().manifest(manifest);
        test.mode("src/bin/web", mode);
        let before = test.tree();
        let run = test.run(["deploy"]).any_stdout().stderr(stderr);
        run.status(2);
        crate::tree::assert_same(&before, &test.tree(), "a plan created something");
        let apply = test.run(["deploy", "--apply"]).any_stderr().status(2);
        assert!(apply.stderr.ends_with(stderr), "{}", apply.stderr);
    }
}

#[test]
fn a_plan_lists_the_commands_that_it_runs() {
    let manifest = format!(
        "{}[hooks]\nbefore-switch = [[\"{{current}}/migrate\"], [\"/bin/true\"]]\n\
         after-switch = [[\"/bin/echo\", \"done\"]]\n",
        crate::test::SHOP.replace(
            "source = \"src\"\n",
            "source = \"src\"\nbuild = [[\"make\", \"all\"]]\n"
        )
    );
    let test = Test::shop().manifest(&manifest);
    let plan = test.run(["deploy"]).any_stdout().any_stderr().success();
    let said = "commands:\n  build          make all\n  before-switch  /opt/shop/current/migrate\n  \
                before-switch  /bin/true\n  after-switch   /bin/echo done\n";
    assert!(plan.stdout.contains(said), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("accounts:\n  creates user shop\n"),
        "{}",
        plan.stdout
    );
    let json = test.run(["deploy", "--format", "json"]);
    let json = json.any_stdout().any_stderr().success();
    assert!(
        json.stdout.contains("\"when\":\"build\"") || json.stdout.contains("\"when\": \"build\""),
        "{}",
        json.stdout
    );
}

/// Another user could replace a directory by a link while root works in the tree.
#[test]
fn a_tree_that_another_user_can_change_is_refused() {
    if !is_root() {
        return not_run("only root can give directories to another user");
    }
    let chown = |path: &Path, uid: u32| {
        let user = nix::unistd::Uid::from_raw(uid);
        nix::unistd::chown(path, Some(user), None).unwrap();
    };
    for (dir, command) in [
        ("", "chown root:"),
        ("opt", "chown root:"),
        ("var/lib", "chmod go-w"),
    ] {
        let test = Test::shop();
        let path = test.root(dir);
        std::fs::create_dir_all(&path).unwrap();
        match command.starts_with("chown") {
            true => chown(&path, 65534),
            false => test.mode(&format!("../root/{dir}"), 0o777),
        }
        let shown = format!("[DIR]/root/{dir}");
        let shown = shown.trim_end_matches('/');
        let said = format!(
            "error: another user than root can change `{shown}`, and could lead this command out of the tree\n\n\
             hint: let only root change it: sudo {command} {shown}\n"
        );
        for arguments in [&["deploy"][..], &["deploy", "--apply"]] {
            test.run(arguments).case(dir).stderr(&said).status(2);
        }
        match command.starts_with("chown") {
            true => chown(&path, 0),
            false => test.mode(&format!("../root/{dir}"), 0o755),
        }
        test.run(["deploy", "--apply"]).any_stderr().success();
    }
}
