//! What `release.exclude` leaves out of a release.

use crate::app::Release;
use anyhow::{Context, Result};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::ffi::OsStr;
use std::path::Path;

/// The patterns of `release.exclude`. `.git` is always excluded.
#[derive(Debug)]
pub(super) struct Exclude(Gitignore);

impl Exclude {
    pub(super) fn new(release: &Release) -> Result<Self> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in &release.exclude {
            let add = builder.add_line(None, pattern.as_str());
            add.with_context(|| format!("reading `{pattern}` in `release.exclude`"))?;
        }
        let rules = builder.build().context("reading `release.exclude`")?;
        Ok(Self(rules))
    }

    /// Whether a path is excluded, if none of its parents is.
    pub(super) fn excludes(&self, path: &Path, is_dir: bool) -> bool {
        path.file_name() == Some(OsStr::new(".git")) || self.0.matched(path, is_dir).is_ignore()
    }

    /// The pattern that excludes a path or one of its parents.
    pub(super) fn pattern(&self, path: &Path, is_dir: bool) -> Option<String> {
        let own = |path: &Path, is_dir| match self.0.matched(path, is_dir) {
            Match::Ignore(glob) => Some(glob.original().to_owned()),
            _ => None,
        };
        own(path, is_dir).or_else(|| path.ancestors().skip(1).find_map(|dir| own(dir, true)))
    }

    /// Whether a directory or one of its parents is excluded; the empty path is not. A pattern cannot include a path
    /// again if its parent is excluded (gitignore(5)).
    pub(super) fn excludes_directory(&self, path: &Path) -> bool {
        let mut dirs = path.ancestors().filter(|dir| !dir.as_os_str().is_empty());
        dirs.any(|dir| self.excludes(dir, true))
    }
}

#[cfg(test)]
mod tests {
    use super::Exclude;
    use crate::app::App;
    use crate::manifest::parse;
    use std::path::Path;

    #[test]
    fn git_is_always_excluded() {
        for patterns in ["", "\"*.log\"", "\"!.git\"", "\".*\", \"!.git\""] {
            let text = format!(
                "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\nexclude = [{patterns}]\n\
                 [service.web]\nexec = [\"/bin/w\"]\n"
            );
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let exclude = Exclude::new(&app.release).unwrap();
            let excludes = |path: &str, is_dir| {
                let path = Path::new(path);
                exclude.excludes(path, is_dir) || exclude.excludes_directory(path.parent().unwrap())
            };
            // In a submodule, `.git` is a file.
            assert!(excludes(".git", true));
            assert!(excludes("a/.git", false));
            assert!(excludes(".git/HEAD", false));
            assert!(!excludes("git", false), "{patterns}");
            assert!(!excludes("a.git", true), "{patterns}");
            assert_eq!(excludes("a.log", false), patterns.contains("log"));
        }
    }
}
