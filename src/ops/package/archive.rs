//! dpkg-deb(1), and the tools that look at its result.

use super::{PackageRequest, Unpacked};
use crate::command_line::CommandLine;
use crate::error::{Hint, fail};
use crate::host::files::{self, WalkEntry};
use crate::host::{Command, is_installed};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How a package is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// `xz -1`: quick, and every dpkg reads it.
    Fast,
    /// `xz -6`: smaller, and takes several times as long.
    Max,
    /// `zstd`: quickest; dpkg reads it from Debian 12 and Ubuntu 18.04 on.
    Zstd,
}

impl Compression {
    /// The options of dpkg-deb. zstd writes other bytes with another number of threads.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Fast => &["-Zxz", "-z1"],
            Self::Max => &["-Zxz", "-z6"],
            Self::Zstd => &["-Zzstd", "-z3", "--threads-max=1"],
        }
    }
}

/// Programs, and the package of each.
const TOOLS: [(&str, &str); 2] = [("dpkg-deb", "dpkg"), ("md5sum", "coreutils")];

/// Refuses a machine without the tools.
pub(super) fn check_tools(request: &PackageRequest) -> Result<()> {
    let lintian = request.lint.then_some(("lintian", "lintian"));
    let mut tools = TOOLS.into_iter().chain(lintian);
    let Some((program, package)) = tools.find(|(program, _)| !is_installed(program)) else {
        return Ok(());
    };
    fail(
        format!("`{program}` is not installed, and `package` needs it"),
        Hint::to(
            "install it; Fedora, Arch and Homebrew have it too",
            CommandLine::sudo(["apt", "install", package]),
        ),
    )
}

/// Makes the archive in the working directory. Its path.
pub(super) fn make(unpacked: &Unpacked<'_>, work: &Path, compress: Compression) -> Result<PathBuf> {
    let made = work.join("made.deb");
    let tree = unpacked.root().path("/").display().to_string();
    let mut argv = vec!["dpkg-deb", "--root-owner-group"];
    argv.extend(compress.options());
    let shown = made.display().to_string();
    argv.extend(["--build", &tree, &shown]);
    Command::new(argv)
        .env("SOURCE_DATE_EPOCH", &unpacked.epoch.to_string())
        .run()?;
    Ok(made)
}

/// What is at each path below a directory: its mode and kind, and the content of files by their hash.
fn listing(top: &Path) -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    let control = top.join("DEBIAN");
    for entry in files::below(top) {
        let (path, text) = match entry? {
            WalkEntry::Dir(path) => (path, "directory".to_owned()),
            WalkEntry::Link(path, target) => (path, format!("link to {}", target.display())),
            WalkEntry::File(path, mode) => {
                let hashes = files::hashes(std::slice::from_ref(&path))?;
                let hash = hashes.into_iter().flatten().next();
                (path, format!("file {:o} {hash:?}", mode & 0o7777))
            }
            WalkEntry::Special(path) => (path, "special file".to_owned()),
        };
        if !path.starts_with(&control) {
            let name = path.strip_prefix(top).unwrap_or(&path);
            out.insert(format!("{}: {text}", name.display()));
        }
    }
    Ok(out)
}

/// Extracts the archive, and compares it with what went into it.
pub(super) fn verify(unpacked: &Unpacked<'_>, made: &Path, work: &Path) -> Result<()> {
    let extracted = work.join("extracted");
    let (archive, to) = (made.display().to_string(), extracted.display().to_string());
    Command::new(["dpkg-deb", "--extract", &archive, &to]).run()?;
    let (wanted, found) = (listing(&unpacked.root().path("/"))?, listing(&extracted)?);
    match wanted.symmetric_difference(&found).next() {
        None => Ok(()),
        Some(different) => fail(
            format!("the package does not hold what went into it: {different}"),
            "make it again; if this happens again, check the disk and the memory of this machine",
        ),
    }
}

/// The findings of lintian that are errors or warnings.
pub(super) fn lint(made: &Path) -> Result<Vec<String>> {
    let shown = made.display().to_string();
    let argv = [
        "lintian",
        "--no-cfg",
        "--allow-root",
        "--tag-display-limit",
        "0",
        &shown,
    ];
    let output = Command::new(argv).output()?;
    let is_finding = |line: &&str| ["E: ", "W: "].iter().any(|head| line.starts_with(head));
    let findings: Vec<String> = output
        .stdout
        .lines()
        .filter(is_finding)
        .map(str::to_owned)
        .collect();
    if findings.is_empty() && !output.success() {
        let last = output
            .stderr
            .trim()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        return fail(
            format!("lintian could not look at the package: {last}"),
            "make the package without `--lint`",
        );
    }
    Ok(findings)
}

/// Gives the archive its name. Its size in bytes.
pub(super) fn publish(made: &Path, to: &Path) -> Result<u64> {
    files::move_file(made, to)?;
    files::len(to)
}
