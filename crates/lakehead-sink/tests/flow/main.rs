//! A writer and a publisher together, as the runtime drives them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod commit;
mod crash;
mod disk;
mod objects;
mod power;
#[cfg(feature = "s3-tests")]
mod real_s3;
mod recount;
mod rolling;
mod rows;
mod store;
