//! `robotctl status`

use super::{Exit, Output, view};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::status(ctx)?;
    for status in &all.answers {
        out.data(
            "status",
            &status.app,
            status,
            &view::status::text(status, out.hint_root()),
        );
    }
    out.failed_apps(all.failed)
}
