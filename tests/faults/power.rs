//! Power cuts: what the disk held at an instant, mounted anew.
//!
//! The tree lies on ext4, on a loop device whose file lies on XFS: a reflink of that file is what
//! the disk had been told to keep, and nothing of what was only in memory. The file system commits
//! by itself only every five minutes and does not make up for missing calls (`noauto_da_alloc`),
//! so that what is on the disk is there because it was synced.

use super::bench::{Bench, Place, copy_tree, ended, words};
use super::halfway::{going_back, going_on};
use super::points::{Point, points};
use super::seen::{Seen, Side, leftovers};
use super::syscalls::{Operation, operations};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

tests![Suite: cuts];

const OPTIONS: &str = "loop,commit=300,noauto_da_alloc";
/// Power cuts at instants that nothing chose.
const RANDOM: usize = 200;
/// So many of them in one run.
const EACH: usize = 5;
/// Calls that change a name.
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
/// What makes a program believe that it has synced.
const UNSYNCED: &str = "inject=fsync,fdatasync,syncfs:retval=0";

/// A disk that can be looked at as it would be after a power cut.
struct Disk<'a> {
    place: Place<'a>,
    after: Place<'a>,
    dir: PathBuf,
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        for at in [&self.place.root, &self.after.root, &self.dir] {
            unmount(at);
        }
    }
}

pub(crate) fn unmount(at: &Path) {
    let _ = nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH);
}

pub(crate) fn sh(line: &str) -> Result<(), String> {
    let ran = ended(Command::new("sh").args(["-c", line]));
    match ran.code {
        Some(0) => Ok(()),
        code => Err(format!("`{line}` exited {code:?}: {}", ran.said)),
    }
}

impl<'a> Disk<'a> {
    fn new(bench: &'a Bench) -> Result<Self, String> {
        let dir = bench.dir.join("xfs");
        let disk = Self {
            place: bench.place("disk", 0),
            after: bench.place("after", 0),
            dir,
        };
        std::fs::create_dir_all(&disk.dir).unwrap();
        let image = bench.dir.join("xfs.img");
        let (image, dir) = (image.display(), disk.dir.display());
        sh(&format!(
            "truncate -s 512M {image} && mkfs.xfs -q -f -m reflink=1 {image} && mount -o loop {image} {dir}"
        ))
        .map_err(|wrong| format!("this needs xfsprogs, loop devices and the kernel's XFS: {wrong}"))?;
        Ok(disk)
    }

    fn image(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A disk that holds a tree, safely.
    fn template(&self, name: &str, tree: &Path) -> Result<(), String> {
        let (image, at) = (self.image(name), self.place.root.display());
        sh(&format!(
            "truncate -s 48M {image} && mkfs.ext4 -q {image} && mount -o loop {image} {at}"
        ))?;
        copy_tree(tree, &self.place.root);
        let _ = std::fs::remove_dir(self.place.root.join("lost+found"));
        sh(&format!("umount {at}"))
    }

    /// Puts a fresh disk in.
    fn insert(&self, template: &str) -> Result<(), String> {
        let (from, to, at) = (
            self.image(template),
            self.image("now"),
            self.place.root.display(),
        );
        sh(&format!(
            "cp --reflink=always {from} {to} && mount -o {OPTIONS} {to} {at}"
        ))
    }

    /// Cuts the power.
    fn cut(&self, name: &str) -> Result<(), String> {
        let (from, to) = (self.image("now"), self.image(name));
        let ran = ended(Command::new("cp").args(["--reflink=always", &from, &to]));
        if ran.code == Some(0) {
            Ok(())
        } else {
            Err(ran.said)
        }
    }

    fn eject(&self) {
        unmount(&self.place.root);
    }

    /// Starts the machine again with what a cut left, recovers and looks.
    fn look(&self, name: &str, operation: &Operation) -> Result<Side, String> {
        let (image, at) = (self.image(name), self.after.root.display());
        sh(&format!("mount -o loop {image} {at}"))?;
        let looked = self
            .after
            .must(&words(&["recover"]))
            .and_then(|()| leftovers(&self.after.root))
            .and_then(|()| Seen::at(&self.after.root).side(&operation.old, &operation.new));
        unmount(&self.after.root);
        let _ = std::fs::remove_file(&image);
        looked
    }

    /// Power goes while the command stands before a call.
    fn cut_at(&self, operation: &Operation, point: &Point, synced: bool) -> Result<Side, String> {
        self.insert(operation.name)?;
        let inject = format!("inject={}:signal=KILL:when={}", point.name, point.nth);
        let trace = format!("trace={},fsync,fdatasync,syncfs", point.name);
        let log = self
            .place
            .root
            .with_extension("strace")
            .display()
            .to_string();
        let mut wrapper = words(&["strace", "-o", &log, "-e", &trace]);
        if !synced {
            wrapper.extend(words(&["-e", UNSYNCED]));
        }
        wrapper.extend(words(&["-e", &inject]));
        self.place.under(&wrapper, &operation.arguments);
        let hit = std::fs::read_to_string(&log)
            .unwrap_or_default()
            .contains("killed by SIGKILL");
        let cut = self.cut("cut");
        self.eject();
        cut?;
        if !hit {
            return Err(format!("the point {} was never hit", point.shown()));
        }
        self.look("cut", operation)
    }

    /// How long a run takes that nothing disturbs.
    fn usual(&self, operation: &Operation) -> Result<Duration, String> {
        self.insert(operation.name)?;
        let start = Instant::now();
        let ended = self.place.must(&operation.arguments);
        let time = start.elapsed();
        self.eject();
        ended.map(|()| time)
    }

    /// Power goes at some instant of a run, several times over, and once right after its end.
    fn cut_anywhere(
        &self,
        operation: &Operation,
        synced: bool,
        dice: &mut Dice,
        cuts: usize,
        usual: Duration,
    ) -> Result<Vec<String>, String> {
        self.insert(operation.name)?;
        let mut wrapper = Vec::new();
        if !synced {
            wrapper = words(&[
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
            .place
            .command(&operation.arguments, &wrapper)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut names = Vec::new();
        let mut failed = None;
        for at in 0..cuts {
            let share = u32::try_from(dice.below(1000)).unwrap_or(0);
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
        let mut wrong = Vec::new();
        for name in names {
            wrong.extend(self.look(&name, operation).err());
        }
        match self.look("end", operation) {
            Ok(Side::New) => {}
            other if done => wrong.push(format!("it had said that it was done: {other:?}")),
            Ok(_) | Err(_) => wrong.push("it failed".into()),
        }
        Ok(wrong)
    }
}

/// Numbers that are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX generator; its upper bits are good.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn cuts(bench: &Bench) -> Result<String, String> {
    let mut chosen = operations(bench)?;
    let recoveries = [going_back(bench, &chosen)?, going_on(bench, &chosen)?];
    chosen.extend(recoveries);
    let disk = Disk::new(bench)?;
    for operation in &chosen {
        disk.template(operation.name, &operation.template)?;
    }
    let mut wrong = Vec::new();
    let mut at_points = 0;
    for operation in &chosen {
        disk.insert(operation.name)?;
        let found = points(&disk.place, &operation.arguments);
        disk.eject();
        let (_, found) = found?;
        // Before each change of a name: between two of them the disk can hold nothing new.
        let renames = found
            .iter()
            .filter(|point| RENAMES.contains(&point.name.as_str()));
        for point in renames.step_by(bench.every) {
            at_points += 1;
            if let Err(error) = disk.cut_at(operation, point, true) {
                wrong.push(format!("{} at {}: {error}", operation.name, point.shown()));
            }
        }
    }
    let mut dice = Dice(7);
    let mut usual = Vec::new();
    for operation in &chosen {
        usual.push(disk.usual(operation)?);
    }
    let runs = (RANDOM / EACH).div_ceil(bench.every);
    for run in 0..runs {
        let at = run % chosen.len();
        let operation = &chosen[at];
        let found = disk.cut_anywhere(operation, true, &mut dice, EACH, usual[at])?;
        wrong.extend(
            found
                .into_iter()
                .map(|error| format!("{} at random: {error}", operation.name)),
        );
    }
    if !wrong.is_empty() {
        wrong.truncate(20);
        return Err(wrong.join("\n  "));
    }
    let bitten = unsynced(&disk, &chosen, &mut dice, &usual)?;
    Ok(format!(
        "{at_points} power cuts before changes of names, {} at random instants, {runs} right after \
         the end; {bitten}",
        runs * EACH
    ))
}

/// The same with every sync left out must go wrong, or else these tests prove nothing.
fn unsynced(
    disk: &Disk<'_>,
    chosen: &[Operation],
    dice: &mut Dice,
    usual: &[Duration],
) -> Result<String, String> {
    let (mut tried, mut lost) = (0, 0);
    for (operation, usual) in chosen.iter().zip(usual) {
        // A prune or a recovery that was lost is only done again; these show whether it bites.
        if !["deploy", "upgrade", "rollback"].contains(&operation.name) {
            continue;
        }
        for _ in 0..3 {
            tried += 3;
            lost += disk.cut_anywhere(operation, false, dice, 2, *usual)?.len();
        }
    }
    match lost {
        0 => Err(format!(
            "with every sync left out, {tried} power cuts did no harm: the test does not bite"
        )),
        _ => Ok(format!(
            "with every sync left out, {lost} of {tried} lose something"
        )),
    }
}
