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
    let archive = listed.release.archive.as_ref();
    let archive = archive.map(|archive| format!(", {}", archive.in_words()));
    let archive = archive.unwrap_or_default();
    format!("{live} {app} {id}  {staged}Z  {mark}{runs}{archive}\n")
}
