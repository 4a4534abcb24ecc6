//! Power cuts: what the disk held at one instant, mounted again.
//!
//! The tree is on ext4, on a loop device whose file is on XFS. A reflink of that file holds what
//! was written to the disk, and nothing that was only in memory. The file system commits by itself
//! only every five minutes and does not compensate for missing syncs (`noauto_da_alloc`), so what
//! is on the disk is there because it was synced.

use super::fixture::{Fixture, Host, args, copy_tree, run_command};
use super::injection::{Point, list_points};
use super::midway::{removing, reverting};
use super::state::{HostState, Side, check_no_leftovers};
use super::syscalls::{Operation, operations};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

tests![Suite: recovery_works_after_power_cuts];

const MOUNT_OPTIONS: &str = "loop,commit=300,noauto_da_alloc";
/// The number of power cuts at random times.
const RANDOM_CUTS: usize = 200;
/// The number of these in one run.
const CUTS_PER_RUN: usize = 5;
/// Calls that change a directory entry.
const RENAMES: [&str; 9] = [
    "rename",
    "unlink",
    "mkdir",
    "symlink",
    "rmdir",
    "linkat",
    "unlinkat",
    "renameat",
    "renameat2",
];
/// Makes syncs return success without doing anything.
const UNSYNCED: &str = "inject=fsync,fdatasync,syncfs:retval=0";

/// A disk whose content after a power cut can be examined.
struct Disk<'a> {
    host: Host<'a>,
    after: Host<'a>,
    dir: PathBuf,
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        for at in [&self.host.root, &self.after.root, &self.dir] {
            unmount(at);
        }
    }
}

pub(crate) fn unmount(at: &Path) {
    let _ = nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH);
}

pub(crate) fn sh(line: &str) -> Result<(), String> {
    let ran = run_command(Command::new("sh").args(["-c", line]));
    match ran.code {
        Some(0) => Ok(()),
        code => Err(format!("`{line}` exited {code:?}: {}", ran.stderr)),
    }
}

impl<'a> Disk<'a> {
    fn new(fixture: &'a Fixture) -> Result<Self, String> {
        let dir = fixture.dir.join("xfs");
        let disk = Self {
            host: fixture.host("disk", 0),
            after: fixture.host("after", 0),
            dir,
        };
        std::fs::create_dir_all(&disk.dir).unwrap();
        let image = fixture.dir.join("xfs.img");
        let (image, dir) = (image.display(), disk.dir.display());
        sh(&format!(
            "truncate -s 512M {image} && mkfs.xfs -q -f -m reflink=1 {image} && mount -o loop {image} {dir}"
        ))
        .map_err(|error| format!("this needs xfsprogs, loop devices and the kernel's XFS: {error}"))?;
        Ok(disk)
    }

    fn image(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Makes a disk image that holds a tree.
    fn template(&self, name: &str, tree: &Path) -> Result<(), String> {
        let (image, at) = (self.image(name), self.host.root.display());
        sh(&format!(
            "truncate -s 48M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {at}"
        ))?;
        copy_tree(tree, &self.host.root);
        let _ = std::fs::remove_dir(self.host.root.join("lost+found"));
        sh(&format!("umount {at}"))
    }

    /// Mounts a fresh copy of a disk image.
    fn insert(&self, template: &str) -> Result<(), String> {
        let (from, to, at) = (
            self.image(template),
            self.image("now"),
            self.host.root.display(),
        );
        sh(&format!(
            "cp --reflink=always {from} {to} && mount -o {MOUNT_OPTIONS} {to} {at}"
        ))
    }

    /// Cuts the power.
    fn cut(&self, name: &str) -> Result<(), String> {
        let (from, to) = (self.image("now"), self.image(name));
        let ran = run_command(Command::new("cp").args(["--reflink=always", &from, &to]));
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran.stderr)
        }
    }

    fn eject(&self) {
        unmount(&self.host.root);
    }

    /// Mounts what a power cut left, runs recovery and checks the result.
    fn recover_and_check(&self, name: &str, operation: &Operation) -> Result<Side, String> {
        let (image, at) = (self.image(name), self.after.root.display());
        sh(&format!("mount -o loop {image} {at}"))?;
        let side = self
            .after
            .run_ok(&args(&["recover"]))
            .and_then(|()| check_no_leftovers(&self.after.root))
            .and_then(|()| HostState::read(&self.after.root).side(&operation.old, &operation.new));
        unmount(&self.after.root);
        let _ = std::fs::remove_file(&image);
        side
    }

    /// Cuts the power just before a call of the command.
    fn cut_at(&self, operation: &Operation, point: &Point, synced: bool) -> Result<Side, String> {
        self.insert(operation.name)?;
        let inject = format!("inject={}:signal=KILL:when={}", point.name, point.nth);
        let trace = format!("trace={},fsync,fdatasync,syncfs", point.name);
        let log = self
            .host
            .root
            .with_extension("strace")
            .display()
            .to_string();
        let mut wrapper = args(&["strace", "-o", &log, "-e", &trace]);
        if !synced {
            wrapper.extend(args(&["-e", UNSYNCED]));
        }
        wrapper.extend(args(&["-e", &inject]));
        self.host.run_under(&wrapper, &operation.arguments);
        let hit = std::fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("killed by SIGKILL");
        let cut = self.cut("cut");
        self.eject();
        cut?;
        if !hit {
            return Err(format!(
                "the command did not reach the point {}",
                point.shown()
            ));
        }
        self.recover_and_check("cut", operation)
    }

    /// How long an undisturbed run takes.
    fn usual(&self, operation: &Operation) -> Result<Duration, String> {
        self.insert(operation.name)?;
        let start = Instant::now();
        let ended = self.host.run_ok(&operation.arguments);
        let time = start.elapsed();
        self.eject();
        ended.map(|()| time)
    }

    /// Cuts the power several times at random times of a run, and once right after its end.
    fn cut_anywhere(
        &self,
        operation: &Operation,
        synced: bool,
        rng: &mut Rng,
        cuts: usize,
        usual: Duration,
    ) -> Result<Vec<String>, String> {
        self.insert(operation.name)?;
        let mut wrapper = Vec::new();
        if !synced {
            wrapper = args(&[
                "strace",
                "-o",
                "/dev/null",
                "-e",
                "trace=fsync,fdatasync,syncfs",
                "-e",
                UNSYNCED,
            ]);
        }
        let mut child = self
            .host
            .command(&operation.arguments, &wrapper)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut names = Vec::new();
        let mut failed = None;
        for at in 0..cuts {
            let share = u32::try_from(rng.below(1000)).unwrap_or(0);
            let pause = usual * 2 * share / 1000 / u32::try_from(cuts).unwrap_or(1);
            std::thread::sleep(pause);
            let name = format!("cut-{at}");
            failed = failed.or(self.cut(&name).err());
            names.push(name);
        }
        let done = child.wait().unwrap().success();
        let cut = self.cut("end");
        self.eject();
        cut?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let mut failures = Vec::new();
        for name in names {
            failures.extend(self.recover_and_check(&name, operation).err());
        }
        match self.recover_and_check("end", operation) {
            Ok(Side::New) => {}
            other if done => failures.push(format!("it reported success: {other:?}")),
            Ok(_) | Err(_) => failures.push("the command failed".into()),
        }
        Ok(failures)
    }
}

/// Pseudo-random numbers, the same in every run.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX generator. Its upper bits are good.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn recovery_works_after_power_cuts(fixture: &Fixture) -> Result<String, String> {
    let mut chosen = operations(fixture)?;
    let recoveries = [reverting(fixture, &chosen)?, removing(fixture, &chosen)?];
    chosen.extend(recoveries);
    let disk = Disk::new(fixture)?;
    for operation in &chosen {
        disk.template(operation.name, &operation.template)?;
    }
    let mut failures = Vec::new();
    let mut at_points = 0;
    for operation in &chosen {
        disk.insert(operation.name)?;
        let found = list_points(&disk.host, &operation.arguments);
        disk.eject();
        let (_, found) = found?;
        // Before each change of a directory entry. Between two of them the disk holds nothing new.
        let renames = found
            .iter()
            .filter(|point| RENAMES.contains(&point.name.as_str()));
        for point in renames.step_by(fixture.every) {
            at_points += 1;
            if let Err(error) = disk.cut_at(operation, point, true) {
                failures.push(format!("{} at {}: {error}", operation.name, point.shown()));
            }
        }
    }
    let mut rng = Rng(7);
    let mut usual = Vec::new();
    for operation in &chosen {
        usual.push(disk.usual(operation)?);
    }
    let runs = (RANDOM_CUTS / CUTS_PER_RUN).div_ceil(fixture.every);
    for run in 0..runs {
        let at = run % chosen.len();
        let operation = &chosen[at];
        let found = disk.cut_anywhere(operation, true, &mut rng, CUTS_PER_RUN, usual[at])?;
        failures.extend(
            found
                .into_iter()
                .map(|error| format!("{} at random: {error}", operation.name)),
        );
    }
    if !failures.is_empty() {
        failures.truncate(20);
        return Err(failures.join("\n  "));
    }
    let control = unsynced(&disk, &chosen, &mut rng, &usual)?;
    Ok(format!(
        "{at_points} power cuts before changes of names, {} at random instants, {runs} right after \
         the end; {control}",
        runs * CUTS_PER_RUN
    ))
}

/// The control: without any sync, power cuts must do damage. Otherwise these tests prove nothing.
fn unsynced(
    disk: &Disk<'_>,
    chosen: &[Operation],
    rng: &mut Rng,
    usual: &[Duration],
) -> Result<String, String> {
    let (mut tried, mut lost) = (0, 0);
    for (operation, usual) in chosen.iter().zip(usual) {
        // A lost prune or recovery is simply repeated, so only these operations can show damage.
        if !["deploy", "upgrade", "rollback"].contains(&operation.name) {
            continue;
        }
        for _ in 0..3 {
            tried += 3;
            lost += disk.cut_anywhere(operation, false, rng, 2, *usual)?.len();
        }
    }
    match lost {
        0 => Err(format!(
            "without syncs, {tried} power cuts did no damage: the test detects nothing"
        )),
        _ => Ok(format!(
            "without syncs, {lost} of {tried} power cuts do damage"
        )),
    }
}
