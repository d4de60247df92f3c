//! Single steps of what moves down and up again, each beside the change that makes it wrong.

#[path = "support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "support/tiered.rs"]
mod tiered;

use ramcache_core::below::{Answer, Draining, Evicts, Moved, Purpose, ScanSource};
use ramcache_core::ops::read::{Glimpse, Lookup, Seen};
use ramcache_core::ops::Conditions;
use std::sync::Arc;
use tiered::{fresh_dir, key_of, tag_of, value_of, Tiered};

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

/// What has gone down is dead by its tags wherever somebody meets it: a read, a scan, a drain, a sweep of the last tier.
#[test]
fn what_is_invalidated_is_dead_in_every_tier() {
    let dir = fresh_dir("invalidated");
    let mut tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::default());
    let (key, other) = (b"key", b"other");
    tiered.set_tagged(key, b"value", &tag_of(1));
    tiered.set_tagged(other, b"value", &tag_of(2));
    tiered.owned.store().await_all_logged().expect("logged");
    tiered.checkpoint(true);
    let row = |tiered: &Tiered, key: &[u8]| {
        let index = tiered.index.lock().expect("no panic");
        index.rows[&[&[0, 0], key].concat()]
    };
    let rows = [row(&tiered, key), row(&tiered, other)];
    push_out(&mut tiered, key);
    push_out(&mut tiered, other);
    let stored = read_below(&mut tiered, key).0;
    tiered.invalidate(&tag_of(1));
    let store = tiered.owned.shared();
    let scanned = rows.map(|(place, _)| store.scan_found(0, None, ScanSource::Row(place), 0).expect("read"));
    assert_eq!(scanned.map(|found| found.is_some()), [false, true]);
    assert!(store.scan_found(0, Some(key), ScanSource::Record(&stored), 0).expect("read").is_none());
    assert!(store.is_dead_below(0, rows[0].1, 0, &stored));
    assert!(!store.is_dead_below(0, rows[0].1 + 1, 0, b"no record"));
    for is_oldest in [true, false] {
        let how = Draining { is_oldest, demotes: false, evicts: Evicts::Nothing };
        let moved = store.append_copies(&rows.map(|(place, _)| place), how).expect("copied");
        assert!(matches!(moved[1], Moved::To(_)));
        assert_eq!(moved[0], Moved::Dead, "the oldest file: {is_oldest}");
    }
    assert_eq!(tiered.ask(key, Purpose::Look), Answer::Absent);
    assert!(matches!(tiered.ask(other, Purpose::Look), Answer::Found { .. }));
    // Read before it was invalidated, and brought up after that.
    let hash = store.hasher().hash(0, key);
    let record_bytes = stored.len();
    assert_eq!(store.promote(&stored, record_bytes, store.tokens().read(hash), false), Ok(true));
    assert!(!is_in_ram(&tiered, key));
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// Epochs and floors come up with the store, from the index and from the log, and what has been forgotten stays so.
#[test]
fn what_is_invalidated_stays_so_over_restarts() {
    let dir = fresh_dir("tags-restart");
    let index = Arc::default();
    let mut tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::clone(&index));
    let most = tiered.owned.store().epochs_max();
    for number in 0..4 {
        tiered.set_tagged(&key_of(number), b"value", &tag_of(number));
    }
    tiered.invalidate(&tag_of(0));
    tiered.owned.store().await_all_logged().expect("logged");
    tiered.checkpoint(true);
    tiered.invalidate(&tag_of(1));
    let alive = |tiered: &mut Tiered| (0..4).map(|number| tiered.get(&key_of(number)).is_some()).collect();
    for _ in 0..3 {
        let found: Vec<bool> = alive(&mut tiered);
        assert_eq!(found, [false, false, true, true]);
        tiered.close();
        tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::clone(&index));
    }
    for number in 0..most + most / 2 {
        tiered.invalidate(&tag_of(1000 + number));
    }
    tiered.set_tagged(&key_of(9), b"value", &tag_of(2));
    for is_in_index in [false, true] {
        tiered.owned.store().await_all_logged().expect("logged");
        tiered.checkpoint(is_in_index);
        tiered.close();
        tiered = Tiered::open(&dir, BUDGET_BYTES, Arc::clone(&index));
        let found: Vec<bool> = alive(&mut tiered);
        assert_eq!(found, [false; 4], "older than what was forgotten");
        assert!(tiered.get(&key_of(9)).is_some());
        let (entries, _) = tiered.owned.store().usage(tiered::TAGS);
        assert!(entries <= most + 1, "{entries} records for {most} tags");
    }
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}
