//! Applying a deploy: prepare, stage, commit.

use super::of_package::{leaves_alone, record_tried};
use super::prepared::Prepared;
use super::request::DeployRequest;
use super::same_rights::{check_live_rights, check_rights, find, load};
use super::staging::{stage_and_pre_check, stage_early};
use crate::error::Claim as _;
use crate::error::Error;
use crate::events::Subject;
use crate::health::Proof;
use crate::host::defer_signals;
use crate::ops::attempt::AttemptKind;
use crate::ops::context::Context;
use crate::ops::doctor::name_errors;
use crate::ops::outcome::{Changed, ended};
use crate::ops::prune;
use crate::ops::soak;
use crate::plan::Plan;
use crate::session::Session;
use crate::transaction;
use crate::transaction::{CallerInput, Operation};
use crate::transient::hooks;
use anyhow::Result;

/// Deploys a release.
///
/// # Errors
/// Its kind says what is live.
pub(crate) fn apply(ctx: &Context<'_>, request: &DeployRequest) -> Result<Changed, Error> {
    ctx.record_attempt(AttemptKind::Deploy, || change(ctx, request))
}

fn change(ctx: &Context<'_>, request: &DeployRequest) -> Result<Changed, Error> {
    let loaded_source = load(ctx, request).nothing_changed()?;
    let loaded = &loaded_source.0;
    ctx.check_privileges().nothing_changed()?;
    ctx.check_answers(&loaded.app.name).nothing_changed()?;
    // Before the lock, which creates directories.
    let store = ctx.store(&loaded.app.name);
    let source = find(ctx, request, &loaded_source).nothing_changed()?;
    ctx.attempt.set_source(source.0.path());
    // Before root lists a directory that the user may not read.
    check_live_rights(request, loaded, &store, &source).nothing_changed()?;
    ctx.attempt.set_revision_of(source.0.path());
    let mut prepared = Prepared::scan(ctx, loaded, &store, request, source).nothing_changed()?;
    let writable = prepared
        .check_app_writable(ctx, request, &store)
        .nothing_changed()?;
    let changed = ctx.change(&writable, "deploying", request.wait, |session, _| {
        deploy(ctx, request, session, &mut prepared)
    })?;
    name_errors(ctx, &loaded.app.name);
    Ok(changed)
}

pub(super) fn deploy(
    ctx: &Context<'_>,
    request: &DeployRequest,
    session: &Session<'_>,
    prepared: &mut Prepared<'_>,
) -> Result<Changed, Error> {
    let store = session.store;
    prepared.observe(ctx, store).nothing_changed()?;
    // Before anything is staged.
    check_rights(request, prepared.app(), &prepared.observed).nothing_changed()?;
    let early = stage_early(ctx, request, session, prepared).nothing_changed()?;
    if early.is_none() {
        prepared.hash().nothing_changed()?;
    }
    let plan = prepared.plan(ctx).nothing_changed()?;
    ctx.attempt.set_plan(plan.hash());
    if let Some(text) = leaves_alone(request, store, prepared, &plan).nothing_changed()? {
        return Ok(Changed::Nothing(text));
    }
    prepared
        .refusal(ctx, request, store, &plan)
        .nothing_changed()?;
    if plan.is_empty() {
        keep_hashes(session, &plan.to, prepared)?;
        for warning in &plan.warnings {
            ctx.note("warning", &plan.app, warning);
        }
        let text = format!("nothing to do: {} {} is live", plan.app, plan.to);
        let ended = Ok(Changed::Nothing(text));
        record_tried(store, prepared, &plan.to, &ended)?;
        return ended;
    }
    let proof = stage_and_pre_check(ctx, session, prepared, &plan, early).nothing_changed()?;
    let plan = prepared
        .plan_with_built_files(ctx, plan)
        .nothing_changed()?;
    for warning in &plan.warnings {
        ctx.note("warning", &plan.app, warning);
    }
    let ended = commit(session, prepared, &plan, proof);
    // A record that cannot be written costs another attempt, and must not hide how this one ended.
    if let Err(error) = record_tried(store, prepared, &plan.to, &ended) {
        let text = format!("the version of the package was not recorded: {error:#}");
        ctx.note("warning", &plan.app, &text);
    }
    ended
}

/// Switches to the release, checks it, and ends the deploy.
pub(super) fn commit(
    session: &Session<'_>,
    prepared: &Prepared<'_>,
    plan: &Plan,
    proof: Proof,
) -> Result<Changed, Error> {
    let app = prepared.app();
    let steps = CallerInput {
        before_start: &|| hooks::before_first_switch(session, plan, app),
        after_start: &|| hooks::after_switch(session, plan, app),
        proof,
    };
    let guard = defer_signals();
    let deploy = Operation::Deploy;
    let outcome = transaction::apply(session, plan, app, &prepared.tree, &deploy, &steps);
    drop(guard);
    // An error means that the change did not begin.
    let outcome = outcome.nothing_changed()?;
    let changed = ended(
        session.host,
        plan,
        outcome,
        "fix the cause and deploy again",
    )?;
    if let Some(span) = &app.release.soak {
        soak::start(session, app, &plan.to, span);
    }
    // Releases that could not be pruned wait for the next time.
    if let Err(error) = prune::remove_old_releases(session, &app.layout, app.release.keep) {
        let text = format!("old releases were not pruned: {}", error.message);
        session.emit("warning", "note", Subject::default(), &text);
    }
    Ok(changed)
}

/// Keeps the hashes that were just read, so that the next look at the same source is quick.
pub(super) fn keep_hashes(
    session: &Session<'_>,
    id: &str,
    prepared: &mut Prepared<'_>,
) -> Result<()> {
    if !prepared.is_unread {
        return Ok(());
    }
    let live = prepared.observed.live.as_ref();
    if let Some(live) = live.and_then(|live| live.payload.as_ref()) {
        prepared.scanned.reuse_installed_stats(live);
    }
    session.store.set_payload(id, prepared.scanned.finish())
}
