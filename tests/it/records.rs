//! The records of an app: every later version reads them, their size is bounded, and records of a newer
//! version are refused.

use crate::damaged_records::{recovery_fix, recovery_hints};
use crate::offline::{MANIFEST, app, deploy, live};
use crate::test::Test;
use crate::tree;
use robotctl::app::{Layout, Name};
use robotctl::host::Root;
use robotctl::store::{FORMAT, Mark, Step, Store};
use std::path::PathBuf;

const RECORDS: &str = "var/lib/robotctl/shop";

/// The records of one app as a version wrote them. Never change these files.
fn kept(format: u32) -> Vec<(&'static str, &'static [u8])> {
    match format {
        1 => format_1(),
        2 => format_2(),
        _ => panic!("a new format needs its records here"),
    }
}

fn format_2() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("state.json", include_bytes!("formats/2/state.json")),
        ("journal.json", include_bytes!("formats/2/journal.json")),
        (
            "releases/1.0-0123456789ab.json",
            include_bytes!("formats/2/release.json"),
        ),
        (
            "releases/1.0-0123456789ab.private",
            include_bytes!("formats/2/release.private"),
        ),
        (
            "releases/1.0-0123456789ab.index",
            include_bytes!("formats/2/release.index"),
        ),
        ("failed.json", include_bytes!("formats/2/failed.json")),
        ("history.jsonl", include_bytes!("formats/2/history.jsonl")),
    ]
}

fn format_1() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("state.json", include_bytes!("formats/1/state.json")),
        ("journal.json", include_bytes!("formats/1/journal.json")),
        (
            "releases/1.0-0123456789ab.json",
            include_bytes!("formats/1/release.json"),
        ),
        (
            "releases/1.0-0123456789ab.index",
            include_bytes!("formats/1/release.index"),
        ),
        ("failed.json", include_bytes!("formats/1/failed.json")),
        ("history.jsonl", include_bytes!("formats/1/history.jsonl")),
    ]
}

pub(crate) fn store(test: &Test) -> Store {
    let name = Name::parse("shop").expect("a name");
    Store::new(&Root::new(&test.root("")), &Layout::new(&name))
}

fn file(test: &Test, name: &str) -> PathBuf {
    test.root(&format!("{RECORDS}/{name}"))
}

fn read(test: &Test, name: &str) -> String {
    std::fs::read_to_string(file(test, name)).expect("read a record")
}

#[test]
fn records_in_every_format_are_read() {
    for format in 1..=FORMAT {
        let test = Test::new();
        std::fs::create_dir_all(file(&test, "releases")).unwrap();
        for (name, text) in kept(format) {
            std::fs::write(file(&test, name), text).unwrap();
        }
        let store = store(&test);
        let state = store.state().unwrap();
        assert_eq!(state.live.as_deref(), Some("1.0-0123456789ab"));
        assert_eq!(state.previous, ["0.9-ba9876543210"]);
        assert_eq!(state.pins["web"], "0.9-ba9876543210");
        assert_eq!(state.since.as_deref(), Some("2026-01-02T03:04:05Z"));
        let journal = store.journal().unwrap().expect("a journal");
        assert_eq!(
            (journal.operation.as_str(), journal.step),
            ("deploy", Step::Switching)
        );
        assert_eq!(journal.to.as_deref(), Some("1.1-00112233aabb"));
        // A field that was added to a format may be missing in an older record.
        let whole = read(&test, "journal.json");
        let without = whole.replace("    \"rebound\": [],\n", "");
        assert_ne!(whole, without);
        std::fs::write(file(&test, "journal.json"), without).unwrap();
        assert_eq!(store.journal().unwrap().as_ref(), Some(&journal));
        assert_eq!(journal.files.len(), 3);
        for change in &journal.files {
            for stored in change.before.iter().chain(&change.after) {
                stored.entry().unwrap();
            }
        }
        let scopes = journal.units.handed_over.iter();
        let scopes: Vec<&str> = scopes.map(|one| one.scope.as_str()).collect();
        let expected: &[&str] = match format {
            1 => &[],
            _ => &["shop-web-old-0123abcd.scope"],
        };
        assert_eq!(scopes, expected);
        assert_eq!(journal.state_before, state);
        let [id] = store.releases().unwrap().try_into().expect("one release");
        let release = store.release(&id).unwrap().expect("a release");
        assert_eq!(release.public.mark, Mark::Good);
        assert_eq!(release.public.environment, None);
        assert_eq!(release.app().unwrap().name.as_str(), "shop");
        let public = store.public_release(&id).unwrap().expect("a release");
        assert_eq!(public.version, "1.0");
        assert_eq!(public.units[0].unit, "shop-web.service");
        assert_eq!(release.tree().unwrap().len(), 2);
        let payload = store.payload(&id).unwrap().expect("a payload");
        assert_eq!(payload.files(), 3);
        let why = store.failure_reason("0.8-fedcba987654").unwrap();
        // The reasons of format 1 may hold the output of a service.
        let reason = match format {
            1 => "it failed under an earlier robotctl",
            _ => "web ended with status 1",
        };
        assert_eq!(why.as_deref(), Some(reason));
        let history = store.history().unwrap();
        assert_eq!(history[0].event, "deployed");
        assert_eq!(history[1].environment.as_deref(), Some("staging"));
        if format < FORMAT {
            continue;
        }
        // Written again, the records are the same bytes.
        std::fs::remove_file(file(&test, "state.json")).unwrap();
        store.set_state(&state).unwrap();
        store.set_journal(&journal).unwrap();
        store.set_release(&release).unwrap();
        store.set_payload(&id, &payload).unwrap();
        for (name, text) in kept(format) {
            let now = std::fs::read(file(&test, name)).unwrap();
            assert!(now == text, "{name}:\n{}", String::from_utf8_lossy(&now));
        }
    }
}

#[test]
fn records_of_a_newer_version_are_refused() {
    let test = app();
    deploy(&test);
    test.write("src/data/pages.txt", "another");
    deploy(&test);
    let id = live(&test);
    let newer = |name: &str, content: &str| {
        let was = std::fs::read_to_string(file(&test, name)).ok();
        let content = was.as_deref().unwrap_or(content);
        let line = format!("\"format\": {FORMAT}");
        assert!(content.contains(&line), "{name}: {content}");
        let content = content.replacen(&line, "\"format\": 99, \"unheard-of\": {}", 1);
        // The other fields may have any shape.
        let content = content.replacen("\"step\"", "\"steps\"", 1);
        std::fs::write(file(&test, name), content).unwrap();
        was
    };
    let journal = include_str!("formats/2/journal.json");
    let release = format!("releases/{id}.json");
    for (name, shown) in [
        ("state.json", "state.json"),
        ("journal.json", "journal.json"),
        (release.as_str(), "releases/1.0-[ID].json"),
    ] {
        let was = newer(name, journal);
        let before = test.state();
        for arguments in [
            &["deploy", "--apply"][..],
            &["deploy"],
            &["rollback"],
            &["rollback", "--dry-run"],
            &["remove"],
            &["remove", "--apply"],
            &["prune"],
            &["prune", "--apply"],
        ] {
            let run = test.run(arguments);
            let case = format!("{name}, {}", arguments.join(" "));
            let stderr = format!(
                "error: `/{RECORDS}/{shown}` was written by a newer robotctl: it has format 99, \
                 this version reads up to {FORMAT}\n\n\
                 hint: install that version of robotctl again\n"
            );
            run.case(&case).stderr(&stderr).status(2);
            tree::assert_same(&before, &test.state(), &case);
        }
        match was {
            Some(content) => std::fs::write(file(&test, name), content).unwrap(),
            None => std::fs::remove_file(file(&test, name)).unwrap(),
        }
    }
    test.run(["deploy", "--apply"]).any_stderr().success();
}

/// After disk corruption, a record can hold any bytes.
#[test]
fn a_record_that_is_not_text_is_reported_as_damaged() {
    let lost = b"\xff\xfe";
    for name in ["state.json", "journal.json", "failed.json"] {
        let test = app();
        deploy(&test);
        std::fs::write(file(&test, name), lost).unwrap();
        let path = format!("[DIR]/root/{RECORDS}/{name}");
        let said = test.run(["doctor"]).case(name).any_stdout().status(1);
        let hint = recovery_fix(&path);
        for part in [&format!("error: `{path}` cannot be read: "), &hint] {
            assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
        }
        test.write("src/data/pages.txt", "another");
        let run = test.run(["deploy", "--apply"]).case(name).any_stderr();
        if name == "failed.json" {
            run.success(); // Commands work without it.
            continue;
        }
        let said = run
            .status(if name == "journal.json" { 4 } else { 2 })
            .stderr;
        assert!(said.ends_with(&recovery_hints(&path)), "{said}");
        assert_eq!(std::fs::read(file(&test, name)).unwrap(), lost);
    }
}

#[test]
fn records_do_not_grow_without_limit() {
    let test = app();
    let line = |number: usize| {
        format!(
            "{{\"ts\":\"2026-01-02T03:04:05Z\",\"trace_id\":\"{number}\",\"app\":\"shop\",\
             \"event\":\"deployed\",\"level\":\"info\",\"message\":\"old\"}}\n"
        )
    };
    for number in 0..8 {
        test.write("src/data/pages.txt", &format!("{number}\n"));
        deploy(&test);
    }
    let store = store(&test);
    let mut state = store.state().unwrap();
    let known = store.releases().unwrap();
    let removed = state
        .previous
        .iter()
        .find(|id| !known.contains(id))
        .cloned();
    let removed = removed.expect("a release without a record");
    // Back and forth between the same two releases.
    for _ in 0..100 {
        state.previous.extend(known[..2].iter().cloned());
    }
    store.set_state(&state).unwrap();
    test.run(["prune", "--apply"]).any_stderr().success();
    let kept = store.state().unwrap().previous;
    assert_eq!(
        kept,
        state.previous[state.previous.len() - 100..],
        "the last hundred stay"
    );
    assert!(!kept.contains(&removed), "a removed release is dropped");
    let old: String = (0..1200).map(line).collect();
    std::fs::write(file(&test, "history.jsonl"), old).unwrap();
    test.run(["prune", "--apply"]).any_stderr().success();
    let history = store.history().unwrap();
    assert_eq!(history.len(), 1000, "a thousand lines stay");
    assert_eq!(history[999].trace_id, "1199", "the last ones");
    let before = read(&test, "history.jsonl");
    test.run(["prune", "--apply"]).any_stderr().success();
    assert_eq!(read(&test, "history.jsonl"), before);
    test.run(["rollback"]).any_stderr().success();
}

#[test]
fn events_name_the_environment() {
    let test = app();
    test.write("robot.toml", &format!("{MANIFEST}[environment.staging]\n"));
    let run = test.run([
        "deploy",
        "--apply",
        "--environment",
        "staging",
        "--format",
        "json",
    ]);
    let events = run.any_stdout().success().of_kind("event");
    assert!(events.len() >= 3, "{events:?}");
    for event in events {
        assert_eq!(event["environment"], "staging", "{event}");
    }
    // Also when the app is named in full.
    std::fs::remove_file(test.app("robot.toml")).unwrap();
    let run = test.run([
        "remove",
        "--app",
        "shop-staging",
        "--apply",
        "--format",
        "json",
    ]);
    let events = run.any_stdout().success().of_kind("event");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event"], "removed", "{events:?}");
    assert_eq!(events[0]["environment"], "staging", "{events:?}");
    assert_eq!(events[0]["app"], "shop-staging", "{events:?}");
}
