//! The HTTP front: accepting connections, and answers that are the same wherever they are given.

pub mod answer;
pub mod listener;
