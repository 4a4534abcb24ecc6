//! `robotctl releases`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::releases(ctx)?;
    for release in all.answers.iter().flatten() {
        let subject = DataSubject::app(ctx, &release.app).of_release(Some(&release.release.id));
        out.data("release", &subject, release, &view::releases::line(release));
    }
    out.failed_apps(ctx, all.failed)
}
