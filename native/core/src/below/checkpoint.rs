//! Checkpoints: what the log's own index knows goes to the index below, in one sorted batch.

use super::Below;
use crate::error::Result;
use crate::log::{Checkpoint, LogLocation, LogRead};
use crate::store::Store;
use crate::sync::lock;
use std::time::{Duration, Instant};

/// Log written since the last checkpoint that calls for the next: what a start after a crash has to read again. The
/// more, the fewer pages of the index are written for each key: of random keys nearly every page is touched each time.
const LOG_BYTES_MOST: u64 = 256 << 20;
/// In files of the log: only what lies before the last checkpoint is drained.
const LOG_FILES_MOST: u64 = 4;
/// And this much does when nothing is written, so that what is dead in it can be drained.
const LOG_FILES_QUIET: u64 = 1;
const QUIET: Duration = Duration::from_secs(1);
/// What the log's own index takes calls for the next one from this share of the budget on, in sixty-fourths.
const TAIL_SHARE_DUE: usize = 3;
/// And slows writers down from this one on: the checkpoints cannot keep up.
const TAIL_SHARE_SLOW: usize = 5;
/// What the entries of one are sorted in.
const SORT_SHARE: usize = 1;
const SORT_BYTES_LEAST: usize = 64 << 10;
const SORT_BYTES_MOST: usize = 4 << 20;
/// Of so little nobody is slowed down, whatever the budget.
const TAIL_BYTES_FREE: usize = 2 << 20;
/// For a batch of the log when it takes one and a half times as much; the longest wait is twice that.
const SLOW_DOWN: Duration = Duration::from_millis(50);
/// What the tiers take in this process is set aside: the log's own index, what is sorted, and what the index below may
/// write at once (`pieceShare` in `src/tiers/index-store.ts`). Memory that was given to segments comes back too late.
const RESERVED_SHARE: usize = 8;
const RESERVED_BYTES_MOST: usize = 64 << 20;
/// And for what their threads take when they work, beyond what they take idle, whatever there is to do: garbage of four
/// heaps, and what the C library keeps for each thread. Measured; a budget under 64 MiB does not pay all of it.
const THREADS_SHARE: usize = 4;
const THREADS_BYTES: usize = 14 << 20;

fn share_of(budget_bytes: u64, sixty_fourths: usize) -> usize {
    budget_bytes as usize / 64 * sixty_fourths
}

fn sort_bytes(budget_bytes: usize) -> usize {
    share_of(budget_bytes as u64, SORT_SHARE).clamp(SORT_BYTES_LEAST, SORT_BYTES_MOST)
}

impl Below {
    /// Memory in this process, or what is set aside for it.
    pub fn heap_bytes(&self, budget_bytes: usize) -> usize {
        let reserved = (budget_bytes / RESERVED_SHARE).min(RESERVED_BYTES_MOST);
        let threads = (budget_bytes / THREADS_SHARE).min(THREADS_BYTES);
        let tables = self.touches.heap_bytes() + self.recency.heap_bytes();
        let tail = self.tail.heap_bytes() + sort_bytes(budget_bytes);
        tables + threads + tail.max(reserved)
    }

    /// How long the log waits before its next batch, so that its index does not grow faster than checkpoints empty it.
    pub(super) fn slow_down(&self, budget_bytes: u64) -> Duration {
        let most = share_of(budget_bytes, TAIL_SHARE_SLOW).max(TAIL_BYTES_FREE);
        let excess = self.tail.heap_bytes().saturating_sub(most) as f64 / most as f64;
        SLOW_DOWN.mul_f64((excess * 2.0).min(2.0))
    }

    /// Whether there is enough for a checkpoint to be worth its while.
    fn is_checkpoint_due(&self, budget_bytes: u64) -> bool {
        let appended = self.log.totals().bytes_appended;
        let since = self.uncommitted_bytes();
        let file_bytes = self.log.file_bytes();
        let is_quiet = {
            let mut seen = lock(&self.appended_seen);
            if seen.0 != appended {
                *seen = (appended, Instant::now());
            }
            seen.1.elapsed() >= QUIET
        };
        since >= LOG_BYTES_MOST.min(LOG_FILES_MOST * file_bytes)
            || (is_quiet && since >= LOG_FILES_QUIET * file_bytes)
            || self.tail.heap_bytes() > share_of(budget_bytes, TAIL_SHARE_DUE)
    }

    fn thaw(&self, is_committed: bool) {
        self.tail.thaw(is_committed);
        let mut uncommitted = lock(&self.uncommitted);
        if is_committed {
            uncommitted.earlier = 0;
            uncommitted.committed_at = uncommitted.begun_at;
        }
    }

    /// Bytes of log since the last checkpoint.
    pub(super) fn uncommitted_bytes(&self) -> u64 {
        let uncommitted = lock(&self.uncommitted);
        let appended = self.log.totals().bytes_appended;
        uncommitted.earlier + appended.saturating_sub(uncommitted.committed_at)
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
            lock(&below.uncommitted).begun_at = below.log.totals().bytes_appended;
            below.tail.freeze(below.log.position())
        };
        if frozen.is_none_or(|(begin, end)| begin == end) {
            below.thaw(true);
            return Ok(None);
        }
        let sort_bytes = sort_bytes(self.budget_bytes() as usize);
        // The index must not point to what a power cut can take away.
        let made = below.log.sync().and_then(|_| Checkpoint::of(&below.log, &below.tail, sort_bytes));
        made.inspect_err(|_| below.thaw(false))
    }

    /// Ends a checkpoint: the index below has it, durably, or has not got it at all.
    pub fn end_checkpoint(&self, is_committed: bool) {
        if let Some(below) = self.below() {
            below.thaw(is_committed);
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
