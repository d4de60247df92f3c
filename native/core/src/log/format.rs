//! The two headers of the value log; `docs/FORMAT.md` draws them.
//!
//! ```text
//! file    file header | batch | batch | ... | zeros, allocated but not written yet
//! batch   batch header | changes as the feed packs them
//! ```
//!
//! Everything is little-endian and begins at multiples of 8. Both headers say where they lie and are sealed with a CRC
//! that begins with the store's id: bytes of a log that a user has stored as a value are never taken for a batch.

use super::location::Position;
use crate::error::{Code, Result, StoreError};

/// Raised by every change of what is drawn here; a newer one is refused. Magic, version and CRC keep their places in
/// all versions, so that a newer version can be told from damage.
pub const FORMAT_VERSION: u32 = 1;
pub const FILE_MAGIC: u64 = u64::from_le_bytes(*b"RAMCVLOG");
pub const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"VBAT");
pub const FILE_HEADER_BYTES: usize = 64;
pub const BATCH_HEADER_BYTES: usize = 64;
/// Offsets have 32 bits.
pub const PAYLOAD_BYTES_MAX: usize = (u32::MAX as usize & !7) - FILE_HEADER_BYTES - BATCH_HEADER_BYTES;
const CRC_AT: usize = 60;

const _: () = {
    assert!(FILE_HEADER_BYTES.is_multiple_of(8) && BATCH_HEADER_BYTES.is_multiple_of(8));
    assert!(CRC_AT + 4 == FILE_HEADER_BYTES && CRC_AT + 4 == BATCH_HEADER_BYTES);
    assert!(PAYLOAD_BYTES_MAX > crate::layout::VALUE_BYTES_MAX + crate::layout::KEY_BYTES_MAX);
};

/// `u64 magic | u32 version | u32 file | u64 store id | u32 previous file | u32 previous end | zeros | u32 crc`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    pub file: u32,
    pub store_id: u64,
    /// Where the log ended when this file was begun. What lies behind it in the previous file is the torn tail of a
    /// crash, and everything before it was durable. File 0 when there was none.
    pub previous: Position,
}

/// What the first bytes of a file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    Whole(FileHeader),
    /// Zeros or too short: the file was made and then the process or machine stopped.
    Blank,
    Damaged,
}

/// `u32 magic | u32 payload bytes | u32 file | u32 offset | u64 arena id | u64 first | u64 next | u32 synced file |
/// u32 synced offset | u64 0 | u32 payload crc | u32 crc`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub payload_bytes: u32,
    /// Where this header lies.
    pub at: Position,
    /// Arena whose feed the changes come from; sequences begin anew with each.
    pub arena_id: u64,
    /// Sequence of the first change, and of the one after the last.
    pub first: u64,
    pub next: u64,
    /// Everything before this was durable when the batch was written.
    pub synced: Position,
    pub payload_crc: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    out[at..at + N].copy_from_slice(&bytes);
}

fn crc(store_id: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&store_id.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

impl FileHeader {
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        put(&mut out, 0, FILE_MAGIC.to_le_bytes());
        put(&mut out, 8, FORMAT_VERSION.to_le_bytes());
        put(&mut out, 12, self.file.to_le_bytes());
        put(&mut out, 16, self.store_id.to_le_bytes());
        put(&mut out, 24, self.previous.file.to_le_bytes());
        put(&mut out, 28, self.previous.offset.to_le_bytes());
        let sum = crc(self.store_id, &out[..CRC_AT]);
        put(&mut out, CRC_AT, sum.to_le_bytes());
        out
    }

    /// What the first bytes of the file with this number are. An error when a newer version has written them.
    pub fn decode(bytes: &[u8], file: u32) -> Result<Opening> {
        if bytes.len() < FILE_HEADER_BYTES || bytes[..FILE_HEADER_BYTES].iter().all(|byte| *byte == 0) {
            return Ok(Opening::Blank);
        }
        let store_id = u64_at(bytes, 16);
        if u64_at(bytes, 0) != FILE_MAGIC || u32_at(bytes, CRC_AT) != crc(store_id, &bytes[..CRC_AT]) {
            return Ok(Opening::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            let message = format!(
                "value log file {file:08x}.log has format version {version}, this version reads up to {FORMAT_VERSION}"
            );
            return Err(StoreError::new(Code::Corrupt, message));
        }
        if version == 0 || u32_at(bytes, 12) != file {
            return Ok(Opening::Damaged);
        }
        let previous = Position { file: u32_at(bytes, 24), offset: u32_at(bytes, 28) };
        Ok(Opening::Whole(FileHeader { file, store_id, previous }))
    }
}

impl BatchHeader {
    pub fn encode(&self, store_id: u64) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        put(&mut out, 0, BATCH_MAGIC.to_le_bytes());
        put(&mut out, 4, self.payload_bytes.to_le_bytes());
        put(&mut out, 8, self.at.file.to_le_bytes());
        put(&mut out, 12, self.at.offset.to_le_bytes());
        put(&mut out, 16, self.arena_id.to_le_bytes());
        put(&mut out, 24, self.first.to_le_bytes());
        put(&mut out, 32, self.next.to_le_bytes());
        put(&mut out, 40, self.synced.file.to_le_bytes());
        put(&mut out, 44, self.synced.offset.to_le_bytes());
        put(&mut out, 56, self.payload_crc.to_le_bytes());
        let sum = crc(store_id, &out[..CRC_AT]);
        put(&mut out, CRC_AT, sum.to_le_bytes());
        out
    }

    /// The header of the batch that begins at this place of this store's log, or `None`.
    pub fn decode(bytes: &[u8], store_id: u64, at: Position) -> Option<BatchHeader> {
        let is_header = bytes.len() >= BATCH_HEADER_BYTES
            && u32_at(bytes, 0) == BATCH_MAGIC
            && u32_at(bytes, 8) == at.file
            && u32_at(bytes, 12) == at.offset
            && u32_at(bytes, CRC_AT) == crc(store_id, &bytes[..CRC_AT]);
        is_header.then(|| BatchHeader {
            payload_bytes: u32_at(bytes, 4),
            at,
            arena_id: u64_at(bytes, 16),
            first: u64_at(bytes, 24),
            next: u64_at(bytes, 32),
            synced: Position { file: u32_at(bytes, 40), offset: u32_at(bytes, 44) },
            payload_crc: u32_at(bytes, 56),
        })
    }

    /// Where the batch ends.
    pub fn end(&self) -> u64 {
        self.at.offset as u64 + BATCH_HEADER_BYTES as u64 + self.payload_bytes as u64
    }
}
