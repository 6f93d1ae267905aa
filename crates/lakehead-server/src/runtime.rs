//! Running pipelines: each `INSERT` of each pipeline is a *flow*, which transforms, writes into its sink and commits; the flows
//! of a pipeline that read the same stream share a *feed*, a thread that reads and decodes it once.
//!
//! ```text
//!   metadata ─watch─► supervisor ─ plan ─ starts and stops ─► feed ── read ► decode ─┬► flow ── transform ► write ─┐
//!                         ▲                                                          └► flow …                     │ roll
//!                         └── progress: committed ◄───────────────── intent ► publish ► record commit ◄────────────┘
//!                              └─► log.trim
//! ```
//!
//! **Invariants:** a flow's committed position, its counts and its intent are one record in the metadata store. Whatever
//! goes wrong in a flow, it drops all it holds and begins again from that record: there is no other way to recover.
//!
//! **Bounds:** a feed holds the frames of one read ([`feed::READ_BYTES`]) and the batch made of them; as many feeds work at
//! once as there are cores, the others wait for their turn.

mod apart;
mod batch;
mod commit;
mod dead_letters;
mod feed;
mod flow;
pub(crate) mod isolate;
mod plan;
mod progress;
mod report;
#[cfg(test)]
mod sim;
mod status;
mod supervisor;
mod table;
pub(crate) mod turnstile;

pub(crate) use commit::letters_under_way;
pub(crate) use dead_letters::{letters_folder, letters_of_name};
pub use status::Statuses;
pub use supervisor::{Runtime, Supervisor};
