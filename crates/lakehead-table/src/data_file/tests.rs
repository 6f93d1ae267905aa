use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::columns::{fit, schema_of, table_columns};

struct Made {
    file: DataFile,
    schema: Schema,
    footer: ParquetMetaData,
}

impl Made {
    fn id(&self, column: &str) -> i32 {
        self.schema.field_id_by_name(column).unwrap()
    }

    fn bounds(&self, column: &str) -> Option<(Datum, Datum)> {
        let id = self.id(column);
        Some((self.file.lower_bounds().get(&id)?.clone(), self.file.upper_bounds().get(&id)?.clone()))
    }
}

/// One column and the time, in row groups of `rows` rows.
fn made(values: ArrayRef, rows: usize) -> Made {
    let query = ArrowSchema::new(vec![Field::new("c", values.data_type().clone(), true)]);
    let columns = table_columns(&query).unwrap();
    let schema = schema_of(&columns).unwrap();
    let fitted = fit(&schema, &columns).unwrap();
    let times =
        arrow::array::TimestampMicrosecondArray::from_iter_values((0..values.len()).map(|i| i as i64));
    let values = arrow::compute::cast(&values, fitted.field(0).data_type()).unwrap();
    let batch =
        RecordBatch::try_new(fitted.clone(), vec![values, Arc::new(times.with_timezone("+00:00"))]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, fitted, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let size = content.len() as u64;
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(content)).unwrap();
    let file = data_file("s3://b/f".into(), size, &footer, &schema, (0, Struct::empty())).unwrap();
    Made { file, schema, footer }
}

#[test]
fn counts_sizes_and_offsets_are_those_of_the_footer() {
    let made = made(Arc::new(Int32Array::from(vec![Some(3), None, Some(-7), Some(5), None])), 2);
    let (id, file) = (made.id("c"), &made.file);
    assert_eq!((file.record_count(), made.footer.num_row_groups()), (5, 3));
    assert_eq!((file.value_counts()[&id], file.null_value_counts()[&id]), (5, 2));
    let sizes: i64 = made.footer.row_groups().iter().map(|g| g.column(0).compressed_size()).sum();
    assert_eq!(file.column_sizes()[&id], sizes as u64);
    let offsets = file.split_offsets().unwrap();
    assert_eq!(offsets[0], 4, "behind the magic number");
    assert!(offsets.len() == 3 && offsets.is_sorted());
    assert_eq!(made.bounds("c"), Some((Datum::int(-7), Datum::int(5))));
    let time = made.bounds("__ingest_ts");
    assert_eq!(time, Some((Datum::timestamptz_micros(0), Datum::timestamptz_micros(4))));
}

#[test]
fn long_texts_are_cut_and_the_upper_bound_stays_above_them() {
    let low = "aaaaaaaaaaaaaaaaZZZ";
    let high = "ünïcödé-ünïcödé-ünïcödé";
    let made = made(Arc::new(StringArray::from(vec![low, high, "b"])), 10);
    let (lower, upper) = made.bounds("c").unwrap();
    assert_eq!(lower, Datum::string("aaaaaaaaaaaaaaaa"));
    assert_eq!(upper, Datum::string("ünïcödé-ünïcödé."));
}

#[test]
fn a_text_above_steps_over_what_has_no_next() {
    assert_eq!(text_above("ab"), Some("ac".into()));
    assert_eq!(text_above("a\u{10FFFF}"), Some("b".into()));
    assert_eq!(text_above("\u{D7FF}"), Some("\u{E000}".into()));
    assert_eq!(text_above("\u{10FFFF}\u{10FFFF}"), None);
    assert_eq!(bytes_above(&[1, 255]), Some(vec![2]));
    assert_eq!(bytes_above(&[255]), None);
}

#[test]
fn every_kind_of_value_has_its_bounds() {
    let decimal = Decimal128Array::from(vec![-12_345, 99]).with_precision_and_scale(7, 2).unwrap();
    let wide = arrow::array::UInt64Array::from(vec![0, u64::MAX]);
    let cases: [(ArrayRef, Option<(&str, &str)>); 6] = [
        (Arc::new(BooleanArray::from(vec![true, false])), Some(("false", "true"))),
        (Arc::new(decimal), Some(("-123.45", "0.99"))),
        (Arc::new(wide), Some(("0", "18446744073709551615"))),
        (Arc::new(Float64Array::from(vec![1.5, f64::NAN, -2.0])), Some(("-2", "1.5"))),
        (Arc::new(Float64Array::from(vec![f64::NAN])), None),
        (Arc::new(Int32Array::from(vec![None, None])), None),
    ];
    for (values, bounds) in cases {
        let made = made(values.clone(), 10);
        let found = made.bounds("c").map(|(low, high)| (low.to_human_string(), high.to_human_string()));
        assert_eq!(found, bounds.map(|(a, b)| (a.to_owned(), b.to_owned())), "{values:?}");
    }
    let bytes = made(Arc::new(BinaryArray::from_vec(vec![&[255; 20], &[1]])), 10);
    assert_eq!(bytes.file.lower_bounds().get(&bytes.id("c")), Some(&Datum::binary([1])));
    assert_eq!(bytes.file.upper_bounds().get(&bytes.id("c")), None, "nothing is above it");
}

#[test]
fn what_is_inside_a_list_has_no_bounds() {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("x"), None]);
    list.append_null();
    let made = made(Arc::new(list.finish()), 10);
    let element = made.id("c.element");
    assert!(
        !made.file.lower_bounds().contains_key(&element)
            && !made.file.null_value_counts().contains_key(&element)
    );
    assert!(made.file.column_sizes().contains_key(&element));
}

#[test]
fn a_column_of_nulls_in_one_row_group_keeps_the_bounds_of_the_others() {
    let made = made(Arc::new(Int32Array::from(vec![None, None, Some(4), Some(6)])), 2);
    assert_eq!(made.bounds("c"), Some((Datum::int(4), Datum::int(6))));
    assert_eq!(made.file.null_value_counts()[&made.id("c")], 2);
}

#[test]
fn the_data_types_here_are_what_the_tests_mean() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let columns = table_columns(&ArrowSchema::new(vec![Field::new("c", list, true)])).unwrap();
    assert!(schema_of(&columns).unwrap().field_id_by_name("c.element").is_some());
}
