//! Which keys are read: about one read in 64, of every process, leaves the slot it has found in its counter slot, and the
//! owner looks there now and then. What nobody looks at is written over: for who reads it costs two stores in 64 reads.

use crate::arena::copy::copy_out;
use crate::arena::Slot;
use crate::feed::read_header;
use crate::layout::{counters, superblock, BUCKET_SLOTS, CHUNK_SLOTS};
use crate::store::Store;
use crate::sync::{fence, Ordering};

/// Reads of one key since the look before, of one thread: a single one of them is known by its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sampled {
    pub namespace: u32,
    pub key: Vec<u8>,
    /// Samples that this one stands for.
    pub weight: u32,
}

impl Store {
    /// What was sampled since the look before, of each thread the newest. `seen` is what that look has left: low halves of
    /// the counts of samples, by counter slot. The first look finds nothing.
    pub fn sampled(&self, seen: &mut Vec<u32>) -> Vec<Sampled> {
        let is_first = seen.is_empty();
        seen.resize(counters::SLOTS, 0);
        let mut found = Vec::new();
        for (number, before) in seen.iter_mut().enumerate() {
            let load = |word| self.arena.counter(number, word).load(Ordering::Relaxed);
            if number > 0 && load(counters::NAMESPACE) == 0 {
                // Slots are claimed in order.
                break;
            }
            let count = load(counters::SAMPLES) as u32;
            let weight = count.wrapping_sub(std::mem::replace(before, count));
            if weight == 0 || is_first {
                continue;
            }
            if let Some((namespace, key)) = self.key_in_slot(load(counters::SAMPLED_SLOT)) {
                found.push(Sampled { namespace, key, weight });
            }
        }
        found
    }

    /// The key that a slot leads to now; every number is taken, for others have written it.
    fn key_in_slot(&self, word: u64) -> Option<(u32, Vec<u8>)> {
        let (arena, geometry) = (&self.arena, self.arena.geometry());
        let word = usize::try_from(word).ok()?;
        let chunks = arena.superblock(superblock::ALLOCATED_CHUNKS).load(Ordering::Relaxed) as usize;
        let is_in = |first: usize, slots: usize| (first..first + slots).contains(&word);
        let is_slot = is_in(geometry.index_word(), arena.bucket_count() as usize * BUCKET_SLOTS)
            || is_in(geometry.chunks_word(), chunks.min(geometry.chunks) * CHUNK_SLOTS);
        if !is_slot {
            return None;
        }
        let slot = Slot { word, touch: 0 };
        let found = arena.load_slot(slot);
        if !found.is_entry() {
            return None;
        }
        let location = found.location();
        let generation = arena.generation(location.segment);
        let before = generation.load(Ordering::Acquire);
        let first = arena.record_byte(location).filter(|_| location.is_of_generation(before as u32))?;
        let header = read_header(arena, location).filter(|header| !header.is_tombstone())?;
        let mut key = vec![0; header.key_bytes as usize];
        copy_out(arena.data(), first, header.key_at as usize, &mut key);
        // SYNC recycle: as in a read, believed only when both are what they were.
        fence(Ordering::Acquire);
        let is_current = arena.slot(slot).load(Ordering::Relaxed) == found.0
            && generation.load(Ordering::Relaxed) == before;
        is_current.then_some((header.namespace, key))
    }
}
