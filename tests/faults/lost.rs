//! Records that are lost or older than the host: nothing that is live may be taken for anything else.

use super::bench::{Place, words};
use super::ends::{LINK, calls, naming};
use super::halfway::after;
use super::points::{Fault, strike};
use super::regressions::{deployed, live, refused, same};
use super::seen::{Seen, record};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

tests![
    Case:
    prune_keeps_what_the_link_names_whatever_the_records_say,
    prune_leaves_a_file_system_that_is_mounted_in_a_release,
    a_lost_state_is_told_by_the_link_and_a_rollback_knows_the_way,
    a_lost_state_that_cannot_be_written_down_again_is_known_all_the_same,
    a_first_deploy_that_was_cut_off_is_not_taken_for_live,
    a_deploy_that_fails_keeps_the_live_release_of_which_no_record_tells,
    a_deploy_that_fails_without_records_puts_the_link_back,
];

fn release(place: &Place<'_>, id: &str) -> PathBuf {
    place.root.join("opt/demo/releases").join(id)
}

/// Capistrano and Ansistrano prune by name or by age; the link alone tells what runs.
fn prune_keeps_what_the_link_names_whatever_the_records_say(
    place: &Place<'_>,
) -> Result<(), String> {
    let first = deployed(place, 1)?;
    for version in 2..=4 {
        deployed(place, version)?;
    }
    let link = place.root.join("opt/demo/current");
    // As people write it.
    for text in [
        format!("releases/{first}"),
        format!("releases/{first}/"),
        format!("/opt/demo/releases/{first}"),
        format!("../demo/releases/{first}"),
    ] {
        fs::remove_file(&link).unwrap();
        symlink(&text, &link).unwrap();
        place.must(&words(&["prune", "--keep", "1"]))?;
        same(&release(place, &first).exists(), &true)
            .map_err(|wrong| format!("{text}: {wrong}"))?;
    }
    // That it prunes at all.
    same(&Seen::at(&place.root).releases.len(), &3)
}

/// A recursive removal crosses into what is mounted.
fn prune_leaves_a_file_system_that_is_mounted_in_a_release(
    place: &Place<'_>,
) -> Result<(), String> {
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = umount2(self.0, MntFlags::MNT_DETACH);
        }
    }
    let first = deployed(place, 1)?;
    for version in 2..=4 {
        deployed(place, version)?;
    }
    let dir = release(place, &first).join("app");
    let kind = Some("tmpfs");
    mount(kind, &dir, kind, MsFlags::empty(), None::<&str>).map_err(|errno| errno.to_string())?;
    let own = Mounted(&dir);
    fs::write(dir.join("own"), "not robotctl's").unwrap();
    place.must(&words(&["prune", "--keep", "2"]))?;
    same(&dir.join("own").exists(), &true)?;
    same(&Seen::at(&place.root).releases.len(), &3)?;
    drop(own);
    place.must(&words(&["prune", "--keep", "2"]))?;
    same(&Seen::at(&place.root).releases.len(), &2)
}

fn a_lost_state_is_told_by_the_link_and_a_rollback_knows_the_way(
    place: &Place<'_>,
) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let state = place.root.join("var/lib/robotctl/demo/state.json");
    fs::remove_file(&state).unwrap();
    refused(&place.run(&words(&[
        "--manifest",
        &place.bench.broken(),
        "deploy",
        "--apply",
    ])))?;
    same(&live(place)?, &second)?;
    fs::remove_file(&state).unwrap();
    place.must(&words(&["rollback"]))?;
    same(&live(place)?, &first)?;
    // What was left behind is not what was there before.
    fs::remove_file(&state).unwrap();
    refused(&place.run(&words(&["rollback"])))?;
    same(&live(place)?, &first)
}

/// A full disk, or a kill: what the link tells needs no record, be it for a change or its way back.
fn a_lost_state_that_cannot_be_written_down_again_is_known_all_the_same(
    place: &Place<'_>,
) -> Result<(), String> {
    let (first, second) = (deployed(place, 1)?, deployed(place, 2)?);
    let state = place.root.join("var/lib/robotctl/demo/state.json");
    fs::remove_file(&state).unwrap();
    let keep = place.root.with_extension("lost");
    fs::create_dir(&keep).unwrap();
    super::bench::copy_tree(&place.root, &keep);
    let found = calls(place, 3)?;
    let states = found.iter().filter(|one| one.name.starts_with("rename"));
    let states: Vec<_> = states
        .filter(|point| point.line.contains("/demo/state.json"))
        .collect();
    let [told, proven] = states[..] else {
        return Err(format!("the state was named {} times", states.len()));
    };
    for (fault, ends) in [
        (Fault::Error("ENOSPC"), Some(0)),
        (Fault::Error("EIO"), Some(0)),
        (Fault::Kill, None),
    ] {
        place.become_like(&keep);
        let ran = strike(place, &place.deploy(3), told, fault)?;
        same(&ran.code, &ends).map_err(|wrong| format!("{wrong}: {}", ran.said))?;
        if ends.is_some() {
            place.must(&words(&["rollback"]))?;
            same(&live(place)?, &second)?;
        }
        same(&state.exists(), &ends.is_some())?;
        place.must(&words(&["rollback"]))?;
        same(&live(place)?, &first)?;
    }
    // The same, and the change is taken back.
    place.become_like(&keep);
    let ran = strike(place, &place.deploy(3), proven, Fault::Error("EIO"))?;
    same(&ran.code, &Some(3)).map_err(|wrong| format!("{wrong}: {}", ran.said))?;
    same(&live(place)?, &second)?;
    fs::remove_dir_all(&keep).unwrap();
    Ok(())
}

/// A first deploy that was cut off, and its journal is lost too: nothing of it was proven.
fn a_first_deploy_that_was_cut_off_is_not_taken_for_live(place: &Place<'_>) -> Result<(), String> {
    let found = calls(place, 1)?;
    strike(
        place,
        &place.deploy(1),
        after(&found, &format!("{LINK}\""))?,
        Fault::Kill,
    )?;
    fs::remove_file(place.root.join("var/lib/robotctl/demo/journal.json")).unwrap();
    let first = deployed(place, 1)?;
    let record = record(
        &place.root,
        &format!("var/lib/robotctl/demo/releases/{first}.json"),
    );
    same(&record["mark"].as_str(), &Some("good"))
}

/// What the deploy finds there already is not its own to take away.
fn a_deploy_that_fails_keeps_the_live_release_of_which_no_record_tells(
    place: &Place<'_>,
) -> Result<(), String> {
    let first = deployed(place, 1)?;
    fs::remove_dir_all(place.root.join("var/lib/robotctl/demo")).unwrap();
    let program = release(place, &first).join("bin/run");
    let mode = |mode| fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    refused(&place.run(&place.deploy(1)))?;
    same(&place.root.join("opt/demo/current/bin/run").exists(), &true)?;
    mode(0o755);
    same(&deployed(place, 1)?, &first)
}

fn a_deploy_that_fails_without_records_puts_the_link_back(place: &Place<'_>) -> Result<(), String> {
    let first = deployed(place, 1)?;
    fs::remove_dir_all(place.root.join("var/lib/robotctl/demo")).unwrap();
    let current = place.root.join("opt/demo/current");
    let link = || fs::read_link(&current).ok();
    // As a person had set it.
    fs::remove_file(&current).unwrap();
    symlink(format!("./releases/{first}/"), &current).unwrap();
    let (before, text) = (Seen::at(&place.root), link());
    same(&text.is_some(), &true)?;
    let found = calls(place, 2)?;
    let point = naming(&found, "/demo/state.json")?;
    // Failed in this run, and killed: the next one goes back.
    for fault in [Fault::Error("EIO"), Fault::Kill] {
        let keep = place.root.with_extension("keep");
        fs::create_dir(&keep).unwrap();
        super::bench::copy_tree(&place.root, &keep);
        let ran = strike(place, &place.deploy(2), point, fault)?;
        same(&(ran.code == Some(0)), &false)?;
        // Or else nothing was to be put back.
        same(&(link() == text), &(fault != Fault::Kill))?;
        place.must(&words(&["recover"]))?;
        same(&link(), &text)?;
        same(&Seen::at(&place.root).files, &before.files)?;
        same(&release(place, &first).join("bin/run").exists(), &true)?;
        place.become_like(&keep);
        fs::remove_dir_all(&keep).unwrap();
    }
    Ok(())
}
