//! Where the files of a release come from, and whether that is where the manifest seems to say.

use super::request::DeployRequest;
use crate::host::{absolute, real_path};
use crate::ops::load::{Loaded, Place};
use crate::ops::user_file::Links;
use crate::plan::OutsideSource;
use crate::stage::Source;
use anyhow::Result;
use std::path::Path;

/// A source, and the same as a right of the release if it is in an unexpected place.
pub(super) type FoundSource = (Source, Option<OutsideSource>);

/// The source of a deploy: `named`, which is the one on the command line, or `release.source`, which is relative to the manifest.
/// A manifest inside the directory on the command line decides what is released of it.
pub(super) fn find_source(
    request: &DeployRequest,
    loaded: &Loaded,
    named: Option<&Source>,
) -> Result<FoundSource> {
    if let Some(from) = &loaded.from {
        return Ok((from.source(), None));
    }
    let (source, note, is_expected) = match (&request.source, named) {
        (Some(path), Some(source)) if loaded.place != Place::SourceDirectory => {
            let is_expected = absolute(path)? == source.path();
            (source.clone(), "a link leads there", is_expected)
        }
        _ => {
            let base = loaded.path.parent().unwrap_or(Path::new("."));
            let source = Source::at(&base.join(loaded.app.release.source.as_str()))?;
            let base = absolute(base)?;
            let base = match request.links() {
                // Its owner may put a link in place of the directory, now that the manifest was read.
                Links::Refused => base,
                Links::Followed => real_path(&base)?,
            };
            let is_expected = source.path().starts_with(base);
            (source, "outside the directory of the manifest", is_expected)
        }
    };
    let outside = (!is_expected).then(|| OutsideSource {
        path: source.path().display().to_string(),
        note,
    });
    Ok((source, outside))
}
