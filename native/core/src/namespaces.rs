//! Namespaces: key spaces with an epoch and a change counter in the arena, so that every process sees a clear at
//! once. Names are never removed; ids are positions in the table. Id 0 is the default namespace.

use crate::arena::Arena;
use crate::error::{Code, Result, StoreError};
use crate::layout::{self, superblock, NAMESPACES_MAX, NAMESPACE_NAME_BYTES_MAX};
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// What the owner counts for one namespace.
#[derive(Default)]
pub struct Usage {
    pub entries: AtomicU64,
    pub payload_bytes: AtomicU64,
    /// Part of the store's charges, by log.
    pub charges: [AtomicU64; 2],
    /// Whether a volatile record has ever come into RAM: those are in no index below.
    pub has_volatile: AtomicBool,
    /// Its entries may be dropped when the last tier is full: `onFull: 'evict-coldest'`.
    pub may_drop: AtomicBool,
    /// Its entries are pinned when they are written.
    pub pins: AtomicBool,
    /// Of RAM, beyond which its entries leave first; 0 = none.
    pub quota_bytes: AtomicU64,
    /// Part of the store's pinned bytes.
    pub pinned_bytes: AtomicU64,
}

/// The id of a name, or `None` when no such namespace has been made.
pub fn find(arena: &Arena, name: &str) -> Option<u32> {
    // SYNC namespaces: meets the release store in `find_or_add`.
    let count =
        arena.superblock(superblock::NAMESPACE_COUNT).load(Ordering::Acquire).min(NAMESPACES_MAX as u64);
    (0..count as u32).find(|id| read_name(arena, *id) == name.as_bytes())
}

/// The id of a name, added when it is new. Call it under the lock of namespaces.
pub fn find_or_add(arena: &Arena, name: &str) -> Result<u32> {
    if let Some(id) = find(arena, name) {
        return Ok(id);
    }
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAMESPACE_NAME_BYTES_MAX {
        let message = format!("namespace name {name:?} has {} bytes, allowed are 1 to 64", bytes.len());
        return Err(StoreError::new(Code::Config, message));
    }
    let id = arena.superblock(superblock::NAMESPACE_COUNT).load(Ordering::Relaxed);
    if id as usize >= NAMESPACES_MAX {
        let message = format!("namespace {name:?} would be number {}, the limit is {NAMESPACES_MAX}", id + 1);
        return Err(StoreError::new(Code::Config, message));
    }
    let line = (superblock::WORDS + id as usize * layout::NAMESPACE_LINE) * layout::WORD_BYTES;
    if !arena.data().allocate(line, layout::NAMESPACE_LINE * layout::WORD_BYTES) {
        return Err(StoreError::new(Code::Full, "no shared memory left for another namespace"));
    }
    for (index, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let target = arena.namespace_word(id as u32, layout::NAMESPACE_NAME + index);
        target.store(u64::from_le_bytes(word), Ordering::Relaxed);
    }
    arena
        .namespace_word(id as u32, layout::NAMESPACE_NAME_BYTES)
        .store(bytes.len() as u64, Ordering::Relaxed);
    // SYNC namespaces: the name is complete; meets the acquire load in `find`.
    arena.superblock(superblock::NAMESPACE_COUNT).store(id + 1, Ordering::Release);
    Ok(id as u32)
}

pub fn count(arena: &Arena) -> u32 {
    arena.superblock(superblock::NAMESPACE_COUNT).load(Ordering::Acquire).min(NAMESPACES_MAX as u64) as u32
}

pub fn name(arena: &Arena, id: u32) -> String {
    String::from_utf8_lossy(&read_name(arena, id)).into_owned()
}

fn read_name(arena: &Arena, id: u32) -> Vec<u8> {
    let length = arena.namespace_word(id, layout::NAMESPACE_NAME_BYTES).load(Ordering::Relaxed) as usize;
    let mut bytes = Vec::with_capacity(NAMESPACE_NAME_BYTES_MAX);
    for index in 0..NAMESPACE_NAME_BYTES_MAX / 8 {
        let word = arena.namespace_word(id, layout::NAMESPACE_NAME + index).load(Ordering::Relaxed);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length.min(NAMESPACE_NAME_BYTES_MAX));
    bytes
}

/// Clock word of the last clear; entries that are not newer are dead.
#[inline]
pub fn epoch(arena: &Arena, id: u32) -> u64 {
    // SYNC epoch: meets the release store of a clear.
    arena.namespace_word(id, layout::NAMESPACE_EPOCH).load(Ordering::Acquire)
}
