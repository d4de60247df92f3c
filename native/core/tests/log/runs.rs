//! Checkpoints that are sorted in less memory than their entries take, on disks that are sound, full and failing.

use crate::disk::SmallDisk;
use crate::faults::WRITE_ERROR;
use crate::make::*;
use crate::support::Random;
use ramcache_core::error::Code;
use ramcache_core::log::{changes_in, Checkpoint, LogOptions, Position, TailIndex, ValueLog};
use std::path::Path;

const KEYS: u64 = 20_000;

/// Logs sets of random keys, and freezes them.
fn fill(log: &ValueLog, keys: u64, key_bytes: usize) -> TailIndex {
    let tail = TailIndex::new(1, log.position());
    let mut random = Random(7);
    let mut sequence = 1;
    while sequence <= keys {
        let mut bytes = Vec::new();
        let first = sequence;
        for _ in 0..500.min(keys + 1 - first) {
            let mut key = format!("{}:", random.below(2 * keys)).into_bytes();
            key.resize(key.len().max(key_bytes), b'k');
            pack_set(sequence, sequence << 16, 0, &key, b"value", &mut bytes);
            sequence += 1;
        }
        let at = log.append(ARENA_ID, first, sequence, &bytes).expect("appended");
        for change in changes_in(&bytes, at) {
            tail.insert(&change.expect("a good change"));
        }
    }
    tail.freeze(log.position()).expect("nothing is frozen");
    tail
}

/// Files without a name that this process has open in a directory.
fn anonymous_files(dir: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").expect("this process");
    let paths = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    paths.filter(|path| path.starts_with(dir) && path.to_string_lossy().ends_with(" (deleted)")).count()
}

#[test]
fn many_runs_are_one_chunk() {
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(1 << 20), Position::START);
    let tail = fill(&log, KEYS, 0);
    let mut whole = checkpoint_of(&log, &tail, 8 << 20);
    assert_eq!(anonymous_files(&dir.0), 0, "one chunk needs none");
    let expected = take_all(&mut whole);
    for sort_bytes in [2 << 10, 100 << 10, 400 << 10] {
        let mut checkpoint = checkpoint_of(&log, &tail, sort_bytes);
        assert_eq!(anonymous_files(&dir.0), 1);
        assert_eq!(checkpoint.entries(), whole.entries());
        assert!(take_all(&mut checkpoint) == expected, "chunks of {sort_bytes} bytes");
        drop(checkpoint);
        assert_eq!(anonymous_files(&dir.0), 0);
    }
}

#[test]
fn a_run_that_cannot_be_written() {
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(1 << 20), Position::START);
    let tail = fill(&log, KEYS, 0);
    let expected = take_all(&mut checkpoint_of(&log, &tail, 8 << 20));
    for taken in [0, 1000] {
        WRITE_ERROR.set((libc::EIO, taken));
        let error = Checkpoint::of(&log, &tail, 100 << 10).expect_err("the disk fails");
        WRITE_ERROR.set((0, 0));
        assert_eq!((error.code, anonymous_files(&dir.0)), (Code::Unavailable, 0), "{error}");
        assert!(!log.is_poisoned(), "the log has lost nothing");
        // As whoever failed would, and again.
        tail.thaw(false);
        tail.freeze(log.position()).expect("thawed");
        assert!(take_all(&mut checkpoint_of(&log, &tail, 100 << 10)) == expected);
    }
    // Without room it is sorted in memory: only a checkpoint makes room.
    WRITE_ERROR.set((libc::ENOSPC, 1000));
    let mut checkpoint = checkpoint_of(&log, &tail, 100 << 10);
    WRITE_ERROR.set((0, 0));
    assert!(take_all(&mut checkpoint) == expected);
}

/// What the log and its reserve need is left alone: the rest is sorted in memory, and merged with the runs there are.
#[test]
fn a_disk_that_is_nearly_full() {
    let Some(disk) = SmallDisk::mount(12 << 20) else { return };
    let options = LogOptions { file_bytes: 1 << 20, reserve_bytes: 1 << 20, ..LogOptions::new(STORE_ID) };
    let (log, ..) = reopen(&disk.0, options, Position::START);
    let tail = fill(&log, 1600, 4000);
    let expected = take_all(&mut checkpoint_of(&log, &tail, 16 << 20));
    let free = log.free_bytes().expect("a number");
    let mut checkpoint = checkpoint_of(&log, &tail, 500 << 10);
    let left = log.free_bytes().expect("a number");
    assert_eq!(anonymous_files(&disk.0), 1);
    assert!(left >= 2 << 20 && free - left < expected.len() as u64, "{free} bytes were free, now {left}");
    assert!(take_all(&mut checkpoint) == expected);
    drop(checkpoint);
    assert!(log.free_bytes().expect("a number") == free && log.has_reserve());
}

#[test]
fn a_crash_amid_a_checkpoint() {
    let dir = Dir::new();
    let (log, _, before) = reopen(&dir.0, options(1 << 20), Position::START);
    assert_eq!(before, []);
    let tail = fill(&log, KEYS, 0);
    let mut checkpoint = checkpoint_of(&log, &tail, 100 << 10);
    let entries = checkpoint.entries();
    checkpoint.take(100_000, &mut Vec::new()).expect("some");
    let names = |dir: &Path| std::fs::read_dir(dir).expect("there").count();
    assert_eq!(names(&dir.0), log.files().len(), "the runs have no name");
    // What a crash would leave where the file system has no files without one.
    std::fs::write(dir.0.join("runs"), b"left").expect("written");
    drop((checkpoint, tail, log));
    let (log, recovery, found) = reopen(&dir.0, options(1 << 20), Position::START);
    assert_eq!((found.len() as u64, recovery.damage), (KEYS, Vec::new()));
    let again = fill(&log, KEYS, 0);
    assert_eq!(checkpoint_of(&log, &again, 100 << 10).entries(), entries);
}
