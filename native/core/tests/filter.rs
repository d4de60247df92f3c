//! The absent filter: whatever is added, rebuilt, abandoned or written into its word, no key that was added is ever said
//! to be absent, by the owner's mapping or by an attached one.

mod support;

use ramcache_core::error::Code;
use ramcache_core::layout::superblock;
use ramcache_core::open::{attach, Attached};
use ramcache_core::store::{Counting, StoreOptions};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{announced, open_store, open_with, seed, Random, TestStore};

const BUDGET: usize = 4 << 20;

fn attached(store: &TestStore) -> Attached {
    let (data, touch) = announced(&store.dir);
    attach(&data, &touch).expect("the owner's files can be attached")
}

/// Percent of keys nobody has added that may be below all the same.
fn false_percent(reader: &Attached, random: &mut Random) -> f64 {
    const ASKED: u32 = 200_000;
    let wrong = (0..ASKED).filter(|_| reader.arena().may_be_below(random.next())).count();
    wrong as f64 * 100.0 / ASKED as f64
}

/// A rebuild from nothing for a filter of its own size.
fn load(store: &TestStore, keys: u64) {
    let rebuild = store.store().filter_begin_rebuild(keys).expect("room for a filter");
    assert!(store.store().filter_finish_rebuild(rebuild));
}

struct Below<'a> {
    store: &'a TestStore,
    reader: Attached,
    keys: Vec<u64>,
    random: Random,
}

impl Below<'_> {
    fn add(&mut self, count: u64) {
        for _ in 0..self.random.below(count) + 1 {
            let is_old = !self.keys.is_empty() && self.random.below(4) == 0;
            let hash = match is_old {
                true => self.keys[self.random.below(self.keys.len() as u64) as usize],
                false => self.random.next(),
            };
            self.store.store().filter_add(hash);
            if !is_old {
                self.keys.push(hash);
            }
        }
    }

    /// A scan with moves beside it: finished, abandoned, or dropped by another one. Whether it was finished.
    fn rebuild(&mut self) -> bool {
        let store = self.store.store();
        let rebuild = store.filter_begin_rebuild(self.keys.len() as u64).expect("room for a filter");
        let ending = self.random.below(6);
        let scanned = self.keys.clone();
        for part in scanned.chunks(97) {
            part.iter().for_each(|hash| store.filter_add_to_next(*hash));
            self.add(9);
            self.ask(9);
            if ending == 0 {
                store.filter_abandon_rebuild(rebuild);
                assert!(!store.filter_finish_rebuild(rebuild), "it was abandoned");
                return false;
            }
        }
        if ending == 1 {
            let later = store.filter_begin_rebuild(1000).expect("room for a filter");
            assert!(!store.filter_finish_rebuild(rebuild), "a later one has begun");
            store.filter_abandon_rebuild(later);
            return false;
        }
        assert!(store.filter_finish_rebuild(rebuild));
        true
    }

    fn ask(&mut self, count: u64) {
        for _ in 0..count.min(self.keys.len() as u64) {
            let hash = self.keys[self.random.below(self.keys.len() as u64) as usize];
            assert!(self.store.store().arena().may_be_below(hash), "{hash:x} was added");
            assert!(
                self.reader.arena().may_be_below(hash),
                "{hash:x} was added, and an attached reader misses it"
            );
        }
    }
}

#[test]
fn no_key_that_was_added_is_ever_absent() {
    let store = open_store(BUDGET);
    let mut random = Random(seed());
    for _ in 0..8 {
        let mut below = Below {
            store: &store,
            reader: attached(&store),
            keys: Vec::new(),
            random: Random(random.next()),
        };
        // The keys of the round before are none of ours.
        store.store().filter_forget();
        for _ in 0..24 {
            match below.random.below(4) {
                0 => drop(below.rebuild()),
                1 => below.ask(500),
                _ => below.add(2000),
            }
        }
        while !below.rebuild() {}
        for hash in &below.keys {
            assert!(below.reader.arena().may_be_below(*hash), "{hash:x} was added");
        }
        let percent = false_percent(&below.reader, &mut random);
        println!("{} keys, {percent:.2} % false", below.keys.len());
        assert!(percent < 3.0, "{percent} % false");
    }
}

#[test]
fn hardly_one_key_in_a_hundred_is_said_to_be_there_for_nothing() {
    let store = open_store(BUDGET);
    let reader = attached(&store);
    let mut random = Random(seed());
    load(&store, 30_000);
    assert_eq!(false_percent(&reader, &mut random), 0.0, "an empty filter knows nothing");
    let mut added = 0;
    while !store.store().filter_is_crowded() {
        store.store().filter_add(random.next());
        added += 1;
    }
    let percent = false_percent(&reader, &mut random);
    println!("{added} keys, {percent:.2} % false");
    assert!(added >= 60_000, "there is room for twice the keys, and it was crowded with {added}");
    assert!((0.3..1.5).contains(&percent), "{percent} % false at the design load");
}

#[test]
fn keys_that_move_down_again_do_not_crowd_the_filter() {
    let store = open_store(BUDGET);
    load(&store, 1000);
    for _ in 0..100 {
        let mut random = Random(1);
        (0..1000).for_each(|_| store.store().filter_add(random.next()));
    }
    assert!(!store.store().filter_is_crowded());
}

#[test]
fn without_a_filter_everything_may_be_below() {
    let store = open_store(BUDGET);
    let reader = attached(&store);
    assert!((0..1000).all(|hash| reader.arena().may_be_below(hash << 32)), "never loaded");
    assert!(!store.store().filter_finish_rebuild(0), "nothing was begun");
    let rebuild = store.store().filter_begin_rebuild(1000).expect("room");
    assert!((0..1000).all(|hash| reader.arena().may_be_below(hash << 32)), "not loaded yet");
    assert!(store.store().filter_finish_rebuild(rebuild));
    assert!(!reader.arena().may_be_below(1 << 32));
    let rebuild = store.store().filter_begin_rebuild(1000).expect("room");
    store.store().filter_forget();
    assert!((0..1000).all(|hash| reader.arena().may_be_below(hash << 32)), "forgotten");
    assert!(!store.store().filter_finish_rebuild(rebuild), "the rebuild with it");
    assert!(!store.store().filter_is_crowded());
}

#[test]
fn a_filter_stays_within_its_share_of_the_budget() {
    let store = open_store(512 << 10);
    let error = store.store().filter_begin_rebuild(200_000).expect_err("two bits of three would be missing");
    assert_eq!(error.code, Code::Full);
    assert_eq!(store.store().filter_begin_rebuild(u64::MAX).expect_err("more than all").code, Code::Full);
    let before = store.store().table_bytes();
    store.store().filter_begin_rebuild(80_000).expect("without room for more, but for all of them");
    assert_eq!(store.store().table_bytes() - before, 128 << 10);
}

/// What is in the word decides where readers look. It is of nobody's making that they trust.
#[test]
fn impossible_words_say_maybe() {
    let store = open_store(512 << 10);
    let reader = attached(&store);
    load(&store, 1000);
    let mut random = Random(seed());
    let word = store.store().arena().superblock(superblock::FILTER);
    let right = word.load(Ordering::Relaxed);
    let blocks_log2_max = store.store().arena().filter_blocks_log2_max() as u64;
    for wrong in [
        right | 1 << 41,
        right | 1 << 63,
        right & !0xffff_ffff,
        right & !(0xff << 32) | (blocks_log2_max + 1) << 32,
        right | 0xff << 32,
        u64::MAX,
        0,
    ] {
        word.store(wrong, Ordering::Relaxed);
        assert!((0..1000).all(|_| reader.arena().may_be_below(random.next())), "{wrong:x} was believed");
    }
    // Any other leads into the mapping, which checked builds assert.
    for _ in 0..20_000 {
        word.store(right ^ 1 << random.below(64) ^ 1 << random.below(64), Ordering::Relaxed);
        reader.arena().may_be_below(random.next());
    }
    word.store(right, Ordering::Relaxed);
    assert!(!reader.arena().may_be_below(random.next()));
}

#[test]
fn the_old_copy_gives_its_memory_back() {
    let options = StoreOptions { budget_bytes: BUDGET, counting: Counting::Everything, background: true };
    let store = open_with(options);
    // The index grows in steps of its own: what counts is what the filter adds.
    load(&store, 40_000);
    let with_one = store.store().table_bytes();
    load(&store, 40_000);
    assert_eq!(store.store().table_bytes() - with_one, 128 << 10, "two copies");
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.store().table_bytes() > with_one {
        assert!(Instant::now() < deadline, "the old copy is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    store.store().filter_add(7);
    assert!(attached(&store).arena().may_be_below(7), "the current one is untouched");
}

/// Two movers, a rebuild after another, and readers that know what has been added.
#[test]
fn movers_rebuilds_and_readers_at_once() {
    const KEYS: u64 = 30_000;
    let store = open_store(BUDGET);
    let start = Random(seed()).next();
    let key = |mover: u64, number: u64| Random(start ^ mover << 40 ^ number).next();
    let added = [AtomicU64::new(0), AtomicU64::new(0)];
    let moving = std::sync::RwLock::new(());
    let is_done = AtomicBool::new(false);
    let mut rebuilds = 0;
    load(&store, 2 * KEYS);
    std::thread::scope(|scope| {
        let movers = [0, 1].map(|mover| {
            let (store, added, moving) = (store.store(), &added, &moving);
            scope.spawn(move || {
                for number in 0..KEYS {
                    // Held over add and commit, so that no rebuild begins inside.
                    let _moving = moving.read().expect("nobody panics");
                    store.filter_add(key(mover, number));
                    added[mover as usize].store(number + 1, Ordering::Release);
                }
            })
        });
        scope.spawn(|| {
            let reader = attached(&store);
            let mut random = Random(start);
            while !is_done.load(Ordering::Relaxed) {
                let mover = random.below(2);
                let known = added[mover as usize].load(Ordering::Acquire);
                if known > 0 {
                    let hash = key(mover, random.below(known));
                    assert!(reader.arena().may_be_below(hash), "{hash:x} was added");
                }
            }
        });
        while rebuilds < 20 || !movers.iter().all(|mover| mover.is_finished()) {
            let rebuild = {
                let _begin = moving.write().expect("nobody panics");
                store.store().filter_begin_rebuild(2 * KEYS).expect("room")
            };
            for mover in 0..2 {
                for number in 0..added[mover as usize].load(Ordering::Acquire) {
                    store.store().filter_add_to_next(key(mover, number));
                }
            }
            assert!(store.store().filter_finish_rebuild(rebuild));
            rebuilds += 1;
        }
        is_done.store(true, Ordering::Relaxed);
    });
    println!("{rebuilds} rebuilds");
}
