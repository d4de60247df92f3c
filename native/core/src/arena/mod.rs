//! The arena: two shared files, and the words in them that every process agrees on.
//!
//! [`Arena`] is what owner and readers share: typed access to words by meaning. It never allocates, never locks and
//! never grows; `memory` makes and maps the files, `owner_files` says who owns a directory.

pub mod copy;
mod memory;
#[cfg(not(loom))]
pub mod owner_files;

#[cfg(not(loom))]
pub use memory::Mapping;
pub use memory::{Backing, Words};

use crate::hash::KeyHasher;
use crate::layout::{self, counters, superblock, Geometry, SlotWord};
use crate::sync::{AtomicU64, AtomicU8, Ordering};
use std::sync::OnceLock;

/// Typed view of a data file and a touch file.
pub struct Arena {
    data: Words,
    touch: Words,
    geometry: Geometry,
    segment_table_word: usize,
    shard_lines_word: usize,
    index_word: usize,
    chunks_word: usize,
    segments_word: usize,
    segment_bytes: usize,
    segment_grains: usize,
    index_touch_byte: usize,
    chunk_touch_byte: usize,
    filter_word: usize,
    filter_copy_words: usize,
    tags_word: usize,
    tag_words: usize,
    hasher: OnceLock<KeyHasher>,
}

/// One slot: its word in the data file and its access byte in the touch file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Slot {
    pub word: usize,
    pub touch: usize,
}

impl Arena {
    /// Both mappings must be of `geometry`'s sizes.
    pub fn new(data: Words, touch: Words, geometry: Geometry) -> Arena {
        assert!(data.bytes() >= geometry.data_bytes() && touch.bytes() >= geometry.touch_bytes());
        Arena {
            data,
            touch,
            geometry,
            segment_table_word: geometry.segment_table_word(),
            shard_lines_word: geometry.shard_lines_word(),
            index_word: geometry.index_word(),
            chunks_word: geometry.chunks_word(),
            segments_word: geometry.segments_word(),
            segment_bytes: geometry.segment_bytes,
            segment_grains: geometry.segment_bytes / layout::GRAIN_BYTES,
            index_touch_byte: geometry.index_touch_byte(),
            chunk_touch_byte: geometry.chunk_touch_byte(),
            filter_word: geometry.filter_word(),
            filter_copy_words: geometry.filter_copy_words(),
            tags_word: geometry.tags_word(),
            tag_words: geometry.tag_words(),
            hasher: OnceLock::new(),
        }
    }

    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub fn data(&self) -> &Words {
        &self.data
    }

    pub fn touch(&self) -> &Words {
        &self.touch
    }

    #[inline]
    pub fn superblock(&self, word: usize) -> &AtomicU64 {
        self.data.word(word)
    }

    /// Buckets in use; 0 when the arena has no open owner. Never more than are mapped, whatever the bytes say.
    #[inline]
    pub fn bucket_count(&self) -> u64 {
        // SYNC bucket-count: meets the release store in `index::split`.
        let count = self.data.word(superblock::BUCKET_COUNT).load(Ordering::Acquire);
        count.min(self.geometry.buckets as u64)
    }

    /// Count of moves of slots in a shard; a reader that misses compares it.
    #[inline]
    pub fn moves(&self, shard: usize) -> &AtomicU64 {
        self.data.word(self.shard_lines_word + shard * layout::SHARD_LINE)
    }

    #[inline]
    pub fn generation(&self, segment: u32) -> &AtomicU64 {
        self.data.word(
            self.segment_table_word + segment as usize * layout::SEGMENT_LINE + layout::SEGMENT_GENERATION,
        )
    }

    pub fn segment_state(&self, segment: u32) -> &AtomicU64 {
        self.data
            .word(self.segment_table_word + segment as usize * layout::SEGMENT_LINE + layout::SEGMENT_STATE)
    }

    /// Words of a namespace line. `namespace` below [`layout::NAMESPACES_MAX`].
    #[inline]
    pub fn namespace_word(&self, namespace: u32, word: usize) -> &AtomicU64 {
        debug_assert!((namespace as usize) < layout::NAMESPACES_MAX);
        self.data.word(superblock::WORDS + namespace as usize * layout::NAMESPACE_LINE + word)
    }

    #[inline]
    pub fn bucket_slot(&self, bucket: u64, position: usize) -> Slot {
        let slot = bucket as usize * layout::BUCKET_SLOTS + position;
        Slot { word: self.index_word + slot, touch: self.index_touch_byte + slot }
    }

    /// `chunk` must be below `geometry.chunks`.
    #[inline]
    pub fn chunk_slot(&self, chunk: u32, position: usize) -> Slot {
        let slot = chunk as usize * layout::CHUNK_SLOTS + position;
        Slot { word: self.chunks_word + slot, touch: self.chunk_touch_byte + slot }
    }

    #[inline]
    pub fn slot(&self, slot: Slot) -> &AtomicU64 {
        self.data.word(slot.word)
    }

    #[inline]
    pub fn load_slot(&self, slot: Slot) -> SlotWord {
        // SYNC publish: meets the release stores of slots in `index` and `ops::write`.
        SlotWord(self.data.word(slot.word).load(Ordering::Acquire))
    }

    /// First byte of a location in the data file, or `None` when it lies outside the mapped segments.
    #[inline]
    pub fn record_byte(&self, location: layout::Location) -> Option<usize> {
        let inside = (location.segment as usize) < self.geometry.segments
            && (location.offset as usize) < self.segment_grains;
        inside.then(|| {
            self.segments_word * layout::WORD_BYTES
                + location.segment as usize * self.segment_bytes
                + location.offset as usize * layout::GRAIN_BYTES
        })
    }

    #[inline]
    pub fn segment_grains(&self) -> usize {
        self.segment_grains
    }

    /// Bytes of all segments together.
    #[inline]
    pub fn segments_bytes(&self) -> usize {
        self.geometry.segments * self.segment_bytes
    }

    /// A byte of the segment area, counted from its start, in the data file.
    #[inline]
    pub fn segment_area_byte(&self, byte: usize) -> usize {
        self.segments_word * layout::WORD_BYTES + byte
    }

    /// First word of a copy of the absent filter.
    #[inline]
    pub fn filter_word(&self, copy: usize) -> usize {
        debug_assert!(copy < crate::filter::COPIES);
        self.filter_word + copy * self.filter_copy_words
    }

    /// The word in the table of tag epochs that a hash falls on; has memory once [`superblock::TAGS`] is set.
    #[inline]
    pub fn tag_epoch(&self, hash: u64) -> &AtomicU64 {
        // Not the low bits, which say the shard, nor the high ones, which are the slot's tag.
        self.data.word(self.tags_word + (hash >> 16) as usize % self.tag_words)
    }

    /// Of the seed in the superblock. Not before that is there.
    pub fn hasher(&self) -> &KeyHasher {
        self.hasher
            .get_or_init(|| KeyHasher::new(self.superblock(superblock::HASH_SEED).load(Ordering::Relaxed)))
    }

    #[inline]
    pub fn filter_blocks_log2_max(&self) -> u32 {
        (self.filter_copy_words / layout::FILTER_BLOCK_WORDS).ilog2()
    }

    #[inline]
    pub fn access_byte(&self, slot: Slot) -> &AtomicU8 {
        self.touch.byte(slot.touch)
    }

    pub fn counter(&self, slot: usize, word: usize) -> &AtomicU64 {
        debug_assert!(slot < counters::SLOTS && word < counters::WORDS);
        self.touch.word(self.geometry.counters_byte() / layout::WORD_BYTES + slot * counters::WORDS + word)
    }

    /// Milliseconds since 1970: the wall clock, or the one a test has set.
    #[inline]
    pub fn wall_ms(&self) -> u64 {
        match self.superblock(superblock::MANUAL_CLOCK).load(Ordering::Relaxed) {
            0 => crate::clock::wall_ms(),
            manual => manual,
        }
    }

    /// The time expiry compares with: never before the newest write, so that a clock that steps back revives nothing.
    #[inline]
    pub fn expiry_now_ms(&self) -> u64 {
        let clock = self.superblock(superblock::CLOCK).load(Ordering::Relaxed);
        self.wall_ms().max(clock >> crate::clock::COUNTER_BITS)
    }
}
