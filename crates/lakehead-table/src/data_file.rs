//! What a manifest says of a Parquet file: counts, sizes and bounds that readers prune by, taken from its footer.
//!
//! Bounds are of columns that are not inside lists. Text and binary bounds are cut to 16 characters or bytes, the upper one
//! rounded up; a column any of whose row groups has no bounds gets none. Source: Iceberg table spec, "Manifests", fields 100 to 141,
//! and "Appendix D: Single-value serialization".

use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, PrimitiveType, Schema, Struct, Type,
};
use lakehead_sink::BucketFiles;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

use crate::{CatalogError, CatalogErrorKind};

/// Length of text and binary bounds, in characters and bytes.
const BOUND_LENGTH: usize = 16;
/// The end of a file that is read first; footers of ordinary files fit.
const FOOTER_BYTES: u64 = 64 << 10;

/// The footer of a Parquet file in a bucket.
///
/// # Errors
/// As of the bucket; `Refused` if the file is not there or no Parquet file.
pub(crate) async fn footer(
    bucket: &BucketFiles,
    key: &str,
    size_bytes: u64,
) -> Result<ParquetMetaData, CatalogError> {
    let refused =
        |what: String| CatalogError::new(CatalogErrorKind::Refused, format!("{}: {what}", bucket.uri(key)));
    let mut reader = ParquetMetaDataReader::new();
    let mut length = FOOTER_BYTES.min(size_bytes);
    // The first try may say how much more it needs.
    for _ in 0..2 {
        let end = bucket.get_range(key, size_bytes - length..size_bytes).await?;
        let end = end.ok_or_else(|| refused("the file is gone".into()))?;
        match reader.try_parse_sized(&end, size_bytes) {
            Ok(()) => return reader.finish().map_err(|e| refused(e.to_string())),
            Err(parquet::errors::ParquetError::NeedMoreData(needed)) => {
                length = (needed as u64).min(size_bytes);
            }
            Err(e) => return Err(refused(e.to_string())),
        }
    }
    Err(refused("its footer cannot be read".into()))
}

/// The entry of a file with this footer. `partition`: its value under the spec of that id.
///
/// # Errors
/// `Refused` if a count of the footer is not one.
pub(crate) fn data_file(
    uri: String,
    size_bytes: u64,
    footer: &ParquetMetaData,
    schema: &Schema,
    (spec_id, partition): (i32, Struct),
) -> Result<DataFile, CatalogError> {
    let refused = |what: String| CatalogError::new(CatalogErrorKind::Refused, format!("{uri}: {what}"));
    let mut columns: HashMap<i32, Column> = HashMap::new();
    let mut split_offsets = Vec::with_capacity(footer.num_row_groups());
    for group in footer.row_groups() {
        split_offsets.extend(group.columns().first().map(start_of));
        for chunk in group.columns() {
            let basic = chunk.column_descr().self_type().get_basic_info();
            let Some(field) = basic.has_id().then(|| schema.field_by_id(basic.id())).flatten() else {
                continue;
            };
            let Type::Primitive(primitive) = field.field_type.as_ref() else { continue };
            columns.entry(field.id).or_default().add(chunk, primitive);
        }
    }
    let mut builder = DataFileBuilder::default();
    let (mut sizes, mut values, mut nulls) = (HashMap::new(), HashMap::new(), HashMap::new());
    let (mut lower, mut upper) = (HashMap::new(), HashMap::new());
    for (id, column) in columns {
        sizes.insert(id, column.size_bytes);
        values.insert(id, column.values);
        nulls.extend(column.nulls.known().map(|n| (id, n)));
        lower.extend(column.lower.known().map(|bound| (id, bound)));
        upper.extend(column.upper.known().map(|bound| (id, bound)));
    }
    split_offsets.sort_unstable();
    let rows = u64::try_from(footer.file_metadata().num_rows()).map_err(|e| refused(e.to_string()))?;
    builder
        .content(DataContentType::Data)
        .file_path(uri.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .partition_spec_id(spec_id)
        .record_count(rows)
        .file_size_in_bytes(size_bytes)
        .column_sizes(sizes)
        .value_counts(values)
        .null_value_counts(nulls)
        .lower_bounds(lower)
        .upper_bounds(upper)
        .split_offsets(Some(split_offsets));
    builder.build().map_err(|e| refused(e.to_string()))
}

/// Where a column's first page begins.
fn start_of(chunk: &ColumnChunkMetaData) -> i64 {
    match chunk.dictionary_page_offset() {
        Some(dictionary) if dictionary > 0 => dictionary.min(chunk.data_page_offset()),
        _ => chunk.data_page_offset(),
    }
}

/// A figure that is known as long as every row group knows it.
#[derive(Debug, Default)]
enum Known<T> {
    #[default]
    Nothing,
    Is(T),
    Lost,
}

impl<T> Known<T> {
    fn add(&mut self, next: Option<T>, join: impl FnOnce(T, T) -> T) {
        *self = match (std::mem::take(self), next) {
            (Known::Lost, _) | (_, None) => Known::Lost,
            (Known::Nothing, Some(next)) => Known::Is(next),
            (Known::Is(before), Some(next)) => Known::Is(join(before, next)),
        };
    }

    fn known(self) -> Option<T> {
        match self {
            Known::Is(value) => Some(value),
            Known::Nothing | Known::Lost => None,
        }
    }
}

#[derive(Debug, Default)]
struct Column {
    size_bytes: u64,
    values: u64,
    nulls: Known<u64>,
    lower: Known<Datum>,
    upper: Known<Datum>,
}

impl Column {
    fn add(&mut self, chunk: &ColumnChunkMetaData, primitive: &PrimitiveType) {
        self.size_bytes += u64::try_from(chunk.compressed_size()).unwrap_or(0);
        let values = u64::try_from(chunk.num_values()).unwrap_or(0);
        self.values += values;
        let statistics = chunk.statistics();
        if chunk.column_descr().max_rep_level() > 0 {
            (self.nulls, self.lower, self.upper) = (Known::Lost, Known::Lost, Known::Lost);
            return;
        }
        let nulls = statistics.and_then(Statistics::null_count_opt);
        self.nulls.add(nulls, |a, b| a + b);
        if nulls == Some(values) {
            // Nothing to bound.
            return;
        }
        let bounds = statistics.and_then(|s| Some((s.min_bytes_opt()?, s.max_bytes_opt()?)));
        self.lower.add(bounds.and_then(|(min, _)| lower_bound(primitive, chunk, min)), |a, b| {
            if b < a { b } else { a }
        });
        self.upper.add(bounds.and_then(|(_, max)| upper_bound(primitive, chunk, max)), |a, b| {
            if b > a { b } else { a }
        });
    }
}

fn lower_bound(primitive: &PrimitiveType, chunk: &ColumnChunkMetaData, min: &[u8]) -> Option<Datum> {
    match primitive {
        PrimitiveType::String => {
            Some(Datum::string(std::str::from_utf8(min).ok()?.chars().take(BOUND_LENGTH).collect::<String>()))
        }
        PrimitiveType::Binary => Some(Datum::binary(min.iter().copied().take(BOUND_LENGTH))),
        _ => exact(primitive, chunk, min),
    }
}

fn upper_bound(primitive: &PrimitiveType, chunk: &ColumnChunkMetaData, max: &[u8]) -> Option<Datum> {
    match primitive {
        PrimitiveType::String => {
            let text = std::str::from_utf8(max).ok()?;
            match text.char_indices().nth(BOUND_LENGTH) {
                None => Some(Datum::string(text)),
                Some((end, _)) => text_above(&text[..end]).map(Datum::string),
            }
        }
        PrimitiveType::Binary if max.len() <= BOUND_LENGTH => Some(Datum::binary(max.iter().copied())),
        PrimitiveType::Binary => bytes_above(&max[..BOUND_LENGTH]).map(Datum::binary),
        _ => exact(primitive, chunk, max),
    }
}

/// A text above all that begin with `prefix`: its last character that has a next one is replaced by that.
fn text_above(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match u32::from(last) + 1 {
            // Surrogates are no characters.
            0xD800..=0xDFFF => Some('\u{E000}'),
            next => char::from_u32(next),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn bytes_above(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Some(bytes);
        }
    }
    None
}

/// The bound as it is. Parquet's plain encoding is Iceberg's single-value serialization but for decimals, which are big-endian
/// there, and for booleans.
fn exact(primitive: &PrimitiveType, chunk: &ColumnChunkMetaData, bytes: &[u8]) -> Option<Datum> {
    use parquet::basic::Type as Physical;
    let datum = match (primitive, chunk.column_type()) {
        (PrimitiveType::Decimal { .. }, Physical::INT32 | Physical::INT64) => {
            let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
            Datum::try_from_bytes(&reversed, primitive.clone())
        }
        (PrimitiveType::Long, Physical::INT32) => {
            return Some(Datum::long(i32::from_le_bytes(bytes.try_into().ok()?)));
        }
        (PrimitiveType::Double, Physical::FLOAT) => {
            return Some(Datum::double(f32::from_le_bytes(bytes.try_into().ok()?)));
        }
        _ => Datum::try_from_bytes(bytes, primitive.clone()),
    };
    datum.ok()
}

#[cfg(test)]
mod tests;
