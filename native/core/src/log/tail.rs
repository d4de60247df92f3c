//! The tail index: where the newest change of every key lies that was logged since the last committed checkpoint.
//!
//! Two generations: changes go to the active one; the frozen one is what a checkpoint is being made of. Of two changes
//! of a key the newer version stands, never the later place: a drain appends old records at the head. A version here
//! is the clock word of the value, then the clock word of its expiry, which alone grows when a key is touched.
//!
//! A key costs 48 bytes in a table that is 7/16 to 7/8 full: 56 to 112 bytes. There are 64 shards, so that growing
//! one copies a sixty-fourth and readers wait for no more than that.

use super::change::LoggedChange;
use super::checkpoint::checkpoint_bytes;
use super::location::{LogLocation, Position};
use crate::feed::Change;
use crate::hash::KeyHasher;
use crate::sync::{lock, Mutex};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

const SHARDS: usize = 64;
/// Makes the second hash of a key independent of the first.
const CHECK_SEED: u64 = 0xa076_1d64_78bd_642f;
const EXPIRY_BITS: u32 = 48;

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
}

impl TailEntry {
    pub fn of(change: &LoggedChange) -> TailEntry {
        TailEntry {
            location: change.location,
            clock: change.clock,
            expiry_clock: change.header.expiry_clock,
            expires_at: change.header.expires_at,
            is_deleted: change.change == Change::Delete,
        }
    }

    /// At the same clock word a value stands over the delete that covers what it replaced.
    fn version(&self) -> (u64, u64, bool) {
        (self.clock, self.expiry_clock, !self.is_deleted)
    }
}

/// Packed to 4, key and entry together leave no padding.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
struct Packed {
    clock: u64,
    expiry_clock: u64,
    /// Bit 63 deleted, low 48 bits expiry.
    expiry: u64,
    location: LogLocation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
struct PackedKey {
    hash: u64,
    check: u32,
}

type Generation = HashMap<PackedKey, Packed, BuildHasherDefault<KeyBits>>;

const _: () = assert!(size_of::<(PackedKey, Packed)>() == 48);

/// The key is a hash already.
#[derive(Default)]
struct KeyBits(u64);

impl Hasher for KeyBits {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is one number");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl std::hash::Hash for PackedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[derive(Default)]
struct Shard {
    active: Generation,
    frozen: Generation,
    /// What a checkpoint of each generation takes.
    active_entry_bytes: usize,
    frozen_entry_bytes: usize,
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
        // The table goes by the low bits and the highest ones, so these are equal for no table of a shard.
        &self.shards[(key.hash >> 32) as usize % SHARDS]
    }

    /// Notes a change that has been logged. False when it changes nothing: the key's version is as new already, it is
    /// a clear, or its value was gone, in which case a later change of the key follows.
    pub fn insert(&self, change: &LoggedChange) -> bool {
        if change.change == Change::Clear || change.is_value_gone() {
            return false;
        }
        let key = self.key(change.namespace, change.key());
        self.put(key, TailEntry::of(change), change.key().len())
    }

    /// The same for a key and entry that are known.
    pub fn put(&self, key: TailKey, entry: TailEntry, key_bytes: usize) -> bool {
        let mut shard = lock(self.shard(&key));
        let standing = shard.find(&key.pack());
        if standing.is_some_and(|standing| standing.unpack().version() >= entry.version()) {
            return false;
        }
        if shard.active.insert(key.pack(), Packed::of(&entry)).is_none() {
            shard.active_entry_bytes += checkpoint_bytes(key_bytes);
        }
        true
    }

    /// The newest change of a key since the last committed checkpoint.
    pub fn find(&self, key: TailKey) -> Option<TailEntry> {
        lock(self.shard(&key)).find(&key.pack()).map(Packed::unpack)
    }

    /// The newest change of a key in the frozen generation.
    pub fn find_frozen(&self, key: TailKey) -> Option<TailEntry> {
        lock(self.shard(&key)).frozen.get(&key.pack()).map(Packed::unpack)
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
            shard.frozen_entry_bytes = std::mem::take(&mut shard.active_entry_bytes);
        }
        region.frozen = Some((region.begin, end));
        region.begin = end;
        region.frozen
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
            let frozen_entry_bytes = std::mem::take(&mut shard.frozen_entry_bytes);
            if !is_committed {
                shard.active_entry_bytes += frozen_entry_bytes;
                let active = std::mem::replace(&mut shard.active, frozen);
                // A key came into the active one only with a newer version than the frozen one had.
                shard.active.extend(active);
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

    /// Keys in both generations; one in both counts twice.
    pub fn keys(&self) -> usize {
        let keys = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.active.len() + shard.frozen.len()
        };
        self.shards.iter().map(keys).sum()
    }

    /// What a checkpoint of the active generation would take; about, when one has failed.
    pub fn active_entry_bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).active_entry_bytes).sum()
    }

    /// Keys of the frozen generation, and what its checkpoint takes.
    pub fn frozen_entries(&self) -> (usize, usize) {
        let entries = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            (shard.frozen.len(), shard.frozen_entry_bytes)
        };
        self.shards.iter().map(entries).fold((0, 0), |sum, shard| (sum.0 + shard.0, sum.1 + shard.1))
    }

    /// The tables, and what a checkpoint makes of the frozen one.
    pub fn heap_bytes(&self) -> usize {
        // The standard table keeps a byte beside each place and fills 7 of 8 places.
        let place = size_of::<(PackedKey, Packed)>() + 1;
        let places = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            (shard.active.capacity() + shard.frozen.capacity()) * 8 / 7
        };
        let tables = self.shards.iter().map(places).sum::<usize>() * place;
        tables + SHARDS * size_of::<Mutex<Shard>>() + self.frozen_entries().1
    }
}

impl Shard {
    fn find(&self, key: &PackedKey) -> Option<&Packed> {
        self.active.get(key).or_else(|| self.frozen.get(key))
    }
}

impl TailKey {
    fn pack(self) -> PackedKey {
        PackedKey { hash: self.hash, check: self.check }
    }
}

impl Packed {
    fn of(entry: &TailEntry) -> Packed {
        let expires_at = entry.expires_at.min((1 << EXPIRY_BITS) - 1);
        Packed {
            clock: entry.clock,
            expiry_clock: entry.expiry_clock,
            expiry: (entry.is_deleted as u64) << 63 | expires_at,
            location: entry.location,
        }
    }

    fn unpack(&self) -> TailEntry {
        TailEntry {
            location: self.location,
            clock: self.clock,
            expiry_clock: self.expiry_clock,
            expires_at: self.expiry & ((1 << EXPIRY_BITS) - 1),
            is_deleted: self.expiry >> 63 != 0,
        }
    }
}
