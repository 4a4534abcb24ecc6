//! `robotctl rollback`

use super::find::refuse;
use super::permit::check_failed;
use super::{Ctx, Exit, preview};
use crate::app::{App, Layout, Name};
use crate::events::Subject;
use crate::plan::{Action, Candidate, PayloadPlan, Plan, UnitPlan, plan};
use crate::render::{ReleaseMount, execstart, execstart_path};
use crate::session::Session;
use crate::store::{FileChange, Mark, ReleaseRecord, Store, Stored};
use crate::transaction::{Operation, apply, check_ownership, observe, previous};
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::time::Duration;

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The release to put back, or the beginning of its id [default: the one before]
    release: Option<String>,
    /// Only this service: it stays on that release until the next deploy
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Shows the plan
    #[arg(long)]
    dry_run: bool,
    /// Takes a named release that failed before
    #[arg(long)]
    force: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// What a rollback would do, and what it says when that is nothing.
struct Change {
    app: App,
    tree: FileTree,
    plan: Plan,
    operation: Operation,
    idle: String,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let name = ctx.deployed()?;
    let layout = Layout::new(&name);
    let change = |store: &Store| {
        let record = target(args, ctx, store, &layout)?;
        match &args.service {
            Some(service) => pin(ctx, store, &record, service),
            None => whole(ctx, store, &record, args.dry_run),
        }
    };
    if args.dry_run {
        let store = ctx.store(&name)?;
        let mut change = change(&store)?;
        with_way_back(ctx, &store, &layout, &mut change.plan, &change.operation)?;
        let text = |plan: &Plan| match plan.is_empty() {
            true => format!("{}\n", change.idle),
            false => preview::text(plan),
        };
        ctx.printer.value(&change.plan, text);
        return Ok(Exit::Done);
    }
    ctx.check_deployed(&name)?;
    let wait = Duration::from_secs(args.wait);
    ctx.change(&name, "rolling back", wait, |session| {
        done(ctx, session, &change(session.store)?)
    })
}

/// Adds to a plan what a rollback after it would put back, if anything.
pub(super) fn with_way_back(
    ctx: &Ctx,
    store: &Store,
    layout: &Layout,
    plan: &mut Plan,
    operation: &Operation,
) -> Result<()> {
    let state = store
        .state()?
        .after(&plan.to, *operation == Operation::Rollback);
    let back = previous(&ctx.host, store, layout, &state)?;
    plan.rollback_target = back.map(|record| record.id);
    Ok(())
}

/// Does it, unless there is nothing to do.
fn done(ctx: &Ctx, session: &Session<'_>, change: &Change) -> Result<Exit> {
    let Change {
        app,
        tree,
        plan,
        operation,
        idle,
    } = change;
    if plan.is_empty() {
        ctx.printer.say(idle);
        return Ok(Exit::Done);
    }
    let outcome = super::deploy::defer_signals(|| apply(session, plan, app, tree, operation))?;
    Ok(super::deploy::ended(ctx, plan, outcome))
}

/// The whole app goes to an earlier release. Only a plan that is shown tells of its content.
fn whole(ctx: &Ctx, store: &Store, record: &ReleaseRecord, shown: bool) -> Result<Change> {
    let (app, tree) = (record.app()?, record.tree()?);
    let mut observed = observe(&ctx.host, store, &app, &tree)?;
    check_ownership(&ctx.host, &app, &tree, &observed)?;
    let payload = match shown {
        true => {
            let payload = store.payload(&record.id)?;
            if let (Some(live), Some(new)) = (&mut observed.live, &payload) {
                live.payload = store.previous_index(&live.id, new)?;
            }
            payload
        }
        false => None,
    };
    let candidate = Candidate {
        id: &record.id,
        app: &app,
        tree: &tree,
        payload: payload.as_ref(),
    };
    Ok(Change {
        plan: plan(&candidate, &observed).with_staged_release(),
        idle: format!("nothing to do: {} {} is live", app.name, record.id),
        operation: Operation::Rollback,
        app,
        tree,
    })
}

/// Takes back a release that was live and gave itself away later: marks it and puts the one
/// before it back, unless somebody has been faster.
pub(super) fn undo(ctx: &Ctx, name: &Name, bad: &str, why: &str) -> Result<Exit> {
    ctx.change(name, "rolling back", Duration::from_secs(600), |session| {
        if session.store.state()?.live.as_deref() != Some(bad) {
            return Ok(Exit::Done);
        }
        session.emit("error", "failed", Subject::release(bad), why);
        if let Some(mut record) = session.store.release(bad)? {
            record.mark = Mark::Bad(why.lines().next().unwrap_or_default().to_owned());
            session.store.set_release(&record)?;
        }
        let args = Args {
            release: None,
            service: None,
            dry_run: false,
            force: false,
            wait: 0,
        };
        let record = target(&args, ctx, session.store, &Layout::new(name))?;
        let exit = done(ctx, session, &whole(ctx, session.store, &record, false)?)?;
        Ok(match exit {
            Exit::Done => {
                ctx.printer.always(&format!(
                    "error: {name} {bad} failed, {} is back and healthy: {why}\n\n\
                     hint: mend it and deploy again",
                    record.id
                ));
                Exit::RolledBack
            }
            other => other,
        })
    })
}

/// One service's `05-execstart.conf` is rewritten so that it runs another release, alone.
fn pin(ctx: &Ctx, store: &Store, record: &ReleaseRecord, name: &str) -> Result<Change> {
    let Some(live) = store.state()?.live else {
        return refuse(
            "nothing is live, so no service can go to another release alone",
            "put all of the app back: the same command without `--service`",
        );
    };
    let Some(current) = store.release(&live)? else {
        return refuse(
            format!("the live release {live} has no record"),
            "`sudo robotctl doctor` says what to do",
        );
    };
    let (app, tree, old) = (current.app()?, current.tree()?, record.app()?);
    let (Some(service), true) = (old.service(name), app.service(name).is_some()) else {
        return refuse(
            format!(
                "there is no service `{name}` in both {live} and {}",
                record.id
            ),
            "`sudo robotctl status` lists the services",
        );
    };
    let unit = app.unit(service);
    let path = execstart_path(&unit);
    let text = execstart(&old, service, ReleaseMount::Pinned(&record.id))? + "\n";
    let before = ctx.host.root.entry(&path)?;
    let after = Entry::file(text);
    let changes = before.as_ref() != Some(&after);
    let observed = observe(&ctx.host, store, &app, &tree)?;
    let restarts = changes && service.is_daemon() && observed.active.contains(&unit);
    let file = FileChange {
        path,
        before: before.as_ref().map(Stored::new),
        after: Some(Stored::new(&after)),
    };
    let plan = Plan {
        repair: None,
        app: app.name.to_string(),
        version: app.version.to_string(),
        from: Some(live.clone()),
        to: live,
        payload: PayloadPlan::default(),
        manifest: Vec::new(),
        files: Some(file).filter(|_| changes).into_iter().collect(),
        units: vec![UnitPlan {
            unit: unit.clone(),
            service: Some(name.to_owned()),
            action: if restarts {
                Action::Restart
            } else {
                Action::Unchanged
            },
            why: format!("pinned to {}", record.id),
        }],
        commands: Vec::new(),
        accounts: observed.missing,
        warnings: Vec::new(),
        notes: Vec::new(),
        rollback_target: None,
    };
    Ok(Change {
        idle: format!("nothing to do: `{unit}` is pinned to {}", record.id),
        operation: Operation::Pin {
            service: name.to_owned(),
            release: record.id.clone(),
        },
        plan,
        app,
        tree,
    })
}

/// The named release, or the latest one before the live one that is there and not bad.
fn target(args: &Args, ctx: &Ctx, store: &Store, layout: &Layout) -> Result<ReleaseRecord> {
    let state = store.state()?;
    let usable = |id: &str| -> Result<Option<ReleaseRecord>> {
        let there = ctx
            .host
            .root
            .meta(&layout.release(id))?
            .is_some_and(|meta| meta.is_dir);
        Ok(if there { store.release(id)? } else { None })
    };
    if let Some(wanted) = &args.release {
        let ids = store.releases()?;
        let matching: Vec<&String> = ids
            .iter()
            .filter(|id| *id == wanted || id.starts_with(wanted.as_str()))
            .collect();
        let id = match matching.as_slice() {
            _ if ids.contains(wanted) => wanted,
            [id] => *id,
            [] => {
                return refuse(
                    format!("there is no release `{wanted}`"),
                    "`sudo robotctl releases` lists them",
                );
            }
            _ => {
                return refuse(
                    format!("`{wanted}` is the beginning of several releases"),
                    "write more of the id: `sudo robotctl releases` lists them",
                );
            }
        };
        let Some(record) = usable(id)? else {
            return refuse(
                format!("release {id} is no longer on this host"),
                "deploy it again from its source, or name another: `sudo robotctl releases` lists them",
            );
        };
        if state.live.as_ref() != Some(id) {
            check_failed(args.force, store, id)?;
        }
        return Ok(record);
    }
    if let Some(record) = previous(&ctx.host, store, layout, &state)? {
        return Ok(record);
    }
    refuse(
        match state.live {
            Some(live) => format!("there is no release before {live}"),
            None => "nothing is deployed".to_owned(),
        },
        "`sudo robotctl releases` lists what can be named; `sudo robotctl remove` takes the app away",
    )
}
