//! `robotctl check`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context};

pub(super) fn run(ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let (app, verdicts) = ops::check(ctx)?;
    let subject = DataSubject::live(ctx, &app);
    for verdict in &verdicts {
        let subject = subject.clone().of_unit(&verdict.unit);
        out.data("check", &subject, verdict, &view::checks::line(verdict));
    }
    if verdicts.iter().all(|verdict| verdict.failure.is_none()) {
        Ok(Exit::Done)
    } else {
        Ok(Exit::Findings)
    }
}
