//! Where evicted records go: packed batches for the tier below.

use crate::sync::lock;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// A batch is handed over when it reaches this size.
pub const SPILL_BATCH_BYTES: usize = 256 << 10;

/// Evicted records of one or more slices of a drain, packed: `u32` bytes of the record, `u32` bytes of its value in
/// runs, the record, that value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpillBatch {
    pub bytes: Vec<u8>,
    pub records: u64,
}

/// Takes a full batch. Called without any lock of a shard.
pub type Sink = Box<dyn Fn(SpillBatch) + Send + Sync>;

/// Collects what a drain evicts. Without a sink records are dropped and counted.
#[derive(Default)]
pub struct Spill {
    /// LOCK: spill.
    open: Mutex<SpillBatch>,
    sink: Mutex<Option<Sink>>,
    has_sink: AtomicBool,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Spill {
    pub fn set_sink(&self, sink: Option<Sink>) {
        self.has_sink.store(sink.is_some(), Ordering::Relaxed);
        *lock(&self.sink) = sink;
    }

    pub fn has_sink(&self) -> bool {
        self.has_sink.load(Ordering::Relaxed)
    }

    /// Counts an evicted record, and packs it when somebody wants it.
    pub fn add(&self, payload_bytes: u64, pack: impl FnOnce(&mut Vec<u8>)) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(payload_bytes, Ordering::Relaxed);
        if self.has_sink() {
            let mut batch = lock(&self.open);
            pack(&mut batch.bytes);
            batch.records += 1;
        }
    }

    /// Hands over the open batch when it is full, or whatever there is when `is_last`.
    pub fn flush(&self, is_last: bool) {
        if !self.has_sink() {
            return;
        }
        let batch = {
            let mut open = lock(&self.open);
            if open.records == 0 || (open.bytes.len() < SPILL_BATCH_BYTES && !is_last) {
                return;
            }
            std::mem::take(&mut *open)
        };
        if let Some(sink) = lock(&self.sink).as_ref() {
            sink(batch);
        }
    }

    /// Goes on from the totals of the owner before.
    pub fn adopt_totals(&self, records: u64, bytes: u64) {
        self.records.store(records, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Records and payload bytes evicted so far.
    pub fn totals(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
