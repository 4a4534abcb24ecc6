//! Staging a release and trying it, while the live one serves.

use super::of_package::package_of;
use super::prepared::Prepared;
use super::request::DeployRequest;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::events::Subject;
use crate::health::Proof;
use crate::host;
use crate::host::{Batch, defer_signals};
use crate::ops::accounts::create_accounts;
use crate::ops::context::Context;
use crate::ops::preflight;
use crate::ops::preflight::{create_secrets, remove_secrets};
use crate::plan::Plan;
use crate::sandbox::cost;
use crate::session::Session;
use crate::stage::{Base, Stage, is_staged, publish};
use crate::store::{FORMAT, Mark, PublicRelease, ReleaseRecord, Score, public_units};
use crate::transient::hooks;
use crate::transient::precheck::precheck;
use crate::tree::Stored;
use anyhow::Result;
use std::collections::BTreeSet;

/// Stages a first release before it has a name, so that its files are read only once. No plan can
/// turn out to be empty then.
pub(super) fn stage_early<'h>(
    ctx: &'h Context<'_>,
    request: &DeployRequest,
    session: &Session<'_>,
    prepared: &mut Prepared<'_>,
) -> Result<Option<Stage<'h>>> {
    let is_first = prepared.observed.live.is_none() && request.plan.is_none();
    if !(prepared.is_unread && is_first) {
        return Ok(None);
    }
    prepared.check_host_early(ctx)?;
    session.store.reserve();
    let stage = prepared.stage(ctx, None)?;
    prepared.is_staged_early = true;
    Ok(Some(stage))
}

/// Puts the release in place and tries it. What fails here is removed again; nothing live changes.
pub(super) fn stage_and_pre_check(
    ctx: &Context<'_>,
    session: &Session<'_>,
    prepared: &mut Prepared<'_>,
    plan: &Plan,
    early: Option<Stage<'_>>,
) -> Result<Proof, anyhow::Error> {
    let (app, id, store) = (prepared.app(), plan.to.as_str(), session.store);
    let exists = prepared.can_reuse(ctx, id)?;
    if !exists && is_staged(&ctx.host, app, id)? {
        let text = format!("{id} was changed on the disk, so it is staged again");
        ctx.note("warning", &plan.app, &text);
        discard(ctx, session, app, id)?;
    }
    let known = store.release(id)?.filter(|_| exists);
    let text = format!("staging {id}");
    session.emit("info", "staging", Subject::release(id), &text);
    let stage = match early {
        Some(stage) => Some(stage),
        None if exists => None,
        None => {
            let live = prepared.observed.live.take();
            let base = live
                .as_ref()
                .and_then(|live| Some((live.id.as_str(), live.payload.as_ref()?)));
            // A release that is missing on the disk has nothing to share.
            let base = match base {
                Some((id, _)) if !is_staged(&ctx.host, app, id)? => None,
                base => base.map(|(id, previous)| Base { id, previous }),
            };
            let stage = prepared.stage(ctx, base.as_ref())?;
            prepared.observed.live = live;
            Some(stage)
        }
    };
    let record = record(ctx, session, prepared, id)?;
    store.reserve();
    let mut created = Vec::new();
    let mut making = prepared.making.take();
    let try_it = || -> Result<Proof> {
        let mut build = |staging: &str, records: &mut Batch<'_>| {
            let Some(making) = &mut making else {
                return Ok(());
            };
            let built = making.run(ctx, app, staging)?;
            store.prepare_built(records, id, built)
        };
        publish(&ctx.host, app, stage, id, record, &mut build)?;
        preflight::check_programs(&ctx.host, app, id)?;
        create_secrets(&ctx.host, app, &mut created)?;
        pre_check(ctx, session, plan, prepared)
    };
    let error = match try_it() {
        Ok(proof) => return Ok(proof),
        Err(error) => error,
    };
    // A release that existed before this command may still be needed, whatever its record says.
    let undone = match (known, exists) {
        (Some(record), _) => store.set_release(&record),
        (None, true) => Ok(()),
        (None, false) => discard(ctx, session, app, id),
    };
    let undone = undone.and_then(|()| remove_secrets(&ctx.host, &created));
    if let Err(second) = undone {
        let text = format!("not everything of {id} was removed: {second:#}");
        ctx.note("warning", &plan.app, &text);
    }
    Err(error)
}

/// Tries the new release while the live one serves. Ctrl-C ends the pre-check.
pub(super) fn pre_check(
    ctx: &Context<'_>,
    session: &Session<'_>,
    plan: &Plan,
    prepared: &Prepared<'_>,
) -> Result<Proof> {
    let app = prepared.app();
    let observed = &prepared.observed;
    let run = || {
        let outcome = create_accounts(session, plan, app)
            .and_then(|()| give_access(session, plan, app))
            .and_then(|()| hooks::before_switch(session, plan, app))
            .and_then(|()| precheck(session, plan, app, ctx.target(app), observed));
        if host::interrupted() {
            let error = Error::new(Kind::Interrupted, "the deploy was interrupted");
            return Err(error
                .hint("what is live did not change: deploy again")
                .into());
        }
        outcome
    };
    let _guard = defer_signals();
    host::interruptible(run)
}

/// Lets the services read the release. The accounts of a first release, and of a tree, are created with
/// the switch.
fn give_access(session: &Session<'_>, plan: &Plan, app: &App) -> Result<()> {
    if session.host.is_offline() || plan.from.is_none() {
        return Ok(());
    }
    session.store.give_access(&plan.to, &[app])
}

/// The record of the release, to be written before the release gets its name: `clean_up` removes a
/// record without a release, but nothing would remove a release without a record.
pub(super) fn record<'a>(
    ctx: &Context<'_>,
    session: &Session<'a>,
    prepared: &mut Prepared<'_>,
    id: &str,
) -> Result<Batch<'a>> {
    let (app, store) = (prepared.app(), session.store);
    // A live release from a source that was not touched: what is recorded is right.
    let is_read = prepared.scanned.is_hashed();
    if is_read && is_staged(&ctx.host, app, id)? {
        match store.previous_index(id, &prepared.scanned.payload)? {
            Some(known) => prepared.scanned.reuse_installed_stats(&known),
            // A copy that was made before the plan is dropped: the release on the disk has other files.
            None => prepared.scanned.clear_installed_stats(),
        }
    }
    // A release that failed stays marked until it succeeds.
    let (mark, unproved) = match store.public_release(id)? {
        Some(known) => (known.mark, known.unproved),
        None => {
            let failed = store.failure_reason(id)?;
            (failed.map_or(Mark::Staged, Mark::Failed), BTreeSet::new())
        }
    };
    let files = prepared.base_tree.iter();
    let record = ReleaseRecord {
        public: PublicRelease {
            format: FORMAT,
            id: id.to_owned(),
            version: app.version.to_string(),
            environment: ctx.options.environment.clone(),
            archive: prepared.source.provenance().cloned(),
            staged: host::stamp(),
            mark,
            unproved,
            units: public_units(app),
            scores: scores(ctx, app)?,
        },
        manifest: prepared.loaded.text.clone(),
        files: files
            .map(|(path, entry)| (path.to_owned(), Stored::new(entry)))
            .collect(),
        origin: match package_of(store, prepared)? {
            Some(package) => package.origin(),
            None => prepared.source.path().display().to_string(),
        },
        on_host: None,
    };
    let payload = is_read.then(|| prepared.scanned.finish());
    store.prepare_release(&record, payload)
}

pub(super) fn scores(ctx: &Context<'_>, app: &App) -> Result<Vec<Score>> {
    let accounts = cost::score_app(app, ctx.target(app), &[])?;
    let score = |account: cost::ScoreReport| Score {
        unit: account.unit,
        score: account.score,
    };
    Ok(accounts.into_iter().map(score).collect())
}

/// Removes a release that this command staged and that never became live.
pub(super) fn discard(ctx: &Context<'_>, session: &Session<'_>, app: &App, id: &str) -> Result<()> {
    ctx.host.root.discard(&app.layout.release(id))?;
    session.store.remove_release_record(id)
}
