//! One session of Cap'n Web, the server's side, without a socket: a text frame in, what to do and text frames out.
//!
//! ```text
//!   client                                                      server
//!   ["push",["pipeline",0,["send"],[ARGUMENTS…]]]   ──►         export 1 = the call's outcome
//!   ["pull",1]                                      ──►
//!                                                   ◄──         ["resolve",1,["undefined"]] or ["reject",1,["error","Error","why"]]
//!   ["release",1,1]                                 ──►         export 1 is gone
//!   ["stream",["pipeline",…]]                       ──►         push, pull and release in one
//!   ["abort",ERROR]                        either way           the session is over
//! ```
//!
//! Source of the protocol: Cap'n Web as Miniflare 5.20261117 and its tests speak it. Both sides count pushes from 1; 0 is the
//! object the session is about, whose only method is `send`. What is well-formed but cannot be done is a rejection; what is
//! not of the protocol, or of a part of it that a stream of records has no use for (pipes, maps, calls back), is an abort.
//!
//! **Bounds:** [`EXPORTS_MAX`] outcomes are kept; a frame's length is the socket's to bound; nesting costs a byte a level, up to
//! the limit of records. **Invariant:** total on any text; after an abort nothing is read.

use std::collections::BTreeMap;

use super::elements::Elements;
use super::values::{self, Fault};

/// Calls that are pushed and not yet released.
pub(super) const EXPORTS_MAX: usize = 1024;
/// The path of a call, as text: `["send"]`.
const PATH_BYTES_MAX: usize = 256;

/// What the socket has to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, or only to send this.
    Reply(Option<String>),
    /// Store these records, a JSON array, and report the outcome with [`Session::finish`].
    Send { call: u64, records: Vec<u8> },
    /// The client is done.
    End,
    /// Send this and end.
    Abort(String),
}

/// What became of a call; the text is the reason of a failure.
pub(super) type Outcome = Result<(), Failure>;

/// Why a call failed, as the caller will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The name of a JavaScript error class.
    pub(super) class: &'static str,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn error(reason: impl Into<String>) -> Self {
        Failure { class: "Error", reason: reason.into() }
    }

    pub(super) fn type_error(reason: impl Into<String>) -> Self {
        Failure { class: "TypeError", reason: reason.into() }
    }

    fn expression(&self) -> String {
        format!(r#"["error","{}",{}]"#, self.class, serde_json::Value::from(self.reason.as_str()))
    }
}

/// The frame that ends a session; `reason` reaches every call that is still open.
pub(super) fn abort(reason: impl Into<String>) -> String {
    format!(r#"["abort",{}]"#, Failure::error(reason).expression())
}

#[derive(Debug, Default)]
struct Export {
    outcome: Option<Outcome>,
    pulled: bool,
    /// Released as soon as it is answered.
    streamed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    /// Pushes so far.
    pushed: u64,
    exports: BTreeMap<u64, Export>,
}

/// A frame that is not of the protocol, or of no use here.
struct Broken(&'static str);

impl Session {
    /// Whether no call is open.
    pub(super) fn is_idle(&self) -> bool {
        self.exports.is_empty()
    }

    /// Whether no call is finished of which the client has not heard.
    pub(super) fn is_settled(&self) -> bool {
        self.exports.values().all(|export| export.outcome.is_none())
    }

    /// Takes one frame.
    pub(super) fn receive(&mut self, text: &str) -> Step {
        self.step(text).unwrap_or_else(|Broken(what)| Step::Abort(abort(format!("bad RPC message: {what}"))))
    }

    /// Takes the outcome of a call that [`Step::Send`] asked for; what to send then.
    pub(super) fn finish(&mut self, call: u64, outcome: Outcome) -> Option<String> {
        self.exports.get_mut(&call)?.outcome = Some(outcome);
        self.answer(call)
    }

    fn step(&mut self, text: &str) -> Result<Step, Broken> {
        let frame = Elements::parse(text).ok_or(Broken("a frame is a JSON array of one to five elements"))?;
        match (frame.tag().ok_or(Broken("a frame begins with its kind"))?, frame.rest()) {
            ("push", [call]) => self.push(call, false),
            ("stream", [call]) => self.push(call, true),
            ("pull", [id]) => {
                let id = number(id)?;
                self.exports.get_mut(&id).ok_or(Broken("pull of what was not pushed"))?.pulled = true;
                Ok(Step::Reply(self.answer(id)))
            }
            // The session's object itself: the client will not call any more.
            ("release", ["0", _]) | ("abort", [_]) => Ok(Step::End),
            ("release", [id, "1"]) => {
                self.exports.remove(&number(id)?).ok_or(Broken("release of what was not pushed"))?;
                Ok(Step::Reply(None))
            }
            ("release", [_, _]) => Err(Broken("release of more than was given")),
            ("resolve" | "reject", [_, _]) => Err(Broken("an answer to no question")),
            ("pipe", []) => Err(Broken("streams of bytes are not accepted")),
            ("push" | "stream" | "pull" | "release" | "abort" | "resolve" | "reject" | "pipe", _) => {
                Err(Broken("a frame of this kind has another number of elements"))
            }
            _ => Err(Broken("unknown kind of frame")),
        }
    }

    fn push(&mut self, expression: &str, streamed: bool) -> Result<Step, Broken> {
        if self.exports.len() >= EXPORTS_MAX {
            return Err(Broken("too many calls are not released"));
        }
        let call = read_call(expression)?;
        self.pushed += 1;
        let id = self.pushed;
        self.exports.insert(id, Export { outcome: None, pulled: streamed, streamed });
        match call {
            Ok(records) => Ok(Step::Send { call: id, records }),
            Err(failure) => Ok(Step::Reply(self.finish(id, Err(failure)))),
        }
    }

    /// The answer to a call that is finished and asked for; it is given once.
    fn answer(&mut self, id: u64) -> Option<String> {
        let export = self.exports.get_mut(&id)?;
        let outcome = export.outcome.take_if(|_| export.pulled)?;
        if export.streamed {
            self.exports.remove(&id);
        }
        Some(match outcome {
            Ok(()) => format!(r#"["resolve",{id},["undefined"]]"#),
            Err(failure) => format!(r#"["reject",{id},{}]"#, failure.expression()),
        })
    }
}

/// The records of a pushed call, as a JSON array; or why this call cannot be made.
fn read_call(expression: &str) -> Result<Result<Vec<u8>, Failure>, Broken> {
    let call = Elements::parse(expression).ok_or(Broken("a push holds a call"))?;
    let (target, path, arguments) = match (call.tag(), call.rest()) {
        (Some("pipeline"), [target, path]) => (number(target)?, *path, None),
        (Some("pipeline"), [target, path, arguments]) => (number(target)?, *path, Some(*arguments)),
        _ => return Err(Broken("a push holds a call")),
    };
    let path: Vec<&str> = (path.len() <= PATH_BYTES_MAX)
        .then(|| serde_json::from_str(path).ok())
        .flatten()
        .ok_or(Broken("the path of a call is a short array of names"))?;
    if target != 0 {
        return Ok(Err(Failure::type_error(
            "the result of send() is undefined; nothing can be called on it",
        )));
    }
    if path != ["send"] {
        return Ok(Err(Failure::type_error("a stream has no other method than send()")));
    }
    let Some(arguments) = arguments else {
        return Ok(Err(Failure::type_error("send() can be called, but not be read")));
    };
    let arguments =
        Elements::parse_any(arguments).ok_or(Broken("the arguments of a call are a short array"))?;
    match values::records(arguments.first()) {
        Ok(records) => Ok(Ok(records)),
        Err(Fault::Refused(reason)) => Ok(Err(Failure::type_error(reason))),
        Err(Fault::Broken(what)) => Err(Broken(what)),
    }
}

/// A number of a call.
fn number(text: &str) -> Result<u64, Broken> {
    text.parse().map_err(|_| Broken("calls are numbered from 0"))
}

#[cfg(test)]
mod tests;
