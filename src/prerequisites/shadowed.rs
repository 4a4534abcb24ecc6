//! Whether a file of the administrator hides a generated one.

use crate::app::layout::{ENABLE_DIR, RUNTIME_UNIT_DIR, SYSUSERS_DIR, TMPFILES_DIR, UNIT_DIR};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::Root;
use crate::tree::generated_for;
use anyhow::Result;
use std::collections::BTreeMap;

/// What masks a unit or a file.
const MASK: &str = "/dev/null";
/// Where files of tmpfiles.d(5) are. Of several with one name, the one in the first directory counts.
const TMPFILES_DIRS: [&str; 4] = [
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    TMPFILES_DIR,
    "/usr/lib/tmpfiles.d",
];
/// Where the administrator's files of sysusers.d(5) are, which count before [`SYSUSERS_DIR`].
const SYSUSERS_DIRS: [&str; 2] = ["/etc/sysusers.d", "/run/sysusers.d"];
/// The types of tmpfiles.d(5) that create something. Lines of other types do not conflict with them.
const CREATING: &str = "fFdDvqQpLcbC";

/// The units that a unit of the same name under `/etc` or `/run` hides (systemd.unit(5), "Unit File Load
/// Path"). A mask is deliberate.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn shadowed_units(root: &Root, units: &[&str]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for unit in units {
        if root.meta(&format!("{UNIT_DIR}/{unit}"))?.is_none() {
            continue;
        }
        for dir in [ENABLE_DIR, RUNTIME_UNIT_DIR] {
            let other = format!("{dir}/{unit}");
            if root.meta(&other)?.is_none() || is_mask(root, &other)? {
                continue;
            }
            let why = match dir {
                ENABLE_DIR => ", and cannot be masked",
                _ => "",
            };
            let hint = format!(
                "write what you changed to {ENABLE_DIR}/{unit}.d/50-local.conf, then turn it off"
            );
            let mut fault = Fault::new(
                Impact::Minor,
                format!("`{other}` hides the generated unit{why}"),
                Hint::to(hint, turn_off(root, &other)),
            );
            if root.is_host() {
                let reload = CommandLine::sudo(["systemctl", "daemon-reload"]);
                fault
                    .fix
                    .push(Hint::to("then reload the unit files", reload));
            }
            faults.push(fault);
        }
    }
    Ok(faults)
}

/// What the administrator's files of tmpfiles.d(5) and sysusers.d(5) hide of those of an app. `tmpfiles` is
/// the text that the app has in tmpfiles.d.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn shadowed_files(root: &Root, app: &str, tmpfiles: &str) -> Result<Vec<Fault>> {
    let name = format!("{app}.conf");
    let mut faults = Vec::new();
    let above = TMPFILES_DIRS
        .iter()
        .take_while(|dir| **dir != TMPFILES_DIR)
        .map(|dir| (*dir, TMPFILES_DIR, "systemd-tmpfiles"));
    let users = SYSUSERS_DIRS.map(|dir| (dir, SYSUSERS_DIR, "systemd-sysusers"));
    for (dir, own, reader) in above.chain(users) {
        let other = format!("{dir}/{name}");
        if root.meta(&other)?.is_none() || is_mask(root, &other)? {
            continue;
        }
        faults.push(Fault::new(
            Impact::Minor,
            format!("`{other}` hides `{own}/{name}`, which {reader} does not read"),
            Hint::to(
                "keep what you need of it under another name, then turn it off",
                turn_off(root, &other),
            ),
        ));
    }
    faults.extend(shadowed_lines(root, &name, tmpfiles)?);
    Ok(faults)
}

/// Lines for the same paths in files whose names come first: of several lines for a path, that in the first
/// file counts.
fn shadowed_lines(root: &Root, name: &str, tmpfiles: &str) -> Result<Vec<Fault>> {
    let own: BTreeMap<&str, &str> = created(tmpfiles)
        .map(|(_, path, line)| (path, line))
        .collect();
    // Of files with one name, the first directory has the one that counts.
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for dir in TMPFILES_DIRS {
        for file in root.list(dir)? {
            if file.ends_with(".conf") && file.as_str() < name {
                let path = format!("{dir}/{file}");
                files.entry(file).or_insert(path);
            }
        }
    }
    let mut faults = Vec::new();
    for path in files.values() {
        // A link may lead to nothing, and a file may be no text.
        let bytes = root.read(path).unwrap_or_default().unwrap_or_default();
        if generated_for(&bytes).is_some() {
            continue; // robotctl refuses two apps with one directory.
        }
        let text = String::from_utf8_lossy(&bytes);
        for (number, created, line) in created(&text) {
            let Some(own) = own.get(created).filter(|own| !is_equal(own, line)) else {
                continue;
            };
            let real = root.followed(path).display().to_string();
            let comment = CommandLine::sudo(["sed", "-i", &format!("{number}s/^/#/"), &real]);
            faults.push(Fault::new(
                Impact::Minor,
                format!("line {number} of `{path}` counts for `{created}`, and `{own}` does not"),
                Hint::to("make it a comment", comment),
            ));
        }
    }
    Ok(faults)
}

/// The lines that create something: the number from 1, the path, the whole line.
fn created(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let mut words = line.split_whitespace();
        let kind = words.next()?.chars().next()?;
        let path = words.next()?.trim_matches(['"', '\'']);
        let path = path.trim_end_matches('/');
        CREATING
            .contains(kind)
            .then_some((at + 1, path, line.trim()))
    })
}

fn is_equal(one: &str, other: &str) -> bool {
    let words = |line: &str| -> Vec<String> {
        let words = line.split_whitespace().filter(|word| *word != "-");
        words.map(str::to_owned).collect()
    };
    words(one) == words(other)
}

fn is_mask(root: &Root, path: &str) -> Result<bool> {
    Ok(root.read_link(path)?.as_deref() == Some(MASK))
}

/// Renames a file, so that systemd does not read it.
fn turn_off(root: &Root, path: &str) -> CommandLine {
    let real = root.path(path).display().to_string();
    CommandLine::sudo(["mv", &real, &format!("{real}.off")])
}

#[cfg(test)]
mod tests {
    use super::{shadowed_files, shadowed_units};
    use crate::host::Root;

    const OWN: &str =
        "# Generated\nd /var/lib/shop 0750 shop shop -\nd /run/shop 0750 shop shop -\n";

    fn write(root: &Root, path: &str, text: &str) {
        let (dir, _) = path.rsplit_once('/').unwrap();
        root.make_dir(dir, 0o755).unwrap();
        root.write_atomic(path, text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn a_line_in_an_earlier_file_and_a_file_of_the_same_name_hide_the_generated_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let found = || -> Vec<String> {
            let faults = shadowed_files(&root, "shop", OWN).unwrap();
            faults.into_iter().map(|fault| fault.text()).collect()
        };
        assert_eq!(found(), [""; 0]);
        // A later name, another type, an equal line and another app's file hide nothing.
        write(
            &root,
            "/etc/tmpfiles.d/z.conf",
            "d /var/lib/shop 0755 root root -\n",
        );
        write(
            &root,
            "/etc/tmpfiles.d/a.conf",
            "z /var/lib/shop 0755 root root -\nd /run/shop 0750 shop shop\n",
        );
        let generated = "# Generated by robotctl from the manifest of a; edit that instead.\nd /run/shop 0700 a a -\n";
        write(&root, "/usr/local/lib/tmpfiles.d/b.conf", generated);
        assert_eq!(found(), [""; 0]);
        write(
            &root,
            "/etc/tmpfiles.d/c.conf",
            "# mine\n d /var/lib/shop/ 0755 root root -\n",
        );
        let [one] = found().try_into().unwrap();
        assert!(
            one.starts_with("line 2 of `/etc/tmpfiles.d/c.conf` counts for `/var/lib/shop`"),
            "{one}"
        );
        assert!(
            one.contains("sed -i '2s/^/#/'") || one.contains("sed -i 2s/^/#/"),
            "{one}"
        );
        // The file in `/etc` hides that of the same name.
        write(
            &root,
            "/usr/lib/tmpfiles.d/c.conf",
            "d /run/shop 0755 root root -\n",
        );
        assert_eq!(found().len(), 1);
        write(&root, "/run/sysusers.d/shop.conf", "");
        write(&root, "/etc/tmpfiles.d/shop.conf", "");
        let all = found();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(
            all[0].contains("`/etc/tmpfiles.d/shop.conf` hides"),
            "{all:?}"
        );
    }

    #[test]
    fn a_unit_under_run_hides_the_generated_one_and_a_mask_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        write(&root, "/usr/local/lib/systemd/system/a.service", "");
        root.make_dir("/run/systemd/system", 0o755).unwrap();
        root.symlink_atomic("/run/systemd/system/a.service", "/dev/null")
            .unwrap();
        assert_eq!(
            shadowed_units(&root, &["a.service", "b.service"]).unwrap(),
            []
        );
        root.remove_file("/run/systemd/system/a.service").unwrap();
        write(&root, "/run/systemd/system/a.service", "");
        write(&root, "/run/systemd/system/b.service", "");
        let faults = shadowed_units(&root, &["a.service", "b.service"]).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!(
            faults[0].message,
            "`/run/systemd/system/a.service` hides the generated unit"
        );
    }
}
