//! Scans over all tiers, for the thread that keeps the index.

use crate::below::name_of;
use crate::cold::{coded, owner, Handle, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::below::{ScanSource, Scanned};
use ramcache_core::clock;
use ramcache_core::log::LogLocation;
use ramcache_core::namespaces;
use ramcache_core::ops::Sampled;

/// An entry as a scan shows it.
#[napi(object)]
pub struct NativeScanned {
    pub key: Buffer,
    pub version: String,
    pub created_at: f64,
    pub expires_at: f64,
    pub size: f64,
    pub tags: Buffer,
    /// `'ram'`, `'ssd'` or `'hdd'`.
    pub tier: String,
    /// The value, when it is of the type that was asked for.
    pub value: Option<Buffer>,
}

/// Which keys were read since the look before, packed: `u32 weight | u16 bytes of the namespace | u16 key bytes | namespace |
/// key` for each. `seen` is what that look has left, a number for each counter slot. The first look finds nothing.
#[napi(js_name = "sampleReads")]
pub fn sample_reads(handle: &External<Handle>, mut seen: Uint32Array, is_first: bool) -> Result<Buffer> {
    let store = owner(handle)?;
    // SAFETY: nobody else has this array while the call lasts.
    let seen = unsafe { seen.as_mut() };
    let mut before = if is_first { Vec::new() } else { seen.to_vec() };
    let found = store.sampled(&mut before);
    let count = seen.len().min(before.len());
    seen[..count].copy_from_slice(&before[..count]);
    let mut packed = Vec::new();
    for Sampled { namespace, key, weight } in found {
        let name = namespaces::name(store.arena(), namespace);
        packed.extend_from_slice(&weight.to_le_bytes());
        packed.extend_from_slice(&(name.len() as u16).to_le_bytes());
        packed.extend_from_slice(&(key.len() as u16).to_le_bytes());
        packed.extend_from_slice(name.as_bytes());
        packed.extend_from_slice(&key);
    }
    Ok(packed.into())
}

/// Waits, without coming back to the event loop, until the log has every change made so far: some milliseconds.
#[napi(js_name = "awaitAllLogged")]
pub fn await_all_logged(handle: &External<Handle>) -> Result<()> {
    owner(handle)?.await_all_logged().map_err(coded)
}

/// The live entries of rows of the index, packed: `u32 file | u32 offset | u32 bytes | u16 key bytes | key`, the key with
/// its namespace as two bytes, big-endian, in front; no more than that when only the record has it whole.
#[napi(js_name = "describeRows")]
pub fn describe_rows(
    handle: &External<Handle>,
    packed: Uint8Array,
    with_value: u32,
) -> Result<Vec<NativeScanned>> {
    let store = owner(handle)?;
    let origin = store.origin();
    let mut rest = packed.as_ref();
    let mut entries = Vec::new();
    while rest.len() >= 14 {
        let u32_at = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
        let row = LogLocation { file: u32_at(0), offset: u32_at(4), bytes: u32_at(8) };
        let key_bytes = u16::from_le_bytes([rest[12], rest[13]]) as usize;
        let (key, next) = rest[14..].split_at(key_bytes);
        rest = next;
        let namespace = u16::from_be_bytes([key[0], key[1]]) as u32;
        let whole = (key.len() > 2).then_some(&key[2..]);
        let source = ScanSource::Row(row);
        let found = store.scan_found(namespace, whole, source, with_value as u8).map_err(coded)?;
        entries.extend(found.map(|found| shown(found, origin)));
    }
    Ok(entries)
}

/// The live entry of a record of the tier below the index; `key` as for `describeRows`. `null` when it lives no more.
#[napi(js_name = "describeRecord")]
pub fn describe_record(
    handle: &External<Handle>,
    key: Uint8Array,
    record: Uint8Array,
    with_value: u32,
) -> Result<Option<NativeScanned>> {
    let store = owner(handle)?;
    let namespace = u16::from_be_bytes([key[0], key[1]]) as u32;
    let whole = (key.len() > 2).then_some(&key[2..]);
    let source = ScanSource::Record(&record);
    let found = store.scan_found(namespace, whole, source, with_value as u8).map_err(coded)?;
    Ok(found.map(|found| shown(found, store.origin())))
}

fn shown(found: Scanned, origin: u64) -> NativeScanned {
    let header = &found.header;
    NativeScanned {
        version: format!("{:016x}-{origin:016x}", header.clock),
        created_at: clock::ms_of(header.clock) as f64,
        expires_at: header.expires_at as f64,
        size: header.payload_bytes() as f64,
        tags: found.tags.into(),
        tier: found.tier.map_or("ram", name_of).into(),
        value: found.value.map(Into::into),
        key: found.key.into(),
    }
}
