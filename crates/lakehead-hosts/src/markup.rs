//! Text in XML and HTML.

/// Escapes what has a meaning in XML and HTML, between tags and in quoted attributes. Characters XML cannot hold become
/// U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // As references: a parser would make other characters of them.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_of_the_text_is_markup() {
        assert_eq!(
            super::escape("<a href=\"x\">'&\0\r\n"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}&#13;\n"
        );
    }
}
