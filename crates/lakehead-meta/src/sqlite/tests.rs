//! What a disk that refuses leaves behind.

use super::SqliteRecords;
use crate::ErrorKind;
use crate::records::{Expect, Records, Space, Write};

fn put(key: &str, bytes: usize) -> Write {
    Write { space: Space::Bucket, key: key.to_owned(), expect: Expect::Absent, value: Some(vec![7; bytes]) }
}

#[test]
fn a_full_disk_refuses_the_write_whole_and_the_next_one_works_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&dir.path().join("r.sqlite")).unwrap();
    let pages = |n: i64| {
        let connection = &records.inner.lock().connection;
        connection.query_row(&format!("PRAGMA max_page_count = {n}"), [], |_| Ok(())).unwrap();
    };
    pages(10);
    let both = [put("small", 1), put("large", 1 << 20)];
    assert_eq!(records.write(Some(0), &both).unwrap_err().kind(), ErrorKind::Full);
    assert!(records.get(Space::Bucket, "small").unwrap().is_none());
    pages(1 << 20);
    assert_eq!(records.write(Some(0), &both).unwrap(), 1);
}

#[test]
fn after_a_failed_write_nothing_is_written_until_the_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.sqlite");
    let records = SqliteRecords::open(&path).unwrap();
    records.inner.lock().connection.execute_batch("DROP TABLE revision").unwrap();
    assert_eq!(records.write(Some(0), &[put("a", 1)]).unwrap_err().kind(), ErrorKind::Storage);
    records
        .inner
        .lock()
        .connection
        .execute_batch(super::TABLES.split_once("WITHOUT ROWID;").unwrap().1)
        .unwrap();
    let refused = records.write(Some(0), &[put("a", 1)]).unwrap_err();
    assert!(refused.to_string().contains("an earlier write failed"), "{refused}");
    drop(records);
    let records = SqliteRecords::open(&path).unwrap();
    assert_eq!(records.write(Some(0), &[put("a", 1)]).unwrap(), 1);
}

#[test]
fn every_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&dir.path().join("r.sqlite")).unwrap();
    let connection = &records.inner.lock().connection;
    let pragma = |name: &str| -> String {
        connection
            .query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |r| r.get(0))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("synchronous"), "2", "FULL");
    assert_eq!(pragma("locking_mode"), "exclusive");
}
