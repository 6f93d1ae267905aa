//! Functions as SQL calls them: compiled and run over batches.

mod documented;
mod guards;
mod hostile;
mod limits;
mod lists;
mod meaning;
mod offered;
mod wrong;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lakehead_model::Timestamp;

use crate::{EvaluationError, Refusal, Source, Statement, compile};

/// 2023-11-14T22:13:20Z.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// A stream with a column of every kind; `nothing_…` are NULL in every row.
pub(super) fn stream() -> (Source, RecordBatch) {
    let json = HashMap::from([("lakehead.type".to_owned(), "json".to_owned())]);
    let list = |values: &[Option<Vec<Option<i64>>>]| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(values.to_vec()))
    };
    let text = |values: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let doc = r#"{"a":{"b":[10,"x",2.5,true,null,{"c":1}]},"s":"text","n":42,"f":5.5,"t":true,"z":null,"big":9007199254740993,"k.e'y":"q","u":"\u00e4\n"}"#;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![Some(7), Some(-3), None]))),
        ("d", Arc::new(Float64Array::from(vec![Some(2.5), Some(-1.5), None]))),
        ("s", text([Some("Grüße, Welt"), Some(""), None])),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("y", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\xff"), Some(b""), None]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![Some(NOW.0), Some(-1_000_000), None]))),
        ("l", list(&[Some(vec![Some(3), None, Some(1)]), Some(vec![]), None])),
        ("j", text([Some(doc), Some("[1,[2,3]]"), None])),
        ("x", text([Some(doc), Some("not json"), None])),
        ("nothing_i", Arc::new(Int64Array::from(vec![None; 3]))),
        ("nothing_d", Arc::new(Float64Array::from(vec![None; 3]))),
        ("nothing_s", text([None; 3])),
        ("nothing_t", Arc::new(TimestampMicrosecondArray::from(vec![None; 3]))),
        ("nothing_l", list(&[None, None, None])),
    ];
    let fields = columns.iter().map(|(name, array)| {
        let field = Field::new(*name, array.data_type().clone(), true);
        if *name == "j" { field.with_metadata(json.clone()) } else { field }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, a)| a).collect()).unwrap();
    (Source { name: "t".into(), schema }, batch)
}

pub(super) fn compiled(query: &str) -> Result<Statement, Refusal> {
    let (source, _) = stream();
    Ok(compile(&format!("INSERT INTO out {query}"), &[source], &["out".to_owned()])?.remove(0))
}

pub(super) fn run(statement: &Statement, batch: &RecordBatch) -> Result<RecordBatch, EvaluationError> {
    Ok(statement.program.run(&batch.project(&statement.projection).unwrap(), NOW)?.rows)
}

/// The rows of a query's first column as text.
pub(super) fn rows(query: &str) -> Result<Vec<String>, String> {
    let statement = compiled(query).map_err(|e| format!("refused: {e}"))?;
    let rows = run(&statement, &stream().1).map_err(|e| format!("{:?}: {e}", e.failure))?;
    Ok(shown(rows.column(0)))
}

pub(super) fn shown(column: &ArrayRef) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options).unwrap();
    (0..column.len()).map(|row| formatter.value(row).to_string()).collect()
}

/// The value of an expression in the first row.
pub(super) fn value(expression: &str) -> String {
    match rows(&format!("SELECT {expression} AS x FROM t")) {
        Ok(rows) => rows[0].clone(),
        Err(e) => e,
    }
}

/// Compares many, and says all that differ.
pub(super) fn check(expected: &[(&str, &str)]) {
    let wrong: Vec<String> = expected
        .iter()
        .map(|(expression, wanted)| (expression, value(expression), wanted))
        .filter(|(_, got, wanted)| {
            let prefix = wanted.strip_suffix('…');
            !prefix.map_or(got == **wanted, |prefix| got.starts_with(prefix))
        })
        .map(|(expression, got, wanted)| format!("{expression}\n   is  {got}\n  not  {wanted}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}

#[test]
fn the_types_of_the_stream_are_those_that_the_tests_mean() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(stream().0.schema.field_with_name("t").unwrap().data_type(), &micros);
}
