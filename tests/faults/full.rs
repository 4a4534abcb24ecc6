//! A disk without a free byte, or without room for one more file: going back must work on it.

use super::bench::{Bench, Place, words};
use super::halfway::after;
use super::points::{Fault, strike};
use super::regressions::same;
use super::seen::{Seen, Side};
use super::syscalls::{Operation, operations};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

tests![Suite: going_back];

/// A small file system over a worker's tree.
pub(crate) struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    pub(crate) fn new(at: &'a Path) -> Result<Self, String> {
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=24m,nr_inodes=1000"),
        )
        .map_err(|errno| format!("mounting a small file system: {errno}"))?;
        Ok(Self(at))
    }

    /// Not one more byte goes in, or not one more file.
    fn fill(&self, what: Full) {
        match what {
            Full::Bytes => self.fill_bytes(),
            Full::Files => self.fill_files(),
        }
    }

    fn fill_files(&self) {
        let dir = self.0.join("ballast");
        std::fs::create_dir(&dir).unwrap();
        let made = (0..).take_while(|at| std::fs::File::create(dir.join(at.to_string())).is_ok());
        assert!(made.count() > 0, "the disk was full already");
    }

    fn fill_bytes(&self) {
        let path = self.0.join("ballast");
        let file = std::fs::File::create(path).unwrap();
        let mut at = 0;
        for piece in [1 << 20, 1 << 16, 1 << 12] {
            let all = nix::fcntl::FallocateFlags::empty();
            while nix::fcntl::fallocate(&file, all, at, piece).is_ok() {
                at += piece;
            }
        }
        assert!(
            file.metadata().unwrap().blocks() > 0,
            "the disk was full already"
        );
    }
}

/// Of what nothing is left.
#[derive(Debug, Clone, Copy)]
enum Full {
    Bytes,
    Files,
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

fn going_back(bench: &Bench) -> Result<String, String> {
    let operations = operations(bench)?;
    let mut cases = Vec::new();
    for operation in operations
        .iter()
        .filter(|one| ["upgrade", "rollback", "remove"].contains(&one.name))
    {
        // Taking a removal back makes every file again, which is more than can be kept free.
        let files = (operation.name != "remove").then_some(Full::Files);
        for point in &operation.points {
            let of = [Full::Bytes].into_iter().chain(files);
            cases.extend(of.map(|what| (operation, point, what)));
        }
    }
    bench.each(&cases, |place, (operation, point, what)| {
        place.clear();
        let small = Small::new(&place.root)?;
        super::bench::copy_tree(&operation.template, &place.root);
        strike(place, &operation.arguments, point, Fault::Kill)?;
        small.fill(*what);
        let ended = place
            .must(&words(&["recover"]))
            .and_then(|()| operation.judge(place));
        drop(small);
        ended.map(drop).map_err(|wrong| {
            format!(
                "{}, killed at {}, disk full of {what:?}: {wrong}",
                operation.name,
                point.shown()
            )
        })
    })?;
    for operation in operations
        .iter()
        .filter(|one| ["rollback", "remove", "prune"].contains(&one.name))
    {
        let place = bench.place("full", 0);
        for what in [Full::Bytes, Full::Files] {
            let small = Small::new(&place.root)?;
            whole(&place, &small, operation, what)?;
        }
    }
    for operation in operations.iter().filter(|one| one.name == "upgrade") {
        let place = bench.place("full", 0);
        let small = Small::new(&place.root)?;
        no_reserve(&place, &small, operation)
            .map_err(|wrong| format!("full, and without a reserve: {wrong}"))?;
    }
    Ok(format!(
        "{} recoveries, and a rollback, a prune and a removal, on a disk without room for a byte or a file",
        cases.len()
    ))
}

/// Where there was no room for a reserve either, that of what a killed run had written for its end
/// is all there is: a recovery frees it before it writes anything.
fn no_reserve(place: &Place<'_>, small: &Small<'_>, operation: &Operation) -> Result<(), String> {
    super::bench::copy_tree(&operation.template, &place.root);
    let switched = after(&operation.points, "/opt/demo/current\"")?;
    strike(place, &operation.arguments, switched, Fault::Kill)?;
    let store = place.root.join("var/lib/robotctl/demo");
    for name in super::seen::names(&store) {
        if name.starts_with("reserve") {
            std::fs::remove_file(store.join(name)).unwrap();
        }
    }
    small.fill(Full::Bytes);
    place.must(&words(&["recover"]))?;
    same(&operation.judge(place)?, &Side::Old)
}

/// A whole command that makes room or goes back, on a full disk.
fn whole(
    place: &Place<'_>,
    small: &Small<'_>,
    operation: &Operation,
    what: Full,
) -> Result<(), String> {
    super::bench::copy_tree(&operation.template, &place.root);
    small.fill(what);
    place
        .must(&operation.arguments)
        .map_err(|said| format!("on a disk full of {what:?}: {said}"))?;
    let side = Seen::at(&place.root).side(&operation.old, &operation.new);
    side.map(drop)
        .map_err(|wrong| format!("{} on a full disk: {wrong}", operation.name))
}
