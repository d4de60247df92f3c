//! Logs in directories of their own, and batches made by hand.

use crate::support::{fresh_dir, Random};
use ramcache_core::feed::Change;
use ramcache_core::log::{
    changes_in, Checkpoint, LogLocation, LogOptions, LogRead, LoggedChange, Position, Recovery, TailIndex,
    ValueLog,
};
use ramcache_core::record::{Parts, RecordBuffer};
use std::path::{Path, PathBuf};

pub const STORE_ID: u64 = 0x1122_3344_5566_7788;
pub const ARENA_ID: u64 = 0x0123_4567_89ab_cdef;

/// A directory that is removed at the end of the test. In memory, so that a flush costs nothing.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        let dir = Path::new("/dev/shm").join(fresh_dir().file_name().expect("a name"));
        std::fs::create_dir_all(&dir).expect("shared memory takes a directory");
        Dir(dir)
    }

    pub fn file(&self, number: u32) -> PathBuf {
        self.0.join(format!("{number:08x}.log"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn options(file_bytes: u32) -> LogOptions {
    LogOptions { file_bytes, reserve_bytes: 0, ..LogOptions::new(STORE_ID) }
}

/// A change that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub arena_id: u64,
    pub sequence: u64,
    pub kind: u8,
    pub flags: u8,
    pub namespace: u32,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub clock: u64,
    pub location: LogLocation,
}

pub fn owned(arena_id: u64, change: &LoggedChange) -> Written {
    Written {
        arena_id,
        sequence: change.sequence,
        kind: change.change as u8,
        flags: change.flags,
        namespace: change.namespace,
        key: change.key().to_vec(),
        value: change.value().map(<[u8]>::to_vec),
        clock: change.clock,
        location: change.location,
    }
}

/// Opens and recovers.
pub fn reopen(dir: &Path, options: LogOptions, from: Position) -> (ValueLog, Recovery, Vec<Written>) {
    let log = ValueLog::open(dir, options).expect("the log opens");
    let mut found = Vec::new();
    let recovery =
        log.recover(from, |arena_id, change| found.push(owned(arena_id, change))).expect("recovered");
    assert_eq!(recovery.changes, found.len() as u64);
    (log, recovery, found)
}

/// Appends one change as the feed packs it.
pub fn pack(sequence: u64, change: Change, flags: u8, record: &[u8], run: &[u8], out: &mut Vec<u8>) {
    let body = [record, run].concat();
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&[change as u8, flags, 0, 0]);
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&(run.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    out.extend_from_slice(&body);
    out.resize(out.len().next_multiple_of(8), 0);
}

pub fn pack_set(sequence: u64, clock: u64, namespace: u32, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let parts = Parts { namespace, key, value, value_type: 6, ..Parts::default() };
    pack_parts(sequence, clock, Change::Set, &parts, out);
}

pub fn pack_delete(sequence: u64, clock: u64, namespace: u32, key: &[u8], out: &mut Vec<u8>) {
    let parts = Parts { namespace, key, is_tombstone: true, ..Parts::default() };
    pack_parts(sequence, clock, Change::Delete, &parts, out);
}

pub fn pack_parts(sequence: u64, clock: u64, change: Change, parts: &Parts, out: &mut Vec<u8>) {
    let mut record = RecordBuffer::default();
    record.build(parts);
    record.stamp(clock);
    pack(sequence, change, 0, record.bytes(), &[], out);
}

pub fn pack_clear(sequence: u64, namespace: u32, epoch: u64, out: &mut Vec<u8>) {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&namespace.to_le_bytes());
    bytes[8..].copy_from_slice(&epoch.to_le_bytes());
    pack(sequence, Change::Clear, 0, &bytes, &[], out);
}

/// A batch of sets with values of up to some bytes.
pub fn batch(random: &mut Random, first: u64, changes: u64, value_bytes_max: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for sequence in first..first + changes {
        let key = format!("key:{}", random.below(1000));
        let value: Vec<u8> = (0..random.below(value_bytes_max + 1)).map(|_| random.next() as u8).collect();
        pack_set(sequence, sequence << 16, random.below(3) as u32, key.as_bytes(), &value, &mut out);
    }
    out
}

/// Appends, and gives the changes as they lie now.
pub fn append(log: &ValueLog, first: u64, changes: u64, bytes: &[u8]) -> Vec<Written> {
    let at = log.append(ARENA_ID, first, first + changes, bytes).expect("appended");
    let written: Vec<Written> =
        changes_in(bytes, at).map(|change| owned(ARENA_ID, &change.expect("a good change"))).collect();
    assert_eq!(written.len() as u64, changes);
    written
}

/// What a read by location gives; `None` when its file is gone.
pub fn read(log: &ValueLog, location: LogLocation) -> ramcache_core::error::Result<Option<Written>> {
    let mut buffer = Vec::new();
    Ok(match log.read(location, &mut buffer)? {
        LogRead::Change(change) => Some(owned(ARENA_ID, &change)),
        LogRead::Gone => None,
    })
}

pub fn checkpoint_of(log: &ValueLog, tail: &TailIndex, sort_bytes: usize) -> Checkpoint {
    Checkpoint::of(log, tail, sort_bytes).expect("sorted").expect("something is frozen")
}

pub fn take_all(checkpoint: &mut Checkpoint) -> Vec<u8> {
    let mut packed = Vec::new();
    while checkpoint.take(4096, &mut packed).expect("the runs are read") > 0 {}
    packed
}
