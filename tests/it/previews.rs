//! What `--apply` would refuse, the preview refuses with the same words and the same exit code.

use crate::formats::Earlier;
use crate::offline::{MANIFEST, app, deploy, live};
use crate::plans::{releases, version};
use crate::test::{SHOP, Test};
use crate::tree;
use crate::under_way::DeployUnderWay;
use crate::unsuitable_hosts::{is_root, not_run, private_mounts};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const STORE: &str = "var/lib/robotctl/shop";
/// Directories of the host that a refused first deploy may create: they belong to all apps.
pub(crate) const SHARED: [&str; 4] = ["opt", "var", "var/lib", "var/lib/robotctl"];
/// Where the links are that enable the units.
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants";

/// A command on a host that it cannot change.
struct Refusal {
    name: &'static str,
    host: fn() -> Test,
    preview: &'static [&'static str],
    apply: &'static [&'static str],
    code: i32,
    /// How the message begins.
    message: &'static str,
}

const fn refusal(
    name: &'static str,
    host: fn() -> Test,
    [preview, apply]: [&'static [&'static str]; 2],
    code: i32,
    message: &'static str,
) -> Refusal {
    Refusal {
        name,
        host,
        preview,
        apply,
        code,
        message,
    }
}

pub(crate) const DEPLOY: [&[&str]; 2] = [&["deploy"], &["deploy", "--apply"]];
pub(crate) const ROLLBACK: [&[&str]; 2] = [&["rollback", "--dry-run"], &["rollback"]];
pub(crate) const REMOVE: [&[&str]; 2] = [&["remove"], &["remove", "--apply"]];
pub(crate) const PURGE: [&[&str]; 2] = [
    &["remove", "--app", "shop", "--purge"],
    &["remove", "--app", "shop", "--purge", "--apply"],
];
pub(crate) const PRUNE: [&[&str]; 2] = [
    &["prune", "--keep", "2"],
    &["prune", "--keep", "2", "--apply"],
];

#[test]
fn a_preview_refuses_what_apply_refuses() {
    let all = [bad_hosts(), bad_releases(), bad_requests()].into_iter();
    for case in all.flatten() {
        let test = (case.host)();
        let before = test.state();
        let files = || {
            let mut tree = test.state();
            tree.retain(|path, _| before.contains_key(path) || !SHARED.contains(&path.as_str()));
            tree
        };
        let run = |args: &[&str]| {
            let name = format!("{}, {}", case.name, args.join(" "));
            let run = test.run(args).case(&name).any_stdout().any_stderr();
            let stderr = run.status(case.code).stderr;
            tree::assert_same(&before, &files(), &name);
            // A command that acts may warn first that it cannot clean up.
            let is_warning = |line: &&str| line.starts_with("warning: ");
            let error: Vec<&str> = stderr.lines().skip_while(is_warning).collect();
            let error = error.join("\n") + "\n";
            assert!(error.starts_with(case.message), "{name}: {stderr}");
            error
        };
        let (preview, apply) = (run(case.preview), run(case.apply));
        assert_eq!(preview, apply, "{}", case.name);
    }
}

/// The host or the state of the app cannot be used.
fn bad_hosts() -> Vec<Refusal> {
    const ETC: &str = "error: `/etc` of the root `[DIR]/root` is a link\n";
    const STATE: &str = "error: `[DIR]/root/var/lib/robotctl/shop/state.json` cannot be read: ";
    const JOURNAL: &str = "error: `[DIR]/root/var/lib/robotctl/shop/journal.json` cannot be read: ";
    const NEWER: &str =
        "error: `/var/lib/robotctl/shop/state.json` was written by a newer robotctl: ";
    const RECORD: &str =
        "error: `[DIR]/root/var/lib/robotctl/shop/releases/0.3-[ID].private` cannot be read: ";
    vec![
        refusal("etc is a link, first", etc_link_first, DEPLOY, 2, ETC),
        refusal("etc is a link, deploy", etc_link, DEPLOY, 2, ETC),
        refusal("etc is a link, rollback", etc_link, ROLLBACK, 2, ETC),
        refusal("etc is a link, remove", etc_link, REMOVE, 2, ETC),
        refusal("etc is a link, purge", etc_link, PURGE, 2, ETC),
        refusal("etc is a link, prune", etc_link, PRUNE, 2, ETC),
        refusal("damaged state, deploy", damaged_state, DEPLOY, 2, STATE),
        refusal("damaged state, rollback", damaged_state, ROLLBACK, 2, STATE),
        refusal("damaged state, remove", damaged_state, REMOVE, 2, STATE),
        refusal("damaged state, purge", damaged_state, PURGE, 2, STATE),
        refusal("damaged state, prune", damaged_state, PRUNE, 2, STATE),
        // The host may be between two releases.
        refusal(
            "damaged journal, deploy",
            damaged_journal,
            DEPLOY,
            4,
            JOURNAL,
        ),
        refusal(
            "damaged journal, rollback",
            damaged_journal,
            ROLLBACK,
            4,
            JOURNAL,
        ),
        refusal(
            "damaged journal, remove",
            damaged_journal,
            REMOVE,
            4,
            JOURNAL,
        ),
        refusal("damaged journal, prune", damaged_journal, PRUNE, 2, JOURNAL),
        refusal("newer state, deploy", newer_state, DEPLOY, 2, NEWER),
        refusal("newer state, rollback", newer_state, ROLLBACK, 2, NEWER),
        refusal("newer state, remove", newer_state, REMOVE, 2, NEWER),
        refusal("newer state, prune", newer_state, PRUNE, 2, NEWER),
        refusal("damaged record, deploy", damaged_record, DEPLOY, 2, RECORD),
        refusal("damaged record, remove", damaged_record, REMOVE, 2, RECORD),
        refusal("damaged record, prune", damaged_record, PRUNE, 2, RECORD),
    ]
}

/// The new release cannot be deployed.
fn bad_releases() -> Vec<Refusal> {
    vec![
        refusal(
            "missing secret",
            || manifest(&format!("{SHOP}[[secret]]\nname = \"KEY\"\n")),
            DEPLOY,
            2,
            "error: the secret `KEY` is missing\n",
        ),
        refusal(
            "missing program",
            || manifest(&SHOP.replace("bin/web", "bin/absent")),
            DEPLOY,
            2,
            "error: the program `/opt/shop/current/bin/absent` of service `web` does not exist\n",
        ),
        refusal(
            "missing wheels and requirements",
            || {
                let python = "python = { requirements = [\"absent.txt\"], wheels = \"wheels\" }\n";
                let all = format!("exclude = [\"/wheels/\"]\n{python}[service.web]");
                let test = manifest(&SHOP.replace("[service.web]", &all));
                test.file("src/wheels/a-1.0-py3-none-any.whl", "x")
            },
            DEPLOY,
            2,
            "error: 2 things prevent it: robot.toml:7: the source has no requirements file `absent.txt`; \
             robot.toml:7: `/wheels/` in `release.exclude` leaves the directory of wheels `wheels` out of \
             the release\n",
        ),
        refusal(
            "missing source",
            || manifest(&SHOP.replace("\"src\"", "\"absent\"")),
            DEPLOY,
            2,
            "error: the source `absent` does not exist\n",
        ),
        refusal(
            "bad manifest",
            || manifest("[app]\n"),
            DEPLOY,
            2,
            "error: robot.toml:1: ",
        ),
        refusal(
            "a file of another owner",
            file_of_another,
            DEPLOY,
            2,
            "error: `/usr/local/lib/systemd/system/shop-web.service` exists already and was not \
             written for this app\n",
        ),
        refusal(
            "`current` is a directory",
            current_is_a_directory,
            DEPLOY,
            2,
            "error: `/opt/shop/current` is not a link\n",
        ),
    ]
}

/// The command asks for what is not there.
fn bad_requests() -> Vec<Refusal> {
    vec![
        refusal(
            "a pinned service",
            pinned,
            DEPLOY,
            2,
            "error: service `web` is pinned to 0.2-[ID]\n",
        ),
        refusal(
            "a release that failed before, deploy",
            failed_before,
            DEPLOY,
            2,
            "error: release 0.3-[ID] failed before: it did not start\n",
        ),
        refusal(
            "a release that failed before, rollback",
            failed_before,
            [&["rollback", "0.3", "--dry-run"], &["rollback", "0.3"]],
            2,
            "error: release 0.3-[ID] failed before: it did not start\n",
        ),
        refusal(
            "no previous release",
            || releases(1),
            ROLLBACK,
            2,
            "error: 0.1-[ID] has no previous release: it is the first one of `shop`\n",
        ),
        refusal(
            "an unknown release",
            || releases(1),
            [&["rollback", "7", "--dry-run"], &["rollback", "7"]],
            2,
            "error: there is no release `7`\n",
        ),
        refusal(
            "an unknown service",
            || releases(2),
            [
                &["rollback", "--service", "wbe", "--dry-run"],
                &["rollback", "--service", "wbe"],
            ],
            2,
            "error: 0.2-[ID] and 0.1-[ID] do not both have a service `wbe`\n",
        ),
        refusal("not deployed, rollback", app, ROLLBACK, 2, NOT_DEPLOYED),
        refusal("not deployed, prune", app, PRUNE, 2, NOT_DEPLOYED),
        refusal("not deployed, remove", app, REMOVE, 2, UNKNOWN),
        refusal("not deployed, purge", app, PURGE, 2, UNKNOWN),
        refusal(
            "releases that are not mounted",
            without_releases,
            PRUNE,
            2,
            "error: the live release `0.3-[ID]` is missing, so nothing was pruned\n",
        ),
    ]
}

const NOT_DEPLOYED: &str = "error: `shop` is not deployed on this host\n";
const UNKNOWN: &str = "error: there is no app `shop` on this host\n";

fn manifest(text: &str) -> Test {
    Test::shop().manifest(text)
}

fn etc_link_first() -> Test {
    let test = app();
    symlink(test.outside("elsewhere"), test.root("etc")).expect("make a link");
    test
}

fn etc_link() -> Test {
    let test = releases(3);
    fs::rename(test.root("etc"), test.root("real-etc")).expect("rename");
    symlink("real-etc", test.root("etc")).expect("make a link");
    changed(test)
}

/// Something to deploy.
pub(crate) fn changed(test: Test) -> Test {
    version(&test, 4);
    test
}

/// A new release whose units differ.
pub(crate) fn changed_unit(test: Test) -> Test {
    version(&test, 4);
    let manifest = fs::read_to_string(test.app("robot.toml")).expect("read");
    test.write(
        "robot.toml",
        &manifest.replace("exec = ", "timeout-stop = \"7s\"\nexec = "),
    );
    test
}

fn damaged_state() -> Test {
    let test = changed(releases(3));
    fs::write(test.root(STORE).join("state.json"), "{").expect("write");
    test
}

fn damaged_journal() -> Test {
    let test = changed(releases(3));
    fs::write(test.root(STORE).join("journal.json"), "{").expect("write");
    test
}

fn newer_state() -> Test {
    let test = changed(releases(3));
    let newer = "{ \"format\": 99 }\n";
    fs::write(test.root(STORE).join("state.json"), newer).expect("write");
    test
}

fn damaged_record() -> Test {
    let test = changed(releases(3));
    let record = format!("releases/{}.private", live(&test));
    fs::write(test.root(STORE).join(record), "{").expect("write");
    test
}

fn file_of_another() -> Test {
    let test = app();
    let unit = test.root("usr/local/lib/systemd/system/shop-web.service");
    fs::create_dir_all(unit.parent().expect("a parent")).expect("make a directory");
    fs::write(unit, "[Service]\n").expect("write a unit");
    test
}

fn current_is_a_directory() -> Test {
    let test = changed(releases(3));
    fs::remove_file(test.root("opt/shop/current")).expect("remove the link");
    fs::create_dir(test.root("opt/shop/current")).expect("make a directory");
    test
}

fn pinned() -> Test {
    let test = releases(3);
    let pin = test.run(["rollback", "--service", "web"]);
    pin.any_stderr().success();
    changed(test)
}

/// `0.3` failed after it was live. The manifest is still that of `0.3`.
fn failed_before() -> Test {
    let test = releases(3);
    let record = format!("{STORE}/releases/{}.json", live(&test));
    test.run(["rollback"]).any_stderr().success();
    let good = fs::read_to_string(test.root(&record)).expect("read");
    let bad = "\"mark\": \"bad\",\n  \"why\": \"it did not start\"";
    let marked = good.replace("\"mark\": \"good\"", bad);
    assert_ne!(good, marked);
    fs::write(test.root(&record), marked).expect("write");
    test
}

fn without_releases() -> Test {
    let test = releases(3);
    fs::rename(test.root("opt/shop"), test.root("elsewhere")).expect("rename");
    test
}

/// A directory that is mounted again read-only, for this thread, until the end of the test.
pub(crate) struct ReadOnly(PathBuf);

impl ReadOnly {
    pub(crate) fn new(dir: &Path) -> Self {
        let none = None::<&str>;
        mount(Some(dir), dir, none, MsFlags::MS_BIND, none).expect("mount the directory");
        let guard = Self(dir.to_owned());
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, dir, none, flags, none).expect("make it read-only");
        guard
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_read_only_file_system_is_refused_by_preview_and_apply() {
    if !is_root() {
        return not_run("this needs root, to make a file system read-only");
    }
    private_mounts();
    let store = "/var/lib/robotctl/shop";
    for (host, read_only, named, commands) in [
        (app as fn() -> Test, "", store, &[DEPLOY][..]),
        (
            || changed(releases(3)),
            "",
            store,
            &[DEPLOY, ROLLBACK, REMOVE, PURGE, PRUNE],
        ),
        (|| releases(3), "", store, &[DEPLOY]),
        (
            || changed(releases(3)),
            "opt/shop",
            "/opt/shop",
            &[DEPLOY, ROLLBACK, REMOVE, PRUNE],
        ),
        (
            || changed_unit(releases(3)),
            "usr/local/lib/systemd",
            "/usr/local/lib/systemd/system",
            &[DEPLOY],
        ),
        (app, "etc/systemd", ENABLED, &[DEPLOY]),
        (
            || changed_unit(app()),
            "usr/local/lib/tmpfiles.d",
            "/usr/local/lib/tmpfiles.d",
            &[DEPLOY],
        ),
    ] {
        let test = host();
        fs::create_dir_all(test.root(read_only)).expect("make a directory");
        let mounted = ReadOnly::new(&test.root(read_only));
        let place = format!("[DIR]/root/{read_only}");
        let stderr = format!(
            "error: the file system of `{named}` is read-only\n\n\
             hint: make it writable: sudo mount -o remount,rw {}\n",
            place.trim_end_matches('/')
        );
        let before = test.state();
        for args in commands.iter().flatten() {
            let case = format!("{read_only:?}, {}", args.join(" "));
            let run = test.run(args).case(&case).any_stdout();
            run.stderr(&stderr).status(2);
            let mut after = test.state();
            after.retain(|path, _| before.contains_key(path) || !SHARED.contains(&path.as_str()));
            tree::assert_same(&before, &after, &case);
        }
        drop(mounted);
        // The hint helps: the same command works.
        for args in &commands[0] {
            test.run(args).any_stdout().any_stderr().success();
        }
    }
}

/// A file where a directory must be.
#[test]
fn a_file_in_place_of_a_directory_is_refused_by_preview_and_apply() {
    for (dir, named) in [
        ("usr/local/lib/tmpfiles.d", "/usr/local/lib/tmpfiles.d"),
        ("usr/local/lib/systemd", "/usr/local/lib/systemd"),
        ("etc/systemd", "/etc/systemd"),
    ] {
        let test = app();
        let file = test.root(dir);
        fs::create_dir_all(file.parent().expect("a parent")).expect("make a directory");
        fs::write(&file, "").expect("write");
        let before = test.state();
        for args in DEPLOY {
            let run = test.run(args).case(dir).any_stdout();
            run.stderr(&format!(
                "error: `[DIR]/root{named}` is not a directory\n\n\
                 hint: move it aside: files of the app are written below it\n"
            ))
            .status(2);
        }
        let mut after = test.state();
        after.retain(|path, _| before.contains_key(path) || !SHARED.contains(&path.as_str()));
        tree::assert_same(&before, &after, dir);
    }
}

/// While another command changes the app, no plan is reliable.
#[test]
fn a_change_under_way_is_refused_by_preview_and_apply() {
    let test = app();
    deploy(&test);
    let under_way = DeployUnderWay::start(&test);
    let expected = format!(
        "error: another `robotctl` is changing `shop`: deploying (pid {})\n\n\
         hint: try again later, or wait for it with `--wait SECONDS`\n",
        under_way.pid()
    );
    for args in [DEPLOY, ROLLBACK, REMOVE, PURGE, PRUNE].iter().flatten() {
        test.run(args).stderr(&expected).status(5);
    }
    under_way.finish();
    test.run(["deploy", "--wait", "1"])
        .any_stdout()
        .any_stderr()
        .success();
}

/// A preview of an interrupted change would show a plan that `--apply` does not carry out, because it
/// recovers first.
#[test]
fn a_preview_after_an_interrupted_change_is_refused() {
    for [args, _] in [DEPLOY, ROLLBACK, REMOVE, PURGE] {
        let test = Earlier::new("interrupted-deploy").test.manifest(SHOP);
        let test = test.program("src/bin/web", "#!/bin/sh\n");
        let before = test.state();
        let run = test.run(args);
        run.stderr(
            "error: a change of `shop` was interrupted, so no plan can be made\n\n\
             hint: complete or undo it first: robotctl --root [DIR]/root/ recover\n",
        )
        .status(2);
        tree::assert_same(&before, &test.state(), &args.join(" "));
        // The hint helps.
        test.run(["recover"]).any_stderr().success();
        test.run(args).any_stdout().any_stderr().success();
    }
}

/// A command that ended an interrupted change and is refused then has changed the host.
#[test]
fn a_refusal_after_a_recovery_does_not_claim_that_nothing_changed() {
    let test = Earlier::new("interrupted-deploy").test;
    let run = test.run(["rollback", "--app", "shop", "no-such-release"]);
    let ended = run.any_stderr().status(4);
    let expected = "error: there is no release `no-such-release`; an interrupted change was ended \
                    before\n";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let run = test.run(["rollback", "--app", "shop", "no-such-release"]);
    run.any_stderr().status(2);
}

/// One app is recovered and the other cannot be.
#[test]
fn a_recovery_of_one_app_of_two_does_not_claim_that_nothing_changed() {
    let test = Earlier::new("interrupted-deploy").test;
    let other = test.root("var/lib/robotctl/zeta");
    fs::create_dir_all(&other).expect("make a directory");
    fs::write(other.join("state.json"), "{ \"format\": 99 }\n").expect("write");
    test.run(["recover"]).any_stderr().status(4);
    // Nothing is left to recover, so the second run changes nothing.
    test.run(["recover"]).any_stderr().status(2);
}

/// A removal would empty a file system that is mounted inside the app's directories.
#[test]
fn a_mount_inside_the_app_is_refused_by_preview_and_apply() {
    if !is_root() {
        return not_run("this needs root, to mount a directory");
    }
    private_mounts();
    let test = releases(1);
    let dir = test.root("opt/shop/releases");
    let none = None::<&str>;
    mount(Some(&dir), &dir, none, MsFlags::MS_BIND, none).expect("mount the directory");
    let mounted = ReadOnly(dir);
    let before = test.state();
    for args in REMOVE {
        test.run(args)
            .stderr(
                "error: `[DIR]/root/opt/shop/releases` is mounted, and the removal would empty \
                 it\n\nhint: unmount it: sudo umount [DIR]/root/opt/shop/releases\n",
            )
            .status(2);
        tree::assert_same(&before, &test.state(), &args.join(" "));
    }
    drop(mounted);
}

/// Two apps with three releases each, and a damaged journal of `shop`.
fn one_of_two_is_damaged() -> Test {
    let test = app();
    for name in ["second", "shop"] {
        for number in 1..=3 {
            let manifest = MANIFEST.replace("\"shop\"", &format!("\"{name}\""));
            let version = format!("\"0.{number}\"");
            test.write("robot.toml", &manifest.replace("\"1.0\"", &version));
            deploy(&test);
        }
    }
    fs::write(test.root(STORE).join("journal.json"), "{").expect("write");
    fs::create_dir(test.outside("elsewhere")).expect("make a directory");
    test
}

/// Exit code 2 promises that nothing was changed.
#[test]
fn a_prune_of_all_apps_that_fails_halfway_does_not_claim_that_nothing_changed() {
    let test = one_of_two_is_damaged();
    let elsewhere = test.outside("elsewhere");
    let count = || {
        let second = fs::read_dir(test.root("opt/second/releases"));
        second.expect("list").count()
    };
    let preview = ["prune", "--keep", "2", "--all"];
    let apply = [&preview[..], &["--apply"]].concat();
    let why = "error: 1 of 2 apps could not be pruned: \
               `[DIR]/root/var/lib/robotctl/shop/journal.json` cannot be read: ";
    let run = test.run(preview).from(&elsewhere);
    let planned = run.any_stdout().any_stderr().status(2);
    assert!(planned.stderr.starts_with(why), "{}", planned.stderr);
    assert_eq!(
        planned.stdout,
        "second: 1 release to remove\n  - 0.1-[ID]\n"
    );
    assert_eq!(count(), 3, "a preview removed a release");

    let run = test.run(&apply).from(&elsewhere);
    let halfway = run.any_stderr().status(4);
    assert_eq!(count(), 2);
    let removed = "second: the old release 0.1-[ID] was removed\n";
    let said = halfway.stderr.strip_prefix(removed);
    assert_eq!(said, Some(planned.stderr.as_str()), "{}", halfway.stderr);

    // Nothing is left to remove of `second`, so nothing changes.
    let before = test.state();
    let run = test.run(&apply).from(&elsewhere);
    let refused = run.any_stderr().status(2);
    assert_eq!(refused.stderr, planned.stderr);
    tree::assert_same(&before, &test.state(), "something was changed");
}

/// A service starts without a path that it only reads.
#[test]
fn a_preview_warns_of_a_path_that_does_not_exist() {
    // The second is no part of `/opt/shop`, which a deploy creates.
    let paths = ["/srv/absent", "/opt/shop-models"];
    let test = manifest(&format!("{SHOP}sandbox.read-only = {paths:?}\n"));
    let ended = test.run(["deploy"]).any_stdout().any_stderr().success();
    for path in paths {
        let warning =
            format!("`{path}` does not exist, and `sandbox.read-only` of service `web` names it");
        assert!(ended.stdout.contains(&warning), "{}", ended.stdout);
        fs::create_dir_all(test.root(path.trim_start_matches('/'))).unwrap();
    }
    let ended = test.run(["deploy"]).any_stdout().any_stderr().success();
    assert!(!ended.stdout.contains("does not exist"), "{}", ended.stdout);
}

#[test]
fn the_probes_are_explained_like_a_check() {
    let test = Test::new();
    let ended = test
        .run(["doctor", "--explain", "probe"])
        .any_stdout()
        .success();
    assert!(
        ended.stdout.starts_with("probe: with `--probe`: "),
        "{}",
        ended.stdout
    );
}
