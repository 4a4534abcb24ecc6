//! What every command prints, offline, as text and with `--format json`. `tests/views` holds the
//! expected output, so that a change of output is a diff of these files.
//!
//! | file | holds |
//! |---|---|
//! | `<name>.out`, `<name>.err` | standard output and standard error as text |
//! | `<name>.json`, `<name>.json-err` | the same with `--format json` |
//! | `<name>.code` | the exit code; one a line when the two formats differ |
//!
//! A missing file stands for no output. `scripts/update-golden` writes the files; read the diff before
//! you commit it. Ids, times and paths that differ from run to run are replaced.

use crate::formats::Earlier;
use crate::offline::{MANIFEST, app, deploy, live};
use crate::plans::{releases, version};
use crate::rights::hostile;
use crate::test::{SHOP, Test};
use crate::tree::{self, Tree};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One command on a host of its own.
struct View {
    name: &'static str,
    /// Makes the host; once for each format when the command changes it.
    host: fn() -> Test,
    args: &'static [&'static str],
    /// Where the command runs.
    dir: Dir,
    /// What stands for systemd-tmpfiles(8), which runs between the first and the last change.
    tmpfiles: Option<&'static str>,
}

/// Where a command runs.
enum Dir {
    /// In the application's directory.
    App,
    /// In an empty one.
    Elsewhere,
}

fn view(name: &'static str, host: fn() -> Test, args: &'static [&'static str]) -> View {
    View {
        name,
        host,
        args,
        dir: Dir::App,
        tmpfiles: None,
    }
}

impl View {
    /// Runs where there is no manifest.
    fn elsewhere(mut self) -> Self {
        self.dir = Dir::Elsewhere;
        self
    }

    /// With this shell script for systemd-tmpfiles(8).
    fn tmpfiles(mut self, script: &'static str) -> Self {
        self.tmpfiles = Some(script);
        self
    }

    /// Runs the command in both formats; what it printed, by the end of the file's name.
    fn run(&self) -> BTreeMap<&'static str, String> {
        let mut test = (self.host)();
        let before = whole(&test);
        let (code, out, err) = self.run_on(&test, &[]);
        if whole(&test) != before {
            test = (self.host)();
        }
        let (json_code, json_out, json_err) = self.run_on(&test, &["--format", "json"]);
        let code = match code == json_code {
            true => format!("{code}\n"),
            false => format!("text {code}\njson {json_code}\n"),
        };
        let all = [
            ("code", code),
            ("out", out),
            ("err", err),
            ("json", json_out),
            ("json-err", json_err),
        ];
        all.into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    fn run_on(&self, test: &Test, format: &[&str]) -> (i32, String, String) {
        let held = test.root("var/lib/robotctl/shop/lock");
        let held = (self.name == "locked").then(|| {
            let file = fs::File::options().write(true).open(held);
            Flock::lock(file.expect("open the lock"), FlockArg::LockExclusive).expect("lock")
        });
        let mut path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned();
        if let Some(script) = self.tmpfiles {
            let tool = test.outside("tools/systemd-tmpfiles");
            let dir = tool.parent().expect("a parent");
            fs::create_dir_all(dir).expect("make a directory");
            path = format!("{}:{path}", dir.display());
            fs::write(&tool, format!("#!/bin/sh\n{script}")).expect("write a program");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(tool, mode).expect("set a mode");
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_robotctl"));
        let elsewhere = test.outside("elsewhere");
        fs::create_dir_all(&elsewhere).expect("make a directory");
        let dir = match self.dir {
            Dir::App => test.app(""),
            Dir::Elsewhere => elsewhere,
        };
        command.args(self.args).args(format);
        if !self.args.contains(&"--root") {
            command.arg("--root").arg(test.root(""));
        }
        let output = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", path)
            .env("SUDO_USER", "alice")
            .env("SUDO_UID", "1000")
            .env("TEST_ROOT", test.root(""))
            .output()
            .expect("start robotctl");
        drop(held);
        let plain = |bytes: &[u8]| {
            let output = test.plain(&String::from_utf8_lossy(bytes));
            pids(&times(&output))
        };
        let code = output.status.code().expect("an exit code");
        (code, plain(&output.stdout), plain(&output.stderr))
    }
}

/// Everything below the root, and what is beside it, without the lock, which names a process.
fn whole(test: &Test) -> Tree {
    let all = tree::read(&test.outside(""));
    tree::only(&all, |path| {
        !path.ends_with("/lock") && !path.starts_with("elsewhere") && !path.starts_with("tools")
    })
}

/// `[TIME]` for each point in time, such as `2026-01-02T03:04:05.678Z`.
fn times(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match time(rest) {
            Some(len) => {
                out.push_str("[TIME]");
                rest = &rest[len..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// The length of the point in time that a text begins with.
fn time(text: &str) -> Option<usize> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let begins = SHAPE.iter().enumerate().all(|(at, shape)| {
        let found = bytes.get(at).copied().unwrap_or_default();
        match shape {
            b'd' => found.is_ascii_digit(),
            other => found == *other,
        }
    });
    if !begins {
        return None;
    }
    let mut len = SHAPE.len();
    if bytes.get(len) == Some(&b'.') {
        len += 1;
        while bytes.get(len).is_some_and(u8::is_ascii_digit) {
            len += 1;
        }
    }
    (bytes.get(len) == Some(&b'Z')).then_some(len + 1)
}

/// `(pid [PID])` for each process id.
fn pids(text: &str) -> String {
    let mut parts = text.split("(pid ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out.push_str("(pid [PID]");
        out.push_str(rest);
    }
    out
}

#[test]
fn only_times_and_process_ids_are_replaced() {
    assert_eq!(times("at 2026-01-02T03:04:05Z."), "at [TIME].");
    assert_eq!(times("2026-01-02T03:04:05.678901234Z"), "[TIME]");
    assert_eq!(times("2026-01-02 03:04:05"), "2026-01-02 03:04:05");
    assert_eq!(pids("pruning (pid 12)"), "pruning (pid [PID])");
}

// Hosts.

fn deployed() -> Test {
    let test = app();
    deploy(&test);
    test
}

fn changed() -> Test {
    let test = deployed();
    let manifest = MANIFEST
        .replace("\"1.0\"", "\"1.1\"")
        .replace("8080", "9090");
    test.write("robot.toml", &format!("{manifest}[env]\nNEW = \"1\"\n"));
    test.write("src/new.txt", "new\n");
    fs::remove_file(test.app("src/data/big.bin")).expect("remove a file");
    test
}

/// Three releases, `0.1` to `0.3`, of which the last one is live.
fn three() -> Test {
    releases(3)
}

fn pinned() -> Test {
    let test = releases(2);
    let run = test.run(["rollback", "--service", "web"]);
    run.any_stderr().success();
    test
}

fn pinned_and_changed() -> Test {
    let test = pinned();
    version(&test, 3);
    test
}

/// Three releases: `0.3` failed after it was live, and `0.2` was restored.
fn failed() -> Test {
    let test = three();
    let id = live(&test);
    test.run(["rollback"]).any_stderr().success();
    let path = test.root(&format!("var/lib/robotctl/shop/releases/{id}.json"));
    let record = fs::read_to_string(&path).expect("read a record");
    let bad = "\"mark\": \"bad\",\n  \"why\": \"it did not start\"";
    fs::write(path, record.replace("\"mark\": \"good\"", bad)).expect("write a record");
    test
}

fn without_current() -> Test {
    let test = deployed();
    fs::remove_file(test.root("opt/shop/current")).expect("remove the link");
    test
}

fn changed_by_hand() -> Test {
    let test = deployed();
    fs::remove_dir(test.root("var/lib/shop")).expect("remove a directory");
    let units = test.root("usr/local/lib/systemd/system");
    fs::remove_file(units.join("shop-web.socket")).expect("remove a unit");
    fs::write(units.join("shop-web.service"), "[Service]\n").expect("write a unit");
    fs::remove_file(test.root("opt/shop/current/data/big.bin")).expect("remove a file");
    test
}

fn without_state() -> Test {
    let test = releases(2);
    fs::remove_file(test.root("var/lib/robotctl/shop/state.json")).expect("remove");
    test
}

fn damaged_state() -> Test {
    let test = deployed();
    fs::write(test.root("var/lib/robotctl/shop/state.json"), "").expect("write");
    test
}

fn damaged_journal() -> Test {
    let test = deployed();
    fs::write(test.root("var/lib/robotctl/shop/journal.json"), "").expect("write");
    test
}

fn newer_state() -> Test {
    let test = deployed();
    let path = test.root("var/lib/robotctl/shop/state.json");
    let state = fs::read_to_string(&path).expect("read");
    let format = format!("\"format\": {}", robotctl::store::FORMAT);
    let newer = state.replacen(&format, "\"format\": 99", 1);
    assert_ne!(newer, state);
    fs::write(path, newer).expect("write");
    test
}

/// A removal that was killed before its end.
fn half_removed() -> Test {
    Earlier::new("unfinished-removal").test
}

/// A deploy that was killed before the switch.
fn interrupted() -> Test {
    Earlier::new("interrupted-deploy").test
}

/// A deploy that was killed after the release had passed its checks.
fn proven() -> Test {
    Earlier::new("proven-deploy").test
}

fn removed() -> Test {
    let test = deployed();
    test.run(["remove", "--apply"]).any_stderr().success();
    test
}

/// Two apps with three releases each.
fn two_apps() -> Test {
    let test = app();
    for name in ["shop", "second"] {
        let manifest = MANIFEST.replace("\"shop\"", &format!("\"{name}\""));
        test.write("robot.toml", &manifest);
        for number in 0..3 {
            test.write("src/data/pages.txt", &format!("{number}\n"));
            deploy(&test);
        }
    }
    test
}

fn manifest(text: &str) -> Test {
    Test::shop().manifest(text)
}

fn with_commands() -> Test {
    let source = "source = \"src\"\n";
    let build = format!("{source}build = [[\"make\", \"all\"]]\n");
    manifest(&format!(
        "{}[hooks]\nbefore-switch = [[\"{{current}}/migrate\"], [\"/bin/true\"]]\n\
         after-switch = [[\"/bin/echo\", \"done\"]]\n",
        SHOP.replace(source, &build)
    ))
}

fn with_secret() -> Test {
    let test = manifest(&format!("{SHOP}[[secret]]\nname = \"KEY\"\n"));
    let other = test.root("etc/shop/credentials/OTHER");
    fs::create_dir_all(other.parent().expect("a parent")).expect("make a directory");
    fs::write(&other, "hunter2").expect("write a secret");
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * 3600);
    let file = fs::File::options().append(true).open(other);
    let set = file.and_then(|file| file.set_modified(time));
    set.expect("set the time");
    test
}

fn with_environment() -> Test {
    manifest(&format!("{SHOP}[environment.staging]\n"))
}

fn with_exceptions() -> Test {
    manifest(&format!(
        "{SHOP}listen = [\":8080\"]\nsandbox = {{ allow = [\"jit\", \"outbound\"], \
         directives = {{ ProtectProc = \"default\" }} }}\n"
    ))
}

fn views() -> Vec<View> {
    let mut all = reading();
    all.extend(deploying());
    all.extend(rolling_back());
    all.extend(recovering());
    all.extend(removing());
    all.extend(refusals());
    all
}

fn reading() -> Vec<View> {
    vec![
        view("generate", Test::shop, &["generate"]),
        view(
            "generate-output",
            Test::shop,
            &["generate", "--output", "out"],
        ),
        view("generate-lint", with_exceptions, &["generate", "-o", "out"]),
        view("generate-check", deployed, &["generate", "--check"]),
        view("generate-check-drift", changed, &["generate", "--check"]),
        view(
            "generate-check-nothing",
            Test::shop,
            &["generate", "--check", "--output", "none"],
        ),
        view("status", deployed, &["status"]),
        view("status-two-apps", two_apps, &["status"]).elsewhere(),
        view("status-pinned", pinned, &["status"]),
        view("status-interrupted", interrupted, &["status"]).elsewhere(),
        view("status-nothing", Test::new, &["status"]).elsewhere(),
        view("releases", three, &["releases"]),
        view("releases-failed", failed, &["releases"]),
        view("releases-nothing", Test::new, &["releases"]).elsewhere(),
        view("history", failed, &["history"]),
        view("history-pinned", pinned, &["history"]),
        view("check", deployed, &["check"]),
        view("score", app, &["score"]),
        view("score-exceptions", with_exceptions, &["score"]),
        view("score-threshold", app, &["score", "--threshold", "0.1"]),
        view(
            "score-unit",
            || Test::new().file("plain.service", "[Service]\nExecStart=/bin/true\n"),
            &["score", "--unit", "plain.service"],
        ),
        view("doctor", deployed, &["doctor"]),
        view("doctor-findings", changed_by_hand, &["doctor"]),
        view("doctor-interrupted", interrupted, &["doctor"]).elsewhere(),
        view("doctor-without-state", without_state, &["doctor"]),
        view("doctor-damaged-state", damaged_state, &["doctor"]),
        view("doctor-list", Test::new, &["doctor", "--list"]),
        view(
            "doctor-explain",
            Test::new,
            &["doctor", "--explain", "tmpfiles"],
        ),
        view("doctor-fail-on", pinned, &["doctor", "--fail-on", "note"]),
        view("doctor-fix", changed_by_hand, &["doctor", "--fix"]),
        view(
            "doctor-fix-apply",
            changed_by_hand,
            &["doctor", "--fix", "--apply"],
        ),
        view("doctor-fix-interrupted", interrupted, &["doctor", "--fix"]).elsewhere(),
        view("doctor-fix-nothing", deployed, &["doctor", "--fix"]),
        view("doctor-nothing", Test::new, &["doctor"]).elsewhere(),
        view("help", Test::new, &["--help"]),
        view("help-deploy", Test::new, &["deploy", "--help"]),
        view("version", Test::new, &["--version"]),
    ]
}

fn deploying() -> Vec<View> {
    vec![
        view("plan-first", app, &["deploy"]),
        view("plan-upgrade", changed, &["deploy"]),
        view("plan-nothing", deployed, &["deploy"]),
        view("plan-repair", without_current, &["deploy"]),
        view("plan-commands", with_commands, &["deploy"]),
        view(
            "plan-environment",
            with_environment,
            &["deploy", "--environment", "staging", "--wait", "3"],
        ),
        view("plan-pinned", pinned_and_changed, &["deploy"]),
        view(
            "plan-lift-pins",
            pinned_and_changed,
            &["deploy", "--lift-pins"],
        ),
        view("deploy-first", app, &["deploy", "--apply"]),
        view("deploy-rights", hostile, &["deploy"]),
        view("deploy-upgrade", changed, &["deploy", "--apply"]),
        view("deploy-nothing", deployed, &["deploy", "--apply"]),
        view("deploy-repair", without_current, &["deploy", "--apply"]),
        view("deploy-quiet", changed, &["deploy", "--apply", "--quiet"]),
        view(
            "deploy-interrupted",
            deploy_interrupted,
            &["deploy", "--apply"],
        ),
        view("deploy-failed-before", failed_again, &["deploy", "--apply"]),
        view(
            "deploy-another-plan",
            changed,
            &["deploy", "--apply", "--plan", "0123456789abcdef"],
        ),
        view("deploy-fails", changed_in_need, &["deploy", "--apply"]).tmpfiles(FAILS),
        view("deploy-fails-first", app, &["deploy", "--apply"]).tmpfiles(FAILS),
        view(
            "deploy-fails-stuck",
            changed_in_need,
            &["deploy", "--apply"],
        )
        .tmpfiles(BLOCKS),
    ]
}

/// A tool that fails.
const FAILS: &str = "cat > /dev/null\necho 'no space' >&2\nexit 1\n";

/// The same, and the unit cannot be restored.
const BLOCKS: &str = "cat > /dev/null\nunit=$TEST_ROOT/usr/local/lib/systemd/system/shop-web.service\n\
                      rm $unit\nmkdir -p $unit/full\necho 'no space' >&2\nexit 1\n";

/// A directory is missing, which systemd-tmpfiles(8) makes.
fn in_need(test: Test) -> Test {
    fs::remove_dir(test.root("var/lib/shop")).expect("remove a directory");
    test
}

fn changed_in_need() -> Test {
    in_need(changed())
}

fn two_in_need() -> Test {
    let test = changed();
    deploy(&test);
    in_need(test)
}

/// A deploy that was killed, and a unit that cannot be restored.
fn blocked() -> Test {
    let test = interrupted();
    let unit = test.root(UNIT);
    fs::remove_file(&unit).expect("remove a unit");
    fs::create_dir_all(unit.join("full")).expect("make a directory");
    test
}

const UNIT: &str = "usr/local/lib/systemd/system/shop-web.service";

/// A changed app of which the last deploy was killed.
fn deploy_interrupted() -> Test {
    let test = interrupted().manifest(SHOP);
    test.program("src/bin/web", "#!/bin/sh\n")
}

/// The release that failed is deployed again.
fn failed_again() -> Test {
    let test = failed();
    version(&test, 3);
    test
}

fn rolling_back() -> Vec<View> {
    vec![
        view("rollback-dry-run", three, &["rollback", "--dry-run"]),
        view("rollback", three, &["rollback"]),
        view("rollback-named", three, &["rollback", "0.1"]),
        view("rollback-to-live", three, &["rollback", "0.3"]),
        view(
            "rollback-service-dry-run",
            three,
            &["rollback", "0.1", "--service", "web", "--dry-run"],
        ),
        view(
            "rollback-service",
            three,
            &["rollback", "0.1", "--service", "web"],
        ),
        view(
            "rollback-service-unknown",
            three,
            &["rollback", "--service", "wbe"],
        ),
        view("rollback-none-before", deployed, &["rollback"]),
        view(
            "rollback-none-before-dry-run",
            deployed,
            &["rollback", "--dry-run"],
        ),
        view("rollback-unknown", three, &["rollback", "7.0"]),
        view("rollback-ambiguous", three, &["rollback", "0."]),
        view("rollback-failed-before", failed, &["rollback", "0.3"]),
        view("rollback-forced", failed, &["rollback", "0.3", "--force"]),
        view("rollback-fails", two_in_need, &["rollback"]).tmpfiles(FAILS),
    ]
}

fn recovering() -> Vec<View> {
    vec![
        view("restart-below-root", deployed, &["restart"]),
        view("start-below-root", deployed, &["start", "web"]),
        view("stop-below-root", deployed, &["stop", "--dry-run"]),
        view("recover-nothing", deployed, &["recover"]),
        view("recover-back", interrupted, &["recover"]).elsewhere(),
        view("recover-forward", proven, &["recover"]).elsewhere(),
        view("recover-removal", half_removed, &["recover"]).elsewhere(),
        view("recover-state", without_state, &["recover"]),
        view("recover-damaged-journal", damaged_journal, &["recover"]),
        view("recover-fails", blocked, &["recover"]).elsewhere(),
    ]
}

fn removing() -> Vec<View> {
    vec![
        view("prune-nothing", three, &["prune"]),
        view("prune-plan", three, &["prune", "--keep", "2"]),
        view("prune", three, &["prune", "--keep", "2", "--apply"]),
        view(
            "prune-all-plan",
            two_apps,
            &["prune", "--keep", "2", "--all"],
        )
        .elsewhere(),
        view(
            "prune-all",
            two_apps,
            &["prune", "--keep", "2", "--all", "--apply"],
        )
        .elsewhere(),
        view("prune-several", two_apps, &["prune"]).elsewhere(),
        view("prune-interrupted", interrupted, &["prune", "--apply"]).elsewhere(),
        view("remove-plan", deployed, &["remove"]),
        view(
            "remove-purge-plan",
            deployed,
            &["remove", "--app", "shop", "--purge"],
        ),
        view("remove-purge-without-app", deployed, &["remove", "--purge"]),
        view("remove", deployed, &["remove", "--apply"]),
        view(
            "remove-purge",
            deployed,
            &["remove", "--app", "shop", "--purge", "--apply"],
        ),
        view(
            "remove-purge-later",
            removed,
            &["remove", "--app", "shop", "--purge", "--apply"],
        ),
        view("remove-again", removed, &["remove"]),
    ]
}

fn refusals() -> Vec<View> {
    vec![
        view("locked", deployed, &["prune", "--apply"]),
        view("no-manifest", Test::new, &["deploy"]).elsewhere(),
        view("manifest-syntax", || manifest("[app\n"), &["deploy"]),
        view(
            "manifest-unknown-key",
            || manifest(&SHOP.replace("exec", "exce")),
            &["deploy"],
        ),
        view(
            "manifest-wrong-type",
            || manifest(&SHOP.replace("\"1.0\"", "1.0")),
            &["generate"],
        ),
        view(
            "manifest-missing-key",
            || manifest("[app]\nname = \"shop\"\n"),
            &["generate"],
        ),
        view(
            "manifest-no-such-file",
            Test::shop,
            &["generate", "--manifest", "absent.toml"],
        ),
        view(
            "manifest-broken-status",
            || deployed().manifest("[app]\nname = \"shop\"\n[service.web\n"),
            &["status"],
        ),
        view(
            "manifest-of-another-app",
            Test::shop,
            &["deploy", "--app", "other", "--manifest", "robot.toml"],
        ),
        view(
            "secret-missing",
            || manifest(&format!("{SHOP}[[secret]]\nname = \"KEY\"\n")),
            &["deploy", "--apply"],
        ),
        view("secret-list", with_secret, &["secret", "list"]),
        view(
            "secret-set",
            with_secret,
            &["secret", "set", "KEY", "--from", "shop/OTHER"],
        ),
        view(
            "secret-argument",
            with_secret,
            &["secret", "set", "KEY", "hunter2"],
        ),
        view("secret-apply", with_secret, &["secret", "apply", "KEY"]),
        view(
            "program-missing",
            || manifest(&SHOP.replace("bin/web", "bin/absent")),
            &["deploy"],
        ),
        view(
            "source-missing",
            || manifest(&SHOP.replace("\"src\"", "\"absent\"")),
            &["deploy"],
        ),
        view("file-of-another", file_of_another, &["deploy"]),
        view("unknown-app", deployed, &["status", "--app", "zebra"]),
        view("unknown-app-near", deployed, &["status", "--app", "shpo"]),
        view("not-deployed", Test::shop, &["rollback"]),
        view("newer-state", newer_state, &["rollback"]),
        view("damaged-state", damaged_state, &["status"]),
        view(
            "no-such-root",
            Test::shop,
            &["rollback", "--root", "absent"],
        ),
        view("no-such-command", Test::new, &["depoly"]),
        view("no-such-option", Test::new, &["deploy", "--aply"]),
    ]
}

/// A unit of the administrator's is where one of the app's would be.
fn file_of_another() -> Test {
    let test = Test::shop();
    let unit = test.root(UNIT);
    fs::create_dir_all(unit.parent().expect("a parent")).expect("make a directory");
    fs::write(unit, "[Service]\nExecStart=/bin/true\n").expect("write a unit");
    test
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/views")
}

/// The files that are there, by name.
fn golden() -> BTreeMap<String, String> {
    let Ok(list) = fs::read_dir(dir()) else {
        return BTreeMap::new();
    };
    let files = list.map(|entry| entry.expect("list").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("read a golden file");
            (name.into_owned(), text)
        })
        .collect()
}

#[test]
fn output_matches_the_golden_files() {
    let views = views();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let printed = std::sync::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(view) =
                    views.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    for (end, text) in view.run() {
                        let name = format!("{}.{end}", view.name);
                        let twice = printed.lock().unwrap().insert(name, text);
                        assert!(twice.is_none(), "two views are called {}", view.name);
                    }
                }
            });
        }
    });
    let printed = printed.into_inner().unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(dir());
        fs::create_dir_all(dir()).expect("make a directory");
        for (name, text) in printed {
            fs::write(dir().join(name), text).expect("write a golden file");
        }
        return;
    }
    let expected = golden();
    let mut names: Vec<&String> = expected.keys().chain(printed.keys()).collect();
    names.sort();
    names.dedup();
    let mut wrong = String::new();
    for name in names {
        let none = String::new();
        let before = expected.get(name).unwrap_or(&none);
        let after = printed.get(name).unwrap_or(&none);
        if before != after {
            let diff = similar::TextDiff::from_lines(before, after);
            let diff = diff.unified_diff().header(name, "now").to_string();
            wrong.push_str(&diff);
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\nif the change is intended: scripts/update-golden"
    );
}

/// Ids and hashes change only on purpose: the same content is the same release on every host and in
/// every version.
#[test]
fn the_id_of_a_release_and_the_hash_of_a_plan_are_stable() {
    let test = Test::shop();
    let mut robotctl = Command::new(env!("CARGO_BIN_EXE_robotctl"));
    robotctl.current_dir(test.app("")).arg("--root");
    robotctl.arg(test.root("")).arg("deploy");
    let output = robotctl.output().expect("start robotctl");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stdout.contains(ID), "{stdout}{stderr}");
    assert!(stderr.contains(PLAN), "{stdout}{stderr}");
}

const ID: &str = "1.0-7fd8abb8b5cc";
const PLAN: &str = "--plan f96039feedbe0fc6";
