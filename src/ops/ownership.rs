//! What a deploy would overwrite or use as the app's own, and belongs to another app or to the system.

use crate::app::App;
use crate::app::layout::{ENABLE_DIR, UNIT_DIR};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail};
use crate::host::{Host, Root, User, temp_target};
use crate::plan::Observed;
use crate::prerequisites::{other_members, take_login};
use crate::render::made_for;
use crate::store::Store;
use crate::tree::{Entry, FileTree};
use anyhow::Result;

/// Directories of other units that would hide ours, or that ours would hide (systemd.unit(5)).
const OTHER_UNIT_DIRS: [&str; 3] = [ENABLE_DIR, "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Refuses to overwrite files that robotctl did not write for this app.
///
/// A generated file names its app, so files that a killed deploy or a lost record left behind are
/// recognised.
pub(super) fn check_ownership(
    host: &Host,
    app: &App,
    tree: &FileTree,
    observed: &Observed,
) -> Result<()> {
    let name = app.name.as_str();
    let live = observed.live.as_ref().map(|live| &live.tree);
    for (path, new) in tree.iter() {
        let known = live.is_some_and(|live| live.get(path).is_some());
        if let Some(found) = observed.files.get(path) {
            let owner = made_for(found);
            if owner.is_some_and(|owner| owner != name)
                || !(known || is_own(path, found, new, name))
            {
                return taken(path, owner);
            }
        }
        let unit = path.strip_prefix(&format!("{UNIT_DIR}/"));
        if let Some(unit) = unit.filter(|unit| !known && !unit.contains('/')) {
            for dir in OTHER_UNIT_DIRS {
                let path = format!("{dir}/{unit}");
                match host.root.entry(&path)? {
                    Some(found) if !is_mask(&found) && made_for(&found) != Some(name) => {
                        return taken(&path, made_for(&found));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// Whether a file belongs to the app although no record says so.
fn is_own(path: &str, found: &Entry, new: &Entry, app: &str) -> bool {
    match (found, new) {
        // A link that enables the same unit by another path.
        (Entry::Symlink(target), Entry::Symlink(_)) => {
            target.rsplit('/').next() == path.rsplit('/').next()
        }
        (Entry::File { .. }, Entry::File { .. }) => made_for(found) == Some(app),
        _ => false,
    }
}

/// Whether a file is how the administrator masks a unit (systemd.unit(5)).
fn is_mask(entry: &Entry) -> bool {
    match entry {
        Entry::Symlink(target) => target == "/dev/null",
        Entry::File { bytes, .. } => bytes.is_empty(),
    }
}

fn taken<T>(path: &str, owner: Option<&str>) -> Result<T> {
    match owner {
        Some(owner) => fail(
            format!("`{path}` belongs to the app `{owner}`"),
            "give one of the two apps, or the service, another name",
        ),
        None => fail(
            format!("`{path}` exists already and was not written for this app"),
            "give the app or the service another name, or move the file to another place",
        ),
    }
}

/// Refuses an app without a record when its files, its user or its directories belong to another.
///
/// A removal keeps state and settings. `/etc/<app>/env` or `/etc/<app>/credentials` then shows that
/// they are this app's; an administrator may also create them before the first deploy.
pub(super) fn check_new_app_ownership(
    host: &Host,
    store: &Store,
    app: &App,
    tree: &FileTree,
) -> Result<()> {
    if !store.is_empty()? {
        return Ok(());
    }
    check_user(host, app)?;
    check_group(host, app)?;
    check_release_directory(host, app)?;
    check_directories(host, app)?;
    let mut observed = Observed::default();
    for path in tree.paths() {
        let entry = host.root.entry(path)?;
        observed
            .files
            .extend(entry.map(|entry| (path.to_owned(), entry)));
    }
    check_ownership(host, app, tree, &observed)
}

/// Refuses a user that would be the app's own and is a login or another program's.
fn check_user(host: &Host, app: &App) -> Result<()> {
    let user = host.root.user(app.user.as_str())?;
    let Some(user) = user.filter(|_| app.user == app.name) else {
        return Ok(());
    };
    if !is_foreign_user(&user, &app.layout.state()) {
        return Ok(());
    }
    let message = format!(
        "the user `{}` exists already, with uid {} and the shell `{}`",
        app.user, user.uid, user.shell
    );
    let hint = "give the app another name, or name a system user for its services with `app.user`";
    let mut error = HintedError::new(message, hint);
    error.hints.extend(take_login(&host.root, app, &user)?);
    Err(error.into())
}

/// Refuses a group that would be the app's own and has other members, unless root has created `/etc/<app>`: then the
/// administrator prepared this host, or an earlier app of this name ran there.
fn check_group(host: &Host, app: &App) -> Result<()> {
    let (root, etc) = (&host.root, app.layout.etc());
    for mark in [&etc, &app.layout.env_file()] {
        if root.meta(mark)?.is_some_and(|meta| meta.uid == 0) {
            return Ok(());
        }
    }
    let Some(fault) = other_members(root, app)? else {
        return Ok(());
    };
    let real = root.path(&etc).display().to_string();
    let confirm = Hint::to(
        "if it is meant so, confirm it with the directory of the settings",
        CommandLine::sudo(["install", "-d", "-m", "0755", &real]),
    );
    let other = "give the app another name, or name a group for its services with `app.group`";
    Err(HintedError::from(fault.then(confirm).then(other)).into())
}

/// Whether a user is root, may log in, or is a person's (uid 1000 and above, login.defs(5)).
fn is_foreign_user(user: &User, state: &str) -> bool {
    user.uid == 0 || (user.is_of_person() && user.home != state) || user.can_log_in()
}

/// Refuses `/opt/<app>` when it holds anything but releases.
fn check_release_directory(host: &Host, app: &App) -> Result<()> {
    let opt = app.layout.opt();
    let is_own = |name: &String| {
        ["current", "releases"].contains(&name.as_str()) || temp_target(name).is_some()
    };
    let meta = host.root.meta_followed(&opt)?;
    let is_dir = meta.is_none_or(|meta| meta.is_dir);
    if is_dir && host.root.list(&opt)?.iter().all(is_own) {
        return Ok(());
    }
    fail(
        format!("`{opt}` exists already and is not this app's"),
        "give the app another name, or move the directory to another place",
    )
}

/// Refuses directories of state and settings that hold files of another.
fn check_directories(host: &Host, app: &App) -> Result<()> {
    let (root, layout) = (&host.root, &app.layout);
    for mark in [layout.env_file(), layout.credentials()] {
        if root.meta(&mark)?.is_some() {
            return Ok(());
        }
    }
    let user = root.user(app.user.as_str())?;
    let uid = user.map(|user| user.uid).filter(|uid| *uid != 0);
    let dirs = [layout.state(), layout.cache(), layout.logs(), layout.run()];
    for dir in dirs {
        if !is_usable(root, &dir, uid)? {
            return taken_directory(&dir, app);
        }
    }
    let etc = layout.etc();
    if is_usable(root, &etc, None)? {
        Ok(())
    } else {
        taken_directory(&etc, app)
    }
}

/// Whether a directory is missing, empty, or owned by the user of this id.
fn is_usable(root: &Root, dir: &str, uid: Option<u32>) -> Result<bool> {
    let Some(meta) = root.meta_followed(dir)? else {
        return Ok(true);
    };
    let is_owned = uid == Some(meta.uid);
    Ok(meta.is_dir && (is_owned || root.list(dir)?.is_empty()))
}

fn taken_directory(dir: &str, app: &App) -> Result<()> {
    let env = app.layout.env_file();
    let own = CommandLine::sudo(["install", "-D", "-m", "600", "/dev/null", &env]);
    fail(
        format!("`{dir}` exists already and is not this app's"),
        Hint::to(
            format!(
                "give the app another name; if the directory belongs to this app, create `{env}` to \
                 confirm it"
            ),
            own,
        ),
    )
}
