//! The content of a directory as a value that can be compared and shown.

use similar::TextDiff;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) mode: u32,
    pub(crate) kind: Kind,
}

/// Its type and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    File(Vec<u8>),
    Link(String),
    Special,
}

/// Facts by path relative to the directory.
pub(crate) type Tree = BTreeMap<String, Fact>;

/// Everything below `dir`; empty when `dir` does not exist.
pub(crate) fn read(dir: &Path) -> Tree {
    let mut out = Tree::new();
    if !dir.exists() {
        return out;
    }
    for entry in walkdir::WalkDir::new(dir).min_depth(1) {
        let entry = entry.expect("list");
        let path = entry.path().strip_prefix(dir).expect("below");
        let meta = entry.path().symlink_metadata().expect("look");
        let kind = if meta.is_symlink() {
            let target = std::fs::read_link(entry.path()).expect("read the link");
            Kind::Link(target.to_string_lossy().into_owned())
        } else if meta.is_dir() {
            Kind::Dir
        } else if meta.file_type().is_fifo() || !meta.is_file() {
            Kind::Special
        } else {
            Kind::File(std::fs::read(entry.path()).expect("read the file"))
        };
        // A link has no mode of its own.
        let mode = if meta.is_symlink() {
            0
        } else {
            meta.mode() & 0o7777
        };
        let path = path.to_string_lossy().into_owned();
        out.insert(path, Fact { mode, kind });
    }
    out
}

/// The part of a tree for which `keep` holds.
pub(crate) fn only(tree: &Tree, keep: impl Fn(&str) -> bool) -> Tree {
    let wanted = tree.iter().filter(|(path, _)| keep(path));
    wanted
        .map(|(path, fact)| (path.clone(), fact.clone()))
        .collect()
}

/// How two trees differ, as text; empty when they are equal.
pub(crate) fn diff(before: &Tree, after: &Tree) -> String {
    let mut out = String::new();
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => {
                if old.mode != new.mode {
                    writeln!(out, "{path}: mode {:o} -> {:o}", old.mode, new.mode).unwrap();
                }
                let (old, new) = (text(old), text(new));
                let diff = TextDiff::from_lines(&old, &new);
                write!(out, "{}", diff.unified_diff().header(path, path)).unwrap();
            }
            (Some(_), None) => writeln!(out, "{path}: was removed").unwrap(),
            (None, Some(new)) => writeln!(out, "{path}: is new\n{}", text(new)).unwrap(),
            (None, None) => {}
        }
    }
    out
}

fn text(fact: &Fact) -> String {
    match &fact.kind {
        Kind::Dir => "a directory\n".into(),
        Kind::Special => "a special file\n".into(),
        Kind::Link(target) => format!("-> {target}\n"),
        Kind::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Fails and shows the differences.
#[track_caller]
pub(crate) fn assert_same(before: &Tree, after: &Tree, what: &str) {
    let diff = diff(before, after);
    assert!(diff.is_empty(), "{what}:\n{diff}");
}
