//! Segments: fixed stretches of the arena, each filled by one appender or cut into runs, freed as a whole.
//!
//! ```text
//! unallocated -> ready -> log (open -> sealed) -> ready      generation + 1 on the way back
//!                      -> runs                 -> ready
//!                ready -> unallocated                        memory given back, a second later
//! ```
//!
//! There is no way from sealed back to open: a published offset is never written twice within a generation.

mod log;
mod runs;

pub use log::{Front, Log};
pub use runs::{copy_run, Extent, Runs};

use crate::arena::Arena;
use crate::layout::{SegmentState, WORD_BYTES};
use crate::sync::{fence, lock, AtomicU64, Mutex, Ordering};

/// What a segment holds, as written in the segment table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing, and no memory.
    Free = 0,
    Small = 1,
    Main = 2,
    Runs = 3,
    /// Nothing yet.
    Ready = 4,
}

impl Kind {
    pub fn of(state: SegmentState) -> Kind {
        match state.kind {
            1 => Kind::Small,
            2 => Kind::Main,
            3 => Kind::Runs,
            4 => Kind::Ready,
            _ => Kind::Free,
        }
    }

    fn state(self, sequence: u64) -> u64 {
        SegmentState { sequence, kind: self as u8, used: 0 }.bits()
    }
}

/// Segments only a drain may take: the survivors of two half-drained segments fit in them.
pub const RESERVE: usize = 2;
/// Ready segments below which writers help to drain.
pub const READY_LOW: usize = 3;

struct Pool {
    /// Allocated segments that nobody uses.
    ready: Vec<u32>,
    /// Segments whose memory has been given back, or is about to be.
    unallocated: Vec<u32>,
    /// Ids at and above this have never been used.
    fresh: u32,
    in_use: usize,
    /// Segments the budget allows, ready ones included.
    limit: usize,
    /// Of the next segment that is taken.
    sequence: u64,
}

/// The owner's table of segments.
pub struct Segments {
    /// LOCK: segments.
    pool: Mutex<Pool>,
    kinds: Vec<crate::sync::AtomicU8>,
    /// For each segment, the sequence of the last change whose record lies in it.
    last_changes: Vec<AtomicU64>,
    /// LOCK: emptied. Segments with nothing left in them that a change not logged yet may still name.
    emptied: Mutex<Vec<u32>>,
    total: usize,
}

impl Segments {
    pub fn new(total: usize, limit: usize) -> Segments {
        let pool =
            Pool { ready: Vec::new(), unallocated: Vec::new(), fresh: 0, in_use: 0, limit, sequence: 1 };
        let kinds = (0..total).map(|_| crate::sync::AtomicU8::new(0)).collect();
        let last_changes = (0..total).map(|_| AtomicU64::new(0)).collect();
        Segments { pool: Mutex::new(pool), kinds, last_changes, emptied: Mutex::new(Vec::new()), total }
    }

    /// The table of an arena that is taken over: what each segment holds, and the highest sequence among them.
    #[cfg(not(loom))]
    pub fn adopt(kinds: &[Kind], highest_sequence: u64) -> Segments {
        let of = |wanted: Kind| (0..kinds.len() as u32).filter(move |id| kinds[*id as usize] == wanted);
        let fresh = kinds.iter().rposition(|kind| *kind != Kind::Free).map_or(0, |last| last as u32 + 1);
        let pool = Pool {
            ready: of(Kind::Ready).collect(),
            unallocated: of(Kind::Free).filter(|id| *id < fresh).collect(),
            fresh,
            in_use: kinds.iter().filter(|kind| !matches!(kind, Kind::Free | Kind::Ready)).count(),
            limit: kinds.len(),
            sequence: highest_sequence + 1,
        };
        let table = kinds.iter().map(|kind| crate::sync::AtomicU8::new(*kind as u8)).collect();
        let last_changes = kinds.iter().map(|_| AtomicU64::new(0)).collect();
        Segments {
            pool: Mutex::new(pool),
            kinds: table,
            last_changes,
            emptied: Mutex::new(Vec::new()),
            total: kinds.len(),
        }
    }

    /// Takes a ready segment. `None` when there is none, or only those that drains need.
    pub fn take(&self, arena: &Arena, kind: Kind, for_drain: bool) -> Option<u32> {
        let mut pool = lock(&self.pool);
        if pool.ready.len() <= if for_drain { 0 } else { RESERVE } {
            return None;
        }
        let segment = pool.ready.pop()?;
        pool.in_use += 1;
        self.kinds[segment as usize].store(kind as u8, Ordering::Relaxed);
        arena.segment_state(segment).store(kind.state(pool.sequence), Ordering::Relaxed);
        pool.sequence += 1;
        Some(segment)
    }

    /// Gives an empty segment back. Every slot that pointed into it has been cleared.
    pub fn retire(&self, arena: &Arena, segment: u32) {
        // SYNC recycle: the generation changes before any byte of the next life is written. The fence that orders
        // the two stands in the appender, in the thread that writes those bytes (`release_fence`).
        let generation = arena.generation(segment);
        let next = (generation.load(Ordering::Relaxed) + 1) & u32::MAX as u64;
        generation.store(next, Ordering::Relaxed);
        release_fence();
        arena.segment_state(segment).store(Kind::Ready.state(0), Ordering::Relaxed);
        self.kinds[segment as usize].store(Kind::Ready as u8, Ordering::Relaxed);
        let mut pool = lock(&self.pool);
        pool.in_use -= 1;
        pool.ready.push(segment);
    }

    /// Notes that the record of a change lies in a segment. Under the shard lock of its key.
    #[inline]
    pub fn note_change(&self, segment: u32, sequence: u64) {
        self.last_changes[segment as usize].fetch_max(sequence, Ordering::Relaxed);
    }

    /// The last change whose record lies in a segment. Exact under the shard lock of that change's key.
    pub fn last_change(&self, segment: u32) -> u64 {
        self.last_changes[segment as usize].load(Ordering::Relaxed)
    }

    /// Retires an empty segment as soon as the follower that must not miss anything, which is at `followed`, needs
    /// none of its records.
    pub fn retire_when_followed(&self, arena: &Arena, segment: u32, followed: u64) {
        lock(&self.emptied).push(segment);
        self.retire_followed(arena, followed);
    }

    /// Retires what waits for the follower no more. The first sequence that the others wait for.
    pub fn retire_followed(&self, arena: &Arena, followed: u64) -> Option<u64> {
        let mut emptied = lock(&self.emptied);
        emptied.retain(|segment| {
            let is_needed = self.last_change(*segment) > followed;
            if !is_needed {
                self.retire(arena, *segment);
            }
            is_needed
        });
        emptied.iter().map(|segment| self.last_change(*segment)).min()
    }

    pub fn kind(&self, segment: u32) -> Kind {
        match self.kinds[segment as usize].load(Ordering::Relaxed) {
            1 => Kind::Small,
            2 => Kind::Main,
            3 => Kind::Runs,
            _ => Kind::Ready,
        }
    }

    /// Allocates one more segment within the limit. False when the limit or the memory does not allow it.
    pub fn grow(&self, arena: &Arena) -> Growth {
        let segment = {
            let mut pool = lock(&self.pool);
            if pool.in_use + pool.ready.len() >= pool.limit {
                return Growth::AtLimit;
            }
            if let Some(segment) = pool.unallocated.pop() {
                segment
            } else if (pool.fresh as usize) < self.total {
                pool.fresh += 1;
                pool.fresh - 1
            } else {
                return Growth::AtLimit;
            }
        };
        let bytes = arena.geometry().segment_bytes;
        let allocated = arena.data().allocate(arena.geometry().segment_word(segment) * WORD_BYTES, bytes);
        let mut pool = lock(&self.pool);
        if allocated {
            arena.segment_state(segment).store(Kind::Ready.state(0), Ordering::Relaxed);
            pool.ready.push(segment);
            Growth::Grown
        } else {
            pool.unallocated.push(segment);
            Growth::NoMemory
        }
    }

    /// Ready segments beyond the limit, taken out; their memory may be punched once readers have had time to leave.
    pub fn take_surplus(&self) -> Vec<u32> {
        let mut pool = lock(&self.pool);
        let over = (pool.in_use + pool.ready.len()).saturating_sub(pool.limit);
        // What drains need stays, whatever the limit says.
        let surplus = over.min(pool.ready.len().saturating_sub(READY_LOW));
        let keep = pool.ready.len() - surplus;
        pool.ready.split_off(keep)
    }

    pub fn punch(&self, arena: &Arena, segments: Vec<u32>) {
        let bytes = arena.geometry().segment_bytes;
        for segment in &segments {
            arena.segment_state(*segment).store(Kind::Free.state(0), Ordering::Relaxed);
            arena.data().punch(arena.geometry().segment_word(*segment) * WORD_BYTES, bytes);
        }
        lock(&self.pool).unallocated.extend(segments);
    }

    pub fn set_limit(&self, limit: usize) {
        lock(&self.pool).limit = limit.min(self.total);
    }

    pub fn limit(&self) -> usize {
        lock(&self.pool).limit
    }

    /// Allocates what drains and writers must find ready, also beyond the limit: a drain without a segment for what
    /// it keeps would have to let go of it.
    #[cfg(not(loom))]
    pub fn grow_ready(&self, arena: &Arena) -> bool {
        loop {
            let limit = {
                let mut pool = lock(&self.pool);
                if pool.ready.len() >= READY_LOW {
                    return true;
                }
                std::mem::replace(&mut pool.limit, usize::MAX)
            };
            let growth = self.grow(arena);
            lock(&self.pool).limit = limit;
            if growth != Growth::Grown {
                return false;
            }
        }
    }

    pub fn ready_count(&self) -> usize {
        lock(&self.pool).ready.len()
    }

    /// Ready segments, and those in use.
    pub fn counts(&self) -> (usize, usize) {
        let pool = lock(&self.pool);
        (pool.ready.len(), pool.in_use)
    }

    /// Whether more segments are allocated than the limit allows.
    pub fn is_over_limit(&self) -> bool {
        let pool = lock(&self.pool);
        pool.in_use + pool.ready.len() > pool.limit
    }

    /// Ready ones and ones the limit still allows: how much room there is without draining.
    pub fn available(&self) -> usize {
        let pool = lock(&self.pool);
        pool.limit.saturating_sub(pool.in_use)
    }

    pub fn heap_bytes(&self) -> usize {
        let pool = lock(&self.pool);
        self.kinds.len() * (1 + size_of::<AtomicU64>())
            + (pool.ready.capacity() + pool.unallocated.capacity()) * 4
    }
}

/// Outcome of [`Segments::grow`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    Grown,
    AtLimit,
    NoMemory,
}

/// Orders what was unpublished before the bytes that are written next. SYNC recycle: meets the acquire fence of a
/// reader between its copy and its second look at slot and generation.
#[inline]
pub fn release_fence() {
    fence(Ordering::Release);
}
