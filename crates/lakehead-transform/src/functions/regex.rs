//! Regular expressions: compiled when the program is made, within [`COMPILED_BYTES_MAX`].

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ::regex::{Regex, RegexBuilder};
use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, ListBuilder, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::budget;
use super::own::Own;

const COMPILED_BYTES_MAX: usize = 1 << 20;
/// A pattern that is larger than this when compiled may take many steps for each character.
const LIGHT_BYTES: usize = 32 << 10;
const HEAVY_STEPS: u64 = 1 << 8;
/// Text between two looks at the clock.
const CLOCK_BYTES: usize = 64 << 10;

pub(super) fn list_of_texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// As they are named; `rewrite` puts compiled ones in their place.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let texts = |counts: &[usize]| {
        let exact = counts.iter().map(|&n| TypeSignature::Exact(vec![DataType::Utf8; n])).collect();
        Signature::one_of(exact, Volatility::Immutable)
    };
    let uncompiled = |_: &ScalarFunctionArgs| exec_err!("a pattern must be a literal text");
    vec![
        Arc::new(Own::new("regexp_like", texts(&[2, 3]), |_| Ok(DataType::Boolean), uncompiled).udf()),
        Arc::new(Own::new("regexp_match", texts(&[2, 3]), |_| Ok(list_of_texts()), uncompiled).udf()),
        Arc::new(Own::new("regexp_replace", texts(&[3, 4]), |_| Ok(DataType::Utf8), uncompiled).udf()),
    ]
}

/// In which language a pattern is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pattern {
    Regex,
    /// That of `SIMILAR TO`: `%` and `_` as in `LIKE`, the rest as in regular expressions; it must match the whole text.
    Similar {
        escape: char,
    },
}

/// Whether the first argument matches.
pub(super) fn like(kind: Pattern, pattern: &str, flags: &str) -> Result<ScalarUDF> {
    let pattern = match kind {
        Pattern::Regex => pattern.to_owned(),
        Pattern::Similar { escape } => similar(pattern, escape),
    };
    compile("regexp_like", Make::Matches, &pattern, flags)
}

/// The groups of the first match.
pub(super) fn captures(pattern: &str, flags: &str) -> Result<ScalarUDF> {
    compile("regexp_match", Make::Captures, pattern, flags)
}

/// The first argument, with the first match or (`g`) every match replaced by the second.
pub(super) fn replace(pattern: &str, flags: &str) -> Result<ScalarUDF> {
    let all = flags.contains('g');
    compile("regexp_replace", Make::Replaced { all }, pattern, &flags.replace('g', ""))
}

pub(super) fn is_compiled(function: &ScalarUDF) -> bool {
    function.inner().is::<Compiled>()
}

fn similar(pattern: &str, escape: char) -> String {
    let mut regex = String::from("^(?:");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => regex.extend(chars.next().map(|c| ::regex::escape(&c.to_string()))),
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '^' | '$' | '.' | '\\' => regex.push_str(&::regex::escape(&c.to_string())),
            c => regex.push(c),
        }
    }
    regex.push_str(")$");
    regex
}

fn compile(name: &'static str, make: Make, pattern: &str, flags: &str) -> Result<ScalarUDF> {
    let mut builder = RegexBuilder::new(pattern);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'R' => builder.crlf(true),
            'U' => builder.swap_greed(true),
            'g' => {
                return plan_err!(
                    "the flag `g` belongs to regexp_replace; `{name}` looks at the first match"
                );
            }
            other => {
                return plan_err!(
                    "`{other}` is not a flag of `{name}`; there are i, m, s, R, U, and g for regexp_replace"
                );
            }
        };
    }
    let light = builder.size_limit(LIGHT_BYTES).build();
    let heavy = matches!(light, Err(::regex::Error::CompiledTooBig(_)));
    let compiled = if heavy { builder.size_limit(COMPILED_BYTES_MAX).build() } else { light };
    let regex = match compiled {
        Ok(regex) => regex,
        Err(::regex::Error::CompiledTooBig(_)) => {
            return plan_err!(
                "the pattern `{pattern}` is too large when compiled; the limit is {COMPILED_BYTES_MAX} bytes"
            );
        }
        Err(e) => return plan_err!("`{pattern}` is not a regular expression: {}", last_line(&e.to_string())),
    };
    let arguments = if matches!(make, Make::Replaced { .. }) { 2 } else { 1 };
    let signature =
        Signature::new(TypeSignature::Exact(vec![DataType::Utf8; arguments]), Volatility::Immutable);
    let key = format!("{flags}/{pattern}");
    Ok(ScalarUDF::new_from_impl(Compiled { name, make, key, regex, heavy, signature }))
}

/// The library draws the pattern above its message.
fn last_line(text: &str) -> &str {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Make {
    Matches,
    Captures,
    Replaced { all: bool },
}

#[derive(Debug)]
struct Compiled {
    name: &'static str,
    make: Make,
    /// Flags and pattern.
    key: String,
    regex: Regex,
    heavy: bool,
    signature: Signature,
}

impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        self.make == other.make && self.key == other.key
    }
}

impl Eq for Compiled {}

impl Hash for Compiled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.make.hash(state);
        self.key.hash(state);
    }
}

impl ScalarUDFImpl for Compiled {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.make {
            Make::Matches => DataType::Boolean,
            Make::Captures => list_of_texts(),
            Make::Replaced { .. } => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let Some(value) = args.args.first() else { return exec_err!("`{}` needs a text", self.name) };
        let texts = cast(&value.to_array(rows)?, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        if self.heavy {
            budget::check_steps(self.name, text_bytes(texts).saturating_mul(HEAVY_STEPS))?;
        }
        let array = match self.make {
            Make::Matches => self.matches(texts)?,
            Make::Captures => self.captures(texts)?,
            Make::Replaced { all } => {
                let Some(by) = args.args.get(1) else {
                    return exec_err!("`{}` needs a replacement", self.name);
                };
                self.replaced(texts, by, all)?
            }
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// Of the slice that the array is.
fn text_bytes(texts: &StringArray) -> u64 {
    let offsets = texts.value_offsets();
    u64::try_from(offsets[texts.len()] - offsets[0]).unwrap_or(0)
}

/// Looks at the clock now and then.
#[derive(Default)]
struct Watch(usize);

impl Watch {
    fn pass(&mut self, text: &str) -> Result<()> {
        self.0 += text.len() + 64;
        if self.0 >= CLOCK_BYTES {
            self.0 = 0;
            budget::check_time()?;
        }
        Ok(())
    }
}

impl Compiled {
    fn matches(&self, texts: &StringArray) -> Result<ArrayRef> {
        let mut out = BooleanBuilder::with_capacity(texts.len());
        let mut watch = Watch::default();
        for text in texts {
            watch.pass(text.unwrap_or_default())?;
            out.append_option(text.map(|text| self.regex.is_match(text)));
        }
        Ok(Arc::new(out.finish()))
    }

    /// A group that takes no part in the match is NULL.
    fn captures(&self, texts: &StringArray) -> Result<ArrayRef> {
        let mut out = ListBuilder::new(StringBuilder::new());
        let (mut watch, mut bytes) = (Watch::default(), 0);
        for text in texts {
            watch.pass(text.unwrap_or_default())?;
            let Some(found) = text.and_then(|text| self.regex.captures(text)) else {
                out.append(false);
                continue;
            };
            let groups = usize::from(found.len() > 1);
            for group in found.iter().skip(groups) {
                bytes += group.map_or(0, |g| g.len() as u64);
                budget::check_size(self.name, bytes)?;
                out.values().append_option(group.map(|g| g.as_str()));
            }
            out.append(true);
        }
        Ok(Arc::new(out.finish()))
    }

    fn replaced(&self, texts: &StringArray, by: &ColumnarValue, all: bool) -> Result<ArrayRef> {
        let same = match by {
            ColumnarValue::Scalar(
                ScalarValue::Utf8(by) | ScalarValue::LargeUtf8(by) | ScalarValue::Utf8View(by),
            ) => Some(by.as_deref().map(Expansion::of)),
            _ => None,
        };
        let each = match (&same, by) {
            (None, ColumnarValue::Array(by)) => Some(cast(by, &DataType::Utf8)?),
            _ => None,
        };
        let each = each.as_ref().map(|by| by.as_string::<i32>());
        let mut out = StringBuilder::new();
        let (mut watch, mut made, mut bytes) = (Watch::default(), String::new(), 0);
        for (row, text) in texts.iter().enumerate() {
            watch.pass(text.unwrap_or_default())?;
            let own = each.and_then(|by| by.is_valid(row).then(|| Expansion::of(by.value(row))));
            let by = same.as_ref().map_or(own.as_ref(), Option::as_ref);
            let (Some(text), Some(by)) = (text, by) else {
                out.append_null();
                continue;
            };
            made.clear();
            let mut end = 0;
            for (number, found) in
                self.regex.captures_iter(text).take(if all { usize::MAX } else { 1 }).enumerate()
            {
                // Each search may go to the end of the text.
                if number % 64 == 63 {
                    budget::check_time()?;
                }
                let whole = found.get_match();
                made.push_str(&text[end..whole.start()]);
                let added = by.bytes_at_most(whole.len());
                if made.len() + added > CLOCK_BYTES {
                    budget::check_size(self.name, bytes + (made.len() + added) as u64)?;
                    budget::check_time()?;
                }
                found.expand(&by.text, &mut made);
                end = whole.end();
            }
            made.push_str(&text[end..]);
            bytes += made.len() as u64;
            budget::check_size(self.name, bytes)?;
            out.append_value(&made);
        }
        Ok(Arc::new(out.finish()))
    }
}

/// What replaces a match, as the library writes it.
struct Expansion {
    text: String,
    groups: usize,
}

impl Expansion {
    /// `\1` is a group, `\\` a backslash, everything else is what it is.
    fn of(by: &str) -> Expansion {
        let (mut text, mut groups) = (String::with_capacity(by.len()), 0);
        let mut chars = by.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '$' => text.push_str("$$"),
                '\\' if chars.peek().is_some_and(char::is_ascii_digit) => {
                    groups += 1;
                    text.push_str("${");
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        text.push(digit);
                    }
                    text.push('}');
                }
                '\\' if chars.peek() == Some(&'\\') => {
                    chars.next();
                    text.push('\\');
                }
                c => text.push(c),
            }
        }
        Expansion { text, groups }
    }

    fn bytes_at_most(&self, match_bytes: usize) -> usize {
        self.text.len().saturating_add(self.groups.saturating_mul(match_bytes))
    }
}
