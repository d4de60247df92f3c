//! Groups: several writes that become visible together, and the read that sees them so.

use crate::arena::Arena;
use crate::layout::superblock;
use crate::sync::{fence, spin, Ordering};
#[cfg(not(loom))]
use {
    super::write::WriteRequest,
    crate::clock,
    crate::error::{Code, Result, StoreError},
    crate::feed::Change,
    crate::layout::Location,
    crate::record::RecordBuffer,
    crate::segment::Extent,
    crate::store::Store,
    crate::sync::lock,
};

/// Looks at the group word before a reader goes on without waiting: an owner that died inside a publish must not
/// stop readers for ever.
const GROUP_WAITS_MAX: u32 = 1 << 20;
/// Times a group read starts again.
pub const GROUP_RETRIES_MAX: u32 = 64;

#[cfg(not(loom))]
impl Store {
    /// Stores all of the requests or none. Later ones of the same key win. Conditions do not apply.
    pub fn set_many(&self, requests: &[WriteRequest]) -> Result<()> {
        let total: usize = requests.iter().map(|request| request.key.len() + request.value.len()).sum();
        let limit = self.budget_bytes() as usize / 4;
        if total > limit {
            let message =
                format!("group of {total} bytes, the limit is {limit}: a quarter of the memory budget");
            return Err(StoreError::new(Code::Value, message));
        }
        for request in requests {
            self.check_request(request)?;
        }
        self.fit_payload(total as u64);
        let mut records = Vec::with_capacity(requests.len());
        let mut extents: Vec<Extent> = Vec::new();
        let mut built = Ok(());
        for request in requests {
            let mut buffer = RecordBuffer::default();
            match self.build(request, &mut buffer) {
                Ok(found) => extents.extend(found),
                Err(error) => {
                    built = Err(error);
                    break;
                }
            }
            records.push(buffer);
        }
        let written = built.and_then(|()| self.commit_group(requests, &mut records));
        if written.is_err() {
            self.runs.give(&self.arena, &self.segments, &extents);
        }
        written?;
        self.totals.sets.fetch_add(requests.len() as u64, Ordering::Relaxed);
        for _ in requests {
            self.pace();
        }
        Ok(())
    }

    fn commit_group(&self, requests: &[WriteRequest], records: &mut [RecordBuffer]) -> Result<()> {
        let bytes: usize = records.iter().map(|record| record.bytes().len()).sum();
        let segments = bytes.div_ceil(self.arena.geometry().segment_bytes) + 2;
        loop {
            // The whole group must fit before the first of it is published.
            self.make_room(segments)?;
            while lock(&self.index.chunks).free_count() < requests.len() {
                if !self.allocate_chunks() {
                    return Err(StoreError::new(Code::Full, "no shared memory left for the index"));
                }
            }
            let _shards: Vec<_> = self.shards.iter().map(lock).collect();
            self.ensure_open()?;
            let has_room = self.segments.ready_count() >= crate::segment::RESERVE + segments - 1
                && lock(&self.index.chunks).free_count() >= requests.len();
            if has_room {
                self.publish_group(requests, records);
                return Ok(());
            }
        }
    }

    /// Under the locks of all shards, with room for everything.
    fn publish_group(&self, requests: &[WriteRequest], records: &mut [RecordBuffer]) {
        let group = self.arena.superblock(superblock::GROUP);
        let before = group.load(Ordering::Relaxed);
        group.store(before + 1, Ordering::Relaxed);
        // SYNC group: who sees a slot of this group sees the odd count, or the even one after it.
        fence(Ordering::Release);
        let mut locations: Vec<Location> = Vec::with_capacity(records.len());
        for (request, record) in requests.iter().zip(records) {
            let hash = self.hasher.hash(request.namespace, request.key);
            let current = self.find(request.namespace, request.key, hash);
            let is_live = current.is_some_and(|current| self.is_live(&current.header));
            let replaced = current.map_or(0, |current| current.header.clock);
            record.stamp(clock::tick(self.clock_word(), self.arena.wall_ms(), replaced));
            let is_ghost = current.is_none() && self.ghost.take(hash);
            let location = self
                .publish(hash, current, is_live, is_ghost, false, record)
                .unwrap_or_else(|_| panic!("room for the group was there a moment ago"));
            locations.push(location);
        }
        group.store(before + 2, Ordering::Release);
        self.feed.push(&self.arena, Change::Set, &locations);
    }
}

/// Runs `read` until no group was published meanwhile, so that it sees a group whole or not at all.
/// The last view is returned even so when groups keep coming: false beside it.
pub fn read_group<T>(arena: &Arena, mut read: impl FnMut() -> T) -> (T, bool) {
    let group = arena.superblock(superblock::GROUP);
    let mut attempts = 0;
    loop {
        let mut waits = 0;
        // SYNC group.
        let mut before = group.load(Ordering::Acquire);
        while before & 1 != 0 && waits < GROUP_WAITS_MAX {
            spin();
            waits += 1;
            before = group.load(Ordering::Acquire);
        }
        let view = read();
        fence(Ordering::Acquire);
        let is_whole = before & 1 == 0 && group.load(Ordering::Relaxed) == before;
        attempts += 1;
        if is_whole || attempts == GROUP_RETRIES_MAX || waits == GROUP_WAITS_MAX {
            return (view, is_whole);
        }
    }
}
