//! Pinned entries: they never leave RAM, and take a limited part of it.

use super::write::{check_key, Current, Decision, Wish};
use crate::arena::copy::copy_out;
use crate::clock;
use crate::error::{Code, Result, StoreError};
use crate::feed::Change;
use crate::namespaces;
use crate::record::{Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::Ordering;

impl Store {
    /// Says of a namespace whether its entries are pinned when they are written.
    pub fn set_pins(&self, namespace: u32, pins: bool) {
        self.usage[namespace as usize].pins.store(pins, Ordering::Relaxed);
    }

    pub(crate) fn pins(&self, namespace: u32) -> bool {
        self.usage[namespace as usize].pins.load(Ordering::Relaxed)
    }

    /// Bytes that pinned records may take: half of what there is for entries, so that others have a place to pass through.
    pub fn pinned_bytes_max(&self) -> u64 {
        (self.segments.limit() * self.arena.geometry().segment_bytes / 2) as u64
    }

    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    /// Why a record is not pinned in place of another one, if it is not. What the store itself pins always is.
    pub(crate) fn pinned_excess(&self, header: &Header, current: Option<&Header>) -> Option<StoreError> {
        let charge = |header: &Header| if header.is_pinned() { self.charge_of(header) } else { 0 };
        self.pinned_excess_of(header.namespace, charge(header), current.map_or(0, charge))
    }

    /// The same of charges.
    pub(crate) fn pinned_excess_of(&self, namespace: u32, added: u64, replaced: u64) -> Option<StoreError> {
        if added <= replaced {
            return None;
        }
        let (total, limit) =
            ((self.pinned_bytes() + added).saturating_sub(replaced), self.pinned_bytes_max());
        let is_own = || namespaces::name(&self.arena, namespace).starts_with(' ');
        (total > limit && !is_own()).then(|| {
            let message = format!("pinned entries would take {total} bytes, the limit is {limit} bytes: half of the memory for entries");
            StoreError::new(Code::Full, message)
        })
    }

    /// Pins an entry or lets it go; value, version and expiry stay. Whether there is one.
    pub fn pin(
        &self,
        namespace: u32,
        key: &[u8],
        is_pinned: bool,
        buffer: &mut RecordBuffer,
    ) -> Result<bool> {
        check_key(key)?;
        let hash = self.hasher.hash(namespace, key);
        let mut body = Vec::new();
        let (mut is_there, mut excess) = (false, None);
        self.commit(namespace, key, hash, Wish::value(true).unseen(), buffer, |current, buffer| {
            let Some(Current { header, location, .. }) = current else { return Decision::Refuse };
            is_there = true;
            if header.is_pinned() == is_pinned {
                return Decision::Refuse;
            }
            body.resize(header.inline_bytes() + header.tags_bytes as usize, 0);
            let first = self.arena.record_byte(*location).expect("inside its segment");
            copy_out(self.arena.data(), first, header.value_at(), &mut body);
            let (value, tags) = body.split_at(header.inline_bytes());
            buffer.build(&Parts {
                namespace,
                key,
                value_type: header.value_type,
                value,
                run_bytes: header.is_run().then_some(header.value_bytes),
                is_pinned,
                // What is pinned survives a restart.
                is_volatile: header.is_volatile() && !is_pinned,
                expires_at: header.expires_at,
                // Newer than the record that says otherwise.
                expiry_clock: clock::tick(self.clock_word(), self.arena.wall_ms(), header.expiry_clock),
                idle_ms: header.idle_ms,
                deadline: header.deadline,
                grace_ms: header.grace_ms,
                tags,
                ..Parts::default()
            });
            excess = self.pinned_excess(&buffer.header(), Some(header));
            match excess {
                None => Decision::Write { change: Change::Touch, keeps_clock: true, keeps_run: true },
                Some(_) => Decision::Refuse,
            }
        })?;
        excess.map_or(Ok(is_there), Err)
    }
}
