//! Values in maintainer scripts: words that no shell changes.

use std::fmt;

/// Refuses a value with a character that a shell may treat specially: all values are names and versions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ShellEscaper;

impl askama::filters::Escaper for ShellEscaper {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        if text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+~-".contains(c))
        {
            return out.write_str(text);
        }
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::ShellEscaper;
    use askama::filters::Escaper as _;

    #[test]
    fn a_value_that_a_shell_would_read_as_more_than_a_word_is_refused() {
        let mut out = String::new();
        ShellEscaper
            .write_escaped_str(&mut out, "shop-1.0+a~b")
            .unwrap();
        assert_eq!(out, "shop-1.0+a~b");
        for bad in ["a b", "$x", "`x`", "'", "\"", "a;b", "a\nb", "a/b", "*"] {
            assert!(
                ShellEscaper.write_escaped_str(String::new(), bad).is_err(),
                "{bad:?}"
            );
        }
    }
}
