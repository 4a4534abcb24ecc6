//! What a build makes, and what it takes over from an earlier release instead.
//!
//! The decision is made once, before the plan, so that the preview shows what `--apply` does.

use crate::app::App;
use crate::error::fail;
use crate::host::{Carry, Host, carry, files};
use crate::ops::context::Context;
use crate::payload::Payload;
use crate::plan::{CommandPlan, OutputPlan, PlannedBuild};
use crate::stage::{
    BuildInputs, Commands, EarlierPart, Inputs, MadeTree, Source, is_staged, normalise,
};
use crate::store::{BuiltPart, BuiltSize, Store};
use crate::transient::build::{BuildPart, Reuse, build, parts};
use anyhow::{Context as _, Result};
use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a release comes from, and what the host has of earlier ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) host: &'a Host,
    pub(super) store: &'a Store,
    pub(super) app: &'a App,
    pub(super) source: &'a Source,
    /// With all hashes.
    pub(super) payload: &'a Payload,
    pub(super) live: Option<&'a str>,
    /// Nothing is taken over.
    pub(super) rebuild: bool,
}

/// The build of a release.
#[derive(Debug)]
pub(super) struct Making {
    parts: Vec<BuildPart>,
    /// The same, for each part.
    known: Vec<Known>,
}

/// What is known of a part of the build.
#[derive(Debug)]
struct Known {
    inputs: Inputs,
    /// What is taken over.
    kept: Option<Kept>,
    /// Why nothing is taken over.
    why: Option<String>,
    /// A release that has the outputs, and how much they are there.
    size: Option<(String, BuiltSize)>,
    /// What the commands made.
    made: Option<MadeTree>,
}

/// What an earlier release has.
#[derive(Debug, Clone)]
struct Kept {
    release: String,
    part: BuiltPart,
}

impl Making {
    /// Decides which parts of a build are taken over.
    ///
    /// # Errors
    /// When the store or a release cannot be read.
    pub(super) fn decide(origin: Origin<'_>) -> Result<Self> {
        let parts = parts(origin.app);
        let mut known: Vec<Known> = Vec::new();
        let candidates = match parts.iter().all(|part| part.outputs.is_empty()) {
            true => Vec::new(),
            false => candidates(origin)?,
        };
        for part in &parts {
            let inputs = inputs(origin, part, &parts, &known);
            known.push(Known::of(origin, part, inputs, &candidates)?);
        }
        Ok(Self { parts, known })
    }

    /// Whether no command of `release.build` runs, so that the files of the source stay as they are.
    pub(super) fn keeps_source(&self) -> bool {
        self.joined()
            .all(|(part, known)| !part.may_write_all() || known.kept.is_some())
    }

    fn joined(&self) -> impl Iterator<Item = (&BuildPart, &Known)> {
        self.parts.iter().zip(&self.known)
    }

    /// The build, as the plan shows it.
    pub(super) fn planned(&self) -> PlannedBuild {
        let runs = self.joined().filter(|(_, known)| known.kept.is_none());
        let commands = runs.flat_map(|(part, _)| {
            part.steps.iter().map(|step| CommandPlan {
                when: part.key,
                argv: step.argv.clone(),
            })
        });
        let with_outputs = self.joined().filter(|(part, _)| !part.outputs.is_empty());
        let outputs = with_outputs.map(|(part, known)| known.planned(part));
        let mut planned = PlannedBuild {
            commands: commands.collect(),
            outputs: outputs.collect(),
            ..PlannedBuild::default()
        };
        for known in &self.known {
            let Some((_, size)) = known.size else {
                continue;
            };
            // A link to a file takes an entry of its directory.
            let is_kept = known.kept.is_some();
            planned.disk_bytes += if is_kept { 0 } else { size.disk_bytes };
            planned.disk_inodes += size.dirs + if is_kept { 0 } else { size.files };
        }
        planned
    }

    /// Runs the build in a staged release. Returns what it made, for the record.
    ///
    /// # Errors
    /// When a command fails, or does not make its outputs.
    pub(super) fn run(
        &mut self,
        ctx: &Context<'_>,
        app: &App,
        staging: &str,
    ) -> Result<Vec<BuiltPart>> {
        let host = &ctx.host;
        let top = host.root.path(staging);
        let releases = host.root.path(&app.layout.releases());
        let Self { parts, known } = self;
        let mut run = Run {
            ctx,
            parts,
            known,
            top: &top,
            releases: &releases,
        };
        let written = build(host, app, staging, parts, &mut run)?;
        normalise(written.as_deref(), &top, app)?;
        run.finish(app, staging, written.as_deref() == Some(&top))
    }
}

/// A build while it runs.
struct Run<'a> {
    ctx: &'a Context<'a>,
    parts: &'a [BuildPart],
    known: &'a mut [Known],
    /// The staged release.
    top: &'a Path,
    releases: &'a Path,
}

impl Reuse for Run<'_> {
    fn is_reused(&self, at: usize) -> bool {
        self.known.get(at).is_some_and(|known| known.kept.is_some())
    }

    fn take_over(&mut self, at: usize, writable: bool) -> Result<Vec<PathBuf>> {
        let how = match writable {
            true => Carry::Copied,
            false => Carry::Linked,
        };
        let kept = self.known.get(at).and_then(|known| known.kept.as_ref());
        let kept = kept.context("nothing is known of a part of the build")?;
        let mut paths = Vec::new();
        for output in &kept.part.outputs {
            let to = self.top.join(output);
            carry(&self.releases.join(&kept.release).join(output), &to, how)?;
            paths.push(to);
        }
        Ok(paths)
    }

    fn begins(&self, argv: &[String]) -> Box<dyn Any> {
        (self.ctx.activity)(&format!("building: {}", argv.join(" ")))
    }

    fn has_run(&mut self, at: usize) -> Result<()> {
        let (Some(part), Some(known)) = (self.parts.get(at), self.known.get_mut(at)) else {
            return Ok(());
        };
        if part.outputs.is_empty() {
            return Ok(());
        }
        for output in &part.outputs {
            if !files::is_present(&self.top.join(output)) {
                let argv = part.steps.iter().flat_map(|step| &step.argv);
                let argv: Vec<&str> = argv.map(String::as_str).collect();
                return fail(
                    format!(
                        "building the release: `{}` did not make `{output}`, which `outputs` names",
                        argv.join(" ")
                    ),
                    "correct `outputs`, or the command; paths are relative to the release",
                );
            }
        }
        known.made = MadeTree::read(self.top, &part.outputs)?;
        Ok(())
    }
}

impl Run<'_> {
    /// Compares what is there with what each part made, so that only that is taken over later. Where commands could
    /// write to copies of what was taken over and have not, links take the place of the copies.
    fn finish(self, app: &App, staging: &str, has_copies: bool) -> Result<Vec<BuiltPart>> {
        let host = &self.ctx.host;
        let note = |text: &str| self.ctx.note("info", app.name.as_str(), text);
        let mut built = Vec::new();
        for (part, known) in self.parts.iter().zip(self.known.iter()) {
            if part.outputs.is_empty() {
                continue;
            }
            let shown = shown(&part.outputs);
            if let Some(kept) = &known.kept {
                note(&format!("{shown} is taken over from {}", kept.release));
                if !has_copies {
                    built.push(kept.part.clone());
                    continue;
                }
            }
            let Some(tree) = MadeTree::read(self.top, &part.outputs)? else {
                continue; // A later command has removed it.
            };
            let made = match &known.kept {
                Some(kept) => Some(&kept.part.digest),
                None => known.made.as_ref().map(|made| &made.digest),
            };
            let is_same = made == Some(&tree.digest);
            if let Some(kept) = known.kept.as_ref().filter(|_| is_same) {
                for output in &part.outputs {
                    host.root.remove_tree(&format!("{staging}/{output}"))?;
                    let from = self.releases.join(&kept.release).join(output);
                    carry(&from, &self.top.join(output), Carry::Linked)?;
                }
            }
            let inputs = known.inputs.as_ref();
            let mut why = inputs.err().cloned();
            if !is_same {
                why = Some(CHANGED_LATER.to_owned());
                note(&format!(
                    "{shown} is made again by the next deploy: {CHANGED_LATER}"
                ));
            }
            built.push(BuiltPart {
                outputs: part.outputs.clone(),
                inputs: inputs.ok().cloned(),
                why,
                digest: tree.digest,
                size: tree.size,
            });
        }
        Ok(built)
    }
}

/// Why a later release does not take over what was made.
const CHANGED_LATER: &str = "a later command of the build changed it";

impl Known {
    /// Looks for what an earlier release has of a part.
    fn of(
        origin: Origin<'_>,
        part: &BuildPart,
        inputs: Inputs,
        candidates: &[String],
    ) -> Result<Self> {
        let mut known = Self {
            kept: None,
            why: inputs.as_ref().err().cloned(),
            size: None,
            made: None,
            inputs,
        };
        if part.outputs.is_empty() {
            return Ok(known);
        }
        for release in candidates {
            let built = origin.store.built_parts(release).into_iter();
            for earlier in built.filter(|one| one.outputs == part.outputs) {
                known
                    .size
                    .get_or_insert_with(|| (release.clone(), earlier.size));
                let Some(why) = known.why_not(origin, release, &earlier)? else {
                    known.size = Some((release.clone(), earlier.size));
                    known.kept = Some(Kept {
                        release: release.clone(),
                        part: earlier,
                    });
                    known.why = None;
                    return Ok(known);
                };
                known.why.get_or_insert(why);
            }
        }
        Ok(known)
    }

    /// Why what an earlier release has is not taken over.
    fn why_not(
        &self,
        origin: Origin<'_>,
        release: &str,
        earlier: &BuiltPart,
    ) -> Result<Option<String>> {
        let inputs = match &self.inputs {
            Ok(inputs) => inputs,
            Err(why) => return Ok(Some(why.clone())),
        };
        let Some(before) = &earlier.inputs else {
            return Ok(Some(earlier.why.clone().unwrap_or_default()));
        };
        if inputs != before {
            return Ok(Some(difference(before, inputs)));
        }
        if earlier.why.is_some() {
            return Ok(earlier.why.clone());
        }
        if origin.rebuild {
            return Ok(Some("`--rebuild`".to_owned()));
        }
        let top = origin.host.root.path(&origin.app.layout.release(release));
        let is_whole = MadeTree::read(&top, &earlier.outputs)?
            .is_some_and(|tree| tree.digest == earlier.digest)
            && MadeTree::is_of_root(&top, &earlier.outputs)?;
        Ok((!is_whole).then(|| format!("that of {release} was changed on the disk")))
    }

    fn planned(&self, part: &BuildPart) -> OutputPlan {
        let size = self.size.as_ref();
        OutputPlan {
            paths: part.outputs.clone(),
            reused_from: self.kept.as_ref().map(|kept| kept.release.clone()),
            files: size.map(|(_, size)| size.files),
            bytes: size.map(|(_, size)| size.bytes),
            as_in: size
                .filter(|_| self.kept.is_none())
                .map(|(release, _)| release.clone()),
            why: self.why.clone(),
        }
    }
}

/// What changed between the inputs of an earlier release and those of a new one.
fn difference(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let names = before.keys().chain(now.keys());
    let mut names: Vec<&str> = names
        .filter(|name| before.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    format!("{} changed", names.join(", "))
}

/// The inputs of a part of the build.
fn inputs(origin: Origin<'_>, part: &BuildPart, parts: &[BuildPart], known: &[Known]) -> Inputs {
    let reads = BuildInputs {
        root: &origin.host.root,
        source: origin.source,
        payload: origin.payload,
    };
    let commands = Commands {
        argv: part.steps.iter().map(|step| step.argv.as_slice()).collect(),
        texts: part.steps.iter().filter_map(|step| step.input).collect(),
    };
    if let Some(python) = origin
        .app
        .release
        .python
        .as_ref()
        .filter(|_| !part.may_write_all())
    {
        return reads.of_python(python, &commands);
    }
    let earlier: Vec<EarlierPart<'_>> = parts
        .iter()
        .zip(known)
        .map(|(part, known)| EarlierPart {
            outputs: &part.outputs,
            inputs: &known.inputs,
        })
        .collect();
    reads.of_command(&part.inputs, &commands, &earlier)
}

/// The releases from which something may be taken over: the live one, then the others, the newest first.
fn candidates(origin: Origin<'_>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for id in origin.store.releases()? {
        if is_staged(origin.host, origin.app, &id)?
            && let Some(release) = origin.store.public_release(&id)?
        {
            let is_live = origin.live == Some(id.as_str());
            found.push((is_live, release.staged, id));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().rev().map(|(_, _, id)| id).collect())
}

/// Paths for a sentence.
fn shown(paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    paths.join(", ")
}
