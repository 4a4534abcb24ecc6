//! Values in templates are literal: none can add a directive or a specifier.
//!
//! A unit file has three levels of syntax: lines (a trailing backslash joins two), words (quotes
//! and C escapes, systemd.syntax(7)) and specifiers (`%`, systemd.unit(5)). Commands also have
//! variables (`$`, systemd.service(5)). Askama passes every value of a template through
//! [`UnitEscaper`], so only the text of a template contains specifiers. [`words`] and
//! [`assignment`] quote words; templates mark their results as `safe`.

use crate::app::{EnvName, HOSTNAME, Text};
use std::fmt;

/// The main process, in `ExecReload=`.
const MAIN_PID: &str = "$MAINPID";

/// Doubles `%`, and refuses control characters, which could end the line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UnitEscaper;

impl askama::filters::Escaper for UnitEscaper {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '%' => out.write_str("%%")?,
                c if c.is_control() => return Err(fmt::Error),
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A command line. The program gets each argument unchanged.
///
/// `$` and `%` are doubled (systemd.service(5), "Command lines").
pub(super) fn words(argv: &[Text]) -> String {
    let words: Vec<String> = argv
        .iter()
        .map(|word| with_host_name(&quote(&word.as_str().replace('$', "$$"))))
        .collect();
    words.join(" ")
}

/// The command for `systemctl reload`. An argument `$MAINPID` is the variable that systemd sets
/// (systemd.service(5), "ExecReload="), since most commands signal the main process.
pub(super) fn reload(argv: &[Text]) -> String {
    let word = |word: &Text| match word.as_str() {
        MAIN_PID => MAIN_PID.to_owned(),
        _ => words(std::slice::from_ref(word)),
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// One word of `Environment=` (systemd.exec(5)), where `$` has no meaning.
pub(super) fn assignment(name: &EnvName, value: &Text) -> String {
    with_host_name(&quote(&format!("{name}={value}")))
}

/// The only placeholder that a text of an app still has becomes systemd's specifier for the host name
/// (systemd.unit(5), "Specifiers").
fn with_host_name(quoted: &str) -> String {
    quoted.replace(HOSTNAME, "%H")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.:=@+,-$".contains(c);
    let word = word.replace('%', "%%");
    if !word.is_empty() && word.chars().all(|c| plain(c) || c == '%') {
        return word;
    }
    let mut out = String::with_capacity(word.len() + 2);
    out.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{UnitEscaper, assignment, reload, words};
    use crate::app::{EnvName, Text};
    use askama::filters::Escaper;

    fn text(text: &str) -> Text {
        Text::parse(text).unwrap()
    }

    #[test]
    fn a_value_cannot_become_a_specifier_or_end_the_line() {
        let mut out = String::new();
        UnitEscaper.write_escaped_str(&mut out, "100% %n").unwrap();
        assert_eq!(out, "100%% %%n");
        assert!(
            UnitEscaper
                .write_escaped_str(String::new(), "a\nb")
                .is_err()
        );
    }

    #[test]
    fn words_are_quoted_where_systemd_would_split_or_expand() {
        let argv = ["/bin/a", "", "b c", "$x", "%n", "q\"\\", ";", "-p=1"].map(text);
        assert_eq!(words(&argv), r#"/bin/a "" "b c" $$x %%n "q\"\\" ";" -p=1"#);
        let argv = ["/bin/kill", "-HUP", "$MAINPID", "x$MAINPID", "$HOME"].map(text);
        assert_eq!(reload(&argv), "/bin/kill -HUP $MAINPID x$$MAINPID $$HOME");
        let name = EnvName::parse("A").unwrap();
        assert_eq!(assignment(&name, &text("x y$z")), r#""A=x y$z""#);
        assert_eq!(
            assignment(&name, &text("%H {hostname}%{x}")),
            r#""A=%%H %H%%{x}""#
        );
        assert_eq!(words(&[text("a"), text("{hostname}:1")]), r#"a "%H:1""#);
    }
}
