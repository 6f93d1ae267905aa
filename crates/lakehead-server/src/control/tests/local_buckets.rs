//! No key leads out of its bucket.

use std::io::Read;
use std::os::unix::fs::symlink;

use crate::control::{BucketStore, Error, Kind, LocalBuckets, Usage};

fn buckets() -> (tempfile::TempDir, LocalBuckets) {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let buckets = LocalBuckets::new(dir.path().join("buckets"));
    buckets.create("lake").expect("a bucket");
    buckets.create("other").expect("a bucket");
    std::fs::create_dir_all(dir.path().join("buckets/lake/year=2026")).expect("a folder");
    std::fs::write(dir.path().join("buckets/lake/year=2026/a b.json"), "inside").expect("a file");
    std::fs::write(dir.path().join("buckets/other/secret"), "outside").expect("a file");
    std::fs::write(dir.path().join("secret"), "outside").expect("a file");
    (dir, buckets)
}

#[test]
fn an_object_is_found_by_its_key() {
    let (_dir, buckets) = buckets();
    let mut object = buckets.get_object("lake", "year=2026/a b.json").unwrap();
    let mut text = String::new();
    object.bytes.read_to_string(&mut text).unwrap();
    assert_eq!((object.size_bytes, text.as_str()), (6, "inside"));
}

#[test]
fn keys_that_lead_elsewhere_name_nothing() {
    let (dir, buckets) = buckets();
    let absolute = dir.path().join("secret").display().to_string();
    let keys = [
        "../secret",
        "../../secret",
        "../other/secret",
        "year=2026/../../secret",
        "./year=2026/a b.json",
        "..",
        ".",
        "",
        "/",
        "//",
        "year=2026",
        "year=2026/",
        "/year=2026/a b.json",
        "year=2026//a b.json",
        "a\0b",
        "year=2026/a b.json/x",
        "nope",
        &absolute,
        &"x/".repeat(600),
        &"y".repeat(5000),
        &"y".repeat(300),
    ];
    for key in keys {
        let found = buckets.get_object("lake", key);
        assert!(matches!(found, Err(Error::Missing(Kind::Object))), "{key:?}: {found:?}");
    }
    assert!(matches!(buckets.get_object("nobucket", "a"), Err(Error::Missing(Kind::Object))));
}

#[test]
fn symbolic_links_are_not_followed() {
    let (dir, buckets) = buckets();
    symlink(dir.path().join("secret"), dir.path().join("buckets/lake/file-link")).unwrap();
    symlink(dir.path(), dir.path().join("buckets/lake/folder-link")).unwrap();
    symlink("year=2026", dir.path().join("buckets/lake/inner-link")).unwrap();
    for key in ["file-link", "folder-link/secret", "inner-link/a b.json"] {
        let found = buckets.get_object("lake", key);
        assert!(matches!(found, Err(Error::Missing(Kind::Object))), "{key:?}: {found:?}");
    }
}

#[test]
fn a_link_counts_as_an_object_and_is_never_deleted_through() {
    let (dir, buckets) = buckets();
    buckets.create("links").unwrap();
    let link = dir.path().join("buckets/links/to-other");
    symlink(dir.path().join("buckets/other"), &link).unwrap();
    assert!(matches!(buckets.delete_if_empty("links"), Err(Error::NotEmpty(_))));
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir_all(dir.path().join("buckets/links/a/b/c")).unwrap();
    buckets.delete_if_empty("links").unwrap();
    buckets.delete_if_empty("links").unwrap();
    assert!(dir.path().join("buckets/other/secret").exists());
}

#[test]
fn usage_counts_the_files_and_not_what_links_point_to() {
    let (dir, buckets) = buckets();
    assert_eq!(buckets.usage("lake").unwrap(), Some(Usage { objects: 1, size_bytes: 6 }));
    assert_eq!(buckets.usage("none").unwrap(), Some(Usage::default()));
    symlink(dir.path(), dir.path().join("buckets/lake/year=2026/up")).unwrap();
    assert_eq!(buckets.usage("lake").unwrap().unwrap().objects, 2, "the link itself");
}
