//! Statistics: counter slots in the touch file, one for each namespace and thread that reads, and the owner's numbers
//! in the superblock, so that every process can show the same.

use crate::arena::{Arena, Slot};
use crate::layout::{
    counters, superblock, NAMESPACE_ENTRIES, NAMESPACE_PAYLOAD_BYTES, NAMESPACE_QUOTA_BYTES,
    NAMESPACE_RAM_BYTES,
};
use crate::namespaces;
use crate::store::Store;
use crate::sync::{AtomicU64, Ordering};

/// About one read in this many is timed, and one write.
pub const SAMPLE_EVERY: u32 = 64;
/// Counter slot 0 is shared by all who come when the others are taken.
const SHARED_SLOT: usize = 0;

/// Chooses which calls are sampled: at random, for of calls that come in a fixed order others would never be.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    left: u32,
    chance: u32,
}

impl Sampler {
    pub fn new(seed: u64) -> Sampler {
        Sampler { left: SAMPLE_EVERY, chance: (seed ^ seed >> 32) as u32 | 1 }
    }

    #[inline]
    pub fn is_due(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        // xorshift32, Marsaglia 2003.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 17;
        self.chance ^= self.chance << 5;
        self.left = 1 + self.chance % (2 * SAMPLE_EVERY - 1);
        true
    }
}

/// A claimed counter slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterSlot {
    slot: usize,
}

impl CounterSlot {
    /// Claims a slot for the calling thread's reads of a namespace. Counts of a slot go on from where its last holder
    /// left them, so nothing is lost when a process ends, however it ends.
    pub fn claim(arena: &Arena, namespace: u32, pid: u32) -> CounterSlot {
        let wanted = namespace as u64 + 1;
        for slot in SHARED_SLOT + 1..counters::SLOTS {
            // Memory for this slot and the next: whoever sums up looks one past the last one in use.
            let byte = arena.geometry().counters_byte() + slot * counters::WORDS * 8;
            if !arena.touch().allocate(byte, 2 * counters::WORDS * 8) {
                break;
            }
            let claim = arena.counter(slot, counters::CLAIM);
            let holder = claim.load(Ordering::Acquire);
            let of_namespace = arena.counter(slot, counters::NAMESPACE).load(Ordering::Acquire);
            let is_free = holder == 0 || !is_alive(holder as u32);
            if !is_free || (of_namespace != 0 && of_namespace != wanted) {
                continue;
            }
            if claim.compare_exchange(holder, pid as u64, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                arena.counter(slot, counters::NAMESPACE).store(wanted, Ordering::Release);
                return CounterSlot { slot };
            }
        }
        CounterSlot { slot: SHARED_SLOT }
    }

    /// Its place among the counter slots.
    pub fn number(self) -> usize {
        self.slot
    }

    pub fn release(self, arena: &Arena) {
        if self.slot != SHARED_SLOT {
            arena.counter(self.slot, counters::CLAIM).store(0, Ordering::Release);
        }
    }

    /// Adds to a counter; returns what it was. Only this thread writes the slot, unless it is the shared one, whose
    /// counts may be lost.
    #[inline]
    pub fn add(self, arena: &Arena, word: usize, count: u64) -> u64 {
        let counter = arena.counter(self.slot, word);
        let before = counter.load(Ordering::Relaxed);
        counter.store(before + count, Ordering::Relaxed);
        before
    }

    /// Takes one back that was counted too soon.
    pub fn take_back(self, arena: &Arena, word: usize) {
        let counter = arena.counter(self.slot, word);
        counter.store(counter.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Leaves where a sampled read has found its key.
    pub fn note_sample(self, arena: &Arena, slot: Slot) {
        arena.counter(self.slot, counters::SAMPLED_SLOT).store(slot.word as u64, Ordering::Relaxed);
        self.add(arena, counters::SAMPLES, 1);
    }

    pub fn record_ns(self, arena: &Arena, histogram: usize, ns: u64) {
        self.add(arena, histogram + histogram_bucket(ns), 1);
    }
}

fn is_alive(pid: u32) -> bool {
    // SAFETY: signal 0 only asks whether the process exists.
    let answer = unsafe { libc::kill(pid as i32, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Two buckets an octave from 16 ns on. A quantile is the upper edge of its bucket: at most half too high.
fn histogram_bucket(ns: u64) -> usize {
    let ns = ns.max(16);
    let octave = 63 - ns.leading_zeros() as usize;
    let half = (ns >> (octave - 1) & 1) as usize;
    ((octave - 4) * 2 + half).min(counters::HISTOGRAM_BUCKETS - 1)
}

/// Upper edge of a bucket in nanoseconds.
fn bucket_edge_ns(bucket: usize) -> u64 {
    let base = 16u64 << (bucket / 2);
    if bucket.is_multiple_of(2) {
        base + base / 2
    } else {
        base * 2
    }
}

/// Quantiles of sampled latencies, in microseconds; all 0 when nothing was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

/// Reads of one namespace by all processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceCounts {
    pub name: String,
    pub entries: u64,
    pub payload_bytes: u64,
    /// 0 = none.
    pub quota_bytes: u64,
    /// What is compared with it.
    pub ram_bytes: u64,
    pub hits: u64,
    pub misses: u64,
}

/// A snapshot for `stats`.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub entries: u64,
    pub payload_bytes: u64,
    pub budget_bytes: u64,
    pub overhead_bytes: u64,
    pub hits: u64,
    pub misses: u64,
    pub sets: u64,
    pub deletes: u64,
    pub expired: u64,
    pub evictions: u64,
    pub spilled_bytes: u64,
    pub back_pressure: u64,
    pub sequence: u64,
    pub clients: u64,
    pub get: Latency,
    pub set: Latency,
    pub namespaces: Vec<NamespaceCounts>,
}

/// The numbers of an arena as any process sees them; the owner's own part is as old as its last `publish_counts`.
pub fn snapshot(arena: &Arena) -> Counts {
    let owner = |word| arena.superblock(word).load(Ordering::Relaxed);
    let mut counts = Counts {
        entries: owner(superblock::ENTRIES),
        payload_bytes: owner(superblock::PAYLOAD_BYTES),
        budget_bytes: owner(superblock::BUDGET_BYTES),
        overhead_bytes: owner(superblock::OVERHEAD_BYTES),
        sets: owner(superblock::SETS),
        deletes: owner(superblock::DELETES),
        expired: owner(superblock::EXPIRED),
        evictions: owner(superblock::EVICTIONS),
        spilled_bytes: owner(superblock::SPILLED_BYTES),
        back_pressure: owner(superblock::BACK_PRESSURE),
        sequence: owner(superblock::SEQUENCE),
        ..Counts::default()
    };
    counts.namespaces = (0..namespaces::count(arena))
        .map(|id| NamespaceCounts {
            name: namespaces::name(arena, id),
            entries: arena.namespace_word(id, NAMESPACE_ENTRIES).load(Ordering::Relaxed),
            payload_bytes: arena.namespace_word(id, NAMESPACE_PAYLOAD_BYTES).load(Ordering::Relaxed),
            quota_bytes: arena.namespace_word(id, NAMESPACE_QUOTA_BYTES).load(Ordering::Relaxed),
            ram_bytes: arena.namespace_word(id, NAMESPACE_RAM_BYTES).load(Ordering::Relaxed),
            ..NamespaceCounts::default()
        })
        .collect();
    let owner_pid = owner(superblock::OWNER_PID);
    let mut get = vec![0; counters::HISTOGRAM_BUCKETS];
    let mut set = vec![0; counters::HISTOGRAM_BUCKETS];
    let mut clients = std::collections::HashSet::new();
    for slot in 0..counters::SLOTS {
        let load = |word| arena.counter(slot, word).load(Ordering::Relaxed);
        let namespace = load(counters::NAMESPACE);
        if namespace == 0 && slot != SHARED_SLOT {
            // Slots are claimed in order: behind a fresh one there are only fresh ones.
            break;
        }
        let (hits, misses) = (load(counters::HITS), load(counters::MISSES));
        counts.hits += hits;
        counts.misses += misses;
        if let Some(of_namespace) = counts.namespaces.get_mut((namespace as usize).wrapping_sub(1)) {
            of_namespace.hits += hits;
            of_namespace.misses += misses;
        }
        let holder = load(counters::CLAIM);
        if holder != 0 && holder != owner_pid && is_alive(holder as u32) {
            clients.insert(holder);
        }
        for bucket in 0..counters::HISTOGRAM_BUCKETS {
            get[bucket] += load(counters::GET_HISTOGRAM + bucket);
            set[bucket] += load(counters::SET_HISTOGRAM + bucket);
        }
    }
    counts.clients = clients.len() as u64;
    counts.get = latency(&get);
    counts.set = latency(&set);
    counts
}

fn latency(histogram: &[u64]) -> Latency {
    let total: u64 = histogram.iter().sum();
    let quantile = |share: f64| {
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in histogram.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return bucket_edge_ns(bucket) as f64 / 1000.0;
            }
        }
        0.0
    };
    Latency { p50_us: quantile(0.5), p99_us: quantile(0.99), p999_us: quantile(0.999), max_us: quantile(1.0) }
}

impl Store {
    /// Bytes allocated beyond live keys and values: tables, headers, padding, dead records, segments held ready.
    pub fn overhead_bytes(&self) -> u64 {
        let (ready, in_use) = self.segments.counts();
        let segments = (ready + in_use) * self.arena.geometry().segment_bytes;
        (self.table_bytes() + segments) as u64 - self.payload_bytes().min(segments as u64)
    }

    /// Writes the owner's numbers where other processes find them.
    pub fn publish_counts(&self) {
        let (evictions, spilled_bytes) = self.spill.totals();
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        for (word, value) in [
            (superblock::ENTRIES, self.entries()),
            (superblock::PAYLOAD_BYTES, self.payload_bytes()),
            (superblock::OVERHEAD_BYTES, self.overhead_bytes()),
            (superblock::SETS, load(&self.totals.sets)),
            (superblock::DELETES, load(&self.totals.deletes)),
            (superblock::EXPIRED, load(&self.totals.expired)),
            (superblock::EVICTIONS, evictions),
            (superblock::SPILLED_BYTES, spilled_bytes),
            (superblock::BACK_PRESSURE, load(&self.totals.back_pressure)),
            (superblock::SEQUENCE, self.sequence()),
        ] {
            self.arena.superblock(word).store(value, Ordering::Relaxed);
        }
        for id in 0..namespaces::count(&self.arena) {
            let (entries, payload_bytes) = self.usage(id);
            for (word, value) in [
                (NAMESPACE_ENTRIES, entries),
                (NAMESPACE_PAYLOAD_BYTES, payload_bytes),
                (NAMESPACE_QUOTA_BYTES, self.quota(id)),
                (NAMESPACE_RAM_BYTES, self.ram_bytes(id)),
            ] {
                self.arena.namespace_word(id, word).store(value, Ordering::Relaxed);
            }
        }
    }

    /// A snapshot with the owner's numbers of this moment.
    pub fn counts(&self) -> Counts {
        self.publish_counts();
        snapshot(&self.arena)
    }
}
