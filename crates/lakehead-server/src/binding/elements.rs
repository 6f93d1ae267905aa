//! Arrays of few elements, of which each is looked at as text.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

const ELEMENTS_MAX: usize = 5;

/// The elements of an array, each the text of a valid JSON value without white space around it.
#[derive(Debug)]
pub(super) struct Elements<'t> {
    all: [&'t str; ELEMENTS_MAX],
    len: usize,
}

impl<'t> Elements<'t> {
    /// Nothing if `text` is not JSON, or not an array of 1 to 5 elements.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        Elements::parse_any(text).filter(|elements| elements.len > 0)
    }

    /// The same, but the array may be empty.
    pub(super) fn parse_any(text: &'t str) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_str(text);
        let elements = json.deserialize_seq(Reader).ok()?;
        json.end().ok()?;
        Some(elements)
    }

    pub(super) fn first(&self) -> Option<&'t str> {
        self.all[..self.len].first().copied()
    }

    /// The first element, if it is a string; strings with escapes are none of the protocol's.
    pub(super) fn tag(&self) -> Option<&'t str> {
        let tag = self.first()?.strip_prefix('"')?.strip_suffix('"')?;
        (!tag.contains('\\')).then_some(tag)
    }

    pub(super) fn rest(&self) -> &[&'t str] {
        self.all[..self.len].get(1..).unwrap_or_default()
    }
}

struct Reader;

impl<'t> Visitor<'t> for Reader {
    type Value = Elements<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {ELEMENTS_MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<Elements<'t>, A::Error> {
        let mut elements = Elements { all: [""; ELEMENTS_MAX], len: 0 };
        while let Some(element) = seq.next_element::<&'t RawValue>()? {
            let slot =
                elements.all.get_mut(elements.len).ok_or_else(|| A::Error::custom("too many elements"))?;
            *slot = element.get();
            elements.len += 1;
        }
        Ok(elements)
    }
}
