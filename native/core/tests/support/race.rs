//! The race: one owner that overwrites, deletes, evicts, clears and grows as fast as it can in a tiny store, so that
//! segments are recycled all the time, and readers of other processes or threads that check every byte they get.
//!
//! A value says which key and which write it is of in every word, and its length follows from both. Beside the store
//! lies a board: for each key the newest write that has been acknowledged, which a reader looks at before it reads.
#![allow(dead_code)]

use ramcache_core::arena::{Backing, Words};
use ramcache_core::open::{attach, open, Attached, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{read_group, scan, WriteRequest};
use ramcache_core::record::{Header, RecordBuffer};
use ramcache_core::store::{Counting, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Come and go; in the default namespace, which is cleared now and then.
const LOOSE_KEYS: u64 = 4000;
/// Half of the reads and writes go to these.
const HOT_KEYS: u64 = 400;
/// Rewritten all the time and pinned: never missed.
const STEADY_KEYS: u64 = 24;
/// Written two at a time as groups: never seen half.
const PAIRS: u64 = 4;
const KEYS: u64 = LOOSE_KEYS + STEADY_KEYS + 2 * PAIRS;
/// Reads between two scans of the steady keys.
const SCAN_EVERY: u64 = 1 << 15;
const BUDGET_BYTES: usize = 512 << 10;
const VALUE_TYPE: u8 = 6;

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Race {
    pub reads: u64,
    pub readers: u64,
    /// Each begins with an empty store, whose index then grows under the readers.
    pub rounds: u64,
    pub seed: u64,
}

/// What readers count. One line of text between processes.
#[derive(Default, Debug, Clone, Copy)]
pub struct Tally {
    pub reads: u64,
    pub hits: u64,
    pub retries: u64,
    pub groups: u64,
    pub scans: u64,
    pub violations: u64,
}

impl Tally {
    pub fn line(&self) -> String {
        let Tally { reads, hits, retries, groups, scans, violations } = self;
        format!("tally {reads} {hits} {retries} {groups} {scans} {violations}")
    }

    /// The tally in the output of a reader, which a test harness may have written around.
    pub fn parse(output: &str) -> Option<Tally> {
        let rest = &output[output.find("tally ")? + 6..];
        let mut numbers = rest.lines().next()?.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Tally {
            reads: next()?,
            hits: next()?,
            retries: next()?,
            groups: next()?,
            scans: next()?,
            violations: next()?,
        })
    }

    pub fn add(&mut self, other: Tally) {
        self.reads += other.reads;
        self.hits += other.hits;
        self.retries += other.retries;
        self.groups += other.groups;
        self.scans += other.scans;
        self.violations += other.violations;
    }
}

/// What the whole race comes to.
#[derive(Default, Debug)]
pub struct Result {
    pub tally: Tally,
    pub writes: u64,
    pub refused: u64,
    pub recycles: u64,
    pub evictions: u64,
    pub seconds: f64,
}

impl Result {
    pub fn report(&self) -> String {
        let Tally { reads, hits, retries, groups, scans, violations } = self.tally;
        format!(
            "reads: {reads}, hits: {hits}, retries: {retries}, groups: {groups}, scans: {scans}\n\
             writes: {}, refused: {}, evictions: {}, recycled segments: {} ({:.0}/s), seconds: {:.1}\n\
             violations: {violations}",
            self.writes,
            self.refused,
            self.evictions,
            self.recycles,
            self.recycles as f64 / self.seconds,
            self.seconds
        )
    }
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn loose(random: u64) -> u64 {
    if random >> 60 < 8 {
        random % HOT_KEYS
    } else {
        random % LOOSE_KEYS
    }
}

fn namespace_of(key: u64) -> u32 {
    (key >= LOOSE_KEYS) as u32
}

fn name_of(key: u64) -> [u8; 12] {
    let mut name = *b"key:........";
    name[4..].copy_from_slice(&mix(key).to_le_bytes());
    name
}

/// Some in the log, some in runs of a few units, some in long runs.
fn length_of(key: u64, sequence: u64) -> usize {
    let random = mix(key << 40 ^ sequence);
    let length = match random % 64 {
        0 => 4_000 + random / 64 % 16_000,
        1..=4 => 400 + random / 64 % 2_000,
        _ => 16 + random / 64 % 300,
    };
    length as usize
}

fn word_of(key: u64, sequence: u64, index: usize) -> [u8; 8] {
    let word = match index {
        0 => sequence,
        _ => (key << 48 ^ sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index as u64,
    };
    word.to_le_bytes()
}

fn fill(key: u64, sequence: u64, value: &mut Vec<u8>) {
    value.clear();
    let length = length_of(key, sequence);
    for index in 0..length.div_ceil(8) {
        value.extend_from_slice(&word_of(key, sequence, index));
    }
    value.truncate(length);
}

/// The write a value is of, or what is wrong with it.
fn verify(key: u64, value: &[u8]) -> std::result::Result<u64, String> {
    let Some(first) = value.get(..8) else { return Err(format!("{} bytes", value.len())) };
    let sequence = u64::from_le_bytes(first.try_into().expect("eight bytes"));
    let length = length_of(key, sequence);
    if value.len() != length {
        return Err(format!("write {sequence} has {length} bytes, read were {}", value.len()));
    }
    for (index, chunk) in value.chunks(8).enumerate() {
        if *chunk != word_of(key, sequence, index)[..chunk.len()] {
            return Err(format!("write {sequence} of {length} bytes differs at byte {}", index * 8));
        }
    }
    Ok(sequence)
}

fn board_path(dir: &Path) -> PathBuf {
    dir.join("board")
}

/// The paths of data and touch file, as an owner announces them.
pub fn announced(dir: &Path) -> (PathBuf, PathBuf) {
    let owner = std::fs::read_to_string(dir.join("owner")).expect("the owner has announced its files");
    let path = |name: &str| {
        let (_, rest) = owner.split_once(&format!("\"{name}\": \"")).expect("the file names both");
        PathBuf::from(rest.split('"').next().expect("a quoted path"))
    };
    (path("data"), path("touch"))
}

/// Reads from another process or thread until it has read as often as wanted.
pub fn read_all(dir: &Path, reads: u64, seed: u64) -> Tally {
    let (data, touch) = announced(dir);
    let attached = attach(&data, &touch).expect("the arena can be attached");
    let board = Words::attach(&board_path(dir), false).expect("the board is there");
    let mut reader = Checker { attached, board, newest: vec![0; KEYS as usize], tally: Tally::default() };
    let mut random = seed;
    while reader.tally.reads < reads {
        random = mix(random);
        match random >> 32 & 15 {
            0 => reader.check_pair(random % PAIRS),
            1 | 2 => reader.check_key(LOOSE_KEYS + random % STEADY_KEYS),
            _ => reader.check_key(loose(random)),
        }
        if reader.tally.reads / SCAN_EVERY > reader.tally.scans {
            reader.check_scan();
        }
    }
    reader.tally
}

struct Checker {
    attached: Attached,
    board: Words,
    newest: Vec<u64>,
    tally: Tally,
}

impl Checker {
    fn violation(&mut self, message: String) {
        self.tally.violations += 1;
        if self.tally.violations <= 10 {
            println!("violation: {message}");
        }
    }

    fn read(&self, key: u64, copied: &mut Copied, seen: &mut Seen) -> Lookup {
        let (namespace, name) = (namespace_of(key), name_of(key));
        let hash = self.attached.hasher().hash(namespace, &name);
        self.attached.reader().read(namespace, &name, hash, copied, seen)
    }

    fn check_key(&mut self, key: u64) {
        let acknowledged = self.board.word(key as usize).load(Ordering::Acquire);
        let mut copied = Copied::default();
        let mut seen = Seen::default();
        let lookup = self.read(key, &mut copied, &mut seen);
        self.tally.retries += seen.retries;
        self.judge(key, acknowledged, lookup, &seen.header, &copied.value);
    }

    fn judge(&mut self, key: u64, acknowledged: u64, lookup: Lookup, header: &Header, value: &[u8]) {
        self.tally.reads += 1;
        match lookup {
            Lookup::Hit => {}
            Lookup::Miss | Lookup::Dead if key < LOOSE_KEYS => return,
            other => {
                return self
                    .violation(format!("key {key}, always there, is a {other:?}, newest {acknowledged}"))
            }
        }
        self.tally.hits += 1;
        if header.value_type != VALUE_TYPE {
            self.violation(format!("key {key} has value type {}", header.value_type));
        }
        match verify(key, value) {
            Err(message) => self.violation(format!("key {key}: {message}")),
            Ok(sequence) if sequence < acknowledged.max(self.newest[key as usize]) => {
                let seen = self.newest[key as usize];
                self.violation(format!(
                    "key {key} went back to write {sequence}: acknowledged {acknowledged}, seen {seen}"
                ));
            }
            Ok(sequence) => self.newest[key as usize] = sequence,
        }
    }

    fn check_pair(&mut self, pair: u64) {
        let keys = [0, 1].map(|side| LOOSE_KEYS + STEADY_KEYS + 2 * pair + side);
        let acknowledged = keys.map(|key| self.board.word(key as usize).load(Ordering::Acquire));
        let mut seen = [Seen::default(), Seen::default()];
        let mut copied = [Copied::default(), Copied::default()];
        let (lookups, is_whole) = read_group(self.attached.arena(), || {
            [0, 1].map(|side| self.read(keys[side], &mut copied[side], &mut seen[side]))
        });
        self.tally.retries += seen[0].retries + seen[1].retries;
        self.tally.groups += is_whole as u64;
        for side in [0, 1] {
            self.judge(
                keys[side],
                acknowledged[side],
                lookups[side],
                &seen[side].header,
                &copied[side].value,
            );
        }
        let sequences = [0, 1].map(|side| verify(keys[side], &copied[side].value).ok());
        if is_whole && sequences[0] != sequences[1] {
            self.violation(format!("half a group of pair {pair}: writes {sequences:?}"));
        }
    }

    /// A scan sees each steady key exactly once.
    fn check_scan(&mut self) {
        self.tally.scans += 1;
        let mut seen = vec![0; KEYS as usize];
        let mut cursor = None;
        loop {
            let (entries, next) = scan(self.attached.reader(), 1, cursor, b"key:", 16);
            for entry in entries {
                match (LOOSE_KEYS..KEYS).find(|key| name_of(*key)[..] == entry.key[..]) {
                    Some(key) => seen[key as usize] += 1,
                    None => self.violation(format!("a scan has found the key {:?}", entry.key)),
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        for key in LOOSE_KEYS..KEYS {
            if seen[key as usize] != 1 {
                self.violation(format!("a scan has seen key {key} {} times", seen[key as usize]));
            }
        }
    }
}

/// The owner's side of one round.
struct Writer {
    owned: std::sync::Arc<OwnedStore>,
    board: Words,
    buffer: RecordBuffer,
    value: Vec<u8>,
    sequence: u64,
    random: u64,
    writes: u64,
    refused: u64,
}

impl Writer {
    fn open(dir: &Path, seed: u64) -> Writer {
        let options =
            StoreOptions { budget_bytes: BUDGET_BYTES, counting: Counting::Everything, background: true };
        let owned = open(dir, &options, Path::new(SHARED_MEMORY_DIR)).expect("a fresh directory opens");
        assert_eq!(owned.store().namespace("steady").expect("room for a namespace"), 1);
        let board =
            Words::create(&Backing::File(board_path(dir)), "board", KEYS as usize * 8).expect("a board");
        assert!(board.allocate(0, KEYS as usize * 8), "no memory for the board");
        let mut writer = Writer {
            owned,
            board,
            buffer: RecordBuffer::default(),
            value: Vec::new(),
            sequence: 0,
            random: seed,
            writes: 0,
            refused: 0,
        };
        for key in LOOSE_KEYS..LOOSE_KEYS + STEADY_KEYS {
            writer.set(key);
        }
        for pair in 0..PAIRS {
            writer.set_pair(pair);
        }
        assert_eq!(writer.refused, 0, "an empty store has room");
        writer
    }

    fn store(&self) -> &Store {
        self.owned.store()
    }

    fn acknowledge(&self, key: u64) {
        self.board.word(key as usize).store(self.sequence, Ordering::Release);
    }

    fn set(&mut self, key: u64) {
        self.sequence += 1;
        let mut value = std::mem::take(&mut self.value);
        fill(key, self.sequence, &mut value);
        let name = name_of(key);
        let request = WriteRequest {
            namespace: namespace_of(key),
            key: &name,
            value_type: VALUE_TYPE,
            value: &value,
            ttl_ms: if key < LOOSE_KEYS && self.random.is_multiple_of(16) { 2 } else { 0 },
            is_pinned: key >= LOOSE_KEYS,
            ..WriteRequest::default()
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.store().set(&request, &mut buffer) {
            Ok(_) => self.acknowledge(key),
            Err(_) => self.refused += 1,
        }
        self.writes += 1;
        self.buffer = buffer;
        self.value = value;
    }

    fn set_pair(&mut self, pair: u64) {
        self.sequence += 1;
        let keys = [0, 1].map(|side| LOOSE_KEYS + STEADY_KEYS + 2 * pair + side);
        let names = keys.map(name_of);
        let mut values = [Vec::new(), Vec::new()];
        for side in [0, 1] {
            fill(keys[side], self.sequence, &mut values[side]);
        }
        let requests = [0, 1].map(|side| WriteRequest {
            namespace: 1,
            key: &names[side],
            value_type: VALUE_TYPE,
            value: &values[side],
            is_pinned: true,
            ..WriteRequest::default()
        });
        match self.store().set_many(&requests) {
            Ok(()) => keys.iter().for_each(|key| self.acknowledge(*key)),
            Err(_) => self.refused += 1,
        }
        self.writes += 2;
    }

    fn step(&mut self) {
        self.random = mix(self.random);
        let key = loose(self.random);
        match self.random >> 32 & 127 {
            0..8 => self.set(LOOSE_KEYS + key % STEADY_KEYS),
            8..12 => self.set_pair(key % PAIRS),
            12..24 => {
                let mut buffer = std::mem::take(&mut self.buffer);
                self.store().delete(0, &name_of(key), None, &mut buffer).expect("the store is open");
                self.buffer = buffer;
            }
            24 if self.random >> 39 & 63 == 0 => self.store().clear(0).expect("the store is open"),
            25 if self.random >> 39 & 15 == 0 => {
                let factor = 1 + (self.random >> 50) as usize % 2;
                self.store().resize(factor * BUDGET_BYTES).expect("within the arena");
            }
            _ => self.set(key),
        }
    }
}

/// One reader of a round, wherever it runs.
pub trait Running {
    fn is_done(&mut self) -> bool;
    fn tally(self: Box<Self>) -> Tally;
}

/// Runs the race; `start` starts a reader of a directory: (directory, reads, seed).
pub fn run(race: &Race, start: impl Fn(&Path, u64, u64) -> Box<dyn Running>) -> Result {
    let mut result = Result::default();
    let began = Instant::now();
    for round in 0..race.rounds {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ramcache-race-{}-{number}", std::process::id()));
        let mut writer = Writer::open(&dir, mix(race.seed + round));
        let share = race.reads.div_ceil(race.rounds * race.readers);
        let mut readers: Vec<_> = (0..race.readers)
            .map(|reader| start(&dir, share, mix(race.seed ^ mix(round << 8 | reader))))
            .collect();
        while !readers.iter_mut().all(|reader| reader.is_done()) {
            for _ in 0..512 {
                writer.step();
            }
        }
        for reader in readers {
            result.tally.add(reader.tally());
        }
        let arena = writer.store().arena();
        result.recycles += (0..arena.geometry().segments as u32)
            .map(|segment| arena.generation(segment).load(Ordering::Relaxed))
            .sum::<u64>();
        result.writes += writer.writes;
        result.refused += writer.refused;
        result.evictions += writer.store().spill().totals().0;
        writer.store().check().expect("the arena is whole at the end of the race");
        writer.owned.close();
        std::fs::remove_dir_all(&dir).expect("the directory can be removed");
    }
    result.seconds = began.elapsed().as_secs_f64();
    result
}

/// A reader in a process of its own.
pub struct Process(std::process::Child);

impl Process {
    pub fn start(command: &mut std::process::Command) -> Box<dyn Running> {
        command.stdout(std::process::Stdio::piped());
        Box::new(Process(command.spawn().expect("a reader can be started")))
    }
}

impl Running for Process {
    fn is_done(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_some()
    }

    fn tally(self: Box<Self>) -> Tally {
        let output = self.0.wait_with_output().expect("a child can be waited for");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| line.contains("violation: ")).for_each(|line| println!("{line}"));
        Tally::parse(&text).unwrap_or_else(|| panic!("a reader ended with {}: {text}", output.status))
    }
}

/// A reader in a thread, attached as if it were another process.
pub struct Thread(std::thread::JoinHandle<Tally>);

impl Thread {
    pub fn start(dir: &Path, reads: u64, seed: u64) -> Box<dyn Running> {
        let dir = dir.to_path_buf();
        Box::new(Thread(std::thread::spawn(move || read_all(&dir, reads, seed))))
    }
}

impl Running for Thread {
    fn is_done(&mut self) -> bool {
        self.0.is_finished()
    }

    fn tally(self: Box<Self>) -> Tally {
        self.0.join().expect("a reader does not panic")
    }
}
