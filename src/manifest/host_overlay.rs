//! The overlay of one host, `/etc/<app>/robot.local.toml`.

use super::problem::{Problem, Result, line_of_key};
use super::tables::OverlayTable;
use super::toml_error;
use toml::{Table, Value};

/// Tables of a manifest that the overlay of a host cannot have, and why.
const OF_THE_MANIFEST: [(&str, &str); 5] = [
    (
        "app",
        "the name, the user and the directories of an app are the same on every host",
    ),
    (
        "environment",
        "the overlay of a host applies to one app, which has its environment already",
    ),
    ("hooks", "hooks belong to the release"),
    ("release", "it decides what a release contains"),
    ("secret", "the names of secrets belong to the release"),
];

/// Keys of a service that the overlay of a host cannot have: they decide who owns the files of the app.
const OF_USERS: [&str; 3] = ["group", "groups", "user"];

/// How many hexadecimal digits a digest has.
const DIGEST_DIGITS: usize = 16;

/// The overlay of one host: what it says, and where.
#[derive(Debug, Clone)]
pub struct HostOverlay {
    /// The path of the file, for messages.
    pub path: String,
    /// The text of the file.
    pub text: String,
    pub(super) table: OverlayTable,
    pub(super) written: Table,
}

impl HostOverlay {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// A [`Problem`] with the file, the line and the key.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let in_file = |problem: Problem| Problem {
            file: Some(path.to_owned()),
            ..problem
        };
        let wrong = |error| in_file(toml_error::problem(&error, text));
        let written: Table = toml::from_str(text).map_err(wrong)?;
        check(&written).map_err(|problem| in_file(problem.at(text)))?;
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            table: toml::from_str(text).map_err(wrong)?,
            written,
        })
    }

    /// The keys that differ between two overlays, such as `service.web.listen`, with `other` as the later one.
    pub fn differing(this: Option<&Self>, other: Option<&Self>) -> Vec<String> {
        let empty = Table::new();
        let written = |one: Option<&'_ Self>| one.map_or(&empty, |one| &one.written).clone();
        let mut out = Vec::new();
        differing("", &written(this), &written(other), &mut out);
        out
    }

    /// A digest of its text, which names it in records.
    pub fn digest(&self) -> String {
        let digest = blake3::hash(self.text.as_bytes()).to_hex();
        digest.chars().take(DIGEST_DIGITS).collect()
    }

    /// The keys that it sets, such as `service.web.listen`.
    pub fn keys(&self) -> Vec<String> {
        Self::differing(None, Some(self))
    }

    /// The line of a key that [`keys`](Self::keys) lists.
    pub fn line(&self, key: &str) -> Option<usize> {
        let path: Vec<&str> = key.split('.').collect();
        line_of_key(&self.text, &path)
    }
}

fn check(written: &Table) -> Result<()> {
    for (key, why) in OF_THE_MANIFEST {
        if written.contains_key(key) {
            let message = format!("a host cannot change `{key}`: {why}");
            return Err(Problem::new(&[key], message, "change it in `robot.toml`"));
        }
    }
    let services = written.get("service").and_then(Value::as_table);
    let services = services.into_iter().flatten();
    let named = services.filter_map(|(name, own)| Some((vec!["service", name], own.as_table()?)));
    for (place, table) in std::iter::once((Vec::new(), written)).chain(named) {
        if let Some(key) = OF_USERS.into_iter().find(|key| table.contains_key(*key)) {
            let message = format!(
                "a host cannot change `{key}`: the files of the services belong to their user and group"
            );
            let path = [&place[..], &[key]].concat();
            return Err(Problem::new(&path, message, "change it in `robot.toml`"));
        }
    }
    Ok(())
}

fn differing(before: &str, one: &Table, other: &Table, out: &mut Vec<String>) {
    let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
    keys.sort();
    keys.dedup();
    let none = Value::Table(Table::new());
    for key in keys {
        let path = format!("{before}{key}");
        let (a, b) = (one.get(key), other.get(key));
        match (a.unwrap_or(&none), b.unwrap_or(&none)) {
            (Value::Table(one), Value::Table(other)) => {
                differing(&format!("{path}."), one, other, out);
            }
            _ if a != b => out.push(path),
            _ => {}
        }
    }
}
