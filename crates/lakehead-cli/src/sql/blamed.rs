//! What the server blames in SQL, shown in its line.

use crate::Error;
use crate::error::Place;

/// Characters of the line that are shown: as many before the place as fit, then what follows.
const SHOWN_CHARS_MAX: usize = 100;
/// Of these, before the place.
const BEFORE_CHARS_MAX: usize = 60;

/// The error, and below it the line of `sql` with carets under what is meant, if the server says where.
pub(super) fn with_line(error: Error, sql: &str) -> Error {
    let Some(place) = error.place() else { return error };
    match marked(sql, place) {
        Some(marked) => Error::new(format!("{error}\n\n{marked}")),
        None => error,
    }
}

fn marked(sql: &str, place: &Place) -> Option<String> {
    let line: Vec<char> = sql.split('\n').nth(place.line.checked_sub(1)?)?.trim_end().chars().collect();
    // One behind the last character: something is missing there.
    let column = place.column.checked_sub(1)?.min(line.len());
    let first = column.saturating_sub(BEFORE_CHARS_MAX);
    let end = line.len().min(first + SHOWN_CHARS_MAX);
    // A character of the line is one character here, so that the carets stand where they should.
    let visible = |c: &char| if c.is_control() { ' ' } else { *c };
    let before = if first > 0 { "…" } else { "" };
    let behind = if end < line.len() { "…" } else { "" };
    let shown: String = line.get(first..end)?.iter().map(visible).collect();
    let carets = place.length.clamp(1, (end - column).max(1));
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(before.chars().count() + column - first);
    Some(format!("{number} | {before}{shown}{behind}\n{margin} | {indent}{}", "^".repeat(carets)))
}

#[cfg(test)]
mod tests;
