//! Several threads write to one store with its background at work. Each has keys of its own and knows what they hold;
//! what they share is everything else: shards, logs, segments, runs, chunks, splits, groups.

mod support;

use ramcache_core::ops::{Number, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::StoreOptions;
use std::collections::HashMap;
use support::{open_with, options, Random, TestStore};

const THREADS: u64 = 4;

struct Worker<'a> {
    store: &'a TestStore,
    random: Random,
    number: u64,
    /// A namespace of its own, beside the default one that all of them use.
    namespace: u32,
    may_evict: bool,
    keys: u64,
    value_bytes_max: u64,
    entries: HashMap<(u32, Vec<u8>), Vec<u8>>,
    buffer: RecordBuffer,
    evicted: u64,
    hits: u64,
}

impl Worker<'_> {
    fn key(&mut self) -> (u32, Vec<u8>) {
        let namespace = if self.random.below(2) == 0 { 0 } else { self.namespace };
        (namespace, format!("{}:{}", self.number, self.random.below(self.keys)).into_bytes())
    }

    fn value(&mut self) -> Vec<u8> {
        let most = if self.random.below(30) == 0 { self.value_bytes_max } else { 300 };
        let seed = self.random.next();
        (0..self.random.below(most)).map(|at| (seed >> (at % 57)) as u8).collect()
    }

    fn get(&mut self) {
        let key = self.key();
        let found = self.store.get_in(key.0, &key.1);
        self.agree(&key, found);
    }

    fn agree(&mut self, key: &(u32, Vec<u8>), found: Option<Vec<u8>>) {
        if found.is_none() && self.may_evict {
            self.evicted += self.entries.remove(key).is_some() as u64;
            return;
        }
        self.hits += found.is_some() as u64;
        assert!(found.as_ref() == self.entries.get(key), "thread {}: key {key:?}", self.number);
    }

    fn set(&mut self) {
        let (key, value) = (self.key(), self.value());
        let request = WriteRequest {
            namespace: key.0,
            key: &key.1,
            value: &value,
            value_type: 6,
            ..Default::default()
        };
        self.store.store().set(&request, &mut self.buffer).expect("there is room, or something can leave");
        self.entries.insert(key, value);
    }

    fn set_many(&mut self) {
        let mut keys: Vec<(u32, Vec<u8>)> = (0..1 + self.random.below(12)).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let values: Vec<Vec<u8>> = keys.iter().map(|_| self.value()).collect();
        let requests: Vec<WriteRequest> = keys
            .iter()
            .zip(&values)
            .map(|(key, value)| WriteRequest {
                namespace: key.0,
                key: &key.1,
                value,
                value_type: 6,
                ..Default::default()
            })
            .collect();
        self.store.store().set_many(&requests).expect("a small group fits");
        self.entries.extend(keys.into_iter().zip(values));
    }

    fn delete(&mut self) {
        let key = self.key();
        let removed = self.store.store().delete(key.0, &key.1, None, &mut self.buffer).expect("open");
        let was_there = self.entries.remove(&key).is_some();
        assert!(removed == was_there || self.may_evict);
        assert_eq!(self.store.get_in(key.0, &key.1), None);
    }

    fn touch(&mut self) {
        let key = self.key();
        let touched =
            self.store.store().touch(key.0, &key.1, 1 << 40, false, &mut self.buffer).expect("open");
        assert!(touched == self.entries.contains_key(&key) || self.may_evict);
    }

    fn increment(&mut self) {
        let key = (self.namespace, b"count".to_vec());
        let before =
            self.entries.get(&key).map(|bytes| f64::from_le_bytes(bytes[..].try_into().expect("a double")));
        let answer = self.store.store().increment(key.0, &key.1, 1.0, Some(0.0), 0, false, &mut self.buffer);
        let Number::Is(sum) = answer.expect("room for a number") else { panic!("not a number") };
        let expected = before.unwrap_or(0.0) + 1.0;
        assert!(sum == expected || (self.may_evict && sum == 1.0), "{sum} is not {expected}");
        self.entries.insert(key, sum.to_le_bytes().to_vec());
    }

    fn clear(&mut self) {
        self.store.store().clear(self.namespace).expect("open");
        let namespace = self.namespace;
        self.entries.retain(|(of, _), _| *of != namespace);
    }

    fn resize(&mut self, budget_bytes: usize) {
        let factor = 1 + self.random.below(3) as usize;
        self.store.store().resize(factor * budget_bytes).expect("within the arena");
    }

    fn run(&mut self, steps: u64, budget_bytes: usize) {
        for _ in 0..steps {
            match self.random.below(100) {
                0..35 => self.get(),
                35..75 => self.set(),
                75..83 => self.delete(),
                83..88 => self.touch(),
                88..92 => self.increment(),
                92..98 => self.set_many(),
                98 if self.random.below(100) == 0 => self.clear(),
                99 if self.number == 0 && self.random.below(20) == 0 => self.resize(budget_bytes),
                _ => self.get(),
            }
        }
        for key in self.entries.keys().cloned().collect::<Vec<_>>() {
            let found = self.store.get_in(key.0, &key.1);
            self.agree(&key, found);
        }
        assert!(self.hits > steps / 50, "hardly anything was found");
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("RAMCACHE_SEED") {
        Ok(seed) => vec![seed.parse().expect("RAMCACHE_SEED is a number")],
        Err(_) => vec![1, 2],
    }
}

/// How many entries were found missing.
fn run(budget_bytes: usize, keys: u64, value_bytes_max: u64, may_evict: bool, steps: u64) {
    for seed in seeds() {
        println!("seed {seed}");
        let store = open_with(StoreOptions { background: true, ..options(budget_bytes) });
        let namespaces: Vec<u32> = (0..THREADS)
            .map(|number| store.store().namespace(&format!("of {number}")).expect("room for a namespace"))
            .collect();
        let evicted: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|number| {
                    let mut worker = Worker {
                        store: &store,
                        random: Random(seed << 32 | number),
                        number,
                        namespace: namespaces[number as usize],
                        may_evict,
                        keys,
                        value_bytes_max,
                        entries: HashMap::new(),
                        buffer: RecordBuffer::default(),
                        evicted: 0,
                        hits: 0,
                    };
                    scope.spawn(move || {
                        worker.run(steps, budget_bytes);
                        worker.evicted
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no worker panics")).sum()
        });
        store.store().check().expect("the arena is whole");
        let spilled = store.store().spill().totals().0;
        println!("{evicted} entries found missing, {spilled} evicted");
        assert_eq!(may_evict, spilled > 100, "{spilled} evicted");
    }
}

#[test]
fn writers_of_a_roomy_store_lose_nothing() {
    run(64 << 20, 1500, 30_000, false, 40_000);
}

#[test]
fn writers_of_a_full_store_lose_only_what_was_evicted() {
    run(2 << 20, 3000, 3000, true, 50_000);
}

#[test]
fn writers_of_large_values_share_the_runs() {
    run(4 << 20, 3000, 60_000, true, 12_000);
}

/// Keys of nearly half a segment, so that every segment of the group wastes much of itself.
#[test]
fn a_group_of_the_longest_keys_fits_whole() {
    let store = open_with(options(512 << 10));
    for round in 0..40u64 {
        let keys: Vec<Vec<u8>> = (0..24u64)
            .map(|at| {
                let mut key = vec![b'k'; 4096];
                key[..16].copy_from_slice(&[round.to_le_bytes(), at.to_le_bytes()].concat());
                key
            })
            .collect();
        let requests: Vec<WriteRequest> = keys
            .iter()
            .map(|key| WriteRequest { key, value: &[7; 200], value_type: 6, ..Default::default() })
            .collect();
        store.store().set_many(&requests).expect("a fifth of the budget fits");
        for key in &keys {
            assert_eq!(store.get(key), Some(vec![7; 200]));
        }
    }
}

/// One such record fills a segment, so a drain that keeps it frees nothing.
#[test]
fn records_as_long_as_a_segment_make_room_for_each_other() {
    let store = open_with(options(512 << 10));
    for number in 0..2000u64 {
        let mut key = vec![b'k'; 4096];
        key[..8].copy_from_slice(&number.to_le_bytes());
        store.set(&key, &[7; 200]);
        // Touched, so that the policy would rather keep it.
        for _ in 0..3 {
            assert_eq!(store.get(&key), Some(vec![7; 200]));
        }
    }
}
