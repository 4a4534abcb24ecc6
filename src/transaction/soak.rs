//! Watching a release for a while after it went live: a service that starts to loop gives it
//! away only then.

use crate::app::{App, Name, Span};
use crate::events::Subject;
use crate::host::{Command, Deadline, Host};
use crate::session::Session;
use crate::store::Store;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it looks.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// A service that was restarted this often since the deploy is looping.
const MAX_RESTARTS: u64 = 2;

/// The transient unit that watches an app. No app may be called `robotctl-…`, so that it is no
/// service's own.
pub fn unit(app: &Name) -> String {
    format!("robotctl-soak-{app}.service")
}

/// Starts to watch a release, in a process of its own that the deploy does not wait for.
pub fn start(session: &Session<'_>, app: &App, id: &str, span: &Span) {
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

/// Ends the watch over an app, if there is one.
pub fn stop(host: &Host, app: &Name) {
    let unit = unit(app);
    host.systemd.stop(std::slice::from_ref(&unit)).ok();
    host.systemd.reset_failed(std::slice::from_ref(&unit));
}

/// How a watch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// The time is over and the release did well.
    Well,
    /// Another release is live, or none.
    Over,
    /// A service loops or is down: its unit, and what became of it.
    Looping(String, String),
}

/// Watches a live release for a time. A service that the administrator stops is left alone.
///
/// # Errors
/// When what is live cannot be read.
pub fn watch(host: &Host, store: &Store, app: &App, id: &str, time: Duration) -> Result<Watched> {
    let units: Vec<String> = app
        .services
        .iter()
        .filter(|service| service.is_daemon())
        .map(|service| app.unit(service))
        .collect();
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let end = Deadline::after(time);
    while !end.is_over() {
        if store.state()?.live.as_deref() != Some(id) {
            return Ok(Watched::Over);
        }
        for (unit, state) in units.iter().zip(host.systemd.show(&units)?) {
            let restarts = state.get("NRestarts").parse().unwrap_or(0);
            let before = *first.entry(unit.clone()).or_insert(restarts);
            if state.is_failed() {
                let what = crate::health::cause_text(&state);
                return Ok(Watched::Looping(unit.clone(), what));
            }
            // A restart by hand begins to count anew.
            if restarts < before {
                first.insert(unit.clone(), restarts);
            } else if restarts - before >= MAX_RESTARTS {
                let what = format!("it restarted {} times by itself", restarts - before);
                return Ok(Watched::Looping(unit.clone(), what));
            }
        }
        crate::host::pause(SAMPLE_INTERVAL);
    }
    Ok(Watched::Well)
}

#[cfg(test)]
mod tests {
    use super::unit;
    use crate::app::App;
    use crate::manifest::parse;

    /// Whatever an app and its services are called.
    #[test]
    fn the_watch_over_an_app_is_nobodys_service() {
        let app = |name: &str, service: &str| {
            let text = format!(
                "[app]\nname = \"{name}\"\nversion = \"1\"\n\
                 [service.{service}]\nexec = [\"/bin/w\"]\n"
            );
            App::from_manifest(&parse(&text).unwrap(), None)
        };
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
