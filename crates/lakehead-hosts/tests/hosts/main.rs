//! The played hosts over real TLS connections, asked by a client that trusts the made authority and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod connections;
mod harness;
mod keys;
mod signer;
mod storage;
