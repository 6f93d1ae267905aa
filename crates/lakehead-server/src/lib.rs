//! The server.

pub mod api;
pub mod control;
