//! The date of a package: everything in it has the same, so that the same source is the same package.

use crate::app::App;
use crate::deb;
use crate::error::fail;
use crate::host::{self, Root, absolute, commit_time_of, variable};
use crate::ops::user_file::{Links, read_text};
use crate::stage::Source;
use anyhow::{Context as _, Result};
use std::path::Path;

/// The variable that sets it (reproducible-builds.org).
const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The changelog that the manifest names.
pub(super) fn changelog(app: &App, base: &Path) -> Result<Option<String>> {
    let Some(path) = &app.package.changelog else {
        return Ok(None);
    };
    let text = read_text(
        &base.join(path.as_str()),
        Links::Followed,
        "correct `package.changelog`",
    )?;
    let expected = format!("{} ({})", app.package.name, deb::version(app));
    if !text.starts_with(&expected) {
        let first = text.lines().next().unwrap_or_default();
        return fail(
            format!("`{path}` begins with `{first}`, and not with `{expected}`"),
            "add an entry for this version with dch(1), or correct `app.version`",
        );
    }
    Ok(Some(text))
}

/// The date in seconds since 1970: that of `SOURCE_DATE_EPOCH`, of the changelog, of the commit, or of the manifest.
pub(super) fn epoch(manifest: &Path, source: &Source, changelog: Option<&str>) -> Result<i64> {
    let (date, what) = match (variable(VARIABLE), changelog) {
        (Some(text), _) => {
            let Ok(date) = text.parse() else {
                return fail(
                    format!("`{VARIABLE}` is `{text}`, and not a number of seconds since 1970"),
                    "correct it, or remove it from the environment",
                );
            };
            (date, format!("the date in `{VARIABLE}`"))
        }
        (None, Some(text)) => {
            let Some(date) = deb::changelog_date(text) else {
                return fail(
                    "the newest entry of the changelog has no date that can be read",
                    "end it with a line such as ` -- Name <mail@example.org>  Mon, 01 Dec 2025 00:00:00 +0000`",
                );
            };
            (
                date.as_second(),
                "the newest entry of the changelog".to_owned(),
            )
        }
        (None, None) => (
            of_source(manifest, source)?,
            "the date of the source".to_owned(),
        ),
    };
    if date > host::now().as_second() {
        return fail(
            format!(
                "{what} is in the future, so the package would not be the same when it is made later"
            ),
            "correct it, or the clock of this machine",
        );
    }
    Ok(date)
}

fn of_source(manifest: &Path, source: &Source) -> Result<i64> {
    let manifest = absolute(manifest)?;
    let dirs = [source.path(), manifest.parent().unwrap_or(Path::new("/"))];
    if let Some(time) = dirs.into_iter().find_map(commit_time_of) {
        return Ok(time);
    }
    let meta = Root::new(Path::new("/")).meta_followed(&manifest.to_string_lossy())?;
    Ok(meta.context("reading the date of the manifest")?.modified)
}
