//! A column under construction.
//!
//! **Invariants.** A column that is built has as many rows as the list or struct around it has begun, or one more while a
//! value is read. [`Column::truncate`] takes back to any earlier count whatever happened in between, which is how a reject
//! leaves no trace and how the last of duplicate keys wins. A column that is not built checks values and stores nothing.

use lakehead_model::schema::{Field, FieldType, TimeUnit};

use crate::list::List;
use crate::members::Members;
use crate::text::Bytes;

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) required: bool,
    /// Whether values are kept, or only checked.
    pub(crate) build: bool,
    /// Rows without a value, ascending.
    nulls: Vec<u32>,
    pub(crate) values: Values,
}

#[derive(Debug)]
pub(crate) enum Values {
    /// 0 or 1.
    Bool(Vec<u8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Uint32(Vec<u32>),
    Uint64(Vec<u64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Timestamp {
        values: Vec<i64>,
        unit: TimeUnit,
    },
    Text(Bytes),
    Json(Bytes),
    Binary(Bytes),
    Struct(Box<Members>),
    List(Box<List>),
}

impl Column {
    pub(crate) fn new(field: &Field, build: bool) -> Self {
        let bytes = Bytes::default;
        let values = match &field.field_type {
            FieldType::Bool => Values::Bool(Vec::new()),
            FieldType::Int32 => Values::Int32(Vec::new()),
            FieldType::Int64 => Values::Int64(Vec::new()),
            FieldType::Uint32 => Values::Uint32(Vec::new()),
            FieldType::Uint64 => Values::Uint64(Vec::new()),
            FieldType::Float32 => Values::Float32(Vec::new()),
            FieldType::Float64 => Values::Float64(Vec::new()),
            FieldType::Decimal128 { precision, scale } => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            FieldType::Timestamp { unit } => Values::Timestamp { values: Vec::new(), unit: *unit },
            FieldType::String => Values::Text(bytes()),
            FieldType::Json => Values::Json(bytes()),
            FieldType::Binary { .. } => Values::Binary(bytes()),
            FieldType::Struct(fields) => Values::Struct(Box::new(Members::new(fields, |_| build))),
            FieldType::List(item) => Values::List(Box::new(List::new(item, build))),
        };
        Column { required: field.required, build, nulls: Vec::new(), values }
    }

    pub(crate) fn rows(&self) -> usize {
        match &self.values {
            Values::Bool(v) => v.len(),
            Values::Int32(v) => v.len(),
            Values::Int64(v) | Values::Timestamp { values: v, .. } => v.len(),
            Values::Uint32(v) => v.len(),
            Values::Uint64(v) => v.len(),
            Values::Float32(v) => v.len(),
            Values::Float64(v) => v.len(),
            Values::Decimal { values, .. } => values.len(),
            Values::Text(v) | Values::Json(v) | Values::Binary(v) => v.rows(),
            Values::Struct(v) => v.rows(),
            Values::List(v) => v.rows(),
        }
    }

    /// Columns a value takes, its own and those inside it; lists inside count their elements themselves.
    pub(crate) fn width(&self) -> usize {
        match &self.values {
            Values::Struct(members) => 1 + members.width(),
            _ => 1,
        }
    }

    /// Whether there are lists inside whose elements must be counted.
    pub(crate) fn is_limited(&self) -> bool {
        match &self.values {
            Values::Struct(members) => members.is_limited(),
            Values::List(list) => list.is_limited(),
            _ => false,
        }
    }

    /// Starts counting elements anew.
    pub(crate) fn begin_record(&mut self) {
        match &mut self.values {
            Values::Struct(members) => members.begin_record(),
            Values::List(list) => list.begin_record(),
            _ => {}
        }
    }

    /// Drops every row from the `rows`-th on, finished or not.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if !self.build {
            return;
        }
        while self.nulls.last().is_some_and(|row| *row as usize >= rows) {
            self.nulls.pop();
        }
        match &mut self.values {
            Values::Bool(v) => v.truncate(rows),
            Values::Int32(v) => v.truncate(rows),
            Values::Int64(v) | Values::Timestamp { values: v, .. } => v.truncate(rows),
            Values::Uint32(v) => v.truncate(rows),
            Values::Uint64(v) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) => v.truncate(rows),
            Values::Decimal { values, .. } => values.truncate(rows),
            Values::Text(v) | Values::Json(v) | Values::Binary(v) => v.truncate(rows),
            Values::Struct(v) => v.truncate(rows),
            Values::List(v) => v.truncate(rows),
        }
    }

    /// Appends a row without a value. A required column gets a placeholder: it stands under a struct that is null itself.
    pub(crate) fn push_null(&mut self) {
        if !self.build {
            return;
        }
        if !self.required {
            // Fits: fewer rows than bytes of input.
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the decoder's input")]
            self.nulls.push(self.rows() as u32);
        }
        match &mut self.values {
            Values::Bool(v) => v.push(0),
            Values::Int32(v) => v.push(0),
            Values::Int64(v) | Values::Timestamp { values: v, .. } => v.push(0),
            Values::Uint32(v) => v.push(0),
            Values::Uint64(v) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Text(v) | Values::Json(v) | Values::Binary(v) => v.end_value(),
            Values::Struct(v) => v.push_null(),
            Values::List(v) => v.end_list(),
        }
    }

    /// Null positions so far, for the array; leaves none behind.
    pub(crate) fn take_nulls(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.nulls)
    }
}
