//! The ghost: fingerprints of keys that left the small log, without data.
//!
//! Sets of 32 fingerprints of 16 bits, newest first; a set is a FIFO of its own, so the whole approximates one FIFO
//! of `wanted` keys. A wrong "yes" needs two keys of one set with equal fingerprints: at most 32 / 65,536. The table
//! grows one set at a time by linear hashing, like the index: a new set begins as a copy of the one it splits from,
//! whose foreign half ages out.

use crate::layout::{bucket_of, SHARDS};
use crate::sync::{lock, AtomicU64, Mutex, Ordering};

const WAYS: usize = 32;
type Set = [u16; WAYS];

/// Sets are reached under the shard lock of their keys: the low bits of the set number are those of the shard.
pub struct Ghost {
    /// One table a shard: its sets in the order of their numbers divided by the number of shards.
    shards: Vec<Mutex<Vec<Set>>>,
    sets: AtomicU64,
    ways: AtomicU64,
}

/// Ghost keys for each live entry, in hundredths.
const SHARE_PERCENT: u64 = 90;

impl Ghost {
    pub fn new() -> Ghost {
        let shards = (0..SHARDS).map(|_| Mutex::new(vec![[0; WAYS]])).collect();
        Ghost { shards, sets: AtomicU64::new(SHARDS as u64), ways: AtomicU64::new(1) }
    }

    /// Remembers a key, as the newest of its set.
    pub fn insert(&self, hash: u64) {
        let ways = self.ways.load(Ordering::Relaxed) as usize;
        self.with_set(hash, |set| {
            set.copy_within(0..ways - 1, 1);
            set[0] = fingerprint(hash);
        });
    }

    /// Whether the key is remembered; if so it is forgotten.
    pub fn take(&self, hash: u64) -> bool {
        let ways = self.ways.load(Ordering::Relaxed) as usize;
        self.with_set(hash, |set| {
            let Some(found) = set[..ways].iter().position(|print| *print == fingerprint(hash)) else {
                return false;
            };
            set.copy_within(found + 1..ways, found);
            set[ways - 1] = 0;
            true
        })
    }

    fn with_set<T>(&self, hash: u64, act: impl FnOnce(&mut Set) -> T) -> T {
        let mut table = lock(&self.shards[crate::layout::shard_of(hash)]);
        // Under the lock: a set is added to a shard's table before the count says so.
        let number = bucket_of(hash, self.sets.load(Ordering::Acquire)) as usize / SHARDS;
        act(&mut table[number])
    }

    /// Follows the number of live entries, at most one set a call. `has_memory` allows it to grow.
    pub fn follow(&self, entries: u64, has_memory: bool) {
        let wanted = entries * SHARE_PERCENT / 100;
        let sets = self.sets.load(Ordering::Relaxed);
        if wanted > sets * WAYS as u64 {
            if has_memory {
                self.add_set();
            }
            return;
        }
        let ways = (wanted / sets).clamp(1, WAYS as u64);
        if self.ways.load(Ordering::Relaxed) != ways {
            self.ways.store(ways, Ordering::Relaxed);
        }
    }

    fn add_set(&self) {
        // LOCK: ghost. The shard of the new set is that of the set it splits from. Two callers that race for the
        // same set meet in the lock; the later one sees the count changed and leaves.
        let count = self.sets.load(Ordering::Acquire);
        let half = 1u64 << (63 - count.leading_zeros());
        let old = (count - half) as usize;
        let mut table = lock(&self.shards[old % SHARDS]);
        if self.sets.load(Ordering::Acquire) != count {
            return;
        }
        let copy = table[old / SHARDS];
        debug_assert_eq!(table.len(), count as usize / SHARDS);
        table.push(copy);
        self.sets.store(count + 1, Ordering::Release);
    }

    pub fn heap_bytes(&self) -> usize {
        // Growth doubles a table's capacity; what counts is what is written, the rest is untouched address space.
        self.sets.load(Ordering::Relaxed) as usize * size_of::<Set>()
    }
}

impl Default for Ghost {
    fn default() -> Self {
        Self::new()
    }
}

/// Bits no other table uses for addressing; 0 means an empty place.
fn fingerprint(hash: u64) -> u16 {
    ((hash >> 32) as u16).max(1)
}
