//! Names of temporary files: unique, hidden, and recognisable by the next run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What follows the target's name in the name of a temporary file.
const TEMPORARY: &str = ".robotctl-";

/// The name of the file that a temporary file was made for; `None` for any other file.
pub fn temp_target(name: &str) -> Option<&str> {
    let (target, _) = name.strip_prefix('.')?.rsplit_once(TEMPORARY)?;
    Some(target)
}

/// A temporary path in the same directory, which no other run uses.
pub(super) fn temp_path(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let stamp = jiff::Timestamp::now().as_nanosecond();
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(
        "{TEMPORARY}{}-{count}-{stamp:x}",
        std::process::id()
    ));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::{temp_path, temp_target};
    use std::path::Path;

    #[test]
    fn a_temporary_name_is_unique_and_names_its_target() {
        let (one, two) = (temp_path(Path::new("/d/f")), temp_path(Path::new("/d/f")));
        assert_ne!(one, two);
        let name = one.file_name().unwrap().to_str().unwrap();
        assert_eq!(temp_target(name), Some("f"));
        for other in ["f", ".f", "f.robotctl-1"] {
            assert_eq!(temp_target(other), None, "{other}");
        }
    }
}
