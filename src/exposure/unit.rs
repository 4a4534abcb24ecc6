//! The text of a unit and its drop-ins, parsed as systemd parses it.
//!
//! See systemd.syntax(7) and, for the merging of drop-ins, systemd.unit(5).

const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// One `Key=value` line, continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    section: String,
    key: String,
    value: String,
}

/// A unit: every assignment, in order.
///
/// Whether a later assignment replaces an earlier one or adds to it depends on the key, so all are
/// kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    assignments: Vec<Assignment>,
}

impl Unit {
    /// Reads the unit file and then each drop-in, given in the order in which they apply.
    pub fn merge(texts: &[&str]) -> Self {
        let mut unit = Self::default();
        for text in texts {
            unit.read(text);
        }
        unit
    }

    /// The values of a key, the oldest first, without spaces at both ends.
    pub fn values(&self, section: &str, key: &str) -> Vec<&str> {
        let pairs = self.assignments_of(section, &[key]).into_iter();
        pairs.map(|(_, value)| value).collect()
    }

    /// The same without the assignments of these keys.
    #[must_use]
    pub fn without(&self, section: &str, keys: &[&str]) -> Self {
        let stays = |it: &&Assignment| it.section != section || !keys.contains(&it.key.as_str());
        Self {
            assignments: self.assignments.iter().filter(stays).cloned().collect(),
        }
    }

    /// The assignments of several keys that share one state, interleaved as written.
    pub(super) fn assignments_of(&self, section: &str, keys: &[&str]) -> Vec<(&str, &str)> {
        self.assignments
            .iter()
            .filter(|it| it.section == section && keys.contains(&it.key.as_str()))
            .map(|it| (it.key.as_str(), it.value.as_str()))
            .collect()
    }

    fn read(&mut self, text: &str) {
        let mut section = String::new();
        let mut joined = String::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.split(['\n', '\r']) {
            // A comment between continued lines is skipped; the assignment goes on after it.
            if line.trim_start_matches(WHITESPACE).starts_with(['#', ';']) {
                continue;
            }
            let escapes = line.chars().rev().take_while(|c| *c == '\\').count();
            if escapes % 2 == 1 {
                joined.push_str(line.strip_suffix('\\').unwrap_or(line));
                joined.push(' ');
                continue;
            }
            joined.push_str(line);
            self.read_line(&mut section, &joined);
            joined.clear();
        }
        self.read_line(&mut section, &joined);
    }

    fn read_line(&mut self, section: &mut String, line: &str) {
        let line = line.trim_matches(WHITESPACE);
        if let Some(header) = line.strip_prefix('[') {
            header
                .strip_suffix(']')
                .unwrap_or_default()
                .clone_into(section);
        } else if let Some((key, value)) = line.split_once('=') {
            self.assignments.push(Assignment {
                section: section.clone(),
                key: key.trim_matches(WHITESPACE).to_owned(),
                value: value.trim_matches(WHITESPACE).to_owned(),
            });
        }
    }
}

/// What quotation marks mean in a list. It depends on the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// They join a word, and are removed.
    Join,
    /// They are ordinary characters.
    Literal,
}

/// The words of a list. As in systemd, an open quotation or a trailing backslash ends it early.
pub(super) fn words(value: &str, quotes: Quotes) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = value.chars().peekable();
    loop {
        while chars.next_if(|c| WHITESPACE.contains(c)).is_some() {}
        if chars.peek().is_none() {
            return out;
        }
        let mut word = String::new();
        let mut open = None;
        while let Some(c) = chars.next_if(|c| open.is_some() || !WHITESPACE.contains(c)) {
            match c {
                '\\' => match chars.next() {
                    Some(escaped) => word.push(escaped),
                    None => return out,
                },
                _ if open == Some(c) => open = None,
                '"' | '\'' if quotes == Quotes::Join && open.is_none() => open = Some(c),
                _ => word.push(c),
            }
        }
        if open.is_some() {
            return out;
        }
        out.push(word);
    }
}

/// A boolean of systemd.syntax(7).
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Quotes, Unit, boolean, words};

    fn values(texts: &[&str], key: &str) -> Vec<String> {
        let unit = Unit::merge(texts);
        let values = unit.values("Service", key).into_iter();
        values.map(str::to_owned).collect()
    }

    #[test]
    fn drop_ins_follow_the_unit_and_resets_are_kept() {
        let texts = [
            "[Unit]\nUser=no\n[Service]\nUser = app \nX=1",
            "User=lost\n[Service]\nUser=\n[Install]\nUser=no",
        ];
        assert_eq!(values(&texts, "User"), ["app", ""]);
    }

    #[test]
    fn lines_continue_across_comments() {
        let text = "[Service]\nX=a\\\n  # comment\n; comment\n b \\\\\nY=\\\n";
        assert_eq!(values(&[text], "X"), ["a  b \\\\"]);
        assert_eq!(values(&[text], "Y"), [""]);
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_ignored() {
        assert_eq!(
            values(&["\u{feff}[Service]\r\nX=1\r\nnoise\r\n=y"], "X"),
            ["1"]
        );
    }

    #[test]
    fn words_are_split_with_and_without_quotes() {
        assert_eq!(words(" a  'b c'd \"e\" ", Quotes::Join), ["a", "b cd", "e"]);
        assert_eq!(words("'b c'", Quotes::Literal), ["'b", "c'"]);
        assert_eq!(words("a\\ b c 'open", Quotes::Join), ["a b", "c"]);
        assert_eq!(words("a b\\", Quotes::Join), ["a"]);
        assert_eq!(words("'' a", Quotes::Join), ["", "a"]);
    }

    #[test]
    fn booleans_have_twelve_spellings() {
        assert_eq!(boolean("On"), Some(true));
        assert_eq!(boolean("f"), Some(false));
        assert_eq!(boolean(""), None);
        assert_eq!(boolean("disconnected"), None);
    }
}
