//! The test fixture: trees in a file system in memory, inside a mount namespace of its own; an app
//! in several versions; and `robotctl` on one processor or on two.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;
use robotctl::payload::{InstalledStat, index as payload_index};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A version so large that `robotctl` starts to write it to the disk before all of it is copied.
pub(crate) const LARGE: u32 = 6;

/// Removes the app and all its files.
pub(crate) const PURGE: [&str; 5] = ["--app", "demo", "remove", "--purge", "--apply"];

/// What the workers share.
pub(crate) struct Fixture {
    /// A file system in memory that ends with this process.
    pub(crate) dir: PathBuf,
    /// The processors that this process may use.
    processors: Vec<usize>,
    /// Run every N-th case of a suite; 1 runs all.
    pub(crate) every: usize,
    _base: tempfile::TempDir,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard error, on one line.
    pub(crate) stderr: String,
}

/// The tree of one worker: a host that `robotctl --root` works on.
pub(crate) struct Host<'a> {
    pub(crate) fixture: &'a Fixture,
    pub(crate) root: PathBuf,
}

impl Fixture {
    pub(crate) fn new(every: usize) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("the fault tests need root, for mounts and file owners".into());
        }
        let found = Command::new("strace")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            return Err("strace is missing: apt-get install strace".into());
        }
        let base = tempfile::tempdir().map_err(|error| error.to_string())?;
        let none = None::<&str>;
        // The mounts end with this process, even if it is killed.
        unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
            .and_then(|()| {
                mount(
                    Some("tmpfs"),
                    base.path(),
                    Some("tmpfs"),
                    MsFlags::empty(),
                    none,
                )
            })
            .map_err(|errno| format!("cannot mount a tmpfs: {errno}"))?;
        let fixture = Self {
            dir: base.path().to_owned(),
            processors: allowed(),
            every,
            _base: base,
        };
        // A copy stays the same if the program is rebuilt during the run.
        fs::copy(env!("CARGO_BIN_EXE_robotctl"), fixture.dir.join("robotctl")).unwrap();
        for version in 1..=5 {
            fixture.write_version(version);
        }
        fixture.write_version(LARGE);
        for part in 0..4 {
            let dir = fixture.dir.join(format!("v{LARGE}/part-{part}"));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("data"), vec![part; 1 << 20]).unwrap();
        }
        let text = fs::read_to_string(fixture.manifest(5)).unwrap();
        fs::write(
            fixture.broken(),
            text.replace("bin/run", "bin/absent")
                .replace("5.0.0", "6.0.0"),
        )
        .unwrap();
        fixture.wait_until_sources_settle();
        Ok(fixture)
    }

    /// Waits until the sources are more than two seconds old. `robotctl` reads younger files again,
    /// so its calls would depend on the clock.
    fn wait_until_sources_settle(&self) {
        let last = fs::metadata(self.broken()).unwrap().modified().unwrap();
        while last.elapsed().unwrap() < Duration::from_millis(2100) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The manifest of a version.
    pub(crate) fn manifest(&self, version: u32) -> String {
        self.dir
            .join(format!("v{version}.toml"))
            .display()
            .to_string()
    }

    /// A manifest whose program is not in its source.
    pub(crate) fn broken(&self) -> String {
        self.dir.join("broken.toml").display().to_string()
    }

    fn write_version(&self, version: u32) {
        let source = self.dir.join(format!("v{version}"));
        fs::create_dir_all(source.join("bin")).unwrap();
        fs::create_dir_all(source.join("app")).unwrap();
        let program = source.join("bin/run");
        fs::write(&program, "#!/bin/sh\nexec sleep infinity\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(source.join("app/common"), "the same in every version\n").unwrap();
        fs::write(source.join("VERSION"), format!("{version}\n")).unwrap();
        symlink("common", source.join("app/link")).unwrap();
        // From one version to the next, one unit is removed, one is added and one changes.
        let (port, own) = (
            8080 + version % 2,
            if version.is_multiple_of(2) {
                "even"
            } else {
                "odd"
            },
        );
        let text = format!(
            "[app]\nname = \"demo\"\nversion = \"{version}.0.0\"\ndescription = \"Demo\"\n\
             maintainer = \"Demo <demo@example.org>\"\n\
             [release]\nsource = \"v{version}\"\nkeep = 9\n\
             [service.web]\nexec = [\"{{current}}/bin/run\"]\nlisten = [\"127.0.0.1:{port}\"]\n\
             [service.{own}]\nexec = [\"{{current}}/bin/run\"]\n\
             [service.job]\nexec = [\"{{current}}/bin/run\"]\ntype = \"oneshot\"\n\
             timer = {{ calendar = \"hourly\" }}\n"
        );
        fs::write(self.manifest(version), text).unwrap();
    }

    /// Makes an empty tree for one worker. From here on, its thread and all child processes have
    /// one processor, so that `robotctl` starts no threads and makes the same calls in every run.
    pub(crate) fn host(&self, name: &str, cpu: usize) -> Host<'_> {
        self.host_on(name, &[self.processors[cpu % self.processors.len()]])
    }

    /// Like [`Fixture::host`], with two processors, on which `robotctl` starts threads.
    pub(crate) fn two_cpu_host(&self, name: &str) -> Result<Host<'_>, String> {
        let two = self.processors.first_chunk::<2>();
        let two = two.ok_or("this test needs two processors, so that robotctl starts threads")?;
        Ok(self.host_on(name, two))
    }

    fn host_on(&self, name: &str, processors: &[usize]) -> Host<'_> {
        let mut set = CpuSet::new();
        for cpu in processors {
            set.set(*cpu).unwrap();
        }
        sched_setaffinity(Pid::from_raw(0), &set).unwrap();
        let host = Host {
            fixture: self,
            root: self.dir.join(name),
        };
        host.clear();
        host
    }

    /// Runs every case on one of two workers, and returns the messages of those that failed.
    pub(crate) fn run_cases<T: Sync>(
        &self,
        cases: &[T],
        work: impl Fn(&Host<'_>, &T) -> Result<(), String> + Sync,
    ) -> Result<(), String> {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let count = self.processors.len().min(2);
        std::thread::scope(|scope| {
            for lock_holder in 0..count {
                let (next, failures, work) = (&next, &failures, &work);
                scope.spawn(move || {
                    let host = self.host(&format!("worker-{lock_holder}"), lock_holder);
                    while let Some(case) = cases.get(next.fetch_add(self.every, Ordering::Relaxed))
                    {
                        if let Err(failure) = work(&host, case) {
                            println!("        {failure}");
                            failures.lock().unwrap().push(failure);
                        }
                    }
                    host.clear();
                });
            }
        });
        let failures = failures.into_inner().unwrap();
        if failures.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = failures.iter().take(30).map(String::as_str).collect();
        Err(format!(
            "{} of {} cases failed:\n  {}",
            failures.len(),
            cases.len(),
            shown.join("\n  ")
        ))
    }
}

impl Host<'_> {
    /// Empties the tree.
    pub(crate) fn clear(&self) {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).unwrap();
        }
        fs::create_dir(&self.root).unwrap();
    }

    /// Makes the tree equal to another one.
    pub(crate) fn restore(&self, template: &Path) {
        self.clear();
        copy_tree(template, &self.root);
    }

    /// A command that runs `robotctl` with these arguments.
    pub(crate) fn command(&self, arguments: &[String], wrapper: &[String]) -> Command {
        let program = self.fixture.dir.join("robotctl").display().to_string();
        let mut words = wrapper.iter().cloned().chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["--quiet", "--root"])
            .arg(&self.root)
            .args(arguments);
        command
            .current_dir(&self.fixture.dir)
            .stdin(Stdio::null())
            .env("RUST_BACKTRACE", "0");
        command
    }

    pub(crate) fn run(&self, arguments: &[String]) -> Outcome {
        run_command(&mut self.command(arguments, &[]))
    }

    pub(crate) fn run_under(&self, wrapper: &[String], arguments: &[String]) -> Outcome {
        run_command(&mut self.command(arguments, wrapper))
    }

    /// Runs a command that must succeed.
    pub(crate) fn run_ok(&self, arguments: &[String]) -> Result<(), String> {
        let ran = self.run(arguments);
        match ran.code {
            Some(0) => Ok(()),
            code => Err(format!(
                "`{}` exited {code:?}: {}",
                arguments.join(" "),
                ran.stderr
            )),
        }
    }

    pub(crate) fn deploy(&self, version: u32) -> Vec<String> {
        args(&[
            "--manifest",
            &self.fixture.manifest(version),
            "deploy",
            "--apply",
        ])
    }
}

fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count())
        .filter(|cpu| set.is_set(*cpu).unwrap())
        .collect()
}

pub(crate) fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn run_command(command: &mut Command) -> Outcome {
    let output = command.output().expect("starting a command");
    let stderr = String::from_utf8_lossy(&output.stderr);
    Outcome {
        code: output.status.code(),
        stderr: stderr.trim().replace('\n', " / "),
    }
}

/// Copies a tree with modes, owners, links and hard links. The indexes are updated, so that a
/// deploy can share the copied files as it would share the original ones.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    copy_below(from, to, &mut BTreeMap::new());
    update_index_stats(from, to);
}

/// `shared` holds the targets of files with several names, by device and inode.
fn copy_below(from: &Path, to: &Path, shared: &mut BTreeMap<(u64, u64), PathBuf>) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            symlink(fs::read_link(&source).unwrap(), &target).unwrap();
            continue;
        }
        let meta = entry.metadata().unwrap();
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_below(&source, &target, shared);
        } else if let Some(first) = shared.get(&(meta.dev(), meta.ino())) {
            fs::hard_link(first, &target).unwrap();
            continue;
        } else {
            fs::copy(&source, &target).unwrap();
            if meta.nlink() > 1 {
                shared.insert((meta.dev(), meta.ino()), target.clone());
            }
        }
        std::os::unix::fs::chown(&target, Some(meta.uid()), Some(meta.gid())).unwrap();
        fs::set_permissions(&target, meta.permissions()).unwrap();
    }
}

/// An index identifies the files of its release by inode and time, which differ in a copy. A file
/// that did not match before must not match afterwards.
fn update_index_stats(from: &Path, to: &Path) {
    let records = to.join("var/lib/robotctl/demo/releases");
    for name in super::state::names(&records) {
        let Some(id) = name.strip_suffix(".index") else {
            continue;
        };
        let (index, release) = (records.join(&name), Path::new("opt/demo/releases").join(id));
        let Some(mut payload) = payload_index::decode(&fs::read(&index).unwrap()) else {
            continue;
        };
        for item in &mut payload.items {
            let file = release.join(&item.path);
            if item.fingerprints.installed.is_some()
                && item.fingerprints.installed == installed_stat(&from.join(&file))
            {
                item.fingerprints.installed = installed_stat(&to.join(&file));
            }
        }
        fs::write(&index, payload_index::encode(&payload)).unwrap();
    }
}

fn installed_stat(file: &Path) -> Option<InstalledStat> {
    let meta = fs::symlink_metadata(file).ok()?;
    Some(InstalledStat {
        ino: meta.ino(),
        mtime: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
    })
}
