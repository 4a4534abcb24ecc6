//! Which words occur in the files of a directory.

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The words that no file at or below a directory contains, in any case of letters; `None` when the files are
/// larger than `max_bytes` together, and so are not read.
///
/// # Errors
/// The operating system's, with the path.
pub fn absent_words<'a>(
    dir: &Path,
    words: &[&'a str],
    max_bytes: u64,
) -> Result<Option<Vec<&'a str>>> {
    let context = || format!("reading the files in `{}`", dir.display());
    let mut files = Vec::new();
    let mut bytes: u64 = 0;
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.with_context(context)?;
        if entry.file_type().is_file() {
            bytes += entry.metadata().with_context(context)?.len();
            if bytes > max_bytes {
                return Ok(None);
            }
            files.push(entry.into_path());
        }
    }
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words);
    let search = search.with_context(context)?;
    let mut absent: BTreeSet<usize> = (0..words.len()).collect();
    for file in files {
        if absent.is_empty() {
            break;
        }
        let bytes = fs::read(&file).with_context(context)?;
        for found in search.find_overlapping_iter(&bytes) {
            absent.remove(&found.pattern().as_usize());
        }
    }
    Ok(Some(
        absent
            .into_iter()
            .filter_map(|at| words.get(at).copied())
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::absent_words;
    use std::fs::{create_dir, write};

    #[test]
    fn a_word_in_any_file_and_in_any_case_occurs() {
        let dir = tempfile::tempdir().unwrap();
        create_dir(dir.path().join("sub")).unwrap();
        write(dir.path().join("a"), b"\xff environ['db_url'] \0").unwrap();
        write(dir.path().join("sub/b"), "process.env.PORT").unwrap();
        let of = |words: &[&'static str], max| absent_words(dir.path(), words, max).unwrap();
        assert_eq!(
            of(&["DB_URL", "PORT", "COLOUR"], 1000),
            Some(vec!["COLOUR"])
        );
        assert_eq!(of(&["DB_URL", "DB"], 1000), Some(vec![]));
        assert_eq!(of(&["PORT"], 10), None);
    }
}
