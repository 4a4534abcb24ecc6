//! On a file system with reflinks, a release shares the blocks of its source.

use super::fixture::{Fixture, args};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

tests![Suite: a_release_is_cloned];

const SIZE: usize = 16 << 20;

const MANIFEST: &str = "[app]\nname = \"demo\"\nversion = \"1.0\"\n[release]\nsource = \"src\"\n\
                        [service.web]\nexec = [\"{current}/run\"]\n";

fn a_release_is_cloned(fixture: &Fixture) -> Result<String, String> {
    let mut host = fixture.host("reflinks", 0);
    let image = fixture.dir.join("clones.img");
    let disk = fixture.dir.join("clones.xfs");
    fs::create_dir_all(&disk).unwrap();
    let (from, to) = (image.display(), disk.display());
    super::power_cuts::sh(&format!(
        "truncate -s 512M {from} && mkfs.xfs -q -f -m reflink=1 {from} && mount -o loop {from} {to}"
    ))
    .map_err(|error| format!("this needs xfsprogs, loop devices and the kernel's XFS: {error}"))?;
    host.root = disk.join("root");
    let source = disk.join("src");
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(&host.root).unwrap();
    fs::write(source.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    // No two blocks are equal.
    let numbers = 0..SIZE / 8;
    let bytes: Vec<u8> = numbers.flat_map(usize::to_le_bytes).collect();
    fs::write(source.join("big"), &bytes).unwrap();
    fs::write(disk.join("robot.toml"), MANIFEST).unwrap();
    let free = || -> Result<u64, String> {
        super::power_cuts::sh(&format!("sync -f {to}"))?;
        let seen = statvfs(&disk).map_err(|errno| errno.to_string())?;
        Ok(seen.blocks_available() * seen.fragment_size())
    };
    let before = free()?;
    let manifest = disk.join("robot.toml").display().to_string();
    let deployed = host.run_ok(&args(&["--manifest", &manifest, "deploy", "--apply"]));
    let taken = free().map(|after| before.saturating_sub(after));
    let there = fs::read(host.root.join("opt/demo/current/big"));
    super::power_cuts::unmount(&disk);
    deployed?;
    let (taken, half) = (taken?, SIZE as u64 / 2);
    if there.ok().as_ref() != Some(&bytes) {
        return Err("the release differs from its source".into());
    }
    match taken < half {
        true => Ok(format!("{} KiB used for {} KiB", taken >> 10, SIZE >> 10)),
        false => Err(format!(
            "the release uses {taken} bytes for {SIZE}: it was not cloned"
        )),
    }
}
