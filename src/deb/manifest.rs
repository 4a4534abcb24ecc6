//! The manifest that a package installs. Its payload is built already.

use crate::manifest::Manifest;
use anyhow::{Context as _, Result};
use toml::{Table, Value};

/// Keys of `[release]` that are done when the package is made.
const DONE: [&str; 3] = ["build", "python", "exclude"];

/// The manifest of the package: the same app, with the payload of the package as its source.
pub(crate) fn packaged_manifest(manifest: &Manifest) -> Result<String> {
    let mut written = manifest.written.clone();
    written.remove("package");
    let release = written
        .entry("release")
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(release) = release {
        for key in DONE {
            release.remove(key);
        }
        release.insert("source".to_owned(), Value::from("payload"));
    }
    let text = toml::to_string(&written).context("writing the manifest of the package")?;
    Ok(format!(
        "# Made by `robotctl package`. The files of the payload are built, so nothing is built when it is deployed.\n\n{text}"
    ))
}

#[cfg(test)]
mod tests {
    use super::packaged_manifest;
    use crate::app::App;
    use crate::manifest::parse;

    #[test]
    fn the_manifest_of_a_package_builds_nothing_and_means_the_same_otherwise() {
        let text = "[app]\nname = \"shop\"\nversion = \"1.0\"\n\
                    [package]\nsection = \"web\"\n\
                    [release]\nsource = \"src\"\nexclude = [\"*.log\"]\nbuild = [[\"make\"]]\nkeep = 3\n\
                    python = { requirements = [\"r.txt\"] }\n\
                    [service.web]\nexec = [\"/bin/w\"]\n[service.web.env]\nA = \"a\\\"\\n\"\n\
                    [environment.test.env]\nA = \"1\"\n";
        let manifest = parse(&text.replace("\\n\\\"", "")).unwrap_or_else(|_| parse(text).unwrap());
        let packaged = packaged_manifest(&manifest).unwrap();
        let read = parse(&packaged).unwrap();
        let release = &read.release;
        assert_eq!(release.source.as_deref(), Some("payload"));
        assert_eq!(
            (release.build.len(), release.exclude.len(), release.keep),
            (0, 0, Some(3))
        );
        assert!(release.python.is_none());
        assert!(!packaged.contains("[package]"), "{packaged}");
        assert_eq!(read.written.get("service"), manifest.written.get("service"));
        assert_eq!(
            read.written.get("environment"),
            manifest.written.get("environment")
        );
    }

    #[test]
    fn an_app_without_a_table_for_its_release_gets_one() {
        let text =
            "[app]\nname = \"shop\"\nversion = \"1.0\"\n[service.web]\nexec = [\"/bin/w\"]\n";
        let packaged = packaged_manifest(&parse(text).unwrap()).unwrap();
        let app = App::from_manifest(&parse(&packaged).unwrap(), None).unwrap();
        assert_eq!(app.release.source.as_str(), "payload");
    }
}
