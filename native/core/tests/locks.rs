//! Locks: who has one, who is next, what outlives an owner.

mod support;

use ramcache_core::locks::{Attempt, KEY_BYTES_MAX};
use ramcache_core::store::Store;
use std::sync::mpsc::{channel, Receiver};
use support::{open_store, TestStore};

/// A holder, and what it is told: tickets and tokens.
fn join(store: &Store, pid: u32, is_owner: bool) -> (u64, Receiver<(u64, u64)>) {
    let (sender, receiver) = channel();
    let sender = std::sync::Mutex::new(sender);
    let tell = move |ticket, token| sender.lock().expect("no panic").send((ticket, token)).expect("read");
    (store.join_locks(pid, is_owner, Box::new(tell)), receiver)
}

fn token(attempt: Attempt) -> u64 {
    match attempt {
        Attempt::Locked(token) => token,
        other => panic!("not locked: {other:?}"),
    }
}

fn is_held_by(attempt: Attempt, wanted: u32) -> bool {
    matches!(attempt, Attempt::Held { pid, .. } if pid == wanted)
}

#[test]
fn one_has_it_and_the_others_stand_in_line() {
    let store = open_store(1 << 20);
    let store = store.store();
    let (one, _) = join(store, 1, false);
    let (two, told_two) = join(store, 2, false);
    let (three, told_three) = join(store, 3, false);
    let lock = |holder, ticket| store.lock_key(holder, 0, b"k", 60_000, ticket).expect("no error");
    let first = token(lock(one, None));
    assert!(is_held_by(lock(one, None), 1), "it is not counted");
    assert!(matches!(lock(two, Some(7)), Attempt::Queued { pid: 1, left_ms } if left_ms <= 60_000));
    assert!(matches!(lock(three, Some(7)), Attempt::Queued { .. }));
    assert!(matches!(lock(two, Some(7)), Attempt::Queued { .. }), "it keeps its place");
    assert!(token(store.lock_key(three, 1, b"k", 1000, None).expect("of another namespace")) > first);
    assert_eq!(store.unlock_key(0, b"k", first + 1), Ok(false));
    assert_eq!(store.unlock_key(0, b"k", first), Ok(true));
    let (ticket, second) = told_two.try_recv().expect("told at once");
    assert!(ticket == 7 && second > first);
    assert_eq!(token(lock(two, Some(7))), second, "who asks again has it");
    assert!(is_held_by(lock(one, None), 2));
    store.leave_locks(two, true);
    let (_, third) = told_three.try_recv().expect("told at the end of the holder before");
    assert!(third > second);
    assert!(!store.cancel_lock(three, 7));
    assert_eq!(store.unlock_key(0, b"k", second), Ok(false));
    assert_eq!(store.unlock_key(0, b"k", third), Ok(true));
}

#[test]
fn who_leaves_the_line_is_passed_over() {
    let store = open_store(1 << 20);
    let store = store.store();
    let (one, _) = join(store, 1, false);
    let (two, told_two) = join(store, 2, false);
    let (three, told_three) = join(store, 3, false);
    let lock = |holder, ticket| store.lock_key(holder, 0, b"k", 60_000, ticket).expect("no error");
    let first = token(lock(one, None));
    lock(two, Some(1));
    lock(two, Some(2));
    lock(three, Some(1));
    assert!(store.cancel_lock(two, 1));
    assert!(!store.cancel_lock(two, 1));
    store.leave_locks(two, true);
    store.unlock_key(0, b"k", first).expect("no error");
    assert!(told_two.try_recv().is_err());
    assert!(told_three.try_recv().is_ok());
}

#[test]
fn what_expires_goes_to_the_next_and_a_token_only_grows() {
    let store = open_store(1 << 20);
    let store = store.store();
    let start = store.arena().wall_ms();
    let (one, _) = join(store, 1, false);
    let (two, told) = join(store, 2, false);
    let mut last = 0;
    for round in 1..50 {
        let at = |ms| store.set_manual_clock(start + round * 1000 + ms);
        at(0);
        let held = token(store.lock_key(one, 0, b"k", 100, None).expect("no error"));
        assert!(held > last);
        assert!(store.renew_lock(one, 0, b"k", held, 200).expect("no error"));
        store.lock_key(two, 0, b"k", 100, Some(round)).expect("no error");
        at(199);
        assert!(is_held_by(store.lock_key(one, 0, b"k", 100, None).expect("no error"), 1));
        at(200);
        assert_eq!(store.renew_lock(one, 0, b"k", held, 100), Ok(false));
        assert!(told.try_recv().is_err(), "nobody has looked yet");
        assert!(is_held_by(store.lock_key(one, 0, b"k", 100, None).expect("no error"), 2));
        let (ticket, token) = told.try_recv().expect("given by who looked");
        assert!(ticket == round && token > held);
        assert_eq!(store.unlock_key(0, b"k", held), Ok(false));
        assert_eq!(store.unlock_key(0, b"k", token), Ok(true));
        last = token;
    }
}

#[test]
fn locks_are_pinned_and_limited_like_all_that_is() {
    let store: TestStore = open_store(1 << 20);
    let (one, _) = join(store.store(), 1, false);
    let mut taken = Vec::new();
    let full = loop {
        let key = format!("lock {}", taken.len());
        match store.store().lock_key(one, 0, key.as_bytes(), 60_000, None) {
            Ok(attempt) => taken.push((key, token(attempt))),
            Err(error) => break error,
        }
    };
    assert_eq!(full.code.name(), "ERR_RAMCACHE_FULL");
    assert!(full.message.contains("half of the memory"), "{}", full.message);
    for number in 0..4000 {
        store.set(format!("filler {number}").as_bytes(), &[1; 900]);
    }
    for (key, token) in &taken {
        assert_eq!(store.store().unlock_key(0, key.as_bytes(), *token), Ok(true), "{key}");
    }
    for number in 0..4000 {
        store.set(format!("filler {number}").as_bytes(), &[2; 900]);
    }
    token(store.store().lock_key(one, 0, b"again", 60_000, None).expect("room for it"));
}

#[test]
fn keys_have_their_limit_and_holders_their_end() {
    let store = open_store(1 << 20);
    let store = store.store();
    let (one, _) = join(store, 1, false);
    for bytes in [0, KEY_BYTES_MAX + 1] {
        let refused = store.lock_key(one, 0, &vec![b'k'; bytes], 1000, None).expect_err("a bad key");
        assert_eq!(refused.code.name(), "ERR_RAMCACHE_KEY");
    }
    let key = vec![b'k'; KEY_BYTES_MAX];
    token(store.lock_key(one, 0, &key, 1000, None).expect("the longest"));
    store.leave_locks(one, true);
    assert_eq!(
        store.lock_key(one, 0, &key, 1000, None).expect_err("it has left").code.name(),
        "ERR_RAMCACHE_CLOSED"
    );
    let (two, _) = join(store, 2, false);
    token(store.lock_key(two, 0, &key, 1000, None).expect("let go"));
    store.leave_locks(two, false);
    let (three, _) = join(store, 3, false);
    assert!(is_held_by(store.lock_key(three, 0, &key, 1000, None).expect("no error"), 2));
}
