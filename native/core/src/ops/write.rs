//! The write: reserve, fill, publish, release. All of it under the lock of the key's shard, none of it over a
//! system call: whoever finds no room unlocks, makes room and starts again.

use super::RecordAt;
use crate::arena::copy::equals;
use crate::arena::Slot;
use crate::clock;
use crate::error::{Code, Result, StoreError};
use crate::feed::{read_header, Change};
use crate::index::{Index, Lack, Walk};
use crate::layout::{shard_of, superblock, tag_of, Location, SlotWord, KEY_BYTES_MAX, TAGS_BYTES_MAX};
use crate::namespaces;
use crate::record::{Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::{lock, Ordering};
use crate::tags;

/// What orders two writes of a key. The fence is 0 until leases exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    pub clock: u64,
    pub origin: u64,
}

/// When a write is made at all.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Conditions {
    pub if_version: Option<Version>,
    pub if_absent: bool,
    pub if_present: bool,
    /// What RAM does not have is not there: of entries that are pinned, which never leave it.
    pub ram_decides: bool,
    /// The token of a lease: the key has not changed since it was granted, nor has its namespace been cleared.
    pub lease: Option<u64>,
}

impl Conditions {
    /// Whether the decision depends on what there is, in whatever tier.
    fn needs_truth(&self) -> bool {
        !self.ram_decides && (self.if_version.is_some() || self.if_absent || self.if_present)
    }
}

/// A value to store and how. Times are milliseconds, 0 = none.
#[derive(Clone, Copy, Default, Debug)]
pub struct WriteRequest<'a> {
    pub namespace: u32,
    pub key: &'a [u8],
    pub value_type: u8,
    pub value: &'a [u8],
    pub ttl_ms: u64,
    pub idle_ms: u64,
    /// Instead of what follows from the two above, in milliseconds since 1970: of an entry that lived elsewhere before.
    pub expires_at: u64,
    /// With `expires_at`: latest end of a sliding entry.
    pub deadline: u64,
    /// How long the value is kept after its expiry, for who takes a stale one.
    pub grace_ms: u64,
    /// Encoded tags: for each a length byte and its bytes.
    pub tags: &'a [u8],
    pub is_pinned: bool,
    /// Durability `none`: see [`crate::record::FLAG_VOLATILE`].
    pub is_volatile: bool,
    pub conditions: Conditions,
}

/// The answer of a conditional write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Written(Version),
    Refused,
}

/// A record a slot leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current {
    pub slot: Slot,
    pub location: Location,
    pub header: Header,
}

/// What a commit finds under the lock, and what it is told to do.
pub(crate) enum Decision {
    Refuse,
    Write { change: Change, keeps_clock: bool, keeps_run: bool },
}

/// What a commit has to know before it looks.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    /// The decision depends on what there is, in whatever tier: `Code::Cold` when RAM does not know.
    needs_truth: bool,
    /// It brings no value, so a full disk does not keep it out.
    is_removal: bool,
    /// What a read gives stays the same: no observer is told.
    is_unseen: bool,
    /// The clock word of what is written, newer than all that it replaces, instead of a reading of the clock.
    clock: Option<u64>,
}

impl Wish {
    pub fn value(needs_truth: bool) -> Wish {
        Wish { needs_truth, is_removal: false, is_unseen: false, clock: None }
    }

    /// Of a change that readers do not see.
    pub fn unseen(self) -> Wish {
        Wish { is_unseen: true, ..self }
    }

    pub(crate) fn removal(needs_truth: bool) -> Wish {
        Wish { needs_truth, is_removal: true, is_unseen: false, clock: None }
    }
}

pub(crate) const SET: Decision =
    Decision::Write { change: Change::Set, keeps_clock: false, keeps_run: false };

impl Store {
    /// Stores a value. `ERR_RAMCACHE_KEY`, `_VALUE`, `_CONFIG` for what exceeds a limit, `_FULL` without room.
    pub fn set(&self, request: &WriteRequest, buffer: &mut RecordBuffer) -> Result<Outcome> {
        self.check_request(request)?;
        self.fit_payload((request.key.len() + request.value.len()) as u64);
        let _building = self.gate(request.value.len());
        let extents = self.build(request, buffer)?;
        let hash = self.hasher.hash(request.namespace, request.key);
        let conditions = request.conditions;
        let origin = self.origin();
        let needs_truth = conditions.needs_truth();
        let mut excess = None;
        let written = self.commit(
            request.namespace,
            request.key,
            hash,
            // As old as what it was computed from: a tag that is invalidated at this moment takes it too.
            Wish { clock: conditions.lease, ..Wish::value(needs_truth) },
            buffer,
            |current, buffer| {
                let holds = match current {
                    None => conditions.if_version.is_none() && !conditions.if_present,
                    Some(current) => {
                        let version = Version { clock: current.header.clock, origin };
                        !conditions.if_absent && conditions.if_version.is_none_or(|wanted| wanted == version)
                    }
                };
                let holds = holds && self.is_lease_good(request, hash);
                excess = match holds {
                    true => self.pinned_excess(&buffer.header(), current.map(|current| &current.header)),
                    false => None,
                };
                match holds && excess.is_none() {
                    true => SET,
                    false => Decision::Refuse,
                }
            },
        );
        if !matches!(written, Ok(Some(_))) {
            self.runs.give(&self.arena, &self.segments, &extents);
        }
        let Some(clock) = written? else { return excess.map_or(Ok(Outcome::Refused), Err) };
        self.totals.sets.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Written(Version { clock, origin }))
    }

    /// Under the lock of the shard.
    fn is_lease_good(&self, request: &WriteRequest, hash: u64) -> bool {
        request.conditions.lease.is_none_or(|token| {
            token > namespaces::epoch(&self.arena, request.namespace)
                && !tags::is_invalidated(&self.arena, request.namespace, token, request.tags)
                && self.leases.is_held(hash, token)
        })
    }

    /// Removes an entry; with `if_version` only that version of it. Whether one was removed.
    pub fn delete(
        &self,
        namespace: u32,
        key: &[u8],
        if_version: Option<Version>,
        buffer: &mut RecordBuffer,
    ) -> Result<bool> {
        check_key(key)?;
        buffer.build(&Parts { namespace, key, is_tombstone: true, ..Parts::default() });
        let hash = self.hasher.hash(namespace, key);
        let origin = self.origin();
        let mut was_live = false;
        let written = self.commit(namespace, key, hash, Wish::removal(true), buffer, |current, _| {
            let holds = current.is_some_and(|current| {
                was_live = self.is_live(&current.header, current.location);
                let version = Version { clock: current.header.clock, origin };
                if_version.is_none_or(|wanted| wanted == version)
            });
            if holds {
                Decision::Write { change: Change::Delete, keeps_clock: false, keeps_run: false }
            } else {
                Decision::Refuse
            }
        })?;
        let is_removed = written.is_some() && was_live;
        if is_removed {
            self.totals.deletes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(is_removed)
    }

    /// Removes whatever there may be under a key, in whatever tier, without asking for it.
    pub fn discard(&self, namespace: u32, key: &[u8], buffer: &mut RecordBuffer) -> Result<()> {
        check_key(key)?;
        buffer.build(&Parts { namespace, key, is_tombstone: true, ..Parts::default() });
        let hash = self.hasher.hash(namespace, key);
        let written = self.commit(namespace, key, hash, Wish::removal(false), buffer, |current, _| {
            if current.is_none() && !self.may_be_below(hash) {
                return Decision::Refuse;
            }
            Decision::Write { change: Change::Delete, keeps_clock: false, keeps_run: false }
        })?;
        if written.is_some() {
            self.totals.deletes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Held from the taking of runs to their publication, so that a check never finds any in between.
    pub(crate) fn gate(&self, value_bytes: usize) -> Option<std::sync::RwLockReadGuard<'_, ()>> {
        (value_bytes > self.inline_bytes_max())
            .then(|| self.building.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Builds the record of a request; a large value is written to runs first, whose extents are returned.
    pub(crate) fn build(
        &self,
        request: &WriteRequest,
        buffer: &mut RecordBuffer,
    ) -> Result<Vec<crate::segment::Extent>> {
        let hash = self.hasher.hash(request.namespace, request.key);
        let (extents, extent_bytes) = self.store_run(request.value, hash)?;
        let is_run = !extents.is_empty();
        let is_pinned = request.is_pinned || self.pins(request.namespace);
        // With both, the entry slides, and ends at its ttl at the latest.
        let lifetime = match (request.idle_ms, request.ttl_ms) {
            (0, ttl_ms) => ttl_ms,
            (idle_ms, 0) => idle_ms,
            (idle_ms, ttl_ms) => idle_ms.min(ttl_ms),
        };
        // From now on, not from the clock word on.
        let lifetime = match request.conditions.lease {
            Some(token) if lifetime != 0 => {
                lifetime + self.arena.expiry_now_ms().saturating_sub(clock::ms_of(token))
            }
            _ => lifetime,
        };
        let has_both = request.idle_ms != 0 && request.ttl_ms != 0;
        let is_given = request.expires_at != 0;
        let is_relative = lifetime <= u32::MAX as u64 && !is_given;
        let expires_at = match (is_given, is_relative) {
            (true, _) => request.expires_at,
            (false, true) => 0,
            (false, false) => self.absolute(lifetime),
        };
        let deadline = match (is_given, has_both) {
            (true, _) => request.deadline,
            (false, true) => self.absolute(request.ttl_ms),
            (false, false) => 0,
        };
        buffer.build(&Parts {
            namespace: request.namespace,
            key: request.key,
            value_type: request.value_type,
            value: if is_run { &extent_bytes } else { request.value },
            run_bytes: is_run.then_some(request.value.len() as u32),
            is_pinned,
            is_volatile: request.is_volatile && !is_pinned,
            ttl_ms: if is_relative { lifetime } else { 0 },
            expires_at,
            idle_ms: request.idle_ms as u32,
            deadline,
            grace_ms: if lifetime == 0 && !is_given { 0 } else { request.grace_ms as u32 },
            tags: request.tags,
            ..Parts::default()
        });
        Ok(extents)
    }

    /// Writes a large value to runs: its extents, and their bytes for the record. Nothing for a small one.
    pub(crate) fn store_run(
        &self,
        value: &[u8],
        hash: u64,
    ) -> Result<(Vec<crate::segment::Extent>, Vec<u8>)> {
        if value.len() <= self.inline_bytes_max() {
            return Ok(Default::default());
        }
        let log_bytes = self.small.bytes() + self.main.bytes();
        let mut drained_bytes = 0;
        loop {
            if let Some(extents) = self.runs.store(&self.arena, &self.segments, value, hash, true) {
                let bytes = extents.iter().flat_map(|extent| extent.bits().to_le_bytes()).collect();
                return Ok((extents, bytes));
            }
            self.make_room_for_run(&mut drained_bytes, log_bytes)?;
        }
    }

    pub(crate) fn check_request(&self, request: &WriteRequest) -> Result<()> {
        check_key(request.key)?;
        let limit = self.value_bytes_max();
        if request.value.len() > limit {
            let message = format!("value of {} bytes, the limit is {limit} bytes", request.value.len());
            return Err(StoreError::new(Code::Value, message));
        }
        if request.tags.len() > TAGS_BYTES_MAX {
            let message =
                format!("tags of {} bytes, the limit is {TAGS_BYTES_MAX} bytes", request.tags.len());
            return Err(StoreError::new(Code::Value, message));
        }
        for (name, ms) in [("idle", request.idle_ms), ("grace", request.grace_ms)] {
            if ms > u32::MAX as u64 {
                let message = format!("{name} of {ms} ms, the limit is {} ms", u32::MAX);
                return Err(StoreError::new(Code::Config, message));
            }
        }
        Ok(())
    }

    /// One change of one key. `decide` sees the live record and builds what replaces it, or refuses; it may be called
    /// more than once. The clock word of what was written, or `None` when refused.
    pub(crate) fn commit(
        &self,
        namespace: u32,
        key: &[u8],
        hash: u64,
        wish: Wish,
        buffer: &mut RecordBuffer,
        mut decide: impl FnMut(Option<&Current>, &mut RecordBuffer) -> Decision,
    ) -> Result<Option<u64>> {
        let mut is_ghost = None;
        loop {
            self.await_log(1, wish.is_removal)?;
            let lack = {
                let _shard = lock(&self.shards[shard_of(hash)]);
                self.ensure_open()?;
                let current = self.find(namespace, key, hash);
                if wish.needs_truth && current.is_none() && self.may_be_below(hash) {
                    return Err(StoreError::new(Code::Cold, "the key may lie in a lower tier"));
                }
                let live = current.filter(|current| match wish.is_removal {
                    // With what is stale goes what somebody might still take.
                    true => !self.is_dead(&current.header, RecordAt::Ram(current.location)),
                    false => self.is_live(&current.header, current.location),
                });
                let Decision::Write { change, keeps_clock, keeps_run } = decide(live.as_ref(), buffer) else {
                    // Whoever deletes what is not there yet does not want to see it come either.
                    if wish.is_removal {
                        self.leases.revoke(hash);
                    }
                    return Ok(None);
                };
                if !keeps_clock {
                    let replaced = current.map_or(0, |current| current.header.clock);
                    let clock = wish.clock.filter(|clock| *clock > replaced);
                    let tick = || clock::tick(self.clock_word(), self.arena.wall_ms(), replaced);
                    buffer.stamp(clock.unwrap_or_else(tick));
                } else {
                    buffer.stamp(current.expect("what keeps a clock replaces a record").header.clock);
                }
                let must_cover = self.must_cover(hash, change, &buffer.header(), current.as_ref());
                let is_ghost = current.is_none() && *is_ghost.get_or_insert_with(|| self.ghost.take(hash));
                match self.publish(hash, current, live.is_some(), is_ghost, keeps_run, buffer) {
                    Ok(location) => {
                        self.announce(change, &[location], must_cover);
                        if change != Change::Touch {
                            self.leases.revoke(hash);
                        }
                        let clock = buffer.header().clock;
                        let is_watched = self.watch.is_on() && !wish.is_unseen;
                        drop(_shard);
                        if is_watched {
                            self.watch.changed(namespace, key);
                        }
                        self.pace();
                        return Ok(Some(clock));
                    }
                    Err(lack) => lack,
                }
            };
            self.supply(lack)?;
        }
    }

    pub(crate) fn supply(&self, lack: Lack) -> Result<()> {
        match lack {
            Lack::Segment => self.make_room(1),
            Lack::Chunk if lock(&self.index.chunks).free_count() > 0 || self.allocate_chunks() => Ok(()),
            Lack::Bucket if self.split_bucket() => Ok(()),
            Lack::Chunk | Lack::Bucket => {
                Err(StoreError::new(Code::Full, "no shared memory left for the index"))
            }
        }
    }

    /// Appends the record in `buffer` and publishes it in place of `current`. Under the shard lock.
    pub(crate) fn publish(
        &self,
        hash: u64,
        current: Option<Current>,
        is_live: bool,
        is_ghost: bool,
        keeps_run: bool,
        buffer: &RecordBuffer,
    ) -> std::result::Result<Location, Lack> {
        let policy = self.policy();
        let (queue, access) = match current {
            Some(current) if is_live => {
                let was_in = self.queue_of(current.location);
                let access = self.arena.access_byte(current.slot).load(Ordering::Relaxed) & 3;
                policy.queue_for_overwrite(was_in, access)
            }
            _ => (policy.queue_for_new(is_ghost), 0),
        };
        let slot = match current {
            Some(current) => current.slot,
            None => {
                let bucket = Index::bucket_of(&self.arena, hash);
                self.index.vacancy(&self.arena, bucket)?
            }
        };
        let place = self.log(queue).append(&self.arena, &self.segments, buffer.bytes(), false);
        let location = place.ok_or(Lack::Segment)?;
        self.publish_at(hash, slot, current, access, location, &buffer.header(), keeps_run);
        Ok(location)
    }

    /// Makes a slot lead to a record that lies complete in its log. Every change of an entry but its eviction comes
    /// through here; the caller pushes it to the feed afterwards, with its token bumped.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn publish_at(
        &self,
        hash: u64,
        slot: Slot,
        current: Option<Current>,
        access: u8,
        location: Location,
        header: &Header,
        keeps_run: bool,
    ) {
        self.arena.access_byte(slot).store(access, Ordering::Relaxed);
        let word = SlotWord::entry(tag_of(hash), location, header.is_special());
        // SYNC publish: the record is complete; meets the acquire load of the slot.
        self.arena.slot(slot).store(word.0, Ordering::Release);
        self.note_tag_record(header, location, hash, current.as_ref());
        self.tokens.bump(hash);
        match current {
            Some(current) => self.release(&current, keeps_run),
            None => {
                self.index.occupied.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.account_enter(self.queue_of(location), header);
    }

    /// Accounts for a record no slot leads to any more, and gives its runs back.
    fn release(&self, current: &Current, keeps_run: bool) {
        let header = &current.header;
        if !header.is_tombstone() && self.is_counted(header) && self.is_past(header) {
            self.totals.expired.fetch_add(1, Ordering::Relaxed);
        }
        self.account_leave(self.queue_of(current.location), header);
        if !keeps_run && header.is_run() {
            let extents = self.extents_of(header, current.location);
            self.runs.give(&self.arena, &self.segments, &extents);
        }
    }

    /// The record of a key, dead or alive. Under the shard lock.
    pub(crate) fn find(&self, namespace: u32, key: &[u8], hash: u64) -> Option<Current> {
        let tag = tag_of(hash);
        for (slot, word) in Walk::new(&self.arena, Index::bucket_of(&self.arena, hash)) {
            if word.tag() != tag {
                continue;
            }
            let location = word.location();
            let header = read_header(&self.arena, location).expect("a published slot leads to a record");
            let first = self.arena.record_byte(location).expect("inside its segment");
            let is_same = header.key_bytes as usize == key.len()
                && header.namespace == namespace
                && equals(self.arena.data(), first, header.key_at as usize, key);
            if is_same {
                return Some(Current { slot, location, header });
            }
        }
        None
    }

    /// How often an entry in RAM has been read lately, as eviction sees it: 0 to 3.
    pub fn access_count(&self, namespace: u32, key: &[u8], hash: u64) -> u8 {
        let _shard = lock(&self.shards[shard_of(hash)]);
        if self.is_closed() {
            return 0;
        }
        let found = self.find(namespace, key, hash);
        found.map_or(0, |current| self.arena.access_byte(current.slot).load(Ordering::Relaxed) & 3)
    }

    pub(crate) fn absolute(&self, ttl_ms: u64) -> u64 {
        if ttl_ms == 0 {
            0
        } else {
            self.arena.expiry_now_ms() + ttl_ms
        }
    }

    pub(crate) fn clock_word(&self) -> &crate::sync::AtomicU64 {
        self.arena.superblock(superblock::CLOCK)
    }

    pub fn origin(&self) -> u64 {
        self.arena.superblock(superblock::ORIGIN).load(Ordering::Relaxed)
    }
}

/// Keys have 1 to 4,096 bytes.
pub fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() {
        return Err(StoreError::new(Code::Key, "key of 0 bytes, the shortest has 1"));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(StoreError::new(
            Code::Key,
            format!("key of {} bytes, the limit is {KEY_BYTES_MAX} bytes", key.len()),
        ));
    }
    Ok(())
}
