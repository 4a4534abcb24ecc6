//! `rollback`: an earlier release goes live again, for the whole app or for one service.

use super::attempt::AttemptKind;
use super::choose_release::{check_failed, named_release, previous_after};
use super::context::{Context, WritableApp};
use super::observe::{observe, same_built_files};
use super::outcome::{Changed, ended};
use super::ownership::check_ownership;
use super::preflight::{at_program_in, note_in, refuse, warn_of_unmet};
use crate::app::{App, Layout, Name, Service, Socket};
use crate::archive::Signers;
use crate::command_line::CommandLine;
use crate::doctor::ask_before;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::failure::Failure;
use crate::health::{Proof, report_failure};
use crate::host::defer_signals;
use crate::plan::{Action, Candidate, Observed, Overlap, PayloadPlan, Plan, UnitPlan, plan};
use crate::prerequisites::{PlannedChange, check_mounted};
use crate::render::{ReleaseMount, execstart, execstart_path, render};
use crate::session::Session;
use crate::settings::host_overlay;
use crate::store::{Mark, ReleaseRecord, Store};
use crate::transaction::{self, CallerInput, Operation};
use crate::tree::{Entry, FileChange, FileTree, Stored};
use anyhow::Result;
use std::time::Duration;

/// The options of a rollback.
#[derive(Debug, Clone, Default)]
pub(crate) struct RollbackRequest {
    /// The release, or the beginning of its id; the previous one when none is named.
    pub(crate) release: Option<String>,
    /// The one service to roll back.
    pub(crate) service: Option<String>,
    /// Also takes a named release that failed before.
    pub(crate) force: bool,
    /// How long to wait for another `robotctl`.
    pub(crate) wait: Duration,
}

/// What a rollback would do.
#[derive(Debug)]
pub(crate) struct Preview {
    /// The plan.
    pub(crate) plan: Plan,
    /// What to say when the plan is empty.
    pub(crate) nothing: String,
}

/// A rollback that is ready to be applied.
struct Prepared {
    app: App,
    tree: FileTree,
    plan: Plan,
    operation: Operation,
    nothing: String,
    proof: Proof,
    observed: Observed,
}

/// Shows what a rollback would do. Changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when no release can be taken.
pub(crate) fn preview(ctx: &Context<'_>, request: &RollbackRequest) -> Result<Preview, Error> {
    let look = || -> Result<Preview> {
        let name = ctx.selected_app()?;
        ctx.check_host()?;
        ctx.check_deployed(&name)?;
        let writable = check_app_writable(ctx, request, &name)?;
        ctx.check_preview(&writable, request.wait)?;
        let store = ctx.store(&name);
        let mut prepared = prepare(ctx, request, &store, &name, true)?;
        let Prepared {
            plan, operation, ..
        } = &mut prepared;
        plan.rollback_target = previous_after(&store, plan, operation)?;
        Ok(Preview {
            plan: prepared.plan,
            nothing: prepared.nothing,
        })
    };
    look().nothing_changed()
}

/// Rolls back.
///
/// # Errors
/// Its kind says what is live.
pub(crate) fn apply(ctx: &Context<'_>, request: &RollbackRequest) -> Result<Changed, Error> {
    ctx.record_attempt(AttemptKind::Rollback, || change(ctx, request))
}

fn change(ctx: &Context<'_>, request: &RollbackRequest) -> Result<Changed, Error> {
    let name = ctx.selected_app().nothing_changed()?;
    ctx.check_privileges().nothing_changed()?;
    ctx.check_deployed(&name).nothing_changed()?;
    let writable = check_app_writable(ctx, request, &name).nothing_changed()?;
    ctx.change(
        &writable,
        "rolling back",
        request.wait,
        |session, report| {
            if report.is_deploy_undone && request.release.is_none() && request.service.is_none() {
                return undone(session, &name);
            }
            let prepared = prepare(ctx, request, session.store, &name, false).nothing_changed()?;
            ctx.attempt.set_plan(prepared.plan.hash());
            run(session, prepared)
        },
    )
}

/// The rollback of a deploy that was interrupted: recovery has just restored the previous release. To
/// go on would skip that release.
fn undone(session: &Session<'_>, name: &Name) -> Result<Changed, Error> {
    let live = session.store.state()?.live;
    let live = live.unwrap_or_else(|| "no release".to_owned());
    Ok(Changed::Nothing(format!(
        "the interrupted deploy was undone: {name} {live} is live; repeat the command to go back one \
         more release"
    )))
}

/// Rolls back from a release that failed after its deploy had ended, unless it is no longer live.
///
/// # Errors
/// [`Kind::RolledBack`] when the previous release was restored: the release failed.
pub(super) fn undo(ctx: &Context<'_>, name: &Name, bad: &str, why: &Failure) -> Result<(), Error> {
    let wait = Duration::from_secs(600);
    let writable = ctx.check_app_writable(name).nothing_changed()?;
    ctx.change(&writable, "rolling back", wait, |session, _| {
        if session.store.state()?.live.as_deref() != Some(bad) {
            return Ok(());
        }
        let request = RollbackRequest::default();
        let app = session.store.release(bad)?;
        let app = app.map(|record| record.app()).transpose()?;
        if report_failure(session, bad, app.as_ref(), why).is_none() {
            let mark = Mark::Failed(why.summary().to_owned());
            session.store.set_mark(bad, mark)?;
        }
        let record = target(&request, ctx, session.store, name)?;
        let mut prepared = whole_app(ctx, session.store, &record, false)?;
        check_host(ctx, &mut prepared, Faults::Warn)?;
        let to = prepared.plan.to.clone();
        run(session, prepared)?;
        Err(Error::new(
            Kind::RolledBack,
            format!("{name} {bad} failed, {to} was restored and is healthy: {why}"),
        )
        .hint("fix the cause and deploy again"))
    })
}

fn prepare(
    ctx: &Context<'_>,
    request: &RollbackRequest,
    store: &Store,
    name: &Name,
    with_content: bool,
) -> Result<Prepared> {
    let record = target(request, ctx, store, name)?;
    let mut prepared = match &request.service {
        Some(service) => one_service(ctx, store, &record, service)?,
        None => whole_app(ctx, store, &record, with_content)?,
    };
    if !prepared.plan.is_empty() {
        check_host(ctx, &mut prepared, Faults::Refuse)?;
    }
    Ok(prepared)
}

/// What happens when the host lacks something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Faults {
    /// The rollback is refused.
    Refuse,
    /// The rollback tries all the same: what is live has failed.
    Warn,
}

/// Refuses directories that every change writes to and that cannot be written, with everything else that
/// prevents this one.
fn check_app_writable(
    ctx: &Context<'_>,
    request: &RollbackRequest,
    name: &Name,
) -> Result<WritableApp> {
    let error = match ctx.check_app_writable(name) {
        Ok(writable) => return Ok(writable),
        Err(error) => error,
    };
    prepare(ctx, request, &ctx.store(name), name, false)?;
    Err(error)
}

/// Refuses what the host lacks for the release, and adds to the plan what it should say.
fn check_host(ctx: &Context<'_>, prepared: &mut Prepared, faults_are: Faults) -> Result<()> {
    let Prepared {
        app,
        tree,
        plan,
        observed,
        ..
    } = &*prepared;
    let faults = ask_before(&PlannedChange {
        host: &ctx.host,
        app,
        tree,
        plan,
        observed,
        in_release: &|rest| at_program_in(&ctx.host, app, &plan.to, rest),
        is_new: false,
        is_rollback: true,
    })?;
    if faults_are == Faults::Refuse {
        refuse(&faults)?;
    }
    note_in(&mut prepared.plan, &faults);
    warn_of_unmet(&ctx.host, &prepared.app, &mut prepared.plan);
    Ok(())
}

fn run(session: &Session<'_>, prepared: Prepared) -> Result<Changed, Error> {
    let Prepared {
        app,
        tree,
        plan,
        operation,
        nothing,
        proof,
        observed: _,
    } = prepared;
    if plan.is_empty() {
        return Ok(Changed::Nothing(nothing));
    }
    let guard = defer_signals();
    let steps = CallerInput::none(proof);
    let outcome = transaction::apply(session, &plan, &app, &tree, &operation, &steps);
    drop(guard);
    // An error means that the change did not begin.
    ended(
        session.host,
        &plan,
        outcome.nothing_changed()?,
        "fix the cause and roll back again, or name an earlier release",
    )
}

/// A release that was good before need not stay up for long again, but for services that were down then.
fn proof_of(record: &ReleaseRecord) -> Proof {
    match record.public.mark {
        Mark::Good => Proof::of_good_release(record.public.unproved.clone()),
        Mark::Failed(_) | Mark::Staged => Proof::default(),
    }
}

/// An earlier release with the overlay that this host has now. Without an overlay, the files are those that were
/// recorded.
fn on_this_host(ctx: &Context<'_>, record: &ReleaseRecord) -> Result<(App, FileTree)> {
    let app = record.app_with(None)?;
    let Some(overlay) = host_overlay(&ctx.host.root, &app.layout)? else {
        return Ok((app, record.tree_without_overlay()?));
    };
    let app = record.app_with(Some(&overlay))?;
    let tree = render(&app, ctx.target(&app))?;
    Ok((app, tree))
}

/// The whole app goes to an earlier release. Only a preview needs the content of both.
fn whole_app(
    ctx: &Context<'_>,
    store: &Store,
    record: &ReleaseRecord,
    with_content: bool,
) -> Result<Prepared> {
    let id = &record.public.id;
    let (app, tree) = on_this_host(ctx, record)?;
    let mut observed = observe(&ctx.host, store, &app, &tree)?;
    check_ownership(&ctx.host, &app, &tree, &observed)?;
    // Only a deploy generates secrets.
    observed.missing_secrets.clear();
    let compares = app.services.iter().any(|service| service.files.is_some());
    let payload = if with_content || compares {
        store.payload(id)?
    } else {
        None
    };
    if let (Some(live), Some(new)) = (&mut observed.live, &payload) {
        live.payload = store.previous_index(&live.id, new)?;
    }
    let candidate = Candidate {
        id,
        app: &app,
        tree: &tree,
        payload: payload.as_ref(),
    };
    observed.same_built_files = same_built_files(&ctx.host, &candidate, &observed)?;
    let mut plan = plan(&candidate, &observed).with_staged_release();
    plan.archive.clone_from(&record.public.archive);
    note_unsigned(ctx, record, &mut plan);
    Ok(Prepared {
        plan,
        nothing: format!("nothing to do: {} {id} is live", app.name),
        operation: Operation::Rollback,
        proof: proof_of(record),
        app,
        tree,
        observed,
    })
}

/// Says that no signature was verified for a release, where a deploy would need one now. A rollback must work all the
/// same: root deployed that release under an earlier rule.
fn note_unsigned(ctx: &Context<'_>, record: &ReleaseRecord, plan: &mut Plan) {
    let is_signed = record
        .public
        .archive
        .as_ref()
        .is_some_and(|archive| archive.signer.is_some());
    let signers = Signers::of(&ctx.host.root, &plan.app).ok().flatten();
    if let Some(signers) = signers.filter(|_| !is_signed) {
        plan.notes.push(format!(
            "{} was deployed without a signature, which `{}` asks of new releases",
            plan.to, signers.allowed.path
        ));
    }
}

/// One service goes to an earlier release: only its `05-execstart.conf` changes.
fn one_service(
    ctx: &Context<'_>,
    store: &Store,
    record: &ReleaseRecord,
    name: &str,
) -> Result<Prepared> {
    let id = &record.public.id;
    let Some(live) = store.state()?.live else {
        return fail(
            "no release is live, so no service can be rolled back alone",
            "roll back the whole app: the same command without `--service`",
        );
    };
    let Some(current) = store.release(&live)? else {
        return fail(
            format!("the live release {live} has no record"),
            Hint::to("find out what to do", CommandLine::robotctl(["doctor"])),
        );
    };
    let (app, tree) = (current.app()?, current.tree()?);
    let old = record.app_with(app.overlay.as_ref())?;
    let (Some(service), true) = (old.service(name), app.service(name).is_some()) else {
        return fail(
            format!("{live} and {id} do not both have a service `{name}`"),
            Hint::to("list the services", CommandLine::robotctl(["status"])),
        );
    };
    let unit = app.unit(service);
    let path = execstart_path(&unit);
    let text = execstart(&old, service, ReleaseMount::Pinned(id))? + "\n";
    let before = ctx.host.root.entry(&path)?;
    let after = Entry::file(text);
    let changes = before.as_ref() != Some(&after);
    let observed = observe(&ctx.host, store, &app, &tree)?;
    let restarts = changes && service.is_daemon() && observed.active.contains(&unit);
    let overlap = match app.service(name) {
        Some(live) => Overlap::of(&observed, &app, Some(service), live, |socket| {
            observed.active.contains(socket)
        }),
        None => Overlap::No,
    };
    let file = FileChange {
        path,
        before: before.as_ref().map(Stored::new),
        after: Some(Stored::new(&after)),
    };
    let plan = Plan {
        outputs: Vec::new(),
        archive: record.public.archive.clone(),
        repair: None,
        app: app.name.to_string(),
        version: app.version.to_string(),
        from: Some(live.clone()),
        to: live,
        payload: PayloadPlan::default(),
        manifest: Vec::new(),
        overlay: None,
        files: Some(file).filter(|_| changes).into_iter().collect(),
        units: pinned_units(&app, service, id, restarts.then_some(overlap)),
        commands: Vec::new(),
        accounts: observed.missing.clone(),
        secrets: Vec::new(),
        // The unit keeps the rights of the live release: only its commands change.
        rights: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        rollback_target: None,
    };
    Ok(Prepared {
        nothing: format!("nothing to do: `{unit}` is pinned to {id}"),
        operation: Operation::Pin {
            service: name.to_owned(),
            release: id.clone(),
        },
        proof: proof_of(record),
        plan,
        app,
        tree,
        observed,
    })
}

/// The units of a service that is pinned. A proxy restarts with its server.
fn pinned_units(app: &App, service: &Service, id: &str, restart: Option<Overlap>) -> Vec<UnitPlan> {
    let unit = |unit: String, action: Action, why: String| UnitPlan {
        unit,
        service: Some(service.name.to_string()),
        action,
        settings: None,
        runs: None,
        why,
    };
    let action = match restart {
        None => Action::Unchanged,
        Some(Overlap::Yes) => Action::Overlap,
        Some(_) => Action::Restart,
    };
    let mut why = format!("pinned to {id}");
    if let Some(obstacle) = restart.and_then(Overlap::obstacle) {
        why += &format!("; {obstacle}");
    }
    let mut units = vec![unit(app.unit(service), action, why)];
    if restart.is_some() && service.socket == Socket::Proxy {
        let why = "restarts with its server".to_owned();
        units.push(unit(app.proxy_unit(service), Action::Restart, why));
    }
    units
}

/// The target of a rollback: the named release, or the previous one.
fn target(
    request: &RollbackRequest,
    ctx: &Context<'_>,
    store: &Store,
    name: &Name,
) -> Result<ReleaseRecord> {
    let layout = &Layout::new(name);
    let state = store.state()?;
    check_mounted(&ctx.host.root, layout)?;
    let list = || Hint::to("list the releases", CommandLine::robotctl(["releases"]));
    let Some(wanted) = &request.release else {
        let damaged = |id: &str, error: &anyhow::Error| {
            let text = format!("{id} is skipped: {error:#}");
            ctx.note("warning", name.as_str(), &text);
        };
        if let Some(record) = store.previous_release(&state, &damaged)? {
            return Ok(record);
        }
        return match state.live {
            Some(live) if state.previous.is_empty() => fail(
                format!("{live} has no previous release: it is the first one of `{name}`"),
                match store.releases()?.len() {
                    0 | 1 => Hint::to(
                        "deploy another release; a rollback then restores this one",
                        CommandLine::sudo_robotctl(["deploy"]),
                    ),
                    _ => list(),
                },
            ),
            Some(live) => fail(format!("{live} has no previous release"), list()),
            None => fail("no release is live", list()),
        };
    };
    let id = &named_release(store, wanted)?;
    let meta = ctx.host.root.meta(&layout.release(id))?;
    let record = match meta {
        Some(meta) if meta.is_dir => store.release(id)?,
        _ => None,
    };
    let Some(record) = record else {
        return fail(
            format!("release {id} is no longer on this host"),
            Hint::to(
                "deploy it again from its source, or choose another release",
                CommandLine::robotctl(["releases"]),
            ),
        );
    };
    if state.live.as_ref() != Some(id) {
        let again = CommandLine::sudo_robotctl(["rollback", id.as_str(), "--force"]);
        let hint = Hint::to("restore it all the same", again);
        check_failed(request.force, store, id, hint)?;
        if !request.force {
            store.check_complete(id)?;
        }
    }
    Ok(record)
}
