//! Refusing what an attribute of chattr(1) protects.

use crate::command_line::CommandLine;
use crate::error::{Hint, fail};
use crate::host::{Protected, Root};
use anyhow::Result;

/// Refuses files and directories that an attribute protects: root cannot replace or remove them.
///
/// # Errors
/// Names the first of them, and the command that takes the attribute away.
pub(crate) fn check_unprotected(root: &Root, paths: &[&str]) -> Result<()> {
    paths.iter().try_for_each(|path| check(root, path))
}

fn check(root: &Root, path: &str) -> Result<()> {
    let Some(Protected { path, attribute }) = root.protected(path)? else {
        return Ok(());
    };
    let path = path.display().to_string();
    let flag = format!("-{attribute}");
    fail(
        format!("`{path}` has the attribute `{attribute}`, so it cannot be changed"),
        Hint::to(
            "take the attribute away",
            CommandLine::sudo(["chattr", &flag, &path]),
        ),
    )
}
