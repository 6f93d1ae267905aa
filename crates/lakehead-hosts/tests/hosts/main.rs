//! The played hosts over real TLS connections, asked by a client that trusts the made authority and nothing else.

mod connections;
mod harness;
mod keys;
mod signer;
mod storage;
