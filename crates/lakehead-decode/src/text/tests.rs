use super::*;

fn read(text: &str) -> (String, usize) {
    let mut bytes = Bytes::default();
    let end = bytes.read_string(text.as_bytes(), 0).ok().unwrap();
    let (data, ends) = bytes.take();
    assert_eq!(ends, [0, i32::try_from(data.len()).unwrap()]);
    (String::from_utf8(data).unwrap(), end)
}

#[test]
fn a_string_of_any_length_with_an_escape_at_any_place_is_read_whole() {
    for length in (0..40).chain(60..100).chain([200]) {
        let plain: String = ('a'..='z').cycle().take(length).collect();
        for behind in [0, 1, 15, 16, 17, 64, 100] {
            let behind = ",".repeat(behind);
            assert_eq!(read(&format!("{plain}\"{behind}")), (plain.clone(), length + 1));
            for at in 0..=length {
                let (head, tail) = plain.split_at(at);
                let text = format!("{head}\\n{tail}\\\"\"{behind}");
                assert_eq!(read(&text), (format!("{head}\n{tail}\""), length + 5), "{text}");
            }
        }
    }
}

#[test]
fn a_string_that_does_not_end_or_holds_no_escape_where_it_starts_one_is_refused() {
    for text in [
        "",
        "a",
        "\\",
        "\\u12",
        "\\u12g4\"",
        "\\x\"",
        "\\ud800\\u12\"",
        "a long text of more than sixteen bytes\\",
    ] {
        let mut bytes = Bytes::default();
        assert!(bytes.read_string(text.as_bytes(), 0).is_err(), "{text}");
        bytes.truncate(0);
        assert_eq!(bytes.take(), (vec![], vec![0]), "nothing of {text} stays");
    }
}

#[test]
fn truncation_takes_back_values_and_what_was_begun() {
    let mut bytes = Bytes::default();
    for value in ["one", "two", ""] {
        bytes.push_slice(value.as_bytes());
        bytes.end_value();
    }
    bytes.push_slice(b"begun");
    bytes.truncate(3);
    assert_eq!(bytes.rows(), 3);
    bytes.truncate(1);
    bytes.push_slice(b"2");
    bytes.end_value();
    assert_eq!(bytes.take(), (b"one2".to_vec(), vec![0, 3, 4]));
    assert_eq!((bytes.rows(), bytes.take()), (0, (vec![], vec![0])), "a batch leaves nothing to the next");
}
