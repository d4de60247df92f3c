//! The whole-arena walk: every structure that has two halves is compared with its other half.
//! For tests, recovery and `doctor`; it stops all writers while it runs.

use crate::arena::copy::copy_out;
use crate::error::{Code, Result, StoreError};
use crate::evict::Queue;
use crate::feed::read_header;
use crate::index::Walk;
use crate::layout::{bucket_of, tag_of, Location};
use crate::namespaces;
use crate::store::Store;
use crate::sync::{lock, Ordering};
use std::collections::{HashMap, HashSet};

/// What a walk has seen.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Slots that lead to a record, dead ones included.
    pub slots: u64,
    /// Records newer than the last clear of their namespace, tombstones not included.
    pub entries: u64,
    pub payload_bytes: u64,
    /// Charges of pinned records.
    pub pinned_bytes: u64,
    pub run_units: u64,
}

fn corrupt<T>(message: String) -> Result<T> {
    Err(StoreError::new(Code::Corrupt, message))
}

impl Store {
    /// Walks index, records, logs and runs. `ERR_RAMCACHE_CORRUPT` names the first thing that disagrees.
    pub fn check(&self) -> Result<Walked> {
        let _building = self.building.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _compacting = lock(&self.compacting);
        let _drains: Vec<_> = self.drains.iter().map(lock).collect();
        let _shards: Vec<_> = self.shards.iter().map(lock).collect();
        self.ensure_open()?;
        let log_ends = self.check_logs()?;
        let mut walked = Walked::default();
        let mut seen = HashSet::new();
        let mut usage: HashMap<u32, (u64, u64)> = HashMap::new();
        for bucket in 0..self.arena.bucket_count() {
            for (_, word) in Walk::new(&self.arena, bucket) {
                if word.is_empty() {
                    continue;
                }
                let location = word.location();
                self.check_location(location, &log_ends)?;
                if !seen.insert(location) {
                    return corrupt(format!("two slots lead to {location:?}"));
                }
                self.check_slot(bucket, word, location, &mut walked, &mut usage)?;
            }
        }
        let occupied = self.index.occupied.load(Ordering::Relaxed);
        if occupied != walked.slots {
            return corrupt(format!("{occupied} slots counted, {} found", walked.slots));
        }
        self.check_totals(&walked, &usage)?;
        Ok(walked)
    }

    /// Used words of every log segment, and where its live part begins.
    fn check_logs(&self) -> Result<HashMap<u32, (u32, u32)>> {
        let mut ends = HashMap::new();
        let mut in_use = self.runs.usage().1;
        for queue in [Queue::Small, Queue::Main] {
            let (segments, drained) = self.log(queue).segments();
            in_use += segments.len();
            for (index, (segment, used)) in segments.iter().enumerate() {
                let from = if index == 0 { drained } else { 0 };
                if ends.insert(*segment, (from, *used)).is_some() {
                    return corrupt(format!("segment {segment} is in two logs"));
                }
                self.check_segment(*segment, *used)?;
            }
        }
        let (_, counted) = self.segments.counts();
        if counted != in_use {
            return corrupt(format!("{counted} segments counted in use, {in_use} found"));
        }
        Ok(ends)
    }

    /// Records lie end to end up to the used mark.
    fn check_segment(&self, segment: u32, used: u32) -> Result<()> {
        let generation = self.arena.generation(segment).load(Ordering::Relaxed);
        let mut offset = 0;
        while offset < used {
            match read_header(&self.arena, Location::new(segment, generation, offset)) {
                Some(header) => offset += header.record_grains() as u32,
                None => return corrupt(format!("segment {segment} has no record at grain {offset}")),
            }
        }
        if offset != used {
            return corrupt(format!("the last record of segment {segment} ends at {offset}, not at {used}"));
        }
        Ok(())
    }

    fn check_location(&self, location: Location, ends: &HashMap<u32, (u32, u32)>) -> Result<()> {
        let generation = self.arena.generation(location.segment).load(Ordering::Relaxed);
        let is_inside =
            ends.get(&location.segment).is_some_and(|(from, to)| (*from..*to).contains(&location.offset));
        if !is_inside || !location.is_of_generation(generation as u32) {
            return corrupt(format!("{location:?} lies outside the logs (generation {generation})"));
        }
        Ok(())
    }

    fn check_slot(
        &self,
        bucket: u64,
        word: crate::layout::SlotWord,
        location: Location,
        walked: &mut Walked,
        usage: &mut HashMap<u32, (u64, u64)>,
    ) -> Result<()> {
        let Some(header) = read_header(&self.arena, location) else {
            return corrupt(format!("no record at {location:?}"));
        };
        let mut key = vec![0; header.key_bytes as usize];
        let first = self.arena.record_byte(location).expect("checked before");
        copy_out(self.arena.data(), first, header.key_at as usize, &mut key);
        let hash = self.hasher.hash(header.namespace, &key);
        if bucket_of(hash, self.arena.bucket_count()) != bucket || tag_of(hash) != word.tag() {
            return corrupt(format!("the key at {location:?} does not belong to bucket {bucket}"));
        }
        if word.is_special() != header.is_special() {
            return corrupt(format!("the special bit of {location:?} is {}", word.is_special()));
        }
        walked.slots += 1;
        for extent in self.extents_of(&header, location) {
            if !self.runs.is_taken(extent) {
                return corrupt(format!("{extent:?} of {location:?} is not taken"));
            }
            walked.run_units += extent.units as u64;
        }
        if !header.is_tombstone() && header.clock > namespaces::epoch(&self.arena, header.namespace) {
            walked.entries += 1;
            walked.payload_bytes += header.payload_bytes();
            walked.pinned_bytes += if header.is_pinned() { self.charge_of(&header) } else { 0 };
            let of_namespace = usage.entry(header.namespace).or_default();
            of_namespace.0 += 1;
            of_namespace.1 += header.payload_bytes();
        }
        Ok(())
    }

    fn check_totals(&self, walked: &Walked, usage: &HashMap<u32, (u64, u64)>) -> Result<()> {
        let counted = (self.entries(), self.payload_bytes(), self.runs.usage().0);
        let found = (walked.entries, walked.payload_bytes, walked.run_units);
        if counted != found {
            return corrupt(format!(
                "entries, bytes, run units are counted as {counted:?} and found as {found:?}"
            ));
        }
        if self.pinned_bytes() != walked.pinned_bytes {
            let (counted, found) = (self.pinned_bytes(), walked.pinned_bytes);
            return corrupt(format!("pinned bytes are counted as {counted} and found as {found}"));
        }
        for namespace in 0..namespaces::count(&self.arena) {
            let found = usage.get(&namespace).copied().unwrap_or_default();
            if self.usage(namespace) != found {
                let counted = self.usage(namespace);
                return corrupt(format!(
                    "namespace {namespace} is counted as {counted:?} and found as {found:?}"
                ));
            }
        }
        Ok(())
    }
}
