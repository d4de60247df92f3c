//! Leases: one computes, the others wait, and nothing that was computed from old data comes to stand over a change.

mod support;

use ramcache_core::error::Code;
use ramcache_core::leases::{Leased, LEASE_MS_MAX};
use ramcache_core::ops::{Conditions, Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{open_store, TestStore};

const LEASE_MS: u64 = 60_000;

fn lease(store: &TestStore, key: &[u8]) -> Leased {
    store.store().lease(0, key, 1, LEASE_MS, false).expect("a good key")
}

fn granted(store: &TestStore, key: &[u8]) -> u64 {
    match lease(store, key) {
        Leased::Granted(token) => token,
        other => panic!("{other:?} instead of a lease"),
    }
}

fn fill(store: &TestStore, key: &[u8], value: &[u8], token: u64) -> bool {
    let conditions = Conditions { lease: Some(token), ..Conditions::default() };
    let request = WriteRequest { key, value, value_type: 6, conditions, ..WriteRequest::default() };
    let outcome = store.store().set(&request, &mut RecordBuffer::default()).expect("room");
    outcome != Outcome::Refused
}

fn delete(store: &TestStore, key: &[u8]) -> bool {
    store.store().delete(0, key, None, &mut RecordBuffer::default()).expect("the store is open")
}

/// An entry whose expiry is past, within a grace of a minute.
fn set_stale(store: &TestStore, key: &[u8], value: &[u8]) {
    let expires_at = store.store().arena().expiry_now_ms() - 1000;
    let request =
        WriteRequest { key, value, value_type: 6, expires_at, grace_ms: 60_000, ..WriteRequest::default() };
    store.store().set(&request, &mut RecordBuffer::default()).expect("room");
}

#[test]
fn one_is_granted_until_the_value_is_there() {
    let store = open_store(8 << 20);
    let token = granted(&store, b"key");
    assert_eq!(lease(&store, b"key"), Leased::Busy);
    assert!(matches!(lease(&store, b"other"), Leased::Granted(_)), "a lease is of one key");
    assert!(fill(&store, b"key", b"value", token));
    assert_eq!(lease(&store, b"key"), Leased::Fresh);
    assert!(!fill(&store, b"key", b"again", token), "a lease is good for one value");
    assert_eq!(store.get(b"key").expect("filled"), b"value");
    assert_eq!(store.store().leases().count(), 1);
}

#[test]
fn a_lease_given_up_goes_to_the_next() {
    let store = open_store(8 << 20);
    let first = granted(&store, b"key");
    assert!(store.store().abandon(0, b"key", first, 0).expect("open"));
    assert!(!store.store().abandon(0, b"key", first, 0).expect("open"), "it was not out any more");
    let second = granted(&store, b"key");
    assert!(second > first, "tokens grow");
    assert!(!store.store().abandon(0, b"key", first, 0).expect("open"), "that of another");
    assert!(!fill(&store, b"key", b"late", first));
    assert!(fill(&store, b"key", b"value", second));
}

#[test]
fn what_a_holder_has_goes_with_it() {
    let store = open_store(8 << 20);
    let kept = match store.store().lease(0, b"kept", 2, LEASE_MS, false).expect("a good key") {
        Leased::Granted(token) => token,
        other => panic!("{other:?}"),
    };
    granted(&store, b"first");
    granted(&store, b"second");
    store.store().abandon_all(1);
    assert_eq!(store.store().leases().count(), 1);
    granted(&store, b"first");
    assert!(fill(&store, b"kept", b"value", kept));
}

#[test]
fn a_lease_ends_by_itself_and_its_value_still_counts_when_nobody_else_has_one() {
    let store = open_store(8 << 20);
    let brief = |key: &[u8]| match store.store().lease(0, key, 1, 1, false).expect("a good key") {
        Leased::Granted(token) => token,
        other => panic!("{other:?}"),
    };
    let (lonely, overtaken) = (brief(b"lonely"), brief(b"overtaken"));
    let end = store.store().arena().expiry_now_ms() + 1;
    while store.store().arena().expiry_now_ms() <= end {
        std::hint::spin_loop();
    }
    let next = granted(&store, b"overtaken");
    assert!(fill(&store, b"lonely", b"value", lonely));
    assert!(!fill(&store, b"overtaken", b"old", overtaken));
    assert!(fill(&store, b"overtaken", b"new", next));
}

#[test]
fn every_change_of_the_key_takes_the_lease_away() {
    type Step = fn(&TestStore);
    let changes: [(&str, Step); 7] = [
        ("a delete of what is not there", |store| assert!(!delete(store, b"key"))),
        ("a delete that asks for nothing", |store| {
            store.store().discard(0, b"key", &mut RecordBuffer::default()).expect("open")
        }),
        ("a set", |store| {
            store.set(b"key", b"other");
        }),
        ("a set and a delete", |store| {
            store.set(b"key", b"other");
            assert!(delete(store, b"key"));
        }),
        ("a group", |store| {
            let request = WriteRequest { key: b"key", value: b"x", value_type: 6, ..WriteRequest::default() };
            store.store().set_many(&[request]).expect("room");
        }),
        ("an increment", |store| {
            let mut buffer = RecordBuffer::default();
            store.store().increment(0, b"key", 1.0, Some(0.0), 0, false, &mut buffer).expect("room");
        }),
        ("a clear", |store| store.store().clear(0).expect("open")),
    ];
    for (name, change) in changes {
        let store = open_store(8 << 20);
        let token = granted(&store, b"key");
        change(&store);
        let before = store.get(b"key");
        assert!(!fill(&store, b"key", b"old", token), "filled after {name}");
        assert_eq!(store.get(b"key"), before, "after {name}");
        if before.is_none() {
            granted(&store, b"key");
        }
    }
}

#[test]
fn another_key_and_a_look_change_nothing() {
    let store = open_store(8 << 20);
    let token = granted(&store, b"key");
    store.set(b"other", b"value");
    delete(&store, b"third");
    assert!(store.get(b"key").is_none());
    assert!(!store.store().touch(0, b"key", 1000, false, &mut RecordBuffer::default()).expect("open"));
    assert!(fill(&store, b"key", b"value", token));
}

#[test]
fn a_stale_value_is_there_for_who_takes_it_and_for_nobody_else() {
    let store = open_store(8 << 20);
    set_stale(&store, b"key", b"stale");
    assert_eq!(store.get(b"key"), None);
    let stale = store.store().stale(0, b"key").expect("within its grace");
    assert_eq!(stale.value, b"stale");
    assert_eq!(stale.header.grace_ms, 60_000);
    let (entries, _) = ramcache_core::ops::scan(store.store().reader(), 0, None, b"", 10);
    assert_eq!(entries, []);
    // It is as if there were none, for conditions too.
    let conditions = Conditions { if_present: true, ..Conditions::default() };
    let request =
        WriteRequest { key: b"key", value: b"x", value_type: 6, conditions, ..WriteRequest::default() };
    let outcome = store.store().set(&request, &mut RecordBuffer::default()).expect("room");
    assert_eq!(outcome, Outcome::Refused);
    let token = granted(&store, b"key");
    assert_eq!(lease(&store, b"key"), Leased::Busy);
    assert!(fill(&store, b"key", b"fresh", token));
    assert_eq!(store.get(b"key").expect("filled"), b"fresh");
}

#[test]
fn a_delete_takes_the_stale_value_too() {
    let store = open_store(8 << 20);
    set_stale(&store, b"key", b"stale");
    assert!(!delete(&store, b"key"), "there was nothing that a read would have found");
    assert!(store.store().stale(0, b"key").is_none());
    set_stale(&store, b"key", b"stale");
    store.store().clear(0).expect("open");
    assert!(store.store().stale(0, b"key").is_none());
}

#[test]
fn grace_ends() {
    let store = open_store(8 << 20);
    let expires_at = store.store().arena().expiry_now_ms() - 1000;
    let request = WriteRequest {
        key: b"key",
        value: b"x",
        value_type: 6,
        expires_at,
        grace_ms: 1000,
        ..WriteRequest::default()
    };
    store.store().set(&request, &mut RecordBuffer::default()).expect("room");
    assert!(store.store().stale(0, b"key").is_none());
}

#[test]
fn after_a_failure_nobody_computes_for_a_while_as_long_as_there_is_a_stale_value() {
    let store = open_store(8 << 20);
    set_stale(&store, b"key", b"stale");
    let token = granted(&store, b"key");
    assert!(store.store().abandon(0, b"key", token, 60_000).expect("open"));
    assert_eq!(lease(&store, b"key"), Leased::Paused);
    assert!(!fill(&store, b"key", b"late", token), "given up");
    delete(&store, b"key");
    assert!(matches!(lease(&store, b"key"), Leased::Granted(_)), "there is nothing to answer with");
    // Without a stale value there is no pause.
    let token = granted(&store, b"other");
    assert!(store.store().abandon(0, b"other", token, 60_000).expect("open"));
    granted(&store, b"other");
}

#[test]
fn a_fresh_value_may_be_replaced_ahead_of_its_expiry() {
    let store = open_store(8 << 20);
    store.set(b"key", b"old");
    assert_eq!(lease(&store, b"key"), Leased::Fresh);
    let token = match store.store().lease(0, b"key", 1, LEASE_MS, true).expect("a good key") {
        Leased::Granted(token) => token,
        other => panic!("{other:?}"),
    };
    assert_eq!(store.store().lease(0, b"key", 2, LEASE_MS, true).expect("a good key"), Leased::Busy);
    assert_eq!(store.get(b"key").expect("still there"), b"old");
    assert!(fill(&store, b"key", b"new", token));
    assert_eq!(store.get(b"key").expect("filled"), b"new");
}

#[test]
fn limits_are_named() {
    let store = open_store(8 << 20);
    for lease_ms in [0, LEASE_MS_MAX + 1] {
        let error = store.store().lease(0, b"key", 1, lease_ms, false).expect_err("refused");
        assert_eq!(error.code, Code::Config);
        assert!(error.message.contains(&lease_ms.to_string()), "{}", error.message);
    }
    assert_eq!(store.store().lease(0, b"", 1, 1, false).expect_err("refused").code, Code::Key);
    let request = WriteRequest { key: b"key", grace_ms: 1 << 32, ..WriteRequest::default() };
    let error = store.store().set(&request, &mut RecordBuffer::default()).expect_err("refused");
    assert_eq!(error.code, Code::Config);
}

/// The source is changed first, the cache told then: from there on nobody may read what was before.
#[test]
fn nothing_old_is_read_after_a_change_was_acknowledged() {
    let store = open_store(8 << 20);
    let source = AtomicU64::new(1);
    let floor = AtomicU64::new(1);
    let is_done = AtomicBool::new(false);
    let fills = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let readers = [0, 1, 2].map(|_| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let least = floor.load(Ordering::Acquire);
                    if let Some(value) = store.get(b"key") {
                        let value = u64::from_le_bytes(value.try_into().expect("eight bytes"));
                        assert!(value >= least, "read {value}, acknowledged was the change to {least}");
                    }
                    let Leased::Granted(token) = lease(&store, b"key") else { continue };
                    let computed = source.load(Ordering::Acquire);
                    std::thread::yield_now();
                    if fill(&store, b"key", &computed.to_le_bytes(), token) {
                        fills.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        for round in 2..40_000u64 {
            source.store(round, Ordering::Release);
            match round % 64 {
                0 => store.store().clear(0).expect("open"),
                _ => {
                    delete(&store, b"key");
                }
            }
            floor.store(round, Ordering::Release);
        }
        while fills.load(Ordering::Relaxed) < 100 && !readers.iter().any(|reader| reader.is_finished()) {
            delete(&store, b"key");
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
