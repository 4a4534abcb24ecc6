//! `robotctl status`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::status(ctx)?;
    for status in &all.answers {
        let subject = DataSubject::app(ctx, &status.app).of_release(status.live.as_deref());
        out.data(
            "status",
            &subject,
            status,
            &view::status::text(status, out.hint_root()),
        );
    }
    out.failed_apps(ctx, all.failed)
}
