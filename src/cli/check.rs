//! `robotctl check`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::Service;
use crate::health::{Verdict, check_service};
use anyhow::{Context, Result};

pub(super) fn run(ctx: &Ctx) -> Result<Exit> {
    if ctx.host.is_offline() {
        return refuse(
            "checks ask services that run, and below `--root` none does",
            "run it on the host itself, without `--root`; `robotctl --root DIR doctor` looks at \
             a tree",
        );
    }
    let name = ctx.deployed()?;
    let store = ctx.store(&name)?;
    let Some(live) = store.state()?.live else {
        return refuse(
            format!("`{name}` is not deployed"),
            "deploy it: `sudo robotctl deploy`",
        );
    };
    let record = store
        .release(&live)?
        .context("the live release has no record")?;
    let app = record.app()?;
    let trace = crate::host::random_hex(8)?;
    let checked = |service: &&Service| service.is_daemon() || service.timer.is_some();
    let services = app.services.iter().filter(checked);
    let verdicts: Vec<Verdict> = services
        .flat_map(|service| check_service(&ctx.host, &app, service, &trace))
        .collect();
    ctx.printer.value(&verdicts, |verdicts| {
        let mut text = String::new();
        for verdict in verdicts {
            let Verdict {
                unit,
                check,
                failure: _,
                millis,
            } = verdict;
            match verdict.wrong() {
                None => text.push_str(&format!("pass  {unit}: {check} ({millis} ms)\n")),
                Some(wrong) => text.push_str(&format!("FAIL  {unit}: {wrong}\n")),
            }
        }
        text
    });
    match verdicts.iter().all(|verdict| verdict.failure.is_none()) {
        true => Ok(Exit::Done),
        false => Ok(Exit::No),
    }
}
