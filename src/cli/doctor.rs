//! `robotctl doctor`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::doctor::{CHECKS, Patient, Report, Severity, examine};
use crate::model::{Layout, Name};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lists the checks
    #[arg(long)]
    list: bool,
    /// Also writes the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    if args.list {
        for check in CHECKS {
            ctx.printer
                .data(&format!("{:12} {}\n", check.id, check.summary));
        }
        return Ok(Exit::Done);
    }
    let names = ctx.all_deployed()?;
    if names.is_empty() {
        return refuse(
            "no app is deployed on this host",
            "deploy one: `robotctl deploy`",
        );
    }
    let mut reports = Vec::new();
    for name in names {
        reports.push(report(ctx, &name)?);
    }
    if let Some(file) = &args.report {
        let json = serde_json::to_string_pretty(&reports)?;
        let path = file.to_str().context("the report's path is not UTF-8")?;
        crate::host::Root::new(std::path::Path::new("/")).write_atomic(
            path,
            json.as_bytes(),
            0o644,
        )?;
    }
    ctx.printer
        .value(&reports, |reports| reports.iter().map(shown).collect());
    let fine = reports.iter().all(|report| report.findings.is_empty());
    Ok(if fine { Exit::Done } else { Exit::No })
}

fn report(ctx: &Ctx, name: &Name) -> Result<Report> {
    let book = ctx.book(name)?;
    let layout = Layout::new(name);
    let state = book.state()?;
    let Some(live) = &state.live else {
        return Ok(Report {
            app: Some(name.to_string()),
            ..Report::default()
        });
    };
    let record = book
        .release(live)?
        .context("the live release has no record")?;
    let (app, tree) = (record.app()?, record.tree()?);
    Ok(examine(&Patient {
        host: &ctx.host,
        book: &book,
        layout: &layout,
        state: &state,
        app: &app,
        tree: &tree,
    }))
}

fn shown(report: &Report) -> String {
    let app = report.app.as_deref().unwrap_or("host");
    let mut text = String::new();
    for finding in &report.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        text.push_str(&format!(
            "{word}: {} [{}]\n  hint: {}\n",
            finding.message, finding.check, finding.hint
        ));
    }
    for blind in &report.blind {
        text.push_str(&format!("not looked: {}: {}\n", blind.check, blind.why));
    }
    let count = report.findings.len();
    let verdict = match count {
        0 if report.blind.is_empty() => "healthy".to_owned(),
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{count} findings"),
    };
    text.push_str(&format!("{app}: {verdict}, {} checks\n", report.looked));
    text
}
