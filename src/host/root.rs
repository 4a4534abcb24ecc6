//! Where `/` is, and the operations on files below it.
//!
//! [`Root::write_atomic`] and [`Root::symlink_atomic`] survive a power cut: they write a temporary file
//! with a unique name in the same directory, fsync it, rename(2) it and fsync the directory. A reader
//! sees the old file or the new one.

use super::environment::working_directory;
use super::prepared_file::PreparedFile;
use super::resolve::{lexically_absolute, resolve};
use crate::tree::Entry;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::path::{Path, PathBuf};

/// Where `/` is for this run.
#[derive(Debug, Clone)]
pub struct Root {
    base: PathBuf,
}

/// The metadata of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device and inode: the file's identity.
    pub id: (u64, u64),
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a symbolic link.
    pub is_symlink: bool,
    kind: fs::FileType,
    /// Bytes.
    pub len: u64,
    /// When the content last changed, in seconds since 1970.
    pub modified: i64,
}

impl Root {
    /// A root at `base`.
    pub fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }

    /// A root at a path that a user typed: absolute, without `..` and symbolic links, which
    /// systemd-tmpfiles(8) refuses. `..` is resolved in the text of the path. A path that does not
    /// exist keeps its links.
    pub(super) fn normalized(path: &Path) -> Self {
        let base = match working_directory() {
            Ok(directory) => lexically_absolute(&directory, path),
            Err(_) => path.to_owned(),
        };
        Self {
            base: fs::canonicalize(&base).unwrap_or(base),
        }
    }

    /// Whether this is the running host.
    pub fn is_host(&self) -> bool {
        self.base == Path::new("/")
    }

    /// The real path of an absolute path on the host. In a directory tree, symbolic links on the way
    /// stay in the tree; a link at the path itself is not followed.
    pub fn path(&self, path: &str) -> PathBuf {
        self.real(path, false)
    }

    /// As [`Root::path`], with a link at the path itself followed too: for opening the file.
    pub fn followed(&self, path: &str) -> PathBuf {
        self.real(path, true)
    }

    fn real(&self, path: &str, last: bool) -> PathBuf {
        if self.is_host() {
            return Path::new("/").join(path);
        }
        resolve(&self.base, Path::new(path), last)
    }

    /// Reads a file; `None` when it does not exist.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let real = self.followed(path);
        absent(fs::read(&real)).with_context(|| format!("reading `{}`", real.display()))
    }

    /// Reads a file as text; `None` when it does not exist.
    ///
    /// # Errors
    /// The operating system's, with the path; also when the file is not UTF-8.
    pub fn read_text(&self, path: &str) -> Result<Option<String>> {
        let Some(bytes) = self.read(path)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes);
        text.map(Some)
            .with_context(|| format!("reading `{path}` as text"))
    }

    /// The target of a symbolic link; `None` when there is no link.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn read_link(&self, path: &str) -> Result<Option<String>> {
        let real = self.path(path);
        match fs::read_link(&real) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("reading `{}`", real.display())),
        }
    }

    /// The entry at a path, without following a link; `None` when there is none.
    ///
    /// # Errors
    /// The operating system's; also when the entry is a directory.
    pub fn entry(&self, path: &str) -> Result<Option<Entry>> {
        let Some(meta) = self.meta(path)? else {
            return Ok(None);
        };
        if meta.is_symlink {
            return Ok(self.read_link(path)?.map(Entry::Symlink));
        }
        if meta.is_dir {
            bail!("`{path}` is a directory where a file should be");
        }
        Ok(self.read(path)?.map(|bytes| Entry::File {
            mode: meta.mode,
            bytes,
        }))
    }

    /// The metadata of an entry, without following a link; `None` when there is none.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn meta(&self, path: &str) -> Result<Option<Meta>> {
        let real = self.path(path);
        let meta = absent(fs::symlink_metadata(&real))
            .with_context(|| format!("reading the metadata of `{}`", real.display()))?;
        Ok(meta.map(|meta| Meta::new(&meta)))
    }

    /// The metadata of an entry, with links followed; `None` when there is none.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn meta_followed(&self, path: &str) -> Result<Option<Meta>> {
        let real = self.followed(path);
        let meta = absent(fs::metadata(&real))
            .with_context(|| format!("reading the metadata of `{}`", real.display()))?;
        Ok(meta.map(|meta| Meta::new(&meta)))
    }

    /// The names in a directory, sorted; none when it does not exist.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let real = self.followed(path);
        let context = || format!("listing `{}`", real.display());
        let Some(entries) = absent(fs::read_dir(&real)).with_context(context)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(
                entry
                    .with_context(context)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Creates the root directory itself.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn make_base(&self) -> Result<()> {
        fs::create_dir_all(&self.base)
            .with_context(|| format!("creating the directory `{}`", self.base.display()))
    }

    /// Creates a directory and its parents, durably. An existing one keeps its mode.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<()> {
        let real = self.followed(path);
        let context = || format!("creating the directory `{}`", real.display());
        if real.is_dir() {
            return Ok(());
        }
        let parent = Path::new(path).parent().and_then(Path::to_str);
        if let Some(parent) = parent.filter(|parent| *parent != "/") {
            self.make_dir(parent, 0o755)?;
        }
        // Created with its mode, so that a kill never leaves a directory that is too open.
        match fs::DirBuilder::new().mode(mode).create(&real) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(context);
            }
            _ => {}
        }
        self.sync_parent(&real).with_context(context)
    }

    /// Creates a directory that is not there yet. It may be gone after a power cut.
    ///
    /// # Errors
    /// The operating system's, with the path, also when the path exists.
    pub fn make_new_dir(&self, path: &str, mode: u32) -> Result<()> {
        let real = self.path(path);
        let created = fs::DirBuilder::new().mode(mode).create(&real);
        created.with_context(|| format!("creating the directory `{}`", real.display()))
    }

    /// Exchanges the names of two entries of one file system in one step (rename(2), "RENAME_EXCHANGE").
    /// A power cut may undo it.
    ///
    /// # Errors
    /// The operating system's, with the paths.
    pub fn exchange(&self, one: &str, other: &str) -> Result<()> {
        let (one, other) = (self.path(one), self.path(other));
        rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)
            .with_context(|| format!("exchanging `{}` and `{}`", one.display(), other.display()))
    }

    /// Replaces a file in one step, durably.
    ///
    /// # Errors
    /// The operating system's, with the path. Then the path holds the old file, or the new one, which
    /// may not be durable.
    pub fn write_atomic(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.replace(PreparedFile::file(self.path(path), bytes, mode)?, path)
    }

    /// Replaces a symbolic link in one step, durably.
    ///
    /// # Errors
    /// The operating system's, with the path. Then the path holds the old link, or the new one, which
    /// may not be durable.
    pub fn symlink_atomic(&self, path: &str, target: &str) -> Result<()> {
        self.replace(PreparedFile::link(self.path(path), target)?, path)
    }

    fn replace(&self, mut file: PreparedFile, path: &str) -> Result<()> {
        file.sync()?;
        file.publish()?;
        let real = self.path(path);
        self.sync_parent(&real)
            .with_context(|| format!("writing `{}`", real.display()))
    }

    /// Removes a file or link, durably. Does nothing when there is none.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn remove_file(&self, path: &str) -> Result<()> {
        let real = self.path(path);
        let context = || format!("removing `{}`", real.display());
        match fs::remove_file(&real) {
            Ok(()) => self.sync_parent(&real).with_context(context),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(context),
        }
    }

    /// Removes a directory if it is empty. Leaves anything else alone.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn remove_dir_if_empty(&self, path: &str) -> Result<()> {
        let real = self.path(path);
        match fs::remove_dir(&real) {
            Err(error)
                if !matches!(
                    error.kind(),
                    ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound | ErrorKind::NotADirectory
                ) =>
            {
                Err(error).with_context(|| format!("removing `{}`", real.display()))
            }
            _ => Ok(()),
        }
    }

    /// Renames an entry within one file system, durably.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.path(from), self.path(to));
        let context = || format!("renaming `{}` to `{}`", old.display(), new.display());
        fs::rename(&old, &new).with_context(context)?;
        self.sync_parent(&new).with_context(context)
    }

    /// Appends a line to a file, durably. If a killed run left an unfinished line, a line break is
    /// added first.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn append(&self, path: &str, line: &str, mode: u32) -> Result<()> {
        let real = self.followed(path);
        let append = || -> std::io::Result<()> {
            let mut options = File::options();
            options.read(true).append(true).create(true).mode(mode);
            let mut file = options.open(&real)?;
            let mut last = *b"\n";
            if let Some(at) = file.metadata()?.len().checked_sub(1) {
                file.read_exact_at(&mut last, at)?;
            }
            let end = if last == *b"\n" { "" } else { "\n" };
            file.write_all(format!("{end}{line}\n").as_bytes())?;
            file.sync_all()
        };
        append().with_context(|| format!("appending to `{}`", real.display()))
    }

    pub(super) fn sync_parent(&self, real: &Path) -> std::io::Result<()> {
        File::open(real.parent().unwrap_or(&self.base))?.sync_all()
    }
}

impl Meta {
    /// Whether it is a regular file that somebody may execute.
    pub fn is_program(&self) -> bool {
        self.is_file() && self.mode & 0o111 != 0
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// Whether it is a unix socket.
    pub fn is_socket(&self) -> bool {
        self.kind.is_socket()
    }

    fn new(meta: &fs::Metadata) -> Self {
        Self {
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            id: (meta.dev(), meta.ino()),
            is_dir: meta.is_dir(),
            is_symlink: meta.is_symlink(),
            kind: meta.file_type(),
            len: meta.len(),
            modified: meta.mtime(),
        }
    }
}

/// `None` when the error says that the file does not exist.
pub(super) fn absent<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::Root;
    use std::fs::create_dir;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn a_typed_root_is_absolute_and_without_dots_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        create_dir(base.join("tree")).unwrap();
        symlink(base.join("tree"), base.join("link")).unwrap();
        symlink("/", base.join("slash")).unwrap();
        let here = std::env::current_dir().unwrap();
        let up = Path::new("..").join(here.file_name().unwrap());
        for (typed, wanted) in [
            (base.join("x/../tree"), base.join("tree")),
            (base.join("link"), base.join("tree")),
            (base.join("link/../absent"), base.join("absent")),
            (up, here),
        ] {
            assert_eq!(Root::normalized(&typed).base, wanted, "{typed:?}");
        }
        for typed in [Path::new("/"), Path::new("/usr/.."), &base.join("slash")] {
            assert!(Root::normalized(typed).is_host(), "{typed:?}");
        }
    }
}
