//! Rows in a file, from its bytes.

use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use parquet::file::metadata::ParquetMetaDataReader;

/// Length of the metadata and `PAR1`.
pub(super) const FOOTER_TAIL_BYTES: u64 = 8;
const PARQUET: &[u8] = b"PAR1";

/// Why the bytes alone do not say how many rows there are.
pub(super) enum Unknown {
    Broken(String),
    /// It is Parquet.
    InFooter,
}

/// Counts lines in what is given to it piece by piece.
#[derive(Default)]
pub(super) struct Rows {
    kind: Option<Kind>,
    broken: Option<String>,
}

enum Kind {
    Plain(Lines),
    Gzip(Box<MultiGzDecoder<Lines>>),
    Deflate(Box<ZlibDecoder<Lines>>),
    Parquet,
}

/// Counts the lines that are written to it.
#[derive(Default)]
struct Lines {
    breaks: u64,
    in_line: bool,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.breaks += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.in_line = bytes.last().map_or(self.in_line, |last| *last != b'\n');
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn end(self) -> Result<u64, Unknown> {
        match self.in_line {
            false => Ok(self.breaks),
            true => Err(Unknown::Broken(format!("it ends within line {}", self.breaks + 1))),
        }
    }
}

impl Kind {
    /// JSON begins with neither of these.
    fn of(first: &[u8]) -> Self {
        match first {
            [0x1F, 0x8B, ..] => Kind::Gzip(Box::new(MultiGzDecoder::new(Lines::default()))),
            [0x78, ..] => Kind::Deflate(Box::new(ZlibDecoder::new(Lines::default()))),
            first if first.starts_with(PARQUET) => Kind::Parquet,
            _ => Kind::Plain(Lines::default()),
        }
    }
}

impl Rows {
    /// The first piece holds at least four bytes, if the file does.
    pub(super) fn take(&mut self, piece: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        let written = match self.kind.get_or_insert_with(|| Kind::of(piece)) {
            Kind::Plain(lines) => lines.write_all(piece),
            Kind::Gzip(decoder) => decoder.write_all(piece),
            Kind::Deflate(decoder) => decoder.write_all(piece),
            Kind::Parquet => Ok(()),
        };
        self.broken = written.err().map(|e| format!("it cannot be inflated ({e})"));
    }

    pub(super) fn end(self) -> Result<u64, Unknown> {
        if let Some(broken) = self.broken {
            return Err(Unknown::Broken(broken));
        }
        let cut = |e: io::Error| Unknown::Broken(format!("it cannot be inflated to its end ({e})"));
        match self.kind {
            None => Ok(0),
            Some(Kind::Plain(lines)) => lines.end(),
            Some(Kind::Gzip(decoder)) => decoder.finish().map_err(cut)?.end(),
            Some(Kind::Deflate(decoder)) => decoder.finish().map_err(cut)?.end(),
            Some(Kind::Parquet) => Err(Unknown::InFooter),
        }
    }
}

/// What the last bytes of a Parquet file say of its footer.
pub(super) struct Footer {
    /// Of the metadata, which lies right before the tail.
    pub(super) bytes: u64,
}

impl Footer {
    pub(super) fn of_tail(tail: &[u8]) -> Result<Footer, String> {
        match tail {
            [length @ .., b'P', b'A', b'R', b'1'] => {
                let length =
                    <[u8; 4]>::try_from(length).map_err(|_| "it has no Parquet footer".to_owned())?;
                Ok(Footer { bytes: u64::from(u32::from_le_bytes(length)) })
            }
            _ => Err("it does not end as a Parquet file does".to_owned()),
        }
    }

    /// The rows of all row groups, which must be those of the file.
    pub(super) fn rows(metadata: &[u8]) -> Result<u64, String> {
        let metadata = ParquetMetaDataReader::decode_metadata(metadata)
            .map_err(|e| format!("its Parquet footer cannot be read ({e})"))?;
        let in_groups: i64 =
            metadata.row_groups().iter().fold(0, |sum, group| sum.saturating_add(group.num_rows()));
        let in_file = metadata.file_metadata().num_rows();
        if in_groups != in_file {
            return Err(format!("its row groups have {in_groups} rows and its footer says {in_file}"));
        }
        u64::try_from(in_file).map_err(|_| format!("its footer says {in_file} rows"))
    }
}
