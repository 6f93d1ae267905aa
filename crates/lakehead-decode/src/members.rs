//! The members of an object: a struct column under construction, and at the outermost level the record.
//!
//! Of duplicate keys the last one counts: what the earlier one left, value or fault, is dropped when the key comes again.

use lakehead_model::schema::Field;

use crate::column::Column;
use crate::json_text;
use crate::order::Order;
use crate::reject::{Fault, Read, Reason, Reject, syntax, unfit};
use crate::scan::{byte, skip_white, starts_with};

#[derive(Debug)]
pub(crate) struct Members {
    fields: Vec<Member>,
    order: Order,
    /// One bit a field: met in the object being read.
    seen: Vec<u64>,
    /// Fields whose last value does not fit, with why.
    bad: Vec<(usize, Reject)>,
    rows: usize,
    /// Whether there are lists inside whose elements must be counted.
    limited: bool,
}

#[derive(Debug)]
struct Member {
    name: String,
    column: Column,
}

impl Members {
    /// `build` says of each field, by index, whether its values are kept.
    pub(crate) fn new(fields: &[Field], build: impl Fn(usize) -> bool) -> Self {
        let members: Vec<Member> = fields
            .iter()
            .enumerate()
            .map(|(i, field)| Member { name: field.name.clone(), column: Column::new(field, build(i)) })
            .collect();
        let seen = vec![0; members.len().div_ceil(64)];
        let limited = members.iter().any(|member| member.column.is_limited());
        let order = Order::new(fields.iter().map(|field| field.name.as_str()));
        Members { fields: members, order, seen, bad: Vec::new(), rows: 0, limited }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&mut self) -> impl Iterator<Item = &mut Column> {
        self.fields.iter_mut().map(|m| &mut m.column)
    }

    pub(crate) fn width(&self) -> usize {
        self.fields.iter().map(|member| member.column.width()).sum()
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    #[inline]
    pub(crate) fn begin_record(&mut self) {
        if self.limited {
            self.columns().for_each(Column::begin_record);
        }
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.columns().for_each(|c| c.truncate(rows));
    }

    pub(crate) fn push_null(&mut self) {
        self.rows += 1;
        self.columns().for_each(Column::push_null);
    }

    /// Reads an object whose content starts at `pos`.
    pub(crate) fn read(&mut self, input: &[u8], pos: usize, build: bool) -> Read {
        self.seen.fill(0);
        self.bad.clear();
        let mut pos = skip_white(input, pos);
        if byte(input, pos) == b'}' {
            pos += 1;
        } else {
            let mut guess = 0;
            loop {
                let (field, behind) = self.order.read(input, pos, &mut guess)?;
                pos = skip_white(input, behind);
                pos = match field {
                    Some(field) => self.value(field, input, pos)?,
                    None => json_text::skip(input, pos)?,
                };
                if starts_with(input, pos, b",\"") {
                    pos += 1;
                    continue;
                }
                pos = skip_white(input, pos);
                match byte(input, pos) {
                    b',' => pos = skip_white(input, pos + 1),
                    b'}' => break,
                    _ => return Err(syntax(pos)),
                }
            }
            pos += 1;
        }
        self.order.end_object();
        self.finish_object()?;
        if build {
            self.rows += 1;
        }
        Ok(pos)
    }

    /// Reads the value of a field; of one that does not fit, notes why and skips it.
    #[inline(always)]
    fn value(&mut self, field: usize, input: &[u8], pos: usize) -> Read {
        let (word, bit) = (field / 64, 1 << (field % 64));
        if self.seen[word] & bit != 0 {
            self.forget(field);
        }
        self.seen[word] |= bit;
        match self.fields[field].column.read(input, pos) {
            Ok(behind) => Ok(behind),
            Err(fault) => self.note(field, *fault, input, pos),
        }
    }

    /// Drops what an earlier value under the same key left.
    #[cold]
    fn forget(&mut self, field: usize) {
        self.fields[field].column.truncate(self.rows);
        self.bad.retain(|(bad, _)| *bad != field);
    }

    #[cold]
    fn note(&mut self, field: usize, fault: Fault, input: &[u8], pos: usize) -> Read {
        match fault {
            Fault::Syntax { .. } => Err(Box::new(fault)),
            Fault::Unfit(mut reject) => {
                reject.within(&self.fields[field].name);
                self.bad.push((field, reject));
                json_text::skip(input, pos)
            }
        }
    }

    /// Fills what the object did not have, or refuses it. Of several faults the first in the schema's order is told.
    #[inline(always)]
    fn finish_object(&mut self) -> Result<(), Box<Fault>> {
        for (word, seen) in self.seen.iter().enumerate() {
            let fields = (self.fields.len() - word * 64).min(64);
            let mut missing = !seen & (u64::MAX >> (64 - fields));
            while missing != 0 {
                let field = word * 64 + missing.trailing_zeros() as usize;
                missing &= missing - 1;
                let column = &mut self.fields[field].column;
                if column.required {
                    let mut reject = Reject::new(Reason::MissingField, column.missing());
                    reject.within(&self.fields[field].name);
                    self.bad.push((field, reject));
                } else {
                    column.push_null();
                }
            }
        }
        if self.bad.is_empty() { Ok(()) } else { Err(self.first_bad()) }
    }

    #[cold]
    fn first_bad(&mut self) -> Box<Fault> {
        self.bad.sort_by_key(|(field, _)| *field);
        let reject = self.bad.drain(..).next().map(|(_, reject)| reject);
        unfit(reject.unwrap_or_else(|| Reject::not_json("no fault")))
    }
}
