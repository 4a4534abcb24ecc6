//! `service.NAME.files`.

use super::reader::{Path, Reader, quoted};
use crate::app::names::Text;
use crate::app::patterns::Patterns;
use crate::app::service::Type;
use crate::manifest::{Problem, Result};

const HINT: &str =
    "write paths of the release in gitignore syntax, such as `\"web/\"` or `\"lib/*.py\"`";

impl Reader<'_> {
    /// The files that a service uses. An empty list says that it uses none.
    pub(super) fn files(
        &self,
        path: Path<'_>,
        lines: Option<&Vec<String>>,
        kind: Type,
    ) -> Result<Option<Patterns>> {
        let Some(lines) = lines else {
            return Ok(None);
        };
        if kind == Type::Oneshot {
            let message = "`files` has no effect on a job, because a deploy restarts no jobs";
            return Err(Problem::new(path, message, "remove it"));
        }
        let texts: Vec<Text> = self.texts(path, lines)?;
        for (line, text) in lines.iter().zip(&texts) {
            if text.as_str() != line {
                let message = format!("{} is not relative to the release", quoted(line));
                return Err(Problem::new(path, message, HINT));
            }
            if line.trim().is_empty() || line.starts_with('#') {
                let message = format!("{} selects no file", quoted(line));
                return Err(Problem::new(path, message, HINT));
            }
        }
        if !lines.is_empty() && lines.iter().all(|line| line.starts_with('!')) {
            let message = "`files` only takes files out, and selects none";
            return Err(Problem::new(path, message, HINT));
        }
        match Patterns::new(texts) {
            Ok(patterns) => Ok(Some(patterns)),
            Err(error) => Err(Problem::new(path, format!("{error:#}"), HINT)),
        }
    }
}
