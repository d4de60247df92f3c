//! The index: every slot that stays leads to a sound record of its bucket, and no other slot leads to that key.

use super::segments::Survey;
use crate::arena::copy::{copy_out, equals};
use crate::arena::{Arena, Slot};
use crate::feed::read_header;
use crate::index::{raise_moves, ChunkPool, Walk};
use crate::layout::{
    bucket_of, superblock, tag_of, Location, SlotWord, BUCKET_SLOTS, CHAIN_CHUNKS_MAX, CHUNK_SLOTS,
};
use crate::record::Header;
use crate::store::Store;
use crate::sync::{lock, Ordering};

/// Buckets whose records are fetched ahead: they lie all over the arena.
const FETCHED_AHEAD: u64 = 8;

struct Entry {
    slot: Slot,
    location: Location,
    header: Header,
    hash: u64,
}

struct Rebuild<'a> {
    store: &'a Store,
    survey: &'a Survey,
    bucket_count: u64,
    is_linked: Vec<bool>,
    /// Of the bucket at hand.
    entries: Vec<Entry>,
    dropped: u64,
}

/// Clears what may not stay and counts what does. The number of slots that led to nothing that could be kept.
pub fn rebuild(store: &Store, survey: &Survey) -> u64 {
    let arena = &store.arena;
    let chunks = arena.superblock(superblock::ALLOCATED_CHUNKS).load(Ordering::Relaxed) as usize;
    let mut rebuild = Rebuild {
        store,
        survey,
        bucket_count: arena.bucket_count(),
        is_linked: vec![false; chunks],
        entries: Vec::new(),
        dropped: 0,
    };
    for bucket in 0..rebuild.bucket_count {
        rebuild.fetch(bucket + FETCHED_AHEAD);
        rebuild.visit_chain(bucket);
        rebuild.take_in(bucket);
    }
    rebuild.empty_the_rest();
    *lock(&store.index.chunks) = ChunkPool::adopt(&rebuild.is_linked);
    rebuild.dropped
}

impl Rebuild<'_> {
    fn arena(&self) -> &Arena {
        &self.store.arena
    }

    fn fetch(&self, bucket: u64) {
        if bucket >= self.bucket_count {
            return;
        }
        let arena = self.arena();
        for position in 0..BUCKET_SLOTS {
            let word = SlotWord(arena.slot(arena.bucket_slot(bucket, position)).load(Ordering::Relaxed));
            let first = word.is_entry().then(|| arena.record_byte(word.location())).flatten();
            if let Some(first) = first {
                arena.data().prefetch_byte(first);
            }
        }
    }

    fn visit_chain(&mut self, bucket: u64) {
        self.entries.clear();
        let (mut first, mut slots) = (self.arena().bucket_slot(bucket, 0), BUCKET_SLOTS);
        let mut chain = 0;
        loop {
            let mut next = None;
            for position in 0..slots {
                let slot = Slot { word: first.word + position, touch: first.touch + position };
                let word = self.arena().load_slot(slot);
                match word.linked_chunk() {
                    None if word.is_empty() => {}
                    None => self.visit(bucket, slot, word),
                    Some(chunk) => {
                        let is_sound = position + 1 == slots
                            && word == SlotWord::link(chunk)
                            && chain < CHAIN_CHUNKS_MAX
                            && self.is_linked.get(chunk as usize) == Some(&false);
                        if is_sound {
                            self.is_linked[chunk as usize] = true;
                            next = Some(chunk);
                        } else {
                            self.drop(bucket, slot);
                        }
                    }
                }
            }
            let Some(chunk) = next else { return };
            chain += 1;
            (first, slots) = (self.arena().chunk_slot(chunk, 0), CHUNK_SLOTS);
        }
    }

    fn visit(&mut self, bucket: u64, slot: Slot, word: SlotWord) {
        let Some(entry) = self.entry_of(slot, word) else { return self.drop(bucket, slot) };
        if bucket_of(entry.hash, self.bucket_count) != bucket {
            // Left by a split that was cut short, when it stands in its own bucket too.
            let own = bucket_of(entry.hash, self.bucket_count);
            let is_moved = Walk::new(self.arena(), own).any(|(_, other)| other == word);
            self.clear(bucket, slot);
            self.dropped += !is_moved as u64;
            return;
        }
        let Some(at) = self.entries.iter().position(|other| is_same_key(self.arena(), other, &entry)) else {
            self.entries.push(entry);
            return;
        };
        let other = &self.entries[at];
        if other.location == entry.location {
            // Left by a move within the bucket that was cut short.
            self.clear(bucket, slot);
        } else if (other.header.clock, other.header.expiry_clock)
            < (entry.header.clock, entry.header.expiry_clock)
        {
            let older = other.slot;
            self.entries[at] = entry;
            self.drop(bucket, older);
        } else {
            self.drop(bucket, slot);
        }
    }

    /// What a slot leads to, when that is a record whose key has this tag.
    fn entry_of(&self, slot: Slot, word: SlotWord) -> Option<Entry> {
        let location = word.location();
        if !self.survey.is_record(self.arena(), location) {
            return None;
        }
        let header = read_header(self.arena(), location)?;
        let hash = self.store.hash_of_record(&header, location);
        let is_sound = word == SlotWord::entry(tag_of(hash), location, header.is_special());
        is_sound.then_some(Entry { slot, location, header, hash })
    }

    /// Counts the entries of a bucket that stay, and takes the units of their values.
    fn take_in(&mut self, bucket: u64) {
        for at in 0..self.entries.len() {
            let Entry { slot, location, header, hash } = &self.entries[at];
            let extents = self.store.extents_of(header, *location);
            let has_value =
                !header.is_run() || self.store.runs.adopt(&extents, header.value_bytes as usize, *hash);
            if has_value {
                self.store.index.occupied.fetch_add(1, Ordering::Relaxed);
                self.store.account_enter(self.store.queue_of(*location), header);
                self.store.note_tag_record(header, *location, *hash, None);
            } else {
                self.drop(bucket, *slot);
            }
        }
    }

    /// Buckets that a split had begun to fill, and chunks no bucket links to: who takes them expects them empty.
    fn empty_the_rest(&self) {
        let arena = self.arena();
        let allocated = self.store.allocated_buckets.load(Ordering::Relaxed);
        let buckets = (self.bucket_count..allocated)
            .flat_map(|bucket| (0..BUCKET_SLOTS).map(move |position| arena.bucket_slot(bucket, position)));
        let chunks = (0..self.is_linked.len())
            .filter(|chunk| !self.is_linked[*chunk])
            .flat_map(|chunk| (0..CHUNK_SLOTS).map(move |position| arena.chunk_slot(chunk as u32, position)));
        for slot in buckets.chain(chunks) {
            if !arena.load_slot(slot).is_empty() {
                arena.slot(slot).store(0, Ordering::Release);
            }
        }
    }

    fn drop(&mut self, bucket: u64, slot: Slot) {
        self.clear(bucket, slot);
        self.dropped += 1;
    }

    /// A reader that has passed the other place of an entry before it was copied there must look again.
    fn clear(&self, bucket: u64, slot: Slot) {
        raise_moves(self.arena(), bucket);
        self.arena().slot(slot).store(0, Ordering::Release);
    }
}

fn is_same_key(arena: &Arena, one: &Entry, other: &Entry) -> bool {
    let is_alike = one.hash == other.hash
        && one.header.namespace == other.header.namespace
        && one.header.key_bytes == other.header.key_bytes;
    if !is_alike {
        return false;
    }
    let byte = |entry: &Entry| arena.record_byte(entry.location).expect("a surveyed record");
    let mut key = vec![0; one.header.key_bytes as usize];
    copy_out(arena.data(), byte(one), one.header.key_at as usize, &mut key);
    equals(arena.data(), byte(other), other.header.key_at as usize, &key)
}
