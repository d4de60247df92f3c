//! For checks and copies of what lies on disk: a directory is locked without a store being made, a log is read without
//! being written.

use crate::cold::{coded, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::arena::owner_files::Ownership;
use ramcache_core::below::stored_header;
use ramcache_core::log::{pack_entry, LogLocation, LogRead, LogReader, Position};
use std::path::Path;

/// A directory that nobody else can open meanwhile.
pub struct Locked(Option<Ownership>);

#[napi(js_name = "lockDirectory")]
pub fn lock_directory(dir: String) -> Result<External<Locked>> {
    Ok(External::new(Locked(Some(Ownership::take(Path::new(&dir)).map_err(coded)?))))
}

#[napi(js_name = "unlockDirectory")]
pub fn unlock_directory(locked: &mut External<Locked>) {
    locked.0 = None;
}

#[napi(js_name = "openLog")]
pub fn open_log(dir: String) -> Result<External<LogReader>> {
    Ok(External::new(LogReader::open(Path::new(&dir)).map_err(coded)?))
}

#[napi(object)]
pub struct NativeLogFiles {
    /// Number and bytes of each file, the oldest first.
    pub files: Vec<f64>,
    /// Numbers of files that belong to another store.
    pub strangers: Vec<u32>,
}

#[napi(js_name = "logFiles")]
pub fn log_files(log: &External<LogReader>) -> NativeLogFiles {
    NativeLogFiles {
        files: log.files().iter().flat_map(|file| [file.number as f64, file.bytes as f64]).collect(),
        strangers: log.strangers(),
    }
}

/// A stretch of the log (`log/reader.rs`).
#[napi(object)]
pub struct NativeLogPart {
    pub entries: Buffer,
    pub batches: f64,
    pub changes: f64,
    pub bytes: f64,
    pub damage: Vec<String>,
    pub is_torn: bool,
    pub next_file: u32,
    pub next_offset: u32,
    pub is_end: bool,
}

/// Reads on from a place, up to another one where `toFile` is not 0, about `bytesMax` bytes.
#[napi(js_name = "readLog")]
pub fn read_log(
    log: &External<LogReader>,
    file: u32,
    offset: u32,
    to_file: u32,
    to_offset: u32,
    bytes_max: u32,
) -> NativeLogPart {
    let to = (to_file != 0).then_some(Position { file: to_file, offset: to_offset });
    let part = log.read_part(Position { file, offset }, to, bytes_max as usize);
    NativeLogPart {
        entries: part.entries.into(),
        batches: part.batches as f64,
        changes: part.changes as f64,
        bytes: part.bytes as f64,
        damage: part.damage.iter().map(|damage| format!("{}: {}", damage.at, damage.message)).collect(),
        is_torn: part.torn.is_some(),
        next_file: part.next.file,
        next_offset: part.next.offset,
        is_end: part.is_end,
    }
}

/// What lies at places in the log, packed as `u32 file | u32 offset | u32 bytes`.
#[napi(object)]
pub struct NativeLogRecords {
    /// Entries of those that check, in order.
    pub entries: Buffer,
    /// For each place what is wrong with it, or an empty text.
    pub problems: Vec<String>,
}

#[napi(js_name = "readLogRecords")]
pub fn read_log_records(log: &External<LogReader>, packed: Uint8Array) -> NativeLogRecords {
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let mut buffer = Vec::new();
    for place in packed.as_ref().chunks_exact(12) {
        let u32_at = |at: usize| u32::from_le_bytes(place[at..at + 4].try_into().expect("four bytes"));
        let location = LogLocation { file: u32_at(0), offset: u32_at(4), bytes: u32_at(8) };
        problems.push(match log.read(location, &mut buffer) {
            Ok(LogRead::Change(change)) => {
                pack_entry(&change, &mut entries);
                String::new()
            }
            Ok(LogRead::Gone) => format!("file {:08x}.log is not there", location.file),
            Err(error) => error.message,
        });
    }
    NativeLogRecords { entries: entries.into(), problems }
}

/// A record as the HDD tier keeps it, with its value behind it when that lay in runs.
#[napi(object)]
pub struct NativeStored {
    /// With its namespace in front, as two bytes, big-endian.
    pub key: Buffer,
    /// The newer one of its value's clock and its expiry's.
    pub version: BigInt,
    pub expires_at: f64,
}

/// What bytes are that the HDD tier keeps; `null` when they are no record.
#[napi(js_name = "readStored")]
pub fn read_stored(bytes: Uint8Array) -> Option<NativeStored> {
    let bytes = bytes.as_ref();
    let header = stored_header(bytes)?;
    let mut key = (header.namespace as u16).to_be_bytes().to_vec();
    key.extend_from_slice(&bytes[header.key_at as usize..header.value_at()]);
    Some(NativeStored {
        key: key.into(),
        version: header.clock.max(header.expiry_clock).into(),
        expires_at: header.expires_at as f64,
    })
}
