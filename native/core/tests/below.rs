//! What leaves RAM is found again: a store with a log below it, whose index below is a map in this test.

#[path = "support/mod.rs"]
mod support;

use ramcache_core::below::{Answer, BelowOptions, Purpose};
use ramcache_core::error::Code;
use ramcache_core::log::{LogLocation, Position};
use ramcache_core::open::{open, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{Conditions, Number, Outcome, WriteRequest};
use ramcache_core::record::{Header, RecordBuffer};
use ramcache_core::store::{Counting, StoreOptions};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use support::Random;

/// The index below: rows by namespace and key, and how far into the log they go.
#[derive(Default)]
struct Index {
    rows: BTreeMap<Vec<u8>, (LogLocation, u64)>,
    epochs: HashMap<u32, u64>,
    position: Position,
}

struct Tiered {
    owned: Arc<OwnedStore>,
    index: Arc<Mutex<Index>>,
    reader: Option<JoinHandle<()>>,
    asker: u32,
    rung: mpsc::Receiver<()>,
    answers: HashMap<u64, Answer>,
    buffer: RecordBuffer,
}

impl Tiered {
    fn open(dir: &Path, budget_bytes: usize, index: Arc<Mutex<Index>>) -> Tiered {
        let options = StoreOptions { budget_bytes, counting: Counting::Everything, background: true };
        let owned = open(dir, &options, Path::new(SHARED_MEMORY_DIR)).expect("the directory opens");
        let (from, epochs) = {
            let index = index.lock().expect("no panic");
            (index.position, index.epochs.iter().map(|(name, epoch)| (*name, *epoch)).collect())
        };
        let below = BelowOptions {
            from,
            epochs,
            file_bytes: 1 << 20,
            reserve_bytes: 0,
            ..BelowOptions::new(&dir.join("ssd"))
        };
        let started = owned.start_below(&below).expect("the log opens");
        assert_eq!(started.recovery.damage, []);
        let (ring, rung) = mpsc::channel();
        let ring = Mutex::new(ring);
        let bell = move || {
            let _ = ring.lock().expect("no panic").send(());
        };
        let asker = owned.store().below().expect("started").misses.register(Box::new(bell));
        let reader = Some(start_reader(Arc::clone(&owned), Arc::clone(&index)));
        Tiered { owned, index, reader, asker, rung, answers: HashMap::new(), buffer: RecordBuffer::default() }
    }

    fn close(mut self) {
        self.owned.store().stop_below().expect("the log takes what is left");
        self.owned.close();
        self.reader.take().expect("once").join().expect("the reader ends");
    }

    fn ask(&mut self, key: &[u8], purpose: Purpose) -> Answer {
        let store = self.owned.store();
        let hash = store.hasher().hash(0, key);
        let token = store.tokens().read(hash);
        let below = store.below().expect("started");
        let mut copied = Copied::default();
        if store.reader().read(0, key, hash, &mut copied, &mut Seen::default()) != Lookup::Miss {
            return Answer::AskAgain;
        }
        let id = below.misses.ask(self.asker, 0, key, hash, token, purpose).expect("there is room");
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            self.rung.recv().expect("the bell rings");
            self.answers.extend(below.misses.collect(self.asker));
        }
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        loop {
            let store = self.owned.store();
            let mut copied = Copied::default();
            let hash = store.hasher().hash(0, key);
            match store.reader().read(0, key, hash, &mut copied, &mut Seen::default()) {
                Lookup::Hit => return Some(copied.value),
                Lookup::Dead => return None,
                Lookup::Miss => {}
                other => panic!("{other:?}"),
            }
            match self.ask(key, Purpose::Read) {
                Answer::Absent => return None,
                Answer::AskAgain => {}
                Answer::Found { record, record_bytes } => {
                    let header = Header::of_bytes(&record[..record_bytes]).expect("a record");
                    let value = match header.is_run() {
                        true => &record[record_bytes..],
                        false => &record[header.value_at()..][..header.value_bytes as usize],
                    };
                    return Some(value.to_vec());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Runs what may need to know what lies below.
    fn decide<T>(
        &mut self,
        key: &[u8],
        decision: impl Fn(&mut Tiered) -> ramcache_core::error::Result<T>,
    ) -> T {
        loop {
            match decision(self) {
                Err(error) if error.code == Code::Cold => {
                    let answer = self.ask(key, Purpose::Resolve);
                    assert_eq!(answer, Answer::AskAgain);
                }
                answer => return answer.expect("done"),
            }
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8], conditions: Conditions, ttl_ms: u64) -> bool {
        self.decide(key, |tiered| {
            let request =
                WriteRequest { key, value, value_type: 6, conditions, ttl_ms, ..WriteRequest::default() };
            let outcome = tiered.owned.store().set(&request, &mut tiered.buffer)?;
            Ok(matches!(outcome, Outcome::Written(_)))
        })
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        self.decide(key, |tiered| tiered.owned.store().delete(0, key, None, &mut tiered.buffer))
    }

    fn touch(&mut self, key: &[u8], ttl_ms: u64) -> bool {
        self.decide(key, |tiered| tiered.owned.store().touch(0, key, ttl_ms, false, &mut tiered.buffer))
    }

    fn increment(&mut self, key: &[u8]) -> Number {
        self.decide(key, |tiered| {
            tiered.owned.store().increment(0, key, 1.0, Some(0.0), 0, &mut tiered.buffer)
        })
    }

    /// Everything logged so far goes into the index; false commits nothing, as a failed transaction would.
    fn checkpoint(&mut self, is_committed: bool) {
        let store = self.owned.store();
        let Some(mut checkpoint) = store.begin_checkpoint(true).expect("the log syncs") else { return };
        let mut bytes = Vec::new();
        while checkpoint.take(4096, &mut bytes) > 0 {}
        if is_committed {
            apply(&mut self.index.lock().expect("no panic"), &bytes, checkpoint.region.1);
        }
        store.end_checkpoint(is_committed);
    }
}

fn apply(index: &mut Index, mut bytes: &[u8], position: Position) {
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
    while !bytes.is_empty() {
        let key_bytes = u16::from_le_bytes([bytes[0], bytes[1]]) as usize;
        let (entry, rest) = bytes.split_at(32 + key_bytes);
        bytes = rest;
        let key = entry[32..].to_vec();
        let location =
            LogLocation { file: u32_at(entry, 4), offset: u32_at(entry, 8), bytes: u32_at(entry, 12) };
        let clock = u64::from_le_bytes(entry[16..24].try_into().expect("eight"));
        match entry[2] {
            1 => drop(index.rows.insert(key, (location, clock))),
            2 => drop(index.rows.remove(&key)),
            _ => drop(index.epochs.insert(0, clock)),
        }
    }
    index.position = position;
}

fn start_reader(owned: Arc<OwnedStore>, index: Arc<Mutex<Index>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let store = owned.store();
        let below = store.below().expect("started");
        while let Some(misses) = below.misses.take(16, Duration::from_millis(100)) {
            let rest = store.serve_from_tail(misses);
            let rows = rest
                .iter()
                .map(|miss| {
                    let mut key = namespace_bytes(miss.namespace);
                    key.extend_from_slice(&miss.key);
                    (miss.id, index.lock().expect("no panic").rows.get(&key).map(|row| row.0))
                })
                .collect();
            store.serve_rows(rows);
        }
    })
}

fn namespace_bytes(namespace: u32) -> Vec<u8> {
    (namespace as u16).to_be_bytes().to_vec()
}

fn fresh_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ramcache-below-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn key_of(number: u64) -> Vec<u8> {
    format!("key:{number:08}").into_bytes()
}

fn value_of(number: u64, version: u64) -> Vec<u8> {
    let mut random = Random(number << 20 | version);
    let length = 100 + random.below(2000) as usize;
    let mut value = format!("{number}/{version}/").into_bytes();
    value.resize(length, b'v');
    value
}

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
    let seed = support::seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let dir = fresh_dir("model");
    let index = Arc::new(Mutex::new(Index::default()));
    let mut model: HashMap<u64, Vec<u8>> = HashMap::new();
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
                assert!(tiered.set(&key, &value, Conditions::default(), 0));
                model.insert(number, value);
            }
            65..75 => {
                let value = value_of(number, step);
                let conditions = Conditions { if_absent: true, ..Conditions::default() };
                let written = tiered.set(&key, &value, conditions, 0);
                assert_eq!(written, !model.contains_key(&number), "step {step} key {number}");
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
                // Born dead below, if it ever gets there.
                assert!(tiered.set(&key, b"short-lived", Conditions::default(), 1));
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
            98 => tiered.checkpoint(random.below(4) != 0),
            _ if random.below(20) == 0 => {
                tiered.close();
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
    tiered.close();
    let _ = std::fs::remove_dir_all(&dir);
}
