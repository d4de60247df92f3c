//! Limiters against an exact log of what was admitted.

mod support;

use ramcache_core::ops::{Demand, Limit, LimitAnswer, LimitKey};
use ramcache_core::store::Store;
use support::open_store;

const KEY: LimitKey = LimitKey { namespace: 0, name: b"api", key: b"somebody" };

fn ask(store: &Store, limit: &Limit, points: u64) -> LimitAnswer {
    store.limit(&KEY, limit, Demand::Points(points)).expect("a good request")
}

/// xorshift64*, Vigna 2016.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// Points admitted after a time.
fn admitted_after(log: &[(u64, u64)], after: u64) -> u64 {
    log.iter().filter(|(at, _)| *at > after).map(|(_, points)| points).sum()
}

#[test]
fn no_window_has_more_than_the_limit_and_little_less_is_denied() {
    for seed in 1..200_u64 {
        let store = open_store(512 << 10);
        let store = store.store();
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let window_ms = [1, 7, 32, 33, 100, 1000, 10_000, 12_345][chance.below(8) as usize];
        let limit = Limit { points: 1 + chance.below(50), window_ms, warn: 0, penalty_ms: 0 };
        let part_ms = window_ms.div_ceil(32);
        let mut now = store.arena().wall_ms() + chance.below(window_ms);
        let mut log: Vec<(u64, u64)> = Vec::new();
        for _ in 0..600 {
            store.set_manual_clock(now);
            let points = 1 + chance.below(limit.points.min(3));
            let answer = ask(store, &limit, points);
            if answer.is_allowed {
                log.push((now, points));
                assert_eq!(answer.retry_after_ms, 0);
            } else {
                let counted = admitted_after(&log, now.saturating_sub(window_ms + 2 * part_ms));
                assert!(counted + points > limit.points, "seed {seed}: denied with {counted} of {limit:?}");
                // Then it is admitted, and not a millisecond before.
                store.set_manual_clock(now + answer.retry_after_ms - 1);
                assert!(!ask(store, &limit, points).is_allowed, "seed {seed}");
                now += answer.retry_after_ms;
                store.set_manual_clock(now);
                assert!(ask(store, &limit, points).is_allowed, "seed {seed}");
                log.push((now, points));
            }
            let sum = admitted_after(&log, now.saturating_sub(window_ms));
            assert!(sum <= limit.points, "seed {seed}: {sum} in a window of {limit:?}");
            now += chance.below(1 + 2 * window_ms / limit.points);
        }
        let reset = store.limit(&KEY, &limit, Demand::Points(0)).expect("a look").reset_ms;
        store.set_manual_clock(now + window_ms * 3 + reset);
        assert_eq!(ask(store, &limit, limit.points).consumed, limit.points, "seed {seed}");
    }
}

#[test]
fn it_warns_and_denies_for_as_long_as_it_is_told() {
    let store = open_store(512 << 10);
    let store = store.store();
    let start = store.arena().wall_ms();
    let limit = Limit { points: 2000, window_ms: 10_000, warn: 1750, penalty_ms: 10_000 };
    store.set_manual_clock(start);
    let warned: Vec<bool> = (0..2000).map(|_| ask(store, &limit, 1).is_warned).collect();
    assert_eq!(warned.iter().position(|is_warned| *is_warned), Some(1749));
    let denied = ask(store, &limit, 1);
    assert!(!denied.is_allowed && denied.is_warned && denied.consumed == 2000);
    assert!((10_000..=10_626).contains(&denied.retry_after_ms), "{denied:?}");
    // Denied is denied: to ask again makes it no longer.
    store.set_manual_clock(start + 9_999);
    let again = ask(store, &limit, 1);
    assert!(!again.is_allowed && again.retry_after_ms == denied.retry_after_ms - 9_999);
    store.set_manual_clock(start + denied.retry_after_ms);
    let after = ask(store, &limit, 1);
    assert!(after.is_allowed && after.consumed == 1 && !after.is_warned);
}

#[test]
fn a_penalty_counts_when_the_window_is_free_again() {
    let store = open_store(512 << 10);
    let store = store.store();
    let start = store.arena().wall_ms();
    let limit = Limit { points: 1, window_ms: 100, warn: 0, penalty_ms: 5000 };
    store.set_manual_clock(start);
    assert!(ask(store, &limit, 1).is_allowed);
    assert_eq!(ask(store, &limit, 1).retry_after_ms, 5000);
    store.set_manual_clock(start + 4999);
    assert_eq!(ask(store, &limit, 1).retry_after_ms, 1);
    store.set_manual_clock(start + 5000);
    assert!(ask(store, &limit, 1).is_allowed);
}

#[test]
fn points_are_counted_in_any_case_taken_back_and_forgotten() {
    let store = open_store(512 << 10);
    let store = store.store();
    store.set_manual_clock(store.arena().wall_ms());
    let limit = Limit { points: 3, window_ms: 1000, warn: 0, penalty_ms: 0 };
    let count = |points| store.limit(&KEY, &limit, Demand::Count(points)).expect("a good request");
    assert!(count(3).is_allowed);
    assert!(!count(2).is_allowed);
    assert_eq!(count(-4).consumed, 1);
    assert!(ask(store, &limit, 2).is_allowed);
    assert_eq!(ask(store, &limit, 0).consumed, 3);
    assert_eq!(store.reset_limit(&KEY), Ok(true));
    assert_eq!(store.reset_limit(&KEY), Ok(false));
    assert_eq!(count(-1).consumed, 0);
    // Keys, names and namespaces have nothing to do with each other.
    for key in [LimitKey { key: b"other", ..KEY }, LimitKey { name: b"apisomebody", key: b"", ..KEY }] {
        assert_eq!(store.limit(&key, &limit, Demand::Points(3)).expect("good").consumed, 3);
    }
    assert_eq!(ask(store, &limit, 0).consumed, 0);
}

#[test]
fn another_window_for_the_same_limiter_admits_no_more_than_either() {
    let store = open_store(512 << 10);
    let store = store.store();
    let start = store.arena().wall_ms();
    store.set_manual_clock(start);
    let short = Limit { points: 10, window_ms: 100, warn: 0, penalty_ms: 0 };
    let long = Limit { window_ms: 10_000, ..short };
    assert!(ask(store, &short, 10).is_allowed);
    store.set_manual_clock(start + 90);
    assert!(!ask(store, &long, 1).is_allowed);
    assert!(!ask(store, &short, 1).is_allowed);
    store.set_manual_clock(start + 20_000);
    assert!(ask(store, &long, 10).is_allowed);
    store.set_manual_clock(start + 20_090);
    assert!(!ask(store, &short, 1).is_allowed);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let store = open_store(512 << 10);
    let store = store.store();
    let good = Limit { points: 3, window_ms: 1000, warn: 0, penalty_ms: 0 };
    for (limit, points, word) in [
        (Limit { points: 0, ..good }, 1, "limit"),
        (Limit { window_ms: 0, ..good }, 1, "window"),
        (Limit { penalty_ms: u64::MAX, ..good }, 1, "penalty"),
        (good, 4, "4 points"),
    ] {
        let error = store.limit(&KEY, &limit, Demand::Points(points)).expect_err("refused");
        assert!(error.message.contains(word), "{}", error.message);
    }
    assert!(store.limit(&LimitKey { name: b"", ..KEY }, &good, Demand::Points(1)).is_err());
    assert!(store.limit(&LimitKey { key: &[0; 4030], ..KEY }, &good, Demand::Points(1)).is_err());
    assert!(store.limit(&LimitKey { key: &[0; 4029], ..KEY }, &good, Demand::Points(1)).is_ok());
}
