//! A selection of files of a release, in gitignore syntax.

use super::names::Text;
use anyhow::{Context as _, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::path::Path;

/// Patterns that select files of a release, relative to it, in gitignore syntax. The last one that matches
/// counts, and one that begins with `!` takes files out.
#[derive(Debug, Clone)]
pub struct Patterns {
    lines: Vec<Text>,
    rules: Gitignore,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

impl Eq for Patterns {}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// Names the pattern that is not valid.
    pub fn new(lines: Vec<Text>) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        for line in &lines {
            let add = builder.add_line(None, line.as_str());
            add.with_context(|| format!("reading `{line}`"))?;
        }
        Ok(Self {
            rules: builder.build()?,
            lines,
        })
    }

    /// The patterns as they are written.
    pub fn lines(&self) -> &[Text] {
        &self.lines
    }

    /// Whether a path is selected, by itself or with a directory that it is in.
    pub fn selects(&self, path: &str, is_dir: bool) -> bool {
        let path = Path::new(path);
        self.rules
            .matched_path_or_any_parents(path, is_dir)
            .is_ignore()
    }

    /// Each pattern alone, without those that take files out.
    ///
    /// # Errors
    /// As [`Patterns::new`].
    pub fn alone(&self) -> Result<Vec<Self>> {
        let selecting = self
            .lines
            .iter()
            .filter(|line| !line.as_str().starts_with('!'));
        selecting
            .map(|line| Self::new(vec![line.clone()]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Patterns;
    use crate::app::Text;

    #[test]
    fn the_last_pattern_that_matches_counts() {
        let patterns = |lines: &[&str]| {
            let lines = lines.iter().map(|line| Text::parse(line).unwrap());
            Patterns::new(lines.collect()).unwrap()
        };
        let all = patterns(&["web/", "/lib/*.py", "*.css", "!web/tests/", "!web/old.css"]);
        for (path, is_dir, is_selected) in [
            ("web", true, true),
            ("web", false, false),
            ("web/a/b.py", false, true),
            ("api/web/b.py", false, true),
            ("lib/a.py", false, true),
            ("lib/a.txt", false, false),
            ("lib/sub/a.py", false, false),
            ("x/lib/a.py", false, false),
            ("x/a.css", false, true),
            ("web/tests", true, false),
            ("web/tests/a.py", false, false),
            ("web/old.css", false, false),
        ] {
            assert_eq!(all.selects(path, is_dir), is_selected, "{path}");
        }
        assert!(!patterns(&[]).selects("web", true));
        assert!(patterns(&["*"]).selects("a/b", false));
        assert!(all == patterns(&["web/", "/lib/*.py", "*.css", "!web/tests/", "!web/old.css"]));
        assert!(all != patterns(&["web/"]));
        let alone = all.alone().unwrap();
        assert_eq!(alone.len(), 3);
        assert!(alone[0].selects("web/tests/a.py", false));
    }
}
