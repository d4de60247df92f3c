//! Single steps of what moves down and up again, each beside the change that makes it wrong.

#[path = "support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "support/tiered.rs"]
mod tiered;

use ramcache_core::below::{Answer, Purpose};
use ramcache_core::ops::read::{Glimpse, Lookup, Seen};
use ramcache_core::ops::Conditions;
use std::sync::Arc;
use tiered::{fresh_dir, key_of, value_of, Tiered};

const BUDGET_BYTES: usize = 1 << 20;

fn is_in_ram(tiered: &Tiered, key: &[u8]) -> bool {
    look(tiered, key) == Lookup::Hit
}

/// Writes others until RAM says nothing of a key, not even that it is gone.
fn push_out(tiered: &mut Tiered, key: &[u8]) {
    for number in 0.. {
        if !is_known(tiered, key) {
            return;
        }
        tiered.set(&key_of(1_000_000 + number), &value_of(number, 1), Conditions::default(), 0);
    }
}

fn is_known(tiered: &Tiered, key: &[u8]) -> bool {
    look(tiered, key) != Lookup::Miss
}

fn look(tiered: &Tiered, key: &[u8]) -> Lookup {
    let store = tiered.owned.store();
    let hash = store.hasher().hash(0, key);
    store.reader().read(0, key, hash, &mut Glimpse, &mut Seen::default())
}

fn read_below(tiered: &mut Tiered, key: &[u8]) -> (Vec<u8>, usize) {
    match tiered.ask(key, Purpose::Look) {
        Answer::Found { record, record_bytes, .. } => (record, record_bytes),
        other => panic!("{other:?}"),
    }
}

/// A filter that was made before a key was written says "maybe" of it, once it has left RAM.
#[test]
fn what_leaves_ram_is_in_the_filter() {
    let dir = fresh_dir("filter-add");
    let mut tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::default());
    let store = tiered.owned.shared();
    let rebuild = store.begin_filter(5000).expect("there is memory").expect("there are tiers");
    assert!(store.filter_finish_rebuild(rebuild));
    let if_absent = Conditions { if_absent: true, ..Conditions::default() };
    const KEYS: u64 = 3000;
    for number in 0..KEYS {
        assert!(tiered.set(&key_of(number), &value_of(number, 1), if_absent, 0));
    }
    let below = (0..KEYS).filter(|number| !is_in_ram(&tiered, &key_of(*number))).count();
    assert!(below > 1000, "{below} have left RAM");
    for number in 0..KEYS {
        assert!(!tiered.set(&key_of(number), b"another", if_absent, 0), "key {number} was taken for absent");
        assert_eq!(tiered.get(&key_of(number)), Some(value_of(number, 1)), "key {number}");
    }
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// Read below, then replaced or deleted, and gone from RAM again: what was read must not be published.
#[test]
fn what_was_read_before_a_change_is_not_promoted_after_it() {
    let dir = fresh_dir("stale-promotion");
    let mut tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::default());
    let key = b"key";
    let hash = tiered.owned.store().hasher().hash(0, key);
    for is_deleted in [false, true] {
        assert!(tiered.set(key, b"old", Conditions::default(), 0));
        push_out(&mut tiered, key);
        let token = tiered.owned.store().tokens().read(hash);
        let (record, record_bytes) = read_below(&mut tiered, key);
        match is_deleted {
            true => assert!(tiered.delete(key)),
            false => assert!(tiered.set(key, b"new", Conditions::default(), 0)),
        }
        push_out(&mut tiered, key);
        let store = tiered.owned.shared();
        assert_eq!(store.promote(&record, record_bytes, token, false), Ok(false));
        assert_eq!(store.promote_absence(0, key, token), Ok(false));
        assert!(!is_known(&tiered, key));
        let expected = (!is_deleted).then(|| b"new".to_vec());
        assert_eq!(tiered.get(key), expected);
    }
    // With the token of now it is.
    assert!(tiered.set(key, b"newest", Conditions::default(), 0));
    push_out(&mut tiered, key);
    let token = tiered.owned.store().tokens().read(hash);
    let (record, record_bytes) = read_below(&mut tiered, key);
    assert_eq!(tiered.owned.store().promote(&record, record_bytes, token, false), Ok(true));
    assert!(is_in_ram(&tiered, key));
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}
