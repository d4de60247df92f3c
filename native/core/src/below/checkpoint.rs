//! Checkpoints: what the log's own index knows goes to the index below, in one sorted batch.

use super::Below;
use crate::error::Result;
use crate::log::{Checkpoint, LogLocation, LogRead};
use crate::store::Store;
use crate::sync::lock;

/// Log written since the last checkpoint that calls for the next: what a start after a crash has to read again. A
/// file at most: only what lies before the last checkpoint is drained.
const LOG_BYTES_MOST: u64 = 64 << 20;
/// What has come since the last checkpoint may take one in this many bytes of the budget, in the log's own index and in
/// the next checkpoint together.
const TAIL_SHARE: usize = 16;

impl Below {
    /// Whether there is enough for a checkpoint to be worth its while.
    fn is_checkpoint_due(&self, budget_bytes: u64) -> bool {
        let appended = self.log.totals().bytes_appended;
        let since = appended.saturating_sub(*lock(&self.appended_before));
        since >= LOG_BYTES_MOST.min(self.log.file_bytes())
            || self.tail.heap_bytes() + self.tail.active_entry_bytes() > budget_bytes as usize / TAIL_SHARE
    }
}

impl Store {
    /// Sets aside what has been logged since the last checkpoint, durable in the log, and gives it as entries for the
    /// index below; [`Store::end_checkpoint`] must follow. `None` when it is not time (`is_forced`: when there is nothing).
    pub fn begin_checkpoint(&self, is_forced: bool) -> Result<Option<Checkpoint>> {
        let Some(below) = self.below() else { return Ok(None) };
        if !is_forced && !below.is_checkpoint_due(self.budget_bytes()) {
            return Ok(None);
        }
        let frozen = {
            // Between two batches, so that what lies before the end is in the index.
            let _appending = lock(&below.appending);
            *lock(&below.appended_before) = below.log.totals().bytes_appended;
            below.tail.freeze(below.log.position())
        };
        if frozen.is_none_or(|(begin, end)| begin == end) {
            below.tail.thaw(true);
            return Ok(None);
        }
        // The index must not point to what a power cut can take away.
        if let Err(error) = below.log.sync() {
            below.tail.thaw(false);
            return Err(error);
        }
        Ok(Checkpoint::of(&below.log, &below.tail))
    }

    /// Ends a checkpoint: the index below has it, durably, or has not got it at all.
    pub fn end_checkpoint(&self, is_committed: bool) {
        if let Some(below) = self.below() {
            below.tail.thaw(is_committed);
            self.update_limit();
        }
    }

    /// Begins a rebuild of the absent filter, for everything below. Between two batches of the log, so that what was added
    /// to the filter before can be found below; what the log's own index has is added here, the caller adds what the
    /// index below has.
    pub fn begin_filter(&self, keys: u64) -> Result<Option<u32>> {
        let Some(below) = self.below() else { return Ok(None) };
        let rebuild = {
            let _appending = lock(&below.appending);
            self.filter_begin_rebuild(keys + below.tail.keys() as u64)?
        };
        below.tail.each_hash(|hash| self.filter_add_to_next(hash));
        Ok(Some(rebuild))
    }

    /// Adds the key of a record in the log to the copy of the filter that is being made.
    pub fn filter_add_record(&self, place: LogLocation) -> Result<()> {
        let Some(below) = self.below() else { return Ok(()) };
        let mut bytes = Vec::new();
        if let LogRead::Change(change) = below.log.read(place, &mut bytes)? {
            self.filter_add_to_next(self.hasher.hash(change.namespace, change.key()));
        }
        Ok(())
    }
}
