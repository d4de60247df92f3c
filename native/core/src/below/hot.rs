//! The hot set: keys that were worth their place in RAM, saved now and then, so that a start without an arena finds them
//! there again before anybody asks.
//!
//! `hot`: `8 bytes magic | u32 version | u32 keys | for each, the hottest first: u16 namespace, u16 key bytes, key | u32 crc of
//! all before`. The file is replaced whole. It only says what to look for: what comes up is what the tiers below have.

use super::{Miss, Purpose};
use crate::arena::copy::copy_out;
use crate::error::{Code, Result, StoreError};
use crate::feed::read_header;
use crate::index::Walk;
use crate::layout::{shard_of, NAMESPACES_MAX};
use crate::ops::read::{Glimpse, Lookup, Nothing, Seen};
use crate::record::FLAG_PINNED;
use crate::segment::{Kind, READY_LOW, RESERVE};
use crate::store::Store;
use crate::sync::{lock, Ordering};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"RAMCHOTK";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const CRC_BYTES: usize = 4;
const ENTRY_HEAD_BYTES: usize = 4;
/// Share of the budget that the list of keys takes at most, on disk and while RAM is warmed.
const SHARE: usize = 64;
const BYTES_MOST: usize = 16 << 20;
const BYTES_LEAST: usize = 16 << 10;
/// Questions under way at a time: they delay a read by less than a millisecond.
const ASKED_AT_ONCE: usize = 16;
/// Nobody waits for the answers.
const NO_ASKER: u32 = 0;

/// Keys to be brought up, from `at` on.
#[derive(Debug, Default)]
pub struct HotKeys {
    bytes: Vec<u8>,
    at: usize,
    left: usize,
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("hot")
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::new(Code::Unavailable, format!("cannot {what} {}: {error}", path.display()))
}

impl HotKeys {
    /// What a file holds, or why it holds nothing.
    fn decode(mut bytes: Vec<u8>) -> std::result::Result<HotKeys, String> {
        let damaged = || "damaged".to_string();
        let u32_at =
            |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        if bytes.len() < HEAD_BYTES + CRC_BYTES || !bytes.starts_with(MAGIC) {
            return Err("no list of keys".into());
        }
        let end = bytes.len() - CRC_BYTES;
        if crc32fast::hash(&bytes[..end]) != u32_at(&bytes, end) {
            return Err(damaged());
        }
        let version = u32_at(&bytes, 8);
        if version != VERSION {
            return Err(format!("format {version}, this code reads {VERSION}"));
        }
        let left = u32_at(&bytes, 12) as usize;
        bytes.truncate(end);
        let mut keys = HotKeys { bytes, at: HEAD_BYTES, left };
        let mut whole = 0;
        while keys.next().is_some() {
            whole += 1;
        }
        if whole != left || keys.at != end {
            return Err(damaged());
        }
        Ok(HotKeys { at: HEAD_BYTES, left, ..keys })
    }

    fn next(&mut self) -> Option<(u32, Vec<u8>)> {
        let head = self.bytes.get(self.at..self.at + ENTRY_HEAD_BYTES)?;
        let namespace = u16::from_le_bytes([head[0], head[1]]) as u32;
        let key_at = self.at + ENTRY_HEAD_BYTES;
        let key_bytes = u16::from_le_bytes([head[2], head[3]]) as usize;
        let key = self.bytes.get(key_at..key_at + key_bytes)?.to_vec();
        self.at = key_at + key_bytes;
        self.left = self.left.saturating_sub(1);
        Some((namespace, key))
    }
}

impl Store {
    /// Saves which keys are in RAM, those first that were read or have stayed for long. Not while they are being brought up:
    /// the list of before is the better one then.
    pub fn save_hot(&self) -> Result<usize> {
        let Some(below) = self.below() else { return Ok(0) };
        if lock(&below.hot).is_some() {
            return Ok(0);
        }
        let most = (self.budget_bytes() as usize / SHARE).clamp(BYTES_LEAST, BYTES_MOST);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        let mut count = 0;
        for is_hot in [true, false] {
            for bucket in 0..self.arena.bucket_count() {
                if bytes.len() >= most {
                    break;
                }
                count += self.list_keys(bucket, is_hot, &mut bytes);
            }
        }
        bytes[12..16].copy_from_slice(&(count as u32).to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let (path, next) = (path_in(&below.dir), below.dir.join("hot.new"));
        let written = File::create(&next)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&next, &path));
        written.map_err(|error| failed("write", &path, &error))?;
        Ok(count)
    }

    /// Appends the keys of a bucket that are hot, or those that are not.
    fn list_keys(&self, bucket: u64, is_hot: bool, out: &mut Vec<u8>) -> usize {
        let _shard = lock(&self.shards[shard_of(bucket)]);
        let mut count = 0;
        for (slot, word) in Walk::new(&self.arena, bucket).filter(|(_, word)| word.is_entry()) {
            let location = word.location();
            let header = read_header(&self.arena, location).expect("a published slot leads to a record");
            let was_read = self.arena.access_byte(slot).load(Ordering::Relaxed) & 3 > 0;
            let is_wanted = is_hot == (was_read || self.segments.kind(location.segment) == Kind::Main)
                && !header.is_tombstone()
                && header.flags & FLAG_PINNED == 0;
            let Some(first) = self.arena.record_byte(location).filter(|_| is_wanted) else { continue };
            out.extend_from_slice(&(header.namespace as u16).to_le_bytes());
            out.extend_from_slice(&(header.key_bytes as u16).to_le_bytes());
            let start = out.len();
            out.resize(start + header.key_bytes as usize, 0);
            copy_out(self.arena.data(), first, header.key_at as usize, &mut out[start..]);
            count += 1;
        }
        count
    }

    /// Reads the list of keys to bring up: how many. A list that makes no sense is removed; `ERR_RAMCACHE_CORRUPT` says why.
    pub fn begin_warming(&self) -> Result<usize> {
        let Some(below) = self.below() else { return Ok(0) };
        let path = path_in(&below.dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let keys = HotKeys::decode(bytes).map_err(|what| {
            let _ = fs::remove_file(&path);
            let message = format!("{}: {what}; RAM begins empty", path.display());
            StoreError::new(Code::Corrupt, message)
        })?;
        let left = keys.left;
        *lock(&below.hot) = (left > 0).then_some(keys);
        Ok(left)
    }

    /// Asks for the next keys, unless somebody else waits for answers. How many are left; 0 when there are no more or RAM
    /// has no more room.
    pub fn warm(&self) -> usize {
        let Some(below) = self.below() else { return 0 };
        let mut hot = lock(&below.hot);
        let Some(keys) = hot.as_mut() else { return 0 };
        if below.misses.is_busy() {
            return keys.left;
        }
        for _ in 0..ASKED_AT_ONCE {
            let next = if self.has_room_to_warm() { keys.next() } else { None };
            let Some((namespace, key)) = next else {
                *hot = None;
                return 0;
            };
            if namespace as usize >= NAMESPACES_MAX {
                continue;
            }
            let hash = self.hasher.hash(namespace, &key);
            // Before the slot is looked at: what changes from here on is noticed.
            let token = self.tokens.read(hash);
            let found = self.reader().read(namespace, &key, hash, &mut Nothing, &mut Seen::default());
            let asked = match found {
                Lookup::Miss => below.misses.ask(NO_ASKER, namespace, &key, hash, token, Purpose::Warm),
                _ => continue,
            };
            if asked.is_err() {
                *hot = None;
                return 0;
            }
        }
        keys.left.max(1)
    }

    /// Whether keys of the list are still being brought up.
    pub fn is_warming(&self) -> bool {
        self.below().is_some_and(|below| lock(&below.hot).is_some())
    }

    /// Asks for an entry that is to be in RAM, unless it is. False when too much is under way.
    pub fn recall(&self, namespace: u32, key: &[u8]) -> bool {
        let Some(below) = self.below() else { return true };
        let hash = self.hasher.hash(namespace, key);
        let token = self.tokens.read(hash);
        match self.reader().read(namespace, key, hash, &mut Glimpse, &mut Seen::default()) {
            Lookup::Miss if below.misses.is_busy() => false,
            Lookup::Miss => below.misses.ask(NO_ASKER, namespace, key, hash, token, Purpose::Resolve).is_ok(),
            _ => true,
        }
    }

    /// Nothing has to leave RAM for what comes up.
    pub(super) fn has_room_to_warm(&self) -> bool {
        let (_, in_use) = self.segments.counts();
        in_use + RESERVE + READY_LOW < self.segments.limit()
    }

    /// Whether a key that was found moves up to warm RAM.
    pub(super) fn is_worth_warming(&self, miss: &Miss) -> bool {
        miss.purpose == Purpose::Warm && self.has_room_to_warm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&2u32.to_le_bytes());
        for (namespace, key) in [(0u16, &b"one"[..]), (7, b"another")] {
            bytes.extend_from_slice(&namespace.to_le_bytes());
            bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
            bytes.extend_from_slice(key);
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn every_damage_is_noticed() {
        let mut keys = HotKeys::decode(file()).expect("whole");
        assert_eq!((keys.next(), keys.next()), (Some((0, b"one".to_vec())), Some((7, b"another".to_vec()))));
        assert_eq!((keys.next(), keys.left), (None, 0));
        for cut in 0..file().len() {
            assert!(HotKeys::decode(file()[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        for bit in 0..file().len() * 8 {
            let mut flipped = file();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(HotKeys::decode(flipped).is_err(), "bit {bit}");
        }
    }
}
