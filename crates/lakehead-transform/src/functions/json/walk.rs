//! Finding a value in JSON text without building a tree of it.
//!
//! The whole text is read once, so that what is not JSON is never taken for it. What is not on the path is skipped without
//! recursion; the path itself is the only thing that nests.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) enum Part<'a> {
    Key(&'a str),
    /// From 0; a negative one is nowhere.
    Index(i64),
}

/// The text of the value at `path`, as it is written; `None` if there is none or `text` is not JSON. Of equal keys the last one
/// counts.
pub(in crate::functions) fn find<'j>(text: &'j str, path: &[Part]) -> Option<&'j str> {
    let mut from = serde_json::Deserializer::from_str(text);
    let found = Walk { path }.deserialize(&mut from).ok()?;
    from.end().ok()?;
    found.map(RawValue::get)
}

/// How many elements or members a value has; `None` if it is neither an array nor an object.
pub(in crate::functions) fn length(value: &str) -> Option<i64> {
    serde_json::Deserializer::from_str(value).deserialize_any(Count).ok()?
}

/// What kind of value a JSON text is, from a value that [`find`] found.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::functions) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An object or an array, as it is written.
    Nested(&'a str),
}

impl<'a> Value<'a> {
    /// `None` for a text that no string can hold: half of a surrogate pair.
    pub(in crate::functions) fn of(raw: &'a str) -> Option<Value<'a>> {
        Some(match raw.as_bytes().first()? {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'{' | b'[' => Value::Nested(raw),
            b'"' => Value::Text(string(raw)?),
            _ => Value::Number(raw),
        })
    }
}

fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

struct Walk<'p> {
    path: &'p [Part<'p>],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        if self.path.is_empty() {
            return <&RawValue>::deserialize(from).map(Some);
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let Some((first, rest)) = self.path.split_first() else { return Ok(None) };
        while let Some(here) = map.next_key_seed(IsKey(*first))? {
            if here {
                found = map.next_value_seed(Walk { path: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.path.split_first() else { return Ok(None) };
        if let Part::Index(index) = *first
            && index >= 0
        {
            for _ in 0..index {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = seq.next_element_seed(Walk { path: rest })?.flatten();
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(found);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is the one of the path.
struct IsKey<'p>(Part<'p>);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Part::Key(key))
    }
}

/// Counts, and looks at nothing.
struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut count = 0;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some(count))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut count = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some(count))
    }
}
