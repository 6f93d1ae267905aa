use iceberg::spec::{PrimitiveType, Type, UnboundPartitionSpec};

use super::*;
use crate::played::{Scene, rows};

/// The scene's table under a spec of its own.
async fn partitions(spec: UnboundPartitionSpec) -> (Scene, Partitions) {
    let mut scene = Scene::new().await;
    scene.catalog.meddle(&scene.table, |builder| builder.add_default_partition_spec(spec));
    let metadata = scene.metadata().await;
    scene.target.loaded.metadata = metadata.clone();
    (scene, Partitions::of(&metadata).unwrap())
}

fn spec(fields: &[(i32, &str, Transform)]) -> UnboundPartitionSpec {
    fields
        .iter()
        .fold(UnboundPartitionSpec::builder(), |builder, (id, name, transform)| {
            builder.add_partition_field(*id, (*name).to_owned(), *transform).unwrap()
        })
        .build()
}

#[tokio::test]
async fn specs_of_the_time_of_ingest_are_known_without_looking_at_rows() {
    // 2026-09-21T14:13:20Z
    let time = Timestamp(1_790_000_000_000_000);
    let cases = [
        (Transform::Year, "t=%Y", 56),
        (Transform::Month, "t=%Y-%m", 680),
        (Transform::Day, "t=%Y-%m-%d", 20_717),
        (Transform::Hour, "t=%Y-%m-%d-%H", 497_222),
    ];
    for (transform, pattern, value) in cases {
        let (scene, mut partitions) = partitions(spec(&[(3, "t", transform)])).await;
        assert_eq!(partitions.time_pattern().as_deref(), Some(pattern));
        let folder: Arc<str> = time.to_utc().format(pattern).to_string().into();
        partitions.by_time(&folder, time);
        let stored = partitions.value(&folder).unwrap();
        let metadata = scene.metadata().await;
        let read = value_of(&metadata, partitions.spec_id(), &stored).unwrap();
        assert_eq!(read, Struct::from_iter([Some(Literal::int(value))]), "{transform}");
        partitions.reset();
        assert!(partitions.value(&folder).is_err(), "forgotten");
    }
}

#[tokio::test]
async fn times_before_1970_round_down() {
    let (_scene, mut partitions) = partitions(spec(&[(3, "t", Transform::Day)])).await;
    let folder: Arc<str> = "t=1969-12-31".into();
    partitions.by_time(&folder, Timestamp(-1));
    assert!(partitions.value(&folder).unwrap().to_string().contains("1969-12-31"));
}

#[tokio::test]
async fn rows_are_cut_by_the_values_of_their_columns() {
    let fields =
        [(2, "name", Transform::Identity), (1, "bucket", Transform::Bucket(2)), (3, "day", Transform::Day)];
    let (scene, mut partitions) = partitions(spec(&fields)).await;
    assert_eq!(partitions.time_pattern(), None);
    let batch = rows(&scene.target, 0..7, scene.clock_now());
    let parts = partitions.split(&batch).unwrap();
    assert_eq!(parts.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>(), 7);
    assert!(parts.len() >= 5, "four names, and NULL in one or two buckets");
    let metadata = scene.metadata().await;
    for (folder, rows) in &parts {
        let value = value_of(&metadata, partitions.spec_id(), &partitions.value(folder).unwrap()).unwrap();
        let name = rows.column(1).clone();
        let names: std::collections::BTreeSet<_> =
            arrow::array::AsArray::as_string::<i32>(&name).iter().map(|n| n.map(str::to_owned)).collect();
        assert_eq!(names.len(), 1);
        let expected = names.into_iter().next().unwrap().map(Literal::string);
        assert_eq!(value.fields()[0], expected, "{folder}");
    }
}

#[tokio::test]
async fn folders_hold_plain_characters_and_differ_where_values_do() {
    let (_scene, partitions) = partitions(spec(&[(2, "name", Transform::Identity)])).await;
    let folder = |text: &str| partitions.folder(&Struct::from_iter([Some(Literal::string(text))]));
    assert_eq!(folder("plain-1.5"), "name=plain-1.5");
    let odd = ["a/b", "a b", "a%b", "../x", "", "ä", "a\u{0}b", "null"];
    let folders: std::collections::BTreeSet<_> = odd.iter().map(|text| folder(text)).collect();
    assert_eq!(folders.len(), odd.len(), "{folders:?}");
    let plain = |c: char| c.is_ascii_alphanumeric() || "=-_.~".contains(c);
    assert!(folders.iter().all(|f| f.chars().all(plain)), "{folders:?}");
    let null = partitions.folder(&Struct::from_iter([None]));
    assert!(!folders.contains(&null), "NULL is not the text null: {null}");
    assert_eq!(Type::Primitive(PrimitiveType::String).to_string(), "string");
}
