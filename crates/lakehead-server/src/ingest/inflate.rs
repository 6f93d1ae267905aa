//! Request bodies in a content encoding.
//!
//! Bounds: the inflated body stays under the request limit, the codecs' windows under 8 MiB (brotli's, by its standard, 16); whoever may not send is refused
//! before a byte is inflated.

use std::fmt;
use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// The value of `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Brotli,
    Deflate,
}

#[derive(Debug, PartialEq, Eq)]
pub enum InflateError {
    /// More than `limit` bytes come out.
    TooLarge { limit: usize },
    /// The body is not what its encoding says, is cut short, or has bytes behind its end.
    Malformed(&'static str),
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::TooLarge { limit } => {
                write!(f, "the body has more than {limit} bytes after decompression; the limit is {limit}")
            }
            InflateError::Malformed(encoding) => write!(f, "the body is not well-formed {encoding}"),
        }
    }
}

impl Encoding {
    /// Reads the header's value; `None` for encodings that are not supported, stacked ones included.
    pub fn parse(value: Option<&str>) -> Option<Encoding> {
        match value.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Encoding::Identity),
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "zstd" => Some(Encoding::Zstd),
            "br" => Some(Encoding::Brotli),
            "deflate" => Some(Encoding::Deflate),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Brotli => "br",
            Encoding::Deflate => "deflate",
        }
    }

    /// Inflates `body` to at most `limit` bytes. All members of a gzip body and all frames of a zstd body are read.
    ///
    /// # Errors
    /// [`InflateError`]; nothing of the output is kept.
    pub fn inflate(self, body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
        /// log2 of the largest zstd window: 8 MiB, as RFC 8878 recommends for HTTP.
        const ZSTD_WINDOW_LOG_MAX: u32 = 23;
        let malformed = |_: io::Error| InflateError::Malformed(self.name());
        match self {
            Encoding::Identity => read(body, limit, self.name()),
            Encoding::Gzip => read(flate2::bufread::MultiGzDecoder::new(body), limit, self.name()),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
                read(decoder, limit, self.name())
            }
            Encoding::Brotli => brotli(body, limit),
            // The standard's `deflate` is zlib-wrapped (RFC 9110 §8.4.1.2); some clients send it bare.
            Encoding::Deflate => {
                let wrapped = body.len() >= 2
                    && body[0] & 0x0F == 8
                    && u16::from_be_bytes([body[0], body[1]]).is_multiple_of(31);
                if wrapped {
                    let mut decoder = flate2::bufread::ZlibDecoder::new(body);
                    let out = read(&mut decoder, limit, self.name())?;
                    whole(decoder.total_in(), body, out, self.name())
                } else {
                    let mut decoder = flate2::bufread::DeflateDecoder::new(body);
                    let out = read(&mut decoder, limit, self.name())?;
                    whole(decoder.total_in(), body, out, self.name())
                }
            }
        }
    }
}

/// By the decoder's own interface: its reader does not say what it has left over.
fn brotli(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    const PIECE_BYTES: usize = 64 << 10;
    // Strict: `br` has windows up to 16 MiB, and none of the larger ones this decoder knows besides.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let (mut left, mut consumed, mut total) = (body.len(), 0, 0);
    let mut out = Vec::new();
    loop {
        let begin = out.len();
        out.resize(begin + PIECE_BYTES, 0);
        let (mut room, mut written) = (PIECE_BYTES, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut consumed,
            body,
            &mut room,
            &mut written,
            &mut out[begin..],
            &mut total,
            &mut state,
        );
        out.truncate(begin + written);
        if out.len() > limit {
            return Err(InflateError::TooLarge { limit });
        }
        match result {
            BrotliResult::ResultSuccess => return whole(consumed as u64, body, out, Encoding::Brotli.name()),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(InflateError::Malformed(Encoding::Brotli.name()));
            }
        }
    }
}

fn whole(consumed: u64, body: &[u8], out: Vec<u8>, encoding: &'static str) -> Result<Vec<u8>, InflateError> {
    if consumed == body.len() as u64 { Ok(out) } else { Err(InflateError::Malformed(encoding)) }
}

fn read(source: impl Read, limit: usize, encoding: &'static str) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut out).map_err(|_| InflateError::Malformed(encoding))?;
    if out.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests;
