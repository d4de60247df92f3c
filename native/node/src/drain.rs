//! Draining files of the log: `native/core/src/below/drain.rs` for the thread that keeps the index.

use crate::cold::{coded, owner, Handle, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::below::{Draining, Evicts, Moved, Tier};
use ramcache_core::log::LogLocation;
use ramcache_core::sync::Ordering;

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
/// `u32 file | u32 offset`, with file 0 when it was not copied: offset 0, it is dead; 1, the log has a newer one; 2, it
/// is for the tier below; 3, it is dropped. `evicts`: 0 nothing, 1 what is coldest, 2 all that may be dropped.
#[napi(js_name = "appendCopies")]
pub fn append_copies(
    handle: &External<Handle>,
    file: u32,
    packed: Uint8Array,
    is_oldest: bool,
    demotes: bool,
    evicts: u32,
) -> Result<Buffer> {
    let places = places_of(file, packed.as_ref());
    let mut answer = Vec::with_capacity(places.len() * 8);
    let evicts = match evicts {
        0 => Evicts::Nothing,
        1 => Evicts::Coldest,
        _ => Evicts::All,
    };
    let how = Draining { is_oldest, demotes, evicts };
    for moved in owner(handle)?.append_copies(&places, how).map_err(coded)? {
        let (file, offset) = match moved {
            Moved::To(place) => (place.file, place.offset),
            Moved::Dead => (0, 0),
            Moved::Outdated => (0, 1),
            Moved::Cold => (0, 2),
            Moved::Evicted => (0, 3),
        };
        answer.extend_from_slice(&file.to_le_bytes());
        answer.extend_from_slice(&offset.to_le_bytes());
    }
    Ok(answer.into())
}

fn places_of(file: u32, packed: &[u8]) -> Vec<LogLocation> {
    let u32_at = |place: &[u8], at: usize| u32::from_le_bytes(place[at..at + 4].try_into().expect("four"));
    packed
        .chunks_exact(8)
        .map(|place| LogLocation { file, offset: u32_at(place, 0), bytes: u32_at(place, 4) })
        .collect()
}

/// A record as a lower tier keeps it.
#[napi(object)]
pub struct NativeRecord {
    pub record: Buffer,
    pub version: BigInt,
    pub expires_at: f64,
}

/// The records at places of a file, packed as for `appendCopies`.
#[napi(js_name = "readRecords")]
pub fn read_records(handle: &External<Handle>, file: u32, packed: Uint8Array) -> Result<Vec<NativeRecord>> {
    let mut records = Vec::new();
    owner(handle)?
        .read_records(&places_of(file, packed.as_ref()), |header, record, run| {
            records.push(NativeRecord {
                record: [record, run].concat().into(),
                version: header.clock.max(header.expiry_clock).into(),
                expires_at: header.expires_at as f64,
            });
        })
        .map_err(coded)?;
    Ok(records)
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
    /// There is a namespace whose entries may be dropped when the last tier is full.
    pub may_drop: bool,
}

#[napi(js_name = "logState")]
pub fn log_state(handle: &External<Handle>) -> Result<NativeLogState> {
    let store = owner(handle)?;
    let state = store.log_state().map_err(coded)?;
    Ok(NativeLogState {
        may_drop: store.may_drop_any(),
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

/// Tells what a tier holds, and how many entries came down into it since the last time, for `stats`: 1 the SSD tier, 2 the
/// HDD tier.
#[napi(js_name = "reportTier")]
pub fn report_tier(
    handle: &External<Handle>,
    tier: u32,
    entries: f64,
    bytes: f64,
    demoted: f64,
) -> Result<()> {
    let Some(below) = owner(handle)?.below() else { return Ok(()) };
    let counts = below.counts.of(if tier == 1 { Tier::Ssd } else { Tier::Hdd });
    counts.entries.store(entries as u64, Ordering::Relaxed);
    counts.bytes.store(bytes as u64, Ordering::Relaxed);
    counts.demoted.fetch_add(demoted as u64, Ordering::Relaxed);
    Ok(())
}

/// Whether a record of a version in a namespace lives no more at a lower tier.
#[napi(js_name = "isDeadBelow")]
pub fn is_dead_below(
    handle: &External<Handle>,
    namespace: u32,
    version: BigInt,
    expires_at: f64,
    record: Uint8Array,
) -> Result<bool> {
    let (_, clock, _) = version.get_u64();
    Ok(owner(handle)?.is_dead_below(namespace, clock, expires_at as u64, record.as_ref()))
}

/// Says of a namespace whether its entries may be dropped when the last tier is full.
#[napi(js_name = "setMayDrop")]
pub fn set_may_drop(handle: &External<Handle>, name: String, may_drop: bool) -> Result<()> {
    let store = owner(handle)?;
    store.set_may_drop(store.namespace(&name).map_err(coded)?, may_drop);
    Ok(())
}

/// Says of a namespace whether its entries are pinned when they are written.
#[napi(js_name = "setPins")]
pub fn set_pins(handle: &External<Handle>, name: String, pins: bool) -> Result<()> {
    let store = owner(handle)?;
    store.set_pins(store.namespace(&name).map_err(coded)?, pins);
    Ok(())
}

/// Sets the quota of a namespace in bytes of RAM; 0 = none.
#[napi(js_name = "setQuota")]
pub fn set_quota(handle: &External<Handle>, name: String, bytes: f64) -> Result<()> {
    let store = owner(handle)?;
    store.set_quota(store.namespace(&name).map_err(coded)?, bytes as u64);
    Ok(())
}

/// Whether a record of the HDD tier may be dropped, and nobody has read it since this was asked before.
#[napi(js_name = "isExpendable")]
pub fn is_expendable(handle: &External<Handle>, record: Uint8Array) -> Result<bool> {
    Ok(owner(handle)?.is_expendable(record.as_ref()))
}

/// Says whether the tiers are making room, and from how many free bytes on values wait for it.
#[napi(js_name = "setMakingRoom")]
pub fn set_making_room(handle: &External<Handle>, is_making_room: bool, wait_below: f64) -> Result<()> {
    owner(handle)?.set_making_room(is_making_room, wait_below as u64);
    Ok(())
}

/// Counts what was dropped for want of room: from 1 the SSD tier, 2 the HDD tier.
#[napi(js_name = "countEvicted")]
pub fn count_evicted(handle: &External<Handle>, tier: u32, entries: f64) -> Result<()> {
    let Some(below) = owner(handle)?.below() else { return Ok(()) };
    let counts = below.counts.of(if tier == 1 { Tier::Ssd } else { Tier::Hdd });
    counts.evicted.fetch_add(entries as u64, Ordering::Relaxed);
    Ok(())
}

/// Whether a write that was refused for want of room on the disk may succeed soon.
#[napi(js_name = "isMakingRoom")]
pub fn is_making_room(handle: &External<Handle>) -> Result<bool> {
    Ok(owner(handle)?.is_making_room())
}
