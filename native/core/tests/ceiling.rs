//! Versions go on growing over a restart with an earlier clock, those of writes too that left no trace.
mod support;

use ramcache_core::below::BelowOptions;
use ramcache_core::open::{open, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::{Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::{fresh_dir, options};

const NOON: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;

fn start(dir: &Path, now_ms: u64) -> Arc<OwnedStore> {
    let owned = open(dir, &options(1 << 20), Path::new(SHARED_MEMORY_DIR)).expect("the directory opens");
    owned.store().set_manual_clock(now_ms);
    let below = BelowOptions { reserve_bytes: 0, file_bytes: 1 << 20, ..BelowOptions::new(&dir.join("ssd")) };
    owned.start_below(&below).expect("the log opens");
    owned
}

fn write(owned: &OwnedStore) -> u64 {
    let request = WriteRequest { key: b"k", value: b"v", value_type: 6, ..WriteRequest::default() };
    match owned.store().set(&request, &mut RecordBuffer::default()).expect("there is room") {
        Outcome::Written(written) => written.clock,
        other => panic!("{other:?}"),
    }
}

fn stop(owned: Arc<OwnedStore>) {
    owned.store().stop_below().expect("the log takes what is left");
    owned.close();
}

#[test]
fn versions_grow_though_the_clock_went_back_and_the_log_has_lost_its_end() {
    let dir = fresh_dir();
    let owned = start(&dir, NOON);
    let last = write(&owned);
    let at_work = fs::read(dir.join("ssd/clock")).expect("there is a ceiling");
    stop(owned);
    // As after a power cut: the log has nothing, the ceiling is that of before.
    fs::remove_dir_all(dir.join("ssd/log")).expect("there is a log");
    fs::write(dir.join("ssd/clock"), at_work).expect("the ceiling can be written");
    let owned = start(&dir, NOON - HOUR);
    assert!(write(&owned) > last);
    stop(owned);
}

#[test]
fn restarts_do_not_drive_the_clock_on() {
    let dir = fresh_dir();
    for _ in 0..20 {
        let owned = start(&dir, NOON);
        let clock = write(&owned) >> 16;
        assert!(clock < NOON + 1000, "{}", clock - NOON);
        stop(owned);
    }
}

#[test]
fn a_torn_slot_leaves_the_other_one_and_a_newer_format_is_refused() {
    let dir = fresh_dir();
    let owned = start(&dir, NOON);
    let last = write(&owned);
    stop(owned);
    let path = dir.join("ssd/clock");
    let whole = fs::read(&path).expect("there is a ceiling");
    for at in [16, 4096 + 16] {
        let mut torn = whole.clone();
        torn[at] ^= 1;
        fs::write(&path, torn).expect("the ceiling can be written");
        fs::remove_dir_all(dir.join("ssd/log")).expect("there is a log");
        let owned = start(&dir, NOON - HOUR);
        assert!(write(&owned) > last);
        stop(owned);
    }
    let mut newer = whole;
    for at in [0, 4096] {
        newer[at + 8] = 2;
        let crc = crc32fast::hash(&newer[at..at + 24]);
        newer[at + 24..at + 28].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&path, newer).expect("the ceiling can be written");
    let owned = open(&dir, &options(1 << 20), Path::new(SHARED_MEMORY_DIR)).expect("the directory opens");
    let refused = owned.start_below(&BelowOptions::new(&dir.join("ssd"))).expect_err("of a newer version");
    assert!(refused.message.contains("clock has format 2"), "{}", refused.message);
    owned.close();
}
