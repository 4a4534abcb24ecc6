//! Bugs of other deploy tools in failures, rollbacks and what follows the commit. Each test names
//! the tool.

use super::fixture::{Host, args};
use super::injection::{Fault, Point, inject, list_points};
use super::regressions::{deploy_ok, expect_eq, expect_refused, live_release};
use super::state::{HostState, check_no_leftovers, digest, names, record};
use nix::fcntl::{Flock, FlockArg};
use std::fs;

tests![
    Case:
    a_failed_deploy_reverts_by_exactly_one_release,
    a_failed_first_deploy_leaves_nothing,
    a_release_that_was_never_live_does_not_block_a_deploy,
    a_release_that_failed_while_staging_is_staged_again,
    only_renames_and_history_follow_the_switch,
    a_refused_command_leaves_the_lock_held,
    recovery_is_idempotent,
    link_and_state_name_the_same_release,
    the_failed_mark_is_persistent,
    units_and_drop_ins_go_with_their_release,
];

pub(crate) const LINK: &str = "/opt/demo/current";

/// Lists the calls of a deploy. The tree is the same before and after.
pub(crate) fn calls(host: &Host<'_>, version: u32) -> Result<Vec<Point>, String> {
    calls_of(host, &host.deploy(version))
}

/// Like [`calls`], for any command.
pub(crate) fn calls_of(host: &Host<'_>, arguments: &[String]) -> Result<Vec<Point>, String> {
    let keep = host.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::fixture::copy_tree(&host.root, &keep);
    host.restore(&keep);
    let found = list_points(host, arguments).map(|(_, found)| found);
    host.restore(&keep);
    fs::remove_dir_all(&keep).unwrap();
    found
}

/// Finds the rename that publishes a path.
pub(crate) fn rename_of<'a>(found: &'a [Point], what: &str) -> Result<&'a Point, String> {
    let mut renames = found.iter().filter(|one| one.name.starts_with("rename"));
    renames
        .find(|point| point.line.contains(what))
        .ok_or_else(|| format!("no rename to {what} was found"))
}

/// deploy-rs, Capistrano: a failure late in a deploy rolls back relative to the new release, which
/// is one release too far. deploy-rs also exits 0.
fn a_failed_deploy_reverts_by_exactly_one_release(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    for what in [LINK, "/demo/state.json"] {
        let found = calls(host, 3)?;
        let ran = inject(
            host,
            &host.deploy(3),
            rename_of(&found, what)?,
            Fault::Error("ENOSPC"),
        )?;
        expect_eq(&(ran.code == Some(0)), &false)?;
        expect_eq(&live_release(host)?, &second)?;
    }
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)
}

/// deploy-rs: the first deploy is the most likely to fail, and it cannot be rolled back.
fn a_failed_first_deploy_leaves_nothing(host: &Host<'_>) -> Result<(), String> {
    let nothing = HostState::read(&host.root);
    let found = calls(host, 1)?;
    for what in [LINK, "/demo/state.json"] {
        let fault = Fault::Error("EIO");
        let ran = inject(host, &host.deploy(1), rename_of(&found, what)?, fault)?;
        expect_eq(&(ran.code == Some(0)), &false)?;
        let after = HostState::read(&host.root);
        expect_eq(&after.current, &None)?;
        expect_eq(&after.files, &nothing.files)?;
        host.clear();
    }
    deploy_ok(host, 1).map(drop)
}

/// bootc: a rollback while an update was staged left two deployments of one kind, and every later
/// command failed.
fn a_release_that_was_never_live_does_not_block_a_deploy(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let found = calls(host, 3)?;
    let journal = rename_of(&found, "/demo/journal.json")?;
    inject(host, &host.deploy(3), journal, Fault::Kill)?;
    expect_eq(&HostState::read(&host.root).releases.len(), &3)?;
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)?;
    let third = deploy_ok(host, 3)?;
    expect_eq(&[&first, &second].contains(&&third), &false)?;
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)
}

/// RAUC: a slot whose installation failed already had its checksum, so the retry did nothing.
fn a_release_that_failed_while_staging_is_staged_again(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let found = calls(host, 2)?;
    let mut made = found.iter().filter(|point| point.name == "openat");
    let made = made.rfind(|point| point.line.contains("O_EXCL") && !point.line.contains("\"/"));
    let made = made.ok_or("the deploy creates no file")?;
    expect_refused(&inject(
        host,
        &host.deploy(2),
        made,
        Fault::Error("ENOSPC"),
    )?)?;
    expect_eq(&live_release(host)?, &first)?;
    let second = deploy_ok(host, 2)?;
    expect_eq(&(first == second), &false)
}

/// RAUC, Silverblue: a full disk when the status file is written at the very end fails an update
/// that had succeeded.
fn only_renames_and_history_follow_the_switch(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    let found = calls(host, 2)?;
    let link = rename_of(&found, LINK)?;
    let after = found.iter().skip_while(|point| point.line != link.line);
    let made = after.filter(|point| point.name == "openat" && point.line.contains("O_CREAT"));
    let lines: Vec<&str> = made.map(|point| point.line.as_str()).collect();
    let rest: Vec<&&str> = lines
        .iter()
        .filter(|line| !line.contains("/history."))
        .collect();
    expect_eq(&rest, &Vec::new())?;
    expect_eq(&lines.is_empty(), &false)
}

/// Deployer: a process that failed to get the lock deleted the lock of the other process. A refused
/// command must also stage nothing.
fn a_refused_command_leaves_the_lock_held(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let path = host.root.join("var/lib/robotctl/demo/lock");
    let held = Flock::lock(
        fs::File::open(&path).unwrap(),
        FlockArg::LockExclusiveNonblock,
    );
    let held = held.map_err(|(_, errno)| errno.to_string())?;
    let releases = || names(&host.root.join("opt/demo/releases"));
    let (before, there) = (HostState::read(&host.root), releases());
    for _ in 0..3 {
        expect_eq(&host.run(&host.deploy(2)).code, &Some(5))?;
        expect_eq(&HostState::read(&host.root), &before)?;
        expect_eq(&releases(), &there)?;
    }
    expect_eq(&there, &vec![first.clone()])?;
    expect_eq(&live_release(host)?, &first)?;
    drop(held);
    deploy_ok(host, 2).map(drop)
}

/// An exchange of two names that is repeated after a crash undoes itself.
fn recovery_is_idempotent(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    for what in ["/demo/state.json", "/releases/"] {
        let found = calls(host, 2)?;
        let mut named = found.iter().filter(|one| one.name.starts_with("rename"));
        let point = named.rfind(|point| point.line.contains(what));
        let point = point.ok_or("no such rename was found")?;
        inject(host, &host.deploy(2), point, Fault::Kill)?;
        host.run_ok(&args(&["recover"]))?;
        let once = digest(&host.root);
        host.run_ok(&args(&["recover"]))?;
        expect_eq(&digest(&host.root), &once)?;
        check_no_leftovers(&host.root)?;
    }
    Ok(())
}

/// Deployer: after a rollback, the release log and the directory named different releases.
fn link_and_state_name_the_same_release(host: &Host<'_>) -> Result<(), String> {
    for version in 1..=3 {
        deploy_ok(host, version)?;
    }
    let agree = || {
        let state = record(&host.root, "var/lib/robotctl/demo/state.json");
        let recorded = state["live"].as_str().unwrap_or_default().to_owned();
        expect_eq(&recorded, &live_release(host)?)
    };
    agree()?;
    for _ in 0..2 {
        host.run_ok(&args(&["rollback"]))?;
        agree()?;
    }
    deploy_ok(host, 3)?;
    agree()
}

/// Zincati: the release that a rollback had left was remembered in memory only, so it was deployed
/// again.
fn the_failed_mark_is_persistent(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    host.run_ok(&args(&["rollback"]))?;
    let path = format!("var/lib/robotctl/demo/releases/{second}.json");
    let mut bad = record(&host.root, &path);
    bad["mark"] = "bad".into();
    bad["why"] = "it crashed".into();
    fs::write(host.root.join(&path), bad.to_string()).unwrap();
    let ran = host.run(&host.deploy(2));
    expect_refused(&ran)?;
    expect_eq(&ran.stderr.contains("it crashed"), &true)?;
    expect_eq(&live_release(host)?, &first)?;
    let mut forced = host.deploy(2);
    forced.push("--force".to_owned());
    host.run_ok(&forced)?;
    expect_eq(&live_release(host)?, &second)
}

/// systemd's portablectl: units that a new image no longer contains stay, and so do the drop-ins of
/// removed units.
fn units_and_drop_ins_go_with_their_release(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    let before = HostState::read(&host.root).files;
    let mut other = 0;
    for version in 2..=5 {
        deploy_ok(host, version)?;
        let there = HostState::read(&host.root).files;
        other += usize::from(there.keys().ne(before.keys()));
        host.run_ok(&args(&["rollback"]))?;
        expect_eq(&HostState::read(&host.root).files, &before)?;
    }
    // Otherwise no release had units of its own, and this test checks nothing.
    expect_eq(&(other > 0), &true)
}
