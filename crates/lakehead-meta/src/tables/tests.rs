use std::sync::Arc;

use lakehead_disk::SystemDisk;
use lakehead_model::random::SeededRandom;
use lakehead_model::resource::{Compaction, Maintenance};

use crate::records::{Expect, Space, Write};
use crate::{ErrorKind, Store};

fn put(space: Space, key: &str, expect: Expect) -> Write {
    Write { space, key: key.to_owned(), expect, value: Some(b"{}".to_vec()) }
}

#[test]
fn records_of_catalogs_are_kept_apart_and_forgotten_together() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(dir.path(), &SystemDisk, Arc::new(SeededRandom::new(1))).unwrap();
    let store = open();
    let revision = store.catalog().revision;
    for id in ["a", "b"] {
        let (n, t) = (format!("{id}:n/"), format!("{id}:n/t"));
        let both = [put(Space::Namespace, &n, Expect::Absent), put(Space::Table, &t, Expect::Absent)];
        store.write_catalog_records(&both).unwrap();
        let maintenance = Maintenance {
            compaction: Some(Compaction { enabled: true, target_size_mb: 64 }),
            snapshot_expiration: None,
        };
        store.set_table_maintenance(id, "uuid", &maintenance).unwrap();
        let refused = store.write_catalog_records(&[
            put(Space::TableAnswer, &format!("{id}:k"), Expect::Absent),
            put(Space::Table, &t, Expect::Version(9)),
        ]);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
        assert!(
            store.catalog_record(Space::TableAnswer, &format!("{id}:k")).unwrap().is_none(),
            "all or none"
        );
    }
    drop(store);
    let store = open();
    store.forget_catalog("a").unwrap();
    store.forget_catalog("a").unwrap();
    assert!(store.catalog_record(Space::Table, "a:n/t").unwrap().is_none());
    assert!(store.table_maintenance("a", "uuid").unwrap().is_none());
    let left: Vec<_> = store.catalog_records(Space::Table, "").unwrap().into_iter().map(|r| r.key).collect();
    assert_eq!(left, ["b:n/t"]);
    assert_eq!(store.table_maintenance("b", "uuid").unwrap().unwrap().compaction.unwrap().target_size_mb, 64);
    assert_eq!(store.catalog().revision, revision, "nobody who watches resources is woken");
}
