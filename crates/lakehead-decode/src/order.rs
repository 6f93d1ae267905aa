//! Guessing the next key of an object.
//!
//! ```text
//!   expected:   "id":   "ts":   "url":   "extra":   "price":        one entry a field, and keys that are no field
//!                         ^guess  └─ tried next ─┘                  but were met often
//! ```
//!
//! Producers write the keys of their objects in one order. The key behind the last one met is expected next; a few are
//! tried, as optional keys are left out at times, and compared as bytes before anything is parsed. Only then the key is read
//! and looked up. When that happens too often, the order of the next object is learned.
//!
//! Bounds: at most [`STRANGERS_MAX`] keys that are no field are remembered, and objects without any order are learned from
//! ever more rarely.

use std::collections::HashMap;

use crate::key::Key;
use crate::reject::{Fault, syntax};
use crate::scan::{byte, skip_white};
use crate::text::{content, string_end};

/// Keys tried before the search.
const GUESSES: usize = 5;
/// Keys that are no field among the expected ones.
const STRANGERS_MAX: usize = 256;
/// Bytes of such a key.
const STRANGER_BYTES_MAX: usize = 64;
/// Searches, less one for every object without any, after which an order is learned: at first and at most.
const PATIENCE: u32 = 64;
const PATIENCE_MAX: u32 = 1 << 16;

/// The keys of one kind of object.
#[derive(Debug)]
pub(crate) struct Order {
    expected: Vec<Expected>,
    /// Where a name stands in `expected`.
    places: HashMap<Box<[u8]>, usize>,
    /// [`GUESSES`], or none while an order is learned.
    guesses: usize,
    /// Searches in the object being read.
    searches: u32,
    surprise: u32,
    patience: u32,
    /// What is learned: the keys of the object being read, as it has them.
    met: Vec<Expected>,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Expected {
    key: Key,
    name: Box<[u8]>,
    field: Option<usize>,
}

impl Expected {
    fn new(name: &[u8], field: Option<usize>) -> Self {
        Expected { key: Key::new(name), name: name.into(), field }
    }
}

impl Order {
    /// Expects the fields in the order given.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let expected: Vec<_> = names.enumerate().map(|(i, n)| Expected::new(n.as_bytes(), Some(i))).collect();
        let mut order = Order {
            expected,
            places: HashMap::new(),
            guesses: GUESSES,
            searches: 0,
            surprise: 0,
            patience: PATIENCE,
            met: Vec::new(),
            scratch: Vec::new(),
        };
        order.index();
        order
    }

    fn index(&mut self) {
        let places = self.expected.iter().enumerate();
        self.places = places.map(|(place, e)| (e.name.clone(), place)).collect();
    }

    /// Reads the key at `pos` and its colon. Gives the field, if it is one, and the place behind; moves `guess` on.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        pos: usize,
        guess: &mut usize,
    ) -> Result<(Option<usize>, usize), Box<Fault>> {
        for (place, expected) in self.expected.iter().enumerate().skip(*guess).take(self.guesses) {
            if let Some(behind) = expected.key.matches(input, pos) {
                *guess = place + 1;
                return Ok((expected.field, behind));
            }
        }
        self.search(input, pos, guess)
    }

    #[inline(never)]
    fn search(
        &mut self,
        input: &[u8],
        pos: usize,
        guess: &mut usize,
    ) -> Result<(Option<usize>, usize), Box<Fault>> {
        if byte(input, pos) != b'"' {
            return Err(syntax(pos));
        }
        self.searches = self.searches.saturating_add(1);
        let (end, escapes) = string_end(input, pos + 1)?;
        let name = content(input, pos + 1, end, escapes, &mut self.scratch)?;
        let place = self.places.get(name).copied();
        let field = place.and_then(|place| self.expected[place].field);
        if let Some(place) = place {
            *guess = place + 1;
        }
        let room = self.met.len() < self.expected.len() + STRANGERS_MAX;
        if self.guesses == 0 && room && (field.is_some() || name.len() <= STRANGER_BYTES_MAX) {
            self.met.push(Expected::new(name, field));
        }
        let colon = skip_white(input, end);
        if byte(input, colon) == b':' { Ok((field, colon + 1)) } else { Err(syntax(colon)) }
    }

    /// Notes how well the guesses were.
    #[inline(always)]
    pub(crate) fn end_object(&mut self) {
        if self.searches == 0 {
            self.surprise = self.surprise.saturating_sub(1);
        } else {
            self.end_searched();
        }
    }

    #[cold]
    #[inline(never)]
    fn end_searched(&mut self) {
        self.surprise = self.surprise.saturating_add(std::mem::take(&mut self.searches));
        if self.guesses == 0 {
            self.learn();
            self.guesses = GUESSES;
            self.surprise = 0;
            self.patience = self.patience.saturating_mul(2).min(PATIENCE_MAX);
        } else if self.surprise > self.patience {
            self.guesses = 0;
        }
    }

    /// Expects keys as the last object had them. A field it did not have stays behind the one it stood behind.
    fn learn(&mut self) {
        let mut order: Vec<Expected> = Vec::with_capacity(self.expected.len());
        let mut strangers = 0;
        for key in self.met.drain(..) {
            strangers += usize::from(key.field.is_none());
            if strangers <= STRANGERS_MAX && order.iter().all(|e| e.name != key.name) {
                order.push(key);
            }
        }
        let mut behind = 0;
        for old in self.expected.drain(..) {
            match order.iter().position(|e| e.name == old.name) {
                Some(place) => behind = place + 1,
                None if old.field.is_some() => {
                    order.insert(behind, old);
                    behind += 1;
                }
                None => {}
            }
        }
        self.expected = order;
        self.index();
    }
}

#[cfg(test)]
mod tests;
