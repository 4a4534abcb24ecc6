//! Processes that run outside the units of the app.

use crate::app::App;
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::host::{ProcessOrigin, command_of, process_origins};
use anyhow::Result;
use std::collections::BTreeSet;

/// How the names of all units begin that robotctl starts for an app, besides those that begin with the name
/// of the app.
const OF_ROBOTCTL: &str = "robotctl-";
/// The user id of root.
const ROOT: u32 = 0;

/// Processes that use files of the app and belong to none of its units: nothing stops or restarts them.
///
/// systemd ends every process of a unit that stops, unless it has left the control group (systemd.kill(5)).
pub(in crate::doctor) fn orphans(context: &CheckContext<'_>, app: &App) -> Result<Vec<Finding>> {
    let mut users = BTreeSet::new();
    for service in &app.services {
        let user = context.host.root.user(service.user.as_str())?;
        users.extend(user.map(|user| user.uid));
    }
    let dir = format!("{}/", context.layout.opt());
    let mut found = Vec::new();
    for process in process_origins()? {
        if !users.contains(&process.uid) || is_in_unit_of(&process, context.name.as_str()) {
            continue;
        }
        let (name, words) = command_of(process.pid);
        if !uses_app(&process, &words, &dir) {
            continue;
        }
        let pid = process.pid;
        let place = match &process.unit {
            Some(unit) => format!("belongs to `{unit}`"),
            None => "belongs to no unit".to_owned(),
        };
        let message =
            format!("pid {pid} (`{name}`) uses files in `{dir}`, and {place}: nothing restarts it");
        let kill = CommandLine::sudo(["kill", &pid.to_string()]);
        let fix = Hint::to("if you do not need it, end it", kill);
        found.push(Finding::new(Severity::Warning, message, fix));
    }
    Ok(found)
}

/// Whether a process is in a unit of the app, also in one that exists only while it runs.
fn is_in_unit_of(process: &ProcessOrigin, app: &str) -> bool {
    process.unit.as_deref().is_some_and(|unit| {
        let rest = unit.strip_prefix(app);
        unit.starts_with(OF_ROBOTCTL)
            || rest.is_some_and(|rest| rest.starts_with('-') || rest.starts_with('.'))
    })
}

/// Whether the program or an argument of a process is a file of the app. What root does in a session is an
/// administrator at work.
fn uses_app(process: &ProcessOrigin, words: &[String], dir: &str) -> bool {
    let is_own = |word: &String| word.starts_with(dir);
    match process.uid {
        ROOT => !process.is_of_session && words.first().is_some_and(is_own),
        _ => words.iter().any(is_own),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_in_unit_of, uses_app};
    use crate::host::ProcessOrigin;

    fn process(uid: u32, unit: Option<&str>) -> ProcessOrigin {
        ProcessOrigin {
            pid: 7,
            uid,
            unit: unit.map(str::to_owned),
            is_of_session: false,
        }
    }

    #[test]
    fn units_of_the_app_and_those_that_robotctl_starts_for_it_are_no_orphans() {
        for (unit, expected) in [
            (Some("shop-web.service"), true),
            (Some("shop-web-old-1a2b3c4d.scope"), true),
            (Some("shop.service"), true),
            (Some("robotctl-build-shop.1.service"), true),
            (Some("shops.service"), false),
            (Some("cron.service"), false),
            (None, false),
        ] {
            assert_eq!(
                is_in_unit_of(&process(5, unit), "shop"),
                expected,
                "{unit:?}"
            );
        }
    }

    #[test]
    fn a_process_that_uses_no_file_of_the_app_is_not_of_the_app() {
        let dir = "/opt/shop/";
        let words = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        let script = words(&["/usr/bin/python3.11", "python3", "/opt/shop/current/app.py"]);
        let program = words(&["/opt/shop/releases/1/bin/app", "app"]);
        assert!(uses_app(&process(5, None), &script, dir));
        assert!(uses_app(&process(5, None), &program, dir));
        assert!(!uses_app(
            &process(5, None),
            &words(&["/usr/bin/psql", "psql"]),
            dir
        ));
        // root may read a file of the app, and may have started it in a session.
        assert!(!uses_app(&process(0, None), &script, dir));
        assert!(uses_app(&process(0, None), &program, dir));
        let mut session = process(0, Some("session-4.scope"));
        session.is_of_session = true;
        assert!(!uses_app(&session, &program, dir));
    }
}
