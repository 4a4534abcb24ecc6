//! `history`: what happened, oldest first. Works for any user.

use super::context::Context;
use super::select::PerApp;
use crate::error::Error;
use crate::events::Event;

/// The events of every selected app, by time.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when there is no such app.
pub(crate) fn run(ctx: &Context<'_>) -> Result<PerApp<Event>, Error> {
    let PerApp { answers, failed } = ctx.for_each_app(|name| ctx.store(name).history())?;
    let mut answers: Vec<Event> = answers.into_iter().flatten().collect();
    answers.sort_by(|a, b| a.ts.cmp(&b.ts));
    Ok(PerApp { answers, failed })
}
