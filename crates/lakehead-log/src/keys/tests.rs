use super::*;

fn entry(n: u64) -> KeyEntry {
    KeyEntry { key: u128::from(n) << 64 | 5, first: Position(n), count: 2, body_crc: 7 }
}

#[test]
fn the_oldest_key_goes_first_and_only_the_same_append_is_known() {
    let mut keys = Keys::new(3);
    (0..5).for_each(|n| keys.add(entry(n)));
    assert_eq!(keys.len(), 3);
    assert_eq!(keys.look_up(entry(1).key, 2, 7), Known::Nothing);
    assert_eq!(keys.look_up(entry(2).key, 2, 7), Known::Stored(Position(2)..Position(4)));
    assert_eq!(keys.look_up(entry(2).key, 3, 7), Known::Other);
    assert_eq!(keys.look_up(entry(2).key, 2, 8), Known::Other);
    keys.add(entry(4));
    assert_eq!(keys.look_up(entry(2).key, 2, 7), Known::Stored(Position(2)..Position(4)), "no second place");
}

#[test]
fn nothing_is_remembered_where_no_room_is_given() {
    let mut keys = Keys::new(0);
    keys.add(entry(1));
    assert_eq!((keys.len(), keys.look_up(entry(1).key, 2, 7)), (0, Known::Nothing));
}

#[test]
fn a_file_is_read_as_it_was_written_and_in_no_other_way() {
    let entries: Vec<_> = (0..3).map(entry).collect();
    let bytes = encode(&entries, 11, 12);
    assert_eq!(decode(&bytes, 11, 12), Some(entries));
    assert_eq!(decode(&bytes, 11, 13), None, "another segment");
    assert_eq!(decode(&bytes, 10, 12), None, "another log");
    for cut in 0..bytes.len() {
        assert_eq!(decode(&bytes[..cut], 11, 12), None, "{cut} bytes");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert_eq!(decode(&bytes, 11, 12), None, "byte {at}");
    }
}

#[test]
fn a_key_means_nothing_in_another_partition() {
    let key = AppendKey(1);
    let at = |stream, index| key.within(Partition { stream: lakehead_model::StreamId(stream), index });
    assert_eq!(at(1, 0), at(1, 0));
    assert!(at(1, 0) != at(2, 0) && at(1, 0) != at(1, 1));
}
