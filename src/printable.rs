//! Names that others choose, such as those of files and processes, as part of a message.
//!
//! Such a name may hold anything. A line break would begin a line that robotctl seems to have written, and a
//! bidirectional control would change the order in which a terminal shows the rest of the line.

use std::borrow::Cow;

/// Characters that no terminal shows, besides control characters (Unicode Standard, "Special Areas and Format
/// Characters").
const INVISIBLE: [(char, char); 9] = [
    // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
    ('\u{ad}', '\u{ad}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{180e}', '\u{180e}'),
    // Of no width, and marks of a direction.
    ('\u{200b}', '\u{200f}'),
    // Separators of lines and paragraphs, embeddings and overrides of a direction.
    ('\u{2028}', '\u{202e}'),
    // Word joiner, isolates, deprecated format characters.
    ('\u{2060}', '\u{206f}'),
    // Byte order mark, annotations, tags.
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{e0000}', '\u{e007f}'),
];

/// Whether a character embeds, overrides or isolates a direction.
pub(crate) fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is a control character, or embeds, overrides or isolates a direction (Unicode Standard Annex 9,
/// "Explicit Directional Formatting Characters"). It changes the order of the text after it, and has no place in
/// names and settings.
pub(crate) fn is_refused(c: char) -> bool {
    c.is_control() || is_direction(c)
}

/// Whether a character would not be seen, or would move what comes after it.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || INVISIBLE
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
}

/// A name in one line, with hidden characters as Rust writes them, such as `\n` and `\u{202e}`. What is in this form
/// already stays as it is.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    if !name.chars().any(is_hidden) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            _ if is_hidden(c) => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::{is_hidden, is_refused, name};

    #[test]
    fn what_is_refused_is_hidden() {
        let refused: Vec<char> = ('\0'..=char::MAX).filter(|c| is_refused(*c)).collect();
        assert!(refused.iter().all(|c| is_hidden(*c)));
        // 65 control characters, 5 embeddings and overrides, 4 isolates.
        assert_eq!(refused.len(), 65 + 5 + 4);
    }

    #[test]
    fn a_name_stays_in_its_line_and_in_its_order() {
        for (text, shown) in [
            ("plain name.txt", "plain name.txt"),
            ("größe-\u{65e5}\u{672c}", "größe-\u{65e5}\u{672c}"),
            ("cafe\u{301}", "cafe\u{301}"),
            ("it's `x\\y`", "it's `x\\y`"),
            ("a\nerror: b", "a\\nerror: b"),
            ("a\u{9b}31m\x1b", "a\\u{9b}31m\\u{1b}"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
            (
                "a\u{200b}\u{200e}\u{2028}\u{feff}",
                "a\\u{200b}\\u{200e}\\u{2028}\\u{feff}",
            ),
        ] {
            assert_eq!(name(text), shown);
            assert_eq!(name(shown), shown);
        }
    }
}
