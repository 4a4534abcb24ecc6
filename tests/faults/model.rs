//! Random sequences of commands, compared with a small model.

use super::concurrency::check_live_release;
use super::fixture::{Fixture, Host, args};
use super::injection::{Fault, inject, list_points};
use super::power_cuts::Rng;
use super::state::{HostState, check_no_leftovers};

tests![Suite: random_sequences_match_the_model];

const SEQUENCES: u64 = 12;
const STEPS: usize = 25;

/// The expected state.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    live: Option<String>,
    before: Vec<String>,
}

impl Model {
    fn deployed(&mut self, id: &str) {
        if self.live.as_deref() != Some(id) {
            self.before.extend(self.live.replace(id.to_owned()));
        }
    }

    /// Rolls back to the latest previous release that still exists.
    fn rolled_back(&mut self, there: &[String]) -> bool {
        let fits = |id: &String| there.contains(id) && self.live.as_ref() != Some(id);
        let Some(at) = self.before.iter().rposition(fits) else {
            return false;
        };
        self.live = Some(self.before[at].clone());
        self.before.truncate(at);
        true
    }
}

fn random_sequences_match_the_model(fixture: &Fixture) -> Result<String, String> {
    let host = fixture.host("templates", 0);
    let mut ids = Vec::new();
    for version in 1..=5 {
        host.run_ok(&host.deploy(version))?;
        ids.push(HostState::read(&host.root).live().unwrap().to_owned());
    }
    let seeds: Vec<u64> = (1..=SEQUENCES).collect();
    fixture.run_cases(&seeds, |host, seed| {
        host.clear();
        let (mut rng, mut model) = (Rng(*seed), Model::default());
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            step(host, &ids, &mut rng, &mut model, &mut steps)
                .and_then(|()| holds(host, &model))
                .map_err(|error| format!("seed {seed}: {}: {error}", steps.join(", ")))?;
        }
        Ok(())
    })?;
    Ok(format!(
        "{} steps in {SEQUENCES} sequences",
        SEQUENCES * STEPS as u64
    ))
}

fn step(
    host: &Host<'_>,
    ids: &[String],
    rng: &mut Rng,
    model: &mut Model,
    steps: &mut Vec<String>,
) -> Result<(), String> {
    let version = usize::try_from(rng.below(5)).unwrap();
    let there: Vec<String> = HostState::read(&host.root).releases.into_keys().collect();
    let deploy = host.deploy(u32::try_from(version + 1).unwrap());
    match rng.below(10) {
        0..=3 => {
            steps.push(format!("deploy {}", version + 1));
            host.run_ok(&deploy)?;
            model.deployed(&ids[version]);
        }
        4 => {
            steps.push("a deploy whose program is missing".into());
            let ran = host.run(&args(&[
                "--manifest",
                &host.fixture.broken(),
                "deploy",
                "--apply",
            ]));
            if ran.code != Some(2) {
                return Err(format!("exit {:?}: {}", ran.code, ran.stderr));
            }
        }
        5 | 6 => {
            steps.push("rollback".into());
            let ran = host.run(&args(&["rollback"]));
            let could = model.rolled_back(&there);
            if ran.code != Some(if could { 0 } else { 2 }) {
                return Err(format!(
                    "exit {:?}, the model says {could}: {}",
                    ran.code, ran.stderr
                ));
            }
        }
        7 => {
            steps.push("prune".into());
            if model.live.is_some() {
                host.run_ok(&args(&["prune", "--apply", "--keep", "2"]))?;
            }
            let mut after = model.clone();
            let remaining = HostState::read(&host.root).releases;
            if after.rolled_back(&there)
                && let Some(next) = after.live.filter(|id| !remaining.contains_key(id))
            {
                return Err(format!(
                    "{next} was pruned, but it is the target of the next rollback"
                ));
            }
        }
        8 => crash(host, &deploy, rng, model, steps, |model| {
            model.deployed(&ids[version]);
        })?,
        _ => {
            if model.clone().rolled_back(&there) {
                crash(host, &args(&["rollback"]), rng, model, steps, |model| {
                    model.rolled_back(&there);
                })?;
            }
        }
    }
    Ok(())
}

/// Kills a command at one of its calls. The host shows on which side recovery ended.
fn crash(
    host: &Host<'_>,
    arguments: &[String],
    rng: &mut Rng,
    model: &mut Model,
    steps: &mut Vec<String>,
    done: impl Fn(&mut Model),
) -> Result<(), String> {
    let keep = host.root.with_extension("keep");
    let _ = std::fs::remove_dir_all(&keep);
    std::fs::create_dir(&keep).unwrap();
    super::fixture::copy_tree(&host.root, &keep);
    // Both runs start from a copy, so that the listed calls are the ones that are made.
    host.restore(&keep);
    let (_, points) = list_points(host, arguments)?;
    host.restore(&keep);
    std::fs::remove_dir_all(&keep).unwrap();
    let point = &points[usize::try_from(rng.below(points.len() as u64)).unwrap()];
    steps.push(format!(
        "{} killed at {}",
        arguments.last().unwrap(),
        point.shown()
    ));
    inject(host, arguments, point, Fault::Kill)?;
    host.run_ok(&args(&["recover"]))?;
    let mut after = model.clone();
    done(&mut after);
    let live = HostState::read(&host.root).live().map(str::to_owned);
    if live == after.live && live != model.live {
        *model = after;
    }
    Ok(())
}

fn holds(host: &Host<'_>, model: &Model) -> Result<(), String> {
    check_no_leftovers(&host.root)?;
    check_live_release(host)?;
    let state = HostState::read(&host.root);
    if state.live() != model.live.as_deref() {
        return Err(format!(
            "{:?} is live, the model says {:?}",
            state.live(),
            model.live
        ));
    }
    let before: Vec<String> =
        serde_json::from_value(state.recorded["before"].clone()).unwrap_or_default();
    if state.live().is_some() && before != model.before {
        return Err(format!(
            "the previous releases are {before:?}, the model says {:?}",
            model.before
        ));
    }
    Ok(())
}
