//! What every disk does, run against each of them; and what the simulated one keeps after a crash.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use lakehead_disk::sim::{Keep, SimDisk};
use lakehead_disk::{Disk, PAGE_BYTES, SystemDisk};

fn on_each_disk(test: impl Fn(&dyn Disk, &Path)) {
    let dir = tempfile::tempdir().expect("works");
    test(&SystemDisk, dir.path());
    test(&SimDisk::new(), Path::new("/sim"));
}

fn write(disk: &dyn Disk, path: &Path, text: &[u8]) {
    disk.create(path).expect("works").write_at(&[IoSlice::new(text)], 0).expect("works");
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).expect("works");
    let mut buf = vec![0; 1 << 16];
    let n = file.read_at(&mut buf, 0).expect("works");
    buf.truncate(n);
    buf
}

#[test]
fn a_name_is_taken_once_and_a_missing_one_is_not_found() {
    on_each_disk(|disk, dir| {
        disk.create(&dir.join("a")).unwrap();
        assert_eq!(disk.create(&dir.join("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.open(&dir.join("b")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.remove(&dir.join("b")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(disk.rename(&dir.join("b"), &dir.join("c")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn parts_are_written_one_behind_the_other_and_reads_stop_at_the_end() {
    on_each_disk(|disk, dir| {
        let file = disk.create(&dir.join("a")).unwrap();
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|i| i.to_le_bytes().to_vec()).collect();
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_at(&slices, 5).unwrap();
        let mut expected = vec![0; 5];
        expected.extend(parts.iter().flatten());
        assert_eq!(read(disk, &dir.join("a")), expected);
        assert_eq!(file.size_bytes().unwrap(), 12_005);
        assert_eq!(file.read_at(&mut [0; 10], 12_000).unwrap(), 5);
        assert_eq!(file.read_at(&mut [0; 10], 13_000).unwrap(), 0);
        file.truncate(7).unwrap();
        assert_eq!(read(disk, &dir.join("a")), expected[..7]);
    });
}

#[test]
fn renaming_replaces_and_listing_is_sorted() {
    on_each_disk(|disk, dir| {
        write(disk, &dir.join("b"), b"old");
        write(disk, &dir.join("c"), b"new");
        write(disk, &dir.join("a"), b"");
        disk.rename(&dir.join("c"), &dir.join("b")).unwrap();
        disk.sync_dir(dir).unwrap();
        assert_eq!(disk.list(dir).unwrap(), ["a", "b"]);
        assert_eq!(read(disk, &dir.join("b")), b"new");
    });
}

#[test]
fn a_filled_file_is_zeros_of_the_given_size_and_can_be_written_to() {
    on_each_disk(|disk, dir| {
        for size in [4096, 8192, 3 << 20, 1000] {
            let path = dir.join(size.to_string());
            let file = disk.create(&path).unwrap();
            file.fill_with_zeros(size).unwrap();
            assert_eq!(file.size_bytes().unwrap(), size);
            file.write_at(&[IoSlice::new(b"x")], 17).unwrap();
            file.sync_data().unwrap();
            file.drop_cached();
            let mut all = vec![1; size as usize];
            assert_eq!(file.read_at(&mut all, 0).unwrap(), size as usize);
            assert_eq!(all[17], b'x');
            all[17] = 0;
            assert!(all.iter().all(|&b| b == 0));
        }
    });
}

#[test]
fn whole_pages_written_past_the_cache_are_read_through_another_handle() {
    on_each_disk(|disk, dir| {
        let path = dir.join("a");
        let file = disk.create(&path).unwrap();
        file.fill_with_zeros(4 * PAGE_BYTES as u64).unwrap();
        let _ = file.write_past_cache();
        let buffer = vec![7; 3 * PAGE_BYTES];
        let start = buffer.as_ptr().align_offset(PAGE_BYTES);
        let reader = disk.open(&path).unwrap();
        let mut seen = vec![0; 4 * PAGE_BYTES];
        for page in [1, 0, 2] {
            reader.read_at(&mut seen, 0).unwrap();
            let pages = IoSlice::new(&buffer[start..start + 2 * PAGE_BYTES]);
            file.write_at(&[pages], page * PAGE_BYTES as u64).unwrap();
        }
        file.sync_data().unwrap();
        assert_eq!(reader.read_at(&mut seen, 0).unwrap(), 4 * PAGE_BYTES);
        assert!(seen.iter().all(|&b| b == 7));
    });
}

#[test]
fn a_lock_is_held_by_one_until_it_is_dropped() {
    on_each_disk(|disk, dir| {
        let held = disk.lock(&dir.join("lock")).unwrap();
        assert_eq!(disk.lock(&dir.join("lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(held);
        disk.lock(&dir.join("lock")).unwrap();
    });
}

fn sim_with(synced: &[u8], unsynced: &[u8]) -> (SimDisk, PathBuf) {
    let (disk, path) = (SimDisk::new(), PathBuf::from("/sim/a"));
    write(&disk, &path, synced);
    disk.open(&path).expect("works").sync_data().expect("works");
    disk.sync_dir(Path::new("/sim")).expect("works");
    disk.open(&path).expect("works").write_at(&[IoSlice::new(unsynced)], 0).expect("works");
    (disk, path)
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_sectors_of_the_rest() {
    let (old, new) = (vec![1; 4096], vec![2; 4096]);
    let (disk, path) = sim_with(&old, &new);
    assert_eq!(disk.after_crash(Keep::Synced).content(&path), old);
    assert_eq!(disk.after_crash(Keep::All).content(&path), new);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let mixed = disk.after_crash(Keep::Random(seed)).content(&path);
        assert!(mixed.chunks(512).all(|sector| sector == &old[..512] || sector == &new[..512]));
        seen.insert(mixed);
    }
    assert!(seen.len() > 20);
}

#[test]
fn a_crash_takes_back_names_that_were_not_synced() {
    let (disk, path) = sim_with(b"a", b"a");
    write(&disk, Path::new("/sim/new"), b"n");
    disk.rename(&path, Path::new("/sim/b")).unwrap();
    assert_eq!(disk.after_crash(Keep::Synced).paths(), [path]);
    assert_eq!(disk.after_crash(Keep::All).paths(), [Path::new("/sim/b"), Path::new("/sim/new")]);
    assert_eq!(disk.after_crash(Keep::Process).paths(), [Path::new("/sim/b"), Path::new("/sim/new")]);
}

#[test]
fn what_a_failed_sync_was_to_keep_is_gone_even_if_the_next_sync_succeeds() {
    let (disk, path) = sim_with(b"old", b"new");
    let file = disk.open(&path).unwrap();
    disk.fail_sync_at(disk.syncs() + 1);
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
    file.sync_data().unwrap();
    assert_eq!(disk.syncs_after_failure(), 1);
    assert_eq!(disk.content(&path), b"new");
    assert_eq!(disk.after_crash(Keep::All).content(&path), b"old");
    file.drop_cached();
    assert_eq!(disk.content(&path), b"old");
}

#[test]
fn after_the_crash_point_every_call_fails_and_the_write_is_there_in_part() {
    let (disk, path) = sim_with(b"....", b"....");
    disk.crash_at(disk.calls() + 1, 2);
    let file = disk.open(&path).unwrap();
    file.write_at(&[IoSlice::new(b"new!")], 0).unwrap_err();
    file.sync_data().unwrap_err();
    disk.create(Path::new("/sim/b")).unwrap_err();
    assert!(disk.crashed());
    assert_eq!(disk.after_crash(Keep::All).content(&path), b"ne..");
    assert_eq!(disk.after_crash(Keep::Synced).content(&path), b"....");
}

#[test]
fn a_full_disk_refuses_to_grow_and_takes_overwrites() {
    let disk = SimDisk::new();
    disk.set_capacity(8192);
    let file = disk.create(Path::new("/sim/a")).unwrap();
    file.fill_with_zeros(8192).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/sim")).unwrap(), 0);
    file.write_at(&[IoSlice::new(b"ok")], 100).unwrap();
    assert_eq!(file.write_at(&[IoSlice::new(b"xx")], 8191).unwrap_err().kind(), ErrorKind::StorageFull);
    let other = disk.create(Path::new("/sim/b")).unwrap();
    assert_eq!(other.fill_with_zeros(4096).unwrap_err().kind(), ErrorKind::StorageFull);
}
