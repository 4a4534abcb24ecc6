//! What an attribute of chattr(1) protects.

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail_all};
use crate::fault::{Fault, Impact};
use crate::host::{Protected, Root};
use anyhow::Result;

/// Refuses files and directories that an attribute protects: root cannot replace or remove them.
///
/// # Errors
/// Names all of them, and the commands that take the attributes away.
pub(crate) fn check_unprotected(root: &Root, paths: &[&str]) -> Result<()> {
    let faults = protected(root, paths)?.into_iter();
    fail_all(faults.map(HintedError::from).collect())
}

/// The files and directories that an attribute protects, each once.
pub(super) fn protected(root: &Root, paths: &[&str]) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for path in paths {
        let Some(Protected { path, attribute }) = root.protected(path)? else {
            continue;
        };
        let path = path.display().to_string();
        let flag = format!("-{attribute}");
        let fault = Fault::new(
            Impact::Blocking,
            format!("`{path}` has the attribute `{attribute}`, so it cannot be changed"),
            Hint::to(
                "take the attribute away",
                CommandLine::sudo(["chattr", &flag, &path]),
            ),
        );
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    Ok(faults)
}
