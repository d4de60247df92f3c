//! Random operations against a map that knows expiry, clears and what eviction may take.

mod support;

use ramcache_core::ops::{Conditions, Number, Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use std::collections::HashMap;
use support::{open_store, Random, TestStore};

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    value: Vec<u8>,
    value_type: u8,
    /// 0 = never.
    expires_at: u64,
    clock: u64,
    /// Numbers of its tags.
    tags: Vec<u64>,
}

fn encoded(tags: &[u64]) -> Vec<u8> {
    let tag = |number: &u64| format!("tag {number}").into_bytes();
    tags.iter().map(tag).flat_map(|tag| [vec![tag.len() as u8], tag].concat()).collect()
}

/// Few, so that each has many entries.
const TAGS: u64 = 40;

struct Model {
    store: TestStore,
    random: Random,
    now: u64,
    entries: HashMap<(u32, Vec<u8>), Expected>,
    buffer: RecordBuffer,
    may_evict: bool,
    evicted_seen: u64,
    value_bytes_max: u64,
    keys: u64,
    reads: u64,
    hits: u64,
    invalidated: usize,
}

impl Model {
    fn new(seed: u64, budget: usize, keys: u64, value_bytes_max: u64, may_evict: bool) -> Model {
        let store = open_store(budget);
        let now = 4_000_000_000_000;
        store.store().set_manual_clock(now);
        for name in ["a", "b"] {
            store.store().namespace(name).expect("room for a namespace");
        }
        Model {
            store,
            random: Random(seed),
            now,
            entries: HashMap::new(),
            buffer: RecordBuffer::default(),
            may_evict,
            evicted_seen: 0,
            value_bytes_max,
            keys,
            reads: 0,
            hits: 0,
            invalidated: 0,
        }
    }

    fn key(&mut self) -> (u32, Vec<u8>) {
        let namespace = self.random.below(3) as u32;
        let number = self.random.below(self.keys);
        let mut key = format!("key:{number}").into_bytes();
        if number.is_multiple_of(97) {
            key.resize(300, b'x');
        }
        (namespace, key)
    }

    fn live(&self, key: &(u32, Vec<u8>)) -> Option<&Expected> {
        self.entries.get(key).filter(|entry| entry.expires_at == 0 || entry.expires_at > self.now)
    }

    /// The store's answer must be the model's, or a miss where eviction is allowed; then the model forgets it too.
    fn agree(&mut self, key: &(u32, Vec<u8>), found: Option<Vec<u8>>) {
        self.reads += 1;
        let expected = self.live(key).map(|entry| entry.value.clone());
        match (&expected, &found) {
            (Some(_), None) if self.may_evict => {
                self.evicted_seen += 1;
                self.entries.remove(key);
            }
            _ => assert_eq!(found, expected, "key {key:?}"),
        }
        self.hits += found.is_some() as u64;
    }

    fn get(&mut self) {
        let key = self.key();
        let found = self.store.get_in(key.0, &key.1);
        self.agree(&key, found);
    }

    fn set(&mut self) {
        let key = self.key();
        let found = self.store.get_in(key.0, &key.1);
        self.agree(&key, found);
        let mut value = vec![0; self.random.below(self.value_bytes_max + 1) as usize];
        value.iter_mut().for_each(|byte| *byte = self.random.next() as u8);
        let ttl_ms = if self.random.below(4) == 0 { 1 + self.random.below(5000) } else { 0 };
        let conditions = Conditions {
            if_absent: self.random.below(8) == 0,
            if_present: self.random.below(8) == 0,
            if_version: None,
            ram_decides: false,
            ..Conditions::default()
        };
        let tags: Vec<u64> = match self.random.below(3) {
            0 => (0..1 + self.random.below(3)).map(|_| self.random.below(TAGS)).collect(),
            _ => vec![],
        };
        let request = WriteRequest {
            namespace: key.0,
            key: &key.1,
            value: &value,
            value_type: 6,
            tags: &encoded(&tags),
            ttl_ms,
            conditions,
            ..WriteRequest::default()
        };
        let was_live = self.live(&key).is_some();
        let holds = if was_live { !conditions.if_absent } else { !conditions.if_present };
        let outcome = self.store.store().set(&request, &mut self.buffer).expect("written or refused");
        match outcome {
            Outcome::Written(version) => {
                assert!(holds || self.may_evict, "written against its conditions");
                if let Some(old) = self.entries.get(&key) {
                    assert!(version.clock > old.clock, "a version must grow");
                }
                let written_ms = version.clock >> 16;
                let expires_at = if ttl_ms == 0 { 0 } else { written_ms + ttl_ms };
                self.entries
                    .insert(key, Expected { value, value_type: 6, expires_at, clock: version.clock, tags });
            }
            Outcome::Refused => assert!(!holds || self.may_evict, "refused although its conditions hold"),
        }
    }

    fn delete(&mut self) {
        let key = self.key();
        let removed = self.store.store().delete(key.0, &key.1, None, &mut self.buffer).expect("deleted");
        assert!(removed == self.live(&key).is_some() || self.may_evict);
        self.entries.remove(&key);
        assert_eq!(self.store.get_in(key.0, &key.1), None);
    }

    fn touch(&mut self) {
        let key = self.key();
        let ttl_ms = self.random.below(3) * 1000;
        let touched =
            self.store.store().touch(key.0, &key.1, ttl_ms, false, &mut self.buffer).expect("touched");
        assert!(touched == self.live(&key).is_some() || self.may_evict);
        // The logical clock may be ahead of the wall; the exact expiry is what the store says.
        let now = self.now;
        match self.entries.get_mut(&key) {
            Some(entry) if touched => entry.expires_at = if ttl_ms == 0 { 0 } else { now + ttl_ms },
            _ => {
                self.entries.remove(&key);
            }
        }
    }

    fn increment(&mut self) {
        let key = (self.random.below(3) as u32, format!("count:{}", self.random.below(5)).into_bytes());
        let by = self.random.below(10) as f64 - 4.0;
        let before =
            self.live(&key).map(|entry| f64::from_le_bytes(entry.value[..].try_into().expect("a double")));
        let answer = self
            .store
            .store()
            .increment(key.0, &key.1, by, Some(10.0), 0, false, &mut self.buffer)
            .expect("counted");
        let Number::Is(sum) = answer else { panic!("counters hold whole numbers: {answer:?}") };
        let expected = before.unwrap_or(10.0) + by;
        assert!(sum == expected || (self.may_evict && sum == 10.0 + by), "{sum} is not {expected}");
        let value = sum.to_le_bytes().to_vec();
        self.entries.insert(key, Expected { value, value_type: 3, expires_at: 0, clock: 0, tags: vec![] });
    }

    fn clear(&mut self) {
        let namespace = self.random.below(3) as u32;
        self.store.store().clear(namespace).expect("cleared");
        self.entries.retain(|(of, _), _| *of != namespace);
    }

    fn invalidate(&mut self) {
        let namespace = self.random.below(3) as u32;
        // Two at a time, and some that no entry has.
        let tags = [self.random.below(TAGS + 5), self.random.below(TAGS + 5)];
        self.store
            .store()
            .invalidate_tags(namespace, &encoded(&tags), &mut self.buffer)
            .expect("invalidated");
        let before = self.entries.len();
        self.entries
            .retain(|(of, _), entry| *of != namespace || !entry.tags.iter().any(|tag| tags.contains(tag)));
        self.invalidated += before - self.entries.len();
    }

    fn group(&mut self) {
        let count = 1 + self.random.below(6);
        let mut keys: Vec<(u32, Vec<u8>)> = (0..count).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let values: Vec<Vec<u8>> = keys.iter().map(|_| self.random.next().to_le_bytes().to_vec()).collect();
        let requests: Vec<WriteRequest> = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| WriteRequest {
                namespace: key.0,
                key: &key.1,
                value,
                value_type: 6,
                ..WriteRequest::default()
            })
            .collect();
        self.store.store().set_many(&requests).expect("a small group fits");
        for (key, value) in keys.into_iter().zip(values) {
            self.entries
                .insert(key, Expected { value, value_type: 6, expires_at: 0, clock: 0, tags: vec![] });
        }
    }

    fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.random.below(100) {
                0..40 => self.get(),
                40..75 => self.set(),
                75..83 => self.delete(),
                83..90 => self.touch(),
                90..94 => self.increment(),
                94 => self.invalidate(),
                95..98 => self.group(),
                98 => {
                    // Ahead of the logical clock, so that wall and clock agree on the millisecond.
                    self.now += 1 + self.random.below(3000);
                    self.store.store().set_manual_clock(self.now);
                }
                _ if self.random.below(50) == 0 => self.clear(),
                _ => self.get(),
            }
        }
        let walked = self.store.store().check().expect("the arena is whole");
        for key in self.entries.keys().cloned().collect::<Vec<_>>() {
            let found = self.store.get_in(key.0, &key.1);
            self.agree(&key, found);
        }
        assert!(self.hits > 0, "nothing was ever found");
        assert!(self.invalidated > 0, "nothing was ever invalidated");
        if !self.may_evict {
            assert_eq!(self.store.store().spill().totals().0, 0, "something was evicted from a roomy store");
        }
        assert!(walked.slots >= walked.entries);
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("RAMCACHE_SEED") {
        Ok(seed) => vec![seed.parse().expect("RAMCACHE_SEED is a number")],
        Err(_) => (1..=6).collect(),
    }
}

#[test]
fn a_roomy_store_forgets_nothing() {
    for seed in seeds() {
        println!("seed {seed}");
        Model::new(seed, 64 << 20, 2000, 600, false).run(40_000);
    }
}

#[test]
fn a_full_store_forgets_only_what_it_may() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut model = Model::new(seed, 512 << 10, 3000, 400, true);
        model.run(60_000);
        assert!(model.evicted_seen > 0, "the store never filled up");
    }
}

#[test]
fn values_in_runs_are_kept_apart() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut model = Model::new(seed, 2 << 20, 300, 40_000, true);
        model.run(15_000);
        assert!(model.evicted_seen > 0, "the store never filled up");
    }
}
