//! One sentence about what is wrong with a manifest, where, and what to do.

use std::fmt;
use toml::de::{DeTable, DeValue};

/// The result of reading or judging a manifest.
pub type Result<T> = std::result::Result<T, Problem>;

/// What is wrong, where it stands and how to mend it.
///
/// `Display` gives `line N: <message>` and, after a blank line, `hint: <hint>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, such as `["service", "web", "listen"]`; empty when unknown.
    pub path: Vec<String>,
    /// One-based line in the manifest, once known.
    pub line: Option<usize>,
    /// One sentence without a full stop; literals in backticks.
    pub message: String,
    /// What to type or write instead.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the value at `path`.
    pub fn new<P: AsRef<str>>(path: &[P], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|part| part.as_ref().to_owned()).collect(),
            line: None,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Finds the line of the problem's path in the manifest's text.
    #[must_use]
    pub fn at(mut self, text: &str) -> Self {
        if self.line.is_none() {
            self.line = locate(text, &self.path);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Puts a deserialiser's error into our words.
pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Problem {
    let said = error.message().replace('\n', " ");
    let mut problem = Problem::new::<&str>(&[], said.clone());
    problem.line = error.span().map(|span| line_of(text, span.start));
    let ticked_names = |rest: &str| -> (String, Vec<String>) {
        let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
        (names.next().unwrap_or_default(), names.collect())
    };
    if let Some(rest) = said.strip_prefix("unknown field ") {
        let (unknown, known) = ticked_names(rest);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        problem.message = format!("unknown key `{unknown}`");
        problem.hint = Some(match nearest(&unknown, &known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known keys here: {}", ticked(&known)),
        });
    } else if let Some(rest) = said.strip_prefix("missing field ") {
        problem.message = format!("missing key {rest}");
        problem.hint = Some(match rest {
            "`app`" => "add a table `[app]` with `name` and `version`".into(),
            _ => "add it to this table".into(),
        });
    } else if let Some(rest) = said.strip_prefix("invalid type: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let (expected, hint) = in_words(expected);
        problem.message = format!("{found} is there where {expected} belongs");
        let commands = error
            .span()
            .filter(|_| expected == "a list")
            .and_then(|span| commands(text, span));
        problem.hint = Some(commands.unwrap_or_else(|| hint.to_owned()));
    } else if let Some(rest) = said.strip_prefix("invalid value: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let (expected, hint) = in_words(expected);
        problem.message = format!("{found} is no {}", expected.trim_start_matches("a "));
        problem.hint = Some(hint.to_owned());
    } else if said == "duplicate key" {
        let key = error.span().and_then(|span| text.get(span));
        problem.message = format!("the key `{}` is there twice", key.unwrap_or_default());
        problem.hint = Some("take one of them away".into());
    } else {
        problem.hint = Some("look at the quotes and brackets of this line (toml.io)".into());
    }
    problem
}

/// What the deserialiser expected, and how that is written.
fn in_words(expected: &str) -> (&str, &'static str) {
    match expected {
        "a boolean" => ("true or false", "write `true` or `false`, without quotes"),
        "a string" => ("a string", "write it in quotes"),
        "a sequence" => ("a list", "write a list: `[\"first\", \"second\"]`"),
        "a map" => ("a table", "write a table: `{ KEY = \"value\" }`"),
        "u16" | "u32" | "u64" => ("a number", "write a whole number, without quotes"),
        other if other.starts_with("struct ") => {
            ("a table", "write a table: `{ key = \"value\" }`")
        }
        other => (other, "docs/manifest.md tells of every key"),
    }
}

/// Keys that take a list of commands, each of which is a list.
const COMMANDS: [&str; 4] = ["after-switch", "before-switch", "build", "exec-start-pre"];

/// How a list of commands is written, where a string stands in place of it or of a command.
fn commands(text: &str, span: std::ops::Range<usize>) -> Option<String> {
    let found = text.get(span.clone())?;
    let before = text.get(..span.start)?.trim_end();
    let key = before.strip_suffix('=').map(str::trim_end);
    let key = key.and_then(|key| key.rsplit(['\n', ' ', '\t', '{', ',', '.', '"']).next());
    let takes = match key {
        Some(key) => COMMANDS.contains(&key),
        // An element: what takes a list there, takes a list of lists.
        None => before.ends_with(['[', ',']),
    };
    (takes && !found.contains('\n'))
        .then(|| format!("write a list of commands, each a list: `[[{found}]]`"))
}

/// The known name that a person most likely meant.
pub(crate) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::osa_distance(unknown, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .map(|(_, name)| name)
}

fn ticked(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The line of the deepest part of `path` that exists in the text.
fn locate(text: &str, path: &[String]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut here = DeValue::Table(root.into_inner());
    for part in path {
        let (start, next) = match &here {
            DeValue::Table(table) => {
                let mut keys = table.iter();
                let Some((key, value)) = keys.find(|(key, _)| key.get_ref() == part) else {
                    break;
                };
                (key.span().start, value.get_ref().clone())
            }
            DeValue::Array(items) => {
                let item = items.get(part.parse::<usize>().ok()?)?;
                (item.span().start, item.get_ref().clone())
            }
            _ => break,
        };
        found = Some(line_of(text, start));
        here = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{locate, nearest};

    #[test]
    fn the_deepest_part_that_exists_gives_the_line() {
        let text = "[app]\nname = \"x\"\n\n[service.web]\nlisten = [\n  \"a\",\n  \"b\",\n]\n";
        let path = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            locate(text, &path(&["service", "web", "listen", "1"])),
            Some(7)
        );
        assert_eq!(locate(text, &path(&["service", "web"])), Some(4));
        assert_eq!(locate(text, &path(&["nothing"])), None);
    }

    #[test]
    fn nothing_is_suggested_for_a_stranger() {
        assert_eq!(nearest("tpye", &["type", "exec"]), Some("type"));
        assert_eq!(nearest("zzzzzz", &["type", "exec"]), None);
    }
}
