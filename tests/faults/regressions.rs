//! Bugs of other deploy tools that must not happen here. Each test names the tool.

use super::concurrency::check_live_release;
use super::fixture::{Host, Outcome, args, run_command};
use super::injection::{Fault, inject, list_points};
use super::state::{HostState, check_no_leftovers, names, record};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

tests![
    Case:
    a_stale_temporary_link_is_never_published,
    a_failed_redeploy_does_not_delete_the_live_release,
    failed_releases_never_use_up_keep,
    a_rollback_after_a_kill_never_chooses_an_incomplete_release,
    a_new_file_in_a_release_does_not_change_the_order,
    a_lock_is_freed_by_sigkill,
    prune_always_keeps_the_live_release,
    a_rollback_keeps_the_newer_release,
    the_link_is_relative_and_resolves,
    a_directory_at_current_is_refused_not_removed,
    an_unwritable_history_does_not_fail_a_deploy,
    enablement_matches_systemctl,
    a_release_is_kept_only_after_the_commit,
];

pub(crate) fn live_release(host: &Host<'_>) -> Result<String, String> {
    check_live_release(host)?;
    Ok(HostState::read(&host.root)
        .live()
        .ok_or("no release is live")?
        .to_owned())
}

pub(crate) fn deploy_ok(host: &Host<'_>, version: u32) -> Result<String, String> {
    host.run_ok(&host.deploy(version))?;
    live_release(host)
}

pub(crate) fn expect_eq<T: PartialEq + std::fmt::Debug>(is: &T, should: &T) -> Result<(), String> {
    if is == should {
        Ok(())
    } else {
        Err(format!("expected {should:?}, found {is:?}"))
    }
}

pub(crate) fn expect_refused(ran: &Outcome) -> Result<(), String> {
    if ran.code == Some(2) {
        Ok(())
    } else {
        Err(format!("exit {:?}: {}", ran.code, ran.stderr))
    }
}

/// Capistrano: `ln -s` into a link that a lost connection left behind publishes the previous
/// release.
fn a_stale_temporary_link_is_never_published(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let opt = host.root.join("opt/demo");
    for name in [
        ".current.robotctl-1-0-0",
        "releases/current",
        ".current.tmp",
    ] {
        symlink(format!("releases/{first}"), opt.join(name)).unwrap();
    }
    let second = deploy_ok(host, 2)?;
    expect_eq(&(first == second), &false)?;
    expect_eq(&opt.join(".current.robotctl-1-0-0").is_symlink(), &false)?;
    expect_eq(&names(&opt.join("releases").join(&first)).len(), &3)
}

/// Ansistrano: a second deploy with the same id that fails before the switch deletes the live
/// directory.
fn a_failed_redeploy_does_not_delete_the_live_release(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let before = HostState::read(&host.root);
    // A unit is missing, so the deploy has something to do; and a directory in its place makes that
    // fail.
    let unit = host
        .root
        .join("usr/local/lib/systemd/system/demo-web.service");
    fs::remove_file(&unit).unwrap();
    fs::create_dir_all(unit.join("in the way")).unwrap();
    let ran = host.run(&host.deploy(1));
    expect_eq(&(ran.code == Some(0)), &false)?;
    expect_eq(&live_release(host)?, &first)?;
    expect_eq(&HostState::read(&host.root).releases, &before.releases)
}

/// Capistrano, Deployer, Ansistrano: failed releases push out good ones.
fn failed_releases_never_use_up_keep(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let broken = args(&["--manifest", &host.fixture.broken(), "deploy", "--apply"]);
    for _ in 0..4 {
        expect_refused(&host.run(&broken))?;
    }
    host.run_ok(&args(&["prune", "--apply", "--keep", "2"]))?;
    let remaining: Vec<String> = HostState::read(&host.root).releases.into_keys().collect();
    expect_eq(&remaining, &vec![first, second])
}

/// Capistrano, Ansistrano: a rollback takes the newest directory, even if it is incomplete.
fn a_rollback_after_a_kill_never_chooses_an_incomplete_release(
    host: &Host<'_>,
) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let keep = host.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::fixture::copy_tree(&host.root, &keep);
    host.restore(&keep);
    let (_, found) = list_points(host, &host.deploy(3))?;
    let inside: Vec<_> = found
        .into_iter()
        .filter(|point| point.line.contains(".staging-"))
        .collect();
    for point in &inside {
        host.restore(&keep);
        inject(host, &host.deploy(3), point, Fault::Kill)?;
        expect_eq(&live_release(host)?, &second)?;
        host.run_ok(&args(&["rollback"]))?;
        expect_eq(&live_release(host)?, &first)?;
        check_no_leftovers(&host.root)?;
    }
    fs::remove_dir_all(&keep).unwrap();
    expect_eq(&inside.is_empty(), &false)
}

/// A tool that only looks at directories confuses committed and uncommitted releases. A committed
/// one is also marked as good.
fn a_release_is_kept_only_after_the_commit(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let keep = host.root.with_extension("keep");
    let _ = fs::remove_dir_all(&keep);
    fs::create_dir(&keep).unwrap();
    super::fixture::copy_tree(&host.root, &keep);
    host.restore(&keep);
    let (_, found) = list_points(host, &host.deploy(2))?;
    let second = live_release(host)?;
    let at = |what: &str| {
        let found = found.iter().position(|point| {
            let named = point.name.starts_with("rename") || point.name.starts_with("unlink");
            named && point.line.contains(what)
        });
        found.ok_or_else(|| format!("no call with {what} was found"))
    };
    let (link, state) = (at("/opt/demo/current")?, at("/demo/state.json")?);
    let journal = found.iter().rposition(|point| {
        point.name.starts_with("unlink") && point.line.contains("/demo/journal.json")
    });
    let journal = journal.ok_or("the removal of the journal was not found")?;
    expect_eq(&(link < state && state < journal), &true)?;
    // A call at which the process is killed was not made.
    let either = (link + 1..=state).map(|at| (at, &first));
    let or = (state + 1..=journal).map(|at| (at, &second));
    let mark = || {
        let path = format!("var/lib/robotctl/demo/releases/{second}.json");
        let mark = &record(&host.root, &path)["mark"];
        mark.as_str().unwrap_or_default().to_owned()
    };
    let mut marked_by_recovery = 0;
    for (at, should) in either.chain(or) {
        host.restore(&keep);
        inject(host, &host.deploy(2), &found[at], Fault::Kill)?;
        let is_committed = *should == second;
        marked_by_recovery += usize::from(is_committed && mark() != "good");
        host.run_ok(&args(&["recover"]))?;
        let context = |error| format!("{}: {error}", found[at].line);
        expect_eq(&&live_release(host)?, &should).map_err(context)?;
        let should = if is_committed { "good" } else { "staged" };
        expect_eq(&mark().as_str(), &should).map_err(context)?;
        check_no_leftovers(&host.root)?;
    }
    // Otherwise recovery never had to write the mark.
    expect_eq(&(marked_by_recovery > 0), &true)?;
    fs::remove_dir_all(&keep).unwrap();
    Ok(())
}

/// Capistrano, Ansistrano: `ls -t` sorts by the last change of a release.
fn a_new_file_in_a_release_does_not_change_the_order(host: &Host<'_>) -> Result<(), String> {
    let ids = [
        deploy_ok(host, 1)?,
        deploy_ok(host, 2)?,
        deploy_ok(host, 3)?,
    ];
    let release = |id: &String| host.root.join("opt/demo/releases").join(id);
    fs::write(release(&ids[0]).join("app.pid"), "1").unwrap();
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &ids[1])?;
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &ids[0])?;
    expect_refused(&host.run(&args(&["rollback"])))
}

/// Deployer, Kamal: a lock file outlives the process that made it.
fn a_lock_is_freed_by_sigkill(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    let (_, found) = list_points(host, &host.deploy(1))?;
    host.clear();
    deploy_ok(host, 2)?;
    inject(
        host,
        &host.deploy(1),
        found.last().ok_or("no point")?,
        Fault::Kill,
    )?;
    expect_eq(
        &host.root.join("var/lib/robotctl/demo/lock").exists(),
        &true,
    )?;
    deploy_ok(host, 3).map(drop)
}

/// Ansistrano, Deployer: nothing protects `current`.
fn prune_always_keeps_the_live_release(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    for version in 2..=4 {
        deploy_ok(host, version)?;
    }
    host.run_ok(&args(&["rollback", &first]))?;
    host.run_ok(&args(&["prune", "--apply", "--keep", "0"]))?;
    expect_eq(&live_release(host)?, &first)
}

/// Capistrano, Ansistrano: a rollback deletes the newer release. deploy-rs: a failed change rolls
/// back one release too many.
fn a_rollback_keeps_the_newer_release(host: &Host<'_>) -> Result<(), String> {
    let (first, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)?;
    host.run_ok(&args(&["rollback", &second]))?;
    expect_eq(&live_release(host)?, &second)
}

/// Deployer: `ln --relative` wrote a dangling link.
fn the_link_is_relative_and_resolves(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let link = host.root.join("opt/demo/current");
    expect_eq(
        &fs::read_link(&link).unwrap().display().to_string(),
        &format!("releases/{first}"),
    )?;
    expect_eq(&link.join("bin/run").exists(), &true)
}

/// Ansistrano: a real directory at `current` is removed with its content.
fn a_directory_at_current_is_refused_not_removed(host: &Host<'_>) -> Result<(), String> {
    let own = host.root.join("opt/demo/current/own");
    fs::create_dir_all(&own).unwrap();
    let ran = host.run(&host.deploy(1));
    expect_eq(&(ran.code == Some(0)), &false)?;
    expect_eq(&own.is_dir(), &true)
}

/// RAUC: a failure to write the status file at the very end fails the installation.
fn an_unwritable_history_does_not_fail_a_deploy(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    let path = host.root.join("var/lib/robotctl/demo/history.jsonl");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    deploy_ok(host, 2).map(drop)
}

fn enablement_matches_systemctl(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    let links = || -> Vec<(String, String)> {
        let mut out = Vec::new();
        super::state::walk(
            &host.root.join("etc/systemd/system"),
            "",
            &mut |path, text| {
                out.push((path.to_owned(), text));
            },
        );
        out
    };
    let ours = links();
    let units: Vec<String> = names(&host.root.join("usr/local/lib/systemd/system"));
    let wanted: Vec<&String> = units
        .iter()
        .filter(|unit| {
            ours.iter()
                .any(|(path, _)| path.ends_with(&format!("/{unit}")))
        })
        .collect();
    fs::remove_dir_all(host.root.join("etc/systemd/system")).unwrap();
    let mut command = Command::new("systemctl");
    command
        .arg(format!("--root={}", host.root.display()))
        .arg("enable")
        .args(&wanted);
    let ran = run_command(&mut command);
    expect_eq(&ran.code, &Some(0))
        .map_err(|error| format!("systemctl: {error}: {}", ran.stderr))?;
    expect_eq(&ours, &links())?;
    expect_eq(&(ours.len() >= 6), &true)
}
