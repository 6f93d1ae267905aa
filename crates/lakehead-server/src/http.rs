//! The HTTP front: accepting connections, and answers that are the same wherever they are given.

pub mod answer;
mod connection;
pub mod listener;
pub(crate) mod plain;
mod rewound;
