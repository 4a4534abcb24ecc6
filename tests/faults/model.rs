//! Random sequences against a model that fits on a page.

use super::bench::{Bench, Place, words};
use super::crowd::whole;
use super::points::{Fault, points, strike};
use super::power::Dice;
use super::seen::{Seen, leftovers};

tests![Suite: sequences];

const SEQUENCES: u64 = 12;
const STEPS: usize = 25;

/// What should be.
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

    /// Back to the latest one before that is still there.
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

fn sequences(bench: &Bench) -> Result<String, String> {
    let place = bench.place("maker", 0);
    let mut ids = Vec::new();
    for version in 1..=5 {
        place.must(&place.deploy(version))?;
        ids.push(Seen::at(&place.root).live().unwrap().to_owned());
    }
    let seeds: Vec<u64> = (1..=SEQUENCES).collect();
    bench.each(&seeds, |place, seed| {
        place.clear();
        let (mut dice, mut model) = (Dice(*seed), Model::default());
        let mut told = Vec::new();
        for _ in 0..STEPS {
            step(place, &ids, &mut dice, &mut model, &mut told)
                .and_then(|()| holds(place, &model))
                .map_err(|wrong| format!("seed {seed}: {}: {wrong}", told.join(", ")))?;
        }
        Ok(())
    })?;
    Ok(format!(
        "{} steps in {SEQUENCES} sequences",
        SEQUENCES * STEPS as u64
    ))
}

fn step(
    place: &Place<'_>,
    ids: &[String],
    dice: &mut Dice,
    model: &mut Model,
    told: &mut Vec<String>,
) -> Result<(), String> {
    let version = usize::try_from(dice.below(5)).unwrap();
    let there: Vec<String> = Seen::at(&place.root).releases.into_keys().collect();
    let deploy = place.deploy(u32::try_from(version + 1).unwrap());
    match dice.below(10) {
        0..=3 => {
            told.push(format!("deploy {}", version + 1));
            place.must(&deploy)?;
            model.deployed(&ids[version]);
        }
        4 => {
            told.push("a deploy whose program is missing".into());
            let ran = place.run(&words(&[
                "--manifest",
                &place.bench.broken(),
                "deploy",
                "--apply",
            ]));
            if ran.code != Some(2) {
                return Err(format!("exit {:?}: {}", ran.code, ran.said));
            }
        }
        5 | 6 => {
            told.push("rollback".into());
            let ran = place.run(&words(&["rollback"]));
            let could = model.rolled_back(&there);
            if ran.code != Some(if could { 0 } else { 2 }) {
                return Err(format!(
                    "exit {:?}, the model says {could}: {}",
                    ran.code, ran.said
                ));
            }
        }
        7 => {
            told.push("prune".into());
            if model.live.is_some() {
                place.must(&words(&["prune", "--keep", "2"]))?;
            }
            let mut after = model.clone();
            let kept = Seen::at(&place.root).releases;
            if after.rolled_back(&there)
                && let Some(next) = after.live.filter(|id| !kept.contains_key(id))
            {
                return Err(format!("{next} was pruned, and a rollback would take it"));
            }
        }
        8 => crash(place, &deploy, dice, model, told, |model| {
            model.deployed(&ids[version]);
        })?,
        _ => {
            if model.clone().rolled_back(&there) {
                crash(place, &words(&["rollback"]), dice, model, told, |model| {
                    model.rolled_back(&there);
                })?;
            }
        }
    }
    Ok(())
}

/// Kills a command at one of its calls; recovery says on which side the host is.
fn crash(
    place: &Place<'_>,
    arguments: &[String],
    dice: &mut Dice,
    model: &mut Model,
    told: &mut Vec<String>,
    done: impl Fn(&mut Model),
) -> Result<(), String> {
    let keep = place.root.with_extension("keep");
    let _ = std::fs::remove_dir_all(&keep);
    std::fs::create_dir(&keep).unwrap();
    super::bench::copy_tree(&place.root, &keep);
    // A copy both times: the calls that are listed are those that are struck.
    place.become_like(&keep);
    let (_, points) = points(place, arguments)?;
    place.become_like(&keep);
    std::fs::remove_dir_all(&keep).unwrap();
    let point = &points[usize::try_from(dice.below(points.len() as u64)).unwrap()];
    told.push(format!(
        "{} killed at {}",
        arguments.last().unwrap(),
        point.shown()
    ));
    strike(place, arguments, point, Fault::Kill)?;
    place.must(&words(&["recover"]))?;
    let mut after = model.clone();
    done(&mut after);
    let live = Seen::at(&place.root).live().map(str::to_owned);
    if live == after.live && live != model.live {
        *model = after;
    }
    Ok(())
}

fn holds(place: &Place<'_>, model: &Model) -> Result<(), String> {
    leftovers(&place.root)?;
    whole(place)?;
    let seen = Seen::at(&place.root);
    if seen.live() != model.live.as_deref() {
        return Err(format!(
            "{:?} is live, the model says {:?}",
            seen.live(),
            model.live
        ));
    }
    let before: Vec<String> =
        serde_json::from_value(seen.state["before"].clone()).unwrap_or_default();
    if seen.live().is_some() && before != model.before {
        return Err(format!(
            "before it were {before:?}, the model says {:?}",
            model.before
        ));
    }
    Ok(())
}
