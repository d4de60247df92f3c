//! The index grows from a thousand keys to a million under an attached reader, and shrinks its chains again while
//! half of them are deleted: no key that is there is ever missed.

mod support;

use ramcache_core::arena::copy::copy_out;
use ramcache_core::feed::read_header;
use ramcache_core::index::Walk;
use ramcache_core::open::{attach, Attached};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{scan, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::StoreOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{open_with, options, Random};

const KEYS: u64 = 1_000_000;

fn find(attached: &Attached, number: u64) -> bool {
    let key = number.to_le_bytes();
    let mut copied = Copied::default();
    let hash = attached.hasher().hash(0, &key);
    match attached.reader().read(0, &key, hash, &mut copied, &mut Seen::default()) {
        Lookup::Hit => {
            assert_eq!(copied.value, key, "key {number} has the value of another");
            true
        }
        Lookup::Miss | Lookup::Dead => false,
        other => panic!("unexpected answer {other:?}"),
    }
}

/// Keys in the buckets that are split next. They are only candidates: nothing is validated here.
fn about_to_move(attached: &Attached) -> Vec<u64> {
    let arena = attached.arena();
    let count = arena.bucket_count();
    let next = count - (1 << (63 - count.leading_zeros()));
    (next..next + 4)
        .flat_map(|bucket| Walk::new(arena, bucket))
        .filter_map(|(_, word)| {
            let location = word.is_entry().then(|| word.location())?;
            let header = read_header(arena, location).filter(|header| header.key_bytes == 8)?;
            let mut key = [0; 8];
            copy_out(arena.data(), arena.record_byte(location)?, header.key_at as usize, &mut key);
            Some(u64::from_le_bytes(key))
        })
        .collect()
}

#[test]
fn a_growing_index_misses_nothing() {
    let store = open_with(StoreOptions { background: true, ..options(256 << 20) });
    let owner = std::fs::read_to_string(store.dir.join("owner")).expect("the owner has announced its files");
    let path = |name: &str| {
        let (_, rest) = owner.split_once(&format!("\"{name}\": \"")).expect("the file names both");
        PathBuf::from(rest.split('"').next().expect("a quoted path"))
    };
    let attached = attach(&path("data"), &path("touch")).expect("the arena can be attached");
    let written = AtomicU64::new(0);
    let is_done = AtomicBool::new(false);
    let buckets_before = attached.arena().bucket_count();
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut random = Random(1);
            let mut reads = 0u64;
            while !is_done.load(Ordering::Relaxed) {
                let count = written.load(Ordering::Acquire);
                let some = std::iter::repeat_with(|| random.below(count.max(1))).take(20);
                let moving = about_to_move(&attached);
                for number in
                    moving.into_iter().chain(some).filter(|number| number % 2 == 1 && *number < count)
                {
                    assert!(find(&attached, number), "key {number} of {count} is missed");
                    reads += 1;
                }
            }
            reads
        });
        let mut buffer = RecordBuffer::default();
        for number in 0..KEYS {
            let key = number.to_le_bytes();
            let request = WriteRequest { key: &key, value: &key, value_type: 6, ..WriteRequest::default() };
            store.store().set(&request, &mut buffer).expect("room for every key");
            written.store(number + 1, Ordering::Release);
        }
        // The even ones leave: chains shrink, and their last entries move.
        for number in (0..KEYS).step_by(2) {
            let removed = store.store().delete(0, &number.to_le_bytes(), None, &mut buffer).expect("deleted");
            assert!(removed, "key {number} was not there");
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader misses nothing")
    });
    assert!(reads > 10_000, "only {reads} reads");
    let buckets = attached.arena().bucket_count();
    println!("{reads} reads, {buckets_before} to {buckets} buckets");
    assert!(buckets * 8 > KEYS, "the index has only {buckets} buckets");
    assert_eq!(store.store().spill().totals().0, 0, "something was evicted");
    for number in 0..KEYS {
        assert_eq!(find(&attached, number), number % 2 == 1, "key {number}");
    }
    let mut cursor = None;
    let mut scanned = 0;
    loop {
        let (entries, next) = scan(attached.reader(), 0, cursor, b"", 10_000);
        scanned += entries.len() as u64;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(scanned, KEYS / 2);
}
