//! Changes of one variable in an environment file. Comments, order and every other line stay as they are.

use super::env_syntax::EnvText;
use crate::app::EnvName;
use std::fmt::Write as _;

/// A file with one variable changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edited {
    /// The new text.
    Text(String),
    /// The variable is as it was asked to be.
    Unchanged,
    /// systemd would read another value from the new text: a line above it is wrong.
    Misread,
}

/// The text in which a variable has this value. It takes the place of the last assignment of that name, and earlier
/// ones, which have no effect, are removed; a new name goes to the end.
pub(crate) fn set_variable(text: &str, name: &EnvName, value: &str) -> Edited {
    let line = format!("{name}={}\n", quoted(value));
    let old = EnvText::parse(text);
    let places: Vec<_> = old.places_of(name.as_str()).collect();
    if places.len() == 1
        && old
            .values
            .get(name.as_str())
            .is_some_and(|now| now == value)
    {
        return Edited::Unchanged;
    }
    let mut out = String::with_capacity(text.len() + line.len());
    let mut at = 0;
    for (number, place) in places.iter().enumerate() {
        out.push_str(text.get(at..place.start).unwrap_or_default());
        if number + 1 == places.len() {
            out.push_str(&line);
        }
        at = place.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    if places.is_empty() {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&line);
    }
    verified(&old, out, name, Some(value))
}

/// The text in which a variable is not set.
pub(crate) fn unset_variable(text: &str, name: &EnvName) -> Edited {
    let old = EnvText::parse(text);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for place in old.places_of(name.as_str()) {
        out.push_str(text.get(at..place.start).unwrap_or_default());
        at = place.end;
    }
    if at == 0 {
        return Edited::Unchanged;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    verified(&old, out, name, None)
}

/// The new text, if systemd reads the value from it, and every other variable as before.
fn verified(old: &EnvText, text: String, name: &EnvName, value: Option<&str>) -> Edited {
    let mut wanted = old.values.clone();
    match value {
        Some(value) => wanted.insert(name.to_string(), value.to_owned()),
        None => wanted.remove(name.as_str()),
    };
    match EnvText::parse(&text).values == wanted {
        true => Edited::Text(text),
        false => Edited::Misread,
    }
}

/// A value as systemd.exec(5), `EnvironmentFile=`, reads it back: plain if it can be, else between double quotes.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+./:,@%=".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut out = "\"".to_owned();
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '`' | '$') {
            out.push('\\');
        }
        let _ = out.write_char(c);
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::{Edited, set_variable, unset_variable};
    use crate::app::EnvName;
    use crate::settings::env_syntax::EnvText;
    use proptest::prelude::{Strategy as _, any, prop_oneof};

    fn name(text: &str) -> EnvName {
        EnvName::parse(text).unwrap()
    }

    #[test]
    fn comments_order_and_other_lines_stay() {
        let text = "# a comment\nA=1\n\n  B = 'two' # no comment\n; end\nC=3";
        for (key, value, expected) in [
            (
                "A",
                "9",
                "# a comment\nA=9\n\n  B = 'two' # no comment\n; end\nC=3",
            ),
            ("B", "a b", "# a comment\nA=1\n\n  B=\"a b\"\n; end\nC=3"),
            (
                "D",
                "$x",
                "# a comment\nA=1\n\n  B = 'two' # no comment\n; end\nC=3\nD=\"\\$x\"\n",
            ),
        ] {
            let edited = set_variable(text, &name(key), value);
            assert_eq!(edited, Edited::Text(expected.to_owned()), "{key}");
        }
        assert_eq!(set_variable(text, &name("A"), "1"), Edited::Unchanged);
        assert_eq!(
            unset_variable("A=1\nB=2\nA=3\n", &name("A")),
            Edited::Text("B=2\n".to_owned())
        );
        assert_eq!(unset_variable(text, &name("Z")), Edited::Unchanged);
        // The last one counts.
        assert_eq!(
            set_variable("A=1\nB=2\nA=3\n", &name("A"), "4"),
            Edited::Text("B=2\nA=4\n".to_owned())
        );
    }

    #[test]
    fn a_file_whose_lines_would_take_in_the_new_one_is_left_alone() {
        for text in ["A='1\n", "A=1\\", "A=\"x"] {
            assert_eq!(
                set_variable(text, &name("B"), "2"),
                Edited::Misread,
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn systemd_reads_every_value_back(
            value in prop_oneof![
                any::<String>(),
                "[ -~\n\t]{0,12}".prop_map(String::from),
                "[\"'\\\\$` \na]{0,8}".prop_map(String::from),
            ],
        ) {
            let value = value.replace('\0', "");
            let Edited::Text(text) = set_variable("A=1\n", &name("B"), &value) else {
                panic!("refused: {value:?}");
            };
            let read = EnvText::parse(&text);
            assert_eq!(read.values.get("B"), Some(&value), "{text:?}");
            assert_eq!(read.values.get("A").map(String::as_str), Some("1"));
            assert_eq!(read.mistakes, []);
        }
    }
}
