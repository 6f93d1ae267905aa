use super::*;

/// Passes over the keys of a record; gives how many were guessed.
fn pass(keys: &mut Keys, record: &str) -> usize {
    let input = record.as_bytes();
    let mut guessed = 0;
    keys.begin();
    let mut pos = 1;
    while let Some(found) = record[pos..].find('"') {
        let start = pos + found;
        let end = start + record[start..].find(':').unwrap() + 1;
        match keys.guess(input, start) {
            Some(behind) => {
                assert_eq!(behind, end, "{record}");
                guessed += 1;
            }
            None => keys.note(input, start, end),
        }
        pos = end;
    }
    guessed
}

const RECORD: &str = r#"{"a":1,"two":2,"three":3,"fourteen bytes":4,"e":5}                "#;

#[test]
fn keys_of_the_first_record_are_guessed_in_the_next_even_if_some_are_missing() {
    let mut keys = Keys::new(true);
    assert_eq!(pass(&mut keys, RECORD), 0);
    assert_eq!(pass(&mut keys, RECORD), 4, "one is too long");
    assert_eq!(pass(&mut keys, r#"{"three":3,"e":5}               "#), 2);
    assert_eq!(pass(&mut keys, r#"{"a":3,"new":1,"two":5}               "#), 2);
    assert_eq!(pass(&mut keys, r#"{"A":3,"twö":1,"thre":5}               "#), 0, "only the same bytes count");
}

#[test]
fn another_kind_of_record_is_learned_but_not_for_ever() {
    let mut keys = Keys::new(true);
    pass(&mut keys, RECORD);
    let other = r#"{"x":1,"y":2,"z":3}               "#;
    assert_eq!(pass(&mut keys, other), 0);
    assert_eq!(pass(&mut keys, other), 0, "learned here");
    assert_eq!(pass(&mut keys, other), 3);
    for i in 0..100 {
        pass(&mut keys, &format!(r#"{{"a{i}":1,"b{i}":2,"c{i}":3}}               "#));
    }
    assert_eq!(keys.lessons, 0);
}

#[test]
fn more_keys_than_there_is_room_for_are_read() {
    let many: Vec<String> = (0..200).map(|i| format!("\"k{i}\":{i}")).collect();
    let record = format!("{{{}}}               ", many.join(","));
    let mut keys = Keys::new(true);
    for _ in 0..5 {
        pass(&mut keys, &record);
    }
    assert!(keys.count <= KEYS_MAX);
    assert_eq!(pass(&mut Keys::new(false), &record), 0);
}
