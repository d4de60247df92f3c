//! A store with a log below it, whose index below is a map.

use crate::support::Random;
use ramcache_core::below::{Answer, BelowOptions, Draining, Evicts, Moved, Purpose, Row};
use ramcache_core::error::Code;
use ramcache_core::log::{LogLocation, Position};
use ramcache_core::open::{open_tiered, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{Conditions, Number, Outcome, WriteRequest};
use ramcache_core::record::{Header, RecordBuffer};
use ramcache_core::store::{Counting, StoreOptions};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Small, so that there are many.
const FILE_BYTES: u32 = 256 << 10;

/// A tier below the index: records and their versions, by namespace and key.
pub type Lower = BTreeMap<Vec<u8>, (Vec<u8>, u64)>;

/// The index below: rows by namespace and key, and how far into the log they go.
#[derive(Default)]
pub struct Index {
    pub rows: BTreeMap<Vec<u8>, (LogLocation, u64)>,
    /// Deletes that the tier below has not heard of.
    pub tombstones: BTreeMap<Vec<u8>, u64>,
    pub lower: Option<Lower>,
    pub epochs: HashMap<u32, u64>,
    pub position: Position,
    /// What the next look finds, as if it came just before the row was moved.
    pub stale: Option<LogLocation>,
}

pub struct Tiered {
    pub owned: Arc<OwnedStore>,
    pub index: Arc<Mutex<Index>>,
    /// What drains of the oldest file do to what may be dropped, and how much they have dropped.
    pub evicts: Evicts,
    pub evicted: u64,
    /// Batches of the log that the start has read.
    pub replayed: u64,
    reader: Option<JoinHandle<()>>,
    asker: u32,
    rung: mpsc::Receiver<()>,
    answers: HashMap<u64, Answer>,
    buffer: RecordBuffer,
}

impl Tiered {
    pub fn open(dir: &Path, budget_bytes: usize, index: Arc<Mutex<Index>>) -> Tiered {
        let options = StoreOptions { budget_bytes, counting: Counting::Everything, background: true };
        let owned = open_tiered(dir, &options, Path::new(SHARED_MEMORY_DIR), &dir.join("ssd"))
            .expect("the directory opens");
        let (from, epochs, tags) = {
            let index = index.lock().expect("no panic");
            let epochs = index.epochs.iter().map(|(name, epoch)| (*name, *epoch)).collect();
            (index.position, epochs, tag_rows(&index))
        };
        let below = BelowOptions {
            from,
            epochs,
            tags,
            file_bytes: FILE_BYTES,
            reserve_bytes: 0,
            has_lower: index.lock().expect("no panic").lower.is_some(),
            ..BelowOptions::new(&dir.join("ssd"))
        };
        let started = owned.start_below(&below).expect("the log opens");
        assert_eq!(started.recovery.damage, []);
        let replayed = started.recovery.batches;
        let (ring, rung) = mpsc::channel();
        let ring = Mutex::new(ring);
        let bell = move || {
            let _ = ring.lock().expect("no panic").send(());
        };
        let asker = owned.store().below().expect("started").misses.register(Box::new(bell));
        let reader = Some(start_reader(Arc::clone(&owned), Arc::clone(&index)));
        Tiered {
            owned,
            index,
            evicts: Evicts::Nothing,
            evicted: 0,
            replayed,
            reader,
            asker,
            rung,
            answers: HashMap::new(),
            buffer: RecordBuffer::default(),
        }
    }

    pub fn close(mut self) {
        self.owned.store().stop_below().expect("the log takes what is left");
        self.owned.close();
        self.reader.take().expect("once").join().expect("the reader ends");
    }

    pub fn ask(&mut self, key: &[u8], purpose: Purpose) -> Answer {
        match self.begin_ask(key, purpose) {
            Some(id) => self.finish_ask(id),
            None => Answer::AskAgain,
        }
    }

    /// `None` when RAM knows the key.
    fn begin_ask(&mut self, key: &[u8], purpose: Purpose) -> Option<u64> {
        let store = self.owned.store();
        let hash = store.hasher().hash(0, key);
        let token = store.tokens().read(hash);
        let below = store.below().expect("started");
        let mut copied = Copied::default();
        if store.reader().read(0, key, hash, &mut copied, &mut Seen::default()) != Lookup::Miss {
            return None;
        }
        Some(below.misses.ask(self.asker, 0, key, hash, token, purpose).expect("there is room"))
    }

    fn finish_ask(&mut self, id: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            self.rung.recv().expect("the bell rings");
            self.answers.extend(self.owned.store().below().expect("started").misses.collect(self.asker));
        }
    }

    pub fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
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
                Answer::Found { record, record_bytes, .. } => {
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
    pub fn decide<T>(
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

    pub fn set(&mut self, key: &[u8], value: &[u8], conditions: Conditions, ttl_ms: u64) -> bool {
        self.decide(key, |tiered| {
            let request =
                WriteRequest { key, value, value_type: 6, conditions, ttl_ms, ..WriteRequest::default() };
            let outcome = tiered.owned.store().set(&request, &mut tiered.buffer)?;
            Ok(matches!(outcome, Outcome::Written(_)))
        })
    }

    /// The same of a value that has tags, in their encoded form.
    pub fn set_tagged(&mut self, key: &[u8], value: &[u8], tags: &[u8]) {
        let request = WriteRequest { key, value, value_type: 6, tags, ..WriteRequest::default() };
        self.owned.store().set(&request, &mut self.buffer).expect("written");
    }

    pub fn invalidate(&mut self, tags: &[u8]) {
        self.owned.store().invalidate_tags(0, tags, &mut self.buffer).expect("invalidated");
    }

    pub fn delete(&mut self, key: &[u8]) -> bool {
        self.decide(key, |tiered| tiered.owned.store().delete(0, key, None, &mut tiered.buffer))
    }

    pub fn touch(&mut self, key: &[u8], ttl_ms: u64) -> bool {
        self.decide(key, |tiered| tiered.owned.store().touch(0, key, ttl_ms, false, &mut tiered.buffer))
    }

    pub fn increment(&mut self, key: &[u8]) -> Number {
        self.decide(key, |tiered| {
            tiered.owned.store().increment(0, key, 1.0, Some(0.0), 0, false, &mut tiered.buffer)
        })
    }

    /// Everything logged so far goes into the index; false commits nothing, as a failed transaction would.
    pub fn checkpoint(&mut self, is_committed: bool) {
        self.checkpoint_with(is_committed, |_| {});
    }

    /// The same, with something that is done after the commit and before the log hears of it.
    pub fn checkpoint_with(&mut self, is_committed: bool, between: impl FnOnce(&mut Tiered)) {
        let store = self.owned.store();
        let Some(mut checkpoint) = store.begin_checkpoint(true).expect("the log syncs") else { return };
        let mut bytes = Vec::new();
        while checkpoint.take(4096, &mut bytes).expect("the runs are read") > 0 {}
        if is_committed {
            apply(&mut self.index.lock().expect("no panic"), &bytes, checkpoint.region.1);
        }
        between(self);
        self.owned.store().end_checkpoint(is_committed);
    }

    /// Tells the tier below of deletes; false forgets none of them, as a crash in between would.
    pub fn bury(&mut self, is_forgotten: bool) {
        let mut index = self.index.lock().expect("no panic");
        let Index { lower: Some(lower), tombstones, .. } = &mut *index else { return };
        for (key, clock) in &*tombstones {
            drop_below(lower, key, *clock);
        }
        if is_forgotten {
            tombstones.clear();
        }
    }

    /// Drains a file, up to one of its steps: 0 copied, 1 kept below and synced, 2 moved in the index, 3 removed.
    pub fn drain(&mut self, file: u32, steps: u32) {
        self.bury(true);
        let store = self.owned.store();
        let is_oldest = store.log_state().expect("counted").files[0].number == file;
        let demotes = is_oldest && self.index.lock().expect("no panic").lower.is_some();
        let mut moves = Vec::new();
        let mut from = Some(0);
        while let Some(offset) = from {
            let part = store.read_log_file(file, offset, 10_000).expect("the file is whole");
            from = part.next;
            let standing = self.standing(&part.entries, is_oldest);
            let places: Vec<LogLocation> = standing.iter().map(|(_, place)| *place).collect();
            let evicts = if is_oldest { self.evicts } else { Evicts::Nothing };
            let how = Draining { is_oldest, demotes, evicts };
            let moved = store.append_copies(&places, how).expect("the log takes copies");
            moves.extend(standing.into_iter().zip(moved));
        }
        if steps == 0 {
            return;
        }
        for ((key, place), moved) in &moves {
            let mut index = self.index.lock().expect("no panic");
            if !index.rows.contains_key(key) {
                continue;
            }
            let Some(lower) = &mut index.lower else { break };
            match moved {
                // Whatever is there is older.
                Moved::Dead | Moved::Evicted => drop(lower.remove(key)),
                Moved::Cold => store
                    .read_records(&[*place], |header, record, run| {
                        let version = header.clock.max(header.expiry_clock);
                        if lower.get(key).is_none_or(|old| old.1 < version) {
                            lower.insert(key.clone(), ([record, run].concat(), version));
                        }
                    })
                    .expect("there while it is drained"),
                Moved::To(_) | Moved::Outdated => {}
            }
        }
        store.sync_copies().expect("the log syncs");
        if steps == 1 {
            return;
        }
        let mut index = self.index.lock().expect("no panic");
        for ((key, old), moved) in moves {
            let Some(row) = index.rows.get_mut(&key).filter(|row| row.0 == old) else { continue };
            match moved {
                Moved::To(place) => row.0 = place,
                Moved::Dead | Moved::Cold | Moved::Evicted => {
                    self.evicted += (moved == Moved::Evicted) as u64;
                    index.rows.remove(&key);
                }
                Moved::Outdated => {}
            }
        }
        drop(index);
        if steps > 2 {
            assert!(self.owned.store().remove_log_file(file).expect("the file goes"));
        }
    }

    /// Changes of a part that the index does not say are dead.
    fn standing(&self, mut entries: &[u8], is_oldest: bool) -> Vec<(Vec<u8>, LogLocation)> {
        let index = self.index.lock().expect("no panic");
        let mut standing = Vec::new();
        while !entries.is_empty() {
            let (entry, rest) = split_entry(entries);
            entries = rest;
            let (key, place) = (entry[32..].to_vec(), location_of(entry));
            let stands = match entry[2] {
                1 => index.rows.get(&key).is_some_and(|row| row.0 == place),
                2 => !is_oldest && !index.rows.contains_key(&key),
                _ => true,
            };
            if stands {
                standing.push((key, place));
            }
        }
        standing
    }

    /// Numbers of the files that lie before what the index has.
    pub fn drainable(&self) -> Vec<u32> {
        let position = self.index.lock().expect("no panic").position;
        let files = self.owned.store().log_state().expect("counted").files;
        files.iter().map(|file| file.number).filter(|number| *number < position.file).collect()
    }
}

fn drop_below(lower: &mut Lower, key: &[u8], clock: u64) {
    if lower.get(key).is_some_and(|old| old.1 <= clock) {
        lower.remove(key);
    }
}

fn split_entry(entries: &[u8]) -> (&[u8], &[u8]) {
    entries.split_at(32 + u16::from_le_bytes([entries[0], entries[1]]) as usize)
}

fn location_of(entry: &[u8]) -> LogLocation {
    let u32_at = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().expect("four"));
    LogLocation { file: u32_at(4), offset: u32_at(8), bytes: u32_at(12) }
}

fn apply(index: &mut Index, mut bytes: &[u8], position: Position) {
    while !bytes.is_empty() {
        let (entry, rest) = split_entry(bytes);
        bytes = rest;
        let (key, location) = (entry[32..].to_vec(), location_of(entry));
        let clock = u64::from_le_bytes(entry[16..24].try_into().expect("eight"));
        match entry[2] {
            1 => {
                index.tombstones.remove(&key);
                index.rows.insert(key, (location, clock));
            }
            2 => {
                index.rows.remove(&key);
                if index.lower.is_some() {
                    index.tombstones.insert(key, clock);
                }
            }
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
                    (miss.id, find(&mut index.lock().expect("no panic"), &key))
                })
                .collect();
            store.serve_rows(rows);
            for miss in below.misses.take_passed(16) {
                let key = [namespace_bytes(miss.namespace), miss.key].concat();
                let index = index.lock().expect("no panic");
                let found = index.lower.as_ref().expect("asked").get(&key).map(|found| found.0.clone());
                drop(index);
                store.serve_record(miss.id, found.as_deref());
            }
        }
    })
}

fn find(index: &mut Index, key: &[u8]) -> Row {
    let place = index.stale.take().or_else(|| index.rows.get(key).map(|row| row.0));
    match place {
        Some(place) => Row::At(place),
        None if index.tombstones.contains_key(key) => Row::Dead,
        None => Row::None,
    }
}

/// The namespace of tags is the first that anybody adds here.
pub const TAGS: u32 = 1;

/// The rows of the epochs of tags: what stands behind their namespace, and the version.
fn tag_rows(index: &Index) -> Vec<(Vec<u8>, u64)> {
    let first = namespace_bytes(TAGS);
    let rows = index.rows.range(first.clone()..namespace_bytes(TAGS + 1));
    rows.map(|(key, (_, clock))| (key[first.len()..].to_vec(), *clock)).collect()
}

pub fn tag_of(number: u64) -> Vec<u8> {
    let tag = format!("tag:{number}").into_bytes();
    [&[tag.len() as u8], tag.as_slice()].concat()
}

fn namespace_bytes(namespace: u32) -> Vec<u8> {
    (namespace as u16).to_be_bytes().to_vec()
}

pub fn fresh_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ramcache-below-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

pub fn key_of(number: u64) -> Vec<u8> {
    format!("key:{number:08}").into_bytes()
}

pub fn value_of(number: u64, version: u64) -> Vec<u8> {
    let mut random = Random(number << 20 | version);
    let length = 100 + random.below(2000) as usize;
    let mut value = format!("{number}/{version}/").into_bytes();
    value.resize(length, b'v');
    value
}
