//! The feed: every committed change in commit order, with a sequence number.
//!
//! A bounded ring of short entries in the owner's heap. An entry names the record where it lies, so the value is
//! copied only when a follower reads, in packed batches. A follower that is further behind than the ring, or whose
//! record has been recycled meanwhile, is told to resynchronise.
//!
//! Batch: for each change `u64 sequence | u8 kind | u8 flags | u16 0 | u32 record bytes | u32 run bytes | u32 crc`, the
//! record, its value when that lies in runs, padded to 8. `clear` and `value gone` carry what their kind says. The crc
//! is the CRC-32 of record and value, so that a change that is read alone, from the value log, can be verified.

use crate::arena::copy::{copy_out, load_grain};
use crate::arena::Arena;
use crate::layout::{Location, GRAIN_BYTES};
use crate::record::Header;
use crate::segment::{copy_run, Extent};
use crate::sync::{fence, lock, AtomicU64, Mutex, Ordering};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Set = 1,
    Delete = 2,
    /// A new expiry for the same value.
    Touch = 3,
    /// A namespace was cleared: the record bytes are `u32 namespace, u32 0, u64 epoch`.
    Clear = 4,
}

/// More changes of the same group follow; it ends with the first change without this flag.
pub const FEED_GROUP_MORE: u8 = 1;
/// The record's value in runs has been overwritten since: a later change of the key follows.
pub const FEED_VALUE_GONE: u8 = 2;
/// Only in the log: a drain has copied the change here from a file that goes. It says nothing new.
pub const FEED_COPY: u8 = 4;

/// A volatile record that replaced one which a lower tier may have, or a version of it: the log covers that with a delete.
pub const FEED_COVER: u8 = 8;
/// A volatile record that is about to leave RAM: the log takes it as it is. No change.
pub const FEED_SPILL: u8 = 16;

pub const CHANGE_HEADER_BYTES: usize = 24;

#[derive(Clone, Copy)]
struct Entry {
    /// Location, or the namespace of a clear.
    location: Location,
    /// Full generation of the segment, or 0.
    generation: u32,
    change: Change,
    flags: u8,
    /// Epoch of a clear.
    epoch: u64,
}

struct Ring {
    entries: Vec<Entry>,
    capacity: usize,
    /// Sequence of the next change; the first one is 1.
    next: u64,
}

/// The ring and its head.
pub struct Feed {
    /// LOCK: feed. The innermost lock of a commit.
    ring: Mutex<Ring>,
    /// That of the ring, which only grows.
    capacity: AtomicU64,
    head: AtomicU64,
}

/// What a follower gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedRead {
    /// Changes `first..next`, packed; empty when there is nothing new.
    Batch { first: u64, next: u64, bytes: Vec<u8> },
    /// Changes from the wanted one on are gone: take a snapshot and go on from `head`.
    Behind { head: u64 },
}

impl Feed {
    pub fn new(capacity: usize) -> Feed {
        let ring = Ring { entries: Vec::new(), capacity, next: 1 };
        Feed { ring: Mutex::new(ring), capacity: AtomicU64::new(capacity as u64), head: AtomicU64::new(1) }
    }

    /// Makes the ring large enough for a group of so many changes, which is followed as a whole, and as many more beside it.
    pub fn hold(&self, changes: usize) {
        let wanted = changes * 2 + 2;
        if wanted <= self.capacity() {
            return;
        }
        let mut ring = lock(&self.ring);
        if wanted <= ring.capacity {
            return;
        }
        let old = std::mem::take(&mut ring.entries);
        let (before, after) = (ring.capacity as u64, wanted.next_power_of_two());
        if let Some(filler) = old.first() {
            ring.entries = vec![*filler; after];
            for sequence in ring.next.saturating_sub(before).max(1)..ring.next {
                ring.entries[sequence as usize % after] = old[(sequence % before) as usize];
            }
        }
        ring.capacity = after;
        self.capacity.store(after as u64, Ordering::Relaxed);
    }

    /// Adds changes in one piece, so that a group is never split; the sequence of the last one. Called under the shard
    /// locks of their keys.
    pub fn push(&self, arena: &Arena, change: Change, locations: &[Location]) -> u64 {
        self.push_with(arena, change, locations, 0)
    }

    /// The same with a flag for each of them.
    pub fn push_with(&self, arena: &Arena, change: Change, locations: &[Location], flags: u8) -> u64 {
        let mut ring = lock(&self.ring);
        for (index, location) in locations.iter().enumerate() {
            let is_last = index + 1 == locations.len();
            let entry = Entry {
                location: *location,
                generation: arena.generation(location.segment).load(Ordering::Relaxed) as u32,
                change,
                flags: flags | if is_last { 0 } else { FEED_GROUP_MORE },
                epoch: 0,
            };
            self.add(&mut ring, entry);
        }
        ring.next - 1
    }

    pub fn push_clear(&self, namespace: u32, epoch: u64) {
        let location = Location { segment: namespace, generation: 0, offset: 0 };
        let entry = Entry { location, generation: 0, change: Change::Clear, flags: 0, epoch };
        self.add(&mut lock(&self.ring), entry);
    }

    fn add(&self, ring: &mut Ring, entry: Entry) {
        let at = (ring.next % ring.capacity as u64) as usize;
        if at == ring.entries.len() {
            ring.entries.push(entry);
        } else if at < ring.entries.len() {
            ring.entries[at] = entry;
        } else {
            // Only the very first change lands past the end: sequences start at 1.
            ring.entries.resize(at, entry);
            ring.entries.push(entry);
        }
        ring.next += 1;
        self.head.store(ring.next, Ordering::Relaxed);
    }

    /// Changes that a follower may be behind.
    pub fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed) as usize
    }

    /// Sequence of the last change; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.head.load(Ordering::Relaxed) - 1
    }

    pub fn heap_bytes(&self) -> usize {
        lock(&self.ring).entries.len() * size_of::<Entry>()
    }

    /// Packs changes from `from` on, at least one and then up to `bytes_max`, whole groups only.
    /// `append_run` appends the value in runs of the live record with this key, namespace and clock word, if there is one.
    pub fn read(
        &self,
        arena: &Arena,
        from: u64,
        bytes_max: usize,
        append_run: impl Fn(&[u8], u32, u64, &mut Vec<u8>) -> bool,
    ) -> FeedRead {
        let mut bytes = Vec::new();
        let mut sequence = from;
        let mut complete = (from, 0);
        loop {
            let (entry, next) = {
                let ring = lock(&self.ring);
                let oldest = ring.next.saturating_sub(ring.capacity as u64).max(1);
                if sequence < oldest {
                    return FeedRead::Behind { head: ring.next };
                }
                if sequence >= ring.next {
                    break;
                }
                (ring.entries[(sequence % ring.capacity as u64) as usize], ring.next)
            };
            if !pack(arena, sequence, &entry, &append_run, &mut bytes) {
                return FeedRead::Behind { head: next };
            }
            sequence += 1;
            if entry.flags & FEED_GROUP_MORE == 0 {
                complete = (sequence, bytes.len());
                if bytes.len() >= bytes_max {
                    break;
                }
            }
        }
        bytes.truncate(complete.1);
        FeedRead::Batch { first: from, next: complete.0, bytes }
    }
}

/// False when the record has been recycled.
fn pack(
    arena: &Arena,
    sequence: u64,
    entry: &Entry,
    append_run: &impl Fn(&[u8], u32, u64, &mut Vec<u8>) -> bool,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    out.resize(start + CHANGE_HEADER_BYTES, 0);
    let mut flags = entry.flags;
    let mut run_bytes = 0;
    if entry.change == Change::Clear {
        out.extend_from_slice(&entry.location.segment.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&entry.epoch.to_le_bytes());
    } else {
        let Some(header) = pack_record(arena, entry.location, out) else { return false };
        if header.is_run() {
            let record = &out[start + CHANGE_HEADER_BYTES..];
            let key = record[header.key_at as usize..header.value_at()].to_vec();
            let before = out.len();
            if append_run(&key, header.namespace, header.clock, out) {
                run_bytes = out.len() - before;
            } else {
                flags |= FEED_VALUE_GONE;
            }
        }
        fence(Ordering::Acquire);
        if arena.generation(entry.location.segment).load(Ordering::Relaxed) as u32 != entry.generation {
            return false;
        }
    }
    let record_bytes = out.len() - start - CHANGE_HEADER_BYTES - run_bytes;
    let crc = crc32fast::hash(&out[start + CHANGE_HEADER_BYTES..]);
    let header = &mut out[start..start + CHANGE_HEADER_BYTES];
    header[..8].copy_from_slice(&sequence.to_le_bytes());
    header[8] = entry.change as u8;
    header[9] = flags;
    header[12..16].copy_from_slice(&(record_bytes as u32).to_le_bytes());
    header[16..20].copy_from_slice(&(run_bytes as u32).to_le_bytes());
    header[20..24].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
    true
}

/// Appends the bytes of a record. `None` when they are not those of a record.
pub fn pack_record(arena: &Arena, location: Location, out: &mut Vec<u8>) -> Option<Header> {
    let header = read_header(arena, location)?;
    let start = out.len();
    out.resize(start + header.record_bytes(), 0);
    copy_out(arena.data(), arena.record_byte(location)?, 0, &mut out[start..]);
    Some(header)
}

/// Appends the value of a record that lies in runs; `record_at` is where the record stands in `out`.
/// The bytes it took, 0 when the extents make no sense.
pub fn pack_run(
    arena: &Arena,
    unit_bytes: usize,
    header: &Header,
    record_at: usize,
    out: &mut Vec<u8>,
) -> usize {
    let at = record_at + header.value_at();
    let extents: Vec<Extent> = out[at..at + header.inline_bytes()]
        .chunks_exact(8)
        .map(|bits| Extent::from_bits(u64::from_le_bytes(bits.try_into().expect("eight bytes"))))
        .collect();
    let start = out.len();
    out.resize(start + header.value_bytes as usize, 0);
    if !copy_run(arena, unit_bytes, extents.into_iter(), &mut out[start..]) {
        out.truncate(start);
        return 0;
    }
    header.value_bytes as usize
}

/// The header of the record at a location, checked against its segment.
pub fn read_header(arena: &Arena, location: Location) -> Option<Header> {
    let mut header = Header::default();
    read_header_into(arena, location, arena.record_byte(location)?, &mut header).then_some(header)
}

/// The same in place, for a location whose first byte is known. False when the bytes are not those of a record.
#[inline(always)]
pub fn read_header_into(arena: &Arena, location: Location, first: usize, header: &mut Header) -> bool {
    let grains_left = arena.segment_grains() - location.offset as usize;
    header.parse_into(grains_left, |grain| load_grain(arena.data(), first + grain * GRAIN_BYTES))
        && header.record_grains() <= grains_left
}
