//! The child: decodes an archive, parses it, and writes its members.

use super::format::Format;
use super::problem::Problem;
use super::wire::{MAX_PATH, Member, MemberKind, Message};
use crate::host;
use anyhow::Result;
use std::cell::Cell;
use std::io::{BufReader, Error, Read, Write, copy, sink, stdout};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tar::EntryType;

/// The most bytes that the headers of one member may take: its name, link target and extended
/// attributes. They are held in memory, and a small compressed archive can hold huge ones.
const MAX_HEADER_BYTES: u64 = 1024 * 1024;
/// The most memory that decoding an `.xz` may take, in KiB: the window, and what the decoder adds.
const MAX_XZ_MEMORY_KIB: u32 = 129 * 1024;
/// The logarithm of the largest window of Zstandard.
const ZSTD_WINDOW_LOG: u32 = Format::MAX_WINDOW.trailing_zeros();

/// Why a child stops.
enum Stop {
    /// The archive cannot be read.
    Problem(Problem),
    /// The parent reads no more.
    Pipe,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Gives up all rights, and writes the members of the archive at standard input to standard output.
///
/// # Errors
/// When the process cannot give up its rights. Nothing was read then, and the parent knows.
pub fn run(format: Format) -> Result<()> {
    let (source, mut pipe) = match host::confine(format.max_memory()) {
        Ok(streams) => streams,
        Err(error) => {
            Message::Problem(Problem::NotConfined).write(&mut stdout())?;
            return Err(error);
        }
    };
    let _ = match write_members(format, source, &mut pipe) {
        Ok(()) => Message::Complete.write(&mut pipe),
        Err(Stop::Problem(problem)) => Message::Problem(problem).write(&mut pipe),
        Err(Stop::Pipe) => Ok(()),
    };
    // A parent that reads no more has stopped on purpose.
    let _ = pipe.flush();
    Ok(())
}

/// The uncompressed stream.
fn open(format: Format, source: impl Read + 'static) -> Result<Box<dyn Read>, Problem> {
    let file = BufReader::new(source);
    Ok(match format {
        Format::Tar => Box::new(file),
        Format::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Format::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            file,
            true,
            MAX_XZ_MEMORY_KIB,
        )),
        Format::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(file).map_err(|_| Problem::Damaged)?;
            let limited = decoder.window_log_max(ZSTD_WINDOW_LOG);
            limited.map_err(|_| Problem::Damaged)?;
            Box::new(decoder)
        }
    })
}

/// A stream with a limit that the owner of `left` can raise.
struct LimitedReader {
    stream: Box<dyn Read>,
    /// How many bytes may still be read.
    left: Rc<Cell<u64>>,
    /// Whether the decoder refused the window.
    has_large_window: Rc<Cell<bool>>,
}

impl Read for LimitedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(Error::other("the limit is reached"));
        }
        let max = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.stream.read(buffer.get_mut(..max).unwrap_or_default());
        let count = read.inspect_err(|error| {
            if is_large_window(error) {
                self.has_large_window.set(true);
            }
        })?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Whether a decoder refused the size of its window. Their errors have no other mark than their text.
fn is_large_window(error: &Error) -> bool {
    let text = error.to_string();
    error.kind() == std::io::ErrorKind::OutOfMemory
        || text.contains("requires too much memory")
        || text.contains("memory limit")
}

fn write_members(
    format: Format,
    source: impl Read + 'static,
    pipe: &mut impl Write,
) -> Result<(), Stop> {
    let left = Rc::new(Cell::new(u64::MAX));
    let has_large_window = Rc::new(Cell::new(false));
    let failed = |_: Error| match left.get() {
        0 => Problem::LongHeaders,
        _ if has_large_window.get() => Problem::LargeWindow,
        _ => Problem::Damaged,
    };
    let mut archive = tar::Archive::new(LimitedReader {
        stream: open(format, source)?,
        left: Rc::clone(&left),
        has_large_window: Rc::clone(&has_large_window),
    });
    let mut entries = archive.entries().map_err(failed)?;
    let mut member_bytes = 0;
    loop {
        // The unread rest of the last member comes before the headers of the next one.
        let unread = left.get().saturating_sub(u64::MAX - member_bytes);
        left.set(MAX_HEADER_BYTES.saturating_add(unread));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(failed)?;
        let kind = entry.header().entry_type();
        // The size of a sparse member counts its holes, which are not in the archive.
        member_bytes = if kind.is_gnu_sparse() {
            entry.header().entry_size().map_err(failed)?
        } else {
            entry.size()
        };
        left.set(u64::MAX);
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let member = described(&mut entry, kind).map_err(failed)?;
        if is_long(&member.name) || is_long(&member.target) {
            return Err(Problem::LongName.into());
        }
        let has_content = member.kind == MemberKind::File;
        Message::Member(member)
            .write(pipe)
            .map_err(|_| Stop::Pipe)?;
        if has_content {
            // The parent knows the size, and takes a content that ends early for damage.
            copy(&mut entry, pipe).map_err(|_| Stop::Pipe)?;
        }
    }
    left.set(u64::MAX);
    // Read to the end, where a compressed archive has its checksum.
    copy(&mut archive.into_inner(), &mut sink()).map_err(failed)?;
    Ok(())
}

fn is_long(path: &Path) -> bool {
    path.as_os_str().len() > MAX_PATH
}

fn described(
    entry: &mut tar::Entry<'_, LimitedReader>,
    kind: EntryType,
) -> std::io::Result<Member> {
    let headers = ExtendedHeaders::of(entry)?;
    let kind = match kind {
        _ if headers.is_sparse => MemberKind::Sparse,
        EntryType::Regular | EntryType::Continuous => MemberKind::File,
        EntryType::Directory => MemberKind::Dir,
        EntryType::Symlink => MemberKind::Symlink,
        EntryType::Link => MemberKind::HardLink,
        EntryType::GNUSparse => MemberKind::Sparse,
        _ => MemberKind::Special,
    };
    let target = match kind {
        MemberKind::Symlink | MemberKind::HardLink => entry.link_name()?,
        _ => None,
    };
    let target = target.as_deref().unwrap_or(Path::new("")).to_owned();
    let name = match headers.real_name {
        Some(name) => name,
        None => entry.path()?.into_owned(),
    };
    Ok(Member {
        kind,
        mode: entry.header().mode().unwrap_or(0o644),
        has_capabilities: headers.has_capabilities,
        has_acl: headers.has_acl,
        len: if kind == MemberKind::File {
            entry.size()
        } else {
            0
        },
        target,
        name,
    })
}

/// What the extended headers of a member say, as tar(1) and bsdtar(1) write them.
#[derive(Debug, Default)]
struct ExtendedHeaders {
    has_capabilities: bool,
    has_acl: bool,
    /// Whether the content begins with a list of the parts that have data (GNU tar, "Storing Sparse Files").
    is_sparse: bool,
    /// The name of such a member, which has another one for programs that do not know the list.
    real_name: Option<PathBuf>,
}

impl ExtendedHeaders {
    fn of(entry: &mut tar::Entry<'_, LimitedReader>) -> std::io::Result<Self> {
        let mut found = Self::default();
        for header in entry.pax_extensions()?.into_iter().flatten() {
            let header = header?;
            let key = header.key_bytes();
            found.has_capabilities |= key == b"SCHILY.xattr.security.capability";
            found.has_acl |= key.starts_with(b"SCHILY.acl.")
                || key.starts_with(b"SCHILY.xattr.system.posix_acl_");
            found.is_sparse |= key.starts_with(b"GNU.sparse.");
            if key == b"GNU.sparse.name" {
                found.real_name = header.value().ok().map(PathBuf::from);
            }
        }
        Ok(found)
    }
}
