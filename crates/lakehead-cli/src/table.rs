//! Rows for a person to read.

use crate::error::printable;

/// Two spaces between columns, each as wide as its longest cell; nothing after the last one.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let rows: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    aligned(&rows)
}

/// As [`table`] with any number of columns, in lines of at most `width` characters: longer cells are cut, and of more columns
/// than fit the last ones are left out. Returns the text and how many columns it has.
pub(crate) fn bounded(rows: &[Vec<String>], width: usize) -> (String, usize) {
    let cut = |cell: &String| shortened(&one_line(cell), CELL_CHARS_MAX.min(width));
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cut).collect()).collect();
    let (widths, mut used) = (widths(&rows), 0);
    let fitting = widths.iter().take_while(|column| {
        used += **column + if used == 0 { 0 } else { GAP.len() };
        used <= width
    });
    let shown = fitting.count();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().take(shown).collect()).collect();
    (aligned(&rows), shown)
}

const GAP: &str = "  ";
/// Of a cell of [`bounded`].
const CELL_CHARS_MAX: usize = 40;

fn one_line(cell: &str) -> String {
    printable(cell).replace('\n', " ")
}

/// At most so many characters, the last of which says that there were more.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn aligned(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
