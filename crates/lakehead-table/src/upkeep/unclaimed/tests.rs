use super::*;

fn left(keys: &[&str], claimed: &[&str]) -> Vec<String> {
    let mut unclaimed = Unclaimed::default();
    for key in keys {
        unclaimed.add(Candidate { key: (*key).to_owned(), size_bytes: 1 });
    }
    claimed.iter().for_each(|uri| unclaimed.claim(uri));
    unclaimed.into_files().into_iter().map(|file| file.key).collect()
}

#[test]
fn a_file_is_claimed_however_its_uri_is_spelled() {
    for uri in [
        "s3://bucket/t/data/d=1/a b%.parquet",
        "s3a://bucket/t/data/d=1/a b%.parquet",
        "s3://bucket/t/data/d%3D1/a%20b%25.parquet",
        "s3://bucket//t/data/d=1/a%2520b%25.parquet",
        "file:/folder/t/data/d=1/a b%.parquet",
        "https://host:9000/bucket/t/data/a%20b%.parquet",
        "t/data/d=1/a b%.parquet",
        "a b%.parquet",
        "s3://bucket/t%2Fdata%2Fa%20b%25.parquet",
    ] {
        assert_eq!(left(&["t/data/d=1/a b%.parquet", "t/data/x"], &[uri]), ["t/data/x"], "{uri}");
    }
}

#[test]
fn a_claimed_name_keeps_all_files_of_that_name_and_no_others() {
    let keys = ["t/data/p=1/part-0.parquet", "t/data/p=2/part-0.parquet", "t/data/p=1/part-1.parquet"];
    assert_eq!(left(&keys, &["s3://b/elsewhere/part-0.parquet"]), ["t/data/p=1/part-1.parquet"]);
    assert_eq!(left(&keys, &["s3://b/t/data/p=1/part"]).len(), 3);
}
