use super::{marked, with_line};
use crate::Error;
use crate::error::Place;

fn at(line: usize, column: usize, length: usize) -> Place {
    Place { line, column, length }
}

#[test]
fn carets_stand_under_what_is_meant() {
    let sql = "SELECT a,\n\tnme\r\nFROM events";
    assert_eq!(marked(sql, &at(2, 2, 3)).unwrap(), "2 |  nme\n  |  ^^^");
    assert_eq!(marked(sql, &at(1, 8, 0)).unwrap(), "1 | SELECT a,\n  |        ^");
    assert_eq!(marked(sql, &at(3, 6, 99)).unwrap(), "3 | FROM events\n  |      ^^^^^^");
    assert_eq!(marked("é 'ü' x", &at(1, 7, 1)).unwrap(), "1 | é 'ü' x\n  |       ^");
}

#[test]
fn a_place_behind_the_end_is_the_end_and_one_that_does_not_exist_is_not_shown() {
    assert_eq!(marked("SELECT", &at(1, 7, 5)).unwrap(), "1 | SELECT\n  |       ^");
    assert_eq!(marked("SELECT", &at(1, 99, 0)).unwrap(), "1 | SELECT\n  |       ^");
    assert_eq!(marked("SELECT", &at(2, 1, 1)), None);
    assert_eq!(marked("SELECT", &at(0, 1, 1)), None);
    assert_eq!(marked("SELECT", &at(1, 0, 1)), None);
    let error = Error::new("no").at(Some(at(9, 9, 9)));
    assert_eq!(with_line(error.clone(), "SELECT"), error);
}

#[test]
fn of_a_long_line_the_part_around_the_place_is_shown() {
    let sql = format!("{}here{}", "a".repeat(200), "b".repeat(200));
    let expected = format!("1 | …{}here{}…\n  |  {}^^^^", "a".repeat(60), "b".repeat(36), " ".repeat(60));
    assert_eq!(marked(&sql, &at(1, 201, 4)).unwrap(), expected);
    let text = with_line(Error::new("no such column").at(Some(at(1, 1, 1))), "nope").to_string();
    assert_eq!(text, "no such column\n\n1 | nope\n  | ^");
}
