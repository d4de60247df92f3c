//! Draining a file of the log: what stands in it is appended again at the head, as copies, then the file goes.
//!
//! The caller has the index below and asks it which changes of a file stand; here is decided what the log knows better.
//! The rule that everything rests on: **a copy is appended only while nothing newer of its key is in the log.** So the
//! changes of a key lie in the log in the order of their versions, copies included, and a delete needs to be kept only
//! while there is a file before its own. `docs/decisions/0012-log-drain.md`.

use super::serve::stored_header;
use super::Below;
use crate::error::{Code, Result, StoreError};
use crate::feed::Change;
use crate::layout::superblock;
use crate::log::format::BATCH_HEADER_BYTES;
use crate::log::{pack_entry, FileInfo, LogLocation, LogRead, LoggedChange, Position};
use crate::namespaces;
use crate::ops::read::{Glimpse, Lookup, Seen};
use crate::ops::RecordAt;
use crate::record::{value_type, Header, RecordBuffer, FLAG_PINNED, FLAG_VOLATILE};
use crate::store::Store;
use crate::sync::{lock, Ordering};

/// A stretch of a file as entries (`log/checkpoint.rs`), in the order of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePart {
    pub entries: Vec<u8>,
    /// Where the next part begins; `None` at the end of the file.
    pub next: Option<u32>,
}

/// What a drain is chosen by.
#[derive(Clone, Debug)]
pub struct LogState {
    /// The oldest first; the newest one is allocated whole.
    pub files: Vec<FileInfo>,
    /// Since the log was opened, without copies, and copies alone.
    pub bytes_written: u64,
    pub bytes_copied: u64,
    pub free_bytes: u64,
}

/// What became of a change that was to be copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    To(LogLocation),
    /// Expired or cleared, or a delete that nobody needs any more.
    Dead,
    /// The log has a newer one.
    Outdated,
    /// Nobody has read it: it is for the tier below, and is not copied.
    Cold,
    /// Nobody has read it, and there is no room for it anywhere: it goes.
    Evicted,
}

/// Whether a drain drops what lives, to make room where there is nothing below: of namespaces that let it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Evicts {
    #[default]
    Nothing,
    /// What was read lately or is in RAM stays, as long as half of what could go does go.
    Coldest,
    /// There is no room for copies of what could go.
    All,
}

/// What a drain does with the records of a file that stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Draining {
    /// No file lies before it, so nothing older of its keys is in the log.
    pub is_oldest: bool,
    /// What was not read goes to the tier below. Only from the oldest file: an index that is made anew would find an
    /// older record of the key in an older one.
    pub demotes: bool,
    /// The same holds for what is dropped.
    pub evicts: Evicts,
}

/// What to do with a change.
enum Plan {
    Copy,
    /// A delete in its place keeps what is older from coming back.
    Bury,
    Drop,
    Demote,
    Evict,
}

/// What a drain that evicts has met and kept of what could go: bytes in the log.
#[derive(Default)]
struct Spared {
    met: u64,
    kept: u64,
}

impl Spared {
    /// Whether a warm record may stay: then at least half of all has gone.
    fn spare(&mut self, is_warm: bool, bytes: u32) -> bool {
        self.met += bytes as u64;
        let stays = is_warm && (self.kept + bytes as u64) * 2 <= self.met;
        self.kept += if stays { bytes as u64 } else { 0 };
        stays
    }
}

impl Below {
    /// Why values wait for room, if they do: where some may be dropped for others.
    pub(super) fn wants_room(&self, store: &Store) -> Option<StoreError> {
        let least = self.wait_below.load(Ordering::Relaxed);
        if least == 0 || !store.may_drop_any() {
            return None;
        }
        let free = self.log.free_bytes().ok()?;
        let dir = self.dir.join("log");
        let message = || {
            format!(
                "the disk of the SSD tier is full: {free} bytes are free for {}; entries are dropped until it is {least}",
                dir.display()
            )
        };
        (free < least).then(|| StoreError::new(Code::Full, message()))
    }
}

impl Store {
    fn draining(&self) -> Result<&Below> {
        self.below().ok_or_else(|| StoreError::new(Code::Config, "this store has no tiers below RAM"))
    }

    pub fn log_state(&self) -> Result<LogState> {
        let below = self.draining()?;
        let copied = below.counts.copied_bytes.load(Ordering::Relaxed);
        Ok(LogState {
            files: below.log.files(),
            bytes_written: below.log.totals().bytes_appended.saturating_sub(copied),
            bytes_copied: copied,
            free_bytes: below.log.free_bytes()?,
        })
    }

    /// The changes of a file that is not appended to, from an offset on: batches until `bytes_max` is reached. A file
    /// that cannot be read whole is an error, for its changes cannot be moved.
    pub fn read_log_file(&self, file: u32, offset: u32, bytes_max: usize) -> Result<FilePart> {
        let below = self.draining()?;
        let end = Position { file: file + 1, offset: 0 };
        let mut changes = below.log.changes(Position { file, offset }, end);
        let mut entries = Vec::new();
        let mut read = 0;
        let mut is_more = false;
        while let Some((_, batch)) = changes.next_batch() {
            for change in batch {
                read += change.location.bytes as usize;
                // Without its value it stands nowhere: a later change of the key does.
                if !change.is_value_gone() {
                    pack_entry(&change, &mut entries);
                }
            }
            is_more = true;
            if read >= bytes_max {
                break;
            }
            is_more = false;
        }
        if let Some(damage) = changes.damage().first() {
            return Err(StoreError::new(Code::Corrupt, damage.message.clone()));
        }
        let next = is_more.then(|| changes.end().offset);
        Ok(FilePart { entries, next })
    }

    /// Appends copies of changes that stand, in one batch, and says where each is now. Not durable before
    /// [`Store::sync_copies`].
    pub fn append_copies(&self, places: &[LogLocation], how: Draining) -> Result<Vec<Moved>> {
        let below = self.draining()?;
        let lets_go = how.demotes || how.evicts != Evicts::Nothing;
        assert!(how.is_oldest || !lets_go, "records leave the SSD tier from the oldest file of the log only");
        let mut bytes = vec![Vec::new(); places.len()];
        let mut stood = Vec::with_capacity(places.len());
        for (place, bytes) in places.iter().zip(&mut bytes) {
            stood.push(match below.log.read(*place, bytes)? {
                LogRead::Change(change) => change,
                LogRead::Gone => {
                    let message = format!("{} is gone while it is drained", place.position());
                    return Err(StoreError::new(Code::Unavailable, message));
                }
            });
        }
        let mut buffer = RecordBuffer::default();
        let mut payload = Vec::new();
        let mut copied = Vec::new();
        let mut spared = Spared::default();
        let in_ram = self.found_in_ram(&stood, how);
        // Between two batches: what is not in the log's index now comes behind the copies.
        let _appending = lock(&below.appending);
        let mut moved = Vec::with_capacity(stood.len());
        for (change, is_in_ram) in stood.iter().zip(in_ram) {
            // The same one when it was just committed, and the log's own index has not let go of it yet.
            let is_newer_logged = change.change != Change::Clear
                && below
                    .tail
                    .find(below.tail.key(change.namespace, change.key()))
                    .is_some_and(|logged| logged.location != change.location);
            if is_newer_logged {
                moved.push(Moved::Outdated);
                continue;
            }
            match self.plan(below, change, how, is_in_ram, &mut spared) {
                Plan::Copy => {
                    copied.push((moved.len(), payload.len() as u32));
                    change.pack_copy(&mut payload);
                }
                Plan::Bury => change.pack_death(&mut buffer, &mut payload),
                Plan::Drop => {}
                Plan::Demote => {
                    moved.push(Moved::Cold);
                    continue;
                }
                Plan::Evict => {
                    moved.push(Moved::Evicted);
                    continue;
                }
            }
            moved.push(Moved::Dead);
        }
        if payload.is_empty() {
            return Ok(moved);
        }
        let arena_id = self.arena.superblock(superblock::ARENA_ID).load(Ordering::Relaxed);
        let at = below.log.append(arena_id, 0, 0, &payload)?;
        for (index, start) in copied {
            let bytes = places[index].bytes;
            moved[index] = Moved::To(LogLocation { file: at.file, offset: at.offset + start, bytes });
        }
        let appended = (BATCH_HEADER_BYTES + payload.len()) as u64;
        below.counts.copied_bytes.fetch_add(appended, Ordering::Relaxed);
        Ok(moved)
    }

    /// Which of the changes RAM has as well, where that matters. Before the log is locked, and without a lock: what is found
    /// only says what is warm.
    fn found_in_ram(&self, changes: &[LoggedChange], how: Draining) -> Vec<bool> {
        let is_in_ram = |change: &LoggedChange| {
            let hash = self.hasher.hash(change.namespace, change.key());
            let mut seen = Seen::default();
            self.reader().read(change.namespace, change.key(), hash, &mut Glimpse, &mut seen) == Lookup::Hit
        };
        let asks = |change: &LoggedChange| how.evicts == Evicts::Coldest && change.change != Change::Clear;
        changes.iter().map(|change| asks(change) && is_in_ram(change)).collect()
    }

    fn plan(
        &self,
        below: &Below,
        change: &LoggedChange,
        how: Draining,
        is_in_ram: bool,
        spared: &mut Spared,
    ) -> Plan {
        let epoch = namespaces::epoch(&self.arena, change.namespace);
        if change.change == Change::Clear {
            // Few, and what they hide may come from anywhere, so the newest always stays.
            return if change.clock >= epoch { Plan::Copy } else { Plan::Drop };
        }
        let is_past = below.is_of_the_past(change);
        let is_over = is_past
            || change.header.is_expired(self.arena.expiry_now_ms())
            || self.is_invalidated(&change.header, RecordAt::Bytes(change.record));
        // Of its own arena the cover of a volatile value is what a scan finds the key by.
        let is_cover = change.change == Change::Delete && change.header.is_volatile();
        match change.change {
            _ if change.clock <= epoch => Plan::Drop,
            Change::Delete if is_cover && !is_past => Plan::Copy,
            Change::Delete if how.is_oldest => Plan::Drop,
            _ if is_over && how.is_oldest => Plan::Drop,
            _ if is_over => Plan::Bury,
            Change::Delete => Plan::Copy,
            _ if how.evicts != Evicts::Nothing => {
                if !self.may_drop(&change.header) {
                    return Plan::Copy;
                }
                let hash = self.hasher.hash(change.namespace, change.key());
                let is_warm = how.evicts == Evicts::Coldest && (below.recency.take(hash) || is_in_ram);
                match spared.spare(is_warm, change.location.bytes) {
                    true => Plan::Copy,
                    false => Plan::Evict,
                }
            }
            _ => {
                let stays = change.header.flags & (FLAG_PINNED | FLAG_VOLATILE) != 0;
                let hash = self.hasher.hash(change.namespace, change.key());
                // Asked last: the question uses up the answer.
                match how.demotes && !stays && !below.recency.take(hash) {
                    true => Plan::Demote,
                    false => Plan::Copy,
                }
            }
        }
    }

    /// Whether an entry may be dropped when the last tier is full.
    pub(super) fn may_drop(&self, header: &Header) -> bool {
        let is_chunk = header.value_type == value_type::EXPENDABLE;
        let usage = &self.usage[header.namespace as usize];
        header.flags & FLAG_PINNED == 0 && (is_chunk || usage.may_drop.load(Ordering::Relaxed))
    }

    /// Says of a namespace whether its entries may be dropped when the last tier is full.
    pub fn set_may_drop(&self, namespace: u32, may_drop: bool) {
        self.usage[namespace as usize].may_drop.store(may_drop, Ordering::Relaxed);
    }

    /// Whether there is a namespace whose entries may be dropped.
    pub fn may_drop_any(&self) -> bool {
        let count = namespaces::count(&self.arena) as usize;
        self.usage[..count].iter().any(|usage| usage.may_drop.load(Ordering::Relaxed))
    }

    /// Whether a record of the tier below the SSD tier may be dropped and nobody has read it since it was last asked about.
    pub fn is_expendable(&self, record: &[u8]) -> bool {
        let Some(below) = self.below() else { return false };
        let Some(header) = stored_header(record).filter(|header| self.may_drop(header)) else { return false };
        let key = &record[header.key_at as usize..header.value_at()];
        !below.recency.take(self.hasher.hash(header.namespace, key))
    }

    /// Says whether the tiers are making room, and from how little free space on values wait for it.
    pub fn set_making_room(&self, is_making_room: bool, wait_below: u64) {
        if let Some(below) = self.below() {
            below.is_making_room.store(is_making_room, Ordering::Relaxed);
            below.wait_below.store(if is_making_room { wait_below } else { 0 }, Ordering::Relaxed);
        }
    }

    /// Whether a write that was refused for want of room on the disk may succeed soon.
    pub fn is_making_room(&self) -> bool {
        let Some(below) = self.below() else { return false };
        let is_full = below.progress.failure().is_some_and(|failure| failure.code == Code::Full);
        let is_short = is_full || below.progress.shortage().is_some();
        is_short && below.is_making_room.load(Ordering::Relaxed) && self.may_drop_any()
    }

    /// Gives the records at places of the log, with their values: what the tier below is to keep. A version there is the
    /// newest clock of the record, that of its expiry included.
    pub fn read_records(
        &self,
        places: &[LogLocation],
        mut each: impl FnMut(&Header, &[u8], &[u8]),
    ) -> Result<()> {
        let below = self.draining()?;
        let mut bytes = Vec::new();
        for place in places {
            match below.log.read(*place, &mut bytes)? {
                LogRead::Change(change) => each(&change.header, change.record, change.run),
                LogRead::Gone => {
                    let message = format!("{} is gone while it is drained", place.position());
                    return Err(StoreError::new(Code::Unavailable, message));
                }
            }
        }
        Ok(())
    }

    /// Makes copies durable, and whatever made them superfluous.
    pub fn sync_copies(&self) -> Result<()> {
        self.draining()?.log.sync().map(|_| ())
    }

    /// Removes a file that the synced index does not need any more. False when there is none. With the space goes the
    /// reserve's, if it was given up.
    pub fn remove_log_file(&self, file: u32) -> Result<bool> {
        let below = self.draining()?;
        let is_removed = below.log.remove(file)?;
        if is_removed {
            below.counts.drained_files.fetch_add(1, Ordering::Relaxed);
            below.log.restore_reserve()?;
        }
        Ok(is_removed)
    }

    /// Makes room for copies on a full disk. False when that was done before.
    pub fn give_up_reserve(&self) -> Result<bool> {
        self.draining()?.log.give_up_reserve()
    }
}
