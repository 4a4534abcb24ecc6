//! Recovery and rollback on a disk without a free byte, or without a free inode.

use super::fixture::{Fixture, Host, args};
use super::injection::{Fault, inject};
use super::midway::point_after;
use super::regressions::expect_eq;
use super::state::{HostState, Side};
use super::syscalls::{Operation, operations};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

tests![Suite: recoveries_and_changes_end_on_a_full_disk];

/// A small file system that is mounted over a worker's tree.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn new(at: &'a Path) -> Result<Self, String> {
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=24m,nr_inodes=1000"),
        )
        .map_err(|errno| format!("cannot mount a small tmpfs: {errno}"))?;
        Ok(Self(at))
    }

    /// Fills the file system until not one byte, or not one file, can be added.
    fn fill(&self, what: Exhausted) {
        match what {
            Exhausted::Bytes => self.fill_bytes(),
            Exhausted::Files => self.fill_files(),
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

/// What the file system has run out of.
#[derive(Debug, Clone, Copy)]
enum Exhausted {
    Bytes,
    Files,
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

fn recoveries_and_changes_end_on_a_full_disk(fixture: &Fixture) -> Result<String, String> {
    let operations = operations(fixture)?;
    let mut cases = Vec::new();
    for operation in operations
        .iter()
        .filter(|one| ["upgrade", "rollback", "remove"].contains(&one.name))
    {
        // Reverting a removal creates every file again. The reserve is not large enough for that.
        let files = (operation.name != "remove").then_some(Exhausted::Files);
        for point in &operation.points {
            let of = [Exhausted::Bytes].into_iter().chain(files);
            cases.extend(of.map(|what| (operation, point, what)));
        }
    }
    fixture.run_cases(&cases, |host, (operation, point, what)| {
        host.clear();
        let small = SmallDisk::new(&host.root)?;
        super::fixture::copy_tree(&operation.template, &host.root);
        inject(host, &operation.arguments, point, Fault::Kill)?;
        small.fill(*what);
        let ended = host
            .run_ok(&args(&["recover"]))
            .and_then(|()| operation.verify(host));
        drop(small);
        ended.map(drop).map_err(|error| {
            format!(
                "{}, killed at {}, disk full of {what:?}: {error}",
                operation.name,
                point.shown()
            )
        })
    })?;
    for operation in operations
        .iter()
        .filter(|one| ["rollback", "remove", "prune"].contains(&one.name))
    {
        let host = fixture.host("full", 0);
        for what in [Exhausted::Bytes, Exhausted::Files] {
            let small = SmallDisk::new(&host.root)?;
            run_on_full_disk(&host, &small, operation, what)?;
        }
    }
    for operation in operations.iter().filter(|one| one.name == "upgrade") {
        let host = fixture.host("full", 0);
        let small = SmallDisk::new(&host.root)?;
        no_reserve(&host, &small, operation)
            .map_err(|error| format!("full disk without a reserve: {error}"))?;
    }
    Ok(format!(
        "{} recoveries, and a rollback, a prune and a removal, on a disk without a free byte or inode",
        cases.len()
    ))
}

/// If there was no room for a reserve either, the files that the killed run had prepared are all
/// there is. Recovery frees them before it writes anything.
fn no_reserve(host: &Host<'_>, small: &SmallDisk<'_>, operation: &Operation) -> Result<(), String> {
    super::fixture::copy_tree(&operation.template, &host.root);
    let switched = point_after(&operation.points, "/opt/demo/current\"")?;
    inject(host, &operation.arguments, switched, Fault::Kill)?;
    let store = host.root.join("var/lib/robotctl/demo");
    for name in super::state::names(&store) {
        if name.starts_with("reserve") {
            std::fs::remove_file(store.join(name)).unwrap();
        }
    }
    small.fill(Exhausted::Bytes);
    host.run_ok(&args(&["recover"]))?;
    expect_eq(&operation.verify(host)?, &Side::Old)
}

/// Runs a command that frees space or rolls back, on a full disk.
fn run_on_full_disk(
    host: &Host<'_>,
    small: &SmallDisk<'_>,
    operation: &Operation,
    what: Exhausted,
) -> Result<(), String> {
    super::fixture::copy_tree(&operation.template, &host.root);
    small.fill(what);
    host.run_ok(&operation.arguments)
        .map_err(|said| format!("on a disk full of {what:?}: {said}"))?;
    let side = HostState::read(&host.root).side(&operation.old, &operation.new);
    side.map(drop)
        .map_err(|error| format!("{} on a full disk: {error}", operation.name))
}
