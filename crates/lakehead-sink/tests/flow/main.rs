//! A writer and a publisher together, as the runtime drives them.

mod commit;
mod crash;
mod disk;
mod rolling;
mod rows;
