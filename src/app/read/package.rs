//! `[package]`

use super::reader::{Path, Reader, get, quoted};
use crate::app::package::{Package, PackageName, Relation};
use crate::app::reserved::why_refused_as_package;
use crate::manifest::{Problem, Result};

impl Reader<'_> {
    pub(super) fn package(&self) -> Result<Package> {
        let table = &self.manifest.package;
        let relations = |key: &'static str, texts: &[String]| -> Result<Vec<Relation>> {
            let path: Path<'_> = &["package", key];
            let one = |text: &String| get(path, text, "a relation to a package", Relation::parse);
            texts.iter().map(one).collect()
        };
        Ok(Package {
            name: self.package_name()?,
            section: match &table.section {
                Some(text) => get(
                    &["package", "section"],
                    text,
                    "a section",
                    PackageName::parse,
                )?,
                None => get(
                    &["package", "section"],
                    "misc",
                    "a section",
                    PackageName::parse,
                )?,
            },
            depends: relations("depends", &table.depends)?,
            recommends: relations("recommends", &table.recommends)?,
            conflicts: relations("conflicts", &table.conflicts)?,
            changelog: match &table.changelog {
                Some(text) => Some(self.text(&["package", "changelog"], text)?),
                None => None,
            },
            license: match &table.license {
                Some(text) => Some(self.line(&["package", "license"], text)?),
                None => None,
            },
        })
    }

    /// The name of the package. One that the manifest gives is checked here; that of an app can be one that no
    /// package may have, which matters only if the package is made.
    fn package_name(&self) -> Result<PackageName> {
        let Some(text) = &self.manifest.package.name else {
            return Ok(PackageName::of_app(&self.name));
        };
        let path: Path<'_> = &["package", "name"];
        let name = get(path, text, "a name of a package", PackageName::parse)?;
        if let Some(why) = why_refused_as_package(name.as_str()) {
            let message = format!("a package cannot be called {}: {why}", quoted(text));
            let hint = format!("choose another name, such as `my-{text}`");
            self.policy
                .enforce(Err(Problem::new(path, message, hint)))?;
        }
        Ok(name)
    }
}
