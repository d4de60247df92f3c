//! Durability `none`: values that RAM alone has, and the log only for want of room.
//!
//! What such a value replaces must not come back when it is gone. So where a lower tier may have the key, the log gets a
//! *cover*, a volatile tombstone with the version of the value, and that is durable before the write is acknowledged. A
//! value that leaves RAM is appended to the log as it is, and wins over its cover; it counts as long as its arena is there.
//! The index below keeps a row for a cover, so that a scan which walks the index still meets the key.

use super::Below;
use crate::feed::{Change, CHANGE_HEADER_BYTES, FEED_COVER, FEED_GROUP_MORE, FEED_SPILL};
use crate::layout::{superblock, Location};
use crate::log::{LoggedChange, ValueLog};
use crate::namespaces;
use crate::ops::Current;
use crate::record::{Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::Ordering;

/// The file that the arena's log begins with. Every opening begins a file of its own.
pub(super) fn first_file(store: &Store, log: &ValueLog) -> u32 {
    let word = store.arena.superblock(superblock::LOG_FIRST_FILE);
    let next = log.files().last().map_or(0, |file| file.number) + 1;
    // A log that has been removed under the arena begins with low numbers again.
    let first = match word.load(Ordering::Relaxed) as u32 {
        0 => next,
        first => first.min(next),
    };
    word.store(first as u64, Ordering::Relaxed);
    first
}

impl Below {
    /// Whether a change is a volatile value of an arena that is gone: a miss, which hides what it replaced.
    pub(super) fn is_of_the_past(&self, change: &LoggedChange) -> bool {
        change.header.is_volatile() && change.location.file < self.first_file
    }

    /// Sequence that must be durable before a volatile write, made until now, is acknowledged.
    pub fn covered(&self) -> u64 {
        self.covered.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Whether a change hides something that a lower tier may have without being logged itself. A volatile record has
    /// that behind it already. Under the shard lock, before the record is published.
    pub(crate) fn must_cover(
        &self,
        hash: u64,
        change: Change,
        header: &Header,
        current: Option<&Current>,
    ) -> bool {
        if self.below.get().is_none() || (!header.is_volatile() && change != Change::Delete) {
            return false;
        }
        if self.is_ram_only(header.namespace) {
            return false;
        }
        match current {
            // Not logged yet, it is not in the filter.
            Some(current) => !current.header.is_volatile() && change != Change::Touch,
            None => self.may_be_below(hash),
        }
    }

    /// Of a namespace of the store's own that no tier below has ever seen anything of.
    fn is_ram_only(&self, namespace: u32) -> bool {
        let own = [&self.locks.namespace, &self.limits_namespace];
        own.iter().any(|number| number.get() == Some(&namespace))
    }

    /// Whether the feed can take what writers do not wait for.
    pub(crate) fn has_room_to_spill(&self) -> bool {
        let unread = self.feed.sequence().saturating_sub(self.followed());
        unread < self.feed.capacity() as u64 / 4
    }

    /// Has a volatile record logged before it leaves RAM: the change to wait for. `None` when it may leave. Under the shard
    /// lock, with every change of its segment logged.
    pub(crate) fn spill_volatile(
        &self,
        header: &Header,
        key: &[u8],
        hash: u64,
        location: Location,
    ) -> Option<u64> {
        let below = self.below.get()?;
        if !header.is_volatile() || header.clock <= namespaces::epoch(&self.arena, header.namespace) {
            return None;
        }
        if self.is_ram_only(header.namespace) {
            return None;
        }
        // Expired, it still hides an older one that went down before.
        if header.is_expired(self.arena.expiry_now_ms()) && !self.may_be_below(hash) {
            return None;
        }
        let is_logged = below.tail.find(below.tail.key(header.namespace, key)).is_some_and(|entry| {
            !entry.is_deleted && (entry.clock, entry.expiry_clock) == (header.clock, header.expiry_clock)
        });
        (!is_logged).then(|| self.announce_with(Change::Set, &[location], FEED_SPILL))
    }
}

/// What the log takes of a feed batch: no volatile value but those that are spilled, and the deletes that cover what others
/// have replaced. Empty when there is nothing.
pub(super) fn loggable(bytes: Vec<u8>) -> Vec<u8> {
    if !changes(&bytes).any(is_volatile) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut last = None;
    for change in changes(&bytes) {
        let flags = change[9];
        let begin = out.len();
        if !is_volatile(change) || flags & FEED_SPILL != 0 {
            out.extend_from_slice(change);
            out[begin + 9] &= !(FEED_SPILL | FEED_COVER);
        } else if flags & FEED_COVER != 0 {
            pack_cover(change, &mut out);
        }
        if out.len() > begin {
            last = Some(begin);
        }
        // A group ends with the last of its changes that is logged.
        if flags & FEED_GROUP_MORE == 0 {
            if let Some(last) = last.take() {
                out[last + 9] &= !FEED_GROUP_MORE;
            }
        }
    }
    out
}

/// The changes of a batch, each padded to 8.
fn changes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let body = u32_at(rest, 12) as usize + u32_at(rest, 16) as usize;
        let (change, behind) = rest.split_at((CHANGE_HEADER_BYTES + body).next_multiple_of(8));
        rest = behind;
        Some(change)
    })
}

fn is_volatile(change: &[u8]) -> bool {
    change[8] != Change::Clear as u8 && header_of(change).is_volatile()
}

fn header_of(change: &[u8]) -> Header {
    let record_bytes = u32_at(change, 12) as usize;
    Header::of_bytes(&change[CHANGE_HEADER_BYTES..][..record_bytes]).expect("the feed packs records")
}

fn pack_cover(change: &[u8], out: &mut Vec<u8>) {
    let header = header_of(change);
    let record = &change[CHANGE_HEADER_BYTES..];
    let key = &record[header.key_at as usize..header.value_at()];
    let mut buffer = RecordBuffer::default();
    buffer.build(&Parts {
        namespace: header.namespace,
        key,
        is_tombstone: true,
        is_volatile: true,
        ..Parts::default()
    });
    buffer.stamp(header.clock);
    let mut head = [0; CHANGE_HEADER_BYTES];
    head[..8].copy_from_slice(&change[..8]);
    head[8] = Change::Delete as u8;
    head[9] = change[9] & FEED_GROUP_MORE;
    head[12..16].copy_from_slice(&(buffer.bytes().len() as u32).to_le_bytes());
    head[20..].copy_from_slice(&crc32fast::hash(buffer.bytes()).to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(buffer.bytes());
    out.resize(out.len().next_multiple_of(8), 0);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
