//! The scan: all entries of a namespace, in pages, without a lock and without missing one.
//!
//! A scan walks the buckets as they were numbered when it began. Each of them may have been split since; the entries
//! that came from it lie in the buckets whose numbers end alike, and all of them are visited together. A bucket in
//! whose shard a slot was moved meanwhile is read again. When a scan begins in the middle of a split, entries of the new
//! bucket still stand in the old one too: an entry is taken only where its hash puts it among the buckets the scan began
//! with. So an entry that lives through the scan is seen exactly once.

use super::read::Reader;
use crate::arena::copy::copy_out;
use crate::feed::read_header;
use crate::hash::KeyHasher;
use crate::index::Walk;
use crate::layout::{bucket_of, shard_of, superblock, KEY_BYTES_MAX};
use crate::namespaces;
use crate::record::Header;
use crate::sync::{fence, Ordering};
use crate::tags;

/// Where a scan goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanCursor {
    /// Buckets when the scan began.
    pub bucket_count: u64,
    /// The next of them.
    pub bucket: u64,
}

/// One entry of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScannedEntry {
    pub key: Vec<u8>,
    pub header: Header,
    /// Encoded tags.
    pub tags: Vec<u8>,
}

/// Times a bucket is read again before what was seen of it is taken as it is.
const BUCKET_RETRIES_MAX: u32 = 1000;

/// Entries of the next buckets, until there are `wanted` or the scan is complete (`None`).
pub fn scan(
    reader: Reader,
    namespace: u32,
    cursor: Option<ScanCursor>,
    prefix: &[u8],
    wanted: usize,
) -> (Vec<ScannedEntry>, Option<ScanCursor>) {
    scan_within(reader, namespace, cursor, prefix, wanted, u64::MAX)
}

/// The same, over `buckets_max` buckets at most: for who must not be held up by a namespace with few entries.
pub fn scan_within(
    reader: Reader,
    namespace: u32,
    cursor: Option<ScanCursor>,
    prefix: &[u8],
    wanted: usize,
    buckets_max: u64,
) -> (Vec<ScannedEntry>, Option<ScanCursor>) {
    let count = reader.arena.bucket_count();
    let mut cursor = cursor.unwrap_or(ScanCursor { bucket_count: count, bucket: 0 });
    let hasher = KeyHasher::new(reader.arena.superblock(superblock::HASH_SEED).load(Ordering::Relaxed));
    let filter = Filter { namespace, prefix, hasher };
    let mut entries = Vec::new();
    let last = cursor.bucket.saturating_add(buckets_max);
    // A cursor comes from outside: more buckets than there are cannot be one of ours.
    while cursor.bucket_count <= count && cursor.bucket < cursor.bucket_count {
        let start = entries.len();
        for _ in 0..BUCKET_RETRIES_MAX {
            entries.truncate(start);
            if scan_bucket(reader, &filter, cursor, &mut entries) {
                break;
            }
        }
        cursor.bucket += 1;
        if entries.len() >= wanted || (cursor.bucket >= last && cursor.bucket < cursor.bucket_count) {
            return (entries, Some(cursor));
        }
    }
    (entries, None)
}

/// What a scan looks for.
struct Filter<'a> {
    namespace: u32,
    prefix: &'a [u8],
    hasher: KeyHasher,
}

/// All entries that were in one bucket when the scan began. False when something moved.
fn scan_bucket(reader: Reader, filter: &Filter, cursor: ScanCursor, entries: &mut Vec<ScannedEntry>) -> bool {
    let arena = reader.arena;
    let start = entries.len();
    let moves = arena.moves(shard_of(cursor.bucket));
    let before = moves.load(Ordering::Acquire);
    let count = arena.bucket_count();
    let half = 1u64 << (63 - cursor.bucket_count.leading_zeros());
    // Buckets that end in the same bits as this one did at the time: it was addressed by `half` values or, when it
    // had been split or made already, by twice as many.
    let is_wide = cursor.bucket + half < cursor.bucket_count || cursor.bucket >= half;
    let stride = if is_wide { 2 * half } else { half };
    let mut bucket = cursor.bucket;
    while bucket < count {
        if bucket_of(bucket, cursor.bucket_count) == cursor.bucket {
            for (slot, word) in Walk::new(arena, bucket) {
                if !word.is_entry() {
                    continue;
                }
                let Some(entry) = read_entry(reader, filter, slot, word) else { return false };
                let Some(entry) = entry else { continue };
                // Between the two steps of a move an entry stands in two slots: of two buckets or of one.
                let hash = filter.hasher.hash(filter.namespace, &entry.key);
                let is_here = bucket_of(hash, cursor.bucket_count) == cursor.bucket;
                if is_here && !entries[start..].iter().any(|seen| seen.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
        bucket += stride;
    }
    fence(Ordering::Acquire);
    moves.load(Ordering::Relaxed) == before
}

/// `None` when the slot changed, `Some(None)` when it leads to nothing the scan wants.
fn read_entry(
    reader: Reader,
    filter: &Filter,
    slot: crate::arena::Slot,
    word: crate::layout::SlotWord,
) -> Option<Option<ScannedEntry>> {
    let arena = reader.arena;
    let location = word.location();
    if location.segment as usize >= arena.geometry().segments {
        return Some(None);
    }
    let generation = arena.generation(location.segment).load(Ordering::Acquire);
    if !location.is_of_generation(generation as u32) || arena.load_slot(slot) != word {
        return None;
    }
    let mut found = None;
    if let Some(header) = read_header(arena, location) {
        let first = arena.record_byte(location)?;
        let mut key = vec![0; (header.key_bytes as usize).min(KEY_BYTES_MAX)];
        copy_out(arena.data(), first, header.key_at as usize, &mut key);
        let mut tags = vec![0; header.tags_bytes as usize];
        copy_out(arena.data(), first, header.tags_at(), &mut tags);
        let is_wanted = header.namespace == filter.namespace
            && !header.is_tombstone()
            && header.clock > namespaces::epoch(arena, filter.namespace)
            && !header.is_stale(arena.expiry_now_ms())
            && key.starts_with(filter.prefix)
            && (tags.is_empty() || !tags::is_invalidated(arena, header.namespace, header.clock, &tags));
        if is_wanted {
            found = Some(ScannedEntry { key, header, tags });
        }
    }
    fence(Ordering::Acquire);
    let is_current = arena.slot(slot).load(Ordering::Relaxed) == word.0
        && arena.generation(location.segment).load(Ordering::Relaxed) == generation;
    is_current.then_some(found)
}
