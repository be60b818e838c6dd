//! Walks through the frames of a segment: gives every sound record, says what is lost in between,
//! and where the sound part ends. Knows no files, only a [`Source`] of bytes.

use std::io;
use std::ops::Range;

use super::frame::{FRAME_HEADER_BYTES, Found, FrameHeader, SEGMENT_HEADER_BYTES, look};
use crate::backend::Offset;

/// Bytes read from the source at once.
const WINDOW_BYTES: usize = 128 << 10;

/// Bytes that can be read at any position.
pub(crate) trait Source {
    /// Reads bytes at `position`; fewer than asked for only at the end.
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl Source for [u8] {
    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(self.len());
        let count = into.len().min(self.len() - start);
        into[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}

/// What a step of the walk came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A sound record; its bytes are [`Walk::payload`] until the next step.
    Record {
        /// Its offset.
        offset: Offset,
        /// Where its frame begins.
        position: u64,
    },
    /// Bytes that hold no sound record.
    Lost(Lost),
}

/// A damaged part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The offsets that stood there; none if the bytes were never a record.
    pub(crate) offsets: Range<Offset>,
    /// Where the damage begins.
    pub(crate) position: u64,
    /// How many bytes it takes.
    pub(crate) bytes: u64,
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The next offset after the last frame.
    pub(crate) next: Offset,
    /// Where the last frame ends.
    pub(crate) position: u64,
    /// Bytes after it that are no whole frame (none if the walk came to its limit).
    pub(crate) residue_bytes: u64,
    /// How many whole records those bytes may once have held. A frame that only runs over the end
    /// of the file was torn while it was written, and was never acknowledged.
    pub(crate) residue_records: u64,
}

/// A walk over one segment.
pub(crate) struct Walk<'a, S: Source + ?Sized> {
    source: &'a S,
    marker: Option<u32>,
    /// The offset the next frame must have.
    expected: Offset,
    /// The walk ends before this offset: it belongs to a later segment, or is not yet published.
    limit: Offset,
    /// Bytes from `position` on; the first `seen` of them are behind us.
    window: Vec<u8>,
    seen: usize,
    /// Position in the source of the window's first byte.
    position: u64,
    /// Bytes since the last sound frame that are not one.
    noise: u64,
    /// The payload of the last record, in the window.
    payload: Range<usize>,
    /// When the last record was appended.
    appended_ms: i64,
}

impl<'a, S: Source + ?Sized> Walk<'a, S> {
    /// A walk from the first frame of a segment that begins at `base`.
    pub(crate) fn whole(source: &'a S, marker: Option<u32>, base: Offset, limit: Offset) -> Self {
        Self::from(source, marker, (base, SEGMENT_HEADER_BYTES as u64), limit)
    }

    /// A walk from the frame that is known to have this offset and position.
    pub(crate) fn from(
        source: &'a S,
        marker: Option<u32>,
        (expected, position): (Offset, u64),
        limit: Offset,
    ) -> Self {
        let (window, payload) = (Vec::new(), 0..0);
        let (seen, noise, appended_ms) = (0, 0, i64::MIN);
        Self {
            source,
            marker,
            expected,
            limit,
            window,
            seen,
            position,
            noise,
            payload,
            appended_ms,
        }
    }

    /// The bytes of the record the last step came upon.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.window[self.payload.clone()]
    }

    /// When the record the last step came upon was appended, in milliseconds since the Unix epoch.
    pub(crate) fn appended_ms(&self) -> i64 {
        self.appended_ms
    }

    /// The next record or damage; none at the limit or at the end of the source.
    pub(crate) fn step(&mut self) -> io::Result<Option<Item>> {
        while self.expected < self.limit {
            match look(&self.window[self.seen..], self.marker) {
                Found::Short => {
                    if !self.fill(FRAME_HEADER_BYTES)? {
                        return Ok(None);
                    }
                }
                Found::Noise(bytes) => self.skip(bytes),
                Found::Header(header) if !self.is_plausible(&header) => self.skip(1),
                Found::Header(header) if self.noise > 0 => return Ok(Some(self.lost(&header))),
                Found::Header(header) => {
                    if !self.fill(header.frame_bytes())? {
                        return Ok(None);
                    }
                    return Ok(Some(self.take(&header)));
                }
            }
        }
        Ok(None)
    }

    /// How the walk ended; to be asked after a step gave nothing.
    pub(crate) fn ending(&self) -> Ending {
        let rest = self.window[self.seen..].len() as u64;
        let at_limit = self.expected >= self.limit;
        let residue_bytes = if at_limit { 0 } else { self.noise + rest };
        // Only without noise before it can the rest begin with a sound header.
        let is_torn = self.noise == 0
            && matches!(look(&self.window[self.seen..], self.marker), Found::Header(_));
        let residue_records = match is_torn {
            true => 0,
            false => residue_bytes / FRAME_HEADER_BYTES as u64,
        };
        let position = self.here() - self.noise;
        Ending { next: self.expected, position, residue_bytes, residue_records }
    }

    fn here(&self) -> u64 {
        self.position + self.seen as u64
    }

    /// Frames follow each other without gaps; after noise, as many may be missing as fit into it.
    /// So neither an old frame nor a forged one in the bytes of a payload is taken for a record.
    fn is_plausible(&self, header: &FrameHeader) -> bool {
        let missing = self.noise.div_ceil(FRAME_HEADER_BYTES as u64);
        (self.expected..=self.expected.saturating_add(missing)).contains(&header.offset)
    }

    fn skip(&mut self, bytes: usize) {
        self.seen += bytes;
        self.noise += bytes as u64;
    }

    /// Ends the noise before a sound frame.
    fn lost(&mut self, header: &FrameHeader) -> Item {
        let bytes = std::mem::take(&mut self.noise);
        let found = header.offset.min(self.limit);
        let offsets = std::mem::replace(&mut self.expected, found)..found;
        Item::Lost(Lost { offsets, position: self.here() - bytes, bytes })
    }

    /// Takes a whole frame.
    fn take(&mut self, header: &FrameHeader) -> Item {
        let position = self.here();
        let start = self.seen + FRAME_HEADER_BYTES;
        self.seen += header.frame_bytes();
        self.marker = Some(header.marker);
        self.expected = header.offset + 1;
        self.appended_ms = header.appended_ms;
        self.payload = start..self.seen;
        if header.matches(self.payload()) {
            return Item::Record { offset: header.offset, position };
        }
        let bytes = header.frame_bytes() as u64;
        Item::Lost(Lost { offsets: header.offset..self.expected, position, bytes })
    }

    /// Makes the window hold `bytes` unseen bytes; false if the source ends before.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        if self.window.len() - self.seen >= bytes {
            return Ok(true);
        }
        self.window.drain(..self.seen);
        self.position += self.seen as u64;
        self.seen = 0;
        let had = self.window.len();
        self.window.resize(bytes.max(WINDOW_BYTES), 0);
        let mut filled = had;
        while filled < self.window.len() {
            let at = self.position + filled as u64;
            match self.source.read_at(at, &mut self.window[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        self.window.truncate(filled);
        Ok(filled >= bytes)
    }
}

#[cfg(test)]
mod tests;
