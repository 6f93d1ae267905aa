//! The SQL that pipelines are written in: PostgreSQL's lexical rules and precedences, and a few spellings it has not.

use std::any::TypeId;

use datafusion_sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};

/// Passes on to PostgreSQL's dialect what concerns SELECT and expressions; what only other statements need is left off.
#[derive(Debug, Default)]
pub(crate) struct PipelineDialect {
    base: PostgreSqlDialect,
}

impl Dialect for PipelineDialect {
    /// The parser asks for this where it treats PostgreSQL apart.
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.base.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.base.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.base.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.base.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.base.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        // The parser reads a form that is wrong once more, as a name or call, unless its word is reserved. Nested forms would take
        // twice the time with each level.
        const FORMS: &[Keyword] = &[
            Keyword::CASE,
            Keyword::CAST,
            Keyword::EXISTS,
            Keyword::EXTRACT,
            Keyword::NOT,
            Keyword::SAFE_CAST,
            Keyword::TRY_CAST,
        ];
        FORMS.contains(&keyword) || self.base.is_reserved_for_identifier(keyword)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.base.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.base.prec_value(precedence)
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    /// The tokenizer knows `?` by this.
    fn supports_geometric_types(&self) -> bool {
        true
    }

    /// Parsed so that it can be refused by its name.
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    /// Parsed so that it can be refused by its name.
    fn supports_group_by_expr(&self) -> bool {
        true
    }

    /// `struct(1, 2)` and `STRUCT<a INT, b TEXT>`, which PostgreSQL has not.
    fn supports_struct_literal(&self) -> bool {
        true
    }

    /// `* EXCEPT (a, b)`, which PostgreSQL has not.
    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    /// `* EXCLUDE (a, b)`, which PostgreSQL has not.
    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }
}
