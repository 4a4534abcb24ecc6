//! Watching a release for a while after its deploy: a service that starts to loop shows the fault only
//! then.

use super::attempt::AttemptKind;
use super::context::Context;
use super::rollback::undo;
use crate::app::{App, Name, Span};
use crate::error::{Claim as _, Error};
use crate::events::Subject;
use crate::failure::Failure;
use crate::health::{RestartCounter, daemon_states, explained, log_of};
use crate::host::{Command, Deadline, Host, oom_kills};
use crate::render::ReleaseMount;
use crate::session::Session;
use crate::store::Store;
use crate::units::SOAK_PREFIX;
use anyhow::Result;
use std::time::Duration;

/// What the internal command `soak` is asked.
#[derive(Debug, Clone)]
pub(crate) struct SoakRequest {
    /// The release that went live.
    pub(crate) release: String,
    /// How long to watch it.
    pub(crate) time: Duration,
}

/// Watches a release and rolls it back when a service loops. The text says how the watch ended.
///
/// # Errors
/// [`crate::error::Kind::RolledBack`] when the release was rolled back.
pub(crate) fn run(ctx: &Context<'_>, request: &SoakRequest) -> Result<String, Error> {
    let SoakRequest { release: id, time } = request;
    let name = ctx.selected_app().nothing_changed()?;
    let store = ctx.store(&name);
    let watched = || -> Result<SoakOutcome> {
        let Some(record) = store.release(id)? else {
            return Ok(SoakOutcome::NotLive);
        };
        watch(&ctx.host, &store, &record.app()?, id, *time)
    };
    match watched().nothing_changed()? {
        SoakOutcome::Healthy => Ok(format!("{id} stayed healthy")),
        SoakOutcome::NotLive => Ok(format!("{id} is no longer live")),
        SoakOutcome::Looping(unit, what) => {
            let why = what.after(&format!("`{unit}` after the deploy"));
            ctx.record_attempt(AttemptKind::AutomaticRollback, || {
                undo(ctx, &name, id, &why)
            })?;
            Ok(format!("{id} is no longer live"))
        }
    }
}

/// Time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// The transient unit that watches an app. No app but the bundled one has a name that begins with `robotctl-`, so
/// that no service has this name.
pub(super) fn unit(app: &Name) -> String {
    format!("{SOAK_PREFIX}{app}.service")
}

/// Starts a watch, in a process of its own: the deploy does not wait for it.
pub(super) fn start(session: &Session<'_>, app: &App, id: &str, span: &Span) {
    if session.host.is_offline() {
        return;
    }
    stop(session.host, &app.name);
    let seconds = span.duration.as_secs().max(1).to_string();
    let (name, unit) = (app.name.as_str(), unit(&app.name));
    let argv = [
        "systemd-run",
        "--quiet",
        "--collect",
        &format!("--unit={unit}"),
        &format!("--description={name}: watching {id}"),
        "/usr/bin/robotctl",
        "--app",
        name,
        "soak",
        id,
        "--seconds",
        &seconds,
    ];
    let (level, message) = match Command::new(argv).run() {
        Ok(_) => ("info", format!("watching {id} for {}: `{unit}`", span.text)),
        Err(error) => ("warning", format!("{id} is not watched: {error:#}")),
    };
    session.emit(level, "soaking", Subject::release(id), &message);
}

/// Ends the watch of an app, if there is one.
pub(crate) fn stop(host: &Host, app: &Name) {
    let unit = unit(app);
    host.systemd.stop(std::slice::from_ref(&unit)).ok();
    host.systemd.reset_failed(std::slice::from_ref(&unit));
}

/// How the watch of a release ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SoakOutcome {
    /// The time is over, and nothing was wrong.
    Healthy,
    /// Another release is live, or none.
    NotLive,
    /// A service loops or has failed: its unit, and what happened to it.
    Looping(String, Failure),
}

/// Watches a live release for a time. A service that the administrator stops is not a fault.
fn watch(host: &Host, store: &Store, app: &App, id: &str, time: Duration) -> Result<SoakOutcome> {
    let mut restarts = RestartCounter::default();
    let end = Deadline::after(time);
    while !end.is_over() {
        if store.state()?.live.as_deref() != Some(id) {
            return Ok(SoakOutcome::NotLive);
        }
        for (unit, state) in daemon_states(host, app)? {
            if let Some(what) = restarts.step(&unit, &state, oom_kills(&state)) {
                let log = log_of(host, app, &unit);
                let what = explained(
                    host,
                    app,
                    (app.service_of(&unit), ReleaseMount::Current),
                    what,
                    &log,
                );
                return Ok(SoakOutcome::Looping(unit, what));
            }
        }
        crate::host::pause(SAMPLE_INTERVAL);
    }
    Ok(SoakOutcome::Healthy)
}

#[cfg(test)]
mod tests {
    use super::{SOAK_PREFIX, unit};
    use crate::app::App;
    use crate::manifest::parse;
    use crate::units::BUILD_PREFIX;

    #[test]
    fn no_service_of_any_app_can_have_the_name_of_the_watch() {
        let app = |name: &str, service: &str| {
            let text = format!(
                "[app]\nname = \"{name}\"\nversion = \"1\"\n\
                 [service.{service}]\nexec = [\"/bin/w\"]\n"
            );
            App::from_manifest(&parse(&text).unwrap(), None)
        };
        let text = "[app]\nname = \"robotctl-status\"\nversion = \"1\"\n\
                    [service.web]\nexec = [\"/bin/w\"]\n";
        let bundled = App::from_bundled(&parse(text).unwrap(), None, None).unwrap();
        let of_bundled = bundled.unit(&bundled.services[0]);
        assert!(!of_bundled.starts_with(SOAK_PREFIX) && !of_bundled.starts_with(BUILD_PREFIX));
        let watched = app("demo", "soak").unwrap();
        let watch = unit(&watched.name);
        assert_ne!(watch, watched.unit(&watched.services[0]));
        let stem = watch.strip_suffix(".service").unwrap();
        for (at, _) in stem.match_indices('-') {
            let name = stem.split_at(at).0;
            assert!(app(name, "web").is_err(), "`{name}` could make `{watch}`");
        }
    }
}
