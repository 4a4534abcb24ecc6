//! What is wrong with a manifest: one sentence, the line, and what to do.

use std::fmt;
use toml::de::{DeTable, DeValue};

/// The result of reading or checking a manifest.
pub type Result<T> = std::result::Result<T, Problem>;

/// What is wrong with a manifest.
///
/// `Display` gives `line N: <message>` and, after a blank line, `hint: <hint>`. A file other than that of the
/// manifest comes before the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path, such as `["service", "web", "listen"]`; empty when unknown.
    pub path: Vec<String>,
    /// The line in the file, from 1, once it is known.
    pub line: Option<usize>,
    /// The file, if it is not that of the manifest.
    pub file: Option<String>,
    /// One sentence without a full stop; literals in backticks.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Problem {
    /// A problem with the value at `path`, and what to do about it.
    pub fn new<P: AsRef<str>>(
        path: &[P],
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            path: path.iter().map(|part| part.as_ref().to_owned()).collect(),
            line: None,
            file: None,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Adds the line of the problem's path in the text of the manifest.
    #[must_use]
    pub fn at(mut self, text: &str) -> Self {
        if self.line.is_none() && self.file.is_none() {
            self.line = line_of_key(text, &self.path);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        write!(f, "{}\n\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for Problem {}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The line of the deepest part of `path` that the text has.
pub(crate) fn line_of_key<P: AsRef<str>>(text: &str, path: &[P]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut here = DeValue::Table(root.into_inner());
    for part in path.iter().map(AsRef::as_ref) {
        let (start, next) = match &here {
            DeValue::Table(table) => {
                let mut keys = table.iter();
                let Some((key, value)) = keys.find(|(key, _)| key.get_ref().as_ref() == part)
                else {
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
    use super::line_of_key;

    #[test]
    fn a_path_has_the_line_of_its_deepest_part_that_exists() {
        let text = "[app]\nname = \"x\"\n\n[service.web]\nlisten = [\n  \"a\",\n  \"b\",\n]\n";
        let line = |path: &[&str]| line_of_key(text, path);
        assert_eq!(line(&["service", "web", "listen", "1"]), Some(7));
        assert_eq!(line(&["service", "web"]), Some(4));
        assert_eq!(line(&["nothing"]), None);
    }
}
