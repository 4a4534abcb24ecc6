//! Where a file system can clone, a release takes no room for what its source holds.

use super::bench::{Bench, words};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

tests![Suite: cloned];

const SIZE: usize = 16 << 20;

const MANIFEST: &str = "[app]\nname = \"demo\"\nversion = \"1.0\"\n[release]\nsource = \"src\"\n\
                        [service.web]\nexec = [\"{current}/run\"]\n";

fn cloned(bench: &Bench) -> Result<String, String> {
    let mut place = bench.place("clones", 0);
    let image = bench.dir.join("clones.img");
    let disk = bench.dir.join("clones.xfs");
    fs::create_dir_all(&disk).unwrap();
    let (from, to) = (image.display(), disk.display());
    super::power::sh(&format!(
        "truncate -s 512M {from} && mkfs.xfs -q -f -m reflink=1 {from} && mount -o loop {from} {to}"
    ))
    .map_err(|wrong| format!("this needs xfsprogs, loop devices and the kernel's XFS: {wrong}"))?;
    place.root = disk.join("root");
    let source = disk.join("src");
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&place.root).unwrap();
    fs::write(source.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    // No two blocks are the same.
    let numbers = 0..SIZE / 8;
    let bytes: Vec<u8> = numbers.flat_map(usize::to_le_bytes).collect();
    fs::write(source.join("big"), &bytes).unwrap();
    fs::write(disk.join("robot.toml"), MANIFEST).unwrap();
    let free = || -> Result<u64, String> {
        super::power::sh(&format!("sync -f {to}"))?;
        let seen = statvfs(&disk).map_err(|errno| errno.to_string())?;
        Ok(seen.blocks_available() * seen.fragment_size())
    };
    let before = free()?;
    let manifest = disk.join("robot.toml").display().to_string();
    let deployed = place.must(&words(&["--manifest", &manifest, "deploy", "--apply"]));
    let taken = free().map(|after| before.saturating_sub(after));
    let there = fs::read(place.root.join("opt/demo/current/big"));
    super::power::unmount(&disk);
    deployed?;
    let (taken, half) = (taken?, SIZE as u64 / 2);
    if there.ok().as_ref() != Some(&bytes) {
        return Err("the release holds something else than its source".into());
    }
    match taken < half {
        true => Ok(format!("{} KiB taken for {} KiB", taken >> 10, SIZE >> 10)),
        false => Err(format!(
            "{taken} bytes were taken for {SIZE}: nothing was cloned"
        )),
    }
}
