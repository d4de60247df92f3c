//! The store in small, what may be done wrong to it, and the oracle that knows what may be read.

pub use loom::thread;
pub use ramcache_core::arena::copy::{copy_in, copy_out, equals};
pub use ramcache_core::arena::{Arena, Slot, Words};
pub use ramcache_core::feed::read_header;
pub use ramcache_core::filter::{probes, Filter, FilterCopy, FilterWord};
pub use ramcache_core::index::{ChunkPool, Index, Walk};
pub use ramcache_core::layout::{bucket_of, superblock, tag_of, Geometry, Location, SlotWord};
pub use ramcache_core::ops::read::{Copied, Lookup, Reader, Seen};
pub use ramcache_core::ops::read_group;
pub use ramcache_core::record::{Parts, RecordBuffer};
pub use ramcache_core::segment::{release_fence, Extent, Growth, Kind, Log, Runs, Segments};
pub use ramcache_core::sync::{fence, lock, AtomicU64, Mutex, Ordering};
pub use ramcache_core::tokens::Tokens;
pub use std::panic::{catch_unwind, AssertUnwindSafe};
pub use std::sync::atomic::AtomicU64 as Plain;
pub use std::sync::Arc;

pub const GEOMETRY: Geometry = Geometry { segment_bytes: 64, segments: 4, buckets: 2, chunks: 2 };

/// What is done wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// Reader: the copy is believed as it is.
    NoSecondLook,
    /// Reader: the second look may be satisfied before the copy.
    NoAcquireFence,
    /// Reader: the second look compares the slot word alone.
    NoGeneration,
    /// Reader: a miss counts at once.
    NoMovesLook,
    /// Reader: the bucket count is loaded before the count of moves.
    CountBeforeMoves,
    /// Reader: the last slot of a bucket is loaded once for the entry in it and once more for the link.
    LinkLoadedAgain,
    /// Reader: a group is read like single keys.
    NoGroupLook,
    SlotStoredRelaxed,
    SlotBeforeBytes,
    /// The word two records share is begun from zero.
    NeighbourCleared,
    NoReleaseFence,
    GenerationNotRaised,
    GenerationAfterBytes,
    MovesNotRaised,
    MovesBeforeCopy,
    ClearBeforeCopy,
    CountBeforeCopy,
    CountAfterClear,
    NoShardLock,
    UnitsGivenEarly,
    GroupNotRaised,
    GroupEndsEarly,
    /// Reader: the filter is asked before the slot is looked at.
    QueryBeforeSlot,
    /// Reader: nothing of what the mover did before it cleared the slot needs to be seen.
    SlotLoadedRelaxed,
    /// Reader: as above, of what the rebuild did before it named its copy.
    WordLoadedRelaxed,
    UnpublishBeforeAdd,
    UnpublishedRelaxed,
    WordStoredRelaxed,
    FinishBeforeScan,
    RebuildInsideMove,
    AddMissesNext,
    /// Reader: the token is taken after the slot was looked at.
    TokenAfterProbe,
    BumpBeforePublish,
    BumpAfterOutcome,
    NotBumped,
}

/// Runs every interleaving with up to `preemptions` forced switches. The number of them.
pub fn explore(preemptions: usize, body: fn(Fault), fault: Fault) -> u64 {
    let runs = Arc::new(Plain::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    let counted = Arc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        body(fault);
    });
    runs.load(Ordering::Relaxed)
}

pub const VIOLATION: &str = "violation: ";

/// The model holds as the store does it, and loom finds each of the faults.
pub fn prove(preemptions: usize, body: fn(Fault), faults: &[Fault]) {
    let runs = explore(preemptions, body, Fault::None);
    println!("{runs} interleavings hold");
    assert!(runs > 10, "loom explored next to nothing");
    for fault in faults {
        let caught = catch_unwind(AssertUnwindSafe(|| explore(preemptions, body, *fault)));
        let Err(panic) = caught else { panic!("loom does not find the fault {fault:?}") };
        let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(message.contains(VIOLATION), "{fault:?} ends with another panic: {message}");
        println!("{fault:?} is found: {message}");
    }
}

/// Knows the versions of one key: which have been acknowledged, and which have begun.
pub struct Oracle {
    pub key: u8,
    /// A bit for each version that means "not there".
    pub absent: u64,
    pub acknowledged: AtomicU64,
    /// In the order of execution: whoever runs later sees it, whatever the memory model says.
    pub begun: Plain,
}

impl Oracle {
    pub fn new(key: u8, absent: &[u64]) -> Oracle {
        let absent = absent.iter().fold(0, |bits, version| bits | 1 << version);
        Oracle { key, absent, acknowledged: AtomicU64::new(1), begun: Plain::new(1) }
    }

    pub fn begin(&self, version: u64) {
        self.begun.store(version, Ordering::Relaxed);
    }

    pub fn acknowledge(&self, version: u64) {
        self.acknowledged.store(version, Ordering::Release);
    }

    /// A read between two looks at what may be seen. The version it returned, the first possible one for a miss.
    pub fn check(&self, read: impl FnOnce() -> Option<Vec<u8>>) -> u64 {
        let from = self.acknowledged.load(Ordering::Acquire);
        let found = read();
        let to = self.begun.load(Ordering::Relaxed);
        let allowed = (from..=to).find(|version| {
            let is_absent = self.absent >> version & 1 != 0;
            match &found {
                None => is_absent,
                Some(bytes) => !is_absent && *bytes == value(self.key, *version),
            }
        });
        let Some(version) = allowed else {
            panic!("{VIOLATION}key {} versions {from}..={to} read as {found:?}", self.key as char)
        };
        version
    }
}

/// Every byte says key and version, and the length says the version once more. A record of it ends in the middle of
/// a word, which the next record shares.
pub fn value(key: u8, version: u64) -> Vec<u8> {
    vec![key << 4 | version as u8; 6 + version as usize % 2]
}

pub struct World {
    pub arena: Arena,
    pub segments: Segments,
    pub log: Log,
    /// What is written after a segment was retired: the next segment taken is that one.
    pub next_log: Log,
    pub runs: Runs,
    pub index: Index,
    pub shard: Mutex<()>,
}

impl World {
    pub fn new(bucket_count: u64) -> World {
        let data = Words::of_words(GEOMETRY.data_bytes() / 8);
        let touch = Words::of_bytes(GEOMETRY.touch_bytes());
        let arena = Arena::new(data, touch, GEOMETRY);
        let segments = Segments::new(GEOMETRY.segments, GEOMETRY.segments);
        while segments.grow(&arena) == Growth::Grown {}
        let mut chunks = ChunkPool::default();
        chunks.set_allocated(GEOMETRY.chunks as u32);
        arena.superblock(superblock::BUCKET_COUNT).store(bucket_count, Ordering::Relaxed);
        World {
            arena,
            segments,
            log: Log::new(Kind::Small),
            next_log: Log::new(Kind::Main),
            runs: Runs::new(GEOMETRY.segment_bytes),
            index: Index::new(chunks),
            shard: Mutex::new(()),
        }
    }

    pub fn record(key: u8, version: u64) -> RecordBuffer {
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts { key: &[key], value: &value(key, version), value_type: 6, ..Parts::default() });
        buffer.stamp(version);
        buffer
    }

    pub fn append(&self, log: &Log, record: &RecordBuffer) -> Location {
        log.append(&self.arena, &self.segments, record.bytes(), true).expect("a segment is ready")
    }

    pub fn publish(&self, slot: Slot, key: u8, location: Location, order: Ordering) {
        let special = false;
        self.arena.slot(slot).store(SlotWord::entry(tag_of(hash(key)), location, special).0, order);
    }

    /// Inserts version 1 of a key as the store does, chunk and all.
    pub fn insert(&self, key: u8) -> Slot {
        let slot = self.index.vacancy(&self.arena, self.bucket(key)).expect("a chunk is free");
        let location = self.append(&self.log, &Self::record(key, 1));
        self.publish(slot, key, location, Ordering::Release);
        slot
    }

    pub fn bucket(&self, key: u8) -> u64 {
        Index::bucket_of(&self.arena, hash(key))
    }

    /// Where a key stands. Under the shard lock.
    pub fn slot_of(&self, key: u8) -> (Slot, SlotWord) {
        Walk::new(&self.arena, self.bucket(key))
            .find(|(_, word)| word.tag() == tag_of(hash(key)))
            .expect("the key has a slot")
    }

    pub fn read(&self, key: u8) -> Option<Vec<u8>> {
        let reader = Reader { arena: &self.arena, unit_bytes: self.runs.unit_bytes() };
        let mut copied = Copied::default();
        match reader.read(0, &[key], hash(key), &mut copied, &mut Seen::default()) {
            Lookup::Hit => Some(copied.value),
            Lookup::Miss | Lookup::Dead => None,
            other => panic!("{VIOLATION}unexpected answer {other:?}"),
        }
    }

    /// The real reader, or for faults of a reader one that has them.
    pub fn read_with(&self, key: u8, fault: Fault) -> Option<Vec<u8>> {
        match fault {
            Fault::NoSecondLook
            | Fault::NoAcquireFence
            | Fault::NoGeneration
            | Fault::NoMovesLook
            | Fault::LinkLoadedAgain
            | Fault::CountBeforeMoves => loop {
                if let Some(answer) = self.faulty_attempt(key, fault) {
                    return answer;
                }
                thread::yield_now();
            },
            _ => self.read(key),
        }
    }

    /// `Reader::attempt` with one thing left out.
    pub fn faulty_attempt(&self, key: u8, fault: Fault) -> Option<Option<Vec<u8>>> {
        let arena = &self.arena;
        let count_first = (fault == Fault::CountBeforeMoves).then(|| arena.bucket_count());
        let before = arena.moves(0).load(Ordering::Acquire);
        let count = count_first.unwrap_or_else(|| arena.bucket_count());
        for (slot, word) in self.faulty_walk(bucket_of(hash(key), count), fault) {
            if word.tag() != tag_of(hash(key)) {
                continue;
            }
            let location = word.location();
            let generation = arena.generation(location.segment).load(Ordering::Acquire);
            let is_first = location.is_of_generation(generation as u32) && arena.load_slot(slot) == word;
            if !is_first && fault != Fault::NoGeneration {
                return None;
            }
            let found = self.faulty_copy(key, location);
            if fault != Fault::NoAcquireFence {
                fence(Ordering::Acquire);
            }
            let is_slot = arena.slot(slot).load(Ordering::Relaxed) == word.0;
            let is_current = match fault {
                Fault::NoSecondLook => true,
                Fault::NoGeneration => is_slot,
                _ => is_slot && arena.generation(location.segment).load(Ordering::Relaxed) == generation,
            };
            if !is_current {
                return None;
            }
            if found.is_some() {
                return Some(found);
            }
        }
        fence(Ordering::Acquire);
        let is_still = arena.moves(0).load(Ordering::Relaxed) == before;
        (is_still || fault == Fault::NoMovesLook).then_some(None)
    }

    pub fn faulty_walk(&self, bucket: u64, fault: Fault) -> Box<dyn Iterator<Item = (Slot, SlotWord)> + '_> {
        if fault != Fault::LinkLoadedAgain {
            return Box::new(Walk::new(&self.arena, bucket));
        }
        let slots = [0, 1].map(|position| self.arena.bucket_slot(bucket, position));
        let first = slots.into_iter().map(|slot| (slot, self.arena.load_slot(slot)));
        let link = std::iter::once_with(move || self.arena.load_slot(slots[1]).linked_chunk()).flatten();
        let rest = link.flat_map(|chunk| {
            let slots = [0, 1].map(|position| self.arena.chunk_slot(chunk, position));
            slots.into_iter().map(|slot| (slot, self.arena.load_slot(slot)))
        });
        Box::new(first.chain(rest))
    }

    pub fn faulty_copy(&self, key: u8, location: Location) -> Option<Vec<u8>> {
        let header = read_header(&self.arena, location)?;
        let first = self.arena.record_byte(location)?;
        if header.key_bytes != 1 || !equals(self.arena.data(), first, header.key_at as usize, &[key]) {
            return None;
        }
        let mut value = vec![0; header.value_bytes as usize];
        copy_out(self.arena.data(), first, header.value_at(), &mut value);
        Some(value)
    }
}

/// The tag is the key, and the last bit of the key says the bucket once there are two.
pub fn hash(key: u8) -> u64 {
    (key as u64) << 48 | key as u64 & 1
}

/// Keys of bucket 0, whatever the count, and one that moves to bucket 1 when bucket 0 is split.
pub const STAYS: u8 = b'b';
pub const STAYS_TOO: u8 = b'd';
pub const STAYS_LAST: u8 = b'f';
pub const MOVES: u8 = b'a';

/// One writer, one reader of one key; the reader reads twice and never sees an older version the second time.
pub fn race(
    oracle: Oracle,
    reads: u32,
    fault: Fault,
    world: World,
    write: impl FnOnce(&World, &Oracle) + 'static,
) {
    let shared = Arc::new((world, oracle));
    let writer = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || write(&shared.0, &shared.1))
    };
    let (world, oracle) = (&shared.0, &shared.1);
    let mut newest = 0;
    for _ in 0..reads {
        let version = oracle.check(|| world.read_with(oracle.key, fault));
        assert!(version >= newest, "{VIOLATION}version {version} read after {newest}");
        newest = version;
    }
    writer.join().expect("the writer ends");
    let last = oracle.check(|| world.read(oracle.key));
    assert_eq!(last, oracle.begun.load(Ordering::Relaxed), "{VIOLATION}the last version is not the one read");
}
