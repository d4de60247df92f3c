//! The drain: takes the oldest records of a log one by one; keeps what the policy keeps, lets go of the rest.

use crate::arena::copy::copy_out;
use crate::arena::Slot;
use crate::evict::{Queue, Verdict};
use crate::feed::{pack_record, pack_run, read_header};
use crate::index::Index;
use crate::layout::{shard_of, Location, SlotWord, GRAIN_BYTES};
use crate::record::Header;
use crate::segment::{Extent, Front};
use crate::store::Store;
use crate::sync::{lock, Ordering};

/// Live bytes in hundredths of the capacity from which a full log means that something has to leave. Below it the
/// log is full of dead records, and keeping the live ones costs at most three bytes copied per byte freed.
const FULL_PERCENT: u64 = 75;

/// Keys up to this length are hashed on the stack.
const SHORT_KEY_BYTES: usize = 128;

/// What a slice of a drain has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Drained {
    /// Stepped over, or freed when that is more; 0 when there was nothing that could be drained.
    pub bytes: u64,
    /// A change that has to be logged before there is more to be had here.
    pub waits_for: Option<u64>,
}

impl Drained {
    /// Whether draining on at once makes sense.
    pub fn may_go_on(self) -> bool {
        self.bytes > 0 && self.waits_for.is_none()
    }
}

/// What a slice of a drain is to bring.
#[derive(Clone, Copy)]
struct Wanted {
    /// What is untouched leaves, however full the logs are.
    must_evict: bool,
    /// Others than those who are over their quota stay.
    spares_others: bool,
}

/// What became of one record.
enum Step {
    /// Done with; so many grains further lies the next one.
    Over(u32),
    /// Pinned, and nowhere else to go.
    Stays,
    /// Not before this change is logged.
    Waits(u64),
    /// The same, and the log has been told of it just now.
    Spills(u64),
}

impl Store {
    /// Steps over up to `records` records of a log.
    pub(crate) fn drain_slice(&self, queue: Queue, records: usize, must_evict: bool) -> Drained {
        let _drain = lock(&self.drains[queue as usize]);
        let log = self.log(queue);
        let ready = self.segments.ready_count();
        let mut bytes = 0;
        let mut freed = 0;
        let wanted = Wanted { must_evict, spares_others: !must_evict && self.is_any_over_quota() };
        let mut waits_for = self.segments.retire_followed(&self.arena, self.followed());
        // One look more than records: the last record of a segment frees it now, not at the next call.
        for look in 0..=records {
            match log.front(&self.arena) {
                Front::Drained(segment) => {
                    self.segments.retire_when_followed(&self.arena, segment, self.followed());
                    freed += self.arena.geometry().segment_bytes as u64;
                }
                Front::Record(location) if look < records => {
                    match self.drain_record(queue, location, wanted) {
                        Step::Over(grains) => {
                            log.advance(grains);
                            bytes += grains as u64 * GRAIN_BYTES as u64;
                        }
                        Step::Stays => break,
                        Step::Waits(change) => {
                            waits_for = Some(change);
                            break;
                        }
                        Step::Spills(change) => {
                            waits_for = Some(self.spill_ahead(queue, location, wanted).max(change));
                            break;
                        }
                    }
                }
                _ => break,
            }
        }
        if self.watch.is_on() && self.below.get().is_none() {
            self.watch.tell_evicted();
        }
        // A segment freed for one that the survivors have taken is nothing gained.
        if self.segments.ready_count() > ready {
            self.drained_in_vain.store(0, Ordering::Relaxed);
        } else {
            self.drained_in_vain.fetch_add(bytes, Ordering::Relaxed);
        }
        Drained { bytes: bytes.max(freed), waits_for }
    }

    fn drain_record(&self, queue: Queue, location: Location, wanted: Wanted) -> Step {
        let header = read_header(&self.arena, location).expect("the owner's logs hold records");
        let grains = header.record_grains() as u32;
        let hash = self.hash_of_record(&header, location);

        let _shard = lock(&self.shards[shard_of(hash)]);
        if self.is_closed() {
            return Step::Over(grains);
        }
        let Some(slot) = Index::find_location(&self.arena, hash, location) else { return Step::Over(grains) };
        if self.are_drains_held() {
            return Step::Stays;
        }
        // Under the lock, so that the change of a record that was published a moment ago is known.
        if let Some(change) = self.unlogged_change(location.segment) {
            return Step::Waits(change);
        }
        let access = self.arena.access_byte(slot).load(Ordering::Relaxed) & 3;
        match self.verdict(queue, &header, location, access, wanted) {
            Verdict::Keep { access } => {
                let is_kept = self.keep(queue, &header, location, slot, access);
                let is_pinned = header.flags & crate::record::FLAG_PINNED != 0;
                if !is_kept && is_pinned && self.is_live(&header, location) {
                    // No segment for it now: it stays where it is, and the drain stops here.
                    return Step::Stays;
                }
                if !is_kept {
                    if let Some(change) = self.spill_record(&header, location, hash) {
                        return Step::Spills(change);
                    }
                    self.evict(queue, &header, location, slot, hash, false);
                }
            }
            Verdict::Evict { ghost } => {
                if let Some(change) = self.spill_record(&header, location, hash) {
                    return Step::Spills(change);
                }
                self.evict(queue, &header, location, slot, hash, ghost);
            }
        }
        Step::Over(grains)
    }

    /// Tells the log of the volatile records behind one, which will leave next: one turn of the log for all of them
    /// instead of one for each. The last change to wait for, 0 when there is none.
    fn spill_ahead(&self, queue: Queue, from: Location, wanted: Wanted) -> u64 {
        let used = match self.log(queue).segments().0.first() {
            Some((segment, used)) if *segment == from.segment => *used,
            _ => return 0,
        };
        let mut last = 0;
        let mut location = from;
        loop {
            let header = read_header(&self.arena, location).expect("the owner's logs hold records");
            location.offset += header.record_grains() as u32;
            if location.offset >= used || !self.has_room_to_spill() {
                return last;
            }
            let header = read_header(&self.arena, location).expect("the owner's logs hold records");
            if !header.is_volatile() {
                continue;
            }
            let hash = self.hash_of_record(&header, location);
            let _shard = lock(&self.shards[shard_of(hash)]);
            if self.is_closed() {
                return last;
            }
            let Some(slot) = Index::find_location(&self.arena, hash, location) else { continue };
            let access = self.arena.access_byte(slot).load(Ordering::Relaxed) & 3;
            if matches!(self.verdict(queue, &header, location, access, wanted), Verdict::Evict { .. }) {
                last = self.spill_record(&header, location, hash).unwrap_or(last);
            }
        }
    }

    fn spill_record(&self, header: &Header, location: Location, hash: u64) -> Option<u64> {
        if !header.is_volatile() {
            return None;
        }
        self.spill_volatile(header, &self.key_at(header, location), hash, location)
    }

    pub(crate) fn key_at(&self, header: &Header, location: Location) -> Vec<u8> {
        let first = self.arena.record_byte(location).expect("inside its segment");
        let mut key = vec![0; header.key_bytes as usize];
        copy_out(self.arena.data(), first, header.key_at as usize, &mut key);
        key
    }

    fn verdict(
        &self,
        queue: Queue,
        header: &Header,
        location: Location,
        access: u8,
        wanted: Wanted,
    ) -> Verdict {
        // What a tombstone hides below has been overruled in the log by now.
        if !self.is_live(header, location) {
            return Verdict::Evict { ghost: false };
        }
        if header.flags & crate::record::FLAG_PINNED != 0 {
            return Verdict::Keep { access };
        }
        if self.is_over_quota(header.namespace) {
            return Verdict::Evict { ghost: queue == Queue::Small };
        }
        if wanted.spares_others {
            return Verdict::Keep { access };
        }
        let policy = self.policy();
        let live = self.charge(Queue::Small) + self.charge(Queue::Main);
        let is_full = wanted.must_evict || live * 100 >= policy.capacity * FULL_PERCENT;
        policy.verdict(queue, access, is_full)
    }

    /// Appends a record to the main log and publishes it there; its value in runs stays where it is.
    fn keep(&self, queue: Queue, header: &Header, location: Location, slot: Slot, access: u8) -> bool {
        let mut bytes = Vec::with_capacity(header.record_bytes());
        pack_record(&self.arena, location, &mut bytes).expect("read a moment ago");
        let Some(target) = self.main.append(&self.arena, &self.segments, &bytes, true) else { return false };
        self.arena.access_byte(slot).store(access, Ordering::Relaxed);
        let word = SlotWord(self.arena.slot(slot).load(Ordering::Relaxed));
        // SYNC publish.
        self.arena.slot(slot).store(word.moved_to(target).0, Ordering::Release);
        if queue != Queue::Main {
            self.account_leave(queue, header);
            self.account_enter(Queue::Main, header);
        }
        true
    }

    pub(crate) fn evict(
        &self,
        queue: Queue,
        header: &Header,
        location: Location,
        slot: Slot,
        hash: u64,
        ghost: bool,
    ) {
        if self.is_live(header, location) {
            self.spill.add(header.payload_bytes(), |out| self.pack_spilled(location, out));
            if self.watch.is_on() && self.below.get().is_none() {
                self.watch.note_evicted(header.namespace, self.key_at(header, location));
            }
        } else if !header.is_tombstone() && self.is_counted(header) && self.is_past(header) {
            self.totals.expired.fetch_add(1, Ordering::Relaxed);
        }
        if ghost {
            self.ghost.insert(hash);
        }
        self.account_leave(queue, header);
        let extents = self.extents_of(header, location);
        self.index.remove(&self.arena, Index::bucket_of(&self.arena, hash), slot);
        // What was read below before this record was written must not be promoted now that its slot is empty.
        self.tokens.bump(hash);
        self.runs.give(&self.arena, &self.segments, &extents);
    }

    fn pack_spilled(&self, location: Location, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + 8, 0);
        let header = pack_record(&self.arena, location, out).expect("read a moment ago");
        let record_bytes = out.len() - start - 8;
        let run_bytes = match header.is_run() {
            true => pack_run(&self.arena, self.runs.unit_bytes(), &header, start + 8, out),
            false => 0,
        };
        out[start..start + 4].copy_from_slice(&(record_bytes as u32).to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&(run_bytes as u32).to_le_bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    }

    /// The extents of a record's value, none when it lies in the record.
    pub(crate) fn extents_of(&self, header: &Header, location: Location) -> Vec<Extent> {
        if !header.is_run() {
            return Vec::new();
        }
        let mut bits = vec![0; header.inline_bytes()];
        let first = self.arena.record_byte(location).expect("inside its segment");
        copy_out(self.arena.data(), first, header.value_at(), &mut bits);
        bits.chunks_exact(8)
            .map(|bits| Extent::from_bits(u64::from_le_bytes(bits.try_into().expect("eight bytes"))))
            .collect()
    }

    /// The hash of the key a slot leads to. Call it under the lock of the slot's shard.
    pub(crate) fn hash_at(&self, location: Location) -> u64 {
        let header = read_header(&self.arena, location).expect("a published slot leads to a record");
        self.hash_of_record(&header, location)
    }

    pub(crate) fn hash_of_record(&self, header: &Header, location: Location) -> u64 {
        let first = self.arena.record_byte(location).expect("inside its segment");
        let copy_and_hash = |key: &mut [u8]| {
            copy_out(self.arena.data(), first, header.key_at as usize, key);
            self.hasher.hash(header.namespace, key)
        };
        match header.key_bytes as usize {
            bytes @ ..=SHORT_KEY_BYTES => copy_and_hash(&mut [0; SHORT_KEY_BYTES][..bytes]),
            bytes => copy_and_hash(&mut vec![0; bytes]),
        }
    }
}
