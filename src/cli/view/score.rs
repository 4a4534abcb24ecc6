//! Scores as a table.

use crate::sandbox::cost::{Cost, ScoreReport};
use crate::sandbox::in_force::{InForce, NotEnforced};

/// What the column `above` says of a unit that has no more points than its floor.
const AT_FLOOR: &str = "at floor";

/// What the score does not cover.
const LEFT_OUT: &str = "\nThe score covers what the sandbox restricts. It does not cover these limits, the data of the \
                        service itself, and faults of the kernel.\n";

/// One line per unit; below it the cost of its exceptions and what would lower the score.
pub(in crate::cli) fn text(all: &[ScoreReport]) -> String {
    let mut text = String::from("score  floor  points     above  unit\n");
    for one in all {
        let ScoreReport {
            unit,
            score,
            points,
            floor,
            exceptions,
            ..
        } = one;
        let floor = floor.as_deref().unwrap_or("-");
        let above = match one.floor_points {
            Some(floor) if *points > floor => format!("+{}", points - floor),
            Some(_) => AT_FLOOR.to_owned(),
            None => "-".to_owned(),
        };
        text.push_str(&format!(
            "{score:>5}  {floor:>5}  {points:>6}  {above:>8}  {unit}\n"
        ));
        if let Some(in_force) = &one.in_force {
            let InForce { score, missing, .. } = in_force;
            for NotEnforced { directives, why } in missing {
                let names: Vec<String> = directives.iter().map(|one| format!("`{one}=`")).collect();
                let names = names.join(", ");
                text.push_str(&format!("{:>33}  {names}: {why}\n", "not in force:"));
            }
            text.push_str(&format!("{:>33}  {score}\n", "score on this host:"));
        }
        if let (Some(because), AT_FLOOR) = (one.because, above.as_str()) {
            text.push_str(&format!("{:>33}  {because}\n", "floor is due to:"));
        }
        for Cost {
            what,
            points,
            opens,
        } in exceptions
        {
            text.push_str(&format!("{points:>+33}  {what}: {opens}\n"));
        }
        let lower = one.lower.iter();
        let lower: Vec<String> = lower
            .map(|change| format!("-{} {}", change.points, change.what))
            .collect();
        if !lower.is_empty() {
            text.push_str(&format!("{:>33}  {}\n", "to lower it:", lower.join(", ")));
        }
        let (limited, open): (Vec<_>, Vec<_>) =
            one.limits.iter().partition(|limit| limit.value.is_some());
        let limited = limited.iter().map(|limit| {
            let value = limit.value.as_deref().unwrap_or_default();
            format!("{} {value}", limit.resource)
        });
        let open = open.iter().map(|limit| limit.resource.to_owned());
        for (title, all) in [
            ("limits:", limited.collect::<Vec<_>>()),
            ("without limit:", open.collect()),
        ] {
            if !all.is_empty() {
                text.push_str(&format!("{title:>33}  {}\n", all.join(", ")));
            }
        }
    }
    text.push_str(LEFT_OUT);
    text
}
