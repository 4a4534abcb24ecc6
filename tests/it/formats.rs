//! Files that earlier versions wrote to a host are read by this one. `tests/formats/README.md` says
//! how they were made. These tests use the command line only, so that they hold whatever the types
//! in the code are called.

use crate::test::Test;
use crate::tree;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const RECORDS: &str = "var/lib/robotctl/shop";
const UNIT: &str = "usr/local/lib/systemd/system/shop-web.service";

/// The releases of `shop`, by version.
const V1_0: &str = "1.0-279519de8da6";
const V1_1: &str = "1.1-359ac1f3f4fb";
const V1_2: &str = "1.2-6fe85cc0ba3e";
const V1_3: &str = "1.3-20861c31a262";
const V1_4: &str = "1.4-c6ab164a2b2c";

/// How the commands that change something are typed.
const PRUNE: &[&str] = &["prune", "--app", "shop", "--keep", "2", "--apply"];
const REMOVE: &[&str] = &["remove", "--app", "shop", "--apply"];

/// A host as an earlier version left it.
pub(crate) struct Earlier {
    pub(crate) test: Test,
}

/// How a command ended, with ids as they are.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Earlier {
    pub(crate) fn new(name: &str) -> Self {
        let test = Test::new();
        let from = fixture(name);
        for part in ["root", "app"] {
            if from.join(part).exists() {
                copy(&from.join(part), &test.outside(part));
            }
        }
        let modes = std::fs::read_to_string(from.join("modes")).expect("read the modes");
        let modes: Vec<(u32, PathBuf)> = modes
            .lines()
            .map(|line| {
                let (mode, path) = line.split_once(' ').expect("a mode and a path");
                let mode = u32::from_str_radix(mode, 8).expect("an octal mode");
                (mode, test.outside(path))
            })
            .collect();
        for (_, path) in &modes {
            if !path.exists() {
                std::fs::create_dir_all(path).expect("make an empty directory");
            }
        }
        // A directory may be closed to writing, so it comes after what is in it.
        for (mode, path) in modes.iter().rev() {
            let mode = std::fs::Permissions::from_mode(*mode);
            std::fs::set_permissions(path, mode).expect("set a mode");
        }
        Self { test }
    }

    /// Runs a command in the application's directory.
    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_robotctl"));
        command.args(args).arg("--root").arg(self.test.root(""));
        let output = command
            .current_dir(self.test.app(""))
            .output()
            .expect("start robotctl");
        let ended = Ended {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert_eq!(
            ended.code,
            code,
            "{}\n--- stdout\n{}--- stderr\n{}",
            args.join(" "),
            ended.stdout,
            ended.stderr
        );
        ended
    }

    fn current(&self) -> String {
        let link = std::fs::read_link(self.test.root("opt/shop/current")).expect("read current");
        let link = link.to_string_lossy().into_owned();
        link.strip_prefix("releases/").expect("relative").to_owned()
    }

    /// Fails unless link, units, records and the readers agree on what is live.
    #[track_caller]
    fn assert_live(&self, id: &str) {
        assert_eq!(self.current(), id);
        let version = id.split('-').next().expect("a version");
        let unit = std::fs::read_to_string(self.test.root(UNIT)).expect("read the unit");
        let wanted = format!("Environment=RELEASE={version}\n");
        assert!(unit.contains(&wanted), "{unit}");
        let journal = self.test.root(&format!("{RECORDS}/journal.json"));
        assert!(!journal.exists(), "the journal is still there");
        let status = self.run(&["status", "--app", "shop"], 0).stdout;
        let first = status.lines().next().expect("a line");
        assert!(first.contains("shop") && first.contains(id), "{status}");
        self.assert_no_leftovers();
    }

    /// Fails when a temporary file of a killed run is left.
    #[track_caller]
    fn assert_no_leftovers(&self) {
        let tree = self.test.tree();
        let left = tree.keys().find(|path| path.contains(".robotctl-"));
        assert_eq!(left, None, "a temporary file is left");
    }
}

fn fixture(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    dir.join(name)
}

fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    cp.args(["--recursive", "--no-dereference"]);
    cp.arg(from.join(".")).arg(to);
    assert!(cp.status().expect("start cp").success(), "copy a fixture");
    // Git keeps one bit of a mode; the rest is the umask of the checkout.
    let mut chmod = Command::new("chmod");
    chmod.args(["--recursive", "u=rwX,go=rX"]).arg(to);
    assert!(chmod.status().expect("start chmod").success(), "set modes");
}

#[test]
fn status_releases_and_history_read_earlier_files() {
    let host = Earlier::new("settled");
    let before = host.test.tree();
    let elsewhere: &[&str] = &["--app", "shop"];
    let status = host.run(&[&["status"], elsewhere].concat(), 0).stdout;
    let lines: Vec<&str> = status.lines().collect();
    assert!(lines[0].contains(V1_4), "{status}");
    assert!(lines[0].contains("2026-11-29T14:28:57Z"), "{status}");
    let web = lines.iter().find(|line| line.contains("shop-web.service"));
    assert!(web.expect("the service").contains(V1_2), "{status}");
    let releases = host.run(&[&["releases"], elsewhere].concat(), 0).stdout;
    let lines: Vec<&str> = releases.lines().collect();
    assert_eq!(lines.len(), 4, "{releases}");
    for (line, (id, word)) in lines.iter().zip([
        (V1_0, "good"),
        (V1_2, "good"),
        (V1_3, "it failed under an earlier robotctl"),
        (V1_4, "good"),
    ]) {
        assert!(line.contains(id) && line.contains(word), "{releases}");
    }
    assert!(lines[3].starts_with("* "), "{releases}");
    let history = host.run(&[&["history"], elsewhere].concat(), 0).stdout;
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 7, "{history}");
    for (line, (event, id)) in lines.iter().zip([
        ("deployed", V1_0),
        ("deployed", V1_1),
        ("deployed", V1_2),
        ("deployed", V1_3),
        ("deployed", V1_4),
        ("pruned", V1_1),
        ("pinned", V1_2),
    ]) {
        assert!(line.contains(event) && line.contains(id), "{history}");
    }
    // The copies have other owners and times than the index knows: doctor names what it compared.
    let doctor = host.run(&[&["doctor"], elsewhere].concat(), 1).stdout;
    assert!(doctor.contains("common.txt"), "{doctor}");
    assert!(!doctor.contains("[state]"), "{doctor}");
    // An app with an environment, found without a manifest.
    let staging = host.run(&["status", "--app", "lamp-staging"], 0).stdout;
    assert!(staging.contains("2.0-3a141d89b8b5"), "{staging}");
    tree::assert_same(&before, &host.test.tree(), "a reader changed something");
}

#[test]
fn a_rollback_reads_earlier_files() {
    let host = Earlier::new("settled");
    // 1.3 failed, so the previous release is 1.2.
    host.run(&["rollback", "--app", "shop"], 0);
    host.assert_live(V1_2);
    let pinned = format!("{UNIT}.d/05-execstart.conf");
    let text = std::fs::read_to_string(host.test.root(&pinned)).expect("read the drop-in");
    assert!(!text.contains(V1_2), "the pin is still there: {text}");
    host.run(&["rollback", "--app", "shop"], 0);
    host.assert_live(V1_0);
    host.run(&["rollback", "--app", "shop"], 2);

    let host = Earlier::new("settled");
    let refused = host.run(&["rollback", "1.3", "--app", "shop"], 2);
    assert!(
        refused
            .stderr
            .contains("it failed under an earlier robotctl"),
        "{}",
        refused.stderr
    );
    host.run(&["rollback", "1.3", "--force", "--app", "shop"], 0);
    host.assert_live(V1_3);
}

#[test]
fn a_prune_reads_earlier_files() {
    let host = Earlier::new("settled");
    host.run(PRUNE, 0);
    for (id, stays) in [(V1_0, false), (V1_2, true), (V1_3, true), (V1_4, true)] {
        for path in [
            format!("opt/shop/releases/{id}"),
            format!("{RECORDS}/releases/{id}.json"),
            format!("{RECORDS}/releases/{id}.index"),
        ] {
            assert_eq!(host.test.root(&path).exists(), stays, "{path}");
        }
    }
    host.assert_live(V1_4);
}

#[test]
fn a_deploy_reads_earlier_files() {
    let host = Earlier::new("settled");
    let manifest = std::fs::read_to_string(host.test.app("robot.toml")).expect("read");
    let version = |version: &str| {
        host.test
            .write("robot.toml", &manifest.replace("1.4", version));
        host.test.write("src/VERSION", &format!("{version}\n"));
    };
    version("1.5");
    let refused = host.run(&["deploy"], 2);
    assert!(refused.stderr.contains(V1_2), "the pin: {}", refused.stderr);
    // The index of the live release says what differs.
    let plan = host.run(&["deploy", "--lift-pins"], 0).stdout;
    assert!(plan.contains("0 added, 1 changed, 0 removed"), "{plan}");
    host.run(&["deploy", "--lift-pins", "--apply"], 0);
    let new = host.current();
    assert!(new.starts_with("1.5-"), "{new}");
    host.assert_live(&new);

    // A release that failed and is gone is refused. Its id may be another one today: the id also
    // covers the units.
    version("1.1");
    let plan = host.run(&["deploy", "--format", "json", "--force"], 0);
    let at = plan.stdout.find("1.1-").expect("an id");
    let today = &plan.stdout[at..at + V1_1.len()];
    let failed = host.test.root(&format!("{RECORDS}/failed.json"));
    let text = std::fs::read_to_string(&failed).expect("read");
    std::fs::write(&failed, text.replace(V1_1, today)).expect("write");
    let refused = host.run(&["deploy", "--apply"], 2);
    assert!(
        refused
            .stderr
            .contains("it failed under an earlier robotctl"),
        "{}",
        refused.stderr
    );
    host.assert_live(&new);
}

#[test]
fn a_removal_reads_earlier_files() {
    let host = Earlier::new("settled");
    host.run(REMOVE, 0);
    for path in ["opt/shop", RECORDS, UNIT] {
        assert!(!host.test.root(path).exists(), "{path}");
    }
    assert!(host.test.root("etc/shop/env").exists());
    assert!(host.test.root("opt/lamp-staging/current").exists());
}

#[test]
fn recovery_ends_what_an_earlier_version_began() {
    for (name, live) in [
        ("interrupted-deploy", V1_1),
        ("proven-deploy", V1_2),
        ("reverting-deploy", V1_1),
        ("interrupted-rollback", V1_1),
        ("interrupted-removal", V1_1),
    ] {
        eprintln!("{name}");
        let host = Earlier::new(name);
        let status = host.run(&["status", "--app", "shop"], 0).stdout;
        assert!(
            status.contains("a change was interrupted; to end it: robotctl --root ")
                && status.contains("/root/ recover\n"),
            "{name}: {status}"
        );
        host.run(&["recover"], 0);
        host.assert_live(live);
        // The release that was not live before the deploy is gone, and so are its records.
        let known = host.run(&["releases", "--app", "shop"], 0).stdout;
        assert!(known.contains(live) && known.contains(V1_0), "{known}");
        let settled = host.test.state();
        host.run(&["recover"], 0);
        tree::assert_same(&settled, &host.test.state(), "recovered twice");
    }
}

#[test]
fn the_next_command_ends_what_an_earlier_version_began() {
    for (name, live) in [
        // The interrupted deploy is undone, and that is all that this rollback does.
        ("interrupted-deploy", V1_1),
        ("reverting-deploy", V1_1),
        ("proven-deploy", V1_1),
        ("interrupted-rollback", V1_0),
        ("interrupted-removal", V1_0),
    ] {
        eprintln!("{name}");
        let host = Earlier::new(name);
        host.run(&["rollback", "--app", "shop"], 0);
        host.assert_live(live);
    }
}

#[test]
fn recovery_ends_a_removal_that_an_earlier_version_began() {
    let host = Earlier::new("unfinished-removal");
    assert!(host.test.root("opt/shop/releases").exists());
    host.run(&["recover"], 0);
    // It was a purge.
    for path in ["opt/shop", "etc/shop", "var/lib/shop", RECORDS, UNIT] {
        assert!(!host.test.root(path).exists(), "{path}");
    }
    host.assert_no_leftovers();
    host.run(&["status"], 2);
}
