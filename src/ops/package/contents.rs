//! Everything in a package beside the payload: control files, documents, the manifest.

use super::Unpacked;
use super::libraries;
use super::payload::StagedPayload;
use crate::app::InstalledPackage;
use crate::deb::{self, Architecture};
use crate::host::Command;
use crate::host::files::{self, WalkEntry};
use crate::tree::{Entry, FileTree};
use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use std::io::Write as _;
use std::path::Path;

/// What the package says of itself.
pub(super) struct Contents {
    pub(super) architecture: Architecture,
    pub(super) depends: String,
    /// Why its dependencies are not complete, if they are not.
    pub(super) warning: Option<String>,
}

/// Lists the checksums of all files, as `DEBIAN/md5sums` has them.
const CHECKSUMS: &str = "cd \"$1\" && find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | LC_ALL=C sort -z | \
                         xargs -0r md5sum";

/// Writes the contents, and gives everything in the tree its date.
pub(super) fn write(
    unpacked: &Unpacked<'_>,
    staged: &StagedPayload,
    work: &Path,
) -> Result<Contents> {
    let (app, root) = (unpacked.app(), unpacked.root());
    let architecture = deb::architecture(&staged.programs)?;
    let mut found = deb::dependencies(app, &staged.programs)?;
    let warning = match libraries::dependencies(unpacked, staged, work)? {
        Ok(libraries) => {
            found.extend(libraries);
            None
        }
        Err(why) => Some(why),
    };
    root.put_tree(&data(unpacked)?)?;
    let top = root.path("/");
    let kib = installed_kib(&top)?;
    let control = deb::control(app, &unpacked.maintainer, architecture, &found, kib);
    let depends = control
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "));
    let depends = depends.unwrap_or_default().to_owned();
    let shown = top.display().to_string();
    let sums = Command::new(["sh", "-c", CHECKSUMS, "sh", &shown]).run()?;
    let mut tree = deb::scripts(app)?;
    tree.insert("/DEBIAN/control", Entry::file(control));
    tree.insert("/DEBIAN/md5sums", Entry::file(sums));
    root.put_tree(&tree)?;
    for entry in files::below(&top) {
        let (WalkEntry::Dir(path)
        | WalkEntry::File(path, _)
        | WalkEntry::Link(path, _)
        | WalkEntry::Special(path)) = entry?;
        files::set_times(&path, unpacked.epoch)?;
    }
    Ok(Contents {
        architecture,
        depends,
        warning,
    })
}

/// The files that are not the payload's and not dpkg's.
fn data(unpacked: &Unpacked<'_>) -> Result<FileTree> {
    let (app, layout) = (unpacked.app(), &unpacked.app().layout);
    let date = Timestamp::from_second(unpacked.epoch).context("reading the date of the package")?;
    let package = app.package.name.as_str();
    let itself = InstalledPackage {
        name: package.to_owned(),
        version: deb::version(app),
    };
    let changelog = match &unpacked.changelog {
        Some(text) => text.clone(),
        None => deb::changelog(app, &unpacked.maintainer, date)?,
    };
    let documents = format!("/usr/share/doc/{package}");
    let manifest = crate::manifest::parse(&unpacked.loaded.text);
    let manifest = manifest.map_err(|problem| anyhow::Error::msg(problem.message))?;
    let mut tree = FileTree::default();
    tree.insert(
        layout.packaged_manifest(),
        Entry::file(deb::packaged_manifest(&manifest)?),
    );
    tree.insert(
        layout.package_file(),
        Entry::file(serde_json::to_string_pretty(&itself)? + "\n"),
    );
    tree.insert(
        format!("{documents}/copyright"),
        Entry::file(deb::copyright(app, &unpacked.maintainer, date)),
    );
    tree.insert(
        format!("{documents}/changelog.gz"),
        Entry::file(gzip(&changelog)?),
    );
    tree.insert(
        format!("/usr/share/lintian/overrides/{package}"),
        Entry::file(deb::overrides(app)),
    );
    Ok(tree)
}

/// A text as `gzip -9n` makes it: without a name and a time.
fn gzip(text: &str) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}

/// The size on a disk as dpkg counts it: each file in whole KiB, and one KiB for anything else (deb-substvars(5)).
fn installed_kib(top: &Path) -> Result<u64> {
    let mut kib = 0;
    for entry in files::below(top) {
        kib += match entry? {
            WalkEntry::File(path, _) => files::len(&path)?.div_ceil(1024),
            _ => 1,
        };
    }
    Ok(kib)
}
