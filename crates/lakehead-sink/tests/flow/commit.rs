use lakehead_model::Timestamp;
use lakehead_model::resource::NamingStrategy;
use lakehead_sink::{Bucket, ErrorKind, Prepared, Published, Publisher, StagedFile, Uploads, clean_staging};

use crate::disk::FaultyDisk;
use crate::rows::{Place, START, at, batch, json, parquet};

async fn publisher(place: &Place) -> Publisher {
    Publisher::new(Bucket::Local { root: place.bucket() }, place.staging(), &place.seams, Uploads::default())
        .await
        .unwrap()
}

/// Two files in two partitions, prepared.
fn prepared(place: &Place) -> Prepared {
    let mut writer = place.writer(place.settings(json()));
    for (numbers, second) in [(0..10, 0), (10..30, 15)] {
        let partition = writer.partition(Timestamp(START.0 + second * 1_000_000)).unwrap();
        writer.write(&batch(numbers.clone()), &partition, at(numbers.start)).unwrap();
    }
    writer.prepare().unwrap()
}

#[tokio::test]
async fn rows_become_visible_when_published_and_not_before() {
    for format in [json(), parquet()] {
        let place = Place::new();
        let publisher = publisher(&place).await;
        let mut writer = place.writer(place.settings(format));
        let partition = writer.partition(START).unwrap();
        writer.write(&batch(0..1000), &partition, at(0)).unwrap();
        writer.write(&batch(1000..1500), &partition, at(1000)).unwrap();
        assert_eq!((writer.open_files(), writer.open_rows()), (1, 1500));
        assert!(writer.open_bytes() > 0);
        let prepared = writer.prepare().unwrap();
        assert_eq!(place.objects(), [], "nothing is visible before it is published");
        let [file] = prepared.files.as_slice() else { panic!("{prepared:?}") };
        assert_eq!(file.rows, 1500);

        let published = publisher.publish(&prepared.files).await.unwrap();
        assert_eq!(published, Published { placed: 1, found: 0 });
        assert_eq!(place.numbers(), (0..1500).collect::<Vec<_>>());
        let (key, bytes) = &place.objects()[0];
        assert!(key.starts_with("web/year=2025/month=08/day=03/"), "{key}");
        assert_eq!((key, bytes.len() as u64), (&file.key, file.size_bytes));

        assert_eq!(place.staged().len(), 1, "staged files stay until the commit is recorded");
        publisher.discard(&prepared.files).await.unwrap();
        assert!(place.staged().is_empty());
        assert_eq!((writer.open_files(), writer.written().rows, writer.written().files), (0, 1500, 1));
        assert_eq!(writer.written().bytes, file.size_bytes);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_in_a_folder_can_be_read_by_whoever_may_enter_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let files = prepared(&place).files;
    publisher(&place).await.publish(&files).await.unwrap();
    for file in files {
        let mode = std::fs::metadata(place.bucket().join(&file.key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{}", file.key);
    }
}

#[tokio::test]
async fn publishing_again_finds_everything_in_place() {
    let place = Place::new();
    let publisher = publisher(&place).await;
    let files = prepared(&place).files;
    publisher.publish(&files).await.unwrap();
    let before = place.objects();
    assert_eq!(publisher.publish(&files).await.unwrap(), Published { placed: 0, found: 2 });
    publisher.discard(&files).await.unwrap();
    let again = publisher.publish(&files).await.unwrap();
    assert_eq!(again, Published { placed: 0, found: 2 }, "without the staged files too");
    assert_eq!(place.objects(), before);
}

#[tokio::test]
async fn another_object_under_the_key_is_a_conflict_and_stays_as_it_is() {
    let place = Place::new();
    let publisher = publisher(&place).await;
    let files = prepared(&place).files;
    let size = usize::try_from(files[1].size_bytes).unwrap();
    for foreign in [b"other".to_vec(), vec![b'x'; size]] {
        let target = place.bucket().join(&files[1].key);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(&target, &foreign).unwrap();
        let error = publisher.publish(&files).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(&files[1].key), "{error}");
        assert_eq!(std::fs::read(&target).unwrap(), foreign);
    }
}

#[tokio::test]
async fn a_file_that_is_neither_staged_nor_published_is_an_error() {
    let place = Place::new();
    let publisher = publisher(&place).await;
    let files = prepared(&place).files;
    std::fs::remove_file(place.staging().join(&files[0].staged)).unwrap();
    let error = publisher.publish(&files).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains(&files[0].staged), "{error}");
}

#[tokio::test]
async fn a_staged_file_of_another_size_is_an_error() {
    let place = Place::new();
    let publisher = publisher(&place).await;
    let files = prepared(&place).files;
    std::fs::write(place.staging().join(&files[0].staged), b"cut").unwrap();
    assert_eq!(publisher.publish(&files).await.unwrap_err().kind(), ErrorKind::Staging);
    assert_eq!(place.objects(), []);
}

#[test]
fn staged_names_match_no_reader_s_glob_and_carry_the_flow() {
    let place = Place::new();
    for file in prepared(&place).files {
        assert!(file.staged.starts_with("pipe_1.") && file.staged.ends_with(".part"), "{}", file.staged);
    }
}

#[test]
fn cleaning_the_staging_folder_keeps_what_an_intent_names_and_what_is_not_ours() {
    let place = Place::new();
    let kept = prepared(&place).files;
    let _lost = prepared(&place);
    for (name, text) in [("notes.txt", "mine"), ("pipe_1.00.upload", "id")] {
        std::fs::write(place.staging().join(name), text).unwrap();
    }
    assert_eq!(clean_staging(&*place.seams.disk, &place.staging(), &kept).unwrap(), 3);
    let mut expected: Vec<_> = kept.iter().map(|f| f.staged.clone()).collect();
    expected.push("notes.txt".into());
    expected.sort();
    assert_eq!(place.staged(), expected);
    let fresh = place.dir.path().join("fresh/staging");
    assert_eq!(clean_staging(&*place.seams.disk, &fresh, &[]).unwrap(), 0);
    assert!(fresh.is_dir());
}

#[test]
fn an_abandoned_writer_leaves_nothing_behind() {
    let place = Place::new();
    let mut writer = place.writer(place.settings(parquet()));
    let partition = writer.partition(START).unwrap();
    writer.write(&batch(0..10), &partition, at(0)).unwrap();
    assert_eq!(place.staged().len(), 1);
    writer.abandon().unwrap();
    assert!(place.staged().is_empty());
}

#[test]
fn an_intent_survives_its_way_through_the_metadata_store() {
    let place = Place::new();
    let prepared = prepared(&place);
    let stored = serde_json::to_string(&prepared).unwrap();
    assert_eq!(serde_json::from_str::<Prepared>(&stored).unwrap(), prepared);
    let file: StagedFile =
        serde_json::from_str(r#"{"key":"k","staged":"s.part","size_bytes":1,"rows":2,"crc32c":3}"#).unwrap();
    assert_eq!((file.key.as_str(), file.size_bytes, file.rows, file.crc32c), ("k", 1, 2, 3));
}

#[test]
fn serial_numbers_go_on_where_the_last_commit_left_them() {
    let place = Place::new();
    let mut settings = place.settings(json());
    settings.config.file_naming.strategy = Some(NamingStrategy::Serial);
    settings.config.time_pattern = Some(String::new());
    let memory = std::sync::Arc::new(lakehead_sink::MemoryBudget::default());
    let mut writer = lakehead_sink::Writer::new(settings, place.seams.clone(), memory, 41).unwrap();
    for expected in ["web/00041-000.json", "web/00042-000.json"] {
        writer.write(&batch(0..1), &"".into(), at(0)).unwrap();
        let prepared = writer.prepare().unwrap();
        assert_eq!(prepared.files[0].key, expected);
    }
    let nothing = writer.prepare().unwrap();
    assert_eq!((nothing.files.len(), nothing.next_serial), (0, 43));
}

#[tokio::test]
async fn content_and_names_are_synced_before_anybody_relies_on_them() {
    let place = Place::new();
    let disk = FaultyDisk::tracing();
    let seams = place.with_disk(disk.clone());
    let memory = std::sync::Arc::default();
    let mut writer = lakehead_sink::Writer::new(place.settings(json()), seams.clone(), memory, 0).unwrap();
    let partition = writer.partition(START).unwrap();
    writer.write(&batch(0..10), &partition, at(0)).unwrap();
    let files = writer.prepare().unwrap().files;
    let staged = &files[0].staged;
    let trace = disk.trace();
    let tail: Vec<_> = trace[trace.len() - 3..].iter().map(String::as_str).collect();
    assert_eq!(tail, [&format!("write {staged}"), &format!("sync {staged}"), "syncdir staging"]);

    let publisher =
        Publisher::new(Bucket::Local { root: place.bucket() }, place.staging(), &seams, Uploads::default())
            .await
            .unwrap();
    let name = files[0].key.rsplit('/').next().unwrap();
    let before = disk.trace().len();
    publisher.publish(&files).await.unwrap();
    let trace = disk.trace();
    assert_eq!(
        trace[before..],
        [
            &format!("link {staged} {name}"),
            "mkdir day=03",
            &format!("link {staged} {name}"),
            "syncdir day=03",
            "syncdir month=08",
            "syncdir year=2025",
            "syncdir web",
            "syncdir lake",
        ]
    );
    let made: Vec<_> = trace[..before].iter().filter(|t| t.starts_with("syncdir")).collect();
    assert!(made.iter().any(|t| *t == "syncdir buckets"), "the bucket's own name lasts: {made:?}");
}
