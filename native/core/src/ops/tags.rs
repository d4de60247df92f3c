//! Invalidation of tags: who writes, forgets and brings back their epochs. What they mean is in [`crate::tags`].

use super::write::{Current, Decision, Wish, SET};
use crate::arena::copy::copy_out;
use crate::error::{Code, Result, StoreError};
use crate::feed::{read_header, Change};
use crate::index::{Index, Walk};
use crate::layout::{shard_of, superblock, tag_of, Location, NAMESPACE_TAG_FLOOR, TAGS_BYTES_MAX};
use crate::record::{Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::{lock, Mutex, Ordering};
use crate::tags::{self, Meaning, TagKey, TAGS_PER_CALL_MAX, TAG_BYTES_MAX};
use std::collections::BTreeMap;

/// An epoch is kept for each of so many bytes of the budget: about two hundredths of it for all of them.
const BYTES_PER_EPOCH: u64 = 4096;
const EPOCHS_LEAST: u64 = 64;
/// Forgotten at a time, as a part of those that are kept.
const FORGET_SHARE: u64 = 64;
/// Heap that an entry of the list takes.
const HEAP_PER_EPOCH: usize = 32;

/// The epochs there are, oldest first: hashes of their keys, by clock word.
#[derive(Default)]
pub(crate) struct Epochs {
    /// LOCK: epochs. Innermost.
    by_clock: Mutex<BTreeMap<u64, u64>>,
}

impl Epochs {
    fn count(&self) -> u64 {
        lock(&self.by_clock).len() as u64
    }

    pub fn heap_bytes(&self) -> usize {
        lock(&self.by_clock).len() * HEAP_PER_EPOCH
    }
}

/// Where the rest of a record is, for who has its header.
#[derive(Clone, Copy)]
pub(crate) enum RecordAt<'a> {
    Ram(Location),
    /// All of its bytes.
    Bytes(&'a [u8]),
}

impl Store {
    /// Makes every entry of a namespace dead that has one of these tags (encoded as those of a record are) and was written
    /// before. Each tag is one write, however many entries have it. `ERR_RAMCACHE_CONFIG` for a tag that no entry can have.
    pub fn invalidate_tags(&self, namespace: u32, encoded: &[u8], buffer: &mut RecordBuffer) -> Result<()> {
        check_tags(encoded)?;
        if encoded.is_empty() {
            return Ok(());
        }
        let own = self.open_tags()?;
        for tag in tags::split(encoded) {
            self.write_tag_record(own, &TagKey::epoch(namespace, tag), buffer)?;
        }
        if self.watch.is_on() {
            // Which keys have the tag, nobody knows.
            self.watch.cleared(namespace);
        }
        while self.epochs.count() > self.epochs_max() {
            self.forget_epochs(own, buffer)?;
        }
        Ok(())
    }

    /// How many invalidated tags the store remembers.
    pub fn epochs_max(&self) -> u64 {
        (self.budget_bytes() / BYTES_PER_EPOCH).max(EPOCHS_LEAST)
    }

    /// Of a record that has tags.
    pub(crate) fn is_invalidated(&self, header: &Header, at: RecordAt) -> bool {
        if header.tags_bytes == 0 {
            return false;
        }
        let mut copied = [0; TAGS_BYTES_MAX];
        let encoded = match at {
            RecordAt::Bytes(bytes) => &bytes[header.tags_at()..][..header.tags_bytes as usize],
            RecordAt::Ram(location) => {
                let out = &mut copied[..header.tags_bytes as usize];
                let first = self.arena.record_byte(location).expect("inside its segment");
                copy_out(self.arena.data(), first, header.tags_at(), out);
                out
            }
        };
        tags::is_invalidated(&self.arena, header.namespace, header.clock, encoded)
    }

    /// The namespace of tags, with memory behind the table.
    pub(crate) fn open_tags(&self) -> Result<u32> {
        if let Some(own) = tags::namespace_of(&self.arena) {
            return Ok(own);
        }
        let own = self.namespace(tags::NAMESPACE_NAME)?;
        let geometry = self.arena.geometry();
        if !self.arena.data().allocate(geometry.tags_word() * 8, geometry.tag_words() * 8) {
            return Err(StoreError::new(Code::Full, "no shared memory left for the epochs of tags"));
        }
        // SYNC tags.
        self.arena.superblock(superblock::TAGS).store(own as u64 + 1, Ordering::Release);
        self.update_limit();
        Ok(own)
    }

    fn write_tag_record(&self, own: u32, key: &TagKey, buffer: &mut RecordBuffer) -> Result<()> {
        let key = key.bytes();
        buffer.build(&Parts { namespace: own, key, is_pinned: true, ..Parts::default() });
        let hash = self.hasher.hash(own, key);
        // Like a delete it makes room rather than taking it.
        self.commit(own, key, hash, Wish::removal(false).unseen(), buffer, |_, _| SET)?;
        Ok(())
    }

    /// Told of every record that a slot leads to from now on, after it does. Under the shard lock.
    pub(crate) fn note_tag_record(
        &self,
        header: &Header,
        location: Location,
        hash: u64,
        replaced: Option<&Current>,
    ) {
        if tags::namespace_of(&self.arena) != Some(header.namespace) {
            return;
        }
        let mut key = [0; 4 + TAG_BYTES_MAX];
        let Some(key) = key.get_mut(..header.key_bytes as usize) else { return };
        let first = self.arena.record_byte(location).expect("inside its segment");
        copy_out(self.arena.data(), first, header.key_at as usize, key);
        let mut by_clock = lock(&self.epochs.by_clock);
        if let Some(replaced) = replaced {
            by_clock.remove(&replaced.header.clock);
        }
        match tags::meaning_of(key) {
            _ if header.is_tombstone() => {}
            Some(Meaning::Epoch) => {
                by_clock.insert(header.clock, hash);
                // SYNC tags.
                self.arena.tag_epoch(hash).fetch_max(header.clock, Ordering::Release);
            }
            Some(Meaning::Floor(namespace, clock)) => {
                let floor = self.arena.namespace_word(namespace, NAMESPACE_TAG_FLOOR);
                // SYNC tags.
                floor.fetch_max(clock, Ordering::Release);
            }
            None => {}
        }
    }

    /// Forgets the oldest epochs: their namespaces get floors instead, first.
    fn forget_epochs(&self, own: u32, buffer: &mut RecordBuffer) -> Result<()> {
        let count = (self.epochs_max() / FORGET_SHARE).max(1) as usize;
        let oldest: Vec<(u64, u64)> =
            lock(&self.epochs.by_clock).iter().take(count).map(|(clock, hash)| (*clock, *hash)).collect();
        let mut keys = Vec::with_capacity(oldest.len());
        let mut floors = BTreeMap::new();
        for (clock, hash) in oldest {
            // One that is not there has been invalidated again meanwhile.
            let Some(key) = self.key_of_epoch(own, clock, hash) else { continue };
            floors.insert(u16::from_be_bytes([key[1], key[2]]) as u32, clock);
            keys.push((key, clock));
        }
        for (namespace, clock) in floors {
            let before = tags::floor(&self.arena, namespace);
            if clock > before {
                self.write_tag_record(own, &TagKey::floor(namespace, clock), buffer)?;
                self.remove_tag_record(own, TagKey::floor(namespace, before).bytes(), None, buffer)?;
            }
        }
        for (key, clock) in keys {
            self.remove_tag_record(own, &key, Some(clock), buffer)?;
        }
        Ok(())
    }

    fn key_of_epoch(&self, own: u32, clock: u64, hash: u64) -> Option<Vec<u8>> {
        let _shard = lock(&self.shards[shard_of(hash)]);
        let slots = Walk::new(&self.arena, Index::bucket_of(&self.arena, hash));
        for (_, word) in slots.filter(|(_, word)| word.tag() == tag_of(hash)) {
            let location = word.location();
            let header = read_header(&self.arena, location).expect("a published slot leads to a record");
            if header.namespace == own && header.clock == clock && !header.is_tombstone() {
                return Some(self.key_at(&header, location));
            }
        }
        None
    }

    /// With `clock`, only that version of it.
    fn remove_tag_record(
        &self,
        own: u32,
        key: &[u8],
        clock: Option<u64>,
        buffer: &mut RecordBuffer,
    ) -> Result<()> {
        buffer.build(&Parts { namespace: own, key, is_tombstone: true, ..Parts::default() });
        let hash = self.hasher.hash(own, key);
        let wish = Wish::removal(false).unseen();
        self.commit(own, key, hash, wish, buffer, |current, _| {
            let is_it =
                current.is_some_and(|current| clock.is_none_or(|clock| current.header.clock == clock));
            match is_it {
                true => Decision::Write { change: Change::Delete, keeps_clock: false, keeps_run: false },
                false => Decision::Refuse,
            }
        })?;
        Ok(())
    }

    /// An epoch or a floor of an earlier run, out of the index or the log. Before anything is read from below.
    pub(crate) fn restore_tag_record(&self, own: u32, key: &[u8], clock: u64) -> Result<()> {
        let hash = self.hasher.hash(own, key);
        let mut buffer = RecordBuffer::default();
        buffer.build(&Parts { namespace: own, key, is_pinned: true, ..Parts::default() });
        buffer.stamp(clock);
        loop {
            let lack = {
                let _shard = lock(&self.shards[shard_of(hash)]);
                self.ensure_open()?;
                let current = self.find(own, key, hash);
                if current.is_some_and(|current| current.header.clock >= clock) {
                    return Ok(());
                }
                let is_live = current.is_some();
                match self.publish(hash, current, is_live, false, false, &buffer) {
                    Ok(_) => break,
                    Err(lack) => lack,
                }
            };
            self.supply(lack)?;
        }
        self.clock_word().fetch_max(clock, Ordering::Relaxed);
        Ok(())
    }
}

fn check_tags(encoded: &[u8]) -> Result<()> {
    let (mut bytes, mut count) = (0, 0);
    for tag in tags::split(encoded) {
        if tag.is_empty() {
            return Err(StoreError::new(
                Code::Config,
                format!("tag of 0 bytes, allowed are 1 to {TAG_BYTES_MAX}"),
            ));
        }
        bytes += 1 + tag.len();
        count += 1;
    }
    if count > TAGS_PER_CALL_MAX {
        let message = format!("{count} tags to invalidate at a time, the limit is {TAGS_PER_CALL_MAX}");
        return Err(StoreError::new(Code::Config, message));
    }
    if bytes != encoded.len() {
        return Err(StoreError::new(Code::Config, "tags that end in the middle of one"));
    }
    Ok(())
}
