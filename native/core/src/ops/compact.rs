//! Compaction of run segments: the emptiest one is emptied into the holes of the others, so that its memory can be a
//! log segment again without evicting what happens to lie there.

use crate::arena::copy::copy_out;
use crate::feed::read_header;
use crate::index::{Index, Walk};
use crate::layout::{shard_of, Location, SlotWord};
use crate::record::{Parts, RecordBuffer};
use crate::segment::{copy_run, Extent};
use crate::store::Store;
use crate::sync::{lock, Ordering};

impl Store {
    /// Frees a segment by moving values, when enough is free in small pieces. Whether one was emptied; the record
    /// headers of its values have then moved to the heads of their logs.
    pub(crate) fn compact_runs(&self) -> bool {
        if !self.runs.is_sparse() {
            return false;
        }
        let Ok(_compacting) = self.compacting.try_lock() else { return false };
        for (extent, hash) in self.runs.begin_leaving() {
            if !self.move_run(extent, hash) {
                break;
            }
        }
        self.runs.end_leaving()
    }

    /// Moves the value an extent belongs to. True also when it has gone by itself.
    fn move_run(&self, extent: Extent, hash: u64) -> bool {
        let _shard = lock(&self.shards[shard_of(hash)]);
        if self.is_closed() {
            return false;
        }
        let owner = Walk::new(&self.arena, Index::bucket_of(&self.arena, hash))
            .filter(|(_, word)| word.is_entry())
            .find(|(_, word)| self.owns(word.location(), extent));
        let Some((slot, word)) = owner else { return true };
        let location = word.location();
        let header = read_header(&self.arena, location).expect("a published slot leads to a record");
        let old = self.extents_of(&header, location);
        let mut value = vec![0; header.value_bytes as usize];
        copy_run(&self.arena, self.runs.unit_bytes(), old.iter().copied(), &mut value);
        let Some(new) = self.runs.store(&self.arena, &self.segments, &value, hash, false) else {
            return false;
        };

        let extent_bytes: Vec<u8> = new.iter().flat_map(|extent| extent.bits().to_le_bytes()).collect();
        let first = self.arena.record_byte(location).expect("inside its segment");
        let mut key = vec![0; header.key_bytes as usize];
        copy_out(self.arena.data(), first, header.key_at as usize, &mut key);
        let mut tags = vec![0; header.tags_bytes as usize];
        copy_out(self.arena.data(), first, header.tags_at(), &mut tags);
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts {
            namespace: header.namespace,
            key: &key,
            value_type: header.value_type,
            value: &extent_bytes,
            run_bytes: Some(header.value_bytes),
            is_tombstone: false,
            is_pinned: header.flags & crate::record::FLAG_PINNED != 0,
            is_volatile: header.is_volatile(),
            ttl_ms: 0,
            expires_at: header.expires_at,
            expiry_clock: if header.expiry_clock == header.clock { 0 } else { header.expiry_clock },
            idle_ms: header.idle_ms,
            deadline: header.deadline,
            grace_ms: header.grace_ms,
            tags: &tags,
        });
        buffer.stamp(header.clock);
        let queue = self.queue_of(location);
        let Some(target) = self.log(queue).append(&self.arena, &self.segments, buffer.bytes(), true) else {
            self.runs.give(&self.arena, &self.segments, &new);
            return false;
        };
        // SYNC publish. Access byte and tag stay as they are.
        self.arena.slot(slot).store(SlotWord(word.0).moved_to(target).0, Ordering::Release);
        self.account_leave(queue, &header);
        self.account_enter(queue, &buffer.header());
        self.runs.give(&self.arena, &self.segments, &old);
        true
    }

    fn owns(&self, location: Location, extent: Extent) -> bool {
        let header = read_header(&self.arena, location).expect("a published slot leads to a record");
        self.extents_of(&header, location).iter().any(|other| other.unit == extent.unit)
    }
}
