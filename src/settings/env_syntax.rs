//! The syntax of an environment file (systemd.exec(5), `EnvironmentFile=`).
//!
//! systemd reads quotes and backslashes as a shell does, expands nothing, and drops an assignment that it
//! does not understand.

use std::collections::BTreeMap;

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
        let (mut name, mut value) = (String::new(), Value::default());
        let (mut line, mut name_line, mut quote_line) = (1, 1, None);
        for c in text.chars() {
            let is_newline = matches!(c, '\n' | '\r');
            state = match state {
                State::LineStart if matches!(c, '#' | ';') => State::Comment,
                State::LineStart if c.is_ascii_whitespace() => State::LineStart,
                State::LineStart => {
                    (name, name_line) = (c.to_string(), line);
                    State::Name
                }
                State::Name if is_newline => {
                    out.add_mistake(name_line, &name, Mistake::NoValue);
                    State::LineStart
                }
                State::Name if c == '=' => {
                    value = Value::default();
                    State::ValueStart
                }
                State::Name => {
                    name.push(c);
                    State::Name
                }
                State::ValueStart | State::Value if is_newline => {
                    out.add(name_line, &name, &value);
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
                    value.push_unquoted(c);
                    State::Value
                }
                State::Escape => {
                    if !is_newline {
                        value.push(c);
                    }
                    State::Value
                }
                State::SingleQuoted if c == '\'' => State::ValueStart,
                State::DoubleQuoted if c == '"' => State::ValueStart,
                State::DoubleQuoted if c == '\\' => State::DoubleQuotedEscape,
                State::SingleQuoted | State::DoubleQuoted => {
                    value.push(c);
                    state
                }
                State::DoubleQuotedEscape => {
                    value.push_escaped(c);
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
            State::Name => out.add_mistake(name_line, &name, Mistake::NoValue),
            State::SingleQuoted | State::DoubleQuoted | State::DoubleQuotedEscape => {
                out.add_value(name.trim_end(), &value);
                out.add_mistake(quote_line.unwrap_or(name_line), &name, Mistake::OpenQuote);
            }
            State::ValueStart | State::Value | State::Escape => out.add(name_line, &name, &value),
            State::LineStart | State::Comment | State::CommentEscape => {}
        }
        out
    }

    fn add(&mut self, line: usize, name: &str, value: &Value) {
        let name = name.trim_end();
        let mistake = if name.starts_with('\u{feff}') {
            Mistake::ByteOrderMark
        } else if name.starts_with("export ") || name.starts_with("export\t") {
            Mistake::Export
        } else if !is_name(name) {
            Mistake::Name
        } else {
            let first = self.lines.insert(name.to_owned(), line);
            let is_same = self.values.get(name).is_none_or(|old| old == value.text());
            if let Some(first) = first.filter(|_| !is_same) {
                self.add_mistake(line, name, Mistake::Repeated { first });
            }
            self.names.push(name.to_owned());
            self.add_value(name, value);
            return;
        };
        self.add_mistake(line, name, mistake);
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
