//! Invalidated tags: what they make dead, what they leave, and what the store remembers of them.

mod support;

use ramcache_core::error::Code;
use ramcache_core::ops::{scan, Conditions, Number, Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::tags;
use support::{open_store, TestStore};

fn encoded(tag: &str) -> Vec<u8> {
    [&[tag.len() as u8], tag.as_bytes()].concat()
}

fn set_in(store: &TestStore, namespace: u32, key: &[u8], tag: &str) {
    let request = WriteRequest {
        namespace,
        key,
        value: b"value",
        value_type: 6,
        tags: &encoded(tag),
        ..WriteRequest::default()
    };
    let outcome = store.store().set(&request, &mut RecordBuffer::default()).expect("written");
    assert!(matches!(outcome, Outcome::Written(_)));
}

fn invalidate(store: &TestStore, namespace: u32, tag: &str) {
    store
        .store()
        .invalidate_tags(namespace, &encoded(tag), &mut RecordBuffer::default())
        .expect("invalidated");
}

#[test]
fn an_entry_is_dead_by_each_of_its_tags_and_by_no_other() {
    let store = open_store(2 << 20);
    let other = store.store().namespace("other").expect("room");
    let both = [encoded("a"), encoded("b")].concat();
    for (key, tags) in [(b"a", encoded("a")), (b"b", encoded("b")), (b"c", both)] {
        let request = WriteRequest { key, value: b"value", value_type: 6, tags: &tags, ..Default::default() };
        store.store().set(&request, &mut RecordBuffer::default()).expect("written");
    }
    store.set(b"plain", b"value");
    set_in(&store, other, b"a", "b");
    let found = |keys: [&[u8]; 4]| keys.map(|key| store.get(key).is_some());
    invalidate(&store, 0, "none has it");
    assert_eq!(found([b"a", b"b", b"c", b"plain"]), [true; 4]);
    invalidate(&store, 0, "b");
    assert_eq!(found([b"a", b"b", b"c", b"plain"]), [true, false, false, true]);
    assert!(store.get_in(other, b"a").is_some(), "a tag of another namespace");
    invalidate(&store, 0, "a");
    assert_eq!(found([b"a", b"b", b"c", b"plain"]), [false, false, false, true]);
    // Written afterwards it lives.
    set_in(&store, 0, b"a", "a");
    assert!(store.get(b"a").is_some());
}

/// A million of them as well: nobody visits them.
#[test]
fn an_invalidation_is_one_write_however_many_entries_have_the_tag() {
    let store = open_store(16 << 20);
    for number in 0..20_000u32 {
        set_in(&store, 0, &number.to_le_bytes(), "all");
    }
    invalidate(&store, 0, "another");
    let before = store.store().sequence();
    invalidate(&store, 0, "all");
    assert_eq!(store.store().sequence() - before, 1);
    for number in 0..20_000u32 {
        assert_eq!(store.get(&number.to_le_bytes()), None);
    }
    let reader = store.store().reader();
    assert_eq!(scan(reader, 0, None, b"", usize::MAX).0, []);
}

#[test]
fn conditions_and_counters_take_what_is_invalidated_for_absent() {
    let store = open_store(2 << 20);
    let mut buffer = RecordBuffer::default();
    let of = |conditions| WriteRequest {
        key: b"key",
        value: b"new",
        value_type: 6,
        conditions,
        ..WriteRequest::default()
    };
    let if_present = of(Conditions { if_present: true, ..Conditions::default() });
    let if_absent = of(Conditions { if_absent: true, ..Conditions::default() });
    set_in(&store, 0, b"key", "tag");
    invalidate(&store, 0, "tag");
    let core = store.store();
    assert_eq!(core.set(&if_present, &mut buffer), Ok(Outcome::Refused));
    assert_eq!(core.touch(0, b"key", 1000, false, &mut buffer), Ok(false));
    assert_eq!(core.pin(0, b"key", true, &mut buffer), Ok(false));
    assert_eq!(core.delete(0, b"key", None, &mut buffer), Ok(false));
    assert_eq!(core.increment(0, b"key", 1.0, None, 0, false, &mut buffer), Ok(Number::Absent));
    assert!(matches!(core.set(&if_absent, &mut buffer), Ok(Outcome::Written(_))));
    assert_eq!(store.get(b"key"), Some(b"new".to_vec()));
}

/// The table of epochs has few words: many tags share each of them.
#[test]
fn tags_that_share_a_word_do_not_touch_each_other() {
    let store = open_store(8 << 20);
    let words = store.store().arena().geometry().tag_words();
    for number in 0..1000 {
        set_in(&store, 0, format!("key {number}").as_bytes(), &format!("tag {number}"));
    }
    // Newer than all of them, in a third of the words or more.
    let others = store.store().epochs_max() - 1;
    assert!(others as usize * 3 > words, "{others} tags, {words} words");
    for number in 0..others {
        invalidate(&store, 0, &format!("other {number}"));
    }
    invalidate(&store, 0, "tag 500");
    for number in 0..1000 {
        let found = store.get(format!("key {number}").as_bytes());
        assert_eq!(found.is_some(), number != 500, "key {number}");
    }
}

/// What is forgotten takes older entries along; it never brings one back. And the list has its length.
#[test]
fn what_is_forgotten_is_dead_for_good() {
    let store = open_store(512 << 10);
    let other = store.store().namespace("other").expect("room");
    let most = store.store().epochs_max();
    set_in(&store, 0, b"first", "first");
    set_in(&store, other, b"elsewhere", "elsewhere");
    invalidate(&store, 0, "first");
    for number in 0..3 * most {
        invalidate(&store, 0, &format!("tag {number}"));
        assert_eq!(store.get(b"first"), None);
    }
    assert!(store.get_in(other, b"elsewhere").is_some(), "a floor of another namespace");
    assert!(tags::floor(store.store().arena(), 0) > 0);
    assert_eq!(tags::floor(store.store().arena(), other), 0);
    let own = tags::namespace_of(store.store().arena()).expect("tags were invalidated");
    let (entries, _) = store.store().usage(own);
    // One more for the floor.
    assert!(entries <= most + 1, "{entries} records for {most} tags");
    // The same one again and again is one.
    for _ in 0..3 * most {
        invalidate(&store, 0, "again");
    }
    let last = format!("tag {}", 3 * most - 1);
    set_in(&store, 0, b"last", &last);
    assert!(store.get(b"last").is_some());
}

#[test]
fn what_is_invalidated_makes_room_first() {
    let store = open_store(1 << 20);
    for number in 0..2000u32 {
        set_in(&store, 0, &number.to_le_bytes(), "all");
    }
    invalidate(&store, 0, "all");
    let (before, _) = store.store().spill().totals();
    const OTHERS: std::ops::Range<u32> = 10_000..60_000;
    for number in OTHERS {
        store.set(&number.to_le_bytes(), b"value");
    }
    let left = OTHERS.filter(|number| store.get(&number.to_le_bytes()).is_some()).count();
    let after = store.store().spill().totals().0;
    // None of the dead was given to a tier below as if it lived.
    assert_eq!((after - before) as usize, OTHERS.len() - left);
    for number in 0..2000u32 {
        assert_eq!(store.get(&number.to_le_bytes()), None);
    }
}

#[test]
fn tags_that_no_entry_can_have_are_refused() {
    let store = open_store(1 << 20);
    let invalidate = |tags: &[u8]| {
        store.store().invalidate_tags(0, tags, &mut RecordBuffer::default()).map_err(|error| error.code)
    };
    assert_eq!(invalidate(b"\0"), Err(Code::Config));
    assert_eq!(invalidate(b"\x05cut"), Err(Code::Config));
    assert_eq!(invalidate(&b"\x01x".repeat(1025)), Err(Code::Config));
    assert_eq!(invalidate(&b"\x01x".repeat(1024)), Ok(()));
    assert_eq!(invalidate(b""), Ok(()));
}
