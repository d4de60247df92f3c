//! Accounting: what is alive, where it is charged, and the counts that `check` compares with what it finds.

use super::RecordAt;
use crate::evict::Queue;
use crate::layout::Location;
use crate::namespaces;
use crate::record::Header;
use crate::segment::Kind;
use crate::store::{Counting, Store};
use crate::sync::Ordering;

impl Store {
    /// Whether it is an answer.
    pub(crate) fn is_live(&self, header: &Header, location: Location) -> bool {
        !self.is_dead(header, RecordAt::Ram(location)) && !self.is_stale(header)
    }

    pub(crate) fn is_stale(&self, header: &Header) -> bool {
        header.expires_at != 0 && header.is_stale(self.arena.expiry_now_ms())
    }

    /// Deleted, cleared, expired with its grace, or invalidated by a tag: nobody gets it.
    pub(crate) fn is_dead(&self, header: &Header, at: RecordAt) -> bool {
        header.is_tombstone()
            || !self.is_counted(header)
            || self.is_past(header)
            || self.is_invalidated(header, at)
    }

    /// Whether it has expired. Most never do, and for them nobody looks at the clock.
    pub(crate) fn is_past(&self, header: &Header) -> bool {
        header.expires_at != 0 && header.is_expired(self.arena.expiry_now_ms())
    }

    /// Whether a record is newer than the last clear of its namespace; older ones are in no count any more.
    pub(crate) fn is_counted(&self, header: &Header) -> bool {
        header.clock > namespaces::epoch(&self.arena, header.namespace)
    }

    pub(crate) fn queue_of(&self, location: Location) -> Queue {
        match self.segments.kind(location.segment) {
            Kind::Main => Queue::Main,
            _ => Queue::Small,
        }
    }

    pub(crate) fn charge_of(&self, header: &Header) -> u64 {
        match self.counting {
            Counting::Payload if header.is_tombstone() => 0,
            Counting::Payload => header.payload_bytes(),
            Counting::Everything => {
                let run_bytes =
                    if header.is_run() { self.runs.footprint(header.value_bytes as usize) } else { 0 };
                header.record_bytes() as u64 + run_bytes
            }
        }
    }

    pub(crate) fn account_enter(&self, queue: Queue, header: &Header) {
        // A cleared record may still be moved.
        if !self.is_counted(header) {
            return;
        }
        let usage = &self.usage[header.namespace as usize];
        if header.is_volatile() && !usage.has_volatile.load(Ordering::Relaxed) {
            usage.has_volatile.store(true, Ordering::Relaxed);
        }
        let charge = self.charge_of(header);
        self.charges[queue as usize].fetch_add(charge, Ordering::Relaxed);
        usage.charges[queue as usize].fetch_add(charge, Ordering::Relaxed);
        if header.is_pinned() {
            self.pinned_bytes.fetch_add(charge, Ordering::Relaxed);
            usage.pinned_bytes.fetch_add(charge, Ordering::Relaxed);
        }
        if !header.is_tombstone() {
            self.entries.fetch_add(1, Ordering::Relaxed);
            usage.entries.fetch_add(1, Ordering::Relaxed);
            self.payload_bytes.fetch_add(header.payload_bytes(), Ordering::Relaxed);
            usage.payload_bytes.fetch_add(header.payload_bytes(), Ordering::Relaxed);
        }
    }

    /// Whether RAM may have entries that a scan of the index below does not find.
    pub fn may_have_volatile(&self, namespace: u32) -> bool {
        self.usage[namespace as usize].has_volatile.load(Ordering::Relaxed)
    }

    pub(crate) fn account_leave(&self, queue: Queue, header: &Header) {
        if !self.is_counted(header) {
            return;
        }
        let usage = &self.usage[header.namespace as usize];
        let charge = self.charge_of(header);
        self.charges[queue as usize].fetch_sub(charge, Ordering::Relaxed);
        usage.charges[queue as usize].fetch_sub(charge, Ordering::Relaxed);
        if header.is_pinned() {
            self.pinned_bytes.fetch_sub(charge, Ordering::Relaxed);
            usage.pinned_bytes.fetch_sub(charge, Ordering::Relaxed);
        }
        if !header.is_tombstone() {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            usage.entries.fetch_sub(1, Ordering::Relaxed);
            self.payload_bytes.fetch_sub(header.payload_bytes(), Ordering::Relaxed);
            usage.payload_bytes.fetch_sub(header.payload_bytes(), Ordering::Relaxed);
        }
    }
}
