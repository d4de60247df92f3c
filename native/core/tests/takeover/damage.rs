//! Damaged files: words of a copied arena are changed by a seeded schedule, then it is adopted. Never a panic, never a
//! value under a key it was not written under; what is adopted is whole and goes on.
//!
//! Records and run units are changed in cases of their own: a changed bit inside a value cannot be told from a value.

use super::copies::Copies;
use super::support::{open_store, options, seed, Random, TestStore};
use ramcache_core::arena::Words;
use ramcache_core::layout::{superblock, SlotWord, BUCKET_SLOTS, CHUNK_SLOTS};
use ramcache_core::open::{OwnedStore, Start};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use std::ops::Range;
use std::sync::atomic::Ordering;

const BUDGET: usize = 512 << 10;
const KEYS: u64 = 700;
const CASES: u64 = if cfg!(debug_assertions) { 60 } else { 150 };

fn key_of(number: u64) -> (u32, Vec<u8>) {
    ((number % 2) as u32, format!("key:{number}").into_bytes())
}

/// Says whose it is and which write it is of; some lie in runs.
fn value_of(number: u64, round: u64) -> Vec<u8> {
    let bytes = if number.is_multiple_of(13) { 2000 + number } else { 20 + number % 150 };
    let mut value = format!("{number} {round} ").into_bytes();
    value.extend((0..bytes).map(|at| (at ^ number ^ round) as u8));
    value
}

fn write(owned: &OwnedStore, numbers: Range<u64>, rounds: Range<u64>) {
    let mut buffer = RecordBuffer::default();
    for round in rounds {
        for number in numbers.clone() {
            let (namespace, key) = key_of(number);
            let value = value_of(number, round);
            let request = WriteRequest {
                namespace,
                key: &key,
                value: &value,
                ttl_ms: (number % 5) << 40,
                idle_ms: (number % 7) << 20,
                tags: if number.is_multiple_of(3) { b"\x03tag" } else { b"" },
                ..WriteRequest::default()
            };
            owned.store().set(&request, &mut buffer).expect("set");
            if number % 11 == round {
                owned.store().delete(namespace, &key, None, &mut buffer).expect("deleted");
            }
        }
    }
}

/// Entries found; `is_exact`: each with a value that was once written under its key.
fn read(owned: &OwnedStore, is_exact: bool) -> u64 {
    let store = owned.store();
    let mut found = 0;
    for number in 0..KEYS {
        let (namespace, key) = key_of(number);
        let (mut copied, hash) = (Copied::default(), store.hasher().hash(namespace, &key));
        match store.reader().read(namespace, &key, hash, &mut copied, &mut Seen::default()) {
            Lookup::Hit => {
                let is_own = (0..3).any(|round| copied.value == value_of(number, round));
                assert!(!is_exact || is_own, "key {number} has another value");
                found += 1;
            }
            Lookup::Miss | Lookup::Dead => {}
            other => panic!("{other:?}"),
        }
    }
    found
}

struct Regions {
    /// Superblock, tables, index and chunks.
    frame: Vec<Range<usize>>,
    segments: Range<usize>,
}

fn regions_of(store: &TestStore) -> Regions {
    let arena = store.store().arena();
    let geometry = arena.geometry();
    let last = (0..geometry.segments as u32)
        .rfind(|segment| arena.segment_state(*segment).load(Ordering::Relaxed) != 0)
        .expect("a segment in use");
    let table = geometry.segment_table_word();
    let index = geometry.index_word();
    let slots = index..index + arena.bucket_count() as usize * BUCKET_SLOTS;
    let chunks = geometry.chunks_word()..geometry.chunks_word() + 32 * CHUNK_SLOTS;
    let namespaces = geometry.namespaces_word()..geometry.namespaces_word() + 32;
    let lines = geometry.shard_lines_word()..geometry.shard_lines_word() + 512;
    let states = table..table + 2 * (last as usize + 2);
    Regions {
        frame: vec![
            0..48,
            namespaces,
            states.clone(),
            states,
            lines,
            slots.clone(),
            slots.clone(),
            slots,
            chunks,
        ],
        segments: geometry.segment_word(0)..geometry.segment_word(last + 1),
    }
}

/// One wound, with a taste for the numbers that break things.
fn damage(words: &Words, region: &Range<usize>, random: &mut Random) {
    let word = region.start + random.below(region.len() as u64) as usize;
    let old = words.word(word).load(Ordering::Relaxed);
    let noise = random.next();
    let other = region.start + noise as usize % region.len();
    let value = match random.below(12) {
        0..4 => old ^ 1 << (noise % 64),
        4 => noise,
        5 => 0,
        6 => u64::MAX,
        7 => noise % 4096,
        8 => words.word(other).load(Ordering::Relaxed),
        9 => SlotWord::link((noise % 64) as u32).0,
        10 => old | 0xffff_ffff << (noise % 2 * 32),
        _ => old.wrapping_add(noise % 3).wrapping_sub(1),
    };
    words.word(word).store(value, Ordering::Relaxed);
}

fn victim() -> TestStore {
    let store = open_store(BUDGET);
    store.store().namespace("other").expect("room");
    write(&store.owned, 0..KEYS, 0..3);
    store
}

fn play(is_exact: bool, salt: u64) {
    let store = victim();
    let regions = regions_of(&store);
    let mut random = Random(seed() ^ salt);
    let (mut adopted, mut refused, mut found) = (0, 0, 0);
    for case in 0..CASES {
        let copies = Copies::of(&store.dir);
        let words = Words::attach(&copies.data, true).expect("the copy can be mapped");
        for _ in 0..1 + random.below(12) {
            let region = match is_exact {
                true => &regions.frame[random.below(regions.frame.len() as u64) as usize],
                false => &regions.segments,
            };
            damage(&words, region, &mut random);
        }
        drop(words);
        let owned = copies.open(&options(BUDGET));
        match owned.start() {
            Start::Adopted(adoption) => {
                assert_eq!(adoption.entries, owned.store().entries());
                adopted += 1;
            }
            Start::Refused(_) => refused += 1,
            Start::Fresh => panic!("case {case}: the files were there"),
        }
        owned.store().check().unwrap_or_else(|error| panic!("case {case}: {error}"));
        found += read(&owned, is_exact);
        // Enough for every segment to be drained and taken again.
        write(&owned, 0..KEYS, 0..3);
        write(&owned, 10 * KEYS..30 * KEYS, 0..1);
        owned.store().check().unwrap_or_else(|error| panic!("case {case}, later: {error}"));
        read(&owned, is_exact);
    }
    println!("{adopted} adopted, {refused} refused, {found} entries found");
    assert!(adopted > CASES / 4 && found > adopted * KEYS / 4, "hardly anything was adopted");
    assert!(!is_exact || refused > 0, "the superblock was never damaged");
}

#[test]
fn a_damaged_frame_never_shows_a_value_under_another_key() {
    play(true, 1);
}

#[test]
fn damaged_records_are_dropped() {
    play(false, 2);
}

#[test]
fn words_that_are_all_zero_cost_what_they_led_to() {
    let store = victim();
    let live = store.store().entries();
    for region in regions_of(&store).frame {
        let copies = Copies::of(&store.dir);
        let words = Words::attach(&copies.data, true).expect("the copy can be mapped");
        for word in region.clone().filter(|word| *word > superblock::WORDS) {
            words.word(word).store(0, Ordering::Relaxed);
        }
        let owned = copies.open(&options(BUDGET));
        owned.store().check().expect("whole");
        assert!(read(&owned, true) <= live);
        write(&owned, 0..KEYS, 0..1);
        owned.store().check().expect("whole");
    }
}
