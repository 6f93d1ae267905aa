//! The log through its public interface.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod append_and_read;
mod bed;
mod conform;
mod crash;
mod damage;
mod faults;
mod trim;
