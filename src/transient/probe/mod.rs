//! What the sandbox of each service prevents on this host: it is tried in a unit of its own, with the
//! generated sandbox, the administrator's drop-ins and the user of the service.
//!
//! Services with the same sandbox share a unit, and all units run at once.
//!
//! | file | holds |
//! |---|---|
//! | `groups` | the services, by their sandboxes |
//! | `plan` | what is tried for a group |
//! | `results` | what the attempts gave with a sandbox and without one, and what that shows |
//! | `missing` | what this host lacks |

mod groups;
mod missing;
mod plan;
mod results;

use super::drop_ins::local_drop_ins;
use super::job::{control_unit, probe_job, target};
use super::unit::TransientUnit;
use crate::app::{App, Text};
use crate::health::cause_failure;
use crate::host::{self, Host, UnitStatus, defer_signals, interruptible};
use crate::render::{probe as unit_files, probe_control};
use crate::sandbox::probes::{ProbedSandbox, Tried};
use anyhow::{Context as _, Result, anyhow};
use groups::{Group, groups};
pub(crate) use missing::not_enforced;
use plan::{attempts, plan};
use results::{administrators_drop_ins, by_attempt, results};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The program that makes the attempts. Every sandbox shows `/usr`.
const PROGRAM: &str = "/usr/bin/robotctl";
/// How long all units together may take. Another process of the user of a service can stop the processes in its
/// unit.
const MAX_TIME: Duration = Duration::from_secs(20);

/// Tries what the sandboxes of the services of an app prevent. Nothing changes, and the units are gone
/// afterwards. Only root can.
///
/// # Errors
/// When a unit cannot be written or removed, or the user interrupts it.
pub(crate) fn probe(host: &Host, app: &App) -> Result<Vec<ProbedSandbox>> {
    let groups = groups(host, app)?;
    let name = format!("robotctl-probe-{}", host::random_hex(8)?);
    let listener = host::listen_in_host_network(&name)?;
    let mut planned = Vec::new();
    let mut units = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let plan = plan(app, group, &name)?;
        units.push(unit(host, app, group, number, &attempts(&plan))?);
        planned.push(plan);
    }
    let all: BTreeSet<String> = planned.iter().flat_map(|plan| attempts(plan)).collect();
    let all: Vec<String> = all.into_iter().collect();
    units.push(control(host, app, &name, &all)?);
    let mut reports = run(host, &units)?;
    drop(listener);
    // Without a control, no attempt shows anything.
    let control = reports.pop().and_then(Result::ok).unwrap_or_default();
    let controls: BTreeMap<String, Tried> = by_attempt(all, &control).unwrap_or_default();
    let drop_ins = administrators_drop_ins(host, &groups)?;
    let all = groups.iter().zip(&planned).zip(reports);
    all.map(|((group, planned), report)| {
        Ok(match report {
            Ok(report) => {
                let tried = by_attempt(attempts(planned), &report)?;
                results(host, group, planned, &tried, &controls, &drop_ins)
            }
            Err(error) => ProbedSandbox {
                units: group.units.clone(),
                user: group.subject.service.user.to_string(),
                results: Vec::new(),
                failure: Some(format!("{error:#}")),
            },
        })
    })
    .collect()
}

/// The unit that makes the attempts of a group.
fn unit<'a>(
    host: &'a Host,
    app: &App,
    group: &Group,
    number: usize,
    attempts: &[String],
) -> Result<TransientUnit<'a>> {
    let subject = &group.subject;
    let job = probe_job(&subject.service, number)?;
    let argv = argv(&[], attempts)?;
    let mut tree = unit_files(app, &job, target(host, app), subject.mount(), &argv)?;
    let unit = app.unit(&job);
    for (path, entry) in local_drop_ins(host, app.name.as_str(), &subject.unit, &unit)?.iter() {
        tree.insert(path.to_owned(), entry.clone());
    }
    Ok(TransientUnit::from_files(host, unit, tree))
}

/// The unit that makes attempts without a sandbox. No process of a service has its user, so no service that an
/// attacker has taken over can leave its sandbox through it. `user` is the name of that user.
fn control<'a>(
    host: &'a Host,
    app: &App,
    user: &str,
    attempts: &[String],
) -> Result<TransientUnit<'a>> {
    let unit = control_unit(app);
    let argv = argv(&["--dynamic-user", user], attempts)?;
    let tree = probe_control(app, &unit, user, &argv);
    Ok(TransientUnit::from_files(host, unit, tree))
}

/// The command that makes attempts.
fn argv(options: &[&str], attempts: &[String]) -> Result<Vec<Text>> {
    let head = [PROGRAM, "probe-sandbox"].iter().chain(options).copied();
    let words = head.chain(attempts.iter().map(String::as_str));
    let words = words.map(|word| Text::parse(word).map_err(|rule| anyhow!("`{word}`: {rule}")));
    words.collect()
}

/// Runs the units together and removes them. Returns what each reported, or why it did not.
fn run(host: &Host, units: &[TransientUnit<'_>]) -> Result<Vec<Result<String>>> {
    let names: Vec<String> = units.iter().map(|unit| unit.name().to_owned()).collect();
    let _signals = defer_signals();
    TransientUnit::put_all(host, units)?;
    // A unit that does not start reports nothing, and its status says why.
    let started = interruptible(|| {
        let started = host.systemd.start_and_wait(&names, MAX_TIME);
        match host::interrupted() {
            true => Err(anyhow!("the probe was interrupted")),
            false => Ok(started.unwrap_or(true)),
        }
    });
    let reports = started.and_then(|is_over| reports(host, &names, is_over));
    TransientUnit::remove_all(host, units).context("removing the units of the probe")?;
    reports
}

/// What each unit reported. `is_over` says whether all ended in time.
fn reports(host: &Host, names: &[String], is_over: bool) -> Result<Vec<Result<String>>> {
    let report = |state: UnitStatus| match state.status_text.is_empty() {
        true if !is_over => Err(anyhow!("`{}` did not end in {MAX_TIME:.0?}", state.id)),
        true => Err(anyhow!(
            "`{}` did not report: {}",
            state.id,
            cause_failure(&state)
        )),
        false => Ok(state.status_text),
    };
    Ok(host.systemd.show(names)?.into_iter().map(report).collect())
}
