//! What a prune removes, as text.

use crate::command_line::CommandLine;
use crate::ops::Pruned;
use std::path::Path;

/// What would be removed.
pub(in crate::cli) fn plan(pruned: &Pruned, root: Option<&Path>) -> String {
    let app = &pruned.app;
    if let Some(warning) = warning(pruned, root) {
        return warning + "\n";
    }
    if pruned.removed.is_empty() && pruned.kept.is_empty() {
        return format!("{app}: nothing to remove\n");
    }
    let mut text = format!("{app}: {}\n", count(pruned.removed.len(), "to remove"));
    for id in &pruned.removed {
        text.push_str(&format!("  - {id}\n"));
    }
    text + &kept(pruned)
}

/// What was removed.
pub(in crate::cli) fn done(pruned: &Pruned, root: Option<&Path>) -> String {
    if let Some(warning) = warning(pruned, root) {
        return warning;
    }
    let count = match pruned.removed.len() {
        0 => "nothing was removed".to_owned(),
        1 => "1 release was removed".to_owned(),
        count => format!("{count} releases were removed"),
    };
    let text = kept(pruned) + &format!("{}: {count}", pruned.app);
    text.trim_start().to_owned()
}

fn kept(pruned: &Pruned) -> String {
    let mut text = String::new();
    for (id, reason) in &pruned.kept {
        text.push_str(&format!("  {id} stays: {reason}\n"));
    }
    text
}

fn warning(pruned: &Pruned, root: Option<&Path>) -> Option<String> {
    let operation = pruned.interrupted.as_ref()?;
    let app = &pruned.app;
    let recover = CommandLine::sudo_robotctl(["recover"]).for_root(root);
    Some(format!(
        "warning: a {operation} of `{app}` was interrupted, so nothing is removed\n\n\
         hint: end it: {recover}"
    ))
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 release {what}"),
        _ => format!("{number} releases {what}"),
    }
}
