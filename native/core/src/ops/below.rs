//! What the store says of the tiers below it: the absent filter, within the budget. See [`crate::filter`] for the order
//! in which a mover, a rebuild and a read must go about it.

use crate::error::{Code, Result, StoreError};
use crate::filter::Filter;
use crate::store::{Counting, Store};
use crate::sync::Ordering;

/// A copy takes at most this part of the budget; during a rebuild there are two.
const BUDGET_SHARE: usize = 4;

impl Store {
    /// Called for every key before a tier commits it, and that before its slot is cleared.
    pub fn filter_add(&self, hash: u64) {
        self.filter.add(&self.arena, hash);
    }

    /// Begins a rebuild for about `keys` keys, with room for as many again. Between two moves: what was added before must
    /// be committed before the scan that follows. `ERR_RAMCACHE_FULL` when the budget or the memory is too small; the
    /// filter there is stays in use. The number of the rebuild; one under way is dropped.
    pub fn filter_begin_rebuild(&self, keys: u64) -> Result<u32> {
        self.ensure_open()?;
        let bytes_max = match self.counting {
            Counting::Payload => usize::MAX,
            Counting::Everything => self.budget_bytes.load(Ordering::Relaxed) as usize / BUDGET_SHARE,
        };
        let Some(blocks_log2) = Filter::blocks_log2_for(&self.arena, keys, bytes_max) else {
            let message =
                format!("an absent filter for {keys} keys, the limit is a quarter of the memory budget");
            return Err(StoreError::new(Code::Full, message));
        };
        let begun = self.filter.begin_rebuild(&self.arena, blocks_log2);
        self.update_limit();
        begun.ok_or_else(|| {
            StoreError::new(Code::Full, format!("no shared memory for an absent filter of {keys} keys"))
        })
    }

    /// Called for every key that a scan of the tiers finds.
    pub fn filter_add_to_next(&self, hash: u64) {
        self.filter.add_to_next(&self.arena, hash);
    }

    /// The scan is complete: its copy answers from now on. False when this rebuild was abandoned or dropped.
    pub fn filter_finish_rebuild(&self, rebuild: u32) -> bool {
        self.filter.finish_rebuild(&self.arena, rebuild)
    }

    pub fn filter_abandon_rebuild(&self, rebuild: u32) {
        self.filter.abandon_rebuild(rebuild);
    }

    /// Everything may be below, until the next rebuild.
    pub fn filter_forget(&self) {
        self.filter.forget(&self.arena);
    }

    /// Whether a rebuild is due.
    pub fn filter_is_crowded(&self) -> bool {
        self.filter.is_crowded()
    }

    /// Called about once a second: gives the memory of a copy out of use back.
    pub(crate) fn punch_filter(&self) {
        let before = self.filter.allocated_bytes();
        self.filter.punch_unused(&self.arena);
        if self.filter.allocated_bytes() != before {
            self.update_limit();
        }
    }
}
