//! The log's own index, saved at a clean end, so that the next start need not read the log again for it.
//!
//! ```text
//! head, 96 bytes   8 bytes magic | u32 version | u32 crc of what follows the head | u64 store id | u64 hash seed |
//!                  u32 file, u32 offset: where the index below ends | u32 file, u32 offset: where the log ends |
//!                  u32 crc of the last bytes before that | u32 epochs | u64 clock word | u64 bytes of log between the two |
//!                  u32 pinned keys | 16 zeros | u32 crc of the head
//! epochs           u32 namespace | u64 epoch
//! 64 shards        u32 keys | for each: u64 hash | u32 check | u64 clock | u64 clock of the expiry | u32 file | u32 offset |
//!                  u32 bytes | u64 expires at | u8 flags: 1 deleted, 2 pinned
//! pinned keys      u32 namespace | u32 key bytes | key
//! ```
//!
//! It counts only where the index below ends there, and the log, with nothing behind. Every opening of the log that appends
//! begins a file of its own, so one that is left of an earlier time does not. It is not synced: torn, it is not there.

use super::files::failed;
use super::location::{LogLocation, Position};
use super::recovery::Ending;
use super::tail::{TailEntry, TailIndex, TailKey, SHARDS};
use super::{LogRead, ValueLog};
use crate::error::Result;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"RAMCTAIL";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 96;
const HEAD_CRC_AT: usize = HEAD_BYTES - 4;
const ENTRY_BYTES: usize = 49;
const FLAG_DELETED: u8 = 1;
const FLAG_PINNED: u8 = 2;
const BUFFER_BYTES: usize = 256 << 10;

/// What is saved beside the table.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Saved {
    /// Bytes of log since the index below was brought up to it.
    pub bytes: u64,
    /// Newest clock word.
    pub clock: u64,
    /// Of every namespace that was ever cleared.
    pub epochs: Vec<(u32, u64)>,
    /// Namespaces and keys of pinned records that the table has.
    pub pinned: Vec<(u32, Vec<u8>)>,
}

struct Head {
    body_crc: u32,
    store_id: u64,
    hash_seed: u64,
    from: Position,
    ending: Ending,
    saved: Saved,
    epochs: u32,
    pinned: u32,
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("tail")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn position_at(bytes: &[u8], at: usize) -> Position {
    Position { file: u32_at(bytes, at), offset: u32_at(bytes, at + 4) }
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        let (from, end) = (self.from, self.ending.at);
        out[..8].copy_from_slice(MAGIC);
        for (at, number) in [(8, VERSION), (12, self.body_crc), (32, from.file), (36, from.offset)] {
            out[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for (at, number) in
            [(40, end.file), (44, end.offset), (48, self.ending.print), (52, self.epochs), (72, self.pinned)]
        {
            out[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        let longs =
            [(16, self.store_id), (24, self.hash_seed), (56, self.saved.clock), (64, self.saved.bytes)];
        for (at, number) in longs {
            out[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&out[..HEAD_CRC_AT]);
        out[HEAD_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` for what is no head, or of another version.
    fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Head> {
        let is_head = bytes.starts_with(MAGIC)
            && u32_at(bytes, HEAD_CRC_AT) == crc32fast::hash(&bytes[..HEAD_CRC_AT])
            && u32_at(bytes, 8) == VERSION;
        is_head.then(|| Head {
            body_crc: u32_at(bytes, 12),
            store_id: u64_at(bytes, 16),
            hash_seed: u64_at(bytes, 24),
            from: position_at(bytes, 32),
            ending: Ending { at: position_at(bytes, 40), print: u32_at(bytes, 48) },
            epochs: u32_at(bytes, 52),
            saved: Saved { clock: u64_at(bytes, 56), bytes: u64_at(bytes, 64), ..Saved::default() },
            pinned: u32_at(bytes, 72),
        })
    }
}

fn read_head(dir: &Path) -> Option<(Head, File)> {
    let file = File::open(path_in(dir)).ok()?;
    let mut bytes = [0; HEAD_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some((Head::decode(&bytes)?, file))
}

/// The seed of the hashes in what is saved in a directory: who is to use it must have the same.
pub fn seed_of(dir: &Path) -> Option<u64> {
    Some(read_head(dir)?.0.hash_seed)
}

impl TailIndex {
    /// Saves what is known, for a log that nothing is appended to any more; nothing when the log's end cannot be told
    /// again. What a checkpoint has set aside is taken back.
    pub fn save(&self, dir: &Path, log: &ValueLog, hash_seed: u64, saved: &Saved) -> Result<()> {
        self.thaw(false);
        let Some(ending) = log.ending()? else { return Ok(()) };
        let path = path_in(dir);
        let written = self.write(&path, log, hash_seed, saved, ending);
        written.map_err(|error| {
            let _ = fs::remove_file(&path);
            failed("write", &path, &error)
        })
    }

    fn write(
        &self,
        path: &Path,
        log: &ValueLog,
        hash_seed: u64,
        saved: &Saved,
        ending: Ending,
    ) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&[0; HEAD_BYTES])?;
        let mut body =
            Summed { inner: BufWriter::with_capacity(BUFFER_BYTES, &file), sum: Default::default() };
        for (namespace, epoch) in &saved.epochs {
            body.write_all(&namespace.to_le_bytes())?;
            body.write_all(&epoch.to_le_bytes())?;
        }
        let mut pinned = Vec::new();
        for shard in 0..SHARDS {
            let entries = self.entries(shard);
            body.write_all(&(entries.len() as u32).to_le_bytes())?;
            for (key, entry) in &entries {
                body.write_all(&pack(key, entry))?;
            }
            let is_kept = |entry: &&TailEntry| entry.is_pinned && !entry.is_deleted;
            pinned.extend(entries.iter().map(|(_, entry)| entry).filter(is_kept).map(|entry| entry.location));
        }
        let mut bytes = Vec::new();
        for place in &pinned {
            let Ok(LogRead::Change(change)) = log.read(*place, &mut bytes) else {
                return Err(io::Error::other("a pinned record cannot be read"));
            };
            body.write_all(&change.namespace.to_le_bytes())?;
            body.write_all(&(change.key().len() as u32).to_le_bytes())?;
            body.write_all(change.key())?;
        }
        body.flush()?;
        let head = Head {
            body_crc: body.sum.finalize(),
            store_id: log.options.store_id,
            hash_seed,
            from: self.begin(),
            ending,
            saved: saved.clone(),
            epochs: saved.epochs.len() as u32,
            pinned: pinned.len() as u32,
        };
        file.write_all_at(&head.encode(), 0)
    }

    /// Takes what was saved, in place of [`ValueLog::recover`]; `None`, and all is as before, unless it is of exactly
    /// this log and of an index that ends where this one begins. It is removed then: what it takes is needed no more.
    pub fn load(&self, dir: &Path, log: &ValueLog, hash_seed: u64) -> Result<Option<Saved>> {
        let found = read_head(dir);
        let loaded = found.and_then(|(head, file)| {
            let is_ours = head.store_id == log.options.store_id
                && head.hash_seed == hash_seed
                && head.from == self.begin();
            let ending = head.ending;
            Some((if is_ours { self.read(head, file).ok()? } else { None }?, ending))
        });
        let resumed = match loaded {
            Some((saved, ending)) if log.resume(ending)? => Some(saved),
            _ => None,
        };
        if resumed.is_none() {
            self.empty();
        }
        let _ = fs::remove_file(path_in(dir));
        Ok(resumed)
    }

    /// `None` when it is not what was written; the table may have some of it then.
    fn read(&self, head: Head, mut file: File) -> io::Result<Option<Saved>> {
        // What it says is believed only as far as there are bytes for it.
        let room = file.metadata()?.len() as usize;
        let has_room = |count: u32, bytes: usize| count as usize <= room / bytes;
        if !has_room(head.epochs, 12) || !has_room(head.pinned, 8) {
            return Ok(None);
        }
        file.seek(io::SeekFrom::Start(HEAD_BYTES as u64))?;
        let mut body =
            Summed { inner: BufReader::with_capacity(BUFFER_BYTES, file), sum: Default::default() };
        let mut saved = head.saved;
        for _ in 0..head.epochs {
            saved.epochs.push((body.u32()?, u64::from_le_bytes(body.array()?)));
        }
        for shard in 0..SHARDS {
            let count = body.u32()?;
            if !has_room(count, ENTRY_BYTES) {
                return Ok(None);
            }
            let entries: io::Result<Vec<_>> = (0..count).map(|_| Ok(unpack(&body.array()?))).collect();
            if !self.fill(shard, &entries?) {
                return Ok(None);
            }
        }
        for _ in 0..head.pinned {
            let (namespace, key_bytes) = (body.u32()?, body.u32()?);
            if !has_room(key_bytes, 1) {
                return Ok(None);
            }
            let mut key = vec![0; key_bytes as usize];
            body.read_exact(&mut key)?;
            saved.pinned.push((namespace, key));
        }
        Ok((body.sum.finalize() == head.body_crc).then_some(saved))
    }
}

fn pack(key: &TailKey, entry: &TailEntry) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    let place = entry.location;
    for (at, number) in [(0, key.hash), (12, entry.clock), (20, entry.expiry_clock), (40, entry.expires_at)] {
        out[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    for (at, number) in [(8, key.check), (28, place.file), (32, place.offset), (36, place.bytes)] {
        out[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out[48] = flag(entry.is_deleted, FLAG_DELETED) | flag(entry.is_pinned, FLAG_PINNED);
    out
}

fn unpack(bytes: &[u8; ENTRY_BYTES]) -> (TailKey, TailEntry) {
    let key = TailKey { hash: u64_at(bytes, 0), check: u32_at(bytes, 8) };
    let entry = TailEntry {
        location: LogLocation {
            file: u32_at(bytes, 28),
            offset: u32_at(bytes, 32),
            bytes: u32_at(bytes, 36),
        },
        clock: u64_at(bytes, 12),
        expiry_clock: u64_at(bytes, 20),
        expires_at: u64_at(bytes, 40),
        is_deleted: bytes[48] & FLAG_DELETED != 0,
        is_pinned: bytes[48] & FLAG_PINNED != 0,
    };
    (key, entry)
}

/// Reads or writes, and sums up what comes by.
struct Summed<T> {
    inner: T,
    sum: crc32fast::Hasher,
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Summed<T> {
    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(into)?;
        self.sum.update(into);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}
