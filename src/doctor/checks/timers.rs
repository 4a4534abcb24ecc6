//! Timers, and whether they have started their jobs.

use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{UnitStatus, now};
use crate::store::UnitRole;
use anyhow::Result;
use jiff::Timestamp;
use std::time::Duration;

/// A job that first runs within this time shows soon whether it works.
const SOON: Duration = Duration::from_secs(24 * 60 * 60);
/// The state of a timer without a next time (systemd.timer(5)).
const ELAPSED: &str = "elapsed";

/// What is known of a timer and its job.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The job has run, or will soon.
    Fine,
    /// The job has never run, and runs first at this time.
    NotYet(Timestamp),
    /// No time lies ahead.
    Never,
}

/// Timers that have never started their job.
pub(in crate::doctor) fn timers(context: &CheckContext<'_>) -> Result<Vec<Finding>> {
    let units = &context.release.units;
    let timers = units.iter().filter(|unit| unit.role == UnitRole::Timer);
    let mut found = Vec::new();
    for timer in timers.filter(|unit| unit.enabled) {
        let job = units
            .iter()
            .find(|unit| unit.service == timer.service && unit.role == UnitRole::Job);
        let Some(job) = job else {
            continue;
        };
        let (name, job) = (&timer.unit, &job.unit);
        let (state, of_job) = (context.units.state(name)?, context.units.state(job)?);
        match verdict(state, of_job, now()) {
            Verdict::Fine => {}
            Verdict::NotYet(next) => {
                let start = CommandLine::sudo(["systemctl", "start", job]);
                found.push(Finding::new(
                    Severity::Note,
                    format!(
                        "systemd knows of no run of `{job}`, which `{name}` starts at {next:.0}"
                    ),
                    Hint::to("to see that it works, run it now", start),
                ));
            }
            Verdict::Never => found.push(Finding::with_steps(
                Severity::Warning,
                format!("`{name}` has no next time, and has never started `{job}`"),
                vec![
                    Hint::to(
                        "correct its `timer` and deploy again, or your drop-in; this shows both",
                        CommandLine::new(["systemctl", "cat", name]),
                    ),
                    Hint::to(
                        "then let it wait again",
                        CommandLine::sudo(["systemctl", "restart", name]),
                    ),
                ],
            )),
        }
    }
    Ok(found)
}

fn verdict(timer: &UnitStatus, job: &UnitStatus, now: Timestamp) -> Verdict {
    let has_run = timer.last_trigger.is_some() || job.main_started.is_some();
    if has_run || !timer.is_active() || !job.is_down() || job.condition_met.is_some() {
        return Verdict::Fine;
    }
    if timer.sub_state == ELAPSED {
        return Verdict::Never;
    }
    let soon = now.checked_add(SOON).unwrap_or(now);
    match timer.next_elapse {
        Some(next) if next > soon => Verdict::NotYet(next),
        // A timer that counts from the boot or from the last run has no time of day.
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};
    use crate::host::{ActiveState, UnitStatus};
    use jiff::Timestamp;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).unwrap()
    }

    #[test]
    fn only_a_job_that_has_never_run_and_will_not_soon_is_named() {
        let waiting = |next| UnitStatus {
            active_state: ActiveState::Active,
            sub_state: "waiting".to_owned(),
            next_elapse: next,
            ..UnitStatus::default()
        };
        let idle = || UnitStatus {
            active_state: ActiveState::Inactive,
            ..UnitStatus::default()
        };
        let year = at(300 * 86_400);
        let of = |timer: &UnitStatus, job: &UnitStatus| verdict(timer, job, at(0));
        assert_eq!(of(&waiting(Some(year)), &idle()), Verdict::NotYet(year));
        assert_eq!(of(&waiting(Some(at(3600))), &idle()), Verdict::Fine);
        assert_eq!(of(&waiting(None), &idle()), Verdict::Fine);
        let mut elapsed = waiting(None);
        elapsed.sub_state = "elapsed".to_owned();
        assert_eq!(of(&elapsed, &idle()), Verdict::Never);
        let has_run = UnitStatus {
            main_started: Some(at(-5)),
            ..idle()
        };
        assert_eq!(of(&elapsed, &has_run), Verdict::Fine);
        elapsed.last_trigger = Some(at(-90));
        assert_eq!(of(&elapsed, &idle()), Verdict::Fine);
        // The administrator stopped it, which the check `units` says.
        assert_eq!(of(&idle(), &idle()), Verdict::Fine);
    }
}
