//! Variables as text.

use crate::command_line::CommandLine;
use crate::ops::{ChangedVariables, ListedVariable};
use crate::printable;
use std::path::Path;

/// One line a variable.
pub(in crate::cli) fn line(variable: &ListedVariable) -> String {
    let value = match &variable.value {
        Some(value) => printable::name(value).into_owned(),
        None => "(hidden)".to_owned(),
    };
    let overrides = match variable.overrides.as_slice() {
        [] => String::new(),
        services => format!(
            "  (the manifest has another value for {})",
            services.join(", ")
        ),
    };
    format!("{}={value}{overrides}\n", variable.name)
}

/// What a command has done, and what to type next.
pub(in crate::cli) fn changed(changed: &ChangedVariables, root: Option<&Path>) -> String {
    let mut lines = Vec::new();
    if changed.names.is_empty() {
        lines.push("nothing to write: the variables are so already".to_owned());
    }
    if changed.is_restarted {
        lines.push(format!("restarted: {}", changed.older.join(", ")));
    } else if changed.older.is_empty() {
        lines.push("no service has to restart".to_owned());
    } else {
        let services = changed.older.join(", ");
        lines.push(format!(
            "these run with older settings until they restart: {services}"
        ));
        let restart = CommandLine::sudo_robotctl(["restart"]).args(changed.older.clone());
        let restart = restart.for_app(&changed.app, None).for_root(root);
        lines.push(format!("to restart them: {restart}"));
    }
    lines.join("\n")
}
