//! What a person would call the state of the host, and whether anything is wrong with it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Everything that must be old or new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where `current` points.
    pub(crate) current: Option<String>,
    /// Units, drop-ins, enablement links and the rest outside the releases: path to content.
    pub(crate) files: BTreeMap<String, String>,
    /// The recorded state, without the time.
    pub(crate) state: Value,
    /// The app's settings and data are there.
    pub(crate) settings: bool,
    /// Releases, each with a digest over all that is in it.
    pub(crate) releases: BTreeMap<String, String>,
}

/// On which side of a change a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
}

impl Seen {
    pub(crate) fn at(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        for dir in ["usr/local/lib", "etc/systemd"] {
            walk(&root.join(dir), dir, &mut |path, text| {
                let own = [".d", ".wants"].iter().any(|end| path.ends_with(end));
                // The administrator's directories stay; those of a unit go with it.
                if text != "dir" || own && !path.ends_with("s.d") {
                    files.insert(path.to_owned(), text);
                }
            });
        }
        let mut releases = BTreeMap::new();
        let dir = root.join("opt/demo/releases");
        let ids = names(&dir);
        // What has no name yet, or none any more, is no release: the next command sweeps it.
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
            // Of an app that was never live, nothing need be written.
            state: if state["live"].is_null() {
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

    /// Where the host is, or what is wrong with it. Releases that a prune takes may go one by
    /// one; all others must be complete, and none may be a stranger.
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
                && self.state == side.state;
            // Deploys make settings early, which harms nobody; only a removal takes them.
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
            "between old and new: {}",
            self.difference(old, new)
        ))
    }

    fn difference(&self, old: &Self, new: &Self) -> String {
        let mut out = format!(
            "current {:?}, state {}, releases {:?}",
            self.current,
            self.state,
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

/// What no command may leave behind once the next one has run.
pub(crate) fn leftovers(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    walk(root, "", &mut |path, _| {
        if path.contains(".robotctl-")
            || path.contains("/.staging-")
            || path.ends_with("/journal.json")
        {
            wrong.push(path.to_owned());
        }
    });
    let records = names(&root.join("var/lib/robotctl/demo/releases"));
    for name in &records {
        let id = name.trim_end_matches(".json").trim_end_matches(".index");
        if !root.join("opt/demo/releases").join(id).is_dir() {
            wrong.push(format!("the record {name} of no release"));
        }
    }
    for id in names(&root.join("opt/demo/releases")) {
        if !id.starts_with('.') && !records.contains(&format!("{id}.json")) {
            wrong.push(format!("the release {id} without a record"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(format!("left behind: {}", wrong.join(", "))),
    }
}

/// A digest of all that recovery may look at; names and texts that differ from run to run are
/// made equal.
pub(crate) fn digest(root: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    for dir in ["opt", "usr", "etc/systemd", "var"] {
        walk(&root.join(dir), dir, &mut |path, text| {
            if path.ends_with("/lock") || path.ends_with("/history.jsonl") {
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
            // Their times differ; what they decide is in the step, the releases and the proof.
            let text = match path.ends_with(".json") {
                true => step(root, path),
                false => text,
            };
            // Of inodes and times, and nothing that a recovery decides by.
            let text = match path.ends_with(".index") {
                true => "index".to_owned(),
                false => text,
            };
            let text = match path.ends_with("/state.json") {
                true => format!("{text}{}", is_proven(root)),
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

/// Whether the state is that of the change under way.
fn is_proven(root: &Path) -> bool {
    let journal = record(root, "var/lib/robotctl/demo/journal.json");
    let state = record(root, "var/lib/robotctl/demo/state.json");
    journal["trace_id"].is_string() && journal["trace_id"] == state["change"]
}

/// A file of the app's records, or nothing.
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

/// Every path below a directory, in order, with what is there.
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
