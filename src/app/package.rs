//! The Debian package of an app, as the manifest describes it.

use super::lines::Line;
use super::names::{Name, Text, newtype};
use serde::{Deserialize, Serialize};

/// What the Debian package of an app says of it.
#[derive(Debug, Clone)]
pub struct Package {
    /// The name of the package.
    pub name: PackageName,
    /// `Section:`
    pub section: PackageName,
    /// `Depends:`, beside what robotctl finds.
    pub depends: Vec<Relation>,
    /// `Recommends:`
    pub recommends: Vec<Relation>,
    /// `Conflicts:`
    pub conflicts: Vec<Relation>,
    /// The changelog, relative to the manifest.
    pub changelog: Option<Text>,
    /// The short name of the license.
    pub license: Option<Line>,
}

newtype! {
    /// The name of a Debian package: `[a-z0-9][a-z0-9+.-]+` (deb-control(5)).
    PackageName
}

impl PackageName {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !text.starts_with(is_plain) {
            return Err("start it with a lowercase letter or a digit");
        }
        if !text.chars().all(|c| is_plain(c) || "+.-".contains(c)) {
            return Err("use only lowercase letters, digits and `+.-`");
        }
        match text.len() {
            2..=64 => Ok(Self(text.to_owned())),
            _ => Err("use 2 to 64 characters"),
        }
    }

    /// The package of an app without another name. A name of an app has the form of one, except that it may
    /// have only one character.
    pub(super) fn of_app(app: &Name) -> Self {
        Self(app.to_string())
    }
}

newtype! {
    /// One relation to other packages, such as `python3 (>= 3.11)` or `nodejs | nodejs-lts` (deb-control(5)).
    Relation
}

impl Relation {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.split('|').all(|one| is_relation(one.trim())) {
            return Ok(Self(text.trim().to_owned()));
        }
        Err("write it as in a control file, one package per entry: `python3 (>= 3.11)`")
    }
}

/// Whether a text is a name of a package, with a version or without one.
fn is_relation(text: &str) -> bool {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (name, architecture) = name.split_once(':').unwrap_or((name, "any"));
    let is_version = |text: &str| {
        let version = ["<<", "<=", "=", ">=", ">>"]
            .iter()
            .find_map(|operator| text.strip_prefix(operator)?.strip_prefix(' '));
        version.is_some_and(|version| {
            let fits = |c: char| c.is_ascii_alphanumeric() || ".+~:-".contains(c);
            version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(fits)
        })
    };
    let in_brackets = rest
        .trim()
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    PackageName::parse(name).is_ok()
        && matches!(architecture, "any" | "native")
        && (rest.trim().is_empty() || in_brackets.is_some_and(is_version))
}

/// What a package installs of itself in `/usr/lib/<app>/package.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version, as dpkg has it.
    pub version: String,
}

impl InstalledPackage {
    /// How the record of a release names a package as the source. The maintainer script `postrm` reads it.
    const ORIGIN: &str = "package ";

    /// The source of a release that came from it.
    pub fn origin(&self) -> String {
        format!("{}{} {}", Self::ORIGIN, self.name, self.version)
    }

    /// Whether a release came from a version of this package.
    pub fn is_origin(&self, origin: &str) -> bool {
        let rest = origin.strip_prefix(Self::ORIGIN);
        let name = rest.and_then(|rest| rest.split(' ').next());
        name == Some(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::Relation;

    #[test]
    fn a_relation_cannot_add_another_field_or_package() {
        for good in [
            "nginx",
            "python3 (>= 3.11)",
            "python3:any (<< 3.12~)",
            "a1 | b2 (= 1:2.0-1)",
        ] {
            assert_eq!(Relation::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "nginx, curl",
            "Nginx",
            "nginx >= 1",
            "nginx (1.0)",
            "a\nEssential: yes",
            "nginx (>= 1) x",
            "${misc:Depends}",
            "nginx |",
        ] {
            assert!(Relation::parse(bad).is_err(), "{bad:?}");
        }
    }
}
