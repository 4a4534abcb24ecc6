//! The rights of a plan as text.

use crate::plan::{Right, RightKind};

/// One line of text: rights of one kind, of one service.
struct RightLine {
    mark: char,
    subject: String,
    kind: &'static str,
    values: Vec<String>,
}

/// The lines of the rights that a release asks for.
pub(super) fn lines(rights: &[Right]) -> Vec<String> {
    let lines = grouped(rights);
    let width = |of: fn(&RightLine) -> usize| lines.iter().map(of).max().unwrap_or_default();
    let subject = width(|line| line.subject.len());
    let kind = width(|line| line.kind.len());
    let text = lines.iter().map(|line| {
        let values = line.values.join(", ");
        let RightLine {
            mark,
            subject: who,
            kind: what,
            ..
        } = line;
        format!("  {mark} {who:subject$}  {what:kind$}  {values}\n")
    });
    text.collect()
}

fn grouped(rights: &[Right]) -> Vec<RightLine> {
    let mut lines: Vec<RightLine> = Vec::new();
    for right in rights {
        let mark = if right.is_new { '+' } else { ' ' };
        let (subject, kind) = (right.subject(), right.kind.word());
        let value = match right.notes.as_slice() {
            [] => right.value.clone(),
            notes => format!("{} ({})", right.value, notes.join(", ")),
        };
        let same = |line: &&mut RightLine| {
            line.mark == mark && line.subject == subject && line.kind == kind
        };
        // A directive may contain commas.
        let is_alone = right.kind == RightKind::Directive || !right.notes.is_empty();
        match lines.iter_mut().find(same) {
            Some(line) if !is_alone => line.values.push(value),
            _ => lines.push(RightLine {
                mark,
                subject,
                kind,
                values: vec![value],
            }),
        }
    }
    lines
}
