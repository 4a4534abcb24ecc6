//! A place to break things: memory-backed trees in a mount namespace of its own, an app in
//! several versions, and `robotctl` on one processor, or on two.

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

/// A version of which so much is copied that it is written to the disk before all of it is there.
pub(crate) const LARGE: u32 = 6;

/// What several workers share.
pub(crate) struct Bench {
    /// On a file system in memory that goes with this process.
    pub(crate) dir: PathBuf,
    /// Processors that this may use.
    processors: Vec<usize>,
    /// Of the cases of a suite, every how many-th is tried: 1, but for a quick look.
    pub(crate) every: usize,
    _base: tempfile::TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it said.
    pub(crate) said: String,
}

/// One worker's own tree.
pub(crate) struct Place<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) root: PathBuf,
}

impl Bench {
    pub(crate) fn new(every: usize) -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("this needs root, for mounts and owners of its own".into());
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
        // Whatever ends this process, its mounts go with it.
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
            .map_err(|errno| format!("mounting a file system in memory: {errno}"))?;
        let bench = Self {
            dir: base.path().to_owned(),
            processors: allowed(),
            every,
            _base: base,
        };
        // The one that is tested stays the same, whatever is built meanwhile.
        fs::copy(env!("CARGO_BIN_EXE_robotctl"), bench.dir.join("robotctl")).unwrap();
        for version in 1..=5 {
            bench.write_version(version);
        }
        bench.write_version(LARGE);
        for part in 0..4 {
            let dir = bench.dir.join(format!("v{LARGE}/part-{part}"));
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("data"), vec![part; 1 << 20]).unwrap();
        }
        let text = fs::read_to_string(bench.manifest(5)).unwrap();
        fs::write(
            bench.broken(),
            text.replace("bin/run", "bin/absent")
                .replace("5.0.0", "6.0.0"),
        )
        .unwrap();
        bench.come_of_age();
        Ok(bench)
    }

    /// Waits until the clock is clearly past the time stamps of the sources: `robotctl` reads a
    /// file once more that is younger than two seconds, so its calls would depend on the clock.
    fn come_of_age(&self) {
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
        // From one version to the next a unit goes, one comes, and one changes.
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

    /// A tree for one worker, empty. From here on, its thread and what that starts have one
    /// processor, so that `robotctl` starts no thread and its calls are the same in every run.
    pub(crate) fn place(&self, name: &str, cpu: usize) -> Place<'_> {
        self.place_on(name, &[self.processors[cpu % self.processors.len()]])
    }

    /// As [`Bench::place`], with two processors: there `robotctl` starts threads.
    pub(crate) fn wide_place(&self, name: &str) -> Result<Place<'_>, String> {
        let two = self.processors.first_chunk::<2>();
        let two = two.ok_or("this needs two processors, or else there is no thread to strike")?;
        Ok(self.place_on(name, two))
    }

    fn place_on(&self, name: &str, processors: &[usize]) -> Place<'_> {
        let mut set = CpuSet::new();
        for cpu in processors {
            set.set(*cpu).unwrap();
        }
        sched_setaffinity(Pid::from_raw(0), &set).unwrap();
        let place = Place {
            bench: self,
            root: self.dir.join(name),
        };
        place.clear();
        place
    }

    /// Runs every case on one of two workers; the sentences of those that failed come back.
    pub(crate) fn each<T: Sync>(
        &self,
        cases: &[T],
        work: impl Fn(&Place<'_>, &T) -> Result<(), String> + Sync,
    ) -> Result<(), String> {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let count = self.processors.len().min(2);
        std::thread::scope(|scope| {
            for lock_holder in 0..count {
                let (next, failures, work) = (&next, &failures, &work);
                scope.spawn(move || {
                    let place = self.place(&format!("worker-{lock_holder}"), lock_holder);
                    while let Some(case) = cases.get(next.fetch_add(self.every, Ordering::Relaxed))
                    {
                        if let Err(failure) = work(&place, case) {
                            println!("        {failure}");
                            failures.lock().unwrap().push(failure);
                        }
                    }
                    place.clear();
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

impl Place<'_> {
    /// Empties the tree.
    pub(crate) fn clear(&self) {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).unwrap();
        }
        fs::create_dir(&self.root).unwrap();
    }

    /// Makes the tree equal to another one.
    pub(crate) fn become_like(&self, template: &Path) {
        self.clear();
        copy_tree(template, &self.root);
    }

    /// `robotctl` with arguments.
    pub(crate) fn command(&self, arguments: &[String], wrapper: &[String]) -> Command {
        let program = self.bench.dir.join("robotctl").display().to_string();
        let mut words = wrapper.iter().cloned().chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["--quiet", "--root"])
            .arg(&self.root)
            .args(arguments);
        command
            .current_dir(&self.bench.dir)
            .stdin(Stdio::null())
            .env("RUST_BACKTRACE", "0");
        command
    }

    pub(crate) fn run(&self, arguments: &[String]) -> Ran {
        ended(&mut self.command(arguments, &[]))
    }

    pub(crate) fn under(&self, wrapper: &[String], arguments: &[String]) -> Ran {
        ended(&mut self.command(arguments, wrapper))
    }

    /// Runs what must succeed.
    pub(crate) fn must(&self, arguments: &[String]) -> Result<(), String> {
        let ran = self.run(arguments);
        match ran.code {
            Some(0) => Ok(()),
            code => Err(format!(
                "`{}` exited {code:?}: {}",
                arguments.join(" "),
                ran.said
            )),
        }
    }

    pub(crate) fn deploy(&self, version: u32) -> Vec<String> {
        words(&[
            "--manifest",
            &self.bench.manifest(version),
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

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(crate) fn ended(command: &mut Command) -> Ran {
    let output = command.output().expect("starting a command");
    let said = String::from_utf8_lossy(&output.stderr);
    Ran {
        code: output.status.code(),
        said: said.trim().replace('\n', " / "),
    }
}

/// Copies a tree with modes, owners, links and hard links. Its records know its files again, so
/// that a deploy shares them as it would have done in the first one.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    copy_below(from, to, &mut BTreeMap::new());
    know_again(from, to);
}

/// `shared` holds where files with several names went, by device and inode.
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

/// An index knows the files of its release by inode and time, which a copy has of its own. A file
/// that was another one before is another one still.
fn know_again(from: &Path, to: &Path) {
    let records = to.join("var/lib/robotctl/demo/releases");
    for name in super::seen::names(&records) {
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
                && item.fingerprints.installed == placed(&from.join(&file))
            {
                item.fingerprints.installed = placed(&to.join(&file));
            }
        }
        fs::write(&index, payload_index::encode(&payload)).unwrap();
    }
}

fn placed(file: &Path) -> Option<InstalledStat> {
    let meta = fs::symlink_metadata(file).ok()?;
    Some(InstalledStat {
        ino: meta.ino(),
        mtime: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
    })
}
