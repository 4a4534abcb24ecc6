//! What other deploy tools got wrong when something failed or was taken back, each by its name.

use super::bench::{Place, words};
use super::points::{Fault, Point, points, strike};
use super::regressions::{deployed, live, refused, same};
use super::seen::{Seen, digest, leftovers, names, record};
use nix::fcntl::{Flock, FlockArg};
use std::fs;

tests![
    Case:
    a_change_that_fails_goes_back_by_one_release,
    a_first_deploy_that_fails_is_taken_back_to_nothing,
    a_release_that_was_never_live_blocks_no_deploy,
    what_failed_while_it_was_staged_is_not_taken_for_done,
    nothing_but_names_is_written_after_the_switch,
    who_is_refused_the_lock_leaves_it_held,
    recovering_twice_is_recovering_once,
    link_and_records_tell_of_the_same_release,
    what_failed_is_remembered_on_the_disk,
    no_unit_or_drop_in_outlives_the_release_that_had_it,
];

pub(crate) const LINK: &str = "/opt/demo/current";

/// The calls of a deploy on the tree as it is, which is then as it was.
pub(crate) fn calls(place: &Place<'_>, version: u32) -> Result<Vec<Point>, String> {
    calls_of(place, &place.deploy(version))
}

/// As [`calls`], of any command.
pub(crate) fn calls_of(place: &Place<'_>, arguments: &[String]) -> Result<Vec<Point>, String> {
    let keep = place.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::bench::copy_tree(&place.root, &keep);
    place.become_like(&keep);
    let found = points(place, arguments).map(|(_, found)| found);
    place.become_like(&keep);
    fs::remove_dir_all(&keep).unwrap();
    found
}

/// Where a name is made.
pub(crate) fn naming<'a>(found: &'a [Point], what: &str) -> Result<&'a Point, String> {
    let mut renames = found.iter().filter(|one| one.name.starts_with("rename"));
    renames
        .find(|point| point.line.contains(what))
        .ok_or_else(|| format!("{what} was not named"))
}

/// deploy-rs, Capistrano: a failure late in a deploy goes back relative to where it stands, which
/// is one too far; and deploy-rs ended with 0.
fn a_change_that_fails_goes_back_by_one_release(place: &Place<'_>) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    for what in [LINK, "/demo/state.json"] {
        let found = calls(place, 3)?;
        let ran = strike(
            place,
            &place.deploy(3),
            naming(&found, what)?,
            Fault::Error("ENOSPC"),
        )?;
        same(&(ran.code == Some(0)), &false)?;
        same(&live(place)?, &second)?;
    }
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)
}

/// deploy-rs: the first deploy, the one most likely to fail, has nothing to go back to.
fn a_first_deploy_that_fails_is_taken_back_to_nothing(place: &Place<'_>) -> Result<(), String> {
    let nothing = Seen::at(&place.root);
    let found = calls(place, 1)?;
    for what in [LINK, "/demo/state.json"] {
        let fault = Fault::Error("EIO");
        let ran = strike(place, &place.deploy(1), naming(&found, what)?, fault)?;
        same(&(ran.code == Some(0)), &false)?;
        let after = Seen::at(&place.root);
        same(&after.current, &None)?;
        same(&after.files, &nothing.files)?;
        place.clear();
    }
    deployed(place, 1).map(drop)
}

/// bootc: a rollback beside an update that was only staged left two of a kind, and every command
/// after it refused.
fn a_release_that_was_never_live_blocks_no_deploy(place: &Place<'_>) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let found = calls(place, 3)?;
    let journal = naming(&found, "/demo/journal.json")?;
    strike(place, &place.deploy(3), journal, Fault::Kill)?;
    same(&Seen::at(&place.root).releases.len(), &3)?;
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)?;
    let third = deployed(place, 3)?;
    same(&[&first, &second].contains(&&third), &false)?;
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)
}

/// RAUC: a slot that failed had its checksum already, so that the second try had nothing to do.
fn what_failed_while_it_was_staged_is_not_taken_for_done(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let found = calls(place, 2)?;
    let mut made = found.iter().filter(|point| point.name == "openat");
    let made = made.rfind(|point| point.line.contains("O_EXCL") && !point.line.contains("\"/"));
    let made = made.ok_or("no file is made")?;
    refused(&strike(
        place,
        &place.deploy(2),
        made,
        Fault::Error("ENOSPC"),
    )?)?;
    same(&live(place)?, &first)?;
    let second = deployed(place, 2)?;
    same(&(first == second), &false)
}

/// RAUC, silverblue: no room for the status file at the very end fails what has succeeded.
fn nothing_but_names_is_written_after_the_switch(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    let found = calls(place, 2)?;
    let link = naming(&found, LINK)?;
    let after = found.iter().skip_while(|point| point.line != link.line);
    let made = after.filter(|point| point.name == "openat" && point.line.contains("O_CREAT"));
    let lines: Vec<&str> = made.map(|point| point.line.as_str()).collect();
    let rest: Vec<&&str> = lines
        .iter()
        .filter(|line| !line.contains("/history.jsonl"))
        .collect();
    same(&rest, &Vec::new())?;
    same(&lines.is_empty(), &false)
}

/// Deployer: who failed at the lock took the lock of the other away. Nor has who is refused it
/// staged anything.
fn who_is_refused_the_lock_leaves_it_held(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let path = place.root.join("var/lib/robotctl/demo/lock");
    let held = Flock::lock(
        fs::File::open(&path).unwrap(),
        FlockArg::LockExclusiveNonblock,
    );
    let held = held.map_err(|(_, errno)| errno.to_string())?;
    let releases = || names(&place.root.join("opt/demo/releases"));
    let (before, there) = (Seen::at(&place.root), releases());
    for _ in 0..3 {
        same(&place.run(&place.deploy(2)).code, &Some(5))?;
        same(&Seen::at(&place.root), &before)?;
        same(&releases(), &there)?;
    }
    same(&there, &vec![first.clone()])?;
    same(&live(place)?, &first)?;
    drop(held);
    deployed(place, 2).map(drop)
}

/// An exchange of two names, repeated after a crash, takes back what it had done.
fn recovering_twice_is_recovering_once(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    for what in ["/demo/state.json", "/releases/"] {
        let found = calls(place, 2)?;
        let mut named = found.iter().filter(|one| one.name.starts_with("rename"));
        let point = named.rfind(|point| point.line.contains(what));
        let point = point.ok_or("it was not named")?;
        strike(place, &place.deploy(2), point, Fault::Kill)?;
        place.must(&words(&["recover"]))?;
        let once = digest(&place.root);
        place.must(&words(&["recover"]))?;
        same(&digest(&place.root), &once)?;
        leftovers(&place.root)?;
    }
    Ok(())
}

/// Deployer: after a rollback, the log of releases and the directory told of two.
fn link_and_records_tell_of_the_same_release(place: &Place<'_>) -> Result<(), String> {
    for version in 1..=3 {
        deployed(place, version)?;
    }
    let agree = || {
        let state = record(&place.root, "var/lib/robotctl/demo/state.json");
        let told = state["live"].as_str().unwrap_or_default().to_owned();
        same(&told, &live(place)?)
    };
    agree()?;
    for _ in 0..2 {
        place.must(&words(&["rollback"]))?;
        agree()?;
    }
    deployed(place, 3)?;
    agree()
}

/// Zincati: what was rolled back from was kept in memory alone, and came again.
fn what_failed_is_remembered_on_the_disk(place: &Place<'_>) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    place.must(&words(&["rollback"]))?;
    let path = format!("var/lib/robotctl/demo/releases/{second}.json");
    let mut bad = record(&place.root, &path);
    bad["mark"] = "bad".into();
    bad["why"] = "it crashed".into();
    fs::write(place.root.join(&path), bad.to_string()).unwrap();
    let ran = place.run(&place.deploy(2));
    refused(&ran)?;
    same(&ran.said.contains("it crashed"), &true)?;
    same(&live(place)?, &first)?;
    let mut forced = place.deploy(2);
    forced.push("--force".to_owned());
    place.must(&forced)?;
    same(&live(place)?, &second)
}

/// systemd's portablectl: units that a new image no longer has stay, and so do drop-ins of units
/// that are gone.
fn no_unit_or_drop_in_outlives_the_release_that_had_it(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    let before = Seen::at(&place.root).files;
    let mut other = 0;
    for version in 2..=5 {
        deployed(place, version)?;
        let there = Seen::at(&place.root).files;
        other += usize::from(there.keys().ne(before.keys()));
        place.must(&words(&["rollback"]))?;
        same(&Seen::at(&place.root).files, &before)?;
    }
    // Or else no release had units of its own.
    same(&(other > 0), &true)
}
