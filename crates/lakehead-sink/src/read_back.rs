//! Reading finished files, for the tests of crates that must not know Parquet.

use std::io::Read;

use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::json_lines;

/// The rows of a whole file as lines of JSON, each ended by `\n`. What the file is, its ending says: `parquet`, `gz`, or plain
/// lines.
///
/// # Errors
/// What is wrong with the file: a part of one is never read as a smaller one, unless plain lines end at a line's end.
pub fn lines(key: &str, content: &[u8]) -> Result<String, String> {
    let text = match key.rsplit('.').next() {
        Some("parquet") => {
            let content = bytes::Bytes::copy_from_slice(content);
            let reader = ParquetRecordBatchReaderBuilder::try_new(content).and_then(|b| b.build());
            let mut all = Vec::new();
            for batch in reader.map_err(|e| format!("{key}: {e}"))? {
                let batch = batch.map_err(|e| format!("{key}: {e}"))?;
                all.extend(json_lines(&batch).map_err(|e| format!("{key}: {e}"))?);
            }
            all
        }
        Some("gz") => {
            let mut plain = Vec::new();
            let mut reader = GzDecoder::new(content);
            reader.read_to_end(&mut plain).map_err(|e| format!("{key}: {e}"))?;
            if !reader.into_inner().is_empty() {
                return Err(format!("{key}: bytes behind the end of the gzip stream"));
            }
            plain
        }
        _ => content.to_vec(),
    };
    let text = String::from_utf8(text).map_err(|e| format!("{key}: {e}"))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("{key}: the last line is not whole"));
    }
    Ok(text)
}
