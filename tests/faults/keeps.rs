//! What is kept: whatever fails or is killed takes no release with it, and nobody else's recovery.

use super::bench::{Bench, Place, words};
use super::ends::{calls, calls_of, naming};
use super::halfway::kept;
use super::points::{Fault, points, strike};
use super::regressions::{deployed, live, same};
use super::seen::{Seen, leftovers, record};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

tests![Suite: there_already];
tests![Case: live_again, old_goes_last, only_staged, beside_damage];

const LINK: &str = "/opt/demo/current";
const STATE: &str = "/demo/state.json";
const JOURNAL: &str = "/demo/journal.json";

/// A deploy of what an earlier one staged fails at any call: what it did not make, it does not
/// take away, and the other release stays live.
fn there_already(bench: &Bench) -> Result<String, String> {
    let place = bench.place("keeps", 0);
    let (first, second) = (deployed(&place, 1)?, deployed(&place, 2)?);
    let template = kept(&place, "both");
    let before = Seen::at(&place.root).releases;
    place.become_like(&template);
    let (_, found) = points(&place, &place.deploy(1))?;
    same(&live(&place)?, &first)?;
    let faults = ["EIO", "ENOSPC"].map(Fault::Error);
    let cases = found
        .iter()
        .flat_map(|point| faults.map(|one| (point, one)));
    let cases: Vec<_> = cases.collect();
    let failed = AtomicUsize::new(0);
    bench.each(&cases, |place, (point, fault)| {
        place.become_like(&template);
        let ran = strike(place, &place.deploy(1), point, *fault)?;
        failed.fetch_add(usize::from(ran.code != Some(0)), Ordering::Relaxed);
        let judge = || {
            same(&Seen::at(&place.root).releases, &before)?;
            match ran.code {
                Some(0) => same(&live(place)?, &first)?,
                // Between the two: the recovery decides.
                Some(4) => {}
                _ => same(&live(place)?, &second)?,
            }
            place.must(&words(&["recover"]))?;
            same(&[&first, &second].contains(&&live(place)?), &true)?;
            same(&Seen::at(&place.root).releases, &before)?;
            leftovers(&place.root)
        };
        let at = || format!("{} at {}", fault.name(), point.shown());
        judge().map_err(|wrong| format!("{}: {wrong}: {}", at(), ran.said))
    })?;
    // Or else nothing was ever taken back.
    same(&(failed.into_inner() > 0), &true)?;
    Ok(format!(
        "{} deploys of a release that was there already",
        cases.len()
    ))
}

/// A deploy of the live release puts a unit back and fails at its very end: what it would have
/// made live is what was live, so that nothing of it may go.
fn live_again(place: &Place<'_>) -> Result<(), String> {
    let (_, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let before = Seen::at(&place.root);
    let unit = place.root.join("usr/local/lib/systemd/system");
    fs::remove_file(unit.join("demo-web.service")).unwrap();
    for error in ["EIO", "ENOSPC"] {
        let found = calls(place, 2)?;
        let fault = Fault::Error(error);
        let ran = strike(place, &place.deploy(2), naming(&found, STATE)?, fault)?;
        same(&(ran.code == Some(0)), &false)?;
        same(&live(place)?, &second)?;
        same(&Seen::at(&place.root).releases, &before.releases)?;
    }
    same(&deployed(place, 2)?, &second)?;
    leftovers(&place.root)?;
    same(&Seen::at(&place.root), &before)
}

/// As [`Place::deploy`], of an app that keeps two releases.
fn few(place: &Place<'_>, version: u32) -> Vec<String> {
    let text = fs::read_to_string(place.bench.manifest(version)).unwrap();
    let path = place.bench.dir.join(format!("few-{version}.toml"));
    fs::write(&path, text.replace("keep = 9", "keep = 2")).unwrap();
    let path = path.display().to_string();
    words(&["--manifest", &path, "deploy", "--apply"])
}

fn few_deployed(place: &Place<'_>, version: u32) -> Result<String, String> {
    place.must(&few(place, version))?;
    live(place)
}

/// Until a deploy has ended well, an old release may be needed: it goes after the journal, and a
/// deploy that fails removes none.
fn old_goes_last(place: &Place<'_>) -> Result<(), String> {
    let both = [few_deployed(place, 1)?, few_deployed(place, 2)?];
    let before = Seen::at(&place.root).releases;
    let arguments = few(place, 3);
    let found = calls_of(place, &arguments)?;
    let of_old = |line: &str| {
        let mut old = both.iter();
        old.any(|id| line.contains(&format!("/opt/demo/releases/{id}")))
    };
    let first = |calls: &[&str], is_it: &dyn Fn(&str) -> bool| {
        let named = |name: &str| calls.iter().any(|call| name.starts_with(call));
        let mut found = found.iter();
        let at = found.position(|point| named(&point.name) && is_it(&point.line));
        at.ok_or_else(|| format!("no {calls:?} was seen"))
    };
    let end = first(&["unlink"], &|line| line.contains(JOURNAL))?;
    let gone = first(&["rename", "unlink", "rmdir"], &of_old)?;
    same(&(end < gone), &true)?;
    for what in [LINK, STATE] {
        // Once it is staged, a deploy makes fewer calls.
        let found = calls_of(place, &arguments)?;
        let fault = Fault::Error("EIO");
        let ran = strike(place, &arguments, naming(&found, what)?, fault)?;
        same(&(ran.code == Some(0)), &false)?;
        same(&live(place)?, &both[1])?;
        let mut after = Seen::at(&place.root).releases;
        after.retain(|id, _| both.contains(id));
        same(&after, &before)?;
        place.must(&words(&["recover"]))?;
    }
    let third = few_deployed(place, 3)?;
    let mut left: Vec<String> = Seen::at(&place.root).releases.into_keys().collect();
    left.sort();
    same(&left, &vec![both[1].clone(), third])
}

/// Deploys that were killed before they began to switch leave releases that nobody has run: they
/// push no good one out, and do not heap up.
fn only_staged(place: &Place<'_>) -> Result<(), String> {
    let first = few_deployed(place, 1)?;
    for version in 2..=4 {
        let arguments = few(place, version);
        let found = calls_of(place, &arguments)?;
        strike(place, &arguments, naming(&found, JOURNAL)?, Fault::Kill)?;
        same(&live(place)?, &first)?;
    }
    // Or else nothing is there that could use up `keep`.
    same(&Seen::at(&place.root).releases.len(), &4)?;
    let fifth = few_deployed(place, 5)?;
    let ids = Seen::at(&place.root).releases.into_keys();
    let mark = |id: &String| {
        let path = format!("var/lib/robotctl/demo/releases/{id}.json");
        record(&place.root, &path)["mark"] == "good"
    };
    let (good, staged): (Vec<String>, Vec<String>) = ids.partition(mark);
    same(&good, &vec![first.clone(), fifth])?;
    same(&(staged.len() <= 1), &true)?;
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)
}

/// Who cannot be recovered is told of, and keeps nobody else between old and new.
fn beside_damage(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let before = Seen::at(&place.root).files;
    for name in ["a", "z"] {
        let found = calls(place, 2)?;
        let store = place.root.join("var/lib/robotctl").join(name);
        fs::create_dir(&store).unwrap();
        fs::write(store.join("journal.json"), "{").unwrap();
        strike(place, &place.deploy(2), naming(&found, STATE)?, Fault::Kill)?;
        same(&(Seen::at(&place.root).files == before), &false)?;
        let ran = place.run(&words(&["recover"]));
        same(&ran.code, &Some(4))?;
        let told = format!("/robotctl/{name}/journal.json` cannot be read");
        same(&ran.said.contains(&told), &true)?;
        same(&live(place)?, &first)?;
        same(&Seen::at(&place.root).files, &before)?;
        fs::remove_dir_all(&store).unwrap();
        leftovers(&place.root)?;
    }
    Ok(())
}
