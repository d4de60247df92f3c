//! Every size, offset and bit width of the two shared files. `docs/FORMAT.md` draws what is asserted here.
//!
//! ```text
//! data file   | superblock 4 KiB | namespaces | segment table | shard lines | index | chunks | segments | filter, twice | tag epochs |
//! touch file  | header 4 KiB | counter slots | access bytes of the index | access bytes of the chunks |
//!
//! slot word   63 special | 62 = 1 | 61 = 0 | 60..45 tag | 44..29 segment | 28..20 generation | 19..0 offset / 4
//! ```
//!
//! Bits 62 and 61 make every non-empty word a normal double, so that JavaScript can compare it in one load.
//! A tag of 0 marks a link: the low 32 bits are the chunk that continues the bucket. Units are words of 8 bytes
//! unless a name says bytes.

/// "RAMCACHE" as little-endian bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RAMCACHE");
/// Raised by every change of what is drawn here; another version is refused.
pub const LAYOUT_VERSION: u64 = 4;

pub const WORD_BYTES: usize = 8;
/// Records begin at multiples of this; two may share a word, which is then written by read and write of the whole.
pub const GRAIN_BYTES: usize = 4;
pub const PAGE_BYTES: usize = 4096;

/// Slots of a bucket: one cache line.
#[cfg(not(loom))]
pub const BUCKET_SLOTS: usize = 8;
#[cfg(loom)]
pub const BUCKET_SLOTS: usize = 2;
/// Slots of an overflow chunk: half a cache line.
#[cfg(not(loom))]
pub const CHUNK_SLOTS: usize = 4;
#[cfg(loom)]
pub const CHUNK_SLOTS: usize = 2;
/// Chunks a lookup follows before it calls the chain damaged. A bucket holds 13 entries at the fullest point of a
/// split round on average; 64 chunks hold about 200.
pub const CHAIN_CHUNKS_MAX: usize = 64;

/// Writers are sharded by the low bits of the hash, which are also the low bits of the bucket number.
#[cfg(not(loom))]
pub const SHARDS: usize = 64;
#[cfg(loom)]
pub const SHARDS: usize = 1;
/// Words of a shard line: a cache line each, so that a split in one shard does not disturb readers of another.
pub const SHARD_LINE: usize = 8;

pub const KEY_BYTES_MAX: usize = 4096;
/// Longest value of one record; longer ones are streams in chunks.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of all tags of one entry, with their length bytes.
pub const TAGS_BYTES_MAX: usize = 1024;

pub const NAMESPACES_MAX: usize = 4096;
pub const NAMESPACE_NAME_BYTES_MAX: usize = 64;
/// Words of a namespace line: epoch, change counter, name length, tag floor, then the name, entries, payload bytes,
/// quota and bytes of RAM.
pub const NAMESPACE_LINE: usize = 16;
pub const NAMESPACE_EPOCH: usize = 0;
pub const NAMESPACE_CHANGES: usize = 1;
pub const NAMESPACE_NAME_BYTES: usize = 2;
/// Tagged records that are not newer are dead, whatever their tags: see [`crate::tags`].
pub const NAMESPACE_TAG_FLOOR: usize = 3;
pub const NAMESPACE_NAME: usize = 4;
pub const NAMESPACE_ENTRIES: usize = 12;
pub const NAMESPACE_PAYLOAD_BYTES: usize = 13;
/// Quota, 0 = none, and what records take of RAM, which is compared with it.
pub const NAMESPACE_QUOTA_BYTES: usize = 14;
pub const NAMESPACE_RAM_BYTES: usize = 15;

/// Words of a segment's line in the segment table: generation, then [`SegmentState`].
pub const SEGMENT_LINE: usize = 2;
pub const SEGMENT_GENERATION: usize = 0;
pub const SEGMENT_STATE: usize = 1;

#[cfg(not(loom))]
pub const SEGMENT_BYTES_MIN: usize = 8 << 10;
#[cfg(loom)]
pub const SEGMENT_BYTES_MIN: usize = 64;
pub const SEGMENT_BYTES_MAX: usize = 4 << 20;
/// Wanted number of segments of a budget; the spare ones and the half-filled ones cost about 5 of them.
pub const SEGMENTS_WANTED: usize = 1024;
/// Least number of segments of a small budget, whose segments grow up to the next size first.
pub const SEGMENTS_LEAST: usize = 64;
pub const SEGMENT_BYTES_ROOMY: usize = 32 << 10;
pub const SEGMENTS_MAX: usize = 1 << SEGMENT_BITS;
/// How many times the first budget a store may be resized to without a new arena.
pub const RESIZE_FACTOR: usize = 8;

/// Words of a block of the absent filter: a cache line.
#[cfg(not(loom))]
pub const FILTER_BLOCK_WORDS: usize = 8;
#[cfg(loom)]
pub const FILTER_BLOCK_WORDS: usize = 1;
/// Blocks of the smallest filter: a page.
#[cfg(not(loom))]
pub const FILTER_BLOCKS_LEAST: usize = 64;
#[cfg(loom)]
pub const FILTER_BLOCKS_LEAST: usize = 1;
/// Address space of each of the two copies: enough for 850 million keys at 10 bits.
pub const FILTER_BYTES_MAX: usize = 1 << 30;
/// A copy never takes more of the largest budget than this part of it.
pub const FILTER_SHARE: usize = 4;

/// Words of the table of tag epochs, a power of two: at most these, and one for so many bytes of the largest budget.
pub const TAG_WORDS_MAX: usize = 1 << 16;
pub const TAG_WORDS_LEAST: usize = 512;
pub const BYTES_PER_TAG_WORD: usize = 16 << 10;

/// Word offsets in the superblock. A cache line for what never changes, one for what readers load on every read,
/// one for what the owner writes on every write.
pub mod superblock {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 1;
    pub const SEGMENT_BYTES: usize = 2;
    pub const SEGMENTS: usize = 3;
    pub const BUCKETS: usize = 4;
    pub const CHUNKS: usize = 5;
    pub const ARENA_ID: usize = 6;
    pub const HASH_SEED: usize = 7;
    pub const OWNER_PID: usize = 8;
    pub const OWNER_START: usize = 9;
    pub const ORIGIN: usize = 10;

    /// Buckets in use; 0 while there is no open owner behind the arena.
    pub const BUCKET_COUNT: usize = 16;
    /// Odd while a group is being published.
    pub const GROUP: usize = 17;
    /// Milliseconds that stand in for the wall clock in tests; 0 = the wall clock.
    pub const MANUAL_CLOCK: usize = 18;
    /// Namespaces in the table.
    pub const NAMESPACE_COUNT: usize = 19;
    /// Which copy of the absent filter answers, its size and generation; 0 = none does.
    pub const FILTER: usize = 20;
    /// Number of the namespace of tags and one more; 0 until a tag is invalidated for the first time, and then there is
    /// memory behind the table of tag epochs.
    pub const TAGS: usize = 21;

    /// Highest clock word given out.
    pub const CLOCK: usize = 24;
    pub const BUDGET_BYTES: usize = 32;
    pub const ENTRIES: usize = 33;
    pub const PAYLOAD_BYTES: usize = 34;
    pub const OVERHEAD_BYTES: usize = 35;
    pub const SETS: usize = 36;
    pub const DELETES: usize = 37;
    pub const EXPIRED: usize = 38;
    pub const EVICTIONS: usize = 39;
    pub const SPILLED_BYTES: usize = 40;
    pub const BACK_PRESSURE: usize = 41;
    pub const SEQUENCE: usize = 42;
    /// Buckets and chunks with memory behind them; stored before the first of them is used.
    pub const ALLOCATED_BUCKETS: usize = 43;
    pub const ALLOCATED_CHUNKS: usize = 44;
    /// First and last clock word of the group that is being published and the number of its records: what a
    /// takeover needs to complete it. The number is 0 when there is none.
    pub const GROUP_FIRST: usize = 45;
    pub const GROUP_LAST: usize = 46;
    pub const GROUP_RECORDS: usize = 47;
    /// Highest clock word that the value log has.
    pub const LOGGED_CLOCK: usize = 48;
    /// First file of the value log of this arena's time; 0 before it has a log. Volatile records in older files are of
    /// arenas that are gone.
    pub const LOG_FIRST_FILE: usize = 49;

    #[cfg(not(loom))]
    pub const WORDS: usize = 512;
    #[cfg(loom)]
    pub const WORDS: usize = 56;
}

/// Word offsets in a counter slot of the touch file: one for each namespace and thread that reads.
pub mod counters {
    /// Process that holds the slot, and the low half of its start time above; 0 = free.
    pub const CLAIM: usize = 0;
    /// Namespace id + 1; 0 = never used.
    pub const NAMESPACE: usize = 1;
    pub const HITS: usize = 2;
    pub const MISSES: usize = 3;
    /// Lookups that started again because a word changed under them.
    pub const RETRIES: usize = 4;
    /// Reads given up after the retry limit and answered as a miss.
    pub const ABANDONED: usize = 5;
    /// Reads that were sampled, and the data word of the slot that the last of them has found.
    pub const SAMPLES: usize = 6;
    pub const SAMPLED_SLOT: usize = 7;
    pub const GET_HISTOGRAM: usize = 8;
    pub const SET_HISTOGRAM: usize = 68;
    pub const HISTOGRAM_BUCKETS: usize = 60;
    pub const WORDS: usize = 128;
    #[cfg(not(loom))]
    pub const SLOTS: usize = 1024;
    #[cfg(loom)]
    pub const SLOTS: usize = 1;
}

const SPECIAL_SHIFT: u32 = 63;
const NORMAL: u64 = 1 << 62;
const TAG_SHIFT: u32 = 45;
const SEGMENT_BITS: u32 = 16;
const SEGMENT_SHIFT: u32 = 29;
const GENERATION_BITS: u32 = 9;
const GENERATION_SHIFT: u32 = 20;
const OFFSET_BITS: u32 = 20;

const _: () = {
    assert!(OFFSET_BITS + GENERATION_BITS + SEGMENT_BITS == TAG_SHIFT);
    assert!(TAG_SHIFT + 16 == 61);
    assert!(SEGMENT_BYTES_MAX / GRAIN_BYTES <= 1 << OFFSET_BITS);
    assert!(SEGMENT_BYTES_MAX / GRAIN_BYTES < 1 << USED_BITS);
    assert!(NAMESPACE_NAME * WORD_BYTES + NAMESPACE_NAME_BYTES_MAX <= NAMESPACE_ENTRIES * WORD_BYTES);
    assert!(counters::GET_HISTOGRAM + counters::HISTOGRAM_BUCKETS == counters::SET_HISTOGRAM);
    assert!(counters::SET_HISTOGRAM + counters::HISTOGRAM_BUCKETS == counters::WORDS);
    assert!(SHARDS.is_power_of_two());
};

/// Where a record lies: what a slot word holds below its tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Location {
    pub segment: u32,
    /// Low bits of the segment's generation when the record was written.
    pub generation: u32,
    /// Offset in the segment, in grains.
    pub offset: u32,
}

/// A segment's second word in the segment table. A takeover finds the logs again by it.
///
/// ```text
/// 63..24 fill sequence | 23..21 kind | 20..0 used grains (logs only)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentState {
    /// Grows with every segment that is taken: the order of a log.
    pub sequence: u64,
    pub kind: u8,
    pub used: u32,
}

const USED_BITS: u32 = 21;
const KIND_BITS: u32 = 3;

impl SegmentState {
    pub fn bits(self) -> u64 {
        self.sequence << (USED_BITS + KIND_BITS) | (self.kind as u64) << USED_BITS | self.used as u64
    }

    pub fn from_bits(bits: u64) -> SegmentState {
        SegmentState {
            sequence: bits >> (USED_BITS + KIND_BITS),
            kind: (bits >> USED_BITS) as u8 & ((1 << KIND_BITS) - 1),
            used: bits as u32 & ((1 << USED_BITS) - 1),
        }
    }
}

/// The 64 bits of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotWord(pub u64);

impl SlotWord {
    pub const EMPTY: SlotWord = SlotWord(0);

    #[inline]
    pub fn entry(tag: u16, location: Location, special: bool) -> SlotWord {
        debug_assert!(tag != 0);
        SlotWord((special as u64) << SPECIAL_SHIFT | NORMAL | (tag as u64) << TAG_SHIFT | location.bits())
    }

    pub fn link(chunk: u32) -> SlotWord {
        SlotWord(NORMAL | chunk as u64)
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub fn tag(self) -> u16 {
        (self.0 >> TAG_SHIFT) as u16
    }

    #[inline]
    pub fn is_special(self) -> bool {
        self.0 >> SPECIAL_SHIFT != 0
    }

    /// The chunk a link leads to; `None` for entries and empty slots.
    #[inline]
    pub fn linked_chunk(self) -> Option<u32> {
        (self.0 != 0 && self.tag() == 0).then_some(self.0 as u32)
    }

    #[inline]
    pub fn is_entry(self) -> bool {
        self.tag() != 0
    }

    #[inline]
    pub fn location(self) -> Location {
        Location {
            segment: (self.0 >> SEGMENT_SHIFT) as u32 & (SEGMENTS_MAX as u32 - 1),
            generation: (self.0 >> GENERATION_SHIFT) as u32 & GENERATION_LOW_MASK,
            offset: self.0 as u32 & ((1 << OFFSET_BITS) - 1),
        }
    }

    #[inline]
    pub fn points_to(self, location: Location) -> bool {
        self.is_entry() && self.0 & LOCATION_MASK == location.bits()
    }

    /// The same tag at another place.
    pub fn moved_to(self, location: Location) -> SlotWord {
        SlotWord(self.0 & !LOCATION_MASK | location.bits())
    }
}

const LOCATION_MASK: u64 = (1 << TAG_SHIFT) - 1;
const GENERATION_LOW_MASK: u32 = (1 << GENERATION_BITS) - 1;

impl Location {
    #[inline]
    pub fn new(segment: u32, generation: u64, offset: u32) -> Location {
        Location { segment, generation: generation as u32 & GENERATION_LOW_MASK, offset }
    }

    #[inline]
    fn bits(self) -> u64 {
        debug_assert!((self.segment as usize) < SEGMENTS_MAX && self.offset < 1 << OFFSET_BITS);
        (self.segment as u64) << SEGMENT_SHIFT
            | ((self.generation & GENERATION_LOW_MASK) as u64) << GENERATION_SHIFT
            | self.offset as u64
    }

    #[inline]
    pub fn is_of_generation(self, generation: u32) -> bool {
        self.generation == generation & GENERATION_LOW_MASK
    }
}

/// Tag of a hash: its high bits, never 0.
#[inline]
pub fn tag_of(hash: u64) -> u16 {
    ((hash >> 48) as u16).max(1)
}

#[inline]
pub fn shard_of(hash: u64) -> usize {
    hash as usize & (SHARDS - 1)
}

/// Linear hashing: the bucket of a hash among `count` buckets.
/// Litwin, "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980.
#[inline]
pub fn bucket_of(hash: u64, count: u64) -> u64 {
    if count == 0 {
        return 0;
    }
    let half = 1u64 << (63 - count.leading_zeros());
    let wide = hash & (2 * half - 1);
    if wide < count {
        wide
    } else {
        hash & (half - 1)
    }
}

/// Sizes of one arena, fixed when it is made; offsets of its parts follow from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    pub segment_bytes: usize,
    pub segments: usize,
    pub buckets: usize,
    pub chunks: usize,
}

impl Geometry {
    /// Sizes for a budget that may later grow eight-fold. Address space is reserved, memory is not.
    pub fn for_budget(budget_bytes: usize) -> Geometry {
        // Small segments waste their ends on records that do not fit, few segments waste the half-filled ones.
        let wanted =
            (budget_bytes / SEGMENTS_WANTED).max((budget_bytes / SEGMENTS_LEAST).min(SEGMENT_BYTES_ROOMY));
        let segment_bytes = (wanted / 2 + 1).next_power_of_two().clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let segments = (budget_bytes / segment_bytes * RESIZE_FACTOR).clamp(16, SEGMENTS_MAX);
        let reach_bytes = segments * segment_bytes;
        // The smallest record takes 24 bytes, so the index never needs more than this.
        let buckets = (reach_bytes / 24 / BUCKET_SLOTS).next_power_of_two().min(1 << 31);
        Geometry { segment_bytes, segments, buckets, chunks: buckets }
    }

    pub fn namespaces_word(&self) -> usize {
        superblock::WORDS
    }
    #[inline]
    pub fn segment_table_word(&self) -> usize {
        self.namespaces_word() + NAMESPACE_LINE * namespaces_max()
    }
    #[inline]
    pub fn shard_lines_word(&self) -> usize {
        self.segment_table_word() + SEGMENT_LINE * self.segments
    }
    #[inline]
    pub fn index_word(&self) -> usize {
        page_up(self.shard_lines_word() + SHARD_LINE * SHARDS)
    }
    #[inline]
    pub fn chunks_word(&self) -> usize {
        page_up(self.index_word() + BUCKET_SLOTS * self.buckets)
    }
    #[inline]
    pub fn segments_word(&self) -> usize {
        page_up(self.chunks_word() + CHUNK_SLOTS * self.chunks)
    }
    /// Blocks of one copy of the absent filter at most, a power of two.
    pub fn filter_blocks_max(&self) -> usize {
        let block_bytes = FILTER_BLOCK_WORDS * WORD_BYTES;
        let share = self.segments * self.segment_bytes / FILTER_SHARE / block_bytes;
        let most = if cfg!(loom) { 1 } else { FILTER_BYTES_MAX / block_bytes };
        share.max(FILTER_BLOCKS_LEAST).next_power_of_two().min(most)
    }
    #[inline]
    pub fn filter_word(&self) -> usize {
        page_up(self.segments_word() + self.segments * (self.segment_bytes / WORD_BYTES))
    }
    pub fn filter_copy_words(&self) -> usize {
        self.filter_blocks_max() * FILTER_BLOCK_WORDS
    }
    #[inline]
    pub fn tags_word(&self) -> usize {
        self.filter_word() + crate::filter::COPIES * self.filter_copy_words()
    }
    /// Words of the table of tag epochs.
    pub fn tag_words(&self) -> usize {
        if cfg!(loom) {
            return 1;
        }
        let share = self.segments * self.segment_bytes / BYTES_PER_TAG_WORD;
        share.next_power_of_two().clamp(TAG_WORDS_LEAST, TAG_WORDS_MAX)
    }
    pub fn data_bytes(&self) -> usize {
        (self.tags_word() + self.tag_words()) * WORD_BYTES
    }
    pub fn counters_byte(&self) -> usize {
        PAGE_BYTES
    }
    #[inline]
    pub fn index_touch_byte(&self) -> usize {
        // Loom pays for every byte, and no model counts.
        if cfg!(loom) {
            return 0;
        }
        self.counters_byte() + counters::SLOTS * counters::WORDS * WORD_BYTES
    }
    #[inline]
    pub fn chunk_touch_byte(&self) -> usize {
        self.index_touch_byte() + self.buckets * BUCKET_SLOTS
    }
    pub fn touch_bytes(&self) -> usize {
        let used = self.chunk_touch_byte() + self.chunks * CHUNK_SLOTS;
        if cfg!(loom) {
            used
        } else {
            used.next_multiple_of(PAGE_BYTES)
        }
    }
    #[inline]
    pub fn segment_word(&self, segment: u32) -> usize {
        self.segments_word() + segment as usize * (self.segment_bytes / WORD_BYTES)
    }

    /// Whether sizes read from a superblock are ones this code can address.
    pub fn is_sane(&self) -> bool {
        self.segment_bytes.is_power_of_two()
            && (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            && (1..=SEGMENTS_MAX).contains(&self.segments)
            && (SHARDS..=1 << 31).contains(&self.buckets)
            && (1..=1 << 31).contains(&self.chunks)
    }
}

#[inline]
const fn namespaces_max() -> usize {
    if cfg!(loom) {
        1
    } else {
        NAMESPACES_MAX
    }
}

#[inline]
fn page_up(word: usize) -> usize {
    if cfg!(loom) {
        word
    } else {
        word.next_multiple_of(PAGE_BYTES / WORD_BYTES)
    }
}
