//! The files that an app has on the host, found without its records.

use crate::app::Name;
use crate::app::layout::{ENABLE_DIR, PRESET_DIR, SYSUSERS_DIR, TMPFILES_DIR, UNIT_DIR};
use crate::host::Root;
use crate::render::made_for;
use anyhow::Result;
use std::collections::BTreeSet;

/// The files whose first line says that they were made for an app, and the links that enable its units.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn installed_files(root: &Root, name: &Name) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for dir in [UNIT_DIR, SYSUSERS_DIR, TMPFILES_DIR, PRESET_DIR] {
        for path in entries(root, dir)? {
            match root.meta(&path)? {
                Some(meta) if meta.is_dir => files.extend(made(root, name, entries(root, &path)?)?),
                _ => files.extend(made(root, name, vec![path])?),
            }
        }
    }
    let links = [UNIT_DIR, ENABLE_DIR].map(|dir| links_to(root, dir, &files));
    for found in links {
        files.extend(found?);
    }
    Ok(files)
}

fn entries(root: &Root, dir: &str) -> Result<Vec<String>> {
    let names = root.list(dir)?.into_iter();
    Ok(names.map(|entry| format!("{dir}/{entry}")).collect())
}

/// Those of these regular files that were made for an app.
fn made(root: &Root, name: &Name, paths: Vec<String>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in paths {
        if root.meta(&path)?.is_some_and(|meta| meta.is_file())
            && let Some(entry) = root.entry(&path)?
            && made_for(&entry) == Some(name.as_str())
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// The links in the directories `*.wants` of a directory that lead to one of these units.
fn links_to(root: &Root, dir: &str, units: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for wants in entries(root, dir)? {
        if !wants.ends_with(".wants") {
            continue;
        }
        for path in entries(root, &wants)? {
            let target = root.read_link(&path)?;
            let unit = target
                .as_deref()
                .and_then(|target| target.rsplit('/').next());
            if unit.is_some_and(|unit| units.contains(&format!("{UNIT_DIR}/{unit}"))) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::installed_files;
    use crate::app::{App, Name, Target};
    use crate::host::Root;
    use crate::manifest::parse;
    use crate::render::render;
    use crate::tree::Entry;

    #[test]
    fn every_file_of_an_app_is_found_and_none_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let mut paths = Vec::new();
        for name in ["shop", "shop-staging"] {
            let text = format!(
                "[app]\nname = \"{name}\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/w\"]\n\
                 listen = [\"127.0.0.1:80\"]\nsocket = \"proxy\"\nlimits = {{ tasks-max = 5 }}\n\
                 [service.job]\nexec = [\"/bin/j\"]\ntimer = {{ calendar = \"daily\" }}\n\
                 [service.b]\nexec = [\"/bin/b\"]\nenable = false\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let tree = render(&app, Target::Portable).unwrap();
            for (path, entry) in tree.iter() {
                root.make_dir(path.rsplit_once('/').unwrap().0, 0o755)
                    .unwrap();
                match entry {
                    Entry::File { bytes, mode } => root.write_atomic(path, bytes, *mode).unwrap(),
                    Entry::Symlink(target) => root.symlink_atomic(path, target).unwrap(),
                }
            }
            paths.push(tree.paths().map(str::to_owned).collect());
        }
        let own = "/usr/local/lib/systemd/system/own.service";
        root.write_atomic(own, b"[Service]\n", 0o644).unwrap();
        for (name, paths) in ["shop", "shop-staging"].into_iter().zip(paths) {
            let name = Name::parse(name).unwrap();
            assert_eq!(installed_files(&root, &name).unwrap(), paths);
        }
    }
}
