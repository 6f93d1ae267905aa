//! The log, the feeds, the commits and the file sink together on a simulated disk, crashed at every call.
//!
//! Each test goes through scripts drawn from seeds ([`script`]) on a machine of one pipeline over two streams ([`machine`],
//! [`records`]), breaks something, starts again, and holds what is on the disk against what must be there ([`check`]): every
//! acknowledged record exactly once in the files, in the dead letters, or filtered out; the others whole requests or not at all.
//!
//! The metadata store is trusted to be durable (`lakehead_meta::sim`). A failure names its seed, call and what the disk kept;
//! `LAKEHEAD_SIM_SEED` goes through that one seed alone, `LAKEHEAD_SIM_ROUNDS` through more of them than CI has time for.

mod check;
mod clock;
mod clocks;
mod crash;
mod disk;
mod faults;
mod joins;
mod machine;
mod planted;
mod records;
mod script;
