use super::{SqlPlace, SqlRefusal};

fn shown(message: &str, text: &str) -> String {
    let place = Some(SqlPlace { line: 2, column: 7, text: text.to_owned() });
    SqlRefusal { message: message.to_owned(), place }.to_string()
}

#[test]
fn a_refusal_names_what_stands_at_its_place_once() {
    assert_eq!(SqlRefusal::new("no INSERT").to_string(), "no INSERT");
    assert_eq!(shown("a comma is missing", "FRM"), "a comma is missing, at `FRM` (line 2, column 7)");
    assert_eq!(shown("`FRM` is not expected", "FRM"), "`FRM` is not expected (line 2, column 7)");
    assert_eq!(shown("the SQL ends too early", " "), "the SQL ends too early (line 2, column 7)");
    assert_eq!(shown("no", "a\n   + b"), "no, at `a + b` (line 2, column 7)");
    let long = "é".repeat(100);
    assert_eq!(shown("no", &long), format!("no, at `{}` (line 2, column 7)", "é".repeat(60)));
}
