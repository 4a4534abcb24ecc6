//! The parent: starts the child and reads members.

use super::file::ArchiveFile;
use super::format::Format;
use super::problem::Problem;
use super::wire::{Member, MemberKind, Message};
use crate::error::HintedError;
use crate::host::ConfinedProcess;
use anyhow::Result;
use std::io::{BufReader, Read, copy, sink};
use std::path::PathBuf;

/// How many bytes are read from the pipe at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// The members of an archive, in its order. After each file, its content can be read.
#[derive(Debug)]
pub struct Members {
    archive: PathBuf,
    pipe: BufReader<ConfinedProcess>,
    /// How much of the content of the last member is not read yet, in bytes.
    unread: u64,
}

impl Members {
    /// Starts to read an archive.
    ///
    /// # Errors
    /// When the file cannot be opened, or the child cannot be started.
    pub fn of(archive: &ArchiveFile) -> Result<Self> {
        let format = Format::of(archive.path()).unwrap_or(Format::Tar);
        let file = archive.open()?;
        let child = ConfinedProcess::start(&["read-archive", format.word()], file);
        let child = child.map_err(|error| {
            HintedError::new(
                format!("robotctl cannot start itself to read an archive: {error:#}"),
                "mount /proc, or unpack the archive and deploy the directory",
            )
        })?;
        Ok(Self {
            archive: archive.path().to_owned(),
            pipe: BufReader::with_capacity(BUFFER_BYTES, child),
            unread: 0,
        })
    }

    /// The next member; `None` after the last one.
    ///
    /// # Errors
    /// A [`HintedError`](crate::error::HintedError) when the archive cannot be read.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        let skipped = copy(&mut self.pipe.by_ref().take(self.unread), &mut sink());
        if !skipped.is_ok_and(|count| count == self.unread) {
            return Err(self.ended());
        }
        self.unread = 0;
        match Message::read(&mut self.pipe) {
            Ok(Message::Complete) => Ok(None),
            Ok(Message::Member(member)) => {
                if member.kind == MemberKind::File {
                    self.unread = member.len;
                }
                Ok(Some(member))
            }
            Ok(Message::Problem(problem)) => Err(problem.refusal(&self.archive).into()),
            Err(_) => Err(self.ended()),
        }
    }

    /// The error for a child that ended before the archive did.
    pub fn ended(&mut self) -> anyhow::Error {
        let problem = match self.pipe.get_mut().is_killed() {
            true => Problem::Memory,
            false => Problem::Damaged,
        };
        problem.refusal(&self.archive).into()
    }
}

/// Reads the content of the last member.
impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.pipe.by_ref().take(self.unread).read(buffer)?;
        self.unread -= count as u64;
        Ok(count)
    }
}
