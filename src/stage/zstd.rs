//! A whole Zstandard file (RFC 8878): frame after frame, each held against its checksum. The
//! crate reads one frame and leaves the checksum to its caller.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{BufRead, Error, Read, Result};

/// Reads the content of all frames.
pub(super) struct Zstd<R: BufRead> {
    /// None once the last frame has ended.
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the first frame.
    pub(super) fn new(source: R) -> Result<Self> {
        let frame = StreamingDecoder::new(source).map_err(Error::other)?;
        Ok(Self { frame: Some(frame) })
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(frame) = &mut self.frame {
            let count = frame.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let stored = frame.decoder.get_checksum_from_data();
            if stored.is_some() && stored != frame.decoder.get_calculated_checksum() {
                return Err(Error::other("the checksum of a frame is wrong"));
            }
            let Some(ended) = self.frame.take() else {
                break;
            };
            let mut source = ended.into_inner();
            if !source.fill_buf()?.is_empty() {
                self.frame = Some(StreamingDecoder::new(source).map_err(Error::other)?);
            }
        }
        Ok(0)
    }
}
