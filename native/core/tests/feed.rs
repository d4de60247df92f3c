//! The feed and the spill: every committed change once and in order, everything evicted with the right bytes.

mod support;

use ramcache_core::evict::SpillBatch;
use ramcache_core::feed::{Change, FeedRead, FEED_GROUP_MORE, FEED_VALUE_GONE};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::{Header, RecordBuffer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use support::{open_store, seed, Random, TestStore};

/// One change, unpacked.
#[derive(Debug, Clone, PartialEq)]
struct Unpacked {
    sequence: u64,
    kind: u8,
    flags: u8,
    namespace: u32,
    key: Vec<u8>,
    /// `None` when it is gone.
    value: Option<Vec<u8>>,
    clock: u64,
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Unpacks a batch to its last byte, as the head of `feed.rs` draws it.
fn unpack(bytes: &[u8]) -> Vec<Unpacked> {
    let mut changes = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        assert!(at.is_multiple_of(8), "changes begin at multiples of 8");
        let (sequence, kind, flags) = (long(bytes, at), bytes[at + 8], bytes[at + 9]);
        assert_eq!(&bytes[at + 10..at + 12], &[0; 2]);
        let (record_bytes, run_bytes) = (number(bytes, at + 12), number(bytes, at + 16));
        let record = &bytes[at + 24..][..record_bytes];
        let run = &bytes[at + 24 + record_bytes..][..run_bytes];
        let packed = &bytes[at + 24..][..record_bytes + run_bytes];
        assert_eq!(number(bytes, at + 20) as u32, crc32fast::hash(packed), "the crc of change {sequence}");
        at += (24 + record_bytes + run_bytes).next_multiple_of(8);
        if kind == Change::Clear as u8 {
            assert_eq!((record_bytes, run_bytes), (16, 0));
            let namespace = number(record, 0) as u32;
            let clock = long(record, 8);
            changes.push(Unpacked { sequence, kind, flags, namespace, key: Vec::new(), value: None, clock });
            continue;
        }
        let header = Header::of_bytes(record).expect("the bytes are a record");
        assert_eq!(header.record_bytes(), record_bytes);
        let value = match (header.is_run(), flags & FEED_VALUE_GONE != 0) {
            (false, _) => Some(record[header.value_at()..][..header.value_bytes as usize].to_vec()),
            (true, false) => Some(run.to_vec()),
            (true, true) => None,
        };
        assert!(value.as_ref().is_none_or(|value| value.len() == header.value_bytes as usize));
        let key = record[header.key_at as usize..header.value_at()].to_vec();
        let (namespace, clock) = (header.namespace, header.clock);
        changes.push(Unpacked { sequence, kind, flags, namespace, key, value, clock });
    }
    assert_eq!(at, bytes.len());
    changes
}

/// Reads on from a sequence until there is nothing new.
fn follow(store: &TestStore, from: &mut u64, bytes_max: usize) -> Vec<Unpacked> {
    let mut changes = Vec::new();
    loop {
        match store.store().read_feed(*from, bytes_max) {
            FeedRead::Behind { head } => panic!("behind at {from}, the head is {head}"),
            FeedRead::Batch { first, next, bytes } => {
                assert_eq!(first, *from);
                let batch = unpack(&bytes);
                assert_eq!(batch.len() as u64, next - first);
                assert!(batch.iter().zip(first..).all(|(change, sequence)| change.sequence == sequence));
                assert!(
                    batch.last().is_none_or(|last| last.flags & FEED_GROUP_MORE == 0),
                    "a group is split"
                );
                if batch.is_empty() {
                    return changes;
                }
                *from = next;
                changes.extend(batch);
            }
        }
    }
}

fn set(store: &TestStore, key: &[u8], value: &[u8]) {
    let request = WriteRequest { key, value, value_type: 6, ..WriteRequest::default() };
    store.store().set(&request, &mut RecordBuffer::default()).expect("written");
}

/// What a follower must see: kind, namespace, key, value, and whether more of the group follows.
type Expected = (u8, u32, Vec<u8>, Option<Vec<u8>>, bool);

fn matches(change: &Unpacked, expected: &Expected) -> bool {
    let (kind, namespace, key, value, is_more) = expected;
    // A value in runs may be gone when a later change of the key follows.
    let is_value =
        change.flags & FEED_VALUE_GONE != 0 || *kind == Change::Delete as u8 || change.value == *value;
    change.kind == *kind
        && change.namespace == *namespace
        && change.key == *key
        && (change.flags & FEED_GROUP_MORE != 0) == *is_more
        && (is_value || *kind == Change::Clear as u8)
}

#[test]
fn every_change_comes_once_and_in_order() {
    let mut random = Random(seed());
    let store = open_store(16 << 20);
    assert_eq!(store.store().namespace("other").expect("room for a namespace"), 1);
    let mut buffer = RecordBuffer::default();
    let mut live: HashMap<(u32, Vec<u8>), Vec<u8>> = HashMap::new();
    let mut expected: Vec<Expected> = Vec::new();
    let mut seen = Vec::new();
    let mut from = 1;
    for _ in 0..20_000 {
        let namespace = random.below(2) as u32;
        let key = format!("key:{}", random.below(300)).into_bytes();
        let length = if random.below(20) == 0 { 3000 + random.below(9000) } else { random.below(300) };
        let value: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        match random.below(100) {
            0..60 => {
                let request =
                    WriteRequest { namespace, key: &key, value: &value, value_type: 6, ..Default::default() };
                store.store().set(&request, &mut buffer).expect("written");
                live.insert((namespace, key.clone()), value.clone());
                expected.push((Change::Set as u8, namespace, key, Some(value), false));
            }
            60..70 => {
                let removed = store.store().delete(namespace, &key, None, &mut buffer).expect("deleted");
                assert_eq!(removed, live.remove(&(namespace, key.clone())).is_some());
                if removed {
                    expected.push((Change::Delete as u8, namespace, key, None, false));
                }
            }
            70..80 => {
                let touched =
                    store.store().touch(namespace, &key, 1 << 40, false, &mut buffer).expect("touched");
                let old = live.get(&(namespace, key.clone())).cloned();
                assert_eq!(touched, old.is_some());
                if touched {
                    expected.push((Change::Touch as u8, namespace, key, old, false));
                }
            }
            80..95 => {
                let keys: Vec<Vec<u8>> =
                    (0..2 + random.below(5)).map(|at| format!("group:{at}").into_bytes()).collect();
                let requests: Vec<WriteRequest> = keys
                    .iter()
                    .map(|key| WriteRequest {
                        namespace,
                        key,
                        value: &value,
                        value_type: 6,
                        ..Default::default()
                    })
                    .collect();
                store.store().set_many(&requests).expect("a group fits");
                for (at, key) in keys.iter().enumerate() {
                    live.insert((namespace, key.clone()), value.clone());
                    let is_more = at + 1 < keys.len();
                    expected.push((Change::Set as u8, namespace, key.clone(), Some(value.clone()), is_more));
                }
            }
            95 if random.below(20) == 0 => {
                store.store().clear(namespace).expect("cleared");
                live.retain(|(of, _), _| *of != namespace);
                expected.push((Change::Clear as u8, namespace, Vec::new(), None, false));
            }
            _ => {
                // Small batches and large ones.
                let bytes_max = 1 << random.below(20);
                seen.extend(follow(&store, &mut from, bytes_max));
                assert_eq!(seen.len(), expected.len());
            }
        }
    }
    seen.extend(follow(&store, &mut from, 1 << 20));
    assert_eq!(store.store().spill().totals().0, 0, "something was evicted from a roomy store");
    assert_eq!(store.store().sequence(), expected.len() as u64);
    assert_eq!(seen.len(), expected.len());
    for (at, (change, expected)) in seen.iter().zip(&expected).enumerate() {
        assert!(matches(change, expected), "change {at}: {change:?} instead of {expected:?}");
    }
    assert!(seen
        .windows(2)
        .all(|pair| pair[0].kind == 3 || pair[1].kind == 3 || pair[0].clock < pair[1].clock));
    // What is gone must be followed by a change of the same key.
    for (at, change) in seen.iter().enumerate().filter(|(_, change)| change.flags & FEED_VALUE_GONE != 0) {
        let is_followed = seen[at + 1..].iter().any(|later| later.key == change.key || later.kind == 4);
        assert!(is_followed, "the value of change {at} is lost: {change:?}");
    }
}

#[test]
fn a_follower_that_is_too_far_back_is_told_so() {
    let store = open_store(512 << 10);
    let head = |wanted: u64| match store.store().read_feed(wanted, 1 << 20) {
        FeedRead::Behind { head } => Some(head),
        FeedRead::Batch { .. } => None,
    };
    assert_eq!(head(1), None);
    for round in 0..10_000u64 {
        set(&store, b"one key", &round.to_le_bytes());
    }
    assert_eq!(head(1), Some(10_001));
    // From the newest change back to the oldest that is still there.
    let oldest = (1..=10_000).rev().take_while(|sequence| head(*sequence).is_none()).last();
    let oldest = oldest.expect("the last change is there");
    assert!(oldest > 1 && 10_000 - oldest >= 40, "the oldest change is {oldest}");
    let mut from = oldest;
    let changes = follow(&store, &mut from, 1 << 20);
    assert_eq!(changes.len() as u64, 10_001 - oldest);
    for change in &changes {
        assert_eq!(change.value, Some((change.sequence - 1).to_le_bytes().to_vec()));
    }
    assert_eq!(head(10_001), None, "nothing new is not behind");
}

/// The record of a change may be moved by a drain or by compaction before a follower reads it. Then the follower gets
/// the value, or is behind, or a later change of the key follows; the value is never silently lost.
#[test]
fn a_value_in_runs_that_was_moved_is_not_lost() {
    let mut random = Random(seed());
    let store = open_store(2 << 20);
    let mut from = 1;
    let mut newest: HashMap<Vec<u8>, u64> = HashMap::new();
    let (mut gone, mut behind, mut whole) = (0, 0, 0);
    for round in 0..4000u64 {
        for _ in 0..random.below(8) {
            let key = format!("key:{}", random.below(90)).into_bytes();
            let length = if random.below(3) == 0 { 4000 + random.below(20_000) } else { random.below(400) };
            set(&store, &key, &vec![round as u8; length as usize]);
            newest.insert(key, store.store().sequence());
            for _ in 0..4 {
                store.get(format!("key:{}", random.below(90)).as_bytes());
            }
        }
        // The follower reads nothing but what is there now, so that whatever is gone has to be explained by it.
        match store.store().read_feed(from, 1 << 30) {
            FeedRead::Behind { head } => {
                behind += 1;
                from = head;
            }
            FeedRead::Batch { next, bytes, .. } => {
                from = next;
                for change in unpack(&bytes) {
                    if change.flags & FEED_VALUE_GONE == 0 {
                        whole += 1;
                        continue;
                    }
                    gone += 1;
                    let is_followed = newest[&change.key] > change.sequence;
                    let is_evicted = store.get(&change.key).is_none();
                    assert!(is_followed || is_evicted, "the value of {change:?} is lost");
                }
            }
        }
    }
    println!("whole {whole}, gone {gone}, behind {behind}");
    assert!(whole > 1000);
}

/// Unpacks a batch of evicted records, as the head of `spill.rs` draws it.
fn unpack_spilled(batch: &SpillBatch) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = &batch.bytes;
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (record_bytes, run_bytes) = (number(bytes, at), number(bytes, at + 4));
        let record = &bytes[at + 8..][..record_bytes];
        let run = &bytes[at + 8 + record_bytes..][..run_bytes];
        let header = Header::of_bytes(record).expect("the bytes are a record");
        assert_eq!(header.record_bytes(), record_bytes);
        assert!(!header.is_tombstone(), "a tombstone was spilled");
        let value = match header.is_run() {
            true => run,
            false => &record[header.value_at()..][..header.value_bytes as usize],
        };
        assert_eq!(value.len(), header.value_bytes as usize);
        records.push((record[header.key_at as usize..header.value_at()].to_vec(), value.to_vec()));
        at += (8 + record_bytes + run_bytes).next_multiple_of(8);
    }
    assert_eq!(records.len() as u64, batch.records);
    records
}

/// With a sink, what is not in the store any more has been spilled, as it last was.
#[test]
fn everything_evicted_is_spilled_with_its_bytes() {
    let mut random = Random(seed());
    let store = open_store(1 << 20);
    let batches: Arc<Mutex<Vec<SpillBatch>>> = Arc::default();
    let sink = Arc::clone(&batches);
    store.store().spill().set_sink(Some(Box::new(move |batch| sink.lock().expect("no panic").push(batch))));
    let mut buffer = RecordBuffer::default();
    let mut written: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut spilled: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut records = 0;
    for _ in 0..30_000 {
        let key = format!("key:{}", random.below(6000)).into_bytes();
        if random.below(10) == 0 {
            store.store().delete(0, &key, None, &mut buffer).expect("deleted");
            // A deleted key may have been spilled before; it must not be spilled after.
            written.remove(&key);
        } else {
            let length = if random.below(40) == 0 { 2000 + random.below(9000) } else { random.below(300) };
            let value: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            set(&store, &key, &value);
            written.insert(key, value);
        }
        for batch in std::mem::take(&mut *batches.lock().expect("no panic")) {
            for (key, value) in unpack_spilled(&batch) {
                records += 1;
                spilled.insert(key, value);
            }
        }
    }
    store.store().spill().flush(true);
    for batch in std::mem::take(&mut *batches.lock().expect("no panic")) {
        for (key, value) in unpack_spilled(&batch) {
            records += 1;
            spilled.insert(key, value);
        }
    }
    let mut below = 0;
    for (key, value) in &written {
        match store.get(key) {
            Some(found) => assert!(found == *value, "key {key:?} has another value"),
            None => {
                below += 1;
                assert_eq!(spilled.get(key), Some(value), "key {key:?} is neither there nor spilled");
            }
        }
    }
    assert_eq!(records, store.store().spill().totals().0, "not everything that was evicted was spilled");
    assert!(below > 1000, "only {below} keys were evicted");
}
