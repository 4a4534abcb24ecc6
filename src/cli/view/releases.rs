//! Releases as text.

use crate::ops::ListedRelease;
use crate::store::Mark;

/// One line per release; a star marks the live one. A release that is not live may still run.
pub(in crate::cli) fn line(listed: &ListedRelease) -> String {
    let live = if listed.live { "*" } else { " " };
    let mark = match &listed.release.mark {
        Mark::Staged => "staged".to_owned(),
        Mark::Good => "good".to_owned(),
        Mark::Failed(why) => format!("bad: {why}"),
    };
    let staged = listed.release.staged.split('.').next().unwrap_or_default();
    let staged = staged.trim_end_matches('Z');
    let (app, id) = (&listed.app, &listed.release.id);
    let runs = match listed.runs.as_slice() {
        [] => String::new(),
        services => format!(", runs: {}", services.join(", ")),
    };
    format!("{live} {app} {id}  {staged}Z  {mark}{runs}\n")
}
