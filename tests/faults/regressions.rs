//! What other deploy tools got wrong, each by its name: none of it may happen here.

use super::bench::{Place, Ran, ended, words};
use super::crowd::whole;
use super::points::{Fault, points, strike};
use super::seen::{Seen, leftovers, names, record};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

tests![
    Case:
    a_stale_temporary_link_is_never_published,
    a_redeploy_of_the_live_release_that_fails_does_not_delete_it,
    failed_releases_never_use_up_keep,
    a_rollback_after_kill_never_takes_a_half_made_release,
    a_file_that_appears_in_a_release_does_not_change_the_order,
    a_lock_is_freed_by_sigkill,
    prune_keeps_the_live_release_whatever_it_is_told,
    a_rollback_keeps_the_release_that_it_leaves_and_can_go_there_again,
    the_link_is_relative_and_right_from_any_directory,
    a_directory_in_the_place_of_the_link_is_refused_not_removed,
    a_history_that_cannot_be_written_fails_no_deploy,
    enablement_is_what_systemctl_root_makes,
    a_release_that_was_proven_stays_and_one_that_was_not_does_not,
];

pub(crate) fn live(place: &Place<'_>) -> Result<String, String> {
    whole(place)?;
    Ok(Seen::at(&place.root)
        .live()
        .ok_or("nothing is live")?
        .to_owned())
}

pub(crate) fn deployed(place: &Place<'_>, version: u32) -> Result<String, String> {
    place.must(&place.deploy(version))?;
    live(place)
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(is: &T, should: &T) -> Result<(), String> {
    if is == should {
        Ok(())
    } else {
        Err(format!("it is {is:?} and should be {should:?}"))
    }
}

pub(crate) fn refused(ran: &Ran) -> Result<(), String> {
    if ran.code == Some(2) {
        Ok(())
    } else {
        Err(format!("exit {:?}: {}", ran.code, ran.said))
    }
}

/// Capistrano: `ln -s` into a link that a lost connection left publishes the release before.
fn a_stale_temporary_link_is_never_published(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let opt = place.root.join("opt/demo");
    for name in [
        ".current.robotctl-1-0-0",
        "releases/current",
        ".current.tmp",
    ] {
        symlink(format!("releases/{first}"), opt.join(name)).unwrap();
    }
    let second = deployed(place, 2)?;
    same(&(first == second), &false)?;
    same(&opt.join(".current.robotctl-1-0-0").is_symlink(), &false)?;
    same(&names(&opt.join("releases").join(&first)).len(), &3)
}

/// Ansistrano: the same id again, failing before the switch, deletes the directory that is live.
fn a_redeploy_of_the_live_release_that_fails_does_not_delete_it(
    place: &Place<'_>,
) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let before = Seen::at(&place.root);
    // The unit was changed by hand, so that there is something to do; and that cannot be done.
    let unit = place
        .root
        .join("usr/local/lib/systemd/system/demo-web.service");
    fs::remove_file(&unit).unwrap();
    fs::create_dir_all(unit.join("in the way")).unwrap();
    let ran = place.run(&place.deploy(1));
    same(&(ran.code == Some(0)), &false)?;
    same(&live(place)?, &first)?;
    same(&Seen::at(&place.root).releases, &before.releases)
}

/// Capistrano, Deployer, Ansistrano: failures push good releases out.
fn failed_releases_never_use_up_keep(place: &Place<'_>) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let broken = words(&["--manifest", &place.bench.broken(), "deploy", "--apply"]);
    for _ in 0..4 {
        refused(&place.run(&broken))?;
    }
    place.must(&words(&["prune", "--keep", "2"]))?;
    let kept: Vec<String> = Seen::at(&place.root).releases.into_keys().collect();
    same(&kept, &vec![first, second])
}

/// Capistrano, Ansistrano: the newest directory is taken, half made or not.
fn a_rollback_after_kill_never_takes_a_half_made_release(place: &Place<'_>) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let keep = place.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::bench::copy_tree(&place.root, &keep);
    place.become_like(&keep);
    let (_, found) = points(place, &place.deploy(3))?;
    let inside: Vec<_> = found
        .into_iter()
        .filter(|point| point.line.contains(".staging-"))
        .collect();
    for point in &inside {
        place.become_like(&keep);
        strike(place, &place.deploy(3), point, Fault::Kill)?;
        same(&live(place)?, &second)?;
        place.must(&words(&["rollback"]))?;
        same(&live(place)?, &first)?;
        leftovers(&place.root)?;
    }
    fs::remove_dir_all(&keep).unwrap();
    same(&inside.is_empty(), &false)
}

/// Whoever goes by what is there takes either for the other. A proven one is marked as good, too.
fn a_release_that_was_proven_stays_and_one_that_was_not_does_not(
    place: &Place<'_>,
) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let keep = place.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::bench::copy_tree(&place.root, &keep);
    place.become_like(&keep);
    let (_, found) = points(place, &place.deploy(2))?;
    let second = live(place)?;
    let at = |what: &str| {
        let found = found.iter().position(|point| {
            let named = point.name.starts_with("rename") || point.name.starts_with("unlink");
            named && point.line.contains(what)
        });
        found.ok_or_else(|| format!("{what} was not seen"))
    };
    let (link, state) = (at("/opt/demo/current")?, at("/demo/state.json")?);
    let journal = found.iter().rposition(|point| {
        point.name.starts_with("unlink") && point.line.contains("/demo/journal.json")
    });
    let journal = journal.ok_or("the journal's end was not seen")?;
    same(&(link < state && state < journal), &true)?;
    // Who is killed at a call has not made it.
    let either = (link + 1..=state).map(|at| (at, &first));
    let or = (state + 1..=journal).map(|at| (at, &second));
    let mark = || {
        let path = format!("var/lib/robotctl/demo/releases/{second}.json");
        let mark = &record(&place.root, &path)["mark"];
        mark.as_str().unwrap_or_default().to_owned()
    };
    let mut unmarked = 0;
    for (at, should) in either.chain(or) {
        place.become_like(&keep);
        strike(place, &place.deploy(2), &found[at], Fault::Kill)?;
        let is_proven = *should == second;
        unmarked += usize::from(is_proven && mark() != "good");
        place.must(&words(&["recover"]))?;
        let blame = |error| format!("{}: {error}", found[at].line);
        same(&&live(place)?, &should).map_err(blame)?;
        let should = if is_proven { "good" } else { "staged" };
        same(&mark().as_str(), &should).map_err(blame)?;
        leftovers(&place.root)?;
    }
    // Or else recovery was never the one who marked it.
    same(&(unmarked > 0), &true)?;
    fs::remove_dir_all(&keep).unwrap();
    Ok(())
}

/// Capistrano, Ansistrano: `ls -t` follows whoever touched a release last.
fn a_file_that_appears_in_a_release_does_not_change_the_order(
    place: &Place<'_>,
) -> Result<(), String> {
    let ids = [
        deployed(place, 1)?,
        deployed(place, 2)?,
        deployed(place, 3)?,
    ];
    let release = |id: &String| place.root.join("opt/demo/releases").join(id);
    fs::write(release(&ids[0]).join("app.pid"), "1").unwrap();
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &ids[1])?;
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &ids[0])?;
    refused(&place.run(&words(&["rollback"])))
}

/// Deployer, Kamal: a lock in a file outlives the one who held it.
fn a_lock_is_freed_by_sigkill(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    let (_, found) = points(place, &place.deploy(1))?;
    place.clear();
    deployed(place, 2)?;
    strike(
        place,
        &place.deploy(1),
        found.last().ok_or("no point")?,
        Fault::Kill,
    )?;
    same(
        &place.root.join("var/lib/robotctl/demo/lock").exists(),
        &true,
    )?;
    deployed(place, 3).map(drop)
}

/// Ansistrano, Deployer: nothing protects `current`.
fn prune_keeps_the_live_release_whatever_it_is_told(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    for version in 2..=4 {
        deployed(place, version)?;
    }
    place.must(&words(&["rollback", &first]))?;
    place.must(&words(&["prune", "--keep", "0"]))?;
    same(&live(place)?, &first)
}

/// Capistrano, Ansistrano: a rollback deletes the evidence; deploy-rs: a failed change rolls one
/// release too far.
fn a_rollback_keeps_the_release_that_it_leaves_and_can_go_there_again(
    place: &Place<'_>,
) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)?;
    place.must(&words(&["rollback", &second]))?;
    same(&live(place)?, &second)
}

/// Deployer: `ln --relative` wrote a link to nowhere.
fn the_link_is_relative_and_right_from_any_directory(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    let link = place.root.join("opt/demo/current");
    same(
        &fs::read_link(&link).unwrap().display().to_string(),
        &format!("releases/{first}"),
    )?;
    same(&link.join("bin/run").exists(), &true)
}

/// Ansistrano: a real directory at `current` is removed with all that is in it.
fn a_directory_in_the_place_of_the_link_is_refused_not_removed(
    place: &Place<'_>,
) -> Result<(), String> {
    let own = place.root.join("opt/demo/current/own");
    fs::create_dir_all(&own).unwrap();
    let ran = place.run(&place.deploy(1));
    same(&(ran.code == Some(0)), &false)?;
    same(&own.is_dir(), &true)
}

/// RAUC: the status file at the very end fails the installation.
fn a_history_that_cannot_be_written_fails_no_deploy(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    let path = place.root.join("var/lib/robotctl/demo/history.jsonl");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    deployed(place, 2).map(drop)
}

fn enablement_is_what_systemctl_root_makes(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    let links = || -> Vec<(String, String)> {
        let mut out = Vec::new();
        super::seen::walk(
            &place.root.join("etc/systemd/system"),
            "",
            &mut |path, text| {
                out.push((path.to_owned(), text));
            },
        );
        out
    };
    let ours = links();
    let units: Vec<String> = names(&place.root.join("usr/local/lib/systemd/system"));
    let wanted: Vec<&String> = units
        .iter()
        .filter(|unit| {
            ours.iter()
                .any(|(path, _)| path.ends_with(&format!("/{unit}")))
        })
        .collect();
    fs::remove_dir_all(place.root.join("etc/systemd/system")).unwrap();
    let mut command = Command::new("systemctl");
    command
        .arg(format!("--root={}", place.root.display()))
        .arg("enable")
        .args(&wanted);
    let ran = ended(&mut command);
    same(&ran.code, &Some(0)).map_err(|wrong| format!("systemctl: {wrong}: {}", ran.said))?;
    same(&ours, &links())?;
    same(&(ours.len() >= 6), &true)
}
