//! How the rows of a new table are laid out, as a person writes it.
//!
//! ```text
//!   partition_by   day(__ingest_ts)   hour(at)   month(at)   year(at)   bucket(16, user_id)   truncate(4, name)   country
//!   sort_by        at   at desc   user_id asc nulls last   bucket(16, user_id) desc
//! ```

use iceberg::spec::{
    NullOrder, Schema, SortDirection, SortField, SortOrder, Transform, UnboundPartitionSpec,
};

use crate::{CatalogError, CatalogErrorKind};

/// Fields that a table is partitioned or sorted by at most.
const FIELDS_MAX: usize = 8;

/// A checked layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// `None`: by the day of `__ingest_ts`. Empty: no partitions.
    partition_by: Option<Vec<Term>>,
    sort_by: Vec<(Term, SortDirection, NullOrder)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    transform: Transform,
    column: String,
}

impl Layout {
    /// Reads what stands in a sink's `partition_by` and `sort_by`.
    ///
    /// # Errors
    /// The name of the list, and what is wrong with which of its texts.
    pub fn parse(
        partition_by: Option<&[String]>,
        sort_by: &[String],
    ) -> Result<Layout, (&'static str, String)> {
        let of = |list: &'static str| move |why: String| (list, why);
        let partition_by = partition_by
            .map(|texts| {
                check_count(texts)?;
                texts.iter().map(|text| term(text.trim(), text)).collect::<Result<Vec<_>, _>>()
            })
            .transpose()
            .map_err(of("partition_by"))?;
        check_count(sort_by).map_err(of("sort_by"))?;
        let sort_by =
            sort_by.iter().map(|text| sorting(text)).collect::<Result<_, _>>().map_err(of("sort_by"))?;
        Ok(Layout { partition_by, sort_by })
    }

    /// The columns that it names, each once or more.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let partitions = self.partition_by.iter().flatten().map(|term| term.column.as_str());
        partitions.chain(self.sort_by.iter().map(|(term, ..)| term.column.as_str()))
    }

    /// The partition spec of a table with this schema; `None` for the default.
    ///
    /// # Errors
    /// `Refused`, naming the field that the schema does not allow.
    pub(crate) fn spec(&self, schema: &Schema) -> Result<Option<UnboundPartitionSpec>, CatalogError> {
        let Some(terms) = &self.partition_by else { return Ok(None) };
        let mut spec = UnboundPartitionSpec::builder();
        for term in terms {
            let field = spec.add_partition_field(term.source(schema)?, term.name(), term.transform);
            spec = field.map_err(|e| refused(format!("partition_by: {e}")))?;
        }
        let spec = spec.build();
        let bound = spec.clone().bind(schema.clone());
        bound.map_err(|e| refused(format!("partition_by: {e}")))?;
        Ok(Some(spec))
    }

    /// The sort order of a table with this schema; `None` if there is none.
    ///
    /// # Errors
    /// As [`Layout::spec`].
    pub(crate) fn order(&self, schema: &Schema) -> Result<Option<SortOrder>, CatalogError> {
        if self.sort_by.is_empty() {
            return Ok(None);
        }
        let fields = self.sort_by.iter().map(|(term, direction, null_order)| {
            let source_id = term.source(schema)?;
            let field = SortField {
                source_id,
                transform: term.transform,
                direction: *direction,
                null_order: *null_order,
            };
            Ok(field)
        });
        let fields = fields.collect::<Result<Vec<_>, CatalogError>>()?;
        let order = SortOrder::builder().with_order_id(1).with_fields(fields).build(schema);
        order.map(Some).map_err(|e| refused(format!("sort_by: {e}")))
    }
}

impl Term {
    fn source(&self, schema: &Schema) -> Result<i32, CatalogError> {
        let id = schema.field_id_by_name(&self.column);
        id.ok_or_else(|| refused(format!("the table has no column {:?} to be laid out by", self.column)))
    }

    /// The name of the partition field.
    fn name(&self) -> String {
        let ending = match self.transform {
            Transform::Year => "year",
            Transform::Month => "month",
            Transform::Day => "day",
            Transform::Hour => "hour",
            Transform::Bucket(_) => "bucket",
            Transform::Truncate(_) => "trunc",
            _ => return self.column.clone(),
        };
        format!("{}_{ending}", self.column)
    }
}

fn check_count(texts: &[String]) -> Result<(), String> {
    match texts.len() {
        0..=FIELDS_MAX => Ok(()),
        n => Err(format!("has {n} fields; the limit is {FIELDS_MAX}")),
    }
}

/// `column`, `transform(column)` or `transform(number, column)`; `whole`: for messages.
fn term(text: &str, whole: &str) -> Result<Term, String> {
    let wrong = || {
        format!(
            "holds {whole:?}; a column, year(column), month(column), day(column), hour(column), bucket(16, column) or truncate(4, \
             column) is needed"
        )
    };
    let plain = |column: &str| {
        let column = column.trim();
        let is_plain =
            !column.is_empty() && !column.contains(['(', ')', ',']) && !column.contains(char::is_whitespace);
        is_plain.then(|| column.to_owned()).ok_or_else(wrong)
    };
    let Some((transform, inner)) = text.split_once('(') else {
        return Ok(Term { transform: Transform::Identity, column: plain(text)? });
    };
    let inner = inner.strip_suffix(')').ok_or_else(wrong)?;
    let transform = transform.trim().to_ascii_lowercase();
    let number = |inner: &str| {
        let (number, column) = inner.split_once(',').ok_or_else(wrong)?;
        let number = number.trim().parse::<u32>().ok().filter(|n| (1..=1_000_000).contains(n));
        Ok::<_, String>((number.ok_or_else(wrong)?, plain(column)?))
    };
    let (transform, column) = match transform.as_str() {
        "identity" => (Transform::Identity, plain(inner)?),
        "year" => (Transform::Year, plain(inner)?),
        "month" => (Transform::Month, plain(inner)?),
        "day" => (Transform::Day, plain(inner)?),
        "hour" => (Transform::Hour, plain(inner)?),
        "bucket" => number(inner).map(|(n, column)| (Transform::Bucket(n), column))?,
        "truncate" => number(inner).map(|(n, column)| (Transform::Truncate(n), column))?,
        _ => return Err(wrong()),
    };
    Ok(Term { transform, column })
}

/// A term, then `asc` or `desc`, then `nulls first` or `nulls last`. Without: ascending, and NULLs first when ascending.
fn sorting(text: &str) -> Result<(Term, SortDirection, NullOrder), String> {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.trim_end();
    let mut take = |ending: &str| match rest.strip_suffix(ending) {
        Some(before) if before.ends_with(char::is_whitespace) => {
            rest = before.trim_end();
            true
        }
        _ => false,
    };
    let nulls = if take("nulls first") {
        Some(NullOrder::First)
    } else {
        take("nulls last").then_some(NullOrder::Last)
    };
    let direction = if take("desc") {
        SortDirection::Descending
    } else {
        take("asc");
        SortDirection::Ascending
    };
    let length = rest.len();
    let nulls = nulls.unwrap_or(match direction {
        SortDirection::Ascending => NullOrder::First,
        SortDirection::Descending => NullOrder::Last,
    });
    Ok((term(text[..length].trim(), text)?, direction, nulls))
}

fn refused(text: String) -> CatalogError {
    CatalogError::new(CatalogErrorKind::Refused, text)
}

#[cfg(test)]
mod tests;
