//! Values as Cap'n Web writes them into JSON as producers write it: one pass over the text, no tree.
//!
//! | value | on the wire | in the record |
//! |---|---|---|
//! | string, number, boolean, null, object | itself | the same bytes |
//! | array | `[[…]]` | `[…]` |
//! | undefined | `["undefined"]` | left out of an object, null in an array |
//! | Date | `["date",1767323045678]` | `"2026-01-02T03:04:05.678Z"`; an invalid one is null |
//! | bigint | `["bigint","123"]` | `123`, with all digits |
//! | bytes, any view of them | `["bytes","AQI"]`, `["bytes","AQI","Int8Array"]` | base64 with padding: `"AQI="` |
//! | infinities, NaN | `["inf"]`, `["-inf"]`, `["nan"]` | null |
//! | URL | `["url","https://…"]` | its text |
//! | functions, errors, streams, requests, … | `["export",-1]`, `["error",…]`, … | refused: they are not data |
//!
//! That is what `JSON.stringify` makes of them in a Worker, but for bytes and bigint, of which it makes nothing useful.
//!
//! **Bounds:** linear in the text, one entry for each open container, at most [`DEPTH_MAX`]. **Invariant:** total on any valid
//! JSON; what comes out is valid JSON again.

mod special;

use lakehead_model::limits::JSON_DEPTH_MAX;

use self::special::Special;

/// Open containers: those of a record, and the array of records.
const DEPTH_MAX: usize = JSON_DEPTH_MAX + 1;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Well-formed, but nothing that can be stored; the reason is for the caller.
    Refused(String),
    /// Not of the protocol.
    Broken(&'static str),
}

const BAD_VALUE: Fault = Fault::Broken("a value that is not of the protocol");

/// The JSON array of records in the first argument of `send`. `argument` is valid JSON without white space around it.
pub(super) fn records(argument: Option<&str>) -> Result<Vec<u8>, Fault> {
    let argument = argument.unwrap_or(r#"["undefined"]"#);
    if !is_wrapped(argument.as_bytes()) {
        return Err(Fault::Refused(format!(
            "send() was given {}; it takes an array of records",
            kind(argument)?
        )));
    }
    let mut pass =
        Pass { text: argument.as_bytes(), at: 0, out: Vec::with_capacity(argument.len()), open: Vec::new() };
    pass.run()?;
    Ok(pass.out)
}

/// An array, not a special value.
fn is_wrapped(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"[").unwrap_or_default();
    inner.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[')
}

/// What a value is that is no array, as a caller would say it.
fn kind(value: &str) -> Result<&'static str, Fault> {
    Ok(match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'[') => Special::read(value).ok_or(BAD_VALUE)?.kind(),
        _ => "a number",
    })
}

enum Open {
    /// How many members are written.
    Object {
        members: usize,
        member_began: usize,
    },
    Array {
        elements: usize,
    },
}

/// A value that has been read.
enum Done {
    Written,
    Undefined,
}

struct Pass<'t> {
    text: &'t [u8],
    at: usize,
    out: Vec<u8>,
    open: Vec<Open>,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let Some(mut done) = self.begin()? else { continue };
            // Upwards, until there is a next value.
            loop {
                if matches!(done, Done::Undefined) {
                    self.leave_out();
                }
                if self.open.is_empty() {
                    return Ok(());
                }
                if self.next()? {
                    break;
                }
                done = Done::Written;
            }
        }
    }

    /// Begins the value that is next. `None`: it is a container with something in it, which is next then.
    fn begin(&mut self) -> Result<Option<Done>, Fault> {
        match self.peek() {
            b'{' => {
                self.at += 1;
                self.out.push(b'{');
                self.enter(Open::Object { members: 0, member_began: 0 })
            }
            b'[' if is_wrapped(self.text.get(self.at..).unwrap_or_default()) => {
                self.at += 1;
                self.peek();
                self.at += 1;
                self.out.push(b'[');
                self.enter(Open::Array { elements: 0 })
            }
            b'[' => {
                let end = self.end_of_array();
                let text =
                    self.text.get(self.at..end).and_then(|t| std::str::from_utf8(t).ok()).ok_or(BAD_VALUE)?;
                let special = Special::read(text).ok_or(BAD_VALUE)?;
                self.at = end;
                special.write(&mut self.out).map(Some)
            }
            b'"' => {
                self.copy(self.end_of_string());
                Ok(Some(Done::Written))
            }
            _ => {
                let scalar = self.text.get(self.at..).unwrap_or_default();
                let len = scalar.iter().position(|b| b",]} \t\r\n".contains(b)).unwrap_or(scalar.len());
                self.copy(self.at + len);
                Ok(Some(Done::Written))
            }
        }
    }

    /// Into a container whose first byte is read. Its end, if it is empty, is read as well.
    fn enter(&mut self, container: Open) -> Result<Option<Done>, Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::Refused(format!(
                "the records nest deeper than {JSON_DEPTH_MAX} levels, which is the limit"
            )));
        }
        let closing = if matches!(container, Open::Object { .. }) { b'}' } else { b']' };
        self.open.push(container);
        if self.peek() == closing {
            self.leave()?;
            return Ok(Some(Done::Written));
        }
        self.begin_member()?;
        Ok(None)
    }

    /// Behind a value: over the comma to the next (true), or out of the container (false).
    fn next(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            b',' => {
                self.at += 1;
                self.begin_member()?;
                Ok(true)
            }
            b'}' | b']' => {
                self.leave()?;
                Ok(false)
            }
            _ => Err(BAD_VALUE),
        }
    }

    /// The comma before, and the key, of what is next.
    fn begin_member(&mut self) -> Result<(), Fault> {
        match self.open.last_mut().ok_or(BAD_VALUE)? {
            Open::Array { elements } => {
                if *elements > 0 {
                    self.out.push(b',');
                }
                *elements += 1;
            }
            Open::Object { members, member_began } => {
                *member_began = self.out.len();
                if *members > 0 {
                    self.out.push(b',');
                }
                *members += 1;
                self.peek();
                self.copy(self.end_of_string());
                self.peek();
                self.at += 1;
                self.out.push(b':');
            }
        }
        Ok(())
    }

    /// The value that was read is undefined: an object has no such member then.
    fn leave_out(&mut self) {
        match self.open.last_mut() {
            Some(Open::Object { members, member_began }) => {
                *members = members.saturating_sub(1);
                self.out.truncate(*member_began);
            }
            _ => self.out.extend_from_slice(b"null"),
        }
    }

    /// Over the end of a container.
    fn leave(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.open.pop().ok_or(BAD_VALUE)? {
            Open::Object { .. } => self.out.push(b'}'),
            Open::Array { .. } => {
                if self.peek() != b']' {
                    return Err(BAD_VALUE);
                }
                self.at += 1;
                self.out.push(b']');
            }
        }
        Ok(())
    }

    /// The next byte that is not white space; 0 at the end.
    fn peek(&mut self) -> u8 {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn copy(&mut self, end: usize) {
        self.out.extend_from_slice(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    /// Behind the string that begins here.
    fn end_of_string(&self) -> usize {
        end_of_string(self.text, self.at)
    }

    /// Behind the array that begins here.
    fn end_of_array(&self) -> usize {
        let (mut at, mut depth) = (self.at, 0_usize);
        while let Some(byte) = self.text.get(at) {
            match byte {
                b'"' => {
                    at = end_of_string(self.text, at);
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth <= 1 => return at + 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        at
    }
}

/// Behind the string that begins at `start`, in valid JSON; never less than one byte on.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len().max(start + 1)
}

#[cfg(test)]
mod tests;
