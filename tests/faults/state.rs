//! Reads the state of a host and compares it with the states before and after a change.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The records of the app's releases.
const RECORDS: &str = "var/lib/robotctl/demo/releases";

/// Everything that must be as before or as after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostState {
    /// The target of `current`.
    pub(crate) current: Option<String>,
    /// Units, drop-ins, enablement links and everything else outside the releases, by path.
    pub(crate) files: BTreeMap<String, String>,
    /// The saved state, without times.
    pub(crate) recorded: Value,
    /// Whether the app's settings and data exist.
    pub(crate) settings: bool,
    /// The releases, each with a digest of its content.
    pub(crate) releases: BTreeMap<String, String>,
}

/// Whether a host is as before a change or as after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
}

impl HostState {
    pub(crate) fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        for dir in ["usr/local/lib", "etc/systemd"] {
            walk(&root.join(dir), dir, &mut |path, text| {
                let own = [".d", ".wants"].iter().any(|end| path.ends_with(end));
                // The administrator's directories stay; those of a unit are removed with it.
                if text != "dir" || own && !path.ends_with("s.d") {
                    files.insert(path.to_owned(), text);
                }
            });
        }
        let mut releases = BTreeMap::new();
        let dir = root.join("opt/demo/releases");
        let ids = names(&dir);
        // A directory without a final name is not a release. The next command deletes it.
        for id in ids.into_iter().filter(|id| !id.starts_with('.')) {
            let mut hasher = blake3::Hasher::new();
            walk(&dir.join(&id), "", &mut |path, text| {
                hasher.update(format!("{path}\0{text}\0").as_bytes());
            });
            releases.insert(id, hasher.finalize().to_hex().to_string());
        }
        let text = fs::read_to_string(root.join("var/lib/robotctl/demo/state.json"));
        let mut state: Value =
            text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        if let Some(fields) = state.as_object_mut() {
            fields.remove("since");
            fields.remove("change");
        }
        Self {
            current: fs::read_link(root.join("opt/demo/current"))
                .ok()
                .map(|path| path.display().to_string()),
            files,
            // An app that was never live needs no saved state.
            recorded: if state["live"].is_null() {
                Value::Null
            } else {
                state
            },
            settings: root.join("etc/demo/credentials").exists(),
            releases,
        }
    }

    /// The release that is live.
    pub(crate) fn live(&self) -> Option<&str> {
        self.current
            .as_deref()
            .and_then(|text| text.strip_prefix("releases/"))
    }

    /// Returns on which side of a change the host is, or why it is on neither. Releases that a
    /// prune removes may disappear one by one. All others must be complete, and none may be
    /// unknown.
    pub(crate) fn side(&self, old: &Self, new: &Self) -> Result<Side, String> {
        for (id, digest) in &self.releases {
            let known = old.releases.get(id).or(new.releases.get(id));
            if known != Some(digest) {
                return Err(format!("release {id} is not complete"));
            }
        }
        let fits = |side: &Self, other: &Self| {
            let same = self.current == side.current
                && self.files == side.files
                && self.recorded == side.recorded;
            // A deploy creates settings early, which does no harm. Only a removal deletes them.
            let settings = self.settings == side.settings || other.live().is_some();
            let needed = side
                .releases
                .keys()
                .filter(|id| other.releases.contains_key(*id) || other.live() != side.live());
            same && settings && needed.into_iter().all(|id| self.releases.contains_key(id))
        };
        if fits(new, old) {
            return Ok(Side::New);
        }
        if fits(old, new) {
            return Ok(Side::Old);
        }
        Err(format!(
            "neither before nor after the change: {}",
            self.difference(old, new)
        ))
    }

    fn difference(&self, old: &Self, new: &Self) -> String {
        let mut out = format!(
            "current {:?}, state {}, releases {:?}",
            self.current,
            self.recorded,
            self.releases.keys()
        );
        let paths: BTreeSet<&String> = old
            .files
            .keys()
            .chain(new.files.keys())
            .chain(self.files.keys())
            .collect();
        for path in paths {
            let (own, was, is) = (
                self.files.get(path),
                old.files.get(path),
                new.files.get(path),
            );
            if own != was || own != is {
                let word = match (own == was, own == is) {
                    (true, _) => "old",
                    (_, true) => "new",
                    _ => "neither",
                };
                out.push_str(&format!("; {path} is {word}"));
            }
        }
        out
    }
}

/// Checks that nothing is left behind that the next command has to clean up.
pub(crate) fn check_no_leftovers(root: &Path) -> Result<(), String> {
    let mut leftovers = Vec::new();
    walk(root, "", &mut |path, _| {
        if path.contains(".robotctl-")
            || path.contains("/.staging-")
            || path.ends_with("/journal.json")
        {
            leftovers.push(path.to_owned());
        }
    });
    let records = names(&root.join(RECORDS));
    for name in &records {
        let id = [".json", ".private", ".index"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let id = id.unwrap_or(name);
        if !root.join("opt/demo/releases").join(id).is_dir() {
            leftovers.push(format!("the record {name} without a release"));
        }
        let meta = fs::metadata(root.join(RECORDS).join(name)).unwrap();
        let should = if name.ends_with(".json") {
            0o644
        } else {
            0o600
        };
        if meta.mode() & 0o777 != should {
            leftovers.push(format!("the record {name} with mode {:o}", meta.mode()));
        }
    }
    for id in names(&root.join("opt/demo/releases")) {
        for part in ["json", "private"] {
            if !id.starts_with('.') && !records.contains(&format!("{id}.{part}")) {
                leftovers.push(format!("the release {id} without its record {id}.{part}"));
            }
        }
    }
    match leftovers.is_empty() {
        true => Ok(()),
        false => Err(format!("left behind: {}", leftovers.join(", "))),
    }
}

/// Whether a file of the store only informs.
pub(crate) fn is_of_history(path: &str) -> bool {
    path.contains("/history.") || path.contains("/attempts.")
}

/// A digest of everything that recovery may read. Names and texts that differ between runs are
/// normalised.
pub(crate) fn digest(root: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    for dir in ["opt", "usr", "etc/systemd", "var"] {
        walk(&root.join(dir), dir, &mut |path, text| {
            if path.ends_with("/lock") || is_of_history(path) {
                return;
            }
            let plain = |text: &str| {
                text.split(".robotctl-")
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            let path: Vec<String> = path.split('/').map(plain).collect();
            let path = path.join("/");
            let path = path.split("/.staging-").next().unwrap_or_default();
            // Their times differ. Recovery decides by the step, the marks, the live release and the
            // commit.
            let text = match path.ends_with(".json") {
                true => step(root, path),
                false => text,
            };
            // Inodes and times. Recovery does not decide by them.
            let text = match path.ends_with(".index") {
                true => "index".to_owned(),
                false => text,
            };
            let text = match path.ends_with("/state.json") {
                true => format!("{text}{}", is_committed(root)),
                false => text,
            };
            hasher.update(format!("{path}\0{text}\0").as_bytes());
        });
    }
    hasher.finalize().to_hex().to_string()
}

fn step(root: &Path, path: &str) -> String {
    let value = record(root, path);
    format!("{}{}{}", value["step"], value["mark"], value["live"])
}

/// Whether the saved state is that of the change under way, which is then committed.
fn is_committed(root: &Path) -> bool {
    let journal = record(root, "var/lib/robotctl/demo/journal.json");
    let state = record(root, "var/lib/robotctl/demo/state.json");
    journal["trace_id"].is_string() && journal["trace_id"] == state["change"]
}

/// A JSON file of the store, or null.
pub(crate) fn record(root: &Path, path: &str) -> Value {
    let text = fs::read_to_string(root.join(path)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Visits every path below a directory, in order, with a text that describes its content.
pub(crate) fn walk(dir: &Path, shown: &str, each: &mut impl FnMut(&str, String)) {
    for name in names(dir) {
        let (path, shown) = (dir.join(&name), format!("{shown}/{name}"));
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            each(
                &shown,
                format!("-> {}", fs::read_link(&path).unwrap().display()),
            );
        } else if meta.is_dir() {
            each(&shown, "dir".to_owned());
            walk(&path, &shown, each);
        } else {
            let hash = blake3::hash(&fs::read(&path).unwrap()).to_hex();
            each(&shown, format!("{:o} {} {hash}", meta.mode(), meta.uid()));
        }
    }
}
