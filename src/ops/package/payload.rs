//! The payload of a package: the files of the release, built and checked.

use super::Unpacked;
use crate::app::{App, Text};
use crate::bytesize::format_bytes;
use crate::deb::FoundFile;
use crate::error::{HintedError, fail, fail_all};
use crate::host::files::{self, WalkEntry};
use crate::host::{ProgramFile, real_path};
use crate::ops::context::Context;
use crate::ops::preflight;
use crate::stage::{self, Source, missing_python_files};
use crate::transient::build_here::build_here;
use anyhow::Result;
use std::path::Path;

/// What a payload holds.
pub(super) struct StagedPayload {
    /// How many files.
    pub(super) files: usize,
    /// Its programs and scripts.
    pub(super) programs: Vec<FoundFile>,
    /// What a person should know about the files.
    pub(super) warnings: Vec<String>,
}

/// Stages the payload in `/usr/lib/<app>/payload` of the tree.
pub(super) fn stage(
    ctx: &Context<'_>,
    unpacked: &Unpacked<'_>,
    source: &Source,
    output: &Path,
) -> Result<StagedPayload> {
    let (app, root) = (unpacked.app(), unpacked.root());
    let mut release = app.release.clone();
    release
        .exclude
        .extend(earlier_packages(app, source, output)?);
    let mut scanned = stage::scan(source, &release, None)?;
    refuse_private(&scanned.private)?;
    preflight::check_service_files(app, &scanned.payload)?;
    let missing = missing_python_files(source, &unpacked.base, &release, &scanned.payload)?;
    fail_all(missing.into_iter().map(|missing| missing.error).collect())?;
    let to = app.layout.packaged_payload();
    let progress = (ctx.progress)(scanned.payload.bytes());
    let filled = stage::fill(
        &unpacked.host,
        app,
        source,
        &mut scanned,
        None,
        release.has_build(),
        &*progress,
    )?;
    root.make_dir(to.rsplit_once('/').map_or("/", |(dir, _)| dir), 0o755)?;
    filled.move_to(&to)?;
    root.remove_tree("/opt")?;
    let top = root.path(&to);
    if release.has_build() {
        let written = build_here(app, &top, unpacked.epoch)?;
        stage::normalise(Some(&written), &top, app)?;
        files::set_mode(&top, 0o755)?;
    }
    let (files, programs) = read_programs(&top)?;
    Ok(StagedPayload {
        files,
        programs,
        warnings: scanned.warnings,
    })
}

/// The pattern of packages that were made into a directory of the source: one must not be in the next one.
fn earlier_packages(app: &App, source: &Source, output: &Path) -> Result<Option<Text>> {
    let output = real_path(output)?;
    let Ok(dir) = output.strip_prefix(source.path()) else {
        return Ok(None);
    };
    let pattern = Path::new("/")
        .join(dir)
        .join(format!("{}_*_*.deb", app.package.name));
    Ok(Text::parse(&pattern.to_string_lossy()).ok())
}

/// How many files an error names.
const MAX_NAMED: usize = 10;

fn refuse_private(files: &[String]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = files
        .iter()
        .take(MAX_NAMED)
        .map(|path| format!("`{path}`"))
        .collect();
    let more = match files.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let patterns: Vec<String> = files
        .iter()
        .take(MAX_NAMED)
        .map(|path| format!("\"/{path}\""))
        .collect();
    fail(
        format!(
            "every user of a host can read a package, and these files look private: {}{more}",
            named.join(", ")
        ),
        format!(
            "leave them out, below `[release]`: exclude = [{}]; a secret belongs in `[[secret]]`",
            patterns.join(", ")
        ),
    )
}

/// The bytes of byte code before its code (importlib, `_bootstrap_external`): magic number, flags, time and size.
const HEAD_OF_BYTE_CODE: u64 = 16;

/// The largest file that Debian's package format can hold, in bytes (deb(5)): ten digits.
const MAX_FILE_BYTES: u64 = 9_999_999_999;

/// Counts the files, and reads what its programs need.
fn read_programs(top: &Path) -> Result<(usize, Vec<FoundFile>)> {
    let (mut count, mut programs, mut wrong) = (0, Vec::new(), Vec::new());
    for entry in files::below(top) {
        let WalkEntry::File(real, mode) = entry? else {
            continue;
        };
        count += 1;
        let path = real
            .strip_prefix(top)
            .unwrap_or(&real)
            .to_string_lossy()
            .into_owned();
        let is_byte_code = path.ends_with(".pyc");
        if is_byte_code && is_tied_to_time(&files::head(&real, HEAD_OF_BYTE_CODE)?) {
            wrong.push(path);
            continue;
        }
        let len = files::len(&real)?;
        if len > MAX_FILE_BYTES {
            return fail(
                format!(
                    "`{path}` has {}, more than a package can hold",
                    format_bytes(len)
                ),
                "list it in `release.exclude`",
            );
        }
        let (machine, interpreter, is_dynamic) = match ProgramFile::read(&real)? {
            ProgramFile::Elf(elf) => (Some(elf.machine), None, !elf.needed.is_empty()),
            ProgramFile::Script(words) if mode & 0o111 != 0 => {
                (None, words.into_iter().next(), false)
            }
            _ if path.contains("/lib/python3.") => (None, None, false),
            ProgramFile::Script(_) | ProgramFile::Other => continue,
        };
        let found = FoundFile {
            path,
            machine,
            interpreter,
            is_dynamic,
        };
        programs.push(found);
    }
    refuse_byte_code(&wrong)?;
    Ok((count, programs))
}

/// Whether byte code counts only as long as its source has a certain time stamp (PEP 552), which no file of a package
/// keeps.
fn is_tied_to_time(head: &[u8]) -> bool {
    let flags = head.get(4..8);
    flags.is_none_or(|flags| flags.first().is_some_and(|byte| byte & 1 == 0))
}

fn refuse_byte_code(wrong: &[String]) -> Result<(), HintedError> {
    let Some(first) = wrong.first() else {
        return Ok(());
    };
    let more = match wrong.len() - 1 {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Err(HintedError::new(
        format!(
            "the byte code `{first}`{more} is valid for one time stamp of its source, and a package sets another"
        ),
        "leave it out, below `[release]`: exclude = [\"__pycache__/\"]; `release.python` makes byte code that stays valid",
    ))
}

#[cfg(test)]
mod tests {
    use super::is_tied_to_time;

    #[test]
    fn byte_code_by_hash_stays_valid_in_a_package() {
        let code = |flags: u8| {
            [
                0xa7, 0x0d, 0x0d, 0x0a, flags, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
            ]
        };
        for (flags, is_tied) in [(0, true), (1, false), (3, false)] {
            assert_eq!(is_tied_to_time(&code(flags)), is_tied, "{flags}");
        }
        assert!(is_tied_to_time(b"\xa7\x0d"));
    }
}
