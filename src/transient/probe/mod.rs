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
use super::job::{probe_job, target};
use super::unit::TransientUnit;
use crate::app::{App, Text};
use crate::health::cause_failure;
use crate::host::{self, Host, UnitStatus, defer_signals, interruptible};
use crate::render::probe as unit_files;
use crate::sandbox::probes::ProbedSandbox;
use anyhow::{Context as _, Result, anyhow};
use groups::{Group, groups};
use plan::{attempts, plan};
use results::{administrators_drop_ins, by_attempt, controls, results};

/// The program that makes the attempts. Every sandbox shows `/usr`.
const PROGRAM: &str = "/usr/bin/robotctl";

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
    let reports = run(host, &units)?;
    let controls = controls(&groups, &planned)?;
    // The attempts without a sandbox needed it too.
    drop(listener);
    let drop_ins = administrators_drop_ins(host, &groups)?;
    let all = groups.iter().zip(&planned).zip(reports);
    all.map(|((group, planned), report)| {
        let of_user = controls.get(group.subject.service.user.as_str());
        let control = |attempt: &str| of_user.and_then(|all| all.get(attempt)).copied();
        Ok(match report {
            Ok(report) => {
                let words: Vec<&str> = report.split(' ').collect();
                let tried = by_attempt(attempts(planned), &words)?;
                results(host, group, planned, &tried, &control, &drop_ins)
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
    let argv = [PROGRAM, "probe-sandbox"].map(str::to_owned).into_iter();
    let argv = argv.chain(attempts.iter().cloned());
    let argv = argv.map(|word| Text::parse(&word).map_err(|rule| anyhow!("`{word}`: {rule}")));
    let argv: Vec<Text> = argv.collect::<Result<_>>()?;
    let mut tree = unit_files(app, &job, target(host, app), subject.mount(), &argv)?;
    let unit = app.unit(&job);
    for (path, entry) in local_drop_ins(host, app.name.as_str(), &subject.unit, &unit)?.iter() {
        tree.insert(path.to_owned(), entry.clone());
    }
    Ok(TransientUnit::from_files(host, unit, tree))
}

/// Runs the units together and removes them. Returns what each reported, or why it did not.
fn run(host: &Host, units: &[TransientUnit<'_>]) -> Result<Vec<Result<String>>> {
    let names: Vec<String> = units.iter().map(|unit| unit.name().to_owned()).collect();
    let _signals = defer_signals();
    TransientUnit::put_all(host, units)?;
    // A unit that does not start reports nothing, and its status says why.
    let started = interruptible(|| {
        let started = host.systemd.start(&names);
        match host::interrupted() {
            true => Err(anyhow!("the probe was interrupted")),
            false => Ok(started),
        }
    });
    let reports = started.and_then(|_| reports(host, &names));
    TransientUnit::remove_all(host, units).context("removing the units of the probe")?;
    reports
}

fn reports(host: &Host, names: &[String]) -> Result<Vec<Result<String>>> {
    let report = |state: UnitStatus| match state.status_text.is_empty() {
        true => Err(anyhow!(
            "`{}` did not report: {}",
            state.id,
            cause_failure(&state)
        )),
        false => Ok(state.status_text),
    };
    Ok(host.systemd.show(names)?.into_iter().map(report).collect())
}
