use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::datatypes::{Field, Int32Type};

use super::*;

fn unique(rows: i64) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("{:036x}", i * 7919))))
}

fn found(columns: Vec<(&str, ArrayRef)>) -> Vec<String> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    nearly_unique(&batch).iter().map(ColumnPath::string).collect()
}

#[test]
fn leaves_inside_structs_and_lists_are_judged_by_their_own_path() {
    let inner = StructArray::from(vec![
        (Arc::new(Field::new("id", DataType::Utf8, true)), unique(8192)),
        (
            Arc::new(Field::new("os", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x"; 8192])) as ArrayRef,
        ),
    ]);
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        arrow::buffer::OffsetBuffer::from_lengths(vec![2; 4096]),
        unique(8192),
        None,
    );
    assert_eq!(found(vec![("s", Arc::new(inner))]), ["s.id"]);
    assert_eq!(found(vec![("l", Arc::new(list))]), ["l.list.item"]);
}

#[test]
fn a_few_thousand_repeating_ids_keep_their_dictionary_although_most_of_a_sample_is_distinct() {
    // 20,000 users of 8 bytes fit the page, though 4,096 draws from them show about 3,700 distinct ones.
    let users = (0..8192u64).map(|i| (mix(i) % 20_000).cast_signed());
    assert!(found(vec![("user", Arc::new(Int64Array::from_iter_values(users)))]).is_empty());
}

#[test]
fn unique_numbers_lose_their_dictionary() {
    let scores = (0..8192u64).map(|i| mix(i) as f64);
    assert_eq!(found(vec![("score", Arc::new(Float64Array::from_iter_values(scores)))]), ["score"]);
}

#[test]
fn a_handful_of_rows_concludes_nothing() {
    assert!(found(vec![("id", unique(255))]).is_empty());
    let empty: PrimitiveEmpty = Int32Array::from(Vec::<i32>::new());
    assert!(found(vec![("n", Arc::new(empty))]).is_empty());
}

type PrimitiveEmpty = arrow::array::PrimitiveArray<Int32Type>;

#[test]
fn the_estimate_of_a_population_is_near_the_truth() {
    for population_size in [500.0, 5_000.0, 50_000.0f64] {
        let n = 4096.0;
        let distinct = population_size * (1.0 - (-n / population_size).exp());
        let estimate = population(n, distinct);
        assert!((estimate / population_size - 1.0).abs() < 0.01, "{population_size}: {estimate}");
    }
    assert!(population(4096.0, 4096.0) > 8e6);
}
