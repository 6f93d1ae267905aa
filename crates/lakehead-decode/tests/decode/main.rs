//! The crate seen from outside: tables, random records against a slow reference, real data.

#![expect(clippy::unwrap_used, reason = "tests")]

mod coercion;
mod data;
mod differential;
mod framing;
mod generate;
mod reference;
mod rejects;
