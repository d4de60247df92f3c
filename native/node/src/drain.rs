//! Draining files of the log: `native/core/src/below/drain.rs` for the thread that keeps the index.

use crate::cold::{coded, owner, Handle, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::below::Moved;
use ramcache_core::log::LogLocation;

/// A stretch of a file of the log as entries (`log/checkpoint.rs`).
#[napi(object)]
pub struct NativeFilePart {
    pub entries: Buffer,
    /// Where the next one begins; 0 at the end of the file.
    pub next: u32,
}

#[napi(js_name = "readLogFile")]
pub fn read_log_file(
    handle: &External<Handle>,
    file: u32,
    offset: u32,
    bytes_max: u32,
) -> Result<NativeFilePart> {
    let part = owner(handle)?.read_log_file(file, offset, bytes_max as usize).map_err(coded)?;
    Ok(NativeFilePart { entries: part.entries.into(), next: part.next.unwrap_or(0) })
}

/// Copies changes of a file, packed as `u32 offset | u32 bytes`, to the head of the log. The answer, for each:
/// `u32 file | u32 offset`, with file 0 when it was not copied: offset 0, it is dead; 1, the log has a newer one.
#[napi(js_name = "appendCopies")]
pub fn append_copies(
    handle: &External<Handle>,
    file: u32,
    packed: Uint8Array,
    is_oldest: bool,
) -> Result<Buffer> {
    let u32_at = |place: &[u8], at: usize| u32::from_le_bytes(place[at..at + 4].try_into().expect("four"));
    let places: Vec<LogLocation> = packed
        .as_ref()
        .chunks_exact(8)
        .map(|place| LogLocation { file, offset: u32_at(place, 0), bytes: u32_at(place, 4) })
        .collect();
    let mut answer = Vec::with_capacity(places.len() * 8);
    for moved in owner(handle)?.append_copies(&places, is_oldest).map_err(coded)? {
        let (file, offset) = match moved {
            Moved::To(place) => (place.file, place.offset),
            Moved::Dead => (0, 0),
            Moved::Outdated => (0, 1),
        };
        answer.extend_from_slice(&file.to_le_bytes());
        answer.extend_from_slice(&offset.to_le_bytes());
    }
    Ok(answer.into())
}

/// Makes copies durable, and what made them superfluous.
#[napi(js_name = "syncCopies")]
pub fn sync_copies(handle: &External<Handle>) -> Result<()> {
    owner(handle)?.sync_copies().map_err(coded)
}

#[napi(js_name = "removeLogFile")]
pub fn remove_log_file(handle: &External<Handle>, file: u32) -> Result<bool> {
    owner(handle)?.remove_log_file(file).map_err(coded)
}

#[napi(object)]
pub struct NativeLogState {
    /// Number and bytes of each file, the oldest first.
    pub files: Vec<f64>,
    /// Since the start, without copies, and copies alone.
    pub bytes_written: f64,
    pub bytes_copied: f64,
    pub free_bytes: f64,
}

#[napi(js_name = "logState")]
pub fn log_state(handle: &External<Handle>) -> Result<NativeLogState> {
    let state = owner(handle)?.log_state().map_err(coded)?;
    Ok(NativeLogState {
        files: state.files.iter().flat_map(|file| [file.number as f64, file.bytes as f64]).collect(),
        bytes_written: state.bytes_written as f64,
        bytes_copied: state.bytes_copied as f64,
        free_bytes: state.free_bytes as f64,
    })
}

/// Gives up what a full disk leaves for deletes and drains. False when it was given up before.
#[napi(js_name = "giveUpReserve")]
pub fn give_up_reserve(handle: &External<Handle>) -> Result<bool> {
    owner(handle)?.give_up_reserve().map_err(coded)
}
