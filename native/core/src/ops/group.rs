//! Groups: several writes that become visible together, and the read that sees them so.

use crate::arena::Arena;
use crate::layout::superblock;
use crate::sync::{fence, spin, Ordering};
#[cfg(not(loom))]
use {
    super::write::WriteRequest,
    crate::arena::Slot,
    crate::clock,
    crate::error::{Code, Result, StoreError},
    crate::feed::Change,
    crate::index::{Index, Lack},
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
        let longest = requests.iter().map(|request| request.value.len()).max().unwrap_or(0);
        let _building = self.gate(longest);
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
        let is_watched = self.watch.is_on();
        for request in requests {
            if is_watched {
                self.watch.changed(request.namespace, request.key);
            }
            self.pace();
        }
        Ok(())
    }

    fn commit_group(&self, requests: &[WriteRequest], records: &mut [RecordBuffer]) -> Result<()> {
        loop {
            self.await_log(requests.len(), false)?;
            // A group may be larger than the index: it grows before, or chains would get too long.
            self.grow_index(requests.len() as u64, u32::MAX);
            while lock(&self.index.chunks).free_count() < chunks_for(requests.len()) {
                if !self.allocate_chunks() {
                    return Err(StoreError::new(Code::Full, "no shared memory left for the index"));
                }
            }
            let lack = {
                let _shards: Vec<_> = self.shards.iter().map(lock).collect();
                self.ensure_open()?;
                self.check_pinned_group(requests, records)?;
                match self.place_group(requests, records) {
                    Ok(places) => {
                        self.publish_group(requests, records, &places);
                        return Ok(());
                    }
                    Err(lack) => lack,
                }
            };
            match lack {
                // What was placed is dead by now; the next attempt wants all of it again, and at once.
                Lack::Segment => self.make_room(self.segments_for(records))?,
                lack => self.supply(lack)?,
            }
        }
    }

    /// Refuses a group whose pinned records are too many, with what they replace taken off. Under the locks of all shards.
    fn check_pinned_group(&self, requests: &[WriteRequest], records: &[RecordBuffer]) -> Result<()> {
        let (mut added, mut replaced) = (0, 0);
        for (request, record) in requests.iter().zip(records) {
            let header = record.header();
            if !header.is_pinned() {
                continue;
            }
            added += self.charge_of(&header);
            let hash = self.hasher.hash(request.namespace, request.key);
            let current = self.find(request.namespace, request.key, hash);
            let pinned = current.filter(|current| current.header.is_pinned());
            replaced += pinned.map_or(0, |current| self.charge_of(&current.header));
        }
        let excess =
            self.pinned_excess_of(requests.first().map_or(0, |request| request.namespace), added, replaced);
        excess.map_or(Ok(()), Err)
    }

    /// Segments that records of these lengths fill, whatever is left of the open one.
    fn segments_for(&self, records: &[RecordBuffer]) -> usize {
        let segment_bytes = self.arena.geometry().segment_bytes;
        let (mut segments, mut used) = (1, 0);
        for bytes in records.iter().map(|record| record.bytes().len()) {
            if used + bytes > segment_bytes {
                (segments, used) = (segments + 1, 0);
            }
            used += bytes;
        }
        segments
    }

    /// Writes every record of the group to the small log, where no slot leads to them yet. What was written when
    /// something is lacking is dead, and is drained like any dead record.
    fn place_group(
        &self,
        requests: &[WriteRequest],
        records: &mut [RecordBuffer],
    ) -> std::result::Result<Vec<Location>, Lack> {
        if self.index.is_crowded(&self.arena, requests.len() as u64) {
            return Err(Lack::Bucket);
        }
        if lock(&self.index.chunks).free_count() < chunks_for(requests.len()) {
            return Err(Lack::Chunk);
        }
        let newest = self.find_newest(requests);
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            // One clock word for each, all larger than what any of them replaces.
            record.stamp(clock::tick(self.clock_word(), self.arena.wall_ms(), newest));
            let place = self.small.append(&self.arena, &self.segments, record.bytes(), false);
            places.push(place.ok_or(Lack::Segment)?);
        }
        Ok(places)
    }

    /// The newest clock word among the records the group replaces.
    fn find_newest(&self, requests: &[WriteRequest]) -> u64 {
        let clock_of = |request: &WriteRequest| {
            let hash = self.hasher.hash(request.namespace, request.key);
            self.find(request.namespace, request.key, hash).map_or(0, |current| current.header.clock)
        };
        requests.iter().map(clock_of).max().unwrap_or(0)
    }

    /// Under the locks of all shards, with every record in its place.
    fn publish_group(&self, requests: &[WriteRequest], records: &[RecordBuffer], places: &[Location]) {
        let group = self.arena.superblock(superblock::GROUP);
        let before = group.load(Ordering::Relaxed);
        // Every record lies complete in the small log, and no other has a clock word between theirs: with these
        // words a takeover completes what this owner may not live to complete.
        let clock_of = |record: Option<&RecordBuffer>| record.map_or(0, |record| record.header().clock);
        for (word, value) in [
            (superblock::GROUP_FIRST, clock_of(records.first())),
            (superblock::GROUP_LAST, clock_of(records.last())),
            (superblock::GROUP_RECORDS, records.len() as u64),
        ] {
            self.arena.superblock(word).store(value, Ordering::Relaxed);
        }
        let must_cover = requests.iter().zip(records.iter()).any(|(request, record)| {
            let hash = self.hasher.hash(request.namespace, request.key);
            let current = self.find(request.namespace, request.key, hash);
            self.must_cover(hash, Change::Set, &record.header(), current.as_ref())
        });
        group.store(before.wrapping_add(1), Ordering::Release);
        // SYNC group: who sees a slot of this group sees the odd count, or the even one after it.
        fence(Ordering::Release);
        for ((request, record), place) in requests.iter().zip(records).zip(places) {
            let hash = self.hasher.hash(request.namespace, request.key);
            let current = self.find(request.namespace, request.key, hash);
            let slot = current.map(|current| current.slot).unwrap_or_else(|| self.slot_for_group(hash));
            self.publish_at(hash, slot, current, 1, *place, &record.header(), false);
            self.leases.revoke(hash);
        }
        group.store(before.wrapping_add(2), Ordering::Release);
        self.arena.superblock(superblock::GROUP_RECORDS).store(0, Ordering::Relaxed);
        self.announce(Change::Set, places, must_cover);
    }

    fn slot_for_group(&self, hash: u64) -> Slot {
        let bucket = Index::bucket_of(&self.arena, hash);
        loop {
            match self.index.vacancy(&self.arena, bucket) {
                Ok(slot) => return slot,
                // More keys of the group met in one bucket than the reckoning of `place_group` allows for. There is
                // no way back any more, so this once memory is allocated under the locks.
                Err(_) => {
                    assert!(self.allocate_chunks(), "no shared memory for the index in the middle of a group")
                }
            }
        }
    }
}

/// Chunks that suffice for the new keys of a group in an index that is no fuller than wanted: about a twentieth of
/// the keys need one.
#[cfg(not(loom))]
fn chunks_for(keys: usize) -> usize {
    keys / 8 + 64
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
