//! `robotctl history`

use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::history(ctx)?;
    out.past_events(&all.answers);
    out.failed_apps(ctx, all.failed)
}
