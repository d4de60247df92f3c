//! What lies below RAM, as the store sees it: the value log that follows the feed, its index of what the index below
//! does not have yet, and the readers of whatever is down there.
//!
//! Two rules keep a record from being nowhere: a change is logged before its record may leave RAM, and a segment is
//! used again only when the log needs none of its records.

mod ceiling;
mod checkpoint;
mod drain;
mod follow;
mod hot;
mod misses;
mod names;
mod progress;
mod saved;
mod scan;
mod serve;
mod start;
mod touches;
mod volatile;

#[cfg(test)]
mod tests;

pub use drain::{Draining, Evicts, FilePart, LogState, Moved};
pub use misses::{Answer, Bell, Miss, Misses, Purpose, Tier};
pub use progress::{Orders, Progress};
pub use scan::{ScanSource, Scanned};
pub use serve::{stored_header, Row};
pub use start::{BelowOptions, PinnedKey, Started};

use crate::error::Result;
use crate::feed::{Change, FeedRead, FEED_COVER};
use crate::layout::superblock;
use crate::layout::Location;
use crate::log::{LogLocation, LogTotals, LoggedChange, Position, Recovery, TailIndex, ValueLog};
use crate::namespaces;
use crate::record::FLAG_PINNED;
use crate::store::Store;
use crate::sync::{lock, AtomicBool, AtomicU64, Mutex, Ordering};
use ceiling::Ceiling;
use hot::HotKeys;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use touches::{Recency, Touches};

/// Numbers of one tier for `stats`.
#[derive(Default)]
pub struct TierCounts {
    /// What is in it, as whoever keeps it says.
    pub entries: AtomicU64,
    pub bytes: AtomicU64,
    /// Reads that found something.
    pub hits: AtomicU64,
    /// Entries that moved up to RAM, and down to here.
    pub promoted: AtomicU64,
    pub demoted: AtomicU64,
    /// Entries that were dropped from it for want of room.
    pub evicted: AtomicU64,
}

/// Numbers for `stats`.
#[derive(Default)]
pub struct BelowCounts {
    pub ssd: TierCounts,
    pub hdd: TierCounts,
    /// Files of the log that were drained and removed, and what was appended again for it.
    pub drained_files: AtomicU64,
    pub copied_bytes: AtomicU64,
}

impl BelowCounts {
    pub fn of(&self, tier: Tier) -> &TierCounts {
        match tier {
            Tier::Ssd => &self.ssd,
            Tier::Hdd => &self.hdd,
        }
    }
}

/// How far the log must have got with a change for somebody who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// Written: it survives the end of this process.
    Logged,
    /// Synced: it survives a power cut.
    Durable,
}

/// What is not durable yet, for `stats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsafe {
    pub bytes: u64,
    /// Age of the oldest change.
    pub lag: Duration,
    pub is_poisoned: bool,
}

/// Bytes of the feed that are measured for `stats`: some milliseconds.
const MEASURED_BYTES_MOST: u64 = 4 << 20;

/// What the log has that the index below has not: bytes.
#[derive(Default)]
struct Uncommitted {
    /// Before the log was opened.
    earlier: u64,
    /// Bytes appended since, when the last checkpoint that was committed began, and the last one.
    committed_at: u64,
    begun_at: u64,
}

struct Wait {
    sequence: u64,
    reached: Reached,
    question: u64,
}

/// What a store with tiers below it needs to know of them.
pub struct Below {
    pub progress: Progress,
    pub misses: Misses,
    pub counts: BelowCounts,
    pub(crate) log: ValueLog,
    pub(crate) tail: TailIndex,
    /// LOCK: log batch. Held from the append of a batch until the log's index has it.
    appending: Mutex<()>,
    /// LOCK: none other is taken.
    uncommitted: Mutex<Uncommitted>,
    /// LOCK: none other is taken. The same when a checkpoint was last asked for, and since when it has been that.
    appended_seen: Mutex<(u64, Instant)>,
    dir: PathBuf,
    /// LOCK: ceiling. Alone.
    ceiling: Mutex<Ceiling>,
    /// LOCK: hot. Before misses and what a read takes. Keys that are still to be brought up.
    hot: Mutex<Option<HotKeys>>,
    /// How many names of namespaces are on disk.
    saved_names: AtomicU64,
    sync_interval: Duration,
    touches: Touches,
    recency: Recency,
    /// There is a tier below the log and its index.
    has_lower: bool,
    /// When the last tier is full, what is coldest goes: not while that was tried in vain.
    is_making_room: AtomicBool,
    /// Values wait for room while the file system of the log has less free; 0 = they do not.
    wait_below: AtomicU64,
    /// See [`superblock::LOG_FIRST_FILE`].
    first_file: u32,
    /// Sequence of the last change that covers something with a delete: no volatile write is acknowledged before that is
    /// durable.
    covered: AtomicU64,
    /// LOCK: log waits. Questions to be answered when the log has got somewhere.
    waits: Mutex<Vec<Wait>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Bytes of log that the start had to read.
    replayed_bytes: AtomicU64,
}

impl Below {
    fn new(log: ValueLog, ceiling: Ceiling, options: &BelowOptions, store: &Store) -> Below {
        let seed = store.arena.superblock(superblock::HASH_SEED).load(Ordering::Relaxed);
        let slots = (store.budget_bytes() as usize / (64 << 10)).next_power_of_two().clamp(64, 64 << 10);
        Below {
            progress: Progress::default(),
            misses: Misses::default(),
            counts: BelowCounts::default(),
            tail: TailIndex::new(seed, options.from),
            appending: Mutex::new(()),
            uncommitted: Mutex::default(),
            appended_seen: Mutex::new((0, Instant::now())),
            dir: options.dir.clone(),
            ceiling: Mutex::new(ceiling),
            hot: Mutex::new(None),
            saved_names: AtomicU64::new(namespaces::count(&store.arena) as u64),
            sync_interval: options.sync_interval,
            touches: Touches::new(slots),
            // A bit for a key in 128 bytes of the budget.
            recency: Recency::new(slots),
            has_lower: options.has_lower,
            is_making_room: AtomicBool::new(true),
            // Also before the thread that makes room has looked for the first time.
            wait_below: AtomicU64::new(options.reserve_bytes),
            first_file: volatile::first_file(store, &log),
            covered: AtomicU64::new(0),
            log,
            waits: Mutex::new(Vec::new()),
            thread: Mutex::new(None),
            replayed_bytes: AtomicU64::new(0),
        }
    }

    /// Keeps the ceiling ahead of the clock; at the end it is where the clock is, so that restarts do not drive it on.
    fn keep_ceiling(&self, store: &Store, is_closing: bool) -> Result<()> {
        let clock = store.clock_word().load(Ordering::Relaxed);
        let mut ceiling = lock(&self.ceiling);
        let is_at_rest = is_closing && self.progress.logged() >= store.sequence();
        match is_at_rest && ceiling.word() != clock {
            true => ceiling.write(clock),
            false if is_at_rest => Ok(()),
            false => ceiling.keep_ahead(clock, store.arena.wall_ms()),
        }
    }

    /// Takes what the log has from a position on, out of what a clean end has saved or out of the log; with it the keys of
    /// pinned records, by namespace.
    fn recover(&self, store: &Store, from: Position) -> Result<(Recovery, Vec<PinnedKey>)> {
        match self.load_tail(store)? {
            Some(pinned) => Ok((Recovery { end: self.log.position(), ..Recovery::default() }, pinned)),
            None => self.replay(store, from),
        }
    }

    fn replay(&self, store: &Store, from: Position) -> Result<(Recovery, Vec<PinnedKey>)> {
        let mut newest = 0;
        let mut pinned = Vec::new();
        let recovery = self.log.recover(from, |_, change| {
            newest = newest.max(change.clock);
            if change.change == Change::Clear {
                store.raise_epoch(change.namespace, change.clock);
            }
            // The index has what was copied, unless it is made anew: then the file that was copied may be gone.
            if change.is_copy() && from != Position::START {
                return;
            }
            if change.header.flags & FLAG_PINNED != 0 {
                pinned.push((change.namespace, change.key().to_vec()));
            }
            self.note(store, change);
        })?;
        store.clock_word().fetch_max(newest, Ordering::Relaxed);
        self.replayed_bytes.store(recovery.bytes, Ordering::Relaxed);
        lock(&self.uncommitted).earlier = recovery.bytes;
        Ok((recovery, pinned))
    }

    /// Enters a logged change into the index of the log, and its key into the filter, before anybody may rely on it.
    fn note(&self, store: &Store, change: &LoggedChange) {
        if change.change == Change::Clear || change.is_value_gone() {
            return;
        }
        if change.change != Change::Delete {
            store.filter.add(&store.arena, store.hasher.hash(change.namespace, change.key()));
        }
        self.tail.insert(change);
    }

    /// Where the log has a key; `Some(None)` when the newest it has is a delete, `None` when the index below must say.
    fn find_in_tail(&self, miss: &Miss) -> Option<Option<LogLocation>> {
        let entry = self.tail.find(self.tail.key(miss.namespace, &miss.key))?;
        Some((!entry.is_deleted).then_some(entry.location))
    }

    fn is_second_touch(&self, hash: u64, now_ms: u64) -> bool {
        self.touches.touch(hash, now_ms)
    }

    /// Asks to be told when the log has got as far with every change up to a sequence. `None` when it has already. All
    /// who wait while the log syncs share the next sync.
    pub fn await_reached(&self, asker: u32, sequence: u64, reached: Reached) -> Option<u64> {
        if self.how_far(reached) >= sequence {
            return None;
        }
        let question = self.misses.reserve(asker);
        lock(&self.waits).push(Wait { sequence, reached, question });
        match reached {
            Reached::Logged => self.progress.hurry(sequence),
            Reached::Durable => self.progress.want_durable(sequence),
        }
        // The log may have got there, or have failed, before it could see that somebody waits.
        self.answer_waits();
        Some(question)
    }

    fn how_far(&self, reached: Reached) -> u64 {
        match reached {
            Reached::Logged => self.progress.logged(),
            Reached::Durable => self.progress.durable(),
        }
    }

    /// Answers those who wait for what the log has by now, and all when the log has failed.
    fn answer_waits(&self) {
        let failure = self.progress.failure();
        let mut answers = Vec::new();
        lock(&self.waits).retain(|wait| {
            let answer = match &failure {
                _ if wait.sequence <= self.how_far(wait.reached) => Answer::Reached,
                Some(failure) => Answer::Failed(failure.clone()),
                None => return true,
            };
            answers.push((wait.question, answer));
            false
        });
        self.misses.answer(answers);
    }

    /// Everything in the log before this survives a power cut.
    pub fn log_synced(&self) -> Position {
        self.log.synced()
    }

    /// Changes that a power cut would take at this moment.
    pub fn unsafe_changes(&self, store: &Store) -> Unsafe {
        // A part is measured when there are too many.
        let (mut next, head) = (self.progress.logged() + 1, store.sequence());
        let mut measured = (0, 0);
        while next <= head && measured.1 < MEASURED_BYTES_MOST {
            let FeedRead::Batch { first, next: after, bytes } = store.read_feed(next, 1 << 20) else { break };
            if after <= first {
                break;
            }
            measured = (measured.0 + after - first, measured.1 + bytes.len() as u64);
            next = after;
        }
        let unlogged = match measured {
            (0, _) => 0,
            (changes, bytes) => bytes + bytes * (head + 1).saturating_sub(next) / changes,
        };
        let totals = self.log.totals();
        Unsafe {
            bytes: unlogged + totals.bytes_appended.saturating_sub(totals.bytes_synced),
            lag: self.progress.lag(),
            is_poisoned: self.log.is_poisoned(),
        }
    }

    /// Bytes of log that the start had to read.
    pub fn replayed_bytes(&self) -> u64 {
        self.replayed_bytes.load(Ordering::Relaxed)
    }

    /// Since the log was opened.
    pub fn log_totals(&self) -> LogTotals {
        self.log.totals()
    }

    /// Before a new one is used: records name their namespace by its number. Under the lock of namespaces.
    pub(crate) fn save_names(&self, store: &Store) -> Result<()> {
        let count = namespaces::count(&store.arena) as u64;
        if count > self.saved_names.load(Ordering::Relaxed) {
            names::save(&self.dir, &store.names())?;
            self.saved_names.store(count, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Store {
    pub fn below(&self) -> Option<&Below> {
        self.below.get()
    }

    /// Whether a key that RAM does not have may lie in a lower tier.
    #[inline]
    pub(crate) fn may_be_below(&self, hash: u64) -> bool {
        self.below.get().is_some() && self.arena.may_be_below(hash)
    }

    /// Lets the log catch up before `changes` more could make the feed overrun it. Called without locks. `makes_room`: of
    /// what lets a full disk become less full, which the log has a reserve for.
    pub(crate) fn await_log(&self, changes: usize, makes_room: bool) -> Result<()> {
        let Some(below) = self.below.get() else { return Ok(()) };
        if let Some(failure) = below.progress.failure() {
            return Err(failure);
        }
        if let (false, Some(shortage)) = (makes_room, below.progress.shortage()) {
            return Err(shortage);
        }
        self.feed.hold(changes);
        // Half of the ring: as many more may be on their way in other threads.
        let allowed = (self.feed.capacity() / 2).saturating_sub(changes).max(1) as u64;
        let head = self.feed.sequence();
        if head.saturating_sub(below.progress.logged()) <= allowed {
            return Ok(());
        }
        below.progress.wait_logged(head - allowed)
    }

    /// Tells the feed of changes, under the shard locks of their keys; `must_cover` as [`Store::must_cover`] says.
    pub(crate) fn announce(&self, change: Change, locations: &[Location], must_cover: bool) {
        // A delete is logged itself.
        let flags = if must_cover && change != Change::Delete { FEED_COVER } else { 0 };
        let last = self.announce_with(change, locations, flags);
        if let (true, Some(below)) = (must_cover, self.below.get()) {
            below.covered.fetch_max(last, Ordering::Relaxed);
        }
    }

    fn announce_with(&self, change: Change, locations: &[Location], flags: u8) -> u64 {
        let last = self.feed.push_with(&self.arena, change, locations, flags);
        if self.below.get().is_some() {
            for location in locations {
                self.segments.note_change(location.segment, last);
            }
        }
        last
    }

    /// The first change a drain has to wait for before it may go on in a segment; `None` when all are logged.
    pub(crate) fn unlogged_change(&self, segment: u32) -> Option<u64> {
        let below = self.below.get()?;
        let last = self.segments.last_change(segment);
        (last > below.progress.logged()).then_some(last)
    }

    /// Sequence up to which nobody needs the records of changes any more.
    pub(crate) fn followed(&self) -> u64 {
        self.below.get().map_or(u64::MAX, |below| below.progress.logged())
    }
}
