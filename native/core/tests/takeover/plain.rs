//! One thing at a time: what is kept, what is refused and why, what a crash in the middle of a step leaves.

use super::copies::{announced, put, Copies};
use super::support::{open_store, options};
use ramcache_core::arena::owner_files::Ownership;
use ramcache_core::index::Walk;
use ramcache_core::layout::{bucket_of, counters, superblock};
use ramcache_core::open::{attach, open, OwnedStore, Start};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::stats::CounterSlot;
use std::path::Path;
use std::sync::atomic::Ordering;

const BUDGET: usize = 1 << 20;

pub fn get(owned: &OwnedStore, namespace: u32, key: &[u8]) -> Option<(Vec<u8>, u64)> {
    let store = owned.store();
    let (mut copied, mut seen) = (Copied::default(), Seen::default());
    let hash = store.hasher().hash(namespace, key);
    match store.reader().read(namespace, key, hash, &mut copied, &mut seen) {
        Lookup::Hit => Some((copied.value, seen.header.expires_at)),
        Lookup::Miss | Lookup::Dead => None,
        other => panic!("{other:?}"),
    }
}

/// Slots dropped at the takeover; the arena is whole.
pub fn dropped(owned: &OwnedStore) -> u64 {
    owned.store().check().expect("what was adopted is whole");
    match owned.start() {
        Start::Adopted(adoption) => {
            assert_eq!(adoption.entries, owned.store().entries());
            adoption.dropped
        }
        other => panic!("not adopted: {other:?}"),
    }
}

fn refused(copies: &Copies, budget_bytes: usize) -> String {
    let owned = copies.open(&options(budget_bytes));
    assert_eq!(owned.store().entries(), 0);
    assert!(!copies.data.exists() && !copies.touch.exists(), "what was refused is removed");
    match owned.start() {
        Start::Refused(why) => why.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn versions_lifetimes_namespaces_access_and_counts_are_kept() {
    let store = open_store(BUDGET);
    let mut buffer = RecordBuffer::default();
    let other = store.store().namespace("other").expect("room");
    let Outcome::Written(version) = store.set(b"key", b"value") else { panic!("refused") };
    let timed = WriteRequest { key: b"timed", value: b"x", ttl_ms: 1 << 30, ..WriteRequest::default() };
    store.store().set(&timed, &mut buffer).expect("set");
    let of_other = WriteRequest { namespace: other, key: b"key", value: b"2", ..WriteRequest::default() };
    store.store().set(&of_other, &mut buffer).expect("set");
    store.store().clear(other).expect("cleared");
    store.get(b"key");
    CounterSlot::claim(store.store().arena(), 0, std::process::id()).add(
        store.store().arena(),
        counters::HITS,
        5,
    );
    store.store().publish_counts();
    let copies = Copies::of(&store.dir);
    let owned = copies.open(&options(BUDGET));
    assert_eq!(dropped(&owned), 0);
    assert_eq!(get(&owned, 0, b"key"), Some((b"value".to_vec(), 0)));
    assert_eq!(get(&owned, 0, b"timed").expect("there").1, get(&store.owned, 0, b"timed").expect("there").1);
    assert_eq!(owned.store().namespace("other"), Ok(other));
    assert_eq!(get(&owned, other, b"key"), None);
    let counts = owned.store().counts();
    assert_eq!((counts.hits, counts.sets, counts.entries), (5, 3, 2));
    let Outcome::Written(next) = owned.store().set(&timed, &mut buffer).expect("set") else { panic!() };
    assert!(next.clock > version.clock && next.origin == version.origin);
    let hash = owned.store().hasher().hash(0, b"key");
    let arena = owned.store().arena();
    let read = Walk::new(arena, bucket_of(hash, arena.bucket_count()))
        .map(|(slot, _)| arena.access_byte(slot).load(Ordering::Relaxed));
    assert!(read.max() > Some(0), "accesses are kept");
}

#[test]
fn another_budget_is_kept_to_or_refused() {
    let store = open_store(BUDGET);
    for number in 0..3000 {
        store.set(format!("key:{number}").as_bytes(), &[7; 100]);
    }
    for budget_bytes in [512 << 10, 4 << 20] {
        let copies = Copies::of(&store.dir);
        let owned = copies.open(&options(budget_bytes));
        assert_eq!(dropped(&owned), 0);
        assert_eq!(owned.store().entries(), store.store().entries());
        assert_eq!(owned.store().budget_bytes(), budget_bytes as u64);
        for number in 0..30_000 {
            let key = format!("other:{number}");
            let request = WriteRequest { key: key.as_bytes(), value: &[8; 100], ..WriteRequest::default() };
            owned.store().set(&request, &mut RecordBuffer::default()).expect("set");
        }
        owned.store().check().expect("whole");
        let used = owned.store().overhead_bytes() + owned.store().payload_bytes();
        assert!(used as usize <= budget_bytes + budget_bytes / 8, "{used} bytes of {budget_bytes}");
    }
    assert!(refused(&Copies::of(&store.dir), 1 << 30).contains("budget of 1073741824"));
}

#[test]
fn what_is_no_arena_of_ours_is_refused() {
    let store = open_store(BUDGET);
    store.set(b"key", b"value");
    let buckets = store.store().arena().geometry().buckets as u64;
    for (word, value, why) in [
        (superblock::MAGIC, 0, "not a ramcache arena"),
        (superblock::VERSION, 1, "arena layout 1"),
        (superblock::SEGMENT_BYTES, 3, "sizes make no sense"),
        (superblock::SEGMENTS, 16, "their sizes are not those"),
        (superblock::BUCKETS, u64::MAX, "sizes make no sense"),
        (superblock::ARENA_ID, 1, "was announced"),
        (superblock::BUCKET_COUNT, 0, "has closed it"),
        (superblock::BUCKET_COUNT, 1, "1 buckets in use"),
        (superblock::ALLOCATED_BUCKETS, buckets + 1, "buckets in use of"),
        (superblock::ALLOCATED_CHUNKS, 1 << 40, "chunks allocated of"),
        (superblock::NAMESPACE_COUNT, 0, "without the default one"),
        (superblock::CLOCK, u64::MAX, "its clock word is"),
    ] {
        let copies = Copies::of(&store.dir);
        put(&copies, word, value);
        let said = refused(&copies, BUDGET);
        assert!(said.contains(why), "{said}");
    }
    for bytes in [0, 100, 5000, 1 << 20] {
        for is_touch in [false, true] {
            let copies = Copies::of(&store.dir);
            let path = if is_touch { &copies.touch } else { &copies.data };
            let file = std::fs::OpenOptions::new().write(true).open(path).expect("a file");
            file.set_len(bytes).expect("truncated");
            refused(&copies, BUDGET);
        }
    }
}

#[test]
fn memory_that_has_died_with_its_owner_is_a_fresh_start() {
    let store = open_store(BUDGET);
    store.set(b"key", b"value");
    let missing = Copies::of(&store.dir);
    std::fs::remove_file(&missing.data).expect("removed");
    assert_eq!(missing.open(&options(BUDGET)).start(), &Start::Fresh);
    let anonymous = Copies::of(&store.dir);
    // No tmpfs is needed to be out of room on one: a file system that reports nothing free is enough.
    let dir = anonymous.dir.join("anonymous");
    let owned = open(&dir, &options(BUDGET), Path::new("/proc")).expect("a fresh directory opens");
    assert!(owned.is_anonymous());
    let text = announced(&dir).2;
    owned.close();
    std::fs::write(dir.join("owner"), text).expect("as if it had been killed");
    let owned = open(&dir, &options(BUDGET), Path::new("/proc")).expect("the directory opens");
    assert_eq!(owned.start(), &Start::Fresh);
    owned.close();
}

#[test]
fn an_owner_that_fails_before_it_has_announced_itself_takes_nothing_with_it() {
    let store = open_store(BUDGET);
    store.set(b"key", b"value");
    let copies = Copies::of(&store.dir);
    drop(Ownership::take(&copies.dir).expect("nobody owns it"));
    assert_eq!(dropped(&copies.open(&options(BUDGET))), 0);
}

#[test]
fn a_reader_from_before_reads_on_while_and_after_another_owner_adopts() {
    let store = open_store(BUDGET);
    store.set(b"key", b"old");
    let copies = Copies::of(&store.dir);
    let attached = attach(&copies.data, &copies.touch).expect("an arena");
    let read = |key: &[u8]| {
        let mut copied = Copied::default();
        let hash = attached.hasher().hash(0, key);
        let answer = attached.reader().read(0, key, hash, &mut copied, &mut Seen::default());
        (answer, copied.value)
    };
    assert_eq!(read(b"key"), (Lookup::Hit, b"old".to_vec()));
    let owned = copies.open(&options(BUDGET));
    assert_eq!(read(b"key"), (Lookup::Hit, b"old".to_vec()));
    let request = WriteRequest { key: b"key", value: b"new", ..WriteRequest::default() };
    owned.store().set(&request, &mut RecordBuffer::default()).expect("set");
    assert_eq!(read(b"key"), (Lookup::Hit, b"new".to_vec()));
    owned.close();
    assert_eq!(read(b"key").0, Lookup::Closed);
}

#[test]
fn locks_of_connections_stand_until_they_expire_and_those_of_the_owner_are_gone() {
    use ramcache_core::locks::Attempt;
    let store = open_store(BUDGET);
    let mut tokens = Vec::new();
    for (is_owner, key) in [(true, b"own"), (false, b"far")] {
        let holder = store.store().join_locks(4711, is_owner, Box::new(|_, _| {}));
        match store.store().lock_key(holder, 0, key, 60_000, None) {
            Ok(Attempt::Locked(token)) => tokens.push(token),
            other => panic!("{other:?}"),
        }
    }
    let owned = Copies::of(&store.dir).open(&options(BUDGET));
    assert_eq!(dropped(&owned), 0);
    let adopted = owned.store();
    let holder = adopted.join_locks(4712, true, Box::new(|_, _| {}));
    let lock = |key: &[u8]| adopted.lock_key(holder, 0, key, 60_000, None).expect("no error");
    assert!(matches!(lock(b"far"), Attempt::Held { pid: 4711, .. }));
    assert_eq!(adopted.renew_lock(holder, 0, b"own", tokens[0], 1000), Ok(false));
    assert!(matches!(lock(b"own"), Attempt::Locked(token) if token > tokens[1]));
    // Whoever has the token has the lock, over whatever way.
    assert_eq!(adopted.renew_lock(holder, 0, b"far", tokens[1], 1000), Ok(true));
    adopted.leave_locks(holder, true);
    let next = adopted.join_locks(4713, false, Box::new(|_, _| {}));
    assert!(matches!(adopted.lock_key(next, 0, b"far", 1000, None), Ok(Attempt::Locked(_))));
    owned.close();
}

/// Epochs of tags are kept, with the list of them: the store that has taken over goes on to forget the oldest.
#[test]
fn invalidated_tags_are_kept() {
    let store = open_store(BUDGET);
    let mut buffer = RecordBuffer::default();
    let tagged =
        |key, tags| WriteRequest { key, value: b"x", value_type: 6, tags, ..WriteRequest::default() };
    for request in [tagged(b"dead", b"\x01a"), tagged(b"alive", b"\x01b")] {
        store.store().set(&request, &mut buffer).expect("set");
    }
    let most = store.store().epochs_max();
    for number in 0..most - 1 {
        let tag = format!("tag {number:08}");
        let encoded = [&[tag.len() as u8], tag.as_bytes()].concat();
        store.store().invalidate_tags(0, &encoded, &mut buffer).expect("invalidated");
    }
    store.store().invalidate_tags(0, b"\x01a", &mut buffer).expect("invalidated");
    let copies = Copies::of(&store.dir);
    // As if the owner had died between the record of a tag and the table.
    let geometry = *store.store().arena().geometry();
    for word in 0..geometry.tag_words() {
        put(&copies, geometry.tags_word() + word, 0);
    }
    let owned = copies.open(&options(BUDGET));
    assert_eq!(dropped(&owned), 0);
    assert_eq!(get(&owned, 0, b"dead"), None);
    assert!(get(&owned, 0, b"alive").is_some());
    owned.store().invalidate_tags(0, b"\x01c", &mut buffer).expect("invalidated");
    let own = owned.store().namespace(ramcache_core::tags::NAMESPACE_NAME).expect("there");
    let (entries, _) = owned.store().usage(own);
    assert!(entries <= most, "{entries} records for {most} tags");
    assert_eq!(get(&owned, 0, b"dead"), None);
}
