//! One test for each bug that has been found and mended, named after what went wrong.

mod support;

use ramcache_core::arena::copy::copy_out;
use ramcache_core::feed::{read_header, FeedRead, FEED_VALUE_GONE};
use ramcache_core::index::Walk;
use ramcache_core::layout::{bucket_of, superblock, SlotWord};
use ramcache_core::ops::{scan, Number, Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::StoreOptions;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{open_store, open_with, options, Random, TestStore};

fn request<'a>(key: &'a [u8], value: &'a [u8]) -> WriteRequest<'a> {
    WriteRequest { key, value, value_type: 6, ..WriteRequest::default() }
}

fn with_background(budget_bytes: usize) -> TestStore {
    open_with(StoreOptions { background: true, ..options(budget_bytes) })
}

#[test]
fn the_index_grows_for_tombstones_too() {
    let store = open_store(64 << 20);
    for index in 0..100_000 {
        let key = format!("lock:{index}");
        store.set(key.as_bytes(), b"x");
        assert!(store.get(key.as_bytes()).is_some(), "{key} was just written");
        assert!(store
            .store()
            .delete(0, key.as_bytes(), None, &mut RecordBuffer::default())
            .expect("deleted"));
    }
}

#[test]
fn the_index_grows_for_cleared_records_too() {
    let store = open_store(64 << 20);
    for round in 0..30 {
        for index in 0..5000 {
            let key = format!("{round}:{index}");
            store.set(key.as_bytes(), b"x");
            assert!(store.get(key.as_bytes()).is_some(), "{key} was just written");
        }
        store.store().clear(0).expect("cleared");
    }
}

#[test]
fn a_first_group_may_be_larger_than_the_index() {
    let store = open_store(64 << 20);
    let keys: Vec<String> = (0..20_000).map(|index| format!("key:{index}")).collect();
    let requests: Vec<WriteRequest> = keys.iter().map(|key| request(key.as_bytes(), b"value")).collect();
    store.store().set_many(&requests).expect("it fits");
    assert_eq!(store.store().entries(), 20_000);
    assert!(keys.iter().all(|key| store.get(key.as_bytes()).is_some()));
}

#[test]
fn a_group_counts_the_unused_ends_of_segments() {
    let store = open_store(64 << 20);
    let value = vec![7; 4090];
    let keys: Vec<String> = (0..3900).map(|index| format!("key:{index}")).collect();
    let requests: Vec<WriteRequest> = keys.iter().map(|key| request(key.as_bytes(), &value)).collect();
    store.store().set_many(&requests).expect("it fits");
    assert_eq!(store.store().entries(), 3900);
    let small = open_store(512 << 10);
    let keys: Vec<Vec<u8>> = (0..25).map(|index| vec![b'a' + index; 4090]).collect();
    let requests: Vec<WriteRequest> = keys.iter().map(|key| request(key, b"value")).collect();
    small.store().set_many(&requests).expect("it fits");
}

#[test]
fn groups_and_large_values_share_the_last_segments() {
    for background in [false, true] {
        let store = open_with(StoreOptions { background, ..options(8 << 20) });
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(7);
                let mut buffer = RecordBuffer::default();
                while !is_done.load(Ordering::Relaxed) {
                    let key = format!("large:{}", random.below(300));
                    let value = vec![1; 3000 + random.below(117_000) as usize];
                    store.store().set(&request(key.as_bytes(), &value), &mut buffer).expect("there is room");
                }
            });
            scope.spawn(|| {
                for _ in 0..20 {
                    store.store().check().expect("the arena is whole in between");
                }
            });
            let value = vec![2; 1500];
            for round in 0..300 {
                let keys: Vec<String> = (0..300).map(|index| format!("{round}:{index}")).collect();
                let requests: Vec<WriteRequest> =
                    keys.iter().map(|key| request(key.as_bytes(), &value)).collect();
                store.store().set_many(&requests).expect("a group fits");
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn several_writers_fill_a_store_from_nothing() {
    for background in [false, true] {
        let store = open_with(StoreOptions { background, ..options(16 << 20) });
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let store = &store;
                scope.spawn(move || {
                    let mut buffer = RecordBuffer::default();
                    for index in 0..60_000 {
                        let key = format!("{writer}:{index}");
                        store
                            .store()
                            .set(&request(key.as_bytes(), b"v"), &mut buffer)
                            .expect("there is room");
                    }
                });
            }
        });
        assert_eq!(store.store().entries() + store.store().spill().totals().0, 180_000);
    }
}

#[test]
fn a_pinned_record_stays_when_the_store_shrinks() {
    let store = with_background(64 << 20);
    let mut buffer = RecordBuffer::default();
    let pinned = WriteRequest { is_pinned: true, ..request(b"pinned", b"needed") };
    assert!(matches!(store.store().set(&pinned, &mut buffer), Ok(Outcome::Written(_))));
    let value = vec![1; 900];
    for index in 0..60_000 {
        store.set(format!("key:{index}").as_bytes(), &value);
    }
    store.store().resize(8 << 20).expect("a smaller budget");
    for index in 0..30_000 {
        store.set(format!("again:{index}").as_bytes(), &value);
        assert!(store.get(b"pinned").is_some(), "lost at {index}");
    }
}

#[test]
fn a_value_up_to_the_limit_is_stored_and_empties_nothing_before() {
    for megabytes in [1, 6, 50, 100] {
        let store = open_store(megabytes << 20);
        let value = vec![5; store.store().value_bytes_max()];
        for index in 0..100 {
            store.set(format!("small:{index}").as_bytes(), b"v");
        }
        store.set(b"large", &value);
        assert_eq!(store.get(b"large").expect("just written"), value);
        assert!((0..100).all(|index| store.get(format!("small:{index}").as_bytes()).is_some()));
        let longer = vec![5; value.len() + 1];
        assert!(store.store().set(&request(b"longer", &longer), &mut RecordBuffer::default()).is_err());
    }
}

#[test]
fn a_sliding_entry_ends_at_its_ttl() {
    let store = open_store(1 << 20);
    store.store().set_manual_clock(4_000_000_000_000);
    let sliding = WriteRequest { ttl_ms: 300, idle_ms: 200, ..request(b"k", b"v") };
    let mut buffer = RecordBuffer::default();
    store.store().set(&sliding, &mut buffer).expect("written");
    for step in 1..=30 {
        store.store().set_manual_clock(4_000_000_000_000 + step * 20);
        if store.get(b"k").is_none() {
            assert_eq!(step * 20, 300);
            return;
        }
        store.store().touch(0, b"k", 0, true, &mut buffer).expect("touched");
    }
    panic!("it outlived its ttl");
}

#[test]
fn an_increment_keeps_sliding_expiry_and_tags() {
    let store = open_store(1 << 20);
    let mut buffer = RecordBuffer::default();
    let five = 5f64.to_le_bytes();
    let counter = WriteRequest { value_type: 3, idle_ms: 300, tags: b"\x01a", ..request(b"n", &five) };
    store.store().set(&counter, &mut buffer).expect("written");
    let sum = store.store().increment(0, b"n", 1.0, None, 0, false, &mut buffer).expect("counted");
    assert_eq!(sum, Number::Is(6.0));
    let hash = store.store().hasher().hash(0, b"n");
    let mut copied = ramcache_core::ops::read::Copied::default();
    let mut seen = ramcache_core::ops::read::Seen::default();
    let found = store.store().reader().read(0, b"n", hash, &mut copied, &mut seen);
    assert_eq!(found, ramcache_core::ops::read::Lookup::Hit);
    assert_eq!((seen.header.idle_ms, copied.tags), (300, b"\x01a".to_vec()));
}

#[test]
fn the_feed_finds_a_large_value_that_has_moved() {
    let store = open_store(2 << 20);
    let value = vec![9; 9000];
    store.set(b"large", &value);
    // Read often, so that the drain keeps it and its record moves.
    for index in 0..3000 {
        store.get(b"large");
        store.set(format!("filler:{index}").as_bytes(), &[0; 700]);
        if let FeedRead::Batch { bytes, next, .. } = store.store().read_feed(1, 1) {
            assert_eq!(next, 2);
            assert_eq!(bytes[9] & FEED_VALUE_GONE, 0, "the value is still there at filler {index}");
        }
    }
}

#[test]
fn a_closed_store_answers_its_feed() {
    let store = open_store(2 << 20);
    store.set(b"large", &vec![9; 90_000]);
    store.owned.close();
    assert!(matches!(store.store().read_feed(1, 1 << 20), FeedRead::Batch { .. }));
}

#[test]
fn a_directory_opens_again_while_it_is_being_closed() {
    let dir = support::fresh_dir();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let shm = std::path::Path::new(ramcache_core::open::SHARED_MEMORY_DIR);
                    ramcache_core::open::open(&dir, &options(1 << 20), shm).expect("one process, one store");
                }
            });
        }
    });
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn keys_of_half_a_segment_do_not_keep_the_drain_busy() {
    let store = open_store(512 << 10);
    for index in 0..3000 {
        let mut key = format!("{index}:").into_bytes();
        key.resize(4090, b'k');
        store.set(&key, b"v");
    }
    let evicted = store.store().spill().totals().0;
    assert!(evicted > 2800, "{evicted} evicted");
}

/// The split of a bucket up to where its entries stand in both buckets, which is where a reader may find it.
#[test]
fn a_scan_that_begins_in_the_middle_of_a_split_sees_each_key_once() {
    let store = open_store(8 << 20);
    let keys: Vec<String> = (0..2000).map(|index| format!("key:{index}")).collect();
    for key in &keys {
        store.set(key.as_bytes(), b"value");
    }
    let arena = store.store().arena();
    let count = arena.bucket_count();
    let old = count - (1 << (63 - count.leading_zeros()));
    let hash_of = |word: SlotWord| {
        let header = read_header(arena, word.location()).expect("a record");
        let mut key = vec![0; header.key_bytes as usize];
        let first = arena.record_byte(word.location()).expect("in the arena");
        copy_out(arena.data(), first, header.key_at as usize, &mut key);
        store.store().hasher().hash(0, &key)
    };
    let moving: Vec<SlotWord> = Walk::new(arena, old)
        .map(|(_, word)| word)
        .filter(|word| word.is_entry() && bucket_of(hash_of(*word), count + 1) == count)
        .collect();
    assert!(!moving.is_empty(), "no key of the bucket moves");
    for (position, word) in moving.iter().enumerate() {
        arena.slot(arena.bucket_slot(count, position)).store(word.0, Ordering::Release);
    }
    arena.superblock(superblock::BUCKET_COUNT).store(count + 1, Ordering::Release);
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let (entries, next) = scan(store.store().reader(), 0, cursor, b"", 64);
        seen.extend(entries.into_iter().map(|entry| String::from_utf8(entry.key).expect("as written")));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    // The check at the end of a test takes no store in the middle of a split.
    arena.superblock(superblock::BUCKET_COUNT).store(count, Ordering::Release);
    for position in 0..moving.len() {
        arena.slot(arena.bucket_slot(count, position)).store(0, Ordering::Release);
    }
    seen.sort();
    let mut wanted = keys.clone();
    wanted.sort();
    assert_eq!(seen, wanted);
}
