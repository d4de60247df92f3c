//! Hostile bytes: files of a real arena, damaged by a seeded schedule, then attached, read and scanned. Nothing may
//! crash, hang, leave the mapping (checked builds assert that) or exceed a limit. A flipped bit inside a value cannot
//! be told from a value; whatever is returned must still be of the key that was asked for and of a sane length.

mod support;

use ramcache_core::arena::Words;
use ramcache_core::error::Code;
use ramcache_core::feed::read_header;
use ramcache_core::index::Walk;
use ramcache_core::layout::{
    superblock, SlotWord, BUCKET_SLOTS, CHUNK_SLOTS, TAGS_BYTES_MAX, VALUE_BYTES_MAX,
};
use ramcache_core::namespaces;
use ramcache_core::open::{attach, Attached};
use ramcache_core::ops::read::{Copied, Lookup};
use ramcache_core::ops::{read_group, scan, ScanCursor, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::stats;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{announced, open_store, seed, Random, TestStore};

const KEYS: u64 = 700;
/// Keys read in each case.
const READS: u64 = 24;
const CASES: u64 = if cfg!(debug_assertions) { 600 } else { 4000 };

fn key_of(number: u64) -> (u32, Vec<u8>) {
    ((number % 2) as u32, format!("key:{number}").into_bytes())
}

fn value_of(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(23) { 3000 } else { number % 250 };
    (0..length).map(|at| (at ^ number) as u8).collect()
}

/// A store with every form of record in it, and copies of its files.
struct Victim {
    store: TestStore,
    data: PathBuf,
    touch: PathBuf,
    words: Words,
    /// Word ranges worth damaging.
    regions: Vec<Range<usize>>,
    slots: Range<usize>,
    /// Bytes where the extents of values in runs begin.
    extents: Vec<usize>,
    random: Random,
    changed: Vec<(usize, u64)>,
}

impl Victim {
    fn new(seed: u64) -> Victim {
        let store = open_store(512 << 10);
        let mut buffer = RecordBuffer::default();
        assert_eq!(store.store().namespace("other").expect("room for a namespace"), 1);
        for number in 0..KEYS {
            let (namespace, key) = key_of(number);
            let request = WriteRequest {
                namespace,
                key: &key,
                value: &value_of(number),
                value_type: 6,
                ttl_ms: if number.is_multiple_of(5) { 1 << 40 } else { 0 },
                idle_ms: if number.is_multiple_of(7) { 1 << 30 } else { 0 },
                tags: if number.is_multiple_of(3) { b"\x03tag" } else { b"" },
                ..WriteRequest::default()
            };
            store.store().set(&request, &mut buffer).expect("written");
            if number.is_multiple_of(11) {
                store.store().delete(namespace, &key, None, &mut buffer).expect("deleted");
            }
        }
        let (from_data, from_touch) = announced(&store.dir);
        let (data, touch) = (store.dir.join("data"), store.dir.join("touch"));
        std::fs::copy(from_data, &data).expect("the data file can be copied");
        std::fs::copy(from_touch, &touch).expect("the touch file can be copied");
        let words = Words::attach(&data, true).expect("the copy can be mapped");
        let geometry = *store.store().arena().geometry();
        let index = geometry.index_word();
        let slots = index..index + store.store().arena().bucket_count() as usize * BUCKET_SLOTS;
        let chunks = geometry.chunks_word();
        let mut used = (0..geometry.segments as u32)
            .filter(|segment| store.store().arena().segment_state(*segment).load(Ordering::Relaxed) != 0);
        let last = used.next_back().expect("a segment in use");
        let table = geometry.segment_table_word();
        let lines = geometry.shard_lines_word();
        let regions = vec![
            0..48,
            geometry.namespaces_word()..geometry.namespaces_word() + 32,
            table..table + 2 * (last as usize + 1),
            lines..lines + 512,
            slots.clone(),
            slots.clone(),
            chunks..chunks + 64 * CHUNK_SLOTS,
            geometry.segment_word(0)..geometry.segment_word(last + 1),
            geometry.segment_word(0)..geometry.segment_word(last + 1),
        ];
        let extents = find_extents(&store);
        assert!(extents.len() > 10, "hardly any value lies in runs");
        let random = Random(seed);
        Victim { store, data, touch, words, regions, slots, extents, random, changed: Vec::new() }
    }

    fn damage_word(&mut self, word: usize, value: u64) {
        let old = self.words.word(word).swap(value, Ordering::Relaxed);
        self.changed.push((word, old));
    }

    /// One wound, with a taste for the numbers that break things.
    fn damage(&mut self) {
        let region = self.regions[self.random.below(self.regions.len() as u64) as usize].clone();
        let word = region.start + self.random.below(region.len() as u64) as usize;
        let old = self.words.word(word).load(Ordering::Relaxed);
        let noise = self.random.next();
        let other = region.start + noise as usize % region.len();
        let chunks = self.store.store().arena().geometry().chunks as u64;
        let value = match self.random.below(12) {
            0..4 => old ^ 1 << (noise % 64),
            4 => noise,
            5 => 0,
            6 => u64::MAX,
            7 => noise % 4096,
            8 => self.words.word(other).load(Ordering::Relaxed),
            9 => SlotWord::link((noise % (2 * chunks)) as u32).0,
            // A length field of all ones, and every flag.
            10 => old | 0xffff_ffff << (noise % 2 * 32),
            _ => old & !(0xff << (noise % 8 * 8)) | (noise >> 56) << (noise % 8 * 8),
        };
        self.damage_word(word, value);
    }

    /// A chain that leads back into itself.
    fn tie_a_knot(&mut self) {
        let chunk = self.random.below(8) as u32;
        let geometry = *self.store.store().arena().geometry();
        let bucket = self.random.below((self.slots.len() / BUCKET_SLOTS) as u64) as usize;
        let link_at = self.slots.start + bucket * BUCKET_SLOTS + BUCKET_SLOTS - 1;
        self.damage_word(link_at, SlotWord::link(chunk).0);
        let back = self.random.below(8) as u32;
        for (from, to) in [(chunk, back), (back, chunk)] {
            let end = geometry.chunks_word() + from as usize * CHUNK_SLOTS + CHUNK_SLOTS - 1;
            self.damage_word(end, SlotWord::link(to).0);
        }
    }

    /// A run that leads elsewhere, into the far end of the arena or beyond it.
    fn break_a_run(&mut self) {
        let word = self.extents[self.random.below(self.extents.len() as u64) as usize] / 8;
        for word in [word, word + 1] {
            let noise = self.random.next();
            let old = self.words.word(word).load(Ordering::Relaxed);
            self.damage_word(word, if noise.is_multiple_of(2) { noise } else { old ^ noise >> (noise % 64) });
        }
    }

    fn heal(&mut self) {
        while let Some((word, old)) = self.changed.pop() {
            self.words.word(word).store(old, Ordering::Relaxed);
        }
    }

    fn attach(&self) -> Option<Attached> {
        match attach(&self.data, &self.touch) {
            Ok(attached) => Some(attached),
            Err(error) => {
                assert_eq!(error.code, Code::Corrupt, "{error}");
                None
            }
        }
    }
}

fn find_extents(store: &TestStore) -> Vec<usize> {
    let arena = store.store().arena();
    (0..arena.bucket_count())
        .flat_map(|bucket| Walk::new(arena, bucket))
        .filter(|(_, word)| word.is_entry())
        .filter_map(|(_, word)| {
            let header = read_header(arena, word.location()).filter(|header| header.is_run())?;
            Some(arena.record_byte(word.location())? + header.value_at())
        })
        .collect()
}

/// What reads have come to.
#[derive(Default, Debug)]
struct Seen {
    refused: u64,
    right: u64,
    wrong: u64,
    missed: u64,
    given_up: u64,
}

impl Seen {
    fn read(&mut self, attached: &Attached, number: u64) {
        let (namespace, key) = key_of(number);
        let hash = attached.hasher().hash(namespace, &key);
        let mut copied = Copied::default();
        let mut seen = ramcache_core::ops::read::Seen::default();
        match attached.reader().read(namespace, &key, hash, &mut copied, &mut seen) {
            Lookup::Hit => {
                let header = seen.header;
                assert_eq!(header.key_bytes as usize, key.len(), "a record of another key");
                assert_eq!(header.namespace, namespace, "a record of another namespace");
                assert!(copied.value.len() <= VALUE_BYTES_MAX && copied.tags.len() <= TAGS_BYTES_MAX);
                assert_eq!(copied.value.len(), header.value_bytes as usize);
                match copied.value == value_of(number) {
                    true => self.right += 1,
                    false => self.wrong += 1,
                }
            }
            Lookup::Miss | Lookup::Dead | Lookup::Closed => self.missed += 1,
            Lookup::Abandoned => self.given_up += 1,
        }
    }

    /// Everything a process may do with an arena it is attached to, besides reading.
    fn look_around(&mut self, attached: &Attached, random: &mut Random) {
        let arena = attached.arena();
        for id in 0..namespaces::count(arena).min(8) {
            assert!(namespaces::name(arena, id).len() <= 64 * 3);
        }
        namespaces::find(arena, "other");
        stats::snapshot(arena);
        arena.may_be_below(random.next());
        read_group(arena, || self.read(attached, random.below(KEYS)));
        let mut cursor = match random.below(4) {
            0 => {
                Some(ScanCursor { bucket_count: random.next() >> random.below(64), bucket: random.below(99) })
            }
            1 => Some(ScanCursor { bucket_count: random.next(), bucket: random.next() }),
            _ => None,
        };
        loop {
            let (entries, next) = scan(attached.reader(), random.below(2) as u32, cursor, b"key:", 1000);
            for entry in &entries {
                assert!(entry.key.starts_with(b"key:") && entry.tags.len() <= TAGS_BYTES_MAX);
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
    }
}

#[test]
fn damaged_files_are_refused_or_read_with_care() {
    let mut victim = Victim::new(seed());
    let mut seen = Seen::default();
    let attached = victim.attach().expect("the undamaged copy can be attached");
    (0..KEYS).for_each(|number| seen.read(&attached, number));
    assert!(seen.right > KEYS / 2 && seen.wrong == 0, "the copy is not what was stored: {seen:?}");
    for case in 0..CASES {
        match victim.random.below(9) {
            0 => victim.tie_a_knot(),
            8 => (0..8).for_each(|_| victim.break_a_run()),
            wounds => (0..wounds * wounds).for_each(|_| victim.damage()),
        }
        match victim.attach() {
            None => seen.refused += 1,
            Some(attached) => {
                for _ in 0..READS {
                    let number = victim.random.below(KEYS);
                    seen.read(&attached, number);
                    // Values in runs are few, and have more ways to go wrong.
                    seen.read(&attached, number / 23 * 23);
                }
                if case % 8 == 0 {
                    seen.look_around(&attached, &mut victim.random);
                }
            }
        }
        victim.heal();
    }
    println!("{seen:?}");
    let mut healed = Seen::default();
    let attached = victim.attach().expect("the healed copy can be attached");
    (0..KEYS).for_each(|number| healed.read(&attached, number));
    assert!(healed.right > KEYS / 2 && healed.wrong == 0 && healed.given_up == 0, "{healed:?}");
    assert!(seen.refused > 0 && seen.missed > 0 && seen.wrong > 0, "hardly anything was damaged: {seen:?}");
}

/// Every size in the superblock, wrong in every way.
#[test]
fn sizes_that_make_no_sense_are_refused() {
    let mut victim = Victim::new(seed());
    for word in [superblock::SEGMENT_BYTES, superblock::SEGMENTS, superblock::BUCKETS, superblock::CHUNKS] {
        let right = victim.words.word(word).load(Ordering::Relaxed);
        let wrong =
            [0, 1, right + 1, right * 2, right * 1024, 1 << 31, 1 << 32, 1 << 62, u64::MAX, right << 32];
        for value in wrong {
            victim.damage_word(word, value);
            if let Some(attached) = victim.attach() {
                // Smaller than they were: another arena, but one that lies inside the files.
                assert!(value < right, "word {word} of {value} instead of {right} was believed");
                let mut seen = Seen::default();
                (0..KEYS).for_each(|number| seen.read(&attached, number));
                seen.look_around(&attached, &mut victim.random);
            }
            victim.heal();
        }
    }
    for word in [superblock::MAGIC, superblock::VERSION] {
        let right = victim.words.word(word).load(Ordering::Relaxed);
        victim.damage_word(word, right + 1);
        assert!(victim.attach().is_none(), "word {word} does not matter");
        victim.heal();
    }
}

#[test]
fn truncated_files_are_refused() {
    let victim = Victim::new(seed());
    for path in [&victim.data, &victim.touch] {
        let short = victim.store.dir.join("short");
        let bytes = std::fs::read(path).expect("the copy can be read");
        for length in [0, 1, 7, 8, 4095, 4096, 8192, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&short, &bytes[..length]).expect("a file can be written");
            let attached = match path == &victim.data {
                true => attach(&short, &victim.touch),
                false => attach(&victim.data, &short),
            };
            let error = attached.err().unwrap_or_else(|| panic!("{length} bytes were enough"));
            assert_eq!(error.code, Code::Corrupt, "{error}");
        }
    }
}

/// The same while the bytes change between any two loads of a read.
#[test]
fn bytes_that_change_under_a_read_do_no_harm() {
    let mut victim = Victim::new(seed());
    let attached = victim.attach().expect("the undamaged copy can be attached");
    let is_done = AtomicBool::new(false);
    let mut seen = Seen::default();
    let mut random = Random(victim.random.next());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                (0..64).for_each(|_| victim.damage());
                victim.tie_a_knot();
                victim.break_a_run();
                victim.heal();
            }
        });
        for round in 0..CASES {
            (0..READS).for_each(|_| seen.read(&attached, random.below(KEYS)));
            if round % 64 == 0 {
                seen.look_around(&attached, &mut random);
            }
        }
        is_done.store(true, Ordering::Relaxed);
    });
    println!("{seen:?}");
    assert!(seen.right > 0, "everything was damaged all the time");
}
