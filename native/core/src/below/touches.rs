//! What the tiers below RAM remember of reads, in tables of a fixed size that may forget.

use crate::sync::{AtomicU64, Ordering};

/// Remembers which cold keys were read lately, a few bits of each, in a table that forgets by overwriting.
pub struct Touches {
    marks: Vec<AtomicU64>,
}

/// Reads of a cold key this close together are a second touch.
const WINDOW_MS: u64 = 60_000;

impl Touches {
    /// `slots`: a power of two.
    pub fn new(slots: usize) -> Touches {
        Touches { marks: (0..slots).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the key was touched within the window before; it has been now. A mark is 24 bits of the hash above 40
    /// bits of milliseconds.
    pub fn touch(&self, hash: u64, now_ms: u64) -> bool {
        const TIME: u64 = (1 << 40) - 1;
        let mark = &self.marks[hash as usize & (self.marks.len() - 1)];
        let before = mark.swap(hash & !TIME | now_ms & TIME, Ordering::Relaxed);
        before & !TIME == hash & !TIME && (now_ms & TIME).wrapping_sub(before & TIME) & TIME <= WINDOW_MS
    }

    pub fn heap_bytes(&self) -> usize {
        self.marks.len() * size_of::<AtomicU64>()
    }
}

/// Which keys were read from the SSD tier since the drain of the log last passed them: one bit of each, the second hand of
/// a CLOCK (Corbató, "A Paging Experiment with the Multics System", 1968). Keys that share a bit are read together.
pub struct Recency {
    words: Vec<AtomicU64>,
    set: AtomicU64,
}

impl Recency {
    /// `words`: a power of two.
    pub fn new(words: usize) -> Recency {
        Recency { words: (0..words).map(|_| AtomicU64::new(0)).collect(), set: AtomicU64::new(0) }
    }

    pub fn touch(&self, hash: u64) {
        let (word, bit) = self.place(hash);
        if word.load(Ordering::Relaxed) & bit != 0 || word.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let set = self.set.fetch_add(1, Ordering::Relaxed) + 1;
        // A table that says of most keys that they were read says nothing.
        if set >= self.words.len() as u64 * 32 {
            self.set.store(0, Ordering::Relaxed);
            self.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    /// Whether a key was read; it has to be read again to count once more.
    pub fn take(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        let was_set = word.fetch_and(!bit, Ordering::Relaxed) & bit != 0;
        if was_set {
            let _ = self.set.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |set| set.checked_sub(1));
        }
        was_set
    }

    pub fn heap_bytes(&self) -> usize {
        self.words.len() * size_of::<AtomicU64>()
    }

    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        (&self.words[(hash >> 6) as usize & (self.words.len() - 1)], 1 << (hash & 63))
    }
}
