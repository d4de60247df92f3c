//! How long commands run, without what they wait for: counts by command and thread, in powers of two of a microsecond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The last one takes everything above half an hour.
const BUCKETS: usize = 32;

/// Each thread writes a table of its own.
pub struct Latencies(Vec<Box<[AtomicU64]>>);

impl Latencies {
    pub fn new(threads: usize, commands: usize) -> Latencies {
        let table = || (0..commands * BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Latencies((0..threads).map(|_| table()).collect())
    }

    /// `command` is its number.
    pub fn note(&self, thread: usize, command: usize, took: Duration) {
        let bucket = &self.0[thread][command * BUCKETS + bucket_of(took)];
        bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Of one command: how often it ran, and for each bucket that has any its upper edge in microseconds with how often it
    /// took no longer. The last count is that of all.
    pub fn of(&self, command: usize) -> (u64, Vec<(i64, u64)>) {
        let mut all = 0;
        let mut edges = Vec::new();
        for bucket in 0..BUCKETS {
            let at = command * BUCKETS + bucket;
            let count: u64 = self.0.iter().map(|table| table[at].load(Ordering::Relaxed)).sum();
            if count > 0 {
                all += count;
                edges.push((1 << bucket, all));
            }
        }
        (all, edges)
    }

    /// Counts of commands that end meanwhile may be lost, or stay.
    pub fn reset(&self) {
        for count in self.0.iter().flat_map(|table| table.iter()) {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// The smallest power of two of a microsecond that it took no longer than.
fn bucket_of(took: Duration) -> usize {
    let us = took.as_nanos().div_ceil(1000).max(1);
    (u128::BITS - (us - 1).leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_what_is_no_longer_than_its_edge() {
        let of = |ns: u64| bucket_of(Duration::from_nanos(ns));
        assert_eq!([of(0), of(1), of(1000), of(1001), of(2000), of(2001), of(4000)], [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(bucket_of(Duration::from_secs(1 << 40)), BUCKETS - 1);
    }

    #[test]
    fn counts_of_all_threads_are_added_up() {
        let latencies = Latencies::new(2, 3);
        latencies.note(0, 1, Duration::from_micros(3));
        latencies.note(1, 1, Duration::from_micros(4));
        latencies.note(1, 1, Duration::from_micros(1));
        assert_eq!(latencies.of(1), (3, vec![(1, 1), (4, 3)]));
        assert_eq!(latencies.of(0), (0, vec![]));
        assert_eq!(latencies.of(2), (0, vec![]));
        latencies.reset();
        assert_eq!(latencies.of(1), (0, vec![]));
    }
}
