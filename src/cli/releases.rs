//! `robotctl releases`

use super::{Exit, Output, view};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::releases(ctx)?;
    for release in all.answers.iter().flatten() {
        out.data(
            "release",
            &release.app,
            release,
            &view::releases::line(release),
        );
    }
    out.failed_apps(all.failed)
}
