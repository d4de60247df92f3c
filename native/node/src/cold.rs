//! Opening, closing, numbers: what is called seldom.

use crate::key::KeyBuffer;
use crate::space::{expose, Scratch, Space, Target, CONTROL_WORDS};
use napi::bindgen_prelude::*;
use napi::{sys, Env};
use napi_derive::napi;
use ramcache_core::below::TierCounts;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::feed::FeedRead;
use ramcache_core::layout::{superblock, LAYOUT_VERSION};
use ramcache_core::namespaces;
use ramcache_core::open::{attach, open, open_tiered, Start, SHARED_MEMORY_DIR};
use ramcache_core::stats::{snapshot, CounterSlot, Counts, Latency, Sampler};
use ramcache_core::store::{Counting, StoreOptions};
use ramcache_core::sync::Ordering;
use std::path::Path;
use std::sync::Arc;

/// An error whose JavaScript `code` is one of the package's.
pub struct CodeName(Code);

impl AsRef<str> for CodeName {
    fn as_ref(&self) -> &str {
        self.0.name()
    }
}

impl From<Status> for CodeName {
    fn from(_: Status) -> CodeName {
        CodeName(Code::Config)
    }
}

pub type Result<T> = std::result::Result<T, Error<CodeName>>;

pub fn coded(error: StoreError) -> Error<CodeName> {
    Error::new(CodeName(error.code), error.message)
}

/// A store or an attachment, as JavaScript holds it.
pub struct Handle {
    pub target: Target,
    /// One who opened a store, not a thread that serves its tiers.
    is_user: bool,
}

impl Handle {
    pub fn of(target: Target) -> Handle {
        Handle { target, is_user: false }
    }

    /// How many users are left; `None` when it was none any more.
    fn leave(&mut self) -> Option<u64> {
        let was_user = std::mem::take(&mut self.is_user);
        match &self.target {
            Target::Owner(owned) if was_user => Some(owned.leave()),
            _ => None,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.leave();
    }
}

#[napi(object)]
pub struct NativeOpenOptions {
    pub dir: String,
    pub memory_bytes: f64,
    pub counts_payload: bool,
    pub background: bool,
    pub manual_clock: bool,
    /// `startBelow` follows, with this directory.
    pub tiers_dir: Option<String>,
    pub shared_memory_dir: Option<String>,
}

#[napi(js_name = "layoutVersion")]
pub fn layout_version() -> u32 {
    LAYOUT_VERSION as u32
}

#[napi(js_name = "openStore")]
pub fn open_store(options: NativeOpenOptions) -> Result<External<Handle>> {
    let counting = if options.counts_payload { Counting::Payload } else { Counting::Everything };
    let store_options = StoreOptions {
        budget_bytes: options.memory_bytes as usize,
        counting,
        background: options.background,
    };
    let shared_memory_dir = options.shared_memory_dir.unwrap_or_else(|| SHARED_MEMORY_DIR.into());
    let (dir, shared) = (Path::new(&options.dir), Path::new(&shared_memory_dir));
    let opened = match &options.tiers_dir {
        Some(below) => open_tiered(dir, &store_options, shared, Path::new(below)),
        None => open(dir, &store_options, shared),
    };
    let owned = opened.map_err(coded)?;
    if options.manual_clock {
        owned.store().set_manual_clock(ramcache_core::clock::wall_ms());
    }
    owned.enter();
    Ok(External::new(Handle { target: Target::Owner(owned), is_user: true }))
}

/// Counts this handle out, before it is closed: how many users are left. Once; then, and for an attachment, `-1`.
#[napi(js_name = "leaveStore")]
pub fn leave_store(handle: &mut External<Handle>) -> f64 {
    handle.leave().map_or(-1.0, |left| left as f64)
}

/// Whether the store has tiers below RAM already, through somebody else in this process.
#[napi(js_name = "hasTiers")]
pub fn has_tiers(handle: &External<Handle>) -> bool {
    matches!(&handle.target, Target::Owner(owned) if owned.store().below().is_some())
}

/// Whether a live process owns a directory.
#[napi(js_name = "isOwned")]
pub fn is_owned(dir: String) -> bool {
    ramcache_core::arena::owner_files::is_owned(Path::new(&dir))
}

#[napi(js_name = "attachStore")]
pub fn attach_store(data: String, touch: String) -> Result<External<Handle>> {
    let attached = attach(Path::new(&data), Path::new(&touch)).map_err(coded)?;
    Ok(External::new(Handle::of(Target::Attached(Arc::new(attached)))))
}

/// The callbacks of one namespace. `scratch` must be an ArrayBuffer that is never detached and stays referenced.
/// An attached process gets `null` while the namespace does not exist.
#[napi(js_name = "openSpace")]
pub fn open_space<'env>(
    env: Env,
    handle: &External<Handle>,
    name: String,
    scratch: ArrayBuffer<'env>,
) -> Result<Option<Object<'env>>> {
    let bytes: &[u8] = scratch.as_ref();
    if bytes.len() < CONTROL_WORDS * 8 + 8192 || !(bytes.as_ptr() as usize).is_multiple_of(8) {
        return Err(coded(StoreError::new(Code::Config, "the scratch buffer is too small or not aligned")));
    }
    // SAFETY: the ArrayBuffer's bytes; the caller keeps it referenced and attached, as documented.
    let scratch = unsafe { Scratch::new(bytes.as_ptr().cast_mut(), bytes.len()) };
    let (namespace, hasher) = match &handle.target {
        Target::Owner(owned) => {
            let namespace = owned.store().namespace(&name).map_err(coded)?;
            (namespace, *owned.store().hasher())
        }
        Target::Attached(attached) => match namespaces::find(attached.arena(), &name) {
            Some(namespace) => (namespace, *attached.hasher()),
            None => return Ok(None),
        },
        Target::Closed => return Err(coded(crate::space::closed())),
    };
    let mut space = Space {
        target: handle.target.clone(),
        namespace,
        hasher,
        counters: None,
        scratch,
        buffer: Default::default(),
        key: KeyBuffer::new(),
        sampler: Sampler::new(ramcache_core::clock::wall_ms()),
        holder: 0,
    };
    space.counters = space.arena().map(|arena| CounterSlot::claim(arena, namespace, std::process::id()));
    let object = expose(env.raw(), space);
    Ok(Some(Object::from_raw(env.raw(), object)))
}

/// Ends this handle's part in the store. The store itself closes with the last handle of the process, or at once
/// with `for_all`.
#[napi(js_name = "closeStore")]
pub fn close_store(handle: &mut External<Handle>, for_all: bool) {
    if let (Target::Owner(owned), true) = (&handle.target, for_all) {
        owned.close();
    }
    handle.leave();
    handle.target = Target::Closed;
}

pub fn owner(handle: &External<Handle>) -> Result<&ramcache_core::store::Store> {
    match &handle.target {
        Target::Owner(owned) => Ok(owned.store()),
        Target::Attached(_) => {
            Err(coded(StoreError::new(Code::Unavailable, "this process only reads the store")))
        }
        Target::Closed => Err(coded(crate::space::closed())),
    }
}

#[napi(js_name = "checkStore")]
pub fn check_store(handle: &External<Handle>) -> Result<()> {
    owner(handle)?.check().map(|_| ()).map_err(coded)
}

#[napi(js_name = "resizeStore")]
pub fn resize_store(handle: &External<Handle>, memory_bytes: f64) -> Result<()> {
    owner(handle)?.resize(memory_bytes as usize).map_err(coded)
}

/// Moves the manual clock of a store opened with one; the milliseconds since 1970 it shows then.
#[napi(js_name = "advanceClock")]
pub fn advance_clock(handle: &External<Handle>, ms: f64) -> Result<f64> {
    let store = owner(handle)?;
    let now = store.arena().wall_ms() + ms as u64;
    store.set_manual_clock(now);
    Ok(now as f64)
}

/// A packed batch of the feed from a sequence on: `[next, bytes]`, or `null` when that far back nothing is kept.
#[napi(js_name = "readFeed")]
pub fn read_feed(handle: &External<Handle>, from: f64, bytes_max: f64) -> Result<Option<FeedBatch>> {
    Ok(match owner(handle)?.read_feed(from as u64, bytes_max as usize) {
        FeedRead::Batch { next, bytes, .. } => Some(FeedBatch { next: next as f64, bytes: bytes.into() }),
        FeedRead::Behind { .. } => None,
    })
}

#[napi(object)]
pub struct FeedBatch {
    pub next: f64,
    pub bytes: Buffer,
}

/// All counters as JSON text.
#[napi(js_name = "countStore")]
pub fn count_store(handle: &External<Handle>) -> Result<String> {
    match &handle.target {
        Target::Owner(owned) => {
            let start = start_json(owned.start());
            let counts = owned.store().counts();
            let below = below_json(owned.store(), &counts);
            Ok(json_of(&counts, std::process::id() as u64, owned.is_anonymous(), &start, &below))
        }
        Target::Attached(attached) => {
            let owner = attached.arena().superblock(superblock::OWNER_PID).load(Ordering::Relaxed);
            Ok(json_of(&snapshot(attached.arena()), owner, false, "null", "null"))
        }
        Target::Closed => Err(coded(crate::space::closed())),
    }
}

/// A JSON string.
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// What the owner began with.
fn start_json(start: &Start) -> String {
    match start {
        Start::Fresh => r#"{"kind":"fresh"}"#.into(),
        Start::Adopted(adoption) => {
            format!(r#"{{"kind":"adopted","entries":{},"dropped":{}}}"#, adoption.entries, adoption.dropped)
        }
        Start::Refused(why) => format!(r#"{{"kind":"refused","why":{}}}"#, json_text(why)),
    }
}

/// What went between RAM and the tiers below it.
fn below_json(store: &ramcache_core::store::Store, counts: &Counts) -> String {
    let Some(below) = store.below() else { return "null".into() };
    let load = |word: &ramcache_core::sync::AtomicU64| word.load(Ordering::Relaxed);
    let tier = |counts: &TierCounts, demoted: u64| {
        format!(
            r#"{{"entries":{},"bytes":{},"hits":{},"demotedIn":{demoted},"promotedOut":{},"evictions":{}}}"#,
            load(&counts.entries),
            load(&counts.bytes),
            load(&counts.hits),
            load(&counts.promoted),
            load(&counts.evicted),
        )
    };
    let (ssd, hdd) = (&below.counts.ssd, &below.counts.hdd);
    let open = below.unsafe_changes(store);
    let durability = format!(
        r#"{{"dirtyBytes":{},"flushLagMs":{},"poisoned":{},"replayedBytes":{}}}"#,
        open.bytes,
        open.lag.as_millis(),
        open.is_poisoned,
        below.replayed_bytes()
    );
    let (ssd, hdd) = (tier(ssd, counts.evictions), tier(hdd, load(&hdd.demoted)));
    format!(r#"{{"ssd":{ssd},"hdd":{hdd},"durability":{durability}}}"#)
}

fn json_of(counts: &Counts, owner_pid: u64, is_anonymous: bool, start: &str, below: &str) -> String {
    let latency = |latency: &Latency| {
        format!(
            r#"{{"p50Us":{},"p99Us":{},"p999Us":{},"maxUs":{}}}"#,
            latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us
        )
    };
    let namespaces: Vec<String> = counts
        .namespaces
        .iter()
        .map(|namespace| {
            let name = json_text(&namespace.name);
            let quota = match namespace.quota_bytes {
                0 => String::new(),
                quota => format!(r#","ramBytes":{},"quotaBytes":{quota}"#, namespace.ram_bytes),
            };
            format!(
                r#"{name}:{{"entries":{},"bytes":{},"hits":{},"misses":{}{quota}}}"#,
                namespace.entries, namespace.payload_bytes, namespace.hits, namespace.misses
            )
        })
        .collect();
    let numbers: Vec<String> = [
        ("entries", counts.entries),
        ("bytes", counts.payload_bytes),
        ("budgetBytes", counts.budget_bytes),
        ("overheadBytes", counts.overhead_bytes),
        ("hits", counts.hits),
        ("misses", counts.misses),
        ("sets", counts.sets),
        ("deletes", counts.deletes),
        ("expired", counts.expired),
        ("evictions", counts.evictions),
        ("spilledBytes", counts.spilled_bytes),
        ("backPressure", counts.back_pressure),
        ("sequence", counts.sequence),
        ("clients", counts.clients),
        ("ownerPid", owner_pid),
    ]
    .iter()
    .map(|(name, number)| format!(r#""{name}":{number}"#))
    .collect();
    format!(
        r#"{{{},"isAnonymous":{is_anonymous},"start":{start},"below":{below},"latencyGet":{},"latencySet":{},"namespaces":{{{}}}}}"#,
        numbers.join(","),
        latency(&counts.get),
        latency(&counts.set),
        namespaces.join(",")
    )
}

/// Raw callbacks that do nothing, for measuring what a call costs.
#[napi(js_name = "costRaw")]
pub fn cost_raw(env: Env) -> Object<'static> {
    let raw: sys::napi_env = env.raw();
    Object::from_raw(raw, crate::call_cost::callbacks(raw))
}
