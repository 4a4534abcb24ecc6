//! How healthy an app and its units are, and why, in words.

use super::status::{AppStatus, DeployedApp, DoctorReport, Finding, Health, UnitRow};
use super::time::{ago, span};
use crate::host::{ActiveState, UnitStatus, oom_kills};
use crate::stability::{Instability, instability};
use crate::units::is_of_drain;
use jiff::Timestamp;

/// Parts of the names of pre-check instances, and of hooks and check commands.
const STEP_PARTS: [&str; 2] = ["-precheck.", "-hook."];

/// The status of an app.
pub(super) fn judge(
    app: &DeployedApp,
    units: &[&UnitStatus],
    report: Option<&DoctorReport>,
    now: Timestamp,
) -> AppStatus {
    let is_approved = report.is_some_and(|one| one.approves_running(&app.name, app.since));
    let mut rows: Vec<UnitRow> = units
        .iter()
        .filter(|state| is_shown(state))
        .map(|state| row(app, state, now, is_approved))
        .collect();
    rows.sort_by(|a, b| a.unit.cmp(&b.unit));
    let findings: Vec<&Finding> = report
        .iter()
        .flat_map(|report| report.findings(&app.name))
        // A note says that nothing is wrong.
        .filter(|one| one.severity != "note")
        .collect();
    let worst = rows.iter().max_by_key(|row| row.health);
    let (health, why) = match worst {
        _ if app.live.is_none() => (Health::Warning, "no release is live".to_owned()),
        None => (
            Health::Unknown,
            "the states of its units are unknown".to_owned(),
        ),
        Some(row) if row.health == Health::Failed => {
            (Health::Failed, format!("{}: {}", row.unit, row.text))
        }
        _ if findings.iter().any(|one| one.severity == "error") => {
            (Health::Failed, summary(&findings))
        }
        Some(row) if row.health > Health::Unknown => {
            (Health::Warning, format!("{}: {}", row.unit, row.text))
        }
        _ if !findings.is_empty() => (Health::Warning, summary(&findings)),
        Some(_) => (Health::Healthy, "all units work".to_owned()),
    };
    AppStatus {
        name: app.name.clone(),
        health,
        why,
        live: app.live.clone(),
        since: app.since,
        releases: app.releases.clone(),
        units: rows,
    }
}

fn summary(findings: &[&Finding]) -> String {
    match findings {
        [one] => format!("robotctl doctor has a finding: {}", one.check),
        _ => format!("robotctl doctor has {} findings", findings.len()),
    }
}

/// A pre-check instance, a hook and a previous release that drains are shown while they are active. The
/// units beside what drains say nothing about the app.
fn is_shown(state: &UnitStatus) -> bool {
    let is_drain = is_of_drain(&state.id);
    let is_step = STEP_PARTS.iter().any(|part| state.id.contains(part));
    let is_transient = is_drain || is_step;
    (!is_transient || state.is_active()) && (!is_drain || state.id.ends_with(".scope"))
}

/// `is_approved` says that what was started before the switch may run.
fn row(app: &DeployedApp, state: &UnitStatus, now: Timestamp, is_approved: bool) -> UnitRow {
    let is_running = state.main_pid.is_some();
    // systemd mounts the release when a process starts.
    let is_stale = match (is_running, state.main_started, app.since) {
        (true, Some(started), Some(since)) => started < since,
        _ => false,
    };
    let (mut health, mut text) = in_words(state, now);
    // The page cannot read the systemd journal.
    let unstable = instability(state, &[], oom_kills(state), app.since, now);
    if let Some(what) = unstable.filter(|_| health < Health::Failed) {
        health = match what {
            Instability::Loops { .. } => Health::Failed,
            Instability::OutOfMemory { .. } | Instability::Watchdog { .. } => Health::Warning,
        };
        text = format!("{text}, {}", what.in_words());
    }
    if is_stale && is_approved {
        text = format!("{text}, started before the switch");
    } else if is_stale && health == Health::Healthy {
        health = Health::Warning;
        text = format!("{text}, started before the switch: it runs an earlier release");
    }
    UnitRow {
        unit: state.id.clone(),
        health,
        text,
        state: format!("{} ({})", state.active_state, state.sub_state),
        runs: app.live.clone().filter(|_| is_running && !is_stale),
    }
}

fn in_words(state: &UnitStatus, now: Timestamp) -> (Health, String) {
    if state.is_masked() {
        return (Health::Warning, "masked by the administrator".to_owned());
    }
    let unit_type = state.id.rsplit('.').next().unwrap_or_default();
    let ended = state.main_ended;
    match (&state.active_state, unit_type) {
        (ActiveState::Failed, _) => {
            let when = ended.map(|then| ago(then, now) + " ").unwrap_or_default();
            (Health::Failed, format!("failed {when}({})", state.result))
        }
        (ActiveState::Active, "socket") => healthy("accepts connections"),
        (ActiveState::Active, "timer") => match state.next_elapse {
            Some(then) => healthy(format!("due {}", ago(then, now))),
            None => healthy("waits for its next run"),
        },
        (ActiveState::Active, _) => match state.active_since {
            Some(then) => healthy(format!("up for {}", span(then, now))),
            None => healthy("up"),
        },
        (ActiveState::Activating, _) if state.sub_state.starts_with("auto-restart") => {
            (Health::Warning, "ended, and starts again".to_owned())
        }
        _ if state.is_skipped() => healthy("not started: its condition is not met"),
        (ActiveState::Activating, _) => healthy("starting"),
        (ActiveState::Deactivating, _) => healthy("stopping"),
        (ActiveState::Reloading, _) => healthy("reloading"),
        (ActiveState::Inactive, "socket" | "timer") => (Health::Warning, "stopped".to_owned()),
        (ActiveState::Inactive, _) => match ended {
            Some(ended) => healthy(format!("ended successfully {}", ago(ended, now))),
            None => healthy("has not run since the host booted"),
        },
        (other, _) => (Health::Unknown, other.to_string()),
    }
}

fn healthy(text: impl Into<String>) -> (Health, String) {
    (Health::Healthy, text.into())
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::host::{ActiveState, UnitResult, UnitStatus};
    use crate::page::status::{
        AppReport, DeployedApp, DoctorReport, Finding, Health, SkippedCheck,
    };
    use jiff::Timestamp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn app() -> DeployedApp {
        DeployedApp {
            name: "shop".to_owned(),
            live: Some("1.0-ab".to_owned()),
            since: Some(at(0)),
            releases: vec!["1.0-ab".to_owned()],
        }
    }

    fn running(id: &str, started: i64) -> UnitStatus {
        UnitStatus {
            id: id.to_owned(),
            active_state: ActiveState::Active,
            sub_state: "running".to_owned(),
            main_pid: Some(7),
            main_started: Some(at(started)),
            active_since: Some(at(started)),
            ..UnitStatus::default()
        }
    }

    #[test]
    fn an_app_is_as_healthy_as_its_worst_unit() {
        let web = running("shop-web.service", 5);
        let one = judge(&app(), &[&web], None, at(65));
        assert_eq!(
            (one.health, one.why.as_str()),
            (Health::Healthy, "all units work")
        );
        assert_eq!(one.units[0].text, "up for 1 minute");
        assert_eq!(one.units[0].runs.as_deref(), Some("1.0-ab"));
        let failed = UnitStatus {
            id: "shop-job.service".to_owned(),
            active_state: ActiveState::Failed,
            result: UnitResult::ExitCode,
            main_ended: Some(at(60)),
            ..UnitStatus::default()
        };
        let one = judge(&app(), &[&web, &failed], None, at(65));
        assert_eq!(one.health, Health::Failed);
        assert_eq!(
            one.why,
            "shop-job.service: failed 5 seconds ago (exit-code)"
        );
    }

    #[test]
    fn a_unit_that_restarts_again_and_again_is_not_healthy() {
        let mut web = running("shop-web.service", 60);
        web.n_restarts = 12;
        let one = judge(&app(), &[&web], None, at(65));
        assert_eq!(one.health, Health::Failed);
        let text = "up for 5 seconds, restarted 12 times by itself";
        assert!(one.why.contains(text), "{}", one.why);
        // Some time ago.
        let one = judge(&app(), &[&web], None, at(60 + 3600));
        assert_eq!(one.health, Health::Healthy, "{}", one.why);
        let waits = UnitStatus {
            active_state: ActiveState::Activating,
            sub_state: "auto-restart".to_owned(),
            n_restarts: 1,
            main_pid: None,
            ..web
        };
        let one = judge(&app(), &[&waits], None, at(65));
        assert_eq!(one.health, Health::Warning, "{}", one.why);
    }

    #[test]
    fn a_process_from_before_the_switch_runs_an_earlier_release() {
        let old = running("shop-web.service", -5);
        let one = judge(&app(), &[&old], None, at(65));
        assert_eq!(one.health, Health::Warning);
        assert_eq!(one.units[0].runs, None);
        assert!(one.why.contains("earlier release"), "{}", one.why);
    }

    #[test]
    fn a_process_from_before_the_switch_may_run_if_the_doctor_says_so() {
        let old = running("shop-web.service", -5);
        let health = |ts, severity: &str, skipped: &[&str]| {
            let skipped = skipped.iter().map(|check| SkippedCheck {
                check: (*check).to_owned(),
            });
            let report = DoctorReport {
                ts: at(ts),
                apps: vec![AppReport {
                    app: Some("shop".to_owned()),
                    findings: vec![Finding {
                        check: "running".to_owned(),
                        severity: severity.to_owned(),
                    }],
                    skipped: skipped.collect(),
                }],
            };
            judge(&app(), &[&old], Some(&report), at(65)).health
        };
        assert_eq!(health(1, "note", &[]), Health::Healthy);
        // A report from before the switch says nothing.
        assert_eq!(health(0, "note", &[]), Health::Warning);
        assert_eq!(health(1, "note", &["running"]), Health::Warning);
        assert_eq!(health(1, "error", &[]), Health::Failed);
    }

    #[test]
    fn a_finding_counts_by_its_severity() {
        let web = running("shop-web.service", 5);
        let finds = "robotctl doctor has a finding: links";
        for (severity, health, why) in [
            ("note", Health::Healthy, "all units work"),
            ("warning", Health::Warning, finds),
            ("error", Health::Failed, finds),
        ] {
            let finding = Finding {
                check: "links".to_owned(),
                severity: severity.to_owned(),
            };
            let report = DoctorReport {
                ts: at(0),
                apps: vec![AppReport {
                    app: Some("shop".to_owned()),
                    findings: vec![finding],
                    skipped: Vec::new(),
                }],
            };
            let one = judge(&app(), &[&web], Some(&report), at(65));
            assert_eq!(one.health, health);
            assert_eq!(one.why, why);
        }
    }

    #[test]
    fn units_of_a_deploy_are_shown_only_while_they_are_active() {
        let drains = running("shop-web-old-1a2b3c4d.scope", 5);
        let gone = UnitStatus {
            id: "shop-web-precheck.service".to_owned(),
            active_state: ActiveState::Inactive,
            ..UnitStatus::default()
        };
        let killed = UnitStatus {
            id: "shop-before-switch-hook.service".to_owned(),
            active_state: ActiveState::Failed,
            ..UnitStatus::default()
        };
        let one = judge(&app(), &[&drains, &gone, &killed], None, at(65));
        let units: Vec<&str> = one.units.iter().map(|row| row.unit.as_str()).collect();
        assert_eq!(units, ["shop-web-old-1a2b3c4d.scope"]);
    }
}
