//! Compares our scores with those of `systemd-analyze security`.
//!
//! `scripts/scorer-parity` makes the corpus, a directory per unit: `unit.txt` is the merged text,
//! `expected.json` and `score.txt` are the output of systemd.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test reads its own files, and a broken corpus ends it"
)]

use robotctl::exposure::{CHECKS, Check, Exposure, Unit, score_as};
use std::path::Path;
use std::{env, fs};

/// Offline, newer versions (255 and 257) treat an unset `PrivateMounts=` as set.
const MOUNTS_FIXED_ON: &str = "PrivateMounts";

#[derive(serde::Deserialize)]
struct Row {
    name: String,
    json_field: String,
    weight: u32,
    badness: u64,
    range: u32,
}

#[derive(Default)]
struct Tally {
    checks: usize,
    deviations: usize,
    mismatches: Vec<String>,
}

#[test]
#[ignore = "`scripts/scorer-parity` makes the corpus and runs this"]
fn every_check_agrees_with_systemd() {
    let corpus = env::var("SCORER_CORPUS").unwrap();
    let version = env::var("SCORER_VERSION").unwrap().parse().unwrap();
    let mut tally = Tally::default();
    let mut units = 0;
    for entry in walkdir::WalkDir::new(corpus).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_name() == "unit.txt" {
            units += 1;
            compare(entry.path().parent().unwrap(), version, &mut tally);
        }
    }
    let Tally {
        checks,
        deviations,
        mismatches,
    } = tally;
    println!(
        "systemd {version}: {units} units, {checks} checks compared, {} mismatches, \
         {deviations} times the known deviation of {MOUNTS_FIXED_ON}=",
        mismatches.len()
    );
    assert!(units > 0, "the corpus is empty");
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    assert_eq!(
        deviations > 0,
        version >= 255,
        "is the deviation still there?"
    );
}

fn compare(dir: &Path, version: u16, tally: &mut Tally) {
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let text = read("unit.txt");
    let unit = Unit::merge(&[&String::from_utf8_lossy(&text)]);
    let ours = score_as(&unit, version);
    let rows: Vec<Row> = serde_json::from_slice(&read("expected.json")).unwrap();
    let mut say = |what: String| tally.mismatches.push(format!("{}: {what}", dir.display()));
    if rows.len() != CHECKS.len() {
        say(format!("{} checks, not {}", rows.len(), CHECKS.len()));
    }
    let (mut raw, mut total) = (ours.raw, ours.total_weight);
    for row in &rows {
        let Some(check) = CHECKS.iter().find(|check| check.name() == row.name) else {
            say(format!("unknown check {}", row.name));
            continue;
        };
        tally.checks += 1;
        if (check.field(), check.weight, check.range)
            != (row.json_field.clone(), row.weight, row.range)
        {
            say(format!("another field, weight or range for {}", row.name));
        }
        let (mine, theirs) = (badness(&ours, check), u32::try_from(row.badness).ok());
        if version >= 255 && check.directive == MOUNTS_FIXED_ON && (mine, theirs) == (1, Some(0)) {
            tally.deviations += 1;
            raw -= check.weight;
        } else if theirs.unwrap_or(0) != mine {
            say(format!("{}: systemd {theirs:?}, we {mine}", row.name));
        }
        total -= theirs.map_or(0, |_| check.weight);
    }
    if total != 0 {
        say(format!("the possible points differ by {total}"));
    }
    let tenths = (raw * 100).div_ceil(ours.total_weight);
    let score = format!(": {}.{} ", tenths / 10, tenths % 10);
    let line = String::from_utf8(read("score.txt")).unwrap();
    let word = if tenths == ours.tenths {
        ours.word()
    } else {
        ""
    };
    if !line.contains(&score) || !line.contains(word) {
        say(format!("systemd says {}, we {ours} {word}", line.trim()));
    }
}

fn badness(exposure: &Exposure, check: &Check) -> u32 {
    let mut findings = exposure.findings.iter();
    findings
        .find(|finding| finding.check.name() == check.name())
        .map_or(0, |finding| finding.badness)
}
