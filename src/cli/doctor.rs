//! `robotctl doctor`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::{Layout, Name};
use crate::doctor::{
    CHECKS, CheckContext, Finding, Report, Severity, Skipped, run_checks, unreadable,
};
use crate::host::{self, Root, is_root};
use crate::store::Store;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Lists the checks
    #[arg(long)]
    list: bool,
    /// Also writes the report as JSON to this file; the exit code is then 0
    /// whatever was found
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Waits this many seconds while another robotctl changes something
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// What `--report` writes.
#[derive(Debug, Serialize)]
struct Written<'a> {
    ts: String,
    version: &'static str,
    apps: &'a [Report],
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    if args.list {
        for check in CHECKS {
            ctx.printer
                .data(&format!("{:12} {}\n", check.id, check.summary));
        }
        return Ok(Exit::Done);
    }
    let wait = Duration::from_secs(args.wait);
    let (mut reports, all) = ctx.of_each(|name| report(ctx, name, wait))?;
    for finding in reports.iter_mut().flat_map(|report| &mut report.findings) {
        finding.hint = ctx.for_tree(&finding.hint);
    }
    if reports.is_empty() && all && args.report.is_none() {
        return refuse(
            "no app is deployed on this host",
            "deploy one: `sudo robotctl deploy`",
        );
    }
    ctx.printer
        .value(&reports, |reports| reports.iter().map(shown).collect());
    if let Some(file) = &args.report {
        // The report is the answer: a timer's job that tells of findings has not failed.
        write(file, &reports)?;
        return Ok(Exit::Done);
    }
    if !all {
        return Ok(Exit::Refused);
    }
    let fine = reports.iter().all(|report| report.findings.is_empty());
    Ok(if fine { Exit::Done } else { Exit::No })
}

fn write(file: &Path, reports: &[Report]) -> Result<()> {
    let file = host::working_directory()?.join(file);
    let path = file.to_str().context("the report's path is not UTF-8")?;
    let written = Written {
        ts: host::now().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        apps: reports,
    };
    let json = serde_json::to_string_pretty(&written)? + "\n";
    Root::new(Path::new("/")).write_atomic(path, json.as_bytes(), 0o644)
}

fn report(ctx: &Ctx, name: &Name, wait: Duration) -> Result<Report> {
    let layout = Layout::new(name);
    let store = Store::new(&ctx.host.root, &layout);
    if !is_root() {
        // What is wrong cannot be told from what may not be read.
        ctx.store(name)?;
    }
    let skipped = |why: &str| Report {
        app: Some(name.to_string()),
        skipped: vec![Skipped {
            check: "all",
            why: why.to_owned(),
        }],
        ..Report::default()
    };
    // A journal that somebody is still writing is no interrupted change.
    let settled = host::wait_until(wait, || match store.journal() {
        Ok(Some(_)) if store.lock_holder().is_some() => Err(()),
        _ => Ok(()),
    });
    if settled.is_err() {
        return Ok(skipped("another `robotctl` changes the app right now"));
    }
    let records = unreadable(name.as_str(), &store)?;
    let lost = |message: String| Report {
        findings: vec![Finding {
            check: "records",
            severity: Severity::Error,
            message,
            hint: "where the app's robot.toml lies: sudo robotctl deploy --apply".to_owned(),
        }],
        ..records.clone()
    };
    let Ok(state) = store.state() else {
        return Ok(records);
    };
    let Some(live) = &state.live else {
        let current = store.link().unwrap_or(None);
        return Ok(match current {
            _ if !records.findings.is_empty() => records,
            Some(current) => lost(format!(
                "no release is recorded as live, and `{}` points at {current}",
                layout.current()
            )),
            None => skipped("no release is live"),
        });
    };
    let record = match store.release(live) {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(lost(format!("the live release {live} has no record"))),
        Err(_) => return Ok(records),
    };
    let (app, tree) = (record.app()?, record.tree()?);
    Ok(run_checks(&CheckContext {
        host: &ctx.host,
        store: &store,
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
    for skipped in &report.skipped {
        text.push_str(&format!("not looked: {}: {}\n", skipped.check, skipped.why));
    }
    let count = report.findings.len();
    let verdict = match count {
        0 if report.skipped.is_empty() => "healthy".to_owned(),
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{count} findings"),
    };
    text.push_str(&format!("{app}: {verdict}, {} checks\n", report.checked));
    text
}
