//! `robotctl deploy`

use super::find::{Loaded, refuse};
use super::permit::{permitted, willing};
use super::rollback::with_way_back;
use super::{Ctx, Exit, preview};
use crate::transaction::{
    Subject, Operation, Outcome, Work, accounts, apply, hooks, newcomer, observe, precheck,
    preflight, programs, prune, soak, space, strangers,
};
use crate::host::{self, Batch};
use crate::app::App;
use crate::plan::{Candidate, Observed, PayloadPlan, Plan, plan};
use crate::store::{Store, FORMAT, Mark, ReleaseRecord, Stored};
use crate::render::render;
use crate::stage::{
    Base, Draft, Filled, Head, Older, Source, fill, is_staged, publish, release_id, scan,
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
    draft: Draft,
    tree: FileTree,
}

pub(super) fn run(args: &Args, ctx: &Ctx) -> Result<Exit> {
    let loaded = ctx.load_for(args.source.as_deref())?;
    if !args.apply {
        let book = ctx.book(&loaded.app.name)?;
        let mut prepared = prepare(args, ctx, &loaded)?;
        newcomer(&ctx.host, &book, &loaded.app, &prepared.tree)?;
        let (observed, unread) = prepared.look(ctx, &book, &loaded.app)?;
        if unread {
            prepared.draft.hash(&prepared.source)?;
        }
        let id = prepared.id(&loaded.app);
        let mut plan = planned(ctx, &loaded, &prepared, &id, &observed)?;
        let (layout, deploy) = (&loaded.app.layout, &Operation::Deploy);
        with_way_back(ctx, &book, layout, &mut plan, deploy)?;
        preview::show(ctx, &plan);
        if !plan.is_empty() {
            willing(args, &book, &plan)?;
            let live = observed.live.as_ref().map(|live| &live.app);
            let Prepared { draft, tree, .. } = &prepared;
            preview::foresee(ctx, &loaded, &plan, live, &draft.payload, tree)?;
            preview::invite(args, ctx, &plan);
        }
        return Ok(Exit::Done);
    }
    ctx.may_change()?;
    // Before the lock, which makes directories: what is refused here changes nothing.
    let mut prepared = prepare(args, ctx, &loaded)?;
    let book = Store::new(&ctx.host.root, &loaded.app.layout);
    newcomer(&ctx.host, &book, &loaded.app, &prepared.tree)?;
    let wait = Duration::from_secs(args.wait);
    let exit = ctx.change(&loaded.app.name, "deploying", wait, |work| {
        deploy(args, ctx, work, &loaded, &mut prepared)
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
    let draft = scan(&source, &app.release)?;
    let tree = render(app, ctx.target(app))?;
    Ok(Prepared {
        source,
        draft,
        tree,
    })
}

impl Prepared {
    /// Looks at the host, and takes over what is known since the live release was staged: of the
    /// whole when nobody touched the source, else of files. True when some are still to be read.
    fn look(&mut self, ctx: &Ctx, book: &Store, app: &App) -> Result<(Observed, bool)> {
        let mut observed = observe(&ctx.host, book, app, &self.tree)?;
        strangers(&ctx.host, app, &self.tree, &observed)?;
        if let Some(live) = &mut observed.live
            && let Some(index) = book.payload_index(&live.id)?
        {
            if observed.repair.is_none()
                && let Some(head) = Head::read(&index)
                && self.draft.recognise(&head)
                && self.id(app) == live.id
            {
                return Ok((observed, false));
            }
            live.payload = Older::read(&index, &self.draft.payload);
            live.payload
                .iter()
                .for_each(|older| self.draft.recall(older));
        }
        let unread = !self.draft.is_hashed();
        Ok((observed, unread))
    }

    /// Copies the source to a staged tree.
    fn fill<'a>(&mut self, ctx: &'a Ctx, app: &App, base: Option<&Base<'_>>) -> Result<Filled<'a>> {
        let bar = ctx.printer.progress(self.draft.payload.bytes());
        let filled = fill(&ctx.host, app, &self.source, &mut self.draft, base, &bar)?;
        bar.finish_and_clear();
        Ok(filled)
    }

    fn id(&self, app: &App) -> String {
        release_id(app, &self.draft.digest(), &self.tree.digest())
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
        payload: Some(&prepared.draft.payload),
    };
    let plan = plan(&candidate, observed).with_commands(&loaded.app);
    Ok(match is_staged(&ctx.host, &loaded.app, id)? {
        true => plan.of_what_is_there(),
        false => plan,
    })
}

fn deploy(
    args: &Args,
    ctx: &Ctx,
    work: &Work<'_>,
    loaded: &Loaded,
    prepared: &mut Prepared,
) -> Result<Exit> {
    let app = &loaded.app;
    let (mut observed, unread) = prepared.look(ctx, work.book, app)?;
    let mut filled = None;
    if unread && observed.live.is_none() && args.plan.is_none() {
        // Nothing can turn out to be there already: the files are read once, while copied.
        let need = PayloadPlan::first(&prepared.draft.payload, app);
        space(&ctx.host, app, &need)?;
        preflight(&ctx.host, app, None)?;
        work.book.reserve();
        filled = Some(prepared.fill(ctx, app, None)?);
    } else if unread {
        prepared.draft.hash(&prepared.source)?;
    }
    let id = prepared.id(app);
    let plan = planned(ctx, loaded, prepared, &id, &observed)?;
    if let Some(exit) = permitted(args, ctx, work, &plan)? {
        if unread {
            remember(work, &id, prepared, &observed)?;
        }
        return Ok(exit);
    }
    let is_there = is_staged(&ctx.host, app, &id)?;
    let known = work.book.release(&id)?.filter(|_| is_there);
    if filled.is_none() {
        if !is_there {
            space(&ctx.host, app, &plan.payload)?;
        }
        let live = observed.live.as_ref().map(|live| &live.app);
        preflight(&ctx.host, app, live)?;
    }
    let message = format!("staging {id}");
    work.tell("info", "staging", Subject::release(&id), &message);
    if filled.is_none() && !is_there {
        let live = observed.live.as_ref();
        let base = live.and_then(|live| Some((live.id.as_str(), live.payload.as_ref()?)));
        let base = match base {
            // Lost from the disk: nothing can be shared with it.
            Some((id, _)) if !is_staged(&ctx.host, app, id)? => None,
            base => base,
        };
        let base = base.map(|(id, older)| Base { id, older });
        filled = Some(prepared.fill(ctx, app, base.as_ref())?);
    }
    let tight = std::mem::take(&mut observed.tight);
    drop(observed);
    let records = record(ctx, work, loaded, prepared, &id)?;
    work.book.reserve();
    let ready = || -> Result<()> {
        publish(&ctx.host, app, filled, &id, records)?;
        programs(&ctx.host, app, &id)?;
        preview::understood(ctx, loaded, &prepared.tree)
    };
    let ready = ready().and_then(|()| tried(ctx, work, &plan, app, &tight));
    if let Err(error) = ready {
        // What was there before this command may be needed, whatever the records tell of it.
        let undone = match (known, is_there) {
            (Some(record), _) => work.book.set_release(&record),
            (None, true) => Ok(()),
            (None, false) => discard(ctx, work, app, &id),
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
    let outcome = guarded(|| apply(work, &plan, app, &prepared.tree, &Operation::Deploy))?;
    let exit = ended(ctx, &plan, outcome);
    if exit == Exit::Done {
        if let Some(span) = &app.release.soak {
            soak::start(work, app, &id, span);
        }
        // The deploy stands; what could not be pruned waits for the next time.
        if let Err(error) = prune(work, &app.layout, app.release.keep) {
            ctx.printer
                .say(&format!("warning: old releases were not pruned: {error:#}"));
        }
    }
    Ok(exit)
}

/// Tries the new release while nothing live has changed; Ctrl-C ends the trial.
fn tried(
    ctx: &Ctx,
    work: &Work<'_>,
    plan: &Plan,
    app: &App,
    tight: &BTreeMap<String, String>,
) -> Result<()> {
    let trial = || {
        let outcome = accounts(work, plan, app)
            .and_then(|()| hooks::before(work, plan, app))
            .and_then(|()| precheck(work, plan, app, ctx.target(app), tight));
        match host::interrupted() {
            true => refuse(
                "the deploy was interrupted, nothing was changed",
                "deploy again",
            ),
            false => outcome,
        }
    };
    guarded(|| host::heeding_signals(trial))
}

/// Keeps what was just read of the source, so that the next look at it is quick.
fn remember(work: &Work<'_>, id: &str, prepared: &mut Prepared, observed: &Observed) -> Result<()> {
    let known = observed.live.as_ref();
    if let Some(known) = known.and_then(|live| live.payload.as_ref()) {
        prepared.draft.payload.placed_as(known);
    }
    work.book.set_payload(id, prepared.draft.finish())
}

/// What the release is, to be written down before it is there: a record without a release is swept,
/// a release without a record would be a stranger that nobody removes.
fn record<'a>(
    ctx: &Ctx,
    work: &Work<'a>,
    loaded: &Loaded,
    prepared: &mut Prepared,
    id: &str,
) -> Result<Batch<'a>> {
    // The live release from a source that nobody touched: what is written down is right.
    let is_read = prepared.draft.is_hashed();
    if is_read
        && is_staged(&ctx.host, &loaded.app, id)?
        && let Some(known) = work.book.older(id, &prepared.draft.payload)?
    {
        prepared.draft.payload.placed_as(&known);
    }
    let known = work.book.release(id)?;
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
            None => work.book.failed(id)?.map_or(Mark::Staged, Mark::Bad),
        },
    };
    let payload = is_read.then(|| prepared.draft.finish());
    work.book.release_begun(&record, payload)
}

/// Takes away a release that this command staged and that never became live.
fn discard(ctx: &Ctx, work: &Work<'_>, app: &App, id: &str) -> Result<()> {
    ctx.host.root.discard(&app.layout.release(id))?;
    work.book.forget(id)
}

/// Runs what must not be torn: a lost terminal or Ctrl-C does not end it where it stands.
pub(super) fn guarded<T>(then: impl FnOnce() -> T) -> T {
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
        Outcome::Back { why, degraded } => {
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
