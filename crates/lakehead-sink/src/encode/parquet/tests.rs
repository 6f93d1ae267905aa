use std::collections::HashMap;

use arrow::array::*;
use arrow::datatypes::UnionFields;
use bytes::Bytes;
use lakehead_disk::SystemDisk;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;

use super::*;

fn file(format: &ParquetFormat, batches: &[RecordBatch]) -> (Vec<RecordBatch>, Arc<ParquetMetaData>, Bytes) {
    let dir = tempfile::tempdir().unwrap();
    let output = Output::create(&SystemDisk, dir.path(), "f").unwrap();
    let mut file = ParquetFile::new(output, format, &[], &batches[0]).unwrap();
    for batch in batches {
        file.write(batch).unwrap();
    }
    let output = file.finish().unwrap();
    let bytes = Bytes::from(std::fs::read(output.path()).unwrap());
    assert_eq!(bytes.len() as u64, output.written_bytes());
    assert_eq!(crc32c::crc32c(&bytes), output.crc32c());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let metadata = reader.metadata().clone();
    (reader.build().unwrap().map(Result::unwrap).collect(), metadata, bytes)
}

fn column(field: Field, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap()
}

fn numbers(rows: i64) -> RecordBatch {
    column(Field::new("n", DataType::Int64, true), Arc::new(Int64Array::from_iter_values(0..rows)))
}

#[test]
fn every_codec_writes_what_a_reader_gets_back() {
    use ParquetCompression::{Gzip, Lz4, Snappy, Uncompressed, Zstd};
    for (codec, expected) in [
        (None, "ZSTD"),
        (Some(Zstd), "ZSTD"),
        (Some(Snappy), "SNAPPY"),
        (Some(Gzip), "GZIP"),
        (Some(Lz4), "LZ4_RAW"),
        (Some(Uncompressed), "UNCOMPRESSED"),
    ] {
        let format = ParquetFormat { compression: codec, row_group_bytes: None };
        let (read, metadata, _) = file(&format, &[numbers(5000)]);
        assert_eq!(arrow::compute::concat_batches(&read[0].schema(), &read).unwrap(), numbers(5000));
        let used = metadata.row_group(0).column(0).compression().to_string();
        assert!(used.starts_with(expected), "{used}");
        assert!(metadata.file_metadata().created_by().unwrap().starts_with("lakehead version "));
        assert!(metadata.row_group(0).column(0).statistics().is_some());
    }
}

#[test]
fn a_row_group_ends_when_its_encoded_size_is_reached() {
    let format =
        ParquetFormat { compression: Some(ParquetCompression::Uncompressed), row_group_bytes: Some(1) };
    let (_, metadata, _) = file(&format, &[numbers(1000), numbers(1000), numbers(10)]);
    let rows: Vec<_> = metadata.row_groups().iter().map(|g| g.num_rows()).collect();
    assert_eq!(rows, [1000, 1000, 10]);
    let (_, metadata, _) = file(&ParquetFormat::default(), &[numbers(1000), numbers(1000)]);
    assert_eq!(metadata.num_row_groups(), 1, "the default is 128 MiB");
}

#[test]
fn nothing_of_the_product_s_own_column_marks_is_in_the_file() {
    let marked = Field::new("value", DataType::Utf8, true)
        .with_metadata(HashMap::from([("lakehead.type".to_owned(), "json".to_owned())]));
    let (_, metadata, bytes) =
        file(&ParquetFormat::default(), &[column(marked, Arc::new(StringArray::from(vec!["{}"])))]);
    assert!(memchr::memmem::find(&bytes, b"lakehead.type").is_none());
    assert!(metadata.file_metadata().key_value_metadata().is_none());
}

#[test]
fn timestamps_keep_their_unit_except_seconds_which_become_milliseconds() {
    let seconds = TimestampSecondArray::from(vec![Some(1_754_211_845), None]).with_timezone("UTC");
    let field = Field::new("t", seconds.data_type().clone(), true);
    let (read, ..) = file(&ParquetFormat::default(), &[column(field, Arc::new(seconds.clone()))]);
    let expected = TimestampMillisecondArray::from(vec![Some(1_754_211_845_000), None]).with_timezone("UTC");
    assert_eq!(read[0].column(0).as_ref(), &expected as &dyn Array);

    let nanos = TimestampNanosecondArray::from(vec![Some(1), Some(i64::MAX)]);
    let field = Field::new("t", nanos.data_type().clone(), true);
    let (read, ..) = file(&ParquetFormat::default(), &[column(field, Arc::new(nanos.clone()))]);
    assert_eq!(read[0].column(0).as_ref(), &nanos as &dyn Array);

    // Inside a list too.
    let list = ListArray::new(
        Arc::new(Field::new("item", seconds.data_type().clone(), true)),
        arrow::buffer::OffsetBuffer::new(vec![0, 2].into()),
        Arc::new(seconds),
        None,
    );
    let field = Field::new("l", list.data_type().clone(), true);
    let (read, ..) = file(&ParquetFormat::default(), &[column(field, Arc::new(list))]);
    assert_eq!(read[0].column(0).as_list::<i32>().values().as_ref(), &expected as &dyn Array);
}

#[test]
fn a_column_of_unique_values_has_no_dictionary_and_one_of_few_values_has() {
    let unique = StringArray::from_iter_values((0..20_000).map(|i| format!("{:032x}", i * 7919)));
    let few = StringArray::from_iter_values((0..20_000).map(|i| format!("value {}", i % 50)));
    let rows = RecordBatch::try_from_iter([("unique", Arc::new(unique) as ArrayRef), ("few", Arc::new(few))])
        .unwrap();
    let (_, metadata, _) = file(&ParquetFormat::default(), &[rows]);
    let has_dictionary = |i| metadata.row_group(0).column(i).dictionary_page_offset().is_some();
    assert!(!has_dictionary(0));
    assert!(has_dictionary(1));
}

#[test]
fn a_type_parquet_cannot_hold_is_refused_by_name() {
    let fields = UnionFields::try_new(vec![0], vec![Field::new("i", DataType::Int32, true)]).unwrap();
    let bad = Schema::new(vec![
        Field::new("fine", DataType::Int32, true),
        Field::new("bad", DataType::Union(fields, arrow::datatypes::UnionMode::Dense), true),
    ]);
    assert_eq!(check_columns(&bad).unwrap_err().field, "bad");
}
