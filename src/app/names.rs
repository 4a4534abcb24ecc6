//! Text that is valid by construction. If it is not valid, `parse` returns the rule as a hint.

use std::time::Duration;

/// The longest value in a unit file, in bytes. systemd's limit for a line is 1 MiB.
const MAX_TEXT_BYTES: usize = 64 * 1024;

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use newtype;

newtype! {
    /// Name of an app, a service or a system user: `[a-z][a-z0-9-]*`, at most 31 characters,
    /// so that it can be a user name (useradd(8)), a package name and the start of a unit name.
    Name
}

impl Name {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut chars = text.chars();
        if !chars.next().is_some_and(|c| c.is_ascii_lowercase()) {
            return Err("start it with a lowercase letter");
        }
        if !chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Err("use only lowercase letters, digits and `-`");
        }
        if text.len() > 31 {
            return Err("use at most 31 characters");
        }
        if text.ends_with('-') || text.contains("--") {
            return Err("do not end it with `-` or use `--`");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name that is most like a text which is none, if there is one.
    pub fn near(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<String> = words
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let name = words.join("-");
        let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        Self::parse(name).ok()
    }

    /// The name of a service that is derived from another. It is only a part of unit names, so it
    /// may be longer than 31 characters.
    #[must_use]
    pub fn with_suffix(&self, suffix: &'static str) -> Self {
        Self(format!("{self}{suffix}"))
    }
}

newtype! {
    /// A Debian upstream version without epoch (deb-version(7)), since it becomes part of a path.
    Version
}

impl Version {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.chars().next().is_some_and(|c| c.is_ascii_digit()) {
            return Err("start it with a digit");
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || ".+~-".contains(c);
        if !text.chars().all(fits) {
            return Err("use only letters, digits and `.+~-`");
        }
        if text.len() > 64 {
            return Err("use at most 64 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

newtype! {
    /// One line of text: no control characters, no Unicode noncharacters (for systemd they are
    /// invalid UTF-8), at most 64 KiB.
    Text
}

impl Text {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(['\n', '\r']) {
            return Err("write it on one line, without a line break");
        }
        if text.chars().any(char::is_control) {
            return Err("write it without control characters");
        }
        let nonchar = |c: char| {
            let code = u32::from(c);
            (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
        };
        if text.chars().any(nonchar) {
            return Err("write it without Unicode noncharacters: systemd refuses them");
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err("use at most 64 KiB");
        }
        Ok(Self(text.to_owned()))
    }
}

newtype! {
    /// Name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*` (environ(7)).
    EnvName
}

impl EnvName {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let head = text.chars().next();
        if !head.is_some_and(|c| fits(c) && !c.is_ascii_digit()) || !text.chars().all(fits) {
            return Err("use only letters, digits and `_`, and do not start with a digit");
        }
        Ok(Self(text.to_owned()))
    }
}

newtype! {
    /// An absolute, normalized path: no `.`, `..` or empty part, and no character that splits or
    /// expands in the path lists of unit files (space, quote, `:`, `$`).
    AbsPath
}

impl AbsPath {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("write an absolute path");
        };
        let bad = |part: &str| part.is_empty() || part == "." || part == "..";
        if !rest.is_empty() && rest.split('/').any(bad) {
            return Err("write it without `//`, `.`, `..` or a `/` at the end");
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || "\"'\\:$%".contains(c);
        if text.chars().any(odd) {
            return Err("write it without spaces, quotes and `\\:$%`");
        }
        if text.len() > 1024 {
            return Err("use at most 1024 bytes");
        }
        Ok(Self(text.to_owned()))
    }
}

newtype! {
    /// The full name of a unit of another package, such as `network-online.target`.
    UnitName
}

impl UnitName {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const TYPES: [&str; 7] = [
            "service", "socket", "timer", "target", "path", "mount", "device",
        ];
        let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let known = text
            .rsplit_once('.')
            .is_some_and(|(stem, end)| !stem.is_empty() && TYPES.contains(&end));
        if !known {
            return Err("end it with a unit type such as `.service` or `.target`");
        }
        if !text.chars().all(fits) || text.len() > 255 {
            return Err("use only letters, digits and `:-_.\\@` (systemd.unit(5))");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A time span of systemd.time(7), such as `30s` or `1h 30min`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The text for systemd, on one line.
    pub text: String,
    /// The duration.
    pub duration: Duration,
}

impl Span {
    /// # Errors
    /// The rule that the text breaks, as a hint.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const HINT: &str = "write a number with a unit, such as `30s`, `500ms` or `1h 30min`";
        let mut total = Duration::ZERO;
        let mut parts = 0;
        for word in text.split_whitespace() {
            let digits = word.find(|c: char| !c.is_ascii_digit()).ok_or(HINT)?;
            let (number, unit) = word.split_at_checked(digits).ok_or(HINT)?;
            let number: u64 = number.parse().map_err(|_| HINT)?;
            let millis: u64 = match unit {
                "ms" => 1,
                "s" | "sec" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(HINT),
            };
            let millis = number.checked_mul(millis).ok_or(HINT)?;
            total = total
                .checked_add(Duration::from_millis(millis))
                .ok_or(HINT)?;
            parts += 1;
        }
        if parts == 0 {
            return Err(HINT);
        }
        Ok(Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            duration: total,
        })
    }

    /// No limit.
    pub fn forever() -> Self {
        Self {
            text: "infinity".to_owned(),
            duration: Duration::MAX,
        }
    }

    /// A span of whole seconds.
    pub fn seconds(seconds: u64) -> Self {
        Self {
            text: format!("{seconds}s"),
            duration: Duration::from_secs(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AbsPath, EnvName, Name, Span, Text, UnitName, Version};
    use std::time::Duration;

    #[test]
    fn names_versions_and_paths_follow_their_rules() {
        for good in ["robot", "a", "wiki-platform", "x9"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Robot",
            "9x",
            "a_b",
            "a b",
            "a\nb",
            "-a",
            "a-",
            "a--b",
            &"a".repeat(32),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Version::parse("1.4.2+git~1-2").is_ok());
        for bad in ["", "v1", "1/2", "1 2", "1%2"] {
            assert!(Version::parse(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "", "x", "/a/../b", "/a b", "/a\"", "/a/", "//a", "/a%i", "/a:b",
        ] {
            assert!(AbsPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(AbsPath::parse("/").is_ok() && AbsPath::parse("/srv/x.y").is_ok());
        assert!(EnvName::parse("A_9").is_ok() && EnvName::parse("9A").is_err());
        assert!(UnitName::parse("network-online.target").is_ok());
        assert!(UnitName::parse("core").is_err() && UnitName::parse(".target").is_err());
    }

    #[test]
    fn text_is_one_line_that_systemd_accepts() {
        assert!(Text::parse("grün %n $x \"q\" \\").is_ok());
        for bad in [
            "a\nb", "a\rb", "a\0b", "a\tb", "\u{85}", "\u{FFFE}", "\u{FDD0}",
        ] {
            assert!(Text::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn spans_add_up() {
        let millis = |text: &str| Span::parse(text).map(|span| span.duration);
        assert_eq!(millis("1h 30min"), Ok(Duration::from_secs(5400)));
        assert_eq!(millis("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(Span::parse(" 1h\n30min ").unwrap().text, "1h 30min");
        for bad in ["", "5", "s", "5 s", "-1s", "99999999999999999999s"] {
            assert!(Span::parse(bad).is_err(), "{bad:?}");
        }
    }
}
