//! Files without a name, which no other user can open or change.

use super::clock::nanoseconds;
use super::signals::interrupted;
use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::statvfs;
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the copy of a large file is: on a disk, and not in memory (hier(7)).
const DIR: &str = "/var/tmp";
/// How many bytes are copied at once.
const BUFFER_BYTES: usize = 128 * 1024;

/// A copy of a file, without a name.
#[derive(Debug)]
pub struct PrivateCopy {
    file: File,
}

impl PrivateCopy {
    /// Copies a regular file, and gives each part to `see`. Holes stay holes, so that a small file cannot fill
    /// the disk.
    ///
    /// # Errors
    /// The operating system's; also when the file does not fit on the disk, or the user interrupts.
    pub fn of(mut from: &File, mut see: impl FnMut(&[u8])) -> Result<Self> {
        let context = || format!("copying to `{DIR}`");
        let meta = from.metadata()?;
        if !meta.is_file() {
            return Err(std::io::Error::from(ErrorKind::Unsupported).into());
        }
        let mut file = unnamed_file(Path::new(DIR)).with_context(context)?;
        let stat = statvfs(DIR).with_context(context)?;
        let used = std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        if used > stat.blocks_available() * stat.fragment_size() {
            return Err(std::io::Error::from(ErrorKind::StorageFull)).with_context(context);
        }
        from.seek(SeekFrom::Start(0))?;
        let mut source = from.take(meta.len());
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading the file"),
            };
            if interrupted() {
                bail!("the copy was interrupted");
            }
            let part = buffer.get(..count).unwrap_or_default();
            see(part);
            let written = if part.iter().all(|byte| *byte == 0) {
                let skipped = i64::try_from(count).unwrap_or_default();
                file.seek(SeekFrom::Current(skipped)).map(|_| ())
            } else {
                file.write_all(part)
            };
            written.with_context(context)?;
        }
        let len = file.stream_position().with_context(context)?;
        file.set_len(len).with_context(context)?;
        Ok(Self { file })
    }

    /// Opens the copy to read it from its beginning.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn open(&self) -> Result<File> {
        let path = path_of(&self.file);
        File::open(&path).with_context(|| format!("opening `{}`", path.display()))
    }
}

/// The path of an open file, for this process, and for one that it starts and that inherits the file.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Creates a file that has no name.
fn unnamed_file(dir: &Path) -> std::io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match openat(CWD, dir, flags | OFlags::TMPFILE, mode) {
        // A file system without this flag (open(2)).
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let name = format!(".robotctl-{}-{}", std::process::id(), nanoseconds());
            let path = dir.join(name);
            let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let file = openat(CWD, &path, flags, mode)?;
            unlinkat(CWD, &path, rustix::fs::AtFlags::empty())?;
            Ok(File::from(file))
        }
        other => Ok(File::from(other?)),
    }
}

/// A small file in memory that a program which robotctl starts can read, as any user.
#[derive(Debug)]
pub struct InheritedFile {
    file: File,
}

impl InheritedFile {
    /// A file with this content.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let context = || "making a file in memory";
        let mut file = File::from(memory_file().with_context(context)?);
        file.write_all(bytes).with_context(context)?;
        Ok(Self { file })
    }

    /// The path at which the program finds it.
    pub fn path(&self) -> String {
        path_of(&self.file).display().to_string()
    }
}

/// A file in memory that programs inherit. Nothing that this process starts meanwhile is harmed by that: the file
/// holds no secret.
fn memory_file() -> std::io::Result<OwnedFd> {
    // A kernel before 6.3 does not know the flag, and a newer one may require it (sysctl `vm.memfd_noexec`).
    let created = match memfd_create("robotctl", MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create("robotctl", MemfdFlags::empty()),
        other => other,
    };
    Ok(created?)
}

#[cfg(test)]
mod tests {
    use super::{InheritedFile, PrivateCopy, unnamed_file};
    use crate::host::Command;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_copy_has_no_name_and_does_not_change_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let text = [vec![7; 300_000], vec![0; 500_000]].concat();
        std::fs::write(&path, &text).unwrap();
        let mut seen = Vec::new();
        let file = File::open(&path).unwrap();
        let copy = PrivateCopy::of(&file, |part| seen.extend_from_slice(part)).unwrap();
        assert!(seen == text);
        std::fs::write(&path, "other").unwrap();
        for _ in 0..2 {
            let mut read = Vec::new();
            copy.open().unwrap().read_to_end(&mut read).unwrap();
            assert!(read == text);
        }
        let meta = copy.file.metadata().unwrap();
        assert_eq!((meta.nlink(), meta.mode() & 0o777), (0, 0o600));
    }

    #[test]
    fn holes_take_no_space_and_a_pipe_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(64 * 1024 * 1024).unwrap();
        let copy = PrivateCopy::of(&File::open(&path).unwrap(), |_| {}).unwrap();
        let meta = copy.file.metadata().unwrap();
        assert_eq!((meta.len(), meta.blocks()), (64 * 1024 * 1024, 0));
        assert!(PrivateCopy::of(&File::open("/dev/null").unwrap(), |_| {}).is_err());
    }

    #[test]
    fn a_file_system_without_unnamed_files_works_as_well() {
        // procfs knows neither; a directory that is missing is an error.
        assert!(unnamed_file("/proc/self/absent".as_ref()).is_err());
        let dir = tempfile::tempdir().unwrap();
        let mut file = unnamed_file(dir.path()).unwrap();
        file.write_all(b"x").unwrap();
        file.rewind().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_program_reads_a_file_that_it_inherits() {
        let file = InheritedFile::new(b"text\n").unwrap();
        let read = Command::new(["cat", &file.path()]).run().unwrap();
        assert_eq!(read, "text\n");
    }
}
