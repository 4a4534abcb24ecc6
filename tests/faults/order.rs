//! Calls whose order is a promise: what must be on the disk, or out of sight, before what.

use super::bench::{Bench, Place, words};
use super::ends::{calls, calls_of, naming};
use super::full::Small;
use super::halfway::{after, kept};
use super::points::{Fault, Point, points, strike};
use super::regressions::{deployed, same};
use super::seen::{Seen, leftovers, record};
use std::fs;

tests![Suite: of_calls];

const BOOKS: &str = "var/lib/robotctl";
const LINK: &str = "/opt/demo/current\"";

fn of_calls(bench: &Bench) -> Result<String, String> {
    let place = bench.place("order", 0);
    let records = two_disks(&place).map_err(|wrong| format!("on two disks: {wrong}"))?;
    place.clear();
    link_is_right(&place).map_err(|wrong| format!("a link that is right: {wrong}"))?;
    let kills = names_go_first(bench).map_err(|wrong| format!("a removal: {wrong}"))?;
    Ok(format!(
        "{records} records on a disk of their own, links that were right already, {kills} kills \
         of removals"
    ))
}

/// Records may have a file system of their own: what writes the release to its disk writes none of
/// them, and each is on the disk before it gets its name.
fn two_disks(place: &Place<'_>) -> Result<usize, String> {
    let books = place.root.join(BOOKS);
    fs::create_dir_all(&books).unwrap();
    let _disk = Small::new(&books)?;
    let mut count = 0;
    for version in [1, 2] {
        let (ran, found) = points(place, &place.deploy(version))?;
        same(&ran.code, &Some(0))?;
        let named = found.iter().enumerate().filter_map(|(at, point)| {
            let from = point.line.split('"').nth(1)?;
            let is_record =
                point.name.starts_with("rename") && from.starts_with(&format!("/{BOOKS}"));
            is_record.then(|| (&found[..at], format!("<{from}>")))
        });
        for (before, file) in named {
            let last = |is_it: &dyn Fn(&Point) -> bool| before.iter().rposition(is_it);
            // One that keeps a place alone is made, and never written.
            let made = |one: &Point| one.name.starts_with("open") || one.name.contains("write");
            let written =
                last(&|one| made(one) && one.line.contains(file.trim_matches(['<', '>'])));
            let synced = last(&|one| match one.name.as_str() {
                "fsync" | "fdatasync" => one.line.contains(&file),
                "syncfs" => one.line.contains(&format!("</{BOOKS}")),
                _ => false,
            });
            if written.is_none() || synced < written {
                return Err(format!("{file} got its name unsynced"));
            }
            count += 1;
        }
    }
    // Of each deploy: the release, its index, the journal, the state, and the release once more.
    same(&(count >= 10), &true)?;
    Ok(count)
}

/// A link that points where it should may be there in memory alone: whoever finds it so brings it
/// to the disk before a record relies on it.
fn link_is_right(place: &Place<'_>) -> Result<(), String> {
    deployed(place, 1)?;
    deployed(place, 2)?;
    let recover = words(&["recover"]);
    let unit = place.root.join("usr/local/lib/systemd/system");
    fs::remove_file(unit.join("demo-web.service")).unwrap();
    synced_as_it_is(&calls(place, 2)?).map_err(|wrong| format!("deployed again: {wrong}"))?;
    deployed(place, 2)?;

    let found = calls(place, 3)?;
    strike(place, &place.deploy(3), naming(&found, LINK)?, Fault::Kill)?;
    synced_as_it_is(&calls_of(place, &recover)?)
        .map_err(|wrong| format!("killed before the switch: {wrong}"))?;
    place.must(&recover)?;

    let found = calls(place, 3)?;
    strike(place, &place.deploy(3), after(&found, LINK)?, Fault::Kill)?;
    let found = calls_of(place, &recover)?;
    strike(place, &recover, after(&found, LINK)?, Fault::Kill)?;
    synced_as_it_is(&calls_of(place, &recover)?)
        .map_err(|wrong| format!("killed once it was back: {wrong}"))?;
    place.must(&recover)?;
    leftovers(&place.root)
}

/// The link is not made, and its directory is synced before a record tells of the change's end.
fn synced_as_it_is(found: &[Point]) -> Result<(), String> {
    same(&naming(found, LINK).is_err(), &true)?;
    let end = found.iter().position(|point| {
        let named = point.name.starts_with("rename") && point.line.contains("/demo/state.json\"");
        let gone = point.name.starts_with("unlink") && point.line.contains("/demo/journal.json\"");
        named || gone
    });
    let before = &found[..end.ok_or("the change did not end")?];
    let synced = |point: &Point| point.name == "fsync" && point.line.contains("</opt/demo>");
    match before.iter().any(synced) {
        true => Ok(()),
        false => Err("nothing synced it".into()),
    }
}

/// A removal that is killed while its releases go leaves no part of one under its name, and none
/// that no record knows: the app can be deployed again.
fn names_go_first(bench: &Bench) -> Result<usize, String> {
    let place = bench.place("order", 0);
    let (first, _) = (deployed(&place, 1)?, deployed(&place, 2)?);
    let template = kept(&place, "doomed");
    let before = Seen::at(&place.root).releases;
    let removals = [&["remove"][..], &["remove", "--purge"]].map(words);
    let mut cases = Vec::new();
    for arguments in &removals {
        place.become_like(&template);
        let (_, found) = points(&place, arguments)?;
        let begun = after(&found, "/demo/journal.json\"")?.line.clone();
        let rest = found.into_iter().skip_while(|point| point.line != begun);
        cases.extend(rest.map(|point| (arguments, point)));
    }
    bench.each(&cases, |place, (arguments, point)| {
        place.become_like(&template);
        strike(place, arguments, point, Fault::Kill)?;
        let judge = || {
            for (id, digest) in Seen::at(&place.root).releases {
                same(&Some(&digest), &before.get(&id))?;
                let path = format!("var/lib/robotctl/demo/releases/{id}.json");
                same(&record(&place.root, &path)["id"].as_str(), &Some(&id))?;
            }
            same(&deployed(place, 1)?, &first)?;
            leftovers(&place.root)
        };
        judge().map_err(|wrong| format!("killed at {}: {wrong}", point.shown()))
    })?;
    Ok(cases.len())
}
