use std::sync::Arc;
use std::time::Duration;

use lakehead_model::Timestamp;
use lakehead_model::resource::{BatchHints, JsonCompression, JsonFormat, ParquetFormat, SinkFormat};
use lakehead_sink::{Bucket, ErrorKind, MemoryBudget, OPEN_FILES_MAX, Publisher, Roll, Uploads, Writer};

use crate::disk::FaultyDisk;
use crate::rows::{Place, START, at, batch, json, parquet};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn age_counts_from_the_first_row_and_defaults_to_300_seconds() {
    let place = Place::new();
    let mut writer = place.writer(place.settings(json()));
    place.clock.advance(seconds(1000));
    assert_eq!((writer.must_roll(), writer.next_deadline()), (None, None), "nothing is open");
    writer.write(&batch(0..1), &"p".into(), at(0)).unwrap();
    place.clock.advance(seconds(299));
    writer.write(&batch(1..2), &"q".into(), at(1)).unwrap();
    assert_eq!((writer.must_roll(), writer.next_deadline()), (None, Some(seconds(1))));
    place.clock.advance(seconds(1));
    assert_eq!((writer.must_roll(), writer.next_deadline()), (Some(Roll::Age), Some(Duration::ZERO)));
    assert_eq!(writer.prepare().unwrap().files.len(), 2, "all open files are closed together");
    assert_eq!(writer.must_roll(), None);
    writer.write(&batch(2..3), &"q".into(), at(2)).unwrap();
    assert_eq!(writer.next_deadline(), Some(seconds(300)));
}

#[test]
fn inactivity_counts_from_the_last_row() {
    let place = Place::new();
    let mut settings = place.settings(json());
    settings.config.rolling_policy.inactivity_seconds = Some(20);
    settings.config.rolling_policy.interval_seconds = Some(50);
    let mut writer = place.writer(settings);
    writer.write(&batch(0..1), &"p".into(), at(0)).unwrap();
    for _ in 0..2 {
        place.clock.advance(seconds(19));
        assert_eq!((writer.must_roll(), writer.next_deadline()), (None, Some(seconds(1))));
        writer.write(&batch(1..2), &"p".into(), at(1)).unwrap();
    }
    assert_eq!(writer.next_deadline(), Some(seconds(12)), "age comes first now");
    place.clock.advance(seconds(12));
    assert_eq!(writer.must_roll(), Some(Roll::Age));
    writer.prepare().unwrap();
    writer.write(&batch(0..1), &"p".into(), at(0)).unwrap();
    place.clock.advance(seconds(20));
    assert_eq!(writer.must_roll(), Some(Roll::Inactivity));
}

/// The size that asks for a roll is the size the file then has, within a batch.
#[test]
fn size_is_what_was_really_produced_not_what_left_the_buffers() {
    const LIMIT: u64 = 10_000;
    for format in [
        json(),
        parquet(),
        SinkFormat::Parquet(ParquetFormat { row_group_bytes: Some(3000), compression: None }),
    ] {
        let place = Place::new();
        let mut settings = place.settings(format.clone());
        settings.config.rolling_policy.file_size_bytes = Some(LIMIT);
        let mut writer = place.writer(settings);
        let mut from = 0;
        while writer.must_roll().is_none() {
            assert!(from < 1_000_000, "it never rolls");
            writer.write(&batch(from..from + 100), &"p".into(), at(from)).unwrap();
            from += 100;
        }
        assert_eq!(writer.must_roll(), Some(Roll::Size));
        let size = writer.prepare().unwrap().files[0].size_bytes;
        // A row group in progress is an estimate: data not compressed yet counts in full.
        let least = if matches!(format, SinkFormat::Json(_)) { LIMIT } else { LIMIT / 4 };
        assert!((least..LIMIT * 2).contains(&size), "{format:?}: {size}");
    }
}

#[test]
fn the_first_of_a_legacy_pipelines_hints_counts() {
    let hints = BatchHints { bytes_max: 10_000, age_milliseconds_max: 1_500, rows_max: 500 };
    let writer = |place: &Place, hints| {
        let mut settings = place.settings(json());
        settings.config.rolling_policy.batch = Some(hints);
        place.writer(settings)
    };
    let place = Place::new();
    let mut aging = writer(&place, hints);
    aging.write(&batch(0..1), &"p".into(), at(0)).unwrap();
    assert_eq!(aging.next_deadline(), Some(Duration::from_millis(1_500)));
    place.clock.advance(Duration::from_millis(1_500));
    assert_eq!(aging.must_roll(), Some(Roll::Age));

    let mut counting = writer(&place, BatchHints { bytes_max: 1_000_000, ..hints });
    counting.write(&batch(0..499), &"p".into(), at(0)).unwrap();
    assert_eq!(counting.must_roll(), None);
    counting.write(&batch(499..500), &"p".into(), at(499)).unwrap();
    assert_eq!(counting.must_roll(), Some(Roll::Rows));

    // Bytes count before compression: the same rows ask for a roll, however small gzip makes them.
    let mut sizes = Vec::new();
    for compression in [JsonCompression::Uncompressed, JsonCompression::Gzip, JsonCompression::Deflate] {
        let format = JsonFormat { compression: Some(compression), ..JsonFormat::default() };
        let mut settings = place.settings(SinkFormat::Json(format));
        settings.config.rolling_policy.batch = Some(BatchHints { rows_max: 1_000_000, ..hints });
        let mut sizing = place.writer(settings);
        let mut rows = 0;
        while sizing.must_roll().is_none() {
            sizing.write(&batch(rows..rows + 1), &"p".into(), at(rows)).unwrap();
            rows += 1;
        }
        assert_eq!(sizing.must_roll(), Some(Roll::Size));
        sizes.push((rows, sizing.prepare().unwrap().files[0].size_bytes));
    }
    assert_eq!((sizes[0].0, sizes[0].0), (sizes[1].0, sizes[2].0));
    assert!(sizes[0].1 >= 10_000 && sizes[1].1 < 5_000 && sizes[2].1 < 5_000, "{sizes:?}");
}

#[test]
fn a_size_of_zero_is_no_bound() {
    let place = Place::new();
    let mut settings = place.settings(json());
    settings.config.rolling_policy.file_size_bytes = Some(0);
    let mut writer = place.writer(settings);
    writer.write(&batch(0..1000), &"p".into(), at(0)).unwrap();
    assert_eq!(writer.must_roll(), None);
}

#[tokio::test]
async fn ten_thousand_partitions_pass_through_a_bounded_number_of_open_files() {
    let place = Place::new();
    let mut settings = place.settings(json());
    settings.config.time_pattern = Some("%F/%H/%M/%S".into());
    // This disk syncs nothing: ten thousand real syncs take a minute and are not the point here.
    let seams = place.with_disk(FaultyDisk::tracing());
    let bucket = Bucket::Local { root: place.bucket() };
    let publisher = Publisher::new(bucket, place.staging(), &seams, Uploads::default()).await.unwrap();
    let mut writer = Writer::new(settings, seams, Arc::default(), 0).unwrap();
    for n in 0..10_000 {
        let partition = writer.partition(Timestamp(START.0 + n * 1_000_000)).unwrap();
        writer.write(&batch(n..n + 1), &partition, at(n)).unwrap();
        assert!(writer.open_files() <= OPEN_FILES_MAX);
        if writer.must_roll() == Some(Roll::OpenFiles) {
            let files = writer.prepare().unwrap().files;
            publisher.publish(&files).await.unwrap();
            publisher.discard(&files).await.unwrap();
        }
    }
    let rest = writer.prepare().unwrap().files;
    publisher.publish(&rest).await.unwrap();
    assert_eq!(place.numbers(), (0..10_000).collect::<Vec<_>>());
    for (key, bytes) in place.objects() {
        // web/2025-08-03/23/59/50/<name>.json holds the number of its second.
        let time = key.split('/').skip(1).take(4).collect::<Vec<_>>();
        let text = format!("{}T{}:{}:{}Z", time[0], time[1], time[2], time[3]);
        let micros = chrono::DateTime::parse_from_rfc3339(&text).unwrap().timestamp_micros();
        assert_eq!(crate::rows::read(&key, &bytes), [(micros - START.0) / 1_000_000], "{key}");
    }
}

#[test]
fn one_file_too_many_is_refused_and_nothing_of_it_is_written() {
    let place = Place::new();
    let mut writer = place.writer(place.settings(json()));
    for n in 0..OPEN_FILES_MAX {
        assert_eq!(writer.must_roll(), None);
        writer.write(&batch(0..1), &format!("p{n}").into(), at(0)).unwrap();
    }
    assert_eq!(writer.must_roll(), Some(Roll::OpenFiles));
    let error = writer.write(&batch(0..1), &"one more".into(), at(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OpenFiles);
    writer.write(&batch(1..2), &"p3".into(), at(1)).unwrap();
    let files = writer.prepare().unwrap().files;
    assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), OPEN_FILES_MAX as u64 + 1);
    assert_eq!(place.staged().len(), OPEN_FILES_MAX);
}

#[test]
fn writers_together_stay_within_the_memory_budget() {
    const BUDGET: usize = 2 << 20;
    let place = Place::new();
    let memory = Arc::new(MemoryBudget::new(BUDGET));
    let mut settings = place.settings(parquet());
    settings.config.time_pattern = Some(String::new());
    let make = || Writer::new(settings.clone(), place.seams.clone(), memory.clone(), 0).unwrap();
    let mut writers: Vec<_> = (0..6).map(|_| make()).collect();
    let mut highest = 0;
    for round in 0..40 {
        // One after the other falls silent while holding what it holds.
        for writer in writers.iter_mut().skip(round / 8) {
            let from = i64::try_from(round).unwrap() * 20_000;
            writer.write(&batch(from..from + 20_000), &"".into(), at(from)).unwrap();
            highest = highest.max(memory.held_bytes());
        }
    }
    // Six floors of a quarter of the budget, capped by it, and one batch of 160 kB (twice, while it is encoded).
    assert!(highest < BUDGET * 2, "{highest}");
    assert!(highest > BUDGET / 2, "{highest}: the budget was not even used");
    let mut groups = 0;
    for writer in &mut writers {
        let before = writer.open_rows();
        assert_eq!(writer.prepare().unwrap().files[0].rows, before);
        groups += writer.written().row_groups;
    }
    assert!(groups > 6, "{groups} row groups: none was put on disk before the end");
    assert_eq!(memory.held_bytes(), 0);
}

#[test]
fn other_columns_than_those_of_the_open_files_are_refused() {
    let place = Place::new();
    let mut writer = place.writer(place.settings(json()));
    writer.write(&batch(0..1), &"p".into(), at(0)).unwrap();
    let other = batch(0..1).project(&[]).unwrap();
    assert_eq!(writer.write(&other, &"p".into(), at(1)).unwrap_err().kind(), ErrorKind::Encode);
}
