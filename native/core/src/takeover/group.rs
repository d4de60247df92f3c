//! The group that was being published when its owner died: all of it becomes visible, or none.
//!
//! Its records lay complete in the small log before the first slot led to one of them, so completing it is always
//! possible, while the values it has begun to replace may be overwritten already. Only when damage has taken one of
//! its records are all of them dropped.

use super::segments::Survey;
use crate::arena::copy::copy_out;
use crate::arena::Slot;
use crate::feed::read_header;
use crate::index::{Index, Lack};
use crate::layout::{superblock, Location};
use crate::record::Header;
use crate::store::Store;
use crate::sync::Ordering;

/// Completes the group, if there is one. The number of slots dropped when it could not be completed.
pub fn complete(store: &Store, survey: &Survey) -> u64 {
    let group = store.arena.superblock(superblock::GROUP);
    let records = store.arena.superblock(superblock::GROUP_RECORDS);
    let before = group.load(Ordering::Relaxed);
    if before & 1 == 0 {
        return 0;
    }
    let is_whole = survey.group.len() as u64 == records.load(Ordering::Relaxed);
    // Newest first: of two records of one key only the later one is to be seen.
    let is_published = is_whole && survey.group.iter().rev().all(|(_, place)| publish(store, *place));
    let dropped = if is_published { 0 } else { abandon(store, survey) };
    // SYNC group: readers go on.
    group.store(before.wrapping_add(1), Ordering::Release);
    records.store(0, Ordering::Relaxed);
    dropped
}

/// Makes a record of the group visible unless it is, or a later one of its key.
fn publish(store: &Store, place: Location) -> bool {
    let (header, hash) = header_of(store, place);
    let first = store.arena.record_byte(place).expect("a surveyed record");
    let mut key = vec![0; header.key_bytes as usize];
    copy_out(store.arena.data(), first, header.key_at as usize, &mut key);
    let current = store.find(header.namespace, &key, hash);
    if current.is_some_and(|current| current.header.clock >= header.clock) {
        return true;
    }
    let extents = store.extents_of(&header, place);
    if header.is_run() && !store.runs.adopt(&extents, header.value_bytes as usize, hash) {
        return false;
    }
    let slot = current.map(|current| current.slot).or_else(|| vacancy(store, hash));
    let Some(slot) = slot else {
        store.runs.give(&store.arena, &store.segments, &extents);
        return false;
    };
    store.publish_at(hash, slot, current, 1, place, &header, false);
    true
}

fn vacancy(store: &Store, hash: u64) -> Option<Slot> {
    let bucket = Index::bucket_of(&store.arena, hash);
    loop {
        match store.index.vacancy(&store.arena, bucket) {
            Ok(slot) => return Some(slot),
            Err(Lack::Chunk) if store.allocate_chunks() => {}
            Err(_) => return None,
        }
    }
}

fn abandon(store: &Store, survey: &Survey) -> u64 {
    let mut dropped = 0;
    for (_, place) in &survey.group {
        let (header, hash) = header_of(store, *place);
        let Some(slot) = Index::find_location(&store.arena, hash, *place) else { continue };
        let extents = store.extents_of(&header, *place);
        store.account_leave(store.queue_of(*place), &header);
        store.index.remove(&store.arena, Index::bucket_of(&store.arena, hash), slot);
        store.runs.give(&store.arena, &store.segments, &extents);
        dropped += 1;
    }
    dropped
}

fn header_of(store: &Store, place: Location) -> (Header, u64) {
    let header = read_header(&store.arena, place).expect("a surveyed record");
    (header, store.hash_of_record(&header, place))
}
