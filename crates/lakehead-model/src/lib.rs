//! What the parts of Lakehead say to each other: ids, names, the schema language, the three resources, tokens, log
//! positions, limits, and the seams to the clock and to randomness.
//!
//! **Invariant:** nothing here does I/O (the system clock and the operating system's random source excepted, behind
//! their traits) and nothing here knows Arrow.

pub mod clock;
pub mod id;
pub mod invalid;
pub mod legacy;
pub mod limits;
pub mod name;
pub mod position;
pub mod random;
pub mod resource;
pub mod schema;
pub mod secret;
pub mod token;

pub use clock::{Clock, SystemClock, Timestamp};
pub use id::{PipelineId, SinkId, StreamId, TokenId};
pub use invalid::Invalid;
pub use legacy::{LegacyHttp, LegacyPipeline};
pub use position::{Partition, Position};
pub use random::{Random, SystemRandom};
pub use schema::Schema;
pub use secret::Secret;
pub use token::{Permissions, Token};
