//! The deserializer's errors in the words of a manifest.

use super::problem::{Problem, line_of, nearest};
use std::ops::Range;

/// Keys that take a list of commands, each of which is a list.
const COMMAND_LISTS: [&str; 4] = ["after-switch", "before-switch", "build", "exec-start-pre"];

/// The problem that a deserializer's error is about.
pub(super) fn problem(error: &toml::de::Error, text: &str) -> Problem {
    let error_text = error.message().replace('\n', " ");
    let line = error.span().map(|span| line_of(text, span.start));
    let (message, hint) = if let Some(rest) = error_text.strip_prefix("unknown field ") {
        unknown_key(rest)
    } else if let Some(rest) = error_text.strip_prefix("missing field ") {
        missing_key(rest)
    } else if let Some(rest) = error_text.strip_prefix("invalid type: ") {
        wrong_type(rest, error.span(), text)
    } else if let Some(rest) = error_text.strip_prefix("invalid value: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let (expected, hint) = Expected::of(expected).range();
        (
            format!("expected {expected}, found {}", found_value(found)),
            hint,
        )
    } else if error_text == "duplicate key" {
        let key = error.span().and_then(|span| text.get(span));
        (
            format!("the key `{}` is given twice", key.unwrap_or_default()),
            "remove one of them".to_owned(),
        )
    } else {
        let hint = "check the quotes and brackets in this line (toml.io)";
        (error_text, hint.to_owned())
    };
    let mut problem = Problem::new::<&str>(&[], message, hint);
    problem.line = line;
    problem
}

/// ``unknown field `a`, expected one of `b`, `c` ``
fn unknown_key(rest: &str) -> (String, String) {
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let hint = match nearest(unknown, &known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known keys here: `{}`", known.join("`, `")),
    };
    (format!("unknown key `{unknown}`"), hint)
}

fn missing_key(key: &str) -> (String, String) {
    let hint = match key {
        "`app`" => "add a table `[app]` with `name` and `version`",
        _ => "add it to this table",
    };
    (format!("missing key {key}"), hint.to_owned())
}

/// ``string "a", expected a boolean``
fn wrong_type(rest: &str, span: Option<Range<usize>>, text: &str) -> (String, String) {
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let expected = Expected::of(expected);
    let command_list = span
        .filter(|_| expected.name == "a list")
        .and_then(|span| command_list(text, span));
    let message = format!("expected {}, found {}", expected.name, found_value(found));
    (message, command_list.unwrap_or(expected.hint.to_owned()))
}

/// A value as the deserializer describes it, in the words of a manifest.
fn found_value(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => format!("the string {value}"),
        "integer" => format!("the number {value}"),
        "floating" => format!("the number {}", value.trim_start_matches("point ")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => found.to_owned(),
    }
}

/// What the deserializer expected, and how to write it.
struct Expected<'a> {
    name: &'a str,
    hint: &'static str,
    max: Option<u64>,
}

impl<'a> Expected<'a> {
    fn of(expected: &'a str) -> Self {
        let number = |max: u64| Self {
            name: "a number",
            hint: "write a whole number, without quotes",
            max: Some(max),
        };
        let (name, hint) = match expected {
            "a boolean" => ("true or false", "write `true` or `false`, without quotes"),
            "a string" => ("a string", "write it in quotes"),
            "a sequence" => ("a list", "write a list: `[\"first\", \"second\"]`"),
            "a map" => ("a table", "write a table: `{ KEY = \"value\" }`"),
            "u16" => return number(u16::MAX.into()),
            "u32" => return number(u32::MAX.into()),
            "u64" => return number(u64::MAX),
            other if other.starts_with("struct ") => {
                ("a table", "write a table: `{ key = \"value\" }`")
            }
            other => (other, "write a value of this kind"),
        };
        Self {
            name,
            hint,
            max: None,
        }
    }

    /// What is expected of a value that has the right type, and how to write it.
    fn range(&self) -> (String, String) {
        match self.max {
            Some(max) => (
                format!("a number from 0 to {max}"),
                "write a number in this range".to_owned(),
            ),
            None => (self.name.to_owned(), self.hint.to_owned()),
        }
    }
}

/// How to write a list of commands, where the text has a string in place of the list or of a
/// command.
fn command_list(text: &str, span: Range<usize>) -> Option<String> {
    let found = text.get(span.clone())?;
    let before = text.get(..span.start)?.trim_end();
    let key = before.strip_suffix('=').map(str::trim_end);
    let key = key.and_then(|key| key.rsplit(['\n', ' ', '\t', '{', ',', '.', '"']).next());
    let takes_commands = match key {
        Some(key) => COMMAND_LISTS.contains(&key),
        // An element of a list. Where the deserializer expects a list there, each is a command.
        None => before.ends_with(['[', ',']),
    };
    (takes_commands && !found.contains('\n'))
        .then(|| format!("write a list of commands, each a list: `[[{found}]]`"))
}

#[cfg(test)]
mod tests {
    use crate::manifest::parse;

    #[test]
    fn a_wrong_value_names_what_is_expected_and_what_was_found() {
        let head = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\n";
        for (rest, expected) in [
            (
                "exec = [\"/w\"]\nenable = \"no\"",
                "true or false, found the string \"no\"",
            ),
            ("exec = [1]", "a string, found the number `1`"),
            ("exec = [true]", "a string, found `true`"),
            ("exec = { a = 1 }", "a list, found a table"),
            ("exec = []\nenv = []", "a table, found a list"),
            (
                "exec = []\nlimits.nofile = 1.5",
                "a number, found the number `1.5`",
            ),
            (
                "exec = []\ncheck = [{ http = \"/\", status = 70000 }]",
                "a number from 0 to 65535, found the number `70000`",
            ),
        ] {
            let problem = parse(&format!("{head}{rest}")).unwrap_err();
            assert_eq!(problem.message, format!("expected {expected}"), "{rest}");
            assert!(!problem.hint.is_empty(), "{rest}");
        }
    }
}
