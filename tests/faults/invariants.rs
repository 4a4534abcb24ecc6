//! What must stay true when a command fails or is killed: no release is lost, and other apps can
//! still be recovered.

use super::after_commit::{calls, calls_of, rename_of};
use super::fixture::{Fixture, Host, args};
use super::injection::{Fault, inject, list_points};
use super::midway::snapshot;
use super::regressions::{deploy_ok, expect_eq, live_release};
use super::state::{HostState, check_no_leftovers, record};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

tests![Suite: a_failed_redeploy_keeps_both_releases];
tests![
    Case:
    failed_redeploy_keeps_the_live_release,
    old_releases_are_removed_last,
    staged_only_releases_do_not_accumulate,
    a_damaged_app_does_not_block_recovery_of_others,
];

const LINK: &str = "/opt/demo/current";
const STATE: &str = "/demo/state.json";
const JOURNAL: &str = "/demo/journal.json";

/// A deploy of a release that an earlier deploy staged fails at any call. It does not remove what
/// it did not create, and the other release stays live.
fn a_failed_redeploy_keeps_both_releases(fixture: &Fixture) -> Result<String, String> {
    let host = fixture.host("invariants", 0);
    let (first, second) = (deploy_ok(&host, 1)?, deploy_ok(&host, 2)?);
    let template = snapshot(&host, "both");
    let before = HostState::read(&host.root).releases;
    host.restore(&template);
    let (_, found) = list_points(&host, &host.deploy(1))?;
    expect_eq(&live_release(&host)?, &first)?;
    let faults = ["EIO", "ENOSPC"].map(Fault::Error);
    let cases = found
        .iter()
        .flat_map(|point| faults.map(|one| (point, one)));
    let cases: Vec<_> = cases.collect();
    let failed = AtomicUsize::new(0);
    fixture.run_cases(&cases, |host, (point, fault)| {
        host.restore(&template);
        let ran = inject(host, &host.deploy(1), point, *fault)?;
        failed.fetch_add(usize::from(ran.code != Some(0)), Ordering::Relaxed);
        let verify = || {
            expect_eq(&HostState::read(&host.root).releases, &before)?;
            match ran.code {
                Some(0) => expect_eq(&live_release(host)?, &first)?,
                // The change is incomplete: recovery decides.
                Some(4) => {}
                _ => expect_eq(&live_release(host)?, &second)?,
            }
            host.run_ok(&args(&["recover"]))?;
            expect_eq(&[&first, &second].contains(&&live_release(host)?), &true)?;
            expect_eq(&HostState::read(&host.root).releases, &before)?;
            check_no_leftovers(&host.root)
        };
        let at = || format!("{} at {}", fault.name(), point.shown());
        verify().map_err(|error| format!("{}: {error}: {}", at(), ran.stderr))
    })?;
    // Otherwise no deploy failed, and this test checks nothing.
    expect_eq(&(failed.into_inner() > 0), &true)?;
    Ok(format!(
        "{} deploys of a release that was staged before",
        cases.len()
    ))
}

/// A deploy of the live release restores a unit and fails at its last step. The new release is the
/// old one, so nothing of it may be removed.
fn failed_redeploy_keeps_the_live_release(host: &Host<'_>) -> Result<(), String> {
    let (_, second) = (deploy_ok(host, 1)?, deploy_ok(host, 2)?);
    let before = HostState::read(&host.root);
    let unit = host.root.join("usr/local/lib/systemd/system");
    fs::remove_file(unit.join("demo-web.service")).unwrap();
    for error in ["EIO", "ENOSPC"] {
        let found = calls(host, 2)?;
        let fault = Fault::Error(error);
        let ran = inject(host, &host.deploy(2), rename_of(&found, STATE)?, fault)?;
        expect_eq(&(ran.code == Some(0)), &false)?;
        expect_eq(&live_release(host)?, &second)?;
        expect_eq(&HostState::read(&host.root).releases, &before.releases)?;
    }
    expect_eq(&deploy_ok(host, 2)?, &second)?;
    check_no_leftovers(&host.root)?;
    expect_eq(&HostState::read(&host.root), &before)
}

/// Like [`Host::deploy`], for an app with `keep = 2`.
fn deploy_few(host: &Host<'_>, version: u32) -> Vec<String> {
    let text = fs::read_to_string(host.fixture.manifest(version)).unwrap();
    let path = host.fixture.dir.join(format!("few-{version}.toml"));
    fs::write(&path, text.replace("keep = 9", "keep = 2")).unwrap();
    let path = path.display().to_string();
    args(&["--manifest", &path, "deploy", "--apply"])
}

fn deploy_few_ok(host: &Host<'_>, version: u32) -> Result<String, String> {
    host.run_ok(&deploy_few(host, version))?;
    live_release(host)
}

/// Until a deploy has succeeded, an old release may still be needed. Old releases are removed after
/// the journal, and a failed deploy removes none.
fn old_releases_are_removed_last(host: &Host<'_>) -> Result<(), String> {
    let both = [deploy_few_ok(host, 1)?, deploy_few_ok(host, 2)?];
    let before = HostState::read(&host.root).releases;
    let arguments = deploy_few(host, 3);
    let found = calls_of(host, &arguments)?;
    let of_old = |line: &str| {
        let mut old = both.iter();
        old.any(|id| line.contains(&format!("/opt/demo/releases/{id}")))
    };
    let first = |calls: &[&str], is_it: &dyn Fn(&str) -> bool| {
        let named = |name: &str| calls.iter().any(|call| name.starts_with(call));
        let mut found = found.iter();
        let at = found.position(|point| named(&point.name) && is_it(&point.line));
        at.ok_or_else(|| format!("no call of {calls:?} was found"))
    };
    let end = first(&["unlink"], &|line| line.contains(JOURNAL))?;
    let gone = first(&["rename", "unlink", "rmdir"], &of_old)?;
    expect_eq(&(end < gone), &true)?;
    for what in [LINK, STATE] {
        // A deploy makes fewer calls if the release is already staged.
        let found = calls_of(host, &arguments)?;
        let fault = Fault::Error("EIO");
        let ran = inject(host, &arguments, rename_of(&found, what)?, fault)?;
        expect_eq(&(ran.code == Some(0)), &false)?;
        expect_eq(&live_release(host)?, &both[1])?;
        let mut after = HostState::read(&host.root).releases;
        after.retain(|id, _| both.contains(id));
        expect_eq(&after, &before)?;
        host.run_ok(&args(&["recover"]))?;
    }
    let third = deploy_few_ok(host, 3)?;
    let mut left: Vec<String> = HostState::read(&host.root).releases.into_keys().collect();
    left.sort();
    expect_eq(&left, &vec![both[1].clone(), third])
}

/// Deploys that are killed before the switch leave releases that were never live. These must not
/// push out good releases, and must not accumulate.
fn staged_only_releases_do_not_accumulate(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_few_ok(host, 1)?;
    for version in 2..=4 {
        let arguments = deploy_few(host, version);
        let found = calls_of(host, &arguments)?;
        inject(host, &arguments, rename_of(&found, JOURNAL)?, Fault::Kill)?;
        expect_eq(&live_release(host)?, &first)?;
    }
    // Otherwise there are no staged releases that could use up `keep`.
    expect_eq(&HostState::read(&host.root).releases.len(), &4)?;
    let fifth = deploy_few_ok(host, 5)?;
    let ids = HostState::read(&host.root).releases.into_keys();
    let mark = |id: &String| {
        let path = format!("var/lib/robotctl/demo/releases/{id}.json");
        record(&host.root, &path)["mark"] == "good"
    };
    let (good, staged): (Vec<String>, Vec<String>) = ids.partition(mark);
    expect_eq(&good, &vec![first.clone(), fifth])?;
    expect_eq(&(staged.len() <= 1), &true)?;
    host.run_ok(&args(&["rollback"]))?;
    expect_eq(&live_release(host)?, &first)
}

/// An app that cannot be recovered is reported, and does not keep other apps from being recovered.
fn a_damaged_app_does_not_block_recovery_of_others(host: &Host<'_>) -> Result<(), String> {
    let first = deploy_ok(host, 1)?;
    let before = HostState::read(&host.root).files;
    for name in ["a", "z"] {
        let found = calls(host, 2)?;
        let store = host.root.join("var/lib/robotctl").join(name);
        fs::create_dir(&store).unwrap();
        fs::write(store.join("journal.json"), "{").unwrap();
        inject(
            host,
            &host.deploy(2),
            rename_of(&found, STATE)?,
            Fault::Kill,
        )?;
        expect_eq(&(HostState::read(&host.root).files == before), &false)?;
        let ran = host.run(&args(&["recover"]));
        expect_eq(&ran.code, &Some(4))?;
        let message = format!("/robotctl/{name}/journal.json` cannot be read");
        expect_eq(&ran.stderr.contains(&message), &true)?;
        expect_eq(&live_release(host)?, &first)?;
        expect_eq(&HostState::read(&host.root).files, &before)?;
        fs::remove_dir_all(&store).unwrap();
        check_no_leftovers(&host.root)?;
    }
    Ok(())
}
