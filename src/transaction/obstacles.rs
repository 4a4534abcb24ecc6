//! Obstacles: what a service has put in the way of its own directories. They are moved aside and named,
//! so that they prevent neither a deploy nor a rollback.

use crate::app::layout::TMPFILES_DIR;
use crate::events::Subject;
use crate::host::nested_directories;
use crate::session::Session;
use anyhow::Result;

/// Creates the directories in the app's tmpfiles.d(5) file. A service can put something in the way of a
/// directory inside its own again and again: that is a warning.
///
/// # Errors
/// When another line fails.
pub(super) fn create(session: &Session<'_>) -> Result<()> {
    let host = session.host;
    let file = file_of(session);
    move_aside(session)?;
    let Err(error) = host.systemd.tmpfiles(&host.root, &file) else {
        return Ok(());
    };
    let text = host.root.read_text(&file)?.unwrap_or_default();
    let nested = nested_directories(&text);
    let wrong = host.root.tmpfiles_mismatches(&text)?;
    let is_nested = |path: &str| nested.iter().any(|(nested, _)| *nested == path);
    let only_nested = !wrong.is_empty() && wrong.iter().all(|(path, _)| is_nested(path));
    if !only_nested {
        return Err(error);
    }
    for (path, _) in wrong {
        let text = format!("`{path}` is missing: something else was there again at once");
        session.emit("warning", "move-failed", Subject::default(), &text);
    }
    Ok(())
}

fn file_of(session: &Session<'_>) -> String {
    format!("{TMPFILES_DIR}/{}.conf", session.app)
}

/// Moves aside what is in the way of the directories in the app's tmpfiles.d(5) file, and names it.
/// Returns whether anything was moved.
pub(super) fn move_aside(session: &Session<'_>) -> Result<bool> {
    let root = &session.host.root;
    if session.host.is_offline() {
        return Ok(false); // No service runs there.
    }
    let Some(text) = root.read_text(&file_of(session))? else {
        return Ok(false);
    };
    let mut has_moved = false;
    for obstacle in root.move_obstacles_aside(&text) {
        let (path, kind) = (obstacle.path, obstacle.kind);
        let (event, text) = match obstacle.moved {
            Ok(moved) => {
                has_moved = true;
                let text = format!(
                    "{kind} was at `{path}`, where a directory of the services must be: it is now at `{moved}`"
                );
                ("moved-aside", text)
            }
            Err(error) => (
                "move-failed",
                format!("{kind} at `{path}` is in the way of a directory: {error:#}"),
            ),
        };
        session.emit("warning", event, Subject::default(), &text);
    }
    Ok(has_moved)
}

/// Starts units, and once more if they failed and something was in the way. systemd may have restarted a
/// service in the meantime, which put it there again.
pub(super) fn start_again(session: &Session<'_>, start: impl Fn() -> Result<()>) -> Result<()> {
    let Err(error) = start() else {
        return Ok(());
    };
    if move_aside(session)? {
        start()
    } else {
        Err(error)
    }
}
