//! The tail index: where the newest change of every key lies that was logged since the last committed checkpoint.
//!
//! Two generations: changes go to the active one; the frozen one is what a checkpoint is being made of. Of two changes
//! of a key the newer version stands, never the later place: a drain appends old records at the head. A version here
//! is the clock word of the value, then the clock word of its expiry, which alone grows when a key is touched.
//!
//! A key costs 39 bytes in a table that is 7/9 to 7/8 full (`generation.rs`): 45 to 50 bytes, and some 35 more when its
//! expiry was touched. There are 64 shards, so that growing one copies a sixty-fourth and readers wait for no more.

use super::change::LoggedChange;
use super::generation::Generation;
use super::location::{LogLocation, Position};
use crate::feed::Change;
use crate::hash::KeyHasher;
use crate::record::FLAG_PINNED;
use crate::sync::{lock, Mutex};

pub(super) const SHARDS: usize = 64;
/// Makes the second hash of a key independent of the first.
const CHECK_SEED: u64 = 0xa076_1d64_78bd_642f;

/// A key: the hash the store uses, and 32 bits of another one, so that two keys are not taken for each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TailKey {
    pub hash: u64,
    pub check: u32,
}

/// What is known of the newest change of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TailEntry {
    pub location: LogLocation,
    pub clock: u64,
    /// Clock word of the expiry; that of the value unless it was touched.
    pub expiry_clock: u64,
    /// Milliseconds since 1970, 0 = never. An entry past it is a miss, and hides what lower tiers have.
    pub expires_at: u64,
    /// A tombstone: a miss too.
    pub is_deleted: bool,
    /// The record never leaves RAM.
    pub is_pinned: bool,
}

impl TailEntry {
    pub fn of(change: &LoggedChange) -> TailEntry {
        TailEntry {
            location: change.location,
            clock: change.clock,
            expiry_clock: change.header.expiry_clock,
            expires_at: change.header.gone_at(),
            is_deleted: change.change == Change::Delete,
            is_pinned: change.header.flags & FLAG_PINNED != 0,
        }
    }

    /// At the same clock word a value stands over the delete that covers what it replaced.
    fn version(&self) -> (u64, u64, bool) {
        (self.clock, self.expiry_clock, !self.is_deleted)
    }
}

#[derive(Default)]
struct Shard {
    active: Generation,
    frozen: Generation,
}

#[derive(Default)]
struct Region {
    /// Where the active generation begins.
    begin: Position,
    /// What the frozen one covers.
    frozen: Option<(Position, Position)>,
}

pub struct TailIndex {
    hasher: KeyHasher,
    checker: KeyHasher,
    /// LOCK: tail shard. Nothing is taken while it is held.
    shards: Vec<Mutex<Shard>>,
    /// LOCK: tail region. Before the shards.
    region: Mutex<Region>,
}

impl TailIndex {
    /// An empty index of a log from `begin` on, the position of the last committed checkpoint.
    pub fn new(hash_seed: u64, begin: Position) -> TailIndex {
        TailIndex {
            hasher: KeyHasher::new(hash_seed),
            checker: KeyHasher::new(hash_seed ^ CHECK_SEED),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            region: Mutex::new(Region { begin, frozen: None }),
        }
    }

    pub fn key(&self, namespace: u32, key: &[u8]) -> TailKey {
        let check = (self.checker.hash(namespace, key) >> 32) as u32;
        TailKey { hash: self.hasher.hash(namespace, key), check }
    }

    fn shard(&self, key: &TailKey) -> &Mutex<Shard> {
        // A table goes by the low bits.
        &self.shards[(key.hash >> 32) as usize % SHARDS]
    }

    /// Notes a change that has been logged. False when it changes nothing: the key's version is as new already, it is
    /// a clear, or its value was gone, in which case a later change of the key follows.
    pub fn insert(&self, change: &LoggedChange) -> bool {
        if change.change == Change::Clear || change.is_value_gone() {
            return false;
        }
        let key = self.key(change.namespace, change.key());
        self.put(key, TailEntry::of(change))
    }

    /// The same for a key and entry that are known.
    pub fn put(&self, key: TailKey, entry: TailEntry) -> bool {
        let mut shard = lock(self.shard(&key));
        if shard.find(&key).is_some_and(|standing| standing.version() >= entry.version()) {
            return false;
        }
        shard.active.insert(key, &entry);
        true
    }

    /// The newest change of a key since the last committed checkpoint.
    pub fn find(&self, key: TailKey) -> Option<TailEntry> {
        lock(self.shard(&key)).find(&key)
    }

    /// The newest change of a key in the frozen generation.
    pub fn find_frozen(&self, key: TailKey) -> Option<TailEntry> {
        lock(self.shard(&key)).frozen.find(&key)
    }

    /// Moves the active generation aside, with the stretch of the log it covers, up to `end`: nothing logged before
    /// that may be inserted later. `None` while one is frozen already.
    pub fn freeze(&self, end: Position) -> Option<(Position, Position)> {
        let mut region = lock(&self.region);
        if region.frozen.is_some() {
            return None;
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.frozen = std::mem::take(&mut shard.active);
        }
        region.frozen = Some((region.begin, end));
        region.begin = end;
        region.frozen
    }

    /// Where the index below ends.
    pub(super) fn begin(&self) -> Position {
        lock(&self.region).begin
    }

    /// The stretch of the log the frozen generation covers.
    pub fn frozen_region(&self) -> Option<(Position, Position)> {
        lock(&self.region).frozen
    }

    /// Ends a checkpoint. When it was committed the frozen generation goes; when not, it is merged under what is newer.
    pub fn thaw(&self, is_committed: bool) {
        let mut region = lock(&self.region);
        let Some((begin, _)) = region.frozen.take() else { return };
        if !is_committed {
            region.begin = begin;
        }
        for shard in &self.shards {
            let mut shard = lock(shard);
            let frozen = std::mem::take(&mut shard.frozen);
            if !is_committed {
                let active = std::mem::replace(&mut shard.active, frozen);
                // A key came into the active one only with a newer version than the frozen one had.
                shard.active.extend(&active);
            }
        }
    }

    /// Shows the store's hash of every key, those that were inserted or moved to the frozen generation meanwhile or not.
    pub fn each_hash(&self, mut each: impl FnMut(u64)) {
        for shard in &self.shards {
            let shard = lock(shard);
            shard.active.keys().chain(shard.frozen.keys()).for_each(|key| each(key.hash));
        }
    }

    /// What is known of every key of a shard, while nothing is frozen: in the order that fills a table again at once.
    pub(super) fn entries(&self, shard: usize) -> Vec<(TailKey, TailEntry)> {
        lock(&self.shards[shard]).active.entries().collect()
    }

    /// Fills an empty shard. False when one of them does not belong there.
    pub(super) fn fill(&self, shard: usize, entries: &[(TailKey, TailEntry)]) -> bool {
        let mut filled = Generation::with_room(entries.len());
        for (key, entry) in entries {
            if !std::ptr::eq(self.shard(key), &self.shards[shard]) {
                return false;
            }
            filled.insert(*key, entry);
        }
        lock(&self.shards[shard]).active = filled;
        true
    }

    /// Forgets everything.
    pub(super) fn empty(&self) {
        for shard in &self.shards {
            *lock(shard) = Shard::default();
        }
    }

    /// Keys in both generations; one in both counts twice.
    pub fn keys(&self) -> usize {
        let keys = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.active.len() + shard.frozen.len()
        };
        self.shards.iter().map(keys).sum()
    }

    /// Bytes of the tables.
    pub fn heap_bytes(&self) -> usize {
        let tables = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.active.heap_bytes() + shard.frozen.heap_bytes()
        };
        self.shards.iter().map(tables).sum::<usize>() + SHARDS * size_of::<Mutex<Shard>>()
    }
}

impl Shard {
    fn find(&self, key: &TailKey) -> Option<TailEntry> {
        self.active.find(key).or_else(|| self.frozen.find(key))
    }
}
