use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use lakehead_model::Timestamp;
use lakehead_transform::{Program, Source, compile};

use super::{Part, isolate};

fn program(sql: &str) -> Program {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let source = Source { name: "events".to_owned(), schema };
    compile(sql, &[source], &["files".to_owned()]).expect("SQL").remove(0).program
}

fn rows(values: &[i64]) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("n", column)]).expect("a batch")
}

/// The rows that fail, and how many were taken, kept.
fn outcome(values: &[i64]) -> (Vec<usize>, usize, usize) {
    let program = program("INSERT INTO files SELECT 100 / n AS n FROM events WHERE n < 1000");
    let (mut failed, mut taken_all, mut kept, mut next) = (Vec::new(), 0, 0, 0);
    let done: Result<(), Infallible> = isolate(&program, &rows(values), Timestamp(0), &mut |part| {
        match part {
            Part::Made { first, taken, made } => {
                assert_eq!(first, next, "parts come in order");
                taken_all += taken;
                kept += made.kept;
                next += taken;
            }
            Part::Slow => panic!("nothing here comes to a limit"),
            Part::Failed { row, error } => {
                assert_eq!(row, next, "parts come in order");
                assert!(error.message.contains("zero"), "{error}");
                failed.push(row);
                next += 1;
            }
        }
        Ok(())
    });
    let Ok(()) = done;
    assert_eq!(next, values.len(), "parts cover the batch");
    (failed, taken_all, kept)
}

#[test]
fn each_failing_row_is_found_and_the_others_go_through() {
    assert_eq!(outcome(&[]), (vec![], 0, 0));
    assert_eq!(outcome(&[0]), (vec![0], 0, 0));
    assert_eq!(outcome(&[1, 2, 3]), (vec![], 3, 3));
    assert_eq!(outcome(&[0, 1, 2000, 0, 3, 4, 0]), (vec![0, 3, 6], 4, 3));
    assert_eq!(outcome(&[0; 9]), ((0..9).collect(), 0, 0));
}

#[test]
fn nothing_runs_after_an_error_of_the_caller() {
    let program = program("INSERT INTO files SELECT 100 / n AS n FROM events");
    let mut parts = 0;
    let stopped = isolate(&program, &rows(&[1, 0, 1, 0]), Timestamp(0), &mut |_| {
        parts += 1;
        if parts == 2 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((stopped, parts), (Err("enough"), 2));
}

#[test]
fn a_run_that_comes_to_a_limit_is_said_before_its_halves_are_run() {
    let program = program("INSERT INTO files SELECT repeat('x', n) AS text FROM events");
    let mut told = Vec::new();
    let done: Result<(), Infallible> =
        isolate(&program, &rows(&[1, 2, 200_000_000, 3]), Timestamp(0), &mut |part| {
            told.push(match part {
                Part::Slow => "slow".to_owned(),
                Part::Made { first, taken, .. } => format!("{first}+{taken}"),
                Part::Failed { row, error } => format!("{row}: {:?}", error.failure),
            });
            Ok(())
        });
    let Ok(()) = done;
    assert_eq!(told, ["slow", "0+2", "slow", "2: Limit", "3+1"]);
}
