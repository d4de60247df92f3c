//! Properties of the shared bytes: what is packed comes out again, whatever the fields; what is not ours is refused
//! or stays within the limits.

use proptest::collection::vec;
use proptest::prelude::*;
use ramcache_core::arena::copy::{copy_in, copy_out, equals};
use ramcache_core::arena::{Backing, Words};
use ramcache_core::layout::{
    bucket_of, tag_of, Location, SlotWord, GRAIN_BYTES, KEY_BYTES_MAX, NAMESPACES_MAX, TAGS_BYTES_MAX,
    VALUE_BYTES_MAX,
};
use ramcache_core::record::{Header, Parts, RecordBuffer, EXTENTS_MAX, FLAG_PINNED, HEADER_BYTES_MIN};
use ramcache_core::segment::Extent;
use std::sync::atomic::Ordering;

/// Every optional field at once.
const HEADER_BYTES_MOST: usize = HEADER_BYTES_MIN + 8 + 4 + 4 + 4 + 4 + 8 + 8 + 4 + 4 + 8;

/// Numbers of `bits` bits, the edges often.
fn bits(bits: u32) -> impl Strategy<Value = u32> {
    let max = ((1u64 << bits) - 1) as u32;
    prop_oneof![0..=max, Just(0), Just(1), Just(max), Just(max - 1)]
}

prop_compose! {
    fn location()(segment in bits(16), generation in bits(9), offset in bits(20)) -> Location {
        Location { segment, generation, offset }
    }
}

/// Lengths up to `most`, the edges and what surrounds `switch` often.
fn length(switch: usize, most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..64usize, 1 => switch - 9..switch + 9, 1 => most - 9..=most, 1 => 0..=most]
}

#[derive(Clone, Debug)]
struct Record {
    namespace: u32,
    key: Vec<u8>,
    value_type: u8,
    value: Vec<u8>,
    /// The value is that many extents of this many bytes together.
    run: Option<(usize, u32)>,
    is_tombstone: bool,
    is_pinned: bool,
    ttl_ms: u64,
    expires_at: u64,
    expiry_clock: u64,
    idle_ms: u32,
    deadline: u64,
    grace_ms: u32,
    tags: Vec<u8>,
    clock: u64,
}

prop_compose! {
    fn record()(
        namespace in prop_oneof![Just(0), 0..NAMESPACES_MAX as u32],
        key_bytes in length(256, KEY_BYTES_MAX).prop_map(|bytes| bytes.max(1)),
        value_bytes in length(4095, 20_000),
        run in prop::option::weighted(0.3, (1..=EXTENTS_MAX, 0..=VALUE_BYTES_MAX as u32)),
        (value_type, is_tombstone, is_pinned) in (0..16u8, any::<bool>(), any::<bool>()),
        (ttl_ms, expires_at) in prop_oneof![
            Just((0, 0)), (1..=u32::MAX as u64, Just(0)), (Just(0), 1..=u64::MAX)
        ],
        expiry_clock in prop_oneof![Just(0), any::<u64>()],
        idle_ms in prop_oneof![Just(0), any::<u32>()],
        deadline in prop_oneof![Just(0), any::<u64>()],
        grace_ms in prop_oneof![Just(0), any::<u32>()],
        tags_bytes in prop_oneof![Just(0), 0..=TAGS_BYTES_MAX],
        clock in any::<u64>(),
        fill in any::<u8>(),
    ) -> Record {
        let bytes = |length: usize, step: u8| -> Vec<u8> {
            (0..length).map(|at| fill.wrapping_add(step.wrapping_mul(at as u8))).collect()
        };
        Record {
            namespace,
            key: bytes(key_bytes, 3),
            value_type,
            value: bytes(run.map_or(value_bytes, |(extents, _)| extents * 8), 7),
            run,
            is_tombstone,
            is_pinned,
            ttl_ms,
            expires_at,
            expiry_clock,
            idle_ms,
            deadline,
            grace_ms,
            tags: bytes(tags_bytes, 11),
            clock,
        }
    }
}

impl Record {
    fn build(&self) -> RecordBuffer {
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts {
            namespace: self.namespace,
            key: &self.key,
            value_type: self.value_type,
            value: &self.value,
            run_bytes: self.run.map(|(_, bytes)| bytes),
            is_tombstone: self.is_tombstone,
            is_pinned: self.is_pinned,
            is_volatile: false,
            ttl_ms: self.ttl_ms,
            expires_at: self.expires_at,
            expiry_clock: self.expiry_clock,
            idle_ms: self.idle_ms,
            deadline: self.deadline,
            grace_ms: self.grace_ms,
            tags: &self.tags,
        });
        buffer.stamp(self.clock);
        buffer
    }

    /// What a parsed header must say.
    fn check(&self, header: &Header, bytes: &[u8]) {
        assert_eq!(header.clock, self.clock);
        assert_eq!(header.namespace, self.namespace);
        assert_eq!(header.value_type, self.value_type);
        assert_eq!(header.is_tombstone(), self.is_tombstone);
        assert_eq!(header.is_run(), self.run.is_some());
        assert_eq!(header.flags & FLAG_PINNED != 0, self.is_pinned);
        let value_bytes = self.run.map_or(self.value.len(), |(_, bytes)| bytes as usize);
        assert_eq!(header.value_bytes as usize, value_bytes);
        assert_eq!(header.extents as usize, self.run.map_or(0, |(extents, _)| extents));
        let expires_at = if self.ttl_ms != 0 { (self.clock >> 16) + self.ttl_ms } else { self.expires_at };
        assert_eq!(header.expires_at, expires_at);
        let expiry_clock = if self.expiry_clock != 0 { self.expiry_clock } else { self.clock };
        assert_eq!(header.expiry_clock, expiry_clock);
        assert_eq!(header.idle_ms, self.idle_ms);
        assert_eq!(header.deadline, self.deadline);
        assert_eq!(header.grace_ms, self.grace_ms);
        let gone_at = if expires_at == 0 { 0 } else { expires_at.saturating_add(self.grace_ms as u64) };
        assert_eq!(header.gone_at(), gone_at);
        assert_eq!(&bytes[header.key_at as usize..][..header.key_bytes as usize], &self.key[..]);
        assert_eq!(&bytes[header.value_at()..][..header.inline_bytes()], &self.value[..]);
        assert_eq!(&bytes[header.tags_at()..][..header.tags_bytes as usize], &self.tags[..]);
        assert_eq!(header.record_bytes(), bytes.len());
        assert_eq!(header.payload_bytes(), self.key.len() as u64 + value_bytes as u64);
        let is_special = self.is_tombstone
            || self.run.is_some()
            || self.idle_ms != 0
            || !self.tags.is_empty()
            || self.grace_ms != 0;
        assert_eq!(header.is_special(), is_special);
    }
}

/// Anonymous memory that holds `bytes` from byte `at` on.
fn words_with(bytes: &[u8], at: usize) -> Words {
    let words = Words::create(&Backing::Memfd, "properties", 4096).expect("anonymous memory");
    for (index, byte) in bytes.iter().enumerate() {
        words.byte(at + index).store(*byte, Ordering::Relaxed);
    }
    words
}

fn bytes_of(words: &Words, count: usize) -> Vec<u8> {
    (0..count).map(|at| words.byte(at).load(Ordering::Relaxed)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn an_entry_comes_out_of_its_slot_word(tag in bits(16), place in location(), special: bool) {
        let tag = (tag as u16).max(1);
        let word = SlotWord::entry(tag, place, special);
        prop_assert_eq!(word.location(), place);
        prop_assert_eq!(word.tag(), tag);
        prop_assert_eq!(word.is_special(), special);
        prop_assert!(word.is_entry() && !word.is_empty() && word.points_to(place));
        prop_assert_eq!(word.linked_chunk(), None);
        // JavaScript compares slot words as doubles.
        prop_assert!(f64::from_bits(word.0).is_normal());
    }

    #[test]
    fn a_link_is_no_entry(chunk in any::<u32>()) {
        let word = SlotWord::link(chunk);
        prop_assert_eq!(word.linked_chunk(), Some(chunk));
        prop_assert!(!word.is_entry() && !word.is_empty());
        prop_assert!(!word.points_to(word.location()));
        prop_assert!(f64::from_bits(word.0).is_normal());
    }

    #[test]
    fn a_moved_word_keeps_all_but_its_place(tag in 1..=u16::MAX, from in location(), to in location(), special: bool) {
        let moved = SlotWord::entry(tag, from, special).moved_to(to);
        prop_assert_eq!(moved, SlotWord::entry(tag, to, special));
        prop_assert_eq!(moved.points_to(from), from == to);
    }

    #[test]
    fn a_location_knows_its_generation(generation: u32, other: u32) {
        let place = Location::new(3, generation as u64, 5);
        prop_assert!(place.is_of_generation(generation));
        prop_assert_eq!(place.is_of_generation(other), generation % 512 == other % 512);
    }

    #[test]
    fn a_tag_is_never_that_of_a_link(hash: u64) {
        prop_assert!(tag_of(hash) != 0);
    }

    #[test]
    fn an_extent_comes_out_of_its_bits(unit in 0..1u64 << 44, units in bits(20)) {
        let extent = Extent { unit, units };
        prop_assert_eq!(Extent::from_bits(extent.bits()), extent);
    }

    /// Linear hashing: one more bucket takes entries from one other bucket, and every bucket can be reached.
    #[test]
    fn a_new_bucket_takes_from_one_other(hash: u64, count in prop_oneof![1..200u64, 1..1u64 << 31]) {
        let before = bucket_of(hash, count);
        let after = bucket_of(hash, count + 1);
        prop_assert!(before < count);
        let half = 1 << (63 - count.leading_zeros());
        prop_assert!(after == before || (after == count && before == count - half));
        prop_assert_eq!(bucket_of(before, count), before);
        // Writers of both buckets share a shard.
        prop_assert!(count < 64 || after % 64 == before % 64);
    }

    #[test]
    fn a_record_comes_out_as_it_was_built(record in record()) {
        let buffer = record.build();
        record.check(&buffer.header(), buffer.bytes());
        prop_assert!(buffer.bytes().len().is_multiple_of(GRAIN_BYTES));
    }

    #[test]
    fn a_buffer_used_again_keeps_nothing(first in record(), second in record()) {
        let mut buffer = first.build();
        buffer.build(&Parts { key: b"k", ..Parts::default() });
        let mut fresh = RecordBuffer::default();
        fresh.build(&Parts { key: b"k", ..Parts::default() });
        prop_assert_eq!(buffer.bytes(), fresh.bytes());
        second.check(&second.build().header(), second.build().bytes());
    }

    /// Cut short anywhere, a record is refused or its header asks for more than there is.
    #[test]
    fn a_truncated_record_is_not_read_past_its_end(record in record(), cut: prop::sample::Index) {
        let buffer = record.build();
        let left = &buffer.bytes()[..cut.index(buffer.bytes().len() / GRAIN_BYTES) * GRAIN_BYTES];
        let header = Header::of_bytes(left);
        prop_assert!(header.is_none_or(|header| header.record_bytes() > left.len()));
    }

    #[test]
    fn arbitrary_bytes_stay_within_the_limits(grains in vec(any::<u32>(), 0..24), flags: u8, known: bool) {
        let mut grains = grains;
        if let Some(meta) = grains.get_mut(2).filter(|_| known) {
            // Flags that exist, and small numbers behind them, get further than pure noise does.
            *meta = *meta & !0xff | (flags & 127) as u32;
            grains.iter_mut().skip(3).for_each(|grain| *grain &= 0x0000_0f8f);
        }
        if let Some(header) = Header::parse(grains.len(), |grain| grains[grain]) {
            prop_assert!((1..=KEY_BYTES_MAX).contains(&(header.key_bytes as usize)));
            prop_assert!(header.value_bytes as usize <= VALUE_BYTES_MAX);
            prop_assert!(header.extents as usize <= EXTENTS_MAX);
            prop_assert!(header.tags_bytes as usize <= TAGS_BYTES_MAX);
            prop_assert!((header.namespace as usize) < NAMESPACES_MAX);
            prop_assert!((HEADER_BYTES_MIN..=HEADER_BYTES_MOST).contains(&(header.key_at as usize)));
            let most = HEADER_BYTES_MOST + KEY_BYTES_MAX + VALUE_BYTES_MAX + TAGS_BYTES_MAX;
            prop_assert!(header.record_bytes() <= most);
        }
    }

    #[test]
    fn copies_from_any_byte_are_those_of_a_slice(
        bytes in vec(any::<u8>(), 1..200),
        at in 0..20usize,
        from: prop::sample::Index,
        to: prop::sample::Index,
    ) {
        let words = words_with(&bytes, at);
        let from = from.index(bytes.len());
        let to = from + to.index(bytes.len() - from + 1);
        let mut out = vec![0xaa; to - from];
        copy_out(&words, at, from, &mut out);
        prop_assert_eq!(&out[..], &bytes[from..to]);
    }

    #[test]
    fn comparisons_from_any_byte_are_those_of_a_slice(
        bytes in vec(any::<u8>(), 1..100),
        at in 0..20usize,
        from: prop::sample::Index,
        to: prop::sample::Index,
        wrong: prop::sample::Index,
    ) {
        let words = words_with(&bytes, at);
        let from = from.index(bytes.len());
        let to = from + 1 + to.index(bytes.len() - from);
        prop_assert!(equals(&words, at, from, &bytes[from..to]));
        let mut other = bytes[from..to].to_vec();
        other[wrong.index(to - from)] ^= 1 << (from % 8);
        prop_assert!(!equals(&words, at, from, &other));
    }

    #[test]
    fn bytes_written_keep_what_is_before_and_pad_their_last_word(
        bytes in vec(any::<u8>(), 1..100),
        grain in 0..19usize,
    ) {
        let words = words_with(&[0xff; 256], 0);
        let at = grain * GRAIN_BYTES;
        copy_in(&words, at, &bytes);
        let out = bytes_of(&words, 256);
        let end = at + bytes.len();
        let padded = end.next_multiple_of(8);
        prop_assert!(out[..at].iter().all(|byte| *byte == 0xff));
        prop_assert_eq!(&out[at..end], &bytes[..]);
        let zeros = out[end..padded].iter().filter(|byte| **byte == 0).count();
        prop_assert!(zeros == padded - end);
        prop_assert!(out[padded..].iter().all(|byte| *byte == 0xff));
    }
}

/// Every length of key and value around the places where the form of the header changes.
#[test]
fn every_length_at_an_edge_comes_out_as_it_was_built() {
    for key_bytes in [1, 2, 3, 4, 255, 256, 257, 4095, 4096] {
        for value_bytes in [0, 1, 7, 8, 9, 4094, 4095, 4096, 4097, 65_535, 65_536] {
            let record = Record {
                namespace: 0,
                key: vec![1; key_bytes],
                value_type: 15,
                value: vec![2; value_bytes],
                run: None,
                is_tombstone: false,
                is_pinned: false,
                ttl_ms: 0,
                expires_at: 0,
                expiry_clock: 0,
                idle_ms: 0,
                deadline: 0,
                grace_ms: 0,
                tags: Vec::new(),
                clock: u64::MAX,
            };
            let buffer = record.build();
            record.check(&buffer.header(), buffer.bytes());
            let is_long = key_bytes > 256 || value_bytes > 4095;
            let expected = 12 + 8 * is_long as usize + key_bytes + value_bytes;
            assert_eq!(buffer.bytes().len(), expected.next_multiple_of(GRAIN_BYTES));
        }
    }
}

/// Each pair of neighbouring counts over whole rounds: exactly the entries of one bucket are divided.
#[test]
fn every_split_divides_one_bucket() {
    for count in 1..300u64 {
        let mut reached = vec![false; count as usize + 1];
        for hash in 0..1024 {
            reached[bucket_of(hash, count + 1) as usize] = true;
        }
        assert!(reached.iter().all(|bucket| *bucket), "a bucket of {} is never reached", count + 1);
    }
}
