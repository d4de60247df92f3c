//! The read: any process, no lock, never a byte of another record.
//!
//! ```text
//! w = slot            acquire
//! g = generation      acquire; its low bits must be those in w
//! slot still w        so w was current at a moment after g was read, and its record was complete
//! key, value          relaxed words; every length checked first, for the bytes may be torn or hostile
//! fence               acquire
//! slot still w, generation still g; else everything above is forgotten and the lookup starts again
//! ```
//!
//! A key that does not match is validated the same way before it counts as another key, and a miss only counts when
//! no slot was moved in the shard meanwhile.

use crate::arena::copy::{copy_out, equals};
use crate::arena::{Arena, Slot};
use crate::evict::ACCESS_MAX;
use crate::feed::read_header_into;
use crate::index::Walk;
use crate::layout::{bucket_of, shard_of, tag_of, Location, SlotWord, BUCKET_SLOTS, TAGS_BYTES_MAX};
use crate::namespaces;
use crate::record::Header;
use crate::segment::{copy_run, Extent};
use crate::sync::{fence, spin, Ordering};
use crate::tags;

/// Lookups that start again this often are given up as a miss and counted. One retry needs a write of the same key,
/// a move in the same bucket or a recycled segment within a fraction of a microsecond.
pub const RETRIES_MAX: u32 = 10_000;

/// Where a hit's bytes go. Called once per attempt, after key, expiry and epoch have been looked at; an attempt that
/// is not confirmed is followed by another call or by a miss.
pub trait Destination {
    /// Whether a hit counts as a use of the entry. Housekeeping that looks must not keep what nobody reads.
    const TOUCHES: bool = true;
    /// Exactly `header.value_bytes` bytes for the value, or `None` to leave it where it is.
    fn value(&mut self, header: &Header) -> Option<&mut [u8]>;
    /// Exactly `header.tags_bytes` bytes for the encoded tags, or `None` when they are not wanted.
    fn tags(&mut self, _header: &Header) -> Option<&mut [u8]> {
        None
    }
    /// Whether an entry that expires is no answer any more.
    #[inline]
    fn is_over(header: &Header, now_ms: u64) -> bool {
        header.is_stale(now_ms)
    }
}

/// For lookups that want only the header.
pub struct Nothing;

impl Destination for Nothing {
    fn value(&mut self, _header: &Header) -> Option<&mut [u8]> {
        None
    }
}

/// A value on the heap.
#[derive(Default, Debug)]
pub struct Copied {
    pub value: Vec<u8>,
    pub tags: Vec<u8>,
}

impl Destination for Copied {
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.value.resize(header.value_bytes as usize, 0);
        Some(&mut self.value)
    }
    fn tags(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.tags.resize(header.tags_bytes as usize, 0);
        Some(&mut self.tags)
    }
}

/// A value on the heap, also one whose expiry is past, within its grace. Looked at without being used.
#[derive(Default, Debug)]
pub struct Graced(pub Copied);

impl Destination for Graced {
    const TOUCHES: bool = false;
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.0.value(header)
    }
    fn tags(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.0.tags(header)
    }
    fn is_over(header: &Header, now_ms: u64) -> bool {
        header.is_expired(now_ms)
    }
}

/// Only whether it is there, without its being used.
pub struct Glimpse;

impl Destination for Glimpse {
    const TOUCHES: bool = false;
    fn value(&mut self, _header: &Header) -> Option<&mut [u8]> {
        None
    }
    fn tags(&mut self, _header: &Header) -> Option<&mut [u8]> {
        None
    }
}

/// A value on the heap, looked at without being used.
#[derive(Default, Debug)]
pub struct Peeked(pub Copied);

impl Destination for Peeked {
    const TOUCHES: bool = false;
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.0.value(header)
    }
    fn tags(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.0.tags(header)
    }
}

/// The answer of a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// The header is in [`Seen`].
    Hit,
    /// The key's newest record is here, and it is deleted, expired, cleared or invalidated: there is nothing in any tier.
    Dead,
    /// No record of the key is in RAM.
    Miss,
    /// There is no open owner behind this arena.
    Closed,
    /// Started again too often; the caller may ask the owner.
    Abandoned,
}

/// What a lookup saw. It is filled in place: a header is long, and copied from hand to hand it would cost as much as the
/// rest of a lookup.
#[derive(Default, Debug)]
pub struct Seen {
    /// Of the record a hit has found; without meaning after another answer.
    pub header: Header,
    /// Raised for each time the lookup started again.
    pub retries: u64,
    /// Where a hit was found, what stood there, and the generation of its segment: as long as both stand, so does the hit.
    pub slot: Slot,
    pub word: SlotWord,
    pub generation: u64,
}

/// A reader of one arena.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub arena: &'a Arena,
    pub unit_bytes: usize,
}

#[derive(Clone, Copy)]
enum Examined {
    Hit,
    Dead,
    Other,
    Changed,
}

impl Reader<'_> {
    /// Looks a key up and copies what `destination` asks for.
    #[inline]
    pub fn read<D: Destination>(
        &self,
        namespace: u32,
        key: &[u8],
        hash: u64,
        destination: &mut D,
        seen: &mut Seen,
    ) -> Lookup {
        for _ in 0..RETRIES_MAX {
            if let Some(answer) = self.attempt(namespace, key, hash, destination, seen) {
                return answer;
            }
            seen.retries += 1;
            spin();
        }
        Lookup::Abandoned
    }

    #[inline(always)]
    fn attempt<D: Destination>(
        &self,
        namespace: u32,
        key: &[u8],
        hash: u64,
        destination: &mut D,
        seen: &mut Seen,
    ) -> Option<Lookup> {
        let arena = self.arena;
        let moves = arena.moves(shard_of(hash));
        // SYNC moves: loaded before the bucket count. Who sees the count of moves sees the bucket count it followed.
        let moves_before = moves.load(Ordering::Acquire);
        let count = arena.bucket_count();
        if count == 0 {
            return Some(Lookup::Closed);
        }
        let tag = tag_of(hash);
        let bucket = bucket_of(hash, count);
        // The bucket itself first, without asking of every word whether it is a link: only the last one can be.
        let first = arena.bucket_slot(bucket, 0);
        let mut word = SlotWord::EMPTY;
        for position in 0..BUCKET_SLOTS {
            let slot = Slot { word: first.word + position, touch: first.touch + position };
            word = arena.load_slot(slot);
            if word.tag() == tag {
                if let Some(answer) = self.visit(namespace, key, slot, word, destination, seen) {
                    return answer;
                }
            }
        }
        // The last word as it was compared: loaded again, it may be the entry that has taken the place of the link.
        if let Some(chunk) = word.linked_chunk() {
            for (slot, word) in Walk::of_chunk(arena, chunk) {
                if word.tag() == tag {
                    if let Some(answer) = self.visit(namespace, key, slot, word, destination, seen) {
                        return answer;
                    }
                }
            }
        }
        fence(Ordering::Acquire);
        (moves.load(Ordering::Relaxed) == moves_before).then_some(Lookup::Miss)
    }

    /// Looks at a slot whose tag matches: `None` to go on, `Some(None)` to start again, else the answer.
    #[inline(always)]
    fn visit<D: Destination>(
        &self,
        namespace: u32,
        key: &[u8],
        slot: Slot,
        word: SlotWord,
        destination: &mut D,
        seen: &mut Seen,
    ) -> Option<Option<Lookup>> {
        match self.examine(namespace, key, slot, word, destination, seen) {
            Examined::Hit => {
                if D::TOUCHES {
                    touch(self.arena, slot);
                }
                seen.slot = slot;
                seen.word = word;
                Some(Some(Lookup::Hit))
            }
            Examined::Dead => Some(Some(Lookup::Dead)),
            Examined::Other => None,
            Examined::Changed => Some(None),
        }
    }

    #[inline(always)]
    fn examine<D: Destination>(
        &self,
        namespace: u32,
        key: &[u8],
        slot: Slot,
        word: SlotWord,
        destination: &mut D,
        seen: &mut Seen,
    ) -> Examined {
        let arena = self.arena;
        let location = word.location();
        let Some(first) = arena.record_byte(location) else { return Examined::Other };
        // The record's lines and the access byte come while slot and generation are looked at.
        arena.data().prefetch_byte(first);
        arena.data().prefetch_byte(first + 64);
        arena.touch().prefetch_byte(slot.touch);
        let generation_word = arena.generation(location.segment);
        let generation = generation_word.load(Ordering::Acquire);
        if !location.is_of_generation(generation as u32) || arena.load_slot(slot) != word {
            return Examined::Changed;
        }
        let found = self.copy(namespace, key, location, first, destination, &mut seen.header);
        seen.generation = generation;
        // SYNC recycle: meets `release_fence` of the appender.
        fence(Ordering::Acquire);
        let is_current = arena.slot(slot).load(Ordering::Relaxed) == word.0
            && generation_word.load(Ordering::Relaxed) == generation;
        if is_current {
            found
        } else {
            Examined::Changed
        }
    }

    /// Everything between the two looks at the slot: what it finds is believed only after the second one.
    #[inline(always)]
    fn copy<D: Destination>(
        &self,
        namespace: u32,
        key: &[u8],
        location: Location,
        first: usize,
        destination: &mut D,
        header: &mut Header,
    ) -> Examined {
        let arena = self.arena;
        if !read_header_into(arena, location, first, header) {
            return Examined::Other;
        }
        let is_other = header.key_bytes as usize != key.len()
            || header.namespace != namespace
            || !equals(arena.data(), first, header.key_at as usize, key);
        if is_other {
            return Examined::Other;
        }
        if header.is_tombstone()
            || header.clock <= namespaces::epoch(arena, namespace)
            || (header.expires_at != 0 && D::is_over(header, arena.expiry_now_ms()))
            || (header.tags_bytes != 0 && is_invalidated(arena, first, header))
        {
            return Examined::Dead;
        }
        if let Some(out) = destination.value(header) {
            if !header.is_run() {
                copy_out(arena.data(), first, header.value_at(), out);
            } else if !self.copy_extents(first, header, out) {
                return Examined::Other;
            }
        }
        // Also when there are none: an attempt before this one may have left some.
        if let Some(out) = destination.tags(header) {
            copy_out(arena.data(), first, header.tags_at(), out);
        }
        Examined::Hit
    }

    fn copy_extents(&self, first: usize, header: &Header, out: &mut [u8]) -> bool {
        let mut bits = vec![0; header.inline_bytes()];
        copy_out(self.arena.data(), first, header.value_at(), &mut bits);
        let extents = bits
            .chunks_exact(8)
            .map(|bits| Extent::from_bits(u64::from_le_bytes(bits.try_into().expect("eight bytes"))));
        copy_run(self.arena, self.unit_bytes, extents, out)
    }
}

/// Of a record that has tags, which may be torn.
#[cold]
#[inline(never)]
fn is_invalidated(arena: &Arena, first: usize, header: &Header) -> bool {
    let mut copied = [0; TAGS_BYTES_MAX];
    let encoded = &mut copied[..header.tags_bytes as usize];
    copy_out(arena.data(), first, header.tags_at(), encoded);
    tags::is_invalidated(arena, header.namespace, header.clock, encoded)
}

/// Raises the access count of a slot while it is low. May be lost; never changes what is read.
#[inline]
fn touch(arena: &Arena, slot: Slot) {
    let byte = arena.access_byte(slot);
    let access = byte.load(Ordering::Relaxed);
    if access < ACCESS_MAX {
        byte.store(access + 1, Ordering::Relaxed);
    }
}
