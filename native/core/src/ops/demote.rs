//! The way down for one entry, by hand: what a drain would do with it when there is no room.

use super::write::check_key;
use crate::error::{Code, Result, StoreError};
use crate::store::Store;
use crate::sync::lock;

/// What became of an entry that was to leave RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demotion {
    /// RAM does not have it.
    Absent,
    /// Pinned entries stay.
    Pinned,
    /// Not before everything written so far is logged.
    Waits,
    Done,
}

impl Store {
    /// Takes an entry out of RAM; the tiers below have it then. `ERR_RAMCACHE_CONFIG` when there are none: it would be lost.
    pub fn demote(&self, namespace: u32, key: &[u8]) -> Result<Demotion> {
        check_key(key)?;
        if self.below().is_none() {
            return Err(StoreError::new(
                Code::Config,
                "this store has no tiers below RAM: what leaves it is gone",
            ));
        }
        let hash = self.hasher.hash(namespace, key);
        let _shard = lock(&self.shards[crate::layout::shard_of(hash)]);
        self.ensure_open()?;
        let Some(current) = self.find(namespace, key, hash) else { return Ok(Demotion::Absent) };
        let (header, location) = (&current.header, current.location);
        if !self.is_live(header, location) {
            return Ok(Demotion::Absent);
        }
        if header.is_pinned() {
            return Ok(Demotion::Pinned);
        }
        if self.are_drains_held()
            || self.unlogged_change(location.segment).is_some()
            || self.spill_volatile(header, key, hash, location).is_some()
        {
            return Ok(Demotion::Waits);
        }
        self.evict(self.queue_of(location), header, location, current.slot, hash, false);
        Ok(Demotion::Done)
    }
}
