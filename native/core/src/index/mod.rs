//! The index: linear hashing over buckets of one cache line, overflow chunks of half a line.
//!
//! Reading needs no lock and is in `ops::read`; [`Walk`] is the part both sides share. Everything in this file that
//! writes is called by the owner under the lock of the bucket's shard.
//!
//! A full bucket's last slot becomes a *link* to a chunk, whose last slot may link on. Slots are moved only in two
//! ways, and both keep a reader from a false miss the same way: copy to the new place, raise the shard's count of
//! moves, clear the old place. A reader that misses loads the count again (SYNC moves).
//!
//! - `split` moves entries of one bucket to a new one, so the index grows one bucket at a time and never pauses;
//! - `remove` in an overflowed bucket fills the hole with the bucket's last entry, so chains stay short.

mod chunks;

pub use chunks::ChunkPool;

use crate::arena::{Arena, Slot};
use crate::layout::{
    bucket_of, shard_of, superblock, Location, SlotWord, BUCKET_SLOTS, CHAIN_CHUNKS_MAX, CHUNK_SLOTS,
};
use crate::sync::{lock, AtomicU64, Mutex, Ordering};

/// Entries per bucket at which a bucket is split, in halves: 13 = 6.5. Memory per entry falls with it, chains grow.
pub const FILL_HALVES: u64 = 13;

/// Walks the slots of a bucket and of the chunks behind it, empty ones included.
pub struct Walk<'a> {
    arena: &'a Arena,
    next: Slot,
    end_word: usize,
    chunks: usize,
}

impl<'a> Walk<'a> {
    /// `bucket` below the bucket count.
    #[inline]
    pub fn new(arena: &'a Arena, bucket: u64) -> Walk<'a> {
        let next = arena.bucket_slot(bucket, 0);
        Walk { arena, next, end_word: next.word + BUCKET_SLOTS, chunks: 0 }
    }

    /// Goes on in a chunk that a bucket links to.
    pub fn of_chunk(arena: &'a Arena, chunk: u32) -> Walk<'a> {
        let mut walk = Walk { arena, next: Slot { word: 0, touch: 0 }, end_word: 0, chunks: 0 };
        walk.enter(chunk);
        walk
    }

    /// Ends the walk instead when the number makes no sense or the chain has no end.
    fn enter(&mut self, chunk: u32) {
        self.chunks += 1;
        if chunk as usize >= self.arena.geometry().chunks || self.chunks > CHAIN_CHUNKS_MAX {
            self.end_word = self.next.word;
            return;
        }
        self.next = self.arena.chunk_slot(chunk, 0);
        self.end_word = self.next.word + CHUNK_SLOTS;
    }
}

impl Iterator for Walk<'_> {
    type Item = (Slot, SlotWord);

    #[inline]
    fn next(&mut self) -> Option<(Slot, SlotWord)> {
        loop {
            if self.next.word == self.end_word {
                return None;
            }
            let slot = self.next;
            let word = self.arena.load_slot(slot);
            self.next = Slot { word: slot.word + 1, touch: slot.touch + 1 };
            match word.linked_chunk() {
                None => return Some((slot, word)),
                Some(chunk) => self.enter(chunk),
            }
        }
    }
}

/// A bucket or a chunk of one chain, with the slot that links to it.
struct Stage {
    first: Slot,
    slots: usize,
    /// The link slot that leads here and the chunk's number; `None` for the bucket itself.
    link: Option<(Slot, u32)>,
}

/// What an operation under a shard lock found missing: the caller unlocks, supplies it and starts again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    Chunk,
    /// A chain is as long as it may be: the index must grow first.
    Bucket,
    Segment,
}

/// The owner's side of the index.
pub struct Index {
    /// Slots that lead to a record, dead ones included: what the number of buckets follows.
    pub occupied: AtomicU64,
    /// LOCK: chunks.
    pub chunks: Mutex<ChunkPool>,
    /// LOCK: split. Held while a bucket is split, taken before its shard.
    splitting: Mutex<()>,
}

impl Index {
    pub fn new(chunks: ChunkPool) -> Index {
        Index { occupied: AtomicU64::new(0), chunks: Mutex::new(chunks), splitting: Mutex::new(()) }
    }

    pub fn bucket_of(arena: &Arena, hash: u64) -> u64 {
        bucket_of(hash, arena.bucket_count())
    }

    /// The slot that points to a location, under the shard lock.
    pub fn find_location(arena: &Arena, hash: u64, location: Location) -> Option<Slot> {
        Walk::new(arena, Self::bucket_of(arena, hash))
            .find(|(_, word)| word.points_to(location))
            .map(|(slot, _)| slot)
    }

    /// An empty slot of the bucket, made by adding a chunk when there is none.
    pub fn vacancy(&self, arena: &Arena, bucket: u64) -> Result<Slot, Lack> {
        Self::vacancy_with(arena, bucket, || lock(&self.chunks).take())
    }

    fn vacancy_with(
        arena: &Arena,
        bucket: u64,
        take_chunk: impl FnOnce() -> Option<u32>,
    ) -> Result<Slot, Lack> {
        let mut last = None;
        let mut walk = Walk::new(arena, bucket);
        for (slot, word) in walk.by_ref() {
            if word.is_empty() {
                return Ok(slot);
            }
            last = Some((slot, word));
        }
        if walk.chunks >= CHAIN_CHUNKS_MAX {
            return Err(Lack::Bucket);
        }
        let (slot, word) = last.expect("a bucket has slots");
        let chunk = take_chunk().ok_or(Lack::Chunk)?;
        let moved = arena.chunk_slot(chunk, 0);
        copy_access(arena, slot, moved);
        arena.slot(moved).store(word.0, Ordering::Release);
        // One store replaces the entry by the way to it, so no reader can miss it in between.
        arena.slot(slot).store(SlotWord::link(chunk).0, Ordering::Release);
        Ok(arena.chunk_slot(chunk, 1))
    }

    /// Clears a slot of the bucket and keeps the chain dense.
    pub fn remove(&self, arena: &Arena, bucket: u64, slot: Slot) {
        self.occupied.fetch_sub(1, Ordering::Relaxed);
        let end = arena.bucket_slot(bucket, BUCKET_SLOTS - 1);
        if arena.load_slot(end).linked_chunk().is_none() {
            arena.slot(slot).store(0, Ordering::Release);
            return;
        }
        let stages = stages(arena, bucket);
        let last = (stages.len() > 1)
            .then(|| last_entry(arena, stages.last().expect("more than one stage")))
            .flatten();
        match last {
            Some((last_slot, last_word)) if last_slot != slot => {
                self.relocate(arena, bucket, last_slot, last_word, slot);
            }
            _ => arena.slot(slot).store(0, Ordering::Release),
        }
        self.shrink(arena, bucket, stages);
    }

    /// Moves an entry to another slot of its chain, over whatever stood there.
    fn relocate(&self, arena: &Arena, bucket: u64, from: Slot, word: SlotWord, to: Slot) {
        copy_access(arena, from, to);
        arena.slot(to).store(word.0, Ordering::Release);
        raise_moves(arena, bucket);
        arena.slot(from).store(0, Ordering::Release);
    }

    /// Drops chunks at the end of a chain that hold one entry or none: the entry takes the place of the link.
    fn shrink(&self, arena: &Arena, bucket: u64, mut stages: Vec<Stage>) {
        while let Some(Stage { first, slots, link: Some((link, chunk)) }) = stages.pop() {
            let mut entries = (0..slots)
                .map(|position| Slot { word: first.word + position, touch: first.touch + position })
                .map(|slot| (slot, arena.load_slot(slot)))
                .filter(|(_, word)| !word.is_empty());
            match (entries.next(), entries.next()) {
                (_, Some(_)) => return,
                (Some((slot, word)), None) => self.relocate(arena, bucket, slot, word, link),
                (None, None) => arena.slot(link).store(0, Ordering::Release),
            }
            lock(&self.chunks).give(chunk);
        }
    }

    /// Whether the index is fuller than wanted, with `more` slots on their way.
    pub fn is_crowded(&self, arena: &Arena, more: u64) -> bool {
        (self.occupied.load(Ordering::Relaxed) + more) * 2 > arena.bucket_count() * FILL_HALVES
    }

    /// Splits one bucket. `lock_shard` takes the lock of a shard, `hash_of` gives the hash of the key a slot word
    /// leads to. False when there is no memory for it yet.
    pub fn grow<G>(
        &self,
        arena: &Arena,
        allocated_buckets: u64,
        lock_shard: impl FnOnce(usize) -> G,
        hash_of: impl Fn(SlotWord) -> u64,
    ) -> bool {
        let _splitting = lock(&self.splitting);
        let count = arena.bucket_count();
        if count == 0 || count >= allocated_buckets {
            return false;
        }
        let half = 1u64 << (63 - count.leading_zeros());
        let old = count - half;
        let _shard = lock_shard(shard_of(old));
        // The store may have been closed meanwhile; a split would open it again.
        if arena.bucket_count() != count {
            return false;
        }
        self.split(arena, old, count, hash_of)
    }

    /// Moves the entries of bucket `old` that belong to the new bucket `count` there, and publishes it.
    fn split(&self, arena: &Arena, old: u64, count: u64, hash_of: impl Fn(SlotWord) -> u64) -> bool {
        let moving: Vec<(Slot, SlotWord)> = Walk::new(arena, old)
            .filter(|(_, word)| word.is_entry() && bucket_of(hash_of(*word), count + 1) == count)
            .collect();
        let chunks_wanted = moving.len().saturating_sub(BUCKET_SLOTS).div_ceil(CHUNK_SLOTS - 1);
        let Some(mut chunks) = lock(&self.chunks).take_many(chunks_wanted) else { return false };
        for (slot, word) in &moving {
            let target =
                Self::vacancy_with(arena, count, || chunks.pop()).expect("as many chunks as it can need");
            copy_access(arena, *slot, target);
            arena.slot(target).store(word.0, Ordering::Release);
        }
        // SYNC bucket-count: entries are in the new bucket before a reader can be sent there.
        arena.superblock(superblock::BUCKET_COUNT).store(count + 1, Ordering::Release);
        raise_moves(arena, old);
        // Each of them has two slots now, and `remove` takes one away.
        self.occupied.fetch_add(moving.len() as u64, Ordering::Relaxed);
        for chunk in chunks {
            lock(&self.chunks).give(chunk);
        }
        for (_, word) in moving {
            let found = Walk::new(arena, old).find(|(_, other)| *other == word);
            let (slot, _) = found.expect("only the holder of the shard lock moves slots");
            self.remove(arena, old, slot);
        }
        true
    }
}

pub(crate) fn raise_moves(arena: &Arena, bucket: u64) {
    // SYNC moves: raised after the copy and before the clear, both release; a reader that saw the cleared slot
    // sees this too. Only the holder of the shard lock writes it.
    let moves = arena.moves(shard_of(bucket));
    moves.store(moves.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

fn copy_access(arena: &Arena, from: Slot, to: Slot) {
    let access = arena.access_byte(from).load(Ordering::Relaxed);
    arena.access_byte(to).store(access, Ordering::Relaxed);
}

fn stages(arena: &Arena, bucket: u64) -> Vec<Stage> {
    let mut stages = vec![Stage { first: arena.bucket_slot(bucket, 0), slots: BUCKET_SLOTS, link: None }];
    loop {
        let stage = stages.last().expect("never empty");
        let end = stage.slots - 1;
        let link = Slot { word: stage.first.word + end, touch: stage.first.touch + end };
        let Some(chunk) = arena.load_slot(link).linked_chunk() else { return stages };
        assert!(stages.len() <= CHAIN_CHUNKS_MAX, "a chain of bucket {bucket} has no end");
        stages.push(Stage {
            first: arena.chunk_slot(chunk, 0),
            slots: CHUNK_SLOTS,
            link: Some((link, chunk)),
        });
    }
}

fn last_entry(arena: &Arena, stage: &Stage) -> Option<(Slot, SlotWord)> {
    (0..stage.slots)
        .rev()
        .map(|position| Slot { word: stage.first.word + position, touch: stage.first.touch + position })
        .map(|slot| (slot, arena.load_slot(slot)))
        .find(|(_, word)| word.is_entry())
}
