//! The Git revision of a directory, read without Git.
//!
//! Root reads the repository of another user. Git would run what its configuration names, such as
//! `core.fsmonitor`, filters and hooks, and a repository can also be prepared to be read as another one.
//! So Git is not run. Files are opened below the repository only, links are not followed, sizes are bounded,
//! and nothing is written. What is not understood makes the answer unknown, and no error.
//!
//! | file | holds |
//! |---|---|
//! | `files` | opening files below a directory |
//! | `index` | the index: tracked files as Git saw them last (gitformat-index(5)) |
//! | `objects` | the tree of a commit, loose or in a pack (gitformat-pack(5)) |
//! | `changes` | whether tracked files differ from the index |
//! | `sha1` | SHA-1, which names the content of a file |

mod changes;
mod files;
mod index;
mod objects;
mod sha1;

use files::{OpenDir, read_below};
use index::Index;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use std::path::Path;

/// The longest `HEAD` or loose reference, in bytes.
const MAX_REF_BYTES: u64 = 4096;
/// The largest `packed-refs`, in bytes.
const MAX_PACKED_REFS_BYTES: u64 = 32 * 1024 * 1024;
/// The largest index, in bytes.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;

/// What a directory of a Git repository holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The commit that is checked out: 40 or 64 hexadecimal digits.
    pub revision: String,
    /// Whether tracked files differ from it; `None` when that is not known. Untracked files do not count.
    pub is_dirty: Option<bool>,
}

/// The Git revision of a directory: that of the repository which it is in. The path has no links. `None`
/// outside a repository, for a linked worktree, and when another user than the owner of the directory or
/// root owns the repository.
pub fn checkout_of(dir: &Path) -> Option<Checkout> {
    in_repository(dir, |worktree, git| {
        let revision = revision(git)?;
        let is_dirty = is_dirty(worktree, git, &revision);
        Some(Checkout { revision, is_dirty })
    })
}

/// When the commit was made that [`checkout_of`] finds, in seconds since 1970.
pub fn commit_time_of(dir: &Path) -> Option<i64> {
    in_repository(dir, |_, git| objects::time_of_commit(git, &revision(git)?))
}

/// Reads the repository that a directory is in: its worktree, and its `.git`.
fn in_repository<T>(dir: &Path, read: impl FnOnce(&OpenDir, &OpenDir) -> Option<T>) -> Option<T> {
    let owner = fstat(&OpenDir::open(dir)?.fd).ok()?.st_uid;
    for dir in dir.ancestors() {
        let worktree = OpenDir::open(dir)?;
        let Ok(found) = statat(&worktree.fd, ".git", AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory
            || ![0, owner].contains(&found.st_uid)
        {
            return None;
        }
        return read(&worktree, &worktree.enter(".git")?);
    }
    None
}

/// The commit that `HEAD` names.
fn revision(git: &OpenDir) -> Option<String> {
    let head = text(git, "HEAD", MAX_REF_BYTES)?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return id(&head);
    };
    let name = name.trim_end();
    let is_name = |c: char| c.is_ascii_graphic();
    if !name.starts_with("refs/") || !name.chars().all(is_name) {
        return None;
    }
    if let Some(loose) = text(git, name, MAX_REF_BYTES) {
        return id(&loose);
    }
    let packed = text(git, "packed-refs", MAX_PACKED_REFS_BYTES)?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(hash, of)| (of == name).then(|| id(hash))?)
}

fn text(git: &OpenDir, path: &str, max: u64) -> Option<String> {
    String::from_utf8(read_below(git, path, max)?.0).ok()
}

/// The name of an object.
fn id(text: &str) -> Option<String> {
    let text = text.trim_end();
    let is_hex = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && [40, 64].contains(&text.len())).then(|| text.to_owned())
}

/// Whether tracked files, or the index, differ from a commit.
fn is_dirty(worktree: &OpenDir, git: &OpenDir, revision: &str) -> Option<bool> {
    let (bytes, written) = read_below(git, "index", MAX_INDEX_BYTES)?;
    let index = Index::parse(&bytes)?;
    if changes::differs(worktree, &index, written)? {
        return Some(true);
    }
    let tree = objects::tree_of_commit(git, revision)?;
    // Without it, something is staged, or Git has not written it.
    Some(index.tree? != tree)
}

#[cfg(test)]
mod tests {
    use super::{Checkout, checkout_of};
    use std::fs::{create_dir_all, read_to_string, remove_file, write};
    use std::path::Path;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(dir).args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_SYSTEM", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A");
            command.env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        let ended = command.output().expect("start git");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "git {args:?}: {stderr}");
    }

    /// A repository with two commits.
    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        git(base, &["init", "--quiet", "--initial-branch=main"]);
        create_dir_all(base.join("app/bin")).unwrap();
        write(base.join("app/bin/web"), "one\n").unwrap();
        write(base.join("README"), "text\n").unwrap();
        std::os::unix::fs::symlink("README", base.join("link")).unwrap();
        git(base, &["add", "."]);
        git(base, &["commit", "--quiet", "-m", "one"]);
        write(base.join("README"), "more\n").unwrap();
        git(base, &["commit", "--quiet", "-am", "two"]);
        dir
    }

    fn head(dir: &Path) -> String {
        let ended = Command::new("git")
            .current_dir(dir)
            .args(["rev-parse", "HEAD"])
            .output()
            .unwrap();
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    #[track_caller]
    fn check(dir: &Path, revision: &str, is_dirty: Option<bool>) {
        let revision = revision.to_owned();
        let wanted = Some(Checkout { revision, is_dirty });
        assert_eq!(checkout_of(&dir.canonicalize().unwrap()), wanted);
    }

    #[test]
    fn a_clean_checkout_has_the_revision_that_git_names() {
        let dir = repository();
        let base = dir.path();
        let first = head(base);
        check(base, &first, Some(false));
        // A directory inside, and packed references and objects.
        check(&base.join("app/bin"), &first, Some(false));
        git(base, &["gc", "--quiet"]);
        assert!(!base.join(".git/refs/heads/main").exists());
        check(base, &first, Some(false));
        git(base, &["checkout", "--quiet", "--detach", "HEAD~1"]);
        check(base, &head(base), Some(false));
        assert_ne!(head(base), first);
        // An untracked file does not count.
        write(base.join("new"), "").unwrap();
        check(base, &head(base), Some(false));
        // The same content, written again.
        write(base.join("app/bin/web"), "one\n").unwrap();
        check(base, &head(base), Some(false));
    }

    #[test]
    fn a_tracked_file_that_differs_makes_it_dirty() {
        for version in ["2", "4"] {
            let dir = repository();
            let base = dir.path();
            git(base, &["update-index", "--index-version", version]);
            let revision = head(base);
            check(base, &revision, Some(false));
            // As long as before.
            write(base.join("app/bin/web"), "two\n").unwrap();
            check(base, &revision, Some(true));
            git(base, &["checkout", "--quiet", "app"]);
            check(base, &revision, Some(false));
            remove_file(base.join("link")).unwrap();
            check(base, &revision, Some(true));
            std::os::unix::fs::symlink("app", base.join("link")).unwrap();
            check(base, &revision, Some(true));
        }
    }

    #[test]
    fn staged_changes_are_never_called_clean() {
        let dir = repository();
        let base = dir.path();
        let revision = head(base);
        write(base.join("README"), "three\n").unwrap();
        git(base, &["add", "README"]);
        let seen = checkout_of(&base.canonicalize().unwrap()).unwrap();
        assert_ne!(seen.is_dirty, Some(false));
        git(base, &["write-tree"]);
        check(base, &revision, Some(true));
    }

    #[test]
    fn a_repository_cannot_lead_elsewhere() {
        let dir = repository();
        let base = dir.path().canonicalize().unwrap();
        let revision = head(&base);
        let secret = base.join("secret");
        write(&secret, format!("{revision}\n")).unwrap();
        let git = base.join(".git");
        for head in [
            format!("ref: {}\n", secret.display()),
            "ref: refs/../../secret\n".to_owned(),
            "ref: refs/heads/gone\n".to_owned(),
            "x".repeat(40),
        ] {
            write(git.join("HEAD"), head).unwrap();
            assert_eq!(checkout_of(&base), None);
        }
        remove_file(git.join("HEAD")).unwrap();
        std::os::unix::fs::symlink(&secret, git.join("HEAD")).unwrap();
        assert_eq!(checkout_of(&base), None);
        remove_file(git.join("HEAD")).unwrap();
        // It would block a reader that waits.
        let fifo = nix::unistd::mkfifo(&git.join("HEAD"), nix::sys::stat::Mode::S_IRWXU);
        fifo.unwrap();
        assert_eq!(checkout_of(&base), None);
    }

    #[test]
    fn a_damaged_index_is_unknown_at_every_length() {
        let dir = repository();
        let base = dir.path();
        let index = base.join(".git/index");
        let whole = std::fs::read(&index).unwrap();
        for length in 0..whole.len() {
            write(&index, &whole[..length]).unwrap();
            let seen = checkout_of(&base.canonicalize().unwrap()).unwrap();
            assert_ne!(seen.is_dirty, Some(false), "{length}");
        }
        assert!(read_to_string(base.join("README")).is_ok());
    }
}
