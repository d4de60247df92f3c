//! Checkpoints against a sorted map.

use crate::make::*;
use crate::support::Random;
use proptest::collection::vec;
use proptest::prelude::*;
use ramcache_core::feed::Change;
use ramcache_core::log::{
    changes_in, LogLocation, Position, TailIndex, ENTRY_CLEAR, ENTRY_DELETE, ENTRY_HEADER_BYTES, ENTRY_SET,
    ENTRY_TOUCHED,
};
use ramcache_core::record::Parts;
use std::collections::BTreeMap;

/// One entry, unpacked by the drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    kind: u8,
    flags: u8,
    location: LogLocation,
    clock: u64,
    expires_at: u64,
}

type Key = (u32, Vec<u8>);

fn unpack(mut bytes: &[u8]) -> Vec<(Key, Entry)> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let key_bytes = u16::from_le_bytes([bytes[0], bytes[1]]) as usize;
        let (entry, rest) = bytes.split_at(ENTRY_HEADER_BYTES + key_bytes);
        let namespace = u16::from_be_bytes(entry[32..34].try_into().expect("two bytes")) as u32;
        let location = LogLocation { file: u32_at(4), offset: u32_at(8), bytes: u32_at(12) };
        let unpacked =
            Entry { kind: entry[2], flags: entry[3], location, clock: u64_at(16), expires_at: u64_at(24) };
        entries.push(((namespace, entry[34..].to_vec()), unpacked));
        bytes = rest;
    }
    entries
}

#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    namespace: u32,
    key: u8,
    clock: u64,
    later: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (0..10u8, prop_oneof![0..3u32, Just(256)], 0..30u8, 1..200u64, 1..50u64).prop_map(
        |(kind, namespace, key, clock, later)| Step { kind, namespace, key, clock: clock << 16, later },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn the_newest_of_each_key_in_order(
        rounds in vec(vec(step(), 1..60), 1..5),
        outcomes in vec(any::<bool>(), 5),
        seed: u64,
    ) {
        let mut random = Random(seed);
        let dir = Dir::new();
        let (log, ..) = reopen(&dir.0, options(2048), Position::START);
        let tail = TailIndex::new(seed, log.position());
        let mut model: BTreeMap<Key, (Entry, u64)> = BTreeMap::new();
        let mut clears: BTreeMap<u32, Entry> = BTreeMap::new();
        let mut sequence = 1;
        for (round, is_committed) in rounds.into_iter().zip(outcomes) {
            for step in round {
                let mut bytes = Vec::new();
                // Long and short keys, one the beginning of another.
                let key = [b'k'; 40][..1 + step.key as usize].to_vec();
                let parts = Parts { namespace: step.namespace, key: &key, value_type: 6, value: b"v", ..Parts::default() };
                let (mut kind, mut flags, mut expires_at, mut expiry_clock) = (ENTRY_SET, 0, 0, step.clock);
                match step.kind {
                    0 => {
                        kind = ENTRY_CLEAR;
                        pack_clear(sequence, step.namespace, step.clock, &mut bytes);
                    }
                    1..3 => {
                        kind = ENTRY_DELETE;
                        pack_delete(sequence, step.clock, step.namespace, &key, &mut bytes);
                    }
                    3..5 => {
                        flags = ENTRY_TOUCHED;
                        (expires_at, expiry_clock) = (step.later * 1000, step.clock + step.later);
                        let parts = Parts { expires_at, expiry_clock, ..parts };
                        pack_parts(sequence, step.clock, Change::Touch, &parts, &mut bytes);
                    }
                    5 => {
                        expires_at = (step.clock >> 16) + step.later;
                        let parts = Parts { ttl_ms: step.later, ..parts };
                        pack_parts(sequence, step.clock, Change::Set, &parts, &mut bytes);
                    }
                    _ => pack_parts(sequence, step.clock, Change::Set, &parts, &mut bytes),
                }
                let at = log.append(ARENA_ID, sequence, sequence + 1, &bytes).expect("appended");
                sequence += 1;
                let change = changes_in(&bytes, at).next().expect("one").expect("a good one");
                let is_inserted = tail.insert(&change);
                let entry = Entry { kind, flags, location: change.location, clock: step.clock, expires_at };
                if kind == ENTRY_CLEAR {
                    prop_assert!(!is_inserted);
                    if clears.get(&step.namespace).is_none_or(|standing| standing.clock <= step.clock) {
                        clears.insert(step.namespace, entry);
                    }
                    continue;
                }
                let standing = model.get(&(step.namespace, key.clone()));
                // At one version a value stands over a delete.
                let version = (step.clock, expiry_clock, kind == ENTRY_SET);
                let is_newer =
                    standing.is_none_or(|(old, expiry)| (old.clock, *expiry, old.kind == ENTRY_SET) < version);
                prop_assert_eq!(is_inserted, is_newer);
                if is_newer {
                    model.insert((step.namespace, key), (entry, expiry_clock));
                }
            }
            let region = tail.freeze(log.position()).expect("nothing is frozen");
            let mut checkpoint = checkpoint_of(&log, &tail, 1 << 20);
            let mut in_runs = checkpoint_of(&log, &tail, random.below(1000) as usize);
            prop_assert_eq!(checkpoint.region, region);
            prop_assert!(checkpoint.damage.is_empty());
            let entries = checkpoint.entries();
            let mut packed = Vec::new();
            let mut taken = 0;
            loop {
                let before = packed.len();
                let bytes_max = random.below(400) as usize;
                match checkpoint.take(bytes_max, &mut packed).expect("in memory") {
                    0 => break,
                    more => taken += more,
                }
                prop_assert!(packed.len() - before <= bytes_max + ENTRY_HEADER_BYTES + 44);
            }
            prop_assert_eq!(taken, entries);
            prop_assert_eq!((in_runs.entries(), &take_all(&mut in_runs)), (entries, &packed));
            let expected: Vec<(Key, Entry)> = clears
                .iter()
                .map(|(namespace, entry)| ((*namespace, Vec::new()), entry.clone()))
                .chain(model.iter().map(|(key, (entry, _))| (key.clone(), entry.clone())))
                .collect();
            prop_assert_eq!(unpack(&packed), expected);
            tail.thaw(is_committed);
            if is_committed {
                model.clear();
                clears.clear();
            }
        }
    }
}
