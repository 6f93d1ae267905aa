//! What FROM reads, and what names in expressions over it mean.
//!
//! Names are looked up here, before DataFusion sees them: as they are written, then in lower case, then without case if that
//! is unambiguous. So `userId` finds a field `userId` without quotes, and whatever is not found is refused with its place.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion_common::{Column, DFSchema, DFSchemaRef, TableReference};
use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Function, Ident, Subscript, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::tokenizer::Span;

use crate::Refusal;
use crate::data_type::sql_name;
use crate::suggest::{hint, short};
use crate::text::Text;

/// The rows that a SELECT reads.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// By which its columns may be qualified.
    pub(crate) alias: String,
    /// Names are unique.
    pub(crate) columns: Vec<FieldRef>,
    /// How many of the last columns `*` does not stand for.
    pub(crate) hidden: usize,
}

impl Relation {
    /// For DataFusion: all columns, or those of `kept` indexes.
    pub(crate) fn schema(&self, kept: Option<&[usize]>) -> Result<DFSchemaRef, Refusal> {
        let fields: Vec<FieldRef> = match kept {
            None => self.columns.clone(),
            Some(kept) => kept.iter().map(|i| Arc::clone(&self.columns[*i])).collect(),
        };
        let schema = DFSchema::try_from_qualified_schema(self.table(), &Schema::new(fields))?;
        Ok(Arc::new(schema))
    }

    pub(crate) fn column(&self, index: usize) -> datafusion_expr::Expr {
        datafusion_expr::Expr::Column(Column::new(Some(self.table()), self.columns[index].name()))
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|f| f.name() == name)
    }

    fn table(&self) -> TableReference {
        TableReference::bare(self.alias.clone())
    }

    /// Those that `*` stands for.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &str> {
        self.columns[..self.columns.len() - self.hidden].iter().map(|f| f.name().as_str())
    }

    pub(crate) fn is_called(&self, name: &Ident) -> bool {
        self.alias == name.value
            || (name.quote_style.is_none() && self.alias.eq_ignore_ascii_case(&name.value))
    }

    pub(crate) fn find(&self, name: &Ident) -> Option<usize> {
        find(&self.columns, name)
    }

    /// Why there is no such column.
    pub(crate) fn unknown(&self, name: &Ident, text: &Text<'_>) -> Refusal {
        let what = format!("there is no column `{}` in `{}`", short(&name.value), short(&self.alias));
        let quotes = if name.quote_style.is_some() {
            " (strings are written in single quotes, 'like this')"
        } else {
            ""
        };
        text.refuse_name(name, format!("{what}{quotes}{}", hint(&name.value, self.visible())))
    }
}

/// The field of that name.
fn find(fields: &[FieldRef], name: &Ident) -> Option<usize> {
    let exact = |wanted: &str| fields.iter().position(|f| f.name() == wanted);
    if name.quote_style.is_some() {
        return exact(&name.value);
    }
    exact(&name.value).or_else(|| exact(&name.value.to_lowercase())).or_else(|| {
        let mut all = fields.iter().enumerate().filter(|(_, f)| f.name().eq_ignore_ascii_case(&name.value));
        all.next().filter(|_| all.next().is_none()).map(|(i, _)| i)
    })
}

/// Replaces the names in an expression by the exact, quoted names of columns and struct fields, and checks calls.
pub(crate) struct Resolver<'a> {
    pub(crate) relation: &'a Relation,
    pub(crate) text: &'a Text<'a>,
    /// Whether there is a function of that name, and the refusal if not.
    pub(crate) check_call: &'a dyn Fn(&Function) -> Result<(), Refusal>,
    /// The type of an expression whose names are resolved; None if it cannot be planned.
    pub(crate) type_of: &'a dyn Fn(&Expr) -> Option<DataType>,
}

impl Resolver<'_> {
    pub(crate) fn resolve(mut self, expr: &mut Expr) -> Result<(), Refusal> {
        match VisitMut::visit(expr, &mut self) {
            ControlFlow::Break(refusal) => Err(refusal),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn names(&self, names: &[Ident]) -> Result<Expr, Refusal> {
        let [first, rest @ ..] = names else { return Err(Refusal::new("a name is missing")) };
        if let [second, path @ ..] = rest
            && self.relation.is_called(first)
        {
            if let Some(index) = self.relation.find(second) {
                return self.path(index, names[..2].iter(), path);
            }
            if self.relation.find(first).is_none() {
                return Err(self.relation.unknown(second, self.text));
            }
        }
        match self.relation.find(first) {
            Some(index) => self.path(index, names[..1].iter(), rest),
            None if rest.is_empty() => Err(self.relation.unknown(first, self.text)),
            None => {
                let known = [self.relation.alias.as_str()].into_iter().chain(self.relation.visible());
                let message = format!(
                    "`{}` is neither a column nor what FROM reads{}",
                    short(&first.value),
                    hint(&first.value, known)
                );
                Err(self.text.refuse(first.span, message))
            }
        }
    }

    /// A column and the struct fields below it.
    fn path<'i>(
        &self,
        column: usize,
        written: impl Iterator<Item = &'i Ident>,
        path: &[Ident],
    ) -> Result<Expr, Refusal> {
        let field = &self.relation.columns[column];
        let span = written.map(|i| i.span).reduce(|a, b| a.union(&b)).unwrap_or(Span::empty());
        let root =
            Expr::CompoundIdentifier(vec![quoted(&self.relation.alias, span), quoted(field.name(), span)]);
        if path.is_empty() {
            return Ok(root);
        }
        let mut data_type = field.data_type().clone();
        let mut above = field.name().clone();
        let mut chain = Vec::with_capacity(path.len());
        for name in path {
            let inner = self.field(&data_type, name, &above)?;
            chain.push(subscript(inner.name(), name.span));
            above = inner.name().clone();
            data_type = inner.data_type().clone();
        }
        Ok(Expr::CompoundFieldAccess { root: Box::new(root), access_chain: chain })
    }

    fn field(&self, data_type: &DataType, name: &Ident, above: &str) -> Result<FieldRef, Refusal> {
        let DataType::Struct(fields) = data_type else {
            let message =
                format!("`{}` has no fields: it is {}, not a STRUCT", short(above), sql_name(data_type));
            return Err(self.text.refuse(name.span, message));
        };
        find(fields, name).map(|i| Arc::clone(&fields[i])).ok_or_else(|| {
            let known = fields.iter().map(|f| f.name().as_str());
            let message = format!(
                "there is no field `{}` in `{}`{}",
                short(&name.value),
                short(above),
                hint(&name.value, known)
            );
            self.text.refuse(name.span, message)
        })
    }

    /// The fields in `root[…].name['name']`, now that the types before them can be known.
    fn chain(&self, root: &Expr, chain: &mut [AccessExpr]) -> Result<(), Refusal> {
        for i in 0..chain.len() {
            let Some((name, span)) = field_name(&chain[i]) else { continue };
            let before = match i {
                0 => root.clone(),
                _ => Expr::CompoundFieldAccess {
                    root: Box::new(root.clone()),
                    access_chain: chain[..i].to_vec(),
                },
            };
            let Some(data_type) = (self.type_of)(&before) else { return Ok(()) };
            let name = Ident { value: name, quote_style: None, span };
            if matches!(data_type, DataType::Map(..)) {
                continue;
            }
            let above = self.text.written(root).unwrap_or_else(|| "this".into());
            let found = self.field(&data_type, &name, &above)?;
            chain[i] = subscript(found.name(), span);
        }
        Ok(())
    }
}

impl VisitorMut for Resolver<'_> {
    type Break = Refusal;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        let resolved = match expr {
            Expr::Identifier(name) => self.names(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(names) => self.names(names),
            Expr::CompoundFieldAccess { root, access_chain } => {
                // The names after dots are not columns: out of the way of this visit.
                let dots = access_chain
                    .iter()
                    .take_while(|a| matches!(a, AccessExpr::Dot(Expr::Identifier(_))))
                    .count();
                if let (Expr::Identifier(first), 1..) = (root.as_ref(), dots) {
                    let mut names = vec![first.clone()];
                    names.extend(access_chain.drain(..dots).filter_map(|a| match a {
                        AccessExpr::Dot(Expr::Identifier(name)) => Some(name),
                        _ => None,
                    }));
                    **root = Expr::CompoundIdentifier(names);
                }
                for access in access_chain.iter_mut() {
                    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
                        *access = subscript(&name.value, name.span);
                    }
                }
                return ControlFlow::Continue(());
            }
            Expr::Function(function) => {
                return (self.check_call)(function).map_or_else(ControlFlow::Break, ControlFlow::Continue);
            }
            // `1_000`, which DataFusion does not read.
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
                digits.retain(|c| c != '_');
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        match resolved {
            Ok(resolved) => {
                *expr = resolved;
                ControlFlow::Continue(())
            }
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Refusal> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return ControlFlow::Continue(()) };
        if access_chain.is_empty() {
            *expr = std::mem::replace(root, Expr::Value(Value::Null.with_empty_span()));
            return ControlFlow::Continue(());
        }
        self.chain(root, access_chain).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

/// The name in `['name']`.
fn field_name(access: &AccessExpr) -> Option<(String, Span)> {
    match access {
        AccessExpr::Subscript(Subscript::Index {
            index: Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), span }),
        }) => Some((name.clone(), *span)),
        _ => None,
    }
}

fn subscript(name: &str, span: Span) -> AccessExpr {
    let value = Value::SingleQuotedString(name.to_owned());
    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(ValueWithSpan { value, span }) })
}

fn quoted(name: &str, span: Span) -> Ident {
    Ident { value: name.to_owned(), quote_style: Some('"'), span }
}
