//! Running pipelines: each `INSERT` of each pipeline is a *flow*, a thread that reads its stream from the log, decodes,
//! transforms and writes into its sink, and commits.
//!
//! ```text
//!   metadata ─watch─► supervisor ── starts and stops ─► flow ── read ► decode ► transform ► write ─┐
//!                         ▲                              ▲                                         │ roll
//!                         └── progress: committed ◄──────┴── intent ► publish ► record commit ◄────┘
//!                              └─► log.trim
//! ```
//!
//! **Invariants:** a flow's committed position, its counts and its intent are one record in the metadata store. Whatever
//! goes wrong in a flow, it drops all it holds and begins again from that record: there is no other way to recover.
//!
//! **Bounds:** a flow holds the frames of one read ([`flow::READ_BYTES`]) and the batch made of them; as many flows work at
//! once as there are cores, the others wait for their turn.

mod batch;
mod commit;
mod dead_letters;
mod flow;
pub(crate) mod isolate;
mod progress;
mod report;
mod status;
mod supervisor;
pub(crate) mod turnstile;

pub use status::Statuses;
pub use supervisor::{Runtime, Supervisor};
