//! What a checkpoint brings to the index: the frozen stretch of the log as key-sorted entries.
//!
//! Entry, packed without padding, little-endian:
//!
//! ```text
//! u16 key bytes, namespace included | u8 kind: 1 set, 2 delete, 3 clear | u8 flags | u32 file | u32 offset |
//! u32 bytes | u64 clock | u64 expires at, ms since 1970, 0 = never | u16 namespace, big-endian | key
//! ```
//!
//! File, offset and bytes are the location of the change. Clears come first, the newest of each namespace; their clock
//! is the epoch, and their key the namespace alone: they are applied before any set, whose clock says whether it is
//! older. Then sets and deletes, sorted by the bytes of their keys. Flag 2: the expiry was set apart from the value,
//! by a touch, and an entry of the same clock without it is older. Flag 4: the record is pinned in RAM. Flag 1: a
//! clear that a drain has copied. Other copies are in a checkpoint only when the index is made anew, as what they copy.

use super::change::LoggedChange;
use super::location::Position;
use super::sorting::{Sorted, Sorter};
use super::tail::TailIndex;
use super::walk::Damage;
use super::ValueLog;
use crate::error::Result;
use crate::feed::Change;
use crate::record::Header;
use std::collections::BTreeMap;
use std::ops::Range;

pub const ENTRY_SET: u8 = 1;
pub const ENTRY_DELETE: u8 = 2;
pub const ENTRY_CLEAR: u8 = 3;
/// Flag: a clear that is known.
pub const ENTRY_COPY: u8 = 1;
/// Flag: the expiry was set by a touch.
pub const ENTRY_TOUCHED: u8 = 2;
/// Flag: the record never leaves RAM.
pub const ENTRY_PINNED: u8 = 4;
/// Flag: the record outlives no arena, or covers what one that does not has replaced.
pub const ENTRY_VOLATILE: u8 = 8;
pub const ENTRY_HEADER_BYTES: usize = 32;
pub const ENTRY_BYTES_MAX: usize = ENTRY_HEADER_BYTES + NAMESPACE_BYTES + crate::layout::KEY_BYTES_MAX;
const NAMESPACE_BYTES: usize = 2;

const _: () = {
    assert!(ENTRY_HEADER_BYTES == 2 + 1 + 1 + 3 * 4 + 2 * 8);
    assert!(crate::layout::KEY_BYTES_MAX + NAMESPACE_BYTES <= u16::MAX as usize);
};

/// The entries of one checkpoint, taken in pieces.
#[derive(Debug)]
pub struct Checkpoint {
    clears: std::vec::IntoIter<Vec<u8>>,
    others: Sorted,
    entries: usize,
    /// What it covers; once committed, a recovery begins at the second.
    pub region: (Position, Position),
    /// Batches that could not be read again. Their changes keep what the index had.
    pub damage: Vec<Damage>,
}

impl Checkpoint {
    /// Reads the stretch of the frozen generation, and sorts it in about `sort_bytes` of memory. `None` when nothing is
    /// frozen.
    pub fn of(log: &ValueLog, tail: &TailIndex, sort_bytes: usize) -> Result<Option<Checkpoint>> {
        let Some(region) = tail.frozen_region() else { return Ok(None) };
        let mut sorter = Sorter::new(log, sort_bytes);
        let mut clears: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut changes = log.changes(region.0, region.1);
        while let Some((_, batch)) = changes.next_batch() {
            for change in batch {
                if change.change == Change::Clear {
                    let mut entry = Vec::new();
                    pack(&change, &mut entry);
                    let standing = clears.entry(change.namespace).or_default();
                    if clock_of(standing) <= change.clock {
                        *standing = entry;
                    }
                    continue;
                }
                let newest = tail.find_frozen(tail.key(change.namespace, change.key()));
                if newest.is_some_and(|newest| newest.location == change.location) {
                    sorter.push(|out| pack(&change, out))?;
                }
            }
        }
        let entries = clears.len() + sorter.count();
        let clears = clears.into_values().collect::<Vec<_>>().into_iter();
        let damage = changes.damage().to_vec();
        Ok(Some(Checkpoint { clears, others: sorter.finish()?, entries, region, damage }))
    }

    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Appends the next entries to `out`, at least one and then as long as `bytes_max` is not reached; how many. 0 at
    /// the end.
    pub fn take(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize> {
        let begin = out.len();
        let mut taken = 0;
        while taken == 0 || out.len() - begin < bytes_max {
            match self.clears.next() {
                Some(entry) => out.extend_from_slice(&entry),
                None if self.others.take(out)? => {}
                None => break,
            }
            taken += 1;
        }
        Ok(taken)
    }
}

/// Appends a change as an entry.
pub fn pack(change: &LoggedChange, out: &mut Vec<u8>) {
    let kind = match change.change {
        Change::Set | Change::Touch => ENTRY_SET,
        // What covers a volatile value: the key is there, in RAM.
        Change::Delete if change.header.is_volatile() => ENTRY_SET,
        Change::Delete => ENTRY_DELETE,
        Change::Clear => ENTRY_CLEAR,
    };
    let header: &Header = &change.header;
    let is_touched = kind == ENTRY_SET && header.expiry_clock != header.clock;
    out.extend_from_slice(&((NAMESPACE_BYTES + change.key().len()) as u16).to_le_bytes());
    let is_pinned = header.flags & crate::record::FLAG_PINNED != 0;
    let is_known = kind == ENTRY_CLEAR && change.is_copy();
    let flags = (ENTRY_COPY * is_known as u8)
        | (ENTRY_TOUCHED * is_touched as u8)
        | (ENTRY_PINNED * is_pinned as u8)
        | (ENTRY_VOLATILE * header.is_volatile() as u8);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&change.location.file.to_le_bytes());
    out.extend_from_slice(&change.location.offset.to_le_bytes());
    out.extend_from_slice(&change.location.bytes.to_le_bytes());
    out.extend_from_slice(&change.clock.to_le_bytes());
    out.extend_from_slice(&header.gone_at().to_le_bytes());
    out.extend_from_slice(&(change.namespace as u16).to_be_bytes());
    out.extend_from_slice(change.key());
}

/// 0 for no entry at all.
fn clock_of(entry: &[u8]) -> u64 {
    entry.get(16..24).map_or(0, |clock| u64::from_le_bytes(clock.try_into().expect("eight bytes")))
}

pub(super) fn entry_at(bytes: &[u8], at: usize) -> Range<usize> {
    let key_bytes = u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    at..at + ENTRY_HEADER_BYTES + key_bytes
}

pub(super) fn key_of(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[entry_at(bytes, at)][ENTRY_HEADER_BYTES..]
}
