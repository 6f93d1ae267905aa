//! What every [`Catalog`] must do, as functions that panic where one does not. For the tests of implementations.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use iceberg::spec::{
    MAIN_BRANCH, NestedField, Operation, PrimitiveType, Schema, Snapshot, SnapshotReference,
    SnapshotRetention, Summary, TableMetadata, Transform, Type, UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, TableIdent, TableRequirement, TableUpdate};
use lakehead_model::{Clock, Random, SystemClock, SystemRandom};
use uuid::Uuid;

use crate::{Catalog, CatalogErrorKind, LoadedTable, NewTable, TableChange};

/// A catalog under test, and a namespace of it that nobody has made.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The implementation.
    pub catalog: Arc<dyn Catalog>,
    /// One level; small letters, digits and underscores.
    pub namespace: String,
    /// Whether namespaces may lie in each other.
    pub is_nested: bool,
    /// Whether it answers with the old table when one is made again, as some do, instead of a refusal.
    pub gives_existing: bool,
}

type Check = fn(Subject) -> BoxFuture<'static, ()>;

/// Every check, by name. Each wants a namespace of its own.
pub const CHECKS: &[(&str, Check)] = &[
    ("a namespace is made once and listed", |s| Box::pin(a_namespace_is_made_once_and_listed(s))),
    ("nested namespaces are listed below their parent", |s| {
        Box::pin(nested_namespaces_are_listed_below_their_parent(s))
    }),
    ("a table is made, listed and loaded", |s| Box::pin(a_table_is_made_listed_and_loaded(s))),
    ("what is not there is told apart from what is", |s| {
        Box::pin(what_is_not_there_is_told_apart_from_what_is(s))
    }),
    ("a change whose requirements hold is applied whole", |s| {
        Box::pin(a_change_whose_requirements_hold_is_applied_whole(s))
    }),
    ("a change whose requirements do not hold changes nothing", |s| {
        Box::pin(a_change_whose_requirements_do_not_hold_changes_nothing(s))
    }),
    ("the same change comes again as a conflict", |s| Box::pin(the_same_change_comes_again_as_a_conflict(s))),
    ("writers that race are applied one after the other", |s| {
        Box::pin(writers_that_race_are_applied_one_after_the_other(s))
    }),
];

impl Subject {
    fn namespace(&self) -> NamespaceIdent {
        NamespaceIdent::new(self.namespace.clone())
    }

    fn name(&self, table: &str) -> TableIdent {
        TableIdent::new(self.namespace(), table.to_owned())
    }

    async fn table(&self, name: &str) -> (TableIdent, LoadedTable) {
        self.catalog.ensure_namespace(&self.namespace()).await.expect("a namespace");
        let table = self.name(name);
        let made = self.catalog.create_table(&table, new_table()).await.expect("a table");
        (table, made)
    }

    async fn load(&self, table: &TableIdent) -> LoadedTable {
        self.catalog.load_table(table).await.expect("an answer").expect("a table")
    }
}

fn new_table() -> NewTable {
    let time = NestedField::required(1, "__ingest_ts", Type::Primitive(PrimitiveType::Timestamptz));
    let number = NestedField::optional(2, "number", Type::Primitive(PrimitiveType::Long));
    let spec = UnboundPartitionSpec::builder().add_partition_field(1, "__ingest_ts_day", Transform::Day);
    NewTable {
        schema: Schema::builder().with_fields([time.into(), number.into()]).build().expect("a schema"),
        partition_spec: Some(spec.expect("a partition field").build()),
        sort_order: None,
        properties: HashMap::from([("owner".to_owned(), "lakehead".to_owned())]),
    }
}

/// A snapshot on top of the newest one, which says that it is `number`.
fn append(metadata: &TableMetadata, number: u64) -> Vec<TableUpdate> {
    let id = i64::try_from(SystemRandom.u64() >> 1).expect("63 bits");
    let now = SystemClock::default().now().as_millis().max(metadata.last_updated_ms());
    let summary = HashMap::from([("number".to_owned(), number.to_string())]);
    let snapshot = Snapshot::builder()
        .with_snapshot_id(id)
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(metadata.last_sequence_number() + 1)
        .with_timestamp_ms(now)
        .with_manifest_list(format!("{}/metadata/snap-{id}.avro", metadata.location()))
        .with_summary(Summary { operation: Operation::Append, additional_properties: summary })
        .with_schema_id(metadata.current_schema_id())
        .build();
    let reference = SnapshotReference::new(id, SnapshotRetention::branch(None, None, None));
    vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef { ref_name: MAIN_BRANCH.to_owned(), reference },
        set("number", &number.to_string()),
    ]
}

fn set(name: &str, value: &str) -> TableUpdate {
    TableUpdate::SetProperties { updates: HashMap::from([(name.to_owned(), value.to_owned())]) }
}

/// That the table is the one that was loaded, and that nobody has committed since.
fn unchanged(metadata: &TableMetadata) -> Vec<TableRequirement> {
    let snapshot_id = metadata.current_snapshot_id();
    vec![
        TableRequirement::UuidMatch { uuid: metadata.uuid() },
        TableRequirement::RefSnapshotIdMatch { r#ref: MAIN_BRANCH.to_owned(), snapshot_id },
    ]
}

async fn a_namespace_is_made_once_and_listed(subject: Subject) {
    let (catalog, namespace) = (&subject.catalog, subject.namespace());
    assert!(!catalog.namespaces(None).await.expect("a list").contains(&namespace));
    for _ in 0..2 {
        catalog.ensure_namespace(&namespace).await.expect("a namespace");
        let listed = catalog.namespaces(None).await.expect("a list");
        assert_eq!(listed.iter().filter(|n| **n == namespace).count(), 1, "{listed:?}");
    }
    assert_eq!(catalog.tables(&namespace).await.expect("a list"), []);
}

async fn nested_namespaces_are_listed_below_their_parent(subject: Subject) {
    let (catalog, outer) = (&subject.catalog, subject.namespace());
    let inner = NamespaceIdent::from_strs([subject.namespace.as_str(), "inner"]).expect("two parts");
    let made = catalog.ensure_namespace(&inner).await;
    if !subject.is_nested {
        let refused = made.expect_err("a catalog that nests namespaces after all");
        assert_eq!(refused.kind, CatalogErrorKind::Refused, "{refused}");
        return;
    }
    made.expect("a namespace");
    assert_eq!(catalog.namespaces(Some(&outer)).await.expect("a list"), [inner.clone()]);
    assert_eq!(catalog.namespaces(Some(&inner)).await.expect("a list"), []);
    assert!(!catalog.namespaces(None).await.expect("a list").contains(&inner));
    let table = TableIdent::new(inner.clone(), "t".to_owned());
    catalog.create_table(&table, new_table()).await.expect("a table");
    assert_eq!(catalog.tables(&inner).await.expect("a list"), [table.clone()]);
    assert_eq!(catalog.tables(&outer).await.expect("a list"), []);
    subject.load(&table).await;
}

async fn a_table_is_made_listed_and_loaded(subject: Subject) {
    let (table, made) = subject.table("t1").await;
    let (other, _) = subject.table("t2").await;
    let mut listed = subject.catalog.tables(&subject.namespace()).await.expect("a list");
    listed.sort();
    assert_eq!(listed, [table.clone(), other]);
    let loaded = subject.load(&table).await;
    assert_eq!(loaded.metadata.uuid(), made.metadata.uuid());
    let metadata = &loaded.metadata;
    let schema = metadata.current_schema();
    let names: Vec<_> = schema.as_struct().fields().iter().map(|f| (f.name.as_str(), f.required)).collect();
    assert_eq!(names, [("__ingest_ts", true), ("number", false)]);
    let [field] = metadata.default_partition_spec().fields() else { panic!("one partition field") };
    assert_eq!((field.name.as_str(), field.transform), ("__ingest_ts_day", Transform::Day));
    assert_eq!(Some(field.source_id), schema.field_by_name("__ingest_ts").map(|f| f.id));
    assert_eq!(metadata.properties().get("owner").map(String::as_str), Some("lakehead"));
    assert_eq!(metadata.current_snapshot_id(), None);
    assert!(
        !metadata.location().is_empty() && !metadata.location().ends_with('/'),
        "{}",
        metadata.location()
    );
}

async fn what_is_not_there_is_told_apart_from_what_is(subject: Subject) {
    let (table, made) = subject.table("taken").await;
    let catalog = &subject.catalog;
    match catalog.create_table(&table, new_table()).await {
        Ok(old) => assert!(
            subject.gives_existing && old.metadata.uuid() == made.metadata.uuid(),
            "two tables of one name"
        ),
        Err(taken) => assert_eq!(taken.kind, CatalogErrorKind::AlreadyExists, "{taken}"),
    }
    assert_eq!(subject.load(&table).await.metadata.uuid(), made.metadata.uuid());
    let nowhere = TableIdent::new(NamespaceIdent::new("not_there".to_owned()), "t".to_owned());
    let missing = catalog.create_table(&nowhere, new_table()).await.expect_err("a table in no namespace");
    assert_eq!(missing.kind, CatalogErrorKind::NotFound, "{missing}");
    for table in [subject.name("missing"), nowhere] {
        assert!(catalog.load_table(&table).await.expect("an answer").is_none());
        let change = TableChange { table, requirements: Vec::new(), updates: vec![set("a", "b")] };
        let missing = catalog.commit(change).await.expect_err("a commit to no table");
        assert_eq!(missing.kind, CatalogErrorKind::NotFound, "{missing}");
    }
}

async fn a_change_whose_requirements_hold_is_applied_whole(subject: Subject) {
    let (table, made) = subject.table("t").await;
    let mut before = made;
    for number in 1..=3 {
        let change = TableChange {
            table: table.clone(),
            requirements: unchanged(&before.metadata),
            updates: append(&before.metadata, number),
        };
        let answered = subject.catalog.commit(change).await.expect("a commit");
        let loaded = subject.load(&table).await;
        assert_eq!(answered.metadata.current_snapshot_id(), loaded.metadata.current_snapshot_id());
        let snapshot = loaded.metadata.current_snapshot().expect("a snapshot");
        let said = snapshot.summary().additional_properties.get("number").cloned();
        assert_eq!(said, Some(number.to_string()));
        assert_eq!(snapshot.parent_snapshot_id(), before.metadata.current_snapshot_id());
        assert_eq!(loaded.metadata.properties().get("number"), Some(&number.to_string()));
        assert_eq!(loaded.metadata.properties().get("owner").map(String::as_str), Some("lakehead"));
        if let (Some(old), Some(new)) = (&before.metadata_location, &loaded.metadata_location) {
            assert_ne!(old, new, "metadata files are never written twice");
        }
        before = loaded;
    }
}

async fn a_change_whose_requirements_do_not_hold_changes_nothing(subject: Subject) {
    let (table, made) = subject.table("t").await;
    let first = TableChange {
        table: table.clone(),
        requirements: unchanged(&made.metadata),
        updates: append(&made.metadata, 1),
    };
    subject.catalog.commit(first).await.expect("a commit");
    let before = subject.load(&table).await;
    let stale_ref = unchanged(&made.metadata);
    let other_uuid = vec![TableRequirement::UuidMatch { uuid: Uuid::from_u128(SystemRandom.u128()) }];
    let other_schema = vec![TableRequirement::CurrentSchemaIdMatch {
        current_schema_id: before.metadata.current_schema_id() + 7,
    }];
    // One that holds does not help one that does not.
    let mixed = unchanged(&before.metadata).into_iter().chain(other_uuid.clone()).collect();
    let exists = vec![TableRequirement::NotExist];
    for requirements in [stale_ref, other_uuid, other_schema, mixed, exists] {
        let shown = format!("{requirements:?}");
        let updates = append(&before.metadata, 2);
        let change = TableChange { table: table.clone(), requirements, updates };
        let refused = subject.catalog.commit(change).await.expect_err(&shown);
        assert_eq!(refused.kind, CatalogErrorKind::Conflict, "{shown}: {refused}");
        assert_eq!(subject.load(&table).await.metadata, before.metadata, "{shown}");
    }
}

async fn the_same_change_comes_again_as_a_conflict(subject: Subject) {
    let (table, made) = subject.table("t").await;
    let (requirements, updates) = (unchanged(&made.metadata), append(&made.metadata, 1));
    let change = TableChange { table: table.clone(), requirements, updates };
    subject.catalog.commit(change.clone()).await.expect("a commit");
    let again = subject.catalog.commit(change).await.expect_err("a commit applied twice");
    assert_eq!(again.kind, CatalogErrorKind::Conflict, "{again}");
    assert_eq!(subject.load(&table).await.metadata.snapshots().count(), 1);
}

/// Writers, and commits of each, of the race.
const RACE: (u64, u64) = (4, 5);

async fn writers_that_race_are_applied_one_after_the_other(subject: Subject) {
    let (table, _) = subject.table("t").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..RACE.0 {
        let (subject, table) = (subject.clone(), table.clone());
        writers.spawn(async move {
            let (mut done, mut conflicts) = (0, 0);
            while done < RACE.1 {
                let loaded = subject.load(&table).await;
                let change = TableChange {
                    table: table.clone(),
                    requirements: unchanged(&loaded.metadata),
                    updates: append(&loaded.metadata, writer * RACE.1 + done),
                };
                match subject.catalog.commit(change).await {
                    Ok(_) => done += 1,
                    Err(e) if e.kind == CatalogErrorKind::Conflict => conflicts += 1,
                    Err(e) => panic!("{e:?}"),
                }
                assert!(conflicts < 1000, "the writers starve each other");
            }
            conflicts
        });
    }
    let conflicts: u64 = writers.join_all().await.into_iter().sum();
    tracing::info!(conflicts, "race");
    let metadata = subject.load(&table).await.metadata;
    let mut numbers = Vec::new();
    let mut next = metadata.current_snapshot();
    while let Some(snapshot) = next {
        numbers.push(snapshot.summary().additional_properties["number"].parse::<u64>().expect("a number"));
        next = snapshot.parent_snapshot_id().and_then(|id| metadata.snapshot_by_id(id));
    }
    assert_eq!(metadata.properties().get("number"), numbers.first().map(u64::to_string).as_ref());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..RACE.0 * RACE.1).collect::<Vec<_>>(), "in one line, each once");
    assert_eq!(metadata.snapshots().count(), numbers.len());
}
