use super::{bounded, shortened, table};

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
}

#[test]
fn columns_are_aligned_and_lines_have_no_spaces_at_their_end() {
    let text =
        table(["a", "long name"], &[["éé".into(), "x\ny".into()], ["\u{1b}[1m".into(), String::new()]]);
    assert_eq!(text, "a          long name\néé         x y\n\\u{1b}[1m\n");
}

#[test]
fn what_does_not_fit_is_cut_or_left_out() {
    let (text, shown) = bounded(&rows(&[&["a", "b", "c"], &["1", "x", "y"]]), 5);
    assert_eq!((text.as_str(), shown), ("a  b\n1  x\n", 2));
    let long = "é".repeat(50);
    let (text, shown) = bounded(&rows(&[&["a"], &[&long]]), 100);
    assert_eq!((text, shown), (format!("a\n{}…\n", "é".repeat(39)), 1));
    let (text, shown) = bounded(&rows(&[&["a"], &[&long]]), 10);
    assert_eq!((text, shown), (format!("a\n{}…\n", "é".repeat(9)), 1));
    assert_eq!(bounded(&rows(&[]), 10), (String::new(), 0));
}

#[test]
fn a_text_is_shortened_only_if_it_is_too_long() {
    assert_eq!(shortened("abc", 3), "abc");
    assert_eq!(shortened("abcd", 3), "ab…");
}
