//! The format on the pipe between the child that decodes an archive and its parent.
//!
//! Numbers are little-endian. The parent trusts nothing of it: each length has a limit before memory is taken.
//!
//! | message | bytes |
//! |---|---|
//! | a member | `M`, kind (1), capabilities (1), access control list (1), mode (4), size (8), name (2 + n), target (2 + n); then, for a file, as many bytes as its size says |
//! | the archive cannot be read | `X`, the problem (1) |
//! | the archive is complete | `E` |

use super::problem::Problem;
use std::ffi::OsString;
use std::io::{Error, Read, Result, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// The longest name or link target, in bytes: one more cannot be a path (PATH_MAX, path_resolution(7)).
pub(super) const MAX_PATH: usize = 4095;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file. Its content follows.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// Another name of a file that comes before it.
    HardLink,
    /// A file with holes.
    Sparse,
    /// A device, a pipe or anything else.
    Special,
}

/// The byte of each kind.
const KINDS: [(u8, MemberKind); 6] = [
    (b'f', MemberKind::File),
    (b'd', MemberKind::Dir),
    (b'l', MemberKind::Symlink),
    (b'h', MemberKind::HardLink),
    (b's', MemberKind::Sparse),
    (b'o', MemberKind::Special),
];

/// One member, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// The mode as the archive has it.
    pub mode: u32,
    /// Whether it has file capabilities (capabilities(7)).
    pub has_capabilities: bool,
    /// Whether it has an access control list (acl(5)).
    pub has_acl: bool,
    /// The size of its content in bytes; 0 for anything but a file.
    pub len: u64,
    /// The name as the archive has it.
    pub name: PathBuf,
    /// Where a link leads; empty for anything else.
    pub target: PathBuf,
}

/// What the child writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Member(Member),
    Problem(Problem),
    Complete,
}

impl Message {
    /// Writes the message. The content of a file must follow.
    pub(super) fn write(&self, sink: &mut impl Write) -> Result<()> {
        match self {
            Self::Complete => sink.write_all(b"E"),
            Self::Problem(problem) => sink.write_all(&[b'X', problem.byte()]),
            Self::Member(member) => {
                let byte = KINDS.iter().find(|(_, kind)| *kind == member.kind);
                let byte = byte.map_or(b'o', |(byte, _)| *byte);
                let attributes = [member.has_capabilities, member.has_acl].map(u8::from);
                sink.write_all(&[b'M', byte])?;
                sink.write_all(&attributes)?;
                sink.write_all(&member.mode.to_le_bytes())?;
                sink.write_all(&member.len.to_le_bytes())?;
                write_path(&member.name, sink)?;
                write_path(&member.target, sink)
            }
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When the stream ends or is not in this format.
    pub(super) fn read(source: &mut impl Read) -> Result<Self> {
        let [tag] = bytes(source)?;
        match tag {
            b'E' => Ok(Self::Complete),
            b'X' => {
                let [byte] = bytes(source)?;
                Ok(Self::Problem(Problem::of(byte)))
            }
            b'M' => {
                let [byte] = bytes(source)?;
                let kind = KINDS.iter().find(|(known, _)| *known == byte);
                let (_, kind) = *kind.ok_or_else(unknown)?;
                let [capabilities, acl] = bytes(source)?;
                Ok(Self::Member(Member {
                    kind,
                    has_capabilities: capabilities != 0,
                    has_acl: acl != 0,
                    mode: u32::from_le_bytes(bytes(source)?),
                    len: u64::from_le_bytes(bytes(source)?),
                    name: read_path(source)?,
                    target: read_path(source)?,
                }))
            }
            _ => Err(unknown()),
        }
    }
}

fn unknown() -> Error {
    Error::other("not a message of the decoder")
}

fn bytes<const COUNT: usize>(source: &mut impl Read) -> Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_path(path: &std::path::Path, sink: &mut impl Write) -> Result<()> {
    let bytes = path.as_os_str().as_bytes();
    let len = u16::try_from(bytes.len()).map_err(Error::other)?;
    sink.write_all(&len.to_le_bytes())?;
    sink.write_all(bytes)
}

fn read_path(source: &mut impl Read) -> Result<PathBuf> {
    let len = usize::from(u16::from_le_bytes(bytes(source)?));
    if len > MAX_PATH {
        return Err(unknown());
    }
    let mut bytes = vec![0; len];
    source.read_exact(&mut bytes)?;
    Ok(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::{KINDS, MAX_PATH, Member, MemberKind, Message};
    use crate::archive::problem::Problem;

    fn member(name: &str) -> Vec<Member> {
        let kinds = KINDS.iter().map(|(_, kind)| Member {
            kind: *kind,
            has_capabilities: *kind == MemberKind::File,
            has_acl: *kind == MemberKind::Dir,
            mode: 0o755,
            len: 1 << 40,
            name: name.into(),
            target: "target".into(),
        });
        kinds.collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut messages: Vec<Message> = member("a/b").into_iter().map(Message::Member).collect();
        messages.extend(Problem::ALL.map(Message::Problem));
        messages.push(Message::Complete);
        let mut pipe = Vec::new();
        for message in &messages {
            message.write(&mut pipe).unwrap();
        }
        let mut source = pipe.as_slice();
        for message in messages {
            assert_eq!(Message::read(&mut source).unwrap(), message);
        }
        Message::read(&mut source).unwrap_err();
    }

    #[test]
    fn other_bytes_are_refused() {
        let mut long = Vec::new();
        let name = "x".repeat(MAX_PATH + 1);
        let first = member(&name).remove(0);
        Message::Member(first).write(&mut long).unwrap();
        for bytes in [&b"Q"[..], b"", b"M?", b"Mf\x01", b"X", &long] {
            Message::read(&mut &*bytes).unwrap_err();
        }
        // A problem of a later version is that of damage.
        let unknown = Message::read(&mut &b"X\xff"[..]).unwrap();
        assert_eq!(unknown, Message::Problem(Problem::Damaged));
    }
}
