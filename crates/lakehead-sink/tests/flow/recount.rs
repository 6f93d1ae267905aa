//! What is counted in files: those that writers make, and the same ones damaged in every way.

use std::sync::Arc;

use lakehead_model::resource::{JsonCompression, JsonFormat, ParquetFormat, SinkFormat};
use lakehead_sink::{Bucket, ErrorKind, Publisher, Recounted, Recounter, StagedFile, UploadLimits, Uploads};

use crate::rows::{Place, at, batch, json, parquet};
use crate::store::{Conditions, Fault, FaultyStore};

const ROWS: i64 = 5000;

fn formats() -> Vec<SinkFormat> {
    let compressed = |compression| {
        SinkFormat::Json(JsonFormat { compression: Some(compression), ..JsonFormat::default() })
    };
    let groups = ParquetFormat { row_group_bytes: Some(1), ..ParquetFormat::default() };
    vec![
        json(),
        compressed(JsonCompression::Gzip),
        compressed(JsonCompression::Deflate),
        parquet(),
        // A row group for each batch.
        SinkFormat::Parquet(groups),
    ]
}

/// A file of [`ROWS`] rows in the bucket, and how to read it.
async fn published(format: SinkFormat) -> (Place, StagedFile, Recounter) {
    let place = Place::new();
    let mut writer = place.writer(place.settings(format));
    for from in (0..ROWS).step_by(1000) {
        writer.write(&batch(from..from + 1000), &"".into(), at(from)).unwrap();
    }
    let mut files = writer.prepare().unwrap().files;
    let bucket = Bucket::Local { root: place.bucket() };
    let publisher =
        Publisher::new(bucket.clone(), place.staging(), &place.seams, Uploads::default()).await.unwrap();
    publisher.publish(&files).await.unwrap();
    // The staged file is another name of the same content.
    publisher.discard(&files).await.unwrap();
    let seams = &place.seams;
    let recounter =
        Recounter::new(bucket, seams.disk.clone(), seams.random.clone(), Uploads::default()).unwrap();
    (place, files.remove(0), recounter)
}

async fn recount(recounter: &Recounter, file: &StagedFile) -> Option<Recounted> {
    recounter.recount(&file.key, &|| true).await.unwrap()
}

#[tokio::test]
async fn a_whole_file_is_what_its_writer_noted() {
    for format in formats() {
        let (_place, file, recounter) = published(format.clone()).await;
        let found = recount(&recounter, &file).await.unwrap();
        assert_eq!((found.size_bytes, found.crc32c), (file.size_bytes, file.crc32c), "{format:?}");
        assert_eq!((found.rows, file.rows), (Ok(5000), 5000), "{format:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_there() {
    let (place, file, recounter) = published(json()).await;
    std::fs::remove_file(place.bucket().join(&file.key)).unwrap();
    assert_eq!(recount(&recounter, &file).await, None);
    let below = StagedFile { key: format!("{}/below", file.key), ..file.clone() };
    std::fs::write(place.bucket().join(&file.key), "{}\n").unwrap();
    assert_eq!(recount(&recounter, &below).await, None);
}

#[tokio::test]
async fn every_altered_byte_shows_in_the_checksum() {
    for format in formats() {
        let (place, file, recounter) = published(format.clone()).await;
        let path = place.bucket().join(&file.key);
        let whole = std::fs::read(&path).unwrap();
        for at in [0, 1, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[at] ^= 0x40;
            std::fs::write(&path, &altered).unwrap();
            let found = recount(&recounter, &file).await.unwrap();
            assert_eq!(found.size_bytes, file.size_bytes);
            assert_ne!(found.crc32c, file.crc32c, "{format:?} at {at}");
        }
    }
}

#[tokio::test]
async fn a_file_cut_anywhere_does_not_hold_its_rows() {
    for format in formats() {
        let (place, file, recounter) = published(format.clone()).await;
        let path = place.bucket().join(&file.key);
        let whole = std::fs::read(&path).unwrap();
        for kept in [0, 1, 3, 4, 11, whole.len() / 3, whole.len() - 9, whole.len() - 1] {
            std::fs::write(&path, &whole[..kept]).unwrap();
            let found = recount(&recounter, &file).await.unwrap();
            assert_eq!(found.size_bytes, kept as u64);
            assert_ne!(found.rows, Ok(file.rows), "{format:?} cut at {kept}");
        }
    }
}

#[tokio::test]
async fn members_of_gzip_are_counted_together_and_lines_must_end() {
    let (place, file, recounter) = published(formats().remove(1)).await;
    let path = place.bucket().join(&file.key);
    let once = std::fs::read(&path).unwrap();
    std::fs::write(&path, [once.as_slice(), &once].concat()).unwrap();
    assert_eq!(recount(&recounter, &file).await.unwrap().rows, Ok(10_000));
    std::fs::write(&path, "{}\n{}\n{").unwrap();
    let rows = recount(&recounter, &file).await.unwrap().rows;
    assert_eq!(rows, Err("it ends within line 3".to_owned()));
}

fn uploads() -> Uploads {
    Uploads::new(UploadLimits { part_bytes: 1000, parts_in_flight: 2, call_seconds: 60, tries: 3 })
}

#[tokio::test(start_paused = true)]
async fn a_store_is_read_in_pieces_asked_again_and_never_written_to() {
    for format in formats() {
        let (place, file, _) = published(format).await;
        let store = FaultyStore::new(Arc::default(), Conditions::Honoured);
        let whole = std::fs::read(place.bucket().join(&file.key)).unwrap();
        let key = object_store::path::Path::parse(&file.key).unwrap();
        object_store::ObjectStoreExt::put(&*store.inner, &key, whole.clone().into()).await.unwrap();
        let recounter = Recounter::over_store(store.clone(), place.seams.random.clone(), uploads());
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::HangBefore, Fault::HangAfter] {
            store.arm([0, 2], fault);
            let found = recount(&recounter, &file).await.unwrap();
            assert_eq!((found.crc32c, found.rows), (file.crc32c, Ok(file.rows)), "{fault:?}");
        }
        assert!(store.calls() > whole.len() / 1000, "in pieces: {:?}", store.trace());
        assert!(store.trace().iter().all(|t| !t.starts_with("put") && !t.starts_with("create")));

        store.arm(0..100, Fault::FailBefore);
        let error = recounter.recount(&file.key, &|| true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        store.arm([0], Fault::Deny);
        let error = recounter.recount(&file.key, &|| true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

#[tokio::test]
async fn reading_ends_when_nobody_waits() {
    let (_place, file, recounter) = published(json()).await;
    let error = recounter.recount(&file.key, &|| false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
