//! Files of an older schema, put together with those of the table's own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use iceberg::TableUpdate;
use iceberg::spec::{ListType, NestedField, PrimitiveType, Schema, StructType, Type};

use super::lake::{Lake, compact};
use crate::TableChange;

fn field(name: &str, id: i32, data_type: DataType, nullable: bool) -> Field {
    let id = HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]);
    Field::new(name, data_type, nullable).with_metadata(id)
}

fn time_field() -> Field {
    field("__ingest_ts", 3, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

fn times(rows: i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from((0..rows).collect::<Vec<_>>()).with_timezone("UTC"))
}

fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

async fn set_schema(lake: &Lake, fields: Vec<NestedField>) {
    let fields: Vec<_> = fields.into_iter().map(Arc::new).collect();
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let change = TableChange {
        table: lake.table.clone(),
        requirements: vec![],
        updates: vec![TableUpdate::AddSchema { schema }, TableUpdate::SetCurrentSchema { schema_id: -1 }],
    };
    lake.catalog.apply(&change).unwrap();
}

fn primitive(id: i32, name: &str, of: PrimitiveType, required: bool) -> NestedField {
    NestedField::new(id, name, Type::Primitive(of), required)
}

fn time_column() -> NestedField {
    primitive(3, "__ingest_ts", PrimitiveType::Timestamptz, true)
}

async fn only_file(lake: &Lake) -> RecordBatch {
    let content = lake.content().await;
    assert_eq!(content.len(), 1);
    let (_, entry, batches) = &content[0];
    let schema = batches[0].schema();
    let rows = arrow::compute::concat_batches(&schema, batches).unwrap();
    assert_eq!(entry.record_count(), rows.num_rows() as u64);
    rows
}

fn column<'a, T: 'static>(rows: &'a RecordBatch, name: &str) -> &'a T {
    rows.column_by_name(name).unwrap().as_any().downcast_ref::<T>().unwrap()
}

fn id_of(rows: &RecordBatch, name: &str) -> String {
    rows.schema().field_with_name(name).unwrap().metadata()["PARQUET:field_id"].clone()
}

#[tokio::test]
async fn columns_are_found_by_id_after_renames_drops_additions_and_promotions() {
    let lake = Lake::new().await;
    let old = |n: i32| {
        batch(vec![
            (field("id", 1, DataType::Int32, false), Arc::new(Int32Array::from(vec![n, -n])) as ArrayRef),
            (field("name", 2, DataType::Utf8, true), Arc::new(StringArray::from(vec![Some("a"), None]))),
            (time_field(), times(2)),
            (field("ratio", 4, DataType::Float32, true), Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            (field("gone", 5, DataType::Utf8, true), Arc::new(StringArray::from(vec!["x", "y"]))),
        ])
    };
    for n in 0..8 {
        lake.append_batch(&old(n), 0, None).await;
    }
    // `gone` is dropped and comes back as another column; `name` is called `title` and stands last.
    set_schema(
        &lake,
        vec![
            primitive(1, "id", PrimitiveType::Long, true),
            time_column(),
            primitive(4, "share", PrimitiveType::Double, false),
            primitive(6, "gone", PrimitiveType::String, false),
            primitive(2, "title", PrimitiveType::String, false),
        ],
    )
    .await;
    assert_eq!(lake.run_well(&compact()).await.compacted.files_before, 8);
    let rows = only_file(&lake).await;
    let names: Vec<_> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["id", "__ingest_ts", "share", "gone", "title"]);
    let mut ids: Vec<_> = column::<Int64Array>(&rows, "id").values().to_vec();
    ids.sort_unstable();
    assert_eq!(ids, [-7, -6, -5, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 5, 6, 7]);
    let share = column::<Float64Array>(&rows, "share");
    assert_eq!((share.value(0), share.is_null(1), share.null_count()), (0.5, true, 8));
    assert_eq!(column::<StringArray>(&rows, "gone").null_count(), 16);
    let title = column::<StringArray>(&rows, "title");
    assert_eq!((title.value(2), title.is_null(3)), ("a", true));
    assert_eq!((id_of(&rows, "gone").as_str(), id_of(&rows, "title").as_str()), ("6", "2"));
}

fn place(fields: Fields, columns: Vec<ArrayRef>, valid: Vec<bool>) -> ArrayRef {
    Arc::new(StructArray::new(fields, columns, Some(valid.into())))
}

#[tokio::test]
async fn fields_of_structs_in_lists_are_found_by_id_as_well() {
    let lake = Lake::new().await;
    let inner: Fields =
        vec![field("lat", 12, DataType::Int32, true), field("old", 13, DataType::Utf8, true)].into();
    let item: FieldRef = Arc::new(field("element", 11, DataType::Struct(inner.clone()), true));
    let made = || {
        let structs = place(
            inner.clone(),
            vec![
                Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
                Arc::new(StringArray::from(vec!["a", "b", "c"])),
            ],
            vec![true, true, false],
        );
        let list = ListArray::new(
            item.clone(),
            OffsetBuffer::from_lengths([2, 0, 1]),
            structs,
            Some(vec![true, false, true].into()),
        );
        batch(vec![
            (field("id", 1, DataType::Int64, false), Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            (time_field(), times(3)),
            (field("places", 10, DataType::List(item.clone()), true), Arc::new(list)),
        ])
    };
    for _ in 0..8 {
        lake.append_batch(&made(), 0, None).await;
    }
    let element = Type::Struct(StructType::new(vec![
        Arc::new(primitive(14, "lon", PrimitiveType::Double, false)),
        Arc::new(primitive(12, "latitude", PrimitiveType::Long, false)),
    ]));
    let element = NestedField::list_element(11, element, false);
    set_schema(
        &lake,
        vec![
            primitive(1, "id", PrimitiveType::Long, true),
            time_column(),
            NestedField::optional(10, "spots", Type::List(ListType { element_field: Arc::new(element) })),
        ],
    )
    .await;
    assert_eq!(lake.run_well(&compact()).await.compacted.rows, 24);
    let rows = only_file(&lake).await;
    let spots = column::<ListArray>(&rows, "spots");
    assert_eq!((spots.len(), spots.null_count(), spots.value_length(0)), (24, 8, 2));
    let first = spots.value(0);
    let first = first.as_any().downcast_ref::<StructArray>().unwrap();
    let names: Vec<_> = first.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["lon", "latitude"]);
    assert_eq!(first.column(0).null_count(), 2);
    let latitude = first.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
    assert_eq!((latitude.value(0), latitude.is_null(1)), (1, true));
    let third = spots.value(2);
    assert_eq!((third.len(), third.null_count()), (1, 1));
}

#[tokio::test]
async fn files_that_cannot_be_read_as_the_table_says_stay_as_they_are() {
    let ids = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let no_ids = batch(vec![
        (Field::new("id", DataType::Int64, false), ids()),
        (time_field().with_metadata(HashMap::new()), times(1)),
    ]);
    let seconds = field("name", 2, DataType::Int64, true);
    let other_type = batch(vec![
        (field("id", 1, DataType::Int64, false), ids()),
        (seconds, Arc::new(Int64Array::from(vec![1]))),
        (time_field(), times(1)),
    ]);
    let lacking = batch(vec![(field("id", 1, DataType::Int64, false), ids())]);
    for (file, text) in [
        (no_ids, "its columns have no field ids"),
        (other_type, "is Int64 and cannot be read as Utf8"),
        (lacking, "lacks column \"__ingest_ts\", which the table requires"),
    ] {
        let lake = Lake::new().await;
        for _ in 0..8 {
            lake.append_batch(&file, 0, None).await;
        }
        for _ in 0..8 {
            lake.append(2, 1).await;
        }
        let report = lake.run(&compact()).await;
        assert!(report.failures[0].1.text.contains(text), "{report:?}");
        // The other day is not held up by it.
        assert_eq!((report.failures.len(), report.compacted.files_before), (1, 8));
        assert_eq!(lake.content().await.len(), 9);
        assert!(std::fs::read_dir(lake.staged.path()).unwrap().next().is_none());
    }
}

#[tokio::test]
async fn large_files_are_read_in_windows_row_for_row() {
    let lake = Lake::new().await;
    let rows = 300_000_i64;
    let text =
        |n: i64| format!("{:016x}{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()), n * n);
    for part in 0..2 {
        let range = part * rows..(part + 1) * rows;
        let file = batch(vec![
            (
                field("id", 1, DataType::Int64, false),
                Arc::new(Int64Array::from_iter_values(range.clone())) as ArrayRef,
            ),
            (
                field("name", 2, DataType::Utf8, true),
                Arc::new(StringArray::from_iter_values(range.map(text))),
            ),
            (time_field(), {
                let range = part * rows..(part + 1) * rows;
                Arc::new(TimestampMicrosecondArray::from_iter_values(range).with_timezone("UTC"))
            }),
        ]);
        lake.append_batch(&file, 0, Some(100_000)).await;
    }
    assert!(lake.content().await.iter().all(|(_, entry, _)| entry.file_size_in_bytes() > 9 << 20));
    lake.pass(3601);
    let report = lake.run_well(&compact()).await.compacted;
    assert_eq!((report.files_before, report.files_after, report.rows), (2, 1, 600_000));
    let content = only_file(&lake).await;
    let ids = column::<Int64Array>(&content, "id");
    assert!(ids.values().iter().copied().eq(0..2 * rows));
    let names = column::<StringArray>(&content, "name");
    assert!((0..2 * rows).all(|n| names.value(usize::try_from(n).unwrap()) == text(n)));
}
