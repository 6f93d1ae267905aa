//! A stream with a column of every type, and what SQL makes of its rows, as text.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lakehead_model::Timestamp;

use crate::{EvaluationError, Output, Refusal, Source, Statement, compile};

pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
pub(super) const INGESTED: i64 = 1_600_000_000_000_000;

fn items() -> ListArray {
    let fields =
        Fields::from(vec![Field::new("sku", DataType::Utf8, true), Field::new("qty", DataType::Int64, true)]);
    let sku: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("c"), None]));
    let qty: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(0), Some(5), Some(1)]));
    let values = StructArray::new(fields.clone(), vec![sku, qty], None);
    let field = Arc::new(Field::new("item", DataType::Struct(fields), true));
    // Two items, none, NULL, two items.
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    ListArray::new(field, OffsetBuffer::new(vec![0, 2, 2, 2, 4].into()), Arc::new(values), Some(nulls))
}

fn tags() -> ListArray {
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let values = StringArray::from(vec![Some("x"), None, Some("z")]);
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    ListArray::new(field, OffsetBuffer::new(vec![0, 2, 2, 2, 3].into()), Arc::new(values), Some(nulls))
}

/// Four rows of a column of each type. `id` is never NULL; of the others, row 3 is.
fn columns() -> Vec<(Field, ArrayRef)> {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Ulm"), Some("Bonn"), None, Some("Köln")]));
    let zip: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None, Some(4)]));
    let inner = Fields::from(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("zipCode", DataType::Int32, true),
    ]);
    let address = StructArray::new(
        inner.clone(),
        vec![city, zip],
        Some(NullBuffer::from(vec![true, true, false, true])),
    );
    let decimals = Decimal128Array::from(vec![Some(150), Some(-25), None, Some(0)])
        .with_precision_and_scale(10, 2)
        .unwrap();
    let all: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(i32::MAX), Some(-7), None, Some(0)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-7), None, Some(0)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(u32::MAX), Some(7), None, Some(0)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(7), None, Some(0)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(1.5), Some(-2.25), None, Some(0.0)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(1.5), Some(-2.25), None, Some(0.0)]))),
        ("dec", Arc::new(decimals)),
        ("s", Arc::new(StringArray::from(vec![Some("paid"), Some("42"), None, Some("")]))),
        ("userId", Arc::new(StringArray::from(vec![Some("u1"), Some("u2"), None, Some("u4")]))),
        ("bin", Arc::new(BinaryArray::from(vec![Some(b"\xa1\x23".as_slice()), Some(b"z"), None, Some(b"")]))),
        ("d", Arc::new(Date32Array::from(vec![Some(0), Some(19_000), None, Some(1)]))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(0),
                Some(1_700_000_000_123_456),
                None,
                Some(-1),
            ])),
        ),
        ("address", Arc::new(address)),
        ("items", Arc::new(items())),
        ("tags", Arc::new(tags())),
    ];
    let mut fields: Vec<(Field, ArrayRef)> =
        all.into_iter().map(|(n, a)| (Field::new(n, a.data_type().clone(), n != "id"), a)).collect();
    let json: ArrayRef =
        Arc::new(StringArray::from(vec![Some(r#"{"k":1}"#), Some("[1,2]"), None, Some("null")]));
    let marked = Field::new("j", DataType::Utf8, true).with_metadata(crate::data_type::json_metadata());
    fields.push((marked, json));
    fields
}

pub(super) fn source() -> Source {
    let fields: Vec<Field> = columns().into_iter().map(|(f, _)| f).collect();
    Source { name: "events".into(), schema: Arc::new(Schema::new(fields)) }
}

/// What the statement asks for, of the four rows.
pub(super) fn batch_for(statement: &Statement) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns().into_iter().unzip();
    let all = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let read = all.project(&statement.projection).unwrap();
    if !statement.reads_ingest_time {
        return read;
    }
    let mut fields: Vec<Field> = read.schema().fields().iter().map(|f| Field::clone(f)).collect();
    let mut arrays = read.columns().to_vec();
    fields.push(crate::select::ingest_time());
    arrays.push(Arc::new(TimestampMicrosecondArray::from(vec![
        INGESTED,
        INGESTED + 1,
        INGESTED + 2,
        INGESTED + 3,
    ])));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub(super) fn compiled(sql: &str) -> Result<Statement, Refusal> {
    let mut all = compile(sql, &[source()], &["out".to_owned()])?;
    assert_eq!(all.len(), 1);
    Ok(all.remove(0))
}

pub(super) fn run(sql: &str) -> Result<Output, EvaluationError> {
    let statement = compiled(sql).unwrap_or_else(|e| panic!("{sql}\n  refused: {e} {:?}", e.place));
    let output = statement.program.run(&batch_for(&statement), NOW)?;
    assert_eq!(&output.rows.schema(), statement.program.output_schema());
    Ok(output)
}

/// `INSERT INTO out` in front of a query.
pub(super) fn into_out(query: &str) -> String {
    format!("INSERT INTO out {query}")
}

/// Each row's values, as Arrow prints them, NULL as `NULL`.
pub(super) fn rows(query: &str) -> Vec<String> {
    let sql = into_out(query);
    let output = run(&sql).unwrap_or_else(|e| panic!("{sql}\n  failed: {e}"));
    printed(&output.rows)
}

pub(super) fn printed(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        rows.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
    (0..rows.num_rows())
        .map(|r| columns.iter().map(|c| c.value(r).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

pub(super) fn refusal(sql: &str) -> Refusal {
    match compile(sql, &[source()], &["out".to_owned()]) {
        Ok(_) => panic!("accepted: {sql}"),
        Err(refusal) => refusal,
    }
}

/// Checks a table of expressions and their values, and lists all that are wrong.
pub(super) fn check_values(table: &[(&str, [&str; 4])]) {
    let mut wrong = Vec::new();
    for (expression, expected) in table {
        let sql = into_out(&format!("SELECT {expression} AS x FROM events"));
        let said = match compiled(&sql).map(|s| s.program.run(&batch_for(&s), NOW)) {
            Err(refusal) => format!("refused: {refusal} at {:?}", refusal.place),
            Ok(Err(error)) => format!("failed: {error}"),
            Ok(Ok(output)) => format!("{:?}", printed(&output.rows)),
        };
        if said != format!("{expected:?}") {
            wrong.push(format!("{expression}\n      is: {said}\n  wanted: {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
