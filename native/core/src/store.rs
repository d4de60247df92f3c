//! The owner's store: the arena and everything private that goes with owning it.
//!
//! Lock order: locks, building, compact, drain, split, shard (ascending), log, runs, segments, chunks, ghost, feed, leases, spill, filter,
//! epochs, evicted. A shard is never locked
//! over a system call, except in the middle of a group whose keys met in one bucket against all odds.

use crate::arena::Arena;
use crate::below::Below;
use crate::clock;
use crate::error::{Code, Result, StoreError};
use crate::evict::{Ghost, Queue, S3Fifo, Spill};
use crate::feed::{Feed, FeedRead};
use crate::filter::Filter;
use crate::hash::KeyHasher;
use crate::index::{ChunkPool, Index};
use crate::layout::{superblock, NAMESPACES_MAX, SHARDS, VALUE_BYTES_MAX};
use crate::leases::Leases;
use crate::locks::Locks;
use crate::namespaces::{self, Usage};
use crate::ops::read::Reader;
use crate::ops::Epochs;
use crate::segment::{Kind, Log, Runs, Segments};
use crate::sync::{lock, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::tokens::Tokens;
use crate::watch::Watch;

/// What counts against the budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    /// All memory: the budget is what the store may take of the machine.
    Everything,
    /// Keys and values only, whatever memory that takes: for comparing policies at an equal capacity.
    Payload,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub budget_bytes: usize,
    pub counting: Counting,
    /// A thread that allocates and drains ahead of the writers. Without it the writers do everything, in an order
    /// that depends on the operations alone.
    pub background: bool,
}

/// Counters that only the owner writes.
#[derive(Default)]
pub struct Totals {
    pub sets: AtomicU64,
    pub deletes: AtomicU64,
    pub expired: AtomicU64,
    /// Times a writer had to drain because no segment was ready.
    pub back_pressure: AtomicU64,
    /// Times memory within the budget could not be had.
    pub shortfalls: AtomicU64,
}

pub struct Store {
    pub(crate) arena: Arena,
    pub(crate) hasher: KeyHasher,
    /// LOCK: shard.
    pub(crate) shards: Vec<Mutex<()>>,
    pub(crate) index: Index,
    pub(crate) allocated_buckets: AtomicU64,
    pub(crate) segments: Segments,
    pub(crate) runs: Runs,
    pub(crate) small: Log,
    pub(crate) main: Log,
    /// LOCK: compact.
    pub(crate) compacting: Mutex<()>,
    /// LOCK: building. Read by whoever has taken runs and not published them yet, written by `check`.
    pub(crate) building: std::sync::RwLock<()>,
    /// Bytes drained since a drain last freed a segment.
    pub(crate) drained_in_vain: AtomicU64,
    /// LOCK: drain.
    pub(crate) drains: [Mutex<()>; 2],
    /// Live bytes of each log, runs included, in the unit of `counting`.
    pub(crate) charges: [AtomicU64; 2],
    pub(crate) policy_capacity: AtomicU64,
    pub(crate) ghost: Ghost,
    pub(crate) tokens: Tokens,
    pub(crate) filter: Filter,
    pub(crate) spill: Spill,
    pub(crate) feed: Feed,
    pub(crate) watch: Watch,
    pub(crate) leases: Leases,
    pub(crate) locks: Locks,
    /// Of the namespace of limiters, once there is one.
    pub(crate) limits_namespace: std::sync::OnceLock<u32>,
    pub(crate) epochs: Epochs,
    pub(crate) usage: Vec<Usage>,
    /// LOCK: quotas. Alone. Namespaces that have one.
    pub(crate) quotas: Mutex<Vec<u32>>,
    /// LOCK: namespaces. Alone: nothing else is taken while it is held.
    pub(crate) namespaces: Mutex<()>,
    pub(crate) entries: AtomicU64,
    pub(crate) payload_bytes: AtomicU64,
    /// Charges of pinned records.
    pub(crate) pinned_bytes: AtomicU64,
    pub(crate) budget_bytes: AtomicU64,
    pub(crate) counting: Counting,
    pub(crate) totals: Totals,
    pub(crate) below: std::sync::OnceLock<Below>,
    pub(crate) is_closed: AtomicBool,
    /// Nothing may leave RAM: what lies below is not known yet, or not ready to take it.
    pub(crate) drains_held: AtomicBool,
    /// Set at the end, while the log takes what is left.
    pub(crate) is_refusing: AtomicBool,
    pub(crate) has_background: bool,
}

/// Feed entries for each byte of the budget: about a third of a percent of it.
const FEED_SHARE: usize = 12 << 10;

impl Store {
    /// Takes a fresh arena into use. Its superblock gets its magic last.
    pub fn create(arena: Arena, options: &StoreOptions, ids: ArenaIds) -> Result<Store> {
        let segments = arena.geometry().segments;
        let tables = Tables {
            allocated_buckets: 0,
            segments: Segments::new(segments, segments),
            small: Log::new(Kind::Small),
            main: Log::new(Kind::Main),
        };
        let store = Store::with_tables(arena, options, ids.hash_seed, tables);
        store.format(ids)?;
        Ok(store)
    }

    /// A store over an arena, with nothing in its index as far as it knows.
    pub(crate) fn with_tables(arena: Arena, options: &StoreOptions, hash_seed: u64, tables: Tables) -> Store {
        Store {
            hasher: KeyHasher::new(hash_seed),
            shards: (0..SHARDS).map(|_| Mutex::new(())).collect(),
            index: Index::new(ChunkPool::default()),
            allocated_buckets: AtomicU64::new(tables.allocated_buckets),
            segments: tables.segments,
            runs: Runs::new(arena.geometry().segment_bytes),
            small: tables.small,
            main: tables.main,
            compacting: Mutex::new(()),
            building: std::sync::RwLock::new(()),
            drained_in_vain: AtomicU64::new(0),
            drains: [Mutex::new(()), Mutex::new(())],
            charges: [AtomicU64::new(0), AtomicU64::new(0)],
            policy_capacity: AtomicU64::new(options.budget_bytes as u64),
            ghost: Ghost::new(),
            tokens: Tokens::for_budget(options.budget_bytes),
            filter: Filter::default(),
            spill: Spill::default(),
            feed: Feed::new((options.budget_bytes / FEED_SHARE).clamp(64, 64 << 10)),
            watch: Watch::default(),
            leases: Leases::default(),
            locks: Locks::default(),
            limits_namespace: std::sync::OnceLock::new(),
            epochs: Epochs::default(),
            usage: (0..NAMESPACES_MAX).map(|_| Usage::default()).collect(),
            quotas: Mutex::default(),
            namespaces: Mutex::new(()),
            entries: AtomicU64::new(0),
            payload_bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            budget_bytes: AtomicU64::new(options.budget_bytes as u64),
            counting: options.counting,
            totals: Totals::default(),
            below: std::sync::OnceLock::new(),
            drains_held: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_refusing: AtomicBool::new(false),
            has_background: options.background,
            arena,
        }
    }

    fn format(&self, ids: ArenaIds) -> Result<()> {
        let arena = &self.arena;
        let geometry = *arena.geometry();
        let no_memory = || StoreError::new(Code::Full, "not enough shared memory for an empty store");
        // The superblock, the first namespaces, and the segment table with the shard lines behind it.
        let tables = geometry.segment_table_word() * 8;
        if !arena.data().allocate(0, superblock::WORDS * 8)
            || !arena.data().allocate(tables, geometry.index_word() * 8 - tables)
            || !arena.touch().allocate(0, geometry.counters_byte() + 2 * crate::layout::counters::WORDS * 8)
        {
            return Err(no_memory());
        }
        if !self.allocate_index() || !self.allocate_chunks() {
            return Err(no_memory());
        }
        for (word, value) in [
            (superblock::VERSION, crate::layout::LAYOUT_VERSION),
            (superblock::SEGMENT_BYTES, geometry.segment_bytes as u64),
            (superblock::SEGMENTS, geometry.segments as u64),
            (superblock::BUCKETS, geometry.buckets as u64),
            (superblock::CHUNKS, geometry.chunks as u64),
            (superblock::ARENA_ID, ids.arena_id),
            (superblock::HASH_SEED, ids.hash_seed),
            (superblock::ORIGIN, ids.origin),
            (superblock::CLOCK, clock::wall_ms() << clock::COUNTER_BITS),
            (superblock::BUDGET_BYTES, self.budget_bytes.load(Ordering::Relaxed)),
        ] {
            arena.superblock(word).store(value, Ordering::Relaxed);
        }
        self.sign();
        namespaces::find_or_add(arena, "default")?;
        self.update_limit();
        while self.segments.ready_count() < crate::segment::READY_LOW {
            if self.segments.grow(arena) != crate::segment::Growth::Grown {
                return Err(no_memory());
            }
        }
        arena.superblock(superblock::BUCKET_COUNT).store(SHARDS as u64, Ordering::Release);
        arena.superblock(superblock::MAGIC).store(crate::layout::MAGIC, Ordering::Release);
        Ok(())
    }

    /// Says in the superblock which process owns the arena.
    pub(crate) fn sign(&self) {
        let process = [
            (superblock::OWNER_PID, std::process::id() as u64),
            (superblock::OWNER_START, clock::process_start_ticks()),
        ];
        for (word, value) in process {
            self.arena.superblock(word).store(value, Ordering::Relaxed);
        }
    }

    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    pub fn reader(&self) -> Reader<'_> {
        Reader { arena: &self.arena, unit_bytes: self.runs.unit_bytes() }
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub fn spill(&self) -> &Spill {
        &self.spill
    }

    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    pub fn sequence(&self) -> u64 {
        self.feed.sequence()
    }

    /// Changes from `from` on, packed (see [`crate::feed`]).
    pub fn read_feed(&self, from: u64, bytes_max: usize) -> FeedRead {
        self.feed.read(&self.arena, from, bytes_max, |key, namespace, clock, out| {
            self.append_run(key, namespace, clock, out)
        })
    }

    /// The value in runs of one version of a key, wherever its record has moved to meanwhile.
    fn append_run(&self, key: &[u8], namespace: u32, clock: u64, out: &mut Vec<u8>) -> bool {
        let hash = self.hasher.hash(namespace, key);
        let _shard = lock(&self.shards[crate::layout::shard_of(hash)]);
        let current = match self.is_closed() {
            true => None,
            false => self.find(namespace, key, hash),
        };
        let Some(current) =
            current.filter(|current| current.header.clock == clock && current.header.is_run())
        else {
            return false;
        };
        let start = out.len();
        out.resize(start + current.header.value_bytes as usize, 0);
        let extents = self.extents_of(&current.header, current.location);
        crate::segment::copy_run(&self.arena, self.runs.unit_bytes(), extents.into_iter(), &mut out[start..])
    }

    /// The id of a namespace, added when it is new.
    pub fn namespace(&self, name: &str) -> Result<u32> {
        let _namespaces = lock(&self.namespaces);
        let id = namespaces::find_or_add(&self.arena, name)?;
        if let Some(below) = self.below() {
            below.save_names(self)?;
        }
        Ok(id)
    }

    /// Live entries and payload bytes of a namespace.
    pub fn usage(&self, namespace: u32) -> (u64, u64) {
        let usage = &self.usage[namespace as usize];
        (usage.entries.load(Ordering::Relaxed), usage.payload_bytes.load(Ordering::Relaxed))
    }

    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of live keys and values.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes.load(Ordering::Relaxed)
    }

    pub fn budget_bytes(&self) -> u64 {
        self.budget_bytes.load(Ordering::Relaxed)
    }

    /// Longest value one entry can have: an eighth of the budget, so that no single value empties the store.
    pub fn value_bytes_max(&self) -> usize {
        (self.budget_bytes.load(Ordering::Relaxed) as usize / 8).min(VALUE_BYTES_MAX)
    }

    /// Values longer than this lie in runs.
    pub fn inline_bytes_max(&self) -> usize {
        self.arena.geometry().segment_bytes / 16
    }

    pub(crate) fn log(&self, queue: Queue) -> &Log {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    pub(crate) fn charge(&self, queue: Queue) -> u64 {
        self.charges[queue as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn policy(&self) -> S3Fifo {
        S3Fifo { capacity: self.policy_capacity.load(Ordering::Relaxed) }
    }

    /// Moves the manual clock; see [`Arena::wall_ms`].
    pub fn set_manual_clock(&self, ms: u64) {
        self.arena.superblock(superblock::MANUAL_CLOCK).store(ms, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Tells every reader that nobody owns the arena any more.
    pub fn close(&self) {
        self.end(true);
    }

    /// The same, or leaves an arena that the next owner can take over.
    pub(crate) fn end(&self, is_final: bool) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        {
            // A writer that panicked has poisoned its lock; the store must close all the same.
            let _shards: Vec<_> = self
                .shards
                .iter()
                .map(|shard| shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
                .collect();
            if is_final {
                // SYNC bucket-count: readers see that nobody owns the arena any more.
                self.arena.superblock(superblock::BUCKET_COUNT).store(0, Ordering::Release);
            }
        }
        self.spill.flush(true);
    }

    /// Keeps every record where it is, or lets drains go on.
    pub(crate) fn hold_drains(&self, are_held: bool) {
        self.drains_held.store(are_held, Ordering::Release);
    }

    pub(crate) fn are_drains_held(&self) -> bool {
        self.drains_held.load(Ordering::Acquire)
    }

    /// Refuses every write from now on, and waits for those under way. Reads go on.
    pub(crate) fn refuse_writes(&self) {
        self.is_refusing.store(true, Ordering::Release);
        // Whoever holds a shard lock has not seen it.
        for shard in &self.shards {
            drop(shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }

    pub(crate) fn ensure_open(&self) -> Result<()> {
        if self.is_closed() || self.is_refusing.load(Ordering::Acquire) {
            return Err(StoreError::new(Code::Closed, "the store is closed"));
        }
        Ok(())
    }
}

/// What a store is made of beside its arena.
pub(crate) struct Tables {
    pub allocated_buckets: u64,
    pub segments: Segments,
    pub small: Log,
    pub main: Log,
}

/// Random identities of a new arena.
#[derive(Clone, Copy, Debug)]
pub struct ArenaIds {
    pub arena_id: u64,
    pub hash_seed: u64,
    /// Third part of every version written here.
    pub origin: u64,
}
