//! The way up: what a read of a lower tier found becomes a record in RAM again, or the knowledge that there is
//! nothing. Neither is a change: version and times stay. The feed hears nothing of it, unless the record is to be logged
//! once more because it comes from below the log.

use super::write::Current;
use crate::error::Result;
use crate::feed::Change;
use crate::index::Lack;
use crate::layout::shard_of;
use crate::record::{Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::lock;

/// Clock word of a record that says that there is nothing: older than any version.
const NOTHING: u64 = 0;

impl Store {
    /// Publishes a record found below, with its value behind it when that lay in runs. False when the key's stripe has
    /// changed since `token` was taken: then what was found may be out of date. `is_logged_again`: it goes to the head of
    /// the log as well, so that it is in the SSD tier when it leaves RAM.
    pub fn promote(
        &self,
        record: &[u8],
        record_bytes: usize,
        token: u32,
        is_logged_again: bool,
    ) -> Result<bool> {
        let header = Header::of_bytes(&record[..record_bytes]).expect("the log gives whole records");
        let key = &record[header.key_at as usize..header.value_at()];
        let tags = &record[header.tags_at()..header.tags_at() + header.tags_bytes as usize];
        let value = match header.is_run() {
            true => &record[record_bytes..],
            false => &record[header.value_at()..header.value_at() + header.value_bytes as usize],
        };
        if value.len() > self.value_bytes_max() {
            return Ok(false);
        }
        let hash = self.hasher.hash(header.namespace, key);
        let _building = self.gate(value.len());
        let (extents, extent_bytes) = self.store_run(value, hash)?;
        let mut buffer = RecordBuffer::default();
        // Of what was pinned with more memory a part may stay below.
        let is_pinned = header.is_pinned() && self.pinned_excess(&header, None).is_none();
        buffer.build(&Parts {
            namespace: header.namespace,
            key,
            value_type: header.value_type,
            value: if extents.is_empty() { value } else { &extent_bytes },
            run_bytes: (!extents.is_empty()).then_some(value.len() as u32),
            is_pinned,
            is_volatile: header.is_volatile(),
            expires_at: header.expires_at,
            expiry_clock: if header.expiry_clock == header.clock { 0 } else { header.expiry_clock },
            idle_ms: header.idle_ms,
            deadline: header.deadline,
            grace_ms: header.grace_ms,
            tags,
            ..Parts::default()
        });
        buffer.stamp(header.clock);
        let again = is_logged_again.then_some(match header.expiry_clock == header.clock {
            true => Change::Set,
            false => Change::Touch,
        });
        let published = self.publish_unless_changed(header.namespace, key, hash, token, &buffer, again);
        if !matches!(published, Ok(true)) {
            self.runs.give(&self.arena, &self.segments, &extents);
        }
        published
    }

    /// Publishes that there is nothing under a key in any tier. False when the stripe has changed meanwhile.
    pub fn promote_absence(&self, namespace: u32, key: &[u8], token: u32) -> Result<bool> {
        let hash = self.hasher.hash(namespace, key);
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts { namespace, key, is_tombstone: true, ..Parts::default() });
        buffer.stamp(NOTHING);
        self.publish_unless_changed(namespace, key, hash, token, &buffer, None)
    }

    fn publish_unless_changed(
        &self,
        namespace: u32,
        key: &[u8],
        hash: u64,
        token: u32,
        buffer: &RecordBuffer,
        again: Option<Change>,
    ) -> Result<bool> {
        if again.is_some() {
            self.await_log(1, false)?;
        }
        loop {
            let lack: Lack = {
                let _shard = lock(&self.shards[shard_of(hash)]);
                self.ensure_open()?;
                let current: Option<Current> = self.find(namespace, key, hash);
                if current.is_some() || !self.tokens.is_unchanged(hash, token) {
                    return Ok(false);
                }
                match self.publish(hash, None, false, false, false, buffer) {
                    Ok(location) => {
                        if let Some(change) = again {
                            self.announce(change, &[location], false);
                        }
                        break;
                    }
                    Err(lack) => lack,
                }
            };
            self.supply(lack)?;
        }
        self.pace();
        Ok(true)
    }
}
