//! Making room: memory for the index and for segments, within the budget.

use super::drain::Drained;
use crate::arena::Arena;
use crate::error::{Code, Result, StoreError};
use crate::evict::Queue;
use crate::layout::{superblock, Geometry, BUCKET_SLOTS, CHUNK_SLOTS, SHARDS};
use crate::segment::{Growth, READY_LOW, RESERVE};
use crate::store::{Counting, Store};
use crate::sync::{lock, Ordering};
use crate::tags;

/// Buckets a writer splits on its way, when the index lags behind.
const SPLITS_PER_WRITE: u32 = 4;
/// Free chunks a split never fails for lack of.
const CHUNKS_LOW: usize = crate::layout::CHAIN_CHUNKS_MAX;
/// Records a writer drains on its way when segments run low.
const PACE_RECORDS: usize = 8;
/// Records drained between two looks at what that has freed.
const SLICE_RECORDS: usize = 16;

impl Store {
    /// Bytes the index takes more of at a time.
    fn index_step(&self) -> usize {
        (self.budget_bytes() as usize / 1024).next_power_of_two().clamp(SHARDS * 64, 1 << 20)
    }

    /// More memory for buckets. False when there is none, or no more address space.
    pub(crate) fn allocate_index(&self) -> bool {
        let geometry = *self.arena.geometry();
        let allocated = self.allocated_buckets.load(Ordering::Acquire);
        let step = (self.index_step() / (BUCKET_SLOTS * 8)) as u64;
        let wanted = (allocated + step).min(geometry.buckets as u64);
        if wanted == allocated {
            return false;
        }
        let from = allocated as usize * BUCKET_SLOTS;
        let slots = (wanted - allocated) as usize * BUCKET_SLOTS;
        let has_memory = self.arena.data().allocate(geometry.index_word() * 8 + from * 8, slots * 8)
            && self.arena.touch().allocate(geometry.index_touch_byte() + from, slots);
        if has_memory {
            // First for a takeover, then for those who split: it must not find buckets without memory.
            self.arena.superblock(superblock::ALLOCATED_BUCKETS).fetch_max(wanted, Ordering::AcqRel);
            self.allocated_buckets.fetch_max(wanted, Ordering::AcqRel);
            self.update_limit();
        }
        has_memory
    }

    /// More memory for chunks.
    pub(crate) fn allocate_chunks(&self) -> bool {
        let geometry = *self.arena.geometry();
        let allocated = lock(&self.index.chunks).allocated() as usize;
        let step = (self.index_step() / 2 / (CHUNK_SLOTS * 8)).max(64);
        let wanted = (allocated + step).min(geometry.chunks);
        if wanted == allocated {
            return false;
        }
        let from = allocated * CHUNK_SLOTS;
        let slots = (wanted - allocated) * CHUNK_SLOTS;
        let has_memory = self.arena.data().allocate(geometry.chunks_word() * 8 + from * 8, slots * 8)
            && self.arena.touch().allocate(geometry.chunk_touch_byte() + from, slots);
        if has_memory {
            let for_takeover = self.arena.superblock(superblock::ALLOCATED_CHUNKS);
            for_takeover.fetch_max(wanted as u64, Ordering::AcqRel);
            lock(&self.index.chunks).set_allocated(wanted as u32);
            self.update_limit();
        }
        has_memory
    }

    /// Bytes of everything but segments: superblock and tables, index, access bytes, filter, ghost, feed, owner's tables.
    pub fn table_bytes(&self) -> usize {
        let geometry = self.arena.geometry();
        let buckets = self.allocated_buckets.load(Ordering::Relaxed) as usize;
        let chunks = lock(&self.index.chunks);
        let slots = buckets * BUCKET_SLOTS + chunks.allocated() as usize * CHUNK_SLOTS;
        let chunk_heap = chunks.heap_bytes();
        drop(chunks);
        fixed_bytes(geometry)
            + slots * 9
            + chunk_heap
            + self.ghost.heap_bytes()
            + self.tokens.heap_bytes()
            + self.filter.allocated_bytes()
            + tag_table_bytes(&self.arena)
            + self.epochs.heap_bytes()
            + self.feed.heap_bytes()
            + self.segments.heap_bytes()
            + self.runs.heap_bytes()
            + self.below().map_or(0, |below| below.heap_bytes(self.budget_bytes() as usize))
    }

    /// Sets what is left of the budget for segments, and the policy's capacity.
    pub(crate) fn update_limit(&self) {
        let segment_bytes = self.arena.geometry().segment_bytes;
        let budget = self.budget_bytes() as usize;
        match self.counting {
            Counting::Payload => self.policy_capacity.store(budget as u64, Ordering::Relaxed),
            Counting::Everything => {
                let limit = (budget.saturating_sub(self.table_bytes()) / segment_bytes).max(READY_LOW + 4);
                self.segments.set_limit(limit);
                let capacity = (limit - READY_LOW) * segment_bytes;
                self.policy_capacity.store(capacity as u64, Ordering::Relaxed);
            }
        }
    }

    /// A new budget. The store grows into it, or is drained down to it by the writers and the background.
    pub fn resize(&self, budget_bytes: usize) -> Result<()> {
        let geometry = self.arena.geometry();
        let most = geometry.segments * geometry.segment_bytes;
        if budget_bytes < BUDGET_BYTES_MIN || budget_bytes > most {
            let message = format!(
                "budget of {budget_bytes} bytes; this store was opened for {BUDGET_BYTES_MIN} to {most} bytes"
            );
            return Err(StoreError::new(Code::Config, message));
        }
        self.budget_bytes.store(budget_bytes as u64, Ordering::Relaxed);
        self.arena.superblock(superblock::BUDGET_BYTES).store(budget_bytes as u64, Ordering::Relaxed);
        self.update_limit();
        Ok(())
    }

    /// Grows the index and the ghost by a step when the entries ask for it, and drains a little when segments run
    /// low. Called after every write, without locks.
    pub(crate) fn pace(&self) {
        self.grow_index(0, SPLITS_PER_WRITE);
        let entries = self.entries();
        self.ghost.follow(entries, true);
        if self.segments.ready_count() < READY_LOW && self.segments.available() < READY_LOW {
            // Evicting would only make more holes where there are enough to empty a segment.
            if !self.runs.is_sparse() {
                self.drain_next(PACE_RECORDS, false);
            } else if !self.has_background {
                self.compact_runs();
            }
        }
    }

    /// Splits buckets while the index is too full for `more` slots on their way.
    pub(crate) fn grow_index(&self, more: u64, splits_max: u32) {
        for _ in 0..splits_max {
            if !self.index.is_crowded(&self.arena, more) || !self.split_bucket() {
                return;
            }
        }
    }

    /// Splits one bucket, with memory for it when nobody has allocated any. False when that was not possible.
    pub(crate) fn split_bucket(&self) -> bool {
        let count = self.arena.bucket_count();
        if self.arena.bucket_count() >= self.allocated_buckets.load(Ordering::Acquire)
            && !self.allocate_index()
        {
            return false;
        }
        if lock(&self.index.chunks).free_count() < CHUNKS_LOW && !self.allocate_chunks() {
            return false;
        }
        let grew = self.index.grow(
            &self.arena,
            self.allocated_buckets.load(Ordering::Acquire),
            |shard| lock(&self.shards[shard]),
            |word| self.hash_at(word.location()),
        );
        // Another thread may have used up what was allocated: then there is one bucket more all the same.
        grew || self.arena.bucket_count() > count
    }

    /// Room for `segments` more segments, by growing or by draining. `ERR_RAMCACHE_FULL` when nothing can leave.
    pub(crate) fn make_room(&self, segments: usize) -> Result<()> {
        let wanted = RESERVE + segments;
        if self.segments.ready_count() >= wanted {
            return Ok(());
        }
        let mut drained_bytes = 0;
        let log_bytes = self.small.bytes() + self.main.bytes();
        loop {
            while self.segments.ready_count() < wanted {
                match self.segments.grow(&self.arena) {
                    Growth::Grown => {}
                    Growth::AtLimit => break,
                    Growth::NoMemory => {
                        self.totals.shortfalls.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
            if self.segments.ready_count() >= wanted {
                return Ok(());
            }
            if drained_bytes == 0 {
                self.totals.back_pressure.fetch_add(1, Ordering::Relaxed);
            }
            if self.compact_runs() {
                continue;
            }
            // Once round the logs without enough room: a segment now and then is not what this caller needs.
            let Drained { bytes, waits_for } = self.drain_next(SLICE_RECORDS, drained_bytes > log_bytes);
            drained_bytes += bytes;
            // Going on would only evict more than is needed.
            if self.wait_for_log(waits_for)? {
                continue;
            }
            let is_stuck = bytes == 0 || drained_bytes > DRAIN_ROUNDS_MAX * log_bytes + (1 << 20);
            if is_stuck && self.segments.ready_count() < wanted {
                return Err(self.full(wanted));
            }
        }
    }

    /// Drains once more for a value in runs that found no units: one record, whatever that frees.
    pub(crate) fn make_room_for_run(&self, drained_bytes: &mut u64, log_bytes: u64) -> Result<()> {
        if self.segments.grow(&self.arena) == Growth::Grown {
            return Ok(());
        }
        let Drained { bytes, waits_for } = self.drain_next(1, *drained_bytes > log_bytes);
        *drained_bytes += bytes;
        if self.wait_for_log(waits_for)? {
            return Ok(());
        }
        if bytes == 0 || *drained_bytes > DRAIN_ROUNDS_MAX * log_bytes + (1 << 20) {
            return Err(self.full(1));
        }
        Ok(())
    }

    fn full(&self, wanted: usize) -> StoreError {
        let (ready, in_use) = self.segments.counts();
        let message = format!(
            "no room: {wanted} segments of {} bytes wanted, {ready} ready, {in_use} in use, {} allowed by the budget of {} bytes",
            self.arena.geometry().segment_bytes,
            self.segments.limit(),
            self.budget_bytes()
        );
        StoreError::new(Code::Full, message)
    }

    /// With a payload budget: drains until `bytes` more fit.
    pub(crate) fn fit_payload(&self, bytes: u64) {
        if self.counting != Counting::Payload {
            return;
        }
        while self.payload_bytes() + bytes > self.budget_bytes() {
            if self.drain_next(1, false).bytes == 0 {
                return;
            }
        }
    }

    /// Waits for a change to be logged; whether there was one to wait for.
    fn wait_for_log(&self, change: Option<u64>) -> Result<bool> {
        let (Some(change), Some(below)) = (change, self.below()) else { return Ok(false) };
        below.progress.wait_logged(change)?;
        Ok(true)
    }

    /// Drains records of the log the policy names, of the other one when there is nothing to drain in it.
    fn drain_next(&self, records: usize, must_evict: bool) -> Drained {
        let first = self.policy().next_to_drain(self.charge(Queue::Small), self.charge(Queue::Main));
        let second = if first == Queue::Small { Queue::Main } else { Queue::Small };
        // Once round the logs without a segment to show for it: what is live must leave, whatever the policy thinks.
        let log_bytes = self.small.bytes() + self.main.bytes();
        let must_evict = must_evict
            || self.counting == Counting::Payload
            || self.drained_in_vain.load(Ordering::Relaxed) > log_bytes;
        let mut drained = self.drain_slice(first, records, must_evict);
        if drained.bytes == 0 {
            let other = self.drain_slice(second, records, must_evict);
            drained = Drained { bytes: other.bytes, waits_for: drained.waits_for.or(other.waits_for) };
        }
        if let (Some(change), Some(below)) = (drained.waits_for, self.below()) {
            below.progress.hurry(change);
        }
        self.spill.flush(false);
        drained
    }

    /// One round of the background thread: memory ahead of the index and of the appenders, drained segments kept
    /// ready. True when there is more to do at once.
    pub fn maintain(&self) -> bool {
        let count = self.arena.bucket_count();
        let allocated = self.allocated_buckets.load(Ordering::Acquire);
        let step = (self.index_step() / (BUCKET_SLOTS * 8)) as u64;
        if count + step > allocated && self.index.is_crowded(&self.arena, count) {
            self.allocate_index();
        }
        let chunks_low = self.index_step() / (CHUNK_SLOTS * 8) / 4;
        if lock(&self.index.chunks).free_count() < chunks_low {
            self.allocate_chunks();
        }
        if self.segments.ready_count() < READY_LOW {
            if self.segments.grow(&self.arena) == Growth::Grown {
                return true;
            }
            if self.segments.available() < READY_LOW {
                return self.compact_runs() || self.drain_next(SLICE_RECORDS, false).may_go_on();
            }
        }
        // A smaller budget: what is over it is drained now, and its memory given back by the caller.
        if self.segments.is_over_limit() && self.segments.ready_count() <= SURPLUS_MAX {
            return self.compact_runs() || self.drain_next(SLICE_RECORDS, false).may_go_on();
        }
        self.arena.superblock(superblock::BUDGET_BYTES).store(self.budget_bytes(), Ordering::Relaxed);
        false
    }
}

/// Ready segments that wait to be given back before a shrinking store drains on.
const SURPLUS_MAX: usize = 64;
/// Times round the logs before a store is full.
const DRAIN_ROUNDS_MAX: u64 = 8;

/// Smallest budget: 64 segments of the smallest size.
pub const BUDGET_BYTES_MIN: usize = 512 << 10;

fn tag_table_bytes(arena: &Arena) -> usize {
    tags::namespace_of(arena).map_or(0, |_| arena.geometry().tag_words() * 8)
}

fn fixed_bytes(geometry: &Geometry) -> usize {
    let tables = (geometry.index_word() - geometry.segment_table_word()) * 8;
    // Superblock, the page of the first namespaces, the tables, the touch file's header and two counter slots.
    4096 + 4096 + tables + 4096 + 2 * crate::layout::counters::WORDS * 8
}
