//! Commands that messages tell you to type.
//!
//! A command is a value and not text in a message, so that it is quoted for a shell (sh(1)), gets
//! `sudo` only where root is needed, and works on the tree of `--root DIR` when the message is
//! about that tree.

use crate::printable::is_hidden;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// A command to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    needs_root: bool,
    /// The program and its arguments, not quoted.
    words: Vec<String>,
    /// Whether the program is `robotctl`, which takes `--root`.
    is_robotctl: bool,
}

impl CommandLine {
    /// `robotctl ARGS…`, which any user may run.
    pub fn robotctl<W: Into<String>>(args: impl IntoIterator<Item = W>) -> Self {
        let words = args.into_iter().map(Into::into);
        Self {
            needs_root: false,
            words: [String::from("robotctl")]
                .into_iter()
                .chain(words)
                .collect(),
            is_robotctl: true,
        }
    }

    /// `sudo robotctl ARGS…`.
    pub fn sudo_robotctl<W: Into<String>>(args: impl IntoIterator<Item = W>) -> Self {
        Self {
            needs_root: true,
            ..Self::robotctl(args)
        }
    }

    /// `sudo PROGRAM ARGS…`.
    pub fn sudo<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            needs_root: true,
            ..Self::new(words)
        }
    }

    /// `PROGRAM ARGS…`, which any user may run.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            needs_root: false,
            words: words.into_iter().map(Into::into).collect(),
            is_robotctl: false,
        }
    }

    /// Adds an option with its value, when there is one.
    #[must_use]
    pub fn option(mut self, name: &str, value: Option<impl Into<String>>) -> Self {
        if let Some(value) = value {
            self.words.extend([name.to_owned(), value.into()]);
        }
        self
    }

    /// Adds a word.
    #[must_use]
    pub fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Adds words.
    #[must_use]
    pub fn args<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// The same command with `sudo`.
    #[must_use]
    pub fn with_sudo(self) -> Self {
        Self {
            needs_root: true,
            ..self
        }
    }

    /// Whether it is a `robotctl` command of this name.
    pub fn runs(&self, command: &str) -> bool {
        self.is_robotctl && self.has(command)
    }

    fn has(&self, wanted: &str) -> bool {
        self.words.iter().any(|word| word == wanted)
    }

    /// Whether it names a manifest.
    pub fn names_manifest(&self) -> bool {
        self.has("--manifest")
    }

    /// The same deploy with the manifest that it needs, so that it means the same in every directory.
    #[must_use]
    pub fn for_manifest(mut self, manifest: &Path, environment: Option<&str>) -> Self {
        if self.has("--manifest") {
            return self;
        }
        let mut options = vec!["--manifest".to_owned(), manifest.display().to_string()];
        if let Some(environment) = environment.filter(|_| !self.has("--environment")) {
            options.extend(["--environment".to_owned(), environment.to_owned()]);
        }
        self.words.splice(1..1, options);
        self
    }

    /// The same command for an app: a `robotctl` command names it, so that it means the same in every
    /// directory. The name of an app in an environment ends with the environment, and a deploy needs
    /// both.
    #[must_use]
    pub fn for_app(mut self, app: &str, environment: Option<&str>) -> Self {
        if !self.is_robotctl || self.has("--app") || self.has("--manifest") {
            return self;
        }
        let mut options = vec!["--app".to_owned(), app.to_owned()];
        let needs_environment = self.has("deploy") && !self.has("--environment");
        if let Some(environment) = environment.filter(|_| needs_environment) {
            options.extend(["--environment".to_owned(), environment.to_owned()]);
        }
        self.words.splice(1..1, options);
        self
    }

    /// The same command for the tree below `root`: a `robotctl` command names the tree, and needs no
    /// root rights on the host. `None` is the host itself.
    #[must_use]
    pub fn for_root(mut self, root: Option<&Path>) -> Self {
        if let Some(root) = root.filter(|_| self.is_robotctl) {
            self.needs_root = false;
            let option = ["--root".to_owned(), root.display().to_string()];
            self.words.splice(1..1, option);
        }
        self
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        let sudo = if self.needs_root { "sudo " } else { "" };
        write!(f, "{sudo}{}", words.join(" "))
    }
}

impl Serialize for CommandLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A word as a shell reads it (sh(1), "Quoting").
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    match word.chars().any(is_hidden) {
        true => with_hidden_characters(word),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A word with characters that a terminal does not show, in the form of bash(1), "QUOTING".
fn with_hidden_characters(word: &str) -> String {
    let mut out = String::from("$'");
    for c in word.chars() {
        if is_hidden(c) {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).bytes();
            out.extend(bytes.map(|byte| format!("\\x{byte:02x}")));
        } else {
            if matches!(c, '\\' | '\'') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, quoted};
    use std::path::Path;

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, wanted) in [
            ("/root/hello", "/root/hello"),
            ("", "''"),
            ("my app", "'my app'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("~x", "'~x'"),
            ("a\nb\\'c", "$'a\\x0ab\\\\\\'c'"),
            ("\u{202e}1", "$'\\xe2\\x80\\xae1'"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }

    #[test]
    fn a_command_for_a_tree_names_the_tree_and_needs_no_sudo() {
        let recover = CommandLine::sudo_robotctl(["recover"]);
        assert_eq!(recover.to_string(), "sudo robotctl recover");
        let there = recover.for_root(Some(Path::new("/mnt/my image")));
        assert_eq!(there.to_string(), "robotctl --root '/mnt/my image' recover");
        let other = CommandLine::sudo(["systemctl", "stop", "shop-web.service"]);
        let other = other.for_root(Some(Path::new("/mnt")));
        assert_eq!(other.to_string(), "sudo systemctl stop shop-web.service");
    }
}
