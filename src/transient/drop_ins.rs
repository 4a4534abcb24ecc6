//! The administrator's drop-ins, copied for a second instance of a service: it must obey them too.

use super::leftovers::made_line;
use crate::host::Host;
use crate::tree::{Entry, FileTree};
use crate::units::{RUNTIME_UNIT_DIR, UnitFile, drop_in_dir};
use anyhow::Result;

/// Where an administrator's drop-ins are.
const LOCAL_DIRS: [&str; 2] = ["/etc/systemd/system", RUNTIME_UNIT_DIR];

/// Copies of the administrator's drop-ins of `unit`, in `/run` for the unit `copy`.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn local_drop_ins(host: &Host, app: &str, unit: &str, copy: &str) -> Result<FileTree> {
    let mut tree = FileTree::default();
    for dir in LOCAL_DIRS {
        let dir = format!("{dir}/{}", drop_in_dir(unit));
        for name in host.root.list(&dir)? {
            let path = format!("{dir}/{name}");
            if let Some(bytes) = host.root.read(&path)?
                && name.ends_with(".conf")
            {
                // The clean-up removes only files with this line.
                let mut text = format!("# Copy of {path}, {}\n", made_line(app)).into_bytes();
                text.extend(bytes);
                let copied = UnitFile::drop_in(copy, &name).path_in(RUNTIME_UNIT_DIR);
                tree.insert(copied, Entry::file(text));
            }
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::local_drop_ins;
    use crate::host::Host;
    use crate::tree::Entry;

    #[test]
    fn only_configuration_of_the_administrator_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(Some(dir.path()));
        for (path, text) in [
            ("/etc/systemd/system/a-web.service.d/50.conf", "[Service]\n"),
            ("/etc/systemd/system/a-web.service.d/50.conf~", "old\n"),
            ("/run/systemd/system/a-web.service.d/60.conf", "[Unit]\n"),
            ("/usr/local/lib/systemd/system/a-web.service.d/05.conf", ""),
        ] {
            let mut tree = crate::tree::FileTree::default();
            tree.insert(path.to_owned(), Entry::file(text));
            host.root.put_tree(&tree).unwrap();
        }
        let tree = local_drop_ins(&host, "a", "a-web.service", "b.service").unwrap();
        let texts = tree.iter().map(|(path, entry)| (path, entry.text()));
        let texts: Vec<(&str, String)> = texts.collect();
        let head = |path: &str| format!("# Copy of {path}, from the manifest of a;\n");
        let (etc, run) = (
            head("/etc/systemd/system/a-web.service.d/50.conf") + "[Service]\n",
            head("/run/systemd/system/a-web.service.d/60.conf") + "[Unit]\n",
        );
        assert_eq!(
            texts,
            [
                ("/run/systemd/system/b.service.d/50.conf", etc),
                ("/run/systemd/system/b.service.d/60.conf", run),
            ]
        );
    }
}
