//! What goes in comes out, over rolls, reopenings and removals.

use crate::make::*;
use crate::support::{open_store, seed, Random};
use proptest::collection::vec;
use proptest::prelude::*;
use ramcache_core::error::Code;
use ramcache_core::feed::{FeedRead, FEED_VALUE_GONE};
use ramcache_core::log::{store_id_of, LogOptions, Position, ValueLog};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;

#[test]
fn what_a_store_has_changed_comes_back() {
    let mut random = Random(seed());
    let dir = Dir::new();
    let store = open_store(16 << 20);
    let (log, _, found) = reopen(&dir.0, options(256 << 10), Position::START);
    assert!(found.is_empty());
    let mut written = Vec::new();
    let mut buffer = RecordBuffer::default();
    let mut from = 1;
    for _ in 0..3000 {
        let key = format!("key:{}", random.below(400)).into_bytes();
        let length = if random.below(20) == 0 { 2000 + random.below(9000) } else { random.below(300) };
        let value: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        match random.below(20) {
            0..14 => {
                let request = WriteRequest { key: &key, value: &value, value_type: 6, ..Default::default() };
                store.store().set(&request, &mut buffer).expect("written");
            }
            14..16 => drop(store.store().delete(0, &key, None, &mut buffer).expect("deleted")),
            16 => drop(store.store().touch(0, &key, 1 << 40, false, &mut buffer).expect("touched")),
            17 if random.below(50) == 0 => store.store().clear(0).expect("cleared"),
            _ => {
                let FeedRead::Batch { first, next, bytes } = store.store().read_feed(from, 8 << 10) else {
                    panic!("the follower is behind");
                };
                if next > first {
                    written.extend(append(&log, first, next - first, &bytes));
                    from = next;
                }
                if random.below(4) == 0 {
                    assert_eq!(log.sync().expect("synced"), log.position());
                }
            }
        }
    }
    assert!(written.len() > 1000 && log.files().len() > 2);
    let gone = written.iter().filter(|change| change.flags & FEED_VALUE_GONE != 0).count();
    println!("{} changes, {gone} without their value, {:?}", written.len(), log.totals());
    for change in &written {
        assert_eq!(read(&log, change.location).expect("readable").as_ref(), Some(change));
    }
    let end = log.position();
    drop(log);
    let (log, recovery, found) = reopen(&dir.0, options(256 << 10), Position::START);
    assert_eq!((recovery.damage.len(), recovery.torn, recovery.end), (0, None, end));
    assert_eq!(found, written);
    assert_eq!((log.position(), log.synced()), (end, end));
}

#[test]
fn a_batch_larger_than_a_file_gets_its_own() {
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let mut written = Vec::new();
    for (sequence, bytes) in [(1, 100), (2, 50_000), (3, 3900), (4, 3900), (5, 100)] {
        let mut packed = Vec::new();
        pack_set(sequence, sequence, 0, b"a key", &vec![sequence as u8; bytes], &mut packed);
        written.extend(append(&log, sequence, 1, &packed));
    }
    let files: Vec<u32> = written.iter().map(|change| change.location.file).collect();
    assert_eq!(files, [1, 2, 3, 4, 5]);
    assert_eq!(log.files()[1].bytes, written[1].location.bytes.next_multiple_of(8) as u64 + 128);
    drop(log);
    let (_, recovery, found) = reopen(&dir.0, options(4096), Position::START);
    assert_eq!((found, recovery.damage.len()), (written, 0));
}

#[test]
fn files_are_removed_and_their_numbers_never_used_again() {
    let mut random = Random(seed());
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let mut written = Vec::new();
    for sequence in 1..=40 {
        written.extend(append(&log, sequence, 1, &batch(&mut random, sequence, 1, 900)));
    }
    let last = log.position().file;
    assert!(last > 4);
    assert!(log.remove(2).expect("removed"));
    assert!(!log.remove(2).expect("looked for"));
    assert_eq!(log.remove(last).expect_err("the newest stays").code, Code::Config);
    for change in &written {
        let expected = (change.location.file != 2).then_some(change);
        assert_eq!(read(&log, change.location).expect("read").as_ref(), expected);
    }
    written.retain(|change| change.location.file != 2);
    for file in 1..last {
        drop(reopen(&dir.0, options(4096), Position::START));
        let (log, recovery, found) = reopen(&dir.0, options(4096), Position::START);
        assert_eq!((&found, recovery.damage), (&written, Vec::new()));
        log.remove(file).expect("removed");
        written.retain(|change| change.location.file != file);
    }
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let next = append(&log, 41, 1, &batch(&mut random, 41, 1, 10));
    assert_eq!(next[0].location.file, last + 1);
}

/// More files than are kept open, beside a writer that begins new ones, syncs, and removes old ones.
#[test]
fn readers_beside_a_writer() {
    const BATCHES: u64 = 1500;
    let mut random = Random(seed());
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(512), Position::START);
    let written: Mutex<Vec<Written>> = Mutex::default();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let (log, written, is_done) = (&log, &written, &is_done);
                scope.spawn(move || {
                    let mut random = Random(reader);
                    let (mut whole, mut gone) = (0, 0);
                    while !is_done.load(Ordering::Relaxed) {
                        let written = written.lock().expect("no panic");
                        let count = written.len() as u64;
                        let wanted = written.get(random.below(count.max(1)) as usize).cloned();
                        drop(written);
                        let Some(wanted) = wanted else { continue };
                        match read(log, wanted.location).expect("readable") {
                            Some(found) => {
                                assert_eq!(found, wanted);
                                whole += 1;
                            }
                            None => gone += 1,
                        }
                    }
                    (whole, gone)
                })
            })
            .collect();
        let flusher = scope.spawn(|| {
            let mut last = log.synced();
            while !is_done.load(Ordering::Relaxed) {
                let synced = log.sync().expect("synced");
                assert!(synced >= last, "durable went back from {last} to {synced}");
                last = synced;
            }
        });
        for sequence in 1..=BATCHES {
            let changes = append(&log, sequence, 1, &batch(&mut random, sequence, 1, 300));
            written.lock().expect("no panic").extend(changes);
            if sequence % 5 == 0 && log.files().len() > 400 {
                let oldest = log.files()[0].number;
                log.remove(oldest).expect("removed");
            }
        }
        is_done.store(true, Ordering::Relaxed);
        flusher.join().expect("no panic");
        for reader in readers {
            println!("whole and gone: {:?}", reader.join().expect("no panic"));
        }
    });
    let oldest = log.files()[0].number;
    let mut written = written.into_inner().expect("no panic");
    for change in &written {
        let expected = (change.location.file >= oldest).then_some(change);
        assert_eq!(read(&log, change.location).expect("readable").as_ref(), expected);
    }
    assert!(log.files().len() > 300);
    written.retain(|change| change.location.file >= oldest);
    drop(log);
    let (_, recovery, found) = reopen(&dir.0, options(512), Position::START);
    assert_eq!((found == written, recovery.damage), (true, Vec::new()));
}

#[test]
fn a_stretch_is_given_exactly() {
    let mut random = Random(seed());
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let mut ends = vec![(log.position(), 0)];
    let mut written = Vec::new();
    for sequence in 1..=60 {
        written.extend(append(&log, sequence, 1, &batch(&mut random, sequence, 1, 500)));
        ends.push((log.position(), written.len()));
    }
    for (at, (from, first)) in ends.iter().enumerate() {
        for (to, last) in &ends[at..] {
            let mut changes = log.changes(*from, *to);
            let mut found = Vec::new();
            while let Some((arena_id, batch)) = changes.next_batch() {
                found.extend(batch.map(|change| owned(arena_id, &change)));
            }
            assert_eq!(changes.damage(), []);
            assert_eq!(found, written[*first..*last], "from {from} to {to}");
        }
        drop(log.sync());
    }
}

/// The first bytes of a log, as docs/FORMAT.md draws them; a change here raises the format version.
#[test]
fn golden_headers() {
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let mut packed = Vec::new();
    pack_clear(5, 3, 9, &mut packed);
    log.append(ARENA_ID, 5, 6, &packed).expect("appended");
    let bytes = std::fs::read(dir.file(1)).expect("the file");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let zeros = |count: usize| "00".repeat(count);
    let file = ["52414d43564c4f47", "01000000", "01000000", "8877665544332211", &zeros(36)].concat();
    assert_eq!(hex(&bytes[..60]), file);
    let batch = [
        "56424154",
        "28000000",
        "01000000",
        "40000000",
        "efcdab8967452301",
        "0500000000000000",
        "0600000000000000",
        "01000000",
        "40000000",
        &zeros(8),
    ]
    .concat();
    assert_eq!(hex(&bytes[64..120]), batch);
    let crc = |parts: [&[u8]; 2]| hex(&crc32fast::hash(&parts.concat()).to_le_bytes());
    assert_eq!(hex(&bytes[60..64]), crc([&STORE_ID.to_le_bytes(), &bytes[..60]]));
    assert_eq!(hex(&bytes[120..124]), crc([&packed, &[]]));
    assert_eq!(hex(&bytes[124..128]), crc([&STORE_ID.to_le_bytes(), &bytes[64..124]]));
    assert_eq!(bytes[128..168], packed);
}

#[test]
fn what_is_not_ours_is_refused() {
    let dir = Dir::new();
    assert_eq!(store_id_of(&dir.0).expect("an empty directory"), None);
    let log = ValueLog::open(&dir.0, options(4096)).expect("opens");
    let unrecovered = log.append(ARENA_ID, 1, 2, &[0; 8]).expect_err("not recovered yet");
    assert_eq!(unrecovered.code, Code::Unavailable);
    drop(log);
    let (log, ..) = reopen(&dir.0, options(4096), Position::START);
    let mut packed = Vec::new();
    pack_set(1, 1, 0, b"key", b"value", &mut packed);
    append(&log, 1, 1, &packed);
    drop(log);
    assert_eq!(store_id_of(&dir.0).expect("a log"), Some(STORE_ID));
    let other = ValueLog::open(&dir.0, LogOptions::new(7)).err().expect("another store's");
    assert!(other.code == Code::Corrupt && other.message.contains("1122334455667788"), "{other}");

    // A newer version: the header checks, so it is no damage.
    let mut bytes = std::fs::read(dir.file(1)).expect("the file");
    bytes[8] = 2;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&STORE_ID.to_le_bytes());
    crc.update(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.finalize().to_le_bytes());
    std::fs::write(dir.file(1), &bytes).expect("written");
    let newer = ValueLog::open(&dir.0, options(4096)).err().expect("a newer version");
    assert!(newer.code == Code::Corrupt && newer.message.contains("version 2"), "{newer}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Batches of any size, syncs and reopenings, read from the beginning and from any earlier end.
    #[test]
    fn any_history_comes_back(steps in vec((0..10u8, 1..20u64, 0..3000u64), 1..40), seed: u64) {
        let mut random = Random(seed);
        let dir = Dir::new();
        let (mut log, ..) = reopen(&dir.0, options(16 << 10), Position::START);
        let mut written = Vec::new();
        let mut ends = vec![(Position::START, 0)];
        let mut next = 1;
        for (step, changes, value_bytes_max) in steps {
            match step {
                0 => {
                    drop(log);
                    let (from, known) = ends[random.below(ends.len() as u64) as usize];
                    let (reopened, recovery, found) = reopen(&dir.0, options(16 << 10), from);
                    prop_assert_eq!(&found[..], &written[known..]);
                    prop_assert!(recovery.damage.is_empty() && recovery.torn.is_none());
                    log = reopened;
                }
                1 => {
                    let end = log.sync().expect("synced");
                    prop_assert_eq!((end, log.synced()), (log.position(), end));
                }
                _ => {
                    let bytes = batch(&mut random, next, changes, value_bytes_max);
                    written.extend(append(&log, next, changes, &bytes));
                    next += changes;
                    ends.push((log.position(), written.len()));
                }
            }
        }
        for change in &written {
            let found = read(&log, change.location).expect("readable");
            prop_assert_eq!(found.as_ref(), Some(change));
        }
    }
}
