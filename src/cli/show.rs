//! `robotctl status`, `releases`, `history`

use super::find::refuse;
use super::{Ctx, Exit};
use crate::app::{App, Name};
use crate::events::Event;
use crate::host::release_of;
use crate::store::{Mark, Store};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// One unit as it is now.
#[derive(Debug, Serialize)]
struct UnitNow {
    unit: String,
    state: String,
    /// The release that its main process really runs.
    runs: Option<String>,
    /// What differs from what is live.
    note: Option<String>,
}

/// One app as it is now.
#[derive(Debug, Serialize)]
struct Now {
    app: String,
    live: Option<String>,
    since: Option<String>,
    current: Option<String>,
    /// A change that somebody is at.
    under_way: Option<String>,
    /// A change that nobody is at any more.
    interrupted: Option<String>,
    before: Vec<String>,
    units: Vec<UnitNow>,
}

pub(super) fn status(ctx: &Ctx) -> Result<Exit> {
    let (all, read) = ctx.of_each(|name| now(ctx, name))?;
    if all.is_empty() && read {
        return refuse(
            "no app is deployed on this host",
            "deploy one: `sudo robotctl deploy`",
        );
    }
    ctx.printer
        .value(&all, |all| all.iter().map(shown).collect());
    Ok(ended(read))
}

/// Which exit says whether all apps could be read.
fn ended(read: bool) -> Exit {
    match read {
        true => Exit::Done,
        false => Exit::Refused,
    }
}

fn now(ctx: &Ctx, name: &Name) -> Result<Now> {
    let store = ctx.store(name)?;
    let state = store.state()?;
    let record = match &state.live {
        Some(id) => store.release(id)?,
        None => None,
    };
    let app = record.map(|record| record.app()).transpose()?;
    let live = state.live.clone();
    let journal = store.journal()?.map(|journal| journal.operation);
    let under_way = store.lock_holder();
    Ok(Now {
        app: name.to_string(),
        current: store.link()?,
        interrupted: journal.filter(|_| under_way.is_none()),
        under_way,
        units: match &app {
            Some(app) => units(ctx, app, live.as_deref(), &state.pins)?,
            None => Vec::new(),
        },
        live,
        since: state.since,
        before: state.before,
    })
}

fn units(
    ctx: &Ctx,
    app: &App,
    live: Option<&str>,
    pins: &BTreeMap<String, String>,
) -> Result<Vec<UnitNow>> {
    let pinned: BTreeMap<String, &String> = app
        .services
        .iter()
        .filter_map(|service| Some((app.unit(service), pins.get(service.name.as_str())?)))
        .collect();
    let mut names = Vec::new();
    for service in &app.services {
        names.extend(app.socket_units(service));
        if service.timer.is_some() {
            names.push(app.timer_unit(service));
        }
        names.push(app.unit(service));
    }
    let states = ctx.host.systemd.show(&names)?;
    let unit = |(unit, state): (String, crate::host::UnitState)| {
        let runs = state
            .main_pid()
            .and_then(|pid| release_of(pid, app.name.as_str()));
        let pin = pinned.get(&unit);
        let wanted = pin.map(|id| id.as_str()).or(live);
        let stale = runs.is_some() && runs.as_deref() != wanted;
        let note = if let (Some(id), false) = (pin, stale) {
            Some(format!("pinned to {id}"))
        } else if state.is_masked() {
            Some("masked by the administrator".to_owned())
        } else if stale {
            Some("runs another release than the live one".to_owned())
        } else if state.get("NeedDaemonReload") == "yes" {
            Some("its file changed on disk: `systemctl daemon-reload`".to_owned())
        } else if state.is_failed() {
            Some(format!("{}: `journalctl -u {unit}`", state.get("Result")))
        } else {
            None
        };
        UnitNow {
            state: match state.get("ActiveState") {
                // Nobody is there to be asked.
                "" => "-".to_owned(),
                active => format!("{active} ({})", state.get("SubState")),
            },
            unit,
            runs,
            note,
        }
    };
    Ok(names.into_iter().zip(states).map(unit).collect())
}

fn shown(now: &Now) -> String {
    let live = now.live.as_deref().unwrap_or("nothing");
    let since = now.since.as_deref().unwrap_or("never");
    let mut text = format!("{}: {live} is live since {since}\n", now.app);
    if let Some(what) = &now.under_way {
        text.push_str(&format!("  a change is under way: {what}\n"));
    }
    if let Some(operation) = &now.interrupted {
        text.push_str(&format!(
            "  a {operation} was interrupted: `sudo robotctl recover`\n"
        ));
    }
    let width = now
        .units
        .iter()
        .map(|unit| unit.unit.len())
        .max()
        .unwrap_or(0);
    for UnitNow {
        unit,
        state,
        runs,
        note,
    } in &now.units
    {
        let runs = runs.as_deref().unwrap_or("-");
        text.push_str(&format!("  {unit:width$}  {state:20} {runs}"));
        if let Some(note) = note {
            text.push_str(&format!("  {note}"));
        }
        text.push('\n');
    }
    text
}

/// One release on this host.
#[derive(Debug, Serialize)]
struct Listed {
    app: String,
    release: String,
    staged: String,
    live: bool,
    #[serde(flatten)]
    mark: Mark,
    origin: String,
}

pub(super) fn releases(ctx: &Ctx) -> Result<Exit> {
    let (all, read) = ctx.of_each(|name| {
        let store: Store = ctx.store(name)?;
        let live = store.state()?.live;
        let mut list = Vec::new();
        for id in store.releases()? {
            if let Some(record) = store.release(&id)? {
                list.push(Listed {
                    app: name.to_string(),
                    live: live.as_deref() == Some(&id),
                    release: id,
                    staged: record.staged,
                    mark: record.mark,
                    origin: record.origin,
                });
            }
        }
        list.sort_by(|a, b| a.staged.cmp(&b.staged));
        Ok(list)
    })?;
    let all: Vec<Listed> = all.into_iter().flatten().collect();
    ctx.printer.value(&all, |all| {
        let mut text = String::new();
        for one in all {
            let live = if one.live { "*" } else { " " };
            let mark = match &one.mark {
                Mark::Staged => "staged".to_owned(),
                Mark::Good => "good".to_owned(),
                Mark::Bad(why) => format!("bad: {why}"),
            };
            let staged = one.staged.split('.').next().unwrap_or_default();
            let staged = staged.trim_end_matches('Z');
            text.push_str(&format!(
                "{live} {} {}  {staged}Z  {mark}\n",
                one.app, one.release
            ));
        }
        text
    });
    Ok(ended(read))
}

pub(super) fn history(ctx: &Ctx) -> Result<Exit> {
    let (all, read) = ctx.of_each(|name| ctx.store(name)?.history())?;
    let mut all: Vec<Event> = all.into_iter().flatten().collect();
    all.sort_by(|a, b| a.ts.cmp(&b.ts));
    ctx.printer
        .value(&all, |all| all.iter().map(line).collect());
    Ok(ended(read))
}

/// One event: when, of which app, what it was, and the release where the message names none.
fn line(event: &Event) -> String {
    let Event {
        ts,
        app,
        event,
        message,
        release,
        ..
    } = event;
    let about = match release {
        Some(id) if !message.contains(id.as_str()) => format!("{id}: "),
        _ => String::new(),
    };
    format!("{ts}  {app}  {event}  {about}{message}\n")
}
