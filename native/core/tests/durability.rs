//! What a power cut leaves: the log is copied, cut off where it was synced, and a fresh store begins with the copy.

#[path = "support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "support/tiered.rs"]
mod tiered;

use ramcache_core::below::{Answer, BelowOptions, Purpose, Reached, Row};
use ramcache_core::log::Position;
use ramcache_core::open::{open, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::{Header, RecordBuffer};
use ramcache_core::store::{Counting, StoreOptions};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use support::Random;

struct Tiered {
    dir: PathBuf,
    owned: Arc<OwnedStore>,
    reader: Option<JoinHandle<()>>,
    asker: u32,
    rung: mpsc::Receiver<()>,
    buffer: RecordBuffer,
}

impl Tiered {
    fn open(dir: &Path) -> Tiered {
        let options =
            StoreOptions { budget_bytes: 1 << 20, counting: Counting::Everything, background: true };
        let owned = open(dir, &options, Path::new(SHARED_MEMORY_DIR)).expect("the directory opens");
        let below = BelowOptions {
            file_bytes: 1 << 20,
            reserve_bytes: 0,
            // Only who asks for a sync gets one.
            sync_interval: Duration::from_secs(1 << 30),
            ..BelowOptions::new(&dir.join("ssd"))
        };
        assert_eq!(owned.start_below(&below).expect("the log opens").recovery.damage, []);
        let (ring, rung) = mpsc::channel();
        let ring = Mutex::new(ring);
        let bell = move || {
            let _ = ring.lock().expect("no panic").send(());
        };
        let asker = owned.store().below().expect("started").misses.register(Box::new(bell));
        let served = Arc::clone(&owned);
        let reader = Some(std::thread::spawn(move || {
            let store = served.store();
            let below = store.below().expect("started");
            while let Some(misses) = below.misses.take(16, Duration::from_millis(100)) {
                let rest = store.serve_from_tail(misses);
                store.serve_rows(rest.iter().map(|miss| (miss.id, Row::None)).collect());
            }
        }));
        Tiered { dir: dir.to_owned(), owned, reader, asker, rung, buffer: RecordBuffer::default() }
    }

    fn close(mut self) {
        self.owned.store().stop_below().expect("the log takes what is left");
        self.owned.close();
        self.reader.take().expect("once").join().expect("the reader ends");
        let _ = fs::remove_dir_all(&self.dir);
    }

    fn set(&mut self, key: &[u8], value: &[u8], is_volatile: bool) {
        let request = WriteRequest { key, value, value_type: 6, is_volatile, ..WriteRequest::default() };
        self.owned.store().set(&request, &mut self.buffer).expect("written");
        if is_volatile {
            self.settle();
        }
    }

    /// Waits as a volatile write does before it is acknowledged.
    fn settle(&self) {
        let below = self.owned.store().below().expect("started");
        below.progress.wait_durable(below.covered()).expect("synced");
    }

    fn sync(&self) {
        let store = self.owned.store();
        store.below().expect("started").progress.wait_durable(store.sequence()).expect("synced");
    }

    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        loop {
            let store = self.owned.store();
            let hash = store.hasher().hash(0, key);
            let token = store.tokens().read(hash);
            let mut copied = Copied::default();
            match store.reader().read(0, key, hash, &mut copied, &mut Seen::default()) {
                Lookup::Hit => return Some(copied.value),
                Lookup::Dead => return None,
                Lookup::Miss => {}
                other => panic!("{other:?}"),
            }
            let below = store.below().expect("started");
            below.misses.ask(self.asker, 0, key, hash, token, Purpose::Read).expect("there is room");
            self.rung.recv().expect("the bell rings");
            match below.misses.collect(self.asker).pop().expect("one answer").1 {
                Answer::Absent => return None,
                Answer::AskAgain => {}
                Answer::Found { record, record_bytes, .. } => {
                    let header = Header::of_bytes(&record[..record_bytes]).expect("a record");
                    return Some(record[header.value_at()..][..header.value_bytes as usize].to_vec());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// A store that begins with what a power cut would leave of this one.
    fn after_power_cut(&self) -> Tiered {
        let copy = fresh_dir(&format!("cut-{}", self.owned.store().sequence()));
        let (from, to) = (self.dir.join("ssd"), copy.join("ssd"));
        fs::create_dir_all(to.join("log")).expect("made");
        fs::copy(from.join("names"), to.join("names")).expect("the names are there");
        let synced: Position = self.owned.store().below().expect("started").log_synced();
        for entry in fs::read_dir(from.join("log")).expect("listed") {
            let name = entry.expect("an entry").file_name();
            let target = to.join("log").join(&name);
            fs::copy(from.join("log").join(&name), &target).expect("copied");
            let number = name.to_string_lossy().strip_suffix(".log").map(|hex| u32::from_str_radix(hex, 16));
            if number == Some(Ok(synced.file)) {
                File::options()
                    .write(true)
                    .open(&target)
                    .expect("opens")
                    .set_len(synced.offset as u64)
                    .expect("cut");
            }
        }
        Tiered::open(&copy)
    }
}

fn fresh_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ramcache-durability-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn nothing_older_comes_back_after_a_volatile_write() {
    let mut tiered = Tiered::open(&fresh_dir("cover"));
    tiered.set(b"k", b"durable", false);
    tiered.sync();
    tiered.set(b"k", b"volatile", true);
    tiered.set(b"k", b"again", true);
    tiered.set(b"new", b"volatile", true);
    assert_eq!(tiered.get(b"k"), Some(b"again".to_vec()));
    let mut after = tiered.after_power_cut();
    assert_eq!((after.get(b"k"), after.get(b"new")), (None, None));
    after.close();
    tiered.close();
}

#[test]
fn a_volatile_value_that_leaves_ram_is_found_until_its_arena_is_gone() {
    let mut tiered = Tiered::open(&fresh_dir("spill"));
    const KEYS: u32 = 3000;
    let value = |number: u32, version: u8| [number.to_le_bytes().to_vec(), vec![version; 1000]].concat();
    // Every other key has something to be covered.
    for number in (0..KEYS).step_by(2) {
        tiered.set(&number.to_le_bytes(), &value(number, 1), false);
    }
    for number in 0..KEYS {
        tiered.set(&number.to_le_bytes(), &value(number, 2), true);
    }
    for number in (0..KEYS).rev() {
        assert_eq!(tiered.get(&number.to_le_bytes()), Some(value(number, 2)), "key {number}");
    }
    tiered.owned.store().check().expect("the arena is whole");
    tiered.sync();
    let mut after = tiered.after_power_cut();
    for number in 0..KEYS {
        assert_eq!(after.get(&number.to_le_bytes()), None, "key {number}");
    }
    after.close();
    tiered.close();
}

#[test]
fn writers_that_wait_share_a_sync() {
    let tiered = Tiered::open(&fresh_dir("group"));
    let store = tiered.owned.store();
    let below = store.below().expect("started");
    let mut buffer = RecordBuffer::default();
    let before = below.log_totals().syncs;
    let mut asked = 0;
    for number in 0..2000u32 {
        let request = WriteRequest { key: &number.to_le_bytes(), value: b"v", ..WriteRequest::default() };
        store.set(&request, &mut buffer).expect("written");
    }
    for sequence in 1..=store.sequence() {
        asked += below.await_reached(tiered.asker, sequence, Reached::Durable).is_some() as usize;
    }
    let mut answered = 0;
    while answered < asked {
        tiered.rung.recv().expect("the bell rings");
        answered += below.misses.collect(tiered.asker).len();
    }
    assert!(below.log_totals().syncs - before <= 2);
    tiered.close();
}

/// Random writes of every durability, with a power cut now and then.
#[test]
fn a_power_cut_takes_only_what_was_not_to_be_kept() {
    let seed = support::seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut tiered = Tiered::open(&fresh_dir("random"));
    const KEYS: u64 = 1500;
    // By key: the newest version that must survive, if any, and the newest at all. 0: none.
    let mut model: HashMap<u64, (u64, u64)> = HashMap::new();
    let value_of = |key: u64, version: u64| {
        let mut value = [key.to_le_bytes(), version.to_le_bytes()].concat();
        value.resize(600, 7);
        value
    };
    for step in 1..=8000u64 {
        let number = random.below(KEYS);
        let key = number.to_le_bytes();
        let entry = model.entry(number).or_default();
        match random.below(10) {
            0..4 => {
                tiered.set(&key, &value_of(number, step), true);
                // Nothing older is ever seen again.
                *entry = (step, step);
            }
            4..7 => {
                tiered.set(&key, &value_of(number, step), false);
                entry.1 = step;
            }
            7 if random.below(10) == 0 => {
                tiered.sync();
                model.values_mut().for_each(|(kept, newest)| *kept = *newest);
            }
            _ => {
                let newest = entry.1;
                let wanted = (newest != 0).then(|| value_of(number, newest));
                assert_eq!(tiered.get(&key), wanted, "step {step} key {number}");
            }
        }
        if step % 2000 != 0 {
            continue;
        }
        let mut after = tiered.after_power_cut();
        for (number, (kept, newest)) in &model {
            let Some(found) = after.get(&number.to_le_bytes()) else { continue };
            let version = u64::from_le_bytes(found[8..16].try_into().expect("eight bytes"));
            assert!(
                (*kept..=*newest).contains(&version),
                "step {step} key {number}: {version} of {kept}..{newest}"
            );
        }
        after.close();
    }
    tiered.close();
}

/// Spilled values of an arena that is gone, while files of the log are drained around them and the index is lost.
#[test]
fn what_died_with_its_arena_stays_dead_and_so_does_what_it_replaced() {
    let seed = support::seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    const KEYS: u64 = 400;
    const OTHERS: u64 = 1500;
    for round in 0..6 {
        let dir = tiered::fresh_dir(&format!("past-{round}"));
        let index = Arc::new(Mutex::new(tiered::Index::default()));
        let mut store = tiered::Tiered::open(&dir, 1 << 20, Arc::clone(&index));
        for number in 0..KEYS {
            assert!(store.set(&tiered::key_of(number), &tiered::value_of(number, 1), Default::default(), 0));
        }
        for number in 0..KEYS {
            let (key, value) = (tiered::key_of(number), tiered::value_of(number, 2));
            let request =
                WriteRequest { key: &key, value: &value, is_volatile: true, ..WriteRequest::default() };
            store.owned.store().set(&request, &mut RecordBuffer::default()).expect("written");
        }
        // These push them out.
        for number in KEYS..KEYS + OTHERS {
            assert!(store.set(&tiered::key_of(number), &tiered::value_of(number, 1), Default::default(), 0));
            if random.below(300) == 0 {
                store.checkpoint(true);
            }
        }
        let found = (0..KEYS).filter(|number| store.get(&tiered::key_of(*number)).is_some()).count();
        assert_eq!(found as u64, KEYS, "as long as there is the arena");
        store.close();

        let mut store = tiered::Tiered::open(&dir, 1 << 20, Arc::clone(&index));
        store.checkpoint(true);
        for file in store.drainable() {
            if random.below(2) == 0 {
                store.drain(file, 3);
            }
        }
        for number in 0..KEYS {
            assert_eq!(store.get(&tiered::key_of(number)), None, "key {number} after the drain");
        }
        store.close();

        *index.lock().expect("no panic") = tiered::Index::default();
        let mut store = tiered::Tiered::open(&dir, 1 << 20, Arc::clone(&index));
        for number in 0..KEYS {
            assert_eq!(store.get(&tiered::key_of(number)), None, "key {number} without the index");
        }
        for number in KEYS..KEYS + OTHERS {
            let value = tiered::value_of(number, 1);
            assert_eq!(store.get(&tiered::key_of(number)), Some(value), "key {number}");
        }
        store.close();
        let _ = fs::remove_dir_all(&dir);
    }
}
