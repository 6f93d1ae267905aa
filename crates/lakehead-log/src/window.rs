//! Reading a segment file front to back in large pieces, without copying frames out of them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lakehead_disk::File;

use crate::frame::{ALIGN, FrameHeader, HEADER_BYTES, MAGIC};

/// A segment file seen through one buffer: the bytes of `[start, start + len)`.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) file: Arc<dyn File>,
    pub(crate) log_id: u64,
    pub(crate) segment: u64,
    start: u32,
    len: usize,
    /// At least `len` bytes.
    bytes: Bytes,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn File>, log_id: u64, segment: u64) -> Self {
        Window { file, log_id, segment, start: 0, len: 0, bytes: Bytes::new() }
    }

    /// Up to `len` bytes at `at`, fewer at the end of the file. If they have to be read, at least `ahead` are.
    pub(crate) fn get(&mut self, at: u32, len: usize, ahead: usize) -> io::Result<Bytes> {
        let range = self.load(at, len, ahead)?;
        Ok(self.bytes.slice(range))
    }

    /// Makes sure that these bytes are in the buffer, as far as the file has them; where they are there.
    fn load(&mut self, at: u32, len: usize, ahead: usize) -> io::Result<Range<usize>> {
        let known = at.checked_sub(self.start).map(|skip| skip as usize);
        if let Some(skip) = known
            && skip + len <= self.len
        {
            return Ok(skip..skip + len);
        }
        // The buffer is used again if no frame holds on to it.
        let wanted = len.max(ahead);
        let mut buf = std::mem::take(&mut self.bytes).try_into_mut().unwrap_or_default();
        if buf.len() < wanted {
            buf = BytesMut::zeroed(wanted);
        }
        self.len = 0;
        let read = self.file.read_at(&mut buf[..wanted], u64::from(at))?;
        (self.start, self.len, self.bytes) = (at, read, buf.freeze());
        Ok(0..len.min(read))
    }

    /// The frame header at `at`, if there is a valid one whose frame ends by `limit`.
    pub(crate) fn header(&mut self, at: u32, limit: u32, ahead: usize) -> io::Result<Option<FrameHeader>> {
        let left = limit.saturating_sub(at) as usize;
        let range = self.load(at, HEADER_BYTES.min(left), ahead.min(left))?;
        Ok(FrameHeader::decode(&self.bytes[range], self.log_id, self.segment, at, limit))
    }

    /// What stands behind `header` up to the end of its frame; short if the file is.
    pub(crate) fn payload(&mut self, header: &FrameHeader, limit: u32, ahead: usize) -> io::Result<Bytes> {
        let at = header.offset + HEADER_BYTES as u32;
        let left = limit.saturating_sub(at) as usize;
        self.get(at, header.frame_bytes() as usize - HEADER_BYTES, ahead.min(left))
    }

    /// The first valid frame header behind `at`: where reading can go on after damage.
    pub(crate) fn resync(&mut self, at: u32, limit: u32) -> io::Result<Option<FrameHeader>> {
        const AHEAD: usize = 1 << 20;
        let mut at = at.saturating_add(ALIGN);
        while at < limit {
            let left = (limit - at) as usize;
            let bytes = self.get(at, AHEAD.min(left), AHEAD.min(left))?;
            if bytes.len() < HEADER_BYTES {
                return Ok(None);
            }
            for (i, word) in bytes.chunks_exact(ALIGN as usize).enumerate() {
                let found_at = at + i as u32 * ALIGN;
                if word.starts_with(&MAGIC.to_le_bytes()) {
                    let header = self.file_header(found_at, limit, &bytes[i * ALIGN as usize..])?;
                    if header.is_some() {
                        return Ok(header);
                    }
                }
            }
            at += bytes.len() as u32 / ALIGN * ALIGN;
        }
        Ok(None)
    }

    fn file_header(&self, at: u32, limit: u32, known: &[u8]) -> io::Result<Option<FrameHeader>> {
        let mut buf = [0; HEADER_BYTES];
        let bytes = match known.get(..HEADER_BYTES) {
            Some(known) => known,
            None => {
                let read = self.file.read_at(&mut buf, u64::from(at))?;
                &buf[..read]
            }
        };
        Ok(FrameHeader::decode(bytes, self.log_id, self.segment, at, limit))
    }
}
