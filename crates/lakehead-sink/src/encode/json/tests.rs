use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;
use lakehead_disk::SystemDisk;
use lakehead_model::resource::{DecimalEncoding, TimestampFormat};

use super::*;

fn json_field(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
        .with_metadata(HashMap::from([("lakehead.type".to_owned(), "json".to_owned())]))
}

fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn file(format: &JsonFormat, batches: &[RecordBatch]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut file = JsonFile::new(Output::create(&SystemDisk, dir.path(), "f").unwrap(), format);
    for batch in batches {
        file.write(batch).unwrap();
    }
    let output = file.finish().unwrap();
    let bytes = std::fs::read(output.path()).unwrap();
    assert_eq!(bytes.len() as u64, output.written_bytes());
    assert_eq!(crc32c::crc32c(&bytes), output.crc32c());
    bytes
}

fn lines(format: &JsonFormat, batch: RecordBatch) -> String {
    String::from_utf8(file(format, &[batch])).unwrap()
}

fn one(data_type: DataType, array: impl Array + 'static) -> String {
    lines(&JsonFormat::default(), batch(vec![(Field::new("a", data_type, true), Arc::new(array))]))
}

#[test]
fn columns_keep_their_order_and_nulls_are_written_out() {
    let text = lines(
        &JsonFormat::default(),
        batch(vec![
            (Field::new("z", DataType::Int64, true), Arc::new(Int64Array::from(vec![Some(1), None]))),
            (Field::new("a\"b", DataType::Utf8, true), Arc::new(StringArray::from(vec![None, Some("x\ny")]))),
            (Field::new("t", DataType::Boolean, true), Arc::new(BooleanArray::from(vec![true, false]))),
        ]),
    );
    assert_eq!(text, "{\"z\":1,\"a\\\"b\":null,\"t\":true}\n{\"z\":null,\"a\\\"b\":\"x\\ny\",\"t\":false}\n");
}

#[test]
fn json_columns_are_embedded_raw() {
    let values = StringArray::from(vec![Some("{\"k\":[1,2.50]}"), Some("\"s\""), None, Some("{\n}")]);
    let text = lines(&JsonFormat::default(), batch(vec![(json_field("value"), Arc::new(values))]));
    assert_eq!(text, "{\"value\":{\"k\":[1,2.50]}}\n{\"value\":\"s\"}\n{\"value\":null}\n{\"value\":{ }}\n");
}

#[test]
fn unstructured_files_have_the_raw_value_as_their_line() {
    let format = JsonFormat { unstructured: true, ..JsonFormat::default() };
    let values: ArrayRef = Arc::new(StringArray::from(vec!["{\"k\":1}", "{\"k\":\n2}"]));
    assert_eq!(lines(&format, batch(vec![(json_field("value"), values.clone())])), "{\"k\":1}\n{\"k\": 2}\n");
    // Other columns, or text that is no JSON, make objects all the same.
    assert!(lines(&format, batch(vec![(json_field("other"), values.clone())])).starts_with("{\"other\":{"));
    let plain = Field::new("value", DataType::Utf8, true);
    assert!(lines(&format, batch(vec![(plain, values)])).starts_with("{\"value\":\"{"));
}

#[test]
fn nested_columns_become_objects_and_arrays_with_nulls_at_every_level() {
    let inner = StructArray::new(
        vec![Field::new("x", DataType::Int32, true), Field::new("y", DataType::Utf8, true)].into(),
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)])),
            Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), None, Some("d")])) as ArrayRef,
        ]
        .into_iter()
        .enumerate()
        .map(|(i, a)| if i == 1 { arrow::compute::cast(&a, &DataType::Utf8).unwrap() } else { a })
        .collect(),
        Some(NullBuffer::from(vec![true, true, true, false])),
    );
    let item = Arc::new(Field::new("item", inner.data_type().clone(), true));
    let list = ListArray::new(
        item,
        OffsetBuffer::new(vec![0, 2, 2, 2, 4].into()),
        Arc::new(inner),
        Some(NullBuffer::from(vec![true, false, true, true])),
    );
    assert_eq!(
        one(list.data_type().clone(), list.slice(1, 3)),
        "{\"a\":null}\n{\"a\":[]}\n{\"a\":[{\"x\":3,\"y\":null},null]}\n"
    );
    assert_eq!(
        one(list.data_type().clone(), list.slice(0, 1)),
        "{\"a\":[{\"x\":1,\"y\":\"a\"},{\"x\":null,\"y\":\"b\"}]}\n"
    );
}

#[test]
fn every_width_of_number_text_and_bytes_is_written() {
    assert_eq!(one(DataType::UInt64, UInt64Array::from(vec![u64::MAX])), "{\"a\":18446744073709551615}\n");
    assert_eq!(one(DataType::Int64, Int64Array::from(vec![i64::MIN])), "{\"a\":-9223372036854775808}\n");
    assert_eq!(one(DataType::Int8, Int8Array::from(vec![Some(-1), None])), "{\"a\":-1}\n{\"a\":null}\n");
    assert_eq!(one(DataType::UInt16, UInt16Array::from(vec![65535])), "{\"a\":65535}\n");
    assert_eq!(
        one(DataType::Float32, Float32Array::from(vec![1.5, f32::NAN])),
        "{\"a\":1.5}\n{\"a\":null}\n"
    );
    assert_eq!(one(DataType::LargeUtf8, LargeStringArray::from(vec!["x"])), "{\"a\":\"x\"}\n");
    assert_eq!(
        one(DataType::Utf8View, StringViewArray::from(vec!["longer than twelve bytes"])),
        "{\"a\":\"longer than twelve bytes\"}\n"
    );
    assert_eq!(one(DataType::Binary, BinaryArray::from(vec![b"\xff\x00".as_slice()])), "{\"a\":\"/wA=\"}\n");
    assert_eq!(one(DataType::Date32, Date32Array::from(vec![19_000])), "{\"a\":\"2022-01-08\"}\n");
    assert_eq!(
        one(DataType::Time32(TimeUnit::Second), Time32SecondArray::from(vec![3661])),
        "{\"a\":\"01:01:01\"}\n"
    );
    assert_eq!(one(DataType::Null, NullArray::new(1)), "{\"a\":null}\n");
    let dictionary: DictionaryArray<Int32Type> = vec!["u", "v", "u"].into_iter().collect();
    assert_eq!(
        one(dictionary.data_type().clone(), dictionary),
        "{\"a\":\"u\"}\n{\"a\":\"v\"}\n{\"a\":\"u\"}\n"
    );
}

#[test]
fn the_format_says_how_decimals_and_timestamps_are_written() {
    let decimals = Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).unwrap();
    let times = TimestampMillisecondArray::from(vec![1_500]).with_timezone("UTC");
    let rows = batch(vec![
        (Field::new("d", decimals.data_type().clone(), true), Arc::new(decimals)),
        (Field::new("t", times.data_type().clone(), true), Arc::new(times)),
    ]);
    assert_eq!(
        lines(&JsonFormat::default(), rows.clone()),
        "{\"d\":1.50,\"t\":\"1970-01-01T00:00:01.500Z\"}\n"
    );
    let other = JsonFormat {
        decimal_encoding: Some(DecimalEncoding::String),
        timestamp_format: Some(TimestampFormat::UnixMillis),
        ..JsonFormat::default()
    };
    assert_eq!(lines(&other, rows), "{\"d\":\"1.50\",\"t\":1500}\n");
}

#[test]
fn a_gzip_file_is_one_stream_that_holds_all_lines() {
    let format = JsonFormat { compression: Some(JsonCompression::Gzip), ..JsonFormat::default() };
    let rows = |from: i64| {
        let numbers = Int64Array::from_iter_values(from..from + 50_000);
        batch(vec![(Field::new("n", DataType::Int64, false), Arc::new(numbers))])
    };
    let bytes = file(&format, &[rows(0), rows(50_000)]);
    let mut text = String::new();
    // A decoder for one member only: trailing members would be left over.
    let mut decoder = flate2::bufread::GzDecoder::new(bytes.as_slice());
    decoder.read_to_string(&mut text).unwrap();
    assert!(decoder.into_inner().is_empty(), "one gzip member");
    assert_eq!(text.lines().count(), 100_000);
    assert_eq!(text.lines().last().unwrap(), "{\"n\":99999}");
}

#[test]
fn a_deflate_file_is_one_zlib_stream() {
    let format = JsonFormat { compression: Some(JsonCompression::Deflate), ..JsonFormat::default() };
    let numbers = Int64Array::from_iter_values(0..100_000);
    let rows = batch(vec![(Field::new("n", DataType::Int64, false), Arc::new(numbers))]);
    let bytes = file(&format, &[rows]);
    let mut text = String::new();
    let mut decoder = flate2::bufread::ZlibDecoder::new(bytes.as_slice());
    decoder.read_to_string(&mut text).unwrap();
    assert!(decoder.into_inner().is_empty(), "nothing behind it");
    assert_eq!(text.lines().count(), 100_000);
}

#[test]
fn a_type_without_a_json_form_is_refused_by_name() {
    let fields = UnionFields::try_new(vec![0], vec![Field::new("i", DataType::Int32, true)]).unwrap();
    let schema = Schema::new(vec![Field::new("u", DataType::Union(fields, UnionMode::Dense), true)]);
    assert_eq!(check_columns(&schema).unwrap_err().field, "u");
    assert!(check_columns(&Schema::new(vec![json_field("ok")])).is_ok());
}

#[test]
fn rows_in_memory_are_the_lines_of_a_file_with_default_settings() {
    let rows = batch(vec![
        (
            Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
            Arc::new(TimestampMillisecondArray::from(vec![Some(0), None])),
        ),
        (
            Field::new("d", DataType::Decimal128(20, 2), true),
            Arc::new(Decimal128Array::from(vec![12345, -1]).with_precision_and_scale(20, 2).unwrap()),
        ),
    ]);
    let text = String::from_utf8(json_lines(&rows).unwrap()).unwrap();
    assert!(text.starts_with("{\"at\":\"1970-01-01T00:00:00.000Z\",\"d\":123.45}\n"), "{text}");
    assert_eq!(text, lines(&JsonFormat::default(), rows));
}
