//! Scores as a table.

use crate::sandbox::cost::{Cost, ScoreReport};

/// One line a unit; below it the cost of its exceptions and what would lower the score.
pub(in crate::cli) fn text(all: &[ScoreReport]) -> String {
    let mut text = String::from("score  floor  points   over  unit\n");
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
        let over = match one.floor_points {
            Some(floor) if *points > floor => format!("+{}", points - floor),
            Some(_) => "=".to_owned(),
            None => "-".to_owned(),
        };
        text.push_str(&format!(
            "{score:>5}  {floor:>5}  {points:>6}  {over:>5}  {unit}\n"
        ));
        if let (Some(because), "=") = (one.because, over.as_str()) {
            text.push_str(&format!("{:>30}  {because}\n", "left:"));
        }
        for Cost {
            what,
            points,
            opens,
        } in exceptions
        {
            text.push_str(&format!("{points:>+30}  {what}: {opens}\n"));
        }
        let lower = one.lower.iter();
        let lower: Vec<String> = lower
            .map(|change| format!("-{} {}", change.points, change.what))
            .collect();
        if !lower.is_empty() {
            text.push_str(&format!("{:>30}  {}\n", "lower:", lower.join(", ")));
        }
    }
    text
}
