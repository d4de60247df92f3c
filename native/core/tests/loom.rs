//! Loom models of everything a reader does without a lock, against the real index, segments, runs and reader.
//!
//! Each model is one writer's step, in the store's own order and by the store's own primitives, and a reader beside
//! it; an [`Oracle`] says which versions the reader may return. Each model also runs with faults: the same step with
//! one fence, store or look left out or moved. A fault that loom does not find means that the model proves nothing,
//! so it fails the test. What is not covered is in `docs/TESTING-NATIVE.md`.
#![cfg(loom)]

use loom::thread;
use ramcache_core::arena::{Arena, Slot, Words};
use ramcache_core::feed::read_header;
use ramcache_core::index::{ChunkPool, Index, Walk};
use ramcache_core::layout::{bucket_of, superblock, tag_of, Geometry, Location, SlotWord};
use ramcache_core::ops::read::{Copied, Lookup, Reader};
use ramcache_core::ops::read_group;
use ramcache_core::record::{copy_in, copy_out, equals, Parts, RecordBuffer};
use ramcache_core::segment::{release_fence, Extent, Growth, Kind, Log, Runs, Segments};
use ramcache_core::sync::{fence, lock, AtomicU64, Mutex, Ordering};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::AtomicU64 as Plain;
use std::sync::Arc;

const GEOMETRY: Geometry = Geometry { segment_bytes: 64, segments: 4, buckets: 2, chunks: 2 };

/// What is done wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
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
}

/// Runs every interleaving with up to `preemptions` forced switches. The number of them.
fn explore(preemptions: usize, body: fn(Fault), fault: Fault) -> u64 {
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

const VIOLATION: &str = "violation: ";

/// The model holds as the store does it, and loom finds each of the faults.
fn prove(preemptions: usize, body: fn(Fault), faults: &[Fault]) {
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
struct Oracle {
    key: u8,
    /// A bit for each version that means "not there".
    absent: u64,
    acknowledged: AtomicU64,
    /// In the order of execution: whoever runs later sees it, whatever the memory model says.
    begun: Plain,
}

impl Oracle {
    fn new(key: u8, absent: &[u64]) -> Oracle {
        let absent = absent.iter().fold(0, |bits, version| bits | 1 << version);
        Oracle { key, absent, acknowledged: AtomicU64::new(1), begun: Plain::new(1) }
    }

    fn begin(&self, version: u64) {
        self.begun.store(version, Ordering::Relaxed);
    }

    fn acknowledge(&self, version: u64) {
        self.acknowledged.store(version, Ordering::Release);
    }

    /// A read between two looks at what may be seen. The version it returned, the first possible one for a miss.
    fn check(&self, read: impl FnOnce() -> Option<Vec<u8>>) -> u64 {
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
fn value(key: u8, version: u64) -> Vec<u8> {
    vec![key << 4 | version as u8; 6 + version as usize % 2]
}

struct World {
    arena: Arena,
    segments: Segments,
    log: Log,
    /// What is written after a segment was retired: the next segment taken is that one.
    next_log: Log,
    runs: Runs,
    index: Index,
    shard: Mutex<()>,
}

impl World {
    fn new(bucket_count: u64) -> World {
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

    fn record(key: u8, version: u64) -> RecordBuffer {
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts { key: &[key], value: &value(key, version), value_type: 6, ..Parts::default() });
        buffer.stamp(version);
        buffer
    }

    fn append(&self, log: &Log, record: &RecordBuffer) -> Location {
        log.append(&self.arena, &self.segments, record.bytes(), true).expect("a segment is ready")
    }

    fn publish(&self, slot: Slot, key: u8, location: Location, order: Ordering) {
        let special = false;
        self.arena.slot(slot).store(SlotWord::entry(tag_of(hash(key)), location, special).0, order);
    }

    /// Inserts version 1 of a key as the store does, chunk and all.
    fn insert(&self, key: u8) -> Slot {
        let slot = self.index.vacancy(&self.arena, self.bucket(key)).expect("a chunk is free");
        let location = self.append(&self.log, &Self::record(key, 1));
        self.publish(slot, key, location, Ordering::Release);
        slot
    }

    fn bucket(&self, key: u8) -> u64 {
        Index::bucket_of(&self.arena, hash(key))
    }

    /// Where a key stands. Under the shard lock.
    fn slot_of(&self, key: u8) -> (Slot, SlotWord) {
        Walk::new(&self.arena, self.bucket(key))
            .find(|(_, word)| word.tag() == tag_of(hash(key)))
            .expect("the key has a slot")
    }

    fn read(&self, key: u8) -> Option<Vec<u8>> {
        let reader = Reader { arena: &self.arena, unit_bytes: self.runs.unit_bytes() };
        let mut copied = Copied::default();
        match reader.read(0, &[key], hash(key), &mut copied, &mut 0) {
            Lookup::Hit(_) => Some(copied.value),
            Lookup::Miss => None,
            other => panic!("{VIOLATION}unexpected answer {other:?}"),
        }
    }

    /// The real reader, or for faults of a reader one that has them.
    fn read_with(&self, key: u8, fault: Fault) -> Option<Vec<u8>> {
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
    fn faulty_attempt(&self, key: u8, fault: Fault) -> Option<Option<Vec<u8>>> {
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

    fn faulty_walk(&self, bucket: u64, fault: Fault) -> Box<dyn Iterator<Item = (Slot, SlotWord)> + '_> {
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

    fn faulty_copy(&self, key: u8, location: Location) -> Option<Vec<u8>> {
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
fn hash(key: u8) -> u64 {
    (key as u64) << 48 | key as u64 & 1
}

/// Keys of bucket 0, whatever the count, and one that moves to bucket 1 when bucket 0 is split.
const STAYS: u8 = b'b';
const STAYS_TOO: u8 = b'd';
const STAYS_LAST: u8 = b'f';
const MOVES: u8 = b'a';

/// One writer, one reader of one key; the reader reads twice and never sees an older version the second time.
fn race(
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

// (a) publish

fn overwrite(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    race(Oracle::new(STAYS, &[]), 2, fault, world, move |world, oracle| {
        oracle.begin(2);
        publish_faulty(world, slot, 2, fault);
        oracle.acknowledge(2);
    });
}

fn insert(fault: Fault) {
    let world = World::new(1);
    race(Oracle::new(STAYS, &[1]), 2, fault, world, move |world, oracle| {
        let slot = world.index.vacancy(&world.arena, 0).expect("the bucket is empty");
        oracle.begin(2);
        publish_faulty(world, slot, 2, fault);
        oracle.acknowledge(2);
    });
}

fn publish_faulty(world: &World, slot: Slot, version: u64, fault: Fault) {
    let record = World::record(STAYS, version);
    if fault == Fault::SlotBeforeBytes {
        // The next log takes the segment that is ready last, and begins it.
        let segment = world.segments.take(&world.arena, Kind::Main, true).expect("a segment is ready");
        world.publish(slot, STAYS, Location::new(segment, 0, 0), Ordering::Release);
        let first = world.arena.record_byte(Location::new(segment, 0, 0)).expect("inside");
        copy_in(world.arena.data(), first, record.bytes());
        return;
    }
    if fault == Fault::NeighbourCleared {
        let end = world.arena.record_byte(world.slot_of(STAYS).1.location()).expect("inside") + 16;
        world.arena.data().word(end / 8).store(0, Ordering::Relaxed);
    }
    let location = world.append(&world.log, &record);
    let order = if fault == Fault::SlotStoredRelaxed { Ordering::Relaxed } else { Ordering::Release };
    world.publish(slot, STAYS, location, order);
}

#[test]
fn a_read_beside_an_overwrite_sees_the_old_or_the_new_version() {
    let faults = [Fault::SlotStoredRelaxed, Fault::SlotBeforeBytes, Fault::NeighbourCleared];
    prove(3, overwrite, &faults);
}

#[test]
fn a_read_beside_an_insert_sees_nothing_or_all_of_it() {
    prove(3, insert, &[Fault::SlotStoredRelaxed]);
}

// (b) recycle

/// Evicted, its segment retired, filled again at the same place, published in the same slot.
fn recycle(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let old = world.slot_of(STAYS).1.location();
    race(Oracle::new(STAYS, &[2]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        world.index.remove(&world.arena, 0, slot);
        oracle.acknowledge(2);
        let record = World::record(STAYS, 3);
        oracle.begin(3);
        let location = refill(world, old, &record, fault);
        world.publish(slot, STAYS, location, Ordering::Release);
        oracle.acknowledge(3);
        if fault == Fault::GenerationAfterBytes {
            world.arena.generation(old.segment).store(1, Ordering::Relaxed);
            world.publish(slot, STAYS, Location::new(old.segment, 1, 0), Ordering::Release);
        }
    });
}

/// Retires the segment of a location and writes a record to its beginning.
fn refill(world: &World, old: Location, record: &RecordBuffer, fault: Fault) -> Location {
    let first = world.arena.record_byte(old).expect("inside");
    match fault {
        Fault::NoReleaseFence => {
            world.arena.generation(old.segment).store(1, Ordering::Relaxed);
            copy_in(world.arena.data(), first, record.bytes());
            Location::new(old.segment, 1, 0)
        }
        Fault::GenerationNotRaised | Fault::GenerationAfterBytes => {
            release_fence();
            copy_in(world.arena.data(), first, record.bytes());
            old
        }
        _ => {
            world.segments.retire(&world.arena, old.segment);
            let location = world.append(&world.next_log, record);
            assert_eq!(
                (location.segment, location.offset),
                (old.segment, old.offset),
                "it is the same place"
            );
            location
        }
    }
}

/// The record stays, in another segment; its old place is filled by another key.
fn recycle_after_keep(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let word = world.slot_of(STAYS).1;
    race(Oracle::new(STAYS, &[]), 1, fault, world, move |world, _| {
        let kept = Log::new(Kind::Main);
        let target = world.append(&kept, &World::record(STAYS, 1));
        world.arena.slot(slot).store(word.moved_to(target).0, Ordering::Release);
        refill(world, word.location(), &World::record(STAYS_TOO, 1), fault);
    });
}

/// As `recycle`, but so many lives later that the slot word is the same again.
fn recycle_until_the_slot_word_returns(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let word = world.slot_of(STAYS).1;
    race(Oracle::new(STAYS, &[2]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        world.index.remove(&world.arena, 0, slot);
        // The lives in between write bytes, each behind the fence of its own.
        let segment = word.location().segment;
        world.arena.generation(segment).store(511, Ordering::Relaxed);
        release_fence();
        oracle.begin(3);
        let location = refill(world, word.location(), &World::record(STAYS, 3), fault);
        world.publish(slot, STAYS, location, Ordering::Release);
        assert_eq!(world.slot_of(STAYS).1, word, "the word is the same again");
        oracle.acknowledge(3);
    });
}

#[test]
fn a_read_beside_a_recycled_segment_is_never_torn() {
    let faults = [
        Fault::NoSecondLook,
        Fault::NoAcquireFence,
        Fault::NoReleaseFence,
        Fault::GenerationNotRaised,
        Fault::GenerationAfterBytes,
    ];
    prove(2, recycle, &faults);
}

#[test]
fn a_record_that_is_kept_is_never_missed_while_its_segment_is_recycled() {
    prove(2, recycle_after_keep, &[Fault::NoSecondLook, Fault::NoAcquireFence, Fault::NoReleaseFence]);
}

#[test]
fn the_generation_guards_a_slot_word_that_returns() {
    prove(2, recycle_until_the_slot_word_returns, &[Fault::NoGeneration, Fault::NoSecondLook]);
}

// (c) split

fn split_moved(fault: Fault) {
    split(MOVES, &[STAYS, MOVES], fault);
}

fn split_left(fault: Fault) {
    split(STAYS, &[MOVES, STAYS], fault);
}

/// The bucket has a chunk, which the split empties: entries move in both ways.
fn split_chain(fault: Fault) {
    split(STAYS_TOO, &[MOVES, STAYS, STAYS_TOO], fault);
}

fn split(read: u8, keys: &[u8], fault: Fault) {
    let world = World::new(1);
    for key in keys {
        world.insert(*key);
    }
    race(Oracle::new(read, &[]), 1, fault, world, move |world, _| match fault {
        Fault::None | Fault::NoMovesLook | Fault::CountBeforeMoves => {
            let hash_of = |word: SlotWord| hash(word.tag() as u8);
            let grew = world.index.grow(&world.arena, 2, |_| lock(&world.shard), hash_of);
            assert!(grew, "there was a bucket to split");
        }
        _ => split_faulty(world, fault),
    });
}

fn split_faulty(world: &World, fault: Fault) {
    let arena = &world.arena;
    let (slot, word) = world.slot_of(MOVES);
    let copy = || arena.slot(arena.bucket_slot(1, 0)).store(word.0, Ordering::Release);
    let count = || arena.superblock(superblock::BUCKET_COUNT).store(2, Ordering::Release);
    let moves = || arena.moves(0).store(1, Ordering::Release);
    let clear = || arena.slot(slot).store(0, Ordering::Release);
    let steps: &[&dyn Fn()] = match fault {
        Fault::MovesNotRaised => &[&copy, &count, &clear],
        Fault::MovesBeforeCopy => &[&moves, &copy, &count, &clear],
        Fault::CountBeforeCopy => &[&count, &copy, &moves, &clear],
        Fault::CountAfterClear => &[&copy, &moves, &clear, &count],
        Fault::ClearBeforeCopy => &[&clear, &copy, &count, &moves],
        other => unreachable!("{other:?} is no fault of a split"),
    };
    steps.iter().for_each(|step| step());
}

#[test]
fn an_entry_is_never_missed_while_it_moves_to_a_new_bucket() {
    let faults = [
        Fault::NoMovesLook,
        Fault::CountBeforeMoves,
        Fault::MovesNotRaised,
        Fault::MovesBeforeCopy,
        Fault::CountBeforeCopy,
        Fault::CountAfterClear,
        Fault::ClearBeforeCopy,
    ];
    prove(3, split_moved, &faults);
}

#[test]
fn an_entry_is_never_missed_while_its_neighbour_moves_to_a_new_bucket() {
    prove(3, split_left, &[]);
    prove(2, split_chain, &[Fault::NoMovesLook]);
}

// (d) moves in a chain

/// `[STAYS, link] -> [STAYS_TOO, STAYS_LAST]`, and STAYS is removed: the last one takes its place, the other one
/// that of the link. Then the chunk is used again.
fn chain(read: u8, fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    world.insert(STAYS_TOO);
    world.insert(STAYS_LAST);
    race(Oracle::new(read, &[]), 1, fault, world, move |world, _| match fault {
        Fault::None | Fault::NoMovesLook | Fault::LinkLoadedAgain => {
            let _shard = lock(&world.shard);
            world.index.remove(&world.arena, 0, slot);
            world.index.vacancy(&world.arena, 0).expect("the chunk is free again");
        }
        _ => relocate_faulty(world, slot, fault),
    });
}

fn chain_last(fault: Fault) {
    chain(STAYS_LAST, fault);
}

fn chain_first(fault: Fault) {
    chain(STAYS_TOO, fault);
}

fn relocate_faulty(world: &World, to: Slot, fault: Fault) {
    let arena = &world.arena;
    let (from, word) = world.slot_of(STAYS_LAST);
    let copy = || arena.slot(to).store(word.0, Ordering::Release);
    let moves = || arena.moves(0).store(1, Ordering::Release);
    let clear = || arena.slot(from).store(0, Ordering::Release);
    let steps: &[&dyn Fn()] = match fault {
        Fault::MovesNotRaised => &[&copy, &clear],
        Fault::MovesBeforeCopy => &[&moves, &copy, &clear],
        Fault::ClearBeforeCopy => &[&clear, &copy, &moves],
        other => unreachable!("{other:?} is no fault of a move"),
    };
    steps.iter().for_each(|step| step());
}

#[test]
fn an_entry_is_never_missed_while_its_chain_shrinks() {
    let faults = [Fault::NoMovesLook, Fault::MovesNotRaised, Fault::MovesBeforeCopy, Fault::ClearBeforeCopy];
    prove(2, chain_last, &faults);
    prove(2, chain_first, &[Fault::LinkLoadedAgain]);
}

// (e) two writers of one bucket

fn two_writers(fault: Fault) {
    let world = World::new(1);
    world.insert(STAYS);
    world.insert(STAYS_TOO);
    let shared = Arc::new((world, Oracle::new(STAYS_TOO, &[])));
    let overwriting = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (world, oracle) = (&shared.0, &shared.1);
            let _shard = (fault != Fault::NoShardLock).then(|| lock(&world.shard));
            oracle.begin(2);
            let (slot, _) = world.slot_of(STAYS_TOO);
            let location = world.append(&world.log, &World::record(STAYS_TOO, 2));
            world.publish(slot, STAYS_TOO, location, Ordering::Release);
            oracle.acknowledge(2);
        })
    };
    let inserting = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let world = &shared.0;
            let _shard = (fault != Fault::NoShardLock).then(|| lock(&world.shard));
            // The bucket is full: the last entry makes way for a link.
            world.insert(STAYS_LAST);
        })
    };
    let (world, oracle) = (&shared.0, &shared.1);
    oracle.check(|| world.read(STAYS_TOO));
    overwriting.join().expect("the writer ends");
    inserting.join().expect("the writer ends");
    let last = oracle.check(|| world.read(STAYS_TOO));
    assert_eq!(last, 2, "{VIOLATION}an overwrite was lost");
    assert_eq!(world.read(STAYS_LAST), Some(value(STAYS_LAST, 1)), "{VIOLATION}an insert was lost");
}

#[test]
fn two_writers_of_a_bucket_and_a_reader() {
    prove(2, two_writers, &[Fault::NoShardLock]);
}

// (f) values in runs

fn run_record(world: &World, key: u8, version: u64) -> (RecordBuffer, Vec<Extent>) {
    let stored = world.runs.store(&world.arena, &world.segments, &value(key, version), hash(key), true);
    let extents = stored.expect("units are free");
    let bits: Vec<u8> = extents.iter().flat_map(|extent| extent.bits().to_le_bytes()).collect();
    let run_bytes = Some(value(key, version).len() as u32);
    let mut buffer = RecordBuffer::default();
    buffer.build(&Parts { key: &[key], value: &bits, run_bytes, value_type: 6, ..Parts::default() });
    buffer.stamp(version);
    (buffer, extents)
}

/// A value in runs is overwritten, and its units are taken by another value.
fn runs_used_again(fault: Fault) {
    let world = World::new(1);
    let slot = world.index.vacancy(&world.arena, 0).expect("the bucket is empty");
    let (record, extents) = run_record(&world, STAYS, 1);
    let location = world.append(&world.log, &record);
    world.publish(slot, STAYS, location, Ordering::Release);
    race(Oracle::new(STAYS, &[]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        let (record, _) = run_record(world, STAYS, 2);
        let give = || world.runs.give(&world.arena, &world.segments, &extents);
        if fault == Fault::UnitsGivenEarly {
            give();
            run_record(world, STAYS_TOO, 1);
        }
        let location = world.append(&world.log, &record);
        world.publish(slot, STAYS, location, Ordering::Release);
        match fault {
            Fault::UnitsGivenEarly => {}
            Fault::NoReleaseFence => {
                let byte = extents[0].unit as usize * world.runs.unit_bytes();
                let at = world.arena.segment_area_byte(byte);
                copy_in(world.arena.data(), at, &value(STAYS_TOO, 1));
            }
            _ => {
                give();
                let (_, taken) = run_record(world, STAYS_TOO, 1);
                assert_eq!(taken, extents, "it is the same place");
            }
        }
        oracle.acknowledge(2);
    });
}

#[test]
fn a_read_beside_run_units_that_are_used_again_is_never_torn() {
    prove(2, runs_used_again, &[Fault::UnitsGivenEarly, Fault::NoReleaseFence]);
}

// (g) groups

fn group(fault: Fault) {
    let world = World::new(1);
    let slots = [world.insert(STAYS), world.insert(STAYS_TOO)];
    let world = Arc::new(world);
    let writer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let group = world.arena.superblock(superblock::GROUP);
            if fault != Fault::GroupNotRaised {
                group.store(1, Ordering::Relaxed);
            }
            fence(Ordering::Release);
            for (slot, key) in slots.into_iter().zip([STAYS, STAYS_TOO]) {
                let location = world.append(&world.log, &World::record(key, 2));
                if fault == Fault::GroupEndsEarly && key == STAYS_TOO {
                    group.store(2, Ordering::Release);
                }
                world.publish(slot, key, location, Ordering::Release);
            }
            group.store(2, Ordering::Release);
        })
    };
    let read = || [STAYS, STAYS_TOO].map(|key| world.read(key).expect("always there")[0] & 15);
    let (versions, is_whole) =
        if fault == Fault::NoGroupLook { (read(), true) } else { read_group(&world.arena, read) };
    assert!(is_whole, "{VIOLATION}one group cannot keep a reader from a whole view");
    assert_eq!(versions[0], versions[1], "{VIOLATION}half a group was seen");
    writer.join().expect("the writer ends");
}

#[test]
fn a_group_is_seen_whole_or_not_at_all() {
    prove(2, group, &[Fault::NoGroupLook, Fault::GroupNotRaised, Fault::GroupEndsEarly]);
}
