//! Whether the directories of an app are directories, and only root can replace them.

use super::mounts::unmounted;
use crate::app::App;
use crate::app::layout::{ENABLE_DIR, PRESET_DIR, SYSUSERS_DIR, TMPFILES_DIR, UNIT_DIR};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Host, Root, nested_directories};
use crate::safe_fix::SafeFix;
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::collections::BTreeSet;

/// Write permission of all users.
const OTHERS_WRITE: u32 = 0o002;
/// Only the owner of an entry can replace it (inode(7), "sticky bit").
const STICKY: u32 = 0o1000;

/// What is in the place of a directory or file that systemd-tmpfiles(8) or systemd creates: a link,
/// something of another kind, or the mount point of a file system that is not mounted. systemd-tmpfiles does not follow a link there. What a service has put into its own directory
/// is no fault: a deploy and a rollback move it aside.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn misplaced_directories(root: &Root, app: &App, tree: &FileTree) -> Result<Vec<Fault>> {
    let tmpfiles = format!("{TMPFILES_DIR}/{}.conf", app.name);
    let text = tree.get(&tmpfiles).map(Entry::text).unwrap_or_default();
    let nested = nested_directories(&text);
    let is_nested = |path: &str| nested.iter().any(|(nested, _)| *nested == path);
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        if let (Some("d"), Some(path)) = (words.next(), words.next())
            && !is_nested(path)
        {
            paths.insert(path.to_owned());
        }
    }
    let mut faults = unmounted(root, &own_directories(app))?;
    // systemd follows a link to a directory that tmpfiles.d does not name, such as `/var/log/<app>`.
    let directories = app.services.iter().flat_map(|one| app.directories(one));
    let others: BTreeSet<String> = directories.map(|(_, path)| path).collect();
    for path in others.difference(&paths) {
        let meta = root.meta_followed(path)?;
        faults.extend(
            meta.filter(|meta| !meta.is_dir)
                .map(|_| not_a_directory(root, path)),
        );
    }
    for path in paths {
        faults.extend(misplaced(root, &path, true)?);
    }
    faults.extend(misplaced(root, &app.layout.env_file(), false)?);
    Ok(faults)
}

/// The directories of the releases and of the services.
fn own_directories(app: &App) -> BTreeSet<String> {
    let mut paths = BTreeSet::from([app.layout.opt(), app.layout.releases()]);
    let of_services = app.services.iter().flat_map(|one| app.directories(one));
    paths.extend(of_services.map(|(_, path)| path));
    paths
}

/// What is in the place of a directory or a file, if it is something else.
fn misplaced(root: &Root, path: &str, is_dir: bool) -> Result<Option<Fault>> {
    let Some(meta) = root.meta(path)? else {
        return Ok(None);
    };
    let real = root.path(path).display().to_string();
    if meta.is_symlink {
        let target = root.read_link(path)?.unwrap_or_default();
        let kind = if is_dir { "directory" } else { "file" };
        let message = format!("`{path}` is a link to `{target}`, and systemd needs a {kind} there");
        let remove = CommandLine::sudo(["rm", &real]);
        let mut fault = Fault::new(
            Impact::Blocking,
            message,
            Hint::to("remove the link", remove),
        );
        // A relative target is relative to the directory of the link.
        let from = match (target.starts_with('/'), real.rsplit_once('/')) {
            (false, Some((parent, _))) => format!("{parent}/{target}"),
            _ => root.path(&target).display().to_string(),
        };
        if is_dir {
            let create = CommandLine::sudo(["mkdir", &real]);
            let mount = CommandLine::sudo(["mount", "--bind", &from, &real]);
            fault.fix.extend([
                Hint::to("then create the directory", create),
                Hint::to("then mount the other one there, also in /etc/fstab", mount),
            ]);
        } else {
            let copy = CommandLine::sudo(["install", "-m", "600", &from, &real]);
            fault.fix.push(Hint::to("then copy the file there", copy));
        }
        return Ok(Some(fault));
    }
    Ok((is_dir && !meta.is_dir).then(|| not_a_directory(root, path)))
}

fn not_a_directory(root: &Root, path: &str) -> Fault {
    let real = root.path(path).display().to_string();
    let aside = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
    Fault::new(
        Impact::Blocking,
        format!("`{path}` is not a directory"),
        Hint::to("move it aside", aside),
    )
}

/// The directories above those of an app that another user than root can change: that user can replace what
/// is below. systemd-tmpfiles(8) refuses to work below a directory that another user owns. Below `--root`,
/// nothing runs yet.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn replaceable_directories(host: &Host, app: &App) -> Result<Vec<Fault>> {
    if host.is_offline() {
        return Ok(Vec::new());
    }
    let layout = &app.layout;
    let own = layout.own_directories();
    let all = [
        layout.releases(),
        layout.credentials(),
        layout.store(),
        UNIT_DIR.to_owned(),
        TMPFILES_DIR.to_owned(),
        SYSUSERS_DIR.to_owned(),
        PRESET_DIR.to_owned(),
        ENABLE_DIR.to_owned(),
    ];
    // The services own their directories, and root the parents.
    let mut above: BTreeSet<String> = all.iter().flat_map(|path| with_parents(path)).collect();
    let parents = own.iter().filter_map(|path| path.rsplit_once('/'));
    above.extend(parents.flat_map(|(parent, _)| with_parents(parent)));
    let mut faults = Vec::new();
    let of_app = [
        layout.opt(),
        layout.releases(),
        layout.credentials(),
        layout.store(),
    ];
    for dir in above {
        let Some(mut fault) = replaceable(&host.root, &dir, 0)? else {
            continue;
        };
        // The others are for the administrator to judge, and so is what a link leads to.
        let meta = host.root.meta(&dir)?;
        if of_app.contains(&dir) && meta.is_some_and(|meta| meta.is_dir) {
            fault.safe_fix = Some(SafeFix::ProtectDirectory { path: dir });
        }
        faults.push(fault);
    }
    Ok(faults)
}

/// A path and every directory above it, without `/`.
fn with_parents(path: &str) -> Vec<String> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
    let parents = ends.filter_map(|at| path.get(..at));
    parents.chain([path]).map(str::to_owned).collect()
}

/// The fault of a directory that another user than root owns or can write. `root_uid` is the uid of root, or
/// that of the user who stands for root in a test.
fn replaceable(root: &Root, dir: &str, root_uid: u32) -> Result<Option<Fault>> {
    let Some(meta) = root.meta_followed(dir)?.filter(|meta| meta.is_dir) else {
        return Ok(None);
    };
    let real = root.followed(dir).display().to_string();
    if meta.uid != root_uid {
        let chown = CommandLine::sudo(["chown", "root", &real]);
        return Ok(Some(Fault::new(
            Impact::Blocking,
            format!(
                "`{dir}` belongs to the user with uid {}, who can replace what is in it",
                meta.uid
            ),
            Hint::to("make root the owner", chown),
        )));
    }
    let is_open = meta.mode & OTHERS_WRITE != 0 && meta.mode & STICKY == 0;
    Ok(is_open.then(|| {
        let chmod = CommandLine::sudo(["chmod", "o-w", &real]);
        Fault::new(
            Impact::Minor,
            format!("every user can write to `{dir}`, and replace what is in it"),
            Hint::to("remove write access for others", chmod),
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::{misplaced, replaceable, with_parents};
    use crate::fault::{Fault, Impact};
    use crate::host::{Command, Root};

    #[test]
    fn a_link_or_another_kind_is_in_the_place_of_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        root.make_dir("/data", 0o755).unwrap();
        root.symlink_atomic("/link", "/data").unwrap();
        root.symlink_atomic("/dangling", "/absent").unwrap();
        root.write_atomic("/file", b"", 0o644).unwrap();
        let text = |path: &str, is_dir| {
            let fault = misplaced(&root, path, is_dir).unwrap();
            fault.map(|fault| fault.message).unwrap_or_default()
        };
        for (path, is_dir, message) in [
            ("/data", true, ""),
            ("/absent", true, ""),
            ("/file", false, ""),
            (
                "/link",
                true,
                "`/link` is a link to `/data`, and systemd needs a directory there",
            ),
            (
                "/dangling",
                false,
                "`/dangling` is a link to `/absent`, and systemd needs a file there",
            ),
            ("/file", true, "`/file` is not a directory"),
            // `/etc/<app>/env` has a check of its own.
            ("/data", false, ""),
        ] {
            assert_eq!(text(path, is_dir), message);
        }
    }

    #[test]
    fn a_directory_that_others_can_change_is_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        root.make_dir("/opt", 0o755).unwrap();
        let place = root.path("/opt").display().to_string();
        let owner = root.meta("/opt").unwrap().unwrap().uid;
        let found = |mode: &str, owner| -> Option<Fault> {
            Command::new(["chmod", mode, &place]).run().unwrap();
            replaceable(&root, "/opt", owner).unwrap()
        };
        assert_eq!(found("755", owner), None);
        assert_eq!(found("1777", owner), None);
        assert_eq!(found("777", owner).unwrap().impact, Impact::Minor);
        assert_eq!(found("755", owner + 1).unwrap().impact, Impact::Blocking);
        assert_eq!(replaceable(&root, "/absent", owner).unwrap(), None);
    }

    #[test]
    fn every_directory_above_a_path_counts() {
        assert_eq!(
            with_parents("/opt/shop/releases"),
            ["/opt", "/opt/shop", "/opt/shop/releases"]
        );
        assert_eq!(with_parents("/etc"), ["/etc"]);
    }
}
