//! `score`: how exposed each service is.

use super::context::Context;
use super::user_file::{Links, read_text};
use crate::app::Target;
use crate::error::{Claim as _, Error};
use crate::host::Root;
use crate::sandbox::cost::{ScoreReport, score_app, score_unit};
use crate::sandbox::in_force::NotEnforced;
use crate::transient::probe::not_enforced;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The scores of an app's services, or of unit files.
#[derive(Debug)]
pub(crate) struct Scores {
    /// The app; none for unit files.
    pub(crate) app: Option<String>,
    /// One score a service.
    pub(crate) reports: Vec<ScoreReport>,
}

/// Scores the services of the manifest, or the unit files that are named.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when a file cannot be read.
pub(crate) fn run(ctx: &Context<'_>, units: &[PathBuf]) -> Result<Scores, Error> {
    let score = || -> Result<Scores> {
        let lost = match ctx.host.is_offline() || !ctx.host.systemd.is_booted() {
            true => Vec::new(),
            false => not_enforced(&ctx.host),
        };
        if units.is_empty() {
            let app = ctx.load_app()?;
            return Ok(Scores {
                reports: score_app(&app, ctx.target(&app), &lost)?,
                app: Some(app.name.to_string()),
            });
        }
        let reports = units.iter().map(|file| unit_file(ctx, file, &lost));
        Ok(Scores {
            app: None,
            reports: reports.collect::<Result<_>>()?,
        })
    };
    score().nothing_changed()
}

/// Scores a unit file with the drop-ins beside it.
fn unit_file(ctx: &Context<'_>, file: &Path, lost: &[NotEnforced]) -> Result<ScoreReport> {
    let hint = "name unit files, such as `/usr/lib/systemd/system/cron.service`";
    let read = |path: &Path| read_text(path, Links::Followed, hint);
    let mut texts = vec![read(file)?];
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!("{name}.d"));
    for drop_in in Root::new(&beside).list("/")? {
        if drop_in.ends_with(".conf") {
            texts.push(read(&beside.join(drop_in))?);
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let version = match ctx.host.systemd.version() {
        Ok(version) if !ctx.host.is_offline() => version,
        _ => Target::NEWEST,
    };
    Ok(score_unit(&name, &texts, version, lost))
}
