//! What a release holds: names, kinds and digests; and what it may not hold.

use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path};

/// Why a source cannot become a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// One sentence without a full stop.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for Refused {}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory, 0755.
    Dir,
    /// A file: 0755 when anyone may execute it, else 0644.
    File {
        /// BLAKE3 of the content.
        hash: blake3::Hash,
        /// Whether it is executable.
        exec: bool,
        /// Bytes.
        len: u64,
    },
    /// A symbolic link that stays inside.
    Link(String),
}

/// One item, by its path relative to the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Relative, `/`-separated.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

impl Item {
    /// The mode that it gets.
    pub fn mode(&self) -> u32 {
        match &self.kind {
            Kind::File { exec: false, .. } => 0o644,
            _ => 0o755,
        }
    }
}

/// Everything that a release holds, sorted by path: parents come before their children.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// The items.
    pub items: Vec<Item>,
    index: HashMap<String, usize>,
}

impl Payload {
    /// Sorts items and indexes them.
    pub fn new(mut items: Vec<Item>) -> Self {
        items.sort_by(|a, b| a.path.cmp(&b.path));
        let paths = items.iter().enumerate();
        let index = paths.map(|(at, item)| (item.path.clone(), at)).collect();
        Self { items, index }
    }

    /// The item at a path.
    pub fn get(&self, path: &str) -> Option<&Item> {
        self.index.get(path).and_then(|at| self.items.get(*at))
    }

    /// Whether the very same item is there.
    pub fn has(&self, item: &Item) -> bool {
        self.get(&item.path) == Some(item)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let len = |item: &Item| match &item.kind {
            Kind::File { len, .. } => *len,
            _ => 0,
        };
        self.items.iter().map(len).sum()
    }

    /// How many files and links there are.
    pub fn files(&self) -> usize {
        let items = self.items.iter();
        items.filter(|item| item.kind != Kind::Dir).count()
    }

    /// A digest over paths, kinds and content.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for item in &self.items {
            hasher.update(line(item).as_bytes());
            hasher.update(b"\0");
        }
        hasher.finalize()
    }

    /// One line an item, as it is kept beside a release's record.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for item in &self.items {
            out.push_str(&line(item));
            out.push('\n');
        }
        out
    }

    /// Reads [`Payload::to_text`]; a line that cannot be read is left out, which costs a copy.
    pub fn from_text(text: &str) -> Self {
        Self::new(text.lines().filter_map(unline).collect())
    }
}

fn line(item: &Item) -> String {
    match &item.kind {
        Kind::Dir => format!("d {}", item.path),
        Kind::File { hash, exec, len } => {
            let exec = if *exec { "x" } else { "f" };
            format!("{exec} {} {len} {}", hash.to_hex(), item.path)
        }
        Kind::Link(target) => format!("l {} {target}{}", target.len(), item.path),
    }
}

fn unline(line: &str) -> Option<Item> {
    let (kind, rest) = line.split_once(' ')?;
    let (path, kind) = match kind {
        "d" => (rest, Kind::Dir),
        "f" | "x" => {
            let (hash, rest) = rest.split_once(' ')?;
            let (len, path) = rest.split_once(' ')?;
            let hash = blake3::Hash::from_hex(hash).ok()?;
            let len = len.parse().ok()?;
            let exec = kind == "x";
            (path, Kind::File { hash, exec, len })
        }
        "l" => {
            let (len, rest) = rest.split_once(' ')?;
            let (target, path) = rest.split_at_checked(len.parse().ok()?)?;
            (path, Kind::Link(target.to_owned()))
        }
        _ => return None,
    };
    Some(Item {
        path: path.to_owned(),
        kind,
    })
}

/// Refuses a name that cannot be written down on one line.
pub(super) fn plain_name(path: &Path) -> Result<String, Refused> {
    let refuse = |what: &str| Refused {
        message: format!(
            "the source has a file name that {what}: `{}`",
            path.to_string_lossy().escape_debug()
        ),
        hint: "rename it, or list it in `release.exclude`",
    };
    let text = path.to_str().ok_or_else(|| refuse("is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refuse("holds a control character"));
    }
    Ok(text.to_owned())
}

/// Refuses a link whose text leads out of the tree.
pub(super) fn inside(path: &str, target: &str) -> Result<(), Refused> {
    let refuse = || Refused {
        message: format!(
            "the link `{path}` -> `{}` leaves the tree",
            target.escape_debug()
        ),
        hint: "make it relative and keep it inside, or list it in `release.exclude`",
    };
    let mut depth = path.split('/').count() - 1;
    for part in Path::new(target).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(refuse)?,
            Component::RootDir | Component::Prefix(_) => return Err(refuse()),
        }
    }
    if target.is_empty() || target.chars().any(char::is_control) {
        return Err(refuse());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Item, Kind, Payload, inside};

    #[test]
    fn a_link_may_not_leave_the_tree() {
        for (path, target) in [
            ("a", "b"),
            ("a/b", "../c"),
            ("a", "./b/../c"),
            ("a/b/c", "../../d"),
        ] {
            assert!(inside(path, target).is_ok(), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "../b"),
            ("a", "/etc"),
            ("a/b", "../../c"),
            ("a", "x/../../y"),
            ("a", ""),
        ] {
            assert!(inside(path, target).is_err(), "{path} -> {target}");
        }
    }

    #[test]
    fn the_index_reads_back_what_it_wrote() {
        let hash = blake3::hash(b"x");
        let item = |path: &str, kind| Item {
            path: path.into(),
            kind,
        };
        let payload = Payload::new(vec![
            item(
                "b c",
                Kind::File {
                    hash,
                    exec: true,
                    len: 1,
                },
            ),
            item("a", Kind::Dir),
            item("a/l k", Kind::Link("../b c".into())),
        ]);
        let again = Payload::from_text(&payload.to_text());
        assert_eq!(again.items, payload.items);
        assert_eq!(again.digest(), payload.digest());
        assert!(again.has(&payload.items[2]) && again.bytes() == 1 && again.files() == 2);
    }
}
