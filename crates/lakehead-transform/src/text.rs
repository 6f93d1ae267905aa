//! The text of the SQL by its tokens: where something stands, and how it is written there.
//!
//! The parser's spans are those of the names and literals inside an expression. [`Text::of`] widens them to the parentheses,
//! keywords and types around them, so that what is shown to a user can be read.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{CastKind, Expr, Ident, Spanned, visit_expressions};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::{Place, Refusal};

/// Characters of the SQL that a place repeats.
const SHOWN_CHARS_MAX: usize = 200;

pub(crate) struct Text<'a> {
    sql: &'a str,
    /// Without white space and comments.
    tokens: Vec<TokenWithSpan>,
    /// Where lines begin, in bytes.
    lines: Vec<usize>,
}

/// Indexes of the first and the last token.
type Range = (usize, usize);

impl<'a> Text<'a> {
    pub(crate) fn new(sql: &'a str, tokens: &[TokenWithSpan]) -> Self {
        let ends = sql.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Text {
            sql,
            tokens: tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).cloned().collect(),
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// A refusal of what stands at `span`.
    pub(crate) fn refuse(&self, span: Span, message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), place: self.place_of(span) }
    }

    pub(crate) fn place_of(&self, span: Span) -> Option<Place> {
        self.range(span).map(|range| self.place(self.balanced(range)))
    }

    /// A refusal of a name. The parser does not keep the place of every name.
    pub(crate) fn refuse_name(&self, name: &Ident, message: impl Into<String>) -> Refusal {
        let is_it = |t: &&TokenWithSpan| match &t.token {
            Token::Word(word) => word.value == name.value,
            Token::SingleQuotedString(text) => *text == name.value,
            _ => false,
        };
        let known = Some(name.span).filter(|span| span.start.line > 0);
        let span = known.or_else(|| self.tokens.iter().find(is_it).map(|t| t.span));
        self.refuse(span.unwrap_or(name.span), message)
    }

    /// A refusal of an expression.
    pub(crate) fn refuse_expr(&self, expr: &Expr, message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), place: self.of(expr).map(|range| self.place(range)) }
    }

    /// A refusal of the token at `location`, or of the end of the text.
    pub(crate) fn refuse_at(&self, location: Option<Location>, message: impl Into<String>) -> Refusal {
        let message = message.into();
        let token = location.and_then(|l| self.tokens.iter().position(|t| t.span.start >= l));
        // The parser says what it found, but sometimes gives the place of what follows.
        let found = message.rsplit_once("found: ").map(|(_, found)| found);
        let is_found = |i: usize| Some(self.tokens[i].token.to_string().as_str()) == found;
        let token = token.map(|i| if i > 0 && !is_found(i) && is_found(i - 1) { i - 1 } else { i });
        let place = match token {
            Some(token) => self.place((token, token)),
            None => {
                let line = self.lines.len();
                let column = self.sql[self.lines[line - 1]..].chars().count() + 1;
                Place { line: line as u64, column: column as u64, text: String::new() }
            }
        };
        Refusal { message, place: Some(place) }
    }

    /// A refusal of characters that make no token.
    pub(crate) fn refuse_location(&self, location: Location, message: impl Into<String>) -> Refusal {
        const SHOWN: usize = 20;
        let rest = self.sql[self.byte(location)..].lines().next().unwrap_or_default();
        let text = rest.chars().take(SHOWN).collect();
        Refusal {
            message: message.into(),
            place: Some(Place { line: location.line, column: location.column, text }),
        }
    }

    /// The first token from `from` on that is this word.
    pub(crate) fn word_from(&self, word: &str, from: Span) -> Span {
        let is_it = |t: &&TokenWithSpan| t.span.start >= from.start && is_word(t, word);
        self.tokens.iter().find(is_it).map_or(from, |t| t.span)
    }

    /// The last token up to the beginning of `before` that is this word; if nothing is known of the place, the first.
    pub(crate) fn word_before(&self, word: &str, before: Span) -> Span {
        if before.start.line == 0 {
            return self.word_from(word, before);
        }
        let is_it = |t: &&TokenWithSpan| t.span.start <= before.start && is_word(t, word);
        self.tokens.iter().rev().find(is_it).map_or(before, |t| t.span)
    }

    /// The token in the midst of the most brackets, for a text that is nested too deep.
    pub(crate) fn deepest(&self) -> Option<Location> {
        let mut depth = 0_usize;
        let deepest = self.tokens.iter().map(|token| {
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth, std::cmp::Reverse(token.span.start))
        });
        // What is deep without brackets, such as `NOT NOT …`, has no such token.
        const DEEP: usize = 16;
        deepest.max().filter(|(depth, _)| *depth >= DEEP).map(|(_, start)| start.0)
    }

    /// Where the keyword stands between the tokens of `from` and `to`.
    pub(crate) fn keyword(&self, keyword: Keyword, from: Span) -> Span {
        let is_it = |t: &&TokenWithSpan| matches!(&t.token, Token::Word(w) if w.keyword == keyword);
        self.tokens.iter().filter(|t| t.span.start >= from.start).find(is_it).map_or(from, |t| t.span)
    }

    /// Where the expression is written, with the words and brackets around it.
    pub(crate) fn span(&self, expr: &Expr) -> Span {
        let whole =
            |(first, last): Range| Span::new(self.tokens[first].span.start, self.tokens[last].span.end);
        self.of(expr).map_or_else(Span::empty, whole)
    }

    /// How the expression is written.
    pub(crate) fn written(&self, expr: &Expr) -> Option<String> {
        self.of(expr).map(|range| self.place(range).text)
    }

    fn place(&self, (first, last): Range) -> Place {
        let start = self.tokens[first].span.start;
        let (from, to) = (self.byte(start), self.byte(self.tokens[last].span.end));
        let written = self.sql.get(from..to).unwrap_or_default();
        let mut text: String = written.chars().take(SHOWN_CHARS_MAX).collect();
        if text.len() < written.len() {
            text.push('…');
        }
        Place { line: start.line, column: start.column, text }
    }

    fn byte(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(1).max(1) - 1;
        let Some(start) = self.lines.get(line).copied() else { return self.sql.len() };
        let before = usize::try_from(location.column).unwrap_or(1).max(1) - 1;
        let chars = self.sql[start..].char_indices().map(|(i, _)| start + i);
        chars.chain([self.sql.len()]).nth(before).unwrap_or(self.sql.len())
    }

    fn range(&self, span: Span) -> Option<Range> {
        if span.start.line == 0 {
            return None;
        }
        let first = self.tokens.partition_point(|t| t.span.start < span.start);
        let last = self.tokens.partition_point(|t| t.span.start < span.end).checked_sub(1)?;
        (first < self.tokens.len()).then(|| (first, last.max(first)))
    }

    fn of(&self, expr: &Expr) -> Option<Range> {
        let range = self.range(span_of(expr))?;
        let range = self.with_own_words(expr, range);
        Some(self.balanced(range))
    }

    /// The keywords and brackets that belong to the expression and not to the expressions in it.
    fn with_own_words(&self, expr: &Expr, (first, last): Range) -> Range {
        let (leftmost, rightmost) = (leftmost(expr), rightmost(expr));
        let first = match leftmost {
            Expr::UnaryOp { expr: inner, .. } => self.of(inner).map_or(first, |r| r.0).saturating_sub(1),
            Expr::Struct { .. } => self.left_to(first, |t| is_keyword(t, &[Keyword::STRUCT])),
            Expr::Interval(_) | Expr::TypedString(_) | Expr::Nested(_) => first.saturating_sub(1),
            Expr::Cast { kind: CastKind::Cast | CastKind::TryCast | CastKind::SafeCast, .. } => self
                .left_to(first, |t| is_keyword(t, &[Keyword::CAST, Keyword::TRY_CAST, Keyword::SAFE_CAST])),
            Expr::Extract { .. } => self.left_to(first, |t| is_keyword(t, &[Keyword::EXTRACT])),
            Expr::Trim { .. } => self.left_to(first, |t| is_keyword(t, &[Keyword::TRIM])),
            Expr::Position { .. }
            | Expr::Overlay { .. }
            | Expr::Substring { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. } => {
                self.left_to(first, |t| matches!(t.token, Token::LParen)).saturating_sub(1)
            }
            Expr::Array(array) => first.saturating_sub(1 + usize::from(array.named)),
            _ => first,
        };
        let last = match rightmost {
            Expr::Cast { kind: CastKind::DoubleColon, .. } => self.type_end(last),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_) => self.right_to(last, |t| {
                is_keyword(t, &[Keyword::NULL, Keyword::TRUE, Keyword::FALSE, Keyword::UNKNOWN])
            }),
            Expr::Function(_) if matches!(self.token(last + 1), Some(Token::LParen)) => last + 1,
            _ => last,
        };
        (first, last)
    }

    fn token(&self, index: usize) -> Option<&Token> {
        self.tokens.get(index).map(|t| &t.token)
    }

    /// The nearest token to the left that is wanted, within a few tokens.
    fn left_to(&self, from: usize, wanted: impl Fn(&TokenWithSpan) -> bool) -> usize {
        (from.saturating_sub(8)..=from).rev().find(|i| wanted(&self.tokens[*i])).unwrap_or(from)
    }

    fn right_to(&self, from: usize, wanted: impl Fn(&TokenWithSpan) -> bool) -> usize {
        (from + 1..self.tokens.len().min(from + 6)).find(|i| wanted(&self.tokens[*i])).unwrap_or(from)
    }

    /// The end of `:: type`, looked for behind `from`.
    fn type_end(&self, from: usize) -> usize {
        let colons = self.right_to(from, |t| matches!(t.token, Token::DoubleColon));
        if colons == from {
            return from;
        }
        // A word, and lengths or brackets right behind it.
        let mut end = colons + 1;
        while let Some(Token::LBracket | Token::LParen) = self.token(end + 1) {
            let is_end = |t: &TokenWithSpan| matches!(t.token, Token::RBracket | Token::RParen);
            end = self.right_to(end + 1, is_end);
        }
        end.min(self.tokens.len() - 1)
    }

    /// Widened until every bracket in it has its counterpart, and a call its name.
    fn balanced(&self, (mut first, mut last): Range) -> Range {
        let (mut open, mut missing) = (0_usize, 0_usize);
        for token in &self.tokens[first..=last] {
            match token.token {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket if open > 0 => open -= 1,
                Token::RParen | Token::RBracket => missing += 1,
                _ => {}
            }
        }
        while open > 0 && last + 1 < self.tokens.len() {
            last += 1;
            match self.tokens[last].token {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket => open -= 1,
                _ => {}
            }
        }
        while missing > 0 && first > 0 {
            first -= 1;
            match self.tokens[first].token {
                Token::RParen | Token::RBracket => missing += 1,
                Token::LParen | Token::LBracket => missing -= 1,
                _ => {}
            }
            if missing == 0 && first > 0 {
                let calls = matches!(&self.tokens[first - 1].token, Token::Word(w) if is_call(w.keyword));
                first -= usize::from(calls);
            }
        }
        (first, last)
    }
}

fn is_call(keyword: Keyword) -> bool {
    !matches!(
        keyword,
        Keyword::SELECT
            | Keyword::WHERE
            | Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IN
            | Keyword::AS
            | Keyword::THEN
            | Keyword::WHEN
            | Keyword::ELSE
            | Keyword::BETWEEN
            | Keyword::LIKE
    )
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word))
}

fn is_keyword(token: &TokenWithSpan, keywords: &[Keyword]) -> bool {
    matches!(&token.token, Token::Word(word) if keywords.contains(&word.keyword))
}

/// What the parser knows of an expression's place, or of the places of what is in it.
fn span_of(expr: &Expr) -> Span {
    let own = expr.span();
    if own.start.line > 0 {
        return own;
    }
    let mut all = Span::empty();
    let _ = visit_expressions(expr, |e| {
        all = all.union(&e.span());
        ControlFlow::<()>::Continue(())
    });
    all
}

/// The expression whose words come first.
fn leftmost(expr: &Expr) -> &Expr {
    match expr {
        Expr::BinaryOp { left, .. } => leftmost(left),
        Expr::Cast { kind: CastKind::DoubleColon, expr, .. }
        | Expr::IsNull(expr)
        | Expr::IsNotNull(expr)
        | Expr::Like { expr, .. }
        | Expr::ILike { expr, .. }
        | Expr::Between { expr, .. }
        | Expr::InList { expr, .. } => leftmost(expr),
        other => other,
    }
}

/// The expression whose words come last.
fn rightmost(expr: &Expr) -> &Expr {
    match expr {
        Expr::BinaryOp { right, .. } => rightmost(right),
        Expr::UnaryOp { expr, .. } => rightmost(expr),
        Expr::Between { high, .. } => rightmost(high),
        other => other,
    }
}
