//! A release on its way to a plan, and everything that refuses it.

use super::making::{Making, Origin};
use super::request::DeployRequest;
use super::same_rights::check_rights;
use super::source::FoundSource;
use crate::app::App;
use crate::doctor::ask_before;
use crate::error::{fail, fail_all};
use crate::fault::Fault;
use crate::host;
use crate::host::absolute;
use crate::manifest::line_of_key;
use crate::ops::choose_release::check_failed;
use crate::ops::context::{Context, WritableApp};
use crate::ops::load::Loaded;
use crate::ops::observe;
use crate::ops::ownership::{check_new_app_ownership, check_ownership};
use crate::ops::preflight;
use crate::payload::{IndexHeader, PreviousIndex};
use crate::plan::{self, Candidate, Observed, OutsideSource, Plan};
use crate::prerequisites::PlannedChange;
use crate::render::render;
use crate::stage::{
    self, Base, ScannedSource, Source, Stage, fill, is_staged, missing_python_files, release_id,
    wrong_paths,
};
use crate::store::Store;
use crate::tree::FileTree;
use anyhow::Result;
use std::path::Path;

/// A release on its way to a plan.
pub(super) struct Prepared<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) source: Source,
    /// The same, if the release reads it from an unexpected place.
    outside_source: Option<OutsideSource>,
    pub(super) scanned: ScannedSource,
    pub(super) tree: FileTree,
    /// The files without the overlay of this host: those of the release.
    pub(super) base_tree: FileTree,
    pub(super) observed: Observed,
    /// Whether nothing of an earlier build is taken over.
    rebuild: bool,
    /// Whether files are still to be read before the release has a name.
    pub(super) is_unread: bool,
    /// Whether its files are on the disk before it has a name.
    pub(super) is_staged_early: bool,
    /// What the build makes and takes over, once that is decided.
    pub(super) making: Option<Making>,
    /// What the host lacks for the plan, and what the plan should say.
    faults: Vec<Fault>,
}

impl<'a> Prepared<'a> {
    /// Lists the source and renders the files for the host.
    pub(super) fn scan(
        ctx: &Context<'_>,
        loaded: &'a Loaded,
        store: &Store,
        request: &DeployRequest,
        (source, outside_source): FoundSource,
    ) -> Result<Self> {
        let app = &loaded.app;
        let only = loaded.from.as_ref().map(|from| &from.payload);
        let scanned = stage::scan(&source, &app.release, only)?;
        let tree = render(app, ctx.target(app))?;
        let base_tree = match &loaded.base {
            Some(base) => render(base, ctx.target(base))?,
            None => tree.clone(),
        };
        check_new_app_ownership(&ctx.host, store, app, &tree)?;
        Ok(Self {
            loaded,
            source,
            outside_source,
            scanned,
            tree,
            base_tree,
            observed: Observed::default(),
            rebuild: request.rebuild,
            is_unread: true,
            is_staged_early: false,
            making: None,
            faults: Vec::new(),
        })
    }

    pub(super) fn app(&self) -> &'a App {
        &self.loaded.app
    }

    /// Reads the host. Reuses the hashes of the live release: all of them when the source was not
    /// touched since, else those of unchanged files.
    pub(super) fn observe(&mut self, ctx: &Context<'_>, store: &Store) -> Result<()> {
        let app = self.app();
        self.observed = observe::observe(&ctx.host, store, app, &self.tree)?;
        self.observed
            .facts
            .outside_source
            .clone_from(&self.outside_source);
        check_ownership(&ctx.host, app, &self.tree, &self.observed)?;
        let is_whole = self.observed.repair.is_none();
        if let Some(live) = &mut self.observed.live
            && let Some(index) = store.payload_index(&live.id)?
        {
            let (id, rendered) = (live.id.clone(), self.base_tree.digest());
            if is_whole
                && let Some(header) = IndexHeader::read(&index)
                && self.scanned.is_unchanged(&header)
                && release_id(app, &self.scanned.digest(), &rendered) == id
            {
                self.is_unread = false;
                return Ok(());
            }
            live.payload = PreviousIndex::read(&index, &self.scanned.payload);
            if let Some(previous) = &live.payload {
                self.scanned.reuse_hashes(previous);
            }
        }
        self.is_unread = !self.scanned.is_hashed();
        Ok(())
    }

    /// Reads the files whose content is not known yet.
    pub(super) fn hash(&mut self) -> Result<()> {
        if self.is_unread {
            self.scanned.hash(&self.source)?;
        }
        Ok(())
    }

    pub(super) fn id(&self) -> String {
        release_id(self.app(), &self.scanned.digest(), &self.base_tree.digest())
    }

    fn candidate<'c>(&'c self, id: &'c str) -> Candidate<'c> {
        Candidate {
            id,
            app: self.app(),
            tree: &self.tree,
            payload: Some(&self.scanned.payload),
        }
    }

    /// The plan once the release is on the disk: a service for which the build made the same files as before
    /// does not restart.
    pub(super) fn plan_with_built_files(&mut self, ctx: &Context<'_>, plan: Plan) -> Result<Plan> {
        let candidate = self.candidate(&plan.to);
        let same = observe::same_built_files(&ctx.host, &candidate, &self.observed)?;
        if same.is_empty() {
            return Ok(plan);
        }
        self.observed.same_built_files = same;
        self.plan(ctx)
    }

    pub(super) fn plan(&mut self, ctx: &Context<'_>) -> Result<Plan> {
        let id = self.id();
        let is_on_disk = self.can_reuse(ctx, &id)?;
        if !is_on_disk {
            self.decide_build(ctx)?;
        }
        let making = self.making.as_ref().filter(|_| !is_on_disk);
        let build = making.map(Making::planned).unwrap_or_default();
        let mut plan = self.plan_of(&id).with_commands(self.app(), build);
        plan.archive = self.source.provenance().cloned();
        plan.warnings.extend(self.scanned.warnings.clone());
        self.faults = self.ask_host(ctx, &plan, !is_on_disk && !self.is_staged_early)?;
        if plan.is_empty() {
            // The live release has these, and its deploy has said them.
            plan.warnings.clear();
        } else {
            preflight::warn_of_missing_paths(&ctx.host, self.app(), &mut plan)?;
        }
        if let Some(from) = &self.loaded.from {
            let digest = from.payload.digest().to_hex();
            let digest: String = digest.chars().take(12).collect();
            let text = format!("the content is that of {} {} ({digest})", from.app, from.id);
            plan.notes.push(text);
        }
        preflight::note_in(&mut plan, &self.faults);
        preflight::warn_of_unmet(&ctx.host, self.app(), &mut plan);
        Ok(if is_on_disk {
            plan.with_staged_release()
        } else {
            plan
        })
    }

    /// Decides what the build makes and takes over, once.
    fn decide_build(&mut self, ctx: &Context<'_>) -> Result<()> {
        if self.making.is_some() {
            return Ok(());
        }
        let app = self.app();
        let making = Making::decide(Origin {
            host: &ctx.host,
            store: &ctx.store(&app.name),
            app,
            source: &self.source,
            payload: &self.scanned.payload,
            live: self.observed.live.as_ref().map(|live| live.id.as_str()),
            rebuild: self.rebuild,
        })?;
        self.observed.keeps_source = making.keeps_source();
        self.making = Some(making);
        Ok(())
    }

    fn plan_of(&self, id: &str) -> Plan {
        plan::plan(&self.candidate(id), &self.observed)
    }

    /// What the host lacks for a plan. `is_new` says whether the release is still to be staged.
    fn ask_host(&self, ctx: &Context<'_>, plan: &Plan, is_new: bool) -> Result<Vec<Fault>> {
        let (app, payload) = (self.app(), &self.scanned.payload);
        ask_before(&PlannedChange {
            host: &ctx.host,
            app,
            tree: &self.tree,
            plan,
            observed: &self.observed,
            in_release: &|rest| Ok(preflight::at_program_of(app, payload, rest)),
            is_new,
            is_rollback: false,
        })
    }

    /// Refuses what the host lacks for a first release, before the release has a name.
    pub(super) fn check_host_early(&self, ctx: &Context<'_>) -> Result<()> {
        // The files of the host are those of any name.
        let plan = self.plan_of("unnamed");
        preflight::refuse(&self.ask_host(ctx, &plan, true)?)
    }

    /// Refuses directories that every change writes to and that cannot be written, with everything else that
    /// prevents this one: without them, no lock can be taken and nothing more would be found.
    pub(super) fn check_app_writable(
        &mut self,
        ctx: &Context<'_>,
        request: &DeployRequest,
        store: &Store,
    ) -> Result<WritableApp> {
        let error = match ctx.check_app_writable(&self.app().name) {
            Ok(writable) => return Ok(writable),
            Err(error) => error,
        };
        if self.observe(ctx, store).is_ok()
            && self.hash().is_ok()
            && let Ok(plan) = self.plan(ctx)
        {
            self.refusal(ctx, request, store, &plan)?;
        }
        Err(error)
    }

    /// Whether the release is on disk already, as it was staged. The live release is never replaced.
    pub(super) fn can_reuse(&self, ctx: &Context<'_>, id: &str) -> Result<bool> {
        let app = self.app();
        if !is_staged(&ctx.host, app, id)? {
            return Ok(false);
        }
        let is_live = self
            .observed
            .live
            .as_ref()
            .is_some_and(|live| live.id == id);
        let changes = || ctx.store(&app.name).content_changes(id);
        Ok(is_live || changes()?.is_none_or(|changes| changes.is_empty()))
    }

    /// Refuses everything that is known to prevent the plan. Changes nothing.
    pub(super) fn refusal(
        &self,
        ctx: &Context<'_>,
        request: &DeployRequest,
        store: &Store,
        plan: &Plan,
    ) -> Result<()> {
        if let Some(hash) = &request.plan
            && *hash != plan.hash()
        {
            return fail(
                format!("the plan is no longer `{hash}`: the source or the host has changed"),
                "look at the new plan: the same command without `--apply` and `--plan`",
            );
        }
        self.check_same_content()?;
        check_rights(request, self.app(), &self.observed)?;
        check_pins(request, store)?;
        preflight::check_service_files(self.app(), &self.scanned.payload)?;
        self.check_python_files()?;
        self.check_build_paths()?;
        if !plan.is_empty() {
            let hint = "fix the cause and deploy again, or deploy it as it is with `--force`";
            check_failed(request.force, store, &plan.to, hint)?;
        }
        preflight::refuse(&self.faults)?;
        if plan.files.is_empty() {
            return Ok(()); // The live release has these units, and they were verified then.
        }
        self.verify_units(ctx)
    }

    /// Refuses files of another environment that are not as they were staged there.
    fn check_same_content(&self) -> Result<()> {
        let Some(from) = &self.loaded.from else {
            return Ok(());
        };
        if self.scanned.digest() == from.payload.digest() {
            return Ok(());
        }
        fail(
            format!(
                "files of {} {} are not as they were staged",
                from.app, from.id
            ),
            "deploy that environment again, or deploy from the source",
        )
    }

    /// Refuses what `release.python` reads and the release would not have.
    fn check_python_files(&self) -> Result<()> {
        let Loaded { path, text, .. } = self.loaded;
        let base = path.parent().unwrap_or(Path::new("."));
        let (release, payload) = (&self.app().release, &self.scanned.payload);
        let missing = missing_python_files(&self.source, &absolute(base)?, release, payload)?;
        let errors = missing.into_iter().map(|missing| {
            let mut error = missing.error;
            let line = line_of_key(text, &["release", "python", missing.key]);
            if let Some(line) = line {
                error.message = format!("{}:{line}: {}", path.display(), error.message);
            }
            error
        });
        fail_all(errors.collect())
    }

    /// Refuses paths of build commands that cannot be right.
    fn check_build_paths(&self) -> Result<()> {
        let Loaded { path, text, .. } = self.loaded;
        let wrong = wrong_paths(&self.app().release, &self.scanned.payload);
        let errors = wrong.into_iter().map(|wrong| {
            let mut error = wrong.error;
            let at = wrong.command.to_string();
            if let Some(line) = line_of_key(text, &["release", "build", &at, wrong.key]) {
                error.message = format!("{}:{line}: {}", path.display(), error.message);
            }
            error
        });
        fail_all(errors.collect())
    }

    /// Asks systemd whether it understands the units, where that is possible: the units are written
    /// below /run for it, so it needs root.
    pub(super) fn verify_units(&self, ctx: &Context<'_>) -> Result<()> {
        if !host::is_root() {
            return Ok(());
        }
        let Loaded { path, text, .. } = self.loaded;
        preflight::verify_units(&ctx.host, self.app(), &self.tree, path, text)
    }

    /// Copies the source to a staging directory.
    pub(super) fn stage<'h>(
        &mut self,
        ctx: &'h Context<'_>,
        base: Option<&Base<'_>>,
    ) -> Result<Stage<'h>> {
        let app = self.app();
        let is_kept = |making: &Making| making.keeps_source();
        let is_written =
            !app.release.build.is_empty() && !self.making.as_ref().is_some_and(is_kept);
        let progress = (ctx.progress)(self.scanned.payload.bytes());
        fill(
            &ctx.host,
            app,
            &self.source,
            &mut self.scanned,
            base,
            is_written,
            &*progress,
        )
    }
}

/// Refuses to move services that a rollback pinned.
pub(super) fn check_pins(request: &DeployRequest, store: &Store) -> Result<()> {
    let pins = store.state()?.pins;
    if let Some((service, release)) = pins.first_key_value()
        && !request.lift_pins
    {
        return fail(
            format!("service `{service}` is pinned to {release}"),
            "deploy it with the other services: add `--lift-pins`",
        );
    }
    Ok(())
}
