//! What leaves RAM, and when: the policy, its ghost, and what becomes of the records that leave.

mod ghost;
mod s3fifo;
mod spill;

pub use ghost::Ghost;
pub use s3fifo::{Queue, S3Fifo, Verdict, ACCESS_MAX};
pub use spill::{Spill, SpillBatch, SPILL_BATCH_BYTES};
