//! The tail index against maps.

use proptest::collection::vec;
use proptest::prelude::*;
use ramcache_core::log::{LogLocation, Position, TailEntry, TailIndex, TailKey};
use std::collections::HashMap;

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, clock: u64, expiry_clock: u64, is_deleted: bool, is_pinned: bool },
    Freeze,
    Thaw(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<u8>(), 1..40u64, 0..4u64, any::<bool>(), any::<bool>()).prop_map(|(key, clock, later, is_deleted, is_pinned)| Step::Put {
            key: key % 40,
            clock,
            expiry_clock: clock + later,
            is_deleted,
            is_pinned,
        }),
        1 => Just(Step::Freeze),
        1 => any::<bool>().prop_map(Step::Thaw),
    ]
}

type Model = HashMap<u8, TailEntry>;

fn place(number: u32) -> Position {
    Position { file: 1 + number / 100, offset: number }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn as_two_maps_would(steps in vec(step(), 1..300), hash_seed: u64) {
        let tail = TailIndex::new(hash_seed, place(0));
        let (mut active, mut frozen): (Model, Option<Model>) = Default::default();
        let (mut begin, mut region) = (place(0), None);
        for (number, step) in steps.into_iter().enumerate() {
            let now = place(number as u32);
            match step {
                Step::Put { key, clock, expiry_clock, is_deleted, is_pinned } => {
                    let location = LogLocation { file: now.file, offset: now.offset, bytes: 24 };
                    let entry = TailEntry { location, clock, expiry_clock, expires_at: clock * 1000, is_deleted, is_pinned };
                    let standing = active.get(&key).or(frozen.as_ref().and_then(|frozen| frozen.get(&key)));
                    // At one version a value stands over a delete.
                    let version = |entry: &TailEntry| (entry.clock, entry.expiry_clock, !entry.is_deleted);
                    let is_newer = standing.is_none_or(|standing| version(standing) < version(&entry));
                    if is_newer {
                        active.insert(key, entry);
                    }
                    prop_assert_eq!(tail.put(tail.key(0, &[key]), entry), is_newer);
                }
                Step::Freeze => {
                    let expected = frozen.is_none().then_some((begin, now));
                    prop_assert_eq!(tail.freeze(now), expected);
                    if expected.is_some() {
                        frozen = Some(std::mem::take(&mut active));
                        (begin, region) = (now, expected);
                    }
                }
                Step::Thaw(is_committed) => {
                    tail.thaw(is_committed);
                    if let (Some(mut old), false) = (frozen.take(), is_committed) {
                        old.extend(std::mem::take(&mut active));
                        active = old;
                        begin = region.expect("frozen").0;
                    }
                    region = None;
                }
            }
            prop_assert_eq!(tail.frozen_region(), region);
            prop_assert_eq!(tail.keys(), active.len() + frozen.as_ref().map_or(0, HashMap::len));
        }
        for key in 0..40 {
            let kept = frozen.as_ref().and_then(|frozen| frozen.get(&key));
            prop_assert_eq!(tail.find_frozen(tail.key(0, &[key])), kept.copied());
            prop_assert_eq!(tail.find(tail.key(0, &[key])), active.get(&key).or(kept).copied());
            prop_assert_eq!(tail.find(tail.key(1, &[key])), None);
        }
    }
}

#[test]
fn what_a_key_costs() {
    let tail = TailIndex::new(1, Position::START);
    let entry = TailEntry {
        location: LogLocation { file: 1, offset: 64, bytes: 24 },
        clock: 1,
        expiry_clock: 1,
        expires_at: u64::MAX,
        is_deleted: false,
        is_pinned: false,
    };
    let keys = 100_000u32;
    for key in 0..keys {
        assert!(tail.put(tail.key(0, &key.to_le_bytes()), entry));
    }
    let bytes = tail.heap_bytes() / keys as usize;
    println!("{bytes} bytes a key");
    assert!((44..=51).contains(&bytes));
    let found = tail.find(tail.key(0, &5u32.to_le_bytes())).expect("there");
    assert_eq!(found.expires_at, (1 << 48) - 1, "later than any clock word");
    assert!(tail.freeze(Position { file: 2, offset: 64 }).is_some());
    tail.thaw(true);
    assert_eq!(tail.keys(), 0);
}

/// The second hash decides when the first is equal.
#[test]
fn two_keys_of_one_hash_are_two() {
    let tail = TailIndex::new(1, Position::START);
    let mut one = tail.key(0, b"one");
    let mut other = tail.key(0, b"other");
    assert_ne!(one.check, other.check);
    (one.hash, other.hash) = (42, 42);
    let location = LogLocation { file: 1, offset: 64, bytes: 24 };
    let entry =
        TailEntry { location, clock: 1, expiry_clock: 1, expires_at: 0, is_deleted: false, is_pinned: false };
    assert!(tail.put(one, entry) && tail.find(other).is_none());
}

/// Low bits of a hash where tables are hard to fill: at one place, in the last ones, side by side.
fn crowded() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u32>().prop_map(u64::from),
        Just(u32::MAX as u64),
        (0..50u64).prop_map(|back| u32::MAX as u64 - back * 1000),
        (0..50u64).prop_map(|next| next * 100_000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// All keys in one shard, whose table grows many times.
    #[test]
    fn a_crowded_table(keys in vec((crowded(), 0..3u32, 1..9u64, 0..2u64), 1..1500), is_committed: bool) {
        let tail = TailIndex::new(1, place(0));
        let mut model: HashMap<TailKey, TailEntry> = HashMap::new();
        for (number, (hash, check, clock, later)) in keys.iter().enumerate() {
            if number == keys.len() / 2 {
                tail.freeze(place(1)).expect("nothing is frozen");
            }
            let key = TailKey { hash: *hash, check: *check };
            let location = LogLocation { file: 1, offset: 8 * number as u32, bytes: 24 };
            let (expiry_clock, expires_at) = (clock + later, later * number as u64);
            let entry = TailEntry { location, clock: *clock, expiry_clock, expires_at, is_deleted: false, is_pinned: false };
            let version = |entry: &TailEntry| (entry.clock, entry.expiry_clock);
            let is_newer = model.get(&key).is_none_or(|standing| version(standing) < version(&entry));
            if is_newer {
                model.insert(key, entry);
            }
            prop_assert_eq!(tail.put(key, entry), is_newer);
        }
        for (key, entry) in &model {
            prop_assert_eq!(tail.find(*key), Some(*entry));
            prop_assert_eq!(tail.find(TailKey { check: 3, ..*key }), None);
        }
        let mut hashes = Vec::new();
        tail.each_hash(|hash| hashes.push(hash));
        prop_assert_eq!(hashes.len(), tail.keys());
        if !is_committed {
            tail.thaw(false);
            prop_assert_eq!(tail.keys(), model.len());
            prop_assert!(model.iter().all(|(key, entry)| tail.find(*key) == Some(*entry)));
        }
    }
}
