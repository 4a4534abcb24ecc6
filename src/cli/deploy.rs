//! `robotctl deploy`

use super::find::{Loaded, refuse};
use super::permit::{check_plan, check_refusals};
use super::rollback::with_way_back;
use super::{Ctx, Exit, preview};
use crate::app::App;
use crate::events::Subject;
use crate::host::{self, Batch};
use crate::payload::{IndexHeader, PreviousIndex};
use crate::plan::{Candidate, Observed, PayloadPlan, Plan, plan};
use crate::render::render;
use crate::session::Session;
use crate::stage::{
    Base, ScannedSource, Source, Stage, fill, is_staged, publish, release_id, scan,
};
use crate::store::{FORMAT, Mark, ReleaseRecord, Store, Stored};
use crate::transaction::{
    Operation, Outcome, accounts, apply, check_new_app_ownership, check_ownership, hooks, observe,
    precheck, prepare_secrets, programs, prune, soak, space,
};
use crate::tree::FileTree;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory or archive to release [default: the manifest's
    /// `release.source`]; where no other manifest is at hand, the app's
    /// directory with its robot.toml
    pub(super) source: Option<PathBuf>,
    /// Does what the plan says
    #[arg(long)]
    apply: bool,
    /// Only if the plan's hash is still this one
    #[arg(long, value_name = "HASH", requires = "apply")]
    pub(super) plan: Option<String>,
    /// Takes a release that failed before
    #[arg(long)]
    pub(super) force: bool,
    /// Takes services that a rollback pinned to another release along
    #[arg(long)]
    pub(super) lift_pins: bool,
    /// Waits this many seconds for another robotctl
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(super) wait: u64,
}

impl Args {
    /// Whether the host is to be changed.
    pub(super) fn is_change(&self) -> bool {
        self.apply
    }
}

/// A release that is ready to be planned, but for the digests that its draft lacks.
struct Prepared {
    source: Source,
    scanned: ScannedSource,
    tree: FileTree,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let loaded = ctx.load_for(args.source.as_deref())?;
    if !args.apply {
        let store = ctx.store(&loaded.app.name)?;
        let mut prepared = prepare(args, ctx, &loaded)?;
        check_new_app_ownership(&ctx.host, &store, &loaded.app, &prepared.tree)?;
        let (observed, unread) = prepared.look(ctx, &store, &loaded.app)?;
        if unread {
            prepared.scanned.hash(&prepared.source)?;
        }
        let id = prepared.id(&loaded.app);
        let mut plan = planned(ctx, &loaded, &prepared, &id, &observed)?;
        let (layout, deploy) = (&loaded.app.layout, &Operation::Deploy);
        with_way_back(ctx, &store, layout, &mut plan, deploy)?;
        preview::show(ctx, &plan);
        if !plan.is_empty() {
            check_refusals(args, &store, &plan)?;
            let live = observed.live.as_ref().map(|live| &live.app);
            let Prepared { scanned, tree, .. } = &prepared;
            preview::preflight(ctx, &loaded, &plan, live, &scanned.payload, tree)?;
            preview::print_apply_command(args, ctx, &plan);
        }
        return Ok(Exit::Done);
    }
    ctx.check_privileges()?;
    // Before the lock, which makes directories: what is refused here changes nothing.
    let mut prepared = prepare(args, ctx, &loaded)?;
    let store = Store::new(&ctx.host.root, &loaded.app.layout);
    check_new_app_ownership(&ctx.host, &store, &loaded.app, &prepared.tree)?;
    let wait = Duration::from_secs(args.wait);
    let exit = ctx.change(&loaded.app.name, "deploying", wait, |session| {
        deploy(args, ctx, session, &loaded, &mut prepared)
    });
    // The command ends: a hundred thousand paths are not given back one by one.
    std::mem::forget(prepared);
    exit
}

fn prepare(args: &Args, ctx: &Ctx, loaded: &Loaded) -> Result<Prepared> {
    let app = &loaded.app;
    let path = match &args.source {
        Some(source) if !loaded.is_source => source.clone(),
        _ => {
            let base = loaded.path.parent().unwrap_or(Path::new("."));
            base.join(app.release.source.as_str())
        }
    };
    let source = Source::at(&path)?;
    let scanned = scan(&source, &app.release)?;
    let tree = render(app, ctx.target(app))?;
    Ok(Prepared {
        source,
        scanned,
        tree,
    })
}

impl Prepared {
    /// Looks at the host, and takes over what is known since the live release was staged: of the
    /// whole when nobody touched the source, else of files. True when some are still to be read.
    fn look(&mut self, ctx: &Ctx, store: &Store, app: &App) -> Result<(Observed, bool)> {
        let mut observed = observe(&ctx.host, store, app, &self.tree)?;
        check_ownership(&ctx.host, app, &self.tree, &observed)?;
        if let Some(live) = &mut observed.live
            && let Some(index) = store.payload_index(&live.id)?
        {
            if observed.repair.is_none()
                && let Some(head) = IndexHeader::read(&index)
                && self.scanned.is_unchanged(&head)
                && self.id(app) == live.id
            {
                return Ok((observed, false));
            }
            live.payload = PreviousIndex::read(&index, &self.scanned.payload);
            live.payload
                .iter()
                .for_each(|previous| self.scanned.reuse_hashes(previous));
        }
        let unread = !self.scanned.is_hashed();
        Ok((observed, unread))
    }

    /// Copies the source to a staged tree.
    fn fill<'a>(&mut self, ctx: &'a Ctx, app: &App, base: Option<&Base<'_>>) -> Result<Stage<'a>> {
        let bar = ctx.printer.progress(self.scanned.payload.bytes());
        let stage = fill(&ctx.host, app, &self.source, &mut self.scanned, base, &bar)?;
        bar.finish_and_clear();
        Ok(stage)
    }

    fn id(&self, app: &App) -> String {
        release_id(app, &self.scanned.digest(), &self.tree.digest())
    }
}

fn planned(
    ctx: &Ctx,
    loaded: &Loaded,
    prepared: &Prepared,
    id: &str,
    observed: &Observed,
) -> Result<Plan> {
    let candidate = Candidate {
        id,
        app: &loaded.app,
        tree: &prepared.tree,
        payload: Some(&prepared.scanned.payload),
    };
    let plan = plan(&candidate, observed).with_commands(&loaded.app);
    Ok(match is_staged(&ctx.host, &loaded.app, id)? {
        true => plan.with_staged_release(),
        false => plan,
    })
}

fn deploy(
    args: &Args,
    ctx: &Ctx,
    session: &Session<'_>,
    loaded: &Loaded,
    prepared: &mut Prepared,
) -> Result<Exit> {
    let app = &loaded.app;
    let (mut observed, unread) = prepared.look(ctx, session.store, app)?;
    let mut stage = None;
    if unread && observed.live.is_none() && args.plan.is_none() {
        // Nothing can turn out to be there already: the files are read once, while copied.
        let need = PayloadPlan::first(&prepared.scanned.payload, app);
        space(&ctx.host, app, &need)?;
        prepare_secrets(&ctx.host, app, None)?;
        session.store.reserve();
        stage = Some(prepared.fill(ctx, app, None)?);
    } else if unread {
        prepared.scanned.hash(&prepared.source)?;
    }
    let id = prepared.id(app);
    let plan = planned(ctx, loaded, prepared, &id, &observed)?;
    if let Some(exit) = check_plan(args, ctx, session, &plan)? {
        if unread {
            remember(session, &id, prepared, &observed)?;
        }
        return Ok(exit);
    }
    let is_there = is_staged(&ctx.host, app, &id)?;
    let known = session.store.release(&id)?.filter(|_| is_there);
    if stage.is_none() {
        if !is_there {
            space(&ctx.host, app, &plan.payload)?;
        }
        let live = observed.live.as_ref().map(|live| &live.app);
        prepare_secrets(&ctx.host, app, live)?;
    }
    let message = format!("staging {id}");
    session.emit("info", "staging", Subject::release(&id), &message);
    if stage.is_none() && !is_there {
        let live = observed.live.as_ref();
        let base = live.and_then(|live| Some((live.id.as_str(), live.payload.as_ref()?)));
        let base = match base {
            // Lost from the disk: nothing can be shared with it.
            Some((id, _)) if !is_staged(&ctx.host, app, id)? => None,
            base => base,
        };
        let base = base.map(|(id, previous)| Base { id, previous });
        stage = Some(prepared.fill(ctx, app, base.as_ref())?);
    }
    let low_memory = std::mem::take(&mut observed.low_memory);
    drop(observed);
    let records = record(ctx, session, loaded, prepared, &id)?;
    session.store.reserve();
    let ready = || -> Result<()> {
        publish(&ctx.host, app, stage, &id, records)?;
        programs(&ctx.host, app, &id)?;
        preview::verify_rendered_units(ctx, loaded, &prepared.tree)
    };
    let ready = ready().and_then(|()| tried(ctx, session, &plan, app, &low_memory));
    if let Err(error) = ready {
        // What was there before this command may be needed, whatever the records tell of it.
        let undone = match (known, is_there) {
            (Some(record), _) => session.store.set_release(&record),
            (None, true) => Ok(()),
            (None, false) => discard(ctx, session, app, &id),
        };
        if let Err(second) = undone {
            ctx.printer
                .say(&format!("warning: {id} is still there: {second:#}"));
        }
        return Err(error);
    }
    for warning in &plan.warnings {
        ctx.printer.say(&format!("warning: {warning}"));
    }
    let outcome = defer_signals(|| apply(session, &plan, app, &prepared.tree, &Operation::Deploy))?;
    let exit = ended(ctx, &plan, outcome);
    if exit == Exit::Done {
        if let Some(span) = &app.release.soak {
            soak::start(session, app, &id, span);
        }
        // The deploy stands; what could not be pruned waits for the next time.
        if let Err(error) = prune(session, &app.layout, app.release.keep) {
            ctx.printer
                .say(&format!("warning: old releases were not pruned: {error:#}"));
        }
    }
    Ok(exit)
}

/// Tries the new release while nothing live has changed; Ctrl-C ends the trial.
fn tried(
    ctx: &Ctx,
    session: &Session<'_>,
    plan: &Plan,
    app: &App,
    low_memory: &BTreeMap<String, String>,
) -> Result<()> {
    let trial = || {
        let outcome = accounts(session, plan, app)
            .and_then(|()| hooks::before(session, plan, app))
            .and_then(|()| precheck(session, plan, app, ctx.target(app), low_memory));
        match host::interrupted() {
            true => refuse(
                "the deploy was interrupted, nothing was changed",
                "deploy again",
            ),
            false => outcome,
        }
    };
    defer_signals(|| host::interruptible(trial))
}

/// Keeps what was just read of the source, so that the next look at it is quick.
fn remember(
    session: &Session<'_>,
    id: &str,
    prepared: &mut Prepared,
    observed: &Observed,
) -> Result<()> {
    let known = observed.live.as_ref();
    if let Some(known) = known.and_then(|live| live.payload.as_ref()) {
        prepared.scanned.reuse_installed_stats(known);
    }
    session.store.set_payload(id, prepared.scanned.finish())
}

/// What the release is, to be written down before it is there: a record without a release is swept,
/// a release without a record would be a stranger that nobody removes.
fn record<'a>(
    ctx: &Ctx,
    session: &Session<'a>,
    loaded: &Loaded,
    prepared: &mut Prepared,
    id: &str,
) -> Result<Batch<'a>> {
    // The live release from a source that nobody touched: what is written down is right.
    let is_read = prepared.scanned.is_hashed();
    if is_read
        && is_staged(&ctx.host, &loaded.app, id)?
        && let Some(known) = session
            .store
            .previous_index(id, &prepared.scanned.payload)?
    {
        prepared.scanned.reuse_installed_stats(&known);
    }
    let known = session.store.release(id)?;
    let files = prepared.tree.iter();
    let record = ReleaseRecord {
        format: FORMAT,
        id: id.to_owned(),
        manifest: loaded.text.clone(),
        environment: ctx.environment.clone(),
        files: files
            .map(|(path, entry)| (path.to_owned(), Stored::new(entry)))
            .collect(),
        staged: host::stamp(),
        origin: match &prepared.source {
            Source::Directory(path) | Source::Archive(path) => path.display().to_string(),
        },
        // One that failed has done so until it proves otherwise.
        mark: match known {
            Some(record) => record.mark,
            None => session.store.failed(id)?.map_or(Mark::Staged, Mark::Bad),
        },
    };
    let payload = is_read.then(|| prepared.scanned.finish());
    session.store.prepare_release(&record, payload)
}

/// Takes away a release that this command staged and that never became live.
fn discard(ctx: &Ctx, session: &Session<'_>, app: &App, id: &str) -> Result<()> {
    ctx.host.root.discard(&app.layout.release(id))?;
    session.store.forget(id)
}

/// Runs what must not be torn: a lost terminal or Ctrl-C does not end it where it stands.
pub(super) fn defer_signals<T>(then: impl FnOnce() -> T) -> T {
    let held = host::hold_signals();
    let out = then();
    drop(held);
    out
}

/// Says how a change ended, and gives the exit code.
pub(super) fn ended(ctx: &Ctx, plan: &Plan, outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Done => Exit::Done,
        Outcome::Unrecorded(why) => {
            ctx.printer.always(&format!(
                "error: {} {} is live and healthy, and that could not be written down: {why}\n\n\
                 hint: make room, then: sudo robotctl recover",
                plan.app, plan.to
            ));
            Exit::Degraded
        }
        Outcome::Stuck { why, wrong } => {
            ctx.printer.always(&format!(
                "error: {} {} failed, and the release before it could not be put back: {wrong}\n\n\
                 hint: mend that (on a full disk, make room), then: sudo robotctl recover; the cause was: {why}",
                plan.app, plan.to
            ));
            Exit::Degraded
        }
        Outcome::RevertOutcome { why, degraded } => {
            let from = plan.from.as_deref();
            if let Some(wrong) = degraded {
                ctx.printer.always(&format!(
                    "error: {} {} failed, and what was put back is not healthy: {wrong}\n\n\
                     hint: look at `sudo robotctl status` and `sudo robotctl doctor`; the cause was: {why}",
                    plan.app, plan.to
                ));
                return Exit::Degraded;
            }
            let Some(from) = from else {
                ctx.printer.always(&format!(
                    "error: {} {} failed and was taken away again: {why}\n\n\
                     hint: mend it and deploy again",
                    plan.app, plan.to
                ));
                return Exit::Refused;
            };
            ctx.printer.always(&format!(
                "error: {} {} failed, {from} is back and healthy: {why}\n\n\
                 hint: mend it and deploy again; `journalctl -u '{}-*'` has the whole story",
                plan.app, plan.to, plan.app
            ));
            Exit::RolledBack
        }
    }
}
