//! Secrets as text. No value is here.

use crate::ago::ago;
use crate::command_line::CommandLine;
use crate::error::{Error, Hint};
use crate::host;
use crate::ops::{ChangedSecret, ListedSecret, SecretList};
use jiff::Timestamp;
use std::path::Path;

/// The error of a value on the command line. It does not repeat the value.
pub(in crate::cli) fn refused_argument() -> Error {
    let set = CommandLine::sudo_robotctl(["secret", "set", "NAME"]);
    Error::refused(
        "a value is no argument: it is in the history of your shell now, and every user could see it while \
         the command ran",
        Hint::to("this asks for the value, or reads standard input", set),
    )
    .hint("take another value than the one that you typed, and delete that line of the history")
}

/// One line a secret, in columns. The first has the headings.
pub(in crate::cli) fn lines(list: &SecretList) -> Vec<String> {
    let head = ["SECRET", "FINGERPRINT", "AGE", "PREVIOUS", "SERVICES"].map(str::to_owned);
    let now = host::now();
    let rows = list.secrets.iter().map(|secret| row(secret, now));
    let rows: Vec<[String; 5]> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    let mut lines = rows.iter().map(line);
    let head = lines.next().unwrap_or_default();
    let mut lines: Vec<String> = lines.collect();
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, &head);
    }
    lines
}

fn row(secret: &ListedSecret, now: Timestamp) -> [String; 5] {
    let text = |value: &Option<String>, none: &str| value.clone().unwrap_or(none.to_owned());
    let changed = secret.changed.as_ref();
    let changed = changed.and_then(|time| time.parse::<Timestamp>().ok());
    let age = changed.map_or("-".to_owned(), |then| ago(then, now));
    let none = if secret.is_set == Some(false) {
        "missing"
    } else {
        "-"
    };
    let services = match secret.services.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    [
        secret.name.clone(),
        text(&secret.fingerprint, none),
        age,
        text(&secret.previous, "-"),
        services,
    ]
}

/// What follows the list: what could not be shown, and the services that run with other values.
pub(in crate::cli) fn below(list: &SecretList) -> Vec<String> {
    if list.is_names_only {
        return vec!["only root can see fingerprints, ages and what is missing".to_owned()];
    }
    if list.secrets.is_empty() {
        return vec![format!("{} has no secrets", list.app)];
    }
    let older = list.secrets.iter().filter(|one| !one.older.is_empty());
    let line = |secret: &ListedSecret| {
        let apply = CommandLine::sudo_robotctl(["secret", "apply", secret.name.as_str()]);
        format!(
            "these run with another value of `{}` until they restart: {}; to restart them: {}",
            secret.name,
            in_words(&secret.older),
            apply.for_app(&list.app, None)
        )
    };
    older.map(line).collect()
}

/// What a command has done to a secret, and what to type next.
pub(in crate::cli) fn changed(changed: &ChangedSecret, root: Option<&Path>) -> String {
    let command = |action: &str| {
        let line = CommandLine::sudo_robotctl(["secret", action, changed.name.as_str()]);
        line.for_app(&changed.app, None).for_root(root)
    };
    let mut lines = Vec::new();
    if changed.is_same && changed.restarted.is_empty() {
        lines.push(format!(
            "nothing to write: the secret `{}` has this value already",
            changed.name
        ));
    }
    if !changed.restarted.is_empty() {
        lines.push(format!("restarted: {}", in_words(&changed.restarted)));
    }
    if !changed.older.is_empty() {
        lines.push(format!(
            "these run with another value until they restart: {}",
            in_words(&changed.older)
        ));
        lines.push(format!("to restart them: {}", command("apply")));
    } else if changed.restarted.is_empty() {
        lines.push("no service has to restart".to_owned());
    }
    if changed.has_previous && !changed.is_same {
        lines.push(format!(
            "to return to the previous value: {}",
            command("restore")
        ));
    }
    lines.join("\n")
}

fn in_words(units: &[String]) -> String {
    let units: Vec<String> = units.iter().map(|unit| format!("`{unit}`")).collect();
    units.join(", ")
}
