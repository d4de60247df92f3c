//! The hybrid logical clock: 48 bits of milliseconds, 16 bits of counter, in one word.
//!
//! Kulkarni, Demirbas and others, "Logical Physical Clocks and Consistent Snapshots in Globally Distributed
//! Databases", 2014. A version is (fence, clock, origin); the fence is 0 and the origin the store's own until peers
//! exist, so here the clock word alone orders the writes of a key.

use crate::sync::{AtomicU64, Ordering};

pub const COUNTER_BITS: u32 = 16;
/// Clock words from here on (the year 4199) are damage.
pub const CLOCK_MAX: u64 = 1 << 62;

/// Milliseconds since 1970 by the system's real-time clock.
#[inline]
pub fn wall_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |elapsed| elapsed.as_secs() * 1000 + elapsed.subsec_millis() as u64)
}

/// When this process began, in clock ticks since the machine did: with its id it names a process for good. 0 when the
/// system does not say.
pub fn process_start_ticks() -> u64 {
    // The name, second of the fields, may contain anything but ends at the last parenthesis; the start is the 22nd.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Milliseconds of a clock word.
#[inline]
pub fn ms_of(clock: u64) -> u64 {
    clock >> COUNTER_BITS
}

/// The next clock word: larger than every one given out before and than `replaced`, and not behind the wall.
/// Call it inside the lock of the key's shard: a reading taken outside could publish an older version over a newer.
pub fn tick(clock: &AtomicU64, wall_ms: u64, replaced: u64) -> u64 {
    let floor = (wall_ms << COUNTER_BITS).max(replaced + 1);
    let mut last = clock.load(Ordering::Relaxed);
    loop {
        let next = floor.max(last + 1);
        match clock.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return next,
            Err(seen) => last = seen,
        }
    }
}
