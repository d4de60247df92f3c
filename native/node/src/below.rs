//! The tiers below RAM: questions out, answers in, the log, checkpoints of its index.

use crate::cold::{coded, owner, Handle, Result};
use crate::raw::{self, Value};
use crate::space::{space_of, Target};
use napi::bindgen_prelude::*;
use napi::sys;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use ramcache_core::below::{Answer, Bell, BelowOptions, Miss, Purpose, Reached, Row, Started, Tier};
use ramcache_core::error::{Code, StoreError};
use ramcache_core::log::{Checkpoint, LogLocation, Position, ENTRY_BYTES_MAX};
use ramcache_core::ops::read::{Lookup, Nothing, Seen};
use ramcache_core::record::Header;
use std::path::Path;
use std::time::Duration;

pub(crate) fn below(handle: &External<Handle>) -> Result<&ramcache_core::below::Below> {
    owner(handle)?
        .below()
        .ok_or_else(|| coded(StoreError::new(Code::Config, "this store has no tiers below RAM")))
}

/// Registers a thread that will ask for keys below RAM. `bell` is called when there are answers; it does not keep the
/// thread's event loop alive.
#[napi(js_name = "registerAsker")]
pub fn register_asker(handle: &External<Handle>, bell: Function<(), ()>) -> Result<u32> {
    Ok(below(handle)?.misses.register(ringing(bell)?))
}

pub(crate) fn ringing(bell: Function<(), ()>) -> Result<Bell> {
    let bell = bell.build_threadsafe_function().weak::<true>().callee_handled::<false>().build().map_err(
        |error| {
            coded(StoreError::new(Code::Unavailable, format!("cannot make a threadsafe function: {error}")))
        },
    )?;
    Ok(Box::new(move || {
        bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }))
}

#[napi(js_name = "unregisterAsker")]
pub fn unregister_asker(handle: &External<Handle>, asker: u32) {
    if let Ok(below) = below(handle) {
        below.misses.unregister(asker);
    }
}

pub fn name_of(tier: Tier) -> &'static str {
    match tier {
        Tier::Ssd => "ssd",
        Tier::Hdd => "hdd",
    }
}

/// `ask(key, asker, purpose)`, purpose 0 read, 1 resolve, 2 look: the number of the question, or 0 when RAM knows the key after all.
pub unsafe extern "C" fn ask(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, asker, purpose], data) = raw::arguments::<3>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let store = space.store()?;
        let below = store
            .below()
            .ok_or_else(|| StoreError::new(Code::Config, "this store has no tiers below RAM"))?;
        let hash = space.hasher.hash(space.namespace, space.key.bytes());
        // Before the slot is looked at: what changes from here on is noticed.
        let token = store.tokens().read(hash);
        let answer =
            store.reader().read(space.namespace, space.key.bytes(), hash, &mut Nothing, &mut Seen::default());
        if answer != Lookup::Miss {
            return Ok(raw::double(env, 0.0));
        }
        let purpose = match raw::as_double(env, purpose) {
            Some(1.0) => Purpose::Resolve,
            Some(2.0) => Purpose::Look,
            _ => Purpose::Read,
        };
        let asker = raw::as_double(env, asker).unwrap_or(0.0) as u32;
        let id = below.misses.ask(asker, space.namespace, space.key.bytes(), hash, token, purpose)?;
        Ok(raw::double(env, id as f64))
    })
}

/// For a reader thread: waits for questions and answers those that the log's own index can. What is left is packed into
/// `into`, which has room for `most` of the longest keys: `u64 id | u16 key bytes | key`, the key with its namespace as
/// two bytes, big-endian, in front. The bytes of it, 0 when nothing came, -1 when the store is closed.
#[napi(js_name = "takeMisses")]
pub fn take_misses(
    handle: &External<Handle>,
    most: u32,
    patience_ms: u32,
    mut into: Uint8Array,
) -> Result<f64> {
    let store = owner(handle)?;
    let patience = Duration::from_millis(patience_ms as u64);
    let Some(misses) = below(handle)?.misses.take(most as usize, patience) else { return Ok(-1.0) };
    let packed = pack_misses(&store.serve_from_tail(misses));
    // SAFETY: nobody else has this buffer while the call lasts.
    let into = unsafe { into.as_mut() };
    into[..packed.len()].copy_from_slice(&packed);
    Ok(packed.len() as f64)
}

fn pack_misses(misses: &[Miss]) -> Vec<u8> {
    let mut packed = Vec::new();
    for miss in misses {
        packed.extend_from_slice(&miss.id.to_le_bytes());
        packed.extend_from_slice(&(miss.key.len() as u16 + 2).to_le_bytes());
        packed.extend_from_slice(&(miss.namespace as u16).to_be_bytes());
        packed.extend_from_slice(&miss.key);
    }
    packed
}

/// For the thread of the tier below: `bell` is called when there are questions that the SSD tier could not answer. It does
/// not keep the thread's event loop alive.
#[napi(js_name = "listenBelow")]
pub fn listen_below(handle: &External<Handle>, bell: Function<(), ()>) -> Result<()> {
    below(handle)?.misses.set_lower_bell(Some(ringing(bell)?));
    Ok(())
}

/// For the thread of the tier below: takes questions, packed as `takeMisses` does; an empty buffer when there are none.
#[napi(js_name = "takePassed")]
pub fn take_passed(handle: &External<Handle>, most: u32) -> Result<Buffer> {
    Ok(pack_misses(&below(handle)?.misses.take_passed(most as usize)).into())
}

/// For the thread of the tier below: the record it has for a question, or `null`.
#[napi(js_name = "answerPassed")]
pub fn answer_passed(handle: &External<Handle>, id: f64, record: Option<Buffer>) -> Result<()> {
    owner(handle)?.serve_record(id as u64, record.as_deref());
    Ok(())
}

/// The thread of the tier below has ended: what was asked of it, and what would be, is answered with the reason.
#[napi(js_name = "failBelow")]
pub fn fail_below(handle: &External<Handle>, message: String) -> Result<()> {
    below(handle)?.misses.fail_lower(StoreError::new(Code::Unavailable, message));
    Ok(())
}

/// For a reader thread: from now on until it ends it answers questions. With the thread that has started it a reader may
/// end at any time, and no JavaScript is told.
#[napi(js_name = "serveMisses")]
pub fn serve_misses(env: Env, handle: &External<Handle>) -> Result<()> {
    below(handle)?.misses.add_reader();
    let Target::Owner(owned) = &handle.target else { return Ok(()) };
    let store = std::sync::Arc::downgrade(owned);
    let ended = move |()| {
        let message = "the threads that read from the tiers below RAM have ended, with the thread that opened the store first: close the store in every thread of this process and open it again";
        let Some(owned) = store.upgrade() else { return };
        if let Some(below) = owned.store().below() {
            below.misses.remove_reader(StoreError::new(Code::Unavailable, message));
        }
    };
    env.add_env_cleanup_hook((), ended).map(drop).map_err(|error| {
        coded(StoreError::new(Code::Unavailable, format!("cannot watch the end of a thread: {error}")))
    })
}

/// For a reader thread: rows of questions it has taken, packed: `u64 id | u32 file | u32 offset | u32 bytes | u32 0`,
/// file 0 for a key without a row, and then offset 1 when its row is a delete.
#[napi(js_name = "answerMisses")]
pub fn answer_misses(handle: &External<Handle>, packed: Uint8Array) -> Result<()> {
    let u32_at = |row: &[u8], at: usize| u32::from_le_bytes(row[at..at + 4].try_into().expect("four bytes"));
    let rows = packed
        .as_ref()
        .chunks_exact(24)
        .map(|row| {
            let id = u64::from_le_bytes(row[..8].try_into().expect("eight bytes"));
            let location =
                LogLocation { file: u32_at(row, 8), offset: u32_at(row, 12), bytes: u32_at(row, 16) };
            let row = match (location.file, location.offset) {
                (0, 0) => Row::None,
                (0, _) => Row::Dead,
                _ => Row::At(location),
            };
            (id, row)
        })
        .collect();
    owner(handle)?.serve_rows(rows);
    Ok(())
}

/// For a thread whose index or tier failed: the questions it has taken are answered with the error.
#[napi(js_name = "failMisses")]
pub fn fail_misses(handle: &External<Handle>, ids: Vec<f64>, message: String, is_damage: bool) -> Result<()> {
    let below = below(handle)?;
    let code = if is_damage { Code::Corrupt } else { Code::Unavailable };
    let failed = |id: f64| {
        below.misses.take_awaited(id as u64);
        (id as u64, Answer::Failed(StoreError::new(code, message.clone())))
    };
    below.misses.answer(ids.into_iter().map(failed).collect());
    Ok(())
}

/// The number of a question that is answered when every change made so far is logged (`what` 0) or durable (1), or when all
/// deletes are durable that cover what volatile writes have replaced (2); 0 when that is so already.
#[napi(js_name = "awaitLog")]
pub fn await_log(handle: &External<Handle>, asker: u32, what: u32) -> Result<f64> {
    let below = below(handle)?;
    let (sequence, reached) = match what {
        0 => (owner(handle)?.sequence(), Reached::Logged),
        1 => (owner(handle)?.sequence(), Reached::Durable),
        _ => (below.covered(), Reached::Durable),
    };
    Ok(below.await_reached(asker, sequence, reached).unwrap_or(0) as f64)
}

#[napi(object)]
pub struct NativeBelowOptions {
    pub dir: String,
    /// Where the index is complete up to.
    pub file: u32,
    pub offset: u32,
    /// Epochs the index knows: namespace, high half, low half, ...
    pub epochs: Vec<u32>,
    /// Epochs of tags the index knows: for each `u16 key bytes, u64 clock, key`.
    pub tags: Buffer,
    pub sync_interval_ms: u32,
    pub file_bytes: u32,
    pub reserve_bytes: f64,
    /// A tier lies below this one.
    pub has_lower: bool,
}

#[napi(object)]
pub struct NativeKey {
    pub namespace: u32,
    pub key: Buffer,
}

/// What the log had that the index does not.
#[napi(object)]
pub struct NativeRecovery {
    /// Volatile records in files before this one are of arenas that are gone.
    pub first_file: u32,
    pub changes: f64,
    pub bytes: f64,
    /// Of the log, 16 hexadecimal digits.
    pub store_id: String,
    /// Namespace and key of pinned records that the index may not have.
    pub pinned: Vec<NativeKey>,
    /// Messages about what was durable and cannot be read any more.
    pub damage: Vec<String>,
}

fn tag_rows(mut packed: &[u8]) -> std::result::Result<Vec<(Vec<u8>, u64)>, StoreError> {
    let mut rows = Vec::new();
    while !packed.is_empty() {
        let cut = || StoreError::new(Code::Config, "epochs of tags that end in the middle of one");
        let (head, rest) = packed.split_at_checked(10).ok_or_else(cut)?;
        let key_bytes = u16::from_le_bytes([head[0], head[1]]) as usize;
        let (key, rest) = rest.split_at_checked(key_bytes).ok_or_else(cut)?;
        rows.push((key.to_vec(), u64::from_le_bytes(head[2..].try_into().expect("eight bytes"))));
        packed = rest;
    }
    Ok(rows)
}

/// Gives a store its tiers below RAM and recovers the log.
#[napi(js_name = "startBelow")]
pub fn start_below(handle: &External<Handle>, options: NativeBelowOptions) -> Result<NativeRecovery> {
    let Target::Owner(owned) = &handle.target else {
        return Err(coded(StoreError::new(Code::Unavailable, "this process only reads the store")));
    };
    let epochs = options
        .epochs
        .chunks_exact(3)
        .map(|epoch| (epoch[0], (epoch[1] as u64) << 32 | epoch[2] as u64))
        .collect();
    let Started { recovery, store_id, first_file, pinned } = owned
        .start_below(&BelowOptions {
            dir: options.dir.into(),
            from: Position { file: options.file, offset: options.offset },
            epochs,
            tags: tag_rows(&options.tags).map_err(coded)?,
            sync_interval: Duration::from_millis(options.sync_interval_ms as u64),
            file_bytes: options.file_bytes,
            reserve_bytes: options.reserve_bytes as u64,
            has_lower: options.has_lower,
        })
        .map_err(coded)?;
    Ok(NativeRecovery {
        first_file,
        changes: recovery.changes as f64,
        bytes: recovery.bytes as f64,
        store_id: format!("{store_id:016x}"),
        pinned: pinned.into_iter().map(|(namespace, key)| NativeKey { namespace, key: key.into() }).collect(),
        damage: recovery.damage.iter().map(|damage| format!("{}: {}", damage.at, damage.message)).collect(),
    })
}

/// Ends writing: what was written is logged and synced. Throws what the log failed with. Reads from RAM go on.
#[napi(js_name = "stopBelow")]
pub fn stop_below(handle: &External<Handle>) -> Result<()> {
    owner(handle)?.stop_below().map_err(coded)
}

/// A checkpoint: how many entries (`log/checkpoint.rs`), for `takeEntries`, and the position they reach.
#[napi(object, object_from_js = false)]
pub struct NativeCheckpoint {
    pub entries: External<Checkpoint>,
    pub count: f64,
    pub file: u32,
    pub offset: u32,
    pub damage: Vec<String>,
}

/// Sets a checkpoint aside when it is time, or when `isForced` and there is anything; `endCheckpoint` must follow.
#[napi(js_name = "beginCheckpoint")]
pub fn begin_checkpoint(handle: &External<Handle>, is_forced: bool) -> Result<Option<NativeCheckpoint>> {
    let Some(checkpoint) = owner(handle)?.begin_checkpoint(is_forced).map_err(coded)? else {
        return Ok(None);
    };
    Ok(Some(NativeCheckpoint {
        count: checkpoint.entries() as f64,
        file: checkpoint.region.1.file,
        offset: checkpoint.region.1.offset,
        damage: checkpoint.damage.iter().map(|damage| format!("{}: {}", damage.at, damage.message)).collect(),
        entries: External::new(checkpoint),
    }))
}

/// The next entries of a checkpoint, packed into a buffer of at least twice the bytes of an entry: the bytes they take,
/// 0 at the end.
#[napi(js_name = "takeEntries")]
pub fn take_entries(checkpoint: &mut External<Checkpoint>, mut into: Uint8Array) -> Result<u32> {
    let mut entries = Vec::new();
    // The last one may begin just before the limit.
    checkpoint.take(into.len().saturating_sub(ENTRY_BYTES_MAX), &mut entries).map_err(coded)?;
    // SAFETY: nobody else has this buffer while the call lasts.
    let into = unsafe { into.as_mut() };
    into[..entries.len()].copy_from_slice(&entries);
    Ok(entries.len() as u32)
}

#[napi(js_name = "endCheckpoint")]
pub fn end_checkpoint(handle: &External<Handle>, is_committed: bool) -> Result<()> {
    owner(handle)?.end_checkpoint(is_committed);
    Ok(())
}

/// Saves which keys are in RAM, for the next start that has no arena: how many.
#[napi(js_name = "saveHot")]
pub fn save_hot(handle: &External<Handle>) -> Result<f64> {
    owner(handle)?.save_hot().map(|count| count as f64).map_err(coded)
}

/// Reads what the last run has saved: how many keys `warm` will bring up.
#[napi(js_name = "beginWarming")]
pub fn begin_warming(handle: &External<Handle>) -> Result<f64> {
    owner(handle)?.begin_warming().map(|count| count as f64).map_err(coded)
}

/// Brings some more keys up; how many are left.
#[napi(js_name = "warm")]
pub fn warm(handle: &External<Handle>) -> Result<f64> {
    Ok(owner(handle)?.warm() as f64)
}

/// Whether keys of the last run are still being brought up.
#[napi(js_name = "isWarming")]
pub fn is_warming(handle: &External<Handle>) -> Result<bool> {
    Ok(owner(handle)?.is_warming())
}

/// Has an entry brought up to RAM, nobody waiting for it: of a namespace by its number. False when too much is under way.
#[napi(js_name = "recallKey")]
pub fn recall_key(handle: &External<Handle>, namespace: u32, key: Uint8Array) -> Result<bool> {
    Ok(owner(handle)?.recall(namespace, key.as_ref()))
}

/// The store that this process has open in a directory: for threads that serve it.
#[napi(js_name = "joinStore")]
pub fn join_store(dir: String) -> Result<External<Handle>> {
    let owned = ramcache_core::open::joined(Path::new(&dir)).map_err(coded)?;
    Ok(External::new(Handle::of(Target::Owner(owned))))
}

/// The number of a namespace, added when it is new.
#[napi(js_name = "namespaceId")]
pub fn namespace_id(handle: &External<Handle>, name: String) -> Result<u32> {
    owner(handle)?.namespace(&name).map_err(coded)
}

/// Begins a rebuild of the absent filter for about so many keys in the index: its number, 0 when there is no room for it.
#[napi(js_name = "beginFilter")]
pub fn begin_filter(handle: &External<Handle>, keys: f64) -> Result<u32> {
    match owner(handle)?.begin_filter(keys as u64) {
        Ok(rebuild) => Ok(rebuild.unwrap_or(0)),
        Err(error) if error.code == Code::Full => Ok(0),
        Err(error) => Err(coded(error)),
    }
}

/// Adds keys that the index has, packed: `u16 key bytes | key`, with their namespaces as two bytes in front.
#[napi(js_name = "addToFilter")]
pub fn add_to_filter(handle: &External<Handle>, packed: Uint8Array) -> Result<()> {
    let store = owner(handle)?;
    let mut rest = packed.as_ref();
    while rest.len() > 4 {
        let key_bytes = u16::from_le_bytes([rest[0], rest[1]]) as usize;
        let key = &rest[2..2 + key_bytes];
        let namespace = u16::from_be_bytes([key[0], key[1]]) as u32;
        store.filter_add_to_next(store.hasher().hash(namespace, &key[2..]));
        rest = &rest[2 + key_bytes..];
    }
    Ok(())
}

/// Adds the key of the record at a place in the log: of rows that do not have their key whole. A record that is gone
/// meanwhile has been moved, and was added then.
#[napi(js_name = "addRecordToFilter")]
pub fn add_record_to_filter(handle: &External<Handle>, file: u32, offset: u32, bytes: u32) -> Result<()> {
    owner(handle)?.filter_add_record(LogLocation { file, offset, bytes }).map_err(coded)
}

/// Adds the key of a record of the tier below the index.
#[napi(js_name = "addStoredToFilter")]
pub fn add_stored_to_filter(handle: &External<Handle>, record: Uint8Array) -> Result<()> {
    let store = owner(handle)?;
    if let Some(header) = Header::of_bytes(&record) {
        let key = &record[header.key_at as usize..header.value_at()];
        store.filter_add_to_next(store.hasher().hash(header.namespace, key));
    }
    Ok(())
}

/// The filter answers from now on, when `isComplete`; else the rebuild is given up.
#[napi(js_name = "endFilter")]
pub fn end_filter(handle: &External<Handle>, rebuild: u32, is_complete: bool) -> Result<bool> {
    let store = owner(handle)?;
    if !is_complete {
        store.filter_abandon_rebuild(rebuild);
        return Ok(false);
    }
    Ok(store.filter_finish_rebuild(rebuild))
}

/// Whether the filter should be rebuilt, larger.
#[napi(js_name = "isFilterCrowded")]
pub fn is_filter_crowded(handle: &External<Handle>) -> Result<bool> {
    Ok(owner(handle)?.filter_is_crowded())
}
