//! `robotctl check`

use super::{Exit, Output, view};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let (app, verdicts) = ops::check(ctx)?;
    for verdict in &verdicts {
        out.data("check", &app, verdict, &view::checks::line(verdict));
    }
    if verdicts.iter().all(|verdict| verdict.failure.is_none()) {
        Ok(Exit::Done)
    } else {
        Ok(Exit::Findings)
    }
}
