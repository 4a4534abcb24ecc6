//! The deserializer's errors in the words of a manifest.

use super::nearest::nearest;
use super::problem::{Problem, line_of};
use super::right_form;
use std::ops::Range;

/// Keys that take a list of commands, each of which is a list.
const COMMAND_LISTS: [&str; 4] = ["after-switch", "before-switch", "build", "exec-start-pre"];

/// The problem that a deserializer's error is about.
pub(super) fn problem(error: &toml::de::Error, text: &str) -> Problem {
    let error_text = error.message().replace('\n', " ");
    let line = error.span().map(|span| line_of(text, span.start));
    let place = error.span().and_then(|span| Place::of(text, span));
    let (message, hint) = if let Some(rest) = error_text.strip_prefix("unknown field ") {
        unknown_key(rest, error.span().and_then(|key| value_after(text, &key)))
    } else if let Some(rest) = error_text.strip_prefix("missing field ") {
        missing_key(rest)
    } else if let Some(rest) = error_text.strip_prefix("invalid type: ") {
        wrong_type(rest, place.as_ref())
    } else if let Some(length) = error_text.strip_prefix("invalid length ") {
        // A list is read as a table's values in order.
        let (_, expected) = length.split_once(", expected ").unwrap_or_default();
        wrong_type(&format!("sequence, expected {expected}"), place.as_ref())
    } else if let Some(rest) = error_text.strip_prefix("invalid value: ") {
        out_of_range(rest, place.as_ref())
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

/// Where the text has a value.
struct Place<'a> {
    value: &'a str,
    before: &'a str,
    /// The text before it on its line.
    line: &'a str,
    /// Its key. An element of a list has none.
    key: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: Range<usize>) -> Option<Self> {
        let before = text.get(..span.start)?;
        let line = before.rsplit('\n').next().unwrap_or(before);
        let before = before.trim_end();
        let key = before.strip_suffix('=').map(str::trim_end);
        let key = key.and_then(|key| match key.strip_suffix(['"', '\'']) {
            Some(quoted) => quoted.rsplit(['"', '\'']).next(),
            None => key.rsplit(['\n', ' ', '\t', '{', ',', '.']).next(),
        });
        Some(Self {
            value: text.get(span)?,
            before,
            line,
            key,
        })
    }
}

/// The value after a key, if it is a text or a list on one line, or a word.
fn value_after<'a>(text: &'a str, key: &Range<usize>) -> Option<&'a str> {
    let rest = text.get(key.end..)?.trim_start().strip_prefix('=')?;
    let line = rest.lines().next()?.trim_start();
    let end = match line.chars().next()? {
        quote @ ('"' | '\'') => line.get(1..)?.find(quote)? + 2,
        '[' => line.rfind(']')? + 1,
        _ => line.find([',', '}', '#', ' ', '\t']).unwrap_or(line.len()),
    };
    line.get(..end)
}

/// ``unknown field `a`, expected one of `b`, `c` ``
fn unknown_key(rest: &str, value: Option<&str>) -> (String, String) {
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let hint = match right_form::of_unknown_key(unknown, &known, value) {
        Some(hint) => hint,
        None => match nearest(unknown, &known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known keys here: `{}`", known.join("`, `")),
        },
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
fn wrong_type(rest: &str, place: Option<&Place<'_>>) -> (String, String) {
    if let Some(header) = place.and_then(wrong_header) {
        return header;
    }
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let mut expected = Expected::of(expected);
    if expected.max.is_some() && found.starts_with("integer") {
        return out_of_range(rest, place);
    }
    if expected.max.is_some() && found.starts_with("floating") {
        expected.name = "a whole number";
    }
    let commands = place
        .filter(|_| expected.name == "a list")
        .and_then(command_list);
    let form = || {
        let place = place?;
        right_form::of_value(place.key?, place.value, expected.name)
    };
    let hint = commands.or_else(form);
    let message = wrong_value(expected.name, &found_value(found, place), place);
    (message, hint.unwrap_or(expected.hint))
}

/// The problem with a table whose header has too few or too many brackets.
fn wrong_header(place: &Place<'_>) -> Option<(String, String)> {
    let begins = place.line.is_empty() && !place.before.ends_with(['[', ',', '=']);
    if !begins || !place.value.starts_with('[') {
        return None;
    }
    let name = place.value.trim_matches(['[', ']']);
    let problem = match place.value.strip_prefix("[[") {
        Some(_) => (
            format!("`{name}` must be a table, and is a list of tables"),
            format!("write `[{name}]`"),
        ),
        None => (
            format!("`{name}` must be a list of tables, and is a table"),
            format!("write `[[{name}]]`"),
        ),
    };
    Some(problem)
}

/// ``integer `70000`, expected u16``
fn out_of_range(rest: &str, place: Option<&Place<'_>>) -> (String, String) {
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let (expected, hint) = Expected::of(expected).range();
    let found = found.strip_prefix("integer ").unwrap_or(found);
    // A number that no type of the deserializer holds has its type after it.
    let found = found.split(" as ").next().unwrap_or(found);
    (wrong_value(&expected, found.trim_matches('`'), place), hint)
}

/// A sentence about the key, or about the value where it has none.
fn wrong_value(expected: &str, found: &str, place: Option<&Place<'_>>) -> String {
    match place.and_then(|place| place.key) {
        Some(key) => format!("`{key}` must be {expected}, and is {found}"),
        None => format!("expected {expected}, found {found}"),
    }
}

/// A value as the deserializer describes it, in the words of a manifest.
fn found_value(found: &str, place: Option<&Place<'_>>) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    let number = |value: &str| format!("the number {}", value.trim_matches('`'));
    match kind {
        "string" => format!("the string {value}"),
        "integer" => number(value),
        "floating" => number(value.trim_start_matches("point ")),
        "boolean" => value.to_owned(),
        "sequence" => "a list".to_owned(),
        // The deserializer also calls a date a map.
        "map" => {
            match place.filter(|place| place.value.starts_with(|c: char| c.is_ascii_digit())) {
                Some(place) => format!("the date {}", place.value),
                None => "a table".to_owned(),
            }
        }
        _ => found.to_owned(),
    }
}

/// What the deserializer expected, and how to write it.
struct Expected<'a> {
    name: &'a str,
    hint: String,
    max: Option<u64>,
}

impl<'a> Expected<'a> {
    fn of(expected: &'a str) -> Self {
        let number = |max: u64| Self {
            name: "a number",
            hint: "write a whole number, without quotes".to_owned(),
            max: Some(max),
        };
        let (name, hint) = match expected {
            "a boolean" => ("true or false", "write `true` or `false`, without quotes"),
            "a string" => ("a string", "write it in quotes"),
            "a sequence" => ("a list", "write a list: `[\"first\", \"second\"]`"),
            "a map" => ("a table", "write a table: `{ KEY = \"value\" }`"),
            "u16" => return number(u16::MAX.into()),
            "u32" => return number(u32::MAX.into()),
            // TOML has no larger numbers.
            "u64" => return number(i64::MAX.unsigned_abs()),
            other if other.starts_with("struct ") => {
                ("a table", "write a table: `{ key = \"value\" }`")
            }
            other => (other, ""),
        };
        let hint = match hint {
            "" => format!("write {name}"),
            hint => hint.to_owned(),
        };
        let max = None;
        Self { name, hint, max }
    }

    /// What is expected of a value that has the right type, and how to write it.
    fn range(self) -> (String, String) {
        match self.max {
            Some(max) => (
                format!("a number from 0 to {max}"),
                "write a number in this range".to_owned(),
            ),
            None => (self.name.to_owned(), self.hint),
        }
    }
}

/// How to write a list of commands, where the text has a string in place of the list or of a
/// command.
fn command_list(place: &Place<'_>) -> Option<String> {
    let takes_commands = match place.key {
        Some(key) => COMMAND_LISTS.contains(&key),
        // An element of a list. Where the deserializer expects a list there, each is a command.
        None => place.before.ends_with(['[', ',']),
    };
    let found = place.value;
    (takes_commands && found.starts_with(['"', '\'']) && !found.contains('\n'))
        .then(|| format!("write a list of commands, each a list: `[[{found}]]`"))
}

#[cfg(test)]
mod tests {
    use crate::manifest::parse;

    #[test]
    fn a_wrong_value_names_its_key_what_is_expected_and_what_was_found() {
        let head = "[app]\nname = \"a\"\nversion = \"1\"\n[service.w]\n";
        for (rest, message) in [
            (
                "exec = [\"/w\"]\nenable = \"no\"",
                "`enable` must be true or false, and is the string \"no\"",
            ),
            (
                "exec = []\nenable = 0",
                "`enable` must be true or false, and is the number 0",
            ),
            ("exec = [1]", "expected a string, found the number 1"),
            ("exec = [true]", "expected a string, found `true`"),
            ("exec = [\n[\"a\"],\n]", "expected a string, found a list"),
            (
                "exec = [\n  \"a = b\",\n  2,\n]",
                "expected a string, found the number 2",
            ),
            ("exec = { a = 1 }", "`exec` must be a list, and is a table"),
            (
                "exec = []\nenv = []",
                "`env` must be a table, and is a list",
            ),
            (
                "exec = []\nenv = { A = \"1\", \"B C\"=2 }",
                "`B C` must be a string, and is the number 2",
            ),
            (
                "exec = []\nlimits.nofile = 1.5",
                "`nofile` must be a whole number, and is the number 1.5",
            ),
            (
                "exec = []\nlimits = {nofile = 2026-01-02}",
                "`nofile` must be a number, and is the date 2026-01-02",
            ),
            (
                "exec = []\n[[release]]\nkeep = 5",
                "`release` must be a table, and is a list of tables",
            ),
            (
                "exec = []\n[secret]\nname = \"A\"",
                "`secret` must be a list of tables, and is a table",
            ),
            (
                "exec = []\nlimits = []",
                "`limits` must be a table, and is a list",
            ),
            (
                "exec = []\nlimits.nofile = 99999999999999999999",
                "`nofile` must be a number from 0 to 9223372036854775807, and is 99999999999999999999",
            ),
            (
                "exec = []\nlimits.nofile = -1",
                "`nofile` must be a number from 0 to 9223372036854775807, and is -1",
            ),
            (
                "exec = []\ncheck = [{ http = \"/\", status = 70000 }]",
                "`status` must be a number from 0 to 65535, and is 70000",
            ),
        ] {
            let problem = parse(&format!("{head}{rest}")).unwrap_err();
            assert_eq!(problem.message, message, "{rest}");
            assert!(!problem.hint.is_empty(), "{rest}");
        }
    }
}
