//! The crate seen from outside: tables, random records against a slow reference, real data.

mod differential;
mod generate;
mod reference;
