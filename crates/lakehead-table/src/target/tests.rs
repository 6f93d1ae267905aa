use super::*;
use crate::played::{Scene, columns, target};
use arrow::datatypes::{DataType, Field};

fn text(error: CommitError) -> String {
    match error {
        CommitError::Stop(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_is_made_once_and_found_again() {
    let scene = Scene::new().await;
    let again = target(&scene.catalog, &scene.table, Some(scene.target.uuid()), &Extensions::default())
        .await
        .unwrap();
    assert_eq!(again.uuid(), scene.target.uuid());
    assert_eq!(again.columns, scene.target.columns);
    assert_eq!(again.loaded.metadata.properties()[MADE_BY], "the-sink");
    let spec = again.loaded.metadata.default_partition_spec();
    assert_eq!((spec.fields().len(), spec.fields()[0].name.as_str()), (1, "__ingest_ts_day"));
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_taken_only_when_that_is_allowed() {
    let scene = Scene::new().await;
    scene.catalog.meddle(&scene.table, |builder| builder.remove_properties(&[MADE_BY.to_owned()]));
    let refused = target(&scene.catalog, &scene.table, None, &Extensions::default()).await.unwrap_err();
    assert_eq!(text(refused), "table ns.t was there before the sink");
    let allowed = Extensions { existing: true, ..Extensions::default() };
    target(&scene.catalog, &scene.table, None, &allowed).await.unwrap();
}

#[tokio::test]
async fn a_table_that_was_written_is_not_made_again_and_no_other_takes_its_place() {
    let scene = Scene::new().await;
    let known = Some(scene.target.uuid());
    scene.catalog.drop_table(&scene.table);
    let gone = target(&scene.catalog, &scene.table, known, &Extensions::default()).await.unwrap_err();
    assert!(text(gone).starts_with("table ns.t is gone"));
    target(&scene.catalog, &scene.table, None, &Extensions::default()).await.unwrap();
    let other = target(&scene.catalog, &scene.table, known, &Extensions::default()).await.unwrap_err();
    assert!(text(other).starts_with("table ns.t is not the one"));
}

#[tokio::test]
async fn columns_that_are_lacking_are_added_nullable_when_that_is_allowed() {
    let scene = Scene::new().await;
    let mut fields = columns().fields().to_vec();
    let inner = vec![Field::new("x", DataType::Int64, false), Field::new("y", DataType::Utf8, true)];
    fields.insert(1, Arc::new(Field::new("point", DataType::Struct(inner.into()), false)));
    let wider = ArrowSchema::new(fields);
    let properties = HashMap::new();
    let open = |add_columns| {
        let extensions = Extensions { add_columns, ..Extensions::default() };
        let (catalog, table, wider, properties) =
            (scene.catalog.clone(), scene.table.clone(), &wider, &properties);
        async move {
            let wanted = Wanted {
                table: &table,
                columns: wider,
                sink: "the-sink",
                known: None,
                properties,
                extensions: &extensions,
            };
            Target::open(&*catalog, &wanted).await
        }
    };
    assert!(text(open(false).await.unwrap_err()).contains("has no column \"point\""));
    let opened = open(true).await.unwrap();
    let schema = opened.loaded.metadata.current_schema();
    assert_eq!(schema.field_id_by_name("point"), Some(4));
    assert_eq!((schema.field_id_by_name("point.x"), schema.field_id_by_name("point.y")), (Some(5), Some(6)));
    assert!(!schema.field_by_name("point").unwrap().required);
    assert_eq!(open(true).await.unwrap().loaded.metadata.current_schema_id(), 1, "nothing is added twice");
}
