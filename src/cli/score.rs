//! `robotctl score`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::exposure;
use crate::ops::{self, Context};
use std::path::PathBuf;

/// Arguments of `score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Exit with code 1 if a unit scores above this, such as 0.2
    #[arg(long, value_name = "SCORE", value_parser = tenths)]
    threshold: Option<u32>,
    /// Score these unit files, with the drop-ins beside them, instead of
    /// the manifest
    #[arg(long, value_name = "FILE", num_args = 1..)]
    unit: Vec<PathBuf>,
}

fn tenths(text: &str) -> Result<u32, &'static str> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    match (whole.parse::<u32>(), part.len(), part.parse::<u32>()) {
        (Ok(whole @ 0..=10), 1, Ok(part)) => Ok(whole * 10 + part),
        _ => Err("write a score from 0.0 to 10.0"),
    }
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let scores = ops::score(ctx, &args.unit)?;
    let app = scores.app.map(|app| DataSubject::app(ctx, &app));
    let (subject, all) = (app.unwrap_or_default(), scores.reports);
    for one in all.iter().filter(|_| out.is_json()) {
        out.data("score", &subject.clone().of_unit(&one.unit), one, "");
    }
    out.text(&view::score::text(&all));
    let Some(limit) = args.threshold else {
        return Ok(Exit::Done);
    };
    let above = all.iter().filter(|one| one.tenths > limit).count();
    if above == 0 {
        return Ok(Exit::Done);
    }
    let limit = exposure::shown(limit);
    out.message(&format!(
        "{above} of {} units score above {limit}",
        all.len()
    ));
    Ok(Exit::Findings)
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn a_threshold_is_a_score() {
        assert_eq!(tenths("0.2"), Ok(2));
        assert_eq!(tenths("10"), Ok(100));
        for bad in ["", "0.25", "-1", "11", ".5", "0."] {
            assert!(tenths(bad).is_err(), "{bad}");
        }
    }
}
