//! What leaves RAM is found again: a store with a log below it, whose index below is a map in this test.

#[path = "support/mod.rs"]
mod support;
#[path = "support/tiered.rs"]
mod tiered;

use ramcache_core::below::{Answer, Evicts, Purpose};
use ramcache_core::log::{store_id_of, LogOptions, Position, TailIndex, ValueLog};
use ramcache_core::ops::{Conditions, Number};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use support::Random;
use tiered::{fresh_dir, key_of, tag_of, value_of, Index, Lower, Tiered};

#[test]
fn ten_times_the_budget_is_all_there_also_after_a_restart() {
    let dir = fresh_dir("ten-times");
    let index = Arc::new(Mutex::new(Index::default()));
    const KEYS: u64 = 10_000;
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    for number in 0..KEYS {
        assert!(tiered.set(&key_of(number), &value_of(number, 1), Conditions::default(), 0));
        if number % 3000 == 2999 {
            tiered.checkpoint(number % 2 == 0);
        }
    }
    let check = |tiered: &mut Tiered| {
        for number in (0..KEYS).rev() {
            assert_eq!(tiered.get(&key_of(number)), Some(value_of(number, 1)), "key {number}");
        }
        assert_eq!(tiered.get(b"never"), None);
    };
    check(&mut tiered);
    tiered.owned.store().check().expect("the arena is whole");
    tiered.close();
    // Without any checkpoint since, the log has the rest.
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    check(&mut tiered);
    tiered.close();
    // And from nothing but the log.
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::default());
    check(&mut tiered);
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// Random operations beside a map, over restarts and checkpoints, in a budget that holds a tenth of the keys.
#[test]
fn a_tiered_store_answers_as_a_map_does() {
    as_a_map_does("model", None);
}

/// The same with a third tier: files of the log are demoted into it, cut off at every step.
#[test]
fn a_store_of_three_tiers_answers_as_a_map_does() {
    let lower = as_a_map_does("three", Some(Lower::new()));
    assert!(lower.expect("given").len() > 100, "the third tier was used");
}

fn as_a_map_does(name: &str, lower: Option<Lower>) -> Option<Lower> {
    let seed = support::seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let dir = fresh_dir(name);
    let index = Arc::new(Mutex::new(Index { lower, ..Index::default() }));
    let mut model: HashMap<u64, Vec<u8>> = HashMap::new();
    // Of those in the model that have one.
    let mut tags: HashMap<u64, u64> = HashMap::new();
    let mut invalidated = 0;
    const KEYS: u64 = 5000;
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    // Ahead of the clock that a store is made with.
    let mut now_ms = ramcache_core::clock::wall_ms() + 3_600_000;
    tiered.owned.store().set_manual_clock(now_ms);
    for step in 0..60_000u64 {
        let number = random.below(KEYS);
        let key = key_of(number);
        match random.below(100) {
            0..40 => assert_eq!(tiered.get(&key), model.get(&number).cloned(), "step {step} key {number}"),
            40..65 => {
                let value = match random.below(200) {
                    0 => vec![step as u8; 20_000],
                    _ => value_of(number, step),
                };
                match random.below(3) {
                    0 => {
                        let tag = random.below(60);
                        tiered.set_tagged(&key, &value, &[tag_of(1000 + tag / 2), tag_of(tag)].concat());
                        tags.insert(number, tag);
                    }
                    _ => {
                        assert!(tiered.set(&key, &value, Conditions::default(), 0));
                        tags.remove(&number);
                    }
                }
                model.insert(number, value);
            }
            65..75 => {
                let value = value_of(number, step);
                let conditions = Conditions { if_absent: true, ..Conditions::default() };
                let written = tiered.set(&key, &value, conditions, 0);
                assert_eq!(written, !model.contains_key(&number), "step {step} key {number}");
                if written {
                    tags.remove(&number);
                }
                model.entry(number).or_insert(value);
            }
            75..88 => {
                assert_eq!(tiered.delete(&key), model.remove(&number).is_some(), "step {step} key {number}")
            }
            88..92 => {
                let was_there = model.contains_key(&number);
                assert_eq!(tiered.touch(&key, 1 << 40), was_there, "step {step} key {number}");
            }
            92..94 => {
                // Born dead below, if it ever gets there; or what is there dies by its newest expiry alone.
                match random.below(2) {
                    0 => assert!(tiered.set(&key, b"short-lived", Conditions::default(), 1)),
                    _ => assert_eq!(tiered.touch(&key, 1), model.contains_key(&number), "step {step}"),
                }
                now_ms += 2;
                tiered.owned.store().set_manual_clock(now_ms);
                model.remove(&number);
            }
            94..98 => {
                let (name, count) = (format!("count:{}", number % 50), number % 50 + 1_000_000);
                let old = model.get(&count).map_or(0.0, |bytes| {
                    f64::from_le_bytes(bytes.as_slice().try_into().expect("eight bytes"))
                });
                assert_eq!(tiered.increment(name.as_bytes()), Number::Is(old + 1.0), "step {step}");
                model.insert(count, (old + 1.0).to_le_bytes().to_vec());
            }
            98 if random.below(3) == 0 => {
                let tag = random.below(60);
                let is_wide = random.below(2) == 0;
                tiered.invalidate(&if is_wide { tag_of(1000 + tag / 2) } else { tag_of(tag) });
                let before = model.len();
                model.retain(|number, _| match tags.get(number) {
                    Some(of) if is_wide => of / 2 != tag / 2,
                    Some(of) => *of != tag,
                    None => true,
                });
                invalidated += before - model.len();
            }
            98 => {
                let (is_committed, is_beside) = (random.below(4) != 0, random.below(2) == 0);
                let (choice, steps) = (random.below(1000) as usize, random.below(6) as u32);
                let drain = |tiered: &mut Tiered| {
                    let files = tiered.drainable();
                    if !files.is_empty() {
                        // The oldest half of the time.
                        let choice = choice % (2 * files.len());
                        tiered.drain(files[choice.saturating_sub(files.len())], steps);
                    }
                };
                match is_beside {
                    true => tiered.checkpoint_with(is_committed, drain),
                    false => {
                        tiered.checkpoint(is_committed);
                        drain(&mut tiered);
                    }
                }
                if random.below(4) == 0 {
                    tiered.bury(random.below(2) == 0);
                }
            }
            _ if random.below(20) == 0 => {
                tiered.close();
                if random.below(4) == 0 {
                    // Lost: what was drained away must not come back out of the files that are left.
                    let mut index = index.lock().expect("no panic");
                    let lower = index.lower.take();
                    *index = Index { lower, ..Index::default() };
                }
                tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
                tiered.owned.store().set_manual_clock(now_ms);
            }
            _ if random.below(40) == 0 => {
                tiered.owned.store().clear(0).expect("cleared");
                model.clear();
            }
            _ => {}
        }
    }
    for number in 0..KEYS {
        assert_eq!(tiered.get(&key_of(number)), model.get(&number).cloned(), "at the end, key {number}");
    }
    tiered.owned.store().check().expect("the arena is whole");
    assert!(invalidated > 1000, "{invalidated} were invalidated");
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
    let mut index = index.lock().expect("no panic");
    index.lower.take()
}

#[test]
fn a_read_whose_file_was_drained_asks_the_index_again() {
    let dir = fresh_dir("gone");
    let index = Arc::new(Mutex::new(Index::default()));
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    for number in 0..3000 {
        assert!(tiered.set(&key_of(number), &value_of(number, 1), Conditions::default(), 0));
    }
    tiered.close();
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    tiered.checkpoint(true);
    let key = [&[0, 0], key_of(0).as_slice()].concat();
    let row = || index.lock().expect("no panic").rows[&key];
    let stale = row();
    for file in tiered.drainable() {
        tiered.drain(file, 3);
    }
    let moved = row();
    assert_ne!(stale.0.file, moved.0.file);
    index.lock().expect("no panic").stale = Some(stale.0);
    assert!(matches!(tiered.ask(&key_of(0), Purpose::Read), Answer::Found { .. }));
    assert_eq!(index.lock().expect("no panic").stale, None);
    for number in 0..3000 {
        assert_eq!(tiered.get(&key_of(number)), Some(value_of(number, 1)), "key {number}");
    }
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// Where the last tier is full and drops what is coldest, a key has the value it was given last, or none.
#[test]
fn what_is_dropped_for_want_of_room_is_a_miss_and_nothing_older() {
    for (name, lower) in [("drops", None), ("drops-three", Some(Lower::new()))] {
        drops(name, lower);
    }
}

fn drops(name: &str, lower: Option<Lower>) {
    let seed = support::seed();
    println!("{name}: seed {seed}");
    let mut random = Random(seed);
    let dir = fresh_dir(name);
    let index = Arc::new(Mutex::new(Index { lower, ..Index::default() }));
    let mut model: HashMap<u64, Vec<u8>> = HashMap::new();
    const KEYS: u64 = 3000;
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    tiered.owned.store().set_may_drop(0, true);
    let (mut found, mut missed, mut evicted) = (0, 0, 0);
    for step in 0..25_000u64 {
        let number = random.below(KEYS);
        let key = key_of(number);
        match random.below(100) {
            0..45 => match (tiered.get(&key), model.get(&number)) {
                (Some(value), known) => {
                    assert_eq!(Some(&value), known, "step {step} key {number}");
                    found += 1;
                }
                (None, Some(_)) => missed += 1,
                (None, None) => {}
            },
            45..80 => {
                let value = value_of(number, step);
                assert!(tiered.set(&key, &value, Conditions::default(), 0));
                model.insert(number, value);
            }
            80..93 => {
                tiered.delete(&key);
                model.remove(&number);
            }
            93..98 => {
                tiered.checkpoint(random.below(4) != 0);
                // To the oldest file, or to another one, which drops nothing.
                let files = tiered.drainable();
                let choice = random.below(2) as usize * random.below(files.len() as u64 + 1) as usize;
                tiered.evicts = [Evicts::Coldest, Evicts::Coldest, Evicts::All][random.below(3) as usize];
                if let Some(file) = files.get(choice) {
                    tiered.drain(*file, random.below(6) as u32);
                }
            }
            98 => tiered.bury(random.below(2) == 0),
            _ if random.below(20) == 0 => {
                evicted += tiered.evicted;
                tiered.close();
                if random.below(3) == 0 {
                    let mut index = index.lock().expect("no panic");
                    let lower = index.lower.take();
                    *index = Index { lower, ..Index::default() };
                }
                tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
                tiered.owned.store().set_may_drop(0, true);
            }
            _ => {}
        }
    }
    evicted += tiered.evicted;
    println!("{name}: found {found}, missed {missed}, evicted {evicted}");
    assert!(evicted > 1000 && found > 500 && missed > 100);
    tiered.owned.store().check().expect("the arena is whole");
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// A drain that drops spares what is read and what RAM has, but never more than half of what it meets.
#[test]
fn what_is_warm_is_dropped_last() {
    let dir = fresh_dir("warm");
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::default());
    tiered.owned.store().set_may_drop(0, true);
    const KEYS: u64 = 6000;
    for number in 0..KEYS {
        assert!(tiered.set(&key_of(number), &value_of(number, 1), Conditions::default(), 0));
    }
    tiered.checkpoint(true);
    let in_oldest: Vec<u64> = {
        let index = tiered.index.lock().expect("no panic");
        let oldest = index.rows.values().map(|row| row.0.file).min().expect("there are files");
        let is_there = |number: &u64| {
            let row = index.rows.get(&[&[0, 0], key_of(*number).as_slice()].concat());
            row.is_some_and(|row| row.0.file == oldest)
        };
        (0..KEYS).filter(is_there).collect()
    };
    assert!(in_oldest.len() > 100, "{} keys in the oldest file", in_oldest.len());
    let warm: Vec<u64> = in_oldest.iter().copied().filter(|number| number % 5 == 0).collect();
    for number in &warm {
        assert!(tiered.get(&key_of(*number)).is_some());
    }
    tiered.evicts = Evicts::Coldest;
    let oldest = tiered.drainable()[0];
    tiered.drain(oldest, 5);
    let left: Vec<u64> =
        in_oldest.iter().copied().filter(|number| tiered.get(&key_of(*number)).is_some()).collect();
    assert!(tiered.evicted as usize >= in_oldest.len() / 2);
    let spared = warm.iter().filter(|number| left.contains(number)).count();
    // Where many of them lie together some go.
    assert!(spared * 4 >= warm.len() * 3, "{spared} of {} warm ones", warm.len());
    assert!(left.len() < in_oldest.len() / 2 + 1, "{} of {}", left.len(), in_oldest.len());
    // What a namespace does not let go of is copied, whatever there is.
    tiered.owned.store().set_may_drop(0, false);
    tiered.evicts = Evicts::All;
    let (before, oldest) = (tiered.evicted, tiered.drainable()[0]);
    tiered.drain(oldest, 5);
    assert_eq!(tiered.evicted, before);
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// What a clean end has saved is what reading the log would give: the same answers, and nothing is read.
#[test]
fn a_start_after_a_clean_end_reads_no_log() {
    let dir = fresh_dir("saved");
    let index = Arc::new(Mutex::new(Index::default()));
    const KEYS: u64 = 3000;
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    for number in 0..KEYS {
        assert!(tiered.set(&key_of(number), &value_of(number, 1), Conditions::default(), 0));
        if number == 1000 {
            tiered.checkpoint(true);
        }
    }
    // Under way at the end: its index thread has died.
    drop(tiered.owned.store().begin_checkpoint(true).expect("the log syncs"));
    for number in (0..KEYS).step_by(10) {
        assert!(tiered.delete(&key_of(number)));
        assert!(tiered.touch(&key_of(number + 1), 3_600_000));
    }
    let check = |tiered: &mut Tiered| {
        for number in (0..KEYS).rev() {
            let expected = (number % 10 != 0).then(|| value_of(number, 1));
            assert_eq!(tiered.get(&key_of(number)), expected, "key {number}");
        }
    };
    tiered.close();
    let saved = std::fs::read(dir.join("ssd/tail")).expect("saved");
    for is_written in [false, true] {
        let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
        assert_eq!(tiered.replayed, 0, "batches of the log were read");
        assert!(!dir.join("ssd/tail").exists(), "it belongs to no later end");
        check(&mut tiered);
        if is_written {
            assert!(tiered.set(b"later", b"1", Conditions::default(), 0));
            assert!(tiered.delete(&key_of(1)));
        }
        tiered.close();
    }
    // One that is left of an earlier end, although the log has gone on.
    std::fs::write(dir.join("ssd/tail"), &saved).expect("written");
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    assert!(tiered.replayed > 0, "the log was not read");
    assert_eq!(tiered.get(b"later"), Some(b"1".to_vec()));
    assert_eq!(tiered.get(&key_of(1)), None);
    // One of an index that has got further.
    tiered.checkpoint(true);
    tiered.close();
    std::fs::write(dir.join("ssd/tail"), &saved).expect("written");
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    assert_eq!(tiered.get(b"later"), Some(b"1".to_vec()));
    assert_eq!(tiered.get(&key_of(2)), Some(value_of(2, 1)));
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}

/// Cut anywhere, with any byte changed: the log is read, and the answers are the same.
#[test]
fn what_was_saved_and_is_damaged_counts_as_nothing() {
    let dir = fresh_dir("saved-damaged");
    let index = Arc::new(Mutex::new(Index::default()));
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
    for number in 0..20 {
        assert!(tiered.set(&key_of(number), b"value", Conditions::default(), 0));
    }
    tiered.close();
    let path = dir.join("ssd/tail");
    let mut random = Random(support::seed());
    println!("seed {}", random.0);
    for round in 0..60 {
        let mut saved = std::fs::read(&path).expect("saved");
        let at = random.below(saved.len() as u64) as usize;
        match round % 3 {
            0 => saved.truncate(at),
            1 => saved[at] ^= 1 << random.below(8),
            // The head is where what it is of is written.
            _ => saved[at % 96] ^= 1 << random.below(8),
        }
        std::fs::write(&path, &saved).expect("written");
        let mut tiered = Tiered::open(&dir, 1 << 20, Arc::clone(&index));
        assert!(tiered.replayed > 0, "byte {at}");
        for number in 0..20 {
            assert_eq!(tiered.get(&key_of(number)), Some(b"value".to_vec()), "key {number}, byte {at}");
        }
        tiered.close();
    }
    let _ = std::fs::remove_dir_all(&dir);
}

/// What stands at the end of the log decides whether it ends where it did.
#[test]
fn what_was_saved_of_another_end_of_the_log_counts_as_nothing() {
    let dir = fresh_dir("saved-end");
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::default());
    assert!(tiered.set(b"key", b"value", Conditions::default(), 0));
    tiered.close();
    let (ssd, log) = (dir.join("ssd"), dir.join("ssd/log/00000001.log"));
    let saved = std::fs::read(ssd.join("tail")).expect("saved");
    let whole = std::fs::read(&log).expect("the log");
    let end = u32::from_le_bytes(saved[44..48].try_into().expect("four")) as usize;
    let seed = u64::from_le_bytes(saved[24..32].try_into().expect("eight"));
    let is_taken = |bytes: &[u8], seed: u64, from: Position| {
        std::fs::write(ssd.join("tail"), &saved).expect("written");
        std::fs::write(&log, bytes).expect("written");
        let store_id = store_id_of(&ssd.join("log")).expect("read").expect("a log");
        let options = LogOptions { reserve_bytes: 0, ..LogOptions::new(store_id) };
        let value_log = ValueLog::open(&ssd.join("log"), options).expect("opens");
        let tail = TailIndex::new(seed, from);
        let is_taken = tail.load(&ssd, &value_log, seed).expect("no failure").is_some();
        assert_eq!(tail.keys(), is_taken as usize);
        is_taken
    };
    assert!(is_taken(&whole, seed, Position::START));
    assert!(is_taken(&whole[..end], seed, Position::START), "what was never written may be cut off");
    assert!(!is_taken(&whole, seed + 1, Position::START), "hashes of another seed");
    assert!(
        !is_taken(&whole, seed, Position { file: 1, offset: end as u32 }),
        "an index that has got further"
    );
    assert!(!is_taken(&whole[..end - 8], seed, Position::START), "the last batch is cut");
    for at in [end - 30, end, end + 63] {
        let mut other = whole.clone();
        other[at] ^= 1;
        assert!(!is_taken(&other, seed, Position::START), "byte {at}, the end is {end}");
    }
    std::fs::copy(&log, ssd.join("log/00000002.log")).expect("another file");
    assert!(!is_taken(&whole, seed, Position::START), "a later file");
    let _ = std::fs::remove_dir_all(&dir);
}
