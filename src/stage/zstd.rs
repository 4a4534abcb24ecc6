//! Decoding a whole Zstandard file (RFC 8878).
//!
//! A file is a sequence of frames, each with an optional checksum. The crate decodes one frame and
//! leaves the comparison of the checksum to its caller.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{BufRead, Error, Read, Result};

/// Reads the content of all frames.
pub(super) struct Zstd<R: BufRead> {
    /// `None` after the last frame.
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Zstd<R> {
    /// Reads the header of the first frame.
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
            let Some(finished) = self.frame.take() else {
                break;
            };
            let mut source = finished.into_inner();
            if !source.fill_buf()?.is_empty() {
                self.frame = Some(StreamingDecoder::new(source).map_err(Error::other)?);
            }
        }
        Ok(0)
    }
}
