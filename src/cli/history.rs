//! `robotctl history`

use super::{Exit, Output, view};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let all = ops::history(ctx)?;
    for event in &all.answers {
        out.past_event(event, &view::event::history_line(event));
    }
    out.failed_apps(all.failed)
}
