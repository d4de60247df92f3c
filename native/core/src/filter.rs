//! The absent filter: which keys lie in no tier below RAM, so that a read of a key that exists nowhere costs neither
//! a disk read nor a round trip. It may say "maybe" of any key, and "absent" only of one that lies nowhere below.
//!
//! A Bloom filter in blocks of one cache line, in the data file: the owner adds, every process asks without a lock.
//! Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970; Putze, Sanders, Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007. At its design load, 10 bits a key, 6 bits set for each key are best: 0.96 % of
//! the keys that are absent get a "maybe"; 12 % at twice that load, 0.04 % at half of it.
//!
//! Nothing is ever removed from a copy. There are two: *current*, which is asked, and *next*, which a rebuild fills from
//! a scan of the tiers and which then takes the place of the current one. One word of the superblock says which copy is
//! current, how large it is and how often that has changed; 0 answers every question with "maybe".
//!
//! - a move down: add, commit in the tier, unpublish the slot. A read: slot, then filter. Who sees the slot empty sees
//!   what was added before (SYNC publish, whose release is the clearing of the slot), and the word it was added under;
//! - a rebuild: begin, scan what is committed below into next, finish. Adds go to both copies meanwhile. An add that
//!   came before the beginning must have been committed before the scan, or next would not get it from either side:
//!   **a rebuild begins between two moves, never inside one**;
//! - a copy is zeroed or given back only after the word has left it, so who was in it asks the word again (SYNC filter)
//!   before it believes an "absent".

use crate::arena::Arena;
use crate::layout::{superblock, FILTER_BLOCKS_LEAST, FILTER_BLOCK_WORDS, WORD_BYTES};
use crate::sync::{fence, lock, AtomicU64, Mutex, Ordering, RwLock, RwLockReadGuard};

pub const COPIES: usize = 2;
/// Bits each key sets in its block.
#[cfg(not(loom))]
const PROBES: u32 = 6;
#[cfg(loom)]
const PROBES: u32 = 2;
const BLOCK_BITS: usize = FILTER_BLOCK_WORDS * 64;
const BLOCK_BYTES: usize = FILTER_BLOCK_WORDS * WORD_BYTES;
/// The design load. Past it the filter is crowded.
const BITS_PER_KEY: u64 = 10;
/// Looks of the background, a second apart, until the memory of a copy out of use is given back.
const LOOKS_UNTIL_PUNCHED: u32 = 2;

const _: () = {
    assert!(BLOCK_BITS.is_power_of_two());
    assert!(PROBES * BLOCK_BITS.trailing_zeros() <= 64);
};

/// A copy and its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilterCopy {
    pub number: usize,
    pub blocks_log2: u32,
}

impl FilterCopy {
    fn bytes(self) -> usize {
        BLOCK_BYTES << self.blocks_log2
    }

    fn design_keys(self) -> u64 {
        ((BLOCK_BITS as u64) << self.blocks_log2) / BITS_PER_KEY
    }
}

/// The word in the superblock: `41..64 zero | 40 copy | 39..32 log2 of its blocks | 31..0 generation`. The generation
/// is never 0, so 0 stands for no filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilterWord(pub u64);

impl FilterWord {
    pub const NONE: FilterWord = FilterWord(0);

    pub fn new(copy: FilterCopy, generation: u32) -> FilterWord {
        debug_assert!(copy.number < COPIES && generation != 0);
        FilterWord((copy.number as u64) << 40 | (copy.blocks_log2 as u64) << 32 | generation as u64)
    }

    /// What it names; `None` without a filter, and for a word that names more than is mapped.
    #[inline]
    pub fn copy(self, blocks_log2_max: u32) -> Option<FilterCopy> {
        let blocks_log2 = (self.0 >> 32) as u32 & 0xff;
        let is_possible = self.0 as u32 != 0 && self.0 >> 41 == 0 && blocks_log2 <= blocks_log2_max;
        is_possible.then_some(FilterCopy { number: (self.0 >> 40) as usize, blocks_log2 })
    }
}

/// Words and bits of a key in a copy. The block comes from bits of the hash, the bits in it from a mixture of all.
#[inline]
pub fn probes(arena: &Arena, copy: FilterCopy, hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let block = (hash >> 32) as usize & ((1 << copy.blocks_log2) - 1);
    let first = arena.filter_word(copy.number) + block * FILTER_BLOCK_WORDS;
    let product = hash as u128 * 0x9e37_79b9_7f4a_7c15_u128;
    let mixed = product as u64 ^ (product >> 64) as u64;
    (0..PROBES).map(move |probe| {
        let bit = (mixed >> (probe * BLOCK_BITS.trailing_zeros())) as usize % BLOCK_BITS;
        (first + bit / 64, 1 << (bit % 64))
    })
}

impl Arena {
    /// False only when a key of this hash lies in no tier below RAM. Asked after a lookup that has missed: the other
    /// way round, the key may move down between the two. Says nothing of tiers other machines write to.
    #[inline]
    pub fn may_be_below(&self, hash: u64) -> bool {
        let word = self.superblock(superblock::FILTER);
        // SYNC filter: meets the release store of `finish_rebuild`; the copy named holds all of its scan.
        let named = word.load(Ordering::Acquire);
        let Some(copy) = FilterWord(named).copy(self.filter_blocks_log2_max()) else { return true };
        // Relaxed is enough: whoever saw the slot cleared comes after the add.
        let has_all =
            probes(self, copy, hash).all(|(at, bit)| self.data().word(at).load(Ordering::Relaxed) & bit != 0);
        if has_all {
            return true;
        }
        // SYNC filter: a zero of the copy's next life brings the word along that ended this one.
        fence(Ordering::Acquire);
        word.load(Ordering::Relaxed) != named
    }
}

#[derive(Clone, Copy, Default)]
struct State {
    current: Option<FilterCopy>,
    next: Option<FilterCopy>,
    generation: u32,
    /// Number of the last rebuild begun.
    rebuild: u32,
}

impl State {
    fn uses(&self, number: usize) -> bool {
        [self.current, self.next].iter().flatten().any(|copy| copy.number == number)
    }
}

/// The owner's side.
#[derive(Default)]
pub struct Filter {
    /// LOCK: rebuild. Held while a copy is prepared, exchanged or given back, also over the system calls for its memory;
    /// taken before `filter`. Counts the looks at each copy since it went out of use.
    rebuilding: Mutex<[u32; COPIES]>,
    /// LOCK: filter. Shared by adds, so that none is half done when a copy comes into use or goes.
    state: RwLock<State>,
    /// Keys that set a bit in each copy: fewer than were added, for the same keys move down again and again.
    added: [AtomicU64; COPIES],
    allocated_bytes: [AtomicU64; COPIES],
}

impl Filter {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("a thread panicked while it exchanged the filter")
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.write().expect("a thread panicked while it exchanged the filter"))
    }

    /// Adds a key that is about to be committed below. Without a filter it does nothing: a scan will find the key.
    pub fn add(&self, arena: &Arena, hash: u64) {
        let state = self.read();
        for copy in [state.current, state.next].into_iter().flatten() {
            self.set(arena, copy, hash);
        }
    }

    /// Adds a key that a scan has found below. Does nothing when no rebuild is under way.
    pub fn add_to_next(&self, arena: &Arena, hash: u64) {
        let state = self.read();
        if let Some(next) = state.next {
            self.set(arena, next, hash);
        }
    }

    fn set(&self, arena: &Arena, copy: FilterCopy, hash: u64) {
        let mut is_new = false;
        for (at, bit) in probes(arena, copy, hash) {
            let word = arena.data().word(at);
            // Most bits of a key that moves down again are there, and a line that is not written stays with its readers.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
                is_new = true;
            }
        }
        if is_new {
            self.added[copy.number].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Size of a copy for twice `keys` keys, or for as many as `bytes_max` allows when that is still all of them.
    pub fn blocks_log2_for(arena: &Arena, keys: u64, bytes_max: usize) -> Option<u32> {
        let blocks = |keys: u64| keys.saturating_mul(BITS_PER_KEY).div_ceil(BLOCK_BITS as u64);
        let most = (bytes_max / BLOCK_BYTES).checked_ilog2()?.min(arena.filter_blocks_log2_max());
        let least = FILTER_BLOCKS_LEAST.ilog2();
        let wanted = ceil_log2(blocks(keys.saturating_mul(2))).max(least).min(most);
        (wanted >= least && 1 << wanted >= blocks(keys)).then_some(wanted)
    }

    /// Begins to fill the copy out of use, with a size from [`Filter::blocks_log2_for`]; a rebuild under way is dropped.
    /// The number of this one, or `None` without memory. Zeroes the whole copy: not for a thread that somebody waits for.
    pub fn begin_rebuild(&self, arena: &Arena, blocks_log2: u32) -> Option<u32> {
        let mut looks = lock(&self.rebuilding);
        let current = self.change(|state| {
            state.next = None;
            state.current
        });
        let next = FilterCopy { number: current.map_or(0, |current| 1 - current.number), blocks_log2 };
        let first = arena.filter_word(next.number);
        if !arena.data().allocate(first * WORD_BYTES, next.bytes()) {
            return None;
        }
        looks[next.number] = 0;
        self.allocated_bytes[next.number].fetch_max(next.bytes() as u64, Ordering::Relaxed);
        // SYNC filter: the word left this copy before; a reader that sees one of these zeros sees that too.
        fence(Ordering::Release);
        for at in first..first + next.bytes() / WORD_BYTES {
            arena.data().word(at).store(0, Ordering::Relaxed);
        }
        self.added[next.number].store(0, Ordering::Relaxed);
        Some(self.change(|state| {
            state.next = Some(next);
            state.rebuild = state.rebuild.wrapping_add(1);
            state.rebuild
        }))
    }

    /// Makes next the current copy. False when another rebuild has begun since, or this one was abandoned.
    pub fn finish_rebuild(&self, arena: &Arena, rebuild: u32) -> bool {
        let _rebuilding = lock(&self.rebuilding);
        self.change(|state| {
            let Some(next) = state.next.filter(|_| state.rebuild == rebuild) else { return false };
            state.next = None;
            state.current = Some(next);
            state.generation = state.generation.checked_add(1).unwrap_or(1);
            // SYNC filter: every key of the scan, whichever thread has added it, lies in the copy: the lock has seen to it.
            arena
                .superblock(superblock::FILTER)
                .store(FilterWord::new(next, state.generation).0, Ordering::Release);
            true
        })
    }

    pub fn abandon_rebuild(&self, rebuild: u32) {
        let _rebuilding = lock(&self.rebuilding);
        self.change(|state| state.next = state.next.filter(|_| state.rebuild != rebuild));
    }

    /// Answers "maybe" from now on: for a filter nobody can vouch for, such as that of an owner that is gone. A rebuild
    /// under way is dropped.
    pub fn forget(&self, arena: &Arena) {
        let _rebuilding = lock(&self.rebuilding);
        self.change(|state| {
            (state.current, state.next) = (None, None);
            // A successor must not count from 1 again while readers hold words of the owner before it.
            let word = arena.superblock(superblock::FILTER).load(Ordering::Relaxed);
            state.generation = state.generation.max(word as u32);
            arena.superblock(superblock::FILTER).store(FilterWord::NONE.0, Ordering::Release);
        });
    }

    /// Whether the current copy holds more than it is made for: time for a rebuild. False while one is under way.
    pub fn is_crowded(&self) -> bool {
        let state = *self.read();
        state.next.is_none()
            && state.current.is_some_and(|current| {
                self.added[current.number].load(Ordering::Relaxed) > current.design_keys()
            })
    }

    /// Gives the memory of a copy back that has been out of use for two looks, a second apart: a fault on a punched page
    /// of a full tmpfs would end a reader that is still there.
    pub fn punch_unused(&self, arena: &Arena) {
        // A rebuild may hold it for long, and there will be another look.
        let Ok(mut looks) = self.rebuilding.try_lock() else { return };
        let state = *self.read();
        for copy in 0..COPIES {
            let bytes = self.allocated_bytes[copy].load(Ordering::Relaxed) as usize;
            if bytes == 0 || state.uses(copy) {
                continue;
            }
            looks[copy] += 1;
            if looks[copy] >= LOOKS_UNTIL_PUNCHED {
                looks[copy] = 0;
                arena.data().punch(arena.filter_word(copy) * WORD_BYTES, bytes);
                self.allocated_bytes[copy].store(0, Ordering::Relaxed);
            }
        }
    }

    /// Shared memory of both copies.
    pub fn allocated_bytes(&self) -> usize {
        self.allocated_bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed) as usize).sum()
    }
}

fn ceil_log2(count: u64) -> u32 {
    count.max(1).checked_next_power_of_two().map_or(63, u64::ilog2)
}
