//! Beginning and ending: the log is recovered and followed from then on; at the end it takes what is left.

use super::ceiling::Ceiling;
use super::{follow, names, Below};
use crate::clock::COUNTER_BITS;
use crate::error::{Code, Result, StoreError};
use crate::feed::{read_header, Change};
use crate::index::Walk;
use crate::layout::{shard_of, superblock, NAMESPACE_EPOCH};
use crate::log::{store_id_of, LogOptions, Position, Recovery, ValueLog, FILE_BYTES};
use crate::namespaces;
use crate::open::{random, OwnedStore};
use crate::store::Store;
use crate::sync::{lock, Ordering};
use crate::tags;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A writer is not between its clock reading and its place in the feed for longer than this.
const LOG_AGAIN_MS: u64 = 2000;
/// Slots looked at under one lock.
const SLOTS_AT_ONCE: usize = 16;

/// Where and how a store keeps what leaves RAM.
#[derive(Clone, Debug)]
pub struct BelowOptions {
    /// Directory of the log and the names; created when missing.
    pub dir: PathBuf,
    /// Where the committed index ends: the log is recovered from there.
    pub from: Position,
    /// Epochs that the index knows, by namespace.
    pub epochs: Vec<(u32, u64)>,
    /// Keys in the namespace of tags that the index knows, with their clock words.
    pub tags: Vec<(Vec<u8>, u64)>,
    /// Changes are durable this much later at the latest.
    pub sync_interval: Duration,
    pub file_bytes: u32,
    pub reserve_bytes: u64,
    /// A tier lies below this one: what its index does not have is asked for there.
    pub has_lower: bool,
}

impl BelowOptions {
    pub fn new(dir: &Path) -> BelowOptions {
        BelowOptions {
            dir: dir.to_owned(),
            from: Position::START,
            epochs: Vec::new(),
            tags: Vec::new(),
            sync_interval: Duration::from_secs(1),
            file_bytes: FILE_BYTES,
            reserve_bytes: 2 * FILE_BYTES as u64,
            has_lower: false,
        }
    }
}

/// A namespace and a key in it.
pub type PinnedKey = (u32, Vec<u8>);

/// What was there already.
#[derive(Debug)]
pub struct Started {
    pub recovery: Recovery,
    /// Of the log: what lies in another tier must name the same.
    pub store_id: u64,
    /// Volatile records in files before this one are of arenas that are gone.
    pub first_file: u32,
    /// Namespaces and keys of pinned records that the log has and the index may not.
    pub pinned: Vec<PinnedKey>,
}

impl OwnedStore {
    /// Gives a store that nobody has used yet its tiers below RAM. What the log says that the index does not know comes
    /// back into the log's own index; the values stay where they are.
    pub fn start_below(&self, options: &BelowOptions) -> Result<Started> {
        let store = self.shared();
        std::fs::create_dir_all(&options.dir).map_err(|error| {
            StoreError::new(Code::Unavailable, format!("cannot make {}: {error}", options.dir.display()))
        })?;
        let log_dir = options.dir.join("log");
        let found_id = if log_dir.exists() { store_id_of(&log_dir)? } else { None };
        if found_id.is_some() && !names::path_in(&options.dir).exists() {
            return Err(StoreError::new(
                Code::Corrupt,
                format!(
                    "{} is gone: without it nobody knows which namespace a record of the log is in",
                    names::path_in(&options.dir).display()
                ),
            ));
        }
        store.restore_names(&options.dir)?;
        std::fs::create_dir_all(&log_dir).map_err(|error| {
            StoreError::new(Code::Unavailable, format!("cannot make {}: {error}", log_dir.display()))
        })?;
        let store_id = match found_id {
            Some(id) => id,
            None => random()?,
        };
        let log_options =
            LogOptions { store_id, file_bytes: options.file_bytes, reserve_bytes: options.reserve_bytes };
        let ceiling = Ceiling::open(&options.dir)?;
        store.clock_word().fetch_max(ceiling.word(), Ordering::Relaxed);
        let below = Below::new(ValueLog::open(&log_dir, log_options)?, ceiling, options, &store);
        for (namespace, epoch) in &options.epochs {
            store.raise_epoch(*namespace, *epoch);
        }
        let (recovery, mut pinned) = below.recover(&store, options.from)?;
        below.restore_tags(&store, &options.tags, &mut pinned)?;
        below.keep_ceiling(&store, false)?;
        // Versions are compared over restarts, so they keep their origin and go on growing.
        store.arena().superblock(superblock::ORIGIN).store(store_id, Ordering::Relaxed);
        if store.below.set(below).is_err() {
            return Err(StoreError::new(Code::Config, "this store has its tiers already"));
        }
        // Of an arena that was taken over: adds would not reach the copies of its owner.
        store.filter_forget();
        store.update_limit();
        let below = store.below().expect("set above");
        below.progress.advance_logged(store.sequence());
        let thread = follow::start(store.clone(), store.sequence() + 1);
        *lock(&below.thread) = Some(thread);
        store.log_again()?;
        store.hold_drains(false);
        Ok(Started { recovery, store_id, first_file: below.first_file, pinned })
    }
}

impl Below {
    /// Every epoch of a tag is in RAM before anything is read from below. Takes their keys out of `pinned`.
    fn restore_tags(
        &self,
        store: &Store,
        rows: &[(Vec<u8>, u64)],
        pinned: &mut Vec<PinnedKey>,
    ) -> Result<()> {
        if namespaces::find(&store.arena, tags::NAMESPACE_NAME).is_none() {
            return Ok(());
        }
        let own = store.open_tags()?;
        for (key, clock) in rows {
            // What the log says is newer.
            if self.tail.find(self.tail.key(own, key)).is_none() {
                store.restore_tag_record(own, key, *clock)?;
            }
        }
        for (_, key) in pinned.extract_if(.., |(namespace, _)| *namespace == own) {
            let newest = self.tail.find(self.tail.key(own, &key));
            if let Some(newest) = newest.filter(|newest| !newest.is_deleted) {
                store.restore_tag_record(own, &key, newest.clock)?;
            }
        }
        Ok(())
    }
}

impl Store {
    /// Names of earlier runs get the numbers they had.
    fn restore_names(&self, dir: &Path) -> Result<()> {
        let _namespaces = lock(&self.namespaces);
        let known = names::load(dir)?;
        for (number, name) in known.iter().enumerate() {
            let found = namespaces::find_or_add(&self.arena, name)?;
            if found as usize != number {
                let message = format!("namespace {name:?} is number {found} in RAM and {number} on disk");
                return Err(StoreError::new(Code::Corrupt, message));
            }
        }
        if self.names().len() > known.len() {
            names::save(dir, &self.names())?;
        }
        Ok(())
    }

    /// What an arena that was taken over has and its log may not have got: everything written since a little before the
    /// newest change in the log. (Clock words come in the order of the feed but for writers under way at a time.)
    fn log_again(&self) -> Result<()> {
        let logged = self.arena.superblock(superblock::LOGGED_CLOCK).load(Ordering::Relaxed);
        let since = logged.saturating_sub(LOG_AGAIN_MS << COUNTER_BITS);
        for namespace in 0..namespaces::count(&self.arena) {
            let epoch = namespaces::epoch(&self.arena, namespace);
            if epoch > since {
                self.feed.push_clear(namespace, epoch);
            }
        }
        for bucket in 0..self.arena.bucket_count() {
            let mut done = 0;
            // In pieces: a chain may be longer than the feed.
            while self.log_slots_again(bucket, done, since)? {
                done += SLOTS_AT_ONCE;
            }
        }
        Ok(())
    }

    /// False at the end of the bucket. Nobody writes yet, so the slots stay where they are.
    fn log_slots_again(&self, bucket: u64, from: usize, since: u64) -> Result<bool> {
        self.await_log(SLOTS_AT_ONCE, true)?;
        let _shard = lock(&self.shards[shard_of(bucket)]);
        let mut slots = Walk::new(&self.arena, bucket).skip(from);
        for (_, word) in slots.by_ref().take(SLOTS_AT_ONCE).filter(|(_, word)| word.is_entry()) {
            let location = word.location();
            let header = read_header(&self.arena, location).expect("a published slot leads to a record");
            if header.clock.max(header.expiry_clock) <= since {
                continue;
            }
            if header.is_volatile() {
                // Its cover may have died with the owner, and nobody who writes over it asks again.
                self.announce(Change::Set, &[location], true);
                continue;
            }
            let change = match (header.is_tombstone(), header.expiry_clock == header.clock) {
                (true, _) => Change::Delete,
                (false, true) => Change::Set,
                (false, false) => Change::Touch,
            };
            self.announce(change, &[location], false);
        }
        Ok(slots.next().is_some())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        (0..namespaces::count(&self.arena)).map(|id| namespaces::name(&self.arena, id)).collect()
    }

    /// An epoch from below: what was cleared once stays cleared.
    pub(super) fn raise_epoch(&self, namespace: u32, epoch: u64) {
        if namespace < namespaces::count(&self.arena) {
            // SYNC epoch.
            self.arena.namespace_word(namespace, NAMESPACE_EPOCH).fetch_max(epoch, Ordering::Release);
        }
        self.clock_word().fetch_max(epoch, Ordering::Relaxed);
    }

    /// Ends the log: writers are refused from now on, what they have written is logged and synced, and what the log's own
    /// index knows is saved for the next start. Returns what the log failed with, if it did.
    pub fn stop_below(&self) -> Result<()> {
        let Some(below) = self.below() else { return Ok(()) };
        self.refuse_writes();
        below.misses.close();
        below.progress.begin_closing();
        let thread = lock(&below.thread).take();
        let is_first = thread.is_some();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        match below.progress.failure() {
            Some(failure) => Err(failure),
            None => {
                if is_first {
                    // Without it the next start reads the log.
                    let _ = below.save_tail(self);
                }
                Ok(())
            }
        }
    }
}
