//! What is done with entries: `read` by any process, everything else by the owner.

#[cfg(not(loom))]
mod account;
#[cfg(not(loom))]
mod below;
#[cfg(not(loom))]
mod compact;
#[cfg(not(loom))]
mod demote;
#[cfg(not(loom))]
mod drain;
mod group;
#[cfg(not(loom))]
mod limit;
#[cfg(not(loom))]
mod lock;
#[cfg(not(loom))]
mod pin;
#[cfg(not(loom))]
mod promote;
#[cfg(not(loom))]
mod quota;
pub mod read;
#[cfg(not(loom))]
mod room;
#[cfg(not(loom))]
mod sampled;
#[cfg(not(loom))]
mod scan;
#[cfg(not(loom))]
mod tags;
#[cfg(not(loom))]
mod update;
#[cfg(not(loom))]
mod write;

#[cfg(not(loom))]
pub use demote::Demotion;
pub use group::read_group;
#[cfg(not(loom))]
pub use limit::{Demand, Limit, LimitAnswer, LimitKey};
#[cfg(not(loom))]
pub use room::BUDGET_BYTES_MIN;
#[cfg(not(loom))]
pub use sampled::Sampled;
#[cfg(not(loom))]
pub use scan::{scan, scan_within, ScanCursor, ScannedEntry};
#[cfg(not(loom))]
pub(crate) use tags::{Epochs, RecordAt};
#[cfg(not(loom))]
pub use update::Number;
#[cfg(not(loom))]
pub use write::check_key;
#[cfg(not(loom))]
pub(crate) use write::Current;
#[cfg(not(loom))]
pub use write::{Conditions, Outcome, Version, WriteRequest};
