//! The data plane of ramcache: one store for all processes of a machine, in shared memory.
//!
//! The owner writes under sharded locks ([`store::Store`]); any process reads without one ([`ops::read::Reader`]).
//! All shared words are little-endian and 64 bits wide, and are only ever accessed as atomics. The invariants:
//!
//! - a slot leads to a complete record of a key whose hash belongs to the slot's bucket, or the slot is empty;
//! - a record is never changed after its slot was published, and its bytes are not written again before the slot was
//!   cleared and, when the segment goes, the segment's generation changed;
//! - at most one slot leads to a key, except inside a move, when two equal words may be seen;
//! - memory is allocated before it is written.

// Owner-only parts do not exist under loom; what they alone use would count as dead.
#![cfg_attr(loom, allow(dead_code))]

pub mod arena;
#[cfg(not(loom))]
pub mod below;
#[cfg(not(loom))]
pub mod check;
pub mod clock;
pub mod error;
pub mod evict;
pub mod feed;
pub mod filter;
pub mod hash;
pub mod index;
pub mod layout;
#[cfg(not(loom))]
pub mod leases;
#[cfg(not(loom))]
pub mod locks;
#[cfg(not(loom))]
pub mod log;
pub mod namespaces;
#[cfg(not(loom))]
pub mod open;
pub mod ops;
pub mod record;
pub mod segment;
#[cfg(not(loom))]
pub mod stats;
#[cfg(not(loom))]
pub mod store;
pub mod sync;
pub mod tags;
#[cfg(not(loom))]
pub mod takeover;
pub mod tokens;
#[cfg(not(loom))]
pub mod watch;
