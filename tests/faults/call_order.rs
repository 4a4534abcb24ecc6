//! The order of calls on which crash safety depends: what must be on the disk, or renamed, before
//! what.

use super::after_commit::{calls, calls_of, rename_of};
use super::fixture::{Fixture, Host, PURGE, args};
use super::full_disk::SmallDisk;
use super::injection::{Fault, Point, inject, list_points};
use super::midway::{point_after, snapshot};
use super::regressions::{deploy_ok, expect_eq};
use super::state::{HostState, check_no_leftovers, record};
use std::fs;

tests![Suite: records_are_synced_before_their_rename];

const STORE: &str = "var/lib/robotctl";
const LINK: &str = "/opt/demo/current\"";

fn records_are_synced_before_their_rename(fixture: &Fixture) -> Result<String, String> {
    let host = fixture.host("call-order", 0);
    let records = store_on_its_own_disk(&host)
        .map_err(|error| format!("with the store on its own disk: {error}"))?;
    host.clear();
    unchanged_links_are_synced(&host).map_err(|error| format!("an unchanged link: {error}"))?;
    let kills =
        removal_renames_before_deleting(fixture).map_err(|error| format!("a removal: {error}"))?;
    Ok(format!(
        "{records} records on a disk of their own, links that were right already, {kills} kills \
         of removals"
    ))
}

/// The store may be on a file system of its own. A sync of the release's file system does not write
/// it, so each record must be synced before its rename.
fn store_on_its_own_disk(host: &Host<'_>) -> Result<usize, String> {
    let store = host.root.join(STORE);
    fs::create_dir_all(&store).unwrap();
    let _disk = SmallDisk::new(&store)?;
    let mut count = 0;
    for version in [1, 2] {
        let (ran, found) = list_points(host, &host.deploy(version))?;
        expect_eq(&ran.code, &Some(0))?;
        let named = found.iter().enumerate().filter_map(|(at, point)| {
            let from = point.line.split('"').nth(1)?;
            let is_record =
                point.name.starts_with("rename") && from.starts_with(&format!("/{STORE}"));
            is_record.then(|| (&found[..at], format!("<{from}>")))
        });
        for (before, file) in named {
            let last = |is_it: &dyn Fn(&Point) -> bool| before.iter().rposition(is_it);
            // The reserve file is created and never written.
            let made = |one: &Point| one.name.starts_with("open") || one.name.contains("write");
            let written =
                last(&|one| made(one) && one.line.contains(file.trim_matches(['<', '>'])));
            let synced = last(&|one| match one.name.as_str() {
                "fsync" | "fdatasync" => one.line.contains(&file),
                "syncfs" => one.line.contains(&format!("</{STORE}")),
                _ => false,
            });
            if written.is_none() || synced < written {
                return Err(format!("{file} was renamed before it was synced"));
            }
            count += 1;
        }
    }
    // Each deploy writes the release, its index, the journal, the state and the release again.
    expect_eq(&(count >= 10), &true)?;
    Ok(count)
}

/// A link that already points to the right release may exist in memory only. robotctl must sync it
/// before it writes a record that relies on it.
fn unchanged_links_are_synced(host: &Host<'_>) -> Result<(), String> {
    deploy_ok(host, 1)?;
    deploy_ok(host, 2)?;
    let recover = args(&["recover"]);
    let unit = host.root.join("usr/local/lib/systemd/system");
    fs::remove_file(unit.join("demo-web.service")).unwrap();
    expect_link_synced(&calls(host, 2)?).map_err(|error| format!("deployed again: {error}"))?;
    deploy_ok(host, 2)?;

    let found = calls(host, 3)?;
    inject(host, &host.deploy(3), rename_of(&found, LINK)?, Fault::Kill)?;
    expect_link_synced(&calls_of(host, &recover)?)
        .map_err(|error| format!("killed before the switch: {error}"))?;
    host.run_ok(&recover)?;

    let found = calls(host, 3)?;
    inject(
        host,
        &host.deploy(3),
        point_after(&found, LINK)?,
        Fault::Kill,
    )?;
    let found = calls_of(host, &recover)?;
    inject(host, &recover, point_after(&found, LINK)?, Fault::Kill)?;
    expect_link_synced(&calls_of(host, &recover)?)
        .map_err(|error| format!("killed once it was reverted: {error}"))?;
    host.run_ok(&recover)?;
    check_no_leftovers(&host.root)
}

/// Checks that the link is not made again, and that its directory is synced before a record ends
/// the change.
fn expect_link_synced(found: &[Point]) -> Result<(), String> {
    expect_eq(&rename_of(found, LINK).is_err(), &true)?;
    let end = found.iter().position(|point| {
        let named = point.name.starts_with("rename") && point.line.contains("/demo/state.json\"");
        let gone = point.name.starts_with("unlink") && point.line.contains("/demo/journal.json\"");
        named || gone
    });
    let before = &found[..end.ok_or("the change did not end")?];
    let synced = |point: &Point| point.name == "fsync" && point.line.contains("</opt/demo>");
    match before.iter().any(synced) {
        true => Ok(()),
        false => Err("the directory of the link was not synced".into()),
    }
}

/// A removal that is killed while it deletes releases leaves no incomplete release under its name
/// and no release without a record. The app can be deployed again.
fn removal_renames_before_deleting(fixture: &Fixture) -> Result<usize, String> {
    let host = fixture.host("call-order", 0);
    let (first, _) = (deploy_ok(&host, 1)?, deploy_ok(&host, 2)?);
    let template = snapshot(&host, "before-removal");
    let before = HostState::read(&host.root).releases;
    let removals = [&["remove", "--apply"][..], &PURGE].map(args);
    let mut cases = Vec::new();
    for arguments in &removals {
        host.restore(&template);
        let (_, found) = list_points(&host, arguments)?;
        let begun = point_after(&found, "/demo/journal.json\"")?.line.clone();
        let rest = found.into_iter().skip_while(|point| point.line != begun);
        cases.extend(rest.map(|point| (arguments, point)));
    }
    fixture.run_cases(&cases, |host, (arguments, point)| {
        host.restore(&template);
        inject(host, arguments, point, Fault::Kill)?;
        let verify = || {
            for (id, digest) in HostState::read(&host.root).releases {
                expect_eq(&Some(&digest), &before.get(&id))?;
                let path = format!("var/lib/robotctl/demo/releases/{id}.json");
                expect_eq(&record(&host.root, &path)["id"].as_str(), &Some(&id))?;
            }
            expect_eq(&deploy_ok(host, 1)?, &first)?;
            check_no_leftovers(&host.root)
        };
        verify().map_err(|error| format!("killed at {}: {error}", point.shown()))
    })?;
    Ok(cases.len())
}
