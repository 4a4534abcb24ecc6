//! Whose it is: what a deploy would write over or take as the app's own, and is another's.

use crate::app::App;
use crate::error::HintedError;
use crate::host::{Host, temp_target};
use crate::plan::Observed;
use crate::render::made_for;
use crate::store::Store;
use crate::tree::{Entry, FileTree};
use crate::units::{ENABLE_DIR, UnitFile};
use anyhow::Result;

/// Where units of others lie that ours would hide, or that would hide ours.
const OTHER_UNIT_DIRS: [&str; 3] = [ENABLE_DIR, "/usr/lib/systemd/system", "/lib/systemd/system"];

fn refuse<T>(message: String, hint: String) -> Result<T> {
    Err(HintedError::new(message, hint).into())
}

/// Refuses to write over files that neither the live release nor an earlier try put there.
///
/// A generated file says for which app it was made, so that a try that was killed, or a release
/// whose record is gone, is in nobody's way.
///
/// # Errors
/// [`HintedError`] names the file, and the app that it belongs to.
pub fn check_ownership(host: &Host, app: &App, tree: &FileTree, observed: &Observed) -> Result<()> {
    let name = app.name.as_str();
    let live = observed.live.as_ref().map(|live| &live.tree);
    for (path, new) in tree.iter() {
        let known = live.is_some_and(|live| live.get(path).is_some());
        if let Some(there) = observed.files.get(path) {
            let owner = made_for(there);
            if owner.is_some_and(|owner| owner != name)
                || !(known || is_own(path, there, new, name))
            {
                return taken(path, owner);
            }
        }
        let unit = UnitFile::parse(path).and_then(UnitFile::main);
        if let Some(unit) = unit.filter(|_| !known) {
            for dir in OTHER_UNIT_DIRS {
                let path = format!("{dir}/{unit}");
                match host.root.entry(&path)? {
                    Some(there) if !is_mask(&there) && made_for(&there) != Some(name) => {
                        return taken(&path, made_for(&there));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// Whether what lies at a path is the app's, although no record tells so.
fn is_own(path: &str, there: &Entry, new: &Entry, app: &str) -> bool {
    match (there, new) {
        // However the unit was enabled, it is the same unit.
        (Entry::Symlink(target), Entry::Symlink(_)) => {
            target.rsplit('/').next() == path.rsplit('/').next()
        }
        (Entry::File { .. }, Entry::File { .. }) => made_for(there) == Some(app),
        _ => false,
    }
}

/// Whether the administrator masked a unit so (systemd.unit(5)).
fn is_mask(entry: &Entry) -> bool {
    match entry {
        Entry::Symlink(target) => target == "/dev/null",
        Entry::File { bytes, .. } => bytes.is_empty(),
    }
}

fn taken<T>(path: &str, owner: Option<&str>) -> Result<T> {
    match owner {
        Some(owner) => refuse(
            format!("`{path}` belongs to the app `{owner}`"),
            "give one of the two, or the service, another name".to_owned(),
        ),
        None => refuse(
            format!("`{path}` is there already and was not made for this app"),
            "give the app or the service another name, or move that file away".to_owned(),
        ),
    }
}

/// Refuses an app of which nothing is recorded, when what it would own is there and another's.
///
/// A removal leaves state and settings behind, and `/etc/<app>/env` among them says whose they
/// are. So may the administrator, who put secrets there beforehand.
///
/// # Errors
/// [`HintedError`] names the directory, the user or the file.
pub fn check_new_app_ownership(
    host: &Host,
    store: &Store,
    app: &App,
    tree: &FileTree,
) -> Result<()> {
    if !store.is_empty()? {
        return Ok(());
    }
    directories(host, app)?;
    let mut observed = Observed::default();
    for path in tree.paths() {
        let entry = host.root.entry(path)?;
        observed
            .files
            .extend(entry.map(|entry| (path.to_owned(), entry)));
    }
    check_ownership(host, app, tree, &observed)
}

fn directories(host: &Host, app: &App) -> Result<()> {
    let (root, layout) = (&host.root, &app.layout);
    let user = root.user(app.user.as_str())?;
    if let Some(user) = user.as_ref().filter(|_| app.user == app.name)
        && (user.uid == 0 || user.uid >= 1000 && user.home != layout.state() || user.logs_in())
    {
        return refuse(
            format!(
                "the user `{}` is there already, with uid {} and the shell `{}`",
                app.user, user.uid, user.shell
            ),
            "give the app another name, or name a system user for its services with `app.user`"
                .to_owned(),
        );
    }
    let opt = layout.opt();
    let own = |name: &str| ["current", "releases"].contains(&name) || temp_target(name).is_some();
    let is_dir = root.meta_followed(&opt)?.is_none_or(|meta| meta.is_dir);
    if !is_dir || root.list(&opt)?.iter().any(|name| !own(name)) {
        return refuse(
            format!("`{opt}` is there already and is not this app's"),
            "give the app another name, or move that away".to_owned(),
        );
    }
    for mark in [layout.env_file(), layout.credentials()] {
        if root.meta(&mark)?.is_some() {
            return Ok(());
        }
    }
    let owner = user.map(|user| user.uid).filter(|uid| *uid != 0);
    let given = [layout.state(), layout.cache(), layout.logs(), layout.run()];
    for dir in given.iter().chain([&layout.etc()]) {
        let Some(meta) = root.meta_followed(dir)? else {
            continue;
        };
        let is_users = given.contains(dir) && owner == Some(meta.uid);
        let is_empty = || root.list(dir).is_ok_and(|names| names.is_empty());
        if !meta.is_dir || !(is_users || is_empty()) {
            return refuse(
                format!("`{dir}` is there already and is not this app's"),
                format!(
                    "give the app another name; if it is this app's all the same: \
                     sudo install -D -m 600 /dev/null {}",
                    layout.env_file()
                ),
            );
        }
    }
    Ok(())
}
