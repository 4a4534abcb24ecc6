//! Secrets of the apps of this host that have the same content. Contents are compared by their hashes, which
//! are not shown: a hash of a short secret would show it.

use super::secret_value::MAX_SECRET_BYTES;
use crate::app::layout::STORES_DIR;
use crate::app::{App, Layout, Name};
use crate::host::Root;
use anyhow::Result;
use std::collections::BTreeMap;

/// A secret of the app, and others with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SameSecrets {
    /// The name of the secret.
    pub(crate) name: String,
    /// The path of its file.
    pub(crate) path: String,
    /// The paths of the others.
    pub(crate) others: Vec<String>,
}

/// The secrets of an app whose content another secret of this host has too. Of two secrets of the same app,
/// the second one is listed.
///
/// # Errors
/// When a secret cannot be read, as by a user who is not root.
pub(crate) fn same_secrets(root: &Root, app: &App) -> Result<Vec<SameSecrets>> {
    let mut paths_of: BTreeMap<[u8; 32], Vec<String>> = BTreeMap::new();
    for name in root.list(STORES_DIR)? {
        let Ok(name) = Name::parse(&name) else {
            continue;
        };
        if name == app.name {
            continue;
        }
        let layout = Layout::new(&name);
        for file in root.list(&layout.credentials())? {
            let path = layout.credential(&file);
            if let Some(hash) = hash(root, &path)? {
                paths_of.entry(hash).or_default().push(path);
            }
        }
    }
    let mut found = Vec::new();
    for secret in &app.secrets {
        let path = app.layout.credential(secret.name.as_str());
        let Some(hash) = hash(root, &path)? else {
            continue;
        };
        let same = paths_of.entry(hash).or_default();
        if !same.is_empty() {
            found.push(SameSecrets {
                name: secret.name.to_string(),
                path: path.clone(),
                others: same.clone(),
            });
        }
        same.push(path);
    }
    Ok(found)
}

/// The hash of a secret; `None` for what systemd cannot load, and for an empty file.
fn hash(root: &Root, path: &str) -> Result<Option<[u8; 32]>> {
    let meta = root.meta_followed(path)?;
    let is_secret =
        meta.is_some_and(|meta| meta.is_file() && (1..=MAX_SECRET_BYTES).contains(&meta.len));
    let content = if is_secret { root.read(path)? } else { None };
    Ok(content.map(|content| *blake3::hash(content.trim_ascii()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::same_secrets;
    use crate::app::App;
    use crate::host::Root;
    use crate::manifest::parse;

    #[test]
    fn equal_secrets_of_one_app_and_of_two_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n\
                    [[secret]]\nname = \"A\"\n[[secret]]\nname = \"B\"\n[[secret]]\nname = \"C\"\n\
                    [service.web]\nexec = [\"/bin/web\"]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let write = |app: &str, name: &str, text: &str| {
            let dir = format!("/etc/{app}/credentials");
            root.make_dir(&format!("/var/lib/robotctl/{app}"), 0o755)
                .unwrap();
            root.make_dir(&dir, 0o700).unwrap();
            let path = format!("{dir}/{name}");
            root.write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        };
        let found = || -> Vec<(String, Vec<String>)> {
            let found = same_secrets(&root, &app).unwrap().into_iter();
            found.map(|one| (one.name, one.others)).collect()
        };
        for (name, text) in [("A", "one"), ("B", "two"), ("C", "")] {
            write("shop", name, text);
        }
        write("blog", "EMPTY", "");
        assert_eq!(found(), []);
        write("blog", "KEY", "two\n");
        write("shop", "C", "one");
        assert_eq!(
            found(),
            [
                ("B".to_owned(), vec!["/etc/blog/credentials/KEY".to_owned()]),
                ("C".to_owned(), vec!["/etc/shop/credentials/A".to_owned()]),
            ]
        );
    }
}
