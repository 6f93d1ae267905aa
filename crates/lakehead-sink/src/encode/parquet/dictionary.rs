//! Which columns are better off without a dictionary.
//!
//! A dictionary pays when it fits its page (1 MiB): otherwise the writer builds it, throws it away half-way and starts
//! again without. Whether it will fit is estimated from a sample of the first rows: `n` values of which `d` are distinct come
//! from a population of about N values, where `d = N·(1 − e^(−n/N))`; N times the average length is the dictionary's size.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::cast::AsArray;
use arrow::array::types::{Float64Type, Int64Type, UInt64Type};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use parquet::file::properties::DEFAULT_DICTIONARY_PAGE_SIZE_LIMIT;
use parquet::schema::types::ColumnPath;

/// Values looked at, at most, spread over the batch.
const SAMPLE: usize = 4096;
/// Below this many values nothing is concluded.
const SAMPLE_MIN: usize = 256;

/// The leaf columns whose dictionary would outgrow its page.
pub(super) fn nearly_unique(first: &RecordBatch) -> Vec<ColumnPath> {
    let mut found = Vec::new();
    for (field, column) in first.schema_ref().fields().iter().zip(first.columns()) {
        walk(column.as_ref(), vec![field.name().clone()], &mut found);
    }
    found
}

fn walk(array: &dyn Array, path: Vec<String>, found: &mut Vec<ColumnPath>) {
    match array.data_type() {
        DataType::Struct(fields) => {
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                let mut path = path.clone();
                path.push(field.name().clone());
                walk(column.as_ref(), path, found);
            }
        }
        DataType::List(item) => {
            let mut path = path;
            path.extend(["list".to_owned(), item.name().clone()]);
            walk(array.as_list::<i32>().values().as_ref(), path, found);
        }
        _ => {
            if sample(array).is_some_and(|s| s.dictionary_bytes() > DEFAULT_DICTIONARY_PAGE_SIZE_LIMIT as f64)
            {
                found.push(ColumnPath::new(path));
            }
        }
    }
}

struct Sample {
    values: usize,
    distinct: usize,
    bytes: usize,
}

impl Sample {
    /// What a dictionary of all values to come would weigh, by estimate.
    fn dictionary_bytes(&self) -> f64 {
        let length = self.bytes as f64 / self.values as f64;
        population(self.values as f64, self.distinct as f64) * length
    }
}

/// Solves `d = N·(1 − e^(−n/N))` for N by bisection.
fn population(n: f64, d: f64) -> f64 {
    // With fewer than one repetition the sample says only that the population is large.
    if d > n - 1.0 {
        return n * n / 2.0;
    }
    let (mut low, mut high) = (d, n * n);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if middle * -(-n / middle).exp_m1() < d {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn sample(array: &dyn Array) -> Option<Sample> {
    match array.data_type() {
        DataType::Utf8 => {
            let a = array.as_string::<i32>();
            take(array, |i| a.value(i).as_bytes().into())
        }
        DataType::LargeUtf8 => {
            let a = array.as_string::<i64>();
            take(array, |i| a.value(i).as_bytes().into())
        }
        DataType::Utf8View => {
            let a = array.as_string_view();
            take(array, |i| a.value(i).as_bytes().into())
        }
        DataType::Binary => {
            let a = array.as_binary::<i32>();
            take(array, |i| a.value(i).into())
        }
        DataType::Int64 => fixed(array, array.as_primitive::<Int64Type>().values()),
        DataType::UInt64 => fixed(array, array.as_primitive::<UInt64Type>().values()),
        DataType::Float64 => {
            let a = array.as_primitive::<Float64Type>();
            take(array, |i| Value::Fixed(a.value(i).to_bits()))
        }
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => None,
            TimeUnit::Millisecond => fixed(array, array.as_primitive::<TimestampMillisecondType>().values()),
            TimeUnit::Microsecond => fixed(array, array.as_primitive::<TimestampMicrosecondType>().values()),
            TimeUnit::Nanosecond => fixed(array, array.as_primitive::<TimestampNanosecondType>().values()),
        },
        _ => None,
    }
}

fn fixed<T: Copy + Into<Wide>>(array: &dyn Array, values: &[T]) -> Option<Sample> {
    take(array, |i| Value::Fixed(values[i].into().0))
}

struct Wide(u64);

impl From<i64> for Wide {
    fn from(v: i64) -> Self {
        Wide(v.cast_unsigned())
    }
}

impl From<u64> for Wide {
    fn from(v: u64) -> Self {
        Wide(v)
    }
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Fixed(u64),
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

fn take<'a>(array: &dyn Array, value: impl Fn(usize) -> Value<'a>) -> Option<Sample> {
    let step = array.len().div_ceil(SAMPLE).max(1);
    let mut seen = HashSet::with_capacity_and_hasher(SAMPLE, BuildHasherDefault::<Mixed>::default());
    let (mut values, mut bytes) = (0, 0);
    for i in (0..array.len()).step_by(step).filter(|i| array.is_valid(*i)) {
        values += 1;
        match value(i) {
            Value::Bytes(b) => {
                bytes += b.len() + 4;
                seen.insert(hash(b));
            }
            Value::Fixed(v) => {
                bytes += 8;
                seen.insert(mix(v));
            }
        }
    }
    (values >= SAMPLE_MIN).then_some(Sample { values, distinct: seen.len(), bytes })
}

fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

/// The finalizer of splitmix64.
fn mix(v: u64) -> u64 {
    let v = v.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let v = (v ^ (v >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    v ^ (v >> 31)
}

/// Hashes what is a hash already.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }

    fn write_u64(&mut self, v: u64) {
        self.0 = v;
    }
}

#[cfg(test)]
mod tests;
