//! The syntax of an environment file (systemd.exec(5), `EnvironmentFile=`).
//!
//! systemd reads quotes and backslashes as a shell does, expands nothing, and drops an assignment that it
//! does not understand.

use std::collections::BTreeMap;
use std::ops::Range;

/// The characters that a backslash takes its meaning from between double quotes.
const ESCAPED_IN_QUOTES: [char; 4] = ['"', '\\', '`', '$'];

/// A line that systemd drops, or that does not say what a person thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// It starts with `export`.
    Export,
    /// A byte order mark is before the name.
    ByteOrderMark,
    /// The name has a character that no name may have.
    Name,
    /// It has no `=`.
    NoValue,
    /// A comment that ends with a backslash: before version 254, systemd takes the next line as part of it.
    ContinuedComment,
    /// A quote that does not end: the value has all lines up to the end of the file.
    OpenQuote,
    /// An earlier line gives the name another value, which has no effect.
    Repeated {
        /// The earlier line.
        first: usize,
    },
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvText {
    /// The names that get a value as a person means it.
    pub(super) names: Vec<String>,
    /// The value of each name that systemd gives to a service, also of one whose quote does not end.
    pub(super) values: BTreeMap<String, String>,
    /// The mistakes, each with its line, from 1, and the name.
    pub(super) mistakes: Vec<(usize, String, Mistake)>,
    /// The line that gave each name its value.
    lines: BTreeMap<String, usize>,
    /// Where each assignment is in the text, with the end of its last line.
    places: Vec<(String, Range<usize>)>,
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Name,
    /// Before a value, or behind a quoted part of it.
    ValueStart,
    Value,
    Escape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

impl EnvText {
    /// Reads a file as systemd does (`src/basic/env-file.c`).
    pub(super) fn parse(text: &str) -> Self {
        let mut out = Self::default();
        let mut state = State::LineStart;
        let mut begun = Assignment::default();
        let (mut line, mut quote_line) = (1, None);
        for (at, c) in text.char_indices() {
            let is_newline = matches!(c, '\n' | '\r');
            state = match state {
                State::LineStart if matches!(c, '#' | ';') => State::Comment,
                State::LineStart if c.is_ascii_whitespace() => State::LineStart,
                State::LineStart => {
                    begun = Assignment::begin(c, line, at);
                    State::Name
                }
                State::Name if is_newline => {
                    out.add_mistake(begun.line, &begun.name, Mistake::NoValue);
                    State::LineStart
                }
                State::Name if c == '=' => State::ValueStart,
                State::Name => {
                    begun.name.push(c);
                    State::Name
                }
                State::ValueStart | State::Value if is_newline => {
                    out.add(&begun, at + 1);
                    State::LineStart
                }
                State::ValueStart | State::Value if c == '\\' => State::Escape,
                State::ValueStart if c == '\'' => {
                    quote_line = Some(line);
                    State::SingleQuoted
                }
                State::ValueStart if c == '"' => {
                    quote_line = Some(line);
                    State::DoubleQuoted
                }
                State::ValueStart if c.is_ascii_whitespace() => State::ValueStart,
                State::ValueStart | State::Value => {
                    begun.value.push_unquoted(c);
                    State::Value
                }
                State::Escape => {
                    if !is_newline {
                        begun.value.push(c);
                    }
                    State::Value
                }
                State::SingleQuoted if c == '\'' => State::ValueStart,
                State::DoubleQuoted if c == '"' => State::ValueStart,
                State::DoubleQuoted if c == '\\' => State::DoubleQuotedEscape,
                State::SingleQuoted | State::DoubleQuoted => {
                    begun.value.push(c);
                    state
                }
                State::DoubleQuotedEscape => {
                    begun.value.push_escaped(c);
                    State::DoubleQuoted
                }
                State::Comment if is_newline => State::LineStart,
                State::Comment if c == '\\' => State::CommentEscape,
                State::CommentEscape if is_newline => {
                    out.add_mistake(line, "", Mistake::ContinuedComment);
                    State::LineStart
                }
                State::Comment | State::CommentEscape => State::Comment,
            };
            line += usize::from(c == '\n');
        }
        match state {
            State::Name => out.add_mistake(begun.line, &begun.name, Mistake::NoValue),
            State::SingleQuoted | State::DoubleQuoted | State::DoubleQuotedEscape => {
                out.add_value(begun.name.trim_end(), &begun.value);
                let line = quote_line.unwrap_or(begun.line);
                out.add_mistake(line, &begun.name, Mistake::OpenQuote);
            }
            State::ValueStart | State::Value | State::Escape => out.add(&begun, text.len()),
            State::LineStart | State::Comment | State::CommentEscape => {}
        }
        out
    }

    /// An assignment that is whole, and ends before this place in the text.
    fn add(&mut self, whole: &Assignment, end: usize) {
        let name = whole.name.trim_end();
        self.places.push((name.to_owned(), whole.at..end));
        let mistake = if name.starts_with('\u{feff}') {
            Mistake::ByteOrderMark
        } else if name.starts_with("export ") || name.starts_with("export\t") {
            Mistake::Export
        } else if !is_name(name) {
            Mistake::Name
        } else {
            let first = self.lines.insert(name.to_owned(), whole.line);
            let text = whole.value.text();
            let is_same = self.values.get(name).is_none_or(|old| old == text);
            if let Some(first) = first.filter(|_| !is_same) {
                self.add_mistake(whole.line, name, Mistake::Repeated { first });
            }
            self.names.push(name.to_owned());
            self.add_value(name, &whole.value);
            return;
        };
        self.add_mistake(whole.line, name, mistake);
    }

    /// Where the assignments of a name are, in their order.
    pub(super) fn places_of(&self, name: &str) -> impl Iterator<Item = &Range<usize>> {
        let places = self.places.iter().filter(move |(one, _)| one == name);
        places.map(|(_, place)| place)
    }

    /// The last value of a name counts.
    fn add_value(&mut self, name: &str, value: &Value) {
        if is_name(name) {
            let text = value.text().to_owned();
            self.values.insert(name.to_owned(), text);
        }
    }

    fn add_mistake(&mut self, line: usize, name: &str, mistake: Mistake) {
        self.mistakes
            .push((line, name.trim_end().to_owned(), mistake));
    }
}

/// An assignment as far as it is read.
#[derive(Debug, Default)]
struct Assignment {
    /// The name, and white space behind it.
    name: String,
    /// The line of the name, from 1.
    line: usize,
    /// Where the name begins in the text.
    at: usize,
    value: Value,
}

impl Assignment {
    fn begin(first: char, line: usize, at: usize) -> Self {
        Self {
            name: first.to_string(),
            line,
            at,
            value: Value::default(),
        }
    }
}

/// A value as far as it is read.
#[derive(Debug, Default)]
struct Value {
    text: String,
    /// Where the white space at its end begins that is not quoted.
    spaces_from: Option<usize>,
}

impl Value {
    fn push(&mut self, c: char) {
        self.spaces_from = None;
        self.text.push(c);
    }

    fn push_unquoted(&mut self, c: char) {
        if c.is_ascii_whitespace() {
            self.spaces_from.get_or_insert(self.text.len());
            self.text.push(c);
        } else {
            self.push(c);
        }
    }

    /// A character behind a backslash, between double quotes. A line break is left out.
    fn push_escaped(&mut self, c: char) {
        if c != '\n' {
            if !ESCAPED_IN_QUOTES.contains(&c) {
                self.push('\\');
            }
            self.push(c);
        }
    }

    fn text(&self) -> &str {
        let end = self.spaces_from.unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or_default()
    }
}

/// Whether systemd takes it as the name of a variable.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next();
    starts.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{EnvText, Mistake};

    fn names(text: &str) -> Vec<String> {
        EnvText::parse(text).names
    }

    fn mistakes(text: &str) -> Vec<(usize, String, Mistake)> {
        EnvText::parse(text).mistakes
    }

    #[test]
    fn what_systemd_understands_has_no_mistake() {
        let text = "# words = more\n; also\n\nA=1\n  B = 2 \nC='a b' \"c\"\\\n d\nD=\"x\n\\\"y\"\nE=\r\n_F9=$A\nG=a'b";
        assert_eq!(names(text), ["A", "B", "C", "D", "E", "_F9", "G"]);
        assert_eq!(mistakes(text), []);
    }

    #[test]
    fn a_value_is_what_systemd_gives_to_the_service() {
        for (text, value) in [
            ("A=1", "1"),
            ("A=", ""),
            ("A =  a b \t\n", "a b"),
            ("A='a  ' b \n", "a  b"),
            ("A=\"a \\\" \\$b \\c\" d", "a \" $b \\cd"),
            ("A=a\\ \nB=1", "a "),
            ("A=a\\\nb", "ab"),
            ("A=\"a\\\nb\nc\"", "ab\nc"),
            ("A=a'b $C", "a'b $C"),
            ("A=1\nA=2", "2"),
            ("A=\"open\nB=1\n", "open\nB=1\n"),
        ] {
            let values = EnvText::parse(text).values;
            assert_eq!(values.get("A").map(String::as_str), Some(value), "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_line_and_its_name() {
        for (text, line, name, mistake) in [
            ("A=1\nexport B=2\nC=3\n", 2, "export B", Mistake::Export),
            (
                "\u{feff}B=2\nA=1\nC=3\n",
                1,
                "\u{feff}B",
                Mistake::ByteOrderMark,
            ),
            ("A=1\nC=3\nBAD NAME=1\n", 3, "BAD NAME", Mistake::Name),
            ("A=1\nC=3\nBAD-NAME=1\n", 3, "BAD-NAME", Mistake::Name),
            ("A=1\nC=3\n1A=1\n", 3, "1A", Mistake::Name),
            ("A=1\nno value\nC=3\n", 2, "no value", Mistake::NoValue),
            ("A=1\nC=3\nlast", 3, "last", Mistake::NoValue),
            ("A=1\n# x\\\nC=3\n", 2, "", Mistake::ContinuedComment),
            ("A=1\nC=3\nB=\"x\nD=4\n", 3, "B", Mistake::OpenQuote),
            ("A=1\nC=3\nB='x\nD=4\n", 3, "B", Mistake::OpenQuote),
        ] {
            assert_eq!(mistakes(text), [(line, name.to_owned(), mistake)], "{text}");
            assert_eq!(names(text), ["A", "C"], "{text}");
        }
    }

    #[test]
    fn a_variable_with_two_values_is_a_mistake_and_one_with_the_same_value_twice_is_none() {
        let repeated = |first| Mistake::Repeated { first };
        let text = "A=1\nB=2\n\nA=\"1\"\nB=3\nB=4\n";
        let all = [
            (5, "B".to_owned(), repeated(2)),
            (6, "B".to_owned(), repeated(5)),
        ];
        assert_eq!(mistakes(text), all);
    }
}
