//! Tags: a record that has some is dead when one of them was invalidated after it was written.
//!
//! An invalidated tag is a pinned record without a value in a namespace of the store's own; its clock word is the tag's
//! epoch. So the log, the tiers, a restart and a takeover carry epochs as they carry any record. In front of the records
//! stands a table of words in the arena, by hash, each the highest epoch of what falls on it: what is newer than its
//! tags' words lives, and for the rest the record of the tag decides. Two tags that share a word cost a lookup, never an
//! answer.
//!
//! ```text
//! key of an epoch   u8 0 | u16 namespace, big-endian | tag
//! key of a floor    u8 1 | u16 namespace, big-endian | u64 clock word, big-endian
//! ```
//!
//! Epochs are kept up to a number. Then the oldest are forgotten for a *floor* of their namespace: every tagged record
//! that is not newer is dead, whatever its tags. That may take what nobody has invalidated, as an eviction would; it never
//! brings anything back.

use crate::arena::Arena;
use crate::layout::{superblock, NAMESPACE_TAG_FLOOR};
use crate::ops::read::{Glimpse, Lookup, Reader, Seen};
use crate::sync::Ordering;

/// With the space no user can name it.
pub const NAMESPACE_NAME: &str = " tags";
/// One byte in a record says how long a tag is.
pub const TAG_BYTES_MAX: usize = 255;
/// Tags that are invalidated at a time: each is a write, and all of them are one call.
pub const TAGS_PER_CALL_MAX: usize = 1024;

const KIND_EPOCH: u8 = 0;
const KIND_FLOOR: u8 = 1;
const HEAD_BYTES: usize = 3;
const FLOOR_BYTES: usize = HEAD_BYTES + 8;

/// The key of a record in the namespace of tags.
#[derive(Clone, Copy)]
pub struct TagKey {
    bytes: [u8; HEAD_BYTES + TAG_BYTES_MAX],
    length: usize,
}

/// What such a key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    Epoch,
    /// Of a namespace, at a clock word.
    Floor(u32, u64),
}

impl TagKey {
    /// `tag` has at most [`TAG_BYTES_MAX`] bytes.
    pub fn epoch(namespace: u32, tag: &[u8]) -> TagKey {
        TagKey::new(KIND_EPOCH, namespace, tag)
    }

    pub fn floor(namespace: u32, clock: u64) -> TagKey {
        TagKey::new(KIND_FLOOR, namespace, &clock.to_be_bytes())
    }

    fn new(kind: u8, namespace: u32, rest: &[u8]) -> TagKey {
        let mut bytes = [0; HEAD_BYTES + TAG_BYTES_MAX];
        bytes[0] = kind;
        bytes[1..HEAD_BYTES].copy_from_slice(&(namespace as u16).to_be_bytes());
        bytes[HEAD_BYTES..HEAD_BYTES + rest.len()].copy_from_slice(rest);
        TagKey { bytes, length: HEAD_BYTES + rest.len() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// `None` for what is no key of this namespace.
pub fn meaning_of(key: &[u8]) -> Option<Meaning> {
    match *key.first()? {
        KIND_EPOCH if key.len() > HEAD_BYTES => Some(Meaning::Epoch),
        KIND_FLOOR if key.len() == FLOOR_BYTES => {
            let namespace = u16::from_be_bytes([key[1], key[2]]) as u32;
            let clock = u64::from_be_bytes(key[HEAD_BYTES..].try_into().expect("eight bytes"));
            let is_sane = (namespace as usize) < crate::layout::NAMESPACES_MAX;
            is_sane.then_some(Meaning::Floor(namespace, clock))
        }
        _ => None,
    }
}

/// Tags out of their encoded form, a length byte and so many bytes for each. What is cut short ends the list.
pub fn split(mut encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = encoded.split_first()?;
        let (tag, rest) = rest.split_at_checked(*length as usize)?;
        encoded = rest;
        Some(tag)
    })
}

/// The namespace of tags; `None` until one is invalidated.
#[inline]
pub fn namespace_of(arena: &Arena) -> Option<u32> {
    // SYNC tags: there is memory behind the table; meets the release store in `ops::tags`.
    (arena.superblock(superblock::TAGS).load(Ordering::Acquire) as u32).checked_sub(1)
}

/// Tagged records of a namespace that are not newer are dead.
pub fn floor(arena: &Arena, namespace: u32) -> u64 {
    // SYNC tags: raised before the epochs it stands for are removed.
    arena.namespace_word(namespace, NAMESPACE_TAG_FLOOR).load(Ordering::Acquire)
}

/// Whether a record with these tags, of this clock word, is dead by one of them. By any process; the bytes may be torn.
#[cold]
#[inline(never)]
pub fn is_invalidated(arena: &Arena, namespace: u32, clock: u64, encoded: &[u8]) -> bool {
    let Some(own) = namespace_of(arena).filter(|own| *own != namespace) else { return false };
    let is_dead_by = |tag: &[u8]| {
        let key = TagKey::epoch(namespace, tag);
        let hash = arena.hasher().hash(own, key.bytes());
        // SYNC tags: raised after the record of the tag was published, which is found from then on.
        clock <= arena.tag_epoch(hash).load(Ordering::Acquire) && clock <= epoch_of(arena, own, &key, hash)
    };
    clock <= floor(arena, namespace)
        || split(encoded).any(is_dead_by)
        // An epoch that was looked for may just have been forgotten.
        || clock <= floor(arena, namespace)
}

/// The epoch that the record of a tag has; 0 when there is none.
fn epoch_of(arena: &Arena, own: u32, key: &TagKey, hash: u64) -> u64 {
    let mut seen = Seen::default();
    // No record of a tag lies in runs.
    let reader = Reader { arena, unit_bytes: 1 };
    match reader.read(own, key.bytes(), hash, &mut Glimpse, &mut seen) {
        Lookup::Hit => seen.header.clock,
        Lookup::Dead | Lookup::Miss | Lookup::Closed => 0,
        // Rather a miss too many than what is gone.
        Lookup::Abandoned => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_they_were_made_of() {
        assert_eq!(meaning_of(TagKey::epoch(7, b"a tag").bytes()), Some(Meaning::Epoch));
        let floor = TagKey::floor(0x0abc, 0x0102_0304_0506_0708);
        assert_eq!(floor.bytes(), [1, 0x0a, 0xbc, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(meaning_of(floor.bytes()), Some(Meaning::Floor(0x0abc, 0x0102_0304_0506_0708)));
        for other in [&b""[..], b"\0", b"\0\0\0", b"\x01\0\0", b"\x01\xff\xff12345678", b"\x02\0\0x"] {
            assert_eq!(meaning_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn tags_are_split_and_never_read_beyond_their_end() {
        let tags = |encoded| split(encoded).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(tags(b"\x01a\x02bc"), [b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(tags(b"\x01a\x05bc"), [b"a".to_vec()]);
        assert_eq!(tags(b""), Vec::<Vec<u8>>::new());
    }
}
