//! The score of a unit, the checks that it fails, and what would lower the score.

use super::checks::{CHECKS, Check};
use super::context::Context;
use super::unit::Unit;
use std::fmt;

/// One check that a unit fails, or part of it.
#[derive(Debug, Clone, Copy)]
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// From 1 to the check's range.
    pub badness: u32,
    /// The points that it adds.
    pub points: u32,
}

/// The exposure of one unit.
#[derive(Debug, Clone)]
pub struct Exposure {
    /// The score in tenths, from 0 to 100, rounded up as systemd does.
    pub tenths: u32,
    /// The points that the score comes from. They show differences that rounding hides.
    pub raw: u32,
    /// The points that were possible.
    pub total_weight: u32,
    /// The failed checks, in the order of the table.
    pub findings: Vec<Finding>,
}

/// The findings that one directive would fix.
#[derive(Debug, Clone)]
pub struct Remedy {
    /// The directive to write.
    pub directive: &'static str,
    /// The points that it would remove.
    pub points: u32,
    /// The findings that it would fix.
    pub findings: Vec<Finding>,
}

/// Scores a unit as the newest systemd reads it.
pub fn score(unit: &Unit) -> Exposure {
    score_as(unit, u16::MAX)
}

/// Scores a unit as a version of systemd reads it. It ignores values that the version does not know.
pub fn score_as(unit: &Unit, version: u16) -> Exposure {
    let context = Context::new(unit, version);
    let mut total_weight = 0;
    let mut findings = Vec::new();
    for check in CHECKS {
        let Some(badness) = check.assess(&context) else {
            continue;
        };
        total_weight += check.weight;
        if badness > 0 {
            findings.push(Finding {
                check,
                badness,
                points: (badness * check.weight).div_ceil(check.range),
            });
        }
    }
    let raw = findings.iter().map(|finding| finding.points).sum();
    Exposure {
        tenths: tenths(raw, total_weight),
        raw,
        total_weight,
        findings,
    }
}

/// A score in tenths from its points and the points that were possible; rounded up.
pub fn tenths(raw: u32, total_weight: u32) -> u32 {
    (raw * 100).div_ceil(total_weight)
}

impl Exposure {
    /// The word for the score.
    pub fn word(&self) -> &'static str {
        match self.tenths {
            100.. => "DANGEROUS",
            90.. => "UNSAFE",
            75.. => "EXPOSED",
            50.. => "MEDIUM",
            10.. => "OK",
            1.. => "SAFE",
            0 => "PERFECT",
        }
    }

    /// The `n` directives that lower the score most, each with one line.
    pub fn cheapest(&self, n: usize) -> Vec<Remedy> {
        let mut remedies: Vec<Remedy> = Vec::new();
        for finding in &self.findings {
            let directive = finding.check.directive;
            match remedies.iter_mut().find(|it| it.directive == directive) {
                Some(remedy) => {
                    remedy.points += finding.points;
                    remedy.findings.push(*finding);
                }
                None => remedies.push(Remedy {
                    directive,
                    points: finding.points,
                    findings: vec![*finding],
                }),
            }
        }
        remedies.sort_by_key(|remedy| std::cmp::Reverse(remedy.points));
        remedies.truncate(n);
        remedies
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self.tenths))
    }
}

/// Tenths as systemd prints them.
pub fn shown(tenths: u32) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}
