//! The log through its public interface.

mod append_and_read;
mod bed;
mod conform;
mod crash;
mod damage;
mod faults;
mod keys;
mod trim;
