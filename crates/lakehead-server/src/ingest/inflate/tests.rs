use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const LIMIT: usize = 100_000;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Brotli's stored form (RFC 7932 §9.2): a window of 16 bits, one uncompressed meta-block, one last empty one.
fn stored_brotli(data: &[u8]) -> Vec<u8> {
    assert!((1..=0x1_0000).contains(&data.len()));
    let length = data.len() - 1;
    // Bits, low first: 0 (WBITS 16), 0 (not last), 00 (4 nibbles), 16 bits length-1, 1 (uncompressed).
    let bits: u32 = (u32::try_from(length).unwrap() << 4) | (1 << 20);
    let mut out = bits.to_le_bytes()[..3].to_vec();
    out.extend_from_slice(data);
    out.push(3); // last, empty
    out
}

#[test]
fn every_encoding_gives_back_what_went_in() {
    let data = br#"[{"a":1},{"b":"caf\u00e9"}]"#.repeat(100);
    for (encoding, body) in [
        (Encoding::Identity, data.clone()),
        (Encoding::Gzip, gzip(&data)),
        (Encoding::Zstd, zstd::encode_all(data.as_slice(), 3).unwrap()),
        (Encoding::Brotli, stored_brotli(&data)),
        (Encoding::Deflate, zlib(&data)),
        (Encoding::Deflate, bare_deflate(&data)),
    ] {
        assert_eq!(encoding.inflate(&body, LIMIT).as_ref(), Ok(&data), "{encoding:?}");
    }
}

#[test]
fn one_byte_over_the_limit_is_refused_and_the_limit_itself_is_not() {
    for n in [LIMIT, LIMIT + 1] {
        let data = vec![b' '; n];
        let expected =
            if n > LIMIT { Err(InflateError::TooLarge { limit: LIMIT }) } else { Ok(data.clone()) };
        assert_eq!(Encoding::Gzip.inflate(&gzip(&data), LIMIT), expected);
        assert_eq!(Encoding::Zstd.inflate(&zstd::encode_all(data.as_slice(), 3).unwrap(), LIMIT), expected);
        assert_eq!(Encoding::Deflate.inflate(&zlib(&data), LIMIT), expected);
    }
}

#[test]
fn all_members_of_a_gzip_body_are_read() {
    let mut body = gzip(b"[1,");
    body.extend(gzip(b"2]"));
    assert_eq!(Encoding::Gzip.inflate(&body, LIMIT).unwrap(), b"[1,2]");
}

#[test]
fn bodies_cut_short_or_followed_by_garbage_are_refused() {
    let data = br#"{"a":"some text that is long enough"}"#.repeat(20);
    for (encoding, body) in [
        (Encoding::Gzip, gzip(&data)),
        (Encoding::Zstd, zstd::encode_all(data.as_slice(), 3).unwrap()),
        (Encoding::Brotli, stored_brotli(&data)),
        (Encoding::Deflate, zlib(&data)),
        (Encoding::Deflate, bare_deflate(&data)),
    ] {
        for cut in [1, body.len() / 2, body.len() - 1] {
            assert!(
                encoding.inflate(&body[..cut], LIMIT).is_err(),
                "{encoding:?} cut to {cut} of {}",
                body.len()
            );
        }
        let mut longer = body.clone();
        longer.extend_from_slice(b"garbage");
        assert!(encoding.inflate(&longer, LIMIT).is_err(), "{encoding:?} with garbage");
    }
}

#[test]
fn brotli_windows_beyond_the_standard_are_refused() {
    // The shortest stream there is, first with a window of 64 KiB, then with the header of one of 1 GiB.
    assert_eq!(Encoding::Brotli.inflate(&[0x06], LIMIT), Ok(Vec::new()));
    assert!(Encoding::Brotli.inflate(&[0x11, 0xDE], LIMIT).is_err());
}

#[test]
fn stacked_and_unknown_encodings_are_not_supported() {
    for value in ["gzip, gzip", "compress", "gzip,br", "aes128gcm"] {
        assert_eq!(Encoding::parse(Some(value)), None, "{value}");
    }
    assert_eq!(Encoding::parse(Some(" GZIP ")), Some(Encoding::Gzip));
    assert_eq!(Encoding::parse(None), Some(Encoding::Identity));
}
